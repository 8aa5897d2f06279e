"""What gaps in sequences may and may not do: the invariants, for every fusion rule, smoothed and filtered."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from skmm import MultimodalVRNN, hide, keep
from skmm._blocks.blocks import Blocks, SequenceBlocks
from skmm._torch import isolated_rng
from skmm.inference import points
from skmm.networks.evidence import JoinedInference
from skmm.probability.fusion import FUSIONS
from skmm.training.objectives.registry import OBJECTIVES
from skmm.vrnn import JOINED

NAN = np.nan
MODALITIES = {"audio": [0, 1], "text": [2], "video": [3, 4, 5]}
N_SEQUENCES, N_STEPS, N_FEATURES = 10, 7, 6
RULES = [*FUSIONS, *JOINED]
CONFIGURATIONS = {
    **{rule: {"fusion": rule} for rule in RULES},
    "poe filter": {"fusion": "poe", "smoothing": False},
    "mopoe filter": {"fusion": "mopoe", "smoothing": False},
    "concat filter": {"fusion": "concat", "smoothing": False, "transition": "lstm"},
    "poe completed": {"fusion": "poe", "recurrence": "completed", "n_layers": 2},
    "concat completed": {"fusion": "concat", "recurrence": "completed", "transition": "lstm", "n_layers": 2},
}
LEADING = ["poe", "mopoe", "poe filter", "concat completed"]  # for what costs much to show
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def make_values(n_sequences=N_SEQUENCES, seed=0):
    """Gaps of every kind: modalities, steps, cells; the start, the middle, the end, and a whole sequence."""
    rng = np.random.RandomState(seed)
    walk = rng.normal(size=(n_sequences, N_STEPS, 2)).cumsum(axis=1)
    values = walk @ rng.normal(size=(2, N_FEATURES)) + 0.3 * rng.normal(
        size=(n_sequences, N_STEPS, N_FEATURES)
    )
    values = values * [1, 10, 1, 0.1, 3, 1] + [0, 5, -100, 2, 0, 0]
    values[rng.uniform(size=values.shape) < 0.1] = NAN
    for columns in MODALITIES.values():
        gone = rng.uniform(size=values.shape[:2]) < 0.2
        gone[rng.uniform(size=n_sequences) < 0.2] = True
        values[..., columns] = np.where(gone[..., None], NAN, values[..., columns])
    values[0] = NAN
    values[1, :3] = NAN
    values[2, 2:5] = NAN
    values[3, 4:] = NAN
    values[4, :, 1] = NAN
    return values


LENGTHS = [N_STEPS, 5, N_STEPS, 6, 1, 3, 4, 2, N_STEPS, 5]


def make_list(seed=0):
    """The same, of unequal lengths."""
    return [sequence[:n] for sequence, n in zip(make_values(seed=seed), LENGTHS, strict=True)]


def make(**parameters):
    """An estimator that fits in a few hundredths of a second."""
    settings = {
        "n_components": 2,
        "modalities": MODALITIES,
        "hidden_size": 4,
        "hidden_layer_sizes": (8,),
        "max_iter": 2,
        "n_draws": 6,
        "random_state": 0,
    }
    return MultimodalVRNN(**(settings | parameters))


def shaken(estimator):
    """The same estimator with weights that no initialisation with zeros has made blind to anything."""
    with isolated_rng(1), torch.no_grad():
        for parameter in estimator.module_.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return estimator


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(MultimodalVRNN, "_n_quantile_draws", 16)


@pytest.fixture(params=LEADING)
def configuration(request):
    return CONFIGURATIONS[request.param]


@pytest.fixture(scope="module")
def estimators():
    """Shared, because nothing but fit may change an estimator."""
    cache = {}

    def get(name):
        if name not in cache:
            cache[name] = shaken(make(**CONFIGURATIONS[name]).fit(make_values()))
        return cache[name]

    return get


@pytest.fixture(params=CONFIGURATIONS)
def fitted(request, estimators):
    return estimators(request.param)


@pytest.fixture(params=LEADING)
def leading(request, estimators):
    return estimators(request.param)


@pytest.fixture
def plain(estimators):
    """For what does not depend on the network."""
    return estimators("poe")


@pytest.fixture
def X():
    return make_values(seed=1)


BY_STEP = {
    "transform_steps": lambda estimator, X: estimator.transform_steps(X),
    "scale": lambda estimator, X: estimator.posterior_moments(X)[1],
    "filtered": lambda estimator, X: estimator.transform_steps(X, smooth=False),
    "predict": lambda estimator, X: estimator.predict(X),
    "predict_std": lambda estimator, X: estimator.predict(X, return_std=True)[1],
    "predict_filtered": lambda estimator, X: estimator.predict(X, smooth=False),
    "predict_quantiles": lambda estimator, X: estimator.predict_quantiles(X, 0.9),
    "impute": lambda estimator, X: estimator.impute(X),
}  # results for each step of X, without a random number
BY_SEQUENCE = {
    "transform": lambda estimator, X: estimator.transform(X),
    "mean": lambda estimator, X: copy.copy(estimator).set_params(summary="mean").transform(X),
    "score_samples": lambda estimator, X: estimator.score_samples(X),
    "forecast": lambda estimator, X: estimator.forecast(X, 2),
    "forecast_std": lambda estimator, X: estimator.forecast(X, 2, return_std=True)[1],
}
METHODS = BY_STEP | BY_SEQUENCE
DRAWS = {
    "sample": lambda estimator, X: estimator.sample(2, given=X, random_state=0),
    "forecast_draws": lambda estimator, X: estimator.forecast(X, 2, n_samples=2, random_state=0),
}
EVERYTHING = METHODS | DRAWS | {"fit": lambda estimator, X: estimator.fit(X)}


def parts(result):
    """Results by sequence, as arrays of float64."""
    return [np.asarray(part, dtype=np.float64) for part in result]


def tolerance(method):
    return {"rtol": 1e-4, "atol": 1e-4 if method == "score_samples" else 1e-5}


def assert_same_parts(actual, expected, **how):
    assert len(actual) == len(expected)
    for new, old in zip(parts(actual), parts(expected), strict=True):
        np.testing.assert_allclose(new, old, **how)


def assert_same(first, second, X, other=None, **how):
    """Two estimators say the same of X (the second of ``other``), bit by bit unless told otherwise."""
    for name, method in METHODS.items():
        expected = parts(method(first, X))
        for new, old in zip(parts(method(second, X if other is None else other)), expected, strict=True):
            if how:
                np.testing.assert_allclose(new, old, err_msg=name, **how)
            else:
                np.testing.assert_array_equal(new, old, err_msg=name)


def blocks_of(estimator, X):
    """Sequences as networks compute on them."""
    sequences = [np.asarray(sequence) for sequence in X]
    rows = estimator.layout_.read(np.concatenate(sequences))
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return SequenceBlocks.from_table(rows, lengths).batch(slice(None))


# 1. what stands under a mask never matters


def test_values_under_the_mask_of_a_masked_array_do_not_matter(configuration):
    values = make_values()
    below = np.where(np.arange(N_STEPS)[:, None] % 2, np.inf, -7.0)
    masked = np.ma.masked_array(np.where(np.isnan(values), below, values), mask=np.isnan(values))
    expected, estimator = make(**configuration).fit(values), make(**configuration).fit(masked)
    assert estimator.loss_curve_ == expected.loss_curve_
    assert_same(expected, estimator, values, masked)


def filled(blocks, value):
    """The same blocks with another number wherever nothing was observed, padding included."""
    joint = torch.where(blocks.joint_observed, blocks.joint, torch.tensor(value, dtype=blocks.joint.dtype))
    return Blocks(joint, blocks.joint_observed, blocks.present, blocks.sizes)


def loss_and_gradients(network, objective, inputs, targets):
    network.zero_grad()
    with isolated_rng(0):
        loss = objective(network, inputs, targets, 0.7).loss
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    return loss.detach(), gradients


@pytest.mark.parametrize("objective", ["elbo", "unimodal_elbo"])
@pytest.mark.parametrize("value", [-7.0, 1e4])
def test_the_filling_of_blocks_does_not_matter_in_training(fitted, objective, value):
    network = copy.deepcopy(fitted.module_).train()
    blocks = blocks_of(fitted, make_list(seed=1))
    loss, gradients = loss_and_gradients(network, OBJECTIVES[objective](), blocks, blocks)
    other = filled(blocks, value)
    assert not torch.equal(other.joint, blocks.joint)
    other_loss, other_gradients = loss_and_gradients(network, OBJECTIVES[objective](), other, other)
    torch.testing.assert_close(other_loss, loss)
    torch.testing.assert_close(other_gradients, gradients)


def test_what_is_missing_has_no_likelihood(fitted, X):
    blocks = blocks_of(fitted, X)
    with torch.no_grad(), isolated_rng(0):
        decoded = fitted.module_.decode(fitted.module_.infer(blocks, 1).code)
        likelihood = fitted.module_.log_likelihood(decoded, blocks)[:, 0]
    assert likelihood.shape == blocks.row_present.shape
    assert (likelihood[~blocks.row_present] == 0).all()
    assert (likelihood[blocks.row_present] != 0).all()


# 2. an absent modality has no influence, even if its expert is NaN or infinite


class Poison(nn.Module):
    """Encoder that returns something useless for an input of zeros, which is what there is in absence."""

    def __init__(self, n_in, n_out, poison):
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        self.poison = poison

    def forward(self, x):
        return torch.where((x == 0).all(-1, keepdim=True), self.poison, self.linear(x))


class Normalising(nn.Module):
    """Encoder whose very gradients are NaN for an input of zeros."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)

    def forward(self, x):
        return self.linear(x / x.square().sum(-1, keepdim=True).sqrt())


