"""Fixed nodes: exact moments where promised, normal and uniform, and the same in every call."""

import numpy as np
import pytest
import torch
from scipy import stats

from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng
from skmm.inference.nodes import fixed_nodes, own_noise, rows_per_pass

CPU = torch.device("cpu")

sizes = pytest.mark.parametrize(
    ("n_draws", "n_components"),
    [(1, 1), (2, 1), (3, 2), (4, 10), (10, 10), (11, 10), (64, 10), (100, 3), (64, 1)],
)


@sizes
@pytest.mark.parametrize("balanced", [True, False])
def test_shapes_and_ranges(n_draws, n_components, balanced):
    nodes = fixed_nodes(n_draws, n_components, CPU, balanced=balanced)
    assert nodes.noise.shape == (n_draws, 1, n_components)
    assert nodes.part.shape == (n_draws, 1)
    assert nodes.level.shape == (n_draws, 1, 1)
    assert {tensor.dtype for tensor in (nodes.noise, nodes.part, nodes.level)} == {torch.float32}
    assert nodes.noise.isfinite().all()
    assert ((nodes.part >= 0) & (nodes.part < 1)).all()
    assert ((nodes.level > 0) & (nodes.level < 1)).all()
    assert torch.special.ndtri(nodes.level).isfinite().all()


@sizes
def test_balanced_nodes_have_exact_moments(n_draws, n_components):
    noise = fixed_nodes(n_draws, n_components, CPU, balanced=True).noise[:, 0].double()
    np.testing.assert_allclose(noise.mean(0), 0, atol=1e-6)
    if n_draws > n_components:
        np.testing.assert_allclose(noise.T @ noise / n_draws, np.eye(n_components), atol=1e-5)


def test_moments_of_linear_functions_are_exact():
    noise = fixed_nodes(32, 5, CPU, balanced=True).noise[:, 0].double()
    loadings = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = noise @ loadings
    np.testing.assert_allclose(np.cov(values.T, bias=True), loadings.T @ loadings, atol=1e-5)


def test_nodes_that_are_not_balanced_are_those_of_a_scrambled_sequence():
    """Uniform in every coordinate to within one draw per stratum, as a net of base 2 is."""
    nodes = fixed_nodes(64, 3, CPU, balanced=False)
    coordinates = [
        *stats.norm.cdf(nodes.noise[:, 0].T),
        nodes.part[:, 0].numpy(),
        nodes.level[:, 0, 0].numpy(),
    ]
    for coordinate in coordinates:
        np.testing.assert_array_equal(np.histogram(coordinate, bins=64, range=(0, 1))[0], 1)


@pytest.mark.parametrize("balanced", [True, False])
def test_noise_is_nearly_normal_and_independent(balanced):
    nodes = fixed_nodes(1024, 4, CPU, balanced=balanced)
    columns = np.column_stack([nodes.noise[:, 0], nodes.part, nodes.level[:, 0]])
    for column in columns[:, :4].T:
        assert stats.kstest(column, "norm").statistic < 0.01
    assert np.abs(np.corrcoef(columns.T) - np.eye(6)).max() < 0.02


def test_nodes_are_fixed():
    first = fixed_nodes(16, 3, CPU, balanced=True)
    with isolated_rng(5):
        torch.rand(10)
        again = fixed_nodes(16, 3, CPU, balanced=True)
    for name in ("noise", "part", "level"):
        torch.testing.assert_close(getattr(again, name), getattr(first, name), rtol=0, atol=0)


def test_the_global_generator_is_left_alone():
    with isolated_rng(5):
        before = torch.get_rng_state()
        fixed_nodes(16, 3, CPU, balanced=False)
        assert torch.equal(torch.get_rng_state(), before)


def random_rows(n, n_features, seed=0):
    joint = torch.randn(n, n_features, generator=torch.Generator().manual_seed(seed))
    return Blocks.from_joint(joint, torch.ones(n, n_features, dtype=torch.bool), (n_features,))


@pytest.mark.parametrize("n_features", [1, 15])
def test_noise_of_a_rows_own_is_standard_normal_over_rows(n_features):
    """At each node by itself, and independent between components, whatever the node."""
    nodes = fixed_nodes(8, 3, CPU, balanced=False)
    noise = own_noise(nodes, random_rows(20_000, n_features))
    assert noise.shape == (8, 20_000, 3)
    for node in noise.numpy():
        for component in node.T:
            assert stats.kstest(component, "norm").statistic < 0.015
        assert np.abs(np.corrcoef(node.T) - np.eye(3)).max() < 0.03


def test_noise_of_a_rows_own_is_still_well_spread():
    """Each row's nodes come closer to normal moments than chance would, by far."""
    noise = own_noise(fixed_nodes(64, 3, CPU, balanced=False), random_rows(500, 10))
    by_chance = 64**-0.5
    assert noise.mean(0).square().mean().sqrt() < 0.3 * by_chance
    assert (noise.std(0) - 1).square().mean().sqrt() < 0.5 * by_chance / 2**0.5


def test_noise_of_a_rows_own_follows_from_its_observed_values():
    nodes, rows = fixed_nodes(8, 3, CPU, balanced=False), random_rows(6, 4)
    noise = own_noise(nodes, rows)
    torch.testing.assert_close(own_noise(nodes, rows.rows(slice(2, 4))), noise[:, 2:4], rtol=0, atol=0)
    mask = torch.ones(6, 4, dtype=torch.bool)
    mask[3, 1] = False
    observed = own_noise(nodes, Blocks.from_joint(rows.joint, mask, (4,)))
    spoiled = own_noise(nodes, Blocks.from_joint(torch.where(mask, rows.joint, 1e30), mask, (4,)))
    torch.testing.assert_close(spoiled, observed, rtol=0, atol=0)
    same = (observed == noise).all(2).all(0)
    assert same.tolist() == [True, True, True, False, True, True]


@pytest.mark.parametrize(("n_draws", "width"), [(1, 1), (64, 100), (1, 10**9), (10**6, 10**6), (0, 0)])
def test_passes_are_bounded_and_never_empty(n_draws, width):
    rows = rows_per_pass(n_draws, width)
    assert rows >= 1
    assert rows == 1 or rows * max(1, n_draws) * max(1, width) <= 2**23
