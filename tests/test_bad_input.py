"""Mistakes: what users are told names the parameter or modality, what was given, and what to do."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

import skmm
from skmm import CyclicalSchedule, MultimodalVAE
from skmm._torch import isolated_rng
from skmm.probability.fusion import product_of_experts
from skmm.probability.likelihoods.continuous import IndependentNormal, Normal
from skmm.probability.likelihoods.contract import Likelihood
from skmm.training.objectives.bounds import ELBO

NAN = np.nan
MODALITIES = {"audio": [0, 1], "video": [2, 3, 4]}


def make(**parameters):
    settings = {
        "n_components": 2,
        "modalities": MODALITIES,
        "hidden_layer_sizes": (8,),
        "max_iter": 3,
        "n_draws": 8,
        "random_state": 0,
    }
    return MultimodalVAE(**(settings | parameters))


def make_values(n_rows=30):
    values = np.random.RandomState(0).normal(size=(n_rows, 5))
    values[0, :2] = values[1, 2:] = values[2] = NAN
    return values


@pytest.fixture
def X():
    return make_values()


@pytest.fixture(scope="module")
def fitted():
    return make().fit(make_values())


METHODS = {
    "transform": lambda estimator, X: estimator.transform(X),
    "posterior_moments": lambda estimator, X: estimator.posterior_moments(X),
    "predict": lambda estimator, X: estimator.predict(X),
    "predict_quantiles": lambda estimator, X: estimator.predict_quantiles(X),
    "impute": lambda estimator, X: estimator.impute(X),
    "sample": lambda estimator, X: estimator.sample(2, given=X),
    "score_samples": lambda estimator, X: estimator.score_samples(X),
    "score": lambda estimator, X: estimator.score(X),
}
WITHOUT_X = {
    "sample": lambda estimator, X: estimator.sample(),
    "inverse_transform": lambda estimator, X: estimator.inverse_transform(np.zeros((1, 2))),
    "get_feature_names_out": lambda estimator, X: estimator.get_feature_names_out(),
}
FIT = {"fit": lambda estimator, X: copy.deepcopy(estimator).fit(X)}


# data


@pytest.mark.parametrize("method", FIT | METHODS)
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values(fitted, X, method, value):
    X[7, 3] = value
    with pytest.raises(ValueError, match=rf"Input X contains infinity: column 3 holds {value} in row 7\."):
        (FIT | METHODS)[method](fitted, X)


@pytest.mark.parametrize("method", FIT | METHODS)
def test_infinite_values_in_frames(X, method):
    frame = pd.DataFrame(X, columns=list("abcde"))
    estimator = make().fit(frame)
    frame.loc[7, "d"] = np.inf
    with pytest.raises(ValueError, match=r"Input X contains infinity: column 'd' holds inf in row 7\."):
        (FIT | METHODS)[method](estimator, frame)


@pytest.mark.parametrize("container", ["array", "frame"])
@pytest.mark.parametrize("method", FIT | METHODS)
def test_values_that_are_no_flags(method, container):
    flags = (make_values() > 0).astype(float)
    if container == "frame":
        flags = pd.DataFrame(flags, columns=list("abcde"))
    estimator = make(likelihood={"video": "bernoulli"}).fit(flags)
    wrong = flags.copy()
    if container == "frame":
        wrong.loc[7, "d"] = 0.25
    else:
        wrong[7, 3] = 0.25
    column = "'d'" if container == "frame" else "3"
    message = rf"Modality 'video' has a 'bernoulli' likelihood.* 0 and 1 only; column {column} holds 0.25\. T"
    with pytest.raises(ValueError, match=message):
        (FIT | METHODS)[method](estimator, wrong)


def test_nothing_observed_at_all(X):
    with pytest.raises(ValueError, match="Every entry of X is missing: there is nothing to learn from"):
        make().fit(np.full_like(X, NAN))


def test_one_row(X):
    with pytest.raises(
        ValueError, match=r"Found array with 1 sample\(s\).* while a minimum of 2 is required"
    ):
        make().fit(X[3:4])


@pytest.mark.parametrize("method", METHODS)
def test_no_rows(fitted, X, method):
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        METHODS[method](fitted, X[:0])


@pytest.mark.parametrize("method", METHODS)
def test_another_number_of_columns(fitted, X, method):
    with pytest.raises(
        ValueError, match="X has 4 features, but MultimodalVAE is expecting 5 features as input"
    ):
        METHODS[method](fitted, X[:, :4])


@pytest.mark.parametrize("method", METHODS)
def test_columns_of_another_table(X, method):
    names = pd.MultiIndex.from_product([["audio"], list("abcde")])
    frame = pd.DataFrame(X, columns=names)
    estimator = make(modalities=None).fit(frame)
    with pytest.raises(ValueError, match=r"not those seen in fit: 1 missing .*'a'.*1 unknown .*'A'"):
        METHODS[method](estimator, frame.rename(columns={"a": "A"}, level=1))


@pytest.mark.parametrize("method", FIT | METHODS)
def test_text(fitted, X, method):
    frame = pd.DataFrame(X).astype(object)
    frame.iloc[3, 2] = "loud"
    with pytest.raises(ValueError, match=r"'loud'.*not a number.*not several of these"):
        (FIT | METHODS)[method](fitted, frame)


@pytest.mark.parametrize("method", METHODS | WITHOUT_X)
def test_unfitted_estimators(X, method):
    with pytest.raises(NotFittedError, match="This MultimodalVAE instance is not fitted yet"):
        (WITHOUT_X | METHODS)[method](make(), X)
    if method in WITHOUT_X:
        with pytest.raises(NotFittedError):
            WITHOUT_X[method](make(), X)


def test_values_too_large_for_the_networks(fitted, X):
    """Finite in the table, but not in single precision."""
    X[5, 0] = 1e300
    with pytest.raises(ValueError, match=r"Column 0 holds 1e\+300 in row 5, too far from what fit saw"):
        fitted.predict(X)


# arguments of methods


@pytest.mark.parametrize("n_samples", [0, -1, 1.5, "two", None])
def test_number_of_samples(fitted, X, n_samples):
    for given in (None, X):
        with pytest.raises(
            ValueError, match=rf"n_samples must be a positive whole number, got {n_samples!r}"
        ):
            fitted.sample(n_samples, given=given)


@pytest.mark.parametrize("q", [-0.1, 1.1, NAN, [0.1, 2], [], [[0.1, 0.9]], "median", None], ids=repr)
def test_quantiles(fitted, X, q):
    with pytest.raises(ValueError, match="q must hold numbers from 0 to 1, got"):
        fitted.predict_quantiles(X, q)


@pytest.mark.parametrize("width", [1, 3])
def test_points_of_another_space(fitted, width):
    with pytest.raises(
        ValueError, match=f"Z has {width} columns, but .* fitted with n_components=2; give points"
    ):
        fitted.inverse_transform(np.zeros((4, width)))


@pytest.mark.parametrize(
    ("Z", "message"),
    [
        (np.zeros(2), "Expected 2D array, got 1D array"),
        ([[0.0, NAN]], "Input Z contains NaN"),
        ([[0.0, np.inf]], "Input Z contains infinity"),
        (np.zeros((0, 2)), r"0 sample\(s\)"),
    ],
    ids=["1-D", "nan", "inf", "empty"],
)
def test_latent_points(fitted, Z, message):
    with pytest.raises(ValueError, match=message):
        fitted.inverse_transform(Z)


@pytest.mark.parametrize("n_draws", [0, 2.5, None])
def test_number_of_draws_set_after_fit(fitted, X, n_draws):
    estimator = copy.deepcopy(fitted).set_params(n_draws=n_draws)
    for method in ("predict", "impute", "score"):
        with pytest.raises(ValueError, match=f"n_draws must be a positive whole number, got {n_draws}"):
            METHODS[method](estimator, X)


# parameters, one by one

OUT_OF_RANGE = {
    "n_components": [0, -1, 2.5, None],
    "modalities": ["suffix", 3, ["audio"]],
    "likelihood": ["poison", 3, None],
    "handle_unknown": ["ignore", None],
    "fusion": ["sum", None, 2],
    "objective": ["mse", None, 1.0],
    "prior": ["uniform", None],
    "posterior": ["uniform", None, make_values],
    "n_private": [-1, 1.5, "one", None],
    "latent_density": ["kde", make_values, 1],
    "completion": ["linear", None, True],
    "beta": [-0.1, "sawtooth", None, NAN],
    "modality_dropout": [-0.1, 1.1, "auto", None, NAN],
    "cell_dropout": [-0.1, 1.0, "auto", None, NAN],
    "dropout": [-0.1, 1.0, "auto", None, NAN],
    "modality_weights": ["none", 1.0],
    "encoders": ["mlp", nn.Identity(), [nn.Identity()]],
    "decoders": ["mlp", nn.Identity()],
    "hidden_layer_sizes": [0, -8, 2.5, "wide", None],
    "activation": ["sine", None, nn.ReLU],
    "max_iter": [0, -1, 2.5, "many", None],
    "batch_size": [0, -1, 2.5, "all", None],
    "learning_rate_init": [0, -1e-3, "auto", None, NAN],
    "weight_decay": [-1e-3, None, NAN],
    "early_stopping": ["yes", None, 2],
    "validation_fraction": [0, 0.0, 1.0, -0.1, None, NAN],
    "n_iter_no_change": [0, 2.5, None],
    "tol": [-1e-4, None, NAN],
    "n_draws": [0, 2.5, None],
    "warm_start": ["yes", None],
    "device": [None, 0],
    "random_state": [-1, "seed", np.random.default_rng(0)],
    "verbose": [-1, "loud"],
}


def test_every_parameter_is_tried():
    assert OUT_OF_RANGE.keys() == MultimodalVAE().get_params().keys()


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
        ValueError, match=rf"(?s)The '{parameter}' parameter of MultimodalVAE must be .* Got .* instead"
    ):
        make(**{parameter: value}).fit(X)


@pytest.mark.parametrize("sizes", [(8, 0), (-8,), (2.5,), ("8",), ((8, 8),), [None], (True,)], ids=repr)
def test_sizes_of_layers(X, sizes):
    with pytest.raises(ValueError, match=r"hidden_layer_sizes must hold whole numbers of at least 1, got"):
        make(hidden_layer_sizes=sizes).fit(X)


BY_MODALITY = {
    "modality_dropout": 0.1,
    "cell_dropout": 0.1,
    "dropout": 0.1,
    "modality_weights": 2.0,
    "encoders": nn.Linear,
    "decoders": nn.Linear,
}


@pytest.mark.parametrize("parameter", BY_MODALITY)
def test_modalities_that_do_not_exist(X, parameter):
    message = rf"{parameter} names the unknown modality 'smell'; X has \['audio', 'video'\]"
    with pytest.raises(ValueError, match=message):
        make(**{parameter: {"audio": BY_MODALITY[parameter], "smell": BY_MODALITY[parameter]}}).fit(X)


@pytest.mark.parametrize("spec", ["poison", 3, None], ids=repr)
def test_likelihoods_that_do_not_exist(X, spec):
    with pytest.raises(ValueError, match=rf"likelihood .*{spec!r}.*"):
        make(likelihood={"video": spec}).fit(X)
    with pytest.raises(ValueError, match="modality 'video'"):
        make(likelihood={"video": spec}).fit(X)


@pytest.mark.parametrize("parameter", ["modality_dropout", "cell_dropout", "dropout"])
@pytest.mark.parametrize("rate", [-0.1, 1.1, NAN, "half", None], ids=repr)
def test_rates_of_one_modality(X, parameter, rate):
    with pytest.raises(
        ValueError, match=rf"{parameter} of modality 'video' must be a number from 0 to 1.*got {rate!r}"
    ):
        make(**{parameter: {"video": rate}}).fit(X)


@pytest.mark.parametrize("parameter", ["cell_dropout", "dropout"])
def test_rates_that_leave_nothing(X, parameter):
    with pytest.raises(ValueError, match=rf"{parameter} of modality 'audio' .* 1 excluded, got 1.0"):
        make(**{parameter: {"audio": 1.0}}).fit(X)
    make(modality_dropout={"audio": 1.0}).fit(X)


@pytest.mark.parametrize("weight", [-1, NAN, "auto", [1]], ids=repr)
def test_weights_of_one_modality(X, weight):
    with pytest.raises(
        ValueError, match="modality_weights of modality 'audio' must be a finite number of at least 0, got"
    ):
        make(modality_weights={"audio": weight}).fit(X)


@pytest.mark.parametrize(
    ("modalities", "message"),
    [
        (
            {"audio": [0, 1]},
            r"3 column\(s\) belong to no modality, the first is 2; add them to `modalities` or drop",
        ),
        (
            {"audio": [0, 1, 2], "video": [2, 3, 4]},
            "Column 2 is in modality 'audio' and again in modality 'video'",
        ),
        ({"audio": [0, 1, 2, 3, 4], "video": []}, "Modality 'video' has no columns; leave it out"),
        ({"audio": [0, 1], "video": [2, 3, 4, 5]}, "Modality 'video' asks for column 5, but X has 5 columns"),
        (
            {"audio": ["pitch"], "video": [1, 2, 3, 4]},
            "Modality 'audio' asks for column 'pitch', which is not in X",
        ),
        ({}, r"modalities must be None, 'prefix', a dict of at least one .*, got \{\}"),
        (
            lambda X: ["audio"],
            r"modalities must be None, 'prefix', a dict .*, or a callable that .*, got \['audio'\]",
        ),
        ("prefix", r"modalities='prefix' needs column names like 'audio__pitch'; 0 has no such prefix"),
    ],
)
def test_columns_of_modalities(X, modalities, message):
    with pytest.raises(ValueError, match=message):
        make(modalities=modalities).fit(X)


# devices


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")], ids=str)
def test_devices_that_are_not_there(X, device):
    with pytest.raises(
        ValueError, match=r"device=.*cuda.* finds no CUDA device .* use device='auto' to fall back"
    ):
        make(device=device).fit(X)


@pytest.mark.parametrize("device", ["nonsense", "", "cpu:x"])
def test_devices_that_do_not_exist(fitted, X, device):
    message = rf"device='{device}' is not a device torch knows; use 'cpu', 'cuda', 'cuda:1' or 'auto'"
    with pytest.raises(ValueError, match=message):
        make(device=device).fit(X)
    with pytest.raises(ValueError, match=message):
        copy.deepcopy(fitted).set_params(device=device).predict(X)


# early stopping


@pytest.mark.parametrize(("n_rows", "fraction"), [(8, 0.1), (4, 0.2)])
def test_too_few_rows_for_early_stopping(n_rows, fraction):
    """Rows without anything do not count: three of the table's are empty or would be."""
    X = make_values()[3 : 3 + n_rows]
    message = (
        rf"early_stopping=True with validation_fraction={fraction} leaves 0 of {n_rows} rows for validation; "
        "use more rows, another fraction or early_stopping=False"
    )
    with pytest.raises(ValueError, match=message):
        make(early_stopping=True, validation_fraction=fraction).fit(X)
    assert make(early_stopping="auto").fit(X).validation_scores_ is None