@dataclass(frozen=True)
class Factory:
    poison: float

    def __call__(self, n_in, n_out):
        return Poison(n_in, n_out, self.poison)


class PoisonedWhereAbsent(nn.Module):
    """Default encoder that returns something useless for what its inputs say is missing."""

    def __init__(self, encoder, size, poison):
        super().__init__()
        self.encoder = encoder
        self.size = size
        self.poison = poison

    def forward(self, seen):
        absent = seen[..., -self.size :].bool().all(-1, keepdim=True)
        return torch.where(absent, self.poison, self.encoder(seen))


# rules that look at experts at all
WITH_EXPERTS = pytest.mark.parametrize(
    "fusion", [name for name in RULES if getattr(FUSIONS.get(name), "uses_experts", True)]
)
POISONS = pytest.mark.parametrize("poison", [torch.nan, torch.inf], ids=["nan", "inf"])


@WITH_EXPERTS
def test_poisonous_experts_of_absent_modalities(fusion):
    """Training and every result are those of an encoder that behaves."""
    X = make_values()
    wholesome, poisonous = (
        make(fusion=fusion, encoders=dict.fromkeys(MODALITIES, Factory(value))).fit(X)
        for value in (0.0, torch.nan)
    )
    assert wholesome.loss_curve_ == poisonous.loss_curve_
    assert_same(wholesome, poisonous, make_values(seed=1))


