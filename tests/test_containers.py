"""What goes in comes out: every container through every public method of a fitted estimator."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal, assert_index_equal
from scipy import sparse
from sklearn.compose import make_column_selector

from skmm import MultimodalVAE, hide, keep, stack_modalities

NAN = np.nan
N_ROWS, N_COLUMNS = 24, 5
MODALITIES = {"a": [0, 1], "b": [2, 3], "c": [4]}


def make_values(seed=0):
    """Whole modalities and single cells are missing, and one row has nothing; exact in float32."""
    rng = np.random.RandomState(seed)
    factor = rng.normal(size=(N_ROWS, 1))
    values = factor * [1, 2, -1, 20, 0.5] + 0.2 * rng.normal(size=(N_ROWS, N_COLUMNS)) + [0, 1, -5, 300, 0]
    values[rng.uniform(size=values.shape) < 0.1] = NAN
    for columns in MODALITIES.values():
        values[np.ix_(rng.uniform(size=N_ROWS) < 0.2, columns)] = NAN
    values[3] = NAN
    return values.astype(np.float32).astype(np.float64)


VALUES = make_values()
MISSING = np.isnan(VALUES)
ROUNDED = np.round(VALUES)
FLAGS = np.where(MISSING, NAN, VALUES > np.nanmedian(VALUES, axis=0))
POINTS = np.linspace(-1, 1, 8).reshape(4, 2)


def make(**parameters):
    """An estimator that fits in a few hundredths of a second."""
    settings = {
        "n_components": 2,
        "hidden_layer_sizes": (4,),
        "max_iter": 2,
        "n_draws": 4,
        "random_state": 0,
        "modalities": MODALITIES,
    }
    return MultimodalVAE(**(settings | parameters))


def with_missing(values, missing, convert=float):
    """An object array of Python numbers."""
    out = np.full(values.shape, missing, dtype=object)
    out[~np.isnan(values)] = [convert(value) for value in values[~np.isnan(values)]]
    return out


def read_only(values):
    values = values.copy()
    values.flags.writeable = False
    return values


def masked(values, beneath, dtype=None):
    return np.ma.masked_array(np.where(np.isnan(values), beneath, values), mask=np.isnan(values), dtype=dtype)


def frame(values, columns=("p", "q", "r", "s", "t"), index=None, dtype=None):
    return pd.DataFrame(values, columns=list(columns), index=index, dtype=dtype)


STRINGS = pd.Index([f"row{i}" for i in range(N_ROWS)][::-1], name="who")
REPEATED = pd.Index(np.arange(N_ROWS) // 3)
SEVERAL = pd.MultiIndex.from_product([["u", "v"], range(N_ROWS // 2)], names=["subject", "visit"])
LEVELS = pd.MultiIndex.from_tuples(
    [("a", "p"), ("a", "q"), ("b", "r"), ("b", "s"), ("c", "t")], names=["modality", "feature"]
)

# container, and the numbers in it
ARRAYS = {
    "float64": (VALUES, VALUES),
    "float32": (VALUES.astype(np.float32), VALUES),
    "int": (np.nan_to_num(ROUNDED).astype(int), np.nan_to_num(ROUNDED)),
    "int8": (np.nan_to_num(ROUNDED).clip(-100, 100).astype(np.int8), np.nan_to_num(ROUNDED).clip(-100, 100)),
    "bool": (FLAGS == 1, (FLAGS == 1).astype(float)),
    "object with None": (with_missing(VALUES, None), VALUES),
    "object with NA": (with_missing(VALUES, pd.NA), VALUES),
    "object of flags": (with_missing(FLAGS, None, bool), FLAGS),
    "Fortran order": (np.asfortranarray(VALUES), VALUES),
    "read-only": (read_only(VALUES), VALUES),
    "negative strides": (VALUES[::-1, ::-1].copy()[::-1, ::-1], VALUES),
    "list of rows": (VALUES.tolist(), VALUES),
    "list of rows with None": (with_missing(VALUES, None).tolist(), VALUES),
    "masked": (masked(VALUES, 1e6), VALUES),
    "masked inf": (masked(VALUES, np.inf), VALUES),
    "masked float32": (masked(VALUES, -7, np.float32), VALUES),
    "masked int": (masked(ROUNDED, 99, int), ROUNDED),
    "masked bool": (masked(FLAGS, 1, bool), FLAGS),
    "tensor": (torch.tensor(VALUES), VALUES),
    "float32 tensor": (torch.tensor(VALUES, dtype=torch.float32), VALUES),
    "tensor with gradient": (torch.tensor(VALUES, requires_grad=True), VALUES),
    "int tensor": (torch.tensor(np.nan_to_num(ROUNDED).astype(int)), np.nan_to_num(ROUNDED)),
}
MIXED = pd.DataFrame(
    {
        "flag": with_missing(FLAGS[:, 0], None, bool),
        "number": VALUES[:, 1],
        "whole": pd.array(with_missing(ROUNDED[:, 2], pd.NA), dtype="Int16"),
        "certain": np.nan_to_num(VALUES[:, 3]) > 0,
        "answer": pd.array(with_missing(FLAGS[:, 4], pd.NA, bool), dtype="boolean"),
    },
    index=REPEATED,
)
MIXED_VALUES = np.column_stack(
    [FLAGS[:, 0], VALUES[:, 1], ROUNDED[:, 2], np.nan_to_num(VALUES[:, 3]) > 0, FLAGS[:, 4]]
)
FRAMES = {
    "frame": (frame(VALUES), VALUES),
    "frame of float32": (frame(VALUES, dtype="float32"), VALUES),
    "frame of Float64": (frame(VALUES, dtype="Float64"), VALUES),
    "frame of Int64": (frame(with_missing(ROUNDED, pd.NA), dtype="Int64"), ROUNDED),
    "frame of boolean": (frame(with_missing(FLAGS, pd.NA, bool), dtype="boolean"), FLAGS),
    "frame of bool": (frame(FLAGS == 1), (FLAGS == 1).astype(float)),
    "frame of objects": (frame(with_missing(VALUES, None), dtype=object), VALUES),
    "frame of flags": (frame(with_missing(FLAGS, None, bool), dtype=object), FLAGS),
    "frame of several types": (MIXED, MIXED_VALUES),
    "string index": (frame(VALUES, index=STRINGS), VALUES),
    "repeated index": (frame(VALUES, index=REPEATED), VALUES),
    "index of several levels": (frame(VALUES, index=SEVERAL), VALUES),
    "int columns": (frame(VALUES, columns=[9, 7, 5, 3, 1]), VALUES),
    "columns of several levels": (frame(VALUES, index=STRINGS).set_axis(LEVELS, axis=1), VALUES),
}
TABLES = ARRAYS | FRAMES
POSITIONS = {"a": slice(0, 2), "b": slice(2, 4), "c": slice(4, None)}  # in every kind of table


@pytest.fixture(scope="module")
def fitted():
    """Estimators by the name of their table; shared, because nothing but fit may change them."""
    cache = {}

    def fit(name):
        if name not in cache:
            cache[name] = make(modalities=POSITIONS).fit(TABLES[name][0])
        return cache[name]

    return fit


def numbers(result):
    if isinstance(result, torch.Tensor):
        result = result.detach().numpy()
    if isinstance(result, pd.DataFrame):
        return result.to_numpy(dtype=np.float64, na_value=NAN).copy()
    return np.ma.filled(np.ma.asarray(result).astype(np.float64), NAN)


def form_of(X):
    return np.ndarray if isinstance(X, list) else type(X)


def dtype_of(X):
    return np.float64 if isinstance(X, list) else X.dtype


def assert_same_labels(result, X):
    assert_index_equal(result.index, X.index, exact="equiv")
    assert_index_equal(result.columns, X.columns, exact=True)


def assert_is_float_table(result, X):
    """Expected values and the like: in the form of X, as float32."""
    assert type(result) is form_of(X)
    assert numbers(result).shape == (N_ROWS, N_COLUMNS)
    assert np.isfinite(numbers(result)).all()
    if isinstance(X, pd.DataFrame):
        assert_same_labels(result, X)
        assert (result.dtypes == np.float32).all()
    else:
        assert result.dtype == (torch.float32 if isinstance(X, torch.Tensor) else np.float32)


def assert_is_complete(result, X, values):
    """Values in the data types of X, those that were observed bit by bit as they were."""
    assert type(result) is form_of(X)
    observed = ~np.isnan(values)
    if isinstance(X, pd.DataFrame):
        assert_same_labels(result, X)
        assert result.dtypes.equals(X.dtypes)
        assert not result.isna().any(axis=None)
        new, old = result.to_numpy(object), X.to_numpy(object)
    else:
        assert result.dtype == dtype_of(X)
        assert not np.ma.getmaskarray(np.ma.asarray(result)).any()
        new, old = numbers(result), values
        assert np.isfinite(new).all()
    assert new[observed].tolist() == old[observed].tolist()
    assert list(map(type, new[observed].tolist())) == list(map(type, old[observed].tolist()))


def snapshot(X):
    """A copy, and how the memory is laid out."""
    flags = (X.flags.writeable, X.strides) if isinstance(X, np.ndarray) else None
    return X.copy(deep=True) if isinstance(X, pd.DataFrame) else copy.deepcopy(X), flags


def assert_unchanged(X, before):
    before, flags = before
    if isinstance(X, pd.DataFrame):
        assert_frame_equal(X, before, check_exact=True)
        assert_same_labels(X, before)
    elif isinstance(X, list):
        assert repr(X) == repr(before)
    elif isinstance(X, torch.Tensor):
        assert (X.requires_grad, X.grad) == (before.requires_grad, None)
        np.testing.assert_array_equal(numbers(X), numbers(before))
    else:
        assert (X.flags.writeable, X.strides) == flags
        assert repr(np.ma.getdata(X).tolist()) == repr(np.ma.getdata(before).tolist())
        np.testing.assert_array_equal(np.ma.getmaskarray(X), np.ma.getmaskarray(before))


# --- in -> out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_fit_and_transform_read_the_numbers(fitted, name):
    """Whatever holds them, the same numbers of the same types give the same features."""
    X, values = TABLES[name]
    estimator = fitted(name)
    assert estimator.n_features_in_ == N_COLUMNS
    features = estimator.transform(X)
    assert features.shape == (N_ROWS, 2)
    assert features.dtype == np.float32
    kinds = np.array(estimator.layout_.kinds)
    plain = frame(values).astype({"pqrst"[j]: "boolean" for j in np.flatnonzero(kinds == "binary")})
    expected = make(modalities=POSITIONS).fit(plain)
    np.testing.assert_allclose(features, expected.transform(plain), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        numbers(estimator.predict(X)), numbers(expected.predict(plain)), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", TABLES)
def test_predictions_look_like_X(fitted, name):
    X, _ = TABLES[name]
    estimator = fitted(name)
    assert_is_float_table(estimator.predict(X), X)
    mean, std = estimator.predict(X, return_std=True)
    assert_is_float_table(mean, X)
    assert_is_float_table(std, X)
    assert (numbers(std) >= 0).all()
    flags = np.array(estimator.layout_.kinds) == "binary"
    assert ((numbers(mean)[:, flags] >= 0) & (numbers(mean)[:, flags] <= 1)).all()


@pytest.mark.parametrize("name", TABLES)
def test_quantiles_look_like_X(fitted, name):
    X, _ = TABLES[name]
    estimator = fitted(name)
    assert_is_float_table(estimator.predict_quantiles(X, 0.5), X)
    several = estimator.predict_quantiles(X, [0.1, 0.5, 0.5])
    if isinstance(X, pd.DataFrame):
        assert several.index.names == ["quantile", *X.index.names]
        assert several.index.get_level_values("quantile").unique().tolist() == [0.1, 0.5]
        assert several.index[:N_ROWS].droplevel("quantile").equals(X.index)
        tables = [several.iloc[i * N_ROWS : (i + 1) * N_ROWS].droplevel("quantile") for i in range(3)]
    else:
        assert several.shape == (3, N_ROWS, N_COLUMNS)
        tables = list(several)
    for table in tables:
        assert_is_float_table(table, X)
    low, median, again = map(numbers, tables)
    assert (low <= median).all()
    np.testing.assert_array_equal(median, again)


@pytest.mark.parametrize("name", TABLES)
def test_impute_completes_X_in_its_own_types(fitted, name):
    X, values = TABLES[name]
    before = snapshot(X)
    estimator = fitted(name)
    completed = estimator.impute(X)
    assert_is_complete(completed, X, values)
    assert_unchanged(X, before)
    expected, flags = numbers(estimator.predict(X)), np.array(estimator.layout_.kinds) == "binary"
    expected[:, flags] = expected[:, flags] >= 0.5
    whole = [
        pd.api.types.is_integer_dtype(dtype) for dtype in (column.dtype for column in estimator.layout_.types)
    ]
    expected[:, whole] = np.round(expected[:, whole])
    missing = np.isnan(values)
    np.testing.assert_allclose(numbers(completed)[missing], expected[missing], rtol=1e-5)


@pytest.mark.parametrize("name", TABLES)
def test_new_rows_look_like_the_table_of_fit(fitted, name):
    X, _ = TABLES[name]
    rows = fitted(name).sample(7, random_state=0)
    assert type(rows) is form_of(X)
    assert numbers(rows).shape == (7, N_COLUMNS)
    assert np.isfinite(numbers(rows)).all()
    if isinstance(X, pd.DataFrame):
        assert rows.columns.identical(X.columns)
        assert rows.dtypes.equals(X.dtypes)
        assert rows.index.equals(pd.RangeIndex(7))
    else:
        assert rows.dtype == dtype_of(X)
    for j, kind in enumerate(fitted(name).layout_.kinds):
        if kind == "binary":
            assert set(numbers(rows)[:, j]) <= {0.0, 1.0}


@pytest.mark.parametrize("name", TABLES)
def test_draws_complete_X_in_its_own_types(fitted, name):
    X, values = TABLES[name]
    before = snapshot(X)
    draws = fitted(name).sample(3, given=X, random_state=0)
    if isinstance(X, pd.DataFrame):
        assert draws.index.names == ["draw", *X.index.names]
        tables = [draws.loc[draw] for draw in range(3)]
    else:
        assert draws.shape == (3, N_ROWS, N_COLUMNS)
        tables = list(draws)
    for table in tables:
        assert_is_complete(table, X, values)
    if np.isnan(values).any():
        assert not np.array_equal(numbers(tables[0]), numbers(tables[1]))
    assert_unchanged(X, before)


@pytest.mark.parametrize("name", TABLES)
def test_decoded_points_look_like_the_table_of_fit(fitted, name):
    X, _ = TABLES[name]
    decoded = fitted(name).inverse_transform(POINTS)
    assert type(decoded) is form_of(X)
    assert numbers(decoded).shape == (4, N_COLUMNS)
    assert np.isfinite(numbers(decoded)).all()
    if isinstance(X, pd.DataFrame):
        assert decoded.columns.identical(X.columns)
        assert (decoded.dtypes == np.float32).all()
        points = pd.DataFrame(POINTS, index=list("wxyz"))
        assert fitted(name).inverse_transform(points).index.tolist() == list("wxyz")
    else:
        assert decoded.dtype == (torch.float32 if isinstance(X, torch.Tensor) else np.float32)


@pytest.mark.parametrize("points", [POINTS.tolist(), tuple(map(tuple, POINTS)), torch.tensor(POINTS)])
def test_points_may_be_a_list_or_a_tensor(fitted, points):
    estimator = fitted("frame")
    assert_frame_equal(estimator.inverse_transform(points), estimator.inverse_transform(POINTS))


@pytest.mark.parametrize("name", TABLES)
def test_no_method_changes_X(name):
    X = TABLES[name][0]
    before = snapshot(X)
    estimator = make(modalities=POSITIONS).fit(X)
    estimator.score(X)
    estimator.posterior_moments(X)
    for result in (
        estimator.predict(X),
        estimator.impute(X),
        estimator.predict_quantiles(X, 0.5),
        estimator.sample(1, given=X, random_state=0),
        hide(X, "a", modalities=POSITIONS),
        keep(X, "a", modalities=POSITIONS),
    ):
        table = result.iloc if isinstance(result, pd.DataFrame) else result.reshape(N_ROWS, N_COLUMNS)
        table[1:] = table[:1]  # writing to what came out does not change X either
    assert_unchanged(X, before)


def test_memmap(tmp_path):
    mapped = np.memmap(tmp_path / "X", dtype=np.float64, mode="w+", shape=VALUES.shape)
    mapped[:] = VALUES
    mapped.flush()
    X = np.memmap(tmp_path / "X", dtype=np.float64, mode="r", shape=VALUES.shape)
    estimator = make().fit(X)
    np.testing.assert_array_equal(estimator.transform(X), make().fit(VALUES).transform(VALUES))
    for result in (estimator.predict(X), estimator.impute(X), estimator.sample(2, given=X)):
        assert type(result) is np.ndarray
        assert np.isfinite(result).all()
        assert result.flags.writeable


def test_results_follow_the_table_of_the_call_not_that_of_fit(fitted):
    """Fit on one kind of table, ask with another."""
    for name in ("float32", "masked", "tensor", "list of rows", "float64"):
        assert_is_float_table(fitted("float64").predict(TABLES[name][0]), TABLES[name][0])
        assert_is_complete(fitted("float64").impute(TABLES[name][0]), *TABLES[name])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        assert_is_complete(fitted("frame").impute(VALUES), VALUES, VALUES)
    with pytest.warns(UserWarning, match="X has feature names, but"):
        assert_is_complete(
            fitted("float64").impute(frame(VALUES, index=STRINGS)), frame(VALUES, index=STRINGS), VALUES
        )
    other_types = frame(VALUES, dtype="Float64", index=STRINGS)
    assert_is_complete(fitted("frame").impute(other_types), other_types, VALUES)
    assert type(fitted("columns of several levels").impute(VALUES)) is np.ndarray


def test_flags_stay_flags_in_every_column_type(fitted):
    """A column without a value, or of 0.0 and 1.0, is completed as the flags that fit saw."""
    estimator = fitted("frame of flags")
    empty = frame(np.full((2, N_COLUMNS), None), dtype=object)
    assert {type(value) for value in estimator.impute(empty).to_numpy().ravel()} == {bool}
    as_numbers = frame(FLAGS)
    completed = estimator.impute(as_numbers)
    assert_is_complete(completed, as_numbers, FLAGS)
    assert np.isin(completed, [0.0, 1.0]).all()
    with pytest.raises(ValueError, match=r"column 'q' holds 0\.5"):
        estimator.impute(as_numbers.assign(q=0.5))


def test_one_row(fitted):
    for name, (X, values) in TABLES.items():
        row = X.iloc[3:4] if isinstance(X, pd.DataFrame) else X[3:4]  # with nothing in it, where that can be
        assert numbers(fitted(name).impute(row)).shape == (1, N_COLUMNS), name
        assert np.isfinite(numbers(fitted(name).impute(row))).all(), name
        if np.isnan(values[3]).all():
            np.testing.assert_array_equal(fitted(name).transform(row), np.zeros((1, 2)), err_msg=name)


def test_order_and_gaps_of_columns_within_modalities():
    """Results are in the user's order of columns, however the modalities cut them."""
    scattered = {"z": ["t", "p"], "y": ["r"], "x": ["s", "q"]}
    X = frame(VALUES, index=STRINGS)
    estimator = make(modalities=scattered).fit(X)
    assert_is_float_table(estimator.predict(X), X)
    assert_is_complete(estimator.impute(X), X, VALUES)
    together = make(modalities={"z": [0, 1], "y": [2], "x": [3, 4]}).fit(VALUES[:, [4, 0, 2, 3, 1]])
    moved = together.predict(VALUES[:, [4, 0, 2, 3, 1]])[:, [1, 4, 2, 3, 0]]
    np.testing.assert_allclose(estimator.predict(X), moved, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("X", "modalities"),
    [
        (VALUES, {"a": [0, 1], "b": (2, 3), "c": 4}),
        (VALUES, {"a": [-5, -4], "b": np.array([2, 3]), "c": -1}),
        (VALUES, {"a": slice(2), "b": slice(2, -1), "c": slice(4, 5)}),
        (VALUES, {"a": [True, True, False, False, False], "b": np.arange(5) % 5 // 2 == 1, "c": lambda X: 4}),
        (VALUES, lambda X: MODALITIES),
        (FRAMES["frame"][0], {"a": ["p", "q"], "b": pd.Index(["r", "s"]), "c": "t"}),
        (FRAMES["frame"][0], {"a": slice("p", "q"), "b": slice("r", "s"), "c": slice("t", None)}),
        (FRAMES["frame"][0], {"a": make_column_selector("p|q"), "b": make_column_selector("r|s"), "c": "t"}),
        (FRAMES["frame"][0].set_axis(["a__p", "a__q", "b__r", "b__s", "c__t"], axis=1), "prefix"),
        (FRAMES["int columns"][0], {"a": [9, 7], "b": [5, 3], "c": 1}),
        (FRAMES["columns of several levels"][0], None),
        (FRAMES["columns of several levels"][0], {"a": "a", "b": [("b", "r"), ("b", "s")], "c": ("c", "t")}),
    ],
)
def test_every_way_to_name_the_modalities(fitted, X, modalities):
    estimator = make(modalities=modalities).fit(X)
    assert estimator.layout_.names == ("a", "b", "c")
    np.testing.assert_array_equal(estimator.transform(X), fitted("float64").transform(VALUES))


def test_separate_tables_from_start_to_end():
    audio = frame(VALUES[:, :2], columns=["p", "q"], index=STRINGS)
    video = frame(VALUES[:, 2:], columns=["r", "s", "t"], index=STRINGS)[::-1]
    X = stack_modalities({"audio": audio[2:], "video": video[5:]})
    estimator = make(modalities=None).fit(X)
    assert estimator.layout_.names == ("audio", "video")
    observed = X.notna().to_numpy()
    completed = estimator.impute(hide(X, "video"))
    assert completed["video"].notna().all(axis=None)
    np.testing.assert_array_equal(
        completed["audio"].to_numpy()[observed[:, :2]], X["audio"].to_numpy()[observed[:, :2]]
    )
    np.testing.assert_array_equal(
        estimator.transform(hide(X, "video")), estimator.transform(keep(X, "audio"))
    )


def test_whole_columns_missing(recwarn):
    """In fit: nothing is learned, nothing warns, and expected values are 0 with a deviation of 1."""
    X = frame(VALUES).assign(q=NAN, t=pd.NA, flag=pd.array([pd.NA] * N_ROWS, dtype="boolean"))
    estimator = make(modalities=None).fit(X)
    mean, std = estimator.predict(X, return_std=True)
    assert (mean[["q", "t"]] == 0).all(axis=None)
    assert (std[["q", "t"]] == 1).all(axis=None)
    assert np.isfinite(numbers(estimator.impute(X))).all()
    later = X.assign(q=7.0, t=pd.Series([3] * N_ROWS, dtype=object))
    assert (estimator.impute(later)["q"] == 7.0).all()  # seen only later: kept, and of no influence
    np.testing.assert_array_equal(estimator.transform(later), estimator.transform(X))
    # later: filled from the others
    full = make().fit(VALUES)
    without = VALUES.copy()
    without[:, 3] = NAN
    assert np.isfinite(full.impute(without)).all()
    assert recwarn.list == []


# --- units -----------------------------------------------------------------------------------------------

UNITS = {
    "thousands": (1e3, 0.0),
    "offset": (1.0, 1e3),
    "large mean": (1.0, 1e8),
    "1e200": (1e200, 0.0),
    "1e-200": (1e-200, 0.0),
    "1e200 away": (1e200, -3e200),
}
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.mark.parametrize("units", UNITS)
def test_results_are_in_the_units_of_X(fitted, units):
    """Measured in other units, the table gives the same answers in these units."""
    factor, offset = UNITS[units]
    X = factor * VALUES + offset
    estimator, plain = make(modalities=POSITIONS).fit(X), fitted("float64")
    np.testing.assert_allclose(estimator.transform(X), plain.transform(VALUES), **TOLERANCE)
    mean, std = estimator.predict(X, return_std=True)
    plain_mean, plain_std = plain.predict(VALUES, return_std=True)
    np.testing.assert_allclose((mean - offset) / factor, plain_mean, **TOLERANCE)
    np.testing.assert_allclose(std / factor, plain_std, **TOLERANCE)
    for method in ("impute", "predict_quantiles"):
        result, expected = getattr(estimator, method)(X), getattr(plain, method)(VALUES)
        np.testing.assert_allclose((result - offset) / factor, expected, **TOLERANCE, err_msg=method)
    rows = estimator.sample(5, random_state=0)
    np.testing.assert_allclose((rows - offset) / factor, plain.sample(5, random_state=0), **TOLERANCE)
    log_volume = (~MISSING).sum(axis=1) * np.log(factor)
    np.testing.assert_allclose(
        estimator.score_samples(X) + log_volume, plain.score_samples(VALUES), rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize("units", UNITS)
def test_decoded_points_are_in_the_units_of_X(fitted, units):
    factor, offset = UNITS[units]
    decoded = make(modalities=POSITIONS).fit(factor * VALUES + offset).inverse_transform(POINTS)
    expected = fitted("float64").inverse_transform(POINTS)
    np.testing.assert_allclose((decoded - offset) / factor, expected, **TOLERANCE)


def test_constant_columns_come_back_exactly():
    X = frame(VALUES).assign(q=0.1, s=np.where(MISSING[:, 3], NAN, 1e200))
    estimator = make(modalities=None).fit(X)
    completed, (mean, std) = estimator.impute(X), estimator.predict(X, return_std=True)
    assert (completed[["q", "s"]] == [0.1, 1e200]).all(axis=None)
    assert (mean[["q", "s"]] == [0.1, 1e200]).all(axis=None)
    assert (std[["q", "s"]] == 0).all(axis=None)
    assert (estimator.sample(5, random_state=0)[["q", "s"]] == [0.1, 1e200]).all(axis=None)
    assert np.isfinite(estimator.score(X))


# --- bad input -------------------------------------------------------------------------------------------

FRAME, LEVELLED, LABELLED = (
    FRAMES[name][0] for name in ("frame", "columns of several levels", "int columns")
)

WRONG_EVERYWHERE = {
    "inf": (FRAME.replace(FRAME.iloc[0, 4], -np.inf), ValueError, "column 't' holds -inf in row 0.*put NaN"),
    "inf in an array": (
        np.where(VALUES == VALUES[0, 4], np.inf, VALUES),
        ValueError,
        "column 4 holds inf in row 0",
    ),
    "complex": (VALUES + 1j, ValueError, "Complex data not supported"),
    "sparse": (sparse.csr_array(np.eye(5)), TypeError, "(?s)Sparse data was passed.*toarray"),
    "sparse column": (
        FRAME.astype({"t": "Sparse[float]"}),
        TypeError,
        "column 't' has type Sparse.*to_dense",
    ),
    "text": (FRAME.astype({"t": object}).fillna({"t": "?"}), ValueError, r"'t' holds '\?', .*not several of"),
    "dates": (FRAME.assign(t=pd.Timestamp("2020-01-01")), ValueError, "'t' has type datetime.*days since"),
    "1-D": (VALUES[0], ValueError, "(?s)Expected 2D array, got 1D array.*Reshape your data"),
    "1-D tensor": (torch.tensor(VALUES[0]), ValueError, "Expected 2D array, got 1D array"),
    "3-D": (VALUES[None], ValueError, "dim 3"),
    "series": (FRAME["p"], ValueError, "Expected a 2-dimensional container"),
    "no rows": (VALUES[:0], ValueError, r"0 sample\(s\) \(shape=\(0, 5\)\)"),
    "no rows in a frame": (FRAME.iloc[:0], ValueError, r"0 sample\(s\) \(shape=\(0, 5\)\)"),
    "dict of tables": ({"a": VALUES[:, :2], "b": VALUES[:, 2:]}, TypeError, "X is a dict .*stack_modalities"),
    "list of tables": ([VALUES[:, :2], VALUES[:, 2:]], TypeError, "X is a list .*stack_modalities"),
}


@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
@pytest.mark.parametrize("name", WRONG_EVERYWHERE)
def test_tables_that_no_method_takes(fitted, name):
    X, error, message = WRONG_EVERYWHERE[name]
    estimator = make()
    with pytest.raises(error, match=message):
        estimator.fit(X)
    estimator = fitted("frame" if isinstance(X, pd.DataFrame) else "float64")
    for method in (
        "transform",
        "predict",
        "predict_quantiles",
        "impute",
        "score",
        "score_samples",
        "posterior_moments",
    ):
        with pytest.raises(error, match=message):
            getattr(estimator, method)(X)
    with pytest.raises(error, match=message):
        estimator.sample(given=X)


@pytest.mark.parametrize(
    ("X", "parameters", "message"),
    [
        (VALUES[:1], {}, r"1 sample\(s\).*minimum of 2"),
        (FRAME.iloc[:1], {}, r"1 sample\(s\).*minimum of 2"),
        (VALUES * NAN, {}, "Every entry of X is missing: there is nothing to learn from"),
        (FRAME * NAN, {}, "Every entry of X is missing"),
        (np.ma.masked_all((5, 5)), {}, "Every entry of X is missing"),
        (FRAME[["p", "p", "q"]], {"modalities": None}, "several columns labelled 'p'; rename or drop"),
        (FRAME, {"modalities": {"a": ["p", "zz"]}}, "Modality 'a' asks for column 'zz', .*; X has 'p', 'q'"),
        (
            FRAME,
            {"modalities": {"a": ["p", "q"], "b": ["q", "r"]}},
            "'q' is in modality 'a' and again in modality 'b'",
        ),
        (
            FRAME,
            {"modalities": {"a": ["p", "q"]}},
            r"3 column\(s\) belong to no modality, the first is 'r'; add",
        ),
        (FRAME, {"modalities": {"a": [], "b": slice(None)}}, "Modality 'a' has no columns; leave it out"),
        (FRAME, {"modalities": {}}, "at least one name -> columns"),
        (FRAME, {"modalities": "prefix"}, "'audio__pitch'; 'p' has no such prefix"),
        (VALUES, {"modalities": {"a": [0, 5]}}, "Modality 'a' asks for column 5, but X has 5 columns"),
        (VALUES, {"modalities": {"a": "p"}}, "'p', which is not in X; X has no column names, use positions"),
        (
            VALUES,
            {"modality_dropout": {"z": 0.5}},
            r"modality_dropout names the unknown modality 'z'; X has \['a'",
        ),
        (
            VALUES,
            {"likelihood": {"z": "normal"}},
            "likelihood names 'z', which is neither a modality nor a column",
        ),
        (VALUES, {"modality_weights": {"z": 1.0}}, "modality_weights names the unknown modality 'z'"),
        (VALUES, {"encoders": {"z": None}}, "encoders names the unknown modality 'z'"),
        (VALUES, {"likelihood": {"b": "bernoulli"}}, "Modality 'b' has a 'bernoulli' .*column 2 holds"),
    ],
)
def test_tables_that_fit_refuses(X, parameters, message):
    estimator = make(**parameters)
    with pytest.raises(ValueError, match=message):
        estimator.fit(X)
    assert not hasattr(estimator, "n_features_in_")


@pytest.mark.parametrize(
    ("name", "X", "message"),
    [
        ("frame", FRAME[["q", "p", "r", "s", "t"]], "must be in the same order"),
        ("frame", FRAME.rename(columns={"t": "u"}), r"(?s)unseen at fit time:\n- u\n.*now missing:\n- t"),
        ("frame", FRAME.drop(columns="r"), r"now missing:\n- r"),
        ("frame", FRAME.assign(u=1.0), r"unseen at fit time:\n- u"),
        ("columns of several levels", LEVELLED.iloc[:, [1, 0, 2, 3, 4]], r"another order than \('a', 'p'\)"),
        (
            "columns of several levels",
            LEVELLED.rename(columns={"t": "u"}),
            r"1 missing \(\('c', 't'\)\).*1 unknown",
        ),
        ("columns of several levels", LEVELLED[["a", "b"]], r"1 missing \(\('c', 't'\)\), add them"),
        ("columns of several levels", FRAME, r"5 missing .*; 5 unknown \('p', 'q', 'r', 's', 't'\), drop"),
        ("int columns", LABELLED[[1, 3, 5, 7, 9]], "another order than 9, 7, 5, 3, 1"),
        ("int columns", LABELLED.rename(columns={9: 8}), r"1 missing \(9\).*; 1 unknown \(8\), drop them"),
        ("int columns", LABELLED[[9, 7]], r"3 missing \(5, 3, 1\), add them, with NaN if unknown"),
        ("float64", VALUES[:, :4], "X has 4 features, but MultimodalVAE is expecting 5"),
        ("tensor", torch.tensor(VALUES[:, :4]), "X has 4 features, but MultimodalVAE is expecting 5"),
        ("masked", masked(VALUES[:, :4], 0), "X has 4 features, but MultimodalVAE is expecting 5"),
        ("list of rows", VALUES[:, :4].tolist(), "X has 4 features, but MultimodalVAE is expecting 5"),
        (
            "float64",
            np.where(MISSING, NAN, 1e300),
            "Column 4 holds 1e.300 in row 0, too far from what fit saw",
        ),
    ],
)
def test_tables_unlike_that_of_fit(fitted, name, X, message):
    for method in ("transform", "predict", "impute", "score"):
        with pytest.raises(ValueError, match=message):
            getattr(fitted(name), method)(X)


@pytest.mark.parametrize(
    ("Z", "message"),
    [
        (POINTS[:, :1], "Z has 1 columns, but .*n_components=2"),
        (POINTS[0], "Expected 2D array, got 1D"),
        (np.full((2, 2), NAN), "Z contains NaN"),
        (POINTS[:0], r"0 sample\(s\)"),
    ],
)
def test_points_that_cannot_be_decoded(fitted, Z, message):
    with pytest.raises(ValueError, match=message):
        fitted("float64").inverse_transform(Z)
