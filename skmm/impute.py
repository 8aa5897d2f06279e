"""MultimodalImputer: the completion of a table as a step of a Pipeline."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from skmm._blocks.containers import absent, frame_of
from skmm._blocks.sequences import opened_by
from skmm._estimator.atomic import unchanged_on_failure
from skmm.vae import MultimodalVAE

INDICATOR = "missingindicator"  # scikit-learn's word


class MultimodalImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Completes a table, as a step of a Pipeline.

    Where :meth:`MultimodalVAE.transform` returns latent variables, this transformer returns the table itself,
    with every missing entry replaced by its expected value given what its row holds.

    Parameters
    ----------
    estimator : estimator, default=None
        What completes: a :class:`skmm.MultimodalVAE`, or anything with ``fit(X)`` and ``impute(X)``. It is
        cloned, never fitted itself. None takes ``MultimodalVAE()``; give an estimator if its parameters are
        to be searched.
    add_indicator : bool, default=False
        Whether to append one column for each feature that had missing values in ``fit``, which tells where
        the feature was missing. Features in which only :meth:`transform` meets missing values get none.

    Attributes
    ----------
    estimator_ : estimator
        The fitted clone.
    indicator_features_ : int array of shape (n_indicators,)
        Positions of the features that have an indicator.
    n_features_in_ : int
        Number of columns seen in ``fit``.
    feature_names_in_ : array of shape (n_features,)
        Names seen in ``fit``, where X had string names.

    See Also
    --------
    skmm.MultimodalVAE.impute : The same without a Pipeline.
    skmm.MultimodalVAE.sample : Draws several completions instead of one, for the uncertainty.
    sklearn.impute.IterativeImputer : Regresses every feature on all others.

    Notes
    -----
    As a step of a Pipeline, the estimator is fitted on the training rows of each fold only, and completes
    the held-out rows with what it learned there. ``estimator.fit(X).impute(X)`` before a cross-validation
    would let held-out rows take part in the fit, and scores would be too good.

    A category that ``fit`` has not seen, under ``handle_unknown="missing"``, stays as it is: the next step
    meets it too.

    Targets are never used: rows are completed in the same way in ``fit`` and in ``predict``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skmm import MultimodalImputer, MultimodalVAE
    >>> rng = np.random.RandomState(0)
    >>> z = rng.normal(size=(200, 1))
    >>> X = np.hstack([z, -z, 2 * z]) + 0.1 * rng.normal(size=(200, 3))
    >>> X[:50, 0] = X[50:100, 1:] = np.nan
    >>> vae = MultimodalVAE(2, modalities={"a": [0], "b": [1, 2]}, max_iter=50, random_state=0)
    >>> pipeline = make_pipeline(MultimodalImputer(vae), LogisticRegression()).fit(X, z[:, 0] > 0)
    >>> bool(pipeline.score(X, z[:, 0] > 0) > 0.9)
    True
    """

    _parameter_constraints: dict[str, Any] = {
        "estimator": [None, HasMethods(["fit", "impute"])],
        "add_indicator": ["boolean"],
    }

    def __init__(self, estimator: Any = None, *, add_indicator: bool = False) -> None:
        self.estimator = estimator
        self.add_indicator = add_indicator

    def fit(self, X: Any, y: Any = None) -> MultimodalImputer:
        """Fit a clone of the estimator.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            NaN (or pandas.NA, or a mask) marks what is missing.
        y : Ignored
            Whatever it is: completions do not depend on it.

        Returns
        -------
        self : MultimodalImputer

        Raises
        ------
        TypeError
            If ``estimator`` cannot impute.
        ValueError
            If X is not as the estimator, or ``add_indicator``, needs it. As after every error, the imputer
            stays as it was before.
        """
        with unchanged_on_failure(self):
            self._fit(X)
        return self

    def _fit(self, X: Any) -> None:
        self._validate_params()
        if isinstance(self.estimator, type):
            raise TypeError(
                f"estimator must be an object, got the class {self.estimator.__name__}; write "
                f"estimator={self.estimator.__name__}()."
            )
        estimator = MultimodalVAE() if self.estimator is None else clone(self.estimator, safe=False)
        estimator.fit(X)  # first, because it knows best what is wrong with X
        table = opened_by(estimator, X).table
        validate_data(self, table, reset=True, skip_check_array=True)
        lacking = (
            absent(table).any(axis=0) if self.add_indicator else np.zeros(self.n_features_in_, dtype=bool)
        )
        self.estimator_ = estimator
        self.indicator_features_ = np.flatnonzero(lacking)
        self._flat_names = None
        if isinstance(table, pd.DataFrame):
            labels = _with_indicators(table.columns, self.indicator_features_)
            if len(labels) > len(table.columns) and not labels.is_unique:
                raise ValueError(
                    f"add_indicator=True would append a column labelled {labels[labels.duplicated()][0]!r}, "
                    "but X has one; rename it, or set add_indicator=False."
                )
            if isinstance(labels, pd.MultiIndex):  # of which scikit-learn keeps no names
                self._flat_names = ["__".join(map(str, label)) for label in labels]

    def transform(self, X: Any) -> Any:
        """Complete a table.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        completed : array or DataFrame of shape (n_samples, n_features + n_indicators)
            What the estimator's ``impute`` returns: X completed, in its own container, index, labels and data
            types. Indicators follow: bool columns of a frame, labelled ``missingindicator_<label>`` (under
            MultiIndex columns in the modality of their feature; ``("missingindicator", label)`` where
            labels are no strings), and 0 and 1 in the data type of everything else. ``set_output`` gives
            frames the names of :meth:`get_feature_names_out`; of sequences, it can do so with long frames
            only.
        """
        check_is_fitted(self, "estimator_")
        if not hasattr(self.estimator_, "n_features_in_"):  # otherwise it checks them itself
            validate_data(self, opened_by(self.estimator_, X).table, reset=False, skip_check_array=True)
        completed = self.estimator_.impute(X)
        if not len(self.indicator_features_):
            return completed
        opened, done = opened_by(self.estimator_, X), opened_by(self.estimator_, completed)
        indicators = absent(opened.table)[:, self.indicator_features_]
        return opened.join(_append(done.table, indicators, self.indicator_features_))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns that :meth:`transform` returns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the features, where ``fit`` saw none. None takes those seen in ``fit`` (the levels of
            MultiIndex columns joined as in ``audio__pitch``), else "x0", "x1", ...

        Returns
        -------
        names : object array of shape (n_features + n_indicators,)
            With "missingindicator_<name>" for indicators, and ``audio__missingindicator_pitch`` for those of
            MultiIndex columns.
        """
        check_is_fitted(self, "estimator_")
        if input_features is None and self._flat_names is not None:
            return np.array(self._flat_names, dtype=object)
        names = super().get_feature_names_out(input_features)
        indicators = [f"{INDICATOR}_{name}" for name in names[self.indicator_features_]]
        return np.concatenate([names, np.array(indicators, dtype=object)])

    def __sklearn_tags__(self) -> Any:
        """Tags: the estimator's, as far as they concern X."""
        tags = super().__sklearn_tags__()
        estimator = MultimodalVAE() if self.estimator is None else self.estimator
        if hasattr(estimator, "__sklearn_tags__") and not isinstance(estimator, type):
            inner = get_tags(estimator)
            tags.input_tags = copy.copy(inner.input_tags)
            tags.non_deterministic = inner.non_deterministic
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _with_indicators(labels: pd.Index, features: np.ndarray) -> pd.Index:
    """Labels of a frame, followed by those of the indicators of some of its columns."""
    if not len(features):
        return labels
    chosen = labels[features]
    if isinstance(labels, pd.MultiIndex):  # the first level stays: an indicator belongs to its modality
        added = [(*label[:-1], f"{INDICATOR}_{label[-1]}") for label in chosen]
        return labels.append(pd.MultiIndex.from_tuples(added, names=labels.names))
    # scikit-learn refuses frames in which only some labels are strings
    names = [f"{INDICATOR}_{label}" if isinstance(label, str) else (INDICATOR, label) for label in chosen]
    return labels.append(pd.Index(names, tupleize_cols=False, name=labels.name))


def _append(completed: Any, indicators: np.ndarray, features: np.ndarray) -> Any:
    """Put bool columns (n_samples, n_indicators) to the right of a table, in its own container."""
    if isinstance(completed, pd.DataFrame):
        columns = [column.array for _, column in completed.items()]
        labels = _with_indicators(completed.columns, features)
        return frame_of([*columns, *indicators.T], completed.index, labels)
    if isinstance(completed, Tensor):
        return torch.cat([completed, torch.tensor(indicators).to(completed)], dim=1)
    # as numbers first: in an array of objects, too, indicators are 0 and 1
    return np.hstack([completed, indicators.astype(np.uint8).astype(completed.dtype)])