@POISONS
@WITH_EXPERTS
@pytest.mark.parametrize("objective", ["elbo", "unimodal_elbo"])
def test_gradients_with_poisonous_experts(fusion, objective, poison):
    """Masking after the density would give a finite loss and a gradient that is NaN."""
    estimator = shaken(make(fusion=fusion).fit(make_values()))
    network = estimator.module_.train()
    blocks = blocks_of(estimator, make_list(seed=1))
    expected = loss_and_gradients(network, OBJECTIVES[objective](), blocks, blocks)
    originals = list(network.encoders)
    for m, (encoder, size) in enumerate(zip(originals, blocks.sizes, strict=True)):
        network.encoders[m] = PoisonedWhereAbsent(encoder, size, poison)
    with torch.no_grad():
        raw = network.encode(network.inputs(blocks), blocks)
    assert not raw[~blocks.present].isfinite().any()
    assert raw[blocks.present].isfinite().all()
    loss, gradients = loss_and_gradients(network, OBJECTIVES[objective](), blocks, blocks)
    gradients = {
        name.replace(".encoder.", ".") if name.startswith("encoders") else name: gradient
        for name, gradient in gradients.items()
    }
    torch.testing.assert_close(loss, expected[0])
    torch.testing.assert_close(gradients, expected[1])
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert any(gradient.any() for name, gradient in gradients.items() if name.startswith("encoders"))


@WITH_EXPERTS
def test_encoders_whose_gradients_are_nan_where_nothing_is(fusion):
    estimator = make(fusion=fusion, encoders=dict.fromkeys(MODALITIES, Normalising), max_iter=3)
    estimator.fit(make_values())
    assert np.isfinite(estimator.loss_curve_).all()
    assert np.isfinite(estimator.transform(make_values(seed=1))).all()


# 3. nothing observed, then or later: the prior


def told(network, blocks, smooth):
    """Where the posterior knows anything that the prior does not, (n, n_steps)."""
    seen = blocks.present.any(0)
    if smooth and network.backward is not None:
        return seen.flip(1).cumsum(1).flip(1) > 0
    return seen


def kl_by_step(path):
    exact = path.posterior.kl(path.prior)  # (n_draws, n, n_steps)
    if exact is not None:
        return exact, 0.0
    difference = path.posterior.log_prob(path.z[None])[0] - path.prior.log_prob(path.z[None])[0]
    return difference, 1e-5  # of a mixture of equal parts: a sum of weights that is 1 but for rounding


@pytest.mark.parametrize("smooth", [True, False])
def test_steps_with_nothing_get_the_prior(fitted, smooth):
    network, blocks = fitted.module_, blocks_of(fitted, make_list(seed=1))
    with torch.no_grad(), isolated_rng(0):
        path = network.infer(blocks, 3, smooth=smooth)
    kl, rounding = kl_by_step(path)
    knows = told(network, blocks, smooth)
    assert (~knows).sum() > 10
    assert kl[:, ~knows].abs().max() <= rounding
    # an estimate from a single draw may be 0 by chance
    assert (kl[:, knows].abs() > max(1e-6, 2 * rounding)).any(0).all()
    for moment in ("mean", "stddev"):
        posterior, prior = getattr(path.posterior, moment), getattr(path.prior, moment)
        torch.testing.assert_close(posterior[:, ~knows], prior[:, ~knows], rtol=rounding, atol=rounding)
        assert not torch.isclose(posterior[:, knows], prior[:, knows]).all(-1).any()


