"""The scikit-learn contract, once: parameters checked, fit, the public methods, tags and pickling."""

from __future__ import annotations

import copy
import math
import numbers
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skmm._blocks.blocks import Blocks
from skmm._blocks.containers import row_index, stack, to_matrix
from skmm._blocks.corruption import Dropout
from skmm._blocks.layout import Layout, by_modality
from skmm._torch import (
    RandomStateLike,
    draw_seed,
    float32_by_default,
    inference_device,
    isolated_rng,
    resolve_device,
)
from skmm.inference.draws import draw_completions, draw_rows
from skmm.inference.expectations import (
    decoded_mean,
    latent_moments,
    predictive_moments,
    predictive_quantiles,
)
from skmm.inference.likelihoods import importance_sampled_bound
from skmm.networks.dense import ACTIVATIONS
from skmm.probability.fusion import FUSIONS
from skmm.probability.likelihoods import LIKELIHOODS, is_standardised
from skmm.probability.posteriors import POSTERIORS
from skmm.probability.priors import PRIORS
from skmm.training.loop import fit_network
from skmm.training.objectives import OBJECTIVES
from skmm.training.schedules import SCHEDULES, ConstantSchedule
from skmm.training.trial import try_network, try_schedule

AUTO_STEPS = 3000  # optimiser steps of max_iter="auto", whatever the number of rows
MIN_AUTO_EPOCHS = 5
MIN_VALIDATION_ROWS = 20
MAX_VALIDATION_ROWS = 5000  # more would cost as much as training, and tell epochs apart no better
MIN_AUTO_PATIENCE = 20  # epochs
N_VALIDATION_DRAWS = 32
N_QUANTILE_DRAWS = 512
N_TRIAL_ROWS = 8


class MultimodalEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """What every estimator of multimodal data shares; subclasses build the network.

    A subclass documents its parameters in its own ``__init__`` and defines ``_build(layout)``, which returns
    an untrained network.
    """

    _parameter_constraints: dict[str, Any] = {
        "n_components": [Interval(numbers.Integral, 1, None, closed="left")],
        "modalities": [None, dict, callable, StrOptions({"prefix"})],
        "likelihood": [StrOptions({"auto", *LIKELIHOODS}), dict, callable],
        "fusion": [StrOptions(set(FUSIONS)), callable],
        "objective": [StrOptions(set(OBJECTIVES)), callable],
        "prior": [StrOptions(set(PRIORS)), callable],
        "posterior": [StrOptions(set(POSTERIORS)), HasMethods(["n_raw", "natural", "posterior"])],
        "beta": [Interval(numbers.Real, 0, None, closed="left"), StrOptions(set(SCHEDULES)), callable],
        "modality_dropout": [Interval(numbers.Real, 0, 1, closed="both"), dict],
        "cell_dropout": [Interval(numbers.Real, 0, 1, closed="left"), dict],
        "dropout": [Interval(numbers.Real, 0, 1, closed="left"), dict],
        "modality_weights": [None, StrOptions({"auto"}), dict],
        "encoders": [None, dict],
        "decoders": [None, dict],
        "hidden_layer_sizes": ["array-like", Interval(numbers.Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "max_iter": [Interval(numbers.Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(numbers.Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "learning_rate_init": [Interval(numbers.Real, 0, None, closed="neither")],
        "weight_decay": [Interval(numbers.Real, 0, None, closed="left")],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(numbers.Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(numbers.Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "tol": [Interval(numbers.Real, 0, None, closed="left")],
        "n_draws": [Interval(numbers.Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    module_: Any
    layout_: Layout

    def _build(self, layout: Layout) -> nn.Module:
        raise NotImplementedError

    # --- fitting ---------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn from a table in which whole modalities and single cells may be missing.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            NaN (or pandas.NA, or a mask) marks what is missing. Rows with nothing observed are allowed.
        y : Ignored
            Present for the sake of scikit-learn's conventions.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, or X, is not as it must be; the message says which and what to do.
        FloatingPointError
            If training diverges. As after every error, the estimator stays as it was before.

        Warns
        -----
        UserWarning
            If training is interrupted (Ctrl-C) after its first epoch: the estimator is fitted, with the best
            weights so far.
        """
        before = self.__dict__.copy()
        try:
            self._fit(X)
        except BaseException:
            # never half fitted: scikit-learn's own checks set attributes before training has begun
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    def _fit(self, X: Any) -> None:
        self._validate_params()
        device = resolve_device(self.device)
        continued = bool(self.warm_start and hasattr(self, "module_"))
        if continued:
            matrix, layout = self._read_matrix(X), self.layout_
        else:
            matrix = to_matrix(self, X, reset=True)
            layout = Layout.fit(X, matrix, self.modalities, self._is_standardised)
        if np.isnan(matrix).all():
            raise ValueError("Every entry of X is missing: there is nothing to learn from.")
        blocks = layout.read(matrix)
        _check_layer_sizes(self.hidden_layer_sizes)
        beta = (
            ConstantSchedule(float(self.beta))
            if isinstance(self.beta, numbers.Real)
            else _make(self.beta, SCHEDULES)
        )
        try_schedule(beta)
        corruption = Dropout(
            self._rates("modality_dropout", layout.names), self._rates("cell_dropout", layout.names)
        )
        objective = _make(self.objective, OBJECTIVES)
        with isolated_rng(draw_seed(self.random_state), device), float32_by_default():
            network: Any = self._build(layout).to(device=device, dtype=torch.float32)
            network.importance_weighted = bool(getattr(objective, "importance_weighted", False))
            self._check_support(network, layout, blocks)
            if continued:
                self._take_weights(network)
            train, validation = self._split(_rows_with_data(blocks))
            with isolated_rng(0, device):
                try_network(network, objective, train.rows(slice(0, N_TRIAL_ROWS)).to(device))
            batch_size, max_iter = self._schedule_length(train.n_rows)
            history = fit_network(
                network,
                objective,
                train.to(device),
                validate=None if validation is None else self._validator(validation.to(device)),
                corruption=corruption,
                beta=beta,
                batch_size=batch_size,
                max_iter=max_iter,
                learning_rate=self.learning_rate_init,
                weight_decay=self.weight_decay,
                n_iter_no_change=self._patience(max_iter),
                tol=self.tol,
                verbose=int(self.verbose),
            )
        self.module_ = network
        self.layout_ = layout
        self.n_iter_ = history.n_iter
        self.best_iter_ = history.best_epoch + 1
        self.loss_curve_ = history.loss
        self.validation_scores_ = history.validation or None

    def _is_standardised(self, name: Hashable, kind: str) -> bool:
        spec = self.likelihood.get(name, "auto") if isinstance(self.likelihood, dict) else self.likelihood
        if isinstance(spec, str) and spec not in {"auto", *LIKELIHOODS}:
            raise ValueError(
                f"likelihood names {spec!r} for modality {name!r}; known are 'auto' and "
                f"{sorted(LIKELIHOODS)}."
            )
        if not isinstance(spec, str) and not callable(spec):
            raise ValueError(
                f"likelihood of modality {name!r} must be a name or a callable f(n_features) -> Module, "
                f"got {spec!r}."
            )
        return is_standardised(spec, kind)

    def _rates(self, parameter: str, names: Sequence[Hashable]) -> tuple[float, ...]:
        """Probabilities, one per modality."""
        rates = by_modality(getattr(self, parameter), names, parameter=parameter, default=0.0)
        certain = parameter == "modality_dropout"  # the only one where 1 leaves something to learn from
        for name, rate in zip(names, rates, strict=True):
            if not isinstance(rate, numbers.Real) or not (0 <= float(rate) < 1 or (certain and rate == 1)):
                raise ValueError(
                    f"{parameter} of modality {name!r} must be a number from 0 to 1"
                    f"{'' if certain else ', 1 excluded'}, got {rate!r}."
                )
        return tuple(float(rate) for rate in rates)

    def _split(self, blocks: Blocks) -> tuple[Blocks, Blocks | None]:
        """Set validation rows aside, if there shall be any."""
        n_validation = int(blocks.n_rows * self.validation_fraction)
        wanted = self.early_stopping
        if wanted == "auto":
            wanted = n_validation >= MIN_VALIDATION_ROWS
        if not wanted:
            return blocks, None
        if n_validation < 1 or n_validation >= blocks.n_rows:
            raise ValueError(
                f"early_stopping=True with validation_fraction={self.validation_fraction} leaves "
                f"{n_validation} of {blocks.n_rows} rows for validation; use more rows, another fraction or "
                "early_stopping=False."
            )
        order = torch.randperm(blocks.n_rows)
        return blocks.rows(order[n_validation:]), blocks.rows(order[:n_validation])

    def _schedule_length(self, n_rows: int) -> tuple[int, int]:
        """Rows of a batch and number of epochs."""
        batch_size = self.batch_size
        if batch_size == "auto":
            # larger tables take larger steps, not only more of them
            batch_size = 2 ** round(math.log2(min(max(n_rows / 50, 64), 1024)))
        batch_size = min(int(batch_size), n_rows)
        max_iter = self.max_iter
        if max_iter == "auto":
            max_iter = max(MIN_AUTO_EPOCHS, math.ceil(AUTO_STEPS / math.ceil(n_rows / batch_size)))
        return batch_size, int(max_iter)

    def _patience(self, max_iter: int) -> int:
        """Epochs without improvement to wait for."""
        if self.n_iter_no_change == "auto":
            return max(MIN_AUTO_PATIENCE, math.ceil(max_iter / 3))
        return int(self.n_iter_no_change)

    def _validator(self, validation: Blocks) -> Callable[[nn.Module], float]:
        """Score of validation rows: the bound of :meth:`score`, averaged over its middle half.

        The mean itself would be decided by the few rows that are least likely: on small tables it stops
        training long before completions are at their best.
        """
        rows = validation.rows(slice(0, MAX_VALIDATION_ROWS))

        def validate(network: nn.Module) -> float:
            bound = importance_sampled_bound(network, rows, rows.joint.device, n_draws=N_VALIDATION_DRAWS)
            quarter = len(bound) // 4
            return float(bound.sort().values[quarter : len(bound) - quarter].mean())

        return validate

    def _take_weights(self, network: Any) -> None:
        try:
            # the modalities' weights are no result of training, but a parameter that may have been changed
            network.load_state_dict(
                self.module_.state_dict() | {"modality_weights": network.modality_weights}
            )
        except RuntimeError as error:
            raise ValueError(
                "warm_start=True continues with the network of the last fit, but a parameter that shapes the "
                "network was changed since; set warm_start=False."
            ) from error

    # --- reading X -------------------------------------------------------------------------------------

    def _read_matrix(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "module_")
        if not hasattr(self, "feature_names_in_"):  # otherwise scikit-learn checks the names
            self.layout_.check_columns(X)
        return to_matrix(self, X, reset=False)

    def _read(self, X: Any) -> tuple[np.ndarray, Blocks]:
        matrix = self._read_matrix(X)
        blocks = self.layout_.read(matrix)
        self._check_support(self.module_, self.layout_, blocks)
        return matrix, blocks

    def _check_support(self, network: Any, layout: Layout, blocks: Blocks) -> None:
        for name, likelihood, columns, values, observed in zip(
            layout.names, network.likelihoods, layout.columns, blocks.values, blocks.observed, strict=True
        ):
            likelihood.check(values, observed, name, [layout.labels[j] for j in columns])

    def _finite(self, joint: Tensor) -> Tensor:
        """Pass on results (..., n_features) of the decoders, unless one of them is NaN or infinite."""
        for name, part in zip(self.layout_.names, joint.split(self.layout_.sizes, dim=-1), strict=True):
            if not part.isfinite().all():
                raise ValueError(
                    f"The decoder of modality {name!r} returned NaN or infinite numbers. Look for extreme "
                    "values in what was given, and check your own decoders, if any."
                )
        return joint

    @contextmanager
    def _ready(self) -> Iterator[tuple[Any, torch.device]]:
        """Make the network ready for questions."""
        device = inference_device(self.device)
        if not isinstance(self.n_draws, numbers.Integral) or self.n_draws < 1:
            raise ValueError(f"n_draws must be a positive whole number, got {self.n_draws!r}.")
        with float32_by_default():
            yield self.module_.to(device), device  # moves in place: no attribute is written

    @property
    def _n_features_out(self) -> int:
        return self.module_.n_components  # what was fitted: the parameter may have been changed since

    # --- latent space ----------------------------------------------------------------------------------

    def transform(self, X: Any) -> np.ndarray:
        """Mean of the latent variable given what is observed.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        Z : float32 array of shape (n_samples, n_components)
            The prior's mean where nothing is observed.
        """
        return self.posterior_moments(X)[0]

    def posterior_moments(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the latent variable given what is observed.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        loc, scale : float32 arrays of shape (n_samples, n_components)
        """
        _, blocks = self._read(X)
        with self._ready() as (network, device):
            loc, scale = latent_moments(network, blocks, device)
        return loc.numpy(), scale.numpy()

    def inverse_transform(self, Z: Any) -> Any:
        """Expected features of latent points.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)

        Returns
        -------
        X : array or DataFrame of shape (n_samples, n_features)
            In the container of ``fit``, as float32 (float64 where float32 could not tell values apart).
        """
        check_is_fitted(self, "module_")
        index = row_index(Z)
        points = check_array(Z, dtype=np.float32, input_name="Z")
        if points.shape[1] != self._n_features_out:
            raise ValueError(
                f"Z has {points.shape[1]} columns, but the estimator was fitted with "
                f"n_components={self._n_features_out}; give points of the space that transform returns."
            )
        with self._ready() as (network, device):
            mean = decoded_mean(network, torch.tensor(points), device)
        decoded = self.layout_.write(self._finite(mean)).astype(self.layout_.dtype)
        return self.layout_.container.wrap(decoded, index)

    # --- completion ------------------------------------------------------------------------------------

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Expected value of every entry given the observed ones.

        Of entries that are observed, this is what the model expects another measurement to be; use
        :meth:`impute` to keep them.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to return standard deviations too: of the values, noise included.

        Returns
        -------
        mean : array or DataFrame of shape (n_samples, n_features)
            In the container, index, columns and units of X, as float32; the probability of a flag.
        std : array or DataFrame of shape (n_samples, n_features)
            Only if ``return_std``.
        """
        _, blocks = self._read(X)
        mean, std = self._predictive_moments(blocks)
        expected = self.layout_.wrap(self.layout_.write(mean), X)
        return (expected, self.layout_.wrap(self.layout_.write_scale(std), X)) if return_std else expected

    def _predictive_moments(self, blocks: Blocks) -> tuple[Tensor, Tensor]:
        with self._ready() as (network, device):
            mean, std = predictive_moments(network, blocks, device, n_draws=self.n_draws)
        return self._finite(mean), self._finite(std)

    def predict_quantiles(self, X: Any, q: float | Sequence[float] = (0.05, 0.5, 0.95)) -> Any:
        """Quantiles of every entry given the observed ones.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
        q : float or sequence of float, default=(0.05, 0.5, 0.95)
            Between 0 and 1.

        Returns
        -------
        quantiles : array or DataFrame
            Like X, as float32, for a single ``q``. For several, of shape (n_quantiles, n_samples, n_features)
            for arrays; frames get an outer index level "quantile".

        Raises
        ------
        ValueError
            If a quantile is not between 0 and 1.
        """
        _, blocks = self._read(X)
        try:
            levels = np.atleast_1d(np.asarray(q, dtype=np.float64))
        except (TypeError, ValueError):
            levels = np.array([np.nan])
        if levels.ndim != 1 or levels.size == 0 or not ((levels >= 0) & (levels <= 1)).all():
            raise ValueError(f"q must hold numbers from 0 to 1, got {q!r}.")
        with self._ready() as (network, device):
            values = predictive_quantiles(
                network, blocks, torch.tensor(levels), device, n_draws=N_QUANTILE_DRAWS
            )
        tables = [self.layout_.wrap(table, X) for table in self.layout_.write(self._finite(values))]
        return tables[0] if np.ndim(q) == 0 else stack(tables, level="quantile", keys=levels.tolist())

    def impute(self, X: Any) -> Any:
        """Fill in what is missing with its expected value given what is observed.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        completed : array or DataFrame of shape (n_samples, n_features)
            In the container, index, columns, units and data types of X. Observed entries are
            bit-identical; flags and whole numbers are rounded.
        """
        matrix, blocks = self._read(X)
        mean, _ = self._predictive_moments(blocks)
        return self.layout_.complete(X, matrix, self.layout_.write(mean))

    # --- sampling --------------------------------------------------------------------------------------

    def sample(self, n_samples: int = 1, given: Any = None, random_state: RandomStateLike = None) -> Any:
        """Draw new rows, or completions of given ones.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows; of draws per row where ``given`` is set.
        given : array-like or DataFrame of shape (n_samples, n_features), default=None
            Rows whose missing entries are drawn given the observed ones, jointly within a row.
        random_state : int, RandomState instance or None, default=None
            None draws something else every time.

        Returns
        -------
        rows : array or DataFrame
            Of shape (n_samples, n_features), in the container and data types of ``fit``'s X. With ``given``,
            in those of ``given``: of shape (n_samples, *given.shape) for arrays; frames get an outer index
            level "draw". Observed entries are bit-identical in every draw.

        Raises
        ------
        ValueError
            If ``n_samples`` is not a positive whole number.
        """
        check_is_fitted(self, "module_")
        if not isinstance(n_samples, numbers.Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be a positive whole number, got {n_samples!r}.")
        completing = given is not None
        if completing:
            matrix, blocks = self._read(given)
        with self._ready() as (network, device), isolated_rng(draw_seed(random_state), device):
            if not completing:
                rows = draw_rows(network, int(n_samples), device)
                return self.layout_.container.restore(self.layout_.write(self._finite(rows)))
            draws = draw_completions(network, blocks, int(n_samples), device)
        tables = [
            self.layout_.complete(given, matrix, self.layout_.write(draw)) for draw in self._finite(draws)
        ]
        return stack(tables, level="draw", keys=range(len(tables)))

    # --- likelihood ------------------------------------------------------------------------------------

    def score_samples(self, X: Any) -> np.ndarray:
        """Log-likelihood of the observed entries of each row, from below.

        An importance-sampled bound that tightens with ``n_draws``, at beta 1 and without modality weights,
        in the units of X (nats; a density for continuous columns). Columns of numbers that did not vary in
        ``fit`` do not count.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        log_likelihood : float32 array of shape (n_samples,)
            Higher is better; 0 where nothing is observed.
        """
        _, blocks = self._read(X)
        with self._ready() as (network, device):
            bound = importance_sampled_bound(network, blocks, device, n_draws=self.n_draws)
            wrong = bound.isnan()
            if wrong.any():
                raise ValueError(
                    f"No log-likelihood: {network.culprit(blocks.rows(wrong).to(device))}. Look for extreme "
                    "values in X, and check your own encoders and decoders, if any."
                )
        return (bound - self.layout_.log_volume(blocks)).to(torch.float32).numpy()

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of :meth:`score_samples`: what searches and cross-validation maximise.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
        y : Ignored

        Returns
        -------
        float
        """
        return float(np.mean(self.score_samples(X), dtype=np.float64))

    # --- what scikit-learn and pickle want to know -----------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "module_" in state:
            # weights travel as CPU tensors: a machine without this one's GPU must be able to load them
            state["module_"] = copy.deepcopy(state["module_"]).to("cpu")
            state["_torch_version"] = torch.__version__
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved = state.pop("_torch_version", None)
        if saved is not None and saved.split(".")[0] != torch.__version__.split(".")[0]:
            warnings.warn(
                f"The estimator was pickled with torch {saved} and is loaded with torch {torch.__version__}; "
                "fit it anew if anything looks wrong.",
                UserWarning,
                stacklevel=2,
            )
        super().__setstate__(state)


def _make(value: Any, registry: dict[str, Any]) -> Any:
    """An object by its name in a registry, or a copy of the user's own."""
    if isinstance(value, str):
        return registry[value]()
    return value() if isinstance(value, type) else copy.deepcopy(value)


def _check_layer_sizes(sizes: Any) -> None:
    for size in np.atleast_1d(np.asarray(sizes, dtype=object)):
        if not isinstance(size, numbers.Integral) or isinstance(size, bool) or size < 1:
            raise ValueError(f"hidden_layer_sizes must hold whole numbers of at least 1, got {sizes!r}.")


def _rows_with_data(blocks: Blocks) -> Blocks:
    """Leave out rows with nothing observed: they say nothing. Where all are such, keep them."""
    filled = blocks.present.any(0)
    return blocks.rows(filled) if filled.any() else blocks
