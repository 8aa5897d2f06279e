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
from skmm._blocks.sequences import Steps
from skmm._estimator.building import make_part
from skmm._estimator.estimator import MultimodalEstimator
from skmm._estimator.sequences import SUMMARIES, SequenceAnswersMixin
from skmm._torch import RandomStateLike
from skmm.networks.evidence import JoinedInference, ProductInference
from skmm.networks.recurrence import TRANSITIONS, BackwardSummary, build_transition
from skmm.networks.vrnn import VRNNNetwork
from skmm.probability.fusion import FUSIONS
from skmm.probability.posteriors import POSTERIORS_OF_STEPS

JOINED = {"concat": True, "concat_zeros": False}  # whether learned tokens stand for what is missing
RECURRENCES = ("latent", "completed")


class MultimodalVRNN(SequenceAnswersMixin, MultimodalEstimator):
    r"""Variational recurrent network of sequences in which modalities, steps or cells may be missing.

    Learns a joint density of several groups of features (modalities) along sequences of any lengths, from
    sequences that are complete or have gaps: whole modalities, stretches, single steps, single cells. Use it
    to complete what is missing from what came before and after, to forecast, to filter step by step, to get
    features of sequences for other estimators in a Pipeline, to draw new sequences, and to tell unlikely
    sequences from likely ones.

    Parameters
    ----------
    n_components : int, default=10
        Number of latent variables of each step.
    modalities : None, "prefix", dict or callable, default=None
        How features form modalities, as in :class:`MultimodalVAE`: for arrays, for example
        ``{"accelerometer": slice(0, 3), "gyroscope": slice(3, 6)}``.
    likelihood : str, callable or dict, default="auto"
        Density of the values given the latent variables, as in :class:`MultimodalVAE`.
    handle_unknown : {"error", "missing"}, default="error"
        What to do, after ``fit``, about categories that it has not seen.
    fusion : str or callable, default="poe"
        How modalities are combined: "poe", "moe", "mopoe", "gpoe", "joint", "attention", "concat" or
        "concat_zeros". Under the rules of :class:`MultimodalVAE`, the first six, what they make of a step's
        modalities is multiplied by the recurrent prior and, if ``smoothing``, by an expert that knows the
        future; a step with nothing observed then or later has the prior for its posterior. "concat" gives
        the features of all modalities, side by side, to one network that also sees the recurrent state; for
        missing modalities stand learned tokens and a mask. "concat_zeros" puts zeros instead, without a mask.
    objective : {"elbo", "unimodal_elbo", "mvae", "powerset"} or callable, default="elbo"
        What training maximises; see :class:`ELBO` and :class:`UnimodalELBO`. Others are for tables.
    posterior : {"normal"} or posterior family, default="normal"
        Posterior family of the latent variables of a step.
    transition : {"gru", "lstm"} or callable, default="gru"
        The recurrence. A callable ``f(n_inputs, n_hidden, n_layers)`` returns a Module, see
        :mod:`skmm.networks.recurrence`.
    hidden_size : int, default=64
        Width of the recurrence, forward and backward.
    n_layers : int, default=1
        Layers of the recurrence, forward and backward.
    recurrence : {"latent", "completed"}, default="latent"
        What the recurrence is given of each step: its latent variables, or also its values, missing ones as
        the model itself expects them. The latter has to run the decoders step by step, and is slower.
    smoothing : bool, default=True
        Whether to learn an expert that sums up, from the end to the start, what is observed after each step.
        Without it, gaps are filled from the past alone, but for what later steps say by themselves.
    smoothing_dropout : float, default=0.05
        Probability with which a sequence is filtered in training, without the future's expert.
    summary : {"last", "mean"}, default="mean"
        What :meth:`transform` returns of a sequence: the mean of the latent variables over observed steps, or
        those of the last observed step.
    beta : float, {"constant", "linear", "cyclical", "sigmoid"} or callable, default=0.3
        Weight of the divergence from the prior: a number, or a schedule, as in :class:`MultimodalVAE`.
    modality_dropout : float or dict, default=0.05
        Probability with which a modality of a sequence is hidden from the encoders in training. As everywhere
        here, hidden values are scored all the same: this is what trains completion.
    burst_dropout : float or dict, default=0.5
        Probability with which a modality loses a stretch of a sequence: of any length, anywhere, at the start
        and at the end too. In half of the sequences all modalities lose the same.
    step_dropout : float or dict, default=0.05
        Mean share of a modality's steps that are hidden; the share is another one in each sequence.
    cell_dropout : float or dict, default=0.05
        Mean share of a modality's cells that are hidden one by one; another one in each sequence.
    dropout : float or dict, default=0.0
        Probability with which a hidden unit of encoders and decoders is dropped in training.
    modality_weights : None, "auto" or dict, default=None
        Weight of each modality's reconstruction in training, as in :class:`MultimodalVAE`.
    encoders, decoders : dict, default=None
        Networks by modality, as in :class:`MultimodalVAE`. They are given single steps; a decoder is given
        the latent variables, and behind them the ``hidden_size`` numbers of the recurrent state.
    hidden_layer_sizes : int or sequence of int, default=(64,)
        Of the default encoders and decoders; () leaves the linear path.
    activation : {"silu", "relu", "gelu", "elu", "tanh"}, default="silu"
    max_iter : int or "auto", default="auto"
        Number of epochs. "auto" takes about 2000 steps.
    batch_size : int or "auto", default="auto"
        Sequences of a step. Sequences of like length are taken together.
    learning_rate_init, weight_decay : float, default=0.01
        Peak of the one-cycle learning rate of AdamW, and its weight decay.
    early_stopping : bool or "auto", default="auto"
        Whether to set validation sequences aside, keep the weights that score best on them, and stop when
        they have not improved for long. "auto" does so where at least 20 validation sequences hold data.
    validation_fraction : float, default=0.1
    n_iter_no_change : int or "auto", default="auto"
        Epochs without improvement after which training stops. "auto" is a third of ``max_iter``, at least 20.
    tol : float, default=1e-4
        What counts as an improvement of the validation score, in nats per sequence.
    n_draws : int, default=32
        Latent paths per sequence over which :meth:`predict` averages; particles of :meth:`score`.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights, and the layout, of the last one.
    device : str, default="cpu"
        "cpu", "cuda", "cuda:1" or "auto". A fitted estimator falls back on the CPU where there is no GPU.
    random_state : int, RandomState instance or None, default=None
        Of initialisation, shuffling, dropout and sampling in ``fit``. The global generators of numpy and
        torch are neither used nor changed.
    verbose : bool or int, default=False
        1 prints about twenty lines, 2 one per epoch.

    Attributes
    ----------
    module_ : torch.nn.Module
        The trained network, in evaluation mode.
    layout_ : Layout
        Which columns form which modality, their types, locations and scales.
    n_iter_, best_iter_ : int
        Number of epochs run, and the epoch whose weights were kept, from 1.
    loss_curve_, reconstruction_curve_, kl_curve_ : list of float, DataFrame, DataFrame
        Loss, reconstructions and divergences, epoch by epoch, as of :class:`MultimodalVAE`.
    validation_scores_ : list of float or None
        Scores of validation sequences, as of :class:`MultimodalVAE`.
    n_features_in_, feature_names_in_ : int, array of shape (n_features,)
        Number of features of a step; their names, where X had string names.

    See Also
    --------
    skmm.to_ragged, skmm.to_long, skmm.to_windows, skmm.resample_steps : From one form to another.
    skmm.stack_modalities : Make sequences from separate recordings.

    Notes
    -----
    *Sequences* are an array of shape (n_sequences, n_steps, n_features), in which every NaN is a gap to be
    filled; a list of arrays or frames (n_steps, n_features), of any lengths; a frame with an index of two
    levels, (sequence, time), whose rows may stand in any order; or a plain table, whose rows are sequences of
    one step. Cross-validation splits arrays and lists by sequences, but a long frame by rows: use
    ``GroupKFold`` with ``groups=X.index.get_level_values(0)``, or :func:`skmm.to_ragged` first.

    With :math:`h_t` the output of the recurrence before step t, training maximises [1]_

    .. math:: E_q \Big[ \sum_t \sum_m \log p(x_{t,m}|z_t, h_t) \Big]
              - \beta \sum_t KL\big(q(z_t|h_t, x) \,\|\, p(z_t|h_t)\big), \quad
              q(z_t|h_t, x) \propto p(z_t|h_t)\, b(z_t|x_{\ge t}) \prod_{m \in O_t} q_m(z_t|x_{t,m}).

    All factors but the recurrent prior are computed for all steps at once. The future's expert b is absent
    where nothing is observed from step t on, and in filtering: then the same model filters, forecasts, and
    draws from the prior. Reports of one step given the steps before follow the path of posterior means;
    expected values, quantiles and scores go over ``n_draws`` paths.

    References
    ----------
    .. [1] Chung et al. (2015), "A Recurrent Latent Variable Model for Sequential Data", eq. 11.
    .. [2] Wu and Goodman (2018), "Multimodal Generative Models for Scalable Weakly-Supervised Learning".
    .. [3] Krishnan, Shalit and Sontag (2017), "Structured Inference Networks for Nonlinear State Space
       Models", sec. 4: the backward recurrence.

    Examples
    --------
    >>> import numpy as np
    >>> from skmm import MultimodalVRNN
    >>> from skmm.datasets import SPIRAL_MODALITIES, make_spirals
    >>> X = make_spirals(40, 20, random_state=0)
    >>> X[:10, 5:15, :2] = np.nan  # the first modality fails for a while
    >>> vrnn = MultimodalVRNN(4, modalities=SPIRAL_MODALITIES, max_iter=5, random_state=0).fit(X)
    >>> bool(np.isnan(vrnn.impute(X)).any())
    False
    >>> vrnn.forecast(X, 3).shape
    (40, 3, 4)
    """

    _parameter_constraints: dict[str, Any] = {
        **{k: v for k, v in MultimodalEstimator._parameter_constraints.items() if k != "prior"},
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
    _auto_steps = 2000
    _max_validation = 20_000

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
        smoothing_dropout: float = 0.05,
        summary: str = "mean",
        beta: Any = 0.3,
        modality_dropout: Any = 0.05,
        burst_dropout: Any = 0.5,
        step_dropout: Any = 0.05,
        cell_dropout: Any = 0.05,
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
        """
        return super().fit(X, y)

    def _fit(self, X: Any, targets: Any = None) -> Steps:
        opened = super()._fit(X, targets)
        self._form = opened.form_of_new
        self._n_usual_steps = max(1, round(float(np.median(opened.lengths))))
        return opened

    def _objective(self) -> Any:
        objective = super()._objective()
        if getattr(objective, "importance_weighted", False):
            raise ValueError(
                f"objective={self.objective!r} makes the posterior a proposal whose points are weighted, "
                "which fails along sequences: after a few steps one path has all the weight. Use "
                "objective='elbo', 'unimodal_elbo', 'mvae' or 'powerset' with MultimodalVRNN."
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
        family = make_part(self.posterior, POSTERIORS_OF_STEPS)
        likelihoods = self._likelihoods(layout, makers)
        n_raw = family.n_raw(self.n_components)
        n_inputs = [likelihood.n_inputs for likelihood in likelihoods]
        n_seen = sum(n_inputs) + sum(layout.sizes)
        size, n_layers = int(self.hidden_size), int(self.n_layers)
        completed = self.recurrence == "completed"
        transition = build_transition(
            self.transition, self.n_components + completed * sum(n_inputs), size, n_layers
        )
        backward = None
        if self.smoothing:
            backward = BackwardSummary(n_seen, size, n_layers)
        is_joined = isinstance(self.fusion, str) and self.fusion in JOINED
        encoders = [
            self._encoder(layout, i, likelihood, size if is_joined else n_raw)
            for i, likelihood in enumerate(likelihoods)
        ]
        if is_joined:
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
            decoders=[
                self._decoder(layout, i, likelihood, self.n_components + size)
                for i, likelihood in enumerate(likelihoods)
            ],
            likelihoods=likelihoods,
            sees_mask=self._sees_mask(layout),
            fusion=fusion,
            family=family,
            weights=self._weights(layout.names, layout.sizes),
            n_components=self.n_components,
            n_encoded=size if is_joined else None,
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
