"""MultimodalVAE: a variational autoencoder of tables whose rows may lack modalities."""

from __future__ import annotations

import numbers
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from torch import nn

from skmm._blocks.layout import Layout
from skmm._estimator.building import make_part
from skmm._estimator.estimator import MultimodalEstimator
from skmm._estimator.latent_density import fit_density
from skmm._estimator.latents import LatentsMixin
from skmm._torch import RandomStateLike
from skmm.inference.stacking import fit_completion
from skmm.networks.vae import VAENetwork
from skmm.probability.posteriors import POSTERIORS
from skmm.probability.priors import PRIORS

N_HELD_OUT = 20  # rows set aside to learn how to complete, in tables too small for validation
MIN_ROWS = 100  # of tables that can spare them


class MultimodalVAE(LatentsMixin, MultimodalEstimator):
    r"""Variational autoencoder of tables whose rows may lack whole modalities.

    Learns a joint density of several groups of columns (modalities) from rows that are complete, that lack
    modalities or that lack single cells, all at once. Use it to complete what is missing with its
    uncertainty, to get features for other estimators in a Pipeline, to draw new rows, and to tell unlikely
    rows from likely ones.

    Parameters
    ----------
    n_components : int, default=10
        Number of latent variables.
    modalities : None, "prefix", dict or callable, default=None
        How columns form modalities. None takes the first level of MultiIndex columns, and one modality where
        there is none. "prefix" cuts names such as ``audio__pitch``, which ColumnTransformer gives, at the
        double underscore. A dict maps names to column labels, positions, slices, bool masks or callables of
        X. A callable of X returns such a dict.
    likelihood : str, callable or dict, default="auto"
        Density of the values. "auto" goes by the type of each column: "normal" (with learned noise) for
        numbers, "bernoulli" for flags, "categorical" for categories and text, "ordinal" for ordered
        categories. For numbers also "heteroscedastic_normal", "low_rank_normal" (noise that columns of a
        modality share), "student_t", "laplace"; for positive ones "log_normal", "gamma"; from 0 to 1,
        such as grey values of images, "continuous_bernoulli"; for counts "poisson", "negative_binomial",
        "zero_inflated_poisson", "zero_inflated_negative_binomial". Under
        "categorical" and "ordinal", a column of whole numbers is one of categories. A callable is given the
        number of columns and returns a likelihood, see :mod:`skmm.probability.likelihoods`. A dict chooses
        by modality or by column; the column is preferred, and what the dict leaves out is "auto".
    handle_unknown : {"error", "missing"}, default="error"
        What to do, after ``fit``, about categories that it has not seen: raise an error, or take the entry
        for missing, except that :meth:`impute` leaves it as it is.
    fusion : str or callable, default="poe"
        How modalities are combined: "poe" multiplies one expert for each, "moe" mixes them, "mopoe" mixes
        products, "gpoe" multiplies with learned powers, "wasserstein" averages means and deviations,
        "hellinger" square roots of densities, "joint" has one encoder that sees all modalities and what is
        missing of them, "set" one of the set of observed features, and "attention" multiplies experts that
        attend to one another. See :mod:`skmm.probability.fusion` to write one.
    objective : str or callable, default="elbo"
        What training maximises: "elbo", "iwae", "unimodal_elbo", "mvae", "powerset", "mmvae" and "mmvm" (with
        ``fusion`` "moe" or "mopoe"), "mmjsd", "mvtcae", "crmvae", "jmvae", "telbo" or "vaevae". Objects such
        as :class:`skmm.IWAE` take parameters, which can be searched. "iwae" takes several times as long, and
        finds several explanations of the same row where there are several.
    prior : {"normal", "learned_normal", "mixture", "laplace", "sphere"} or callable, default="normal"
        Prior of the latent variables. "mixture" is one of normal densities, for rows that form clusters: see
        :meth:`predict_clusters`. "laplace" and "sphere" go with the posteriors "laplace" and "vmf", the
        others with "normal". See :mod:`skmm.probability.priors`, also to set their parameters, as in
        ``functools.partial(NormalMixturePrior, n_parts=3)``.
    posterior : {"normal", "laplace", "vmf"} or posterior family, default="normal"
        Posterior family of the latent variables. Under "vmf", von Mises-Fisher, they lie on spheres:
        ``n_components`` numbers are cut into spheres of 2 to 5. See :mod:`skmm.probability.posteriors`.
    n_private : int or dict, default=0
        Number of latent variables that each modality has for itself, beside the ``n_components`` that all
        share; a dict by modality. They take what one modality alone knows, such as the style of one image of
        several, out of what :meth:`transform` returns. Of an absent modality they have the prior. They need a
        fusion that multiplies or mixes one expert per modality ("poe", "moe", "mopoe", "gpoe"), and the
        posterior "normal" or "laplace". See :meth:`transform_private`.
    latent_density : None or density of scikit-learn, default=None
        Where :meth:`sample` draws the latent variables of new rows. None takes the prior. An estimator with
        ``fit`` and ``sample``, such as ``GaussianMixture(10)`` or ``KernelDensity(bandwidth=0.2)``, is
        fitted after training to posterior draws of all rows of ``fit``, incomplete ones too: as many of each
        as make 10 000 points, at least 1 and at most 20. Where rows form clusters, between which the prior
        has mass and they have none, new rows are then more like them. Its own parameters can be searched as
        ``latent_density__n_components``; ``random_state`` governs it wherever it has a random state that is
        None. Nothing but new rows depends on it, :meth:`score` neither.
    completion : {"stacked", "network"}, default="stacked"
        What completes missing real numbers. "stacked" averages the network's answer with those of a linear
        Gaussian model (factor analysis, fitted by expectation maximisation) and of the training rows that are
        near, of which up to 2000 are kept for it, and makes deviations true; the weights follow from how all
        three complete the validation rows. "network" asks the network alone, and keeps no rows. Latent
        variables, scores and new rows are the network's in both cases.
    beta : float, {"constant", "linear", "cyclical", "sigmoid"} or callable, default=0.5
        Weight of the divergence from the prior: a number, or a schedule. With ``beta=CyclicalSchedule()``,
        its own parameters can be searched as ``beta__n_cycles``. Below 1 the model completes and
        reconstructs more closely; above 1 latent variables are pruned.
    modality_dropout : float or dict, default=0.2
        Probability with which a row's modality is hidden from the encoders in training. Its values are
        scored all the same: this is what trains completion. A row keeps at least one modality.
    cell_dropout : float or dict, default=0.05
        Probability with which a single cell is hidden from the encoders in training.
    dropout : float or dict, default=0.1
        Probability with which a hidden unit is dropped in training.
    modality_weights : None, "auto" or dict, default=None
        Weight of each modality's reconstruction in training, never in :meth:`score`. "auto" gives every
        modality the same say whatever its width: weights in proportion to 1 / n_features, scaled so that
        the total stays that of None.
    encoders, decoders : dict or "shared", default=None
        Networks by modality. Those that say "shared" (all, where this is no dict) share a default network
        beside a linear path of their own: for many small modalities of one type, such as single pixels. A
        torch Module is copied and used as a trunk, to which a linear head is added; a callable
        ``f(n_in, n_out)`` returns the whole Module. An encoder is given the modality's features in the rows
        that have it, column by column and zero where missing: numbers standardised (of positive ones and
        counts, the logarithms), flags as -1 and 1, one number per category, ranks of ordered ones
        standardised. A decoder is given the latent variables.
        Modalities that are left out get a multilayer perceptron beside a linear path, which also sees where
        values are missing. Use functions and classes of a module, not lambdas, if the estimator is to be
        pickled.
    hidden_layer_sizes : int or sequence of int, default=(128,)
        Of the default encoders and decoders; () leaves the linear path.
    activation : {"silu", "relu", "gelu", "elu", "tanh"}, default="silu"
    max_iter : int or "auto", default="auto"
        Number of epochs. "auto" takes about 3000 steps; with fewer than 750 rows four for each, but at
        least 400.
    batch_size : int or "auto", default="auto"
        Rows of a step. "auto" goes from 64 for small tables to 1024 for large ones.
    learning_rate_init : float, default=0.01
        Peak of the one-cycle learning rate of AdamW.
    weight_decay : float, default=0.01
        Of AdamW. Far more, such as 1, keeps networks of wide modalities from learning by heart which images
        or recordings stand in one row, where few rows hold them.
    early_stopping : bool or "auto", default="auto"
        Whether to set validation rows aside, keep the weights that score best on them, and stop when they
        have not improved for long. "auto" does so where at least 20 validation rows hold data.
    validation_fraction : float, default=0.1
        Under ``completion="stacked"``, where this is less than 20 rows of 100 or more, 20 are set aside all
        the same, but choose no epoch.
    n_iter_no_change : int or "auto", default="auto"
        Epochs without improvement after which training stops. "auto" is a third of ``max_iter``, at least 20:
        small tables have many short epochs.
    tol : float, default=1e-4
        What counts as an improvement of the validation score, in nats per row.
    n_draws : int, default=64
        Latent points per row over which :meth:`predict` and :meth:`score` average.
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
    completion_ : Completion or None
        The models beside the network, all weights and the deviations' factors, under
        ``completion="stacked"``.
    latent_density_ : estimator or None
        The fitted copy of ``latent_density``.
    layout_ : Layout
        Which columns form which modality, their types, locations and scales.
    n_iter_ : int
        Number of epochs run.
    best_iter_ : int
        Epoch whose weights were kept, from 1.
    loss_curve_ : list of float
        Mean training loss of each epoch.
    reconstruction_curve_ : DataFrame of shape (n_epochs, n_modalities)
        Mean log-likelihood of each modality expected of training rows, by epoch.
    kl_curve_ : DataFrame of shape (n_epochs, 1 + n_modalities)
        Mean divergence from the prior of the posterior given what the encoders were shown ("all"), and given
        each modality alone; the latter of some training rows after about twenty epochs, otherwise NaN.
    validation_scores_ : list of float or None
        Scores of validation rows, after every epoch or, where there are many, about a hundred times: the
        bound of :meth:`score` in standardised units, averaged over the rows, of which outliers count as lying
        on Tukey's lower fence, so that a few unlikely rows do not decide.
    n_features_in_ : int
        Number of columns seen in ``fit``.
    feature_names_in_ : array of shape (n_features,)
        Names seen in ``fit``, where X had string names.

    See Also
    --------
    skmm.stack_modalities : Make the frame from separate tables.
    skmm.hide : Blank modalities, to condition on the others.
    skmm.completion_scorer : Score searches by how well hidden modalities are completed.

    Notes
    -----
    With modalities :math:`x_1 \dots x_M`, of which a row holds the subset :math:`O`, training maximises

    .. math:: E_{q(z|x_C)} \Big[ \sum_{m \in O} \log p(x_m|z) \Big] - \beta\, KL(q(z|x_C) \| p(z)),

    where :math:`C \subseteq O` is what dropout has left for the encoders to see. With the product of
    experts [1]_, :math:`q(z|x_C) \propto p(z) \prod_{m \in C} q_m(z|x_m)`. Missing entries enter no term.

    Columns of measurements that do not vary in ``fit`` are completed with their constant and do not count in
    :meth:`score`; constant flags, categories and counts, which have probabilities, do. Columns are centred
    and scaled inside, so one enormous value blurs its whole column: clip such values, or take logarithms of
    heavy tails, first.

    References
    ----------
    .. [1] Wu and Goodman (2018), "Multimodal Generative Models for Scalable Weakly-Supervised Learning".
    .. [2] Shi et al. (2019), "Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative
       Models".
    .. [3] Sutter, Daunhawer and Vogt (2021), "Generalized Multimodal ELBO".

    Examples
    --------
    >>> import numpy as np
    >>> from skmm import MultimodalVAE
    >>> rng = np.random.RandomState(0)
    >>> z = rng.normal(size=(200, 1))
    >>> X = np.hstack([z, -z, 2 * z]) + 0.1 * rng.normal(size=(200, 3))
    >>> X[:50, 0] = X[50:100, 1:] = np.nan
    >>> vae = MultimodalVAE(2, modalities={"a": [0], "b": [1, 2]}, max_iter=50, random_state=0)
    >>> completed = vae.fit(X).impute(X)
    >>> bool(np.isnan(completed).any())
    False
    """

    _parameter_constraints: dict[str, Any] = {
        **MultimodalEstimator._parameter_constraints,
        "n_private": [Interval(numbers.Integral, 0, None, closed="left"), dict],
        "latent_density": [HasMethods(["fit", "sample"]), None],
        "completion": [StrOptions({"stacked", "network"})],
        "encoders": [None, dict, StrOptions({"shared"})],
        "decoders": [None, dict, StrOptions({"shared"})],
    }

    def __init__(
        self,
        n_components: int = 10,
        *,
        modalities: Any = None,
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
        self.n_components = n_components
        self.modalities = modalities
        self.likelihood = likelihood
        self.handle_unknown = handle_unknown
        self.fusion = fusion
        self.objective = objective
        self.prior = prior
        self.posterior = posterior
        self.n_private = n_private
        self.latent_density = latent_density
        self.completion = completion
        self.beta = beta
        self.modality_dropout = modality_dropout
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

    _auto_steps_per_row = 4  # small tables are learned in fewer, and completed no better after more

    def _n_held_out(self, n_rows: int) -> int:
        return N_HELD_OUT if self.completion == "stacked" and n_rows >= MIN_ROWS else 0

    def _fit_completion(self, network: Any, train: Any, held_out: Any, device: torch.device) -> Any:
        if self.completion == "network":
            return None
        return fit_completion(network, train, held_out, device, n_draws=self.n_draws)

    def _fit_density(self, network: Any, tables: Sequence[Any], device: torch.device) -> Any:
        if self.latent_density is None:
            return None
        return fit_density(self.latent_density, network, tables, device, int(torch.randint(2**31 - 1, ())))

    def _build(self, layout: Layout, makers: Sequence[Any]) -> nn.Module:
        family = make_part(self.posterior, POSTERIORS)
        n_private = self._private_counts(layout.names)
        n_components = self.n_components + sum(n_private)
        prior = make_part(self.prior, PRIORS, n_components)
        self._check_pair(family, prior, n_private)
        likelihoods = self._likelihoods(layout, makers)
        n_raw = family.n_raw(n_components)
        encoders, decoders = [], []
        for i, likelihood in enumerate(likelihoods):
            encoders.append(self._encoder(layout, i, likelihood, n_raw))
            decoders.append(self._decoder(layout, i, likelihood, self.n_components + n_private[i]))
        encoders = self._share("encoders", layout, encoders)
        decoders = self._share("decoders", layout, decoders)
        fusion = self._fusion_rule(layout, likelihoods, n_raw)
        return VAENetwork(
            names=layout.names,
            encoders=encoders if getattr(fusion, "uses_experts", True) else [],
            decoders=decoders,
            likelihoods=likelihoods,
            sees_mask=self._sees_mask(layout),
            fusion=fusion,
            family=family,
            prior=prior,
            weights=self._weights(layout.names, layout.sizes),
            n_private=n_private,
            n_components=n_components,
        )