def test_too_few_rows_with_data_for_early_stopping(X):
    X[12:] = NAN
    X[2] = 0
    with pytest.raises(ValueError, match="leaves 0 of 12 rows for validation"):
        make(early_stopping=True, validation_fraction=0.05).fit(X)


# users' own networks


class Nets:
    """Encoders and decoders that go wrong in one way or another."""

    class Constant(nn.Module):
        def __init__(self, n_in, n_out, value):
            super().__init__()
            self.linear = nn.Linear(n_in, n_out)
            self.value = value

        def forward(self, x):
            return self.linear(x) * self.value

    class Switch(nn.Linear):
        """Works until someone throws the switch."""

        broken = False

        def forward(self, x):
            return super().forward(x) * torch.nan if self.broken else super().forward(x)


def constant(value):
    return lambda n_in, n_out: Nets.Constant(n_in, n_out, value)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize(("parameter", "role"), [("encoders", "encoder"), ("decoders", "decoder")])
def test_networks_that_return_nan_in_fit(X, parameter, role, value):
    message = (
        rf"Training cannot begin: the {role} of modality 'video' returned NaN or infinite numbers.*check your"
    )
    with pytest.raises(FloatingPointError, match=message):
        make(**{parameter: {"video": constant(value)}}).fit(X)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("parameter", "role"), [("encoders", "encoder"), ("decoders", "decoder")])