def test_sequences_with_nothing_cost_nothing(fitted):
    blocks = blocks_of(fitted, [np.full((n, N_FEATURES), NAN) for n in (4, 1, 6)])
    with torch.no_grad(), isolated_rng(0):
        path = fitted.module_.infer(blocks, 3)
    _, rounding = kl_by_step(path)
    assert path.kl.shape == (3,)
    assert path.kl.abs().max() <= 6 * rounding


def test_sequences_with_nothing_score_exactly_0(fitted, X):
    assert np.isnan(X[0]).all()
    scores = fitted.score_samples(X)
    assert scores[0] == 0
    assert (scores[1:] != 0).all()
    assert fitted.score_samples(X[:1]).tolist() == [0]
    assert fitted.score_samples([X[0, :1], X[0]]).tolist() == [0, 0]
    assert fitted.score(X[:1]) == 0.0


@pytest.mark.parametrize("method", METHODS | DRAWS)
def test_sequences_with_nothing_in_every_method(fitted, method):
    nothing = np.full((3, 4, N_FEATURES), NAN)
    result = np.asarray((METHODS | DRAWS)[method](fitted, nothing), dtype=np.float64)
    assert np.isfinite(result).all()
    if method in METHODS:
        np.testing.assert_allclose(result, np.repeat(result[:1], 3, axis=0), rtol=1e-6)


def test_summary_of_a_sequence_with_nothing_is_the_prior_at_its_first_step(leading):
    nothing = np.full((1, 4, N_FEATURES), NAN)
    steps = leading.transform_steps(nothing)
    for summary in ("last", "mean"):
        Z = copy.copy(leading).set_params(summary=summary).transform(nothing)
        np.testing.assert_array_equal(Z, steps[:, 0])


def test_summaries(leading, X):
    steps, seen = leading.transform_steps(X), ~np.isnan(X).all(axis=2)
    last = [N_STEPS - 1 - row[::-1].argmax() if row.any() else 0 for row in seen]
    Z = copy.copy(leading).set_params(summary="last").transform(X)
    np.testing.assert_array_equal(Z, steps[np.arange(N_SEQUENCES), last])
    mean = [z[row].mean(axis=0) if row.any() else z[0] for z, row in zip(steps, seen, strict=True)]
    Z = copy.copy(leading).set_params(summary="mean").transform(X)
    np.testing.assert_allclose(Z, mean, rtol=1e-5, atol=1e-6)


def test_what_holds_nothing_is_no_part_of_training(configuration):
    """Neither sequences with nothing, nor empty steps behind the others."""
    X = make_list()[1:]
    without = make(**configuration).fit(X)
    more = [*(np.pad(x, [(0, i % 3), (0, 0)], constant_values=NAN) for i, x in enumerate(X))]
    more += [np.full((n, N_FEATURES), NAN) for n in (1, 9)]
    with_more = make(**configuration).fit(more)
    assert with_more.loss_curve_ == without.loss_curve_
    assert_same(without, with_more, X)


# 4. empty steps at the end change nothing else


@pytest.mark.parametrize("method", [*BY_STEP, "transform", "mean", "score_samples"])
def test_appended_empty_steps(fitted, method):
    X = make_list(seed=1)
    longer = [np.pad(x, [(0, 1 + i % 4), (0, 0)], constant_values=NAN) for i, x in enumerate(X)]
    expected, actual = (METHODS[method](fitted, sequences) for sequences in (X, longer))
    if method in BY_STEP:
        assert [len(x) for x in actual] == [len(x) for x in longer]
        actual = [new[: len(old)] for new, old in zip(actual, expected, strict=True)]
    # of a column whose standard deviation is 30, rounding to single precision
    assert_same_parts(actual, expected, rtol=1e-5, atol=1e-4 if method == "score_samples" else 3e-5)


def test_forecasts_are_predictions_of_empty_steps(fitted):
    X = make_list(seed=1)
    longer = [np.pad(x, [(0, 3), (0, 0)], constant_values=NAN) for x in X]
    ahead = fitted.forecast(X, 5, return_std=True)
    for forecast, predicted in zip(ahead, fitted.predict(longer, return_std=True), strict=True):
        assert_same_parts([x[:3] for x in forecast], [x[-3:] for x in predicted], **CLOSE)
    for forecast, later in zip(ahead, fitted.forecast(longer, 2, return_std=True), strict=True):
        assert_same_parts([x[3:] for x in forecast], later, **CLOSE)
    quantiles = fitted.forecast(X, 3, quantiles=[0.2, 0.8])
    for table, expected in zip(quantiles, fitted.predict_quantiles(longer, [0.2, 0.8]), strict=True):
        assert_same_parts(table, [x[-3:] for x in expected], **CLOSE)


