"""Scorers for searches and cross-validation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from skmm._torch import RandomStateLike
from skmm.metrics.coherence import cross_coherence, joint_coherence
from skmm.metrics.completion import completion_error
from skmm.metrics.conditional import conditional_log_likelihood
from skmm.metrics.frechet import sample_distance
from skmm.metrics.latent import latent_clustering_accuracy, linear_probe


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


class ConditionalLikelihoodScorer(BaseEstimator):
    """How likely modalities are given the others; higher is better.

    :func:`skmm.metrics.conditional_log_likelihood`, averaged over what was hidden.

    Parameters
    ----------
    hide : {"modalities"} or list of modality names, default="modalities"
        "modalities" hides one modality after the other.

    See Also
    --------
    skmm.CompletionScorer : Of expected values only.

    Notes
    -----
    Without ``scoring``, searches take the likelihood of all modalities together, in which those of many
    features drown how well one is told by another.
    """

    def __init__(self, hide: str | Sequence[Hashable] = "modalities") -> None:
        self.hide = hide

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Score a fitted estimator; ``y`` is ignored."""
        return float(conditional_log_likelihood(estimator, X, hide=self.hide).mean())


class _ClassifierScorer(BaseEstimator):
    """Base of scorers that hold fitted classifiers, which cloning would forget."""

    def __sklearn_clone__(self) -> _ClassifierScorer:
        return copy.copy(self)


class JointCoherenceScorer(_ClassifierScorer):
    """How often all modalities of a new row are of the same class; higher is better.

    :func:`skmm.metrics.joint_coherence`.

    Parameters
    ----------
    classifiers : dict
        Name of a modality -> fitted classifier of its columns. They stay fitted when the scorer is cloned.
    n_samples : int, default=1000
        Number of new rows.
    random_state : int, RandomState instance or None, default=0
        Of the rows.
    """

    def __init__(
        self,
        classifiers: Mapping[Hashable, Any],
        n_samples: int = 1000,
        random_state: RandomStateLike = 0,
    ) -> None:
        self.classifiers = classifiers
        self.n_samples = n_samples
        self.random_state = random_state

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Score a fitted estimator; ``X`` and ``y`` are ignored."""
        return joint_coherence(
            estimator, self.classifiers, n_samples=self.n_samples, random_state=self.random_state
        )


class CrossCoherenceScorer(_ClassifierScorer):
    """How often completed modalities are of the class of the row; higher is better.

    :func:`skmm.metrics.cross_coherence`, averaged over what was completed.

    Parameters
    ----------
    classifiers : dict
        Name of a modality -> fitted classifier of its columns. They stay fitted when the scorer is cloned.
    given : {"others", "each"} or list of modality names, default="others"
        What a modality is completed from.
    n_samples : int or None, default=1
        Draws of each row; None takes the expected value.
    random_state : int, RandomState instance or None, default=0
        Of the draws.
    """

    def __init__(
        self,
        classifiers: Mapping[Hashable, Any],
        given: str | Sequence[Hashable] = "others",
        n_samples: int | None = 1,
        random_state: RandomStateLike = 0,
    ) -> None:
        self.classifiers = classifiers
        self.given = given
        self.n_samples = n_samples
        self.random_state = random_state

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Score a fitted estimator on rows of classes ``y``."""
        shares = cross_coherence(
            estimator,
            X,
            _classes(y, self),
            self.classifiers,
            given=self.given,
            n_samples=self.n_samples,
            random_state=self.random_state,
        )
        return float(np.nanmean(shares.to_numpy()))


class SampleDistanceScorer(BaseEstimator):
    """How near new rows come to those that are given; higher is better.

    The negative of :func:`skmm.metrics.sample_distance`.

    Parameters
    ----------
    features : callable or None, default=None
        What is compared of rows; None takes their numbers.
    n_samples : int or None, default=None
        Number of new rows; None takes as many as are given.
    random_state : int, RandomState instance or None, default=0
        Of the new rows.
    """

    def __init__(
        self,
        features: Callable[[Any], Any] | None = None,
        n_samples: int | None = None,
        random_state: RandomStateLike = 0,
    ) -> None:
        self.features = features
        self.n_samples = n_samples
        self.random_state = random_state

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Score a fitted estimator; ``y`` is ignored."""
        return -sample_distance(
            estimator,
            X,
            features=self.features,
            n_samples=self.n_samples,
            random_state=self.random_state,
        )


class LatentClusteringScorer(BaseEstimator):
    """How well clusters of latent variables are the classes of the rows; higher is better.

    :func:`skmm.metrics.latent_clustering_accuracy`.

    Parameters
    ----------
    clusterer : estimator or None, default=None
        With ``fit_predict``; None takes k-means.
    random_state : int, RandomState instance or None, default=0
        Of k-means.
    """

    def __init__(self, clusterer: Any = None, random_state: RandomStateLike = 0) -> None:
        self.clusterer = clusterer
        self.random_state = random_state

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Score a fitted estimator on rows of classes ``y``."""
        return latent_clustering_accuracy(
            estimator, X, _classes(y, self), clusterer=self.clusterer, random_state=self.random_state
        )


class LinearProbeScorer(BaseEstimator):
    """How well a linear classifier of the latent variables tells classes; higher is better.

    :func:`skmm.metrics.linear_probe`, cross-validated and averaged over subsets of modalities.

    Parameters
    ----------
    subsets : {"all", "single"} or list of lists of modality names, default="all"
        Which modalities are given.
    probe : classifier or None, default=None
        None takes a logistic regression.
    cv : int or splitter, default=5
        How to cross-validate the probe.
    """

    def __init__(
        self, subsets: str | Sequence[Sequence[Hashable]] = "all", probe: Any = None, cv: Any = 5
    ) -> None:
        self.subsets = subsets
        self.probe = probe
        self.cv = cv

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Score a fitted estimator on rows of classes ``y``."""
        accuracy = linear_probe(
            estimator, X, _classes(y, self), subsets=self.subsets, probe=self.probe, cv=self.cv
        )
        return float(accuracy.mean())


completion_scorer = CompletionScorer()


def _classes(y: Any, scorer: Any) -> Any:
    if y is None:
        raise ValueError(
            f"{type(scorer).__name__} compares with the classes of the rows; give them as y, to fit of a "
            "search or to cross_val_score. The estimator itself does not look at them."
        )
    return y
