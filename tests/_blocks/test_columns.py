"""One column: its type, its numbers, and numbers back in its data type."""

import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from skmm._blocks.columns import MAX_FREE_TEXT, ColumnType, column_to_floats, floats_to_dtype, label_dtype

NAN = np.nan


def categorical(values, categories=None, ordered=False):
    """A category column; categories that are not given are sorted."""
    return pd.Series(pd.Categorical(values, categories=categories, ordered=ordered))


def of_labels(codes, labels):
    """A category column of labels that pandas would read as something else."""
    return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(labels, tupleize_cols=False)))


def arrow_text():
    pyarrow = pytest.importorskip("pyarrow")
    return pd.Series(["b", "a", None], dtype=pd.ArrowDtype(pyarrow.string()))


def arrow_string():
    pytest.importorskip("pyarrow")
    return pd.Series(["b", "a", None], dtype="string[pyarrow]")


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pd.Series([True, False]), "binary"),
        (pd.Series([True, pd.NA], dtype="boolean"), "binary"),
        (pd.Series([pd.NA, pd.NA], dtype="boolean"), "binary"),
        (pd.Series([True, None, False], dtype=object), "binary"),
        (pd.Series([np.bool_(True), NAN, pd.NA], dtype=object), "binary"),
        (pd.Series([True, 1], dtype=object), "continuous"),
        (pd.Series([0, 1], dtype=object), "continuous"),
        (pd.Series([None, None], dtype=object), "continuous"),
        (pd.Series([], dtype=object), "continuous"),
        (pd.Series([0, 1]), "continuous"),
        (pd.Series([0.0, 1.0]), "continuous"),
        (pd.Series([0, pd.NA], dtype="Int64"), "continuous"),
    ],
)
def test_kind(column, kind):
    found = ColumnType.of(column, "a")
    assert found.kind == kind
    assert found.dtype is column.dtype
    assert found.categories is None
    assert found.n_categories == 0
    assert not found.holds_labels


@pytest.mark.parametrize(
    ("column", "floats"),
    [
        (pd.Series([1.5, NAN]), [1.5, NAN]),
        (pd.Series([1.5, NAN], dtype="float32"), [1.5, NAN]),
        (pd.Series([1, -2], dtype="int8"), [1, -2]),
        (pd.Series([True, False]), [1, 0]),
        (pd.Series([1, pd.NA], dtype="Int64"), [1, NAN]),
        (pd.Series([1, pd.NA], dtype="UInt8"), [1, NAN]),
        (pd.Series([1.5, pd.NA], dtype="Float64"), [1.5, NAN]),
        (pd.Series([True, pd.NA], dtype="boolean"), [1, NAN]),
        (pd.Series([True, None, False], dtype=object), [1, NAN, 0]),
        (pd.Series([1, 2.5, np.float32(0.5), None, pd.NA, NAN], dtype=object), [1, 2.5, 0.5, NAN, NAN, NAN]),
        (pd.Series([Decimal("1.5"), Fraction(1, 4), 10**20], dtype=object), [1.5, 0.25, 1e20]),
        (pd.Series([None, pd.NaT], dtype=object), [NAN, NAN]),
        (pd.Series([None, None], dtype="string"), [NAN, NAN]),
    ],
)
def test_numbers(column, floats):
    numbers = column_to_floats(column, "a")
    assert numbers.dtype == np.float64
    np.testing.assert_array_equal(numbers, floats)


