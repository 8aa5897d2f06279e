"""Every answer of an estimator that holds a linear-Gaussian model's true weights, against its exact answer.

The model: z ~ N(0, I), and each modality x = W z + b + noise of covariance Ψ, with W' Ψ⁻¹ W diagonal. Then
the exact posterior, given any subset of modalities, is the product of the prior and one diagonal expert per
modality, which the networks can express without error.
"""

import copy
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import skmm
from skmm._torch import isolated_rng
from skmm.probability.posteriors import NormalFamily

MODALITIES = {"a": [0, 2, 4, 6], "b": [1, 3, 5], "c": [7, 8, 9, 10, 11]}
N_COMPONENTS, N_FEATURES, N_ROWS = 2, 12, 400
SUBSETS = [subset for size in range(4) for subset in combinations(MODALITIES, size)]  # those observed

every_subset = pytest.mark.parametrize("observed", SUBSETS, ids=["+".join(s) or "nothing" for s in SUBSETS])


class IdentityFamily(NormalFamily):
    """Encoders return natural parameters as they are; a negative precision counts as none."""

    def natural(self, raw):
        weighted_mean, precision = raw.chunk(2, dim=-1)
        return torch.cat([weighted_mean, precision.clamp_min(0.0)], dim=-1)


class LinearGaussian:
    """The model in the user's units; exact answers from the joint normal density of all features."""

    def __init__(self, seed):
        rng = np.random.RandomState(seed)
        self.scale = rng.uniform(0.3, 1.5, N_FEATURES) * np.tile([1.0, 10.0, 0.1], 4)  # of the noise
        self.loadings = np.empty((N_FEATURES, N_COMPONENTS))
        for name, columns in MODALITIES.items():
            # columns of W divided by the noise scale are orthogonal: in c because every feature loads on
            # one component only, so that single cells of c may be missing too
            directions = np.linalg.qr(rng.normal(size=(len(columns), N_COMPONENTS)))[0]
            if name == "c":
                directions = np.array([[0.9, 0], [0, 0.8], [-0.5, 0], [0, -0.6], [0.7, 0]])
            self.loadings[columns] = (
                self.scale[columns, None] * directions * rng.uniform(0.8, 1.6, N_COMPONENTS)
            )
        self.intercept = rng.normal(size=N_FEATURES) * 3
        self.covariance = self.loadings @ self.loadings.T + np.diag(self.scale**2)

    def draw(self, n, seed):
        rng = np.random.RandomState(seed)
        z = rng.normal(size=(n, N_COMPONENTS))
        return z @ self.loadings.T + self.intercept + self.scale * rng.normal(size=(n, N_FEATURES))

    def posterior(self, row):
        """Mean and covariance of z given the observed entries of a row."""
        seen = ~np.isnan(row)
        weighted = self.loadings[seen] / self.scale[seen, None] ** 2
        covariance = np.linalg.inv(np.eye(N_COMPONENTS) + weighted.T @ self.loadings[seen])
        return covariance @ weighted.T @ (row - self.intercept)[seen], covariance

    def predictive(self, row):
        """Mean and covariance of another measurement of all features, given the observed entries."""
        loc, covariance = self.posterior(row)
        mean = self.intercept + self.loadings @ loc
        return mean, self.loadings @ covariance @ self.loadings.T + np.diag(self.scale**2)

    def log_likelihood(self, row):
        seen = ~np.isnan(row)
        if not seen.any():
            return 0.0
        return stats.multivariate_normal(self.intercept[seen], self.covariance[np.ix_(seen, seen)]).logpdf(
            row[seen]
        )

    def moments(self, X):
        """Predictive mean and deviation of every entry of a table."""
        answers = [self.predictive(row) for row in X]
        return np.array([mean for mean, _ in answers]), np.array([np.diag(c) ** 0.5 for _, c in answers])


def fit_exactly(truth, X, **parameters):
    """Fit for one epoch, then put the true weights in place, in the units of the layout.

    Completions are the network's alone: what would be averaged with them was learned, and is not exact.
    """
    model = skmm.MultimodalVAE(
        N_COMPONENTS,
        modalities=MODALITIES,
        posterior=IdentityFamily(),
        completion="network",
        hidden_layer_sizes=(),
        max_iter=1,
        early_stopping=False,
        random_state=0,
        **parameters,
    ).fit(X)
    layout, network = model.layout_, model.module_
    assert layout.names == tuple(MODALITIES)
    for m, columns in enumerate(MODALITIES.values()):
        unit = layout.scale[columns]
        loadings = truth.loadings[columns] / unit[:, None]
        intercept = (truth.intercept[columns] - layout.location[columns]) / unit
        scale = truth.scale[columns] / unit
        weighted = loadings / scale[:, None] ** 2
        # inputs are values, 0 where missing, and indicators of what is missing
        on_values = np.vstack([weighted.T, np.zeros((N_COMPONENTS, len(columns)))])
        on_missing = np.vstack([weighted.T * intercept, -(weighted * loadings).T])
        constant = np.concatenate([-weighted.T @ intercept, (weighted * loadings).sum(0)])
        set_linear(network.encoders[m].first, np.hstack([on_values, on_missing]), constant)
        set_linear(network.decoders[m].first, loadings, intercept)
        set_noise(network.likelihoods[m], scale)
    return model


