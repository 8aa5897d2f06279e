"""Lin's concordance correlation: hand computations, SciPy's correlation, sequences, gaps and extremes."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from skmm.metrics import concordance_correlation


def concordance(a, b):
    """By way of Pearson's correlation, which SciPy computes, and population moments."""
    r = stats.pearsonr(a, b).statistic
    return 2 * r * np.std(a) * np.std(b) / (np.var(a) + np.var(b) + (np.mean(a) - np.mean(b)) ** 2)


@pytest.fixture
def pair():
    """Truth and predictions of 5 sequences of 20 steps, which share a part."""
    rng = np.random.RandomState(0)
    truth = rng.normal(size=(5, 1)) + rng.normal(size=(5, 20))
    return truth, 0.7 * truth + 0.3 + rng.normal(0, 0.5, size=truth.shape)


def test_by_hand():
    # means 2.5 and 3, variances 1.25 and 3.5, covariance 2
    assert concordance_correlation([1, 2, 3, 4], [1, 2, 3, 6]) == pytest.approx(4 / (1.25 + 3.5 + 0.25))
    assert concordance_correlation([0, 1], [1, 0]) == pytest.approx(-1)
    assert concordance_correlation([0, 1], [5, 6]) == pytest.approx(0.5 / 25.5)
    assert concordance_correlation([-1, 1], [-10, 10]) == pytest.approx(20 / 101)


def test_against_scipy(pair):
    truth, predicted = pair[0].ravel(), pair[1].ravel()
    assert concordance_correlation(truth, predicted) == pytest.approx(
        concordance(truth, predicted), rel=1e-12
    )
    swapped = concordance_correlation(predicted, truth)
    assert swapped == pytest.approx(concordance_correlation(truth, predicted), rel=1e-12)


def test_far_from_zero():
    """A mean that is a million times the deviations: the moments are centred first."""
    rng = np.random.RandomState(0)
    truth = rng.normal(size=50)
    predicted = truth + rng.normal(size=50)
    expected = concordance(truth, predicted)
    assert concordance_correlation(truth + 1e6, predicted + 1e6) == pytest.approx(expected, rel=1e-8)


def test_mean_over_sequences_and_pooled(pair):
    truth, predicted = pair
    each = [concordance(a, b) for a, b in zip(truth, predicted, strict=True)]
    assert concordance_correlation(truth, predicted) == pytest.approx(np.mean(each))
    pooled = concordance_correlation(truth, predicted, average="pooled")
    assert pooled == pytest.approx(concordance(truth.ravel(), predicted.ravel()))
    assert pooled != pytest.approx(np.mean(each))


@pytest.mark.parametrize("average", ["sequences", "pooled"])
def test_lists_of_unequal_lengths(pair, average):
    truth = [a[: 20 - i] for i, a in enumerate(pair[0])]
    predicted = [b[: 20 - i] for i, b in enumerate(pair[1])]
    expected = (
        np.mean([concordance(a, b) for a, b in zip(truth, predicted, strict=True)])
        if average == "sequences"
        else concordance(np.concatenate(truth), np.concatenate(predicted))
    )
    assert concordance_correlation(truth, predicted, average=average) == pytest.approx(expected)
    columns = [a[:, None] for a in truth], tuple(b[:, None] for b in predicted)
    assert concordance_correlation(*columns, average=average) == pytest.approx(expected)
    ragged = np.empty(5, dtype=object)
    ragged[:] = truth
    assert concordance_correlation(ragged, predicted, average=average) == pytest.approx(expected)


@pytest.mark.parametrize(
    "convert",
    [
        pytest.param(lambda a: a[..., None], id="3-D"),
        pytest.param(lambda a: a.tolist(), id="list"),
        pytest.param(torch.tensor, id="tensor"),
        pytest.param(lambda a: [torch.tensor(row) for row in a], id="tensors"),
        pytest.param(pd.DataFrame, id="frame"),
        pytest.param(lambda a: [pd.Series(row) for row in a], id="series"),
        pytest.param(lambda a: pd.DataFrame(a).convert_dtypes(), id="nullable"),
        pytest.param(np.ma.masked_invalid, id="masked"),
    ],
)
def test_containers(pair, convert):
    truth, predicted = pair
    truth[1, 3] = np.nan
    expected = concordance_correlation(truth, predicted)
    assert concordance_correlation(convert(truth), predicted) == pytest.approx(expected, rel=1e-12)
    assert concordance_correlation(truth, convert(predicted)) == pytest.approx(expected, rel=1e-12)