# gaps anywhere


@pytest.mark.parametrize(
    ("where", "hidden"), [("start", None), ("middle", "video"), ("end", None), ("everywhere", "text")]
)
def test_gaps_anywhere(leading, X, where, hidden):
    steps = {"start": slice(0, 3), "middle": slice(2, 5), "end": slice(4, None), "everywhere": slice(None)}
    columns = slice(None) if hidden is None else MODALITIES[hidden]
    X = np.nan_to_num(X)
    X[:, steps[where], columns] = NAN
    missing = np.isnan(X)
    for name, method in (METHODS | DRAWS).items():
        assert np.isfinite(np.asarray(method(leading, X))).all(), name
    imputed = leading.impute(X)
    np.testing.assert_array_equal(imputed[~missing], X[~missing])
    np.testing.assert_allclose(imputed[missing], leading.predict(X)[missing], rtol=1e-6)
    draws = leading.sample(2, given=X, random_state=0)
    np.testing.assert_array_equal(draws[:, ~missing], np.stack([X[~missing]] * 2))
    assert (draws[0][missing] != draws[1][missing]).all()


# a sequence's results do not depend on its batch


@pytest.mark.parametrize(
    "method", ["transform", "transform_steps", "predict_std", "predict_quantiles", "score_samples"]
)
def test_a_sequence_alone_and_in_its_batch(fitted, method):
    X = make_list(seed=1)[3:7]
    alone = [METHODS[method](fitted, [x])[0] for x in X]
    assert_same_parts(alone, METHODS[method](fitted, X), **tolerance(method))


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_sequences_does_not_matter(leading, method):
    X = make_list(seed=1)
    order = np.random.RandomState(0).permutation(len(X))
    expected = METHODS[method](leading, X)
    actual = METHODS[method](leading, [X[i] for i in order])
    assert_same_parts(actual, [expected[i] for i in order], **tolerance(method))


def test_repeated_calls_say_the_same(leading, X):
    assert_same(leading, leading, X)


PIECES = {"few steps": (3, 400, 2**25), "one step of one sequence": (1, 1, 1)}


@pytest.mark.parametrize("pieces", PIECES)
def test_pieces_of_bounded_memory_say_the_same(leading, pieces, monkeypatch):
    X = make_list(seed=1)
    Z = np.random.RandomState(0).normal(size=(3, N_STEPS, 2))
    asked = ["transform_steps", "predict_std", "predict_quantiles", "score_samples", "forecast_std"]
    expected = {name: METHODS[name](leading, X) for name in asked}
    decoded = leading.inverse_transform(Z)
    min_steps, max_floats, max_evidence = PIECES[pieces]
    # a default argument: the constant itself was read when the function was defined
    monkeypatch.setitem(points.sequence_passes.__kwdefaults__, "min_steps", min_steps)
    monkeypatch.setattr(points, "MAX_FLOATS", max_floats)
    monkeypatch.setattr(points, "MAX_EVIDENCE", max_evidence)
    lengths = torch.tensor(LENGTHS)
    table = Blocks.from_joint(torch.zeros(sum(LENGTHS), 1), torch.ones(sum(LENGTHS), 1, dtype=bool), (1,))
    cut = points.sequence_passes(
        leading.module_, SequenceBlocks.from_table(table, lengths), 6, torch.device("cpu")
    )
    assert min(n_steps for *_, n_steps in cut) < N_STEPS
    for name in asked:
        assert_same_parts(METHODS[name](leading, X), expected[name], **tolerance(name), err_msg=name)
    np.testing.assert_allclose(leading.inverse_transform(Z), decoded, **CLOSE)


# filters


def test_step_by_step(fitted, X):
    expected = fitted.transform_steps(X, smooth=False)
    state = fitted.initial_state(len(X))
    for t in range(N_STEPS):
        z, state = fitted.step(X[:, t], state)
        assert z.shape == (len(X), 2)
        assert z.dtype == np.float32
        np.testing.assert_allclose(z, expected[:, t], **CLOSE)


def test_each_sequence_step_by_step(leading):
    X = make_list(seed=1)
    for x, expected in zip(X, leading.transform_steps(X, smooth=False), strict=True):
        state, Z = leading.initial_state(), []
        for row in x:
            z, state = leading.step(row[None], state)
            Z.append(z[0])
        np.testing.assert_allclose(Z, expected, **CLOSE)


