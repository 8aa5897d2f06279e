"""Mistakes with sequences: what users are told names what was given, and what to do."""

import copy
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from skmm import IWAE, MultimodalVRNN
from skmm._torch import isolated_rng
from skmm.inference import points
from skmm.networks.recurrence import GRUTransition
from skmm.networks.vrnn import VRNNNetwork
from skmm.probability.fusion import FUSIONS

NAN = np.nan
MODALITIES = {"audio": [0, 1], "video": [2, 3]}
N, T, D = 12, 5, 4


def make(**parameters):
    settings = {
        "n_components": 2,
        "modalities": MODALITIES,
        "hidden_size": 4,
        "hidden_layer_sizes": (8,),
        "max_iter": 2,
        "n_draws": 4,
        "random_state": 0,
    }
    return MultimodalVRNN(**(settings | parameters))


def make_values():
    values = np.random.RandomState(0).normal(size=(N, T, D))
    values[0], values[1, :, :2], values[2, :, 2:] = NAN, NAN, NAN
    return values


def make_long():
    index = pd.MultiIndex.from_product([["x", "y", "z"], range(4)], names=["who", "when"])
    values = np.nan_to_num(make_values().reshape(-1, D)[20:32])
    return pd.DataFrame(values, index=index, columns=list("pqrs"))


@pytest.fixture
def X():
    return make_values()


@pytest.fixture
def frame():
    return make_long()


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(MultimodalVRNN, "_n_quantile_draws", 8)


@pytest.fixture(scope="module")
def fitted():
    """Shared, because nothing but fit may change an estimator."""
    return make().fit(make_values())


@pytest.fixture(scope="module")
def fitted_long():
    return make().fit(make_long())


METHODS = {
    "transform": lambda estimator, X: estimator.transform(X),
    "transform_steps": lambda estimator, X: estimator.transform_steps(X),
    "posterior_moments": lambda estimator, X: estimator.posterior_moments(X, smooth=False),
    "predict": lambda estimator, X: estimator.predict(X),
    "predict_quantiles": lambda estimator, X: estimator.predict_quantiles(X),
    "impute": lambda estimator, X: estimator.impute(X),
    "sample": lambda estimator, X: estimator.sample(2, given=X),
    "forecast": lambda estimator, X: estimator.forecast(X, 2),
    "forecast_draws": lambda estimator, X: estimator.forecast(X, 2, n_samples=2),
    "score_samples": lambda estimator, X: estimator.score_samples(X),
    "score": lambda estimator, X: estimator.score(X),
}
WITHOUT_X = {
    "sample": lambda estimator, X: estimator.sample(),
    "inverse_transform": lambda estimator, X: estimator.inverse_transform(np.zeros((1, 3, 2))),
    "initial_state": lambda estimator, X: estimator.initial_state(),
    "step": lambda estimator, X: estimator.step(X[:, 0], None),
    "get_feature_names_out": lambda estimator, X: estimator.get_feature_names_out(),
}
FIT = {"fit": lambda estimator, X: copy.deepcopy(estimator).fit(X)}
EVERYTHING = FIT | METHODS


# sequences

ONE_SHORT = [np.zeros((3, D)), np.zeros((2, D - 1))]
WRONG = {
    "no sequences": (np.zeros((0, T, D)), r"Found array with 0 sample\(s\)"),
    "empty list": ([], "X is an empty list; give it at least one sequence"),
    "no steps": (np.zeros((N, 0, D)), r"The sequences of X have no steps \(shape \(12, 0, 4\)\)"),
    "no steps in a list": (
        [np.zeros((2, D)), np.zeros((0, D))],
        "Sequence 1 of X has no steps; leave it out",
    ),
    "widths": (ONE_SHORT, "item 0 of X has 4 and item 1 has 3; put NaN where a feature was not measured"),
    "one dimension": ([np.zeros(3), np.zeros(2)], r"of shape \(n_steps, n_features\), with reshape\(-1, 1\)"),
    "four dimensions": (np.zeros((1, N, T, D)), r"\(n_sequences, n_steps, n_features\).* \(1, 12, 5, 4\)"),
    "kinds": ([np.zeros((2, D)), torch.zeros(2, D)], "item 0 of X is an array and item 1 is a Tensor"),
    "list of arrays of sequences": ([np.zeros((N, T, 2))] * 2, r"but item 0 of X has 3 dimension\(s\)"),
}


