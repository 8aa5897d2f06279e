"""Which rows a step of training takes together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks, SequenceBlocks

POOL_ENTRIES = 2**19  # of a table, that are made ready for training together
BATCHES_PER_POOL = 16  # rows are sorted by length among so many batches: mixed enough, and hardly padded


def shuffled_batches(blocks: Blocks | SequenceBlocks, batch_size: int) -> list[Tensor]:
    """Put all rows in a random order and cut them into batches, sequences of like length together.

    Parameters
    ----------
    blocks : Blocks or SequenceBlocks
    batch_size : int
    """
    if not isinstance(blocks, SequenceBlocks):
        return cut(torch.randperm(blocks.n_rows, device=blocks.joint.device), batch_size)
    order = torch.randperm(blocks.n_rows)  # on the CPU, where lengths are
    if bool((blocks.lengths == blocks.lengths[:1]).all()):
        return cut(order, batch_size)
    pools = order.split(batch_size * BATCHES_PER_POOL)
    order = torch.cat([pool[blocks.lengths[pool].argsort(stable=True)] for pool in pools])
    batches = cut(order, batch_size)
    return [batches[i] for i in torch.randperm(len(batches)).tolist()]  # not the short ones first


def training_batches(
    network: Any, blocks: Blocks | SequenceBlocks, batch_size: int, corruption: Callable[[Blocks], Blocks]
) -> Iterator[tuple[Blocks, Blocks]]:
    """Batches of one epoch: what the encoders are given, and what is scored.

    Rows of tables are shuffled, corrupted and made inputs many batches at a time: on small networks, these
    few operations would otherwise take as long as the network.
    """
    if isinstance(blocks, SequenceBlocks):
        for index in shuffled_batches(blocks, batch_size):
            targets = blocks.batch(index)
            yield corruption(targets), targets
        return
    n_together = max(1, POOL_ENTRIES // (batch_size * max(1, blocks.joint.shape[1])))
    batches = shuffled_batches(blocks, batch_size)
    for first in range(0, len(batches), n_together):
        pool = batches[first : first + n_together]
        targets = blocks.rows(torch.cat(pool))
        inputs = corruption(targets)
        inputs = replace(inputs, seen=network.inputs(inputs))
        start = 0
        for batch in pool:
            rows = slice(start, start + len(batch))
            yield inputs.rows(rows), targets.rows(rows)
            start = rows.stop


def n_batches(blocks: Blocks | SequenceBlocks, batch_size: int) -> int:
    """Number of batches that :func:`shuffled_batches` makes."""
    return len(cut(torch.arange(blocks.n_rows), batch_size))


def cut(order: Tensor, batch_size: int) -> list[Tensor]:
    """Cut rows into batches; a single row left over joins the one before, for users' batch statistics."""
    batches = list(order.split(batch_size))
    if batch_size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
