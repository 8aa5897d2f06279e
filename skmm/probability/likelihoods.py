"""Likelihoods: what a decoder's output says about the values of a modality.

A likelihood is a module, made for a number of features, with

``n_raw``
    how many numbers it wants from the decoder,
``standardised``
    whether its columns are centred and scaled on the way in,
``features(values, observed)``
    what the encoder sees of the values, zero where nothing was observed,
``check(values, observed, modality, labels)``
    raises ValueError for values outside its support, naming modality and column,
``forward(raw)``
    a distribution with ``log_prob(values, observed)``, ``mean``, ``stddev``, ``sample()``, ``quantile(q)``
    and ``given(values, observed)``, over the trailing axis of features and any leading axes.

To add one, write such a module here and name it in ``LIKELIHOODS``.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

LOG_2PI = math.log(2 * math.pi)
NOISE_FLOOR = 1e-2  # in standardised units: a density must not run off to infinity on a feature it can copy


class Distribution(Protocol):
    """Distribution of the features of one modality; ``raw`` of shape (..., n_raw) gives (..., n_features)."""

    @property
    def mean(self) -> Tensor: ...

    @property
    def stddev(self) -> Tensor: ...

    def log_prob(self, values: Tensor, observed: Tensor) -> Tensor:
        """Log-density of the observed values, summed over features: (...,)."""
        ...

    def sample(self) -> Tensor: ...

    def quantile(self, q: Tensor) -> Tensor:
        """Inverse distribution function of each feature; q broadcasts against (..., n_features)."""
        ...

    def given(self, values: Tensor, observed: Tensor) -> Distribution:
        """Condition on the features observed in the same modality."""
        ...


@dataclass(frozen=True)
class IndependentNormal:
    """Normal features, independent of each other."""

    loc: Tensor
    scale: Tensor

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return self.scale.expand_as(self.loc)

    def log_prob(self, values: Tensor, observed: Tensor) -> Tensor:
        # masked before it is squared: infinity times zero is NaN, here and in the gradient
        deviation = torch.where(observed, values - self.loc, 0.0)
        squared = (deviation / self.scale).square()
        return -0.5 * ((squared + (2 * self.scale.log() + LOG_2PI)) * observed).sum(-1)

    def sample(self) -> Tensor:
        return self.loc + self.scale * torch.randn_like(self.loc)

    def quantile(self, q: Tensor) -> Tensor:
        return self.loc + self.scale * torch.special.ndtri(q)

    def given(self, values: Tensor, observed: Tensor) -> IndependentNormal:
        return self


@dataclass(frozen=True)
class IndependentBernoulli:
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

    def given(self, values: Tensor, observed: Tensor) -> IndependentBernoulli:
        return self


class Normal(nn.Module):
    """Normal noise with one learned scale per feature.

    Parameters
    ----------
    n_features : int
    """

    standardised = True

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_raw = n_features
        self.log_scale = nn.Parameter(torch.zeros(n_features))

    @property
    def scale(self) -> Tensor:
        """Standard deviation of the noise, in standardised units, (n_features,)."""
        return NOISE_FLOOR + self.log_scale.exp()

    def features(self, values: Tensor, observed: Tensor) -> Tensor:
        return torch.where(observed, values, 0.0)

    def check(self, values: Tensor, observed: Tensor, modality: Hashable, labels: Sequence[Hashable]) -> None:
        """Accept every finite number."""

    def forward(self, raw: Tensor) -> IndependentNormal:
        return IndependentNormal(raw, self.scale)


class Bernoulli(nn.Module):
    """Values 0 and 1.

    Parameters
    ----------
    n_features : int
    """

    standardised = False

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_raw = n_features

    def features(self, values: Tensor, observed: Tensor) -> Tensor:
        return torch.where(observed, 2 * values - 1, 0.0)

    def check(self, values: Tensor, observed: Tensor, modality: Hashable, labels: Sequence[Hashable]) -> None:
        wrong = observed & (values != 0) & (values != 1)
        if wrong.any():
            row, column = (int(i) for i in wrong.nonzero()[0])
            raise ValueError(
                f"Modality {modality!r} has a 'bernoulli' likelihood, which takes 0 and 1 only; column "
                f"{labels[column]!r} holds {values[row, column].item():.6g}. Threshold the values first, or "
                "use likelihood='normal'."
            )

    def forward(self, raw: Tensor) -> IndependentBernoulli:
        return IndependentBernoulli(raw)


@dataclass(frozen=True)
class ColumnwiseDistribution:
    """Distributions of several groups of columns, put together."""

    parts: tuple[Distribution, ...]
    columns: tuple[Tensor, ...]

    def _gather(self, pieces: Sequence[Tensor]) -> Tensor:
        return _in_order(pieces, self.columns)

    @property
    def mean(self) -> Tensor:
        return self._gather([part.mean for part in self.parts])

    @property
    def stddev(self) -> Tensor:
        return self._gather([part.stddev for part in self.parts])

    def log_prob(self, values: Tensor, observed: Tensor) -> Tensor:
        return torch.stack(
            [
                part.log_prob(values[..., columns], observed[..., columns])
                for part, columns in zip(self.parts, self.columns, strict=True)
            ]
        ).sum(0)

    def sample(self) -> Tensor:
        return self._gather([part.sample() for part in self.parts])

    def quantile(self, q: Tensor) -> Tensor:
        return self._gather(
            [
                part.quantile(q if q.shape[-1:] in ((), (1,)) else q[..., columns])
                for part, columns in zip(self.parts, self.columns, strict=True)
            ]
        )

    def given(self, values: Tensor, observed: Tensor) -> ColumnwiseDistribution:
        parts = tuple(
            part.given(values[..., columns], observed[..., columns])
            for part, columns in zip(self.parts, self.columns, strict=True)
        )
        return ColumnwiseDistribution(parts, self.columns)


def _in_order(pieces: Sequence[Tensor], columns: Sequence[Tensor]) -> Tensor:
    """Put groups of columns back into the order of the table."""
    return torch.cat(list(pieces), dim=-1)[..., torch.cat(list(columns)).argsort()]


class Columnwise(nn.Module):
    """Several likelihoods within one modality.

    Parameters
    ----------
    parts : sequence of likelihoods
    columns : sequence of int sequences
        The modality's columns that each part describes; together all of them, each once.
    """

    def __init__(self, parts: Sequence[Any], columns: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.parts: Any = nn.ModuleList(parts)
        self.n_raw = sum(part.n_raw for part in parts)
        self._n_parts = len(parts)
        for index, positions in enumerate(columns):
            self.register_buffer(f"columns_{index}", torch.tensor(positions), persistent=False)

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """Columns of each part."""
        return tuple(getattr(self, f"columns_{index}") for index in range(self._n_parts))

    def features(self, values: Tensor, observed: Tensor) -> Tensor:
        pieces = [
            part.features(values[..., columns], observed[..., columns])
            for part, columns in zip(self.parts, self.columns, strict=True)
        ]
        return _in_order(pieces, self.columns)

    def check(self, values: Tensor, observed: Tensor, modality: Hashable, labels: Sequence[Hashable]) -> None:
        for part, columns in zip(self.parts, self.columns, strict=True):
            part.check(
                values[..., columns], observed[..., columns], modality, [labels[i] for i in columns.tolist()]
            )

    def forward(self, raw: Tensor) -> ColumnwiseDistribution:
        pieces = raw.split([part.n_raw for part in self.parts], dim=-1)
        parts = tuple(part(piece) for part, piece in zip(self.parts, pieces, strict=True))
        return ColumnwiseDistribution(parts, self.columns)


LIKELIHOODS = {"normal": Normal, "bernoulli": Bernoulli}

BY_KIND = {"continuous": "normal", "binary": "bernoulli"}  # what likelihood="auto" means for a type of column


def _class_of(spec: Any, kind: str) -> Any:
    """What makes the likelihood of a column of one type."""
    if spec == "auto":
        return LIKELIHOODS[BY_KIND[kind]]
    return LIKELIHOODS[spec] if isinstance(spec, str) else spec


def is_standardised(spec: Any, kind: str) -> bool:
    """Tell whether a column of a type is centred and scaled under a likelihood."""
    return bool(getattr(_class_of(spec, kind), "standardised", True))


def build_likelihood(spec: Any, kinds: Sequence[str]) -> nn.Module:
    """Make the likelihood of a modality.

    Parameters
    ----------
    spec : str or callable
        "auto" chooses by the type of each column; a name stands for an entry of ``LIKELIHOODS``; a callable
        (such as a user's class) is given the number of features.
    kinds : sequence of str
        Type of each of the modality's columns.
    """
    columns: dict[Any, list[int]] = {}
    for position, kind in enumerate(kinds):
        columns.setdefault(_class_of(spec, kind), []).append(position)
    if len(columns) == 1:
        likelihood = next(iter(columns))(len(kinds))
        lacking = [name for name in ("n_raw", "features", "check") if not hasattr(likelihood, name)]
        if not isinstance(likelihood, nn.Module) or lacking:
            raise TypeError(
                f"likelihood={spec!r} must return a Module with n_raw, features and check, but it returned "
                f"{likelihood!r}{' without ' + ', '.join(lacking) if lacking else ''}."
            )
        return likelihood
    return Columnwise([make(len(positions)) for make, positions in columns.items()], list(columns.values()))