@pytest.mark.parametrize("method", EVERYTHING)
@pytest.mark.parametrize("wrong", WRONG)
def test_no_sequences(fitted, method, wrong):
    X, message = WRONG[wrong]
    with pytest.raises(ValueError, match=message):
        EVERYTHING[method](fitted, X)


@pytest.mark.parametrize("method", EVERYTHING)
def test_separate_modalities(fitted, X, method):
    with pytest.raises(TypeError, match=r"X is a dict of separate tables.*skmm\.stack_modalities"):
        EVERYTHING[method](fitted, {"audio": X[..., :2], "video": X[..., 2:]})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", [np.array, list, lambda X: X[:, 0]], ids=["array", "list", "table"])
def test_another_number_of_features(fitted, X, method, form):
    with pytest.raises(ValueError, match="X has 3 features, but MultimodalVRNN is expecting 4 features"):
        METHODS[method](fitted, form(X[..., :3]))


def retimed(frame, times):
    index = pd.MultiIndex.from_arrays([frame.index.get_level_values(0), times], names=frame.index.names)
    return frame.set_axis(index, axis=0)


WRONG_LONG = {
    "repeated": (
        lambda X: pd.concat([X, X.iloc[5:6]]),
        ValueError,
        r"Sequence 'y' of X has several rows for time 1; drop or average.*groupby\(level=\[0, 1\]\)\.mean",
    ),
    "three levels": (
        lambda X: pd.concat({"a": X}),
        ValueError,
        r"The index of X has 3 levels .*must have two, \(sequence, time\)",
    ),
    "no time": (
        lambda X: retimed(X, [*range(3), NAN, *range(8)]),
        ValueError,
        "Row 3 of X has no time: index level 'when' is missing there",
    ),
    "no sequence": (
        lambda X: X.rename(index={"y": NAN}, level=0),
        ValueError,
        "Row 4 of X has no sequence: index level 'who' is missing there",
    ),
    "text": (
        lambda X: retimed(X, list("cbad") * 3),
        ValueError,
        r"times of X \(index level 'when'\) are text, and the rows are not in the order of the alphabet",
    ),
    "two types": (
        lambda X: retimed(X, [0, "a", 1, "b"] * 3),
        TypeError,
        r"The times of X \(index level 'when'\) cannot be put in order.*Give times of one type",
    ),
}


@pytest.mark.parametrize("method", EVERYTHING)
@pytest.mark.parametrize("wrong", WRONG_LONG)
def test_wrong_long_frames(fitted_long, frame, method, wrong):
    change, error, message = WRONG_LONG[wrong]
    with pytest.raises(error, match=message):
        EVERYTHING[method](fitted_long, change(frame))


@pytest.mark.parametrize("method", ["transform_steps", "predict", "impute"])
def test_rows_in_another_order_are_no_mistake(fitted_long, frame, method):
    moved = frame.iloc[::-1]
    actual, expected = (METHODS[method](fitted_long, x) for x in (moved, frame))
    assert actual.index.equals(moved.index)
    np.testing.assert_allclose(actual.loc[frame.index], expected, rtol=1e-5, atol=1e-6)


def test_columns_of_another_frame(fitted_long, frame):
    with pytest.raises(ValueError, match=r"(?s)unseen at fit time:\n- t\n.*now missing:\n- s"):
        fitted_long.predict(frame.rename(columns={"s": "t"}))
    with pytest.raises(ValueError, match="item 1 of X has them in another order"):
        fitted_long.predict([frame.loc["x"], frame.loc["y", ::-1]])


