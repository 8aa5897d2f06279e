"""Likelihoods: densities, moments, quantiles and draws are those of SciPy's distributions."""

import numpy as np
import pytest
import torch
from scipy import special, stats

from skmm.probability.likelihoods.registry import LIKELIHOODS

N_FEATURES = 4
CODES = {"categorical", "ordinal"}


class Inflated:
    """A distribution of counts with surplus zeros."""

    def __init__(self, base, gate):
        self.base, self.gate = base, gate

    def logpmf(self, values):
        pmf = self.gate * (values == 0) + (1 - self.gate) * self.base.pmf(values)
        return np.log(pmf)

    def mean(self):
        return (1 - self.gate) * self.base.mean()

    def std(self):
        second = (1 - self.gate) * (self.base.var() + self.base.mean() ** 2)
        return np.sqrt(second - self.mean() ** 2)

    def cdf(self, values):
        return self.gate * (values >= 0) + (1 - self.gate) * self.base.cdf(values)

    def ppf(self, q):
        rest = np.clip((q - self.gate) / (1 - self.gate), 0, 1)
        return np.where(rest > 0, np.maximum(self.base.ppf(rest), 0), 0)

    def rvs(self, random_state):
        kept = random_state.uniform(size=self.gate.shape) >= self.gate
        return self.base.rvs(random_state=random_state) * kept


class Codes:
    """Columns of codes, each with probabilities (..., K)."""

    def __init__(self, pmfs):
        self.pmfs = pmfs

    def logpmf(self, values):
        columns = [
            np.log(np.take_along_axis(pmf, values[..., [j]].astype(int), axis=-1))
            for j, pmf in enumerate(self.pmfs)
        ]
        return np.concatenate(columns, axis=-1)

    def mean(self):
        return np.concatenate(self.pmfs, axis=-1)

    def std(self):
        return np.sqrt(self.mean() * (1 - self.mean()))

    def cdf(self, values):
        return np.stack(
            [
                np.where(np.arange(pmf.shape[-1]) <= values[..., [j]], pmf, 0).sum(-1)
                for j, pmf in enumerate(self.pmfs)
            ],
            axis=-1,
        )

    def ppf(self, q):
        return np.stack([(q > pmf.cumsum(-1)[..., :-1]).sum(-1) for pmf in self.pmfs], axis=-1)

    def rvs(self, random_state):
        return self.ppf(random_state.uniform())


def array(tensor):
    return tensor.detach().numpy()


def halves(raw):
    return np.split(raw, 2, axis=-1)


def softmax_of_columns(likelihood, raw):
    cuts = np.cumsum(likelihood.n_categories)[:-1]
    return Codes(
        [special.softmax(part, -1) for part in np.split(raw + array(likelihood.offset), cuts, axis=-1)]
    )


def cut_logistic(likelihood, raw):
    pmfs = []
    for j, size in enumerate(likelihood.n_categories):
        gaps = array(likelihood.gaps)[j, : max(0, size - 2)]
        cutpoints = array(likelihood.first)[j] + np.concatenate([[0.0], np.cumsum(gaps)])[: size - 1]
        below = special.expit(cutpoints - raw[..., [j]])
        ends = np.zeros((*raw.shape[:-1], 1))
        pmfs.append(np.diff(np.concatenate([ends, below, ends + 1], axis=-1), axis=-1))
    return Codes(pmfs)


def poisson(likelihood, raw):
    return stats.poisson(np.exp(raw + array(likelihood.offset)))


def negative_binomial(likelihood, raw):
    r = array(likelihood.total_count)
    return stats.nbinom(r, r / (r + np.exp(raw + array(likelihood.offset))))


def inflated(base):
    def reference(likelihood, raw):
        raw, gate = halves(raw)
        return Inflated(base(likelihood, raw), special.expit(gate + array(likelihood.gate_offset)))

    return reference


def gamma(likelihood, raw):
    a = array(likelihood.concentration)
    return stats.gamma(a, scale=np.exp(raw + array(likelihood.offset)) / a)