def set_linear(linear, weight, bias):
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(weight))
        linear.bias.copy_(torch.tensor(bias))


def set_noise(likelihood, target):
    """Find the parameter that gives the wanted scale, by bisection: whatever the function between them."""
    target = torch.tensor(target, dtype=torch.float32)
    low, high = torch.full_like(target, -15.0), torch.full_like(target, 5.0)
    with torch.no_grad():
        for _ in range(60):
            likelihood.log_scale.copy_((low + high) / 2)
            above = likelihood.scale > target
            low, high = (
                torch.where(above, low, likelihood.log_scale),
                torch.where(above, likelihood.log_scale, high),
            )
    torch.testing.assert_close(likelihood.scale.detach(), target, rtol=1e-5, atol=0)


def blanked(X, observed):
    return skmm.keep(X, list(observed), modalities=MODALITIES)


@pytest.fixture(scope="module")
def truth():
    return LinearGaussian(0)


@pytest.fixture(scope="module")
def X(truth):
    return truth.draw(N_ROWS, 1)


@pytest.fixture(scope="module")
def model(truth, X):
    return fit_exactly(truth, X)


@pytest.fixture(scope="module")
def holes(X):
    """Rows that lack single cells of c, with a and b observed or not."""
    holes = X[:60].copy()
    holes[:, MODALITIES["c"]] = np.where(
        np.random.RandomState(2).uniform(size=(60, 5)) < 0.5, np.nan, holes[:, MODALITIES["c"]]
    )
    holes[:20, MODALITIES["a"]] = np.nan
    holes[10:40, MODALITIES["b"]] = np.nan
    return holes


def test_the_model_is_what_it_says(truth):
    for columns in MODALITIES.values():
        precision = (truth.loadings[columns] / truth.scale[columns, None] ** 2).T @ truth.loadings[columns]
        np.testing.assert_allclose(precision - np.diag(np.diag(precision)), 0, atol=1e-12)
        assert (np.diag(precision) > 0.3).all()


# the latent variable


@every_subset
def test_posterior(truth, model, X, observed):
    rows = blanked(X[:50], observed)
    exact = [truth.posterior(row) for row in rows]
    loc, scale = model.posterior_moments(rows)
    np.testing.assert_allclose(loc, [mean for mean, _ in exact], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scale, [np.diag(covariance) ** 0.5 for _, covariance in exact], rtol=1e-4)
    np.testing.assert_array_equal(model.transform(rows), loc)
    if not observed:
        assert (loc == 0).all()
        assert (scale == 1).all()


def test_posterior_with_missing_cells(truth, model, holes):
    exact = [truth.posterior(row) for row in holes]
    loc, scale = model.posterior_moments(holes)
    np.testing.assert_allclose(loc, [mean for mean, _ in exact], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scale, [np.diag(covariance) ** 0.5 for _, covariance in exact], rtol=1e-4)


@pytest.mark.parametrize("fusion", ["moe", "mopoe"])
@pytest.mark.parametrize("observed", [(), ("a",), ("b",), ("c",)])
def test_every_rule_is_exact_for_one_modality(truth, X, fusion, observed):
    model = fit_exactly(truth, X, fusion=fusion)
    rows = blanked(X[:20], observed)
    loc, scale = model.posterior_moments(rows)
    exact = [truth.posterior(row) for row in rows]
    np.testing.assert_allclose(loc, [mean for mean, _ in exact], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scale, [np.diag(covariance) ** 0.5 for _, covariance in exact], rtol=1e-4)
    mean, deviation = truth.moments(rows)
    predicted, predicted_std = model.predict(rows, return_std=True)
    np.testing.assert_allclose((predicted - mean) / deviation, 0, atol=1e-3)
    np.testing.assert_allclose(predicted_std / deviation, 1, rtol=1e-3)


