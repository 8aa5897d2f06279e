"""How likely known modalities are given the others."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skmm.metrics.hiding import Truth, modality_groups, nothing_hidden


def conditional_log_likelihood(
    estimator: Any, X: Any, *, hide: str | Sequence[Any] = "modalities"
) -> pd.Series:
    r"""Log-likelihood of modalities that are known, given the others of their rows.

    What :func:`completion_error` does not look at, it measures: whether the spread of completions is right
    too, and whether values of one modality are rightly expected to go together.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A fitted :class:`skmm.MultimodalVAE` or :class:`skmm.MultimodalVRNN`, or a Pipeline that ends in one;
        measured in front of that last step.
    X : array-like or DataFrame of shape (n_samples, n_features), or sequences
        Rows, preferably none of those that the estimator was fitted on. Gaps are allowed: what is not known
        is in neither term.
    hide : {"modalities"} or list of modality names, default="modalities"
        "modalities" takes one modality after the other given all others, in every row that has observed
        entries of it and of another one. A list takes all that it names together.

    Returns
    -------
    Series
        Mean over rows, or sequences, in nats, by modality; in the units of X, as ``score_samples``. NaN for
        a modality that is in no row beside another one. With a list ``hide``, one number, under all its
        names with plus signs between them.

    Raises
    ------
    ValueError
        If an argument is not as it must be, or nothing could be hidden.
    TypeError
        If the estimator has no likelihood.

    See Also
    --------
    skmm.MultimodalVAE.score : The mean log-likelihood of all that is known.

    Notes
    -----
    .. math:: \log p(x_{hidden} | x_{known}) = \log p(x_{hidden}, x_{known}) - \log p(x_{known})

    Both terms are the estimator's ``score_samples``, importance-sampled bounds that lie below by about
    :math:`\mathrm{Var}(w) / (2 K \bar w^2)`, with weights w of K = ``n_draws`` points. So the difference is
    too low where the first term is harder to sample, which is the usual case, too high where the second is;
    either error vanishes as 1 / K. Raise ``n_draws`` (``set_params(n_draws=1000)``, also after ``fit``)
    until the result no longer changes.
    """
    truth = Truth.of(estimator, X, "score_samples")
    layout = truth.layout
    if isinstance(hide, str) and hide != "modalities":
        raise ValueError(f"hide must be 'modalities' or a list of modality names, got {hide!r}.")
    groups = modality_groups(layout, hide)
    joint = None
    found: dict[Hashable, float] = {}
    for group in groups:
        names = [layout.names[index] for index in group]
        others = [name for name in layout.names if name not in names]
        label = names[0] if isinstance(hide, str) else " + ".join(map(str, names))
        both = _whole(truth, truth.present(names)) & _whole(truth, truth.present(others)) if others else None
        if both is None or not both.any():
            found[label] = np.nan
            continue
        if joint is None:
            joint = truth.model.score_samples(truth.opened.join(truth.opened.table)).astype(np.float64)
        rest = truth.model.score_samples(truth.given(others)).astype(np.float64)
        found[label] = float((joint - rest)[both].mean())
    if np.isnan(list(found.values())).all():
        raise ValueError(nothing_hidden(layout, hide))
    return pd.Series(
        list(found.values()),
        index=pd.Index(list(found), tupleize_cols=False),
        name="conditional_log_likelihood",
    )


def _whole(truth: Truth, steps: np.ndarray) -> np.ndarray:
    """Rows or, of sequences, those of which any step is marked."""
    lengths = truth.opened.lengths
    return np.logical_or.reduceat(steps, np.cumsum(lengths) - lengths)
