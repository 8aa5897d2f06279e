"""Likelihoods of flags and categories: Bernoulli, categorical and ordinal."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skmm.probability.likelihoods.contract import NUMBERS, Independent, Likelihood
from skmm.probability.likelihoods.numerics import marginal_moments

LEAST_GAP = 1e-6  # between cutpoints of an ordinal likelihood


@dataclass(frozen=True)
class IndependentBernoulli(Independent):
    """Features of value 0 or 1, independent of each other."""

    logits: Tensor

    @property
    def mean(self) -> Tensor:
        return self.logits.sigmoid()

    @property
    def stddev(self) -> Tensor:
        return (self.mean * (-self.logits).sigmoid()).sqrt()

    def log_prob(self, values: Tensor, observed: Tensor) -> Tensor:
        values = torch.where(observed, values, 0.0)
        return ((values * self.logits - nn.functional.softplus(self.logits)) * observed).sum(-1)

    def sample(self) -> Tensor:
        return self.quantile(torch.rand_like(self.logits))

    def quantile(self, q: Tensor) -> Tensor:
        return (q > (-self.logits).sigmoid()).to(self.logits.dtype)


@dataclass(frozen=True)
class IndependentCategories(Independent):
    """Columns of categories, independent of each other.

    Parameters
    ----------
    log_pmf : Tensor of shape (..., n_features, most)
        Log-probability of each category; minus infinity behind a column's last one.
    flat : Tensor of shape (n_statistics,)
        Where the categories of all columns, one after the other, stand in the last two axes of ``log_pmf``.
    last : Tensor of shape (n_features,)
        Code of each column's last category.
    """

    log_pmf: Tensor
    flat: Tensor
    last: Tensor

    @property
    def mean(self) -> Tensor:
        return self.log_pmf.flatten(-2)[..., self.flat].exp()

    @property
    def stddev(self) -> Tensor:
        log_pmf = self.log_pmf.flatten(-2)[..., self.flat]
        return (log_pmf.exp() * -log_pmf.expm1()).clamp_min(0.0).sqrt()  # rounding may leave 1 + 1e-7

    def log_prob(self, values: Tensor, observed: Tensor) -> Tensor:
        codes = torch.where(observed, values, 0.0).long()
        shape = torch.broadcast_shapes(codes.shape, self.log_pmf.shape[:-1])
        log_pmf = self.log_pmf.expand(*shape, -1).gather(-1, codes.expand(shape)[..., None])
        return (log_pmf.squeeze(-1) * observed).sum(-1)

    def sample(self) -> Tensor:
        return self.quantile(torch.rand_like(self.log_pmf[..., 0]))

    def quantile(self, q: Tensor) -> Tensor:
        below = (q[..., None] > self.log_pmf.exp().cumsum(-1)).sum(-1)
        return torch.minimum(below, self.last).to(self.log_pmf.dtype)


class Bernoulli(Likelihood):
    """Values 0 and 1.

    Parameters
    ----------
    n_features : int
    """

    name = "bernoulli"
    kinds = NUMBERS
    scaling = None
    offset: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.register_buffer("offset", torch.zeros(n_features))

    def start(self, values: Tensor, observed: Tensor) -> None:
        """Match the frequencies, with half a row of each value added to those there are."""
        ones = (observed & (values == 1)).sum(0)
        self.offset.copy_(((ones + 0.5) / (observed.sum(0) - ones + 0.5)).log())

    def features(self, values: Tensor, observed: Tensor) -> Tensor:
        return torch.where(observed, 2 * values - 1, 0.0)

    def check(self, values: Tensor, observed: Tensor, modality: Hashable, labels: Sequence[Hashable]) -> None:
        wrong = observed & (values != 0) & (values != 1)
        remedy = "Threshold the values first, or use likelihood='normal'."
        self.reject(values, wrong, modality, labels, "0 and 1", remedy)

    def probabilities(self, mean: Tensor) -> dict[int, Tensor]:
        return {
            position: torch.stack([1 - mean[..., position], mean[..., position]], dim=-1)
            for position in range(self.n_features)
        }

    def forward(self, raw: Tensor) -> IndependentBernoulli:
        return IndependentBernoulli(raw + self.offset)


class Categorical(Likelihood):
    """Categories without an order, as codes from 0; the decoder gives the logarithm of each one's odds.

    Parameters
    ----------
    n_categories : sequence of int
        Number of categories of each column.
    """

    name = "categorical"
    kinds = frozenset({"category", "ordered"})
    scaling = None
    takes_categories = True
    column: Tensor
    code: Tensor
    flat: Tensor
    last: Tensor
    padded: Tensor
    offset: Tensor

    def __init__(self, n_categories: Sequence[int]) -> None:
        super().__init__(len(n_categories))
        sizes = torch.tensor(n_categories, dtype=torch.long)
        self.n_categories = tuple(sizes.tolist())
        self.most = int(sizes.max())
        total = int(sizes.sum())
        self.n_raw = self.n_inputs = self.n_statistics = total
        self.input_sizes = self.n_categories
        # of all columns' categories, one after the other: column, code, position in a grid of columns x codes
        within = torch.arange(self.most) < sizes[:, None]
        column, code = within.nonzero().unbind(1)
        for name, index in (("column", column), ("code", code), ("flat", column * self.most + code)):
            self.register_buffer(name, index, persistent=False)
        # and back; where there is no category, position ``total``, of which the log-probability is -inf
        padded = torch.full((self.n_features, self.most), total)
        padded[within] = torch.arange(total)
        self.register_buffer("padded", padded, persistent=False)
        self.register_buffer("last", sizes - 1, persistent=False)
        self._start_buffers()

    @property
    def width(self) -> int:
        """Columns are padded to the largest number of categories."""
        return 2 * self.n_features * self.most

    def _start_buffers(self) -> None:
        self.register_buffer("offset", torch.zeros(self.n_raw))

    def start(self, values: Tensor, observed: Tensor) -> None:
        """Match the frequencies, with one row spread over the categories added to those there are."""
        self.offset.copy_(self._frequencies(values, observed).log())

    def _frequencies(self, values: Tensor, observed: Tensor) -> Tensor:
        """Smoothed frequencies of the categories, (n_statistics,), in float64."""
        share = 1 / (self.last[self.column] + 1).double()
        count = self._indicators(values, observed).sum(0, dtype=torch.float64)
        return (count + share) / (observed.sum(0)[self.column] + 1)

    def _indicators(self, values: Tensor, observed: Tensor) -> Tensor:
        """Whether a column is observed to be of a category, (..., n_statistics)."""
        return torch.where(observed, values, -1.0)[..., self.column] == self.code

    def features(self, values: Tensor, observed: Tensor) -> Tensor:
        return self._indicators(values, observed).to(values.dtype)

    def check(self, values: Tensor, observed: Tensor, modality: Hashable, labels: Sequence[Hashable]) -> None:
        for column, size in enumerate(self.n_categories):
            value = values[:, [column]]
            wrong = observed[:, [column]] & ((value < 0) | (value >= size) | (value != value.round()))
            why = f"codes of categories, here from 0 to {size - 1},"
            remedy = "Put NaN where the category is not one of those seen in fit."
            self.reject(value, wrong, modality, [labels[column]], why, remedy)

    def summary(self, mean: Tensor, stddev: Tensor) -> tuple[Tensor, Tensor]:
        """Code of the most probable category, and the standard deviation of its indicator."""
        missing = mean.new_full((*mean.shape[:-1], 1), -1.0)
        code = torch.cat([mean, missing], dim=-1)[..., self.padded].argmax(-1)
        statistic = self.padded[torch.arange(self.n_features, device=code.device), code]
        return code.to(mean.dtype), stddev.gather(-1, statistic)

    def probabilities(self, mean: Tensor) -> dict[int, Tensor]:
        return dict(enumerate(mean.split(self.n_categories, dim=-1)))

    def forward(self, raw: Tensor) -> IndependentCategories:
        logits = nn.functional.pad(raw + self.offset, (0, 1), value=-torch.inf)
        log_pmf = logits[..., self.padded].log_softmax(-1)
        return IndependentCategories(log_pmf, self.flat, self.last)


class Ordinal(Categorical):
    r"""Ordered categories, as codes from 0: a logistic variable around the decoder's output, cut into pieces.

    .. math:: P(y \le k) = \sigma(c_k - raw)

    Parameters
    ----------
    n_categories : sequence of int
        Number of categories of each column.

    References
    ----------
    .. [1] McCullagh (1980), "Regression Models for Ordinal Data".
    """

    name = "ordinal"
    kinds = frozenset({"ordered"})
    has_gap: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, n_categories: Sequence[int]) -> None:
        super().__init__(n_categories)
        self.n_raw = self.n_inputs = self.n_features
        self.input_sizes = (1,) * self.n_features
        # evenly spaced until ``start``; a column of 1 category has no cutpoint, one of 2 has no gap
        self.first = nn.Parameter(-0.5 * (self.last - 1).clamp_min(0).float())
        self.log_gaps = nn.Parameter(torch.zeros(self.n_features, max(0, self.most - 2)))
        has_gap = torch.arange(1, max(1, self.most - 1)) < self.last[:, None]
        self.register_buffer("has_gap", has_gap, persistent=False)

    def _start_buffers(self) -> None:
        self.register_buffer("centre", torch.zeros(self.n_features))
        self.register_buffer("spread", torch.ones(self.n_features))

    @property
    def gaps(self) -> Tensor:
        """Distances between successive cutpoints, (n_features, most - 2)."""
        return LEAST_GAP + self.log_gaps.exp()

    def start(self, values: Tensor, observed: Tensor) -> None:
        """Cut where the smoothed frequencies say."""
        centre, spread = marginal_moments(values, observed)
        self.centre.copy_(centre)
        self.spread.copy_(spread)
        frequencies = nn.functional.pad(self._frequencies(values, observed), (0, 1))[self.padded]
        below, above = frequencies.cumsum(1), frequencies.flip(1).cumsum(1).flip(1)
        cutpoints = below[:, :-1].log() - above[:, 1:].log()  # infinite behind the last one
        if self.most > 1:
            self.first.copy_(torch.where(self.last > 0, cutpoints[:, 0], 0.0))
        gaps = torch.where(self.has_gap, cutpoints[:, 1:] - cutpoints[:, :-1], 1.0)
        self.log_gaps.copy_((gaps - LEAST_GAP).clamp_min(LEAST_GAP).log())

    def features(self, values: Tensor, observed: Tensor) -> Tensor:
        return torch.where(observed, (values - self.centre) / self.spread, 0.0)

    def forward(self, raw: Tensor) -> IndependentCategories:
        # behind a column's last cutpoint, all are infinite
        first = torch.where(self.last > 0, self.first, torch.inf)[:, None]
        gaps = torch.where(self.has_gap, self.gaps, torch.inf)
        distance = torch.cat([first, first + gaps.cumsum(1)], dim=1) - raw[..., None]
        # s(b) - s(a) = s(b) s(-a) (1 - exp(a - b)), where s is the sigmoid: nothing cancels
        below = nn.functional.logsigmoid(distance)
        above = nn.functional.logsigmoid(-distance)
        log_pmf = nn.functional.pad(below, (0, 1)) + nn.functional.pad(above, (1, 0))
        between = nn.functional.pad((-(-gaps).expm1()).log(), (1, 1))
        return IndependentCategories((log_pmf + between)[..., : self.most], self.flat, self.last)


CATEGORIES = {"bernoulli": Bernoulli, "categorical": Categorical, "ordinal": Ordinal}
