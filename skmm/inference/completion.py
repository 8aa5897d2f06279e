"""Completion by three models weighed against each other: what :mod:`skmm.inference.stacking` has learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks, per_feature
from skmm.probability.factor_analysis import FactorAnalysis
from skmm.probability.kernel_regression import KernelRegression

LEAST_WIDTH = 1e-6  # between knots
CELL, MODALITY = 0, 1  # kinds of missing entries: something of the modality is there, or nothing
NETWORK, LINEAR, NEAR = 0, 1, 2  # models


@dataclass(frozen=True)
class Completion:
    r"""How missing real numbers are completed: by the network, a linear model and near rows together.

    Their means are averaged with weights :math:`w`, and the variances of the first two with another weight
    :math:`v`, times a factor that makes deviations true:

    .. math:: \hat x = w_1\,\hat x_{net} + w_2\,\hat x_{lin} + w_3\,\hat x_{near}, \quad
              \hat s^2 = c^2 \big((1 - v)\,s_{net}^2 + v\,s_{lin}^2\big)

    The network's draws and quantiles are moved and spread to these, and their deviations bent to the shape
    that errors had. There are weights and factors for entries whose whole modality is missing, and for single
    cells. Rows with nothing observed are the network's own. The models err differently: on small, nearly
    Gaussian tables the linear model is hard to beat, and nowhere does it see what bends; rows like one that
    was seen are told by it. The average is mostly better than each.

    Parameters
    ----------
    linear : FactorAnalysis
        Of what the encoders see of all modalities.
    near : KernelRegression or None
        Of the same; None where it has no weight.
    reach : float
        Squared distance from which on near rows are not near: beyond it, the network gets ever more of their
        weight.
    inputs : int64 Tensor of shape (n_real,)
        Where these models have each real feature.
    real : int64 Tensor of shape (n_real,)
        The features that are real numbers; all others are left to the network.
    weight : float64 Tensor of shape (3, 2, n_real)
        w of network, linear model and near rows, of cells and of whole modalities; the sum is 1.
    share, factor : float64 Tensors of shape (2, n_real)
        v and c, of cells and of whole modalities.
    knots, shape : float64 Tensors of shape (2, n_real, n_knots)
        What some shares of the absolute deviations do not exceed, in units of the standard
        deviation: of the network's draws, and of errors.

    References
    ----------
    .. [1] Yao, Vehtari, Simpson and Gelman (2018), "Using Stacking to Average Bayesian Predictive
       Distributions", sec. 2: weights are chosen by the error on rows left out.
    """

    linear: FactorAnalysis
    near: KernelRegression | None
    reach: float
    inputs: Tensor
    real: Tensor
    weight: Tensor
    share: Tensor
    factor: Tensor
    knots: Tensor
    shape: Tensor

    def adjust(self, network: Any, blocks: Blocks, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """Correct the network's mean and deviation of missing entries, both (n, n_features), float32.

        Of observed entries nothing is changed.
        """
        seen = seen_inputs(network, blocks)
        told, spread = (moment[:, self.inputs] for moment in self.linear.moments(*seen))
        kind, missing = self._missing(blocks)
        weight, share, factor = (
            torch.where(kind == MODALITY, of[..., MODALITY, None, :], of[..., CELL, None, :])
            for of in (self.weight, self.share, self.factor)
        )
        loc = weight[NETWORK] * mean[:, self.real] + weight[LINEAR] * told
        if self.near is not None:
            around, nearest = self.near.complete(*seen)
            trusted = trust(nearest, self.reach, self.near.bandwidth)
            around = torch.lerp(mean[:, self.real].double(), around[:, self.inputs], trusted[:, None])
            loc = loc + weight[NEAR] * around
        scale = factor * blended_scale(share, std[:, self.real], spread)
        mean, std = mean.clone(), std.clone()
        mean[:, self.real] = torch.where(missing, loc.float(), mean[:, self.real])
        std[:, self.real] = torch.where(missing, scale.float(), std[:, self.real])
        return mean, std

    def moved(
        self,
        draws: Tensor,
        blocks: Blocks,
        before: tuple[Tensor, Tensor],
        after: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Move and spread the network's draws of missing entries, (n_draws, n, n_features).

        Parameters
        ----------
        draws : Tensor of shape (n_draws, n, n_features)
        blocks : Blocks
        before, after : pairs of Tensors of shape (n, n_features)
            Mean and deviation of the network, and those that :meth:`adjust` makes of them.
        """
        (loc, scale), (mean, std) = (tuple(part[:, self.real] for part in pair) for pair in (before, after))
        kind, missing = self._missing(blocks)
        chosen = draws[..., self.real]
        deviation = (chosen - loc) / scale
        bent = torch.where(
            kind == MODALITY,
            _bent(deviation, self.knots[MODALITY], self.shape[MODALITY]),
            _bent(deviation, self.knots[CELL], self.shape[CELL]),
        )
        draws = draws.clone()
        draws[..., self.real] = torch.where(missing, mean + bent * std, chosen)
        return draws

    def _missing(self, blocks: Blocks) -> tuple[Tensor, Tensor]:
        """Kind of each real entry, were it missing, and whether it is to be completed, both (n, n_real)."""
        absent = per_feature(~blocks.present.T, blocks.sizes, dim=1)[:, self.real].cpu()
        known = blocks.present.any(0)[:, None]
        missing = (~blocks.joint_observed & known)[:, self.real].cpu()
        return torch.where(absent, MODALITY, CELL), missing


