"""Reading y: labels of all kinds, what marks rows without one, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import DataConversionWarning

from skmm._blocks.labels import known_labels, label_codes, read_labels, read_numbers

NAN = np.nan
FLAGS, WHOLE, REAL, TEXT = bool, np.int64, np.float64, object


def assert_read(y, classes, codes, dtype=None, **options):
    found, positions = read_labels(y, **options)
    assert found.tolist() == classes
    assert [type(label) for label in found.tolist()] == [type(label) for label in classes]
    if dtype is not None:
        assert found.dtype == dtype
    np.testing.assert_array_equal(positions, codes)


@pytest.mark.parametrize(
    ("y", "classes", "codes", "dtype"),
    [
        (np.array([2, 0, 2]), [0, 2], [1, 0, 1], WHOLE),
        ([2, 0, None], [0, 2], [1, 0, NAN], WHOLE),
        ([2.0, NAN, 0.0], [0.0, 2.0], [1, NAN, 0], REAL),
        ([1, 2.0, None], [1.0, 2.0], [0, 1, NAN], REAL),
        (["b", "a", None], ["a", "b"], [1, 0, NAN], TEXT),
        (["b", NAN], ["b"], [0, NAN], TEXT),  # numpy would make the text "nan" of it
        (np.array(["b", "a"]), ["a", "b"], [1, 0], np.dtype("<U1")),
        ([True, None, False], [False, True], [1, NAN, 0], FLAGS),
        (np.array([True, False]), [False, True], [1, 0], FLAGS),
        (torch.tensor([3, 1]), [1, 3], [1, 0], WHOLE),
        (np.ma.masked_array([3, 1, 1], mask=[0, 0, 1]), [1.0, 3.0], [1, 0, NAN], REAL),
        (pd.Series([3, 1, pd.NA], dtype="Int64"), [1, 3], [1, 0, NAN], WHOLE),
        (pd.Series([True, pd.NA], dtype="boolean"), [True], [0, NAN], FLAGS),
        (pd.Series(["b", None], dtype="category"), ["b"], [0, NAN], TEXT),
        (pd.Series([4, 3], dtype="category"), [3, 4], [1, 0], WHOLE),
        (pd.Series(["b", None], dtype="string"), ["b"], [0, NAN], TEXT),
        (pd.Series(["b", "a"], index=[7, 3]), ["a", "b"], [1, 0], TEXT),
    ],
)
def test_labels_of_all_kinds(y, classes, codes, dtype):
    assert_read(y, classes, codes, dtype)


@pytest.mark.parametrize(
    ("y", "unlabelled", "classes", "codes"),
    [
        ([0, 1, -1], "auto", [0, 1], [0, 1, NAN]),
        ([0.0, -1.0, NAN], "auto", [0.0], [0, NAN, NAN]),
        (["a", -1, "b"], "auto", ["a", "b"], [0, NAN, 1]),
        ([-1, 1, 1], "auto", [-1, 1], [0, 1, 1]),  # exactly the labels of a binary problem
        ([-1, 1, NAN], "auto", [-1.0, 1.0], [0, 1, NAN]),
        ([-1, 0, 1], "auto", [0, 1], [NAN, 0, 1]),
        ([-1, 0, 1], None, [-1, 0, 1], [0, 1, 2]),
        ([-1, 1, 1], -1, [1], [NAN, 0, 0]),
        ([-1, 0, 9], 9, [-1, 0], [0, 1, NAN]),
        (["a", "?", None], "?", ["a"], [0, NAN, NAN]),
        ([True, False], "auto", [False, True], [1, 0]),
    ],
)
def test_marks_of_unlabelled_rows(y, unlabelled, classes, codes):
    assert_read(y if NAN not in y else np.array(y), classes, codes, unlabelled=unlabelled)


def test_a_column_is_read_with_scikit_learns_warning():
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        assert_read(np.array([[1], [0]]), [0, 1], [1, 0])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([None, NAN], "y holds no label of any class: every row is unlabelled"),
        ([-1, -1], "y holds no label of any class"),
        ([1, "a"], "y must hold labels of one kind.*'mixed-integer'"),
        ([0.5, 1.2, 3.1], "Unknown label type: continuous"),
        ([np.inf, 1.0], "y contains infinity"),
        (np.zeros((3, 2)), "y should be a 1d array"),
    ],
)
def test_what_is_no_label_is_refused(y, message):
    with pytest.raises(ValueError, match=message):
        read_labels(y)


def test_codes_of_known_labels():
    np.testing.assert_array_equal(label_codes("b", np.array(["a", "b"], dtype=object)), [1])
    np.testing.assert_array_equal(label_codes([1, 0, 1], np.array([0.0, 1.0])), [1, 0, 1])
    with pytest.raises(ValueError, match=r"y must hold classes seen in fit, which are \['a', 'b'\], got 'c'"):
        label_codes(["a", "c"], np.array(["a", "b"], dtype=object))


@pytest.mark.parametrize(
    ("y", "classes", "labels", "labelled"),
    [
        ([-1, 0, 1, None], [0, 1], [0, 1], [False, True, True, False]),
        ([-1, 1, 1], [0, 1], [1, 1], [False, True, True]),  # 0 happens not to come: -1 is still a mark
        ([-1, 1, 0], [-1, 1], [-1, 1, 0], [True, True, True]),
    ],
)
def test_marks_are_those_of_fit(y, classes, labels, labelled):
    found, known = known_labels(y, "auto", np.array(classes))
    assert found.tolist() == labels
    assert known.tolist() == labelled


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([1, None, 3], [1, NAN, 3]),
        (pd.Series([1, pd.NA], dtype="Int64"), [1, NAN]),
        (np.array([[1, NAN], [2, 3]]), [[1, NAN], [2, 3]]),
        (pd.DataFrame({"a": [1.0, NAN]}), [[1], [NAN]]),
        (torch.tensor([1.5, 2.0]), [1.5, 2.0]),
    ],
)
def test_numbers(y, expected):
    found = read_numbers(y)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)


def test_numbers_are_copied_and_marks_removed():
    y = np.array([1.0, -999.0])
    np.testing.assert_array_equal(read_numbers(y, -999), [1, NAN])
    assert y.tolist() == [1.0, -999.0]


@pytest.mark.parametrize(
    ("y", "message"),
    [([None, NAN], "y holds no number"), ([np.inf, 1.0], "y contains infinity"), (["a", "b"], "convert")],
)
def test_what_is_no_number_is_refused(y, message):
    with pytest.raises(ValueError, match=message):
        read_numbers(y)
