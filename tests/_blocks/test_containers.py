"""Containers of the user: read as numbers, and given back in the same form."""

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import _NotAnArray

from skmm._blocks.columns import ColumnType
from skmm._blocks.containers import (
    Container,
    absent,
    check_table,
    column_labels,
    column_types,
    entries,
    fill,
    frame_of,
    stack,
    to_matrix,
    wrap_like,
)

NAN = np.nan
NUMBERS = np.array(
    [[1.5, NAN, -3.0], [NAN, 0.25, 7.0], [2.0, 1.0, NAN], [4.0, 8.0, 16.0]]
)  # exact in bfloat16
FLAGS = np.array([[1, NAN], [0, 1], [NAN, NAN], [1, 0]])
WHOLE = np.array([[1, 20], [-3, 4], [5, 6], [7, 80]])
INDEX = pd.Index(["r", "s", "s", "t"], name="who")
LEVELS = pd.MultiIndex.from_tuples([("b", "x"), ("a", "x"), ("b", "y")], names=["modality", "feature"])


def memmap(matrix, path):
    mapped = np.memmap(path, dtype=matrix.dtype, mode="w+", shape=matrix.shape)
    mapped[:] = matrix
    mapped.flush()
    return np.memmap(path, dtype=matrix.dtype, mode="r", shape=matrix.shape)


def read_only(matrix):
    matrix = matrix.copy()
    matrix.flags.writeable = False
    return matrix


def masked(matrix, beneath, dtype=None):
    """Hide what is missing under a mask, above something that must not matter."""
    missing = np.isnan(matrix)
    return np.ma.masked_array(np.where(missing, beneath, matrix), mask=missing, dtype=dtype)


def with_missing(matrix, missing):
    return np.where(np.isnan(matrix), missing, matrix.astype(object))


def flags(missing):
    return np.where(np.isnan(FLAGS), missing, np.nan_to_num(FLAGS).astype(bool).astype(object))


# container, the numbers in it, and the data type of its entries
ARRAYS = {
    "float64": (NUMBERS.copy(), NUMBERS, np.float64),
    "float32": (NUMBERS.astype(np.float32), NUMBERS, np.float32),
    "float16": (NUMBERS.astype(np.float16), NUMBERS, np.float16),
    "int": (WHOLE, WHOLE, np.int64),
    "uint8": (np.abs(WHOLE).astype(np.uint8), np.abs(WHOLE), np.uint8),
    "bool": (WHOLE > 4, WHOLE > 4, bool),
    "object, None": (with_missing(NUMBERS, None), NUMBERS, object),
    "object, NA": (with_missing(NUMBERS, pd.NA), NUMBERS, object),
    "object, NaN": (with_missing(NUMBERS, NAN), NUMBERS, object),
    "flags, None": (flags(None), FLAGS, object),
    "flags, NA": (flags(pd.NA), FLAGS, object),
    "Fortran order": (np.asfortranarray(NUMBERS), NUMBERS, np.float64),
    "read-only": (read_only(NUMBERS), NUMBERS, np.float64),
    "negative strides": (NUMBERS[::-1, ::-1].copy()[::-1, ::-1], NUMBERS, np.float64),
    "list": (NUMBERS.tolist(), NUMBERS, np.float64),
    "list of ints": (WHOLE.tolist(), WHOLE, np.float64),
    "list of flags": ((WHOLE > 4).tolist(), WHOLE > 4, np.float64),
    "list, None": (with_missing(NUMBERS, None).tolist(), NUMBERS, np.float64),
    "list, NA": (with_missing(NUMBERS, pd.NA).tolist(), NUMBERS, np.float64),
    "list of arrays": (list(NUMBERS), NUMBERS, np.float64),
    "tuple": (tuple(map(tuple, NUMBERS)), NUMBERS, np.float64),
    "not an array": (_NotAnArray(NUMBERS), NUMBERS, np.float64),
}
MASKED = {
    "masked float64": (masked(NUMBERS, 999.0), NUMBERS, np.float64),
    "masked inf": (masked(NUMBERS, np.inf), NUMBERS, np.float64),
    "masked float32": (masked(NUMBERS, 999.0, np.float32), NUMBERS, np.float32),
    "masked int": (masked(np.trunc(NUMBERS), 999, np.int64), np.trunc(NUMBERS), np.int64),
    "masked bool": (masked(FLAGS, 1, bool), FLAGS, bool),
    "masked object": (masked(NUMBERS.astype(object).astype(float), 0).astype(object), NUMBERS, object),
    "masked text": (np.ma.masked_array(with_missing(NUMBERS, "?"), mask=np.isnan(NUMBERS)), NUMBERS, object),
    "no mask": (np.ma.masked_array(NUMBERS), NUMBERS, np.float64),
}
TENSORS = {
    "tensor": (torch.tensor(NUMBERS), NUMBERS, np.float64),
    "float32 tensor": (torch.tensor(NUMBERS, dtype=torch.float32), NUMBERS, np.float32),
    "bfloat16 tensor": (torch.tensor(NUMBERS, dtype=torch.bfloat16), NUMBERS, np.float32),
    "int tensor": (torch.tensor(WHOLE), WHOLE, np.int64),
    "bool tensor": (torch.tensor(WHOLE > 4), WHOLE > 4, bool),
    "tensor with gradient": (torch.tensor(NUMBERS, requires_grad=True), NUMBERS, np.float64),
    "transposed tensor": (torch.tensor(NUMBERS.T.copy()).T, NUMBERS, np.float64),
}


def frame(values, dtype=None, columns=None):
    return pd.DataFrame(values, index=INDEX, columns=columns, dtype=dtype)


