"""Networks and transitions of the user's own, and readings that would be silent mistakes."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from skmm import MultimodalVRNN
from skmm._blocks.blocks import Blocks, SequenceBlocks
from skmm._blocks.times import continued
from skmm._torch import isolated_rng

MODALITIES = {"a": slice(0, 2), "b": slice(2, 5)}


def tiny(**parameters):
    return MultimodalVRNN(
        2, **{"hidden_size": 5, "hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0, **parameters}
    )


@pytest.fixture
def X():
    X = np.random.RandomState(0).normal(size=(12, 7, 5))
    X[:3, :, :2] = X[3:5, 2:4] = np.nan
    return X


def plain(n_in, n_out):
    return nn.Linear(n_in, n_out)


@pytest.mark.parametrize("fusion", ["poe", "concat", "concat_zeros"])
@pytest.mark.parametrize("owners", [["a"], ["a", "b"]])
def test_encoders_and_decoders(X, fusion, owners):
    """A factory makes the whole network, a Module is a trunk; absent modalities never reach an encoder."""
    with isolated_rng(0):
        trunk = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    networks = {name: plain if name == "a" else trunk for name in owners}
    decoders = {"a": plain}
    model = tiny(modalities=MODALITIES, fusion=fusion, encoders=networks, decoders=decoders).fit(X)
    assert model.predict(X).shape == X.shape
    assert np.isfinite(model.score(X))
    assert isinstance(model.module_.encoders[0], nn.Linear)
    assert model.module_.encoders[0].out_features == (4 if fusion == "poe" else 5)
    assert model.module_.decoders[0].in_features == 2 + 5


class Broken(nn.Module):
    """A transition with one method wrong."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def initial(self, n):
        return (torch.zeros(1 if self.how == "initial" else n, 5),)

    def output(self, state):
        return state[0]

    def step(self, state, u):
        new = state[0] + u.sum(1, keepdim=True)
        return {"tensor": new, "counter": (new, torch.tensor(1.0))}.get(self.how, (new,))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("initial", r"initial of transition must return a tuple of tensors of shape \(n, n_hidden\)"),
        ("tensor", r"step of transition must return a tuple of tensors of shape \(n, n_hidden\)"),
        ("counter", r"step of transition must return a tuple of tensors of shape \(n, n_hidden\)"),
    ],
)
def test_transitions_with_mistakes(X, how, message):
    with pytest.raises(ValueError, match=message):
        tiny(transition=lambda *sizes: Broken(how)).fit(X)
    assert tiny(transition=lambda *sizes: Broken("right")).fit(X).transform(X).shape == (12, 2)


def test_transitions_that_fail(X):
    class Failing(Broken):
        def step(self, state, u):
            return (state[0] @ u,)

    with pytest.raises(ValueError, match=r"transition .* failed on 2 sequences: "):
        tiny(transition=lambda *sizes: Failing("right")).fit(X)


def test_one_record_as_a_plain_frame_is_warned_of():
    record = pd.DataFrame({"x": np.arange(30.0)}, index=pd.date_range("2026-01-01", periods=30, freq="h"))
    with pytest.warns(
        UserWarning, match=r"rows are read as sequences of one step each. Give \[X\]"
    ) as caught:
        tiny().fit(record)
    assert len(caught) == 1
    tiny().fit([record])


def test_a_list_of_series_is_warned_of():
    rows = [np.arange(7.0) + i for i in range(6)]
    with pytest.warns(UserWarning, match=r"Give item.reshape\(-1, 1\) if each is a sequence of one feature"):
        tiny().fit(rows)
    tiny().fit([row.tolist() for row in rows])  # rows of a table, as scikit-learn writes them


@pytest.mark.parametrize("order", [slice(None, None, -1), [0, 1, 1, 2]])
def test_times_of_frames_in_a_list_must_increase(order):
    times = pd.date_range("2026-01-01", periods=5)
    frame = pd.DataFrame({"x": np.arange(5.0)}, index=times)
    with pytest.raises(ValueError, match=r"times of item 1 of X do not increase .* \.sort_index\(\)"):
        tiny().fit([frame, frame.iloc[order]])


@pytest.mark.parametrize(
    ("dates", "after"),
    [
        (["2026-01-15", "2026-02-15", "2026-03-15", "2026-04-15"], ["2026-05-15", "2026-06-15"]),
        (["2020-07-04", "2021-07-04", "2022-07-04", "2023-07-04"], ["2024-07-04", "2025-07-04"]),
        (["2026-01-31", "2026-02-28", "2026-03-31"], ["2026-04-30", "2026-05-31"]),
    ],
)
@pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
def test_months_and_years_go_on_by_the_calendar(dates, after, tz):
    found = continued([pd.DatetimeIndex(dates, tz=tz)], 2)
    assert list(found) == list(pd.DatetimeIndex(after, tz=tz))


def test_one_long_sequence_costs_the_short_ones_nothing():
    """No table of all sequences, each as long as the longest."""
    lengths = torch.cat([torch.full((50_000,), 2), torch.tensor([50_000])])
    n_steps = int(lengths.sum())
    values = torch.arange(float(n_steps))[:, None]
    table = Blocks.from_joint(values, torch.ones(n_steps, 1, dtype=torch.bool), (1,))
    sequences = SequenceBlocks.from_table(table, lengths)  # padded, 2.5e9 numbers
    assert torch.equal(sequences.flat().joint, values)
    assert torch.equal(sequences.trimmed().lengths, lengths)
    assert sequences.extended(1).table.n_rows == n_steps + 50_001


@pytest.mark.gpu
@pytest.mark.parametrize("fusion", ["poe", "mopoe", "concat"])
def test_on_a_gpu_as_on_the_cpu(X, fusion):
    on_gpu = tiny(modalities=MODALITIES, fusion=fusion, device="cuda").fit(X)
    assert next(on_gpu.module_.parameters()).device.type == "cuda"
    on_cpu = pickle.loads(pickle.dumps(on_gpu)).set_params(device="cpu")
    for method in ("transform", "transform_steps", "predict", "predict_quantiles", "score_samples"):
        here, there = getattr(on_cpu, method)(X), getattr(on_gpu, method)(X)
        np.testing.assert_allclose(here, there, rtol=1e-3, atol=1e-3, err_msg=method)
    np.testing.assert_allclose(on_cpu.forecast(X, 3), on_gpu.forecast(X, 3), rtol=1e-3, atol=1e-3)
    state = on_gpu.initial_state(12)
    z, _ = on_gpu.step(X[:, 0], state)
    np.testing.assert_allclose(z, on_cpu.step(X[:, 0], state)[0], rtol=1e-3, atol=1e-3)
    assert on_gpu.sample(2, given=X, random_state=0).shape == (2, *X.shape)


@pytest.mark.parametrize("fusion", ["concat", "concat_zeros"])
def test_who_is_at_fault_where_encoders_return_no_experts(X, fusion):
    """With an odd number of hidden units, what they return could be no expert."""
    model = tiny(modalities=MODALITIES, fusion=fusion).fit(X)
    with torch.no_grad():
        model.module_.encoders[1].first.bias.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"the encoder of modality 'b' returned NaN"):
        model.transform(X)
