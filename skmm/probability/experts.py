"""What fusion rules are given: the experts of the modalities, and the sizes of what there is to see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Experts:
    """What each modality says about the latent variable.

    Parameters
    ----------
    natural : Tensor of shape (n_modalities, ..., n_natural)
        Natural parameters of each modality's expert. Those of absent modalities are ignored, also where
        they are not finite.
    prior : Tensor of shape (n_natural,) or (..., n_natural), or a single zero
        Natural parameters of the prior expert, which enters every product. A single zero where the prior
        multiplies what the rule returns: along sequences, and where it is a mixture.
    family : posterior family
        See :mod:`skmm.probability.posteriors`.
    raw : Tensor of shape (n_modalities, ..., n_raw) or None
        What the encoders returned, from which ``family.natural`` makes natural parameters. Like them, of no
        meaning for absent modalities. None where there are no encoders, and so are they.
    inputs : tuple of Tensors of shape (..., n_inputs of the modality)
        What there is to see of each modality: features, zero where missing, and where values are missing.
    """

    natural: Any
    prior: Tensor
    family: Any
    raw: Tensor | None = None
    inputs: tuple[Tensor, ...] = ()

    @property
    def multiplied_later(self) -> bool:
        """Whether the prior is no expert here, but multiplies what the rule returns."""
        return self.prior.ndim == 0


@dataclass(frozen=True)
class Sizes:
    """What a fusion rule with parameters is made from.

    Parameters
    ----------
    n_inputs : tuple of int
        Numbers per row in ``Experts.inputs``, of each modality.
    n_raw : int
        Numbers that an encoder returns per row.
    dense : callable
        ``dense(n_in, n_out) -> Module``: the estimator's default network.
    features : tuple of tuples of int
        How many of a modality's inputs show each of its features; behind them, its inputs say of each feature
        whether it is missing. Empty: one number per feature.
    """

    n_inputs: tuple[int, ...]
    n_raw: int
    dense: Callable[[int, int], nn.Module]
    features: tuple[tuple[int, ...], ...] = ()

    @property
    def n_modalities(self) -> int:
        """Number of modalities."""
        return len(self.n_inputs)
