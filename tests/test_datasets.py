"""Data sets: the published equations, the reachable errors, and the removal of modalities."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.preprocessing import FunctionTransformer

from skmm.datasets import (
    SPIRAL_MODALITIES,
    load_digit_views,
    make_quadratic_sinusoidal,
    make_spirals,
    remove_modalities,
)


def split_spirals(X):
    return X[..., SPIRAL_MODALITIES["first"]], X[..., SPIRAL_MODALITIES["second"]]


# make_spirals


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


# make_quadratic_sinusoidal


def test_quadratic_sinusoidal_is_that_of_the_published_generator():
    n_samples, noise = 101, 0.1
    rng = np.random.RandomState(5)
    x1 = np.linspace(-1, 1, n_samples)
    y1 = x1**2 + rng.normal(0, noise, n_samples)
    x2 = y1 + rng.normal(0, noise, n_samples)
    y2 = np.sin(2 * np.pi * x1) + 0.5 * y1 + rng.normal(0, noise, n_samples)

    X = make_quadratic_sinusoidal(n_samples, noise=noise, shuffle=False, random_state=5)

    np.testing.assert_allclose(X, np.c_[x1, y1, x2, y2], rtol=1e-12)


def test_quadratic_sinusoidal_columns():
    X = make_quadratic_sinusoidal(5, random_state=0)
    assert X.columns.tolist() == [("first", "x"), ("first", "y"), ("second", "x"), ("second", "y")]
    assert X.columns.names == ["modality", "feature"]
    assert (X.dtypes == np.float64).all()
    assert X.index.equals(pd.RangeIndex(5))


def test_quadratic_sinusoidal_variances():
    variances = make_quadratic_sinusoidal(20_000, random_state=0).var()
    np.testing.assert_allclose(variances, [1 / 3, 0.0989, 0.1089, 0.5347], rtol=0.03)


# both generators


@pytest.mark.parametrize("make", [make_spirals, make_quadratic_sinusoidal])
class TestGenerators:
    def test_shuffling_only_permutes_the_rows(self, make):
        shuffled, ordered = (np.asarray(make(200, shuffle=s, random_state=0)) for s in (True, False))
        assert not np.array_equal(shuffled, ordered)
        rows = np.sort(shuffled.reshape(200, -1), axis=0), np.sort(ordered.reshape(200, -1), axis=0)
        np.testing.assert_array_equal(*rows)

    def test_random_state(self, make):
        def draw(random_state):
            return np.asarray(make(20, random_state=random_state))

        np.testing.assert_array_equal(draw(0), draw(0))
        assert not np.array_equal(draw(0), draw(1))
        assert not np.array_equal(draw(None), draw(None))
        rng = np.random.RandomState(0)
        first = draw(rng)
        np.testing.assert_array_equal(first, draw(0))
        assert not np.array_equal(first, draw(rng))

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"n_samples": 0}, ValueError, "n_samples == 0, must be >= 1"),
            ({"n_samples": 2.5}, TypeError, "n_samples must be an instance of"),
            ({"noise": -0.1}, ValueError, "noise == -0.1, must be >= 0"),
        ],
    )
    def test_wrong_arguments(self, make, arguments, error, message):
        with pytest.raises(error, match=message):
            make(**arguments)


def test_spirals_need_a_step():
    with pytest.raises(ValueError, match="n_steps == 0, must be >= 1"):
        make_spirals(n_steps=0)


def test_spiral_modalities_can_be_a_parameter():
    """Parameters of estimators are copied by clone, which not every mapping survives."""
    holder = clone(FunctionTransformer(kw_args={"modalities": SPIRAL_MODALITIES}))
    assert holder.kw_args["modalities"] == SPIRAL_MODALITIES


# load_digit_views


@pytest.mark.parametrize(
    ("views", "sizes"),
    [
        ("quadrants", {"top_left": 16, "top_right": 16, "bottom_left": 16, "bottom_right": 16}),
        ("halves", {"top": 32, "bottom": 32}),
    ],
)
def test_digit_views(views, sizes):
    bunch = load_digit_views(views)
    assert bunch.data.shape == (1797, 64)
    assert bunch.data.columns.names == ["modality", "feature"]
    assert {view: bunch.data[view].shape[1] for view in bunch.data.columns.unique(0)} == sizes
    assert (bunch.data.dtypes == np.float64).all()
    for view, pixel in bunch.data.columns:
        row, column = int(pixel[1]), int(pixel[3])
        np.testing.assert_array_equal(bunch.data[view, pixel], bunch.images[:, row, column])
        assert ("top" in view) == (row < 4)
        assert views == "halves" or ("left" in view) == (column < 4)


def test_digit_views_bunch():
    bunch, digits = load_digit_views(), load_digits()
    for name in ("target", "target_names", "images"):
        np.testing.assert_array_equal(bunch[name], digits[name])
    assert "quadrants" in bunch.DESCR
    X, y = load_digit_views(return_X_y=True)
    pd.testing.assert_frame_equal(X, bunch.data)
    np.testing.assert_array_equal(y, bunch.target)


@pytest.mark.parametrize("views", ["thirds", None, ["halves"]])
def test_unknown_digit_views(views):
    with pytest.raises(ValueError, match=r"views must be one of \['quadrants', 'halves'\], got"):
        load_digit_views(views)


# remove_modalities

MODALITIES = {"a": [0, 1], "b": [2], "c": [3, 4, 5]}


def missing_modalities(X):
    """Which modalities a row has lost altogether: (n_samples, 3)."""
    return np.stack([np.isnan(X[:, columns]).all(axis=1) for columns in MODALITIES.values()], axis=1)


def to_floats(X):
    """Any container as an array in which NaN is missing."""
    if isinstance(X, pd.DataFrame):
        return X.to_numpy(dtype=float, na_value=np.nan)
    return np.ma.filled(np.ma.asarray(X), np.nan)


@pytest.fixture
def X():
    return np.random.RandomState(0).normal(size=(5000, 6))


def test_removal_takes_whole_modalities_with_the_given_probability(X):
    removed = remove_modalities(X, 0.3, modalities=MODALITIES, keep_one=False, random_state=0)
    lost = missing_modalities(removed)
    np.testing.assert_allclose(lost.mean(axis=0), 0.3, atol=0.02)
    np.testing.assert_allclose(lost.all(axis=1).mean(), 0.3**3, atol=0.01)  # independently
    hidden = np.repeat(lost, [2, 1, 3], axis=1)
    np.testing.assert_array_equal(np.isnan(removed), hidden)
    np.testing.assert_array_equal(removed[~hidden], X[~hidden])


def test_removal_leaves_one_modality(X):
    lost = missing_modalities(remove_modalities(X, 1.0, modalities=MODALITIES, random_state=0))
    np.testing.assert_array_equal(lost.sum(axis=1), 2)
    np.testing.assert_allclose(lost.mean(axis=0), 2 / 3, atol=0.02)  # the survivor is random


def test_removal_keeps_a_modality_that_had_data(X):
    X[:, 2] = np.nan
    X[:, 4] = np.nan  # one cell of a modality that has other data
    X[:100] = np.nan
    lost = missing_modalities(remove_modalities(X, 1.0, modalities=MODALITIES, random_state=0))
    np.testing.assert_array_equal(lost[100:, [0, 2]].sum(axis=1), 1)
    np.testing.assert_allclose(lost[100:, 0].mean(), 0.5, atol=0.03)
    assert lost[:100].all()


def test_removal_without_keeping_one(X):
    assert np.isnan(remove_modalities(X, 1.0, modalities=MODALITIES, keep_one=False)).all()
    np.testing.assert_array_equal(remove_modalities(X, 0.0, modalities=MODALITIES), X)


def test_removal_is_reproducible(X):
    first, again, other = (
        remove_modalities(X, 0.5, modalities=MODALITIES, random_state=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(np.isnan(first), np.isnan(other))


@pytest.mark.parametrize(
    "convert",
    [
        pytest.param(lambda X: X, id="array"),
        pytest.param(lambda X: X.tolist(), id="list"),
        pytest.param(torch.tensor, id="tensor"),
        pytest.param(lambda X: np.ma.masked_invalid(X), id="masked"),
        pytest.param(lambda X: pd.DataFrame(X, columns=list("uvwxyz")), id="frame"),
        pytest.param(lambda X: pd.DataFrame(X).convert_dtypes(), id="nullable"),
    ],
)
def test_removal_from_every_container(convert):
    X = np.arange(60.0).reshape(10, 6)
    X[0, :2] = np.nan
    expected = remove_modalities(X, 0.6, modalities=MODALITIES, random_state=0)
    assert np.isnan(X).sum() < np.isnan(expected).sum() < X.size
    container = convert(X)
    removed = remove_modalities(container, 0.6, modalities=MODALITIES, random_state=0)

    assert type(removed) is (np.ndarray if isinstance(container, list) else type(container))
    np.testing.assert_array_equal(to_floats(removed), expected)
    np.testing.assert_array_equal(to_floats(container), X)  # unchanged


def test_removal_reads_modalities_from_the_columns():
    X = make_quadratic_sinusoidal(1000, random_state=0)
    missing = remove_modalities(X, 0.5, random_state=0).isna()
    assert missing["first"].all(axis=1).equals(missing["first"].any(axis=1))
    assert not missing.all(axis=1).any()
    assert missing["second"].any(axis=None)
    assert not X.isna().any(axis=None)


@pytest.mark.parametrize("fraction", [-0.1, 1.5, 30, np.nan, "0.3", None])
def test_removal_needs_a_probability(fraction):
    with pytest.raises(ValueError, match=r"^fraction=.* is no probability; give a number from 0 to 1"):
        remove_modalities(np.zeros((2, 2)), fraction)
