"""Coverage and CRPS of drawn completions: estimators whose draws are known, closed forms, containers."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmm import MultimodalVAE, MultimodalVRNN, hide, to_long
from skmm._blocks.containers import check_table, column_types, stack, to_matrix
from skmm._blocks.layout import Layout
from skmm._blocks.modalities import resolve_modalities
from skmm.metrics import completion_crps, completion_error, crps, interval_coverage
from skmm.metrics.uncertainty import mean_over_draws
from skmm.scorers import CompletionScorer

NAN = np.nan
MEASURES = {"coverage": interval_coverage, "crps": completion_crps}
# of a standard normal truth: how many 90 % intervals of N(0, s²) cover, and what its draws score
COVERED = {s: 2 * stats.norm.cdf(s * stats.norm.ppf(0.95)) - 1 for s in (0.5, 1.0, 2.0)}
SCORE = {s: np.sqrt(2 / np.pi * (1 + s**2)) - s / np.sqrt(np.pi) for s in (0.5, 1.0, 2.0)}


class Drawer(BaseEstimator):
    """Draws each missing number around its column's mean, with the deviation times the modality's spread."""

    def __init__(self, spreads=None, modalities=None):
        self.spreads = spreads
        self.modalities = modalities

    def fit(self, X, y=None):
        table = check_table(self, X, reset=True)
        types = column_types(X, table)
        groups = resolve_modalities(X, self.modalities)
        how = [None if kind.n_categories or kind.kind == "binary" else "standard" for kind in types]
        self.layout_ = Layout.fit(X, to_matrix(table, types), groups, types, how)
        self.asked_ = []
        return self

    def _read(self, X):
        matrix = to_matrix(check_table(self, X, reset=False), self.layout_.types)
        self.asked_.append(np.isnan(matrix))
        return matrix

    def sample(self, n_samples=1, given=None, random_state=None):
        rng, matrix = np.random.RandomState(random_state), self._read(given)
        width = np.empty(matrix.shape[1])
        for columns, spread in zip(self.layout_.columns, self.spreads, strict=True):
            width[columns] = spread * self.layout_.scale[columns]
        width[[kind.kind != "continuous" for kind in self.layout_.types]] = 0  # the first category
        values = [self.layout_.location + width * rng.normal(size=matrix.shape) for _ in range(n_samples)]
        tables = [self.layout_.complete(given, matrix, v) for v in values]
        return stack(tables, level="draw", keys=range(n_samples))

    def predict(self, X):
        mean = np.broadcast_to(self.layout_.location, self._read(X).shape)
        return self.layout_.wrap(mean, X)


def make_truth(n_rows=4000, seed=0):
    """Independent columns, two of audio and three of video, in very different units."""
    values = np.random.RandomState(seed).normal(size=(n_rows, 5))
    values = (values - values.mean(axis=0)) / values.std(axis=0) * [1, 1e4, 1e-3, 7, 1] + [0, 1, 2, 3, 4]
    names = [("audio", "a"), ("audio", "b"), ("video", "x"), ("video", "y"), ("video", "z")]
    return pd.DataFrame(values, columns=pd.MultiIndex.from_tuples(names))


@pytest.fixture(scope="module")
def truth():
    return make_truth()


@pytest.fixture(scope="module")
def drawer(truth):
    return Drawer(spreads=[0.5, 1.0]).fit(truth)


# against closed forms


@pytest.mark.parametrize("what", ["modalities", "cells", ["video"]])
def test_coverage_of_each_modality(truth, drawer, what):
    share = interval_coverage(drawer, truth, hide=what, fraction=0.4, n_samples=99)
    assert share.name == "interval_coverage"
    expected = pd.Series({"audio": COVERED[0.5], "video": COVERED[1.0]})[share.index]
    np.testing.assert_allclose(share, expected, atol=0.02)


@pytest.mark.parametrize(("n_samples", "tolerance"), [(19, 0.007), (30, 0.015), (99, 0.007)])
def test_coverage_is_right_however_few_the_draws(n_samples, tolerance):
    truth = make_truth(6000)
    honest = Drawer(spreads=[1.0, 1.0]).fit(truth)
    assert interval_coverage(honest, truth, n_samples=n_samples).mean() == pytest.approx(0.9, abs=tolerance)


def test_coverage_of_several_levels(truth, drawer):
    levels = (0.5, 0.8, 0.9)
    table = interval_coverage(drawer, truth, level=levels, n_samples=99)
    assert table.index.name == "level"
    assert table.index.tolist() == list(levels)
    np.testing.assert_allclose(table["video"], levels, atol=0.02)
    one = interval_coverage(drawer, truth, level=0.8, n_samples=99)
    np.testing.assert_array_equal(table.loc[0.8], one)  # of the same draws


@pytest.mark.parametrize("n_samples", [2, 50])
def test_crps_of_each_modality(truth, drawer, n_samples):
    score = completion_crps(drawer, truth, n_samples=n_samples)
    assert score.name == "completion_crps"
    np.testing.assert_allclose(score, [SCORE[0.5], SCORE[1.0]], atol=0.02)


def test_one_call_for_several_measures(truth, drawer):
    X = truth[:100]
    how = {"hide": "modalities", "fraction": 0.2, "n_samples": 9, "random_state": 0}
    both, names = mean_over_draws(drawer, X, lambda y, draws: np.stack([crps(y, draws), y]), **how)
    assert both.shape == (2, 2)
    np.testing.assert_allclose(both[0], completion_crps(drawer, X, n_samples=9), rtol=1e-12)
    assert names.tolist() == ["audio", "video"]


def test_units_do_not_matter(truth, drawer):
    X, units = truth[:200], np.array([1e6, 1e-6, 50, 1, 1])
    other = Drawer(spreads=[0.5, 1.0]).fit(truth * units)
    for measure in MEASURES.values():
        np.testing.assert_allclose(measure(other, X * units), measure(drawer, X))


def test_what_was_missing_before_is_not_compared(truth, drawer):
    rows = np.random.RandomState(0).uniform(size=(300, 5)) < 0.3
    X = truth[:300].mask(rows)
    share = interval_coverage(Drawer(spreads=[0.0, 1e9]).fit(truth), X, n_samples=99)
    np.testing.assert_array_equal(share, [0.0, 1.0])


# what is hidden


def test_cells_are_those_of_the_completion_error(truth):
    X = truth[:50]
    drawer = Drawer(spreads=[1.0, 1.0]).fit(X)
    for random_state in (0, 1):
        for measure in (completion_error, *MEASURES.values()):
            measure(drawer, X, hide="cells", random_state=random_state)
    asked = drawer.asked_
    assert all((asked[i] == asked[0]).all() for i in (1, 2))
    assert all((asked[i] == asked[3]).all() for i in (4, 5))
    assert (asked[0] != asked[3]).any()


def make_three():
    truth = make_truth(40)
    groups = {"one": [0], "two": [1, 2], "three": [3, 4]}
    X = pd.DataFrame(truth.to_numpy(), columns=list("abxyz"))
    X.iloc[0, 3:] = NAN  # nothing that could be left
    X.iloc[1, :3] = NAN  # nothing to hide
    X.iloc[2, 0] = NAN  # one of two
    X.iloc[3, 1:3] = NAN
    return X, groups


@pytest.mark.parametrize("names", [["one", "two"], ("two", "one")])
@pytest.mark.parametrize("measure", [completion_error, *MEASURES.values()])
def test_modalities_hidden_together(measure, names):
    X, groups = make_three()
    drawer = Drawer(spreads=[1.0, 1.0, 1.0], modalities=groups).fit(X)
    result = measure(drawer, X, hide=names)
    assert result.index.tolist() == ["one", "two"]
    assert result.notna().all()
    (asked,) = drawer.asked_
    expected = X.isna().to_numpy(copy=True)
    expected[2:, :3] = True
    np.testing.assert_array_equal(asked, expected)


def test_errors_of_modalities_hidden_together():
    """Rows in which only one of them is known count for that one."""
    X, groups = make_three()
    drawer = Drawer(spreads=[1.0, 1.0, 1.0], modalities=groups).fit(X)
    squares = ((X - X.mean()) / X.std(ddof=0)) ** 2
    errors = completion_error(drawer, X, hide=["one", "two"])
    np.testing.assert_allclose(errors["one"], np.sqrt(squares.iloc[3:, 0].mean()))
    two = np.concatenate([squares.iloc[2:, 1], squares.iloc[2:, 2]])
    np.testing.assert_allclose(errors["two"], np.sqrt(np.nanmean(two)))
    single = completion_error(drawer, X, hide=["three"])
    assert single["three"] == pytest.approx(completion_error(drawer, X)["three"])


def test_scorer_of_modalities_hidden_together():
    X, groups = make_three()
    drawer = Drawer(spreads=[1.0, 1.0, 1.0], modalities=groups).fit(X)
    scorer = clone(CompletionScorer(hide=["one", "two"]))
    assert scorer(drawer, X) == pytest.approx(-completion_error(drawer, X, hide=["one", "two"]).mean())


def test_whole_sequences_are_hidden_together():
    X = [np.arange(6.0).reshape(3, 2), np.full((4, 2), NAN), np.array([[1.0, NAN], [NAN, 3.0]])]
    vrnn = tiny_vrnn({"a": [0], "b": [1]}).fit([*X, np.random.RandomState(0).normal(size=(5, 2))])
    truth = X[2][:1, :1] - vrnn.predict(hide(X, "a", modalities=vrnn.modalities))[2][:1, :1]
    unit = vrnn.layout_.deviation[0]
    assert completion_error(vrnn, X[2:], hide=["a"])["a"] == pytest.approx(abs(truth.item()) / unit, rel=1e-4)


# what counts

MIXED = pd.DataFrame(
    {
        ("shop", "price"): [1.5, 2.5, 3.0, 4.0, 5.0, 6.0],
        ("shop", "open"): [True, False, True, True, False, True],
        ("shop", "town"): pd.Categorical(["Rome", "Oslo", "Rome", "Oslo", "Rome", "Rome"]),
        ("goods", "count"): [1, 0, 2, 1, 0, 3],
        ("goods", "constant"): [5.0] * 6,
        ("labels", "size"): pd.Categorical(["S", "M", "L", "S", "M", "L"], ordered=True),
    }
)


@pytest.mark.parametrize("measure", MEASURES.values())
def test_only_columns_of_numbers_count(measure):
    X = MIXED.set_axis(pd.MultiIndex.from_tuples(MIXED.columns), axis=1)
    drawer = Drawer(spreads=[1.0, 1.0, 0.0]).fit(X)
    result = measure(drawer, X)
    assert result.index.tolist() == ["shop", "goods", "labels"]
    assert result.isna().tolist() == [False, False, True]
    assert len(drawer.asked_) == 2  # where nothing counts, nothing is drawn
    numbers = X[[("shop", "price"), ("goods", "count")]]
    alone = measure(Drawer(spreads=[1.0, 1.0]).fit(numbers), numbers, hide=["goods"])
    assert alone.index.tolist() == ["goods"]
    assert measure(drawer, X, hide="cells", fraction=0.5).notna().tolist() == [True, True, False]


@pytest.mark.parametrize("measure", MEASURES.values())
def test_nothing_that_counts(measure):
    X = MIXED.set_axis(pd.MultiIndex.from_tuples(MIXED.columns), axis=1)
    drawer = Drawer(spreads=[1.0, 1.0, 0.0]).fit(X)
    with pytest.raises(ValueError, match=r"of the modalities \['labels'\] is in a column of numbers"):
        measure(drawer, X, hide=["labels"])


def test_whole_numbers_cover_at_least_the_level():
    counts = np.random.RandomState(0).poisson(1.0, size=(3000, 2))
    X = pd.DataFrame(counts, columns=["a", "b"])
    drawer = Drawer(spreads=[1.0, 1.0], modalities={"a": ["a"], "b": ["b"]}).fit(X)
    assert (interval_coverage(drawer, X, n_samples=99) > 0.9).all()


# containers

TABLES = {
    "frame": lambda values: pd.DataFrame(values, columns=list("abcde"), index=range(9, 9 + len(values))),
    "array": np.asarray,
    "list": np.ndarray.tolist,
    "tensor": torch.tensor,
    "masked": np.ma.masked_invalid,
}


@pytest.mark.parametrize("measure", MEASURES.values())
@pytest.mark.parametrize("container", TABLES)
def test_every_container(truth, container, measure):
    values = truth[:60].to_numpy(copy=True)
    values[::7, 1] = NAN
    X = TABLES[container](values)
    modalities = {"a": slice(0, 2), "b": slice(2, 5)}
    expected = measure(Drawer([0.5, 1.0], modalities).fit(values), values)
    np.testing.assert_allclose(measure(Drawer([0.5, 1.0], modalities).fit(X), X), expected)


def test_data_are_not_changed(truth, drawer):
    X = truth[:30].copy()
    for measure in MEASURES.values():
        measure(drawer, X)
        measure(drawer, X, hide="cells")
    pd.testing.assert_frame_equal(X, truth[:30])


def tiny_vrnn(modalities):
    return MultimodalVRNN(
        1,
        modalities=modalities,
        hidden_size=4,
        hidden_layer_sizes=(4,),
        max_iter=1,
        n_draws=8,
        random_state=0,
    )


@pytest.mark.parametrize("what", ["modalities", "cells", ["b"]])
def test_sequences_in_every_form(what):
    rng = np.random.RandomState(0)
    values = rng.normal(size=(8, 4, 1)).cumsum(axis=1) + 0.2 * rng.normal(size=(8, 4, 3))
    values[2, 1, 0] = values[3, :, 2] = NAN
    frames = [pd.DataFrame(x, columns=list("pqr")) for x in values]
    forms = [values, list(values), frames, to_long(frames)]
    groups = {"a": [0], "b": [1, 2]}
    for measure, options in ((interval_coverage, {"level": [0.5, 0.9]}), (completion_crps, {})):
        results = [measure(tiny_vrnn(groups).fit(X), X, hide=what, n_samples=20, **options) for X in forms]
        assert np.isfinite(results[0].to_numpy()).all()
        for result in results[1:]:
            np.testing.assert_allclose(result, results[0], rtol=1e-4)


def test_pipeline_is_measured_in_front_of_its_last_step(truth):
    X = truth[:100].to_numpy()
    pipeline = make_pipeline(StandardScaler(), Drawer([0.5, 1.0], {"a": [0, 1], "b": [2, 3, 4]})).fit(X)
    for measure in MEASURES.values():
        expected = measure(pipeline[-1], pipeline[0].transform(X))
        pd.testing.assert_series_equal(measure(pipeline, X), expected)


def test_a_trained_model():
    """Both modalities say the same: draws given one of them are narrow, and cover the other."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(500, 1)) + 0.3 * rng.normal(size=(500, 4))
    modalities = {"a": [0, 1], "b": [2, 3]}
    vae = MultimodalVAE(2, modalities=modalities, hidden_layer_sizes=(16,), max_iter=60, random_state=0)
    vae.fit(X[:300])
    assert interval_coverage(vae, X[300:]).between(0.8, 0.98).all()
    scores = completion_crps(vae, X[300:])
    assert (scores < 0.3).all()
    pd.testing.assert_series_equal(scores, completion_crps(vae, X[300:]))  # the same draws every time
    other = completion_crps(vae, X[300:], random_state=1)
    np.testing.assert_allclose(other, scores, rtol=0.1)
    assert (other != scores).all()