@pytest.mark.parametrize(
    ("column", "error", "message"),
    [
        (
            pd.Series(["x", "y"], dtype=object),
            ValueError,
            r"'size' holds 'x', which is not a number .*text, or any column made so with .astype\('cat.*",
        ),
        (pd.Series([1.0, "2.5"], dtype=object), ValueError, "'size' holds '2.5', .* type str"),
        (pd.Series([1.0, b"2"], dtype=object), ValueError, "'size' holds b'2', .* type bytes"),
        (
            pd.Series([None, "2"], dtype="string"),
            ValueError,
            "'size' holds '2', .* type str.*, or categories",
        ),
        (pd.Series(pd.to_datetime(["2020-01-01"])), ValueError, "'size' has type datetime64.* into days"),
        (pd.Series(pd.to_datetime(["2020-01-01"], utc=True)), ValueError, "'size' .*UTC.* into days"),
        (pd.Series(pd.to_timedelta([1], unit="D")), ValueError, "'size' has type timedelta64.* into days"),
        (pd.Series(pd.period_range("2020", periods=2)), ValueError, "'size' has type period.* into days"),
        (pd.Series([pd.Timestamp(0)], dtype=object), ValueError, "'size' holds Timestamp.* into days"),
        (pd.Series([np.datetime64(0, "D")], dtype=object), ValueError, "'size' .*datetime64.* into days"),
        (pd.Series([datetime.timedelta(1)], dtype=object), ValueError, "'size' .*timedelta.* into days"),
        (pd.Series([1j]), ValueError, "Complex data not supported: column 'size' .* a column each"),
        (pd.Series([1j], dtype=object), ValueError, "'size' holds 1j, .* type complex"),
        (pd.Series([np.complex64(1)], dtype=object), ValueError, "'size' .* type complex64"),
        (
            pd.Series([{"a": 1}], dtype=object),
            TypeError,
            "'size' holds {'a': 1}, .* must be a string or a real",
        ),
        (pd.Series([[1.0]], dtype=object), TypeError, r"'size' holds \[1.0\], which is not a number"),
        (pd.Series([10**400], dtype=object), ValueError, "'size' holds 10000.*too large"),
        (pd.Series([0.0, 1.0], dtype="Sparse[float]"), TypeError, "'size' has type Sparse.*to_dense"),
    ],
)
def test_what_is_no_number_is_refused_by_name(column, error, message):
    with pytest.raises(error, match=message):
        column_to_floats(column, "size")


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.float64, [1.5, -1e300], [1.5, -1e300]),
        (np.float32, [1.5, 1e300], [1.5, np.finfo(np.float32).max]),
        (np.float16, [1.5, -1e300], [1.5, np.finfo(np.float16).min]),
        (pd.Float32Dtype(), [1.5, 2.25], [1.5, 2.25]),
        (np.int64, [1.4, 1.6, -1e300, 1e300], [1, 2, -(2**63), 2**63 - 1024]),
        (np.uint64, [-3.0, 1e300], [0, 2**64 - 2048]),
        (np.int8, [127.4, 200.0, -200.0], [127, 127, -128]),
        (np.uint8, [-0.6, 255.6], [0, 255]),
        (pd.Int16Dtype(), [1e9, -1e9], [32767, -32768]),
        (bool, [0.49, 0.5, 7.0], [False, True, True]),
        (pd.BooleanDtype(), [0.49, 0.5], [False, True]),
        (object, [0.25, 3.0], [0.25, 3.0]),
    ],
)
def test_numbers_take_the_data_type(dtype, values, expected):
    out = floats_to_dtype(np.array(values), dtype, "continuous")
    assert out.dtype == getattr(dtype, "numpy_dtype", dtype)
    assert out.tolist() == expected


@pytest.mark.parametrize("dtype", [bool, pd.BooleanDtype(), object, np.float32, pd.Float64Dtype(), np.int8])
def test_flags_are_rounded_whatever_holds_them(dtype):
    out = floats_to_dtype(np.array([0.1, 0.5, 0.9]), dtype, "binary")
    assert out.dtype == getattr(dtype, "numpy_dtype", dtype)
    assert out.tolist() == [0, 1, 1]
    if dtype is object:
        assert [type(value) for value in out] == [bool, bool, bool]


# --- categories ------------------------------------------------------------------------------------------

DATES = pd.to_datetime(["2020-01-02", "2019-01-01", None])
DAY = datetime.date(2020, 1, 1)
OVERLAPPING = [pd.Interval(0, 2), pd.Interval(1, 3)]

