"""Blocks: values and masks, whole, by modality and by row."""

import pytest
import torch

from skmm._blocks.blocks import Blocks

JOINT = torch.arange(24.0).reshape(4, 6)
OBSERVED = torch.tensor(
    [
        [1, 1, 1, 1, 1, 1],
        [0, 0, 1, 0, 0, 1],
        [1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ],
    dtype=torch.bool,
)
PRESENT = torch.tensor([[1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0]], dtype=torch.bool)
SIZES = (2, 1, 3)


@pytest.fixture
def blocks():
    return Blocks.from_joint(JOINT, OBSERVED, SIZES)


def test_a_modality_is_present_where_any_feature_is_observed(blocks):
    assert torch.equal(blocks.present, PRESENT)


def test_modalities_are_views_side_by_side(blocks):
    assert [tuple(values.shape) for values in blocks.values] == [(4, 2), (4, 1), (4, 3)]
    assert torch.equal(torch.cat(blocks.values, dim=-1), JOINT)
    assert torch.equal(torch.cat(blocks.observed, dim=-1), OBSERVED)
    for values in blocks.values:
        assert values.untyped_storage().data_ptr() == JOINT.untyped_storage().data_ptr()


@pytest.mark.parametrize("index", [torch.tensor([2, 0, 2]), slice(1, 3), torch.tensor([], dtype=torch.long)])
def test_rows(blocks, index):
    rows = blocks.rows(index)
    assert rows.n_rows == len(JOINT[index])
    assert rows.sizes == SIZES
    assert torch.equal(rows.joint, JOINT[index])
    assert torch.equal(rows.joint_observed, OBSERVED[index])
    assert torch.equal(rows.present, PRESENT[:, index])


def test_rows_may_have_a_time_axis():
    sequences = Blocks.from_joint(JOINT.reshape(2, 2, 6), OBSERVED.reshape(2, 2, 6), SIZES)
    assert sequences.n_rows == 2
    assert torch.equal(sequences.present, PRESENT.reshape(3, 2, 2))
    assert sequences.values[2].shape == (2, 2, 3)
    assert torch.equal(sequences.rows(torch.tensor([1])).present, PRESENT.reshape(3, 2, 2)[:, [1]])


def test_sizes_must_add_up():
    with pytest.raises(RuntimeError, match="split_sizes"):
        Blocks.from_joint(JOINT, OBSERVED, (2, 2))


def test_to_moves_everything(blocks):
    moved = blocks.to(torch.device("meta"))  # the one other device that every machine has
    assert {moved.joint.device.type, moved.joint_observed.device.type, moved.present.device.type} == {"meta"}
    assert moved.sizes == SIZES
    assert blocks.joint.device.type == "cpu"


def test_blocks_cannot_be_changed(blocks):
    with pytest.raises(AttributeError, match="cannot assign"):
        blocks.joint = JOINT