@pytest.mark.parametrize("method", EVERYTHING)
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values(fitted, X, method, value):
    X[7, 3, 2] = value
    with pytest.raises(
        ValueError, match=rf"Input X contains infinity: column 2 holds {value} in row {7 * T + 3}\."
    ):
        EVERYTHING[method](fitted, X)


@pytest.mark.parametrize("method", METHODS)
def test_values_too_large_for_the_networks(fitted, X, method):
    X[5, 0, 0] = 1e300
    with pytest.raises(ValueError, match=r"Column 0 holds 1e\+300 in row 25, too far from what fit saw"):
        METHODS[method](fitted, X)


@pytest.mark.parametrize(
    "nothing",
    [np.full((3, T, D), NAN), [np.full((n, D), NAN) for n in (1, 4)], make_long() * NAN],
    ids=["array", "list", "long"],
)
def test_nothing_observed_at_all(nothing):
    with pytest.raises(ValueError, match="Every entry of X is missing: there is nothing to learn from"):
        make().fit(nothing)


def test_a_single_step(X):
    with pytest.raises(ValueError, match=r"1 sample\(s\).* while a minimum of 2 is required"):
        make().fit(X[4:5, :1])
    assert make().fit(X[4:5, :2]).transform(X).shape == (N, 2)  # one sequence of two steps will do


@pytest.mark.parametrize("method", METHODS | WITHOUT_X)
def test_unfitted_estimators(X, method):
    for methods in (METHODS, WITHOUT_X):
        if method in methods:
            with pytest.raises(NotFittedError, match="This MultimodalVRNN instance is not fitted yet"):
                methods[method](make(), X)


# arguments of methods

NO_COUNTS = pytest.mark.parametrize("n", [0, -1, 1.5, "two", None, True], ids=repr)


@NO_COUNTS
def test_steps_of_a_forecast(fitted, fitted_long, X, frame, n):
    message = f"n_steps must be a positive whole number, got {n!r}"
    for estimator, x in ((fitted, X), (fitted, list(X)), (fitted_long, frame)):
        with pytest.raises(ValueError, match=message):
            estimator.forecast(x, n)


@NO_COUNTS
def test_draws_of_a_forecast(fitted, X, n):
    if n is None:
        assert fitted.forecast(X, 2, n_samples=n).shape == (N, 2, D)
        return
    with pytest.raises(ValueError, match=f"n_samples must be a positive whole number, got {n!r}"):
        fitted.forecast(X, 2, n_samples=n)


@pytest.mark.parametrize(
    "asked",
    [
        {"n_samples": 2, "quantiles": 0.5},
        {"n_samples": 2, "return_std": True},
        {"quantiles": [0.1, 0.9], "return_std": True},
    ],
    ids=str,
)
def test_forecasts_of_two_kinds(fitted, X, asked):
    with pytest.raises(ValueError, match="Set one of n_samples, quantiles and return_std, not several"):
        fitted.forecast(X, 2, **asked)


@pytest.mark.parametrize("q", [-0.1, 1.1, NAN, [0.1, 2], [], [[0.1, 0.9]], "median"], ids=repr)
def test_quantiles(fitted, X, q):
    for ask in (fitted.predict_quantiles, lambda x, q: fitted.forecast(x, 2, quantiles=q)):
        with pytest.raises(ValueError, match="q must hold numbers from 0 to 1, got"):
            ask(X, q)


@NO_COUNTS
def test_number_of_samples(fitted, X, n):
    for given in (None, X):
        with pytest.raises(ValueError, match=f"n_samples must be a positive whole number, got {n!r}"):
            fitted.sample(n, given=given)


