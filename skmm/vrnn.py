"""MultimodalVRNN: a variational recurrent network of sequences with gaps."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from skmm._blocks.blocks import Blocks
from skmm._blocks.gaps import SequenceDropout
from skmm._blocks.layout import Layout
from skmm._estimator.building import make_part
from skmm._estimator.estimator import MultimodalEstimator
from skmm._estimator.sequences import SUMMARIES, SequenceAnswersMixin
from skmm._torch import RandomStateLike
from skmm.networks.evidence import JoinedInference, ProductInference
from skmm.networks.recurrence import TRANSITIONS, BackwardSummary
from skmm.networks.vrnn import VRNNNetwork
from skmm.probability.fusion import FUSIONS
from skmm.probability.posteriors import POSTERIORS

JOINED = {"concat": True, "concat_zeros": False}  # whether learned tokens stand for what is missing
RECURRENCES = ("latent", "completed")


class MultimodalVRNN(SequenceAnswersMixin, MultimodalEstimator):
    """Variational recurrent network."""

    _parameter_constraints: dict[str, Any] = {
        **{
            name: constraint
            for name, constraint in MultimodalEstimator._parameter_constraints.items()
            if name != "prior"
        },
        "fusion": [StrOptions({*FUSIONS, *JOINED}), callable],
        "transition": [StrOptions(set(TRANSITIONS)), callable],
        "hidden_size": [Interval(numbers.Integral, 1, None, closed="left")],
        "n_layers": [Interval(numbers.Integral, 1, None, closed="left")],
        "recurrence": [StrOptions(set(RECURRENCES))],
        "smoothing": ["boolean"],
        "smoothing_dropout": [Interval(numbers.Real, 0, 1, closed="left")],
        "step_dropout": [Interval(numbers.Real, 0, 1, closed="left"), dict],
        "burst_dropout": [Interval(numbers.Real, 0, 1, closed="both"), dict],
        "summary": [StrOptions(set(SUMMARIES))],
    }
    _auto_steps = 1500

    def __init__(
        self,
        n_components: int = 10,
        *,
        modalities: Any = None,
        likelihood: Any = "auto",
        handle_unknown: str = "error",
        fusion: Any = "poe",
        objective: Any = "elbo",
        posterior: Any = "normal",
        transition: Any = "gru",
        hidden_size: int = 64,
        n_layers: int = 1,
        recurrence: str = "latent",
        smoothing: bool = True,
        smoothing_dropout: float = 0.1,
        summary: str = "last",
        beta: Any = 0.3,
        modality_dropout: Any = 0.1,
        burst_dropout: Any = 0.5,
        step_dropout: Any = 0.05,
        cell_dropout: Any = 0.0,
        dropout: Any = 0.0,
        modality_weights: Any = None,
        encoders: dict[Hashable, Any] | None = None,
        decoders: dict[Hashable, Any] | None = None,
        hidden_layer_sizes: int | Sequence[int] = (64,),
        activation: str = "silu",
        max_iter: int | str = "auto",
        batch_size: int | str = "auto",
        learning_rate_init: float = 1e-2,
        weight_decay: float = 1e-2,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int | str = "auto",
        tol: float = 1e-4,
        n_draws: int = 32,
        warm_start: bool = False,
        device: Any = "cpu",
        random_state: RandomStateLike = None,
        verbose: bool | int = False,
    ) -> None:
        self.n_components = n_components
        self.modalities = modalities
        self.likelihood = likelihood
        self.handle_unknown = handle_unknown
        self.fusion = fusion
        self.objective = objective
        self.posterior = posterior
        self.transition = transition
        self.hidden_size = hidden_size
        self.n_layers = n_layers
        self.recurrence = recurrence
        self.smoothing = smoothing
        self.smoothing_dropout = smoothing_dropout
        self.summary = summary
        self.beta = beta
        self.modality_dropout = modality_dropout
        self.burst_dropout = burst_dropout
        self.step_dropout = step_dropout
        self.cell_dropout = cell_dropout
        self.dropout = dropout
        self.modality_weights = modality_weights
        self.encoders = encoders
        self.decoders = decoders
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.n_draws = n_draws
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn from sequences in which modalities, steps and cells may be missing.

        Parameters
        ----------
        X : sequences
            An array of shape (n_sequences, n_steps, n_features), a list of tables (n_steps, n_features), a
            long frame with index (sequence, time), or a table, whose rows are sequences of one step. NaN (or
            pandas.NA, or a mask) marks what is missing.
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
        return super().fit(X, y)

    def _fit(self, X: Any) -> None:
        super()._fit(X)
        opened = self._open(X)
        self._form = opened.form_of_new
        self._n_usual_steps = max(1, round(float(np.median(opened.lengths))))

    def _objective(self) -> Any:
        objective = super()._objective()
        if getattr(objective, "importance_weighted", False):
            raise ValueError(
                f"objective={self.objective!r} makes the posterior a proposal whose points are weighted, "
                "which fails along sequences: after a few steps one path has all the weight. Use "
                "objective='elbo' or 'unimodal_elbo' with MultimodalVRNN."
            )
        return objective

    def _corruption(self, names: Sequence[Hashable]) -> Callable[[Blocks], Blocks]:
        return SequenceDropout(
            self._rates("modality_dropout", names),
            self._rates("cell_dropout", names),
            self._rates("step_dropout", names),
            self._rates("burst_dropout", names),
        )

    def _build(self, layout: Layout, makers: Sequence[Any]) -> nn.Module:
        family = make_part(self.posterior, POSTERIORS)
        likelihoods = self._likelihoods(layout, makers)
        n_raw = family.n_raw(self.n_components)
        n_inputs = [likelihood.n_inputs for likelihood in likelihoods]
        n_seen = sum(n_inputs) + sum(layout.sizes)
        size, n_layers = int(self.hidden_size), int(self.n_layers)
        completed = self.recurrence == "completed"
        transition = make_part(
            self.transition, TRANSITIONS, self.n_components + completed * sum(n_inputs), size, n_layers
        )
        backward = None
        if self.smoothing:
            backward = BackwardSummary(n_seen, size, n_layers)
        is_joined = isinstance(self.fusion, str) and self.fusion in JOINED
        if is_joined:
            encoders, sees_mask = self._encoders(layout, likelihoods, size)
            fusion: Any = None
            combine: nn.Module = JoinedInference(
                family,
                len(layout.names),
                size,
                size,
                size if self.smoothing else 0,
                n_raw,
                tokens=JOINED[self.fusion],
                dense=self._dense_with(max(self._rates("dropout", layout.names))),
            )
        else:
            encoders, sees_mask = self._encoders(layout, likelihoods, n_raw)
            fusion = self._fusion_rule(layout, likelihoods, n_raw)
            combine = ProductInference(nn.Linear(size, n_raw) if self.smoothing else None)
            if not getattr(fusion, "uses_experts", True):
                encoders = []
        prior_head = nn.Linear(size, n_raw)  # starts as the standard normal prior
        nn.init.zeros_(prior_head.weight)
        nn.init.zeros_(prior_head.bias)
        return VRNNNetwork(
            names=layout.names,
            encoders=encoders,
            decoders=self._decoders(layout, likelihoods, self.n_components + size),
            likelihoods=likelihoods,
            sees_mask=sees_mask,
            fusion=fusion,
            family=family,
            weights=self._weights(layout.names, layout.sizes),
            n_components=self.n_components,
            transition=transition,
            prior_head=prior_head,
            combine=combine,
            backward=backward,
            smoothing_dropout=float(self.smoothing_dropout),
            completes_inputs=completed,
        )

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what X may be."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
