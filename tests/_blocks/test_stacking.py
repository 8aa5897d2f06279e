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
            {"audio": np.zeros((2, 2, 2, 2))},
            ValueError,
            r"'audio' must have one or two dimensions, .*\(2, 2, 2, 2\)",
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


# --- sequences -------------------------------------------------------------------------------------------

SOUND = [np.array([[1.0, 2], [3, 4]]), np.array([[5.0, 6], [7, 8], [9, 10]])]
FILM = [np.array([[1], [2]]), np.array([[3], [4], [5]])]
TIMED = [
    pd.DataFrame({"x": [1.0, 2.0]}, index=pd.Index([3, 5], name="when")),
    pd.DataFrame({"x": [3.0, 4.0, 5.0]}, index=pd.Index([1, 2, 9], name="when")),
]
COLUMNS = [("sound", 0), ("sound", 1), ("film", 0)]
BOTH = [
    stacked(COLUMNS, range(2), [[1.0, 2.0, 1.0], [3, 4, 2]]).astype({("film", 0): int}),
    stacked(COLUMNS, range(3), [[5.0, 6.0, 3.0], [7, 8, 4], [9, 10, 5]]).astype({("film", 0): int}),
]


def assert_frames_equal(actual, expected):
    assert type(actual) is list
    assert len(actual) == len(expected)
    for frame, other in zip(actual, expected, strict=True):
        assert_frame_equal(frame, other, check_index_type=False)


@pytest.mark.parametrize(
    ("sound", "film"),
    [
        (SOUND, FILM),
        (tuple(SOUND), FILM),
        ([each.tolist() for each in SOUND], [each.astype(np.int64) for each in FILM]),
        (list(map(torch.tensor, SOUND)), list(map(torch.tensor, FILM))),
        (list(map(pd.DataFrame, SOUND)), list(map(np.ma.masked_array, FILM))),
    ],
    ids=["arrays", "tuple", "nested lists", "tensors", "frames"],
)
def test_sequences_are_matched_by_position(sound, film):
    before = copy.deepcopy((sound, film))
    X = stack_modalities({"sound": sound, "film": film})
    expected = BOTH
    if isinstance(film[0], np.ma.MaskedArray):  # where anything may be missing
        expected = [frame.astype({("film", 0): float}) for frame in BOTH]
    assert_frames_equal(X, expected)
    for frame in X:
        frame.iloc[:, :] = 77
    assert repr((sound, film)) == repr(before)


def test_arrays_of_three_dimensions():
    cube = np.arange(12.0).reshape(2, 3, 2)
    X = stack_modalities(
        {"a": cube, "b": (-cube[:, :, :1]).tolist(), "c": list(cube), "d": torch.tensor(cube)}
    )
    assert [frame.shape for frame in X] == [(3, 7)] * 2
    for frame, part in zip(X, cube, strict=True):
        np.testing.assert_array_equal(frame, np.hstack([part, -part[:, :1], part, part]))
    assert X[0].columns.tolist()[:3] == [("a", 0), ("a", 1), ("b", 0)]
    assert stack_modalities({"a": cube[:0]}) == []


def test_a_sequence_may_lack_a_modality():
    words = [None, pd.DataFrame({"w": pd.Categorical(["p", "q", "p"]), "f": [True, False, True]})]
    X = stack_modalities({"sound": SOUND, "film": [FILM[0], None], "words": words})
    assert X[0].columns.tolist() == [*COLUMNS, ("words", "w"), ("words", "f")]
    assert X[0].isna().to_numpy().tolist() == [[False] * 3 + [True] * 2] * 2
    assert X[1].isna().to_numpy().tolist() == [[False] * 2 + [True] + [False] * 2] * 3
    assert X[0]["film"].to_numpy().tolist() == [[1.0], [2.0]]
    # of one type in all sequences
    assert X[0].dtypes.equals(X[1].dtypes)
    assert X[0].dtypes[("words", "w")] == pd.CategoricalDtype(["p", "q"])
    assert X[1][("words", "f")].tolist() == [True, False, True]


def test_index_of_sequences():
    X = stack_modalities({"sound": SOUND, "timed": TIMED, "counted": list(map(pd.DataFrame, FILM))})
    assert [frame.index.tolist() for frame in X] == [[3, 5], [1, 2, 9]]
    assert X[0].index.name == "when"
    X = stack_modalities({"a": TIMED, "b": [TIMED[0] * 10, None]})
    np.testing.assert_array_equal(X[0], [[1, 10], [2, 20]])
    assert X[1].index.tolist() == [1, 2, 9]