@NO_COUNTS
def test_steps_of_new_sequences(fitted, n):
    if n is None:
        assert fitted.sample(3, n_steps=n).shape == (3, T, D)
        return
    with pytest.raises(ValueError, match=f"n_steps must be a positive whole number, got {n!r}"):
        fitted.sample(3, n_steps=n)


@pytest.mark.parametrize("n_steps", [T, 0])
def test_steps_of_given_sequences(fitted, X, n_steps):
    with pytest.raises(ValueError, match="n_steps is for new sequences, and given has its own; use forecast"):
        fitted.sample(2, given=X, n_steps=n_steps)


def test_times_that_cannot_be_continued(fitted_long, frame):
    text = retimed(frame, list("abcd") * 3)
    assert fitted_long.predict(text).shape == frame.shape
    for asked in ({}, {"n_samples": 1}, {"quantiles": 0.5}):
        with pytest.raises(
            ValueError, match=r"The times of X \(index level 'when'\) are of type .*, and cannot be continued"
        ):
            fitted_long.forecast(text, 2, **asked)
    dates = retimed(frame, pd.date_range("2024-01-01", periods=12)).groupby(level=0).head(1)
    with pytest.raises(ValueError, match=r"no sequence has two of them, so the step .* is unknown"):
        fitted_long.forecast(dates, 2)


def test_text_as_index_of_a_list_is_counted_on(fitted_long, frame):
    """Not its times: a list says the order by itself."""
    text = [frame.loc[label].set_axis(list("abcd"), axis=0) for label in "xyz"]
    assert fitted_long.forecast(text, 2)[0].index.tolist() == [4, 5]


@NO_COUNTS
def test_number_of_filtered_sequences(fitted, n):
    with pytest.raises(ValueError, match=f"n_sequences must be a positive whole number, got {n!r}"):
        fitted.initial_state(n)


@pytest.mark.parametrize("n_rows", [1, 2, 4])
def test_rows_of_a_step(fitted, X, n_rows):
    message = rf"x has {n_rows} rows, but state is that of 3 sequences; give one row per sequence, of NaN"
    with pytest.raises(ValueError, match=message):
        fitted.step(X[:n_rows, 0], fitted.initial_state(3))


@pytest.mark.parametrize("state", [None, (torch.zeros(3, 4),), torch.zeros(3, 4), 3], ids=str)
def test_states_that_are_none(fitted, X, state):
    with pytest.raises(
        TypeError, match=rf"what initial_state or step returned, got a {type(state).__name__}"
    ):
        fitted.step(X[:3, 0], state)


@pytest.mark.parametrize("other", [{"hidden_size": 5}, {"n_layers": 2}, {"transition": "lstm"}], ids=str)
def test_states_of_another_estimator(fitted, X, other):
    another = make(**other).fit(X)
    for asked, asking in ((fitted, another), (another, fitted)):
        with pytest.raises(ValueError, match="state is that of an estimator with another recurrence; give"):
            asked.step(X[:3, 0], asking.initial_state(3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:, :3], "X has 3 features, but MultimodalVRNN is expecting 4 features"),
        (lambda x: x[0], "Expected 2D array, got 1D array"),
        (lambda x: x[:, None], "Found array with dim 3"),
        (lambda x: np.where(x > 0, np.inf, x), "Input X contains infinity"),
        (lambda x: x + 1e300, "too far from what fit saw"),
    ],
    ids=["features", "1-D", "3-D", "inf", "large"],
)
def test_values_of_a_step(fitted, X, change, message):
    state = fitted.initial_state(3)
    with pytest.raises(ValueError, match=message):
        fitted.step(change(X[4:7, 0]), state)