def test_networks_that_return_nan_afterwards(X, method, parameter, role):
    estimator = make(**{parameter: {"video": Nets.Switch}}).fit(X)
    getattr(estimator.module_, parameter)[1].broken = True
    if role == "decoder" and method in ("transform", "posterior_moments"):
        METHODS[method](estimator, X)  # nothing is decoded
        return
    with pytest.raises(
        ValueError, match=rf"[Tt]he {role} of modality 'video' returned NaN or infinite numbers.*check"
    ):
        METHODS[method](estimator, X)


def test_decoders_that_return_nan_without_data(X):
    estimator = make(decoders={"video": Nets.Switch}).fit(X)
    estimator.module_.decoders[1].broken = True
    for method in ("sample", "inverse_transform"):
        with pytest.raises(
            ValueError, match="The decoder of modality 'video' returned NaN or infinite numbers"
        ):
            WITHOUT_X[method](estimator, X)


WRONG_NETWORKS = {
    "width": (lambda n_in, n_out: nn.Linear(n_in, n_out + 1), ValueError, r"must return shape \(n, \d\)"),
    "input": (
        lambda n_in, n_out: nn.Linear(n_in + 1, n_out),
        ValueError,
        r"failed on an input of shape \(2, \d\)",
    ),
    "rows": (lambda n_in, n_out: nn.Flatten(0), ValueError, "must return shape"),
    "trunk": (nn.Linear(17, 3), ValueError, r"failed on an input of shape \(2, \d\)"),
    "no module": (lambda n_in, n_out: n_in, TypeError, "the factory must return a torch Module, got"),
    "nothing": (3, TypeError, r"must be a torch Module or a callable f\(n_in, n_out\), got 3"),
}


