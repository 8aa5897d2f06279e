"""How evidence and the recurrent prior become the posterior of a step, in a network for sequences.

Such a module is asked twice. ``evidence(network, blocks, inputs, summary, told)`` collects, for all steps at
once, what the observed values say, with a method ``unbind()`` that gives it step by step, and
``steps(index)`` that cuts it in time. ``forward(said, hidden, prior)`` makes the natural parameters of one
step's posterior, (n_parts, n_draws, n, n_natural), and the logarithms of the parts' weights or None, from
what is said at the step, the hidden state and the prior's natural parameters, both (n_draws, n, ...).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from skmm._blocks.blocks import Blocks
from skmm.networks.modal import ModalNetwork


@dataclass(frozen=True)
class ProductEvidence:
    """Natural parameters of the parts that the prior of each step will multiply.

    Parameters
    ----------
    natural : Tensor of shape (n_parts, 1, n, n_steps, n_natural)
    log_weights : Tensor of shape (n_parts, 1, n, n_steps) or None
    """

    natural: Tensor
    log_weights: Tensor | None

    def unbind(self) -> list[tuple[Tensor, Tensor | None]]:
        natural = self.natural.unbind(-2)
        weights: Any = [None] * len(natural)
        if self.log_weights is not None:
            weights = self.log_weights.unbind(-1)
        return list(zip(natural, weights, strict=True))

    def steps(self, index: slice) -> ProductEvidence:
        weights = None if self.log_weights is None else self.log_weights[..., index]
        return ProductEvidence(self.natural[..., index, :], weights)


@dataclass(frozen=True)
class _Unfinished:
    """A posterior family for fusion rules whose result is still to be multiplied by the prior."""

    family: Any

    def n_raw(self, n_components: int) -> int:
        return self.family.n_raw(n_components)

    def natural(self, raw: Tensor) -> Tensor:
        return self.family.natural(raw)

    def moments(self, natural: Tensor) -> tuple[Tensor, Tensor]:
        return self.family.moments(natural)

    def natural_of(self, loc: Tensor, scale: Tensor) -> Tensor:
        return self.family.natural_of(loc, scale)

    def posterior(self, natural: Tensor, log_weights: Tensor | None) -> ProductEvidence:
        weights = None if log_weights is None else log_weights[:, None]
        return ProductEvidence(natural[:, None], weights)


class ProductInference(nn.Module):
    """Product of the recurrent prior, what the fusion rule makes of the modalities, and the future's expert.

    All but the prior is known before the recurrence starts. A step with nothing observed, then or later,
    has the prior for its posterior.

    Parameters
    ----------
    future : Module or None
        From the backward summary to the natural parameters' raw form, (n, n_hidden) -> (n, n_raw).
    """

    def __init__(self, future: nn.Module | None) -> None:
        super().__init__()
        self.future = future

    def evidence(
        self,
        network: ModalNetwork,
        blocks: Blocks,
        inputs: tuple[Tensor, ...],
        summary: Tensor | None,
        told: Tensor | None,
    ) -> ProductEvidence:
        family = network.family
        experts = replace(network.experts(blocks, inputs), family=_Unfinished(family))
        said = network.fusion(blocks, experts, blocks.present)
        if not isinstance(said, ProductEvidence):
            raise ValueError(
                "In sequences, fusion must return experts.family.posterior(natural, log_weights), to which "
                f"the prior of each step is added; it returned a {type(said).__qualname__}."
            )
        if summary is None or self.future is None:
            return said
        assert told is not None
        future = torch.where(told[..., None], family.natural(self.future(summary)), 0.0)
        return ProductEvidence(said.natural + future, said.log_weights)

    def forward(
        self, said: tuple[Tensor, Tensor | None], hidden: Tensor, prior: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        natural, log_weights = said
        if log_weights is not None:
            log_weights = log_weights.expand(-1, len(prior), -1)
        return natural + prior, log_weights


@dataclass(frozen=True)
class JoinedEvidence:
    """Features of each step, and where they tell anything.

    Parameters
    ----------
    features : Tensor of shape (n, n_steps, n_hidden)
    told : bool Tensor of shape (n, n_steps)
    """

    features: Tensor
    told: Tensor

    def unbind(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self.features.unbind(1), self.told.unbind(1), strict=True))

    def steps(self, index: slice) -> JoinedEvidence:
        return JoinedEvidence(self.features[:, index], self.told[:, index])


class JoinedInference(nn.Module):
    """One network that sees the features of all modalities side by side, and the hidden state.

    For a modality that is missing stand a learned token and a flag that says so, or zeros.

    Parameters
    ----------
    family : posterior family
    n_modalities, n_features : int
        Of each modality, an encoder returns ``n_features`` numbers.
    n_hidden : int
        Of the recurrence.
    n_future : int
        Of the backward summary; 0 where there is none.
    n_raw : int
        Numbers per step that make a posterior.
    tokens : bool
        False for zeros without a flag.
    dense : callable
        ``dense(n_in, n_out) -> Module``.

    References
    ----------
    .. [1] Chung et al. (2015), "A Recurrent Latent Variable Model for Sequential Data", eq. 9.
    """

    def __init__(
        self,
        family: Any,
        n_modalities: int,
        n_features: int,
        n_hidden: int,
        n_future: int,
        n_raw: int,
        *,
        tokens: bool,
        dense: Callable[[int, int], nn.Module],
    ) -> None:
        super().__init__()
        n_parts = n_modalities + (n_future > 0)
        n_joined = n_modalities * n_features + n_future + (n_parts if tokens else 0)
        self.family = family
        self.tokens = nn.Parameter(torch.zeros(n_modalities, n_features)) if tokens else None
        self.future_token = nn.Parameter(torch.zeros(n_future)) if tokens and n_future else None
        self.n_future = n_future
        self.join = dense(n_joined, n_hidden)
        self.head = dense(2 * n_hidden, n_raw)

    def evidence(
        self,
        network: ModalNetwork,
        blocks: Blocks,
        inputs: tuple[Tensor, ...],
        summary: Tensor | None,
        told: Tensor | None,
    ) -> JoinedEvidence:
        raw = network.encode(inputs, blocks)  # (M, n, T, F)
        present = blocks.present
        absent = self.tokens[:, None, None] if self.tokens is not None else 0.0
        parts = [torch.where(present[..., None], raw, absent).movedim(0, -2).flatten(-2)]
        flags = [(~present).movedim(0, -1)]
        anything = present.any(0)
        if self.n_future:
            if summary is None or told is None:
                summary = raw.new_zeros(*present.shape[1:], self.n_future)
                told = torch.zeros_like(anything)
            instead = self.future_token if self.future_token is not None else 0.0
            parts.append(torch.where(told[..., None], summary, instead))
            flags.append(~told[..., None])
            anything = anything | told
        if self.tokens is not None:
            parts += [flag.to(raw.dtype) for flag in flags]
        return JoinedEvidence(self.join(torch.cat(parts, dim=-1)), anything)

    def forward(self, said: tuple[Tensor, Tensor], hidden: Tensor, prior: Tensor) -> tuple[Tensor, None]:
        features, told = said
        raw = self.head(torch.cat([features.expand(len(hidden), -1, -1), hidden], dim=-1))
        return torch.where(told[..., None], self.family.natural(raw), prior)[None], None
