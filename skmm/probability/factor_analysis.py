"""Factor analysis of incomplete rows: the linear Gaussian model, and what it makes of missing entries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MAX_FACTORS = 40
MAX_PRODUCTS = 5e8  # of an iteration: rows x features x factors squared
MAX_FLOATS = 2e7  # of a pass over rows, of which every one may have a covariance of its own
MIN_FACTORS = 5
MAX_PAIRED = 1000  # features whose covariance is worth computing, for a start
LEAST_VARIANCE = 1e-3  # of a feature's own noise, in standardised units
LEAST_START = 0.05


@dataclass(frozen=True)
class FactorAnalysis:
    r"""Linear Gaussian model :math:`x = \mu + W u + e`, with standard normal u and independent noise e.

    With as many factors as there are features, it is a Gaussian of any covariance; with fewer, it has fewer
    parameters and costs less.

    Parameters
    ----------
    loc : float64 Tensor of shape (n_features,)
    loadings : float64 Tensor of shape (n_features, n_factors)
        W
    variance : float64 Tensor of shape (n_features,)
        Of the noise.
    """

    loc: Tensor
    loadings: Tensor
    variance: Tensor

    @classmethod
    def fit(
        cls,
        values: Tensor,
        observed: Tensor,
        *,
        shrinkage: float,
        n_iter: int = 30,
        start: FactorAnalysis | None = None,
    ) -> FactorAnalysis:
        """Fit by expectation maximisation to rows of which any entries may be missing.

        Parameters
        ----------
        values : Tensor of shape (n, n_features)
            Standardised; what stands where nothing was observed does not matter.
        observed : bool Tensor of shape (n, n_features)
        shrinkage : float
            Number of rows that the prior is worth, above 0: the covariance is shrunk towards the identity as
            if so many rows had been seen whose features are independent. It is the mode of an
            inverse-Wishart prior.
        n_iter : int, default=30
            Few: the last digits of the likelihood say nothing of new rows.
        start : FactorAnalysis or None
            Where to start from, as after fitting with another shrinkage.

        References
        ----------
        .. [1] Rubin and Thayer (1982), "EM Algorithms for ML Factor Analysis".
        .. [2] Little and Rubin (2019), "Statistical Analysis with Missing Data", sec. 11.2.
        """
        mask = observed.double()
        values = torch.where(observed, values.double(), 0.0)
        model = cls._start(values, mask, shrinkage) if start is None else start
        for _ in range(n_iter):
            model = model._improved(values, mask, shrinkage)
        return model

    @classmethod
    def _start(cls, values: Tensor, mask: Tensor, shrinkage: float) -> FactorAnalysis:
        """Leading factors of the covariance that pairs of features have where both were observed."""
        n, n_features = values.shape
        n_factors = _affordable(n, n_features)
        share = mask.mean(0).clamp_min(1 / n)
        loc = values.mean(0) / share
        centred = (values - loc) * mask
        total = (centred.square().mean(0) / share * n + shrinkage) / (n + shrinkage)
        if n_features <= MAX_PAIRED:
            covariance = n * (centred.T @ centred) / (mask.T @ mask).clamp_min(1)
            identity = torch.eye(n_features, dtype=torch.float64)
            covariance = (covariance + shrinkage * identity) / (n + shrinkage)
            spectrum, directions = torch.linalg.eigh(covariance)
            spectrum, directions = spectrum[-n_factors:], directions[:, -n_factors:]
        else:  # where pairs are too many: as if what is missing were zero
            _, singular, directions = torch.svd_lowrank(centred / share.sqrt(), q=n_factors)
            spectrum = (singular.square() + shrinkage) / (n + shrinkage)
        rest = (total.sum() - spectrum.sum()) / max(1, n_features - n_factors)
        size = (spectrum - rest.clamp_min(LEAST_START)).clamp_min(LEAST_START / 5).sqrt()
        loadings = directions * size
        variance = (total - loadings.square().sum(1)).clamp_min(LEAST_START)
        return cls(loc, loadings, variance)

    def _improved(self, values: Tensor, mask: Tensor, shrinkage: float) -> FactorAnalysis:
        """One iteration of expectation maximisation; ``values`` are zero where nothing was observed."""
        n_factors = self.loadings.shape[1]
        patterns, pattern, factors, covariance = self._factors(values, mask)
        count = torch.bincount(pattern, minlength=len(patterns)).double()
        # second moments of (factors, 1), summed over the rows of each pattern: (U, k + 1, k + 1)
        extended = torch.cat([factors, torch.ones_like(factors[:, :1])], dim=1)
        if len(patterns) == len(values):  # every row has a pattern of its own
            order = pattern.argsort()
            moments = extended[order, :, None] * extended[order, None, :]
        else:
            members = [extended[pattern == index] for index in range(len(patterns))]
            moments = torch.stack([rows.T @ rows for rows in members])
        moments[:, :-1, :-1] += count[:, None, None] * covariance
        normal = (patterns.T @ moments.flatten(1)).unflatten(1, (n_factors + 1, n_factors + 1))
        cross = values.T @ extended  # (D, k + 1)
        # the prior's rows: everything observed, of mean loc and identity covariance
        weighted, spread = self._posterior(torch.ones(1, len(self.loc), dtype=torch.float64))
        gain = spread[0] @ weighted.T  # (k, D)
        normal[:, :-1, :-1] += shrinkage * (spread[0] + gain @ gain.T)
        cross[:, :-1] += shrinkage * gain.T
        # of features that were never observed nothing tells the location: it stays at 0
        normal[:, -1, -1] = normal[:, -1, -1].clamp_min(1.0)
        solved = torch.linalg.solve(normal, cross)
        left = values.square().sum(0) + shrinkage - (solved * cross).sum(1)
        variance = left / (mask.sum(0) + shrinkage)
        return FactorAnalysis(solved[:, -1], solved[:, :-1], variance.clamp_min(LEAST_VARIANCE))

    def moments(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of every entry given the observed ones, both (n, n_features)."""
        values = torch.where(observed, values.double(), 0.0)
        n_features, n_factors = self.loadings.shape
        step = max(1, int(MAX_FLOATS / (n_factors * max(n_features, n_factors))))
        passes = zip(values.split(step), observed.double().split(step), strict=True)
        mean, spread = zip(*(self._moments(*part) for part in passes), strict=True)
        return torch.cat(mean), torch.cat(spread)

    def _moments(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The same of rows that fit in memory; ``values`` are zero where nothing was observed."""
        _, pattern, factors, covariance = self._factors(values, mask)
        mean = self.loc + factors @ self.loadings.T
        products = (self.loadings[:, :, None] * self.loadings[:, None, :]).flatten(1)
        spread = covariance.flatten(1) @ products.T  # (n_patterns, D)
        return mean, (spread + self.variance).sqrt()[pattern]

    def _factors(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Posterior of the factors given values that are zero where nothing was observed.

        Returns
        -------
        patterns : Tensor of shape (n_patterns, n_features)
            The masks that occur.
        pattern : int64 Tensor of shape (n,)
            Which of them each row has.
        mean : Tensor of shape (n, n_factors)
        covariance : Tensor of shape (n_patterns, n_factors, n_factors)
        """
        patterns, pattern = torch.unique(mask, dim=0, return_inverse=True)
        weighted, covariance = self._posterior(patterns)
        told = (values - self.loc * mask) @ weighted  # (n, k)
        mean = torch.einsum("nkl,nl->nk", covariance[pattern], told)
        return patterns, pattern, mean, covariance

    def _posterior(self, patterns: Tensor) -> tuple[Tensor, Tensor]:
        """Loadings over variances, and the factors' covariance for each pattern of observed features."""
        weighted = self.loadings / self.variance[:, None]
        products = (weighted[:, :, None] * self.loadings[:, None, :]).flatten(1)  # (D, k * k)
        n_factors = self.loadings.shape[1]
        precision = (patterns @ products).unflatten(1, (n_factors, n_factors))
        precision = precision + torch.eye(n_factors, dtype=torch.float64)
        return weighted, torch.cholesky_inverse(torch.linalg.cholesky(precision))


def _affordable(n_rows: int, n_features: int) -> int:
    """Number of factors: as many as features have, where that can be paid for."""
    affordable = int((MAX_PRODUCTS / max(1, n_rows * n_features)) ** 0.5)
    return max(1, min(n_features - 1, MAX_FACTORS, max(MIN_FACTORS, affordable)))
