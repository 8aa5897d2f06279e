"""Generators and devices: the only code that touches torch's and numpy's global state."""

import numpy as np
import pytest
import torch

from skmm._torch import as_random_state, draw_seed, inference_device, isolated_rng, resolve_device

# generators


def test_isolated_rng_is_seeded_inside_and_changes_nothing_outside():
    before = torch.get_rng_state()
    with isolated_rng(3):
        first = torch.rand(4)
    with isolated_rng(3):
        again = torch.rand(4)
    with isolated_rng(4):
        other = torch.rand(4)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_isolated_rng_puts_generators_back_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="negative dimension"), isolated_rng(3):
        torch.rand(-1)
    assert torch.equal(torch.get_rng_state(), before)


def test_isolated_rng_nests():
    with isolated_rng(3):
        torch.rand(1)
        with isolated_rng(4):
            torch.rand(1)
        continued = torch.rand(1)
    with isolated_rng(3):
        assert torch.equal(torch.rand(2)[1:], continued)


@pytest.mark.gpu
def test_isolated_rng_covers_the_device():
    before = torch.cuda.get_rng_state()
    with isolated_rng(3, "cuda"):
        first = torch.rand(4, device="cuda")
    with isolated_rng(3, "cuda"):
        assert torch.equal(torch.rand(4, device="cuda"), first)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_random_state_of_none_is_new_and_not_numpys_global_generator():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = as_random_state(None), as_random_state(None)
    assert not np.array_equal(first.uniform(size=4), second.uniform(size=4))
    assert draw_seed(None) != draw_seed(None)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert first is not np.random.mtrand._rand


def test_random_state_of_a_number_or_generator():
    np.testing.assert_array_equal(
        as_random_state(7).uniform(size=4), np.random.RandomState(7).uniform(size=4)
    )
    rng = np.random.RandomState(7)
    assert as_random_state(rng) is rng
    assert draw_seed(7) == draw_seed(np.random.RandomState(7))
    assert draw_seed(rng) != draw_seed(rng)  # a generator moves on
    assert type(draw_seed(7)) is int


@pytest.mark.parametrize("random_state", ["seed", -1, 1.5])
def test_wrong_random_state(random_state):
    with pytest.raises(ValueError, match=r"cannot be used to seed|Seed must be between"):
        as_random_state(random_state)


# devices


@pytest.fixture
def cuda_devices(monkeypatch):
    """Lets torch find a number of CUDA devices."""

    def set_number(n):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: n > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: n)

    return set_number


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
@pytest.mark.parametrize("resolve", [resolve_device, inference_device])
def test_cpu(device, resolve, cuda_devices):
    cuda_devices(2)
    assert resolve(device) == torch.device("cpu")


@pytest.mark.parametrize("resolve", [resolve_device, inference_device])
@pytest.mark.parametrize(("n", "expected"), [(0, "cpu"), (1, "cuda")])
def test_auto(resolve, n, expected, cuda_devices):
    cuda_devices(n)
    assert resolve("auto") == torch.device(expected)


@pytest.mark.parametrize("resolve", [resolve_device, inference_device])
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:1", torch.device("cuda", 1)])
def test_cuda(resolve, device, cuda_devices):
    cuda_devices(2)
    assert resolve(device) == torch.device(device)


@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")])
def test_cuda_on_a_machine_without(device, cuda_devices):
    cuda_devices(0)
    with pytest.raises(
        ValueError, match=r"was asked for, but torch finds no CUDA device .* use device='auto'"
    ):
        resolve_device(device)
    with pytest.warns(UserWarning, match=r"fitted with device=.*cuda.* computing on the CPU"):
        assert inference_device(device) == torch.device("cpu")


def test_cuda_device_that_does_not_exist(cuda_devices):
    cuda_devices(2)
    with pytest.raises(
        ValueError, match=r"device='cuda:2' was asked for, but torch finds only 2 CUDA device\(s\)"
    ):
        resolve_device("cuda:2")
    with pytest.warns(UserWarning, match=r"fitted with device='cuda:2', .* computing on the CPU"):
        assert inference_device("cuda:2") == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", ""])
def test_unknown_device(device):
    with pytest.raises(
        ValueError, match="is not a device torch knows; use 'cpu', 'cuda', 'cuda:1' or 'auto'"
    ):
        resolve_device(device)
