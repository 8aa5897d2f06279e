"""Small tables: the published equations, and the views of the digits."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from skmm.datasets import load_digit_views, make_quadratic_sinusoidal

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