FRAMES = {
    "frame": (frame(NUMBERS, columns=["b", "a", "c"]), NUMBERS),
    "float32 frame": (frame(NUMBERS, "float32", ["b", "a", "c"]), NUMBERS),
    "Float64 frame": (frame(NUMBERS, "Float64", ["b", "a", "c"]), NUMBERS),
    "Int64 frame": (frame(with_missing(FLAGS, pd.NA), "Int64", ["b", "a"]), FLAGS),
    "boolean frame": (frame(flags(pd.NA), "boolean", ["b", "a"]), FLAGS),
    "object frame, None": (frame(with_missing(NUMBERS, None), object, ["b", "a", "c"]), NUMBERS),
    "object frame, NA": (frame(with_missing(NUMBERS, pd.NA), object, ["b", "a", "c"]), NUMBERS),
    "flag frame, None": (frame(flags(None), object, ["b", "a"]), FLAGS),
    "flag frame, NA": (frame(flags(pd.NA), object, ["b", "a"]), FLAGS),
    "int frame": (frame(WHOLE, columns=["b", "a"]), WHOLE),
    "bool frame": (frame(WHOLE > 4, columns=["b", "a"]), WHOLE > 4),
    "MultiIndex frame": (frame(NUMBERS, columns=LEVELS), NUMBERS),
    "frame of int labels": (frame(NUMBERS, columns=[7, 3, 5]), NUMBERS),
    "frame of several types": (
        pd.DataFrame(
            {
                "whole": pd.array([1, None, 3, 4], dtype="Int8"),
                "plain": [1, 2, 3, 4],
                "flag": [True, None, False, True],
                "single": np.array([0.5, NAN, 1, 2], dtype=np.float32),
                "certain": [True, False, True, True],
            },
            index=INDEX,
        ),
        np.array([[1, 1, 1, 0.5, 1], [NAN, 2, NAN, NAN, 0], [3, 3, 0, 1, 1], [4, 4, 1, 2, 1]]),
    ),
}
TABLES = {name: case[:2] for name, case in (ARRAYS | MASKED | TENSORS | FRAMES).items()}


