"""Kernel regression with incomplete rows: missing entries are averages over the rows that are near."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MAX_DISTANCES = 4_000_000  # at a time
LEAST_VARIANCE = 1e-6  # of a feature; one that does not vary tells no rows apart


@dataclass(frozen=True)
class KernelRegression:
    r"""Nadaraya-Watson regression of any features on any others.

    A row's distance to a known one is the mean over the row's observed features of the squared difference,
    in units of the feature's variance; where the known row lacks the feature, of what is expected of the
    square. A missing entry is the average over the rows that have it, with weights
    :math:`\exp(-d_i / 2h)`.

    Parameters
    ----------
    loc, variance : float64 Tensors of shape (n_features,)
    known : float32 Tensor of shape (n_known, n_features)
        Standardised; 0 where nothing was observed.
    observed : bool Tensor of shape (n_known, n_features)
    bandwidth : float
        h, a squared distance.

    References
    ----------
    .. [1] Nadaraya (1964), "On Estimating Regression".
    .. [2] Watson (1964), "Smooth Regression Analysis".
    """

    loc: Tensor
    variance: Tensor
    known: Tensor
    observed: Tensor
    bandwidth: float

    @classmethod
    def fit(cls, values: Tensor, observed: Tensor, *, bandwidth: float) -> KernelRegression:
        """Keep the rows.

        Parameters
        ----------
        values : Tensor of shape (n, n_features)
            What stands where nothing was observed does not matter.
        observed : bool Tensor of shape (n, n_features)
        bandwidth : float
            Above 0.
        """
        mask = observed.double()
        values = torch.where(observed, values.double(), 0.0)
        count = mask.sum(0).clamp_min(1)
        loc = values.sum(0) / count
        centred = (values - loc) * mask
        variance = (centred.square().sum(0) / count).clamp_min(LEAST_VARIANCE)
        return cls(loc, variance, (centred / variance.sqrt()).float(), observed, bandwidth)

    def complete(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Complete rows.

        Parameters
        ----------
        values : Tensor of shape (n, n_features)
        observed : bool Tensor of shape (n, n_features)

        Returns
        -------
        mean : float64 Tensor of shape (n, n_features)
            Of every feature, also of observed ones. Features that no known row has are at ``loc``.
        nearest : float64 Tensor of shape (n,)
            Squared distance to the nearest known row, 0 for rows with nothing observed.
        """
        known, there = self.known.double(), self.observed.double()
        n_rows = max(1, MAX_DISTANCES // max(1, len(known)))
        parts = [
            self._complete(*part, known, there)
            for part in zip(values.double().split(n_rows), observed.split(n_rows), strict=True)
        ]
        mean, nearest = (torch.cat(part) for part in zip(*parts, strict=True))
        return mean, nearest

    def _complete(
        self, values: Tensor, observed: Tensor, known: Tensor, there: Tensor
    ) -> tuple[Tensor, Tensor]:
        mask = observed.double()
        rows = torch.where(observed, (values - self.loc) / self.variance.sqrt(), 0.0)
        # of a feature that the known row lacks, (x - u)^2 with standard normal u is x^2 + 1 on average
        distance = (rows.square() + mask).sum(1, keepdim=True) - mask @ there.T
        distance = distance - 2 * rows @ known.T + mask @ known.square().T
        distance = distance.clamp_min(0) / mask.sum(1, keepdim=True).clamp_min(1)
        nearest = distance.min(1, keepdim=True).values
        weight = torch.exp((nearest - distance) / (2 * self.bandwidth))
        total = (weight @ there).clamp_min(torch.finfo(weight.dtype).tiny)
        return self.loc + weight @ known / total * self.variance.sqrt(), nearest[:, 0]
