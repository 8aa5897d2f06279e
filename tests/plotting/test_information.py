"""ModalityInformationDisplay: on data of which it is known what tells what."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmm import MultimodalVAE, hide, keep, stack_modalities, to_long, to_ragged
from skmm.plotting import ModalityInformationDisplay


def test_known_shares_of_gaussian_data(exact_gaussian):
    """Of a sum of two equal parts, either part explains a half, and both of them all."""
    a, b, free = np.random.RandomState(0).normal(size=(3, 4000, 1))
    X = stack_modalities({"a": a, "b": b, "sum": np.hstack([a + b, -2 * (a + b)]), "free": free})
    parts = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [-2, -2, 0], [0, 0, 1]])
    information = ModalityInformationDisplay.from_estimator(
        exact_gaussian(parts @ parts.T).fit(X[:3000]), X[3000:]
    ).information
    expected = [
        [np.nan, 0.0, 0.5, 0.0],
        [0.0, np.nan, 0.5, 0.0],
        [0.5, 0.5, np.nan, 0.0],
        [0.0, 0.0, 0.0, np.nan],
        [1.0, 1.0, 1.0, 0.0],
    ]
    np.testing.assert_allclose(information, expected, atol=0.08)


def test_copies_explain_one_another_and_nothing_else(copies):
    information = ModalityInformationDisplay.from_estimator(*copies).information
    assert information.index.tolist() == ["source", "copy", "other", "all others"]
    assert information.columns.tolist() == ["source", "copy", "other"]
    for given, completed in [("source", "copy"), ("copy", "source")]:
        assert information.loc[given, completed] > 0.8
        assert information.loc["all others", completed] > 0.7
    for given, completed in [("source", "other"), ("other", "source"), ("other", "copy"), ("copy", "other")]:
        assert abs(information.loc[given, completed]) < 0.15
    assert abs(information.loc["all others", "other"]) < 0.15
    assert np.isnan(np.diag(information.iloc[:3])).all()


def test_an_entry_is_what_its_definition_says(copies):
    vae, X = copies
    X = X.copy()
    X.iloc[:50, :2] = np.nan  # no source
    X.iloc[50:80, 2] = np.nan  # a cell of the copy
    information = ModalityInformationDisplay.from_estimator(vae, X).information
    for given, completed, predicted in [
        ("source", "copy", vae.predict(keep(X, "source"))),
        ("all others", "source", vae.predict(hide(X, "source"))),
    ]:
        rows = X["source"].notna().all(axis=1)
        shares = []
        for column in ("u", "v"):
            truth = X[completed, column][rows].dropna()
            shares.append(r2_score(truth, predicted[completed, column][truth.index]))
        assert information.loc[given, completed] == pytest.approx(np.mean(shares), rel=1e-5)


def test_variance_is_that_of_what_is_compared(exact_gaussian):
    """Rows that lie apart from those of ``fit`` leave nothing explained, rather than everything."""
    rng = np.random.RandomState(0)
    X = stack_modalities({"a": rng.normal(size=(2000, 1)), "b": 5.0 + rng.normal(size=(2000, 1))})
    oracle = exact_gaussian(np.eye(2)).fit(X[:1000])
    information = ModalityInformationDisplay.from_estimator(oracle, X[1000:]).information
    assert information.loc["a", "b"] == pytest.approx(-25, rel=0.1)  # by a constant that is wrong by 5
    assert information.loc["b", "a"] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("dtype", [bool, np.float16])
def test_types_that_are_too_narrow_to_compute_with(dtype):
    """Squares of half precision overflow, and flags have no difference."""
    base = np.random.RandomState(0).normal(size=(60, 2)) @ [[1.0, 0.5, -1.0, 1.0], [0.0, 1.0, 0.5, -0.5]]
    X = pd.DataFrame(base > 0 if dtype is bool else 600 * base).astype(dtype)
    vae = MultimodalVAE(1, modalities={"a": [0, 1], "b": [2, 3]}, max_iter=5, random_state=0).fit(X)
    found, expected = (
        ModalityInformationDisplay.from_estimator(vae, table).information
        for table in (X, X.astype(np.float64))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.max(axis=None) < 1


def test_a_column_that_hardly_varies_does_not_decide(exact_gaussian):
    """One entry of 1000 is not 0: its error is enormous in standard deviations of the column."""
    rng = np.random.RandomState(0)
    a = rng.normal(size=(1000, 1))
    rare = np.zeros((1000, 1))
    rare[[3, 700]] = [[0.01], [1.0]]
    X = stack_modalities({"a": a, "b": np.hstack([a, rare])})
    covariance = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1e-9]])
    oracle = exact_gaussian(covariance).fit(X[:500])
    information = ModalityInformationDisplay.from_estimator(oracle, X[500:]).information
    assert information.loc["a", "b"] == pytest.approx(0.5, abs=0.01)  # all of one column, nothing of another


def test_a_modality_that_never_comes_with_another_is_blank(copies):
    vae, X = copies
    X = X.copy()
    X.iloc[:100, 2:] = np.nan  # source alone
    X.iloc[100:, :2] = np.nan
    display = ModalityInformationDisplay.from_estimator(vae, X)
    assert display.information.loc["source"].isna().all()
    assert display.information["source"].isna().all()
    assert display.information.loc["copy", "other"] == pytest.approx(0, abs=0.2)
    assert (display.text_[:, 0] == None).all()  # noqa: E711 - element by element


def test_picture_shows_the_numbers(copies):
    display = ModalityInformationDisplay.from_estimator(*copies)
    np.testing.assert_array_equal(display.image_.get_array().filled(np.nan), display.information)
    assert display.text_[0, 1].get_text() == f"{display.information.iloc[0, 1]:.2f}"
    assert display.text_[0, 1].get_color() == "white"  # on dark blue
    assert display.text_[0, 2].get_color() == "black"
    assert display.image_.get_clim() == (-0.5, 1)
    np.testing.assert_allclose(display.image_.cmap(display.image_.norm(0.0))[:3], 1.0, atol=0.05)
    ticks = display.ax_.get_xticklabels(), display.ax_.get_yticklabels()
    assert [[tick.get_text() for tick in each] for each in ticks] == [
        ["source", "copy", "other"],
        ["source", "copy", "other", "all others"],
    ]


def test_categories_have_their_scores(mixed):
    vae, X = mixed
    X = X.iloc[100:200]
    information = ModalityInformationDisplay.from_estimator(vae, X).information
    seen = keep(X, "numbers")
    probabilities = vae.predict_category_proba(seen)["answers"]
    shares = []
    for name, columns in probabilities.T.groupby(level=0):
        came = pd.get_dummies(X["answers", name].astype(object))
        came = came.reindex(columns=columns.index.get_level_values(1), fill_value=False).to_numpy(dtype=float)
        said, frequencies = columns.T.to_numpy(), came.mean(axis=0)
        if name == "grade":
            came, said, frequencies = came.cumsum(axis=1), said.cumsum(axis=1), frequencies.cumsum()
        shares.append(1 - np.square(said - came).sum() / np.square(frequencies - came).sum())
    assert len(shares) == 4
    assert information.loc["numbers", "answers"] == pytest.approx(np.mean(shares), rel=1e-4)
    assert information.loc["numbers", "answers"] > 0.3


def test_pipelines(copies):
    vae, X = copies
    pipeline = make_pipeline(FunctionTransformer().fit(X), vae)
    pd.testing.assert_frame_equal(
        ModalityInformationDisplay.from_estimator(pipeline, X).information,
        ModalityInformationDisplay.from_estimator(vae, X).information,
    )


@pytest.mark.parametrize("form", ["array", "list", "long"])
def test_sequences(motions, form):
    vrnn, X = motions
    X = {"array": X, "list": to_ragged(X), "long": to_long(X)}[form]
    information = ModalityInformationDisplay.from_estimator(vrnn, X).information
    assert information.shape == (3, 2)
    np.testing.assert_allclose(
        information.iloc[:2].to_numpy().T[[0, 1], [1, 0]], information.loc["all others"], rtol=1e-4
    )


def test_one_modality_informs_nothing():
    X = np.random.RandomState(0).normal(size=(40, 3))
    vae = MultimodalVAE(2, max_iter=1, random_state=0).fit(X)
    with pytest.raises(ValueError, match="only one modality, 'x', which no other one can inform"):
        ModalityInformationDisplay.from_estimator(vae, X)
