"""MultimodalVAEClassifier: labels as a categorical modality."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_consistent_length

from skmm._blocks.columns import CATEGORY, ColumnType
from skmm._blocks.labels import known_labels, label_codes, read_labels
from skmm._estimator.reading import Targets
from skmm.probability.likelihoods.categories import Categorical
from skmm.supervised.base import SupervisedVAE, make_targets, one_per_row


class MultimodalVAEClassifier(ClassifierMixin, SupervisedVAE):
    r"""Classifier of rows that may lack whole modalities, learned from labelled and unlabelled rows.

    A :class:`MultimodalVAE` of which the labels are one more modality, a categorical one. Use it where
    modalities or cells are missing, in training and when it predicts; where only some rows are labelled, for
    the others still teach what X looks like; or where rows of a class are to be drawn. Methods that
    :class:`MultimodalVAE` has too are about X, but for ``predict`` and ``score``.

    Parameters
    ----------
    n_components : int, default=10
        Number of latent variables.
    modalities : None, "prefix", dict or callable, default=None
        How the columns of X form modalities, as in :class:`MultimodalVAE`. None of them may be named "y".
    label_weight : float, default=30
        Weight of the labels' log-likelihood in training: the many columns of a wide X would drown them
        otherwise.
    label_dropout : float, default=0.8
        Probability with which a row's label is hidden from the encoders in training. Its likelihood is scored
        all the same: this is what trains the prediction from X. At 1, encoders see labels only in rows of
        which nothing else is left: they are the output of a supervised head on the latent variables, and
        :meth:`sample` for a label is worse.
    unlabelled : label, None or "auto", default="auto"
        What marks rows without a label in y, beside NaN, None and pandas.NA. "auto" is -1, as elsewhere in
        scikit-learn; but where the labels are exactly -1 and 1, both are labels. Name another mark if -1 is
        one label of several, or None if there is no mark.
    likelihood, handle_unknown, fusion, objective, prior, posterior, latent_density, completion, beta
        As in :class:`MultimodalVAE`, of X.
    n_private, modality_dropout, cell_dropout, dropout, modality_weights
        As in :class:`MultimodalVAE`, of the modalities of X.
    encoders, decoders : dict or "shared", default=None
        As in :class:`MultimodalVAE`; a dict may have an entry "y", for the labels.
    hidden_layer_sizes, activation, max_iter, batch_size, learning_rate_init, weight_decay
        As in :class:`MultimodalVAE`.
    early_stopping, validation_fraction, n_iter_no_change, tol
        As in :class:`MultimodalVAE`, but validation rows are scored by X and, with ``label_weight``, by how
        well X tells their labels.
    n_draws, warm_start, device, random_state, verbose
        As in :class:`MultimodalVAE`.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The labels seen in ``fit``, sorted.
    vae_ : MultimodalVAE
        The same network as an estimator of X, whose ``predict`` and ``score`` are about X: for
        :mod:`skmm.metrics` and :mod:`skmm.plotting`.
    layout_ : Layout
        Of X; that of y is ``layout_.targets``.
    module_, completion_, latent_density_, n_iter_, best_iter_, loss_curve_, validation_scores_
        As of :class:`MultimodalVAE`.
    reconstruction_curve_, kl_curve_
        As of :class:`MultimodalVAE`; the labels are the modality "y".
    n_features_in_, feature_names_in_
        Of X.

    See Also
    --------
    MultimodalVAERegressor : The same for numbers.
    sklearn.semi_supervised.SelfTrainingClassifier : Uses unlabelled rows with any other classifier.

    Notes
    -----
    With :math:`x_1 \dots x_M` the observed modalities of a row, and :math:`C` what dropout has left of them
    and of the label y for the encoders to see, training maximises

    .. math:: E_{q(z|C)} \Big[ \sum_m \log p(x_m|z) + w \log p(y|z) \Big] - \beta\, KL(q(z|C) \| p(z)),

    w being ``label_weight``; of unlabelled rows the term of y is absent. Predictions average over the
    posterior given X alone, :math:`p(y|x) = E_{q(z|x)}[p(y|z)]`, so that rows with nothing observed get about
    the classes' frequencies.

    References
    ----------
    .. [1] Wu and Goodman (2018), "Multimodal Generative Models for Scalable Weakly-Supervised Learning",
       eq. 4, with labels as a modality.
    .. [2] Kingma, Rezende, Mohamed and Welling (2014), "Semi-supervised Learning with Deep Generative
       Models", eq. 9, for the weight of labels.

    Examples
    --------
    >>> import numpy as np
    >>> from skmm import MultimodalVAEClassifier
    >>> rng = np.random.RandomState(0)
    >>> y = rng.choice(["left", "right"], size=200)
    >>> X = np.where(y == "left", -1.0, 1.0)[:, None] + 0.5 * rng.normal(size=(200, 4))
    >>> X[:60, :2] = X[60:120, 2:] = np.nan
    >>> half = np.where(np.arange(200) % 2, y, None)  # the other rows are not labelled
    >>> classifier = MultimodalVAEClassifier(
    ...     2, modalities={"a": [0, 1], "b": [2, 3]}, max_iter=50, random_state=0
    ... ).fit(X, half)
    >>> bool(classifier.score(X, y) > 0.9)
    True
    >>> classifier.sample(3, y="left").shape
    (3, 4)
    """

    classes_: np.ndarray

    def _read_targets(self, y: Any) -> Targets:
        self.classes_, codes = read_labels(y, self.unlabelled)
        column = ColumnType(CATEGORY, self.classes_.dtype, pd.Index(self.classes_, tupleize_cols=False))
        return make_targets(codes[:, None], column, Categorical)

    def _given_targets(self, y: Any, n_rows: int) -> np.ndarray:
        return one_per_row(label_codes(y, self.classes_)[:, None], n_rows)

    def predict(self, X: Any) -> np.ndarray:  # type: ignore[override]  # labels have no deviation
        """Most probable label of each row.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        labels : array of shape (n_samples,)
        """
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each label given what is observed of X, averaged over the posterior.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        probabilities : float32 array of shape (n_samples, n_classes)
            In the order of ``classes_``. Rows sum to 1.
        """
        reading = self._read(X)
        return self._probabilities(reading.blocks)[self.layout_.n_features].numpy()

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        log_probabilities : float32 array of shape (n_samples, n_classes)
        """
        with np.errstate(divide="ignore"):  # a probability may be too small for float32
            return np.log(self.predict_proba(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # type: ignore[override]
        """Share of the labelled rows whose label is predicted.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Labels; rows without one do not count.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        from sklearn.metrics import accuracy_score

        predicted = self.predict(X)
        labels, labelled = known_labels(y, self.unlabelled, self.classes_)
        check_consistent_length(predicted, labelled)
        weights = None if sample_weight is None else np.asarray(sample_weight)[labelled]
        return float(accuracy_score(labels, predicted[labelled], sample_weight=weights))
