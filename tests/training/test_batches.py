"""Batches: every row once an epoch, sequences of like length together."""

import pytest
import torch

from skmm._blocks.blocks import Blocks, SequenceBlocks
from skmm._torch import isolated_rng
from skmm.training.batches import n_batches, shuffled_batches


def make_sequences(lengths):
    lengths = torch.as_tensor(lengths)
    n_steps = int(lengths.sum())
    table = Blocks.from_joint(torch.zeros(n_steps, 1), torch.ones(n_steps, 1, dtype=torch.bool), (1,))
    return SequenceBlocks.from_table(table, lengths)


def make_rows(n):
    return Blocks.from_joint(torch.zeros(n, 1), torch.ones(n, 1, dtype=torch.bool), (1,))


def padding(blocks, batches):
    """Padded steps, as a share of those that are computed on."""
    computed = sum(len(batch) * int(blocks.lengths[batch].max()) for batch in batches)
    return 1 - int(blocks.lengths.sum()) / computed


@pytest.mark.parametrize("batch_size", [1, 7, 32, 1000])
@pytest.mark.parametrize("make", [make_rows, lambda n: make_sequences(torch.arange(n) % 50 + 1)])
def test_every_row_once(make, batch_size):
    blocks = make(300)
    with isolated_rng(0):
        batches = shuffled_batches(blocks, batch_size)
        others = shuffled_batches(blocks, batch_size)
    assert torch.equal(torch.cat(batches).sort().values, torch.arange(300))
    assert len(batches) == n_batches(blocks, batch_size)
    assert all(len(batch) <= batch_size + 1 for batch in batches)
    assert not torch.equal(torch.cat(batches), torch.cat(others))


def test_a_single_row_left_over_joins_the_batch_before():
    with isolated_rng(0):
        batches = shuffled_batches(make_rows(65), 32)
    assert sorted(len(batch) for batch in batches) == [32, 33]


def test_sequences_of_like_length_go_together():
    with isolated_rng(0):
        blocks = make_sequences(torch.randint(10, 101, (1000,)))
        batches = shuffled_batches(blocks, 32)
        at_random = torch.randperm(1000).split(32)
    assert padding(blocks, at_random) > 0.4
    assert padding(blocks, batches) < 0.1
    longest = torch.tensor([float(blocks.lengths[batch].max()) for batch in batches])
    assert not torch.equal(longest, longest.sort().values)  # batches come in a random order


def test_who_goes_together_changes():
    blocks = make_sequences(torch.arange(1000) % 90 + 10)
    with isolated_rng(0):
        first, second = ({frozenset(b.tolist()) for b in shuffled_batches(blocks, 32)} for _ in range(2))
    assert len(first & second) < 3