# a column, its labels in order, and the position of each entry among them
CATEGORIES = {
    "text": (categorical(["b", "a", None]), ["a", "b"], [1, 0, NAN]),
    "declared order": (categorical(["b", "a", None], ["b", "a"]), ["b", "a"], [0, 1, NAN]),
    "declared, unseen": (categorical(["b", None], ["c", "b", "a"]), ["c", "b", "a"], [1, NAN]),
    "never seen": (categorical([None, None], ["a", "b"]), ["a", "b"], [NAN, NAN]),
    "a single one": (categorical(["a", "a"]), ["a"], [0, 0]),
    "ordered": (categorical(["b", "a", None], ["b", "c", "a"], True), ["b", "c", "a"], [0, 2, NAN]),
    "empty text": (categorical(["", " ", None]), ["", " "], [0, 1, NAN]),
    "ints": (categorical([3, -1, None]), [-1, 3], [1, 0, NAN]),
    "floats": (categorical([0.5, 0.1, None]), [0.1, 0.5], [1, 0, NAN]),
    "flags": (categorical([True, False, None]), [False, True], [1, 0, NAN]),
    "Int64": (categorical(pd.array([3, 1, None], dtype="Int64")), [1, 3], [1, 0, NAN]),
    "boolean": (categorical(pd.array([True, False, None], dtype="boolean")), [False, True], [1, 0, NAN]),
    "string": (categorical(pd.array(["b", "a", None], dtype="string")), ["a", "b"], [1, 0, NAN]),
    "intervals": (
        pd.Series(pd.cut([1, 9, NAN], [0, 5, 10])),
        [pd.Interval(0, 5), pd.Interval(5, 10)],
        [0, 1, NAN],
    ),
    "overlapping intervals": (of_labels([1, 0, -1], pd.IntervalIndex(OVERLAPPING)), OVERLAPPING, [1, 0, NAN]),
    "timestamps": (categorical(DATES), [DATES[1], DATES[0]], [1, 0, NAN]),
    "zones": (
        categorical(DATES.tz_localize("UTC")),
        [DATES[1].tz_localize("UTC"), DATES[0].tz_localize("UTC")],
        [1, 0, NAN],
    ),
    "periods": (
        categorical(pd.PeriodIndex(["2020", "2019", None], freq="D")),
        [pd.Period("2019", "D"), pd.Period("2020", "D")],
        [1, 0, NAN],
    ),
    "durations": (
        categorical(pd.to_timedelta([3, 1, None], unit="D")),
        [pd.Timedelta(1, "D"), pd.Timedelta(3, "D")],
        [1, 0, NAN],
    ),
    "dates": (categorical([DAY, None]), [DAY], [0, NAN]),
    "tuples": (of_labels([1, 0, -1], [("a", 1), ("b", 2)]), [("a", 1), ("b", 2)], [1, 0, NAN]),
    "text and numbers": (of_labels([1, 0, 2, -1], [1, "1", 2.5]), [1, "1", 2.5], [1, 0, 2, NAN]),
    "complex": (categorical([2j, 1j, None], [1j, 2j]), [1j, 2j], [1, 0, NAN]),
    "text as pandas has it": (pd.Series(["b", "a", None]), ["a", "b"], [1, 0, NAN]),
    "string column": (pd.Series(["b", "a", pd.NA], dtype="string"), ["a", "b"], [1, 0, NAN]),
    "object, None": (pd.Series(["b", "a", None], dtype=object), ["a", "b"], [1, 0, NAN]),
    "object, NaN": (pd.Series(["b", "a", NAN], dtype=object), ["a", "b"], [1, 0, NAN]),
    "object, NA": (pd.Series(["b", "a", pd.NA], dtype=object), ["a", "b"], [1, 0, NAN]),
    "object, all kinds": (
        pd.Series([NAN, "b", None, np.str_("a"), pd.NA], dtype=object),
        ["a", "b"],
        [NAN, 1, NAN, 0, NAN],
    ),
    "numbers as text": (pd.Series(["10", "9", "1.0"], dtype=object), ["1.0", "10", "9"], [1, 2, 0]),
    "not ASCII": (pd.Series(["ä", "日本", "a"], dtype=object), ["a", "ä", "日本"], [1, 2, 0]),
}


@pytest.mark.parametrize("name", CATEGORIES)
def test_categories_become_positions_and_labels_again(name):
    column, labels, positions = CATEGORIES[name]
    kind = ColumnType.of(column, "a")
    assert kind.kind == ("ordered" if name in ("ordered", "intervals") else "category")
    assert kind.dtype == column.dtype
    assert kind.n_categories == len(labels)
    assert kind.categories.tolist() == labels
    numbers = kind.read(column, "a")
    assert numbers.dtype == np.float64
    np.testing.assert_array_equal(numbers, positions)
    written = kind.write(numbers)
    assert written.dtype == column.dtype
    known = column.notna().to_numpy()
    assert pd.isna(written).tolist() == (~known).tolist()
    assert np.array(written, dtype=object)[known].tolist() == column[known].tolist()
    assert kind.labels(np.arange(len(labels))).tolist() == labels