@pytest.mark.parametrize("wrong", WRONG_NETWORKS)
@pytest.mark.parametrize(("parameter", "role"), [("encoders", "encoder"), ("decoders", "decoder")])
def test_networks_of_another_shape(X, wrong, parameter, role):
    network, error, message = WRONG_NETWORKS[wrong]
    with pytest.raises(error, match=rf"(?s)The {role} of modality 'video'.*{message}"):
        make(**{parameter: {"video": network}}).fit(X)


# users' own callables


def narrow_posterior(blocks, experts, present):
    """Loses a component."""
    posterior = product_of_experts(blocks, experts, present)
    return replace(posterior, loc=posterior.loc[..., :1], scale=posterior.scale[..., :1])


def posterior_without_rows(blocks, experts, present):
    posterior = product_of_experts(blocks, experts, present)
    return replace(posterior, loc=posterior.loc[:, :1], scale=posterior.scale[:, :1])


@pytest.mark.parametrize(
    ("fusion", "message"),
    [
        (narrow_posterior, r"\(8, 2\) here, but it is a tensor of shape \(8, 1\)"),
        (posterior_without_rows, r"\(1, 2\)"),
    ],
)
def test_fusion_of_another_shape(X, fusion, message):
    with pytest.raises(ValueError, match=r"fusion must return a posterior whose mean is .*" + message):
        make(fusion=fusion).fit(X)


