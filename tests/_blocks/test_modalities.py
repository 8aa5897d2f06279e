"""Columns of each modality, from every way of naming them."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import make_column_selector

from skmm._blocks.modalities import resolve_modalities

ARRAY = np.zeros((3, 5))
FRAME = pd.DataFrame(ARRAY, columns=["p", "q", "r", "s", "t"]).astype({"q": bool, "s": bool})
LEVELS = pd.DataFrame(
    ARRAY,
    columns=pd.MultiIndex.from_tuples([("b", "x"), ("a", "x"), ("b", "y"), ("c", "x"), ("a", "y")]),
)
LABELLED = pd.DataFrame(ARRAY, columns=[40, 30, 20, 10, 0])  # whole numbers that are no positions
PREFIXED = pd.DataFrame(ARRAY, columns=["b__x", "a__x", "b__y__z", "c__x", "a__y"])
EXPECTED = {"b": [0, 2], "a": [1, 4], "c": [3]}
MASKS = {"b": [1, 0, 1, 0, 0], "a": [0, 1, 0, 0, 1], "c": [0, 0, 0, 1, 0]}


def resolve(X, modalities):
    groups = resolve_modalities(X, modalities)
    assert all(positions.dtype == np.int64 for positions in groups.values())
    return {name: positions.tolist() for name, positions in groups.items()}


@pytest.mark.parametrize("X", [ARRAY, ARRAY.tolist(), torch.tensor(ARRAY), np.ma.masked_array(ARRAY), FRAME])
def test_one_modality_where_none_is_named(X):
    assert resolve(X, None) == {"x": [0, 1, 2, 3, 4]}


def everything_but_c(X):
    return [position for position in range(np.shape(X)[1]) if position != 3]


def from_shape(X):
    return {"left": slice(None, 2), "right": slice(2, np.shape(X)[1])}


@pytest.mark.parametrize(
    ("X", "modalities", "expected"),
    [
        (LEVELS, None, EXPECTED),
        (PREFIXED, "prefix", EXPECTED),
        # positions
        (ARRAY, {"b": [0, 2], "a": [1, 4], "c": 3}, EXPECTED),
        (ARRAY, {"b": (0, -3), "a": np.array([1, -1]), "c": [-2]}, EXPECTED),
        (FRAME, {"b": [0, 2], "a": [-4, -1], "c": np.int64(3)}, EXPECTED),
        (FRAME, {"b": ["p", 2], "a": [1, "t"], "c": "s"}, EXPECTED),
        (LEVELS, {"b": [0, 2], "a": [1, 4], "c": 3}, EXPECTED),
        (ARRAY, {"b": range(2), "a": iter([2, 3]), "c": 4}, {"b": [0, 1], "a": [2, 3], "c": [4]}),
        # slices
        (ARRAY, {"b": slice(0, 3, 2), "a": slice(1, None, 3), "c": slice(3, 4)}, EXPECTED),
        (ARRAY, {"b": slice(-1, 2, -1), "a": slice(3)}, {"b": [4, 3], "a": [0, 1, 2]}),
        (FRAME, {"b": slice("p", "q"), "a": slice("r", None)}, {"b": [0, 1], "a": [2, 3, 4]}),
        (FRAME, {"b": slice(None, "q"), "a": slice(2, None)}, {"b": [0, 1], "a": [2, 3, 4]}),
        (LABELLED, {"b": slice(0, 2), "a": slice(2, None)}, {"b": [0, 1], "a": [2, 3, 4]}),
        # masks
        (ARRAY, {name: np.array(mask, dtype=bool) for name, mask in MASKS.items()}, EXPECTED),
        (FRAME, {name: pd.Series(mask, dtype=bool) for name, mask in MASKS.items()}, EXPECTED),
        (LEVELS, {name: [bool(entry) for entry in mask] for name, mask in MASKS.items()}, EXPECTED),
        # labels
        (FRAME, {"b": ["p", "r"], "a": pd.Index(["q", "t"]), "c": ("s",)}, EXPECTED),
        (FRAME, {"b": ["r", "p"], "a": ["t", "q", "s"]}, {"b": [2, 0], "a": [4, 1, 3]}),
        (LABELLED, {"b": [40, 20], "a": np.array([30, 0]), "c": 10}, EXPECTED),
        (LEVELS, {"b": [("b", "x"), ("b", "y")], "a": (("a", "x"), ("a", "y")), "c": ("c", "x")}, EXPECTED),
        (LEVELS, {"b": "b", "rest": ["a", "c"]}, {"b": [0, 2], "rest": [1, 4, 3]}),
        # callables
        (
            FRAME,
            {
                "flags": make_column_selector(dtype_include=bool),
                "rest": make_column_selector(dtype_exclude=bool),
            },
            {"flags": [1, 3], "rest": [0, 2, 4]},
        ),
        (
            FRAME,
            {"early": make_column_selector(pattern="p|q"), "late": ["r", "s", "t"]},
            {"early": [0, 1], "late": [2, 3, 4]},
        ),
        (ARRAY, {"rest": everything_but_c, "c": 3}, {"rest": [0, 1, 2, 4], "c": [3]}),
        (ARRAY, from_shape, {"left": [0, 1], "right": [2, 3, 4]}),
        (FRAME, from_shape, {"left": [0, 1], "right": [2, 3, 4]}),
        (PREFIXED, lambda X: "prefix", EXPECTED),
        (FRAME, lambda X: None, {"x": [0, 1, 2, 3, 4]}),
        # names need not be strings
        (ARRAY, {0: [0, 1], ("a", 1): [2, 3, 4]}, {0: [0, 1], ("a", 1): [2, 3, 4]}),
    ],
)
def test_columns_of_each_modality(X, modalities, expected):
    groups = resolve(X, modalities)
    assert groups == expected
    assert list(groups) == list(expected)  # in the order given


def test_unsorted_levels_of_three():
    columns = pd.MultiIndex.from_tuples(
        [("b", 1, "u"), ("a", 1, "u"), ("b", 0, "v"), ("a", 0, "v"), ("b", 1, "v")]
    )
    assert resolve(pd.DataFrame(ARRAY, columns=columns), None) == {"b": [0, 2, 4], "a": [1, 3]}


@pytest.mark.parametrize(
    ("X", "modalities", "message"),
    [
        (ARRAY, "audio", "None, 'prefix', a dict .*, got 'audio'"),
        (ARRAY, [[0, 1], [2]], r"None, 'prefix', a dict .*, got \[\[0, 1\], \[2\]\]"),
        (ARRAY, {}, "at least one name -> columns, .*got {}"),
        (ARRAY, lambda X: {}, "callable that returns such a dict, got {}"),
        (ARRAY, "prefix", r"'audio__pitch'; 0 has no such prefix. .*set_output\(transform='pandas'\)"),
        (FRAME, "prefix", "'p' has no such prefix"),
        (FRAME.rename(columns={"p": "__p"}), "prefix", "'__p' has no such prefix"),
        (FRAME.rename(columns={"p": "a_p"}), "prefix", "'a_p' has no such prefix"),
        # unknown columns
        (ARRAY, {"a": [0, 5]}, "Modality 'a' asks for column 5, but X has 5 columns"),
        (ARRAY, {"a": [-6]}, "Modality 'a' asks for column -6, but X has 5 columns"),
        (
            ARRAY,
            {"a": "p"},
            "'a' asks for column 'p', which is not in X; X has no column names, use positions",
        ),
        (ARRAY, {"a": slice("p", "q")}, r"'a' asks for slice\('p', 'q', None\), but X has no column names"),
        (ARRAY, {"a": 1.5}, "'a' asks for column 1.5, which is not in X"),
        (ARRAY, {"a": None}, "'a' asks for column None"),
        (
            FRAME,
            {"a": ["p", "u"]},
            "'a' asks for column 'u', which is not in X; X has 'p', 'q', 'r', 's', 't'",
        ),
        (
            FRAME,
            {"a": slice("p", "u")},
            r"'a' asks for slice\('p', 'u', None\), which does not fit .*\('p', 'q'",
        ),
        (FRAME, {"a": [["p"]]}, r"'a' asks for column \['p'\]"),
        (LABELLED, {"a": [1]}, "'a' asks for column 1, which is not in X; X has 40, 30, 20, 10, 0"),
        (LABELLED, {"a": [-1]}, "'a' asks for column -1"),
        (LEVELS, {"a": [("b", "z")]}, r"'a' asks for column \('b', 'z'\), .*; X has \('b', 'x'\)"),
        (LEVELS, {"a": slice(("b", "x"), ("b", "y"))}, "'a' asks for slice.*, which does not fit"),
        (pd.DataFrame(np.zeros((2, 9))).add_prefix("f"), {"a": "u"}, "X has 'f0', .* 'f4' and 4 more"),
        # wrong masks
        (
            ARRAY,
            {"a": [True, False]},
            "The mask of modality 'a' has 2 entries, but X has 5 columns; give one",
        ),
        (ARRAY, {"a": [False] * 5}, "Modality 'a' has no columns"),
        # not a partition
        (ARRAY, {"a": []}, "Modality 'a' has no columns; leave it out of `modalities` or give it some"),
        (ARRAY, {"a": slice(3, 3)}, "Modality 'a' has no columns"),
        (FRAME, {"a": make_column_selector(pattern="^z")}, "Modality 'a' has no columns"),
        (
            FRAME,
            {"a": ["p", "q"], "b": ["q", "r"]},
            "'q' is in modality 'a' and again in modality 'b'; every",
        ),
        (ARRAY, {"a": [0, 1, -5]}, "Column 0 is in modality 'a' and again in modality 'a'"),
        (
            FRAME,
            {"a": ["p", "q"], "b": "s"},
            r"2 column\(s\) belong to no modality, the first is 'r'; add them",
        ),
        (FRAME, {"a": {"p", "q"}}, "columns of modality 'a' are a set, which has no order; give a list"),
        (ARRAY[0], None, r"table of shape \(n_samples, n_features\), got ndarray of shape \(5,\)"),
    ],
)
def test_what_does_not_fit_is_refused(X, modalities, message):
    with pytest.raises(ValueError, match=message):
        resolve_modalities(X, modalities)