class Tilted:
    """Density on (0, 1) that is an exponential function: SciPy's, turned round where it rises."""

    def __init__(self, logits):
        size = np.abs(logits)
        self.rises, self.falling = logits > 0, stats.truncexpon(size, scale=1 / size)

    def rvs(self, random_state):
        return self.ppf(random_state.uniform(size=self.rises.shape))

    def logpdf(self, values):
        return self.falling.logpdf(np.where(self.rises, 1 - values, values))

    def cdf(self, values):
        below = self.falling.cdf(np.where(self.rises, 1 - values, values))
        return np.where(self.rises, 1 - below, below)

    def ppf(self, q):
        found = self.falling.ppf(np.where(self.rises, 1 - q, q))
        return np.where(self.rises, 1 - found, found)

    def mean(self):
        return np.where(self.rises, 1 - self.falling.mean(), self.falling.mean())

    def std(self):
        return self.falling.std()


def low_rank(likelihood, raw):
    """The distribution of each feature on its own."""
    return stats.norm(raw, np.sqrt(array(likelihood.scale) ** 2 + (array(likelihood.factor) ** 2).sum(-1)))


# SciPy's distribution of each feature, from the likelihood's learned parameters and the decoder's output
REFERENCES = {
    "normal": lambda likelihood, raw: stats.norm(raw, array(likelihood.scale)),
    "heteroscedastic_normal": lambda likelihood, raw: stats.norm(
        halves(raw)[0], 0.01 + np.exp(5 * np.tanh(halves(raw)[1] / 5))
    ),
    "low_rank_normal": low_rank,
    "student_t": lambda likelihood, raw: stats.t(
        array(likelihood.df), raw + array(likelihood.offset), array(likelihood.scale)
    ),
    "laplace": lambda likelihood, raw: stats.laplace(raw + array(likelihood.offset), array(likelihood.scale)),
    "log_normal": lambda likelihood, raw: stats.lognorm(
        array(likelihood.scale), scale=np.exp(array(likelihood.centre) + array(likelihood.spread) * raw)
    ),
    "gamma": gamma,
    "continuous_bernoulli": lambda likelihood, raw: Tilted(raw + array(likelihood.offset)),
    "poisson": poisson,
    "negative_binomial": negative_binomial,
    "zero_inflated_poisson": inflated(poisson),
    "zero_inflated_negative_binomial": inflated(negative_binomial),
    "bernoulli": lambda likelihood, raw: stats.bernoulli(special.expit(raw + array(likelihood.offset))),
    "categorical": softmax_of_columns,
    "ordinal": cut_logistic,
}

every_likelihood = pytest.mark.parametrize("name", LIKELIHOODS)
independent = pytest.mark.parametrize("name", sorted(LIKELIHOODS.keys() - {"low_rank_normal"}))


def random_raw(likelihood, *leading):
    return torch.randn(*leading, likelihood.n_raw, dtype=torch.float64)


def log_density(reference, values):
    return (reference.logpdf if hasattr(reference, "logpdf") else reference.logpmf)(values)


def some_values(reference):
    return torch.tensor(reference.rvs(random_state=np.random.RandomState(0)), dtype=torch.float64)


@independent
def test_log_prob(make, name):
    likelihood = make(name)
    raw = random_raw(likelihood, 5, 3)
    reference = REFERENCES[name](likelihood, raw.numpy())
    values = some_values(reference)
    observed = torch.rand(5, 3, N_FEATURES) < 0.6
    observed[0, 0] = False
    expected = np.where(observed, log_density(reference, values.numpy()), 0.0).sum(axis=-1)

    actual = likelihood(raw).log_prob(values, observed)

    np.testing.assert_allclose(actual.detach(), expected, rtol=1e-9)
    assert actual[0, 0] == 0


@every_likelihood
def test_log_prob_of_several_draws_at_the_same_rows(make, name):
    likelihood = make(name)
    raw = random_raw(likelihood, 5, 3)
    values = some_values(REFERENCES[name](likelihood, raw[0].numpy()))
    observed = torch.rand(3, N_FEATURES) < 0.6
    together = likelihood(raw).log_prob(values, observed)
    for k in range(5):
        torch.testing.assert_close(together[k], likelihood(raw[k]).log_prob(values, observed))


