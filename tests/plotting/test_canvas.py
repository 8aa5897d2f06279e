"""What all displays share: a helpful error without matplotlib, axes of the user's, names, colours."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

import skmm.plotting
from skmm.plotting import (
    CalibrationDisplay,
    CompletionDistributionDisplay,
    CompletionErrorDisplay,
    LatentMapDisplay,
    LatentTraversalDisplay,
    ModalityInformationDisplay,
    TrainingDisplay,
)
from skmm.plotting.canvas import ink_on, legend_beside, line_styles, panels, shown

WITH_X = [
    CalibrationDisplay,
    CompletionDistributionDisplay,
    CompletionErrorDisplay,
    LatentMapDisplay,
    ModalityInformationDisplay,
]
WITHOUT_X = [LatentTraversalDisplay, TrainingDisplay]
SEVERAL_PANELS = [CompletionDistributionDisplay, LatentTraversalDisplay, TrainingDisplay]


def draw(display, copies, **how):
    vae, X = copies
    X = X.head(40).copy()
    X.iloc[:9, :2] = np.nan
    if display is CalibrationDisplay:
        how = {"levels": [0.5], "n_samples": 5} | how
    return display.from_estimator(vae, *([X] if display in WITH_X else []), **how)


def test_every_display_is_tested():
    assert {display.__name__ for display in WITH_X + WITHOUT_X} == set(skmm.plotting.__all__)


@pytest.mark.parametrize("display", WITH_X + WITHOUT_X)
def test_error_without_matplotlib_says_what_to_install(display, copies, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=rf"{display.__name__}.*`pip install matplotlib`"):
        draw(display, copies)


@pytest.mark.parametrize("display", WITH_X + WITHOUT_X)
def test_draws_a_figure_of_its_own(display, copies):
    drawn = draw(display, copies)
    assert drawn.figure_ is plt.figure(plt.get_fignums()[0])
    assert len(plt.get_fignums()) == 1
    drawn.figure_.canvas.draw()  # layouts that do not fit warn only now


@pytest.mark.parametrize("display", [d for d in WITH_X + WITHOUT_X if d not in SEVERAL_PANELS])
def test_draws_on_axes_that_are_given(display, copies):
    _, ax = plt.subplots(layout="constrained")
    drawn = draw(display, copies, ax=ax)
    assert drawn.ax_ is ax
    assert drawn.figure_ is ax.figure
    assert len(plt.get_fignums()) == 1
    drawn.figure_.canvas.draw()


@pytest.mark.parametrize("display", SEVERAL_PANELS)
def test_divides_axes_that_are_given(display, copies):
    figure, (left, right) = plt.subplots(1, 2, figsize=(14, 8), layout="constrained")
    drawn = draw(display, copies, ax=right)
    assert drawn.figure_ is figure
    figure.canvas.draw()
    middle = left.get_position().x1
    assert all(ax.get_position().x0 > middle for ax in drawn.axes_.ravel())


@pytest.mark.parametrize("display", SEVERAL_PANELS)
def test_draws_on_several_axes_that_are_given(display, copies):
    _, axes = plt.subplots(3, 3, figsize=(14, 10), layout="constrained")
    drawn = draw(display, copies, ax=axes)
    assert set(drawn.axes_.ravel()) <= set(axes.ravel())


@pytest.mark.parametrize("display", WITH_X + WITHOUT_X)
def test_can_be_drawn_again(display, copies):
    drawn = draw(display, copies)
    first = drawn.figure_
    assert drawn.plot() is drawn
    assert drawn.figure_ is not first


@pytest.mark.parametrize("display", WITH_X + WITHOUT_X)
def test_nothing_is_written_to_estimator_or_data(display, copies):
    vae, X = copies
    attributes, values = set(vars(vae)), X.copy()
    draw(display, copies)
    assert set(vars(vae)) == attributes
    assert X.equals(values)


def test_too_few_axes():
    _, axes = plt.subplots(1, 3)
    with pytest.raises(ValueError, match=r"This\.plot draws 4 panels, but ax holds 3 axes"):
        panels(axes, (2, 2), "This.plot", (1, 1))


def test_axes_that_cannot_be_divided():
    ax = plt.figure().add_axes((0, 0, 1, 1))
    with pytest.raises(ValueError, match="divides an Axes of a grid only"):
        panels(ax, (2, 2), "This.plot", (1, 1))


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("a", "a"),
        (3, "3"),
        (("audio", "pitch"), "audio: pitch"),
        ("price in $ and more $", r"price in \$ and more \$"),
        ("temperature of the sensor number 17", "temperature o…nsor number 17"),
    ],
)
def test_names_are_short_and_no_formulas(label, name):
    assert shown(label) == name


def test_lines_can_be_told_apart():
    styles = [tuple(style.values()) for style in line_styles(28)]
    assert len(set(styles)) == 28


@pytest.mark.parametrize(("colour", "ink"), [("white", "black"), ("#0072B2", "white"), ("#9ecae1", "black")])
def test_ink_has_the_larger_contrast(colour, ink):
    assert ink_on(plt.matplotlib.colors.to_rgb(colour)) == ink


def test_legends_leave_the_axes_free():
    figure, ax = plt.subplots(layout="constrained", figsize=(8, 4))
    legend = legend_beside(ax, ax.plot(np.eye(9), label=[f"modality {i}" for i in range(9)]))
    figure.canvas.draw()
    assert legend.get_window_extent().x0 > ax.get_window_extent().x1
    assert legend.get_window_extent().x1 < figure.bbox.x1