def test_steps_do_not_change_their_state(fitted, X):
    _, state = fitted.step(X[:, 0], fitted.initial_state(len(X)))
    before = [tensor.clone() for tensor in state.tensors]
    first, later = fitted.step(X[:, 1], state)
    assert all(torch.equal(*pair) for pair in zip(state.tensors, before, strict=True))
    assert not any(torch.equal(*pair) for pair in zip(later.tensors, before, strict=True))
    assert not any(tensor.requires_grad for tensor in later.tensors)
    fitted.step(X[:, 2], later)
    again, _ = fitted.step(X[:, 1], state)  # from here, as if nothing had happened
    np.testing.assert_array_equal(again, first)


def later_changed(X, step):
    """Other values, and other gaps, from a step on."""
    changed = np.array(X)
    changed[:, step:] = -2 * changed[::-1, step:] + 1
    return changed


FILTERED = {
    "transform_steps": lambda estimator, X: estimator.transform_steps(X, smooth=False),
    "scale": lambda estimator, X: estimator.posterior_moments(X, smooth=False)[1],
    "predict": lambda estimator, X: estimator.predict(X, smooth=False),
    "predict_std": lambda estimator, X: estimator.predict(X, return_std=True, smooth=False)[1],
}
SMOOTHED = {
    "transform_steps": lambda estimator, X: estimator.transform_steps(X),
    "scale": lambda estimator, X: estimator.posterior_moments(X)[1],
    "predict": lambda estimator, X: estimator.predict(X),
    "predict_std": lambda estimator, X: estimator.predict(X, return_std=True)[1],
}


@pytest.mark.parametrize("method", FILTERED)
@pytest.mark.parametrize("step", [1, 4])
def test_a_filter_does_not_look_ahead(fitted, X, method, step):
    expected, actual = (FILTERED[method](fitted, x) for x in (X, later_changed(X, step)))
    # a sequence's place among the others, and with it rounding, depends on all of its steps
    np.testing.assert_allclose(actual[:, :step], expected[:, :step], rtol=5e-6, atol=1e-7)
    assert not np.isclose(actual[1:-1, step:], expected[1:-1, step:]).all(axis=(1, 2)).any()


@pytest.mark.parametrize("method", SMOOTHED)
def test_smoothing_looks_ahead(fitted, X, method):
    expected, actual = (SMOOTHED[method](fitted, x) for x in (X, later_changed(X, 4)))
    seen = ~np.isnan(X[:, 4:]).all(axis=(1, 2)) | ~np.isnan(X[::-1, 4:]).all(axis=(1, 2))
    same = np.isclose(actual[:, :4], expected[:, :4], rtol=1e-6, atol=1e-7).all(axis=(1, 2))
    assert seen.sum() > 5
    assert same[seen].all() if fitted.module_.backward is None else not same[seen].any()


@pytest.mark.parametrize("method", SMOOTHED)
def test_smooth_or_not(fitted, X, method):
    """Without a backward summary there is nothing to smooth with."""
    smoothed, filtered = SMOOTHED[method](fitted, X), FILTERED[method](fitted, X)
    if fitted.module_.backward is None:
        np.testing.assert_array_equal(smoothed, filtered)
        return
    assert not np.isclose(smoothed[1:, 0], filtered[1:, 0]).all(axis=-1).any()
    np.testing.assert_array_equal(smoothed[0], filtered[0])


def test_latent_variables_are_told_along_the_path_of_means(fitted, X):
    """As posterior_moments says; of a mixture, its mean is that of none of its parts."""
    with torch.no_grad():
        path = fitted.module_.mean_path(blocks_of(fitted, X))
    torch.testing.assert_close(path.z, path.posterior.mean)


# 5. columns and modalities that were never observed, or are constant


def test_column_never_observed(configuration):
    values = make_values()
    values[..., 4] = NAN
    estimator = make(**configuration).fit(values)  # a warning would be an error here
    assert estimator.layout_.location[4] == 0
    assert estimator.layout_.scale[4] == 1
    mean, std = estimator.predict(values, return_std=True)
    assert (mean[..., 4] == 0).all()
    assert (std[..., 4] == 1).all()
    for name, method in (METHODS | DRAWS).items():
        assert np.isfinite(np.asarray(method(estimator, values))).all(), name
    observed = values.copy()
    observed[..., 4] = 1e6
    for name in ("transform", "predict", "score_samples"):
        np.testing.assert_array_equal(
            METHODS[name](estimator, observed), METHODS[name](estimator, values), err_msg=name
        )
    assert (estimator.impute(observed)[..., 4] == 1e6).all()


def hidden_in(X, *names):
    """Sequences without some modalities."""
    without = np.array(X)
    for name in names:
        without[..., MODALITIES[name]] = NAN
    return without


def test_modality_never_seen(configuration, X):
    without = hidden_in(X, "audio")
    estimator = make(**configuration).fit(hidden_in(make_values(), "audio"))
    alone = hidden_in(X, "text", "video")
    for x in (X, alone):
        for name, method in (METHODS | DRAWS).items():
            assert np.isfinite(np.asarray(method(estimator, x))).all(), name
    np.testing.assert_array_equal(estimator.transform_steps(X), estimator.transform_steps(without))
    assert (estimator.score_samples(alone) == 0).all()
    assert np.isfinite(estimator.sample(2, random_state=0)).all()