def _bent(deviation: Tensor, knots: Tensor, shape: Tensor) -> Tensor:
    """Give deviations of one distribution the shape of another one, feature by feature.

    Linear between the knots, and beyond the last one in proportion to it.

    Parameters
    ----------
    deviation : Tensor of shape (n_draws, n, n_features)
        In units of the standard deviation.
    knots, shape : Tensor of shape (n_features, n_knots)
        See :class:`Completion`.
    """
    knots, shape = knots.to(deviation.dtype), shape.to(deviation.dtype)
    size, bent = deviation.abs(), torch.zeros_like(deviation)
    left = reached = knots.new_zeros(len(knots))
    for knot, height in zip(knots.T, shape.T, strict=True):
        width = (knot - left).clamp_min(LEAST_WIDTH)
        bent = bent + (height - reached) / width * (size - left).clamp_min(0).minimum(width)
        left, reached = knot, height
    bent = bent + reached / left.clamp_min(LEAST_WIDTH) * (size - left).clamp_min(0)
    return deviation.sign() * bent


def blended_scale(share: Tensor | float, scale: Tensor, spread: Tensor) -> Tensor:
    """Deviation whose square is the average of both models' variances, with a share of the linear one."""
    return ((1 - share) * scale.square() + share * spread.square()).sqrt()


def trust(nearest: Tensor, reach: float, bandwidth: float) -> Tensor:
    """How much rows count as near, from 1 down to 0, by the squared distance to the nearest."""
    return (reach + bandwidth) / (nearest.clamp_min(reach) + bandwidth)


def seen_inputs(network: Any, blocks: Blocks) -> tuple[Tensor, Tensor]:
    """What encoders see of all modalities, and which of it is observed, both (n, n_inputs), on the CPU."""
    values, observed = [], []
    blocks = blocks.to(next(network.parameters()).device)  # where likelihoods have their tensors
    for likelihood, part, mask in zip(network.likelihoods, blocks.values, blocks.observed, strict=True):
        values.append(likelihood.features(part, mask))
        sizes = torch.tensor(likelihood.input_sizes, device=mask.device)
        observed.append(mask.repeat_interleave(sizes, dim=-1))
    return torch.cat(values, dim=-1).cpu(), torch.cat(observed, dim=-1).cpu()
