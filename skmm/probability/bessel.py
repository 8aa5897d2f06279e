"""Modified Bessel functions of the first kind, in torch, with gradients, for small and large numbers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

N_STEPS = 16  # from the order where the expansion is exact to 1e-7 down to the one asked for
# u_k(t) of the uniform expansion, as coefficients of t^k times powers of t²
EXPANSION = (
    (1 / 8, -5 / 24),
    (9 / 128, -77 / 192, 385 / 1152),
    (75 / 1024, -4563 / 5120, 17017 / 9216, -85085 / 82944),
    (3675 / 32768, -96833 / 40960, 144001 / 16384, -7436429 / 663552, 37182145 / 7962624),
)


def log_bessel(squared: Tensor, order: float) -> tuple[Tensor, Tensor]:
    r"""Logarithm of the Bessel function divided by a power, and a ratio of two; both regular at zero.

    .. math:: \log \big( \kappa^{-\nu} I_\nu(\kappa) \big), \quad
              \frac{I_{\nu+1}(\kappa)}{\kappa I_\nu(\kappa)}

    Both are functions of the square of :math:`\kappa`, smooth at 0. The uniform expansion gives them at a
    large order; from there the recurrence leads down, which forgets errors.

    Parameters
    ----------
    squared : float64 Tensor
        Squares of the arguments, :math:`\kappa^2`, from 0 on.
    order : float
        :math:`\nu`, from 0 on.

    Returns
    -------
    log_value, ratio : Tensors
        Both with first derivatives.

    References
    ----------
    .. [1] NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov, 10.41.3 (expansion) and
       10.29.1 (recurrence).
    """
    return _LogBessel.apply(squared, order)


class _LogBessel(torch.autograd.Function):
    """The recurrence with its derivative carried along: a tenth of what recording every step would take."""

    @staticmethod
    def forward(ctx: Any, squared: Tensor, order: float) -> tuple[Tensor, Tensor]:
        high = order + N_STEPS
        log_value = _expanded(squared, high)
        ratio = (_expanded(squared, high + 1) - log_value).exp()
        n = 2 * (high + 1)
        riccati = (1 - n * ratio - squared * ratio.square()) / (2 * squared)
        slope = torch.where(squared < 1.0, -1 / (n**2 * (n + 2)), riccati)  # with respect to the square
        for step in range(N_STEPS):
            slope = ratio + squared * slope
            ratio = 1 / (2 * (high - step) + squared * ratio)  # of the order below
            slope = -ratio.square() * slope
            log_value = log_value - ratio.log()
        ctx.save_for_backward(ratio, slope)
        return log_value, ratio

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_log_value: Tensor, of_ratio: Tensor) -> tuple[Tensor, None]:
        ratio, slope = ctx.saved_tensors
        return 0.5 * of_log_value * ratio + of_ratio * slope, None


def _expanded(squared: Tensor, order: float) -> Tensor:
    root = (order**2 + squared).sqrt()
    t = order / root
    series, power = torch.ones_like(t), t / order
    for k, coefficients in enumerate(EXPANSION):
        polynomial = torch.zeros_like(t)
        for coefficient in reversed(coefficients):
            polynomial = polynomial * t.square() + coefficient
        series = series + polynomial * power ** (k + 1)
    return root - order * (order + root).log() - 0.5 * (2 * math.pi * root).log() + series.log()