@pytest.mark.parametrize(
    ("Z", "message"),
    [
        (np.zeros((2, 3, 3)), r"Z has 3 columns, but .* n_components=2; give points .*transform_steps"),
        (np.zeros(2), "Expected 2D array, got 1D array"),
        (np.full((2, 3, 2), NAN), "Input Z contains NaN"),
        (np.full((2, 3, 2), np.inf), "Input Z contains infinity"),
        (np.zeros((2, 0, 2)), "have no steps"),
        ([np.zeros((2, 2)), np.zeros((1, 3))], "All sequences must have the same features"),
    ],
    ids=["width", "1-D", "nan", "inf", "empty", "widths"],
)
def test_latent_paths(fitted, Z, message):
    with pytest.raises(ValueError, match=message):
        fitted.inverse_transform(Z)


@pytest.mark.parametrize("n_draws", [0, 2.5, None])
def test_number_of_draws_set_after_fit(fitted, X, n_draws):
    estimator = copy.copy(fitted).set_params(n_draws=n_draws)
    for method in ("predict", "impute", "score", "forecast"):
        with pytest.raises(ValueError, match=f"n_draws must be a positive whole number, got {n_draws}"):
            METHODS[method](estimator, X)


def test_summary_set_after_fit(fitted, X):
    with pytest.raises(ValueError, match=r"summary must be one of \['last', 'mean'\], got 'first'"):
        copy.copy(fitted).set_params(summary="first").transform(X)


def test_probabilities_of_numbers(fitted, X):
    with pytest.raises(ValueError, match="No column of X holds categories or flags"):
        fitted.predict_category_proba(X)


# parameters, one by one

OUT_OF_RANGE = {
    "n_components": [0, -1, 2.5, None],
    "modalities": ["suffix", 3],
    "likelihood": ["poison", 3],
    "handle_unknown": ["ignore"],
    "fusion": ["sum", "concatenate", None, 2],
    "objective": ["mse", None],
    "posterior": ["uniform", None],
    "transition": ["rnn", "GRU", None, 3],
    "hidden_size": [0, -1, 2.5, "wide", None],
    "n_layers": [0, 1.5, None],
    "recurrence": ["full", None, True],
    "smoothing": ["yes", None, 2],
    "smoothing_dropout": [-0.1, 1.0, None, {"audio": 0.1}, NAN],
    "summary": ["first", None, "max"],
    "beta": [-0.1, "sawtooth", None],
    "modality_dropout": [-0.1, 1.1, "auto", None],
    "burst_dropout": [-0.1, 1.1, "auto", None, NAN],
    "step_dropout": [-0.1, 1.0, "auto", None, NAN],
    "cell_dropout": [-0.1, 1.0, "auto", None],
    "dropout": [-0.1, 1.0, "auto", None],
    "modality_weights": ["none", 1.0],
    "encoders": ["mlp", nn.Identity()],
    "decoders": ["mlp", nn.Identity()],
    "hidden_layer_sizes": [0, "wide", None],
    "activation": ["sine", None],
    "max_iter": [0, 2.5, "many"],
    "batch_size": [0, 2.5, "all"],
    "learning_rate_init": [0, "auto"],
    "weight_decay": [-1e-3, None],
    "early_stopping": ["yes", None],
    "validation_fraction": [0.0, 1.0],
    "n_iter_no_change": [0, None],
    "tol": [-1e-4, None],
    "n_draws": [0, 2.5],
    "warm_start": ["yes", None],
    "device": [None, 0],
    "random_state": [-1, "seed"],
    "verbose": [-1, "loud"],
}


def test_every_parameter_is_tried():
    assert OUT_OF_RANGE.keys() == MultimodalVRNN().get_params().keys()
    assert OUT_OF_RANGE.keys() == MultimodalVRNN._parameter_constraints.keys()


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        pytest.param(name, value, id=f"{name}-{i}")
        for name, values in OUT_OF_RANGE.items()
        for i, value in enumerate(values)
    ],
)
def test_parameters_out_of_range(X, parameter, value):
    with pytest.raises(
        ValueError, match=rf"(?s)The '{parameter}' parameter of MultimodalVRNN must be .* Got .* instead"
    ):
        make(**{parameter: value}).fit(X)


