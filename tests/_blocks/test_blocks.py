"""Blocks: values and masks, whole, by modality and by row."""

import pytest
import torch

from skmm._blocks.blocks import Blocks, SequenceBlocks

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


class TestSequenceBlocks:
    """Sequences of 3, 1 and 4 steps, of two modalities; some steps are empty."""

    LENGTHS = torch.tensor([3, 1, 4])

    @pytest.fixture
    def sequences(self):
        joint = torch.arange(24.0).reshape(8, 3)
        observed = torch.ones(8, 3, dtype=torch.bool)
        observed[2] = False  # the first sequence ends with an empty step
        observed[3] = False  # the second has nothing
        observed[5, 2] = False
        table = Blocks.from_joint(joint, observed, (2, 1))
        return SequenceBlocks.from_table(table, self.LENGTHS)

    def test_batch_is_padded_with_nothing(self, sequences):
        batch = sequences.batch(torch.tensor([2, 0]))
        assert batch.joint.shape == (2, 4, 3)
        torch.testing.assert_close(batch.joint[0], sequences.joint[4:])
        torch.testing.assert_close(batch.joint[1, :3], sequences.joint[:3])
        assert batch.present[:, 0].T.tolist() == [[True, True], [True, False], [True, True], [True, True]]
        assert batch.present[:, 1].T.tolist() == [[True, True], [True, True], [False, False], [False, False]]
        assert not batch.joint_observed[1, 2:].any()

    def test_rows_of_rows(self, sequences):
        chosen = sequences.rows(torch.tensor([2, 0])).rows(slice(1, 2))
        assert chosen.n_rows == 1
        torch.testing.assert_close(chosen.flat().joint, sequences.joint[:3])

    def test_trimmed_and_with_data(self, sequences):
        assert sequences.trimmed().lengths.tolist() == [2, 0, 4]
        kept = sequences.with_data()
        assert kept.lengths.tolist() == [2, 4]
        assert kept.batch(slice(None)).joint.shape == (2, 4, 3)
        empty = sequences.rows(torch.tensor([1]))
        assert empty.with_data().lengths.tolist() == [1]

    def test_sums(self, sequences):
        assert sequences.sums(torch.arange(8.0)).tolist() == [3.0, 3.0, 22.0]
        assert sequences.sums(torch.ones(8, 2)).tolist() == [[3.0, 3.0], [1.0, 1.0], [4.0, 4.0]]

    def test_extended(self, sequences):
        longer = sequences.rows(torch.tensor([2, 1])).extended(2)
        assert longer.lengths.tolist() == [6, 3]
        flat = longer.flat()
        torch.testing.assert_close(flat.joint[:4], sequences.joint[4:])
        assert not flat.joint_observed[4:].any()
        assert longer.last_steps(2).tolist() == [4, 5, 7, 8]

    def test_distinct_of_some(self, sequences):
        """Whatever else the table holds, and wherever they stand in it."""
        some = sequences.rows(torch.tensor([2, 0, 2]))
        distinct, of_sequence, of_step = some.distinct()
        assert distinct.n_rows == 2
        assert of_sequence[0] == of_sequence[2] != of_sequence[1]
        torch.testing.assert_close(distinct.table.joint[of_step], some.flat().joint)

    def test_positions_find_each_step(self, sequences):
        assert sequences.positions().tolist() == [[0, 1, 2, -1], [3, -1, -1, -1], [4, 5, 6, 7]]


def test_a_table_is_its_own_rows():
    blocks = Blocks.from_joint(
        torch.zeros(3, 2), torch.tensor([[True, False], [False, False], [True, True]]), (1, 1)
    )
    assert blocks.flat() is blocks
    assert blocks.with_data().n_rows == 2
    assert torch.equal(blocks.row_present, blocks.present)
    assert blocks.sums(torch.arange(3.0)).tolist() == [0.0, 1.0, 2.0]
