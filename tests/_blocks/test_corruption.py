"""Taking away what was observed: dropout in training, hide and keep for the user."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal
from scipy import sparse

from skmm import hide, keep
from skmm._blocks.blocks import Blocks
from skmm._blocks.corruption import Dropout, blank
from skmm._torch import isolated_rng

NAN = np.nan
SIZES = (2, 1, 3)


def make_blocks(n_rows=2000, share=1.0):
    generator = torch.Generator().manual_seed(0)
    joint = torch.randn(n_rows, sum(SIZES), generator=generator)
    observed = torch.rand(n_rows, sum(SIZES), generator=generator) < share
    return Blocks.from_joint(joint, observed, SIZES)


def drop(blocks, modality_rates=(0, 0, 0), cell_rates=(0, 0, 0), seed=0):
    with isolated_rng(seed):
        return Dropout(modality_rates, cell_rates)(blocks)


def share(mask):
    return mask.double().mean().item()


# 2000 rows: five standard deviations of a share of one half
TOLERANCE = 5 * 0.5 / np.sqrt(2000)

RATES = [
    {"modality_rates": (0.2, 0.5, 0.9)},
    {"cell_rates": (0.2, 0.5, 0.9)},
    {"modality_rates": (0.5, 0.5, 0.5), "cell_rates": (0.3, 0.3, 0.3)},
    {"modality_rates": (1.0, 1.0, 1.0)},
    {"modality_rates": (1.0, 1.0, 1.0), "cell_rates": (0.9, 0.9, 0.9)},
]


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("observed", [1.0, 0.3])
def test_dropout_only_hides(rates, observed):
    blocks = make_blocks(share=observed)
    before = copy.deepcopy(blocks)
    dropped = drop(blocks, **rates)
    assert dropped.joint is blocks.joint
    assert dropped.sizes == blocks.sizes
    assert not (dropped.joint_observed & ~blocks.joint_observed).any()
    assert share(dropped.joint_observed) < share(blocks.joint_observed)
    assert torch.equal(dropped.present, torch.stack([part.any(-1) for part in dropped.observed]))
    assert torch.equal(blocks.joint_observed, before.joint_observed)


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("observed", [1.0, 0.3])
def test_no_row_loses_its_last_observed_modality(rates, observed):
    blocks = make_blocks(share=observed)
    dropped = drop(blocks, **rates)
    assert torch.equal(dropped.present.any(0), blocks.present.any(0))
    assert blocks.present.any(0).all() == (observed == 1)  # rows with nothing in them are among those tried


def test_modalities_go_at_their_rates():
    rates = (0.1, 0.5, 0.0)  # the third never goes, so that no row needs a survivor
    dropped = drop(make_blocks(), rates)
    for present, rate in zip(dropped.present, rates, strict=True):
        assert share(~present) == pytest.approx(rate, abs=TOLERANCE if rate else 0)
    both = share(~dropped.present[0] & ~dropped.present[1])
    assert both == pytest.approx(0.05, abs=TOLERANCE)  # independent of each other


def test_modalities_go_whole():
    dropped = drop(make_blocks(), (0.5, 0.5, 0.5))
    for part in dropped.observed:
        assert torch.equal(part.any(-1), part.all(-1))


def test_one_modality_of_each_row_survives_when_all_would_go():
    dropped = drop(make_blocks(), (1.0, 1.0, 1.0))
    assert (dropped.present.sum(0) == 1).all()
    for present in dropped.present:  # each as often as the others
        assert share(present) == pytest.approx(1 / 3, abs=TOLERANCE)


def test_survivors_are_those_that_were_nearest_to_staying():
    dropped = drop(make_blocks(), (1.0, 1.0, 0.5))
    assert dropped.present.any(0).all()
    # the third stays by its own luck in half of the rows, and in a third of those where all would go
    assert share(dropped.present[2]) == pytest.approx(0.5 + 0.5 / 3, abs=TOLERANCE)


def test_the_survivor_is_one_that_the_row_has():
    observed = torch.zeros(500, 6, dtype=torch.bool)
    observed[:, 2] = True  # the second modality is all there is
    blocks = Blocks.from_joint(torch.zeros(500, 6), observed, SIZES)
    for rates in ((1.0, 1.0, 1.0), (0.0, 1.0, 0.0)):
        assert torch.equal(drop(blocks, rates).joint_observed, observed)


@pytest.mark.parametrize("rate_of_absent", [0.0, 0.5, 1.0])
def test_absent_modalities_are_no_survivors(rate_of_absent):
    """Where all that is present would go, one part of it stays, whatever becomes of the absent."""
    observed = torch.ones(500, 6, dtype=torch.bool)
    observed[:, 3:] = False
    dropped = drop(Blocks.from_joint(torch.zeros(500, 6), observed, SIZES), (1.0, 1.0, rate_of_absent))
    assert (dropped.present.sum(0) == 1).all()
    assert not dropped.present[2].any()


def test_cells_go_at_the_rates_of_their_modality():
    dropped = drop(make_blocks(), cell_rates=(0.3, 0.0, 0.6))
    assert share(~dropped.observed[0]) == pytest.approx(0.3, abs=TOLERANCE)
    assert dropped.observed[1].all()
    assert share(~dropped.observed[2]) == pytest.approx(0.6, abs=TOLERANCE)
    first, second = dropped.observed[0].T
    assert share(~first & ~second) == pytest.approx(0.09, abs=TOLERANCE)  # independent of each other


def test_rates_of_zero_change_nothing_and_draw_nothing():
    blocks = make_blocks()
    with isolated_rng(0):
        before = torch.get_rng_state()
        assert Dropout((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))(blocks) is blocks
        assert torch.equal(torch.get_rng_state(), before)


def test_dropout_follows_the_seed():
    blocks, rates = make_blocks(), {"modality_rates": (0.5,) * 3, "cell_rates": (0.5,) * 3}
    first = drop(blocks, **rates).joint_observed
    assert torch.equal(drop(blocks, **rates).joint_observed, first)
    assert not torch.equal(drop(blocks, **rates, seed=1).joint_observed, first)


def test_dropout_of_sequences():
    """A modality is hidden in the whole sequence, cells one by one."""
    flat = make_blocks()
    sequences = Blocks.from_joint(
        flat.joint.reshape(100, 20, 6), flat.joint_observed.reshape(100, 20, 6), SIZES
    )
    dropped = drop(sequences, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    assert dropped.joint_observed.shape == (100, 20, 6)
    assert dropped.present.shape == (3, 100, 20)
    assert dropped.row_present.any(0).all()
    whole = dropped.observed[2].flatten(1).any(1)  # (n,): kept, but for single cells
    assert share(~whole) == pytest.approx(0.5 - 0.125 / 3, abs=0.15)
    assert share(~dropped.observed[2][whole]) == pytest.approx(0.2, abs=2 * TOLERANCE)


# --- hide and keep ---------------------------------------------------------------------------------------

LEVELS = pd.MultiIndex.from_tuples([("b", "x"), ("a", "x"), ("b", "y")], names=["modality", "feature"])
VALUES = np.array([[1.0, 2.0, NAN], [4.0, 5.0, 6.0]])
FRAME = pd.DataFrame(VALUES, columns=LEVELS, index=["r", "r"])
SLICES = {"b": [0, 2], "a": [1]}


def test_hide_and_keep():
    without_b = FRAME.mask(np.array([[True, False, True]] * 2))
    assert_frame_equal(hide(FRAME, "b"), without_b)
    assert_frame_equal(hide(FRAME, ["b"]), without_b)
    assert_frame_equal(keep(FRAME, "a"), without_b)
    assert_frame_equal(keep(FRAME, ["a"]), without_b)
    assert_frame_equal(hide(FRAME, []), FRAME)
    assert_frame_equal(keep(FRAME, ["a", "b"]), FRAME)
    assert hide(FRAME, ["a", "b"]).isna().all(axis=None)
    assert keep(FRAME, []).isna().all(axis=None)


@pytest.mark.parametrize(
    ("X", "modalities"),
    [
        (FRAME, None),
        (FRAME.set_axis(["b__x", "a__x", "b__y"], axis=1), "prefix"),
        (FRAME.set_axis(["p", "q", "r"], axis=1), {"b": ["p", "r"], "a": "q"}),
        (FRAME.set_axis([0, 1, 2], axis=1), lambda X: SLICES),
        (VALUES, SLICES),
    ],
)
def test_modalities_are_named_as_in_the_estimator(X, modalities):
    np.testing.assert_array_equal(hide(X, "b", modalities=modalities), [[NAN, 2, NAN], [NAN, 5, NAN]])
    np.testing.assert_array_equal(keep(X, "b", modalities=modalities), [[1, NAN, NAN], [4, NAN, 6]])


def test_names_need_not_be_strings():
    X = FRAME.rename(columns={"b": 0, "a": 1}, level=0)
    assert hide(X, 1).isna().to_numpy().tolist() == [[False, True, True], [False, True, False]]
    modalities = {("b", 1): [0, 2], ("a", 1): [1]}
    np.testing.assert_array_equal(
        hide(VALUES, [("a", 1)], modalities=modalities), keep(VALUES, [("b", 1)], modalities=modalities)
    )


HIDDEN = np.array([[True, False], [False, False]])
CONTAINERS = {
    "float64": (np.array([[1.0, 2], [3, 4]]), np.float64),
    "float32": (np.array([[1, 2], [3, 4]], dtype=np.float32), np.float32),
    "int": (np.array([[1, 2], [3, 4]]), np.float64),
    "bool": (np.array([[True, True], [False, True]]), np.float64),
    "object": (np.array([[1, None], [3, 4]], dtype=object), object),
    "list": ([[1, 2], [3, 4]], np.float64),
    "list with None": ([[1, None], [3, 4]], np.float64),
    "read-only": (np.broadcast_to(np.array([1.0, 2.0]), (2, 2)), np.float64),
    "float tensor": (torch.tensor([[1.0, 2], [3, 4]]), torch.float32),
    "int tensor": (torch.tensor([[1, 2], [3, 4]]), torch.float64),
    "bool tensor": (torch.tensor([[True, True], [False, True]]), torch.float64),
    "tensor with gradient": (torch.tensor([[1.0, 2], [3, 4]], requires_grad=True), torch.float32),
    "list of flags": ([[True, False], [False, True]], np.float64),
    "masked": (np.ma.masked_array([[1.0, 999], [3, 4]], mask=[[False, True], [False, False]]), np.float64),
    "masked int": (np.ma.masked_array([[1, 999], [3, 4]], mask=[[False, True], [False, False]]), np.int64),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_blanking_arrays(name):
    X, dtype = CONTAINERS[name]
    before = copy.deepcopy(X)
    blanked = blank(X, HIDDEN)
    assert blanked.dtype == dtype
    assert type(blanked) is (np.ndarray if isinstance(X, list) else type(X))
    numbers = np.ma.filled(np.ma.asarray(blanked).astype(float), NAN)
    expected = np.ma.filled(
        np.ma.asarray(before.detach() if isinstance(X, torch.Tensor) else before).astype(float), NAN
    )
    np.testing.assert_array_equal(numbers, np.where(HIDDEN, NAN, expected))
    assert not getattr(blanked, "requires_grad", False)
    # the user's own table stays as it was, even if what came out is written to
    blanked[:] = 77
    assert repr(X) == repr(before)


def test_blanking_frames():
    index = pd.Index(["r", "r"])
    X = pd.DataFrame(
        {
            "float": [1.5, 2.5],
            "single": np.float32([1.5, 2.5]),
            "int": [1, 2],
            "small": np.uint8([1, 2]),
            "bool": [True, False],
            "Int64": pd.array([1, None], dtype="Int64"),
            "boolean": pd.array([True, None], dtype="boolean"),
            "object": pd.Series([True, None], dtype=object, index=index),
            "category": pd.Categorical(["u", None], categories=["w", "v", "u"]),
            "ordered": pd.Categorical([3, 1], categories=[3, 2, 1], ordered=True),
            "string": pd.array(["u", None], dtype="string"),
            "text": pd.Series(["u", None], dtype=object, index=index),
            "kept text": pd.Series(["u", None], dtype=object, index=index),
            "kept": [1, 2],
        },
        index=index,
    )
    before = X.copy(deep=True)
    hidden = np.zeros(X.shape, dtype=bool)
    hidden[0, :12] = True
    blanked = blank(X, hidden)
    types = ["float64", "float32", "Int64", "UInt8", "boolean", "Int64", "boolean", "object", "int64"]
    types[8:-1] = [X.dtypes["category"], X.dtypes["ordered"], "string", "object", "object"]
    assert [str(dtype) for dtype in blanked.dtypes] == list(map(str, types))
    assert blanked["category"].cat.categories.tolist() == ["w", "v", "u"]
    assert blanked["ordered"].dtype == X["ordered"].dtype
    assert blanked.columns.identical(X.columns)
    assert blanked.index.identical(X.index)
    assert blanked.isna().to_numpy()[0].tolist() == [True] * 12 + [False, False]
    assert blanked.iloc[1].isna().equals(X.iloc[1].isna())
    assert blanked.iloc[1, :5].tolist() == X.iloc[1, :5].tolist()
    assert blanked["kept text"].tolist() == ["u", None]
    blanked.iloc[:, [0, -1]] = 77
    assert_frame_equal(X, before)


TEXTS = {
    "U array": (np.array([["u", "v"], ["w", "x"]]), [[None, "v"], ["w", "x"]]),
    "object array": (np.array([["u", 1.5], ["w", None]], dtype=object), [[None, 1.5], ["w", None]]),
    "list": ([["u", 1.5], ["w", None]], [[None, 1.5], ["w", None]]),
    "list of text": ([["u", "v"], ["w", "x"]], [[None, "v"], ["w", "x"]]),
    "numbers and text": ([[1, "v"], [2, "x"]], [[None, "v"], [2, "x"]]),
    "tuples": ((("u", True), ("w", False)), [[None, True], ["w", False]]),
    "masked": (np.ma.masked_array([["u", "v"], ["w", "x"]], [[0, 1], [0, 0]]), [[None, None], ["w", "x"]]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_blanking_text(name):
    X, expected = TEXTS[name]
    before = copy.deepcopy(X)
    blanked = blank(X, HIDDEN)
    if name == "masked":
        assert type(blanked) is np.ma.MaskedArray
        assert blanked.tolist() == expected
    else:
        assert type(blanked) is np.ndarray
        assert blanked.dtype == object
        assert np.where(pd.isna(blanked), None, blanked).tolist() == expected
        assert isinstance(blanked[0, 0], float)  # NaN
    blanked[:] = "z"
    assert repr(X) == repr(before)


def test_hiding_modalities_of_text():
    X = pd.DataFrame(
        {"a__p": pd.Categorical(["u", "v"]), "a__q": [1, 2], "b__r": pd.array(["w", None], dtype="string")}
    )
    hidden = hide(X, "a", modalities="prefix")
    assert hidden.isna().to_numpy().tolist() == [[True, True, False], [True, True, True]]
    assert hidden.dtypes.tolist() == [X.dtypes["a__p"], "Int64", "string"]
    kept = keep(np.array([["u", "v"], ["w", "x"]]), "a", modalities={"a": [0], "b": [1]})
    assert np.where(pd.isna(kept), None, kept).tolist() == [["u", None], ["w", None]]


@pytest.mark.parametrize(
    ("X", "names", "error", "message"),
    [
        (FRAME, "c", ValueError, "Unknown modality 'c'; X has 'b', 'a'"),
        (FRAME, ["a", "c"], ValueError, "Unknown modality 'c'"),
        (FRAME, None, ValueError, "Unknown modality None"),
        (VALUES, "b", ValueError, "Unknown modality 'b'; X has 'x'"),
        (VALUES[0], "x", ValueError, r"must be a table .* ndarray of shape \(3,\)"),
        ({"a": VALUES}, "a", ValueError, r"must be a table .* dict of shape \(\)"),
        (sparse.csr_array(VALUES), "x", TypeError, "Sparse data was passed.*toarray"),
        (
            np.array([["2020-01-01"]], dtype="M8[D]"),
            "x",
            TypeError,
            r"X has type datetime64\[D\], which cannot hold a missing value; turn it",
        ),
        (np.array([[b"1"]]), "x", TypeError, r"X has type \|S1, which cannot hold a missing value"),
    ],
)
@pytest.mark.parametrize("function", [hide, keep])
def test_what_cannot_be_hidden(function, X, names, error, message):
    with pytest.raises(error, match=message):
        function(X, names)


# --- of sequences ----------------------------------------------------------------------------------------

CUBE = np.arange(12.0).reshape(2, 2, 3)
WITHOUT_B = np.where([True, False, True], NAN, CUBE)


@pytest.mark.parametrize(
    ("X", "kind"),
    [
        (CUBE, np.ndarray),
        (CUBE.astype(int), np.ndarray),
        (CUBE.tolist(), np.ndarray),
        (torch.tensor(CUBE), torch.Tensor),
        (np.ma.masked_array(CUBE), np.ma.MaskedArray),
    ],
)
def test_hiding_in_sequences_of_one_length(X, kind):
    before = copy.deepcopy(X)
    for hidden in (hide(X, ["b"], modalities=SLICES), keep(X, "a", modalities=SLICES)):
        assert type(hidden) is kind
        assert tuple(hidden.shape) == (2, 2, 3)
        numbers = hidden.filled(NAN) if kind is np.ma.MaskedArray else hidden
        np.testing.assert_array_equal(numbers, WITHOUT_B)
        hidden[:] = 77
    assert repr(X) == repr(before)


@pytest.mark.parametrize("convert", [np.array, torch.tensor, np.ma.masked_array])
def test_hiding_in_ragged_sequences(convert):
    X = [convert(CUBE[0]), convert(CUBE[1, :1])]
    before = copy.deepcopy(X)
    hidden = hide(X, "b", modalities=SLICES)
    assert list(map(type, hidden)) == list(map(type, X))
    for part, expected in zip(hidden, [WITHOUT_B[0], WITHOUT_B[1, :1]], strict=True):
        np.testing.assert_array_equal(
            np.ma.filled(part, NAN) if convert is np.ma.masked_array else part, expected
        )
        part[:] = 77
    assert repr(X) == repr(before)


def test_hiding_in_frames_of_sequences():
    frames = [
        pd.DataFrame(CUBE[0], columns=LEVELS, index=["r", "s"]),
        pd.DataFrame(CUBE[1, :1], columns=LEVELS, index=["t"]),
    ]
    before = copy.deepcopy(frames)
    for hidden in (hide(frames, "b"), keep(frames, ["a"])):
        for part, frame in zip(hidden, frames, strict=True):
            assert_frame_equal(part, frame.mask(np.array([[True, False, True]] * len(frame))))
            part.iloc[:, :] = 77.0
    for frame, other in zip(frames, before, strict=True):
        assert_frame_equal(frame, other)


def test_hiding_in_a_long_frame():
    index = pd.MultiIndex.from_tuples([("p", 2), ("q", 1), ("p", 1), ("p", 1)])  # hiding asks for no order
    X = pd.DataFrame(np.arange(12.0).reshape(4, 3), columns=LEVELS, index=index)
    assert_frame_equal(hide(X, "b"), X.mask(np.array([[True, False, True]] * 4)))


def test_what_cannot_be_hidden_in_sequences():
    with pytest.raises(ValueError, match=r"Unknown modality 'c'; X has 'b', 'a'"):
        hide(CUBE, "c", modalities=SLICES)
    with pytest.raises(ValueError, match=r"item 0 of X has 3 and item 1 has 2"):
        keep([CUBE[0], CUBE[0, :, :2]], "a", modalities=SLICES)
    with pytest.raises(ValueError, match=r"ndarray of shape \(1, 2, 2, 3\)"):
        hide(CUBE[None], "a", modalities=SLICES)
