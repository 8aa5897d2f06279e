"""Scorers for searches and cross-validation."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from sklearn.base import BaseEstimator

from skmm._torch import RandomStateLike
from skmm.metrics.completion import completion_error


class CompletionScorer(BaseEstimator):
    """How well an estimator completes what is known, but hidden from it; higher is better.

    The negative of :func:`skmm.metrics.completion_error`, averaged over the modalities of which something
    could be hidden. Give an instance as ``scoring`` where scikit-learn takes one; ``completion_scorer`` is
    the one with default parameters.

    Parameters
    ----------
    hide : {"modalities", "cells"} or list of modalities, default="modalities"
        "modalities" hides one modality after the other, a list all that it names together; "cells" hides
        single entries, which is the one to take where there is only one modality.
    fraction : float, default=0.2
        Probability that an entry is hidden, for ``hide="cells"``.
    random_state : int, RandomState instance or None, default=0
        Chooses the cells. The default hides the same ones for every candidate of a search.

    See Also
    --------
    skmm.metrics.completion_error : The errors by modality.

    Notes
    -----
    Without ``scoring``, searches take the estimator's own ``score``, the bound of the log-likelihood: how
    well it knows what to expect of all entries together, spread included. This scorer looks at expected
    values only. The two may well prefer different models.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skmm import MultimodalVAE
    >>> from skmm.scorers import CompletionScorer, completion_scorer
    >>> completion_scorer
    CompletionScorer()
    >>> search = GridSearchCV(MultimodalVAE(), {"n_components": [2, 5]}, scoring=completion_scorer)
    >>> one_modality = GridSearchCV(
    ...     MultimodalVAE(), {"n_components": [2, 5]}, scoring=CompletionScorer(hide="cells")
    ... )
    """

    def __init__(
        self,
        hide: str | Sequence[Hashable] = "modalities",
        fraction: float = 0.2,
        random_state: RandomStateLike = 0,
    ) -> None:
        self.hide = hide
        self.fraction = fraction
        self.random_state = random_state

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : estimator or Pipeline
            A fitted :class:`skmm.MultimodalVAE`, or a Pipeline that ends in one.
        X : array-like or DataFrame of shape (n_samples, n_features)
        y : Ignored
            Present for the sake of scikit-learn's conventions.

        Returns
        -------
        float
            At most 0, which is completion without an error.
        """
        errors = completion_error(
            estimator, X, hide=self.hide, fraction=self.fraction, random_state=self.random_state
        )
        return -float(errors.mean())


completion_scorer = CompletionScorer()
