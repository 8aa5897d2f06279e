"""What goes in comes out: sequences in every container through every public method of MultimodalVRNN."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal, assert_index_equal

from skmm import MultimodalVRNN, stack_modalities, to_long, to_ragged

NAN = np.nan
N, T, D = 6, 5, 4
MODALITIES = {"a": slice(0, 2), "b": slice(2, None)}  # in every kind of table
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def make_values(seed=0):
    """Steps, modalities and cells are missing, and one sequence has nothing; exact in float32."""
    rng = np.random.RandomState(seed)
    walk = rng.normal(size=(N, T, 1)).cumsum(axis=1)
    values = walk * [1, 2, -1, 20] + 0.2 * rng.normal(size=(N, T, D)) + [0, 1, -5, 300]
    values[rng.uniform(size=values.shape) < 0.1] = NAN
    values[rng.uniform(size=(N, T)) < 0.2, 2:] = NAN
    values[1, 2:4] = NAN
    values[3] = NAN
    return values.astype(np.float32).astype(np.float64)


VALUES = make_values()
MISSING = np.isnan(VALUES)
LABELS = pd.Index(["eve", "ann", "dan", "bob", "cid", "fay"], name="who")
DAYS = pd.date_range("2024-03-01", periods=T, freq="2D")
LEVELS = pd.MultiIndex.from_tuples(
    [("a", "p"), ("a", "q"), ("b", "r"), ("b", "s")], names=["modality", "feature"]
)


def objects(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def frames(values=VALUES, columns="pqrs"):
    return [
        pd.DataFrame(x, columns=list(columns), index=pd.RangeIndex(3 * i, 3 * i + len(x), name="when"))
        for i, x in enumerate(values)
    ]


def long(values=VALUES, times=None, columns="pqrs"):
    index = [
        (label, t if times is None else times[t])
        for label, x in zip(LABELS, values, strict=True)
        for t in range(len(x))
    ]
    index = pd.MultiIndex.from_tuples(index, names=["who", "when"])
    return pd.DataFrame(np.concatenate(list(values)), index=index, columns=list(columns))


SHUFFLED = np.random.RandomState(3).permutation(N * T)
MASKED = np.ma.masked_array(np.where(MISSING, 1e6, VALUES), mask=MISSING)
ARRAYS = {
    "float64": VALUES,
    "float32": VALUES.astype(np.float32),
    "Fortran order": np.asfortranarray(VALUES),
    "objects": np.where(MISSING, None, VALUES.astype(object)),
    "masked": MASKED,
    "masked float32": MASKED.astype(np.float32),
    "tensor": torch.tensor(VALUES),
    "float32 tensor": torch.tensor(VALUES, dtype=torch.float32),
    "nested list": VALUES.tolist(),
    "nested list with None": np.where(MISSING, None, VALUES.astype(object)).tolist(),
}
LISTS = {
    "list of arrays": list(VALUES),
    "tuple of arrays": tuple(VALUES),
    "array of arrays": objects(list(VALUES)),
    "list of float32": list(VALUES.astype(np.float32)),
    "list of masked": list(MASKED),
    "list of tensors": list(torch.tensor(VALUES)),
    "list of nested lists and arrays": [VALUES[0], *VALUES[1:].tolist()],
    "list of frames": frames(),
    "list of frames with levels": [frame.set_axis(LEVELS, axis=1) for frame in frames()],
}
LONG = {
    "long": long(),
    "long shuffled": long().iloc[SHUFFLED],
    "long with dates": long(times=DAYS),
    "long shuffled with dates": long(times=DAYS).iloc[SHUFFLED],
    "long with levels": long().set_axis(LEVELS, axis=1),
    "long of Float64": long().astype("Float64"),
}
EQUAL = ARRAYS | LISTS | LONG  # the same numbers, so that all results are the same
LENGTHS = [5, 2, 4, 1, 3, 5]
CUT = [x[:n] for x, n in zip(VALUES, LENGTHS, strict=True)]
RAGGED = {
    "ragged arrays": CUT,
    "ragged nested lists": [x.tolist() for x in CUT],
    "ragged tensors": [torch.tensor(x) for x in CUT],
    "ragged frames": frames(CUT),
    "ragged long": long(CUT),
    "ragged long, shuffled": long(CUT).sample(frac=1, random_state=1),
}
SEQUENCES = EQUAL | RAGGED
# fitted with sequences in the order of the others: what training hides depends on it
IN_ORDER = {
    "long shuffled": "long",
    "long shuffled with dates": "long with dates",
    "ragged long, shuffled": "ragged long",
}


def make(**parameters):
    """An estimator that fits in a few hundredths of a second."""
    settings = {
        "n_components": 2,
        "modalities": MODALITIES,
        "hidden_size": 4,
        "hidden_layer_sizes": (8,),
        "max_iter": 2,
        "n_draws": 4,
        "random_state": 0,
    }
    return MultimodalVRNN(**(settings | parameters))


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(MultimodalVRNN, "_n_quantile_draws", 16)


@pytest.fixture(scope="module")
def fitted():
    """Estimators by the name of their container; shared, because nothing but fit may change them."""
    cache = {}

    def fit(name):
        name = IN_ORDER.get(name, name)
        if name not in cache:
            cache[name] = make().fit(copy.deepcopy(SEQUENCES[name]))
        return cache[name]

    return fit


def is_frames(X):
    return isinstance(X, list) and isinstance(X[0], pd.DataFrame)


def lengths_of(X):
    if isinstance(X, pd.DataFrame):
        return X.groupby(level=0, sort=False).size().tolist()
    return [len(x) for x in X]


def numbers(table):
    """One table as floats."""
    if isinstance(table, torch.Tensor):
        table = table.detach().numpy()
    if isinstance(table, pd.DataFrame):
        return table.to_numpy(dtype=np.float64, na_value=NAN)
    return np.ma.filled(np.ma.asarray(table).astype(np.float64), NAN)


def tables(result):
    """Sequences of any form as a list of arrays, in the order of the labels and of time."""
    if isinstance(result, pd.DataFrame):
        order = [label for label in LABELS if label in result.index.get_level_values(0)]
        return [numbers(result.xs(label, level=0).sort_index()) for label in order]
    return [numbers(x) for x in result]


def assert_close(actual, expected, **how):
    assert len(actual) == len(expected)
    for new, old in zip(actual, expected, strict=True):
        np.testing.assert_allclose(new, old, **(how or CLOSE))


def form_of(X):
    """Type in which results come back."""
    if isinstance(X, list | tuple):
        return np.ndarray if all(isinstance(x, list) for x in X) and len({*map(len, X)}) == 1 else list
    return list if isinstance(X, np.ndarray) and X.ndim == 1 else type(X)


def table_form_of(x):
    """Type of one sequence in a list."""
    return np.ndarray if isinstance(x, list) else type(x)


def assert_float_table(table, like, n_columns=D, n_steps=None):
    """Expected values of one sequence of a list, as float32."""
    assert type(table) is table_form_of(like)
    assert table.shape == (len(like) if n_steps is None else n_steps, n_columns)
    dtypes = set(table.dtypes) if isinstance(table, pd.DataFrame) else {table.dtype}
    assert dtypes == ({torch.float32} if isinstance(table, torch.Tensor) else {np.dtype(np.float32)})
    assert np.isfinite(numbers(table)).all()
    if isinstance(like, pd.DataFrame) and n_steps is None:
        assert_index_equal(table.index, like.index)
    if isinstance(like, pd.DataFrame) and n_columns == D:
        assert_index_equal(table.columns, like.columns)


def assert_float_sequences(result, X, n_steps=None):
    """Expected values and the like: in the form of X, as float32."""
    assert type(result) is form_of(X)
    if isinstance(X, pd.DataFrame):
        assert (result.dtypes == np.float32).all()
        assert_index_equal(result.columns, X.columns)
        assert np.isfinite(numbers(result)).all()
        if n_steps is None:
            assert_index_equal(result.index, X.index)
        return
    assert len(result) == len(X)
    if form_of(X) is list:
        for table, x in zip(result, X, strict=True):
            assert_float_table(table, x, n_steps=n_steps)
        return
    assert tuple(result.shape) == (N, n_steps or T, D)
    assert result.dtype == (torch.float32 if isinstance(X, torch.Tensor) else np.float32)
    assert np.isfinite(numbers(result)).all()


def assert_completed(result, X):
    """Values in the data types of X, what was observed as it was."""
    assert type(result) is form_of(X)
    if isinstance(X, pd.DataFrame):
        assert_index_equal(result.index, X.index)
        assert result.dtypes.equals(X.dtypes)
        pd.testing.assert_frame_equal(result.where(X.notna()), X, check_exact=True)
        assert result.notna().all(axis=None)
        return
    given = X if form_of(X) is list else [X]
    for table, x in zip(result if form_of(X) is list else [result], given, strict=True):
        if isinstance(x, pd.DataFrame):
            assert_index_equal(table.index, x.index)
            assert table.dtypes.equals(x.dtypes)
        elif not isinstance(x, list):
            assert type(table) is type(x)
            assert table.dtype == x.dtype
            assert not np.ma.getmaskarray(np.ma.asarray(table)).any()
        new = numbers(table)
        old = np.array(x, dtype=np.float64) if isinstance(x, list) else numbers(x)
        np.testing.assert_array_equal(new[~np.isnan(old)], old[~np.isnan(old)])
        assert np.isfinite(new).all()


def snapshot(X):
    return copy.deepcopy(X), [x.strides for x in X if isinstance(x, np.ndarray)]


def assert_unchanged(X, before):
    before, strides = before
    assert [x.strides for x in X if isinstance(x, np.ndarray)] == strides
    pairs = [(X, before)] if isinstance(X, pd.DataFrame) else zip(X, before, strict=True)
    for new, old in pairs:
        if isinstance(new, pd.DataFrame):
            assert_frame_equal(new, old, check_exact=True)
        elif isinstance(new, list):
            assert repr(new) == repr(old)
        elif isinstance(new, torch.Tensor):
            np.testing.assert_array_equal(new, old)
        else:
            assert repr(np.ma.getdata(new).tolist()) == repr(np.ma.getdata(old).tolist())
            np.testing.assert_array_equal(np.ma.getmaskarray(new), np.ma.getmaskarray(old))


# --- latent space ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEQUENCES)
def test_features_of_sequences(fitted, name):
    X = SEQUENCES[name]
    estimator = fitted(name)
    assert estimator.n_features_in_ == D
    Z = estimator.transform(X)
    assert Z.shape == (N, 2)
    if isinstance(X, pd.DataFrame):
        assert (Z.dtypes == np.float32).all()
        assert_index_equal(Z.index, X.index.get_level_values(0).unique())
        assert Z.columns.tolist() == ["multimodalvrnn0", "multimodalvrnn1"]
        Z = Z.loc[LABELS]
    else:
        assert type(Z) is np.ndarray
        assert Z.dtype == np.float32
    expected = fitted("float64" if name in EQUAL else "ragged arrays")
    np.testing.assert_allclose(Z, expected.transform(VALUES if name in EQUAL else CUT), **CLOSE)


@pytest.mark.parametrize("name", SEQUENCES)
def test_features_of_steps(fitted, name):
    X = SEQUENCES[name]
    estimator = fitted(name)
    for smooth in (True, False):
        loc, scale = estimator.posterior_moments(X, smooth=smooth)
        assert_close(tables(estimator.transform_steps(X, smooth=smooth)), tables(loc), rtol=0)
        for result in (loc, scale):
            if isinstance(X, pd.DataFrame):
                assert_index_equal(result.index, X.index)
                assert result.columns.tolist() == ["multimodalvrnn0", "multimodalvrnn1"]
                assert (result.dtypes == np.float32).all()
            elif form_of(X) is list:
                assert type(result) is list
                for table, x in zip(result, X, strict=True):
                    like = x if isinstance(x, pd.DataFrame) else numbers(x)
                    assert_float_table(table, like, n_columns=2)
            else:
                assert type(result) is np.ndarray
                assert result.dtype == np.float32
                assert result.shape == (N, T, 2)
        assert all((table > 0).all() for table in tables(scale))
        reference = fitted("float64" if name in EQUAL else "ragged arrays")
        expected = reference.posterior_moments(VALUES if name in EQUAL else CUT, smooth=smooth)
        for actual, moment in zip((loc, scale), expected, strict=True):
            assert_close(tables(actual), tables(moment))


@pytest.mark.parametrize("name", SEQUENCES)
def test_decoded_paths(fitted, name):
    """In the form of Z, with the columns of fit's X."""
    X = SEQUENCES[name]
    estimator = fitted(name)
    Z = estimator.transform_steps(X)
    decoded = estimator.inverse_transform(Z)
    if isinstance(X, pd.DataFrame) or is_frames(X):
        assert_float_sequences(decoded, X)
    else:
        assert type(decoded) is (list if form_of(X) is list else form_of(X))
        assert lengths_of(decoded) == lengths_of(X)
        for table in decoded:
            assert numbers(table).shape[1] == D
            assert table.dtype == (torch.float32 if isinstance(table, torch.Tensor) else np.float32)
    reference = fitted("float64" if name in EQUAL else "ragged arrays")
    expected = reference.inverse_transform(tables(Z))
    assert_close(tables(decoded), tables(expected))


