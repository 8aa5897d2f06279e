"""Which rows a step of training takes together."""

from __future__ import annotations

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks, SequenceBlocks

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


def n_batches(blocks: Blocks | SequenceBlocks, batch_size: int) -> int:
    """Number of batches that :func:`shuffled_batches` makes."""
    return len(cut(torch.arange(blocks.n_rows), batch_size))


def cut(order: Tensor, batch_size: int) -> list[Tensor]:
    """Cut rows into batches; a single row left over joins the one before, for users' batch statistics."""
    batches = list(order.split(batch_size))
    if batch_size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
