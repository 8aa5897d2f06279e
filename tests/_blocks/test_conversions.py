"""Sequences from one form to another: ragged lists, long frames, windows, other numbers of steps."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal
from scipy import sparse
from sklearn.model_selection import KFold

from skmm._blocks.conversions import resample_steps, to_long, to_ragged, to_windows
from skmm._blocks.sequences import Steps

NAN = np.nan
PADDED = np.array(
    [
        [[1.0, NAN], [NAN, NAN], [2, 3], [NAN, NAN]],  # a gap inside, and padding at the end
        [[NAN, NAN], [NAN, NAN], [NAN, NAN], [NAN, NAN]],
        [[4, 5], [6, 7], [NAN, NAN], [NAN, 8]],
    ]
)
STRIPPED = [PADDED[0, :3], PADDED[1, :1], PADDED[2]]
INDEX = pd.MultiIndex.from_tuples(
    [("bob", 3), ("ann", 1), ("bob", 1), ("cid", 0), ("ann", 5), ("bob", 2)], names=["who", "when"]
)
LONG = pd.DataFrame({"u": np.arange(6), "v": pd.Categorical(list("pqpqrp"))}, index=INDEX)


def times(*values):
    return pd.Index(values, name="when")


def assert_all_equal(actual, expected):
    assert type(actual) is list
    assert [type(each) for each in actual] == [type(each) for each in expected]
    for part, other in zip(actual, expected, strict=True):
        if isinstance(other, pd.DataFrame):
            assert_frame_equal(part, other)
        else:
            assert part.dtype == other.dtype
            if isinstance(other, np.ma.MaskedArray):
                np.testing.assert_array_equal(np.ma.getmaskarray(part), np.ma.getmaskarray(other))
            np.testing.assert_array_equal(part, other)


# --- to_ragged -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (PADDED, STRIPPED),
        (PADDED.astype(np.float32), [each.astype(np.float32) for each in STRIPPED]),
        (PADDED.tolist(), STRIPPED),
        (torch.tensor(PADDED), list(map(torch.tensor, STRIPPED))),
        (
            np.ma.masked_array(np.nan_to_num(PADDED), np.isnan(PADDED)),
            [np.ma.masked_array(np.nan_to_num(each), np.isnan(each)) for each in STRIPPED],
        ),
        (list(PADDED), STRIPPED),
        ([PADDED[2, :3], PADDED[0]], [PADDED[2, :2], STRIPPED[0]]),
        (
            [pd.DataFrame(each, index=times(4, 3, 2, 1)) for each in PADDED],
            [pd.DataFrame(each, index=times(4, 3, 2, 1)[: len(each)]) for each in STRIPPED],
        ),
        (
            np.array([[["a"], [None]], [["b"], ["c"]]], dtype=object),
            [np.array([["a"]], dtype=object), np.array([["b"], ["c"]], dtype=object)],
        ),
        (np.zeros((2, 1, 1), dtype=int), [np.zeros((1, 1), dtype=int)] * 2),
    ],
)
def test_padding_is_left_out(X, expected):
    before = copy.deepcopy(X)
    ragged = to_ragged(X)
    assert_all_equal(ragged, expected)
    for each in ragged:
        (each.iloc if isinstance(each, pd.DataFrame) else each)[:, :] = 77
    assert repr(X) == repr(before)


def test_sequences_of_a_long_frame():
    expected = [
        pd.DataFrame({"u": [2, 5, 0]}, index=times(1, 2, 3)),
        pd.DataFrame({"u": [1, 4]}, index=times(1, 5)),
        pd.DataFrame({"u": [3]}, index=times(0)),
    ]
    for frame, text in zip(expected, ["ppp", "qr", "q"], strict=True):
        frame["v"] = pd.Categorical(list(text), categories=list("pqr"))
    for X in (LONG, LONG.iloc[[2, 5, 0, 1, 4, 3]]):
        before = X.copy()
        ragged = to_ragged(X)
        assert_all_equal(ragged, expected)
        ragged[0].iloc[:, 0] = 77
        assert_frame_equal(X, before)


def test_long_frames_carry_true_lengths():
    X = pd.DataFrame({"u": [1.0, NAN]}, index=pd.MultiIndex.from_product([["p"], [0, 1]]))
    assert [len(each) for each in to_ragged(X)] == [2]


def test_folds_of_a_list_are_of_sequences():
    ragged = to_ragged(LONG)
    (_, test), *_ = KFold(3).split(ragged)
    assert_frame_equal(ragged[test[0]], LONG.loc["bob"].sort_index())


# --- to_long ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "dtype"),
    [
        ([PADDED[0, :2], PADDED[2, :1]], np.float64),
        ([PADDED[0, :2].astype("f4"), PADDED[2, :1].astype("f4")], np.float32),
        ([torch.tensor(PADDED[0, :2]), torch.tensor(PADDED[2, :1])], np.float64),
        ([PADDED[0, :2].tolist(), PADDED[2, :1].tolist()], np.float64),
        ([np.ma.masked_invalid(PADDED[0, :2]), PADDED[2, :1]], np.float64),
    ],
)
def test_long_frame_of_arrays(X, dtype):
    index = pd.MultiIndex.from_tuples([(0, 0), (0, 1), (1, 0)], names=["sequence", "time"])
    assert_frame_equal(to_long(X), pd.DataFrame([[1, NAN], [NAN, NAN], [4, 5]], index=index, dtype=dtype))


def test_long_frame_of_an_array_of_three_dimensions():
    X = np.arange(12).reshape(2, 3, 2)
    long = to_long(X, labels=["p", "q"])
    index = pd.MultiIndex.from_product([["p", "q"], range(3)], names=["sequence", "time"])
    assert_frame_equal(long, pd.DataFrame(X.reshape(6, 2), index=index))
    long.iloc[:, :] = 77
    assert X.ravel().tolist() == list(range(12))
    assert to_long(X[:0]).shape == (0, 2)


def test_long_frame_of_frames():
    frames = to_ragged(LONG)
    ordered = LONG.iloc[[2, 5, 0, 1, 4, 3]]
    assert_frame_equal(to_long(frames, labels=Steps.of(LONG).labels), ordered)
    assert_frame_equal(
        to_long(frames, labels=["bob", "ann", "cid"]), ordered.rename_axis(["sequence", "when"])
    )
    counted = ordered.rename({"bob": 0, "ann": 1, "cid": 2}, level=0).rename_axis(["sequence", "when"])
    assert_frame_equal(to_long(frames), counted)
    nameless = [frame.rename_axis(index=None) for frame in frames]
    assert to_long(nameless, labels=iter("abc")).index.names == ["sequence", "time"]


def test_labels_may_be_tuples():
    long = to_long(PADDED, labels=[("a", 1), ("a", 2), ("b", 1)])
    assert Steps.of(long).labels.tolist() == [("a", 1), ("a", 2), ("b", 1)]


# --- to_windows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_steps", "stride", "expected"),
    [
        (3, None, [[0, 1, 2], [3, 4, 5], [6]]),
        (7, None, [[0, 1, 2, 3, 4, 5, 6]]),
        (9, None, [[0, 1, 2, 3, 4, 5, 6]]),
        (9, 2, [[0, 1, 2, 3, 4, 5, 6]]),
        (1, None, [[0], [1], [2], [3], [4], [5], [6]]),
        (3, 2, [[0, 1, 2], [2, 3, 4], [4, 5, 6]]),
        (4, 2, [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6]]),
        (6, 1, [[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6]]),
        (5, 4, [[0, 1, 2, 3, 4], [4, 5, 6]]),
        (5, 5, [[0, 1, 2, 3, 4], [5, 6]]),
    ],
)
def test_windows_of_a_record(n_steps, stride, expected):
    record = np.arange(7)[:, None]
    windows = to_windows(record, n_steps, stride=stride)
    assert [window[:, 0].tolist() for window in windows] == expected
    assert {type(window) for window in windows} == {np.ndarray}


@pytest.mark.parametrize("n_rows", range(1, 12))
@pytest.mark.parametrize("n_steps", range(1, 6))
def test_windows_cover_every_step_and_none_lies_in_another(n_rows, n_steps):
    for stride in range(1, n_steps + 1):
        windows = [
            set(window[:, 0]) for window in to_windows(np.arange(n_rows)[:, None], n_steps, stride=stride)
        ]
        assert set().union(*windows) == set(range(n_rows))
        assert all(len(window) == n_steps for window in windows[:-1])
        assert not any(a <= b for a in windows for b in windows if a is not b)


def test_windows_of_every_form():
    record = np.arange(10.0).reshape(5, 2)
    cut = [record[:2], record[2:4], record[4:]]
    assert_all_equal(to_windows(record, 2), cut)
    assert_all_equal(to_windows(record.tolist(), 2), cut)
    assert_all_equal(to_windows(torch.tensor(record), 2), list(map(torch.tensor, cut)))
    frame = pd.DataFrame(record, index=pd.date_range("2024", periods=5, name="day"))
    assert_all_equal(to_windows(frame, 2), [frame[:2], frame[2:4], frame[4:]])
    cube = np.arange(12).reshape(2, 3, 2)
    assert_all_equal(to_windows(cube, 2), [cube[0, :2], cube[0, 2:], cube[1, :2], cube[1, 2:]])
    assert_all_equal(to_windows([record, record[:1]], 3), [record[:3], record[3:], record[:1]])
    assert_all_equal(to_windows([frame, frame[:1]], 4), [frame[:4], frame[4:], frame[:1]])
    bob, ann, cid = to_ragged(LONG)
    assert_all_equal(to_windows(LONG, 2), [bob[:2], bob[2:], ann, cid])


@pytest.mark.parametrize("as_frame", [False, True])
def test_windows_are_copies(as_frame):
    record = np.zeros((4, 1))
    X = pd.DataFrame(record) if as_frame else record
    first, second = to_windows(X, 3, stride=1)
    (first.iloc if as_frame else first)[:, :] = 77.0
    assert not np.any(second)
    assert not np.any(X)


# --- resample_steps --------------------------------------------------------------------------------------

RECORD = np.array([[0.0, 1], [2, NAN], [4, NAN], [6, 7], [8, 9], [10, 11]])


def brute_force(values, n_steps):
    """Average over so many copies of each step that bins have whole numbers of them."""
    if n_steps >= len(values):
        return values[[i * len(values) // n_steps for i in range(n_steps)]]
    fine = np.repeat(values, n_steps, axis=0).reshape(n_steps, len(values), -1)
    return np.array([[NAN if np.isnan(c).all() else np.nanmean(c) for c in part.T] for part in fine])


@pytest.mark.parametrize("n_steps", range(1, 15))
def test_resampling_a_record(n_steps):
    resampled = resample_steps(RECORD, n_steps)
    assert resampled.dtype == np.float64
    np.testing.assert_allclose(resampled, brute_force(RECORD, n_steps), rtol=1e-14)


def test_resampling_by_hand():
    np.testing.assert_array_equal(resample_steps(RECORD, 3), [[1, 1], [5, 7], [9, 10]])
    np.testing.assert_array_equal(resample_steps(RECORD[:, :1], 4)[:, 0], [2 / 3, 10 / 3, 20 / 3, 28 / 3])
    np.testing.assert_array_equal(resample_steps(RECORD[1:3], 1), [[3, NAN]])
    np.testing.assert_array_equal(resample_steps(RECORD[:2], 5), RECORD[[0, 0, 0, 1, 1]])
    np.testing.assert_array_equal(resample_steps(RECORD, 6), RECORD)
    np.testing.assert_array_equal(resample_steps(np.array([[True], [False]]), np.int64(1)), [[0.5]])


def test_resampling_a_long_record_needs_no_large_matrix():
    resampled = resample_steps(np.arange(300_000.0)[:, None], 100_000)
    np.testing.assert_allclose(resampled[:, 0], 3 * np.arange(100_000) + 1)


CUBE = np.stack([RECORD, 10 * RECORD])
HALVED = np.array([[[1, 1], [5, 7], [9, 10]], [[10, 10], [50, 70], [90, 100]]], dtype=float)


def test_resampling_sequences():
    before = CUBE.copy()
    for X in (CUBE, CUBE.tolist()):
        halved = resample_steps(X, 3)
        assert type(halved) is np.ndarray
        np.testing.assert_array_equal(halved, HALVED)
    assert_all_equal(resample_steps(CUBE, [3, 3]), list(HALVED))
    assert_all_equal(resample_steps(CUBE, np.array([6, 3])), [CUBE[0], HALVED[1]])
    assert_all_equal(resample_steps(list(CUBE), 3), list(HALVED))
    assert_all_equal(resample_steps([CUBE[0], CUBE[1, :2]], [3, 1]), [HALVED[0], HALVED[1, :1]])
    np.testing.assert_array_equal(CUBE, before)
    assert resample_steps(CUBE, 6) is not CUBE
    assert not np.shares_memory(resample_steps(CUBE, 6), CUBE)


def test_resampling_keeps_the_container():
    single = resample_steps(CUBE.astype(np.float32), 3)
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, HALVED)
    for dtype, expected in [(torch.float32, torch.float32), (torch.float64, torch.float64)]:
        tensor = resample_steps(torch.tensor(CUBE, dtype=dtype), 3)
        assert tensor.dtype == expected
        np.testing.assert_array_equal(tensor.numpy(), HALVED)
    hidden = np.ma.masked_array(np.nan_to_num(RECORD, nan=999), np.isnan(RECORD))
    masked = resample_steps([hidden[:2], hidden[2:3]], 1)
    assert_all_equal(masked, [np.ma.masked_array([[1.0, 1]]), np.ma.masked_array([[4.0, 0]], [[0, 1]])])
    objects = np.where(np.isnan(RECORD), None, RECORD.astype(object))
    np.testing.assert_array_equal(resample_steps(objects, 3), HALVED[0])


def test_resampling_frames():
    frame = pd.DataFrame(RECORD, columns=["u", "v"], index=list("abcdef"))
    expected = pd.DataFrame(HALVED[0], columns=["u", "v"])
    assert_frame_equal(resample_steps(frame, 3), expected)
    assert_frame_equal(resample_steps(frame.astype("Float64"), 3), expected)
    assert_frame_equal(resample_steps(frame.astype("f4"), 3), expected.astype("f4"))
    assert_all_equal(resample_steps([frame, frame[:2]], [3, 1]), [expected, expected[:1]])
    # for time stamps, as the documentation has it
    stamps = pd.date_range("2024", periods=6, freq="30s")
    long = frame.set_axis(pd.MultiIndex.from_product([["p"], stamps]), axis=0)
    by_time = long.groupby(level=0).resample("1min", level=1).mean()
    np.testing.assert_array_equal(by_time, HALVED[0])


# --- what does not fit -----------------------------------------------------------------------------------

TEXT = np.array([["a"], ["b"]])
RECORD_FRAME = pd.DataFrame(RECORD)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: to_ragged(RECORD), ValueError, r"X must be sequences: .* of shape \(6, 2\); .*give \[X\]"),
        (lambda: to_ragged(RECORD.tolist()), ValueError, r"X must be sequences: .*got list\."),
        (lambda: to_ragged({"a": CUBE}), ValueError, r"X must be sequences: .*got dict\."),
        (lambda: to_ragged(None), ValueError, r"X must be sequences: .*got NoneType\."),
        (lambda: to_ragged([]), ValueError, r"X is an empty list"),
        (lambda: to_long(RECORD), ValueError, r"X must be sequences: .*give \[X\]"),
        (lambda: to_long(LONG), ValueError, r"X is a frame with index \(sequence, time\) already\."),
        (lambda: to_long(CUBE, ["a"]), ValueError, r"labels must be one for each of 2 sequences, got 1\."),
        (
            lambda: to_long(CUBE, ["a", "a"]),
            ValueError,
            r"labels must differ, but 'a' comes more than once\.",
        ),
        (lambda: to_long([LONG, LONG]), ValueError, r"index of item 0 of X has 2 levels, but must have one"),
        (
            lambda: to_long([RECORD_FRAME, RECORD_FRAME.iloc[[0, 0]]]),
            ValueError,
            r"Sequence 1 of X has several rows for time 0",
        ),
        (lambda: to_windows(RECORD, 0), ValueError, r"n_steps must be a whole number of at least 1, got 0\."),
        (lambda: to_windows(RECORD, 2.0), ValueError, r"n_steps must be a whole number .*got 2\.0\."),
        (lambda: to_windows(RECORD, True), ValueError, r"n_steps must be a whole number .*got True\."),
        (lambda: to_windows(RECORD, 2, stride=0), ValueError, r"stride must be a whole number .*got 0\."),
        (
            lambda: to_windows(RECORD, 2, stride=3),
            ValueError,
            r"stride must be at most n_steps=2, got 3: steps between windows would be left out\.",
        ),
        (lambda: to_windows(RECORD[:0], 2), ValueError, r"X has no rows, so there are no steps\."),
        (lambda: to_windows(RECORD[0], 2), ValueError, r"X must be a table .*ndarray of shape \(2,\)"),
        (lambda: to_windows(None, 2), ValueError, r"X must be a table .*of shape \(\)"),
        (lambda: to_windows(sparse.eye_array(3), 2), TypeError, r"Sparse data was passed.*toarray"),
        (lambda: resample_steps(RECORD, 0), ValueError, r"n_steps must be a whole number .*got 0\."),
        (lambda: resample_steps(RECORD, 1.5), ValueError, r"n_steps must be a whole number .*got 1\.5\."),
        (lambda: resample_steps(RECORD, "2"), ValueError, r"n_steps must be a whole number .*got '2'\."),
        (
            lambda: resample_steps(CUBE, [3, 0]),
            ValueError,
            r"n_steps of sequence 1 must be a whole .*got 0\.",
        ),
        (
            lambda: resample_steps(CUBE, [3, 3, 3]),
            ValueError,
            r"n_steps must be a whole number, or one for each of 2 sequence\(s\); got 3\.",
        ),
        (lambda: resample_steps(LONG, 2), ValueError, r"X\.groupby\(level=0\)\.resample.*skmm\.to_ragged"),
        (lambda: resample_steps(TEXT, 1), ValueError, r"Column 0 holds 'a', which is not a number"),
        (
            lambda: resample_steps([pd.DataFrame({"v": pd.Categorical(["p", "q"])})], 1),
            ValueError,
            r"Column 'v' has type category, not numbers",
        ),
        (lambda: resample_steps(RECORD * 1j, 2), ValueError, r"Complex data not supported"),
        (lambda: resample_steps(RECORD[:0], 2), ValueError, r"X has no rows, so there are no steps\."),
    ],
)
def test_what_does_not_fit_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
