"""TrainingDisplay: the curves are what fit has kept."""

import copy
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skmm
from skmm.plotting import TrainingDisplay
from skmm.plotting.training import _validated

EPOCHS = pd.RangeIndex(1, 31)


def reconstruction(names=("a", "b")):
    return pd.DataFrame({name: -np.exp(-EPOCHS / (5.0 + i)) for i, name in enumerate(names)}, index=EPOCHS)


def divergence(names=("a", "b")):
    """Given single modalities, evaluated in every third epoch only."""
    table = pd.DataFrame(
        {name: 1.0 - np.exp(-EPOCHS / 7.0) + i for i, name in enumerate(names)}, index=EPOCHS
    )
    table[EPOCHS % 3 > 0] = np.nan
    return pd.concat([pd.DataFrame({"all": np.sqrt(EPOCHS)}, index=EPOCHS), table], axis=1)


def test_curves_of_a_fitted_estimator(copies):
    vae, _ = copies
    display = TrainingDisplay.from_estimator(vae)
    (loss,) = display.lines_["training loss"]
    np.testing.assert_array_equal(loss.get_xdata(), np.arange(1, vae.n_iter_ + 1))
    np.testing.assert_array_equal(loss.get_ydata(), vae.loss_curve_)
    (validation,) = display.lines_["validation score (higher is better)"]
    np.testing.assert_array_equal(validation.get_ydata(), vae.validation_scores_)
    np.testing.assert_array_equal(validation.get_xdata(), np.arange(1, vae.n_iter_ + 1))
    assert {ax.get_ylabel() for ax in display.axes_} == {"nats per row"}


def test_curves_by_modality_are_those_of_the_estimator(copies):
    vae = copy.copy(copies[0])
    vae.reconstruction_curve_, vae.kl_curve_ = reconstruction(), divergence()
    display = TrainingDisplay.from_estimator(vae)
    assert [line.get_label() for line in display.lines_["expected log-likelihood"]] == ["a", "b"]
    assert [line.get_label() for line in display.lines_["divergence from the prior"]] == [
        "all together",
        "a",
        "b",
    ]


def test_panels_for_which_there_is_nothing_are_left_out():
    vae = skmm.MultimodalVAE(2, max_iter=2, early_stopping=False, random_state=0)
    display = TrainingDisplay.from_estimator(vae.fit(np.random.RandomState(0).normal(size=(30, 2))))
    assert "validation score (higher is better)" not in display.lines_
    assert TrainingDisplay([3.0, 2.0, 1.0]).plot().axes_.shape == (1,)


def test_all_panels():
    loss = np.exp(-EPOCHS / 10.0)
    display = TrainingDisplay(
        loss, validation=pd.Series(-loss), reconstruction=reconstruction(), kl=divergence(), best_iter=20
    ).plot()
    assert list(display.lines_) == [
        "training loss",
        "validation score (higher is better)",
        "expected log-likelihood",
        "divergence from the prior",
    ]
    for line, name in zip(display.lines_["expected log-likelihood"], "ab", strict=True):
        np.testing.assert_array_equal(line.get_ydata(), reconstruction()[name])
    everything, given_a, given_b = display.lines_["divergence from the prior"]
    assert len(everything.get_xdata()) == 30
    for line, name in ((given_a, "a"), (given_b, "b")):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(3, 31, 3))
        np.testing.assert_array_equal(line.get_ydata(), divergence()[name].dropna())


def test_a_modality_looks_the_same_everywhere_and_is_named_once():
    display = TrainingDisplay([1.0] * 30, reconstruction=reconstruction(), kl=divergence()).plot()
    lines = [display.lines_[name] for name in ("expected log-likelihood", "divergence from the prior")]
    assert [line.get_color() for line in lines[0]] == [line.get_color() for line in lines[1][1:]]
    (legend,) = display.figure_.legends
    assert [text.get_text() for text in legend.get_texts()] == ["all together", "a", "b"]
    assert all(ax.get_legend() is None for ax in display.axes_)


def test_epoch_whose_weights_were_kept():
    display = TrainingDisplay([3.0, 2.0, 1.0], best_iter=2).plot()
    marker = display.axes_[0].lines[-1]
    np.testing.assert_array_equal(marker.get_xdata(), [2, 2])
    assert [text.get_text() for text in display.axes_[0].texts] == ["weights kept:\nepoch 2"]


def test_the_first_epochs_do_not_decide_the_scale():
    loss = np.append([1e6, 1e3], np.linspace(10, 5, 98))
    low, high = TrainingDisplay(loss).plot().axes_[0].get_ylim()
    assert low <= 5
    assert 10 < high < 20


def test_curves_without_a_steep_start_are_shown_in_full():
    loss = np.linspace(10, 5, 100)
    low, high = TrainingDisplay(loss).plot().axes_[0].get_ylim()
    assert low < 5
    assert high > 10


@pytest.mark.parametrize("max_iter", [1, 5, 99, 100, 101, 120, 199, 200, 350, 777, 2999])
def test_epochs_that_were_validated_are_found(max_iter):
    """As by the training loop, which stops a third of the way at the earliest, if its patience is "auto"."""
    every = math.ceil(max_iter / 100)
    for n_iter in range(max(1, max_iter // 3), max_iter + 1, 1 + max_iter // 90):
        epochs = [e for e in range(1, n_iter + 1) if e % every == 0 or e == max_iter]
        if epochs:
            np.testing.assert_array_equal(_validated(len(epochs), n_iter), epochs)


def test_sequences_have_nats_per_sequence(motions):
    vrnn, _ = motions
    assert TrainingDisplay.from_estimator(vrnn).axes_[0].get_ylabel() == "nats per sequence"


def test_pipelines(copies):
    vae, X = copies
    pipeline = make_pipeline(FunctionTransformer().fit(X), vae)
    assert TrainingDisplay.from_estimator(pipeline).loss == vae.loss_curve_


def test_style_is_passed_on():
    display = TrainingDisplay([3.0, 2.0, 1.0]).plot(linewidth=5)
    assert display.lines_["training loss"][0].get_linewidth() == 5


def test_twenty_modalities():
    names = [f"the modality of number {i}" for i in range(20)]
    display = TrainingDisplay([1.0] * 30, reconstruction=reconstruction(names), kl=divergence(names)).plot()
    display.figure_.canvas.draw()
    legend = display.figure_.legends[0].get_window_extent()
    assert legend.x0 > max(ax.get_window_extent().x1 for ax in display.axes_)
    assert legend.y0 >= 0
    assert display.axes_[0].get_window_extent().width > 200


def test_not_fitted():
    with pytest.raises(NotFittedError):
        TrainingDisplay.from_estimator(skmm.MultimodalVAE())


def test_estimators_without_losses():
    with pytest.raises(TypeError, match="needs an estimator with loss_curve_"):
        TrainingDisplay.from_estimator(PCA().fit(np.eye(3)))