@every_likelihood
def test_moments(make, name):
    likelihood = make(name)
    raw = random_raw(likelihood, 5, 3)
    reference, distribution = REFERENCES[name](likelihood, raw.numpy()), likelihood(raw)
    shape = (5, 3, likelihood.n_statistics)
    np.testing.assert_allclose(distribution.mean.detach(), reference.mean(), rtol=1e-9)
    np.testing.assert_allclose(
        distribution.stddev.detach(), np.broadcast_to(reference.std(), shape), rtol=1e-7
    )
    assert distribution.mean.shape == distribution.stddev.shape == shape


@pytest.mark.parametrize("q", [0.01, 0.25, 0.5, 0.8, 0.99])
@every_likelihood
def test_quantile(make, name, q):
    likelihood = make(name)
    raw = random_raw(likelihood, 5, 3)
    expected = REFERENCES[name](likelihood, raw.numpy()).ppf(q)
    for shape in ((), (1,), (N_FEATURES,), (5, 1, 1)):
        actual = likelihood(raw).quantile(torch.full(shape, q, dtype=torch.float64))
        np.testing.assert_allclose(actual.detach(), expected, rtol=1e-9)


@every_likelihood
def test_draws_follow_the_distribution_function(make, name):
    likelihood = make(name)
    raw, n = random_raw(likelihood), 20_000
    reference = REFERENCES[name](likelihood, raw.numpy())
    draws = likelihood(raw.expand(n, -1)).sample().detach().numpy()
    for q in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98):
        point = reference.ppf(q)
        share = reference.cdf(point)
        standard_error = np.sqrt(share * (1 - share) / n)
        np.testing.assert_array_less(np.abs((draws <= point).mean(axis=0) - share), 4 * standard_error + 1e-9)


@independent
def test_draws_of_features_are_independent(make, name):
    likelihood = make(name)
    draws = likelihood(random_raw(likelihood).expand(20_000, -1)).sample().detach().numpy()
    ranks = stats.rankdata(draws, axis=0)  # of heavy tails, a correlation says nothing
    assert np.abs(np.corrcoef(ranks.T) - np.eye(N_FEATURES)).max() < 0.03


@independent
def test_features_do_not_inform_each_other(make, name):
    """Independent likelihoods: conditioning within the modality changes nothing."""
    likelihood = make(name)
    raw = random_raw(likelihood, 3)
    values = some_values(REFERENCES[name](likelihood, raw.numpy()))
    conditioned = likelihood(raw).given(values, torch.ones(3, N_FEATURES, dtype=torch.bool))
    torch.testing.assert_close(conditioned.mean, likelihood(raw).mean)
    torch.testing.assert_close(conditioned.stddev, likelihood(raw).stddev)


@pytest.mark.parametrize("name", sorted(LIKELIHOODS.keys() - {"low_rank_normal"}))
def test_single_precision_is_accurate(make, name):
    """Of the same parameters and values; counts are in the thousands, where factorials cancel."""
    likelihood = make(name).float()
    raw = random_raw(likelihood, 50).float()
    if LIKELIHOODS[name].scaling is None and name not in CODES | {"bernoulli"}:
        raw[:, :N_FEATURES] += 7
    double = raw.double().numpy()
    reference = REFERENCES[name](likelihood.double(), double)
    values = some_values(reference).float()
    expected = log_density(reference, values.double().numpy()).sum(-1)
    observed = torch.ones(50, N_FEATURES, dtype=torch.bool)
    actual = likelihood.float()(raw).log_prob(values, observed)
    assert actual.dtype == torch.float32
    np.testing.assert_allclose(actual.detach(), expected, rtol=2e-5, atol=2e-5)


def test_every_likelihood_has_a_reference():
    assert REFERENCES.keys() == LIKELIHOODS.keys()
