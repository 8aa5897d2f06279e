"""stack_modalities: one frame of separate tables."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal
from scipy import sparse

from skmm import stack_modalities

NAN = np.nan
AUDIO = pd.DataFrame({"pitch": [1.0, 2.0], "level": [5, 6]}, index=["ann", "bob"])
TEXT = pd.DataFrame({"length": [3.0, 4.0, 7.0]}, index=["eve", "bob", "cid"])


def stacked(columns, index, values):
    return pd.DataFrame(values, index=index, columns=pd.MultiIndex.from_tuples(columns))


def test_tables_are_aligned_on_their_index():
    assert_frame_equal(
        stack_modalities({"audio": AUDIO, "text": TEXT}),
        stacked(
            [("audio", "pitch"), ("audio", "level"), ("text", "length")],
            ["ann", "bob", "eve", "cid"],  # as they first appear
            [[1, 5, NAN], [2, 6, 4], [NAN, NAN, 3], [NAN, NAN, 7]],
        ),
    )


def test_order_follows_the_dict():
    X = stack_modalities({"text": TEXT, "audio": AUDIO})
    assert X.index.tolist() == ["eve", "bob", "cid", "ann"]
    assert X.columns.tolist() == [("text", "length"), ("audio", "pitch"), ("audio", "level")]


def test_the_same_rows_in_another_order_are_matched():
    X = stack_modalities({"a": AUDIO, "b": AUDIO[::-1] * 10})
    np.testing.assert_array_equal(X["b"], X["a"] * 10)
    assert X.index.tolist() == ["ann", "bob"]


def test_dates_are_not_sorted():
    first = pd.DataFrame({"x": [1.0, 2.0]}, index=pd.to_datetime(["2021-01-01", "2020-01-01"]))
    second = pd.DataFrame({"x": [3.0, 4.0]}, index=pd.to_datetime(["2019-01-01", "2020-01-01"]))
    X = stack_modalities({"a": first, "b": second})
    assert X.index.year.tolist() == [2021, 2020, 2019]
    np.testing.assert_array_equal(X, [[1, NAN], [2, 4], [NAN, 3]])


def test_types_are_kept_where_every_row_is_there():
    typed = pd.DataFrame({"n": [1, 2], "f": [True, False], "s": np.float32([1, 2])})
    nullable = pd.DataFrame({"n": pd.array([1, None], dtype="Int64")}, index=[1, 2])
    X = stack_modalities({"typed": typed})
    assert X.dtypes.tolist() == [np.int64, bool, np.float32]
    X = stack_modalities({"typed": typed, "nullable": nullable})
    assert X["nullable"].dtypes.tolist() == [pd.Int64Dtype()]
    assert X[("nullable", "n")].isna().tolist() == [True, False, True]
    assert X[("typed", "f")].tolist()[:2] == [True, False]


def test_series_is_one_feature():
    X = stack_modalities(
        {"audio": AUDIO, "text": TEXT["length"], "nameless": pd.Series([9.0], index=["bob"])}
    )
    assert X.columns.tolist()[2:] == [("text", "length"), ("nameless", 0)]
    assert X.loc["bob"].tolist() == [2, 6, 4, 9]


@pytest.mark.parametrize(
    "table",
    [
        np.array([[1.0, NAN], [3.0, 4.0]]),
        [[1.0, NAN], [3.0, 4.0]],
        [[1.0, None], [3.0, 4.0]],
        torch.tensor([[1.0, NAN], [3.0, 4.0]], requires_grad=True),
        np.ma.masked_array([[1, 999], [3, 4]], mask=[[False, True], [False, False]]),
        np.ma.masked_array([[1.0, np.inf], [3.0, 4.0]], mask=[[False, True], [False, False]]),
    ],
    ids=["array", "list", "list with None", "tensor", "masked int", "masked float"],
)
def test_tables_without_index_are_matched_by_position(table):
    X = stack_modalities({"a": table, "b": np.array([5, 6])})
    assert X.columns.tolist() == [("a", 0), ("a", 1), ("b", 0)]
    assert X.index.equals(pd.RangeIndex(2))
    np.testing.assert_array_equal(X.astype(float), [[1, NAN, 5], [3, 4, 6]])
    with_frame = stack_modalities({"a": table, "c": pd.DataFrame({"x": [7, 8]})})  # whose index says the same
    assert with_frame[("c", "x")].tolist() == [7, 8]


def test_index_of_several_levels():
    index = pd.MultiIndex.from_product([["p", "q"], [1, 2]], names=["subject", "visit"])
    first = pd.DataFrame({"x": range(4)}, index=index)
    X = stack_modalities({"a": first, "b": first[::-1][:3]})
    assert X.index.equals(index)
    assert X.index.names == ["subject", "visit"]
    np.testing.assert_array_equal(X[("b", "x")], [NAN, 1, 2, 3])


def test_tables_are_not_changed_and_not_shared():
    tables = {"audio": AUDIO.copy(), "array": np.zeros((2, 2)), "frame": pd.DataFrame(np.zeros((2, 2)))}
    before = copy.deepcopy(tables)
    alone = stack_modalities({"audio": tables["audio"]})
    alone.iloc[:, :] = 77
    together = stack_modalities({"array": tables["array"], "frame": tables["frame"]})
    together.iloc[:, :] = 77
    assert_frame_equal(tables["audio"], before["audio"])
    assert_frame_equal(tables["frame"], before["frame"])
    np.testing.assert_array_equal(tables["array"], before["array"])


@pytest.mark.parametrize(
    ("modalities", "error", "message"),
    [
        ({}, ValueError, "modalities must be a dict of at least one table, name -> table, got {}"),
        ([AUDIO, TEXT], ValueError, "modalities must be a dict of at least one table"),
        (None, ValueError, "got None"),
        (
            {"audio": AUDIO, "text": TEXT.iloc[:, :0]},
            ValueError,
            "Modality 'text' has no columns; leave it out",
        ),
        ({"audio": np.zeros((2, 0))}, ValueError, "Modality 'audio' has no columns"),
        (
            {"audio": np.zeros((2, 2, 2))},
            ValueError,
            r"'audio' must have one or two dimensions, .*\(2, 2, 2\)",
        ),
        ({"audio": None}, ValueError, r"'audio' must have one or two dimensions, got shape \(\)"),
        ({"audio": sparse.eye_array(2)}, TypeError, "Sparse data was passed.*toarray"),
        (
            {"audio": AUDIO, "text": TEXT.loc[["eve", "bob", "eve"]]},
            ValueError,
            "index of modality 'text' holds 'eve' more than once, .*reset_index",
        ),
        (
            {"av": stack_modalities({"audio": AUDIO})},
            ValueError,
            "'av' has columns of several levels; .*plain",
        ),
        (
            {"audio": AUDIO, "text": np.zeros((2, 1))},
            ValueError,
            "'text' has 2 rows and no index, .* matched with the 2 rows of modality 'audio'; give DataFrames",
        ),
        (
            {"audio": np.zeros((2, 1)), "text": np.zeros((3, 1))},
            ValueError,
            "'audio' has 2 rows and no index, .* the 3 rows of modality 'text'",
        ),
    ],
)
def test_tables_that_do_not_fit_are_refused(modalities, error, message):
    with pytest.raises(error, match=message):
        stack_modalities(modalities)
