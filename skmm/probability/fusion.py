"""Fusion: how the modalities' experts become one posterior.

A fusion rule is a function, or a module where it has parameters, of ``(blocks, experts, present)`` that
returns a posterior. Experts carry natural parameters, so multiplying experts is adding them; the rules here
differ only in the sets of modalities whose products they mix.

To add one, write such a function here and name it in ``FUSIONS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks

MAX_MODALITIES_FOR_ALL_SUBSETS = 6
N_RANDOM_SUBSETS = 64


@dataclass(frozen=True)
class Experts:
    """What each modality says about the latent variable.

    Parameters
    ----------
    natural : Tensor of shape (n_modalities, ..., n_natural)
        Natural parameters of each modality's expert. Those of absent modalities are ignored, also where
        they are not finite.
    prior : Tensor of shape (n_natural,) or (..., n_natural)
        Natural parameters of the prior expert, which enters every product.
    family : posterior family
        See :mod:`skmm.probability.posteriors`.
    """

    natural: Tensor
    prior: Tensor
    family: Any


def product_of_experts(blocks: Blocks, experts: Experts, present: Tensor) -> Any:
    """Multiply the prior and the experts of the modalities that are present.

    Parameters
    ----------
    blocks : Blocks
        Not used: experts say all that is needed.
    experts : Experts
    present : bool Tensor of shape (n_modalities, ...)
        True where the modality was observed.

    Returns
    -------
    posterior
        Of one part; the prior where nothing is present.

    References
    ----------
    .. [1] Wu and Goodman (2018), "Multimodal Generative Models for Scalable Weakly-Supervised Learning",
       eq. 3.
    """
    natural = torch.where(present[..., None], experts.natural, 0.0).sum(0) + experts.prior
    return experts.family.posterior(natural[None], None)


def mixture_of_experts(blocks: Blocks, experts: Experts, present: Tensor) -> Any:
    """Average over the modalities that are present; each part is the prior times one expert.

    Parameters
    ----------
    blocks : Blocks
        Not used.
    experts : Experts
    present : bool Tensor of shape (n_modalities, ...)

    Returns
    -------
    posterior
        One part per modality, equally weighted over those present; the prior where none is.

    References
    ----------
    .. [1] Shi et al. (2019), "Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative
       Models", sec. 3.
    """
    n_modalities = present.shape[0]
    members = torch.eye(n_modalities, dtype=torch.bool, device=present.device)
    return _mixture(experts, present, members, present)


def mixture_of_products(blocks: Blocks, experts: Experts, present: Tensor) -> Any:
    """Average over subsets of the modalities present; each part is the product of experts of a subset.

    With up to six modalities all subsets of those present count; with more, a fixed number of random
    ones, cut to what is present, with the whole set and each single modality among them.

    Parameters
    ----------
    blocks : Blocks
        Not used.
    experts : Experts
    present : bool Tensor of shape (n_modalities, ...)

    Returns
    -------
    posterior
        One part per subset, equally weighted over those that count; the prior where nothing is present.

    References
    ----------
    .. [1] Sutter, Daunhawer and Vogt (2021), "Generalized Multimodal ELBO", eq. 6.
    """
    n_modalities = present.shape[0]
    members = torch.tensor(_subsets(n_modalities), device=present.device)  # (C, M)
    overlap = torch.tensordot(
        members.float(), present.float(), dims=1
    )  # (C, ...): modalities of each present
    if n_modalities <= MAX_MODALITIES_FOR_ALL_SUBSETS:
        size = members.sum(1).view(-1, *[1] * (overlap.ndim - 1))
        return _mixture(experts, present, members, overlap == size)
    return _mixture(experts, present, members, overlap > 0)


@lru_cache(maxsize=32)
def _subsets(n_modalities: int) -> np.ndarray:
    """Membership of the subsets that a mixture of products draws on, (n_subsets, n_modalities)."""
    if n_modalities <= MAX_MODALITIES_FOR_ALL_SUBSETS:
        codes = np.arange(1, 2**n_modalities)
        return (codes[:, None] >> np.arange(n_modalities)) % 2 == 1
    # a fixed seed: the same mixture in every process, in training and afterwards
    rng = np.random.RandomState(0)
    rest = rng.uniform(size=(N_RANDOM_SUBSETS, n_modalities)) < 0.5
    whole = np.ones((1, n_modalities), dtype=bool)
    return np.concatenate([np.eye(n_modalities, dtype=bool), whole, rest])


def _mixture(experts: Experts, present: Tensor, members: Tensor, counts: Tensor) -> Any:
    """Mix products of experts.

    Parameters
    ----------
    members : bool Tensor of shape (n_parts, n_modalities)
        The modalities that each part multiplies, where they are present.
    counts : bool Tensor of shape (n_parts, ...)
        The parts that have a weight. Where none has, all parts are the prior, and any weights do.
    """
    natural = torch.where(present[..., None], experts.natural, 0.0)
    natural = torch.tensordot(members.to(natural.dtype), natural, dims=1) + experts.prior  # (C, ..., p)
    counts = counts | ~counts.any(0)
    log_weights = torch.where(counts, -counts.sum(0).to(natural.dtype).log(), -torch.inf)
    return experts.family.posterior(natural, log_weights)


Fusion = Callable[[Blocks, Experts, Tensor], Any]

FUSIONS: dict[str, Fusion] = {
    "poe": product_of_experts,
    "moe": mixture_of_experts,
    "mopoe": mixture_of_products,
}
