"""Fitting, once: parameters checked, the network built and trained; tags and pickling."""

from __future__ import annotations

import copy
import math
import numbers
import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_consistent_length
from torch import nn

from skmm._blocks.blocks import Blocks
from skmm._blocks.containers import check_table, column_labels, column_types, row_slices, to_matrix
from skmm._blocks.corruption import Dropout
from skmm._blocks.layout import Layout
from skmm._blocks.modalities import resolve_modalities
from skmm._blocks.sequences import Steps
from skmm._estimator.answers import AnswersMixin
from skmm._estimator.atomic import unchanged_on_failure
from skmm._estimator.building import BuildingMixin, make_part
from skmm._estimator.reading import Targets, check_support
from skmm._torch import draw_seed, float32_by_default, isolated_rng, resolve_device
from skmm.networks.dense import ACTIVATIONS
from skmm.probability.fusion import FUSIONS
from skmm.probability.likelihoods.choice import choose_likelihoods, count_categories
from skmm.probability.likelihoods.registry import LIKELIHOODS, scaling_of
from skmm.probability.posteriors import POSTERIORS
from skmm.probability.priors import PRIORS
from skmm.training.loop import History, fit_network
from skmm.training.objectives.registry import OBJECTIVES
from skmm.training.schedules import SCHEDULES, ConstantSchedule
from skmm.training.trial import try_network, try_schedule
from skmm.training.watching import modality_divergence

MIN_AUTO_EPOCHS = 5
MIN_AUTO_STEPS = 400
MIN_VALIDATION_ROWS = 20
MIN_AUTO_PATIENCE = 20  # epochs
N_VALIDATION_DRAWS = 32
FENCE_RANGES = 1.5  # below the lower quartile, in interquartile ranges: Tukey's rule for outliers
MIN_FENCE = 3.0  # nats: where most rows are equally likely, the others are no outliers
N_TRIAL_ROWS = 8
N_WATCHED_ROWS = 64


