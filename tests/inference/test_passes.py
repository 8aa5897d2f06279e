"""Cutting the rows into passes bounds the memory and changes no result."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import skmm
from skmm._blocks.blocks import Blocks, SequenceBlocks
from skmm.inference import expectations, points
from skmm.inference.points import passes

MODALITIES = {"a": [0, 1, 2], "b": [3, 4]}
N_ROWS = 23


@pytest.fixture(scope="module")
def X():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(N_ROWS, 1)) + 0.5 * rng.normal(size=(N_ROWS, 5))
    X[:5, :3] = np.nan
    X[3:8, 3:] = np.nan  # rows 3 and 4 are empty
    X[10, 1] = np.nan
    return X


@pytest.fixture(scope="module", params=["poe", "mopoe"])
def model(request, X):
    parameters = {"modalities": MODALITIES, "fusion": request.param, "max_iter": 3, "random_state": 0}
    return skmm.MultimodalVAE(2, **parameters).fit(X)


@pytest.fixture
def pass_sizes(monkeypatch):
    """Sets the rows of a pass, and records what was asked for."""
    asked = []

    def set_rows(rows):
        def rows_per_pass(n_draws, width):
            asked.append((n_draws, width))
            return rows

        monkeypatch.setattr(expectations, "rows_per_pass", rows_per_pass)
        monkeypatch.setattr(points, "rows_per_pass", rows_per_pass)
        return asked

    return set_rows


METHODS = {
    "posterior_moments": lambda model, X: np.stack(model.posterior_moments(X)),
    "predict": lambda model, X: np.stack(model.predict(X, return_std=True)),
    "predict_quantiles": lambda model, X: model.predict_quantiles(X, [0.1, 0.9]),
    "impute": lambda model, X: model.impute(X),
    "score_samples": lambda model, X: model.score_samples(X),
    "inverse_transform": lambda model, X: model.inverse_transform(X[10:, 3:]),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [1, 2, 7, N_ROWS])
def test_results_do_not_depend_on_the_passes(model, X, method, rows, pass_sizes):
    whole = METHODS[method](model, X)
    asked = pass_sizes(rows)
    np.testing.assert_allclose(METHODS[method](model, X), whole, rtol=1e-5, atol=1e-6)
    assert asked


IN_PARTS = {name: METHODS[name] for name in ("predict", "predict_quantiles", "impute", "score_samples")}


@pytest.mark.parametrize("method", IN_PARTS)
@pytest.mark.parametrize("entries", [1, 35, 200])  # fewer than a row, some rows, most rows
def test_results_do_not_depend_on_the_parts(model, X, method, entries, monkeypatch):
    whole = METHODS[method](model, X)
    monkeypatch.setattr(points, "PART_ENTRIES", entries)
    np.testing.assert_allclose(METHODS[method](model, X), whole, rtol=1e-5, atol=1e-6)


def test_no_more_rows_are_asked_for_together_than_a_part_has(monkeypatch):
    monkeypatch.setattr(points, "PART_ENTRIES", 60)
    blocks = Blocks.from_joint(torch.arange(100.0).view(20, 5), torch.ones(20, 5, dtype=torch.bool), (3, 2))
    asked = []

    def ask(part):
        asked.append(part.n_rows)
        return part.joint.expand(2, -1, -1)

    same = blocks.joint.expand(2, -1, -1)
    assert (points.in_parts(ask, blocks) == same).all()
    assert asked == [12, 8]
    asked.clear()
    assert (points.in_parts(ask, blocks, n_tables=6) == same).all()
    assert asked == [2] * 10
    sums = points.in_parts(lambda part: part.joint.sum(1), blocks)
    assert (sums == blocks.joint.sum(1)).all()


def test_parts_are_of_whole_sequences(monkeypatch):
    """Of unequal lengths, one longer than a part."""
    monkeypatch.setattr(points, "PART_ENTRIES", 30)
    lengths = torch.tensor([2, 9, 1, 1, 3, 4])
    joint = torch.arange(100.0).view(20, 5)
    table = Blocks.from_joint(joint, torch.ones(20, 5, dtype=torch.bool), (3, 2))
    sequences = SequenceBlocks.from_table(table, lengths)
    asked = []

    def ask(part):
        asked.append(part.lengths.tolist())
        return part.flat().joint

    assert (points.in_parts(ask, sequences) == joint).all()
    assert asked == [[2], [9, 1], [1, 3], [4]]
    n_steps = points.in_parts(lambda part: part.lengths.double(), sequences)
    assert (n_steps == lengths).all()


@pytest.mark.parametrize("method", ["posterior_moments", "predict", "predict_quantiles", "score_samples"])
def test_a_row_does_not_depend_on_its_neighbours(model, X, method):
    whole = np.atleast_2d(METHODS[method](model, X))
    axis = whole.shape.index(N_ROWS)
    for row in (0, 3, 10, 22):
        alone = np.atleast_2d(METHODS[method](model, X[row : row + 1]))
        np.testing.assert_allclose(alone, whole.take([row], axis=axis), rtol=1e-5, atol=1e-6)


def test_every_draw_is_within_the_bound(model, X, pass_sizes):
    """What a pass holds grows with draws and width: both are asked for."""
    asked = pass_sizes(N_ROWS)
    model.transform(X)
    model.predict(X)
    model.score_samples(X)
    assert [n_draws for n_draws, _ in asked] == [1, model.n_draws, model.n_draws]
    assert all(width >= 5 + 2 + 128 for _, width in asked)


@pytest.mark.parametrize("rows", [1, 7, N_ROWS])
def test_completions_keep_their_order(model, X, rows, pass_sizes):
    """Draws differ with the passes, rows do not change places: observed entries are those of the row."""
    pass_sizes(rows)
    draws = model.sample(2000, given=X, random_state=0)
    observed = ~np.isnan(X)
    np.testing.assert_array_equal(draws[:, observed], np.tile(X[observed], (2000, 1)))
    mean, deviation = model.predict(X, return_std=True)
    error = np.abs(draws.mean(axis=0) - mean)[~observed]
    # mixtures are predicted at a few nodes: allow for their error beside that of the draws
    np.testing.assert_array_less(error, (5 / 2000**0.5 + 0.1) * deviation[~observed])


@pytest.mark.parametrize("rows", [1, 5, N_ROWS, 100])
def test_passes_are_consecutive_rows(model, X, rows, pass_sizes):
    pass_sizes(rows)
    blocks = model.layout_.read(X)
    cut, positions = zip(*passes(model.module_, blocks, 1, torch.device("cpu")), strict=True)
    assert torch.equal(torch.cat(positions), torch.arange(N_ROWS))
    assert [part.n_rows for part in cut] == [rows] * (N_ROWS // rows) + [N_ROWS % rows] * (N_ROWS % rows > 0)
    torch.testing.assert_close(torch.cat([part.joint for part in cut]), blocks.joint)
    assert torch.equal(torch.cat([part.joint_observed for part in cut]), blocks.joint_observed)
    assert torch.equal(torch.cat([part.present for part in cut], dim=1), blocks.present)


def test_posterior_that_is_not_finite_is_refused(model, X):
    spoiled = copy.deepcopy(model)
    with torch.no_grad():
        spoiled.module_.encoders[0].first.bias.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"^No finite posterior: the encoder .* extreme values in X"):
        spoiled.transform(X)


def test_width_counts_what_modules_make_inside():
    X = np.random.RandomState(0).normal(size=(30, 12))
    sizes = {"a": slice(0, 4), "b": slice(4, 12)}
    settings = {"max_iter": 1, "hidden_layer_sizes": (8,), "completion": "network", "random_state": 0}
    of_sets = skmm.MultimodalVAE(modalities=sizes, fusion="set", **settings).fit(X)
    assert of_sets.module_.width >= 12 * 64  # a token for each feature

    def decoder(n_in, n_out):
        wide = [nn.Unflatten(1, (1, n_in)), nn.Conv1d(1, 500, 1), nn.AdaptiveAvgPool1d(1), nn.Flatten()]
        return nn.Sequential(*wide, nn.Linear(500, n_out))

    settings |= {"modalities": sizes, "n_components": 10}
    plain = skmm.MultimodalVAE(**settings).fit(X)
    convolved = skmm.MultimodalVAE(decoders={"a": decoder}, **settings).fit(X)
    assert plain.module_.width < 200
    assert convolved.module_.width >= 500 * 10