def test_constant_column(configuration, X):
    values = make_values()
    values[..., 2] = np.where(np.isnan(values[..., 2]), NAN, 4.5)
    estimator = make(**configuration).fit(values)
    mean, std = estimator.predict(values, return_std=True)
    assert (mean[..., 2] == 4.5).all()
    assert (std[..., 2] == 0).all()
    assert (estimator.impute(values)[..., 2] == 4.5).all()
    assert (estimator.forecast(values, 2, n_samples=1, random_state=0)[..., 2] == 4.5).all()
    surprise = values.copy()
    surprise[..., 2] = 1e6
    np.testing.assert_array_equal(estimator.score_samples(surprise), estimator.score_samples(values))


# 6. impute returns observed entries bit-identical, in the user's data types

AWKWARD = [0.1, -0.0, 1e-310, 1 / 3, 123456789.123456789, NAN]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("form", ["array", "list"])
def test_completed_sequences_keep_every_observed_bit(plain, X, dtype, form):
    X[5, 2] = AWKWARD
    X = X.astype(dtype)
    given = X if form == "array" else [x[:n] for x, n in zip(X, LENGTHS, strict=True)]
    bits = {np.float64: np.int64, np.float32: np.int32}[dtype]
    for completed in (plain.impute(given), plain.sample(1, given=given, random_state=0)[0]):
        assert type(completed) is type(given)
        for new, old in zip(completed, given, strict=True):
            observed = ~np.isnan(old)
            assert new.dtype == dtype
            assert (new[observed].view(bits) == old[observed].view(bits)).all()
            assert np.isfinite(new).all()


def test_completed_frames_keep_their_types():
    rng = np.random.RandomState(0)
    index = pd.MultiIndex.from_product([range(8), range(5)], names=["who", "when"])
    X = pd.DataFrame(
        {
            "a__float32": rng.normal(size=40).astype(np.float32),
            "a__float64": rng.normal(size=40),
            "b__whole": pd.array(rng.randint(2**60, 2**60 + 9, size=40), dtype="Int64"),
            "b__flag": pd.array(rng.uniform(size=40) < 0.5, dtype="boolean"),
            "b__kind": pd.Categorical(rng.choice(list("xyz"), size=40)),
        },
        index=index,
    )
    X = X.mask(rng.uniform(size=X.shape) < 0.2)
    X["c__complete"] = np.arange(40)
    estimator = make(modalities="prefix").fit(X)
    for imputed in (estimator.impute(X), estimator.sample(1, given=X, random_state=0).loc[0]):
        assert imputed.dtypes.equals(X.dtypes)
        assert imputed.index.equals(index)
        assert imputed.notna().all().all()
        for name in X:
            known = X[name].notna()
            assert imputed.loc[known, name].tolist() == X.loc[known, name].tolist()


def test_complete_sequences_come_back_as_they_are(plain, X):
    complete = np.nan_to_num(X)
    imputed = plain.impute(complete)
    assert not np.shares_memory(imputed, complete)
    np.testing.assert_array_equal(imputed, complete)


# 7. permuting the modalities permutes outputs only


def pick(layer, columns):
    """Permute what a layer, or the first of a default network, is given."""
    weight = getattr(layer, "first", layer).weight
    weight.copy_(weight[:, columns].clone())


def in_order(sizes, order, offset=0):
    """Positions of some parts, side by side, after they were permuted."""
    found = torch.arange(sum(sizes)).split(sizes)
    return torch.cat([found[i] for i in order]) + offset