def test_decoded_paths_follow_z(fitted):
    """Z in another form than fit's X."""
    Z = np.random.RandomState(0).normal(size=(N, 3, 2))
    expected = fitted("float64").inverse_transform(Z)
    assert type(expected) is np.ndarray
    as_list = fitted("float64").inverse_transform([*Z[:2], Z[2, :1]])
    assert [x.shape for x in as_list] == [(3, D), (3, D), (1, D)]
    np.testing.assert_allclose(as_list[0], expected[0], **CLOSE)
    np.testing.assert_allclose(as_list[2], expected[2, :1], **CLOSE)
    tensor = fitted("tensor").inverse_transform(Z)
    assert type(tensor) is torch.Tensor
    frame = fitted("long").inverse_transform(Z)  # no array holds a frame's columns
    assert frame.index.names == ["sequence", "time"]
    assert frame.columns.tolist() == list("pqrs")
    np.testing.assert_allclose(frame, expected.reshape(-1, D), **CLOSE)
    index = pd.MultiIndex.from_product([["x", "y"], range(3)], names=["u", "v"])
    long_z = pd.DataFrame(Z[:2].reshape(-1, 2), index=index).iloc[::-1]
    frame = fitted("long").inverse_transform(long_z)
    assert_index_equal(frame.index, long_z.index)
    np.testing.assert_allclose(frame.iloc[::-1], expected[:2].reshape(-1, D), **CLOSE)
    assert type(fitted("float64").inverse_transform(torch.tensor(Z))) is np.ndarray
    rows = fitted("float64").inverse_transform(Z[:, 0])
    assert rows.shape == (N, D)
    np.testing.assert_allclose(rows, expected[:, 0], **CLOSE)


