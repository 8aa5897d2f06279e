"""LatentTraversalDisplay: what is drawn is what inverse_transform says."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skmm
from skmm.plotting import LatentTraversalDisplay


@pytest.fixture(scope="module")
def images():
    """An estimator of modalities that are images, of 2 x 3 and of 2 x 2 pixels, and of one that is not."""
    rng = np.random.RandomState(0)
    X = skmm.stack_modalities({name: rng.normal(size=(60, n)) for name, n in [("p", 6), ("q", 4), ("r", 3)]})
    return skmm.MultimodalVAE(3, max_iter=3, random_state=0).fit(X), X


def points(component, values, n_components):
    Z = np.zeros((len(values), n_components))
    Z[:, component] = values
    return Z


def test_dots_are_changes_of_decoded_values(copies):
    vae, _ = copies
    display = LatentTraversalDisplay.from_estimator(vae, components=[2, 0], n_steps=5, span=1.5)
    assert list(display.lines_) == [2, 0]
    center = vae.inverse_transform(np.zeros((1, 4))).to_numpy()
    for component, lines in display.lines_.items():
        decoded = vae.inverse_transform(points(component, np.linspace(-1.5, 1.5, 5), 4)).to_numpy()
        change = (decoded - center) / vae.layout_.deviation
        drawn = np.stack([line.get_ydata() for line in lines])
        np.testing.assert_allclose(drawn[:, ~np.isnan(drawn[0])], change, atol=1e-5)
        assert np.isnan(drawn[0, [2, 5]]).all()  # room between modalities
    names = [tick.get_text() for tick in display.axes_[-1, 0].get_xticklabels()]
    assert names == ["u", "v"] * 3


def test_components_that_change_most_come_first_into_the_picture():
    rng = np.random.RandomState(0)
    z = rng.normal(size=(400, 3))
    X = z @ rng.normal(size=(3, 8)) + 0.1 * rng.normal(size=(400, 8))
    vae = skmm.MultimodalVAE(8, beta=1.0, max_iter=60, random_state=0).fit(X)
    display = LatentTraversalDisplay.from_estimator(vae)
    assert len(display.lines_) == 5
    size = [np.abs(vae.inverse_transform(points(k, [-2, 2], 8)) - X.mean(axis=0)).mean() for k in range(8)]
    assert sorted(size)[-3] > 2 * sorted(size)[-4]  # three that count
    assert set(np.argsort(size)[-3:].tolist()) <= set(display.lines_)
    assert list(display.lines_) == sorted(display.lines_)


def test_all_panels_of_lines_have_one_scale(copies):
    display = LatentTraversalDisplay.from_estimator(copies[0])
    assert len({ax.get_ylim() for ax in display.axes_[:, 0]}) == 1


def test_wide_modalities_are_lines():
    X = np.random.RandomState(0).normal(size=(40, 50)).cumsum(axis=1)
    vae = skmm.MultimodalVAE(2, max_iter=1, random_state=0).fit(X)
    display = LatentTraversalDisplay.from_estimator(vae)
    line = display.lines_[0][0]
    assert line.get_linestyle() == "-"
    assert len(display.axes_[-1, 0].get_xticks()) == 0  # too many to be named


def test_images_stand_side_by_side(images):
    vae, _ = images
    display = LatentTraversalDisplay.from_estimator(
        vae, components=[1], n_steps=3, shape={"p": (2, 3), "q": (2, 2)}
    )
    assert display.axes_.shape == (1, 3)  # the modality that is no image first
    decoded = vae.inverse_transform(points(1, [-2.0, 0.0, 2.0], 3))
    strip = display.images_[1, "p"].get_array().filled(np.nan)
    assert strip.shape == (2, 11)
    for step in range(3):
        np.testing.assert_allclose(
            strip[:, 4 * step : 4 * step + 3].ravel(), decoded["p"].iloc[step], atol=1e-6
        )
    assert np.isnan(strip[:, [3, 7]]).all()
    assert display.images_[1, "q"].get_array().shape == (2, 8)
    assert len(display.lines_[1]) == 3


def test_images_of_one_modality_share_a_scale(images):
    display = LatentTraversalDisplay.from_estimator(images[0], shape={"p": (2, 3)})
    limits = {image.get_clim() for image in display.images_.values()}
    assert len(limits) == 1
    ((low, high),) = limits
    values = np.stack([image.get_array() for image in display.images_.values()])
    assert (np.nanmin(values.data), np.nanmax(values.data)) == pytest.approx((low, high))


def test_one_shape_for_all_modalities():
    X = skmm.stack_modalities({name: np.random.RandomState(0).normal(size=(40, 12)) for name in "ab"})
    vae = skmm.MultimodalVAE(2, max_iter=1, random_state=0).fit(X)
    display = LatentTraversalDisplay.from_estimator(vae, shape=(2, 2, 3), n_steps=4)
    strip = display.images_[0, "a"].get_array()
    assert strip.shape == (2, 11, 3)
    assert strip.min() >= 0
    assert strip.max() <= 1
    assert display.axes_.shape == (2, 2)


def test_categories_are_left_out(mixed):
    vae, _ = mixed
    display = LatentTraversalDisplay.from_estimator(vae)
    names = [tick.get_text() for tick in display.axes_[-1, 0].get_xticklabels()]
    assert names == ["size", "count", "flag"]


def test_nothing_but_categories():
    X = pd.DataFrame({"a": ["x", "y"] * 20, "b": ["u", "v", "w", "w"] * 10})
    vae = skmm.MultimodalVAE(2, max_iter=1, random_state=0).fit(X)
    with pytest.raises(ValueError, match="No column of X holds numbers or flags"):
        LatentTraversalDisplay.from_estimator(vae)


def test_columns_of_modalities_in_any_order():
    """The networks hold columns by modality, the user's table does not."""
    X = np.random.RandomState(0).normal(size=(50, 4)) * [1, 10, 100, 1000]
    vae = skmm.MultimodalVAE(2, modalities={"a": [3, 0], "b": [2, 1]}, max_iter=2, random_state=0).fit(X)
    display = LatentTraversalDisplay.from_estimator(vae, components=[0], n_steps=2)
    assert display.decoded.columns.tolist() == [("a", "3"), ("a", "0"), ("b", "2"), ("b", "1")]
    decoded = vae.inverse_transform(points(0, [-2.0, 2.0], 2))
    np.testing.assert_allclose(display.decoded.to_numpy(), decoded[:, [3, 0, 2, 1]], rtol=1e-6)