def permuted(estimator, order):
    """The same fitted estimator with its modalities held in another order."""
    network, layout = copy.deepcopy(estimator.module_), estimator.layout_
    old = estimator.module_
    n_inputs = [likelihood.n_inputs for likelihood in old.likelihoods]
    n_seen = [n + size for n, size in zip(n_inputs, layout.sizes, strict=True)]
    network.names = tuple(network.names[i] for i in order)
    network.sees_mask = tuple(network.sees_mask[i] for i in order)
    for name in ("encoders", "decoders", "likelihoods"):
        modules = getattr(network, name)
        setattr(network, name, nn.ModuleList([modules[i] for i in order] if len(modules) else []))
    with torch.no_grad():
        network.modality_weights.copy_(old.modality_weights[order])
        if network.fusion is not None:
            for name in ("log_powers", "modality"):
                if hasattr(network.fusion, name):
                    getattr(network.fusion, name).copy_(getattr(old.fusion, name)[order])
            if isinstance(network.fusion, FUSIONS["set"]):  # features of one number each
                network.fusion.features = tuple(old.fusion.features[i] for i in order)
                network.fusion.embedding.copy_(old.fusion.embedding[in_order(n_inputs, order)])
                network.fusion.bias.copy_(old.fusion.bias[in_order(n_inputs, order)])
            if isinstance(network.fusion, FUSIONS["joint"]):
                pick(network.fusion.encoder, in_order(n_seen, order))
        if network.backward is not None:
            weight = network.backward.recurrence.weight_ih_l0
            weight.copy_(weight[:, in_order(n_seen, order)].clone())
        if network.completes_inputs:
            k = network.n_components
            weight = network.transition.cells[0].weight_ih
            columns = torch.cat([torch.arange(k), in_order(n_inputs, order, offset=k)])
            weight.copy_(weight[:, columns].clone())
        if isinstance(network.combine, JoinedInference):
            m, n_features = len(order), old.encoders[0].n_out
            features = in_order([n_features] * m, order)
            n = m * n_features + network.combine.n_future
            columns = torch.cat([features, torch.arange(m * n_features, n)])
            if network.combine.tokens is not None:
                network.combine.tokens.copy_(old.combine.tokens[order])
                flags = torch.tensor(order) + n
                rest = torch.arange(n + m, old.combine.join.n_in)
                columns = torch.cat([columns, flags, rest])
            pick(network.combine.join, columns)
    other = copy.copy(estimator)
    other.module_ = network
    other.layout_ = replace(
        layout, names=tuple(layout.names[i] for i in order), columns=tuple(layout.columns[i] for i in order)
    )
    return other


def test_permuted_modalities(fitted, X):
    other = permuted(fitted, [2, 0, 1])
    assert other.layout_.names != fitted.layout_.names
    for name, method in METHODS.items():
        assert_same_parts(method(other, X), method(fitted, X), rtol=1e-4, atol=1e-4, err_msg=name)
    Z = np.random.RandomState(0).normal(size=(3, 4, 2))
    np.testing.assert_allclose(fitted.inverse_transform(Z), other.inverse_transform(Z), **CLOSE)


def test_columns_in_another_order():
    """Fitted anew on permuted columns with the same modalities, scores stay what they are."""
    order = [3, 0, 5, 2, 1, 4]
    X = make_values()
    moved = {name: [order.index(column) for column in columns] for name, columns in MODALITIES.items()}
    expected = make().fit(X)
    estimator = make(modalities=moved).fit(X[..., order])
    np.testing.assert_allclose(estimator.transform_steps(X[..., order]), expected.transform_steps(X), **CLOSE)
    np.testing.assert_allclose(estimator.predict(X[..., order]), expected.predict(X)[..., order], **CLOSE)


# 8. inf raises


@pytest.mark.parametrize("method", EVERYTHING)
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values_raise(plain, X, method, value):
    X[tuple(np.argwhere(~np.isnan(X))[0])] = value
    asked = copy.deepcopy(plain) if method == "fit" else plain
    with pytest.raises(ValueError, match="infinity"):
        EVERYTHING[method](asked, X)


def test_infinite_values_raise_in_a_step(plain, X):
    with pytest.raises(ValueError, match="infinity"):
        plain.step(np.full((1, N_FEATURES), np.inf), plain.initial_state())


# 9. the caller's data are never changed


@pytest.mark.parametrize("method", EVERYTHING)
@pytest.mark.parametrize("form", ["array", "list", "read-only"])
def test_data_are_never_changed(plain, method, form):
    X = make_list(seed=1) if form == "list" else make_values(seed=1)
    if form == "read-only":
        X.flags.writeable = False
    before = copy.deepcopy(X)
    asked = copy.deepcopy(plain) if method == "fit" else plain
    result = EVERYTHING[method](asked, X)
    if method != "fit":  # what comes back is the caller's own
        for part in result if isinstance(result, list) else [result]:
            for each in part if isinstance(part, list) else [part]:
                each[...] = -1.0
    assert_same_parts(X, before, rtol=0)


def test_steps_do_not_change_what_they_are_given(plain, X):
    x = X[:, 1]
    before = x.copy()
    z, _ = plain.step(x, plain.initial_state(len(x)))
    z[:] = -1.0
    np.testing.assert_array_equal(x, before)


# hide and keep


def test_hidden_modalities_are_completed_from_the_others(leading):
    """hide and keep work on tables, of which sequences of one step are made here."""
    x = make_values(seed=1)[5:, 2]
    for table in (hide(x, "video", modalities=MODALITIES), keep(x, "text", modalities=MODALITIES)):
        expected = leading.predict(table[:, None])
        np.testing.assert_allclose(leading.predict(table), expected[:, 0], **CLOSE)
        np.testing.assert_allclose(leading.transform(table), leading.transform(table[:, None]), **CLOSE)