NAMES = {
    "fusion": sorted([*FUSIONS, "concat", "concat_zeros"]),
    "transition": ["gru", "lstm"],
    "recurrence": ["completed", "latent"],
    "summary": ["last", "mean"],
}


@pytest.mark.parametrize("parameter", NAMES)
def test_names_that_do_not_exist(X, parameter):
    """The message lists the ones that do, and each of those works."""
    with pytest.raises(ValueError, match=f"'{parameter}' parameter") as caught:
        make(**{parameter: "nonsense"}).fit(X)
    listed = re.search(r"among \{(.*?)\}", str(caught.value))[1]
    assert sorted(re.findall(r"'(\w+)'", listed)) == NAMES[parameter]
    for name in NAMES[parameter]:
        assert np.isfinite(make(**{parameter: name}, max_iter=1).fit(X).transform(X)).all()


@pytest.mark.parametrize("objective", ["iwae", IWAE(), IWAE(n_draws=3), IWAE], ids=str)
def test_objectives_that_weight_whole_paths(X, objective):
    with pytest.raises(
        ValueError, match=r"objective=.*(iwae|IWAE).*Use objective='elbo', .* with Multimodal"
    ):
        make(objective=objective).fit(X)


RATES = ["modality_dropout", "burst_dropout", "step_dropout", "cell_dropout", "dropout"]


@pytest.mark.parametrize("parameter", [*RATES, "modality_weights", "encoders", "decoders"])
def test_modalities_that_do_not_exist(X, parameter):
    value = nn.Linear if parameter in ("encoders", "decoders") else 0.1
    with pytest.raises(
        ValueError, match=rf"{parameter} names the unknown modality 'smell'; X has \['audio', 'video'\]"
    ):
        make(**{parameter: {"audio": value, "smell": value}}).fit(X)


@pytest.mark.parametrize("parameter", RATES)
@pytest.mark.parametrize("rate", [-0.1, 1.1, NAN, "half", None], ids=repr)
def test_rates_of_one_modality(X, parameter, rate):
    with pytest.raises(
        ValueError, match=rf"{parameter} of modality 'video' must be a number from 0 to 1.*got {rate!r}"
    ):
        make(**{parameter: {"video": rate}}).fit(X)


@pytest.mark.parametrize("parameter", ["step_dropout", "cell_dropout", "dropout"])
def test_rates_that_leave_nothing(X, parameter):
    with pytest.raises(ValueError, match=rf"{parameter} of modality 'audio' .* 1 excluded, got 1.0"):
        make(**{parameter: {"audio": 1.0}}).fit(X)


@pytest.mark.parametrize("parameter", ["modality_dropout", "burst_dropout"])
@pytest.mark.parametrize("rate", [1, 1.0, {"audio": 1.0}], ids=str)
def test_rates_that_may_be_certain(X, parameter, rate):
    """Something to learn from is left: the other modality, or the rest of the sequence."""
    assert np.isfinite(make(**{parameter: rate}).fit(X).loss_curve_).all()


def test_encoders_that_a_joint_encoder_would_not_use(X):
    with pytest.raises(ValueError, match=r"fusion='joint' has one encoder for all .*`encoders`"):
        make(fusion="joint", encoders={"audio": nn.Linear}).fit(X)


def posterior_itself(blocks, experts, present):
    """A fusion rule that does not ask the family that it is given."""
    return experts.natural.sum(0)


def test_fusion_without_its_family(X):
    with pytest.raises(
        ValueError, match=r"fusion must return experts\.family\.posterior\(natural, log_weights\).*a Tensor"
    ):
        make(fusion=posterior_itself).fit(X)


def test_fusion_of_a_user(X):
    def product(blocks, experts, present):
        natural = torch.where(present[..., None], experts.natural, 0.0).sum(0)
        return experts.family.posterior(natural[None], None)

    np.testing.assert_array_equal(make(fusion=product).fit(X).transform(X), make().fit(X).transform(X))


