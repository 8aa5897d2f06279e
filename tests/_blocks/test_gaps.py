"""Dropout of sequences: shares, places, what is left."""

import pytest
import torch

from skmm._blocks.blocks import Blocks
from skmm._blocks.gaps import SequenceDropout
from skmm._torch import isolated_rng

SIZES = (2, 1)
NOTHING = (0.0, 0.0)


def make_blocks(n=2000, n_steps=20):
    observed = torch.ones(n, n_steps, 3, dtype=torch.bool)
    return Blocks.from_joint(torch.zeros(n, n_steps, 3), observed, SIZES)


def hidden_by(blocks, *, modality=NOTHING, cell=NOTHING, step=NOTHING, burst=NOTHING):
    """Which steps of each modality were hidden, (n_modalities, n, n_steps)."""
    with isolated_rng(0):
        dropped = SequenceDropout(modality, cell, step, burst)(blocks)
    assert dropped.joint is blocks.joint  # only masks change
    assert not (dropped.joint_observed & ~blocks.joint_observed).any()
    return dropped, blocks.present & ~dropped.present


def share(flags):
    return flags.float().mean().item()


def test_nothing_is_hidden_at_rate_zero():
    blocks = make_blocks(10)
    dropped, hidden = hidden_by(blocks)
    assert dropped is blocks
    assert not hidden.any()


def test_modalities_are_hidden_in_whole_sequences():
    _, hidden = hidden_by(make_blocks(), modality=(0.3, 0.1))
    assert torch.equal(hidden.any(-1), hidden.all(-1))
    assert share(hidden[0, :, 0]) == pytest.approx(0.3 - 0.03 * 0.25, abs=0.04)
    assert not hidden.all(0).any()  # one modality is left


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_steps_are_hidden_at_their_mean_rate(rate):
    _, hidden = hidden_by(make_blocks(), step=(rate, 0.0))
    assert share(hidden[0]) == pytest.approx(rate, abs=0.03)
    assert not hidden[1].any()


def test_share_of_hidden_steps_differs_between_sequences():
    """u ** ((1 - r) / r) has the variance of a beta distribution with parameters r / (1 - r) and 1."""
    _, hidden = hidden_by(make_blocks(4000, 200), step=(0.5, 0.5))
    shares = hidden[0].float().mean(-1)
    assert shares.var() == pytest.approx(1 / 12 + 1 / 6 / 200, rel=0.1)  # uniform at rate 1/2


def test_bursts_are_stretches_anywhere():
    _, hidden = hidden_by(make_blocks(4000), burst=(0.6, 0.6))
    lost = hidden[0].any(-1)
    assert share(lost) == pytest.approx(0.6, abs=0.03)
    changes = (hidden[0][:, 1:] != hidden[0][:, :-1]).sum(-1)
    assert changes[lost].max() <= 2
    # as likely at the start and the end as between
    by_step = hidden[0].float().mean(0)
    assert by_step.min() > 0.8 * by_step.max()
    lengths = hidden[0].sum(-1)[lost]
    assert lengths.min() == 1
    assert lengths.max() == 20


def test_half_of_the_sequences_lose_the_same_in_all_modalities():
    _, hidden = hidden_by(make_blocks(4000), burst=(1.0, 1.0))
    same = (hidden[0] == hidden[1]).all(-1)
    assert 0.5 <= share(same) < 0.56  # and a few by chance


def test_bursts_keep_to_what_was_observed():
    """Empty steps at the end are no reason to hide less of the others."""
    blocks = make_blocks(4000)
    padded = Blocks.from_joint(
        torch.zeros(4000, 60, 3), torch.nn.functional.pad(blocks.joint_observed, (0, 0, 0, 40)), SIZES
    )
    _, hidden = hidden_by(blocks, burst=(0.5, 0.5))
    _, of_padded = hidden_by(padded, burst=(0.5, 0.5))
    assert share(of_padded[:, :, :20]) == pytest.approx(share(hidden), abs=0.02)


def test_a_sequence_keeps_something():
    blocks = make_blocks(3000, 2)
    dropped, _ = hidden_by(blocks, modality=(0.5, 0.5), cell=(0.5, 0.5), step=(0.6, 0.6), burst=(0.9, 0.9))
    assert dropped.row_present.any(0).all()


def test_cells_are_hidden_one_by_one():
    dropped, _ = hidden_by(make_blocks(), cell=(0.2, 0.0))
    gone = ~dropped.joint_observed
    assert share(gone[..., :2]) == pytest.approx(0.2, abs=0.02)
    # given the share s of a sequence, cells are independent: both of a step with probability E s^2 = 1/9
    assert share(gone[..., 0] & gone[..., 1]) == pytest.approx(1 / 9, abs=0.02)
    assert not gone[..., 2].any()
