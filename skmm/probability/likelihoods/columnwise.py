"""Several likelihoods within one modality."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from skmm.probability.likelihoods.contract import Distribution, Likelihood, which_are_real


@dataclass(frozen=True)
class ColumnwiseDistribution:
    """Distributions of several groups of columns, put together.

    Values are in the order of the table, statistics part by part.

    Parameters
    ----------
    parts : tuple of distributions
    columns : tuple of Tensors
        Of each part.
    place : Tensor of shape (n_features,)
        Where the columns of the table stand among those of the parts.
    """

    parts: tuple[Distribution, ...]
    columns: tuple[Tensor, ...]
    place: Tensor

    @property
    def mean(self) -> Tensor:
        return torch.cat([part.mean for part in self.parts], dim=-1)

    @property
    def stddev(self) -> Tensor:
        return torch.cat([part.stddev for part in self.parts], dim=-1)

    def log_prob(self, values: Tensor, observed: Tensor) -> Tensor:
        return torch.stack(
            [
                part.log_prob(values[..., columns], observed[..., columns])
                for part, columns in zip(self.parts, self.columns, strict=True)
            ]
        ).sum(0)

    def sample(self) -> Tensor:
        return torch.cat([part.sample() for part in self.parts], dim=-1)[..., self.place]

    def quantile(self, q: Tensor) -> Tensor:
        pieces = [
            part.quantile(q if q.shape[-1:] in ((), (1,)) else q[..., columns])
            for part, columns in zip(self.parts, self.columns, strict=True)
        ]
        return torch.cat(pieces, dim=-1)[..., self.place]

    def given(self, values: Tensor, observed: Tensor) -> ColumnwiseDistribution:
        parts = tuple(
            part.given(values[..., columns], observed[..., columns])
            for part, columns in zip(self.parts, self.columns, strict=True)
        )
        return ColumnwiseDistribution(parts, self.columns, self.place)


class Columnwise(Likelihood):
    """Several likelihoods within one modality.

    Values, and the features that an encoder sees of them, are in the order of the table; what comes from a
    decoder, or is a statistic, stands part by part.

    Parameters
    ----------
    parts : sequence of likelihoods
    columns : sequence of int sequences
        The modality's columns that each part describes; together all of them, each once.
    """

    place: Tensor
    input_place: Tensor

    def __init__(self, parts: Sequence[Any], columns: Sequence[Sequence[int]]) -> None:
        super().__init__(sum(len(positions) for positions in columns))
        self.parts: Any = nn.ModuleList(parts)
        self.n_raw = sum(part.n_raw for part in parts)
        self.n_inputs = sum(part.n_inputs for part in parts)
        self.n_statistics = sum(part.n_statistics for part in parts)
        for index, positions in enumerate(columns):
            self.register_buffer(f"columns_{index}", torch.tensor(positions), persistent=False)
        owner = torch.cat(self.columns)
        self.register_buffer("place", owner.argsort(), persistent=False)
        input_sizes = torch.tensor([size for part in parts for size in part.input_sizes])
        owner_of_input = owner.repeat_interleave(input_sizes)
        self.register_buffer("input_place", owner_of_input.argsort(stable=True), persistent=False)
        self.input_sizes = tuple(input_sizes[self.place].tolist())

    @property
    def width(self) -> int:
        """That of all parts."""
        return sum(part.width for part in self.parts)

    @property
    def real(self) -> tuple[bool, ...]:
        """Which features are real numbers without bounds, in the order of the table."""
        flags = [flag for part in self.parts for flag in which_are_real(part)]
        return tuple(flags[position] for position in self.place.tolist())

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """Columns of each part."""
        return tuple(getattr(self, f"columns_{index}") for index in range(len(self.parts)))

    def start(self, values: Tensor, observed: Tensor) -> None:
        for part, columns in zip(self.parts, self.columns, strict=True):
            part.start(values[..., columns], observed[..., columns])

    def features(self, values: Tensor, observed: Tensor) -> Tensor:
        pieces = [
            part.features(values[..., columns], observed[..., columns])
            for part, columns in zip(self.parts, self.columns, strict=True)
        ]
        return torch.cat(pieces, dim=-1)[..., self.input_place]

    def check(self, values: Tensor, observed: Tensor, modality: Hashable, labels: Sequence[Hashable]) -> None:
        for part, columns in zip(self.parts, self.columns, strict=True):
            chosen = columns.tolist()  # what is checked is on the CPU, wherever the network is
            part.check(values[..., chosen], observed[..., chosen], modality, [labels[i] for i in chosen])

    def summary(self, mean: Tensor, stddev: Tensor) -> tuple[Tensor, Tensor]:
        pieces = [
            part.summary(*moments)
            for part, *moments in zip(self.parts, self._split(mean), self._split(stddev), strict=True)
        ]
        values, deviations = (
            torch.cat(piece, dim=-1)[..., self.place] for piece in zip(*pieces, strict=True)
        )
        return values, deviations

    def probabilities(self, mean: Tensor) -> dict[int, Tensor]:
        found = {}
        for part, columns, piece in zip(self.parts, self.columns, self._split(mean), strict=True):
            for position, probabilities in part.probabilities(piece).items():
                found[int(columns[position])] = probabilities
        return dict(sorted(found.items()))

    def _split(self, statistics: Tensor) -> tuple[Tensor, ...]:
        return statistics.split([part.n_statistics for part in self.parts], dim=-1)

    def forward(self, raw: Tensor) -> ColumnwiseDistribution:
        pieces = raw.split([part.n_raw for part in self.parts], dim=-1)
        parts = tuple(part(piece) for part, piece in zip(self.parts, pieces, strict=True))
        return ColumnwiseDistribution(parts, self.columns, self.place)
