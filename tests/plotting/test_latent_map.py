"""LatentMapDisplay: the points are the latent means."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmm import MultimodalVAE, to_long, to_ragged
from skmm.plotting import LatentMapDisplay


def offsets(scatter):
    return np.asarray(scatter.get_offsets())


def legend_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_points_are_two_components(copies):
    vae, X = copies
    display = LatentMapDisplay.from_estimator(vae, X, components=(3, 1))
    np.testing.assert_allclose(offsets(display.scatters_[0]), vae.transform(X)[:, [3, 1]])
    assert display.ax_.get_xlabel() == "latent component 3"


def test_of_more_components_the_widest_plane(copies):
    vae, X = copies
    Z = vae.transform(X).astype(float)
    display = LatentMapDisplay.from_estimator(vae, X)
    variances = np.linalg.eigvalsh(np.cov(Z.T))[::-1]
    np.testing.assert_allclose(display.points.var(axis=0, ddof=1), variances[:2], rtol=1e-6)
    assert f"({variances[0] / variances.sum():.0%} of" in display.ax_.get_xlabel()


def test_two_components_stay_as_they_are():
    X = np.random.RandomState(0).normal(size=(40, 3))
    vae = MultimodalVAE(2, max_iter=2, random_state=0).fit(X)
    np.testing.assert_allclose(LatentMapDisplay.from_estimator(vae, X).points, vae.transform(X))


def test_labels_have_a_legend_and_points_of_their_own(copies):
    vae, X = copies
    color = pd.Series(np.resize(["no", "yes", None], len(X)), name="sick")
    display = LatentMapDisplay.from_estimator(vae, X, components=(0, 1), color=color)
    assert legend_of(display) == ["no", "yes", "missing"]
    assert display.ax_.get_legend().get_title().get_text() == "sick"
    Z = vae.transform(X)[:, :2]
    for scatter, start in zip(display.scatters_, range(3), strict=True):
        np.testing.assert_allclose(offsets(scatter), Z[start::3])


@pytest.mark.parametrize(
    ("color", "names"),
    [
        ([2, 0, 1], ["0", "1", "2"]),
        ([2.0, np.nan, 1.0], ["1.0", "2.0", "missing"]),
        ([True, False, True], ["False", "True"]),
        (pd.Categorical(["low", "high", "low"], ["low", "high", "never"], ordered=True), ["low", "high"]),
        (pd.Series(["b", "a", pd.NA], dtype="string"), ["a", "b", "missing"]),
        (pd.Series([1, 0, None], dtype="Int64", index=[7, 8, 9]), ["0", "1", "missing"]),
        (np.array(["b", "a", "b"], dtype=object), ["a", "b"]),
    ],
)
def test_what_is_a_label(color, names):
    display = LatentMapDisplay(np.eye(3, 2), color=color).plot()
    assert legend_of(display) == names
    assert sum(len(offsets(scatter)) for scatter in display.scatters_) == 3


@pytest.mark.parametrize("color", [np.linspace(0, 1, 30), np.arange(30), pd.Series(range(30), dtype="Int64")])
def test_numbers_have_a_colour_bar(color):
    display = LatentMapDisplay(np.random.RandomState(0).normal(size=(30, 2)), color=color).plot()
    assert display.ax_.get_legend() is None
    np.testing.assert_allclose(display.scatters_[0].get_array(), np.asarray(color, dtype=float))
    assert len(display.figure_.axes) == 2


def test_missing_numbers_are_grey():
    color = np.append(np.linspace(0, 1, 20), [np.nan, np.nan])
    points = np.random.RandomState(0).normal(size=(22, 2))
    display = LatentMapDisplay(points, color=color).plot()
    grey, coloured = display.ax_.collections
    np.testing.assert_allclose(offsets(grey), points[20:])
    np.testing.assert_allclose(offsets(coloured), points[:20])


def test_labels_of_one_map_can_be_told_apart():
    labels = [f"label {i:02}" for i in range(20)]
    display = LatentMapDisplay(np.zeros((20, 2)), color=labels).plot()
    looks = {
        (tuple(scatter.get_facecolor()[0]), scatter.get_paths()[0].vertices.tobytes())
        for scatter in display.scatters_
    }
    assert len(looks) == 20


def test_rare_labels_share_a_grey():
    color = [f"label {i:02}" for i in range(30)] + [f"label {i:02}" for i in range(5, 25)]
    display = LatentMapDisplay(np.random.RandomState(0).normal(size=(50, 2)), color=color).plot()
    assert legend_of(display) == [f"label {i:02}" for i in range(5, 25)] + ["others"]
    assert len(offsets(display.scatters_[-1])) == 10


@pytest.mark.parametrize("form", ["array", "list", "long"])
def test_sequences_are_one_point_each(motions, form):
    vrnn, X = motions
    given = {"array": X, "list": to_ragged(X), "long": to_long(X)}[form]
    display = LatentMapDisplay.from_estimator(vrnn, given, color=np.arange(24) % 2, components=(0, 2))
    np.testing.assert_allclose(display.points, vrnn.transform(X)[:, [0, 2]], atol=1e-5)


def test_pipelines(copies):
    vae, X = copies
    pipeline = make_pipeline(FunctionTransformer().fit(X), vae)
    display = LatentMapDisplay.from_estimator(pipeline, X, components=(0, 1))
    np.testing.assert_allclose(display.points, vae.transform(X)[:, :2])


def test_style_is_passed_on():
    display = LatentMapDisplay(np.eye(3, 2), color=["a", "b", "a"]).plot(alpha=0.25, s=50)
    assert {scatter.get_alpha() for scatter in display.scatters_} == {0.25}
    assert display.scatters_[0].get_sizes().tolist() == [50]
    display = LatentMapDisplay(np.eye(3, 2), color=[0.1, 0.2, np.nan]).plot(cmap="magma", vmin=0)
    assert display.scatters_[0].get_cmap().name == "magma"
    assert display.scatters_[0].get_clim() == (0, 0.2)


def test_scales_are_equal():
    points = np.random.RandomState(0).normal(size=(30, 2)) * [10, 1]
    display = LatentMapDisplay(points).plot()
    plt.gcf().canvas.draw()
    (x0, y0), (x1, y1) = display.ax_.transData.transform([(0, 0), (1, 1)])
    assert x1 - x0 == pytest.approx(y1 - y0)


@pytest.mark.parametrize("components", [(0, 4), (0,), 3, (0, 1, 2), ("a", "b")])
def test_components_that_are_not_there(copies, components):
    with pytest.raises(ValueError, match="components must be two numbers from 0 to 3, or None"):
        LatentMapDisplay.from_estimator(*copies, components=components)


def test_one_component_is_no_map():
    X = np.random.RandomState(0).normal(size=(40, 3))
    vae = MultimodalVAE(1, max_iter=1, random_state=0).fit(X)
    with pytest.raises(ValueError, match="the estimator has n_components=1; draw a histogram"):
        LatentMapDisplay.from_estimator(vae, X)


@pytest.mark.parametrize("color", [["a", "b"], np.zeros((3, 2))])
def test_colour_of_other_points(color):
    with pytest.raises(ValueError, match="color must hold one entry per point, of which there are 3"):
        LatentMapDisplay(np.eye(3, 2), color=color).plot()
