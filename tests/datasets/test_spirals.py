"""Spirals: the published equations and data, and the reachable errors."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.preprocessing import FunctionTransformer

from skmm.datasets import (
    ELLIPTIC_SPIRAL_MODALITIES,
    SPIRAL_MODALITIES,
    make_elliptic_spirals,
    make_spirals,
)


def split_spirals(X):
    return X[..., SPIRAL_MODALITIES["first"]], X[..., SPIRAL_MODALITIES["second"]]


def test_spirals_are_those_of_the_published_generator():
    """The equations written out sample by sample, with random numbers drawn in the published order."""
    n_samples, n_steps, noise = 7, 11, 0.3
    rng = np.random.RandomState(5)
    t = np.linspace(0, 4 * np.pi, n_steps)
    amplitudes = [rng.uniform(0.5, 1.5) for _ in range(n_samples)]
    first = np.array([np.c_[a * t * np.cos(t), a * t * np.sin(t)] for a in amplitudes])
    first += rng.normal(0, noise, first.shape)
    x, y = first[..., 0], first[..., 1]
    second = np.stack([0.5 * x + 0.5 * y, -0.5 * x + 0.5 * y], axis=-1)
    second += rng.normal(0, noise, second.shape)

    X = make_spirals(n_samples, n_steps, noise=noise, shuffle=False, random_state=5)

    np.testing.assert_allclose(X, np.concatenate([first, second], axis=-1), rtol=1e-12, atol=1e-12)


def test_spirals_without_noise():
    first, second = split_spirals(make_spirals(50, 30, noise=0, random_state=0))
    t = np.linspace(0, 4 * np.pi, 30)
    amplitude = np.linalg.norm(first, axis=-1)[:, 1:] / t[1:]
    assert 0.5 <= amplitude.min() < amplitude.max() <= 1.5
    np.testing.assert_allclose(amplitude, np.tile(amplitude[:, :1], 29))
    np.testing.assert_allclose(np.linalg.norm(second, axis=-1), np.linalg.norm(first, axis=-1) / np.sqrt(2))


def test_second_spiral_follows_from_the_noisy_first():
    """Predicting second from first leaves noise² only; from a first without its noise, 1.5 noise²."""
    first, second = split_spirals(make_spirals(2000, 50, noise=0.25, random_state=0))
    x, y = first[..., 0], first[..., 1]
    residual = second - np.stack([x + y, y - x], axis=-1) / 2
    np.testing.assert_allclose(residual.var(axis=(0, 1)), 0.0625, rtol=0.02)


# make_elliptic_spirals


def published_elliptic_spirals(seed, n_samples=1000, n_steps=100):
    """The published procedure, spiral by spiral: (shuffled indices, clean, noisy, direction, ratio)."""
    rng = np.random.RandomState(seed)
    indices = list(range(n_samples))
    rng.shuffle(indices)
    clean, noisy, directions, ratios = [], [], [], []
    for i in range(n_samples):
        direction = 1 if i >= n_samples / 2 else -1
        start_r = 0.25 + 0.5 * rng.random_sample()
        stop_r = 2.25 + 0.5 * rng.random_sample()
        start_theta = direction * (np.pi * rng.random_sample())
        stop_theta = direction * (np.pi * rng.random_sample() + 4 * np.pi)
        ratio = 2 ** (2 * rng.random_sample() - 1)
        r = np.linspace(start_r, stop_r, n_steps)
        theta = np.linspace(start_theta, stop_theta, n_steps)
        x, y = ratio**0.5 * r * np.cos(theta), ratio**-0.5 * r * np.sin(theta)
        clean.append(np.c_[x, y])
        noisy.append(np.c_[x + 0.1 * rng.randn(n_steps), y + 0.1 * rng.randn(n_steps)])
        directions.append(direction)
        ratios.append(ratio)
    return indices, np.array(clean), np.array(noisy), np.array(directions), np.array(ratios)


def test_elliptic_spirals_are_the_published_data():
    """random_state=1 gives the very data of the deep Markov model, training set first."""
    indices, clean, noisy, _, _ = published_elliptic_spirals(1)
    X, X_clean = make_elliptic_spirals(return_clean=True, random_state=1)
    np.testing.assert_allclose(X[:600], noisy[indices[:600]], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(X[600:], noisy[indices[600:]], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(X_clean, clean[indices], rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(make_elliptic_spirals(random_state=1), X)


@pytest.mark.parametrize(("n_samples", "n_steps"), [(1, 1), (7, 11), (8, 2)])
def test_elliptic_spirals_of_other_sizes(n_samples, n_steps):
    indices, _, noisy, _, _ = published_elliptic_spirals(5, n_samples, n_steps)
    X = make_elliptic_spirals(n_samples, n_steps, random_state=5)
    np.testing.assert_allclose(X, noisy[indices], rtol=1e-12, atol=1e-12)


def test_noise_of_elliptic_spirals():
    X, clean = make_elliptic_spirals(500, noise=0.3, return_clean=True, random_state=0)
    np.testing.assert_allclose((X - clean).std(axis=(0, 1)), 0.3, rtol=0.02)
    np.testing.assert_array_equal(*make_elliptic_spirals(20, noise=0, return_clean=True))


def test_shapes_of_elliptic_spirals():
    """Half of them turn each way; the ends, the turns and the aspect ratio have the stated ranges."""
    clean = make_elliptic_spirals(2000, noise=0, random_state=0)
    x, y = clean[..., 0], clean[..., 1]
    unrolled = np.unwrap(np.arctan2(y, x), axis=1)  # an ellipse's polar angle makes the same turns as θ
    turns = (unrolled[:, -1] - unrolled[:, 0]) / (2 * np.pi)
    assert np.mean(turns > 0) == 0.5
    assert np.abs(turns).min() > 1.4
    assert np.abs(turns).max() < 2.6
    _, _, _, _, ratios = published_elliptic_spirals(0, 2000)
    assert 0.5 <= ratios.min() < ratios.max() <= 2.0
    order = np.random.RandomState(0).permutation(2000)
    radius = np.sqrt(x**2 / ratios[order, None] + y**2 * ratios[order, None])
    assert 0.25 <= radius[:, 0].min() < radius[:, 0].max() <= 0.75
    assert 2.25 <= radius[:, -1].min() < radius[:, -1].max() <= 2.75
    np.testing.assert_allclose(np.diff(radius, n=2, axis=1), 0, atol=1e-10)  # in equal steps


# the names of the modalities


@pytest.mark.parametrize("modalities", [SPIRAL_MODALITIES, ELLIPTIC_SPIRAL_MODALITIES])
def test_spiral_modalities_can_be_a_parameter(modalities):
    """Parameters of estimators are copied by clone, which not every mapping survives."""
    holder = clone(FunctionTransformer(kw_args={"modalities": modalities}))
    assert holder.kw_args["modalities"] == modalities
