"""What every likelihood keeps to: masks, features, the start at the marginal, extremes, copies."""

import copy
import pickle

import numpy as np
import pytest
import torch

from skmm.probability.likelihoods.contract import Likelihood
from skmm.probability.likelihoods.counts import MOST
from skmm.probability.likelihoods.registry import LIKELIHOODS

N_FEATURES = 4
N_CATEGORIES = [3, 2, 5, 2]
KINDS = {"continuous", "binary", "category", "ordered"}

every_likelihood = pytest.mark.parametrize("name", LIKELIHOODS)


def log_prob_and_gradients(likelihood, raw, values, observed):
    leaf = raw.clone().requires_grad_()
    log_prob = likelihood(leaf).log_prob(values, observed)
    return log_prob.detach(), *torch.autograd.grad(log_prob.sum(), [leaf, *likelihood.parameters()])


@every_likelihood
def test_declarations(make, name):
    likelihood, maker = make(name), LIKELIHOODS[name]
    assert maker.name == name
    assert maker.kinds
    assert maker.kinds <= KINDS
    assert maker.scaling in ("standard", "scale", None)
    n_categories = sum(N_CATEGORIES)
    assert likelihood.n_statistics == (n_categories if maker.takes_categories else N_FEATURES)
    assert isinstance(likelihood, Likelihood)


