"""An encoder of the set of all observed features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from skmm._blocks.blocks import Blocks
from skmm.probability.experts import Experts, Sizes


class SetEncoder(nn.Module):
    r"""One encoder of the set of all observed features, whatever modality they belong to.

    .. math:: g\Big( \sum_{i \text{ observed}} h(E_i x_i + e_i) \Big)

    Every feature has an embedding of its own, :math:`E_i, e_i`; the networks h and g are shared by all. What
    is missing adds nothing to the sum. Its answer multiplies the prior. It takes no more parameters for many
    small modalities, such as single pixels, than for a few large ones, and like a joint encoder it finds what
    modalities tell only together.

    Parameters
    ----------
    sizes : Sizes
    width : int, default=64
        Numbers in which a feature, and the set of them, is told.

    References
    ----------
    .. [1] Ma et al. (2019), "EDDI: Efficient Dynamic Discovery of High-Value Information with Partial VAE",
       eq. 4: values times embeddings ("pointnet plus"), here with a bias per feature.
    .. [2] Zaheer et al. (2017), "Deep Sets", theorem 2.
    """

    uses_experts = False
    owner: Tensor

    def __init__(self, sizes: Sizes, width: int = 64) -> None:
        super().__init__()
        self.features = sizes.features or tuple((1,) * (n // 2) for n in sizes.n_inputs)
        told = tuple(sum(widths) + len(widths) for widths in self.features)
        if told != sizes.n_inputs:
            raise ValueError(
                f"A set encoder needs to know which inputs show which feature: features={self.features} take "
                f"{told} inputs, but there are {sizes.n_inputs}."
            )
        every = [size for widths in self.features for size in widths]
        self.register_buffer(
            "owner", torch.arange(len(every)).repeat_interleave(torch.tensor(every)), persistent=False
        )
        self.embedding = nn.Parameter(torch.randn(sum(every), width) / width**0.5)
        self.bias = nn.Parameter(torch.randn(len(every), width) / width**0.5)
        self.inner = sizes.dense(width, width)
        self.outer = sizes.dense(width, sizes.n_raw)

    def forward(self, blocks: Blocks, experts: Experts, present: Tensor) -> Any:
        values, missing = [], []
        for seen, widths in zip(experts.inputs, self.features, strict=True):
            values.append(seen[..., : -len(widths)])
            missing.append(seen[..., -len(widths) :])
        tokens = torch.cat(values, dim=-1)[..., None] * self.embedding  # (..., I, E)
        if len(self.owner) == len(self.bias):  # one number per feature
            tokens = tokens + self.bias
        else:
            tokens = self.bias.expand(*tokens.shape[:-2], -1, -1).index_add(-2, self.owner, tokens)
        observed = 1 - torch.cat(missing, dim=-1)[..., None]
        told = (observed * self.inner(tokens)).sum(-2) / len(self.bias) ** 0.5
        natural = experts.family.natural(self.outer(told))
        natural = torch.where(present.any(0)[..., None], natural, 0.0) + experts.prior
        return experts.family.posterior(natural[None], None)
