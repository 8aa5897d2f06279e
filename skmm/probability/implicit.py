"""Gradients of points drawn from a mixture of normal densities, to its weights too."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_DENSITY = 1e-6  # points in the gaps between parts, which hardly ever come, would have unbounded gradients


def with_gradients(z: Tensor, loc: Tensor, scale: Tensor, log_weights: Tensor) -> Tensor:
    r"""Give points of a mixture of diagonal normal densities their gradients to its parameters.

    To choose a part is no smooth function of the weights. Points z with fixed levels
    :math:`u_d = F_d(z_d|z_1 \dots z_{d-1}; \theta)` are one, and distributed alike:

    .. math:: \frac{dz}{d\theta} = - \Big(\frac{\partial F}{\partial z}\Big)^{-1}
              \frac{\partial F}{\partial\theta}

    Parameters
    ----------
    z : Tensor of shape (n_draws, ..., n_components)
        Points; only their values matter.
    loc, scale : Tensor of shape (n_parts, ..., n_components)
    log_weights : Tensor of shape (n_parts, ...)

    Returns
    -------
    Tensor of shape (n_draws, ..., n_components)
        The same points.

    References
    ----------
    .. [1] Figurnov, Mohamed and Mnih (2018), "Implicit Reparameterization Gradients", eq. 5 and sec. 4.
    .. [2] Graves (2016), "Stochastic Backpropagation through Mixture Density Distributions".
    """
    point = z.detach().double()
    loc, scale = loc.double(), scale.double()
    x = (point[:, None] - loc) / scale  # (K, C, ..., k)
    log_density = -0.5 * x.square() - scale.log()  # but for a constant
    before = log_density.cumsum(-1) - log_density  # of the components before each
    share = (log_weights.double()[..., None] + before).softmax(1)  # of the parts, given those components
    level = torch.special.ndtr(x)
    conditional = (share * level).sum(1)  # F, (K, ..., k)
    with torch.no_grad():
        slope = -x / scale
        weighted = share * level
        jacobian = torch.einsum("kc...d,kc...j->k...dj", weighted, slope)
        jacobian -= conditional[..., None] * torch.einsum("kc...d,kc...j->k...dj", share, slope)
        density = (share * log_density.exp()).sum(1) / (2 * torch.pi) ** 0.5
        jacobian = jacobian.tril(-1) + density.clamp_min(MIN_DENSITY).diag_embed()
    moved = torch.linalg.solve_triangular(
        jacobian, (conditional.detach() - conditional)[..., None], upper=False
    )
    return z.detach() + moved[..., 0].to(z.dtype)
