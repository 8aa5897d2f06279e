"""What estimators of labels share: y beside X, its weight in training, and rows drawn for a label."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skmm._blocks.blocks import Blocks
from skmm._blocks.columns import ColumnType
from skmm._blocks.layout import Layout
from skmm._estimator.atomic import unchanged_on_failure
from skmm._estimator.estimator import N_VALIDATION_DRAWS
from skmm._estimator.reading import Targets, check_count
from skmm._torch import RandomStateLike, draw_seed, isolated_rng
from skmm.inference.draws import draw_completions
from skmm.inference.likelihoods import predictive_log_likelihood
from skmm.probability.likelihoods.registry import scaling_of
from skmm.vae import MultimodalVAE

LABELS = "y"  # name of the modality


class SupervisedVAE(MultimodalVAE):
    """A variational autoencoder of X and y; subclasses say what y holds, and predict it.

    The parameters are those of :class:`MultimodalVAE`, and three about labels. Its methods that ask for X
    answer about X; ``predict`` and ``score`` are a subclass's, about y.
    """

    _parameter_constraints: dict[str, Any] = {
        **MultimodalVAE._parameter_constraints,
        "label_weight": [Interval(numbers.Real, 0, None, closed="left")],
        "label_dropout": [Interval(numbers.Real, 0, 1, closed="both")],
        "unlabelled": "no_validation",  # any label
    }

    def __init__(
        self,
        n_components: int = 10,
        *,
        modalities: Any = None,
        label_weight: float = 30.0,
        label_dropout: float = 0.8,
        unlabelled: Any = "auto",
        likelihood: Any = "auto",
        handle_unknown: str = "error",
        fusion: Any = "poe",
        objective: Any = "elbo",
        prior: Any = "normal",
        posterior: Any = "normal",
        n_private: Any = 0,
        latent_density: Any = None,
        completion: str = "stacked",
        beta: Any = 0.5,
        modality_dropout: Any = 0.2,
        cell_dropout: Any = 0.05,
        dropout: Any = 0.1,
        modality_weights: Any = None,
        encoders: dict[Hashable, Any] | str | None = None,
        decoders: dict[Hashable, Any] | str | None = None,
        hidden_layer_sizes: int | Sequence[int] = (128,),
        activation: str = "silu",
        max_iter: int | str = "auto",
        batch_size: int | str = "auto",
        learning_rate_init: float = 1e-2,
        weight_decay: float = 1e-2,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int | str = "auto",
        tol: float = 1e-4,
        n_draws: int = 64,
        warm_start: bool = False,
        device: Any = "cpu",
        random_state: RandomStateLike = None,
        verbose: bool | int = False,
    ) -> None:
        super().__init__(
            n_components,
            modalities=modalities,
            likelihood=likelihood,
            handle_unknown=handle_unknown,
            fusion=fusion,
            objective=objective,
            prior=prior,
            posterior=posterior,
            n_private=n_private,
            latent_density=latent_density,
            completion=completion,
            beta=beta,
            modality_dropout=modality_dropout,
            cell_dropout=cell_dropout,
            dropout=dropout,
            modality_weights=modality_weights,
            encoders=encoders,
            decoders=decoders,
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            max_iter=max_iter,
            batch_size=batch_size,
            learning_rate_init=learning_rate_init,
            weight_decay=weight_decay,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            n_draws=n_draws,
            warm_start=warm_start,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.label_weight = label_weight
        self.label_dropout = label_dropout
        self.unlabelled = unlabelled

    def _read_targets(self, y: Any) -> Targets:
        """Read y in ``fit``."""
        raise NotImplementedError

    def _given_targets(self, y: Any, n_rows: int) -> np.ndarray:
        """Read labels that rows are to be drawn for, (n_rows, n_targets)."""
        raise NotImplementedError

    # --- fitting -----------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any) -> Any:  # type: ignore[override]  # y is needed
        """Learn from a table, of which some rows are labelled.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            NaN (or pandas.NA, or a mask) marks what is missing. Rows with nothing observed are allowed.
        y : array-like of shape (n_samples,)
            Labels, and marks of rows without one: NaN, None, pandas.NA, and what ``unlabelled`` names. Of a
            regressor, also of shape (n_samples, n_outputs).

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, X or y is not as it must be; the message says which and what to do. Not a single
            label is an error.
        FloatingPointError
            If training diverges. As after every error, the estimator stays as it was before.
        """
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. Mark rows without "
                "a label in y; if there are no labels at all, MultimodalVAE learns from X alone."
            )
        with unchanged_on_failure(self):
            targets = self._read_targets(y)
            if self.warm_start and hasattr(self, "module_"):
                _check_same_targets(targets.layout, self._targets)
            self._fit(X, targets)
        return self

    def _learn_layout(self, X: Any) -> tuple[np.ndarray, Layout, list[Any]]:
        matrix, layout, makers = super()._learn_layout(X)
        if LABELS in layout.names:
            raise ValueError(
                f"X has a modality named {LABELS!r}, as that of the labels is called; rename it, or drop it "
                "if it holds the labels."
            )
        return matrix, layout, makers

    def _rates(self, parameter: str, names: Sequence[Hashable]) -> tuple[float, ...]:
        own = {"modality_dropout": self.label_dropout, "cell_dropout": 0.0}
        if parameter in own:  # parameters of X's modalities, of which y is none
            return (*super()._rates(parameter, names[:-1]), float(own[parameter]))
        return super()._rates(parameter, names)

    def _by_modality(self, parameter: str, names: Sequence[Hashable], default: Any) -> tuple[Any, ...]:
        values = super()._by_modality(parameter, names, default)
        if isinstance(getattr(self, parameter), Mapping):
            return values
        return (*values[:-1], default)  # one value for all modalities is for those of X

    def _weights(self, names: Sequence[Hashable], sizes: Sequence[int]) -> list[float]:
        return [*super()._weights(names[:-1], sizes[:-1]), float(self.label_weight)]

    def _validator(self, validation: Any) -> Callable[[nn.Module], float]:
        """Score of validation rows: that of X alone, and how well X tells y, weighted as in training."""
        labels = validation.columns_of(len(validation.sizes) - 1)
        rows = validation.rows(slice(0, self._max_validation))
        alone = Blocks.from_joint(validation.joint, validation.joint_observed & ~labels, validation.sizes)
        score_of_X = super()._validator(alone)

        def validate(network: nn.Module) -> float:
            told = predictive_log_likelihood(
                network, rows, labels, rows.joint.device, n_draws=N_VALIDATION_DRAWS
            )
            return score_of_X(network) + self.label_weight * float(told.mean())

        return validate

    @property
    def _targets(self) -> Layout:
        """Layout of y."""
        assert self.layout_.targets is not None
        return self.layout_.targets

    # --- what is asked of X ------------------------------------------------------------------------------

    @property
    def vae_(self) -> MultimodalVAE:
        """The same fitted network as an estimator of X alone, for measures and plots.

        Its ``predict``, ``predict_quantiles`` and ``score`` are about X.
        """
        check_is_fitted(self, "module_")
        vae = MultimodalVAE()
        parameters = self.get_params(deep=False)
        vae.set_params(**{name: parameters[name] for name in vae.get_params(deep=False)})
        for name in vars(self).keys() - parameters.keys():
            setattr(vae, name, getattr(self, name))
        return vae

    def sample(
        self, n_samples: int = 1, given: Any = None, random_state: RandomStateLike = None, y: Any = None
    ) -> Any:
        """Draw new rows of X, or completions of given ones; of a class, where one is named.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows; of draws per row where ``given`` is set.
        given : array-like or DataFrame of shape (n_samples, n_features), default=None
            Rows whose missing entries are drawn given the observed ones, jointly within a row.
        random_state : int, RandomState instance or None, default=None
            None draws something else every time.
        y : label, or array-like of one per row of ``given``, default=None
            What rows are drawn for. None draws rows of all classes, as often as they come.

        Returns
        -------
        rows : array or DataFrame
            As of :meth:`MultimodalVAE.sample`: without labels.

        Raises
        ------
        ValueError
            If ``n_samples`` is not a positive whole number, or y is no label of ``fit``.
        """
        if y is None:
            return super().sample(n_samples, given, random_state)
        check_is_fitted(self, "module_")
        check_count(n_samples, "n_samples")
        if given is not None:
            reading = self._read(given)
            blocks = self.layout_.read(reading.matrix, self._given_targets(y, len(reading.matrix)))
            return self._draw_completions(replace(reading, blocks=blocks), int(n_samples), random_state)
        nothing = np.full((1, self.layout_.n_features), np.nan)
        blocks = self.layout_.read(nothing, self._given_targets(y, 1))
        with self._ready() as (network, device), isolated_rng(draw_seed(random_state), device):
            rows = self._finite(draw_completions(network, blocks, int(n_samples), device))
            rows = self._moved(network, blocks, device, rows)[:, 0]
        return self.layout_.restore(self.layout_.write(rows))


def make_targets(matrix: np.ndarray, column: ColumnType, maker: Any) -> Targets:
    """Make y the only modality of a table of its own, all columns of one type."""
    n_targets = matrix.shape[1]
    layout = Layout.fit(
        matrix,
        matrix,
        {LABELS: np.arange(n_targets)},
        [column] * n_targets,
        [scaling_of(maker)] * n_targets,
    )
    return Targets(layout, matrix, (maker,) * n_targets)


def one_per_row(values: np.ndarray, n_rows: int) -> np.ndarray:
    """Labels (1 or n_rows, n_targets) of so many rows."""
    if len(values) not in (1, n_rows):
        raise ValueError(f"y holds {len(values)} labels for {n_rows} row(s); give one, or one for each.")
    return np.broadcast_to(values, (n_rows, values.shape[1])).astype(np.float64)


def _check_same_targets(now: Layout, then: Layout) -> None:
    for fresh, fitted in zip(now.types, then.types, strict=now.n_features == then.n_features):
        same = now.n_features == then.n_features and (
            fresh.categories is None or fresh.categories.equals(fitted.categories)
        )
        if not same:
            raise ValueError(
                "warm_start=True continues with the network of the last fit, but y has other classes, or "
                "another number of outputs; set warm_start=False."
            )
