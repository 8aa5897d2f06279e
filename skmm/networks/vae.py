"""The network of MultimodalVAE: encoders, fusion, prior, decoders and likelihoods."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from skmm._blocks.blocks import Blocks
from skmm.networks.modal import ModalNetwork


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
    def log_p(self) -> Tensor:
        """Log-density of the points under the prior, (n_draws, n)."""
        return self.prior.log_prob(self.z)

    @cached_property
    def kl(self) -> Tensor:
        """Divergence of the posterior from the prior, (n,): in closed form, or estimated from the points."""
        exact = self.posterior.kl(self.prior)
        return (self.log_q - self.log_p).mean(0) if exact is None else exact


class VAENetwork(ModalNetwork):
    """Variational autoencoder of several modalities.

    Parameters
    ----------
    prior : Module
        See :mod:`skmm.probability.priors`.
    **parts
        As for :class:`ModalNetwork`.
    """

    def __init__(self, *, prior: nn.Module, **parts: Any) -> None:
        super().__init__(**parts)
        self.prior: Any = prior

    def natural_prior(self) -> Tensor:
        return self.prior.natural()

    def posterior(self, blocks: Blocks) -> Any:
        return self.fusion(blocks, self.experts(blocks), blocks.present)

    def central(self, blocks: Blocks) -> Tensor:
        return self.posterior(blocks).mean

    def infer(self, blocks: Blocks, n_draws: int) -> Latent:
        """Draw latent points given what is observed."""
        posterior = self.posterior(blocks)
        return Latent(posterior.rsample(n_draws), posterior, self.prior)