@pytest.mark.parametrize("make", [arrow_text, arrow_string])
def test_text_stored_by_arrow(make):
    column = make()
    kind = ColumnType.of(column, "a")
    assert (kind.kind, kind.categories.tolist()) == ("category", ["a", "b"])
    numbers = kind.read(column, "a")
    np.testing.assert_array_equal(numbers, [1, 0, NAN])
    written = kind.write(numbers)
    assert written.dtype == column.dtype
    assert written[:2].tolist() == ["b", "a"]
    assert written[2] is pd.NA


def test_reading_does_not_depend_on_rows_or_index():
    column, _, positions = CATEGORIES["ordered"]
    again = column.iloc[[2, 1, 0, 0]].set_axis([7, 7, 7, 7])
    np.testing.assert_array_equal(
        ColumnType.of(column, "a").read(again, "a"), np.array(positions)[[2, 1, 0, 0]]
    )


def test_nothing_is_written_to():
    for column, *_ in CATEGORIES.values():
        before = column.copy(deep=True)
        kind = ColumnType.of(column, "a")
        kind.write(kind.read(column, "a"))
        pd.testing.assert_series_equal(column, before)


@pytest.mark.parametrize(
    ("fitted", "later", "positions"),
    [
        # fewer, more, reordered, none: a declared category matters only where it is used
        ("declared, unseen", categorical(["a", "b"]), [2, 1]),
        ("declared, unseen", categorical(["a", "b"], ["z", "b", "a", "c"]), [2, 1]),
        ("declared, unseen", categorical(["a", "c"], ["a", "c"], True), [2, 0]),
        ("ordered", categorical(["a", "b"]), [2, 0]),
        ("text", categorical([None, None]), [NAN, NAN]),
        ("text", categorical([NAN, None], [1.0, 2.0]), [NAN, NAN]),
        # other types of the same labels
        ("text", pd.Series(["b", None, "a"], dtype=object), [1, NAN, 0]),
        ("text", pd.Series(["b", None, "a"], dtype="string"), [1, NAN, 0]),
        ("text", pd.Series([np.str_("b")], dtype=object), [1]),
        ("object, None", categorical(["b", None, "a"], ["b", "a"], True), [1, NAN, 0]),
        ("ints", pd.Series([3, -1]), [1, 0]),
        ("ints", pd.Series([3.0, NAN]), [1, NAN]),
        ("ints", pd.Series([3, None], dtype="Int8"), [1, NAN]),
        ("ints", pd.Series([3, None], dtype=object), [1, NAN]),
        ("ints", categorical([3.0, NAN]), [1, NAN]),
        ("ints", pd.Series([None, None], dtype="string"), [NAN, NAN]),
        ("Int64", pd.Series([3.0, NAN]), [1, NAN]),
        ("floats", pd.Series([0.5, 0.1]), [1, 0]),
        ("flags", pd.Series([True, False]), [1, 0]),
        ("flags", pd.Series([True, None], dtype="boolean"), [1, NAN]),
        ("flags", pd.Series([True, None], dtype=object), [1, NAN]),
        ("flags", pd.Series([1.0, 0.0]), [1, 0]),
        ("boolean", pd.Series([1.0, 0.0]), [1, 0]),
        ("timestamps", pd.Series(DATES), [1, 0, NAN]),
        ("timestamps", pd.Series(DATES.astype("M8[s]")), [1, 0, NAN]),
        ("tuples", pd.Series([("b", 2), None], dtype=object), [1, NAN]),
        # nothing known
        ("text", pd.Series([NAN, NAN]), [NAN, NAN]),
        ("text", pd.Series([None, pd.NA], dtype=object), [NAN, NAN]),
        ("text", pd.Series([pd.NaT, pd.NaT]), [NAN, NAN]),
        ("text", pd.Series([None], dtype="Int64"), [NAN]),
    ],
)
@pytest.mark.parametrize("handle_unknown", ["error", "missing"])
def test_the_same_categories_in_another_type(fitted, later, positions, handle_unknown):
    kind = ColumnType.of(CATEGORIES[fitted][0], "a")
    np.testing.assert_array_equal(kind.read(later, "a", handle_unknown), positions)