# --- completion ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEQUENCES)
def test_predictions(fitted, name):
    X = SEQUENCES[name]
    before = snapshot(X)
    estimator = fitted(name)
    reference, numbers_of_X = fitted("float64" if name in EQUAL else "ragged arrays"), CUT
    if name in EQUAL:
        numbers_of_X = VALUES
    for smooth in (True, False):
        results = estimator.predict(X, return_std=True, smooth=smooth)
        expected = reference.predict(numbers_of_X, return_std=True, smooth=smooth)
        assert type(results) is tuple
        for actual, moment in zip(results, expected, strict=True):
            assert_float_sequences(actual, X)
            assert_close(tables(actual), tables(moment), rtol=1e-4, atol=1e-3)
        assert_close(tables(estimator.predict(X, smooth=smooth)), tables(results[0]), rtol=0)
    assert_unchanged(X, before)


def split_stack(result, X, level, keys):
    """Stacked sequences, one by one: arrays by their first axis, frames by their outer level."""
    if isinstance(X, pd.DataFrame):
        assert result.index.names == [level, *X.index.names]
        assert result.index.get_level_values(level).unique().tolist() == keys
        return [result.xs(key, level=level) for key in keys]
    assert len(result) == len(keys)
    if form_of(X) is list:
        assert type(result) is list
        return result
    assert type(result) is form_of(X)
    return list(result)


