"""The network of MultimodalVAE: encoders, fusion, prior, decoders and likelihoods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from skmm._blocks.blocks import Blocks
from skmm.networks.modal import ModalNetwork
from skmm.probability.experts import Experts


@dataclass(frozen=True)
class Latent:
    """Points drawn from a posterior, and their densities, computed when asked for.

    Parameters
    ----------
    z : Tensor of shape (n_draws, n, n_components)
    posterior : posterior
        What ``z`` was drawn from.
    prior : Module
    """

    z: Tensor
    posterior: Any
    prior: Any

    @property
    def code(self) -> Tensor:
        """What decoders are given: the points."""
        return self.z

    @cached_property
    def log_q(self) -> Tensor:
        """Log-density of the points under the posterior, (n_draws, n)."""
        return self.posterior.log_prob(self.z)

    @cached_property
    def log_q_of_points(self) -> Tensor:
        """As ``log_q``, with gradients that reach the posterior's parameters through the points alone."""
        return self.posterior.detached().log_prob(self.z)

    @cached_property
    def log_p(self) -> Tensor:
        """Log-density of the points under the prior, (n_draws, n)."""
        return self.prior.log_prob(self.z)

    @cached_property
    def kl(self) -> Tensor:
        """Divergence of the posterior from the prior, (n,): in closed form, or estimated from the points."""
        exact = self.posterior.kl(self.prior)
        return (self.log_q - self.log_p).mean(0) if exact is None else exact

    def rows(self, index: slice | Tensor) -> Latent:
        """Take some rows."""
        return replace(self, z=self.z[:, index], posterior=self.posterior.rows(index))


class VAENetwork(ModalNetwork):
    """Variational autoencoder of several modalities.

    Parameters
    ----------
    prior : Module
        See :mod:`skmm.probability.priors`.
    n_private : sequence of int
        Number of latent variables of each modality alone; behind those that all share, in the order of the
        modalities. None at all where all are shared. Only the modality's own expert tells of them, so that
        they have the prior where it is absent; and only its own decoder is given them.
    **parts
        As for :class:`ModalNetwork`. ``n_components`` counts the private latent variables too.
    """

    told: Tensor | None

    def __init__(self, *, prior: nn.Module, n_private: Sequence[int] = (), **parts: Any) -> None:
        super().__init__(**parts)
        self.prior: Any = prior
        self.n_private = tuple(n_private) if any(n_private) else ()
        self.register_buffer("told", self._told() if self.n_private else None)

    @property
    def n_shared(self) -> int:
        return self.n_components - sum(self.n_private)

    def private_columns(self, modality: int) -> slice:
        """Where a modality's own latent variables stand among all."""
        start = self.n_shared + sum(self.n_private[:modality])
        return slice(start, start + self.n_private[modality])

    def _told(self) -> Tensor:
        """Of which latent variables each modality tells, (n_modalities, n_components), 0 or 1."""
        told = torch.zeros(len(self.n_private), self.n_components)
        told[:, : self.n_shared] = 1
        for modality in range(len(self.n_private)):
            told[modality, self.private_columns(modality)] = 1
        return told

    def code_of(self, code: Tensor, modality: int) -> Tensor:
        if not self.n_private:
            return code
        return torch.cat([code[..., : self.n_shared], code[..., self.private_columns(modality)]], dim=-1)

    def with_private(self, z: Tensor) -> Tensor:
        """Points of the shared latent variables, beside them the prior's mean of the others."""
        if not self.n_private:
            return z
        mean, _ = self.family.moments(self.natural_prior())
        return torch.cat([z, mean[self.n_shared :].expand(*z.shape[:-1], -1)], dim=-1)

    def natural_prior(self) -> Tensor:
        return self.prior.natural()

    def experts(
        self, blocks: Blocks, inputs: tuple[Tensor, ...] | None = None, raw: Tensor | None = None
    ) -> Experts:
        experts = super().experts(blocks, inputs, raw)
        if self.told is not None:  # natural parameters of 0 tell nothing
            told = self.told.repeat(1, experts.natural.shape[-1] // self.n_components)
            told = told.view(len(told), *[1] * (experts.natural.ndim - 2), -1)
            experts = replace(experts, natural=torch.where(told > 0, experts.natural, 0.0))
        if not hasattr(self.prior, "multiplied"):  # an expert stands for it in every product
            return experts
        return replace(experts, family=self.prior.multiplied(experts.family))

    def posterior(self, blocks: Blocks, raw: Tensor | None = None) -> Any:
        return self.fusion(blocks, self.experts(blocks, raw=raw), blocks.present)

    def central(self, blocks: Blocks) -> Tensor:
        return self.posterior(blocks).mean

    def infer(self, blocks: Blocks, n_draws: int, raw: Tensor | None = None) -> Latent:
        """Draw latent points given what is observed; ``raw`` is what the encoders return, where known."""
        posterior = self.posterior(blocks, raw)
        return Latent(posterior.rsample(n_draws), posterior, self.prior)

    def infer_parts(self, posterior: Any, part: Tensor, row: Tensor, n_draws: int) -> Latent:
        """Draw latent points of some parts of a mixture, (n_draws, len(part), n_components).

        Parameters
        ----------
        posterior : posterior
            Of rows, n of them.
        part, row : int64 Tensor of the same length
            Which part of the posterior of which row.
        n_draws : int
        """
        of_rows = posterior.rows(row)
        return Latent(of_rows.only(part).rsample(n_draws), of_rows, self.prior)
