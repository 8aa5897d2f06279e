"""Sequences in every form: read as one table of steps, and given back as they came."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal, assert_index_equal
from scipy import sparse

from skmm._blocks.sequences import Form, Steps, is_sequences

NAN = np.nan
CUBE = np.arange(24.0).reshape(2, 4, 3)
CUBE[0, 1, 2] = NAN
FLAT = CUBE.reshape(8, 3)
LENGTHS = [3, 1, 2]
TABLE = np.arange(12.0).reshape(6, 2)
RAGGED = [TABLE[:3], TABLE[3:4], TABLE[4:]]
FRAMES = [
    pd.DataFrame({"u": [0.0, 2.0, 4.0], "v": list("pqp")}, index=pd.Index([5, 7, 9], name="when")),
    pd.DataFrame({"u": [6.0], "v": ["r"]}, index=pd.Index([1], name="when")),
    pd.DataFrame({"u": [8.0, 10.0], "v": ["p", None]}, index=pd.Index([0, 4], name="when")),
]
INDEX = pd.MultiIndex.from_tuples(
    [("bob", 3), ("ann", 1), ("bob", 1), ("cid", 0), ("ann", 5), ("bob", 2)], names=["who", "when"]
)
LONG = pd.DataFrame({"u": np.arange(6), "v": pd.Categorical(list("pqpqrp"))}, index=INDEX)


def same(actual, expected):
    """Whether two containers are of one type, data type and content."""
    assert type(actual) is type(expected)
    if isinstance(actual, list):
        assert len(actual) == len(expected)
        return all(same(*pair) for pair in zip(actual, expected, strict=True))
    if isinstance(actual, pd.DataFrame):
        assert_frame_equal(actual, expected)
        return True
    assert actual.dtype == expected.dtype
    if isinstance(actual, torch.Tensor):
        return torch.equal(actual.isnan(), expected.isnan()) and torch.equal(
            actual.nan_to_num(), expected.nan_to_num()
        )
    np.testing.assert_array_equal(np.ma.getmaskarray(actual), np.ma.getmaskarray(expected))
    np.testing.assert_array_equal(pd.isna(actual), pd.isna(expected))
    np.testing.assert_array_equal(actual[~pd.isna(actual)], expected[~pd.isna(expected)])
    return True


def objects(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


# --- reading ---------------------------------------------------------------------------------------------

MASKED = np.ma.masked_array(CUBE, mask=np.isnan(CUBE))
MIXED_TEXT = [np.array([[1.0, 2.0]]), np.array([["a", "b"]])]

# X, form, table, lengths, and what its own table becomes on the way back where that is not X
READ = {
    "array": (CUBE, "array", FLAT, [4, 4], CUBE),
    "float32 array": (CUBE.astype("f4"), "array", FLAT.astype("f4"), [4, 4], CUBE.astype("f4")),
    "transposed array": (CUBE.T, "array", CUBE.T.reshape(12, 2), [4, 4, 4], CUBE.T.copy()),
    "masked array": (MASKED, "array", MASKED.reshape(8, 3), [4, 4], MASKED),
    "tensor": (torch.tensor(CUBE), "array", torch.tensor(FLAT), [4, 4], torch.tensor(CUBE)),
    "nested lists": (CUBE.tolist(), "array", FLAT, [4, 4], CUBE),
    "nested tuples": (((((1, 2),)), ((3, 4),)), "array", np.array([[1.0, 2], [3, 4]]), [1, 1], None),
    "nested lists with None": (
        [[[1, None], [2, 3]], [[4, 5], [6, 7]]],
        "array",
        np.array([[1, NAN], [2, 3], [4, 5], [6, 7]]),
        [2, 2],
        np.array([[[1, NAN], [2, 3]], [[4, 5], [6, 7]]]),
    ),
    "no sequences": (np.zeros((0, 2, 3)), "array", np.zeros((0, 3)), [], None),
    "ragged": (RAGGED, "list", TABLE, LENGTHS, RAGGED),
    "ragged tuple": (tuple(RAGGED), "list", TABLE, LENGTHS, RAGGED),
    "ragged objects": (objects(RAGGED), "list", TABLE, LENGTHS, RAGGED),
    "ragged nested lists": ([each.tolist() for each in RAGGED], "list", TABLE, LENGTHS, RAGGED),
    "objects of nested lists": (
        objects([[[1, 2]], [[3, 4]]]),
        "list",
        np.array([[1.0, 2], [3, 4]]),
        [1, 1],
        None,
    ),
    "arrays of one length": ([TABLE[:3], TABLE[3:]], "list", TABLE, [3, 3], [TABLE[:3], TABLE[3:]]),
    "one array": ([TABLE], "list", TABLE, [6], [TABLE]),
    "arrays and lists": ([RAGGED[0], RAGGED[1].tolist(), RAGGED[2]], "list", TABLE, LENGTHS, RAGGED),
    "ragged tensors": (
        [torch.tensor(each) for each in RAGGED],
        "list",
        torch.tensor(TABLE),
        LENGTHS,
        [torch.tensor(each) for each in RAGGED],
    ),
    "ragged masked": (
        [np.ma.masked_array(TABLE[:2], TABLE[:2] > 2), TABLE[2:]],
        "list",
        np.ma.masked_array(TABLE, (TABLE > 2) & (TABLE < 4)),
        [2, 4],
        None,
    ),
    "numbers and text": (
        MIXED_TEXT,
        "list",
        np.array([[1.0, 2.0], ["a", "b"]], dtype=object),
        [1, 1],
        [each.astype(object) for each in MIXED_TEXT],
    ),
    "nested text": (
        [[["a", 1], [None, 2]], [["b", 3]]],
        "list",
        np.array([["a", 1], [NAN, 2], ["b", 3]], dtype=object),
        [2, 1],
        None,
    ),
    "ints and floats": ([np.array([[1]]), np.array([[0.5]])], "list", np.array([[1.0], [0.5]]), [1, 1], None),
    "frames": (FRAMES, "list", pd.concat(FRAMES, ignore_index=True), LENGTHS, FRAMES),
    "long": (
        LONG,
        "long",
        LONG.iloc[[2, 5, 0, 1, 4, 3]],  # bob, ann, cid as they first appear, each in order of time
        [3, 2, 1],
        LONG,
    ),
    "long in order": (
        LONG.iloc[[2, 5, 0, 1]],
        "long",
        LONG.iloc[[2, 5, 0, 1]],
        [3, 1],
        LONG.iloc[[2, 5, 0, 1]],
    ),
    "long without rows": (LONG[:0], "long", LONG[:0], [], LONG[:0]),
    "table": (TABLE, "table", TABLE, [1] * 6, TABLE),
    "list of rows": ([[1, 2], [3, 4]], "table", [[1, 2], [3, 4]], [1, 1], [[1, 2], [3, 4]]),
    "frame": (FRAMES[0], "table", FRAMES[0], [1] * 3, FRAMES[0]),
}


@pytest.mark.parametrize("name", READ)
def test_every_form_is_read_and_given_back(name):
    X, form, table, lengths, back = READ[name]
    before = copy.deepcopy(X)
    steps = Steps.of(X)
    assert steps.form == form
    if name == "list of rows":
        assert steps.table is X
    else:
        assert same(steps.table, table)
    assert steps.lengths.tolist() == lengths
    assert steps.lengths.dtype == np.intp
    if back is not None and form != "table":
        joined = steps.join(steps.table)
        assert joined is not X
        assert same(joined, back)
    if form == "table":
        assert steps.join(X) is X
    assert repr(X) == repr(before)


@pytest.mark.parametrize("X", [{"a": CUBE}, None, 3.0, [1.0, 2.0], TABLE[0], sparse.eye_array(3), "text"])
def test_what_is_no_sequence_is_left_to_the_check_of_tables(X):
    steps = Steps.of(X)
    assert steps.form == "table"
    assert steps.table is X


def test_tables_are_not_looked_at():
    ragged = [[1.0, 2.0], [3.0]]
    steps = Steps.of_table(ragged)
    assert (steps.form, steps.table) == ("table", ragged)
    assert Steps.of_table(CUBE).table is CUBE  # for check_table to refuse
    assert Steps.of_table(LONG).form == "table"
    assert Steps.of_table(LONG).lengths.tolist() == [1] * 6
    assert Steps.of_table(LONG).labels is None


def test_labels_of_sequences():
    assert_index_equal(Steps.of(LONG).labels, pd.Index(["bob", "ann", "cid"], name="who"))
    dated = LONG.set_axis(
        pd.MultiIndex.from_arrays([pd.to_datetime(["2024"] * 3 + ["2023"] * 3), range(6)]), axis=0
    )
    assert_index_equal(Steps.of(dated).labels, pd.DatetimeIndex(["2024-01-01", "2023-01-01"]), exact=False)
    for X in (CUBE, RAGGED, FRAMES, TABLE, FRAMES[0]):
        assert Steps.of(X).labels is None


def test_data_types_of_frames_are_kept_where_they_agree():
    first = pd.DataFrame(
        {
            "same": pd.Categorical(["a"], categories=["b", "a"]),
            "ordered": pd.Categorical(["a"], categories=["b", "a"], ordered=True),
            "other": pd.Categorical(["a"]),
            "other order": pd.Categorical(["a"], categories=["a"], ordered=True),
            "absent": pd.Categorical(["a"]),
            "text": pd.array(["a"], dtype="string"),
            "nullable": pd.array([1], dtype="Int64"),
            "flag": [True],
            "whole": [1],
            "single": np.float32([1]),
            "nothing": [NAN],
            "two types": pd.Categorical(["a"]),
        }
    )
    second = first.assign(
        **{
            "other": pd.Categorical(["c"]),
            "other order": pd.Categorical(["b"], categories=["b"], ordered=True),
            "absent": [NAN],
            "text": [NAN],
            "nullable": pd.Series([None], dtype=object),
            "flag": [NAN],
            "whole": [0.5],
            "nothing": pd.Series([None], dtype=object),
            "two types": pd.Categorical([3]),
        }
    )
    steps = Steps.of([first, second, first])
    dtypes = steps.table.dtypes.to_dict()
    kept = ["same", "ordered", "absent", "text", "nullable", "single"]
    assert [dtypes[name] for name in kept] == [first[name].dtype for name in kept]
    assert dtypes["other"] == pd.CategoricalDtype(["a", "c"])
    assert pd.api.types.is_string_dtype(dtypes["other order"])
    assert [str(dtypes[name]) for name in ("flag", "whole", "two types")] == ["object", "float64", "object"]
    columns = steps.table.astype(object).where(steps.table.notna(), None).to_dict("list")
    assert columns == {
        "same": ["a", "a", "a"],
        "ordered": ["a", "a", "a"],
        "other": ["a", "c", "a"],
        "other order": ["a", "b", "a"],
        "absent": ["a", None, "a"],
        "text": ["a", None, "a"],
        "nullable": [1, None, 1],
        "flag": [True, None, True],
        "whole": [1.0, 0.5, 1.0],
        "single": [1.0, 1.0, 1.0],
        "nothing": [None, None, None],
        "two types": ["a", 3, "a"],
    }
    assert first.dtypes["other"] == pd.CategoricalDtype(["a"])


def test_columns_of_several_levels():
    levels = pd.MultiIndex.from_tuples([("a", "x"), ("b", "x")], names=["modality", "feature"])
    frames = [pd.DataFrame([[1, 2.0]], columns=levels), pd.DataFrame([[0.5, 2.0]], columns=levels)]
    steps = Steps.of(frames)
    assert_frame_equal(steps.table, pd.DataFrame([[1.0, 2.0], [0.5, 2.0]], columns=levels))
    long = pd.concat(frames, keys=["p", "q"])
    assert_frame_equal(Steps.of(long).join(Steps.of(long).table), long)


TIMES = {
    "dates": pd.to_datetime(["2024-01-10", "2024-01-02", "2024-01-03"]),
    "dates of a zone": pd.to_datetime(["2024-01-10", "2024-01-02", "2024-01-03"]).tz_localize("Europe/Rome"),
    "durations": pd.to_timedelta([10, 2, 3], unit="s"),
    "periods": pd.PeriodIndex(["2024-10", "2024-02", "2024-03"], freq="M"),
    "fractions": pd.Index([1.0, 0.2, 0.3]),
    "ordered category": pd.CategoricalIndex(["a", "z", "m"], categories=["z", "m", "a"], ordered=True),
    "category of numbers": pd.CategoricalIndex([10, 2, 3], categories=[10, 3, 2]),
}


@pytest.mark.parametrize("name", TIMES)
def test_steps_are_in_the_order_of_time(name):
    index = pd.MultiIndex.from_arrays([["p"] * 3, TIMES[name]])
    X = pd.DataFrame({"u": [2, 0, 1]}, index=index)
    steps = Steps.of(X)
    assert steps.table["u"].tolist() == [0, 1, 2]
    assert_frame_equal(steps.join(steps.table), X)


def test_text_is_no_order_of_time():
    index = pd.MultiIndex.from_product([["p", "q"], ["2024-01-02", "2024-01-10"]], names=["who", "day"])
    X = pd.DataFrame({"u": range(4)}, index=index)
    assert Steps.of(X).table["u"].tolist() == [0, 1, 2, 3]
    assert Steps.of(X.iloc[[2, 0, 1, 3]]).table["u"].tolist() == [2, 3, 0, 1]
    message = r"times of X \(index level 'day'\) are text, .* alphabet, .* give numbers, dates"
    with pytest.raises(ValueError, match=message):
        Steps.of(X.iloc[[1, 0, 2, 3]])
    categories = X.set_axis(index.set_levels(pd.Categorical(index.levels[1]), level=1), axis=0)
    with pytest.raises(ValueError, match=message):
        Steps.of(categories.iloc[[1, 0, 2, 3]])


WRONG = {
    "empty list": ([], ValueError, r"X is an empty list; give it at least one sequence\."),
    "4-D": (
        np.zeros((1, 2, 3, 4)),
        ValueError,
        r"\(n_sequences, n_steps, .*got ndarray of shape \(1, 2, 3, 4\)",
    ),
    "4-D tensor": (torch.zeros(1, 2, 3, 4), ValueError, r"got Tensor of shape \(1, 2, 3, 4\)"),
    "no steps": (np.zeros((2, 0, 3)), ValueError, r"no steps \(shape \(2, 0, 3\)\)"),
    "no steps in a list": ([TABLE, TABLE[:0]], ValueError, r"Sequence 1 of X has no steps; leave it out"),
    "no steps in nested lists": ([[[1, 2]], []], ValueError, r"Sequence 1 of X has no steps"),
    "no steps in a frame": ([FRAMES[0][:0], FRAMES[1]], ValueError, r"Sequence 0 of X has no steps"),
    "other features": (
        [TABLE, TABLE, TABLE[:, :1]],
        ValueError,
        r"item 0 of X has 2 and item 2 has 1; put NaN",
    ),
    "other features in nested lists": ([[[1, 2]], [[1]]], ValueError, r"item 0 of X has 2 and item 1 has 1"),
    "other columns": (
        [FRAMES[0], FRAMES[1].rename(columns={"v": "w"})],
        ValueError,
        r"item 1 of X lacks 'v' and has 'w' besides, compared to item 0; put NaN",
    ),
    "fewer columns": ([FRAMES[0], FRAMES[1][["u"]]], ValueError, r"item 1 of X lacks 'v', compared"),
    "more columns": ([FRAMES[0][["u"]], FRAMES[1]], ValueError, r"item 1 of X has 'v' besides, compared"),
    "columns in another order": (
        [FRAMES[0], FRAMES[1][["v", "u"]]],
        ValueError,
        r"item 1 of X has them in another order \('v', 'u'\)",
    ),
    "1-D item": (
        [TABLE, TABLE[:, 0]],
        ValueError,
        r"item 1 of X has 1 dimension\(s\); of one feature, give item\.reshape\(-1, 1\)",
    ),
    "3-D item": ([TABLE, CUBE], ValueError, r"item 1 of X has 3 dimension\(s\)\."),
    "3-D items": (CUBE[None].tolist(), ValueError, r"item 0 of X has 3 dimension\(s\)\."),
    "None in a list": ([TABLE, None], ValueError, r"item 1 of X has 0 dimension\(s\)\."),
    "1-D items of several lengths": (
        [TABLE[:, 0], TABLE[:, 0], TABLE[:2, 0]],
        ValueError,
        r"one-dimensional items, of 6 entries \(item 0\) and of 2 \(item 2\)\. .*reshape\(-1, 1\)",
    ),
    "rows of several lengths": ([[1, 2], [3]], ValueError, r"of 2 entries \(item 0\) and of 1 \(item 1\)"),
    "rows of several lengths in an item": (
        [[[1, 2], [3]], [[1, 2]]],
        ValueError,
        r"Item 0 of X is no table, as its rows differ in length",
    ),
    "frames and arrays": (
        [FRAMES[0], TABLE],
        ValueError,
        r"of one kind, but item 0 of X is a DataFrame and item 1 is an array; convert",
    ),
    "tensors and arrays": (
        [TABLE, torch.tensor(TABLE)],
        ValueError,
        r"0 of X is an array and item 1 is a Tensor",
    ),
    "sparse items": ([sparse.eye_array(3)], TypeError, r"Sparse data was passed.*toarray"),
    "one level": (
        LONG.set_axis(pd.MultiIndex.from_arrays([range(6)], names=["who"]), axis=0),
        ValueError,
        r"index of X has 1 levels \('who'\), .*must have two, \(sequence, time\)",
    ),
    "three levels": (
        LONG.set_index("u", append=True),
        ValueError,
        r"index of X has 3 levels \('who', 'when', 'u'\), .*must have two, \(sequence, time\)",
    ),
    "a time twice": (
        LONG.iloc[[0, 1, 2, 0]],
        ValueError,
        r"Sequence 'bob' of X has several rows for time 3; drop or average .*groupby",
    ),
    "missing time": (
        LONG.set_axis(pd.MultiIndex.from_arrays([list("aabbcc"), [0, 1, 2, NAN, 4, 5]]), axis=0),
        ValueError,
        r"Row 3 of X has no time: index level 1 is missing there; fill it in",
    ),
    "missing date": (
        LONG.set_axis(
            pd.MultiIndex.from_arrays([range(6), pd.to_datetime([None] + ["2024"] * 5)], names=["p", "q"]),
            axis=0,
        ),
        ValueError,
        r"Row 0 of X has no time: index level 'q' is missing",
    ),
    "missing sequence": (
        LONG.set_axis(pd.MultiIndex.from_arrays([["a", None, *"abcd"], range(6)], names=INDEX.names), axis=0),
        ValueError,
        r"Row 1 of X has no sequence: index level 'who' is missing",
    ),
    "times of several types": (
        LONG.set_axis(pd.MultiIndex.from_arrays([list("aabbcc"), [0, "x", 2, 3, 4, 5]]), axis=0),
        TypeError,
        r"times of X \(index level 1\) cannot be put in order: .*Give times of one type",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_sequences_that_do_not_fit_are_refused(name):
    X, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        Steps.of(X)


def test_items_are_named_by_their_position():
    assert Steps.of_items({2: TABLE, 5: TABLE}).lengths.tolist() == [6, 6]
    with pytest.raises(ValueError, match=r"item 2 of X has 2 and item 5 has 1"):
        Steps.of_items({2: TABLE, 5: TABLE[:, :1]})


def test_what_holds_sequences():
    yes = [CUBE, torch.tensor(CUBE), CUBE.tolist(), RAGGED, FRAMES, objects(RAGGED), [None, TABLE]]
    no = [
        TABLE,
        TABLE.tolist(),
        TABLE[0],
        LONG,
        FRAMES[0],
        FRAMES[0]["u"],
        [1.0, None],
        [],
        None,
        objects([1, 2]),
    ]
    assert [is_sequences(X) for X in yes] == [True] * len(yes)
    assert [is_sequences(X) for X in no] == [False] * len(no)


# --- giving results back ---------------------------------------------------------------------------------

RESULT = np.arange(6, dtype=np.float32)[:, None] * [1, 10, 100]


def result_for(steps):
    """One row per step, of more columns and another type, which says which step it is for."""
    n_rows = len(steps.table)
    return np.arange(n_rows, dtype=np.float32)[:, None] * np.float32([1, 10, 100])


def test_results_for_an_array():
    steps = Steps.of(CUBE)
    matrix = result_for(steps)
    assert same(steps.join(matrix), matrix.reshape(2, 4, 3))
    assert same(steps.join(np.ma.masked_array(matrix, matrix > 3)).mask, (matrix > 3).reshape(2, 4, 3))
    assert same(steps.join(torch.tensor(matrix)), torch.tensor(matrix.reshape(2, 4, 3)))
    index = pd.MultiIndex.from_product([range(2), range(4)], names=["sequence", "time"])
    assert_frame_equal(steps.join(pd.DataFrame(matrix)), pd.DataFrame(matrix, index=index))


def test_results_for_a_list():
    for X in (RAGGED, FRAMES):
        steps = Steps.of(X)
        matrix = result_for(steps)
        expected = [matrix[:3], matrix[3:4], matrix[4:]]
        assert same(steps.join(matrix), expected)
        assert same(steps.join(torch.tensor(matrix)), list(map(torch.tensor, expected)))
        frames = steps.join(pd.DataFrame(matrix, columns=list("abc")))
        for frame, part, given in zip(frames, expected, X, strict=True):
            index = given.index if X is FRAMES else pd.RangeIndex(len(part))
            assert_frame_equal(frame, pd.DataFrame(part, index=index, columns=list("abc")))


def test_results_for_a_long_frame():
    steps = Steps.of(LONG)
    matrix = result_for(steps)
    in_order_of_X = matrix[[2, 3, 0, 5, 4, 1]]
    expected = pd.DataFrame(in_order_of_X, index=INDEX)
    assert_frame_equal(steps.join(matrix), expected)
    assert_frame_equal(steps.join(torch.tensor(matrix)), expected)
    labelled = expected.set_axis(list("abc"), axis=1)
    assert_frame_equal(steps.join(pd.DataFrame(matrix, columns=list("abc"))), labelled)
    assert_frame_equal(steps.join(labelled.iloc[[2, 5, 0, 1, 4, 3]]), labelled)


def test_what_is_given_back_is_not_what_was_given():
    """Results may be the table itself, as where nothing was to be done."""
    ordered = LONG.iloc[[2, 5, 0, 1, 4, 3]]
    for X in (FRAMES, [FRAMES[1]]):
        joined = Steps.of(X).join(Steps.of(X).table)
        before = copy.deepcopy(X)
        for frame in joined:
            frame.iloc[:, 0] = 77.0
        assert same(X, before)
    before = ordered.copy()
    steps = Steps.of(ordered)
    joined = steps.join(steps.table)
    joined.index = range(6)
    assert_frame_equal(ordered, before)


# --- steps to come ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, np.ma.masked_array])
def test_steps_ahead_of_arrays(kind):
    ahead = Steps.of(kind(CUBE.astype(np.float32))).ahead(2)
    assert ahead.lengths.tolist() == [2, 2]
    assert type(ahead.table) is type(kind(CUBE))
    assert ahead.table.dtype == kind(CUBE.astype(np.float32)).dtype
    assert tuple(ahead.table.shape) == (4, 3)
    assert ahead.join(np.zeros((4, 5))).shape == (2, 2, 5)
    listed = Steps.of([kind(part) for part in RAGGED]).ahead(2)
    matrix = np.arange(6.0)[:, None]
    assert same(listed.join(matrix), [matrix[:2], matrix[2:4], matrix[4:]])
    assert type(listed.table) is type(kind(TABLE))


@pytest.mark.parametrize("X", [TABLE, TABLE.tolist(), torch.tensor(TABLE)])
def test_steps_ahead_of_rows(X):
    ahead = Steps.of(X).ahead(2)
    assert (ahead.form, tuple(ahead.table.shape)) == ("array", (12, 2))
    assert ahead.join(np.arange(12.0)[:, None])[:, :, 0].tolist() == np.arange(12).reshape(6, 2).tolist()


def test_steps_ahead_of_rows_of_a_frame():
    X = pd.DataFrame({"u": [1, 2], "v": pd.Categorical(["p", "q"])}, index=["r", "s"])
    ahead = Steps.of(X).ahead(2)
    index = pd.MultiIndex.from_product([["r", "s"], [1, 2]], names=["sequence", "time"])
    joined = ahead.join(ahead.table)
    assert_index_equal(joined.index, index)
    assert joined.dtypes.equals(X.dtypes)
    named = Steps.of(X.rename_axis(index="who")).ahead(1)
    assert named.join(named.table).index.names == ["who", "time"]


def test_steps_ahead_of_a_long_frame():
    ahead = Steps.of(LONG).ahead(2)
    joined = ahead.join(ahead.table)
    expected = (
        pd.MultiIndex.from_tuples(  # ann's only step is 4; cid has none, and those of all are 1, 1 and 4
            [("bob", 4), ("bob", 5), ("ann", 9), ("ann", 13), ("cid", 1), ("cid", 2)], names=["who", "when"]
        )
    )
    assert_index_equal(joined.index, expected)
    assert joined.dtypes.equals(LONG.dtypes)
    assert ahead.lengths.tolist() == [2, 2, 2]
    assert ahead.labels.tolist() == ["bob", "ann", "cid"]
    assert Steps.of(LONG[:0]).ahead(2).join(LONG[:0]).empty


def test_steps_ahead_of_frames():
    ahead = Steps.of(FRAMES).ahead(2)
    indices = [frame.index.tolist() for frame in ahead.join(ahead.table)]
    assert indices == [[11, 13], [3, 5], [8, 12]]
    assert {frame.index.name for frame in ahead.join(ahead.table)} == {"when"}
    assert {str(frame.index.dtype) for frame in ahead.join(ahead.table)} == {"int64"}
    assert [len(part) for part in ahead.join(np.zeros((6, 4)))] == [2, 2, 2]


def after(*times, n_steps=3):
    """Times that continue those of each of several sequences, and the same in a list of frames."""
    frames = [pd.DataFrame({"u": range(len(each))}, index=each) for each in map(pd.Index, times)]
    listed = Steps.of(frames).ahead(n_steps)
    long = Steps.of(pd.concat(frames, keys=range(len(frames)))).ahead(n_steps)
    found = [frame.index for frame in listed.join(listed.table)]
    in_long = long.join(long.table).index.get_level_values(1)
    assert_index_equal(in_long, found[0].append(found[1:]), check_names=False, exact=False)
    return found


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([3, 4, 6, 7], [8, 9, 10]),
        ([0, 1, 3, 5], [7, 9, 11]),
        ([0, 1, 3], [4, 5, 6]),  # as often one as two: the smaller
        ([7], [8, 9, 10]),
        (np.array([248, 251, 254], dtype=np.uint8), [257, 260, 263]),
        (pd.array([1, 3], dtype="Int64"), [5, 7, 9]),
        ([0.1, 0.2, 0.3, 0.4, 0.7], [0.8, 0.9, 1.0]),
        ([0.5], [1.5, 2.5, 3.5]),
        (pd.to_datetime(["2024-01-01 00:00", "2024-01-01 00:10"]), ["2024-01-01 00:20", "2024-01-01 00:30"]),
        (pd.to_datetime(["2024-01-31", "2024-02-29", "2024-03-31"]), ["2024-04-30", "2024-05-31"]),
        (
            pd.to_datetime(["2024-03-01", "2024-03-02", "2024-03-04", "2024-03-05"]),
            ["2024-03-06", "2024-03-07"],
        ),
        (pd.bdate_range("2024-01-03", periods=5), ["2024-01-10", "2024-01-11", "2024-01-12", "2024-01-15"]),
        (
            pd.to_datetime(["2024-01-01 00:00", "2024-01-01 12:00"]).tz_localize("Asia/Tokyo").as_unit("s"),
            pd.to_datetime(["2024-01-02 00:00", "2024-01-02 12:00"]).tz_localize("Asia/Tokyo").as_unit("s"),
        ),
        (  # across the change of clocks of 31 March, and through an hour that is not there
            pd.date_range("2024-03-28 02:30", periods=3, tz="Europe/Rome"),
            pd.to_datetime(["2024-03-31 03:00", "2024-04-01 02:30"]).tz_localize("Europe/Rome"),
        ),
        (
            pd.date_range("2024-03-30 22:00", periods=4, tz="Europe/Rome", freq="h"),
            pd.to_datetime(["2024-03-31 03:00", "2024-03-31 04:00"]).tz_localize("Europe/Rome"),
        ),
        (pd.to_timedelta([1, 3, 5], unit="s"), pd.to_timedelta([7, 9], unit="s")),
        (pd.period_range("2023-11", periods=2, freq="M"), pd.period_range("2024-01", periods=2, freq="M")),
        (pd.PeriodIndex(["2024Q1"], freq="Q"), pd.period_range("2024Q2", periods=2, freq="Q")),
        (pd.period_range("2024-01", periods=3, freq="2M"), pd.period_range("2024-07", periods=2, freq="2M")),
    ],
)
def test_times_go_on(times, expected):
    index = pd.Index(times)
    if isinstance(index, pd.DatetimeIndex) and isinstance(expected, list):
        expected = pd.to_datetime(expected)
    (found,) = after(index, n_steps=len(expected))
    assert type(found) is type(pd.Index(expected))
    if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
        assert found.dtype == index.dtype
        assert (found == expected).all()
    elif found.dtype == np.float64:
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    else:
        assert_index_equal(found, pd.Index(expected))


def test_a_single_step_goes_on_as_the_other_sequences_do():
    assert [each.tolist() for each in after([0, 2, 4], [7], [0, 3])] == [[6, 8, 10], [9, 11, 13], [6, 9, 12]]
    days = pd.to_datetime(["2024-05-01", "2024-05-08"])
    assert after(days, days[:1])[1].strftime("%m-%d").tolist() == ["05-08", "05-15", "05-22"]
    months = pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"])
    found = after(months, pd.to_datetime(["2024-05-01"]), pd.to_datetime(["2024-05-10"]), n_steps=2)
    assert [each.strftime("%m-%d").tolist() for each in found] == [
        ["04-01", "05-01"],
        ["06-01", "07-01"],
    ] * 1 + [["06-01", "07-01"]]


@pytest.mark.parametrize("times", [pd.to_datetime(["2024-01-01"]), pd.to_timedelta([1], unit="s")])
def test_a_single_date_does_not_say_what_comes_next(times):
    frames = [pd.DataFrame({"u": [1]}, index=times), pd.DataFrame({"u": [2]}, index=times)]
    for X in (frames, pd.concat(frames, keys=["p", "q"])):
        with pytest.raises(
            ValueError, match=r"no sequence has two of them, .*two steps or more, .*to_period"
        ):
            Steps.of(X).ahead(1)


@pytest.mark.parametrize(
    "times", [["a", "b", "c"], [True, False, True], [3, 2, 1], [0.0, NAN, 1.0], [0, 0, 1], [2, "x", None]]
)
def test_what_is_no_time_is_counted(times):
    frames = [pd.DataFrame({"u": range(3)}, index=times), pd.DataFrame({"u": [5]}, index=[9])]
    ahead = Steps.of(frames).ahead(2)
    assert [frame.index.tolist() for frame in ahead.join(ahead.table)] == [[3, 4], [1, 2]]


@pytest.mark.parametrize(
    ("times", "kind"),
    [
        (["a", "b", "c"], "str|object"),
        (pd.Categorical([1, 2, 3], ordered=True), "category"),
        ([False, True], "bool"),
    ],
)
def test_long_frames_need_times_that_go_on(times, kind):
    index = pd.MultiIndex.from_arrays([[0] * len(times), times], names=["who", "visit"])
    message = (
        rf"times of X \(index level 'visit'\) are of type ({kind}), and cannot be continued; use numbers"
    )
    with pytest.raises(ValueError, match=message):
        Steps.of(pd.DataFrame({"u": range(len(times))}, index=index)).ahead(1)


@pytest.mark.parametrize("n_steps", [0, -1, 1.0, True, None, "2"])
def test_number_of_steps_ahead(n_steps):
    with pytest.raises(ValueError, match=rf"n_steps must be a whole number of at least 1, got {n_steps!r}\."):
        Steps.of(CUBE).ahead(n_steps)


# --- new sequences ---------------------------------------------------------------------------------------

NEW = np.arange(12.0).reshape(6, 2)
PRODUCT = pd.MultiIndex.from_product([range(2), range(3)])


def form_of(X):
    return pickle.loads(pickle.dumps(Steps.of(X).form_of_new))


def test_form_of_fit():
    assert form_of(CUBE) == Form("array")
    assert form_of(RAGGED) == form_of(FRAMES) == Form("list")
    assert form_of(TABLE) == form_of(FRAMES[0]) == Form("table")
    assert form_of(LONG) == Form("long", ("who", "when"))


def test_new_sequences_have_the_form_of_fit():
    frame = pd.DataFrame(NEW, columns=["u", "v"])
    assert same(form_of(CUBE).join_new(NEW, 2, 3), NEW.reshape(2, 3, 2))
    assert same(form_of(CUBE).join_new(torch.tensor(NEW), 2, 3), torch.tensor(NEW.reshape(2, 3, 2)))
    assert same(form_of(RAGGED).join_new(NEW, 2, 3), [NEW[:3], NEW[3:]])
    assert same(form_of(FRAMES).join_new(frame, 2, 3), [frame[:3], frame[3:].reset_index(drop=True)])
    assert same(
        form_of(LONG).join_new(frame, 2, 3), frame.set_axis(PRODUCT.set_names(["who", "when"]), axis=0)
    )


def test_new_rows_have_the_form_of_fit():
    frame = pd.DataFrame(NEW, columns=["u", "v"])
    assert form_of(TABLE).join_new(NEW, 6, 1) is NEW
    assert form_of(FRAMES[0]).join_new(frame, 6, 1) is frame
    assert same(form_of(TABLE).join_new(NEW, 2, 3), NEW.reshape(2, 3, 2))
    named = frame.set_axis(PRODUCT.set_names(["sequence", "time"]), axis=0)
    assert same(form_of(FRAMES[0]).join_new(frame, 2, 3), named)