def test_mixture_of_products_averages_exact_posteriors(truth, X):
    """Its mean is that of the exact posteriors given every subset of what is observed."""
    model = fit_exactly(truth, X, fusion="mopoe")
    means = [[truth.posterior(row)[0] for row in blanked(X[:20], subset)] for subset in SUBSETS[1:]]
    np.testing.assert_allclose(model.transform(X[:20]), np.mean(means, axis=0), rtol=1e-4, atol=1e-4)


# likelihoods


@every_subset
def test_score_samples(truth, model, X, observed):
    """An estimate of the exact value with many draws; slightly below it with the default number."""
    rows = blanked(X, observed)
    exact = np.array([truth.log_likelihood(row) for row in rows])
    many = copy.copy(model).set_params(n_draws=4096).score_samples(rows)
    np.testing.assert_allclose(many, exact, atol=0.05)
    assert np.mean(many) == pytest.approx(np.mean(exact), abs=0.01)
    default = model.score_samples(rows)
    assert np.mean(exact) - 0.05 < np.mean(default) < np.mean(exact) + 0.01
    if not observed:
        assert (default == 0).all()


def test_score_samples_with_missing_cells(truth, model, holes):
    exact = [truth.log_likelihood(row) for row in holes]
    many = copy.copy(model).set_params(n_draws=4096).score_samples(holes)
    np.testing.assert_allclose(many, exact, atol=0.05)


def test_score_tells_the_true_model_from_others(truth, model, X):
    """One that believes in twice the noise is worse by the exact divergence, on average."""
    other = copy.deepcopy(model)
    for m, columns in enumerate(MODALITIES.values()):
        set_noise(other.module_.likelihoods[m], 2 * truth.scale[columns] / model.layout_.scale[columns])
    wrong = copy.copy(truth)
    wrong.covariance = truth.loadings @ truth.loadings.T + 4 * np.diag(truth.scale**2)
    expected = np.mean([wrong.log_likelihood(row) - truth.log_likelihood(row) for row in X])
    difference = other.set_params(n_draws=1024).score(X) - model.score(X)
    assert expected < -1
    assert difference == pytest.approx(expected, abs=0.1)


# completion


@every_subset
def test_predict(truth, model, X, observed):
    """Exact, not merely unbiased: the nodes have exact moments."""
    rows = blanked(X[:50], observed)
    mean, deviation = truth.moments(rows)
    predicted, predicted_std = model.predict(rows, return_std=True)
    np.testing.assert_allclose((predicted - mean) / deviation, 0, atol=1e-4)
    np.testing.assert_allclose(predicted_std / deviation, 1, rtol=1e-4)
    imputed, missing = model.impute(rows), np.isnan(rows)
    np.testing.assert_allclose(imputed[missing], predicted[missing], rtol=1e-6)
    np.testing.assert_array_equal(imputed[~missing], rows[~missing])


def test_predict_with_missing_cells(truth, model, holes):
    mean, deviation = truth.moments(holes)
    predicted, predicted_std = model.predict(holes, return_std=True)
    np.testing.assert_allclose((predicted - mean) / deviation, 0, atol=1e-4)
    np.testing.assert_allclose(predicted_std / deviation, 1, rtol=1e-4)


@pytest.mark.parametrize("n_draws", [3, 16, 1000])
def test_predict_is_exact_for_any_number_of_nodes(truth, model, X, n_draws):
    rows = blanked(X[:20], ("a",))
    mean, deviation = truth.moments(rows)
    predicted, predicted_std = copy.copy(model).set_params(n_draws=n_draws).predict(rows, return_std=True)
    np.testing.assert_allclose((predicted - mean) / deviation, 0, atol=1e-4)
    np.testing.assert_allclose(predicted_std / deviation, 1, rtol=1e-4)


def test_predict_at_a_single_node_decodes_the_posterior_mean(truth, model, X):
    rows = blanked(X[:20], ("b",))
    predicted = copy.copy(model).set_params(n_draws=1).predict(rows)
    mean, deviation = truth.moments(rows)
    np.testing.assert_allclose((predicted - mean) / deviation, 0, atol=1e-4)


@every_subset
def test_predict_quantiles(truth, model, X, observed):
    rows = blanked(X[:50], observed)
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    quantiles = model.predict_quantiles(rows, levels)
    mean, deviation = truth.moments(rows)
    for quantile, level in zip(quantiles, levels, strict=True):
        standardised = (quantile - mean) / deviation
        np.testing.assert_allclose(standardised, stats.norm.ppf(level), atol=0.12)
        assert standardised.mean() == pytest.approx(stats.norm.ppf(level), abs=0.03)