def test_gaps_in_either_are_left_out(pair):
    truth, predicted = pair
    truth[0, :5] = np.nan
    predicted[0, 10:12] = np.nan
    kept = [*range(5, 10), *range(12, 20)]
    expected = concordance(truth[0, kept], predicted[0, kept])
    assert concordance_correlation(truth[0], predicted[0]) == pytest.approx(expected)
    everything = [expected, *(concordance(truth[i], predicted[i]) for i in range(1, 5))]
    assert concordance_correlation(truth, predicted) == pytest.approx(np.mean(everything))
    known = ~np.isnan(truth + predicted)
    pooled = concordance_correlation(truth, predicted, average="pooled")
    assert pooled == pytest.approx(concordance(truth[known], predicted[known]))


def test_sequences_of_fewer_than_two_pairs_count_for_nothing(pair):
    truth, predicted = pair
    expected = concordance_correlation(truth[1:], predicted[1:])
    truth[0, 1:] = np.nan
    assert concordance_correlation(truth, predicted) == pytest.approx(expected)
    truth[0] = np.nan
    assert concordance_correlation(truth, predicted) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        ([2, 2, 2], [2, 2, 2], 1),
        ([0.1, 0.1, 0.1], [0.1, 0.1, 0.1], 1),  # their mean is not 0.1
        ([2, 2, 2], [3, 3, 3], 0),
        ([2, 2, 2], [1, 2, 3], 0),  # right on average
        ([1, 2, 3], [2, 2, 2], 0),
    ],
)
def test_constant_sequences(truth, predicted, expected):
    assert concordance_correlation(truth, predicted) == pytest.approx(expected, abs=1e-12)


def test_equality_is_exactly_one(pair):
    assert concordance_correlation(pair[0], pair[0].copy()) == 1.0
    assert isinstance(concordance_correlation(*pair), float)


def test_pairs_of_single_steps_can_be_pooled():
    """As in tables: one value per row, and no coefficient of a row."""
    truth, predicted = np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([[1.0], [2.0], [3.0], [6.0]])
    assert concordance_correlation(truth, predicted, average="pooled") == pytest.approx(0.8)
    with pytest.raises(
        ValueError, match=r"No sequence has two steps known .* or average='pooled', or, for one"
    ):
        concordance_correlation(truth, predicted)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [1, 2, 3]), r"Sequence 0 has 2 steps in y_true, but 3 in y_pred"),
        (([[1, 2]], [[1, 2], [3, 4]]), r"y_true has 1 sequences, but y_pred has 2"),
        (([[1, 2], [1, 2, 3]], [[1, 2], [1, 2]]), r"Sequence 1 has 3 steps in y_true, but 2 in y_pred"),
        (
            (np.zeros((2, 3, 2)), np.zeros((2, 3, 2))),
            r"y_true must be .* has the shape \(3, 2\); give the shape",
        ),
        (([1, 2], 3.0), r"y_pred must be one sequence of numbers or several, but .* the shape \(\)"),
        (([1, 2], [1, np.inf]), r"y_pred contains infinity; give NaN where a value is unknown"),
        (([1, np.nan], [1, 2]), r"No sequence has two steps known in both y_true and y_pred"),
        (([], []), r"No sequence has two steps known"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        concordance_correlation(*arguments)


@pytest.mark.parametrize("average", ["mean", None, ["pooled"]])
def test_unknown_average(average):
    with pytest.raises(ValueError, match=r"average must be 'sequences' or 'pooled', got"):
        concordance_correlation([1, 2], [1, 2], average=average)
