"""How near completions come: the error of expected values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from skmm._blocks.sequences import opened_by
from skmm._torch import RandomStateLike
from skmm.metrics.hiding import Truth, mean_over_hidden
from skmm.metrics.scoring_rules import category_score


def completion_error(
    estimator: Any,
    X: Any,
    *,
    hide: str | Sequence[Any] = "modalities",
    fraction: float = 0.2,
    random_state: RandomStateLike = 0,
) -> pd.Series:
    """Error with which an estimator completes entries that are known, but hidden from it.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A fitted :class:`skmm.MultimodalVAE` or :class:`skmm.MultimodalVRNN`, or a Pipeline that ends in one.
        Errors are taken in front of that last step: what the steps before it filled in counts as known.
    X : array-like or DataFrame of shape (n_samples, n_features), or sequences
        Rows to complete, preferably none of those that the estimator was fitted on.
    hide : {"modalities", "cells"} or list of modality names, default="modalities"
        "modalities" hides one modality after the other, in every row that has observed entries of it and of
        another one; of sequences, in the whole sequence. A list hides all that it names together, in every
        row that has observed entries of any of them and of another one. "cells" hides single entries of all
        modalities at once, and no row's last one.
    fraction : float, default=0.2
        Probability that an entry is hidden, for ``hide="cells"``.
    random_state : int, RandomState instance or None, default=0
        Chooses the cells. The default hides the same cells in every call with as many rows, so that
        estimators can be compared.

    Returns
    -------
    Series
        Root of the mean squared error by modality, over all entries that were hidden, in units in which
        completion by the column's mean, or by its frequencies, gets about 1, so that columns of all units
        and types count alike. Of numbers, and of the probabilities of flags, the squared error over the
        variance in ``fit``; of categories the Brier score, and of ordered ones the ranked probability score,
        over what the frequencies in ``fit`` get. NaN for a modality of which nothing could be hidden; with a
        list ``hide``, only the modalities in it. Columns that were constant or never observed in ``fit`` are
        left out.

    Raises
    ------
    ValueError
        If an argument is not as it must be, or nothing could be hidden.
    TypeError
        If the estimator completes nothing.

    See Also
    --------
    skmm.scorers.CompletionScorer : The same for searches and cross-validation.
    interval_coverage, completion_crps : Of draws instead of expected values.
    """
    truth = Truth.of(estimator, X, "predict")
    mean, names = mean_over_hidden(
        truth, squared_error, hide=hide, fraction=fraction, random_state=random_state
    )
    return pd.Series(np.sqrt(mean), index=names, name="completion_error")


def squared_error(truth: Truth, X: Any, hidden: np.ndarray) -> np.ndarray:
    """Squared error of every hidden entry, in units of what is known without the row, (n_hidden,)."""
    model, layout = truth.model, truth.layout
    squared = np.square((truth.read(model.predict(X)) - truth.matrix) / layout.deviation)
    categories = [j for j, column in enumerate(layout.types) if column.n_categories]
    if categories:
        probabilities = opened_by(model, model.predict_category_proba(X)).table
        labels = list(probabilities.columns)
        has_levels = probabilities.columns.nlevels > 2
        owners = [label[:-1] if has_levels else label[0] for label in labels]
        for j in categories:
            chosen = [position for position, owner in enumerate(owners) if owner == layout.labels[j]]
            score = category_score(
                probabilities.to_numpy()[:, chosen], truth.matrix[:, j], layout.types[j].kind
            )
            squared[:, j] = score / layout.deviation[j] ** 2
    return squared[hidden]
