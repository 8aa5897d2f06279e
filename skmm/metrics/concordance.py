"""How nearly two sequences agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def concordance_correlation(y_true: Any, y_pred: Any, *, average: str = "sequences") -> float:
    """Lin's concordance correlation coefficient: how nearly predictions equal the truth.

    As defined in [1]_.

    Unlike Pearson's correlation, it also takes off for predictions that are too high, too low, or of another
    spread. 1 for equality, 0 for no relation, -1 for the opposite deviations from a common mean.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_steps,), (n_samples, n_steps) or (n_samples, n_steps, 1), or list
        Truth and predictions: one sequence, or several. A list of 1-D arrays, or of arrays of shape
        (n_steps, 1), may have sequences of unequal lengths. Pairs with NaN in either are left out.
    average : {"sequences", "pooled"}, default="sequences"
        For several sequences, "sequences" takes the mean of their coefficients, as is usual for ratings of
        emotions [2]_; a sequence of which fewer than two pairs are left counts for nothing. "pooled" takes
        one coefficient over the steps of all sequences, which also rewards to know how the sequences differ.

    Returns
    -------
    float
        From -1 to 1.

    Raises
    ------
    ValueError
        If ``y_true`` and ``y_pred`` differ in shape, contain infinity, or have nowhere two pairs in one
        sequence; or if ``average`` is not one of the above.

    Notes
    -----
    With means μ, variances σ² and the covariance σ₁₂, all of them divided by the number of pairs,

    2 σ₁₂ / (σ₁² + σ₂² + (μ₁ - μ₂)²).

    It is 0 where only one of the two is constant, and where both are, at different values. Where both are
    constant at the same value, the fraction is 0 / 0; they are equal, which counts as 1.

    References
    ----------
    .. [1] Lin (1989), "A Concordance Correlation Coefficient to Evaluate Reproducibility", Biometrics 45.
    .. [2] Ong et al. (2021), "Modeling Emotion in Complex Stories: the Stanford Emotional Narratives
       Dataset", IEEE Transactions on Affective Computing 12.

    Examples
    --------
    >>> from skmm.metrics import concordance_correlation
    >>> concordance_correlation([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    1.0
    >>> concordance_correlation([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])  # Pearson's correlation would be 1
    0.571
    """
    if average not in ("sequences", "pooled"):
        raise ValueError(f"average must be 'sequences' or 'pooled', got {average!r}.")
    truth, predicted = _sequences(y_true, "y_true"), _sequences(y_pred, "y_pred")
    if len(truth) != len(predicted):
        raise ValueError(f"y_true has {len(truth)} sequences, but y_pred has {len(predicted)}; give pairs.")
    pairs = []
    for index, (first, second) in enumerate(zip(truth, predicted, strict=True)):
        if len(first) != len(second):
            raise ValueError(
                f"Sequence {index} has {len(first)} steps in y_true, but {len(second)} in y_pred; give pairs."
            )
        pair = np.stack([first, second])
        pairs.append(pair[:, ~np.isnan(pair).any(axis=0)])
    if average == "pooled" and pairs:
        pairs = [np.concatenate(pairs, axis=1)]
    pairs = [pair for pair in pairs if pair.shape[1] >= 2]
    if not pairs:
        raise ValueError(
            "No sequence has two steps known in both y_true and y_pred; give longer ones, or "
            "average='pooled', or, for one long sequence, 1-D arrays."
        )
    return float(np.mean([_concordance(*pair) for pair in pairs]))


def _sequences(y: Any, name: str) -> list[np.ndarray]:
    """The sequences in y, 1-D floats each."""
    several = isinstance(y, list | tuple) or (isinstance(y, np.ndarray) and y.dtype == object)
    if several and any(np.ndim(sequence) > 0 for sequence in y):
        sequences = [floats(sequence) for sequence in y]
    else:
        y = floats(y)
        sequences = [y] if y.ndim < 2 else list(y)
    found = []
    for sequence in sequences:
        if sequence.ndim == 2 and sequence.shape[1] == 1:
            sequence = sequence[:, 0]
        if sequence.ndim != 1:
            raise ValueError(
                f"{name} must be one sequence of numbers or several, but one of its sequences has the shape "
                f"{sequence.shape}; give the shape (n_steps,) or (n_steps, 1)."
            )
        if np.isinf(sequence).any():
            raise ValueError(f"{name} contains infinity; give NaN where a value is unknown.")
        found.append(sequence)
    return found


def floats(values: Any) -> np.ndarray:
    """Numbers in any container as an array of floats, NaN where missing."""
    if isinstance(values, pd.Series | pd.DataFrame):
        return values.to_numpy(dtype=float, na_value=np.nan)
    return np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)


def _concordance(first: np.ndarray, second: np.ndarray) -> float:
    """The coefficient of two 1-D arrays without gaps."""
    first_mean, second_mean = first.mean(), second.mean()
    first, second = first - first_mean, second - second_mean
    spread = np.mean(first**2) + np.mean(second**2) + (first_mean - second_mean) ** 2
    if spread == 0:
        return 1.0
    return float(2.0 * np.mean(first * second) / spread)
