"""Kernel regression of incomplete rows against loops over rows."""

import numpy as np
import pytest
import torch

from skmm.probability import kernel_regression
from skmm.probability.kernel_regression import KernelRegression


def make_rows(n, seed, missing=0.3, n_features=5):
    rng = np.random.RandomState(seed)
    rows = rng.normal(size=(n, n_features)) * [1, 10, 0.1, 1, 3] + [0, 100, 0, -5, 0]
    rows[rng.uniform(size=rows.shape) < missing] = np.nan
    return rows


def tensors(rows):
    return torch.tensor(np.nan_to_num(rows, nan=1e30)), torch.tensor(~np.isnan(rows))


def by_hand(known, rows, bandwidth):
    """One row at a time."""
    loc, scale = np.nanmean(known, axis=0), np.nanstd(known, axis=0)
    known, rows = (known - loc) / scale, (rows - loc) / scale
    means, nearest = np.zeros(rows.shape), np.zeros(len(rows))
    for i, row in enumerate(rows):
        seen = np.flatnonzero(~np.isnan(row))
        distance = np.zeros(len(known))
        for k, other in enumerate(known):
            squares = [row[j] ** 2 + 1 if np.isnan(other[j]) else (row[j] - other[j]) ** 2 for j in seen]
            distance[k] = np.mean(squares) if squares else 0.0
        nearest[i] = distance.min()
        for j in range(rows.shape[1]):
            has = ~np.isnan(known[:, j])
            means[i, j] = np.average(known[has, j], weights=np.exp(-distance[has] / 2 / bandwidth))
    return loc + scale * means, nearest


@pytest.mark.parametrize("bandwidth", [0.05, 0.5])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_against_a_loop(bandwidth, missing):
    known, rows = make_rows(80, 0, missing), make_rows(20, 1)
    rows[0] = np.nan
    model = KernelRegression.fit(*tensors(known), bandwidth=bandwidth)
    mean, nearest = model.complete(*tensors(rows))
    expected, distance = by_hand(known, rows, bandwidth)
    np.testing.assert_allclose(nearest, distance, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        (mean - model.loc) / model.variance.sqrt(),
        (expected - model.loc.numpy()) / model.variance.sqrt().numpy(),
        atol=1e-5,
    )
    # of a row with nothing observed all rows are alike
    np.testing.assert_allclose(mean[0], np.nanmean(known, axis=0), rtol=1e-6)


def test_known_rows_are_nearest_to_themselves():
    known = make_rows(50, 0, missing=0.0)
    model = KernelRegression.fit(*tensors(known), bandwidth=1e-3)
    rows = np.where(np.arange(5) < 3, known, np.nan)
    mean, nearest = model.complete(*tensors(rows))
    np.testing.assert_allclose(nearest, 0, atol=1e-5)
    np.testing.assert_allclose(mean, known, rtol=0.01, atol=0.05)


def test_rows_that_lack_what_is_seen_are_as_far_as_any():
    """Two rows: one that is near, and one of which the feature is not known."""
    known = np.array([[0.0, 5.0], [2.0, 7.0], [np.nan, 1000.0]])
    model = KernelRegression.fit(*tensors(known), bandwidth=0.01)
    mean, _ = model.complete(*tensors(np.array([[0.0, np.nan]])))
    assert float(mean[0, 1]) == pytest.approx(5.0, rel=1e-4)


def test_parts_do_not_matter(monkeypatch):
    known, rows = make_rows(80, 0), make_rows(30, 1)
    model = KernelRegression.fit(*tensors(known), bandwidth=0.1)
    whole = model.complete(*tensors(rows))
    monkeypatch.setattr(kernel_regression, "MAX_DISTANCES", 200)
    for found, expected in zip(model.complete(*tensors(rows)), whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_corners():
    """A feature that is never observed, one that does not vary, one that only far rows have; outliers."""
    known = make_rows(60, 0, missing=0.0)
    known[:, 0] = np.nan
    known[:, 1] = 3.0
    known[1:, 2] = np.nan
    known[0] = [np.nan, 3.0, 0.7, 1e6, 1e6]
    model = KernelRegression.fit(*tensors(known), bandwidth=0.05)
    rows = make_rows(10, 1)
    rows[:, 2] = np.nan
    rows[0] = [np.nan, 3.0, np.nan, 1e12, -1e12]
    mean, nearest = model.complete(*tensors(rows))
    assert mean.isfinite().all()
    assert nearest.isfinite().all()
    assert (mean[:, 0] == 0).all()
    np.testing.assert_allclose(mean[:, 1], 3.0)
    np.testing.assert_allclose(mean[:, 2], 0.7)
