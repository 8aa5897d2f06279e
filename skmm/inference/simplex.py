"""Quadratic functions of a few weights that are not negative and have the sum 1."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor


def least_on_simplex(quadratic: Tensor, linear: Tensor) -> Tensor:
    r"""Weights that make :math:`w'Aw - 2b'w` least, over all that are not negative and have the sum 1.

    Every set of weights that could be the positive ones is tried: right for a handful only.

    Parameters
    ----------
    quadratic : float64 Tensor of shape (k, k)
        A, positive semidefinite.
    linear : float64 Tensor of shape (k,)
        b

    Returns
    -------
    Tensor of shape (k,)
    """
    n = len(linear)
    unit = quadratic.diagonal().max().clamp_min(torch.finfo(linear.dtype).tiny)
    quadratic, linear = quadratic / unit, linear / unit  # beside the ones of the constraint
    best, least = torch.full((n,), 1 / n, dtype=linear.dtype), torch.inf
    for size in range(1, n + 1):
        for chosen in map(list, combinations(range(n), size)):
            # stationary where A w + mu = b and sum(w) = 1; the pseudo-inverse also takes models that agree
            system = torch.ones((size + 1, size + 1), dtype=linear.dtype)
            system[:size, :size] = quadratic[chosen][:, chosen]
            system[size, size] = 0
            right = torch.cat([linear[chosen], linear.new_ones(1)])
            solution = (torch.linalg.pinv(system) @ right)[:size]
            if (solution < 0).any() or not torch.isclose(solution.sum(), solution.new_ones(())):
                continue
            weight = torch.zeros_like(linear)
            weight[chosen] = solution
            value = float(weight @ quadratic @ weight - 2 * linear @ weight)
            if value < least:
                best, least = weight, value
    return best