@pytest.mark.parametrize(
    ("fitted", "later", "message", "positions"),
    [
        (
            "text",
            categorical([None, "a", "z", "y"]),
            r"'z' in row 2, which is none .*\(\['a', 'b'\]\)",
            [NAN, 0],
        ),
        ("text", pd.Series([None, "a", "z"], dtype=object), "'z' in row 2", [NAN, 0]),
        ("text", pd.Series(["b", "A"], dtype="string"), "'A' in row 1", [1]),
        ("text", pd.Series([np.str_("z")], dtype=object), " 'z' in row 0", []),
        ("text", pd.Series([NAN, 5.0]), " 5.0 in row 1", [NAN]),
        ("text", pd.Series([True]), " True in row 0", []),
        ("text", pd.Series([b"a"], dtype=object), " b'a' in row 0", []),
        ("text", pd.Series(["x" * 1000], dtype=object), r"'x+\.\.\.x+' in row 0", []),
        ("numbers as text", categorical([9]), " 9 in row 0", []),
        ("ints", pd.Series([3.0, 2.0]), r" 2.0 in row 1, .* \(\[-1, 3\]\)", [1]),
        ("ints", pd.Series([3.5]), " 3.5 in row 0", []),
        ("ints", categorical(["3"]), " '3' in row 0", []),
        ("flags", pd.Series([2]), " 2.0 in row 0", []),
        ("intervals", pd.Series([3.0]), " 3.0 in row 0", []),
        ("timestamps", pd.Series(["2020-01-02"], dtype=object), " '2020-01-02' in row 0", []),
        ("timestamps", pd.Series([DAY], dtype=object), " datetime.date.* in row 0", []),
    ],
)
def test_categories_that_fit_has_not_seen(fitted, later, message, positions):
    kind = ColumnType.of(CATEGORIES[fitted][0], "size")
    with pytest.raises(ValueError, match=f"Column 'size' holds {message.strip()}") as raised:
        kind.read(later, "size")
    assert "name every category in the column's type before fit" in str(raised.value)
    assert "handle_unknown='missing'" in str(raised.value)
    numbers = kind.read(later, "size", "missing")
    np.testing.assert_array_equal(numbers, [*positions, *[NAN] * (len(later) - len(positions))])


@pytest.mark.parametrize(
    ("fitted", "later", "error", "message"),
    [
        (
            "text",
            pd.Series(["a", ["b"]], dtype=object),
            TypeError,
            "cannot be a category: unhashable type: 'list'",
        ),
        (
            "text",
            pd.Series([{}, "a"], dtype=object),
            TypeError,
            "cannot be a category: unhashable type: 'dict'",
        ),
        ("ints", pd.Series(["1", "3"], dtype=object), ValueError, "holds '1', which is not a number"),
        ("ints", pd.Series(DATES), ValueError, "has type datetime64.* into days"),
        ("flags", pd.Series([1j]), ValueError, "Complex data not supported"),
    ],
)
@pytest.mark.parametrize("handle_unknown", ["error", "missing"])
def test_what_is_no_category_is_refused(fitted, later, error, message, handle_unknown):
    kind = ColumnType.of(CATEGORIES[fitted][0], "size")
    with pytest.raises(error, match=f"olumn 'size' .*{message}|{message}: column 'size'"):
        kind.read(later, "size", handle_unknown)


@pytest.mark.parametrize(
    "numbers", [pd.Series([1.5, 2.0]), pd.Series([True, False]), pd.Series([None], dtype=object)]
)
@pytest.mark.parametrize("later", [categorical([1.5]), categorical([True]), categorical([None])])
def test_categories_where_fit_saw_numbers_are_refused(numbers, later):
    kind = ColumnType.of(numbers, "size")
    with pytest.raises(
        ValueError, match=r"'size' has type category, but held numbers .*X\['size'\].astype\(float\)"
    ):
        kind.read(later, "size")


