"""What networks of several modalities share: encoders, experts, decoders and likelihoods."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from skmm._blocks.blocks import Blocks
from skmm._blocks.masks import as_numbers
from skmm.probability.experts import Experts
from skmm.probability.fusion import Fusion
from skmm.probability.likelihoods.contract import Distribution


class ModalNetwork(nn.Module):
    """Encoders, decoders and likelihoods of several modalities, over any leading axes.

    A subclass makes a posterior of what the encoders say, in ``posterior(blocks)``, ``central(blocks)`` and
    ``infer(blocks, n_draws)``, and has ``natural_prior()``, the prior's expert for fusion rules.

    Parameters
    ----------
    names : sequence
        Modalities, for error messages.
    encoders : sequence of Modules
        One per modality, (n, n_inputs) -> (n, n_encoded). None at all for a fusion rule that
        does without experts.
    decoders : sequence of Modules
        One per modality, (n, n_code) -> (n, likelihood.n_raw).
    likelihoods : sequence of Modules
        One per modality.
    sees_mask : sequence of bool
        Whether an encoder is also given where values are missing, behind the values.
    fusion : callable
    family : posterior family
    weights : sequence of float
        Weight of each modality's reconstruction in training.
    n_components : int
        Number of latent variables.
    n_encoded : int or None
        Numbers that an encoder returns; None for those of an expert, ``family.n_raw(n_components)``.
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
        weights: Sequence[float],
        n_components: int,
        n_encoded: int | None = None,
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
        self.n_encoded = family.n_raw(n_components) if n_encoded is None else n_encoded
        self._widest = 0
        self.register_buffer("modality_weights", torch.tensor(weights, dtype=torch.float32))

    @property
    def n_shared(self) -> int:
        """Number of the latent variables that all modalities share; they come first."""
        return self.n_components

    @property
    def width(self) -> int:
        """Floats that one row of one draw takes, about: for bounding the memory of a pass."""
        widest = max((parameter.shape[0] for parameter in self.parameters() if parameter.ndim), default=0)
        decoded = sum(likelihood.width for likelihood in self.likelihoods)
        return decoded + self.n_components + max(widest, self._widest)

    @contextmanager
    def measured(self, blocks: Blocks) -> Iterator[None]:
        """Note the largest tensor that a module makes of these rows meanwhile, for ``width``.

        Convolutions and encoders of sets make far larger ones than their parameters tell.
        """
        n_rows = blocks.joint.shape[:-1].numel()

        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                self._widest = max(self._widest, output.numel() // n_rows)

        hooks = [module.register_forward_hook(note) for module in self.modules()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

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

    def natural_prior(self) -> Tensor:
        """Natural parameters of the prior's expert, (n_natural,)."""
        raise NotImplementedError

    def posterior(self, blocks: Blocks) -> Any:
        """Posterior of the latent variable given what is observed; the prior where nothing is."""
        raise NotImplementedError

    def central(self, blocks: Blocks) -> Tensor:
        """What decoders are given at the posterior's mean, (..., n_code)."""
        raise NotImplementedError

    def inputs(self, blocks: Blocks) -> tuple[Tensor, ...]:
        """What there is to see of each modality: features, and where values are missing."""
        if blocks.seen is not None:
            return blocks.seen
        seen = []
        for likelihood, values, observed in zip(
            self.likelihoods, blocks.values, blocks.observed, strict=True
        ):
            features = likelihood.features(values, observed)
            seen.append(torch.cat([features, as_numbers(~observed, features.dtype)], dim=-1))
        return tuple(seen)

    def encode(self, inputs: Sequence[Tensor], blocks: Blocks) -> Tensor:
        """What the encoders return, of absent modalities too, (n_modalities, ..., n_encoded)."""
        return torch.stack([self.encode_one(modality, seen, blocks) for modality, seen in enumerate(inputs)])

    def encode_one(self, modality: int, seen: Tensor, blocks: Blocks) -> Tensor:
        """What the encoder of one modality returns, (..., n_encoded)."""
        encoder = self.encoders[modality]
        if self.sees_mask[modality]:
            return encoder(seen)
        features = seen[..., : self.likelihoods[modality].n_inputs]
        return self._where_present(encoder, features, blocks.observed[modality].any(-1))

    def _where_present(self, encoder: nn.Module, inputs: Tensor, present: Tensor) -> Tensor:
        """Give a user's encoder only the rows that have its modality.

        Masking what it says of the others would be too late: a division by zero inside it makes its own
        gradients NaN, and its batch statistics would count rows that are not there.
        """
        raw = inputs.new_zeros(*present.shape, self.n_encoded)
        if not present.any():
            return raw
        rows = inputs[present]
        if self.training and len(rows) == 1:
            # batch statistics of a single row are an error in torch; those of the row and its copy are not
            return raw.masked_scatter(present[..., None], encoder(rows.repeat(2, 1))[:1])
        return raw.masked_scatter(present[..., None], encoder(rows))

    def experts(
        self, blocks: Blocks, inputs: tuple[Tensor, ...] | None = None, raw: Tensor | None = None
    ) -> Experts:
        """Each modality's expert, those of absent modalities too, and what they were made from.

        Parameters
        ----------
        blocks : Blocks
        inputs, raw : optional
            What :meth:`inputs` and :meth:`encode` return, where this is known already.
        """
        inputs = self.inputs(blocks) if inputs is None else inputs
        prior = self.natural_prior()
        if not self.encoders:  # the fusion rule does without
            return Experts(None, prior, self.family, inputs=inputs)
        raw = self.encode(inputs, blocks) if raw is None else raw
        return Experts(self.family.natural(raw), prior, self.family, raw, inputs)

    def decode(self, code: Tensor) -> tuple[Distribution, ...]:
        """Distribution of every modality given what decoders see of latent points, (..., n_code)."""
        flat = code.reshape(-1, code.shape[-1])  # users' decoders take rows only
        return tuple(
            likelihood(decoder(self.code_of(flat, modality)).unflatten(0, code.shape[:-1]))
            for modality, (decoder, likelihood) in enumerate(
                zip(self.decoders, self.likelihoods, strict=True)
            )
        )

    def with_private(self, z: Tensor) -> Tensor:
        """Points of all latent variables, (..., n_components), from those of the shared ones."""
        return z

    def code_of(self, code: Tensor, modality: int) -> Tensor:
        """What the decoder of a modality is given of what all decoders see, (..., n_code)."""
        return code

    def log_likelihood(self, distributions: Sequence[Distribution], targets: Blocks) -> Tensor:
        """Log-density of what is observed, per modality: (n_modalities, n_draws, n)."""
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
        if self.encoders:
            raw = self.encode(self.inputs(blocks), blocks)
            wrong = ~raw.isfinite().all(-1) & blocks.present
            for name, rows in zip(self.names, wrong, strict=True):
                if rows.any():
                    return f"the encoder of modality {name!r} returned NaN or infinite numbers"
        # decoders first, of what they were given that is finite: a recurrence may pass on what they return
        code = self.central(blocks)
        code = code[code.isfinite().all(-1)]
        for name, distribution in zip(self.names, self.decode(code), strict=True):
            if not (distribution.mean.isfinite().all() and distribution.stddev.isfinite().all()):
                return f"the decoder of modality {name!r} returned NaN or infinite numbers"
        posterior = self.posterior(blocks)
        if not (posterior.mean.isfinite().all() and posterior.stddev.isfinite().all()):
            return "the fusion of the modalities returned NaN or infinite numbers"
        return (
            "no single part of the network returned NaN or infinite numbers, but their result is not finite"
        )
