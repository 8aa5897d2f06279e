"""Likelihoods: densities, moments, quantiles and draws are those of SciPy's distributions."""

import numpy as np
import pytest
import torch
from scipy import special, stats

from skmm._torch import isolated_rng
from skmm.probability.likelihoods import LIKELIHOODS, Columnwise, build_likelihood, is_standardised

N_FEATURES = 4

# SciPy's distribution of each feature, from the likelihood's learned parameters and the decoder's output
REFERENCES = {
    "normal": lambda likelihood, raw: stats.norm(raw, likelihood.scale.detach().numpy()),
    "bernoulli": lambda likelihood, raw: stats.bernoulli(special.expit(raw)),
}

every_likelihood = pytest.mark.parametrize("name", LIKELIHOODS)


@pytest.fixture(autouse=True)
def seeded():
    with isolated_rng(0):
        yield


def make(name, n_features=N_FEATURES):
    """A likelihood in double precision, with learned parameters that differ between features."""
    likelihood = LIKELIHOODS[name](n_features).double()
    with torch.no_grad():
        for parameter in likelihood.parameters():
            parameter.normal_(std=0.5)
    return likelihood


def random_raw(likelihood, *leading):
    return torch.randn(*leading, likelihood.n_raw, dtype=torch.float64)


def log_density(reference, values):
    log_density = reference.logpdf if hasattr(reference, "logpdf") else reference.logpmf
    return log_density(values)


def some_values(reference):
    return torch.tensor(reference.rvs(random_state=np.random.RandomState(0)), dtype=torch.float64)


@every_likelihood
class TestAgainstScipy:
    def test_log_prob(self, name):
        likelihood = make(name)
        raw = random_raw(likelihood, 5, 3)
        reference = REFERENCES[name](likelihood, raw.numpy())
        values = some_values(reference)
        observed = torch.rand(5, 3, N_FEATURES) < 0.6
        observed[0, 0] = False
        expected = np.where(observed, log_density(reference, values.numpy()), 0.0).sum(axis=-1)

        actual = likelihood(raw).log_prob(values, observed)

        np.testing.assert_allclose(actual.detach(), expected, rtol=1e-10)
        assert actual[0, 0] == 0

    def test_moments(self, name):
        likelihood = make(name)
        raw = random_raw(likelihood, 5, 3)
        reference, distribution = REFERENCES[name](likelihood, raw.numpy()), likelihood(raw)
        np.testing.assert_allclose(distribution.mean.detach(), reference.mean(), rtol=1e-10)
        np.testing.assert_allclose(distribution.stddev.detach(), np.broadcast_to(reference.std(), (5, 3, 4)))

    @pytest.mark.parametrize("q", [0.01, 0.25, 0.5, 0.8, 0.99])
    def test_quantile(self, name, q):
        likelihood = make(name)
        raw = random_raw(likelihood, 5, 3)
        expected = REFERENCES[name](likelihood, raw.numpy()).ppf(q)
        for shape in ((), (1,), (N_FEATURES,), (5, 1, 1)):
            actual = likelihood(raw).quantile(torch.full(shape, q, dtype=torch.float64))
            np.testing.assert_allclose(actual.detach(), expected, rtol=1e-9)

    def test_draws_follow_the_distribution_function(self, name):
        likelihood = make(name)
        raw, n = random_raw(likelihood), 20_000
        reference = REFERENCES[name](likelihood, raw.numpy())
        draws = likelihood(raw.expand(n, -1)).sample().detach().numpy()
        for q in (0.1, 0.5, 0.9):
            point = reference.ppf(q)
            share = reference.cdf(point)
            standard_error = np.sqrt(share * (1 - share) / n)
            np.testing.assert_array_less(
                np.abs((draws <= point).mean(axis=0) - share), 4 * standard_error + 1e-9
            )
        np.testing.assert_allclose(draws.mean(axis=0), reference.mean(), atol=0.05)
        np.testing.assert_allclose(draws.std(axis=0), np.broadcast_to(reference.std(), 4), rtol=0.03)
        assert np.abs(np.corrcoef(draws.T) - np.eye(4)).max() < 0.03


