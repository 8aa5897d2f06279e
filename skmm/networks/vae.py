"""The network of MultimodalVAE: encoders, fusion, prior, decoders and likelihoods."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from skmm._blocks.blocks import Blocks
from skmm.probability.fusion import Experts, Fusion
from skmm.probability.likelihoods.contract import Distribution


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


class VAENetwork(nn.Module):
    """Variational autoencoder of several modalities.

    Parameters
    ----------
    names : sequence
        Modalities, for error messages.
    encoders : sequence of Modules
        One per modality, (n, n_inputs) -> (n, family.n_raw(n_components)). None at all for a fusion rule that
        does without experts.
    decoders : sequence of Modules
        One per modality, (n, n_components) -> (n, likelihood.n_raw).
    likelihoods : sequence of Modules
        One per modality.
    sees_mask : sequence of bool
        Whether an encoder is also given where values are missing, behind the values.
    fusion : callable
    family : posterior family
    prior : Module
    weights : sequence of float
        Weight of each modality's reconstruction in training.
    n_components : int
        Number of latent variables.
    """

    modality_weights: Tensor
    importance_weighted = False  # set on the instance where the objective makes the posterior a proposal

    def __init__(
        self,
        *,
        names: Sequence[Hashable],
        encoders: Sequence[nn.Module],
        decoders: Sequence[nn.Module],
        likelihoods: Sequence[nn.Module],
        sees_mask: Sequence[bool],
        fusion: Fusion,
        family: Any,
        prior: nn.Module,
        weights: Sequence[float],
        n_components: int,
    ) -> None:
        super().__init__()
        self.n_components = n_components
        self.names = tuple(names)
        self.encoders = nn.ModuleList(encoders)
        self.decoders = nn.ModuleList(decoders)
        self.likelihoods: Any = nn.ModuleList(likelihoods)
        self.sees_mask = tuple(sees_mask)
        self.fusion = fusion
        self.family = family
        self.prior: Any = prior
        self.register_buffer("modality_weights", torch.tensor(weights, dtype=torch.float32))

    @property
    def width(self) -> int:
        """Floats that one row of one draw takes, about: for bounding the memory of a pass."""
        widest = max((parameter.shape[0] for parameter in self.parameters() if parameter.ndim), default=0)
        decoded = sum(likelihood.width for likelihood in self.likelihoods)
        return decoded + self.n_components + widest

    @property
    def n_statistics(self) -> tuple[int, ...]:
        """Number of statistics of each modality: see :mod:`skmm.probability.likelihoods`."""
        return tuple(likelihood.n_statistics for likelihood in self.likelihoods)

    @torch.no_grad()
    def start(self, blocks: Blocks) -> None:
        """Let the likelihoods start from what the rows hold, so that the model starts as the marginal one."""
        for likelihood, values, observed in zip(
            self.likelihoods, blocks.values, blocks.observed, strict=True
        ):
            likelihood.start(values, observed)

    def experts(self, blocks: Blocks) -> Experts:
        """Each modality's expert, those of absent modalities too, and what they were made from."""
        inputs, raw = [], []
        for likelihood, values, observed in zip(
            self.likelihoods, blocks.values, blocks.observed, strict=True
        ):
            features = likelihood.features(values, observed)
            inputs.append(torch.cat([features, (~observed).to(features.dtype)], dim=-1))
        prior = self.prior.natural()
        if not self.encoders:  # the fusion rule does without
            return Experts(None, prior, self.family, inputs=tuple(inputs))
        for encoder, likelihood, sees_mask, seen, observed in zip(
            self.encoders, self.likelihoods, self.sees_mask, inputs, blocks.observed, strict=True
        ):
            if sees_mask:
                raw.append(encoder(seen))
            else:
                raw.append(self._where_present(encoder, seen[..., : likelihood.n_inputs], observed.any(-1)))
        stacked = torch.stack(raw)
        return Experts(self.family.natural(stacked), prior, self.family, stacked, tuple(inputs))

    def _where_present(self, encoder: nn.Module, inputs: Tensor, present: Tensor) -> Tensor:
        """Give a user's encoder only the rows that have its modality.

        Masking what it says of the others would be too late: a division by zero inside it makes its own
        gradients NaN, and its batch statistics would count rows that are not there.
        """
        raw = inputs.new_zeros(*present.shape, self.family.n_raw(self.n_components))
        if not present.any():
            return raw
        rows = inputs[present]
        if self.training and len(rows) == 1:
            # batch statistics of a single row are an error in torch; those of the row and its copy are not
            return raw.masked_scatter(present[..., None], encoder(rows.repeat(2, 1))[:1])
        return raw.masked_scatter(present[..., None], encoder(rows))

    def posterior(self, blocks: Blocks) -> Any:
        """Posterior of the latent variable given what is observed; the prior where nothing is."""
        return self.fusion(blocks, self.experts(blocks), blocks.present)

    def infer(self, blocks: Blocks, n_draws: int) -> Latent:
        """Draw latent points given what is observed."""
        posterior = self.posterior(blocks)
        return Latent(posterior.rsample(n_draws), posterior, self.prior)

    def decode(self, z: Tensor) -> tuple[Distribution, ...]:
        """Distribution of every modality at latent points (..., n_components)."""
        flat = z.reshape(-1, z.shape[-1])  # users' decoders take rows only
        return tuple(
            likelihood(decoder(flat).unflatten(0, z.shape[:-1]))
            for decoder, likelihood in zip(self.decoders, self.likelihoods, strict=True)
        )

    def log_likelihood(self, distributions: Sequence[Distribution], targets: Blocks) -> Tensor:
        """Log-density of what is observed, per modality: (n_modalities, ..., n)."""
        return torch.stack(
            [
                distribution.log_prob(values, observed)
                for distribution, values, observed in zip(
                    distributions, targets.values, targets.observed, strict=True
                )
            ]
        )

    @torch.no_grad()
    def culprit(self, blocks: Blocks) -> str:
        """Say which part of the network returns NaN or infinite numbers."""
        experts = self.experts(blocks)
        if experts.natural is not None:
            wrong = ~experts.natural.isfinite().all(-1) & blocks.present
            for name, rows in zip(self.names, wrong, strict=True):
                if rows.any():
                    return f"the encoder of modality {name!r} returned NaN or infinite numbers"
        posterior = self.posterior(blocks)
        if not (posterior.mean.isfinite().all() and posterior.stddev.isfinite().all()):
            return "the fusion of the modalities returned NaN or infinite numbers"
        for name, distribution in zip(self.names, self.decode(posterior.mean), strict=True):
            if not (distribution.mean.isfinite().all() and distribution.stddev.isfinite().all()):
                return f"the decoder of modality {name!r} returned NaN or infinite numbers"
        return (
            "no single part of the network returned NaN or infinite numbers, but their result is not finite"
        )