def narrow(n_inputs, n_hidden, n_layers):
    return GRUTransition(n_inputs, n_hidden - 1, n_layers)


class NoTransition(nn.Module):
    def __init__(self, *sizes):
        super().__init__()


def test_transition_of_a_user(X):
    """A class, or a function that makes one, is called with what the built-in ones are made with."""
    expected = make(transition="gru").fit(X).transform(X)
    for transition in (GRUTransition, lambda *sizes: GRUTransition(*sizes)):
        np.testing.assert_array_equal(make(transition=transition).fit(X).transform(X), expected)


with isolated_rng(0):
    TRANSITION = GRUTransition(2, 4, 1)


@pytest.mark.parametrize(
    ("transition", "error", "message"),
    [
        (NoTransition, TypeError, r"transition must return .* initial, output and step, but .*NoTransition"),
        (lambda *sizes: 3, TypeError, r"transition must return a torch Module .* returned 3"),
        (
            narrow,
            ValueError,
            r"output of transition must have shape \(n, 4\), as hidden_size says, .*\(2, 3\)",
        ),
        (TRANSITION, TypeError, r"transition.*n_inputs, n_hidden, n_layers"),
        (len, TypeError, r"transition.*n_inputs, n_hidden, n_layers"),
    ],
    ids=["no methods", "no module", "width", "module itself", "signature"],
)
def test_transitions_that_are_none(X, transition, error, message):
    with pytest.raises(error, match=message):
        make(transition=transition).fit(X)


# fits that fail


@dataclass(frozen=True)
class Constant:
    """Factory of networks that return one number."""

    value: float

    def __call__(self, n_in, n_out):
        return nn.Sequential(nn.Linear(n_in, n_out), nn.Threshold(1e9, self.value))


class Switch(nn.Linear):
    """Works until someone throws the switch."""

    broken = False

    def forward(self, x):
        return super().forward(x) * torch.nan if self.broken else super().forward(x)


FAILING = {
    "parameter": ({"hidden_size": 0}, ValueError, "hidden_size"),
    "objective": ({"objective": "iwae"}, ValueError, "objective"),
    "rates": ({"burst_dropout": {"smell": 0.1}}, ValueError, "smell"),
    "encoder": ({"encoders": {"video": Constant(torch.nan)}}, FloatingPointError, "the encoder of modality"),
    "divergence": ({"learning_rate_init": 1e30, "max_iter": 6}, FloatingPointError, "The loss became"),
    "schedule": ({"beta": lambda progress: -1.0}, ValueError, "beta must be"),
    "early stopping": ({"early_stopping": True, "validation_fraction": 0.01}, ValueError, "early_stopping"),
}


@pytest.mark.parametrize("failing", FAILING)
def test_a_fit_that_fails_leaves_no_trace(fitted, X, failing):
    changes, error, message = FAILING[failing]
    with pytest.raises(error, match=message):
        (fresh := make(**changes)).fit(X)
    assert vars(fresh).keys() == fresh.get_params(deep=False).keys()
    estimator = copy.deepcopy(fitted).set_params(**changes)
    before = dict(vars(estimator))
    with pytest.raises(error, match=message):
        estimator.fit([x[:2, :] for x in X])
    assert vars(estimator).keys() == before.keys()
    assert all(vars(estimator)[name] is value for name, value in before.items())
    np.testing.assert_array_equal(estimator.transform(X), fitted.transform(X))
    assert estimator.sample(2, random_state=0).shape == (2, T, D)


@pytest.mark.parametrize(
    "X", [np.zeros((N, 0, D)), [np.zeros((2, D)), np.zeros((2, 3))], np.full((N, T, D), NAN)], ids=len
)
def test_sequences_that_fit_refuses_leave_no_trace(fitted, X):
    estimator = copy.deepcopy(fitted)
    before = dict(vars(estimator))
    with pytest.raises(ValueError, match="X"):
        estimator.fit(X)
    assert vars(estimator) == before