def test_inverse_transform(truth, model):
    z = np.random.RandomState(0).normal(size=(10, N_COMPONENTS))
    expected = z @ truth.loadings.T + truth.intercept
    np.testing.assert_allclose((model.inverse_transform(z) - expected) / truth.scale, 0, atol=1e-4)


# draws

N_DRAWS = 20_000


def assert_moments(draws, mean, covariance):
    """Mean and full covariance of draws, within five standard errors of every entry."""
    variance = np.diag(covariance)
    error = 5 * np.sqrt(variance / len(draws))
    np.testing.assert_array_less(np.abs(draws.mean(axis=0) - mean), error)
    error = 5 * np.sqrt((covariance**2 + np.outer(variance, variance)) / len(draws))
    np.testing.assert_array_less(np.abs(np.cov(draws.T) - covariance), error)


@every_subset
def test_completions(truth, model, X, observed):
    """Drawn jointly: hidden features depend on each other through the latent variable."""
    row = blanked(X[:1], observed)[0]
    missing = np.isnan(row)
    (draws,) = model.sample(given=np.tile(row, (N_DRAWS, 1)), random_state=0)
    np.testing.assert_array_equal(draws[:, ~missing], np.tile(row[~missing], (N_DRAWS, 1)))
    if missing.any():
        mean, covariance = truth.predictive(row)
        assert_moments(draws[:, missing], mean[missing], covariance[np.ix_(missing, missing)])


@pytest.mark.parametrize("index", [0, 15, 30, 50])
def test_completions_of_missing_cells(truth, model, holes, index):
    row = holes[index]
    missing = np.isnan(row)
    assert missing.any()
    (draws,) = model.sample(given=np.tile(row, (N_DRAWS, 1)), random_state=0)
    mean, covariance = truth.predictive(row)
    assert_moments(draws[:, missing], mean[missing], covariance[np.ix_(missing, missing)])


def test_several_draws_of_each_row(truth, model, X):
    rows = blanked(X[:3], ("a",))
    hidden = MODALITIES["b"] + MODALITIES["c"]
    draws = model.sample(4000, given=rows, random_state=0)
    assert draws.shape == (4000, 3, N_FEATURES)
    for row, row_draws in zip(rows, draws.swapaxes(0, 1), strict=True):
        mean, covariance = truth.predictive(row)
        assert_moments(row_draws[:, hidden], mean[hidden], covariance[np.ix_(hidden, hidden)])
    # rows are independent given what is observed of them
    assert np.abs(np.corrcoef(draws[:, 0, 7], draws[:, 1, 7])[0, 1]) < 5 / 4000**0.5


def test_new_rows(truth, model):
    draws = model.sample(N_DRAWS, random_state=0)
    assert draws.shape == (N_DRAWS, N_FEATURES)
    assert_moments(draws, truth.intercept, truth.covariance)


# containers, and other units


def test_units_of_the_table(truth, X):
    """A frame in other units, of modalities in another order, gives the same answers in these units."""
    factor = 10.0 ** np.arange(-6, 6)
    frame = pd.DataFrame(X * factor, columns=[f"f{j}" for j in range(N_FEATURES)])
    rescaled = copy.copy(truth)
    rescaled.scale, rescaled.intercept = truth.scale * factor, truth.intercept * factor
    rescaled.loadings = truth.loadings * factor[:, None]
    model = fit_exactly(rescaled, frame)
    rows = blanked(X[:20], ("a", "c"))
    given = pd.DataFrame(rows * factor, columns=frame.columns)
    mean, deviation = truth.moments(rows)
    predicted = model.predict(given)
    assert predicted.columns.equals(frame.columns)
    np.testing.assert_allclose((predicted.to_numpy() / factor - mean) / deviation, 0, atol=1e-3)
    observed = MODALITIES["a"] + MODALITIES["c"]
    exact = [truth.log_likelihood(row) for row in rows] - np.log(factor[observed]).sum()
    scores = model.set_params(n_draws=4096).score_samples(given)
    np.testing.assert_allclose(scores, exact, atol=0.05)


def test_reproducible(model, X):
    """Everything but sampling is deterministic, and sampling is under its seed."""
    rows = blanked(X[:10], ("b",))
    for method in ("transform", "predict", "predict_quantiles", "score_samples"):
        first = getattr(model, method)(rows)
        with isolated_rng(7):
            torch.rand(3)
            np.testing.assert_array_equal(getattr(model, method)(rows), first)
    for given in (None, rows):
        first = model.sample(3, given=given, random_state=1)
        np.testing.assert_array_equal(model.sample(3, given=given, random_state=1), first)
        assert not np.array_equal(model.sample(3, given=given, random_state=2), first)
