"""MultimodalVAERegressor: numbers to predict as a modality with normal noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_consistent_length

from skmm._blocks.columns import CONTINUOUS, ColumnType
from skmm._blocks.labels import read_numbers
from skmm._estimator.reading import Targets, check_levels
from skmm.probability.likelihoods.continuous import Normal
from skmm.supervised.base import SupervisedVAE, make_targets, one_per_row


class MultimodalVAERegressor(RegressorMixin, SupervisedVAE):
    r"""Regressor on rows that may lack whole modalities, learned from rows with and without targets.

    A :class:`MultimodalVAE` of which y is one more modality, with normal noise. Several outputs are columns
    of that modality, and any of them may be unknown in some rows. Methods that :class:`MultimodalVAE` has too
    are about X, but for ``predict``, ``predict_quantiles`` and ``score``.

    Parameters
    ----------
    n_components : int, default=10
        Number of latent variables.
    modalities : None, "prefix", dict or callable, default=None
        How the columns of X form modalities, as in :class:`MultimodalVAE`. None of them may be named "y".
    label_weight : float, default=30
        Weight of the targets' log-likelihood in training: the many columns of a wide X would drown them
        otherwise.
    label_dropout : float, default=0.8
        Probability with which a row's label is hidden from the encoders in training. Its likelihood is scored
        all the same: this is what trains the prediction from X. At 1, encoders see labels only in rows of
        which nothing else is left: they are the output of a supervised head on the latent variables, and
        :meth:`sample` for a label is worse.
    unlabelled : number, None or "auto", default="auto"
        What marks unknown numbers in y, beside NaN, None and pandas.NA; "auto" and None are nothing.
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
    MultimodalVAEClassifier : The same for labels; its notes apply here too.

    Notes
    -----
    y is completed like any modality that is missing: under ``completion="stacked"`` by the network, a linear
    Gaussian model and near rows together, with weights that the validation rows choose.

    Examples
    --------
    >>> import numpy as np
    >>> from skmm import MultimodalVAERegressor
    >>> rng = np.random.RandomState(0)
    >>> y = rng.normal(size=200)
    >>> X = y[:, None] + 0.5 * rng.normal(size=(200, 4))
    >>> X[:60, :2] = X[60:120, 2:] = np.nan
    >>> regressor = MultimodalVAERegressor(
    ...     2, modalities={"a": [0, 1], "b": [2, 3]}, max_iter=50, random_state=0
    ... ).fit(X, y)
    >>> bool(regressor.score(X, y) > 0.7)
    True
    >>> mean, std = regressor.predict(X[:3], return_std=True)
    """

    def _read_targets(self, y: Any) -> Targets:
        values = read_numbers(y, self.unlabelled)
        if values.ndim > 2 or values.size == 0:
            raise ValueError(
                f"y must be of shape (n_samples,) or (n_samples, n_outputs), got shape {values.shape}."
            )
        self._output_shape = values.shape[1:]
        column = ColumnType(CONTINUOUS, values.dtype)
        return make_targets(values.reshape(len(values), -1), column, Normal)

    def _given_targets(self, y: Any, n_rows: int) -> np.ndarray:
        n_targets = self._targets.n_features
        values = read_numbers(np.atleast_1d(y))
        if values.size not in (n_targets, n_rows * n_targets):
            raise ValueError(
                f"y must hold {n_targets} number(s) for all rows, or so many for each of {n_rows}, got an "
                f"array of shape {values.shape}."
            )
        return one_per_row(values.reshape(-1, n_targets), n_rows)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Expected y of each row given what is observed of X.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to return standard deviations too, noise included.

        Returns
        -------
        mean : float64 array of shape (n_samples,) or (n_samples, n_outputs), as y had
            In the units of y.
        std : array of the same shape
            Only if ``return_std``.
        """
        mean, std = self._predictive_values(self._read(X).blocks, return_std)
        n_features, targets = self.layout_.n_features, self._targets
        expected = self._shaped(targets.write(mean[:, n_features:]))
        return expected if std is None else (expected, self._shaped(targets.write_scale(std[:, n_features:])))

    def predict_quantiles(self, X: Any, q: float | Sequence[float] = (0.05, 0.5, 0.95)) -> np.ndarray:
        """Quantiles of y of each row given what is observed of X.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
        q : float or sequence of float, default=(0.05, 0.5, 0.95)
            Between 0 and 1.

        Returns
        -------
        quantiles : array
            Like that of :meth:`predict` for a single ``q``; for several, with a first axis of them.

        Raises
        ------
        ValueError
            If a quantile is not between 0 and 1.
        """
        reading = self._read(X)
        values = self._quantile_values(reading.blocks, check_levels(q))[..., self.layout_.n_features :]
        quantiles = self._shaped(self._targets.write(values))
        return quantiles[0] if np.ndim(q) == 0 else quantiles

    def _shaped(self, values: np.ndarray) -> np.ndarray:
        """Numbers (..., n_targets) in the shape that rows of y had."""
        return values.reshape(*values.shape[:-1], *self._output_shape)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # type: ignore[override]
        """Coefficient of determination, R², averaged over outputs.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            What is unknown does not count.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        from sklearn.metrics import r2_score

        predicted = self.predict(X)
        truth = read_numbers(y, self.unlabelled)
        check_consistent_length(predicted, truth)
        scores = []
        for true, expected in zip(
            truth.reshape(len(truth), -1).T, predicted.reshape(len(truth), -1).T, strict=True
        ):
            known = ~np.isnan(true)
            weights = None if sample_weight is None else np.asarray(sample_weight)[known]
            scores.append(r2_score(true[known], expected[known], sample_weight=weights))
        return float(np.mean(scores))

    def __sklearn_tags__(self) -> Any:
        """Tags: several outputs are welcome."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
