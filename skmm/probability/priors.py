"""Priors of the latent variables.

A prior is a module, made for a number of components, with ``rsample(n)`` -> (n, n_components),
``log_prob(z)`` over the trailing axis, and ``natural()``: the natural parameters of the expert that stands
for it in a product. To add one, write such a module here and name it in ``PRIORS``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LOG_2PI = math.log(2 * math.pi)


class StandardNormal(nn.Module):
    """Independent components of mean 0 and variance 1.

    Parameters
    ----------
    n_components : int
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(n_components))
        self.register_buffer("scale", torch.ones(n_components))

    def rsample(self, n: int) -> Tensor:
        """Draw n points, (n, n_components)."""
        return torch.randn(n, len(self.loc), device=self.loc.device, dtype=self.loc.dtype)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of points (..., n_components)."""
        return -0.5 * (z.square() + LOG_2PI).sum(-1)

    def natural(self) -> Tensor:
        """Precision-weighted mean and precision, (2 * n_components,)."""
        precision = self.scale**-2
        return torch.cat([self.loc * precision, precision])


PRIORS = {"normal": StandardNormal}