def test_long_frames_are_matched_by_sequence_and_time():
    first = pd.concat(TIMED, keys=["p", "q"], names=["who"])
    second = pd.DataFrame(
        {"y": [1, 2, 3, 4]},
        index=pd.MultiIndex.from_tuples([("q", 3), ("q", 2), ("p", 3), ("r", 3)], names=["who", "when"]),
    )
    X = stack_modalities({"a": first, "b": second})
    index = [("p", 3), ("p", 5), ("q", 1), ("q", 2), ("q", 9), ("q", 3), ("r", 3)]
    assert X.index.tolist() == index
    assert X.index.names == ["who", "when"]
    np.testing.assert_array_equal(X, [[1, 3], [2, NAN], [3, NAN], [4, 2], [5, NAN], [NAN, 1], [NAN, 4]])


LONG_FILM = pd.concat(list(map(pd.DataFrame, FILM)), keys=[0, 1])


@pytest.mark.parametrize(
    ("modalities", "error", "message"),
    [
        (
            {"sound": SOUND, "film": FILM[:1]},
            ValueError,
            r"'sound' has 2 sequences, but modality 'film' has 1; give every .*or None",
        ),
        (
            {"sound": SOUND, "film": [FILM[0], FILM[1][:2]]},
            ValueError,
            r"Sequence 1 has 3 steps in modality 'sound', but 2 in modality 'film'; .*skmm\.resample_steps",
        ),
        (
            {"sound": np.zeros((2, 3, 1)), "film": np.zeros((2, 4, 1))},
            ValueError,
            r"Sequence 0 has 3 steps in modality 'sound', but 4 in modality 'film'",
        ),
        (
            {"sound": [SOUND[0], None], "film": [FILM[0], None]},
            ValueError,
            r"Sequence 1 is None in all modalities; leave it out",
        ),
        (
            {"sound": SOUND, "film": [None, None]},
            ValueError,
            r"'film' is None in all sequences; leave it out",
        ),
        (
            {"sound": SOUND, "film": FILM[0]},
            ValueError,
            r"'film' is no sequences, but modality 'sound' is; give all as sequences, .*\(n_steps, 1\)",
        ),
        (
            {"pitch": [each[:, 0] for each in SOUND], "film": FILM},
            ValueError,
            r"'pitch' is no sequences, but modality 'film' is; give all as sequences, .*\(n_steps, 1\)",
        ),
        (
            {"sound": SOUND, "film": LONG_FILM},
            ValueError,
            r"'film' is no sequences, but modality 'sound' is; give all as frames .*skmm\.to_long",
        ),
        (
            {"sound": SOUND, "film": LONG_FILM[0]},
            ValueError,
            r"'film' is no sequences, .*skmm\.to_long",
        ),
        (
            {"film": FILM, "sound": [SOUND[0], SOUND[1][:, :1]]},
            ValueError,
            r"Modality 'sound': .* item 0 of X has 2 and item 1 has 1",
        ),
        (
            {"film": FILM, "sound": [SOUND[0], SOUND[1][:, 0]]},
            ValueError,
            r"Modality 'sound': .* item 1 of X has 1 dimension\(s\); .*reshape",
        ),
        ({"film": FILM, "sound": [sparse.eye_array(2)] * 2}, TypeError, r"'sound': Sparse data .*toarray"),
        ({"sound": np.zeros((2, 0, 1))}, ValueError, r"Modality 'sound': The sequences of X have no steps"),
        ({"sound": np.zeros((2, 1, 0))}, ValueError, r"Modality 'sound' has no columns; leave it out"),
        (
            {"av": [BOTH[0]]},
            ValueError,
            r"'av' has columns of several levels; .*plain",
        ),
        (
            {"sound": SOUND, "a": TIMED, "b": [TIMED[0], TIMED[1].set_axis([1, 2, 3], axis=0)]},
            ValueError,
            r"index of sequence 1 in modality 'b' is not that in modality 'a'; .*skmm\.to_long .*reset_index",
        ),
    ],
)
def test_sequences_that_do_not_fit_are_refused(modalities, error, message):
    with pytest.raises(error, match=message):
        stack_modalities(modalities)