@every_likelihood
@pytest.mark.parametrize("garbage", [-1e30, 3e38, np.inf, np.nan])
def test_what_stands_under_the_mask_has_no_influence(make, rows, name, garbage):
    """Neither on the start, nor on the density, nor on any gradient, nor on what the encoder sees."""
    values = rows(name, N_FEATURES, N_CATEGORIES, 60).float()
    observed = torch.rand(60, N_FEATURES) < 0.5
    spoiled = torch.where(observed, values, garbage)
    likelihood = make(name).float()
    other = copy.deepcopy(likelihood)
    with torch.no_grad():
        likelihood.start(values, observed)
        other.start(spoiled, observed)
    for key, value in likelihood.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=0, atol=0)

    raw = torch.randn(60, likelihood.n_raw)
    expected = log_prob_and_gradients(likelihood, raw, values, observed)
    for one, two in zip(log_prob_and_gradients(likelihood, raw, spoiled, observed), expected, strict=True):
        assert two.isfinite().all()
        torch.testing.assert_close(one, two, rtol=0, atol=0)
    if name not in ("low_rank_normal", "categorical"):
        assert (expected[1][~observed.repeat(1, likelihood.n_raw // N_FEATURES)] == 0).all()

    features = likelihood.features(spoiled, observed)
    torch.testing.assert_close(features, likelihood.features(values, observed), rtol=0, atol=0)
    assert features.dtype == torch.float32
    assert features.shape == (60, likelihood.n_inputs)
    assert features.isfinite().all()
    nothing = likelihood.features(spoiled, torch.zeros_like(observed))
    assert (nothing == 0).all()
    given = likelihood(raw).given(spoiled, observed)
    expected = likelihood(raw).given(values, observed)
    torch.testing.assert_close(given.mean, expected.mean, rtol=0, atol=0)


@every_likelihood
def test_gradients_are_those_of_the_density(make, rows, name):
    likelihood = make(name)
    values = rows(name, N_FEATURES, N_CATEGORIES, 3)
    observed = torch.tensor([[True] * 4, [True, False, True, False], [False] * 4])
    raw = (0.5 * torch.randn(2, 3, likelihood.n_raw, dtype=torch.float64)).requires_grad_()
    parameters = dict(likelihood.named_parameters())

    def log_prob(raw, *tensors):
        state = dict(zip(parameters, tensors, strict=True))
        return torch.func.functional_call(likelihood, state, raw).log_prob(values, observed)

    assert torch.autograd.gradcheck(log_prob, (raw, *parameters.values()))


@every_likelihood
def test_encoders_see_standardised_values(make, rows, name):
    likelihood = make(name)
    values = rows(name, N_FEATURES, N_CATEGORIES, 2000)
    with torch.no_grad():
        likelihood.start(values, torch.ones_like(values, dtype=torch.bool))
    features = likelihood.features(values, torch.ones_like(values, dtype=torch.bool))
    if name in ("bernoulli", "categorical"):
        assert set(features.unique().tolist()) == ({-1.0, 1.0} if name == "bernoulli" else {0.0, 1.0})
        return
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(features.std(0), 1, rtol=1e-2)


# the start

# some counts have surplus zeros and spread more than Poisson's: not every distribution can follow that
START_ERRORS = {"poisson": 0.3, "zero_inflated_poisson": 0.2, "negative_binomial": 0.15}


@every_likelihood
def test_the_start_is_about_the_marginal_distribution(make, rows, name):
    """At raw = 0: about as many draws as rows lie below their quantiles."""
    likelihood = make(name, perturb=0.0)
    values = rows(name, N_FEATURES, N_CATEGORIES, 4000)
    observed = torch.rand(values.shape) < 0.7
    with torch.no_grad():
        likelihood.start(values, observed)
    draws = likelihood(torch.zeros(20_000, likelihood.n_raw, dtype=torch.float64)).sample().detach()
    for j in range(N_FEATURES):
        column = values[observed[:, j], j]
        points = torch.quantile(column, torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9], dtype=torch.float64))
        expected = (column[:, None] <= points).double().mean(0)
        actual = (draws[:, [j]] <= points).double().mean(0)
        np.testing.assert_allclose(actual, expected, atol=START_ERRORS.get(name, 0.08))


ODD_COLUMNS = {
    "nothing observed": ([1.0, 2.0], [False, False]),
    "a single value": ([1.0, 2.0], [True, False]),
    "one value only": ([1.0, 1.0], [True, True]),
    "zeros only": ([0.0, 0.0], [True, True]),
}


@pytest.mark.parametrize("odd", ODD_COLUMNS)
@every_likelihood
def test_the_start_survives_odd_columns(name, odd):
    maker = LIKELIHOODS[name]
    if odd == "zeros only" and maker.scaling == "scale":
        odd = "one value only"
    likelihood = maker([4] if maker.takes_categories else 1)
    values, observed = (torch.tensor(column)[:, None] for column in ODD_COLUMNS[odd])
    if "bernoulli" in name:
        values = values.clamp_max(1.0)
    with torch.no_grad():
        likelihood.start(values, observed)
    assert all(value.isfinite().all() for value in likelihood.state_dict().values())
    distribution = likelihood(torch.zeros(2, likelihood.n_raw))
    seen = torch.ones_like(observed)
    assert distribution.log_prob(values, seen).isfinite().all()
    assert distribution.mean.isfinite().all()
    assert distribution.sample().isfinite().all()
    assert likelihood.features(values, seen).isfinite().all()


# extremes

EXTREME_VALUES = {"standard": [-1e15, 0.0, 1e15], "scale": [1e-30, 1.0, 1e15], None: [0.0, 1.0, 1e6]}


@pytest.mark.parametrize("raw", [-1e4, -50.0, 0.0, 50.0, 1e4])
@every_likelihood
def test_extremes_are_finite(make, name, raw):
    """Density, gradients, moments, draws, quantiles: decoders extrapolate, and values lie far out."""
    likelihood = make(name).float()
    extremes = EXTREME_VALUES[likelihood.scaling]
    if likelihood.takes_categories or "bernoulli" in name:
        extremes = [0.0, 1.0]
    values = torch.tensor(extremes)[:, None].repeat(1, N_FEATURES)
    observed = torch.ones_like(values, dtype=torch.bool)
    raw = torch.full((len(values), likelihood.n_raw), raw)
    assert all(part.isfinite().all() for part in log_prob_and_gradients(likelihood, raw, values, observed))
    distribution = likelihood(raw).given(values, observed)
    assert distribution.mean.square().isfinite().all()
    assert distribution.stddev.square().isfinite().all()
    for q in (1e-6, 0.5, 1 - 1e-6):
        assert distribution.quantile(torch.tensor(q)).isfinite().all()
    draws = distribution.sample()
    assert draws.isfinite().all()
    if likelihood.scaling != "standard":
        largest = MOST if likelihood.scaling is None else torch.inf  # what a count may be; draws may be more
        likelihood.check(draws.double().clamp_max(largest), observed, "m", list("abcd"))


@pytest.mark.parametrize("value", [-100.0, 100.0])
@every_likelihood
def test_learned_parameters_may_run_off(make, rows, name, value):
    likelihood = make(name).float()
    with torch.no_grad():
        for key, parameter in likelihood.named_parameters():
            if "scale" not in key and "gaps" not in key:
                parameter.fill_(value)
            elif value < 0:  # the data hold a scale down: values of exp(100) of it are never seen
                parameter.fill_(value)
    values = rows(name, N_FEATURES, N_CATEGORIES, 50).float()
    observed = torch.rand(values.shape) < 0.8
    raw = torch.randn(50, likelihood.n_raw)
    assert all(part.isfinite().all() for part in log_prob_and_gradients(likelihood, raw, values, observed))
    assert likelihood(raw).stddev.isfinite().all()


@pytest.mark.parametrize("name", sorted(name for name in LIKELIHOODS if LIKELIHOODS[name].scaling))
def test_noise_does_not_shrink_to_nothing(make, name):
    """A feature that can be copied must not drive the density to infinity."""
    likelihood = make(name, n_features=1)
    with torch.no_grad():
        for key, parameter in likelihood.named_parameters():
            parameter.fill_(100.0 if key == "log_concentration" else -100.0 if "log" in key else 0.0)
    raw = torch.full((1, likelihood.n_raw), -100.0, dtype=torch.float64)
    raw[:, 0] = 0.0
    distribution = likelihood(raw)
    assert (
        distribution.stddev >= 0.0099 * (likelihood.scaling == "standard" or distribution.mean.abs())
    ).all() or (name == "log_normal" and (likelihood.scale >= 0.0099 * likelihood.spread).all())


@every_likelihood
def test_a_single_feature(make, rows, name):
    likelihood = make(name, n_features=1)
    values, observed = rows(name, 1, N_CATEGORIES[:1], 7), torch.ones(7, 1, dtype=torch.bool)
    distribution = likelihood(torch.randn(3, 7, likelihood.n_raw, dtype=torch.float64))
    assert distribution.log_prob(values, observed).shape == (3, 7)
    assert distribution.sample().shape == distribution.quantile(torch.tensor(0.5)).shape == (3, 7, 1)
    value, stddev = likelihood.summary(distribution.mean, distribution.stddev)
    assert value.shape == stddev.shape == (3, 7, 1)


# copies


@every_likelihood
def test_copies_keep_what_start_has_set(make, rows, name):
    started = make(name).float()
    fresh = LIKELIHOODS[name](N_CATEGORIES if started.takes_categories else N_FEATURES)
    fresh.load_state_dict(started.state_dict())
    values = rows(name, N_FEATURES, N_CATEGORIES, 20).float()
    observed = torch.rand(values.shape) < 0.8
    raw = torch.randn(20, started.n_raw)
    expected = started(raw).log_prob(values, observed)
    for copied in (fresh, copy.deepcopy(started), pickle.loads(pickle.dumps(started))):
        torch.testing.assert_close(copied(raw).log_prob(values, observed), expected, rtol=0, atol=0)
        torch.testing.assert_close(
            copied.features(values, observed), started.features(values, observed), rtol=0, atol=0
        )


@every_likelihood
def test_means_are_their_own_summary_unless_they_are_of_indicators(make, name):
    likelihood = make(name)
    distribution = likelihood(torch.randn(5, likelihood.n_raw, dtype=torch.float64))
    moments = distribution.mean, distribution.stddev
    value, stddev = likelihood.summary(*moments)
    assert value.shape == stddev.shape == (5, N_FEATURES)
    if not likelihood.takes_categories:
        assert (value, stddev) == moments


# support

OUTSIDE = {
    "bernoulli": {0.5: "takes 0 and 1 only", 2.0: "Threshold", -1.0: "takes 0 and 1 only"},
    "continuous_bernoulli": {-0.1: "from 0 to 1 only", 255.0: "Divide by the largest", 1.01: "from 0 to 1"},
    "log_normal": {0.0: "above 0", -1.0: "keep a column of flags"},
    "gamma": {0.0: "above 0", -1.0: "keep a column of flags"},
    "poisson": {-1.0: "at least 0 only", 0.5: "Round the values"},
    "negative_binomial": {-1.0: "at least 0 only", 0.5: "Round the values"},
    "zero_inflated_poisson": {-1.0: "at least 0 only", 0.5: "Round the values"},
    "zero_inflated_negative_binomial": {-1.0: "at least 0 only", 0.5: "Round the values"},
    "categorical": {-1.0: "from 0 to 4", 5.0: "Put NaN", 0.5: "codes of categories"},
    "ordinal": {-1.0: "from 0 to 4", 5.0: "Put NaN", 0.5: "codes of categories"},
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [(name, value, message) for name, cases in OUTSIDE.items() for value, message in cases.items()],
)
def test_values_outside_the_support(make, name, value, message):
    likelihood = make(name)
    values = torch.ones(3, N_FEATURES, dtype=torch.float64)
    observed = torch.ones(3, N_FEATURES, dtype=torch.bool)
    values[0, 0], observed[0, 0] = torch.nan, False
    likelihood.check(values, observed, "m", list("abcd"))
    values[1, 2] = value
    with pytest.raises(
        ValueError, match=rf"Modality 'm' has .*'{name}'.*column 'c' holds {value:.6g}\. "
    ) as error:
        likelihood.check(values, observed, "m", list("abcd"))
    assert message in str(error.value)
    observed[1, 2] = False
    likelihood.check(values, observed, "m", list("abcd"))


@pytest.mark.parametrize("name", sorted(LIKELIHOODS.keys() - OUTSIDE.keys()))
def test_others_support_every_number(make, name):
    values = torch.tensor([[-1e30, 0.0, 0.5, 1e30]])
    make(name).check(values, torch.ones(1, 4, dtype=torch.bool), "m", list("abcd"))
