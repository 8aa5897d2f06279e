"""One column: its type, its numbers, and numbers back in its data type."""

import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from skmm._blocks.columns import column_kind, column_to_floats, floats_to_dtype

NAN = np.nan


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
    assert column_kind(column) == kind


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
    ],
)
def test_numbers(column, floats):
    numbers = column_to_floats(column, "a")
    assert numbers.dtype == np.float64
    np.testing.assert_array_equal(numbers, floats)


@pytest.mark.parametrize(
    ("column", "error", "message"),
    [
        (pd.Series(["x", "y"], dtype=object), ValueError, "'size' holds 'x', .*OneHotEncoder"),
        (pd.Series([1.0, "2.5"], dtype=object), ValueError, "'size' holds '2.5', .* type str"),
        (pd.Series([1.0, b"2"], dtype=object), ValueError, "'size' holds b'2', .* type bytes"),
        (
            pd.Series(["x", None], dtype="string"),
            ValueError,
            "'size' has type string, not numbers; encode it",
        ),
        (pd.Series([None, None], dtype="string"), ValueError, "'size' has type string"),
        (pd.Series([1, 2], dtype="category"), ValueError, "'size' has type category, .* OrdinalEncoder"),
        (pd.Series([True, False], dtype="category"), ValueError, "'size' has type category"),
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