class MultimodalEstimator(ClassNamePrefixFeaturesOutMixin, AnswersMixin, BuildingMixin, BaseEstimator):
    """What every estimator of multimodal data shares; subclasses build the network.

    A subclass documents its parameters in its own ``__init__`` and defines ``_build(layout, makers)``,
    which returns an untrained network; ``makers`` make the likelihood of each column.
    """

    _parameter_constraints: dict[str, Any] = {
        "n_components": [Interval(numbers.Integral, 1, None, closed="left")],
        "modalities": [None, dict, callable, StrOptions({"prefix"})],
        "likelihood": [StrOptions({"auto", *LIKELIHOODS}), dict, callable],
        "handle_unknown": [StrOptions({"error", "missing"})],
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

    _max_validation = 5000  # rows, or steps: more would cost as much as training, and tell no more
    _auto_steps = 3000  # optimiser steps of max_iter="auto", whatever the number of rows
    _auto_steps_per_row = math.inf  # but never more than so many for each of them
    module_: Any
    layout_: Layout

    def _build(self, layout: Layout, makers: Sequence[Any]) -> nn.Module:
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
        with unchanged_on_failure(self):
            self._fit(X)
        return self

    def _fit(self, X: Any, targets: Targets | None = None) -> Steps:
        """Fit, with targets as modalities beside those of X, and say how X was read."""
        self._validate_params()
        device = resolve_device(self.device)
        continued = bool(self.warm_start and hasattr(self, "module_"))
        opened = self._open(X)
        if continued:
            matrix, layout = self._read_matrix(opened.table), self.layout_
            groups = self._check_continuation(opened.table)
            makers = choose_likelihoods(self.likelihood, groups, layout.labels, layout.types)
        else:
            matrix, layout, makers = self._learn_layout(opened.table)
            layout = layout if targets is None else replace(layout, targets=targets.layout)
        if targets is not None:
            check_consistent_length(matrix, targets.matrix)
            makers = [*makers, *targets.makers]
        if all(np.isnan(matrix[rows]).all() for rows in row_slices(matrix.shape)):
            raise ValueError("Every entry of X is missing: there is nothing to learn from.")
        blocks = self._cut(layout.read(matrix, None if targets is None else targets.matrix), opened)
        _check_layer_sizes(self.hidden_layer_sizes)
        beta = (
            ConstantSchedule(float(self.beta))
            if isinstance(self.beta, numbers.Real)
            else make_part(self.beta, SCHEDULES)
        )
        try_schedule(beta)
        names = layout.joint.names
        corruption = self._corruption(names)
        objective = self._objective()
        with isolated_rng(draw_seed(self.random_state), device), float32_by_default():
            network: Any = self._build(layout.joint, makers).to(device=device, dtype=torch.float32)
            network.importance_weighted = bool(getattr(objective, "importance_weighted", False))
            check_support(network, layout, matrix)
            train, held_out, early = self._split(blocks.with_data())
            del blocks  # a copy of the whole table
            train = train.to(device)
            held_out = None if held_out is None else held_out.to(device)
            if continued:
                self._take_weights(network)
            else:
                network.start(train.flat())
            with isolated_rng(0, device):
                try_network(network, objective, train.batch(slice(0, N_TRIAL_ROWS)))
            batch_size, max_iter = self._schedule_length(train.n_rows)
            history = fit_network(
                network,
                objective,
                train,
                validate=self._validator(held_out) if early else None,
                corruption=corruption,
                beta=beta,
                batch_size=batch_size,
                max_iter=max_iter,
                learning_rate=self.learning_rate_init,
                weight_decay=self.weight_decay,
                n_iter_no_change=self._patience(max_iter),
                tol=self.tol,
                watch=partial(modality_divergence, rows=train.batch(slice(0, N_WATCHED_ROWS))),
                verbose=int(self.verbose),
            )
            completion = self._fit_completion(network, train, held_out, device)
            tables = [train] if held_out is None else [train, held_out]
            density = self._fit_density(network, tables, device)
        self.module_ = network
        self.completion_ = completion
        self.latent_density_ = density
        self.layout_ = layout
        self._fitted_likelihood = _as_it_is(self.likelihood)
        self.n_iter_ = history.n_iter
        self.best_iter_ = history.best_epoch + 1
        self.loss_curve_ = history.loss
        self.reconstruction_curve_, self.kl_curve_ = _curves(history, names)
        self.validation_scores_ = history.validation or None
        return opened

    def _learn_layout(self, X: Any) -> tuple[np.ndarray, Layout, list[Any]]:
        """Read a table for the first time; also find what makes the likelihood of each column."""
        table = check_table(self, X, reset=True)
        types = column_types(X, table)
        groups, labels = resolve_modalities(X, self.modalities), column_labels(X)
        makers = choose_likelihoods(self.likelihood, groups, labels, types)
        types = count_categories(makers, types, labels, table)
        matrix = to_matrix(table, types)
        layout = Layout.fit(X, matrix, groups, types, [scaling_of(maker) for maker in makers])
        return matrix, layout, makers

    def _objective(self) -> Any:
        return make_part(self.objective, OBJECTIVES)

    def _corruption(self, names: Sequence[Hashable]) -> Callable[[Blocks], Blocks]:
        """What hides entries from the encoders in training."""
        return Dropout(self._rates("modality_dropout", names), self._rates("cell_dropout", names))

    def _split(self, blocks: Any) -> tuple[Any, Any, bool]:
        """Set rows aside, if there shall be any, and say whether they choose the epoch.

        In small tables there may be too few for that, but enough to learn from how to complete.
        """
        n_validation = int(blocks.n_rows * self.validation_fraction)
        early = self.early_stopping
        if early == "auto":
            early = n_validation >= MIN_VALIDATION_ROWS
            n_validation = n_validation if early else self._n_held_out(blocks.n_rows)
        elif not early:
            n_validation = 0
        if not early and not n_validation:
            return blocks, None, False
        if n_validation < 1 or n_validation >= blocks.n_rows:
            raise ValueError(
                f"early_stopping=True with validation_fraction={self.validation_fraction} leaves "
                f"{n_validation} of {blocks.n_rows} rows for validation; use more rows, another fraction or "
                "early_stopping=False."
            )
        order = torch.randperm(blocks.n_rows)
        return blocks.rows(order[n_validation:]), blocks.rows(order[:n_validation]), early

    def _n_held_out(self, n_rows: int) -> int:
        """Rows to set aside where they are too few to choose the epoch by."""
        return 0

    def _fit_completion(self, network: Any, train: Any, held_out: Any, device: torch.device) -> Any:
        """Learn what corrects the network's completions."""
        return None

    def _fit_density(self, network: Any, tables: Sequence[Any], device: torch.device) -> Any:
        """Learn where latent points of new rows are drawn; None leaves that to the prior."""
        return None

    def _schedule_length(self, n_rows: int) -> tuple[int, int]:
        """Rows of a batch and number of epochs."""
        batch_size = self.batch_size
        if batch_size == "auto":
            # larger tables take larger steps, not only more of them
            batch_size = 2 ** round(math.log2(min(max(n_rows / 50, 64), 1024)))
        batch_size = min(int(batch_size), n_rows)
        max_iter = self.max_iter
        if max_iter == "auto":
            n_steps = min(self._auto_steps, max(MIN_AUTO_STEPS, self._auto_steps_per_row * n_rows))
            max_iter = max(MIN_AUTO_EPOCHS, math.ceil(n_steps / math.ceil(n_rows / batch_size)))
        return batch_size, int(max_iter)

    def _patience(self, max_iter: int) -> int:
        """Epochs without improvement to wait for."""
        if self.n_iter_no_change == "auto":
            return max(MIN_AUTO_PATIENCE, math.ceil(max_iter / 3))
        return int(self.n_iter_no_change)

    def _validator(self, validation: Any) -> Callable[[nn.Module], float]:
        """Score of validation rows: the mean of the bound of :meth:`score`, but for outliers.

        Rows below Tukey's fence count as lying on it. The mean itself would be decided by the few rows that
        are least likely: on images it stops training long before completions are at their best. A mean that
        left the lower tail out would prefer models that are too sure of what is frequent.
        """
        n_rows = int(self._max_validation / float(validation.lengths.float().mean()))
        rows = validation.rows(slice(0, max(n_rows, MIN_VALIDATION_ROWS)))

        def validate(network: nn.Module) -> float:
            bound = self._bound(network, rows, rows.joint.device, n_draws=N_VALIDATION_DRAWS)
            lower, upper = bound.quantile(0.25), bound.quantile(0.75)
            fence = lower - max(FENCE_RANGES * float(upper - lower), MIN_FENCE)
            return float(bound.clamp_min(float(fence)).mean())

        return validate

    def _check_continuation(self, X: Any) -> dict[Hashable, np.ndarray]:
        """Raise ValueError if a parameter that the layout follows from was changed since the last fit.

        Returns
        -------
        dict
            The modalities of X, which are those of the last fit.
        """
        layout = self.layout_
        groups = resolve_modalities(X, self.modalities)
        same = tuple(groups) == layout.names and all(
            np.array_equal(now, then) for now, then in zip(groups.values(), layout.columns, strict=True)
        )
        for parameter, unchanged in (
            ("modalities", same),
            ("likelihood", self.likelihood == self._fitted_likelihood),
        ):
            if not unchanged:
                raise ValueError(
                    f"warm_start=True continues with the network of the last fit, but {parameter} was "
                    "changed since; set warm_start=False."
                )
        return groups

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

    # --- what scikit-learn and pickle want to know -----------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
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


def _curves(history: History, names: Sequence[Hashable]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reconstruction of each modality, and divergences, by epoch from 1."""
    epochs = pd.RangeIndex(1, history.n_iter + 1, name="epoch")
    columns = pd.Index(names, name="modality", tupleize_cols=False)
    alone = pd.DataFrame(history.watched, index=columns).T.reindex(epochs)
    alone.insert(0, "all", np.sum(history.kl, axis=1), allow_duplicates=True)  # a modality may be called so
    return pd.DataFrame(history.reconstruction, epochs, columns), alone


def _as_it_is(value: Any) -> Any:
    """A dict as it is now, whatever becomes of it."""
    return dict(value) if isinstance(value, dict) else value


def _check_layer_sizes(sizes: Any) -> None:
    for size in np.atleast_1d(np.asarray(sizes, dtype=object)):
        if not isinstance(size, numbers.Integral) or isinstance(size, bool) or size < 1:
            raise ValueError(f"hidden_layer_sizes must hold whole numbers of at least 1, got {sizes!r}.")