@pytest.mark.parametrize("name", SEQUENCES)
def test_quantiles(fitted, name):
    X = SEQUENCES[name]
    estimator = fitted(name)
    single = estimator.predict_quantiles(X, 0.5)
    assert_float_sequences(single, X)
    several = split_stack(estimator.predict_quantiles(X, [0.1, 0.5, 0.9]), X, "quantile", [0.1, 0.5, 0.9])
    for result in several:
        assert_float_sequences(result, X)
    low, median, high = map(tables, several)
    assert_close(median, tables(single), rtol=0)
    assert all((a <= b).all() and (b <= c).all() for a, b, c in zip(low, median, high, strict=True))
    reference = fitted("float64" if name in EQUAL else "ragged arrays")
    expected = reference.predict_quantiles(VALUES if name in EQUAL else CUT, 0.5)
    assert_close(median, tables(expected), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", SEQUENCES)
def test_completions(fitted, name):
    X = SEQUENCES[name]
    before = snapshot(X)
    estimator = fitted(name)
    imputed = estimator.impute(X)
    assert_completed(imputed, X)
    for new, expected, values in zip(
        tables(imputed), tables(estimator.predict(X)), VALUES if name in EQUAL else CUT, strict=True
    ):
        missing = np.isnan(values)
        np.testing.assert_allclose(new[missing], expected[missing], rtol=1e-5)
    draws = split_stack(estimator.sample(2, given=X, random_state=0), X, "draw", [0, 1])
    for draw in draws:
        assert_completed(draw, X)
    missing = np.concatenate([np.isnan(x).ravel() for x in (VALUES if name in EQUAL else CUT)])
    first, second = (np.concatenate([x.ravel() for x in tables(draw)]) for draw in draws)
    assert (first[missing] != second[missing]).all()
    assert_unchanged(X, before)


# --- forecasts -------------------------------------------------------------------------------------------


def expected_times(name, X, n_steps):
    """Times that go on after each sequence's own, in the order in which the sequences first appear."""
    lengths = dict(zip(LABELS, [T] * N if name in EQUAL else LENGTHS, strict=True))
    order = X.index.get_level_values(0).unique()
    if "dates" in name:
        ahead = pd.date_range(DAYS[-1], periods=n_steps + 1, freq="2D")[1:]
        return [(label, time) for label in order for time in ahead]
    return [(label, lengths[label] + t) for label in order for t in range(n_steps)]


def assert_is_forecast(result, X, name, n_steps):
    if isinstance(X, pd.DataFrame):
        assert type(result) is pd.DataFrame
        assert result.index.names == X.index.names
        assert result.index.tolist() == expected_times(name, X, n_steps)
        assert_index_equal(result.columns, X.columns)
        return
    assert type(result) is form_of(X)
    if form_of(X) is not list:
        assert tuple(result.shape) == (N, n_steps, D)
        return
    assert len(result) == N
    for table, x in zip(result, X, strict=True):
        assert type(table) is table_form_of(x)
        assert tuple(table.shape) == (n_steps, D)
        if isinstance(x, pd.DataFrame):
            assert_index_equal(table.columns, x.columns)
            start = x.index[-1] + 1
            assert_index_equal(table.index, pd.RangeIndex(start, start + n_steps, name="when"), exact="equiv")


@pytest.mark.parametrize("name", SEQUENCES)
def test_forecasts(fitted, name):
    X = SEQUENCES[name]
    before = snapshot(X)
    estimator = fitted(name)
    mean, std = estimator.forecast(X, 3, return_std=True)
    reference, numbers_of_X = fitted("float64" if name in EQUAL else "ragged arrays"), CUT
    if name in EQUAL:
        numbers_of_X = VALUES
    expected = reference.forecast(numbers_of_X, 3, return_std=True)
    for actual, moment in zip((mean, std), expected, strict=True):
        assert_is_forecast(actual, X, name, 3)
        assert_float_sequences(actual, X, n_steps=3)
        assert_close(tables(actual), tables(moment), rtol=1e-4, atol=1e-3)
    assert_close(tables(estimator.forecast(X, 3)), tables(mean), rtol=0)
    assert_close([x[:1] for x in tables(mean)], tables(estimator.forecast(X, 1)), rtol=1e-4)
    assert_unchanged(X, before)


@pytest.mark.parametrize("name", SEQUENCES)
def test_forecast_quantiles(fitted, name):
    X = SEQUENCES[name]
    single = fitted(name).forecast(X, 2, quantiles=0.5)
    assert_is_forecast(single, X, name, 2)
    assert_float_sequences(single, X, n_steps=2)
    low, high = split_stack(fitted(name).forecast(X, 2, quantiles=[0.1, 0.9]), X, "quantile", [0.1, 0.9])
    for result in (low, high):
        assert_is_forecast(result, X, name, 2)
    assert all(
        (a <= b).all() and (b <= c).all() for a, b, c in zip(*map(tables, (low, single, high)), strict=True)
    )


def table_dtype(x):
    return x.dtype if hasattr(x, "dtype") else np.dtype(np.float64)


def dtypes_of(X):
    """Data types of sequences of any form, in the form in which results have them."""
    if isinstance(X, pd.DataFrame):
        return X.dtypes.tolist()
    if form_of(X) is list:
        return [x.dtypes.tolist() if isinstance(x, pd.DataFrame) else table_dtype(x) for x in X]
    return table_dtype(X)


@pytest.mark.parametrize("name", SEQUENCES)
def test_drawn_futures(fitted, name):
    """In the data types of X."""
    X = SEQUENCES[name]
    result = fitted(name).forecast(X, 2, n_samples=3, random_state=0)
    draws = split_stack(result, X, "draw", [0, 1, 2])
    for draw in draws:
        assert_is_forecast(draw, X, name, 2)
        assert all(np.isfinite(x).all() for x in tables(draw))
    if name != "list of nested lists and arrays":
        assert dtypes_of(draws[0]) == dtypes_of(X)
    first, second = (np.concatenate(tables(draw)) for draw in draws[:2])
    assert (first != second).all()
    again = fitted(name).forecast(X, 2, n_samples=3, random_state=0)
    assert_close(tables(split_stack(again, X, "draw", [0, 1, 2])[1]), tables(draws[1]), rtol=0)


# --- new sequences ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("n_steps", [None, 1, 7])
def test_new_sequences(fitted, name, n_steps):
    """In the form and data types of fit's X; of the median length, if not told otherwise."""
    X = SEQUENCES[name]
    new = fitted(name).sample(3, random_state=0, n_steps=n_steps)
    usual = T if name in EQUAL else round(np.median(LENGTHS))
    n_steps = n_steps or usual
    assert type(new) is form_of(X)
    if isinstance(X, pd.DataFrame):
        assert new.index.names == ["who", "when"]
        assert new.index.tolist() == [(i, t) for i in range(3) for t in range(n_steps)]
        assert new.dtypes.equals(X.dtypes)
        assert_index_equal(new.columns, X.columns)
        assert np.isfinite(numbers(new)).all()
        return
    assert len(new) == 3
    for table in new:
        assert tuple(table.shape) == (n_steps, D)
        assert np.isfinite(numbers(table)).all()
    if name != "list of nested lists and arrays":
        assert dtypes_of(new) == (dtypes_of(X)[:3] if form_of(X) is list else dtypes_of(X))
    if is_frames(X):
        assert_index_equal(new[0].columns, X[0].columns)
        assert_index_equal(new[0].index, pd.RangeIndex(n_steps))


# --- likelihood ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEQUENCES)
def test_scores(fitted, name):
    X = SEQUENCES[name]
    scores = fitted(name).score_samples(X)
    assert type(scores) is np.ndarray
    assert scores.dtype == np.float32
    assert scores.shape == (N,)
    assert type(fitted(name).score(X)) is float
    labels = X.index.get_level_values(0).unique() if isinstance(X, pd.DataFrame) else LABELS
    assert scores[labels.get_loc("bob")] == 0  # of whom nothing is known
    reference = fitted("float64" if name in EQUAL else "ragged arrays")
    expected = pd.Series(reference.score_samples(VALUES if name in EQUAL else CUT), index=LABELS)
    np.testing.assert_allclose(scores, expected[labels], rtol=1e-3, atol=1e-2)


# --- streaming -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["array", "float32", "list", "tensor", "masked", "objects"])
def test_steps_of_a_filter(fitted, form):
    estimator = fitted("float64")
    x = VALUES[:, 0]
    given = {
        "array": x,
        "float32": x.astype(np.float32),
        "list": x.tolist(),
        "tensor": torch.tensor(x),
        "masked": MASKED[:, 0],
        "objects": np.where(np.isnan(x), None, x.astype(object)),
    }[form]
    state = estimator.initial_state(N)
    assert state.n_sequences == N
    z, after = estimator.step(given, state)
    assert type(z) is np.ndarray
    assert z.dtype == np.float32
    assert after.n_sequences == N
    np.testing.assert_allclose(z, estimator.transform_steps(VALUES, smooth=False)[:, 0], **CLOSE)


@pytest.mark.parametrize("name", ["long", "long with levels", "list of frames", "long with dates"])
def test_steps_of_a_filter_of_frames(fitted, name):
    estimator, X = fitted(name), SEQUENCES[name]
    columns = X[0].columns if is_frames(X) else X.columns
    state, Z = estimator.initial_state(N), []
    for t in range(T):
        z, state = estimator.step(pd.DataFrame(VALUES[:, t], columns=columns, index=LABELS), state)
        assert type(z) is np.ndarray
        Z.append(z)
    expected = tables(estimator.transform_steps(X, smooth=False))
    np.testing.assert_allclose(np.stack(Z, axis=1), np.stack(expected), **CLOSE)


def test_initial_state(fitted):
    assert fitted("float64").initial_state().n_sequences == 1
    assert all(tensor.shape == (2, 4) for tensor in fitted("float64").initial_state(2).tensors)


# --- plain tables: sequences of one step -----------------------------------------------------------------

ROWS = VALUES[:, 0]
FRAME = pd.DataFrame(ROWS, index=LABELS, columns=list("pqrs"))
TABLES = {"array": ROWS, "tensor": torch.tensor(ROWS), "list": ROWS.tolist(), "frame": FRAME}


@pytest.fixture(scope="module")
def of_tables():
    cache = {}

    def fit(name):
        if name not in cache:
            cache[name] = make().fit(TABLES[name])
        return cache[name]

    return fit


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_sequences_of_one_step(of_tables, name):
    X = TABLES[name]
    estimator, reference, cube = of_tables(name), make().fit(ROWS[:, None]), ROWS[:, None]
    form = np.ndarray if isinstance(X, list) else type(X)
    Z = estimator.transform(X)
    assert Z.shape == (N, 2)
    assert type(Z) is np.ndarray
    np.testing.assert_allclose(Z, reference.transform(cube), **CLOSE)
    steps = estimator.transform_steps(X)
    assert type(steps) is (pd.DataFrame if name == "frame" else np.ndarray)
    np.testing.assert_allclose(steps, Z, **CLOSE)
    mean, std = estimator.predict(X, return_std=True)
    completed, median = estimator.impute(X), estimator.predict_quantiles(X, 0.5)
    for result in (mean, std, completed, median):
        assert type(result) is form
        assert result.shape == (N, D)
        if name == "frame":
            assert_index_equal(result.index, LABELS)
            assert_index_equal(result.columns, X.columns)
    np.testing.assert_allclose(numbers(mean), reference.predict(cube)[:, 0], **CLOSE)
    np.testing.assert_allclose(estimator.score_samples(X), reference.score_samples(cube), rtol=1e-3)
    quantiles, draws = (
        estimator.predict_quantiles(X, [0.1, 0.9]),
        estimator.sample(2, given=X, random_state=0),
    )
    if name == "frame":
        assert quantiles.index.names == ["quantile", "who"]
        assert draws.index.names == ["draw", "who"]
    else:
        assert quantiles.shape == draws.shape == (2, N, D)
    decoded = estimator.inverse_transform(steps)
    assert type(decoded) is form
    assert decoded.shape == (N, D)
    if name == "frame":
        assert_index_equal(decoded.index, LABELS)


@pytest.mark.parametrize("name", TABLES)
def test_forecasts_of_tables(of_tables, name):
    X = TABLES[name]
    mean, std = of_tables(name).forecast(X, 3, return_std=True)
    draws = of_tables(name).forecast(X, 3, n_samples=2, random_state=0)
    if name == "frame":
        for result in (mean, std):
            assert result.index.tolist() == [(label, t) for label in LABELS for t in (1, 2, 3)]
            assert result.index.names == ["who", "time"]
        assert draws.index.names == ["draw", "who", "time"]
        assert draws.dtypes.equals(X.dtypes)
    else:
        assert mean.shape == std.shape == (N, 3, D)
        assert draws.shape == (2, N, 3, D)
        assert type(mean) is type(draws) is (torch.Tensor if name == "tensor" else np.ndarray)


@pytest.mark.parametrize("name", TABLES)
def test_new_rows(of_tables, name):
    X = TABLES[name]
    new, longer = of_tables(name).sample(4, random_state=0), of_tables(name).sample(4, n_steps=3)
    if name == "frame":
        assert_index_equal(new.index, pd.RangeIndex(4))
        assert new.dtypes.equals(X.dtypes)
        assert longer.index.tolist() == [(i, t) for i in range(4) for t in range(3)]
        assert longer.index.names == ["sequence", "time"]
    else:
        assert new.shape == (4, D)
        assert longer.shape == (4, 3, D)


# --- categories and flags --------------------------------------------------------------------------------


def make_mixed():
    """Frames of numbers, whole numbers, flags, categories with and without an order, and text."""
    rng = np.random.RandomState(0)
    found = []
    for i, n in enumerate([4, 6, 1, 5, 3, 6, 4, 5]):
        walk = rng.normal(size=n).cumsum()
        frame = pd.DataFrame(
            {
                ("a", "number"): walk + 0.1 * rng.normal(size=n),
                ("a", "flag"): pd.array(walk > 0, dtype="boolean"),
                ("b", "kind"): pd.Categorical(np.where(walk > 0, "x", np.where(walk < -1, "y", "z"))),
                ("b", "size"): pd.Categorical(
                    np.where(walk > 0, "small", "large"), categories=["small", "large"], ordered=True
                ),
                ("b", "count"): pd.array(np.round(5 + walk).astype(int), dtype="Int64"),
                ("b", "text"): np.where(walk > 0, "up", "down").astype(object),
            },
            index=pd.RangeIndex(10 * i, 10 * i + n),
        )
        frame[("b", "kind")] = frame[("b", "kind")].cat.set_categories(list("xyz"))
        found.append(frame.mask(rng.uniform(size=frame.shape) < 0.2))
    return found


MIXED = make_mixed()
CATEGORIES = [
    ("a", "flag", False),
    ("a", "flag", True),
    ("b", "kind", "x"),
    ("b", "kind", "y"),
    ("b", "kind", "z"),
    ("b", "size", "small"),
    ("b", "size", "large"),
    ("b", "text", "down"),
    ("b", "text", "up"),
]


@pytest.fixture(scope="module")
def of_mixed():
    as_list = make(modalities=None).fit(MIXED)
    as_long = make(modalities=None).fit(to_long(MIXED))
    return {"list": (as_list, MIXED), "long": (as_long, to_long(MIXED))}


@pytest.mark.parametrize("form", ["list", "long"])
def test_probabilities_of_categories(of_mixed, form):
    """One frame, whatever the form of X: with its index, or sequences and steps counted."""
    estimator, X = of_mixed[form]
    probabilities = estimator.predict_category_proba(X)
    assert probabilities.columns.tolist() == CATEGORIES
    if form == "long":
        assert_index_equal(probabilities.index, X.index)
    else:
        assert probabilities.index.names == ["sequence", "time"]
        assert probabilities.index.tolist() == [(i, t) for i, x in enumerate(X) for t in range(len(x))]
    assert ((probabilities > 0) & (probabilities < 1)).all(axis=None)
    sums = probabilities.T.groupby(level=[0, 1]).sum().T
    np.testing.assert_allclose(sums, 1, rtol=1e-5)
    mean = estimator.predict(X)
    mean = pd.concat(mean) if form == "list" else mean
    np.testing.assert_allclose(probabilities["a", "flag", True], mean["a", "flag"], rtol=1e-6)
    assert (probabilities["b", "kind"].idxmax(axis=1).to_numpy() == mean["b", "kind"].to_numpy()).all()


def test_probabilities_do_not_depend_on_the_form(of_mixed):
    first, second = (estimator.predict_category_proba(X) for estimator, X in of_mixed.values())
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


def test_probabilities_of_arrays():
    flags = np.where(MISSING, NAN, VALUES > np.nanmedian(VALUES, axis=(0, 1)))
    for X, names in ((flags, ["sequence", "time"]), (flags[:, 0], [None])):
        estimator = make(likelihood="bernoulli").fit(X)
        probabilities = estimator.predict_category_proba(X)
        assert probabilities.index.names == names
        assert len(probabilities) == X.shape[0] * (X.shape[1] if X.ndim == 3 else 1)
        expected = np.reshape(estimator.predict(X), (-1, D))
        np.testing.assert_allclose(probabilities.xs(1, level="category", axis=1), expected, rtol=1e-5)


@pytest.mark.parametrize("form", ["list", "long"])
def test_mixed_types_stay_what_they_are(of_mixed, form):
    estimator, X = of_mixed[form]
    results = {
        "impute": [estimator.impute(X)],
        "sample given": split_stack(estimator.sample(2, given=X, random_state=0), X, "draw", [0, 1]),
        "forecast": split_stack(estimator.forecast(X, 2, n_samples=2, random_state=0), X, "draw", [0, 1]),
        "sample": [estimator.sample(3, random_state=0)],
    }
    for name, found in results.items():
        for result in found:
            parts = result if form == "list" else [result]
            for part in parts:
                assert part.dtypes.equals(MIXED[0].dtypes), name
                assert_index_equal(part.columns, MIXED[0].columns)
                assert part.notna().all(axis=None), name
                assert set(part["b", "text"]) <= {"up", "down"}, name
                assert {type(value) for value in part["b", "text"]} == {str}, name


@pytest.mark.parametrize("form", ["list", "long"])
def test_predictions_of_mixed_types(of_mixed, form):
    estimator, X = of_mixed[form]
    for mean, std in (estimator.predict(X, return_std=True), estimator.forecast(X, 2, return_std=True)):
        for part in mean if form == "list" else [mean]:
            assert part["a", "flag"].dtype == np.float32
            assert part["b", "kind"].dtype == MIXED[0]["b", "kind"].dtype
            assert part["b", "size"].cat.ordered
            assert part["b", "count"].dtype == np.float32
        for part in std if form == "list" else [std]:
            assert (part.dtypes == np.float32).all()
            assert (part >= 0).all(axis=None)
    median = estimator.predict_quantiles(X, 0.5)
    for part in median if form == "list" else [median]:
        assert part["b", "kind"].isna().all()  # has no order, and so no quantiles
        assert part["b", "size"].isin(["small", "large"]).all()


# --- across containers -----------------------------------------------------------------------------------


def test_results_follow_the_form_of_the_call_not_that_of_fit(fitted):
    for name in ("float32", "masked", "tensor", "nested list", "list of arrays", "ragged arrays"):
        X = SEQUENCES[name]
        assert_float_sequences(fitted("float64").predict(X), X)
        assert_completed(fitted("float64").impute(X), X)
        assert_is_forecast(fitted("float64").forecast(X, 2), X, name, 2)
    for name in ("long", "list of frames", "long shuffled with dates", "ragged long"):
        X = SEQUENCES[name]
        assert_float_sequences(fitted("long").predict(X), X)
        assert_completed(fitted("long").impute(X), X)
        assert_is_forecast(fitted("long").forecast(X, 2), X, name, 2)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        assert_completed(fitted("long").impute(VALUES), VALUES)


def test_conversions_change_nothing(fitted):
    """The list and the long frame of the same sequences say the same."""
    X = SEQUENCES["ragged long"]
    ragged = to_ragged(X)
    assert_close(tables(fitted("long").predict(ragged)), tables(fitted("long").predict(X)))
    np.testing.assert_allclose(fitted("long").transform(ragged), fitted("long").transform(X), **CLOSE)
    assert_frame_equal(
        fitted("long").predict(to_long(ragged, labels=LABELS)), fitted("long").predict(X), check_names=False
    )


def test_separate_modalities_from_start_to_end():
    sound = [x[:, :2] for x in CUT]
    film = [x[:, 2:] if i % 2 else None for i, x in enumerate(CUT)]
    X = stack_modalities({"sound": sound, "film": film})
    estimator = make(modalities=None).fit(X)
    assert estimator.layout_.names == ("sound", "film")
    completed = estimator.impute(X)
    for new, old in zip(completed, X, strict=True):
        assert_index_equal(new.columns, old.columns)
        assert new.notna().all(axis=None)
        assert_frame_equal(new.where(old.notna()), old)


@pytest.mark.parametrize("name", ["float64", "tensor", "list of arrays", "list of frames", "long"])
def test_one_sequence(fitted, name):
    X = SEQUENCES[name]
    one = X.loc[["ann"]] if isinstance(X, pd.DataFrame) else X[1:2]
    estimator = fitted(name)
    expected = tables(estimator.predict(X))[1]
    assert_close(tables(estimator.predict(one)), [expected])
    assert estimator.transform(one).shape == (1, 2)
    assert estimator.score_samples(one).shape == (1,)
    assert len(tables(estimator.forecast(one, 2))) == 1


@pytest.mark.parametrize("name", ["long", "long with dates", "ragged long"])
def test_order_of_rows_does_not_matter_in_fit(fitted, name):
    """Only that in which sequences first appear."""
    X = SEQUENCES[name]
    backwards = pd.concat([x.iloc[::-1] for _, x in X.groupby(level=0, sort=False)])
    interleaved = X.iloc[np.argsort(X.index.get_level_values(1), kind="stable")]
    for moved in (backwards, interleaved):
        assert not moved.index.equals(X.index)
        assert moved.index.get_level_values(0).unique().equals(LABELS)
        assert_frame_equal(make().fit(moved).predict(X), fitted(name).predict(X))


def test_gaps_between_times_are_no_steps(fitted):
    """Times only say the order: a frame with times 0, 5, 7 has three steps."""
    X = long([x[:3] for x in VALUES], times=[0, 5, 7])
    expected = fitted("long").transform(long([x[:3] for x in VALUES]))
    np.testing.assert_allclose(fitted("long").transform(X), expected, **CLOSE)
    times = fitted("long").forecast(X, 2).index.get_level_values(1)
    assert times.tolist() == [9, 11] * N  # the steps 5 and 2 are as frequent: the smaller goes on
