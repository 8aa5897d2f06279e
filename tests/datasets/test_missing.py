"""The removal of modalities: which rows lose which, and from which containers."""

import numpy as np
import pandas as pd
import pytest
import torch

from skmm.datasets import make_quadratic_sinusoidal, remove_modalities

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
