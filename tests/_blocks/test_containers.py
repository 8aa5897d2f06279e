"""Containers of the user: read as numbers, and given back in the same form."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import _NotAnArray

from skmm._blocks.containers import Container, column_labels, entries, fill, stack, to_matrix, wrap_like

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


def read(X, reset=True):
    return to_matrix(Reader(), X, reset=reset)


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
    assert matrix.dtype in (np.float32, np.float64)
    np.testing.assert_array_equal(matrix, numbers)
    assert is_unchanged(X, before)


def test_memmap(tmp_path):
    mapped = memmap(NUMBERS, tmp_path / "X")
    np.testing.assert_array_equal(read(mapped), NUMBERS)
    filled = fill(mapped, np.isnan(NUMBERS), np.zeros(NUMBERS.shape), ["continuous"] * 3)
    assert type(filled) is np.ndarray
    np.testing.assert_array_equal(filled, np.nan_to_num(NUMBERS))


def test_names_and_number_of_columns_are_kept():
    reader = Reader()
    to_matrix(reader, FRAMES["frame"][0], reset=True)
    assert reader.n_features_in_ == 3
    assert reader.feature_names_in_.tolist() == ["b", "a", "c"]
    to_matrix(reader, FRAMES["frame"][0].iloc[:1], reset=False)
    with pytest.raises(ValueError, match="must be in the same order"):
        to_matrix(reader, FRAMES["frame"][0][["a", "b", "c"]], reset=False)
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- d\n.*\n- c"):
        to_matrix(reader, FRAMES["frame"][0].rename(columns={"c": "d"}), reset=False)
    with pytest.raises(ValueError, match="yet now missing:\n- c"):
        to_matrix(reader, FRAMES["frame"][0][["b", "a"]], reset=False)


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
    "text": (np.array([["1", "2"], ["3", "4"]]), ValueError, "Column 0 holds '1', .* type str"),
    "text in a list": ([[1, 2], [3, "four"]], ValueError, "Column 1 holds 'four', .*OneHotEncoder"),
    "text in a frame": (
        pd.DataFrame({"p": [1, 2], "q": ["u", "v"]}),
        ValueError,
        "Column 'q' .*OneHotEncoder",
    ),
    "categories": (
        pd.DataFrame({"p": [1, 2], "q": pd.Categorical([1, 2])}),
        ValueError,
        "Column 'q' has type category",
    ),
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
        pd.DataFrame([[1, "u"], [2, "v"]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("b", "y")])),
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
    "np.matrix": (np.asmatrix(NUMBERS), TypeError, "np.matrix is not supported"),
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
    reader = Reader()
    to_matrix(reader, NUMBERS, reset=True)
    assert to_matrix(reader, NUMBERS[:1], reset=False).shape == (1, 3)
    with pytest.raises(ValueError, match=r"0 sample\(s\).*minimum of 1"):
        to_matrix(reader, NUMBERS[:0], reset=False)
    with pytest.raises(ValueError, match="X has 2 features, but Reader is expecting 3"):
        to_matrix(reader, NUMBERS[:, :2], reset=False)


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
    assert container.dtypes == (np.dtype(dtype),) * numbers.shape[1]
    is_flag = numbers is FLAGS or dtype is bool
    assert container.kinds == ("binary" if is_flag else "continuous",) * numbers.shape[1]
    assert container.columns is None


@pytest.mark.parametrize("name", FRAMES)
def test_container_of_frames(name):
    X, numbers = FRAMES[name]
    container = Container.of(X)
    assert container.form == "frame"
    assert list(container.dtypes) == X.dtypes.tolist()
    assert container.columns is X.columns
    if name == "frame of several types":
        assert container.kinds == ("continuous", "continuous", "binary", "continuous", "binary")
    else:
        assert set(container.kinds) == {"binary" if "bool" in name or "flag" in name else "continuous"}
    assert len(container.kinds) == numbers.shape[1]


@pytest.mark.parametrize("name", TABLES)
def test_results_take_the_form_of_X(name):
    X, numbers = TABLES[name]
    matrix = np.arange(numbers.size, dtype=np.float32).reshape(numbers.shape) / 8
    wrapped = wrap_like(X, matrix)
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
    container = Container.of(X)
    rows = container.restore(matrix)
    if name in FRAMES:
        assert rows.columns.identical(X.columns)
        assert rows.dtypes.equals(X.dtypes)
        assert rows.index.equals(pd.RangeIndex(2))
        assert container.restore(matrix, INDEX[:2]).index.identical(INDEX[:2])
        columns = [rows.iloc[:, j].tolist() for j in range(rows.shape[1])]
    else:
        dtype = (ARRAYS | MASKED | TENSORS)[name][2]
        assert (
            type(rows)
            is {"array": np.ndarray, "masked": np.ma.MaskedArray, "tensor": torch.Tensor}[container.form]
        )
        assert (rows.numpy() if name in TENSORS else rows).dtype == dtype
        columns = rows.T.tolist()
    for column, values, dtype, kind in zip(columns, matrix.T, container.dtypes, container.kinds, strict=True):
        if kind == "binary":
            assert column == [value >= 0.5 for value in values]
            assert {type(value) for value in column} == {bool}
        elif pd.api.types.is_integer_dtype(dtype):
            assert column == [max(round(value), 0) for value in values]
        else:
            assert column == pytest.approx(values, rel=2e-3)  # float16


@pytest.mark.parametrize("name", TABLES)
def test_filling_touches_only_what_is_missing(name):
    X, numbers = TABLES[name]
    before, container = copy.deepcopy(X), Container.of(X)
    missing = np.isnan(numbers.astype(float))
    filled = fill(X, missing, np.full(numbers.shape, 0.75), container.kinds)
    assert is_unchanged(X, before)
    kept = np.array(np.nan_to_num(numbers.astype(float)))
    for j, (dtype, kind) in enumerate(zip(container.dtypes, container.kinds, strict=True)):
        rounds = kind == "binary" or pd.api.types.is_integer_dtype(dtype)
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
        filled = fill(X, missing, np.zeros(numbers.shape), Container.of(X).kinds)
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
        filled = np.asarray(fill(container, missing, np.ones(X.shape), ["continuous"] * 3))
        np.testing.assert_array_equal(filled.view(np.uint64)[~missing], X.view(np.uint64)[~missing])
    large = pd.DataFrame({"a": pd.array([2**62 + 1, None], dtype="Int64")})
    filled = fill(large, large.isna().to_numpy(), np.zeros((2, 1)), ["continuous"])
    assert filled["a"].tolist() == [2**62 + 1, 0]


def test_flags_are_filled_as_fit_knew_them():
    """A column of nothing but missing values does not say that it holds flags; what fit saw does."""
    X = pd.DataFrame({"a": pd.Series([None, None], dtype=object), "b": [NAN, 1.0]})
    filled = fill(X, X.isna().to_numpy(), np.full((2, 2), 0.75), ["binary", "binary"])
    assert filled["a"].tolist() == [True, True]
    assert filled["b"].tolist() == [1.0, 1.0]
    filled = fill(
        np.array([[NAN, NAN]]), np.ones((1, 2), bool), np.full((1, 2), 0.25), ["binary", "continuous"]
    )
    assert filled.tolist() == [[0.0, 0.25]]


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
