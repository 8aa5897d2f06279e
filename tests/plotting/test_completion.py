"""CompletionErrorDisplay: the dots are the errors."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from skmm import MultimodalVAE, to_long, to_ragged
from skmm.metrics import completion_error
from skmm.plotting import CompletionErrorDisplay


def test_dots_are_the_errors(copies):
    vae, X = copies
    display = CompletionErrorDisplay.from_estimator(vae, X, fractions=(0.4, 0.1))
    assert list(display.points_) == [0.1, 0.4, "modality"]  # the more, the further down
    for kind, line in display.points_.items():
        hide = {"hide": "modalities"} if kind == "modality" else {"hide": "cells", "fraction": kind}
        np.testing.assert_allclose(line.get_xdata(), completion_error(vae, X, **hide))
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["source", "copy", "other"]


def test_dots_stand_in_the_line_of_their_modality(copies):
    display = CompletionErrorDisplay.from_estimator(*copies)
    for line in display.points_.values():
        np.testing.assert_array_equal(np.rint(line.get_ydata()), [0, 1, 2])
    lifts = [float(line.get_ydata()[0]) for line in display.points_.values()]
    assert len(set(np.round(lifts, 6))) == 4


def test_copies_are_completed_and_others_are_not(copies):
    whole = CompletionErrorDisplay.from_estimator(*copies, fractions=()).errors["modality"]
    assert (whole[["source", "copy"]] < 0.55).all()
    assert whole["other"] > 0.9


def test_one_modality_has_cells_only():
    X = np.random.RandomState(0).normal(size=(60, 3))
    vae = MultimodalVAE(2, max_iter=2, random_state=0).fit(X)
    display = CompletionErrorDisplay.from_estimator(vae, X, fractions=0.3)
    assert display.errors.columns.tolist() == [0.3]


def test_random_state_chooses_the_cells(copies):
    errors = [
        CompletionErrorDisplay.from_estimator(*copies, fractions=[0.2], random_state=seed).errors[0.2]
        for seed in (0, 0, 1)
    ]
    pd.testing.assert_series_equal(errors[0], errors[1])
    assert not errors[0].equals(errors[2])


@pytest.mark.parametrize("form", ["array", "list", "long"])
def test_sequences(motions, form):
    vrnn, X = motions
    X = {"array": X, "list": to_ragged(X), "long": to_long(X)}[form]
    display = CompletionErrorDisplay.from_estimator(vrnn, X, fractions=[0.2])
    np.testing.assert_allclose(display.errors["modality"], completion_error(vrnn, X))


def test_style_is_passed_on(copies):
    display = CompletionErrorDisplay.from_estimator(*copies, fractions=[0.2], markersize=11)
    assert {line.get_markersize() for line in display.points_.values()} == {11}


def test_errors_beyond_the_mean_stay_in_the_picture():
    errors = pd.DataFrame({0.1: [0.2, np.nan], "modality": [3.0, 0.5]}, index=["a", "b"])
    display = CompletionErrorDisplay(errors).plot()
    assert display.ax_.get_xlim()[0] == 0
    assert display.ax_.get_xlim()[1] > 3


def test_side_by_side(copies):
    _, axes = plt.subplots(1, 2, sharex=True, sharey=True, layout="constrained", figsize=(11, 3))
    for ax in axes:
        CompletionErrorDisplay.from_estimator(*copies, fractions=[0.2], ax=ax)
    assert axes[0].get_xlim() == axes[1].get_xlim()