class Reader(BaseEstimator):
    """The least that scikit-learn asks of an estimator whose input is checked."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X):
        table = check_table(self, X, reset=True)
        self.types_ = column_types(X, table)
        return self

    def read(self, X, handle_unknown="error"):
        return to_matrix(check_table(self, X, reset=False), self.types_, handle_unknown=handle_unknown)


def read(X):
    return Reader().fit(X).read(X)


def types_of(X):
    return Reader().fit(X).types_


def plain(*kinds):
    """Types of columns of floats, or of flags among them."""
    return [ColumnType(kind, np.dtype(np.float64)) for kind in kinds]


def is_unchanged(X, before):
    if isinstance(X, pd.DataFrame):
        assert_frame_equal(X, before, check_exact=True)
        return True
    if isinstance(X, np.ma.MaskedArray):
        same = np.array_equal(np.ma.getmaskarray(X), np.ma.getmaskarray(before))
        return same and repr(X.data.tolist()) == repr(before.data.tolist())
    if isinstance(X, torch.Tensor):
        same = X.requires_grad == before.requires_grad and torch.equal(X.isnan(), before.isnan())
        return same and torch.equal(X.nan_to_num(), before.nan_to_num())
    if isinstance(X, _NotAnArray):
        return repr(X.data) == repr(before.data)
    return repr(X) == repr(before) and getattr(X, "dtype", None) == getattr(before, "dtype", None)


# --- reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_every_container_is_read_as_numbers(name):
    X, numbers = TABLES[name]
    before = copy.deepcopy(X)
    matrix = read(X)
    assert matrix.dtype.kind in "biuf"
    np.testing.assert_array_equal(matrix, numbers)
    assert is_unchanged(X, before)


def test_memmap(tmp_path):
    mapped = memmap(NUMBERS, tmp_path / "X")
    np.testing.assert_array_equal(read(mapped), NUMBERS)
    filled = fill(mapped, np.isnan(NUMBERS), np.zeros(NUMBERS.shape), types_of(mapped))
    assert type(filled) is np.ndarray
    np.testing.assert_array_equal(filled, np.nan_to_num(NUMBERS))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int16, np.uint8, bool])
def test_large_files_are_not_copied(tmp_path, dtype):
    """Whatever type their numbers have."""
    mapped = memmap(np.arange(12).reshape(4, 3).astype(dtype), tmp_path / "X")
    assert np.shares_memory(read(mapped), mapped)


def test_frames_of_one_type_are_not_copied():
    numbers = np.arange(12, dtype=np.float32).reshape(4, 3)
    frame = pd.DataFrame(numbers, columns=list("abc"), copy=False)
    assert np.shares_memory(read(frame), numbers)
    mixed = frame.astype({"b": np.int64})
    np.testing.assert_array_equal(read(mixed), numbers)
    assert read(mixed).dtype == np.float64


def test_infinity_is_found_in_every_part(monkeypatch):
    monkeypatch.setattr("skmm._blocks.containers.ENTRIES_TOGETHER", 6)
    X = np.zeros((7, 3))
    X[5, 1] = -np.inf
    with pytest.raises(ValueError, match="column 1 holds -inf in row 5"):
        read(X)


def test_names_and_number_of_columns_are_kept():
    reader = Reader().fit(FRAMES["frame"][0])
    assert reader.n_features_in_ == 3
    assert reader.feature_names_in_.tolist() == ["b", "a", "c"]
    reader.read(FRAMES["frame"][0].iloc[:1])
    with pytest.raises(ValueError, match="must be in the same order"):
        reader.read(FRAMES["frame"][0][["a", "b", "c"]])
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- d\n.*\n- c"):
        reader.read(FRAMES["frame"][0].rename(columns={"c": "d"}))
    with pytest.raises(ValueError, match="yet now missing:\n- c"):
        reader.read(FRAMES["frame"][0][["b", "a"]])


with warnings.catch_warnings(action="ignore", category=PendingDeprecationWarning):
    MATRIX = np.asmatrix(NUMBERS)

WRONG = {
    "inf": (
        np.where(NUMBERS == 7, np.inf, NUMBERS),
        ValueError,
        "infinity: column 2 holds inf in row 1. .*NaN",
    ),
    "-inf": (np.where(NUMBERS == 7, -np.inf, NUMBERS), ValueError, "column 2 holds -inf in row 1"),
    "inf in a frame": (
        frame(np.where(NUMBERS == 7, np.inf, NUMBERS), columns=["b", "a", "c"]),
        ValueError,
        "infinity: column 'c' holds inf in row 1",
    ),
    "inf in an object array": (np.array([[1, None], [2, np.inf]]), ValueError, "column 1 holds inf in row 1"),
    "inf beside a mask": (
        np.ma.masked_array([[1, np.inf], [np.inf, 2]], [[0, 1], [0, 0]]),
        ValueError,
        "column 0 holds inf in row 1",
    ),
    "inf in a tensor": (
        torch.tensor([[1.0, NAN], [2.0, -torch.inf]]),
        ValueError,
        "column 1 holds -inf in row 1",
    ),
    "complex": (NUMBERS + 1j, ValueError, "Complex data not supported"),
    "complex frame": (frame(NUMBERS * 1j, columns=["b", "a", "c"]), ValueError, "not supported: column 'b'"),
    "complex list": ([[1j, 2], [3, 4]], ValueError, "Complex data not supported"),
    "complex tensor": (torch.tensor([[1j, 2], [3, 4]]), ValueError, "Complex data not supported"),
    "masked complex": (masked(NUMBERS, 0).astype(complex), ValueError, "Complex data not supported"),
    "sparse matrix": (sparse.csr_matrix(np.eye(3)), TypeError, "(?s)Sparse data was passed.*toarray"),
    "sparse dict": (sparse.dok_array(np.eye(3)), TypeError, "(?s)Sparse data was passed.*toarray"),
    "sparse array": (sparse.coo_array(np.eye(3)), TypeError, "(?s)Sparse data was passed.*toarray"),
    "sparse frame": (
        pd.DataFrame(np.eye(2), columns=["p", "q"]).astype({"q": "Sparse[float]"}),
        TypeError,
        "Sparse data is not supported: column 'q' .*to_dense",
    ),
    "sparse tensor": (torch.eye(3).to_sparse(), TypeError, "to_dense"),
    "text and numbers in an array": (
        np.array([[1, 2], [3, "four"]], dtype=object),
        ValueError,
        "Column 1 holds 'four', .*several",
    ),
    "text and numbers in a list": ([[1, 2], [3, "four"]], ValueError, "Column 1 holds 'four', .*several"),
    "text and numbers in a frame": (
        pd.DataFrame({"p": [1, 2], "q": pd.Series(["u", 1], dtype=object)}),
        ValueError,
        r"Column 'q' holds 'u', .* \.astype\('category'\) before fit",
    ),
    "bytes": (np.array([[b"1", b"2"], [b"3", b"4"]]), ValueError, "Column 0 holds b'1', .* type bytes"),
    "free text": (
        np.array([[f"name {i}", "a"] for i in range(60)]),
        ValueError,
        "Column 0 holds 60 different",
    ),
    "no category": (
        pd.DataFrame({"p": [1, 2], "q": pd.Categorical([None, None])}),
        ValueError,
        "Column 'q' of type category has not a single category",
    ),
    "1-D text": (np.array(["a", "b"]), ValueError, "Expected 2D array, got 1D"),
    "1-D list of text": (["a", "b"], ValueError, "Expected 2D array, got 1D"),
    "one row of text": (np.array([["a", "b"]]), ValueError, r"1 sample\(s\).*minimum of 2"),
    "no rows of text": (np.array([["a", "b"]])[:0], ValueError, r"0 sample\(s\).*minimum of 2"),
    "no columns of text": (np.array([["a"], ["b"]])[:, :0], ValueError, r"0 feature\(s\)"),
    "dates": (np.array([["2020-01-01"] * 2] * 2, dtype="M8[D]"), ValueError, "Column 0 .* days since"),
    "masked dates": (
        np.ma.masked_array(np.zeros((2, 2), "M8[D]"), [[0, 1], [0, 0]]),
        ValueError,
        "days since",
    ),
    "dates in a frame": (
        pd.DataFrame({"p": [1, 2], "q": pd.to_datetime(["2020", "2021"])}),
        ValueError,
        "Column 'q' has type datetime64.* days since",
    ),
    "MultiIndex label": (
        pd.DataFrame([[1, "u"], [2, 3]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("b", "y")])),
        ValueError,
        r"Column \('b', 'y'\)",
    ),
    "dict in an entry": (
        np.array([[1, {}], [2, 3]]),
        TypeError,
        "Column 1 .* must be a string or a real number",
    ),
    "dict": ({"audio": NUMBERS, "video": WHOLE}, TypeError, "X is a dict of separate .*stack_modalities"),
    "list of tables": ([NUMBERS, WHOLE], TypeError, "X is a list of separate .*stack_modalities"),
    "tuple of frames": ((FRAMES["frame"][0],) * 2, TypeError, "X is a tuple of separate .*stack_modalities"),
    "repeated label": (
        frame(NUMBERS, columns=list("aba")),
        ValueError,
        "several columns labelled 'a'; rename",
    ),
    "repeated MultiIndex label": (
        frame(NUMBERS, columns=LEVELS[[0, 1, 1]]),
        ValueError,
        r"several columns labelled \('a', 'x'\)",
    ),
    "labels of mixed types": (frame(NUMBERS, columns=["a", 1, 2]), TypeError, r"columns.astype\(str\)"),
    "1-D array": (NUMBERS[0], ValueError, "Expected 2D array, got 1D"),
    "1-D list": ([1.0, 2.0], ValueError, "Expected 2D array, got 1D"),
    "1-D object array": (np.array([1.0, None]), ValueError, "Expected 2D array, got 1D"),
    "1-D tensor": (torch.tensor([1.0, 2.0]), ValueError, "Expected 2D array, got 1D"),
    "1-D masked": (np.ma.masked_array([1.0, 2.0], [0, 1]), ValueError, "Expected 2D array, got 1D"),
    "series": (pd.Series([1.0, 2.0]), ValueError, "Expected a 2-dimensional container"),
    "scalar": (3.0, ValueError, "Expected 2D array, got scalar"),
    "3-D": (np.zeros((2, 2, 2)), ValueError, "dim 3"),
    "np.matrix": (MATRIX, TypeError, "np.matrix is not supported"),
    "no rows": (np.zeros((0, 3)), ValueError, r"0 sample\(s\).*minimum of 2"),
    "no rows in a frame": (FRAMES["frame"][0].iloc[:0], ValueError, r"0 sample\(s\).*minimum of 2"),
    "one row": (NUMBERS[:1], ValueError, r"1 sample\(s\).*minimum of 2"),
    "one row in a frame": (FRAMES["frame"][0].iloc[:1], ValueError, r"1 sample\(s\).*minimum of 2"),
    "no columns": (np.zeros((3, 0)), ValueError, r"0 feature\(s\)"),
    "no columns in a frame": (FRAMES["frame"][0].iloc[:, :0], ValueError, r"0 feature\(s\)"),
    "empty list": ([], ValueError, "Expected 2D array, got 1D"),
    "rows of different lengths": ([[1.0, 2.0], [3.0]], ValueError, "inhomogeneous"),
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_table_of_numbers_is_refused(name):
    X, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        read(X)


def test_one_row_is_enough_after_fit():
    reader = Reader().fit(NUMBERS)
    assert reader.read(NUMBERS[:1]).shape == (1, 3)
    with pytest.raises(ValueError, match=r"0 sample\(s\).*minimum of 1"):
        reader.read(NUMBERS[:0])
    with pytest.raises(ValueError, match="X has 2 features, but Reader is expecting 3"):
        reader.read(NUMBERS[:, :2])


def test_labels():
    assert column_labels(FRAMES["MultiIndex frame"][0]) == (("b", "x"), ("a", "x"), ("b", "y"))
    assert column_labels(FRAMES["frame of int labels"][0]) == (7, 3, 5)
    for name in ("float64", "list, NA", "not an array"):
        assert column_labels(ARRAYS[name][0]) == (0, 1, 2)
    with pytest.raises(
        ValueError, match=r"table of shape \(n_samples, n_features\), got ndarray of shape \(3,\)"
    ):
        column_labels(NUMBERS[0])


def test_entries_hide_what_is_masked():
    for name, (X, numbers, _) in MASKED.items():
        np.testing.assert_array_equal(entries(X).astype(float), numbers, err_msg=name)


# --- giving back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARRAYS | MASKED | TENSORS)
def test_container_of_arrays(name):
    X, numbers, dtype = (ARRAYS | MASKED | TENSORS)[name]
    container = Container.of(X)
    assert container.form == ("tensor" if name in TENSORS else "masked" if name in MASKED else "array")
    assert (container.columns, container.dtypes) == (None, None)
    types = types_of(X)
    assert [kind.dtype for kind in types] == [np.dtype(dtype)] * numbers.shape[1]
    is_flag = numbers is FLAGS or dtype is bool
    assert [kind.kind for kind in types] == ["binary" if is_flag else "continuous"] * numbers.shape[1]


@pytest.mark.parametrize("name", FRAMES)
def test_container_of_frames(name):
    X, numbers = FRAMES[name]
    container = Container.of(X)
    assert container.form == "frame"
    assert list(container.dtypes) == X.dtypes.tolist()
    assert container.columns is X.columns
    types = types_of(X)
    assert [kind.dtype for kind in types] == X.dtypes.tolist()
    kinds = [kind.kind for kind in types]
    if name == "frame of several types":
        assert kinds == ["continuous", "continuous", "binary", "continuous", "binary"]
    else:
        assert kinds == ["binary" if "bool" in name or "flag" in name else "continuous"] * numbers.shape[1]


@pytest.mark.parametrize("name", TABLES)
def test_results_take_the_form_of_X(name):
    X, numbers = TABLES[name]
    matrix = np.arange(numbers.size, dtype=np.float32).reshape(numbers.shape) / 8
    wrapped = wrap_like(X, matrix, types_of(X))
    if name in FRAMES:
        assert_frame_equal(wrapped, pd.DataFrame(matrix, index=X.index, columns=X.columns))
    elif name in TENSORS:
        assert wrapped.dtype == torch.float32
        np.testing.assert_array_equal(wrapped.numpy(), matrix)
    else:
        assert type(wrapped) is (np.ma.MaskedArray if name in MASKED else np.ndarray)
        assert wrapped.dtype == np.float32
        np.testing.assert_array_equal(wrapped, matrix)


@pytest.mark.parametrize("name", TABLES)
def test_new_rows_have_the_types_of_X(name):
    X, numbers = TABLES[name]
    matrix = np.linspace(-0.1, 1.6, 2 * numbers.shape[1]).reshape(2, -1)
    container, types = Container.of(X), types_of(X)
    rows = container.restore(matrix, types)
    if name in FRAMES:
        assert rows.columns.identical(X.columns)
        assert rows.dtypes.equals(X.dtypes)
        assert rows.index.equals(pd.RangeIndex(2))
        columns = [rows.iloc[:, j].tolist() for j in range(rows.shape[1])]
    else:
        dtype = (ARRAYS | MASKED | TENSORS)[name][2]
        assert (
            type(rows)
            is {"array": np.ndarray, "masked": np.ma.MaskedArray, "tensor": torch.Tensor}[container.form]
        )
        assert (rows.numpy() if name in TENSORS else rows).dtype == dtype
        columns = rows.T.tolist()
    for column, values, kind in zip(columns, matrix.T, types, strict=True):
        if kind.kind == "binary":
            assert column == [value >= 0.5 for value in values]
            assert {type(value) for value in column} == {bool}
        elif pd.api.types.is_integer_dtype(kind.dtype):
            assert column == [max(round(value), 0) for value in values]
        else:
            assert column == pytest.approx(values, rel=2e-3)  # float16


@pytest.mark.parametrize("name", TABLES)
def test_filling_touches_only_what_is_missing(name):
    X, numbers = TABLES[name]
    before, types = copy.deepcopy(X), types_of(X)
    missing = np.isnan(numbers.astype(float))
    np.testing.assert_array_equal(absent(X), missing)
    filled = fill(X, missing, np.full(numbers.shape, 0.75), types)
    assert is_unchanged(X, before)
    kept = np.array(np.nan_to_num(numbers.astype(float)))
    for j, kind in enumerate(types):
        rounds = kind.kind == "binary" or pd.api.types.is_integer_dtype(kind.dtype)
        kept[missing[:, j], j] = 1.0 if rounds else 0.75
    np.testing.assert_array_equal(read(filled), kept)
    if name in FRAMES:
        assert filled.dtypes.equals(X.dtypes)
        assert filled.columns.identical(X.columns)
        assert filled.index.identical(X.index)
        old, new = X.to_numpy(object), filled.to_numpy(object)
    elif isinstance(X, torch.Tensor):
        assert (filled.dtype, filled.device) == (X.dtype, X.device)
        assert not filled.requires_grad
        old, new = entries(X), entries(filled)
    else:
        assert filled.dtype == (ARRAYS | MASKED)[name][2]
        assert isinstance(filled, np.ma.MaskedArray) == (name in MASKED)
        assert not np.ma.getmaskarray(filled).any()
        old = np.asarray(np.ma.getdata(X) if name in MASKED else entries(X), dtype=object)
        new = np.asarray(filled, dtype=object)
    np.testing.assert_array_equal(new[~missing], old[~missing])
    assert list(map(type, new[~missing])) == list(map(type, old[~missing]))


@pytest.mark.parametrize(
    "name", ["float64", "masked float64", "tensor", "frame", "Int64 frame", "object, None"]
)
def test_what_is_filled_shares_no_memory_with_X(name):
    X, numbers = TABLES[name]
    before = copy.deepcopy(X)
    for missing in (np.isnan(numbers), np.zeros(numbers.shape, dtype=bool)):
        filled = fill(X, missing, np.zeros(numbers.shape), types_of(X))
        rows = filled.iloc if isinstance(filled, pd.DataFrame) else filled
        rows[:, :] = 77
        assert is_unchanged(X, before)


def test_odd_values_survive_filling_bit_by_bit():
    payload = np.array([0x7FF80000DEADBEEF, 0x8000000000000000, 1], dtype=np.uint64).view(
        np.float64
    )  # NaN, -0, tiny
    X = np.array([payload, [NAN, 1e308, 0.1]])
    missing = np.isnan(X)
    missing[0, 0] = False
    for container in (X, pd.DataFrame(X), np.ma.masked_array(X), torch.tensor(X)):
        filled = np.asarray(fill(container, missing, np.ones(X.shape), plain(*["continuous"] * 3)))
        np.testing.assert_array_equal(filled.view(np.uint64)[~missing], X.view(np.uint64)[~missing])
    large = pd.DataFrame({"a": pd.array([2**62 + 1, None], dtype="Int64")})
    filled = fill(large, large.isna().to_numpy(), np.zeros((2, 1)), types_of(large))
    assert filled["a"].tolist() == [2**62 + 1, 0]


def test_flags_are_filled_as_fit_knew_them():
    """A column of nothing but missing values does not say that it holds flags; what fit saw does."""
    X = pd.DataFrame({"a": pd.Series([None, None], dtype=object), "b": [NAN, 1.0]})
    filled = fill(X, X.isna().to_numpy(), np.full((2, 2), 0.75), plain("binary", "binary"))
    assert filled["a"].tolist() == [True, True]
    assert filled["b"].tolist() == [1.0, 1.0]
    filled = fill(
        np.array([[NAN, NAN]]), np.ones((1, 2), bool), np.full((1, 2), 0.25), plain("binary", "continuous")
    )
    assert filled.tolist() == [[0.0, 0.25]]


# --- categories ------------------------------------------------------------------------------------------

CODES = np.array([[1.0, 1.5, 0.0], [NAN, NAN, 2.0], [0.0, -3.0, NAN], [1.0, 0.25, 0.0]])  # text, number, text
TEXT = np.array([["v", "1.5", "p"], ["", "", "r"], ["u", "-3.0", ""], ["v", "0.25", "p"]])
LABELS = ["u", "v"], None, ["p", "q", "r"]


def rows_with(missing, columns=(0, 1, 2)):
    """Rows of Python objects: text, numbers, text."""
    convert = [str, float, str]
    return [
        [
            missing if entry == "" else convert[j](entry)
            for j, entry in zip(columns, row[list(columns)], strict=True)
        ]
        for row in TEXT
    ]


def of_objects(missing, columns=(0, 1, 2)):
    return np.array(rows_with(missing, columns), dtype=object)


def text_frame(missing, dtype):
    values = of_objects(missing)
    frame = pd.DataFrame(
        {
            "a": pd.Series(values[:, 0], dtype=dtype),
            "b": values[:, 1].astype(float) if missing is not pd.NA else CODES[:, 1],
            "c": pd.Series(values[:, 2], dtype=dtype),
        }
    )
    return frame.set_axis(INDEX)


def declared(frame, dtype=None):
    return frame.astype(
        {"a": pd.CategoricalDtype(["u", "v"]), "c": dtype or pd.CategoricalDtype(["p", "q", "r"])}
    )


# tables of the same labels; where no type declares "q", it is no category
LABELLED = {
    "category": declared(text_frame(None, object)),
    "ordered": declared(text_frame(None, object), pd.CategoricalDtype(["p", "q", "r"], ordered=True)),
    "other order": declared(text_frame(None, object), pd.CategoricalDtype(["r", "q", "p"], ordered=True)),
    "string": text_frame(pd.NA, "string"),
    "inferred": text_frame(None, None),
    "object, None": text_frame(None, object),
    "object, NaN": text_frame(NAN, object),
    "object, NA": text_frame(pd.NA, object),
    "MultiIndex": declared(text_frame(None, object)).set_axis(LEVELS, axis=1),
    "array, None": of_objects(None),
    "array, NaN": of_objects(NAN),
    "array, NA": of_objects(pd.NA),
    "list, None": rows_with(None),
    "list, NaN": rows_with(NAN),
    "list, NA": rows_with(pd.NA),
    "tuples": tuple(map(tuple, rows_with(None))),
    "masked": np.ma.masked_array(of_objects(0), mask=np.isnan(CODES)),
    "masked, hiding dicts": np.ma.masked_array(of_objects({}), mask=np.isnan(CODES)),
    "read-only": read_only(of_objects(None)),
    "Fortran order": np.asfortranarray(of_objects(None)),
}
# of text alone
WORDS = {
    "U array": TEXT[[0, 3, 0, 3]][:, [0, 2]],
    "masked U array": np.ma.masked_array(TEXT[:, [0, 2]], mask=np.isnan(CODES[:, [0, 2]])),
    "list of text": rows_with(None, (0, 2)),
    "list of strs": [["v", "p"], ["u", "r"]],
    "object array": of_objects(None, (0, 2)),
}


def labels_in(X):
    """Entries of a table as Python objects, None where there is nothing."""
    if isinstance(X, pd.DataFrame):
        out = np.column_stack([np.array(column.array, dtype=object) for _, column in X.items()])
    elif isinstance(X, np.ma.MaskedArray):
        out = np.where(np.ma.getmaskarray(X), None, np.ma.getdata(X).astype(object))
    else:
        out = np.array(X, dtype=object)
    out[pd.isna(out)] = None
    return out.tolist()


@pytest.mark.parametrize("name", LABELLED | WORDS)
def test_labels_are_read_by_position(name):
    X = (LABELLED | WORDS)[name]
    before = copy.deepcopy(X)
    reader = Reader().fit(X)
    matrix = reader.read(X)
    assert matrix.dtype == np.float64
    text = [0, 2] if name in LABELLED else [0, 1]
    for j, (kind, column) in enumerate(zip(reader.types_, zip(*labels_in(X), strict=True), strict=True)):
        if j not in text:
            assert (kind.kind, kind.categories) == ("continuous", None)
            np.testing.assert_array_equal(matrix[:, j], CODES[:, j])
            continue
        assert kind.kind == (
            "ordered" if j == 2 and "order" in name and "Fortran" not in name else "category"
        )
        known = kind.categories.tolist()
        if name == "other order" and j == 2:
            assert known == ["r", "q", "p"]
        elif isinstance(kind.dtype, pd.CategoricalDtype):
            assert known == LABELS[j]
        else:
            assert known == sorted(set(column) - {None})
        positions = [NAN if entry is None else known.index(entry) for entry in column]
        np.testing.assert_array_equal(matrix[:, j], positions)
    assert is_unchanged(X, before)


@pytest.mark.parametrize("name", LABELLED | WORDS)
def test_labels_in_results(name):
    X = (LABELLED | WORDS)[name]
    before = copy.deepcopy(X)
    reader = Reader().fit(X)
    types = reader.types_
    matrix = np.nan_to_num(reader.read(X))
    known = np.array([[entry is not None for entry in row] for row in labels_in(X)])

    def agrees(result):
        entries = np.array(labels_in(result), dtype=object)
        expected = np.array(labels_in(X), dtype=object)
        assert entries[known].tolist() == expected[known].tolist()
        assert not pd.isna(entries).any()
        filled = [0.0 if kind.categories is None else kind.categories[0] for kind in types]
        assert (
            entries[~known].tolist()
            == np.broadcast_to(np.array(filled, dtype=object), known.shape)[~known].tolist()
        )
        assert [type(entry) for entry in entries[known]] == [type(entry) for entry in expected[known]]

    wrapped = wrap_like(X, matrix.astype(np.float32), types)
    rows = Container.of(X).restore(matrix, types)
    filled = fill(X, ~known, np.zeros(matrix.shape), types)
    for result in (wrapped, rows, filled):
        agrees(result)
    if isinstance(X, pd.DataFrame):
        assert wrapped.dtypes.tolist() == [X.dtypes.iloc[0], np.float32, X.dtypes.iloc[2]]
        assert wrapped.index.identical(X.index)
        assert rows.dtypes.equals(X.dtypes)
        assert filled.dtypes.equals(X.dtypes)
        assert filled.index.identical(X.index)
        assert all(result.columns.identical(X.columns) for result in (wrapped, rows, filled))
    else:
        form = np.ma.MaskedArray if "masked" in name else np.ndarray
        assert [type(result) for result in (wrapped, rows, filled)] == [form] * 3
        assert [result.dtype for result in (wrapped, rows, filled)] == [np.dtype(object)] * 3
    # nothing of the user's is shared
    for result in (wrapped, rows, filled):
        rows_of = result.iloc if isinstance(result, pd.DataFrame) else result
        rows_of[:, 0] = types[0].categories[0]
    assert is_unchanged(X, before)


@pytest.mark.parametrize("name", LABELLED)
def test_missing_labels_in_results(name):
    X = LABELLED[name]
    types = types_of(X)
    result = wrap_like(X, np.full((4, 3), NAN, dtype=np.float32), types)
    assert absent(result).all()
    if isinstance(X, pd.DataFrame):
        assert [result.dtypes.iloc[j] for j in (0, 2)] == [X.dtypes.iloc[j] for j in (0, 2)]
    numbers = wrap_like(X, np.full((4, 3), 0.5, dtype=np.float32))  # deviations: numbers for all columns
    assert (set(numbers.dtypes) if isinstance(numbers, pd.DataFrame) else {numbers.dtype}) == {np.dtype("f4")}


@pytest.mark.parametrize("fitted", LABELLED)
@pytest.mark.parametrize("later", LABELLED)
def test_every_table_can_be_read_after_every_other(fitted, later):
    """Frames where arrays were and the other way round; labels are what counts."""
    X, new = LABELLED[fitted], LABELLED[later]
    types = types_of(X)

    def read(X):
        return to_matrix(check_table(Reader(), X, reset=True), types)

    matrix = read(new)
    np.testing.assert_array_equal(matrix, read(X))
    filled = fill(new, absent(new), np.zeros(matrix.shape), types)
    if isinstance(new, pd.DataFrame):
        # the categories of fit come behind those of the column
        assert [str(filled.dtypes.iloc[j]) for j in (0, 2)] == [str(new.dtypes.iloc[j]) for j in (0, 2)]
    np.testing.assert_array_equal(read(filled), np.nan_to_num(matrix))
    np.testing.assert_array_equal(read(wrap_like(new, np.nan_to_num(matrix), types)), np.nan_to_num(matrix))


@pytest.mark.parametrize("form", ["category", "object", "string", "array", "list", "masked"])
def test_unknown_categories(form):
    new = pd.DataFrame(
        {"a": ["v", "z", None, "y"], "b": [1.0, 2.0, 3.0, NAN], "c": ["p", "p", None, None]}
    ).astype({"a": object, "c": object})
    fitted = LABELLED["array, None"] if form in ("array", "list", "masked") else LABELLED["object, None"]
    if form in ("category", "string"):
        new = new.astype({"a": form})
    elif form != "object":
        array = new.to_numpy(object)
        new = {
            "array": array,
            "list": array.tolist(),
            "masked": np.ma.masked_array(np.where(pd.isna(array), "?", array), mask=pd.isna(array)),
        }[form]
    before = copy.deepcopy(new)
    reader = Reader().fit(fitted)
    label = 0 if form in ("array", "list", "masked") else "'a'"
    with pytest.raises(
        ValueError, match=rf"Column {label} holds 'z' in row 1, which is none .* \(\['u', 'v'\]\)"
    ):
        reader.read(new)
    matrix = reader.read(new, "missing")
    np.testing.assert_array_equal(matrix, [[1, 1, 0], [NAN, 2, 0], [NAN, 3, NAN], [NAN, NAN, NAN]])
    # what is absent is filled, and the user's own entries are left
    completed = fill(new, absent(new), np.zeros((4, 3)), reader.types_)
    assert labels_in(completed) == [["v", 1.0, "p"], ["z", 2.0, "p"], ["u", 3.0, "p"], ["y", 0.0, "p"]]
    if isinstance(new, pd.DataFrame):
        assert [dtype.kind for dtype in completed.dtypes] == [dtype.kind for dtype in new.dtypes]
        if form == "category":
            assert completed["a"].cat.categories.tolist() == ["v", "y", "z", "u"]
        else:
            assert completed.dtypes.equals(new.dtypes)
    # results are categories of fit
    wrapped = wrap_like(new, np.nan_to_num(matrix), reader.types_)
    assert [row[0] for row in labels_in(wrapped)] == ["v", "u", "u", "u"]
    assert is_unchanged(new, before)


FITTED = declared(text_frame(None, object), pd.CategoricalDtype(["r", "q", "p"], ordered=True))


@pytest.mark.parametrize(
    ("column", "dtype", "entries"),
    [
        (pd.Series([NAN] * 4, index=INDEX), FITTED.dtypes["c"], ["q"] * 4),
        (pd.Series([None] * 4, index=INDEX, dtype="Int64"), FITTED.dtypes["c"], ["q"] * 4),
        (pd.Series([pd.NaT] * 4, index=INDEX), FITTED.dtypes["c"], ["q"] * 4),
        (pd.Series([None] * 4, index=INDEX, dtype=object), object, ["q"] * 4),
        (pd.Series([None] * 4, index=INDEX, dtype="string"), "string", ["q"] * 4),
        (pd.Series([5.0, NAN, 2.5, NAN], index=INDEX), object, [5.0, "q", 2.5, "q"]),
        (pd.Series([5, None, 2, None], index=INDEX, dtype="Int64"), object, [5, "q", 2, "q"]),
        (pd.Series([5, 6, 7, 8], index=INDEX), np.int64, [5, 6, 7, 8]),
        (pd.Series([True, None, 2, None], index=INDEX, dtype=object), object, [True, "q", 2, "q"]),
    ],
)
def test_columns_that_cannot_hold_labels(column, dtype, entries):
    """Entries of the user stay, and what is filled in is a label all the same."""
    new = FITTED.assign(c=column)
    before = copy.deepcopy(new)
    reader = Reader().fit(FITTED)
    np.testing.assert_array_equal(reader.read(new, "missing")[:, 2], [NAN] * 4)
    completed = fill(new, absent(new), np.ones((4, 3)), reader.types_)
    assert completed.dtypes["c"] == dtype
    assert completed["c"].tolist() == entries
    assert completed.index.identical(INDEX)
    wrapped = wrap_like(new, np.ones((4, 3), dtype=np.float32), reader.types_)
    assert wrapped["c"].tolist() == ["q"] * 4
    assert is_unchanged(new, before)


def test_numbers_in_a_column_of_no_text():
    """A file in which a column of numbers is empty may be read as one of text."""
    X = pd.DataFrame({"a": [1.5, 2.0], "b": [1, 2], "c": [True, False]})
    new = pd.DataFrame({label: pd.Series([None, None], dtype="string") for label in "abc"})
    reader = Reader().fit(X)
    assert np.isnan(reader.read(new)).all()
    completed = fill(new, absent(new), np.full((2, 3), 1.75), reader.types_)
    assert completed.dtypes.equals(X.dtypes)
    assert completed.iloc[0].tolist() == [1.75, 2, True]


def test_categories_of_numbers_in_frames_and_later_as_numbers():
    X = pd.DataFrame({"a": pd.Categorical([10, 30, None]), "b": pd.Categorical([True, False, True])})
    reader = Reader().fit(X)
    codes = np.array([[0, 1], [1, 0], [NAN, 1]])
    for new in (X, X.astype(float), X.astype(object), X.astype({"a": "Int64", "b": "boolean"})):
        np.testing.assert_array_equal(reader.read(new), codes)
        wrapped = wrap_like(new, np.ones((3, 2), dtype=np.float32), reader.types_)
        if new is X:
            assert wrapped.dtypes.equals(X.dtypes)
        else:
            assert (wrapped.dtypes == np.float32).all()
        assert wrapped.iloc[0].tolist() == [30, True]
        completed = fill(new, absent(new), np.ones((3, 2)), reader.types_)
        assert completed.dtypes.equals(new.dtypes)
        assert completed["a"].tolist() == [10, 30, 30]
    rows = Container.of(X).restore(np.ones((1, 2)), reader.types_)
    assert rows.dtypes.equals(X.dtypes)
    with pytest.raises(ValueError, match=r"Column 'a' holds 20.0 in row 1, which is none .* \(\[10, 30\]\)"):
        reader.read(X.astype(float).assign(a=[10.0, 20.0, 30.0]))


COUNTED = {
    "float array": np.array([[1.0, 0.5], [NAN, 1.5], [4.0, 2.5]]),
    "int array": np.array([[1, 5], [4, 15], [4, 25]]),
    "object array": np.array([[1, 0.5], [None, 1.5], [4, 2.5]], dtype=object),
    "list": [[1, 0.5], [NAN, 1.5], [4, 2.5]],
    "masked": np.ma.masked_array([[1, 5], [9, 15], [4, 25]], mask=[[0, 0], [1, 0], [0, 0]]),
    "tensor": torch.tensor([[1.0, 0.5], [NAN, 1.5], [4.0, 2.5]]),
    "frame": pd.DataFrame({"a": pd.array([1, None, 4], dtype="Int16"), "b": [0.5, 1.5, 2.5]}),
    "object frame": pd.DataFrame({"a": pd.Series([1, None, 4], dtype=object), "b": [0.5, 1.5, 2.5]}),
}


@pytest.mark.parametrize("name", COUNTED)
def test_counted_categories_stay_numbers(name):
    X = COUNTED[name]
    before = copy.deepcopy(X)
    reader = Reader().fit(X)
    numbers = reader.read(X)
    first, second = reader.types_
    reader.types_ = types = (first.counted(numbers[:, 0], "category"), second)
    matrix = reader.read(X)
    np.testing.assert_array_equal(matrix[:, 0], np.where(np.isnan(numbers[:, 0]), NAN, numbers[:, 0] == 4))
    missing = np.isnan(numbers)
    filled = fill(X, missing, np.ones((3, 2)), types)
    rows = Container.of(X).restore(np.nan_to_num(matrix), types)
    wrapped = wrap_like(X, np.nan_to_num(matrix).astype(np.float32), types)
    assert_first(filled, np.where(missing[:, 0], 4, numbers[:, 0]))
    for result in (rows, wrapped):
        assert_first(result, np.where(missing[:, 0], 1, numbers[:, 0]))
    if isinstance(X, pd.DataFrame):
        assert filled.dtypes.equals(X.dtypes)
        assert rows.dtypes.equals(X.dtypes)
        assert (wrapped.dtypes == np.float32).all()
    elif isinstance(X, torch.Tensor):
        assert filled.dtype == rows.dtype == wrapped.dtype == torch.float32
    else:
        dtype = np.float64 if isinstance(X, list) else X.dtype
        assert filled.dtype == rows.dtype == dtype
        assert wrapped.dtype == np.float32
    assert is_unchanged(X, before)


def assert_first(result, expected):
    """The first column holds numbers, and those expected."""
    first = result.iloc[:, 0] if isinstance(result, pd.DataFrame) else result[:, 0]
    assert [float(value) for value in first] == expected.tolist()


@pytest.mark.parametrize("name", ["float array", "frame"])
def test_large_numbers_that_stand_for_categories_keep_their_digits(name):
    """20230115 is no float32, and would be another day."""
    X = COUNTED[name].copy()
    (X.iloc if isinstance(X, pd.DataFrame) else X)[0, 0] = 4
    days = np.array([20230115.0, 20230116.0])
    first, second = types_of(X)
    types = (first.counted(days, "category"), second)
    wrapped = (
        wrap_like(X, np.array([[0, 1], [1, 2]], dtype=np.float32), types)
        if name != "frame"
        else (wrap_like(X.iloc[:2], np.array([[0, 1], [1, 2]], dtype=np.float32), types))
    )
    assert_first(wrapped, days)


def test_tensors_hold_no_labels():
    X = LABELLED["array, None"]
    reader = Reader().fit(X)
    new = torch.tensor([[NAN, 1.0, NAN]])
    np.testing.assert_array_equal(reader.read(new), new)
    for put in (wrap_like, lambda *args: fill(args[0], absent(new), *args[1:])):
        with pytest.raises(
            TypeError, match="tensor cannot hold the categories of column 0; give a DataFrame"
        ):
            put(new, np.zeros((1, 3)), reader.types_)
    with pytest.raises(ValueError, match=r"Column 0 holds 1\.0 in row 0, which is none of the categories"):
        reader.read(torch.ones(1, 3))
    assert wrap_like(new, np.zeros((1, 3))).tolist() == [[0, 0, 0]]


def test_flags_beside_text_are_flags():
    for X in (
        [["a", True], ["b", None], ["b", False]],
        np.array([["a", True], ["b", None], ["b", False]], dtype=object),
    ):
        assert [kind.kind for kind in types_of(X)] == ["category", "binary"]
        completed = fill(X, absent(X), np.full((3, 2), 0.75), types_of(X))
        assert completed.tolist() == [["a", True], ["b", True], ["b", False]]
    # without text, rows of Python flags are numbers
    assert [kind.kind for kind in types_of([[True, None], [False, True]])] == ["continuous"] * 2


def test_wide_tables_of_text():
    """Many columns neither warn of fragments nor take long."""
    rng = np.random.default_rng(0)
    X = rng.choice(np.array(["a", "b", None], dtype=object), size=(5, 1500))
    X[0], X[1] = "a", "b"
    reader = Reader().fit(X)
    matrix = reader.read(X)
    np.testing.assert_array_equal(np.isnan(matrix), absent(X))
    assert fill(X, absent(X), np.zeros(X.shape), reader.types_).shape == X.shape
    frame = pd.DataFrame(X)
    assert_frame_equal(wrap_like(frame, np.nan_to_num(matrix), reader.types_), frame.fillna("a"))


def test_frames_keep_objects_what_they_are():
    """pandas makes text or dates of objects that look like them."""
    values = [["a", None], [pd.Timestamp(0), None], [1, 2.5], [True, NAN]]
    columns = [np.array(column, dtype=object) for column in values]
    columns += [pd.array(column, dtype=object) for column in values]
    frame = frame_of(columns, pd.Index(["r", "r"]), pd.Index(list("abcdefgh")))
    assert frame.dtypes.tolist() == [np.dtype(object)] * 8
    assert repr([frame[label].tolist() for label in frame]) == repr(values * 2)
    assert frame.index.tolist() == ["r", "r"]
    untouched = pd.DataFrame({"a": pd.Series(["x", None], dtype=object), "b": [1.0, NAN]})
    filled = fill(untouched, np.array([[False, False], [False, True]]), np.zeros((2, 2)), types_of(untouched))
    assert filled["a"].tolist() == ["x", None]
    assert filled["a"].dtype == object


def test_stacking():
    assert_frame_equal(
        stack([frame(NUMBERS), frame(NUMBERS + 1)], level="draw", keys=range(2)),
        pd.concat({0: frame(NUMBERS), 1: frame(NUMBERS + 1)}, names=["draw", "who"]),
    )
    rows = frame(NUMBERS).set_index(pd.MultiIndex.from_product([["u", "v"], [1, 2]], names=["p", "q"]))
    assert stack([rows, rows], level="quantile", keys=[0.5, 0.5]).index.names == ["quantile", "p", "q"]
    assert len(stack([rows, rows], level="quantile", keys=[0.5, 0.5])) == 8  # the same level twice
    assert stack([NUMBERS, NUMBERS], level="draw", keys=range(2)).shape == (2, 4, 3)
    assert torch.equal(stack([torch.zeros(2)], level="draw", keys=[0]), torch.zeros(1, 2))
    assert isinstance(stack([np.ma.zeros((2, 1))] * 2, level="draw", keys=[0, 1]), np.ma.MaskedArray)
