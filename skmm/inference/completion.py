"""Completion by two models weighed against each other: what :mod:`skmm.inference.stacking` has learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks, per_feature
from skmm.probability.factor_analysis import FactorAnalysis

LEAST_WIDTH = 1e-6  # between knots
CELL, MODALITY = 0, 1  # kinds of missing entries: something of the modality is there, or nothing


@dataclass(frozen=True)
class Completion:
    r"""How missing real numbers are completed: by the network and a linear Gaussian model together.

    Their means are averaged, with a weight :math:`w` of the linear one, and so are their variances, with
    another weight :math:`v`, times a factor that makes deviations true:

    .. math:: \hat x = (1 - w)\,\hat x_{net} + w\,\hat x_{lin}, \quad
              \hat s^2 = c^2 \big((1 - v)\,s_{net}^2 + v\,s_{lin}^2\big)

    The network's draws and quantiles are moved and spread to these, and their deviations bent to the shape
    that errors had. There are weights and factors for entries whose whole modality is missing, and for single
    cells. Rows with nothing observed are the network's own. The two models err differently: on small, nearly
    Gaussian tables the linear model is hard to beat, and nowhere does it see what bends; their average is
    mostly better than either.

    Parameters
    ----------
    linear : FactorAnalysis
        Of what the encoders see of all modalities.
    inputs : int64 Tensor of shape (n_real,)
        Where the linear model has each real feature.
    real : int64 Tensor of shape (n_real,)
        The features that are real numbers; all others are left to the network.
    weight, share, factor : float64 Tensors of shape (2, n_real)
        w, v and c, of cells and of whole modalities.
    knots, shape : float64 Tensors of shape (2, n_real, n_knots)
        What some shares of the absolute deviations do not exceed, in units of the standard
        deviation: of the network's draws, and of errors.

    References
    ----------
    .. [1] Yao, Vehtari, Simpson and Gelman (2018), "Using Stacking to Average Bayesian Predictive
       Distributions", sec. 2: weights are chosen by the error on rows left out.
    """

    linear: FactorAnalysis
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
        answer = linear_moments(self.linear, network, blocks)
        told, spread = (moment[:, self.inputs] for moment in answer)
        kind, missing = self._missing(blocks)
        weight, share, factor = (
            torch.where(kind == MODALITY, of[MODALITY], of[CELL])
            for of in (self.weight, self.share, self.factor)
        )
        loc = (1 - weight) * mean[:, self.real] + weight * told
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
        absent = per_feature(~blocks.present, blocks.sizes, dim=0).T[:, self.real].cpu()
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


def linear_moments(linear: FactorAnalysis, network: Any, blocks: Blocks) -> tuple[Tensor, Tensor]:
    """Mean and deviation of all inputs by a linear model, (n, n_inputs)."""
    return linear.moments(*seen_inputs(network, blocks))


def seen_inputs(network: Any, blocks: Blocks) -> tuple[Tensor, Tensor]:
    """What encoders see of all modalities, and which of it is observed, both (n, n_inputs), on the CPU."""
    values, observed = [], []
    blocks = blocks.to(next(network.parameters()).device)  # where likelihoods have their tensors
    for likelihood, part, mask in zip(network.likelihoods, blocks.values, blocks.observed, strict=True):
        values.append(likelihood.features(part, mask))
        sizes = torch.tensor(likelihood.input_sizes, device=mask.device)
        observed.append(mask.repeat_interleave(sizes, dim=-1))
    return torch.cat(values, dim=-1).cpu(), torch.cat(observed, dim=-1).cpu()