@dataclass(frozen=True)
class SummedTooFar(IndependentNormal):
    def log_prob(self, values, observed):
        return super().log_prob(values, observed).sum()


@dataclass(frozen=True)
class NotSummed(IndependentNormal):
    @property
    def mean(self):
        return self.loc.mean(-1)


class WrongNormal(Normal):
    wrong = SummedTooFar

    def forward(self, raw):
        return self.wrong(raw, self.scale)


class MeanlessNormal(WrongNormal):
    wrong = NotSummed


@pytest.mark.parametrize(("likelihood", "what"), [(WrongNormal, "log_prob"), (MeanlessNormal, "mean")])
def test_likelihood_of_another_shape(X, likelihood, what):
    with pytest.raises(
        ValueError, match=rf"likelihood of modality 'audio' must return distributions whose {what} is"
    ):
        make(likelihood={"audio": likelihood}).fit(X)


def loss_by_row(network, inputs, targets, beta):
    terms = ELBO()(network, inputs, targets, beta)
    return replace(terms, loss=terms.loss.expand(inputs.n_rows))


def one_reconstruction(network, inputs, targets, beta):
    terms = ELBO()(network, inputs, targets, beta)
    return replace(terms, reconstruction=terms.reconstruction.sum())


def loss_alone(network, inputs, targets, beta):
    return ELBO()(network, inputs, targets, beta).loss


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (loss_by_row, r"whose loss is a tensor of shape \(\) here, but it is a tensor of shape \(8,\)"),
        (one_reconstruction, r"whose reconstruction is a tensor of shape \(2,\) here"),
        (loss_alone, r"objective must return Terms whose loss is .*, but it is None"),
    ],
)
def test_objective_of_another_shape(X, objective, message):
    with pytest.raises(ValueError, match=message):
        make(objective=objective).fit(X)


@pytest.mark.parametrize(
    "value",
    [-1.0, NAN, np.inf, None, "one", np.zeros(2), torch.zeros(1)],
    ids=["-1", "nan", "inf", "None", "str", "array", "tensor"],
)
def test_schedule_of_wrong_values(X, value):
    with pytest.raises(
        ValueError, match=r"(?s)beta must be a finite number of at least 0 at every progress.*returned"
    ):
        make(beta=lambda progress: value).fit(X)