@pytest.mark.parametrize("dtype", ["str", "string", object])
def test_text_where_fit_saw_numbers_is_refused(dtype):
    kind = ColumnType.of(pd.Series([1.5, 2.0]), "size")
    with pytest.raises(ValueError, match=r"'size' holds '1\.5', which is not a number"):
        kind.read(pd.Series(["1.5"], dtype=dtype), "size")
    np.testing.assert_array_equal(kind.read(pd.Series([None, NAN], dtype="string"), "size"), [NAN, NAN])


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["a", 1], dtype=object),
        pd.Series([1.5, "a", None], dtype=object),
        pd.Series(["a", True], dtype=object),
    ],
)
def test_text_among_numbers_is_refused(column):
    kind = ColumnType.of(column, "size")
    assert kind.kind == "continuous"
    with pytest.raises(ValueError, match=r"'size' holds 'a', .* not several of these\.$"):
        kind.read(column, "size")


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (categorical([None, NAN]), "category"),
        (categorical([], []), "category"),
        (pd.Series([None, None], dtype="string"), "string"),
    ],
)
def test_a_column_without_a_single_category_is_refused(column, dtype):
    with pytest.raises(ValueError, match=f"'size' of type {dtype} has not a single category in fit; give it"):
        ColumnType.of(column, "size")


@pytest.mark.parametrize("dtype", [None, "string", object])
@pytest.mark.parametrize(
    ("n_texts", "n_rows", "is_free"),
    [
        (MAX_FREE_TEXT, MAX_FREE_TEXT, False),
        (MAX_FREE_TEXT + 1, MAX_FREE_TEXT + 1, True),
        (MAX_FREE_TEXT + 1, 2 * MAX_FREE_TEXT + 1, True),
        (MAX_FREE_TEXT + 1, 2 * MAX_FREE_TEXT + 2, False),
        (500, 1000, False),
        (501, 1000, True),
    ],
)
def test_free_text_is_refused(dtype, n_texts, n_rows, is_free):
    texts = [f"name {i % n_texts}" for i in range(n_rows)]
    column = pd.Series([*texts, *[None] * n_rows], dtype=dtype)  # what is missing is no entry
    if is_free:
        with pytest.raises(
            ValueError, match=rf"'size' holds {n_texts} different texts in {n_rows} entries, .*category"
        ):
            ColumnType.of(column, "size")
    else:
        assert ColumnType.of(column, "size").n_categories == n_texts
    assert ColumnType.of(column.astype("category"), "size").n_categories == n_texts  # the user says so


# --- labels in the type of another column ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fitted", "dtype", "out_dtype", "labels"),
    [
        ("text", "category", None, ["b", "a"]),
        ("text", object, object, ["b", "a"]),
        ("text", "string", "string", ["b", "a"]),
        ("object, None", "string", "string", ["b", "a"]),
        ("object, None", np.float64, object, ["b", "a"]),
        ("string column", np.int8, "string", ["b", "a"]),
        ("text", "M8[ns]", CATEGORIES["text"][0].dtype, ["b", "a"]),
        ("timestamps", "string", CATEGORIES["timestamps"][0].dtype, [DATES[0], DATES[1]]),
        ("timestamps", object, object, [DATES[0], DATES[1]]),
        ("text and numbers", "string", CATEGORIES["text and numbers"][0].dtype, ["1", 1]),
        ("tuples", object, object, [("b", 2), ("a", 1)]),
        ("ints", np.int64, np.int64, [3, -1]),
        ("ints", np.uint8, np.uint8, [3, 0]),
        ("ints", np.float32, np.float32, [3.0, -1.0]),
        ("ints", pd.Int16Dtype(), np.int16, [3, -1]),
        ("ints", object, object, [3, -1]),
        ("ints", "string", CATEGORIES["ints"][0].dtype, [3, -1]),
        ("flags", bool, bool, [True, False]),
        ("flags", object, object, [True, False]),
        ("flags", np.float64, np.float64, [1.0, 0.0]),
    ],
)
def test_labels_take_the_data_type(fitted, dtype, out_dtype, labels):
    kind = ColumnType.of(CATEGORIES[fitted][0], "a")
    if dtype == "category":
        dtype = out_dtype = pd.CategoricalDtype(["b", "a"], ordered=True)
    elif isinstance(dtype, str):
        dtype = pd.api.types.pandas_dtype(dtype)
    written = kind.write(np.array([1.0, 0.0]), dtype)
    assert written.dtype == out_dtype
    assert np.array(written, dtype=object).tolist() == labels
    assert [type(label) for label in np.array(written, dtype=object)] == [type(label) for label in labels]


