"""CalibrationDisplay: the lines are the coverage."""

import numpy as np
import pandas as pd
import pytest

from skmm import stack_modalities
from skmm.metrics import interval_coverage
from skmm.plotting import CalibrationDisplay


def test_lines_are_the_coverage(copies):
    vae, X = copies
    levels = (0.3, 0.6, 0.9)
    display = CalibrationDisplay.from_estimator(
        vae, X, levels=levels, hide="cells", fraction=0.4, n_samples=30, random_state=3
    )
    expected = interval_coverage(
        vae, X, level=levels, hide="cells", fraction=0.4, n_samples=30, random_state=3
    )
    pd.testing.assert_frame_equal(display.coverage, expected)
    for name, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_xdata(), levels)
        np.testing.assert_array_equal(line.get_ydata(), expected[name])
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == [
        "as promised",
        "source",
        "copy",
        "other",
    ]


@pytest.mark.parametrize(("width", "where"), [(1.0, "on"), (0.5, "below"), (2.0, "above")])
def test_the_diagonal_is_where_an_honest_model_is(exact_gaussian, width, where):
    """And one that takes the deviations for half, or for twice, what they are is below or above it."""
    rng = np.random.RandomState(0)
    X = stack_modalities({"a": rng.normal(size=(1500, 2)), "b": rng.normal(size=(1500, 1))})
    model = exact_gaussian(width**2 * np.eye(3)).fit(X[:500])
    display = CalibrationDisplay.from_estimator(model, X[500:])
    for line in display.lines_.values():
        levels, shares = line.get_data()
        if where == "on":
            np.testing.assert_allclose(shares, levels, atol=0.05)
        else:
            assert ((shares < levels) if where == "below" else (shares > levels)).all()


def test_modalities_without_numbers_are_left_out(mixed):
    vae, X = mixed
    display = CalibrationDisplay.from_estimator(vae, X.iloc[100:200], levels=[0.5, 0.8], n_samples=20)
    assert list(display.lines_) == ["numbers"]


def test_sequences(motions):
    display = CalibrationDisplay.from_estimator(*motions, levels=0.5, n_samples=10)
    assert display.coverage.shape == (1, 2)


@pytest.mark.parametrize("n_modalities", [2, 20])
def test_axes_are_square_whatever_the_legend(n_modalities):
    levels = np.array([0.2, 0.8])
    coverage = pd.DataFrame(
        {f"the modality of number {i}": levels * i / n_modalities for i in range(n_modalities)}, index=levels
    )
    display = CalibrationDisplay(coverage).plot()
    display.figure_.canvas.draw()
    box, legend = display.ax_.get_window_extent(), display.ax_.get_legend().get_window_extent()
    assert box.width == pytest.approx(box.height, rel=0.01)
    assert box.width > 280  # of 100 dots per inch
    assert box.x1 < legend.x0
    assert legend.x1 <= display.figure_.bbox.x1
    assert legend.y0 >= 0
