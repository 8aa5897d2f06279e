"""Blocks: values and masks of all modalities, as tensors without a NaN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from skmm._blocks.masks import any_of


@dataclass(frozen=True)
class Blocks:
    """Rows of a table cut into modalities, with what is observed of them.

    The modalities stand side by side in one tensor, so that taking a mini-batch costs the same for two
    modalities as for twenty; ``values`` and ``observed`` give each modality its view of it.

    Parameters
    ----------
    joint : float32 Tensor of shape (..., n_features)
        Values in standardised units. Never NaN or infinite; what stands where nothing was observed is
        arbitrary and must not matter.
    joint_observed : bool Tensor of shape (..., n_features)
        True where the value was observed.
    present : bool Tensor of shape (n_modalities, ...)
        True where at least one feature of the modality was observed.
    sizes : tuple of int
        Number of features of each modality.
    seen : tuple of Tensors of shape (..., n_inputs), or None
        What a network sees of each modality, where this has been computed beforehand.
    """

    joint: Tensor
    joint_observed: Tensor
    present: Tensor
    sizes: tuple[int, ...]
    seen: tuple[Tensor, ...] | None = None

    @classmethod
    def from_joint(cls, joint: Tensor, joint_observed: Tensor, sizes: tuple[int, ...]) -> Blocks:
        """Build blocks, deriving which modalities are present."""
        parts = joint_observed.split(sizes, dim=-1)
        present = torch.stack([any_of(part) for part in parts])  # (M, ...)
        return cls(joint, joint_observed, present, tuple(sizes))

    @cached_property
    def values(self) -> tuple[Tensor, ...]:
        """One tensor of shape (..., n_features of the modality) per modality."""
        return self.joint.split(self.sizes, dim=-1)

    @cached_property
    def observed(self) -> tuple[Tensor, ...]:
        """One bool tensor per modality, of the shape of its values."""
        return self.joint_observed.split(self.sizes, dim=-1)

    def columns_of(self, modality: int) -> Tensor:
        """True for the features of a modality, (n_features,)."""
        own = torch.arange(len(self.sizes), device=self.joint.device) == modality
        return per_feature(own, self.sizes, dim=0)

    @property
    def n_rows(self) -> int:
        """Number of rows (sequences, where there is a time axis)."""
        return self.joint.shape[0]

    @property
    def lengths(self) -> Tensor:
        """What each row costs: all alike, (n,)."""
        return torch.ones(self.n_rows, dtype=torch.long)

    @property
    def row_present(self) -> Tensor:
        """True where a row has anything of a modality, at any step, (n_modalities, n)."""
        return self.present if self.present.ndim == 2 else self.present.flatten(2).any(2)

    def rows(self, index: Tensor | slice) -> Blocks:
        """Take some rows."""
        return Blocks(
            _taken(self.joint, index),
            _taken(self.joint_observed, index),
            _taken(self.present, index, dim=1),
            self.sizes,
            None if self.seen is None else tuple(_taken(part, index) for part in self.seen),
        )

    def batch(self, index: Tensor | slice) -> Blocks:
        """Take some rows as networks compute on them."""
        return self.rows(index)

    def contents(self) -> Any:
        """What is observed, as an array of numbers, infinite where nothing is."""
        return torch.where(self.joint_observed, self.joint, torch.inf).cpu().numpy()

    def distinct(self) -> tuple[Blocks, Tensor, Tensor]:
        """Rows that differ in what is observed, in an order of their own; and, twice, which each row is."""
        rows, number = _distinct([row.tobytes() for row in self.contents()])
        return self.rows(rows), number, number

    def flat(self) -> Blocks:
        """The rows of the table."""
        return self

    def with_data(self) -> Blocks:
        """Leave out rows with nothing observed: they say nothing. Where all are such, keep them."""
        filled = self.present.any(0)
        return self.rows(filled) if filled.any() and not filled.all() else self

    def sums(self, values: Tensor) -> Tensor:
        """Sum numbers of each row of the table over the rows that belong together: here, each by itself."""
        return values

    def steps(self, index: slice) -> Blocks:
        """Take some steps of sequences."""
        return Blocks(
            self.joint[:, index], self.joint_observed[:, index], self.present[:, :, index], self.sizes
        )

    def to(self, device: torch.device) -> Blocks:
        """Move to a device."""
        return Blocks(
            self.joint.to(device), self.joint_observed.to(device), self.present.to(device), self.sizes
        )


def per_feature(values: Tensor, sizes: tuple[int, ...], *, dim: int) -> Tensor:
    """Give every feature what its modality has: an axis of modalities becomes one of features."""
    parts = []
    for part, size in zip(values.split(1, dim=dim), sizes, strict=True):
        shape = list(part.shape)
        shape[dim] = size
        parts.append(part.expand(shape))
    return torch.cat(parts, dim=dim)  # many times faster than an index or repeat_interleave


def _distinct(keys: Sequence[bytes]) -> tuple[Tensor, Tensor]:
    """Where each key that there is stands first, in the order of the keys; and which of them each one is."""
    first: dict[bytes, int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    number = {key: i for i, key in enumerate(sorted(first))}
    rows = torch.tensor([first[key] for key in number], dtype=torch.int64)
    return rows, torch.tensor([number[key] for key in keys], dtype=torch.int64)


def _taken(values: Tensor, index: Tensor | slice, dim: int = 0) -> Tensor:
    """Take some along an axis; copies by an index in a fraction of the time of ``values[index]``."""
    if isinstance(index, Tensor) and index.dtype == torch.int64:
        return values.index_select(dim, index)
    return values[index] if dim == 0 else values[:, index]


@dataclass(frozen=True)
class SequenceBlocks:
    """Sequences of unequal lengths, cut into modalities: the steps of all, one below the other.

    Only what is computed on is padded, as far as the longest sequence of the batch.

    Parameters
    ----------
    table : Blocks
        Rows are steps: those of the first sequence in the order of time, then those of the second.
    starts, lengths : int64 Tensor of shape (n,)
        Position of each sequence's first step in the table, and how many it has; on the CPU.
    """

    table: Blocks
    starts: Tensor
    lengths: Tensor

    @classmethod
    def from_table(cls, table: Blocks, lengths: Tensor) -> SequenceBlocks:
        """Cut a table into sequences that follow one another."""
        return cls(table, lengths.cumsum(0) - lengths, lengths)

    @property
    def joint(self) -> Tensor:
        """Values of all steps, those of other sequences of the same table among them."""
        return self.table.joint

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of features of each modality."""
        return self.table.sizes

    @property
    def n_rows(self) -> int:
        """Number of sequences."""
        return len(self.lengths)

    def rows(self, index: Tensor | slice) -> SequenceBlocks:
        """Take some sequences, without copying their steps."""
        return SequenceBlocks(self.table, self.starts[index], self.lengths[index])

    def distinct(self) -> tuple[SequenceBlocks, Tensor, Tensor]:
        """Sequences that differ in what is observed, in an order of their own.

        Returns
        -------
        sequences : SequenceBlocks
        of_sequence : int64 Tensor of shape (n,)
            Which of them each sequence is.
        of_step : int64 Tensor of shape (n_steps of all sequences,)
            Which row of their table each step is.
        """
        contents = self.flat().contents()  # the table may hold many others
        ends = self.lengths.cumsum(0).tolist()
        spans = zip([0, *ends], ends, strict=False)
        rows, number = _distinct([contents[start:end].tobytes() for start, end in spans])
        some = self.rows(rows)
        sequences = SequenceBlocks.from_table(some.flat(), some.lengths)
        return sequences, number, sequences.rows(number).places()[1]

    def batch(self, index: Tensor | slice) -> Blocks:
        """Take some sequences as networks compute on them: padded, (n, n_steps, n_features)."""
        position = self.positions(index).to(self.joint.device)
        inside, position = position >= 0, position.clamp_min(0)
        return Blocks(
            self.joint[position],
            self.table.joint_observed[position] & inside[..., None],
            self.table.present[:, position] & inside,
            self.sizes,
        )

    def positions(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Where the table holds each step of some sequences, -1 for padding, (n, n_steps)."""
        if isinstance(index, Tensor):
            index = index.cpu()
        starts, lengths = self.starts[index, None], self.lengths[index, None]
        step = torch.arange(int(lengths.max()) if len(lengths) else 0)
        return torch.where(step < lengths, starts + step, -1)

    def places(self) -> tuple[Tensor, Tensor]:
        """Number within its sequence, and place in the table, of each step, (n_steps of all sequences,)."""
        step = torch.arange(int(self.lengths.sum()))
        step = step - (self.lengths.cumsum(0) - self.lengths).repeat_interleave(self.lengths)
        return step, self.starts.repeat_interleave(self.lengths) + step

    def flat(self) -> Blocks:
        """The steps of these sequences, and no others, one below the other."""
        return self.table.rows(self.places()[1].to(self.joint.device))

    def trimmed(self) -> SequenceBlocks:
        """The same without the steps behind the last one at which anything was observed."""
        step, place = self.places()
        reached = torch.where(self.table.present.any(0).cpu()[place], step + 1, 0)
        owner = torch.arange(self.n_rows).repeat_interleave(self.lengths)
        reach = torch.zeros(self.n_rows, dtype=torch.long).scatter_reduce(0, owner, reached, "amax")
        return SequenceBlocks(self.table, self.starts, reach)

    def with_data(self) -> SequenceBlocks:
        """Leave out what says nothing: steps behind the last one observed, sequences with nothing observed.

        Where all sequences are such, keep them.
        """
        trimmed = self.trimmed()
        filled = trimmed.lengths > 0
        return trimmed.rows(filled) if filled.any() else self

    def sums(self, values: Tensor) -> Tensor:
        """Sum numbers of each step, those of :meth:`flat`, over the steps of each sequence, (n,)."""
        owner = torch.arange(self.n_rows).repeat_interleave(self.lengths).to(values.device)
        return values.new_zeros(self.n_rows, *values.shape[1:]).index_add(0, owner, values)

    def extended(self, n_steps: int) -> SequenceBlocks:
        """The same with steps behind the last of each sequence, at which nothing is observed."""
        lengths = self.lengths + n_steps
        empty = Blocks.from_joint(
            self.joint.new_zeros(1, self.joint.shape[1]),
            self.table.joint_observed.new_zeros(1, self.joint.shape[1]),
            self.sizes,
        )
        table = Blocks(
            torch.cat([empty.joint, self.joint]),
            torch.cat([empty.joint_observed, self.table.joint_observed]),
            torch.cat([empty.present, self.table.present], dim=1),
            self.sizes,
        )
        # the table's first row is empty now, and so are all steps that are new
        index = torch.zeros(int(lengths.sum()), dtype=torch.long)
        step, place = self.places()
        index[(lengths.cumsum(0) - lengths).repeat_interleave(self.lengths) + step] = place + 1
        return SequenceBlocks.from_table(table.rows(index.to(self.joint.device)), lengths)

    def last_steps(self, n_steps: int) -> Tensor:
        """Where, among the steps of :meth:`flat`, the last few of each sequence stand."""
        ends = self.lengths.cumsum(0)
        return (ends[:, None] - n_steps + torch.arange(n_steps)).flatten()

    def to(self, device: torch.device) -> SequenceBlocks:
        """Move the steps to a device."""
        return SequenceBlocks(self.table.to(device), self.starts, self.lengths)
