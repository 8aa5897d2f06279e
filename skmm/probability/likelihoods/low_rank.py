"""Normal noise that is correlated between the features of one modality."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skmm.probability.likelihoods.contract import LearnedScale

LOG_2PI = math.log(2 * math.pi)
MAX_RANK = 8


@dataclass(frozen=True)
class CorrelatedNormal:
    r"""Normal features with covariance :math:`S = \mathrm{diag}(s^2) + W W^T`.

    Equivalently, x = loc + W t + s e with standard normal t, of r entries, and e: everything follows from the
    posterior of t given the observed features, whose precision is r x r and does not depend on ``loc``.

    Parameters
    ----------
    loc : Tensor of shape (..., n_features)
    scale : Tensor of shape (n_features,)
        s
    factor : Tensor of shape (n_features, r) or (n, n_features, r)
        W, the same for all rows or one per row.

    References
    ----------
    .. [1] Petersen and Pedersen (2012), "The Matrix Cookbook", sec. 3.2.2 (Woodbury) and 8.1.3 (conditional).
    """

    loc: Tensor
    scale: Tensor
    factor: Tensor

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return (self.scale.square() + self.factor.square().sum(-1)).sqrt().expand_as(self.loc)

    def log_prob(self, values: Tensor, observed: Tensor) -> Tensor:
        deviation = torch.where(observed, values - self.loc, 0.0) / self.scale
        loadings, cholesky = self._posterior(observed)
        # The squared distance is the least of |y - V t|^2 + |t|^2 over t. In this form nothing cancels, and
        # at the minimum t counts as a constant: the gradient needs no way through the solution.
        with torch.no_grad():
            t = _solve(cholesky, loadings, deviation)
        rest = deviation - torch.einsum("...dr,...r->...d", loadings, t)
        squared = rest.square().sum(-1) + t.square().sum(-1)
        log_det = 2 * cholesky.diagonal(dim1=-2, dim2=-1).log().sum(-1).to(squared.dtype)
        return -0.5 * (squared + log_det + ((2 * self.scale.log() + LOG_2PI) * observed).sum(-1))

    def sample(self) -> Tensor:
        t = torch.randn_like(self.loc[..., :1].expand(*self.loc.shape[:-1], self.factor.shape[-1]))
        noise = self.scale * torch.randn_like(self.loc)
        return self.loc + noise + torch.einsum("...dr,...r->...d", self.factor, t)

    def quantile(self, q: Tensor) -> Tensor:
        return self.loc + self.stddev * torch.special.ndtri(q)

    def given(self, values: Tensor, observed: Tensor) -> CorrelatedNormal:
        """Condition each row on its observed features.

        Of these themselves, this is the distribution of another measurement under the same t.
        """
        deviation = torch.where(observed, values - self.loc, 0.0) / self.scale
        loadings, cholesky = self._posterior(observed)
        t = _solve(cholesky, loadings, deviation)
        loc = self.loc + torch.einsum("...dr,...r->...d", self.factor, t)
        # the posterior covariance of t is (L L')^-1, so W L'^-1 takes the place of W
        factor = torch.linalg.solve_triangular(cholesky.mT, self.factor.double(), upper=True, left=False)
        return CorrelatedNormal(loc, self.scale, factor.to(loc.dtype))

    def _posterior(self, observed: Tensor) -> tuple[Tensor, Tensor]:
        """V, the observed rows of W / s, (..., n_features, r), and the Cholesky factor of I + V'V.

        The factor, (..., r, r), is in float64: in float32 the identity is lost beside a large V'V.
        """
        scaled = self.factor / self.scale[:, None]
        loadings = scaled * observed[..., None]
        precision = loadings.double().mT @ scaled.double()
        identity = torch.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
        return loadings, torch.linalg.cholesky_ex(precision + identity).L  # of NaN: NaN, not an error


def _solve(cholesky: Tensor, loadings: Tensor, deviation: Tensor) -> Tensor:
    """Posterior mean of t given deviations (..., n_features): (..., r)."""
    projected = torch.einsum("...dr,...d->...r", loadings, deviation)
    # the right-hand sides of one row, its draws, share a factor: (draws, n, r) -> (n, r, draws) and back
    shape = projected.shape[projected.ndim - cholesky.ndim + 1 :]
    columns = projected.reshape(-1, *shape).movedim(0, -1).double()
    return torch.cholesky_solve(columns, cholesky).movedim(-1, 0).reshape(projected.shape).to(deviation.dtype)


class LowRankNormal(LearnedScale):
    """Normal noise that is correlated within the modality: what its features share and the others lack.

    Parameters
    ----------
    n_features : int
    rank : int, optional
        Rank of the correlated part; half the number of features by default, from 1 to 8.
    """

    name = "low_rank_normal"
    is_real = True

    def __init__(self, n_features: int, rank: int | None = None) -> None:
        super().__init__(n_features)
        rank = min(MAX_RANK, max(1, n_features // 2)) if rank is None else rank
        # small, because at first the latent variable should explain what it can; not zero, where the
        # gradient would vanish
        self.factor = nn.Parameter(0.1 * torch.randn(n_features, rank))

    def forward(self, raw: Tensor) -> CorrelatedNormal:
        return CorrelatedNormal(raw, self.scale, self.factor)
