"""What every likelihood and every distribution offers, and how a likelihood of plain numbers does it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NoReturn, Protocol, Self

import torch
from torch import Tensor, nn

from skmm._blocks.masks import masked
from skmm.probability.likelihoods.numerics import NOISE_FLOOR

NUMBERS = frozenset({"continuous", "binary"})  # flags are numbers too


class Distribution(Protocol):
    """Distribution of the features of one modality; ``raw`` of shape (..., n_raw) gives (..., n_features)."""

    @property
    def mean(self) -> Tensor:
        """Mean of the statistics, (..., n_statistics)."""
        ...

    @property
    def stddev(self) -> Tensor:
        """Standard deviation of the statistics, (..., n_statistics)."""
        ...

    def log_prob(self, values: Tensor, observed: Tensor) -> Tensor:
        """Log-density of the observed values, summed over features: (...,)."""
        ...

    def sample(self) -> Tensor:
        """Draw values, (..., n_features)."""
        ...

    def quantile(self, q: Tensor) -> Tensor:
        """Inverse distribution function of each feature; q broadcasts against (..., n_features)."""
        ...

    def given(self, values: Tensor, observed: Tensor) -> Distribution:
        """Condition on the features observed in the same modality."""
        ...


class Independent:
    """Base of distributions whose features are independent of each other."""

    def given(self, values: Tensor, observed: Tensor) -> Self:
        """No feature says anything of another one."""
        return self


class Likelihood(nn.Module):
    """Base of likelihoods: the contract, as it is for numbers; a subclass adds ``forward``.

    Parameters
    ----------
    n_features : int

    Examples
    --------
    >>> import torch
    >>> from skmm.probability.likelihoods.continuous import IndependentNormal
    >>> class UnitNormal(Likelihood):
    ...     def forward(self, raw):
    ...         return IndependentNormal(raw, torch.ones(self.n_features))
    >>> UnitNormal(2)(torch.zeros(5, 2)).stddev.shape
    torch.Size([5, 2])
    """

    name = ""  # in error messages
    kinds = NUMBERS
    scaling: str | None = "standard"
    takes_categories = False
    is_real = False  # any number may come, so that values can be moved and spread

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = self.n_raw = self.n_inputs = self.n_statistics = n_features
        self.input_sizes: tuple[int, ...] = (1,) * n_features

    @property
    def width(self) -> int:
        """Floats that one row takes, about."""
        return max(self.n_raw, self.n_statistics)

    @property
    def real(self) -> tuple[bool, ...]:
        """Which features are real numbers without bounds."""
        return (self.is_real,) * self.n_features

    def start(self, values: Tensor, observed: Tensor) -> None:
        """Nothing to do: standardised columns have mean 0 and deviation 1."""

    def features(self, values: Tensor, observed: Tensor) -> Tensor:
        return masked(values, observed)

    def check(self, values: Tensor, observed: Tensor, modality: Hashable, labels: Sequence[Hashable]) -> None:
        """Accept every finite number."""

    def summary(self, mean: Tensor, stddev: Tensor) -> tuple[Tensor, Tensor]:
        return mean, stddev

    def probabilities(self, mean: Tensor) -> dict[int, Tensor]:
        return {}

    def reject(
        self,
        values: Tensor,
        wrong: Tensor,
        modality: Hashable,
        labels: Sequence[Hashable],
        why: str,
        remedy: str,
    ) -> None:
        """Raise ValueError for the first of the wrong values, if there is one.

        Parameters
        ----------
        values : Tensor of shape (n, n_features)
        wrong : bool Tensor of the same shape
        modality, labels : hashable, sequence of hashables
        why, remedy : str
            What the likelihood takes, and what to do about other values.
        """
        if wrong.any():
            row, column = (int(i) for i in wrong.nonzero()[0])
            _raise(
                self.name or type(self).__name__,
                modality,
                labels[column],
                values[row, column].item(),
                why,
                remedy,
            )


class LearnedScale(Likelihood):
    """Base of likelihoods of standardised numbers whose noise has one learned scale per feature.

    Parameters
    ----------
    n_features : int
    """

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.log_scale = nn.Parameter(torch.zeros(n_features))

    @property
    def scale(self) -> Tensor:
        """Scale of the noise, in standardised units, (n_features,)."""
        return NOISE_FLOOR + self.log_scale.exp()


def which_are_real(likelihood: Any) -> tuple[bool, ...]:
    """Which features are real numbers without bounds: none, where a user's likelihood does not say."""
    return getattr(likelihood, "real", (False,) * len(likelihood.input_sizes))


def _raise(name: str, modality: Hashable, label: Hashable, value: float, why: str, remedy: str) -> NoReturn:
    raise ValueError(
        f"Modality {modality!r} has a {name!r} likelihood, which takes {why} only; column {label!r} holds "
        f"{value:.6g}. {remedy}"
    )