@every_likelihood
@pytest.mark.parametrize("garbage", [-1e30, 3e38, np.inf, np.nan])
def test_what_stands_under_the_mask_has_no_influence(name, garbage):
    """Neither on the density, nor on any gradient, nor on what the encoder sees."""
    likelihood = make(name).float()
    raw = random_raw(likelihood, 6).float()
    values = some_values(REFERENCES[name](likelihood, raw.numpy())).float()
    observed = torch.rand(6, N_FEATURES) < 0.5
    spoiled = torch.where(observed, values, garbage)

    def log_prob_and_gradients(values):
        leaf = raw.clone().requires_grad_()
        log_prob = likelihood(leaf).log_prob(values, observed)
        parameters = [leaf, *likelihood.parameters()]
        return log_prob.detach(), *torch.autograd.grad(log_prob.sum(), parameters)

    for actual, expected in zip(log_prob_and_gradients(spoiled), log_prob_and_gradients(values), strict=True):
        assert expected.isfinite().all()
        torch.testing.assert_close(actual, expected, rtol=0, atol=0)
    raw_gradient = log_prob_and_gradients(spoiled)[1]
    assert (raw_gradient[~observed.repeat(1, likelihood.n_raw // N_FEATURES)] == 0).all()
    features = likelihood.features(spoiled, observed)
    torch.testing.assert_close(features, likelihood.features(values, observed), rtol=0, atol=0)
    assert (features[~observed] == 0).all()


@every_likelihood
def test_features_do_not_inform_each_other(name):
    """Independent likelihoods: conditioning within the modality changes nothing."""
    likelihood = make(name)
    raw = random_raw(likelihood, 3)
    values = some_values(REFERENCES[name](likelihood, raw.numpy()))
    conditioned = likelihood(raw).given(values, torch.ones(3, N_FEATURES, dtype=torch.bool))
    torch.testing.assert_close(conditioned.mean, likelihood(raw).mean)
    torch.testing.assert_close(conditioned.stddev, likelihood(raw).stddev)


def test_normal_noise_does_not_shrink_to_nothing():
    """A feature that can be copied must not drive the density to infinity."""
    likelihood = LIKELIHOODS["normal"](1)
    with torch.no_grad():
        likelihood.log_scale.fill_(-100.0)
    assert likelihood.scale.item() > 1e-4
    assert likelihood(torch.zeros(1, 1)).log_prob(torch.zeros(1, 1), torch.tensor([[True]])).item() < 10


def test_bernoulli_is_exact_where_probabilities_saturate():
    likelihood = LIKELIHOODS["bernoulli"](2)
    logits = torch.tensor([[200.0, -200.0]])
    observed = torch.tensor([[True, True]])
    distribution = likelihood(logits)
    assert distribution.log_prob(torch.tensor([[1.0, 0.0]]), observed).item() == 0.0
    assert distribution.log_prob(torch.tensor([[0.0, 1.0]]), observed).item() == -400.0
    torch.testing.assert_close(distribution.stddev, torch.zeros(1, 2))


def test_bernoulli_features_tell_zero_from_missing():
    values, observed = torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([[True, True, False]])
    assert LIKELIHOODS["bernoulli"](3).features(values, observed).tolist() == [[-1.0, 1.0, 0.0]]


# support


def test_normal_supports_every_number():
    observed = torch.tensor([[True, True]])
    LIKELIHOODS["normal"](2).check(torch.tensor([[-1e30, 0.0]]), observed, "m", ["a", "b"])


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0])
def test_bernoulli_names_modality_and_column_outside_its_support(value):
    values = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, value]])
    observed = torch.ones(2, 3, dtype=torch.bool)
    likelihood = LIKELIHOODS["bernoulli"](3)
    with pytest.raises(
        ValueError, match=rf"Modality 'flags' .* takes 0 and 1 only; column 'c' holds {value:.6g}\."
    ):
        likelihood.check(values, observed, "flags", ["a", "b", "c"])
    observed[1, 2] = False
    likelihood.check(values, observed, "flags", ["a", "b", "c"])


# several likelihoods in one modality

KINDS = ["binary", "continuous", "continuous", "binary", "continuous"]
BINARY, CONTINUOUS = [0, 3], [1, 2, 4]


@pytest.fixture
def mixed():
    """A likelihood of mixed columns, and its two parts applied to the same decoder's output."""
    likelihood = build_likelihood("auto", KINDS).double()
    with torch.no_grad():
        for parameter in likelihood.parameters():
            parameter.normal_(std=0.5)
    raw = torch.randn(7, 5, dtype=torch.float64)
    return likelihood, raw, likelihood.parts[0](raw[:, :2]), likelihood.parts[1](raw[:, 2:])


def interleave(binary, continuous):
    out = torch.empty(*binary.shape[:-1], 5, dtype=binary.dtype)
    out[..., BINARY], out[..., CONTINUOUS] = binary, continuous
    return out


