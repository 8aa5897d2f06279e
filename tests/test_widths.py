"""Modalities of 2 and of 200 columns: what weights and dropout do there."""

import pytest

import skmm
from benchmarks.widths import SETTINGS, errors, make_table

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def error():
    """Errors under a setting, each fitted once, of the network alone: weights and dropout train that."""
    table, found = make_table(1100, seed=0), {}

    def get(setting):
        if setting not in found:
            vae = skmm.MultimodalVAE(
                5, completion="network", random_state=0, max_iter=120, **SETTINGS[setting]
            )
            found[setting] = errors(vae.fit(table[:-500]), table[-500:])
        return found[setting]

    return get


def test_without_weights_the_wide_modality_takes_all_latent_variables(error):
    assert error("network alone")["narrow | wide"] > 0.9
    assert error("network alone")["narrow | both"] > 0.9


@pytest.mark.parametrize("setting", ["weights: auto", "weights: narrow 20"])
def test_weights_give_the_narrow_one_its_share(error, setting):
    assert error(setting)["narrow | wide"] < 0.65
    assert error(setting)["narrow | both"] < 0.4
    assert error(setting)["wide | both"] < error("network alone")["wide | both"] + 0.15


def test_modality_dropout_trains_completion(error):
    without, with_dropout = error("auto, modality_dropout 0"), error("auto, modality_dropout narrow .5")
    assert with_dropout["narrow | wide"] < without["narrow | wide"] - 0.1


def test_cell_dropout_trains_the_completion_of_cells(error):
    cells = "half of wide's cells"
    assert error("auto, cell_dropout wide .5")[cells] < error("weights: auto")[cells] - 0.1