def test_schedule_that_goes_wrong_at_the_end(X):
    with pytest.raises(ValueError, match=r"beta must be .* at progress 1\.0"):
        make(beta=CyclicalSchedule(stop=-1)).fit(X)


# extension points


@pytest.mark.parametrize("n_draws", [0, -2, 2.5, "3"])
@pytest.mark.parametrize("objective", [skmm.ELBO, skmm.IWAE])
def test_draws_of_an_objective(objective, n_draws):
    with pytest.raises(ValueError, match="n_draws of the objective must be a positive whole number, got"):
        MultimodalVAE(2, objective=objective(n_draws), max_iter=1).fit(np.eye(6))


@pytest.mark.parametrize("n_cycles", [0, -2, 1.5, "4"])
def test_cycles_of_a_schedule(n_cycles):
    with pytest.raises(ValueError, match="n_cycles of the schedule must be a positive whole number, got"):
        MultimodalVAE(2, beta=skmm.CyclicalSchedule(n_cycles=n_cycles), max_iter=1).fit(np.eye(6))


@pytest.mark.parametrize(("objective", "beta"), [(skmm.IWAE, 1.0), ("elbo", skmm.LinearSchedule)])
def test_classes_stand_for_their_defaults(objective, beta):
    assert MultimodalVAE(2, objective=objective, beta=beta, max_iter=1).fit(np.eye(6)).n_iter_ == 1


@pytest.mark.parametrize("made", [4, torch.nn.Linear(2, 2)])
def test_likelihood_that_is_none(made):
    with pytest.raises(TypeError, match="must return a Module with n_raw, n_inputs"):
        MultimodalVAE(2, likelihood=lambda n: made, max_iter=1).fit(np.eye(6))


def test_factory_of_another_signature():
    with pytest.raises(TypeError, match=r"The encoder of modality 'x': the factory is called as f\(6, 4\)"):
        MultimodalVAE(2, encoders={"x": lambda: None}, max_iter=1).fit(np.eye(6))


def test_value_too_far_for_a_density():
    X = np.random.RandomState(0).normal(size=(20, 3))
    vae = MultimodalVAE(2, max_iter=1, random_state=0).fit(X)
    X[3, 1] = 1e20
    with pytest.raises(ValueError, match=r"Column 1 holds 1e\+20 in row 3, too far"):
        vae.score(X)


@pytest.mark.parametrize("n", [129, 193])
def test_batch_norm_of_a_user_meets_single_rows(n):
    """A last batch of one row, and a modality that one row of a batch has."""
    X = np.random.RandomState(0).normal(size=(n, 5))
    X[2:, :2] = np.nan
    with isolated_rng(0):
        encoder = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU())
    groups = {"rare": slice(0, 2), "rest": slice(2, 5)}
    vae = MultimodalVAE(
        2, modalities=groups, encoders={"rare": encoder}, batch_size=64, max_iter=3, random_state=0
    )
    assert np.isfinite(vae.fit(X).transform(X)).all()


class PlainNormal(Likelihood):
    """The first thing a user would try: torch's own distribution."""

    def forward(self, raw):
        return torch.distributions.Normal(raw, torch.ones(1))


class WideNormal(Likelihood):
    def forward(self, raw):
        return IndependentNormal(raw, torch.ones(7))


@pytest.mark.parametrize("key", ["video", 2])
@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        (PlainNormal, r"'video' must return a distribution with .*torch.*Normal without quantile and given"),
        (WideNormal, r"'video' must return distributions whose mean, stddev and .*but they failed: .*size"),
    ],
)
def test_likelihoods_whose_distributions_do_not_fit(X, likelihood, message, key):
    with pytest.raises(ValueError, match=message):
        make(likelihood={key: likelihood}).fit(X)


@pytest.mark.parametrize(
    ("fusion", "message"),
    [
        (lambda blocks, experts, present: 1, "must return a posterior with mean, .* it returned a .*int"),
        (lambda blocks, experts, present: experts.natural[0], r"it returned a tensor of shape \(8, 4\)"),
    ],
)
def test_fusion_that_returns_no_posterior(X, fusion, message):
    with pytest.raises(ValueError, match=message):
        make(fusion=fusion).fit(X)