# messages


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hide": "video"}, "hide must be 'modalities' or 'cells', got 'video'; .* a list of their names"),
        ({"hide": ["audio", "text"]}, r"hide names the unknown modality 'text'; X has \['audio', 'video'\]"),
        ({"hide": []}, r"at least one modality, and leave one .* got \[\]"),
        ({"hide": ["audio", "video"]}, "at least one modality, and leave one to complete it from"),
        ({"hide": {"audio"}}, "hide must be 'modalities' or 'cells', got {'audio'}"),
        ({"hide": "cells", "fraction": 1}, "fraction must be a number between 0 and 1, got 1"),
    ],
)
@pytest.mark.parametrize("measure", [completion_error, *MEASURES.values()])
def test_wrong_hiding(truth, drawer, measure, arguments, message):
    with pytest.raises(ValueError, match=message):
        measure(drawer, truth[:20], **arguments)


def test_no_row_with_something_to_hide_and_something_to_leave(truth, drawer):
    X = truth[:20].copy()
    X.iloc[:, :2] = NAN
    for names in (["audio"], ["video"]):
        with pytest.raises(ValueError, match=rf"observed entries of one of \['{names[0]}'\] and of another"):
            completion_error(drawer, X, hide=names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 1.0}, "level must be a number between 0 and 1, or a sequence of such, got 1.0"),
        ({"level": []}, r"level must be .* got \[\]"),
        ({"level": "high"}, "level must be .* got 'high'"),
        ({"level": [[0.5]]}, r"level must be .* got \[\[0.5\]\]"),
        ({"n_samples": 18}, "n_samples must be a whole number of at least 19 for level=0.9, got 18"),
        ({"level": [0.5, 0.99]}, "at least 199 for level=0.99, got 100"),
        ({"n_samples": 99.5}, "n_samples must be a whole number .* got 99.5"),
    ],
)
def test_wrong_levels(truth, drawer, arguments, message):
    with pytest.raises(ValueError, match=message):
        interval_coverage(drawer, truth[:20], **arguments)


@pytest.mark.parametrize("n_samples", [1, True, "many"])
def test_too_few_draws(truth, drawer, n_samples):
    with pytest.raises(ValueError, match="n_samples must be a whole number of at least 2, got"):
        completion_crps(drawer, truth[:20], n_samples=n_samples)


@pytest.mark.parametrize("measure", MEASURES.values())
def test_estimators_that_draw_nothing(truth, measure):
    X = truth[:20].to_numpy()
    with pytest.raises(TypeError, match=r"completes tables, such as MultimodalVAE.*; got PCA"):
        measure(PCA(2).fit(X), X)