def test_categories_of_fit_come_behind_those_of_the_column():
    kind = ColumnType.of(CATEGORIES["declared, unseen"][0], "a")
    written = kind.write(np.array([0.0, 1.0, NAN, 2.0]), pd.CategoricalDtype(["z", "a"], ordered=True))
    assert written.dtype == pd.CategoricalDtype(["z", "a", "c", "b"], ordered=True)
    assert written.tolist() == ["c", "b", NAN, "a"]
    written = kind.write(np.array([0.0]), pd.CategoricalDtype([]))
    assert written.dtype == pd.CategoricalDtype(["c", "b", "a"])
    written = kind.write(np.array([0.0]), pd.CategoricalDtype([2, 1]))  # of another type altogether
    assert written.dtype.categories.tolist() == [2, 1, "c", "b", "a"]
    assert written.tolist() == ["c"]
    same = pd.CategoricalDtype(["a", "b", "c"], ordered=True)
    assert kind.write(np.array([0.0]), same).dtype == same


def test_missing_labels_stay_missing():
    for name in ("text", "ints", "timestamps", "string column", "object, None"):
        kind = ColumnType.of(CATEGORIES[name][0], "a")
        assert pd.isna(kind.write(np.array([NAN, 0.0]))).tolist() == [True, False]
        assert pd.isna(kind.labels(np.array([NAN, 0.0]))).tolist() == [True, False]
    assert kind.labels(np.array([])).tolist() == []


# --- numbers and flags counted as categories ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["category", "ordered"])
@pytest.mark.parametrize(
    ("column", "labels", "positions"),
    [
        (pd.Series([5, -2, 5]), [-2, 5], [1, 0, 1]),
        (pd.Series([5.0, NAN, -2.0]), [-2, 5], [1, NAN, 0]),
        (pd.Series([5, None], dtype="Int8"), [5], [0, NAN]),
        (pd.Series([5, None, 7], dtype=object), [5, 7], [0, NAN, 1]),
        (pd.Series([2**53, 2**53 - 1]), [2**53 - 1, 2**53], [1, 0]),
        (pd.Series([True, False]), [False, True], [1, 0]),
        (pd.Series([True, None], dtype="boolean"), [True], [0, NAN]),
        (pd.Series([True, None, False], dtype=object), [False, True], [1, NAN, 0]),
    ],
)
def test_counted_categories(column, labels, positions, kind):
    plain = ColumnType.of(column, "a")
    counted = plain.counted(plain.read(column, "a"), kind)
    assert (counted.kind, counted.dtype) == (kind, plain.dtype)
    assert counted.categories.tolist() == labels
    assert [type(label) for label in counted.categories.tolist()] == [type(label) for label in labels]
    assert not counted.holds_labels
    assert plain.categories is None
    numbers = counted.read(column, "a")
    np.testing.assert_array_equal(numbers, positions)
    known = ~np.isnan(numbers)
    written = counted.write(numbers[known])
    assert written.dtype == getattr(column.dtype, "numpy_dtype", column.dtype)
    old = column[known].tolist()
    assert written.tolist() == old
    assert [type(value) for value in written.tolist()] == [type(value) for value in old]
    with pytest.raises(ValueError, match=r"Column 'a' holds 9.0 in row 1, which is none of the categories"):
        counted.read(pd.Series([NAN, 9.0]), "a")


def test_numbers_that_stand_for_categories_are_told_apart():
    def counted(*numbers):
        return ColumnType("continuous", np.dtype(float)).counted(np.array(numbers, dtype=float), "category")

    single, double = np.dtype(np.float32), np.dtype(np.float64)
    assert label_dtype(single, [counted(0, 1), counted(2**24)]) == single
    assert label_dtype(single, [counted(0, 1), counted(20230115)]) == double
    assert label_dtype(double, [counted(0, 1)]) == double
    assert label_dtype(single, []) == single
    assert label_dtype(single, [ColumnType.of(CATEGORIES["floats"][0], "a")]) == double
    assert label_dtype(single, [ColumnType.of(CATEGORIES["flags"][0], "a")]) == single
