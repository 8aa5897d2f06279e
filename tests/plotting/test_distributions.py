"""CompletionDistributionDisplay: what is drawn is what was observed, and what was drawn in its place."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmm
from skmm.plotting import CompletionDistributionDisplay


def heights(ax):
    """Of the two histograms of a panel."""
    return [patch.get_data() for patch in ax.patches]


def test_entries_are_those_observed_and_those_drawn(copies):
    vae, X = copies
    X = X.copy()
    X.iloc[:100, :2] = np.nan
    display = CompletionDistributionDisplay.from_estimator(vae, X, n_samples=4, random_state=7)
    draws = vae.sample(4, given=X, random_state=7)
    missing = draws.index.get_level_values(1) < 100
    assert list(display.observed) == [("source", "u"), ("source", "v")]  # what lacks nothing is left out
    for column in display.observed:
        np.testing.assert_array_equal(display.observed[column], X[column].dropna())
        np.testing.assert_allclose(display.completed[column], draws[column][missing], rtol=1e-6)


def test_histograms_are_shares_in_common_bins(copies):
    vae, X = copies
    X = X.copy()
    X.iloc[:100, :2] = np.nan
    display = CompletionDistributionDisplay.from_estimator(vae, X)
    (first, drawn), label = heights(display.axes_[0]), ("source", "u")
    np.testing.assert_array_equal(first.edges, drawn.edges)
    counts = np.histogram(display.observed[label], first.edges)[0]
    np.testing.assert_allclose(first.values, counts / 300)
    counts = np.histogram(display.completed[label], first.edges)[0]
    np.testing.assert_allclose(drawn.values, counts / 1000)
    assert first.values.sum() > 0.98
    assert drawn.values.sum() > 0.98


def test_distributions_of_an_honest_model_agree(exact_gaussian):
    """What is drawn as a line lies on what is drawn filled, but for chance."""
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    values = np.random.RandomState(0).multivariate_normal([0, 0], covariance, size=6000)
    X = skmm.stack_modalities({"a": values[:, :1], "b": values[:, 1:]})
    model = exact_gaussian(covariance).fit(X)
    X.iloc[:3000, 1] = np.nan
    display = CompletionDistributionDisplay.from_estimator(model, X, n_samples=5)
    (seen, drawn), label = heights(display.axes_[0]), ("b", 0)
    np.testing.assert_allclose(drawn.values, seen.values, atol=0.015)
    assert seen.values.max() > 0.08
    assert display.completed[label].std() == pytest.approx(display.observed[label].std(), rel=0.05)


def test_a_heavy_tail_does_not_squeeze_the_rest():
    observed = np.append(np.random.RandomState(0).normal(size=999), 1e6)
    display = CompletionDistributionDisplay({"a": observed}, {"a": observed}).plot()
    assert display.axes_[0].get_xlim()[1] < 5


def test_counts_have_a_bin_for_each_number():
    counts = np.random.RandomState(0).poisson(2.0, size=500).astype(float)
    display = CompletionDistributionDisplay({"a": counts}, {"a": counts + 0.3}).plot()
    seen, _ = heights(display.axes_[0])
    np.testing.assert_allclose(np.diff(seen.edges), 1.0)
    np.testing.assert_allclose(seen.edges[:2], [-0.5, 0.5])
    assert seen.values[0] == np.mean(counts == 0)


@pytest.mark.parametrize("value", [0.0, 2.5])
def test_constants_can_be_drawn(value):
    values = {"a": np.full(20, value)}
    display = CompletionDistributionDisplay(values, values).plot()
    assert heights(display.axes_[0])[0].values.max() == 1.0


def test_nothing_observed_can_be_drawn():
    drawn = np.random.RandomState(0).normal(size=50)
    display = CompletionDistributionDisplay({"a": drawn[:0]}, {"a": drawn}).plot()
    assert heights(display.axes_[0])[0].values.max() == 0.0


def test_columns_of_all_types(mixed):
    vae, X = mixed
    display = CompletionDistributionDisplay.from_estimator(vae, X, n_samples=3)
    panels = dict(zip(display.observed, display.axes_, strict=True))
    assert list(display.observed) == list(X.columns)
    for name, categories in {
        "flag": [False, True],
        "colour": ["red", "green", "blue"],
        "grade": ["a", "b", "c"],
        "town": ["Basingstoke", "Upper Little Wallop"],
    }.items():
        column = "answers", name
        seen = display.observed[column]
        assert list(seen.categories) == categories
        bars = [bar.get_height() for bar in panels[column].patches]
        share = X[column].iloc[:200].value_counts(normalize=True)
        np.testing.assert_allclose(bars[: len(categories)], [share.get(c, 0.0) for c in categories])
        assert sum(bars) == pytest.approx(2)
        assert len(display.completed[column]) == 300
    names = [tick.get_text() for tick in panels["answers", "town"].get_xticklabels()]
    assert names == ["Basingstoke", "Upper…Wallop"]
    assert len(display.observed["numbers", "count"]) == 200


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        ([("numbers", "count")], ["count"]),
        (("numbers", "count"), ["count"]),
        ("numbers", ["size", "count"]),
        (["numbers", ("answers", "town")], ["size", "count", "town"]),
    ],
)
def test_columns_are_chosen_by_label_or_modality(mixed, columns, shown):
    display = CompletionDistributionDisplay.from_estimator(*mixed, columns=columns, n_samples=1)
    assert [label[1] for label in display.observed] == shown
    assert len(display.axes_) == len(shown)


def test_at_most_twelve_columns_from_each_modality_in_turn():
    rng = np.random.RandomState(0)
    X = skmm.stack_modalities({"wide": rng.normal(size=(60, 30)), "narrow": rng.normal(size=(60, 3))})
    vae = skmm.MultimodalVAE(2, max_iter=1, random_state=0).fit(X)
    display = CompletionDistributionDisplay.from_estimator(vae, X.mask(X > 1), n_samples=1)
    names = [label[0] for label in display.observed]
    assert names == ["wide"] * 9 + ["narrow"] * 3


@pytest.mark.parametrize("form", ["array", "list", "long"])
def test_sequences(motions, form):
    vrnn, X = motions
    given = {"array": X, "list": skmm.to_ragged(X), "long": skmm.to_long(X)}[form]
    display = CompletionDistributionDisplay.from_estimator(vrnn, given, n_samples=2, random_state=0)
    assert len(display.observed) == 3
    draws = vrnn.sample(2, given=X, random_state=0)
    for column, drawn in zip((3, 4, 5), display.completed.values(), strict=True):
        missing = np.isnan(X[..., column])
        np.testing.assert_allclose(drawn, draws[:, missing, column].ravel(), rtol=1e-5)


def test_arrays_and_masked_arrays():
    X = np.random.RandomState(0).normal(size=(50, 4))
    X[:10, 2] = np.nan
    vae = skmm.MultimodalVAE(2, modalities={"a": [0, 1], "b": [2, 3]}, max_iter=1, random_state=0).fit(X)
    for given in (X, np.ma.masked_invalid(X), X.tolist()):
        display = CompletionDistributionDisplay.from_estimator(vae, given, n_samples=2)
        assert len(display.completed[2]) == 20
        assert display.axes_[0].get_title() == "column 2"


def test_pipelines_show_what_the_last_step_sees(copies):
    _, X = copies
    X = X.copy()
    X.iloc[:50, 0] = np.nan
    scaler = StandardScaler().set_output(transform="default")
    vae = skmm.MultimodalVAE(2, modalities={"a": [0, 1], "b": [2, 3, 4, 5]}, max_iter=1, random_state=0)
    pipeline = make_pipeline(scaler, vae).fit(X.to_numpy())
    display = CompletionDistributionDisplay.from_estimator(pipeline, X.to_numpy(), n_samples=1)
    assert display.observed[0].std() == pytest.approx(1.0)


def test_style_is_passed_on(mixed):
    display = CompletionDistributionDisplay.from_estimator(*mixed, n_samples=1, alpha=0.3)
    assert {patch.get_alpha() for ax in display.axes_ for patch in ax.patches} == {0.3}


def test_legend_stands_above_the_panels(copies):
    vae, X = copies
    display = CompletionDistributionDisplay.from_estimator(vae, X.mask(X > 1), n_samples=1)
    plt.gcf().canvas.draw()
    (legend,) = display.figure_.legends
    assert legend.get_window_extent().y0 > display.axes_[0].get_window_extent().y1


def test_nothing_is_missing(copies):
    with pytest.raises(ValueError, match="X has no missing entry"):
        CompletionDistributionDisplay.from_estimator(*copies)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["nowhere"], r"columns holds 'nowhere', which is neither a column .* nor a modality"),
        ([("copy", "u")], r"columns holds \('copy', 'u'\), of which no entry of X is missing"),
        ("copy", "columns holds 'copy', of which no entry of X is missing"),
    ],
)
def test_wrong_columns(copies, columns, message):
    vae, X = copies
    X = X.copy()
    X.iloc[:9, :2] = np.nan
    with pytest.raises(ValueError, match=message):
        CompletionDistributionDisplay.from_estimator(vae, X, columns=columns)


def test_estimators_that_draw_nothing():
    X = pd.DataFrame({"a": [1.0, np.nan]})
    with pytest.raises(TypeError, match="an estimator that completes tables"):
        CompletionDistributionDisplay.from_estimator(StandardScaler().fit(X), X)