def test_pipelines(images):
    vae, X = images
    pipeline = make_pipeline(FunctionTransformer().fit(X), vae)
    drawn = LatentTraversalDisplay.from_estimator(pipeline).decoded
    pd.testing.assert_frame_equal(drawn, LatentTraversalDisplay.from_estimator(vae).decoded)


def test_style_is_passed_on(images):
    display = LatentTraversalDisplay.from_estimator(images[0], linestyle="-")
    assert {line.get_linestyle() for lines in display.lines_.values() for line in lines} == {"-"}
    display = LatentTraversalDisplay.from_estimator(images[0], shape={"p": (2, 3)}, cmap="magma")
    assert {image.get_cmap().name for image in display.images_.values()} == {"magma"}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"components": [3]}, r"components must hold numbers from 0 to 2, or be None, got \[3\]"),
        ({"components": []}, "components must hold numbers from 0 to 2"),
        ({"n_steps": 0}, "n_steps must be a positive whole number, got 0"),
        ({"span": -1}, "span must be a positive number, got -1"),
        ({"shape": {"z": (2, 2)}}, "shape names the unknown modality 'z'"),
        ({"shape": {"p": (2, 2)}}, r"shape gives \(2, 2\) for modality 'p', which has 6 columns"),
        ({"shape": (2, 3)}, r"shape gives \(2, 3\) for modality 'q', which has 4 columns"),
    ],
)
def test_wrong_parameters(images, how, message):
    with pytest.raises(ValueError, match=message):
        LatentTraversalDisplay.from_estimator(images[0], **how)


def test_images_of_categories(mixed):
    with pytest.raises(ValueError, match="modality 'answers', which holds categories; leave it out"):
        LatentTraversalDisplay.from_estimator(mixed[0], shape={"answers": (2, 2)})


def test_sequences_have_other_latent_variables_at_every_step(motions):
    with pytest.raises(TypeError, match=r"needs an estimator of tables.*got MultimodalVRNN"):
        LatentTraversalDisplay.from_estimator(motions[0])