class TestColumnwise:
    def test_automatic_parts(self, mixed):
        likelihood = mixed[0]
        assert isinstance(likelihood, Columnwise)
        assert [type(part) for part in likelihood.parts] == [LIKELIHOODS["bernoulli"], LIKELIHOODS["normal"]]
        assert [columns.tolist() for columns in likelihood.columns] == [BINARY, CONTINUOUS]
        assert likelihood.n_raw == 5

    def test_moments(self, mixed):
        likelihood, raw, binary, continuous = mixed
        torch.testing.assert_close(likelihood(raw).mean, interleave(binary.mean, continuous.mean))
        torch.testing.assert_close(likelihood(raw).stddev, interleave(binary.stddev, continuous.stddev))

    def test_log_prob(self, mixed):
        likelihood, raw, binary, continuous = mixed
        values = torch.randn(7, 5, dtype=torch.float64)
        values[:, BINARY] = (values[:, BINARY] > 0).double()
        observed = torch.rand(7, 5) < 0.6
        expected = binary.log_prob(values[:, BINARY], observed[:, BINARY])
        expected = expected + continuous.log_prob(values[:, CONTINUOUS], observed[:, CONTINUOUS])
        torch.testing.assert_close(likelihood(raw).log_prob(values, observed), expected)
        torch.testing.assert_close(
            likelihood(raw).given(values, observed).mean, likelihood(raw).mean
        )  # nothing is learned from other columns

    @pytest.mark.parametrize("shape", [(), (1,), (5,), (7, 1), (7, 5)])
    def test_quantile(self, mixed, shape):
        likelihood, raw, binary, continuous = mixed
        q = torch.rand(shape, dtype=torch.float64)
        full = q.expand(7, 5)
        expected = interleave(binary.quantile(full[:, BINARY]), continuous.quantile(full[:, CONTINUOUS]))
        torch.testing.assert_close(likelihood(raw).quantile(q), expected)

    def test_sample(self, mixed):
        likelihood, raw, *_ = mixed
        draws = likelihood(raw.expand(10_000, 7, 5)).sample()
        assert set(draws[..., BINARY].unique().tolist()) == {0.0, 1.0}
        torch.testing.assert_close(draws.mean(0), likelihood(raw).mean, rtol=0, atol=0.1)
        torch.testing.assert_close(draws.std(0), likelihood(raw).stddev, rtol=0.06, atol=0.02)

    def test_features(self, mixed):
        likelihood = mixed[0]
        values, observed = torch.ones(1, 5), torch.tensor([[True, True, True, False, False]])
        features = likelihood.features(3 * values, observed)
        expected = torch.where(torch.isin(torch.arange(5), torch.tensor(BINARY)), 5.0, 3.0)  # 2 * 3 - 1
        assert features[0].tolist() == (expected * observed[0]).tolist()  # in the order of the table

    def test_support_errors_name_the_users_column(self, mixed):
        values, observed = torch.zeros(2, 5), torch.ones(2, 5, dtype=torch.bool)
        values[0, 1] = 0.5  # a continuous column may hold it
        mixed[0].check(values, observed, "m", list("abcde"))
        values[1, 3] = 0.5
        with pytest.raises(ValueError, match=r"Modality 'm' .* column 'd' holds 0\.5"):
            mixed[0].check(values, observed, "m", list("abcde"))

    def test_moves_with_its_module(self, mixed):
        """The columns are buffers, but not weights: they come from the layout."""
        likelihood = mixed[0]
        assert len(list(likelihood.buffers())) == 2
        assert not [key for key in likelihood.state_dict() if "columns" in key]


# choosing


class Scaled(LIKELIHOODS["normal"]):
    standardised = False


def test_building():
    kinds = ["continuous", "continuous"]
    assert type(build_likelihood("auto", kinds)) is LIKELIHOODS["normal"]
    assert type(build_likelihood("auto", ["binary"])) is LIKELIHOODS["bernoulli"]
    assert type(build_likelihood("bernoulli", kinds)) is LIKELIHOODS["bernoulli"]
    assert type(build_likelihood("normal", KINDS)) is LIKELIHOODS["normal"]
    assert type(build_likelihood(Scaled, kinds)) is Scaled
    assert build_likelihood(Scaled, kinds).n_raw == 2


@pytest.mark.parametrize(
    ("spec", "kind", "expected"),
    [
        ("auto", "continuous", True),
        ("auto", "binary", False),
        ("normal", "binary", True),
        ("bernoulli", "continuous", False),
        (Scaled, "continuous", False),
        (lambda n_features: LIKELIHOODS["normal"](n_features), "continuous", True),
    ],
)
def test_which_columns_are_standardised(spec, kind, expected):
    assert is_standardised(spec, kind) is expected
