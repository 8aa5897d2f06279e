"""What the benchmarks of sequences compare with: the plain loop is the library's model, masks are as said."""

from functools import partial

import numpy as np
import pytest
import torch

from benchmarks import air_quality, spirals
from benchmarks.reference_vrnn import ReferenceVRNN
from benchmarks.sequence_speed import library_loss, reference_loss, seeded
from benchmarks.sequences import hidden_steps
from skmm import MultimodalVRNN
from skmm._blocks.blocks import Blocks, SequenceBlocks

SIZES = (3, 2)
LENGTHS = (7, 1, 4, 7)


@pytest.fixture(scope="module")
def network():
    """With weights that are all away from where they start."""
    X = np.random.RandomState(0).normal(size=(8, 5, sum(SIZES)))
    model = MultimodalVRNN(
        3,
        modalities={"a": slice(0, 3), "b": slice(3, 5)},
        hidden_size=6,
        hidden_layer_sizes=(4,),
        smoothing_dropout=0.0,
        max_iter=1,
        random_state=0,
    )
    network = model.fit(X).module_.train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return network


@pytest.fixture(scope="module")
def batch():
    """Sequences of unequal lengths with gaps of all kinds; more of them hidden from the encoders."""
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(sum(LENGTHS), sum(SIZES), generator=generator)
    known = torch.rand(values.shape, generator=generator) < 0.8
    known[:3, :3] = False  # a modality for a while
    known[9] = False  # all of a step
    known[5:7] = False  # all at an end
    table = Blocks.from_joint(values, known, SIZES)
    targets = SequenceBlocks.from_table(table, torch.tensor(LENGTHS)).batch(slice(None))
    kept = torch.rand(targets.joint.shape, generator=generator) < 0.7
    inputs = Blocks.from_joint(targets.joint, targets.joint_observed & kept, SIZES)
    assert not inputs.present[:, 3].all()
    assert inputs.present.any(0).any(1).all()
    return inputs, targets


def test_plain_loop_is_the_same_model(network, batch):
    """Loss and gradients, from the same weights and noise."""
    reference = ReferenceVRNN.copy_of(network, SIZES)
    network.zero_grad()
    losses = []
    for loss, model in ((library_loss, network), (reference_loss, reference)):
        losses.append(seeded(partial(loss, model, *batch), seed=2))
        losses[-1].backward()
    torch.testing.assert_close(*losses, rtol=1e-5, atol=0)
    ours = reference.translated({name: parameter.grad for name, parameter in network.named_parameters()})
    assert all(gradient.abs().max() > 0 for gradient in ours.values())
    theirs = {name: parameter.grad for name, parameter in reference.named_parameters()}
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_step_wise_least_squares_finds_the_published_errors():
    figures = spirals.least_squares(0).iloc[0]
    assert figures["second given first"] == pytest.approx(0.062, abs=0.001)
    assert figures["first given second"] == pytest.approx(0.124, abs=0.001)


def test_masks():
    X = np.zeros((6, 11, 4))
    hidden = hidden_steps(X, 0.5, {"a": slice(0, 3), "b": [3]}, np.random.RandomState(0))
    assert (hidden[:, :, [0, 3]].sum(1) == round(5.5)).all()
    assert (hidden[:, :, 0] == hidden[:, :, 2]).all()
    assert (hidden[:, :, 0] != hidden[:, :, 3]).any()
    off = air_quality.blocks(1000, np.random.RandomState(0))
    edges = np.flatnonzero(np.diff(np.r_[0, off.astype(int), 0]))
    assert off.sum() == 24 * round(0.1 * 1000 / 24)
    assert (np.diff(edges)[::2] % 24 == 0).all()
