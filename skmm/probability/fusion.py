"""Fusion: how the modalities' experts become one posterior.

A fusion rule is called as ``(blocks, experts, present)`` and returns a posterior. It is a function, or, where
it has parameters, a module that is made from :class:`~skmm.probability.experts.Sizes`. Experts, see
:class:`~skmm.probability.experts.Experts`, carry natural parameters, so multiplying experts is adding them. A
module whose ``uses_experts`` is False does without: no encoders are made for it.

To add one, write such a function or module here and name it in ``FUSIONS``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skmm._blocks.blocks import Blocks
from skmm.probability.experts import Experts, Sizes
from skmm.probability.pooling import hellinger_pool, wasserstein_barycentre
from skmm.probability.set_encoder import SetEncoder

MAX_MODALITIES_FOR_ALL_SUBSETS = 6
N_RANDOM_SUBSETS = 64


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
    return _product(experts.natural, experts, present)


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


def _product(natural: Tensor, experts: Experts, present: Tensor) -> Any:
    """Multiply the prior and experts given by their natural parameters."""
    total = torch.where(present[..., None], natural, 0.0).sum(0) + experts.prior
    return experts.family.posterior(total[None], None)


class GeneralisedProduct(nn.Module):
    r"""Product of experts raised to powers, one learned power per modality.

    .. math:: q(z|x) \propto p(z) \prod_m q_m(z|x_m)^{\alpha_m}, \quad \alpha_m > 0

    One number per modality says how far its expert is to be trusted: sharpened above one, flattened below.
    All powers start at one, where this is the product of experts.

    Parameters
    ----------
    sizes : Sizes

    References
    ----------
    .. [1] Cao and Fleet (2014), "Generalized Product of Experts for Automatic and Principled Fusion of
       Gaussian Process Predictions", eq. 2.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.log_powers = nn.Parameter(torch.zeros(sizes.n_modalities))

    def forward(self, blocks: Blocks, experts: Experts, present: Tensor) -> Any:
        powers = self.log_powers.exp().view(-1, *[1] * present.ndim)
        # masked before they are multiplied: a power's gradient is a sum over all rows
        natural = torch.where(present[..., None], experts.natural, 0.0)
        return _product(powers * natural, experts, present)


class JointEncoder(nn.Module):
    """One encoder that sees all modalities at once, and where values are missing.

    It finds what modalities tell only together, such as a size from one and a sign from another, which no
    product of separate experts can say. But it has to learn every pattern of missing modalities from examples
    of it. Its answer multiplies the prior.

    Parameters
    ----------
    sizes : Sizes

    References
    ----------
    .. [1] Suzuki, Nakayama and Matsuo (2016), "Joint Multimodal Learning with Deep Generative Models".
    .. [2] Collier, Nazabal and Williams (2020), "VAEs in the Presence of Missing Data", sec. 3: masks as
       inputs.
    """

    uses_experts = False

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = sizes.dense(sum(sizes.n_inputs), sizes.n_raw)

    def forward(self, blocks: Blocks, experts: Experts, present: Tensor) -> Any:
        natural = experts.family.natural(self.encoder(torch.cat(experts.inputs, dim=-1)))
        return _product(natural[None], experts, present.any(0, keepdim=True))


class AttentionOverExperts(nn.Module):
    """Product of experts that have seen one another.

    Every expert present attends to all others present and is corrected by what it learns; the corrected
    experts are multiplied. Like a joint encoder, it finds what modalities tell only together. The corrections
    start at zero: training starts from a product of experts.

    Parameters
    ----------
    sizes : Sizes
    width : int, default=64
        Of the experts' tokens.
    n_heads : int, default=4

    References
    ----------
    .. [1] Vaswani et al. (2017), "Attention Is All You Need", sec. 3.2.
    .. [2] Lee et al. (2019), "Set Transformer", sec. 3.1.
    """

    def __init__(self, sizes: Sizes, width: int = 64, n_heads: int = 4) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.token = nn.Linear(sizes.n_raw, width)
        self.modality = nn.Parameter(0.1 * torch.randn(sizes.n_modalities, width))
        self.attention = nn.Linear(width, 3 * width)
        self.hidden = nn.Linear(width, width)
        self.correction = nn.Linear(width, sizes.n_raw)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, blocks: Blocks, experts: Experts, present: Tensor) -> Any:
        assert experts.raw is not None
        raw = torch.where(present[..., None], experts.raw, 0.0).movedim(0, -2)  # (..., M, n_raw)
        tokens = self.token(raw) + self.modality
        query, key, value = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(-2, -3)  # (..., H, M, E)
            for part in self.attention(tokens).chunk(3, dim=-1)
        )
        # where nothing is present, anything may be attended to: the prior is all that is left in the product
        seen = (present | ~present.any(0)).movedim(0, -1)[..., None, None, :]  # (..., 1, 1, M)
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        told = scores.masked_fill(~seen, -torch.inf).softmax(-1) @ value
        tokens = tokens + told.transpose(-2, -3).flatten(-2)
        corrected = raw + self.correction(nn.functional.silu(self.hidden(tokens)))
        return _product(experts.family.natural(corrected.movedim(-2, 0)), experts, present)


Fusion = Callable[[Blocks, Experts, Tensor], Any]

FUSIONS: dict[str, Any] = {
    "poe": product_of_experts,
    "moe": mixture_of_experts,
    "mopoe": mixture_of_products,
    "gpoe": GeneralisedProduct,
    "wasserstein": wasserstein_barycentre,
    "hellinger": hellinger_pool,
    "joint": JointEncoder,
    "set": SetEncoder,
    "attention": AttentionOverExperts,
}


def build_fusion(spec: Any, sizes: Sizes) -> Fusion:
    """Make a fusion rule.

    Parameters
    ----------
    spec : str, callable, Module or class
        A name in ``FUSIONS``; a function; a Module, which is copied; or a class, which is given ``sizes``
        (as is a ``functools.partial`` of one, which sets its other parameters).
    sizes : Sizes
    """
    if isinstance(spec, str):
        spec = FUSIONS[spec]
    is_class = isinstance(spec.func if isinstance(spec, partial) else spec, type)
    return spec(sizes) if is_class else copy.deepcopy(spec)
