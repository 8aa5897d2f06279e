"""The optimiser: torch's AdamW, of parameters that lie side by side."""

import copy
import io
import subprocess
import sys

import pytest
import torch
from torch import nn

from skmm._torch import isolated_rng
from skmm.training.adamw import MAX_GRADIENT_NORM, NOISE_RATE, FlatAdamW


class Noisy(nn.Module):
    """Weights and biases, noise scales, something frozen, and one matrix in two places."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 5)
        self.again = nn.Linear(5, 5, bias=False)
        self.second = nn.Linear(5, 5)
        self.again.weight = self.second.weight
        self.frozen = nn.Linear(5, 5).requires_grad_(requires_grad=False)
        likelihood = nn.Module()
        likelihood.log_scale = nn.Parameter(torch.zeros(5))
        self.likelihoods = nn.ModuleList([likelihood])

    def forward(self, x):
        hidden = self.frozen(self.again(self.second(self.first(x)).tanh()))
        return hidden * self.likelihoods[0].log_scale.exp()


@pytest.fixture
def network():
    with isolated_rng(0):
        return Noisy()


def gradients(network, factor, seed):
    with isolated_rng(seed):
        x = torch.randn(20, 3)
    (factor * network(x).square().sum()).backward()


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_steps_are_those_of_torch(network, factor):
    """Also where gradients are longer than they may be."""
    other = copy.deepcopy(network)
    noise = list(other.likelihoods.parameters())
    biases = [other.first.bias, other.second.bias]
    weights = [other.first.weight, other.second.weight]
    rates, decays = (0.01, 0.01, 0.01 * NOISE_RATE), (0.1, 0.0, 0.0)
    groups = [
        {"params": group, "lr": rate, "weight_decay": decay}
        for group, rate, decay in zip((weights, biases, noise), rates, decays, strict=True)
    ]
    expected, actual = torch.optim.AdamW(groups), FlatAdamW(network, 0.01, 0.1)
    frozen = network.frozen.weight.clone()
    for step, share in enumerate([0.1, 1.0, 0.7, 0.2]):
        for group, rate in zip(expected.param_groups, rates, strict=True):
            group["lr"] = rate * share
        expected.zero_grad()
        gradients(other, factor, step)
        norm = nn.utils.clip_grad_norm_(other.parameters(), MAX_GRADIENT_NORM)
        assert (norm > MAX_GRADIENT_NORM) == (factor > 1)
        expected.step()
        actual.zero_grad()
        gradients(network, factor, step)
        actual.step(share)
    for (name, found), wanted in zip(network.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6, msg=name)
    torch.testing.assert_close(network.frozen.weight, frozen, rtol=0, atol=0)


def test_memory_is_shared_until_it_is_released(network):
    optimizer = FlatAdamW(network, 0.01, 0.0)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert len({parameter.untyped_storage().data_ptr() for parameter in trained}) == 1
    values = [parameter.clone() for parameter in trained]
    optimizer.release()
    assert len({parameter.untyped_storage().data_ptr() for parameter in trained}) == len(trained)
    for parameter, value in zip(trained, values, strict=True):
        assert parameter.grad is None
        assert parameter.untyped_storage().nbytes() == 4 * parameter.numel()
        torch.testing.assert_close(parameter, value, rtol=0, atol=0)
    assert network.again.weight is network.second.weight
    file = io.BytesIO()
    torch.save(network.first.weight, file)
    assert file.tell() < 4000


def test_nothing_to_train(network):
    optimizer = FlatAdamW(network.requires_grad_(requires_grad=False), 0.01, 0.0)
    optimizer.zero_grad()
    optimizer.step(1.0)
    optimizer.release()


def test_a_first_fit_does_not_import_the_compiler():
    """It takes more than a second, of which every process of a search would lose one."""
    code = (
        "import sys, numpy as np, skmm\n"
        "X = np.random.RandomState(0).normal(size=(40, 4))\n"
        "skmm.MultimodalVAE(2, max_iter=2, random_state=0).fit(X).transform(X)\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