@pytest.mark.parametrize("recurrence", ["latent", "completed"])
@pytest.mark.parametrize(("parameter", "role"), [("encoders", "encoder"), ("decoders", "decoder")])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_networks_that_return_nan_in_fit(X, parameter, role, recurrence, value):
    message = rf"Training cannot begin: the {role} of modality 'video' returned NaN or infinite numbers"
    with pytest.raises(FloatingPointError, match=message):
        make(**{parameter: {"video": Constant(value)}}, recurrence=recurrence).fit(X)


ASKED = METHODS | {
    "sample_new": WITHOUT_X["sample"],
    "inverse_transform": WITHOUT_X["inverse_transform"],
    "step": lambda estimator, X: estimator.step(X[:, 0], estimator.initial_state(N)),
}
WITHOUT_ENCODERS = {"sample_new", "inverse_transform"}
WITHOUT_DECODERS = {"transform", "transform_steps", "posterior_moments", "step"}


@pytest.mark.parametrize("recurrence", ["latent", "completed"])
@pytest.mark.parametrize(("parameter", "role"), [("encoders", "encoder"), ("decoders", "decoder")])
def test_networks_that_return_nan_afterwards(X, parameter, role, recurrence):
    estimator = make(**{parameter: {"video": Switch}}, recurrence=recurrence).fit(X)
    getattr(estimator.module_, parameter)[1].broken = True
    unused = WITHOUT_ENCODERS if role == "encoder" else WITHOUT_DECODERS if recurrence == "latent" else ()
    for name, method in ASKED.items():
        if name in unused:
            method(estimator, X)
            continue
        with pytest.raises(ValueError, match=r"returned NaN or infinite numbers.*check") as caught:
            method(estimator, X)
        assert f"he {role} of modality 'video' returned" in str(caught.value), name


# memory


def spied(monkeypatch):
    """Record how many floats each call of the decoders makes."""
    sizes = []

    def decode(self, code):
        sizes.append(code[..., 0].numel() * self.width)
        return original(self, code)

    original = VRNNNetwork.decode
    monkeypatch.setattr(VRNNNetwork, "decode", decode)
    return sizes


LARGE = {
    "forecast": lambda estimator, X: estimator.forecast(X, 60),
    "forecast_std": lambda estimator, X: estimator.forecast(X, 60, return_std=True)[1],
    "forecast_quantiles": lambda estimator, X: estimator.forecast(X, 60, quantiles=0.9),
    "predict": lambda estimator, X: estimator.predict(np.tile(X, (1, 12, 1))),
    "inverse_transform": lambda estimator, X: estimator.inverse_transform(np.ones((N, 60, 2))),
    "score_samples": lambda estimator, X: copy.copy(estimator).set_params(n_draws=50).score_samples(X),
}


@pytest.mark.parametrize("method", LARGE)
def test_large_results_are_made_in_pieces(fitted, X, method, monkeypatch):
    """The decoders' results are bounded, and what comes out is what it was, but for rounding."""
    bound = 400 * fitted.module_.width
    sizes = spied(monkeypatch)
    expected = LARGE[method](fitted, X)
    assert max(sizes) > bound
    sizes.clear()
    monkeypatch.setattr(points, "MAX_FLOATS", bound)
    actual = LARGE[method](fitted, X)
    assert max(sizes) <= bound
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_drawn_futures_in_pieces(fitted, X, monkeypatch):
    bound = 400 * fitted.module_.width
    sizes = spied(monkeypatch)
    monkeypatch.setattr(points, "MAX_FLOATS", bound)
    for draws in (fitted.forecast(X, 60, n_samples=8), fitted.sample(8, given=np.tile(X, (1, 12, 1)))):
        assert draws.shape == (8, N, 60, D)
        assert np.isfinite(draws).all()
    assert fitted.sample(N, n_steps=60).shape == (N, 60, D)
    assert max(sizes) <= bound
