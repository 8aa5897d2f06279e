"""Modalities of 2 and of 200 columns: what weights and dropout do there."""

import pytest

import skmm
from benchmarks.widths import SETTINGS, errors, make_table

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def error():
    """Errors under a setting, each fitted once, of the network alone: weights and dropout train that.

    Of one seed; of the mean of several where ``seeds`` says so.
    """
    table, found = make_table(1100, seed=0), {}

    def fit(setting, seed):
        if (setting, seed) not in found:
            vae = skmm.MultimodalVAE(
                5, completion="network", random_state=seed, max_iter=120, **SETTINGS[setting]
            )
            found[setting, seed] = errors(vae.fit(table[:-500]), table[-500:])
        return found[setting, seed]

    def get(setting, seeds=(0,)):
        fitted = [fit(setting, seed) for seed in seeds]
        return {name: sum(errors[name] for errors in fitted) / len(fitted) for name in fitted[0]}

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
    settings = "auto, modality_dropout 0", "auto, modality_dropout narrow .5"
    without, with_dropout = (error(setting, seeds=range(3)) for setting in settings)
    assert with_dropout["narrow | wide"] < without["narrow | wide"] - 0.1


def test_cell_dropout_trains_the_completion_of_cells(error):
    cells = "half of wide's cells"
    assert error("auto, cell_dropout wide .5")[cells] < error("weights: auto")[cells] - 0.1
