"""Masks: any along an axis, as numbers, on values, and random ones."""

import pytest
import torch

from skmm._blocks.masks import any_of, as_numbers, masked, random_mask
from skmm._torch import isolated_rng


def test_any_is_that_of_torch():
    with isolated_rng(0):
        mask = torch.rand(7, 5, 6) < 0.2
    for view in (mask, mask.transpose(0, 2), mask[:, ::2], mask[..., :1]):
        assert torch.equal(any_of(view), view.any(-1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_as_numbers(dtype):
    mask = torch.tensor([[True, False], [False, False], [True, True]])
    for view in (mask, mask.T, mask[:, 1:], ~mask):
        assert torch.equal(as_numbers(view, dtype), view.to(dtype))


@pytest.mark.parametrize("poison", [0.0, torch.nan, torch.inf, -torch.inf])
def test_masked_values_have_no_influence(poison):
    """Forward and backward; those that are not masked stay as they are, also where they are no numbers."""
    with isolated_rng(0):
        values, mask = torch.randn(2, 5, 4), torch.rand(5, 4) < 0.5
    values = torch.where(mask, values, poison).requires_grad_()
    found = masked(values, mask)
    assert torch.equal(found.detach() == 0, (~mask).expand_as(found))
    found.square().sum().backward()
    assert torch.equal(values.grad, torch.where(mask, 2 * values.detach(), 0.0))
    broken = torch.where(mask, torch.tensor(torch.inf), 1.0)
    assert torch.equal(masked(broken, mask), torch.where(mask, torch.tensor(torch.inf), 0.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_random_masks_of_numbers_are_those_of_bools(dtype):
    masks = []
    for of in (torch.bool, dtype):
        with isolated_rng(0):
            masks.append(random_mask((50, 7), 0.3, "cpu", of))
    assert masks[0].dtype == torch.bool
    assert torch.equal(masks[0].to(dtype), masks[1])


@pytest.mark.parametrize("rate", [0.0, 1e-3, 0.1, 0.5, 0.97])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_random_masks_hide_as_many_as_they_should(rate, as_tensor):
    n = 400_000
    with isolated_rng(0):
        mask = random_mask((n // 4, 4), torch.full((4,), rate) if as_tensor else rate, "cpu")
    assert mask.shape == (n // 4, 4)
    error = 4 * (rate * (1 - rate) / n) ** 0.5 + 2**-16
    assert (~mask).double().mean().item() == pytest.approx(rate, abs=error)
    # neighbours, which share 64 random bits, are independent
    hidden = (~mask).double()
    assert (hidden.T @ hidden / len(hidden))[0, 1:].numpy() == pytest.approx(rate**2, abs=0.005)


def test_random_masks_have_rates_of_their_own():
    with isolated_rng(0):
        mask = random_mask((10_000, 3), torch.tensor([0.0, 0.3, 0.9]), "cpu")
    assert mask[:, 0].all()
    assert (~mask).double().mean(0).numpy() == pytest.approx([0.0, 0.3, 0.9], abs=0.02)


def test_random_masks_come_from_torchs_generator():
    masks = []
    for seed in (0, 0, 1):
        with isolated_rng(seed):
            masks.append(random_mask((5, 7), 0.5, "cpu"))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    assert random_mask((0, 3), 0.5, "cpu").shape == (0, 3)
