"""The network of MultimodalVRNN: a latent variable per step, with a recurrent prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from skmm._blocks.blocks import Blocks
from skmm.networks.evidence import ProductEvidence
from skmm.networks.fused import FusedWalk
from skmm.networks.modal import ModalNetwork
from skmm.networks.recurrence import BackwardSummary, GRUTransition, State
from skmm.probability.likelihoods.contract import Distribution
from skmm.probability.posteriors import NormalFamily


@dataclass(frozen=True)
class Path:
    """Latent points along sequences, and what the posterior and the prior were at each.

    Parameters
    ----------
    z : Tensor of shape (n_draws, n, n_steps, n_components)
    hidden : Tensor of shape (n_draws, n, n_steps, n_hidden)
        Output of the recurrence before each step: all that prior and decoder know of the steps before.
    posterior, prior : posterior
        Of each step given the steps before, over (n_draws, n, n_steps).
    state : tuple of Tensors
        State after the last step.
    """

    z: Tensor
    hidden: Tensor
    posterior: Any
    prior: Any
    state: State

    @property
    def code(self) -> Tensor:
        """What decoders are given: latent points and hidden state."""
        return torch.cat([self.z, self.hidden], dim=-1)

    @cached_property
    def log_q(self) -> Tensor:
        """Log-density of the path under the posterior, (n_draws, n)."""
        return self.posterior.log_prob(self.z[None])[0].sum(-1)

    @cached_property
    def log_p(self) -> Tensor:
        """Log-density of the path under the prior, (n_draws, n)."""
        return self.prior.log_prob(self.z[None])[0].sum(-1)

    @cached_property
    def kl(self) -> Tensor:
        """Divergence from the prior, summed over steps, (n,); given the path in closed form, if any."""
        exact = self.posterior.kl(self.prior)  # (n_draws, n, n_steps)
        return (self.log_q - self.log_p).mean(0) if exact is None else exact.sum(-1).mean(0)


class VRNNNetwork(ModalNetwork):
    """Variational recurrent network of several modalities.

    Parameters
    ----------
    transition : Module
        See :mod:`skmm.networks.recurrence`.
    prior_head : Module
        From the transition's output to the prior of the next step, (n, n_hidden) -> (n, n_raw).
    combine : Module
        How evidence and prior become the posterior of a step: see :mod:`skmm.networks.evidence`.
    backward : BackwardSummary or None
        What smooths; None leaves a model that filters.
    smoothing_dropout : float
        Probability that a sequence is filtered in training, though it could be smoothed.
    completes_inputs : bool
        Whether the recurrence is given the values of each step too, missing ones as the model expects them.
    **parts
        As for :class:`ModalNetwork`; decoders are given latent variables and the transition's output.
    """

    def __init__(
        self,
        *,
        transition: Any,
        prior_head: nn.Module,
        combine: Any,
        backward: BackwardSummary | None,
        smoothing_dropout: float,
        completes_inputs: bool,
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.transition = transition
        self.prior_head = prior_head
        self.combine = combine
        self.backward = backward
        self.smoothing_dropout = smoothing_dropout
        self.completes_inputs = completes_inputs

    def natural_prior(self) -> Tensor:
        """Nothing: the prior of each step is multiplied when the recurrence has come to it."""
        return self.modality_weights.new_zeros(())

    # --- inference -------------------------------------------------------------------------------------

    def evidence(self, blocks: Blocks, *, smooth: bool) -> Any:
        """All that the observed values say and that needs no recurrence forward in time."""
        inputs = self.inputs(blocks)
        summary = told = None
        if smooth and self.backward is not None:
            summary, told = self.backward(inputs, blocks.present.any(0))
            if self.training and self.smoothing_dropout:
                told = told & (torch.rand(told.shape[0], 1, device=told.device) >= self.smoothing_dropout)
        return self.combine.evidence(self, blocks, inputs, summary, told)

    def walk(
        self,
        evidence: Any,
        noise: Tensor,
        part: Tensor | None,
        blocks: Blocks,
        state: State | None = None,
    ) -> Path:
        """Step through sequences, drawing a latent point at each step.

        Parameters
        ----------
        evidence : evidence
            See :mod:`skmm.networks.evidence`.
        noise : Tensor of shape (n_draws, 1 or n, n_steps, n_components)
            Standard normal.
        part : Tensor of shape (n_draws, 1 or n, n_steps) or None
            Uniform on [0, 1): chooses the part of a mixture. None takes the mean instead of a point.
        blocks : Blocks
            The values that the evidence came from, for a recurrence on completed inputs.
        state : tuple of Tensors or None
            State before the first step; None for that of a new sequence.
        """
        n_draws, n = noise.shape[0], blocks.n_rows
        if state is None:
            state = self.transition.initial(n_draws * n)
        if self._is_common(evidence, n_draws):
            return self._walk_fused(evidence, noise.expand(-1, n, -1, -1), state)
        draws: list[Tensor] = []
        hidden: list[Tensor] = []
        priors: list[Tensor] = []
        posteriors: list[Tensor] = []
        log_weights: list[Any] = []
        for said, e, u, values, observed in zip(
            evidence.unbind(),
            noise.unbind(2),
            part.unbind(2) if part is not None else [None] * noise.shape[2],
            blocks.joint.unbind(1),
            blocks.joint_observed.unbind(1),
            strict=True,
        ):
            h, prior, natural, weights = self._naturals(state, said, n_draws)
            posterior = self.family.posterior(natural, weights)
            z = posterior.mean if u is None else posterior.at(e[None], u[None])[0]
            draws.append(z)
            hidden.append(h)
            priors.append(prior)
            posteriors.append(natural)
            log_weights.append(weights)
            state = self.advance(state, z, h, values, observed)
        weights = None if log_weights[0] is None else torch.stack(log_weights, dim=-1)
        return Path(
            torch.stack(draws, dim=2),
            torch.stack(hidden, dim=2),
            self.family.posterior(torch.stack(posteriors, dim=-2), weights),
            self.family.posterior(torch.stack(priors, dim=-2)[None], None),
            state,
        )

    def _is_common(self, evidence: Any, n_draws: int) -> bool:
        """Whether the walk can be that of :class:`FusedWalk`."""
        return (
            n_draws == 1
            and not self.completes_inputs
            and type(self.transition) is GRUTransition
            and len(self.transition.cells) == 1
            and type(self.family) is NormalFamily
            and not self.family.relative
            and type(self.prior_head) is nn.Linear
            and isinstance(evidence, ProductEvidence)
            and evidence.log_weights is None
        )

    def _walk_fused(self, evidence: ProductEvidence, noise: Tensor, state: State) -> Path:
        """One draw of the most common network; as :meth:`walk`, and faster."""
        (cell,) = self.transition.cells
        head: Any = self.prior_head
        z, hidden, prior = FusedWalk.apply(
            evidence.natural[0, 0].transpose(0, 1).contiguous(),
            noise[0].transpose(0, 1).contiguous(),
            state[0],
            torch.cat([head.weight, cell.weight_hh]),
            torch.cat([head.bias, cell.bias_hh]),
            cell.weight_ih,
            cell.bias_ih,
        )
        prior = prior.transpose(0, 1)[None]  # (1, n, T, p)
        return Path(
            z.transpose(0, 1)[None],
            hidden[:-1].transpose(0, 1)[None],
            self.family.posterior(evidence.natural + prior, None),
            self.family.posterior(prior[None], None),
            (hidden[-1],),
        )

    def densities(self, state: State, said: Any, n_draws: int) -> tuple[Tensor, Any, Any]:
        """Hidden output, prior and posterior of the next step, over (n_draws, n)."""
        h, prior, natural, weights = self._naturals(state, said, n_draws)
        return h, self.family.posterior(prior[None], None), self.family.posterior(natural, weights)

    def _naturals(
        self, state: State, said: Any, n_draws: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Hidden output, natural parameters of the prior and the posterior, weights of the latter's parts."""
        h = self.transition.output(state)
        prior = self.family.natural(self.prior_head(h)).unflatten(0, (n_draws, -1))
        h = h.unflatten(0, (n_draws, -1))
        natural, weights = self.combine(said, h, prior)
        return h, prior, natural, weights

    def advance(self, state: State, z: Tensor, h: Tensor, values: Tensor, observed: Tensor) -> State:
        """State after a step of latent points and hidden output (n_draws, n, ...) and values (n, ...)."""
        if self.completes_inputs:
            z = torch.cat([z, self._completed(z, h, values, observed)], dim=-1)
        return self.transition.step(state, z.flatten(0, 1))

    def _completed(self, z: Tensor, h: Tensor, values: Tensor, observed: Tensor) -> Tensor:
        """Features of a step's values, missing ones as the model expects them, (n_draws, n, n_inputs)."""
        sizes = [likelihood.n_features for likelihood in self.likelihoods]
        features = []
        for likelihood, distribution, value, known in zip(
            self.likelihoods,
            self.decode(torch.cat([z, h], dim=-1)),
            values.split(sizes, dim=-1),
            observed.split(sizes, dim=-1),
            strict=True,
        ):
            expected, _ = likelihood.summary(distribution.mean, distribution.stddev)
            completed = torch.where(known, value, expected)
            features.append(likelihood.features(completed, torch.ones_like(completed, dtype=torch.bool)))
        return torch.cat(features, dim=-1)

    def infer(self, blocks: Blocks, n_draws: int, *, smooth: bool = True) -> Path:
        """Draw latent paths given what is observed."""
        shape = (n_draws, *blocks.joint.shape[:-1])
        noise = torch.randn(*shape, self.n_components, device=blocks.joint.device, dtype=blocks.joint.dtype)
        part = torch.rand(shape, device=blocks.joint.device, dtype=blocks.joint.dtype)
        return self.walk(self.evidence(blocks, smooth=smooth), noise, part, blocks)

    def mean_path(self, blocks: Blocks, *, smooth: bool = True, state: State | None = None) -> Path:
        """The path on which every latent point is at the mean of its posterior."""
        shape = (1, *blocks.joint.shape[:-1])
        noise = torch.zeros(*shape, self.n_components, device=blocks.joint.device, dtype=blocks.joint.dtype)
        return self.walk(self.evidence(blocks, smooth=smooth), noise, None, blocks, state)

    def follow(self, z: Tensor) -> Tensor:
        """What decoders are given along paths (n, n_steps, n_components)."""
        n, n_features = len(z), sum(likelihood.n_features for likelihood in self.likelihoods)
        nothing = z.new_zeros(n, n_features)
        state, hidden = self.transition.initial(n), []
        for point in z.unbind(1):
            h = self.transition.output(state)
            hidden.append(h)
            state = self.advance(state, point[None], h[None], nothing, nothing.bool())
        return torch.cat([z, torch.stack(hidden, dim=1)], dim=-1)

    def posterior(self, blocks: Blocks, *, smooth: bool = True) -> Any:
        """Posterior of each step along the mean path; the prior where nothing is observed."""
        return self.mean_path(blocks, smooth=smooth).posterior.rows(0)

    def central(self, blocks: Blocks) -> Tensor:
        return self.mean_path(blocks).code[0]

    def log_likelihood(self, distributions: Sequence[Distribution], targets: Blocks) -> Tensor:
        """Log-density of what is observed, per modality, summed over steps: (n_modalities, n_draws, n)."""
        return super().log_likelihood(distributions, targets).sum(-1)
