"""Factor analysis of incomplete rows against closed forms of the normal distribution."""

import numpy as np
import pytest
import torch
from scipy import stats

from skmm._torch import isolated_rng
from skmm.probability import factor_analysis
from skmm.probability.factor_analysis import LEAST_VARIANCE, FactorAnalysis, _affordable


def make_model(n_features=6, n_factors=2, seed=0):
    rng = np.random.RandomState(seed)
    loadings = rng.normal(size=(n_features, n_factors))
    return FactorAnalysis(
        torch.tensor(rng.normal(size=n_features)),
        torch.tensor(loadings),
        torch.tensor(rng.uniform(0.2, 0.6, size=n_features)),
    )


def covariance_of(model):
    return (model.loadings @ model.loadings.T + torch.diag(model.variance)).numpy()


def draw(model, n, missing, seed=1):
    """Rows of the model, and what of them is observed; NaN where nothing is."""
    rng = np.random.RandomState(seed)
    values = rng.multivariate_normal(model.loc.numpy(), covariance_of(model), size=n)
    observed = rng.uniform(size=values.shape) >= missing
    return torch.tensor(np.where(observed, values, np.nan)), torch.tensor(observed)


def penalised(model, values, observed, shrinkage):
    """Log-likelihood of what is observed, and log-density of the inverse Wishart prior but for a constant."""
    mean, covariance = model.loc.numpy(), covariance_of(model)
    found = -0.5 * shrinkage * (np.linalg.slogdet(covariance)[1] + np.trace(np.linalg.inv(covariance)))
    for row, seen in zip(values.numpy(), observed.numpy(), strict=True):
        if seen.any():
            found += stats.multivariate_normal.logpdf(row[seen], mean[seen], covariance[np.ix_(seen, seen)])
    return found


def conditional(model, row, seen):
    """Mean and deviation of every entry, noise included, given the observed ones; in closed form."""
    mean, loadings = model.loc.numpy(), model.loadings.numpy()
    common, covariance = loadings @ loadings.T, covariance_of(model)
    gain = common[:, seen] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    spread = common - gain @ common[seen] + np.diag(model.variance.numpy())
    return mean + gain @ (row - mean)[seen], np.diag(spread) ** 0.5


# conditional moments


@pytest.mark.parametrize("n_factors", [1, 3, 5])
def test_moments_are_those_of_the_gaussian_given_any_pattern(n_factors):
    model = make_model(n_factors=n_factors)
    patterns = np.array(np.meshgrid(*[[False, True]] * 6)).reshape(6, -1).T
    values, _ = draw(model, len(patterns), 0.0)
    mean, std = model.moments(values, torch.tensor(patterns))
    expected = [conditional(model, row, seen) for row, seen in zip(values.numpy(), patterns, strict=True)]
    np.testing.assert_allclose(mean, [of_row[0] for of_row in expected], atol=1e-10)
    np.testing.assert_allclose(std, [of_row[1] for of_row in expected], rtol=1e-10)


def test_missing_entries_get_the_conditionals_of_textbooks():
    """Schur's complement, where the formula above might share an error with the code."""
    model = make_model()
    (row,), _ = draw(model, 1, 0.0)
    seen = np.array([True, False, True, True, False, True])
    mean, std = model.moments(row[None], torch.tensor(seen)[None])
    covariance, loc = covariance_of(model), model.loc.numpy()
    gain = covariance[np.ix_(~seen, seen)] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    left = covariance[np.ix_(~seen, ~seen)] - gain @ covariance[np.ix_(seen, ~seen)]
    np.testing.assert_allclose(mean[0, ~seen], loc[~seen] + gain @ (row.numpy() - loc)[seen], atol=1e-10)
    np.testing.assert_allclose(std[0, ~seen], np.diag(left) ** 0.5, rtol=1e-10)


def test_nothing_observed_gives_the_marginals():
    model = make_model()
    mean, std = model.moments(torch.full((2, 6), torch.nan), torch.zeros(2, 6, dtype=torch.bool))
    np.testing.assert_allclose(mean, model.loc.expand(2, -1))
    np.testing.assert_allclose(std[0], np.diag(covariance_of(model)) ** 0.5)


@pytest.mark.parametrize("filling", [torch.nan, torch.inf, -1e300])
def test_what_stands_where_nothing_was_observed_does_not_matter(filling):
    values, observed = draw(make_model(), 40, 0.4)
    other = torch.where(observed, values, filling)
    zeros = torch.where(observed, values, 0.0)
    models = [FactorAnalysis.fit(X, observed, shrinkage=2.0) for X in (zeros, other)]
    for first, second in zip(*(vars(model).values() for model in models), strict=True):
        assert torch.equal(first, second)
    for first, second in zip(*(models[0].moments(X, observed) for X in (zeros, other)), strict=True):
        assert torch.equal(first, second)


def test_rows_do_not_depend_on_those_beside_them(monkeypatch):
    model = make_model()
    values, observed = draw(model, 30, 0.4)
    mean, std = model.moments(values, observed)
    alone = [model.moments(values[i : i + 1], observed[i : i + 1]) for i in range(30)]
    torch.testing.assert_close(torch.cat([m for m, _ in alone]), mean)
    torch.testing.assert_close(torch.cat([s for _, s in alone]), std)
    monkeypatch.setattr(factor_analysis, "MAX_FLOATS", 7 * 12)  # seven rows at a time
    for first, second in zip(model.moments(values, observed), (mean, std), strict=True):
        torch.testing.assert_close(first, second)


# expectation maximisation


@pytest.mark.parametrize("missing", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("shrinkage", [0.01, 2.0, 32.0])
def test_no_iteration_makes_the_penalised_likelihood_less(shrinkage, missing):
    values, observed = draw(make_model(5), 60, missing)
    model = make_model(5, 4, seed=9)  # where fit starts by itself, complete rows leave nothing to improve
    found = [penalised(model, values, observed, shrinkage)]
    for _ in range(25):
        model = FactorAnalysis.fit(values, observed, shrinkage=shrinkage, n_iter=1, start=model)
        found.append(penalised(model, values, observed, shrinkage))
        if (model.variance <= LEAST_VARIANCE).any():
            break  # what follows is no maximum, but the nearest that is allowed
    assert len(found) > 10
    assert (np.diff(found) > -1e-9 * np.abs(found[0])).all()
    assert found[-1] > found[0]


def test_converges_to_a_maximum():
    """No small step away from where it ends is better."""
    values, observed = draw(make_model(4, 1), 80, 0.3)
    model = FactorAnalysis.fit(values, observed, shrinkage=4.0, n_iter=1000)
    best = penalised(model, values, observed, 4.0)
    rng = np.random.RandomState(0)
    for _ in range(50):
        other = FactorAnalysis(
            model.loc + 1e-2 * torch.tensor(rng.normal(size=4)),
            model.loadings + 1e-2 * torch.tensor(rng.normal(size=model.loadings.shape)),
            model.variance * torch.tensor(np.exp(1e-2 * rng.normal(size=4))),
        )
        assert penalised(other, values, observed, 4.0) < best + 1e-6


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_recovers_a_linear_gaussian_model(missing):
    truth = make_model()
    values, observed = draw(truth, 6000, missing)
    model = FactorAnalysis.fit(values, observed, shrinkage=0.1, n_iter=60)
    error = 6 * np.diag(covariance_of(truth)) / (6000 * (1 - missing) ** 2) ** 0.5
    assert (np.abs((model.loc - truth.loc).numpy()) < error).all()
    difference = np.abs(covariance_of(model) - covariance_of(truth))
    assert (difference < np.maximum.outer(error, error)).all()
    rows, seen = draw(truth, 500, 0.5, seed=2)
    for first, second in zip(model.moments(rows, seen), truth.moments(rows, seen), strict=True):
        assert (first - second)[~seen].square().mean() ** 0.5 < 0.1  # deviations are about 1


def test_whole_blocks_missing_in_turn():
    """Modalities never seen without a third one are told from each other by way of it."""
    truth = make_model(seed=3)
    values, observed = draw(truth, 6000, 0.0)
    observed[:2000, :2] = observed[2000:4000, 4:] = False
    model = FactorAnalysis.fit(values, observed, shrinkage=0.1, n_iter=60)
    np.testing.assert_allclose(covariance_of(model), covariance_of(truth), atol=0.25)


def test_many_patterns_and_few_patterns_agree():
    """Rows with a pattern of their own are summed by another piece of code than rows that share one."""
    model = make_model(10, 2)
    values, observed = draw(model, 60, 0.4)
    _, first = np.unique(observed.numpy(), axis=0, return_index=True)
    values, observed = values[np.sort(first)], observed[np.sort(first)]
    assert len(values) > 50
    many = FactorAnalysis.fit(values, observed, shrinkage=3.0, n_iter=8)
    twice = FactorAnalysis.fit(values.repeat(2, 1), observed.repeat(2, 1), shrinkage=6.0, n_iter=8)
    torch.testing.assert_close(twice.loc, many.loc)
    torch.testing.assert_close(torch.tensor(covariance_of(twice)), torch.tensor(covariance_of(many)))


def test_the_order_of_rows_does_not_matter():
    values, observed = draw(make_model(), 50, 0.3)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    first = FactorAnalysis.fit(values, observed, shrinkage=2.0)
    second = FactorAnalysis.fit(values[order], observed[order], shrinkage=2.0)
    torch.testing.assert_close(torch.tensor(covariance_of(second)), torch.tensor(covariance_of(first)))


# the prior


def test_much_shrinkage_leaves_independent_features():
    values, observed = draw(make_model(), 50, 0.2)
    model = FactorAnalysis.fit(values, observed, shrinkage=1e7, n_iter=300)
    np.testing.assert_allclose(covariance_of(model), np.eye(6), atol=0.01)
    mean, std = model.moments(values, observed)
    np.testing.assert_allclose(mean, model.loc.expand_as(mean), atol=0.05)
    np.testing.assert_allclose(std, 1, atol=0.01)


def test_with_all_factors_it_is_the_mode_under_an_inverse_wishart_prior():
    """Of complete rows it is known: (scatter + shrinkage identity) / (n + shrinkage)."""
    truth = make_model(4, 1)
    values, observed = draw(truth, 300, 0.0)
    model = FactorAnalysis.fit(values, observed, shrinkage=20.0, n_iter=300, start=make_model(4, 3, seed=5))
    centred = (values - values.mean(0)).numpy()
    expected = (centred.T @ centred + 20 * np.eye(4)) / 320
    np.testing.assert_allclose(model.loc, values.mean(0), atol=1e-4)
    np.testing.assert_allclose(covariance_of(model), expected, atol=5e-3)


def test_shrinkage_draws_loadings_in():
    values, observed = draw(make_model(), 60, 0.2)
    sizes = [
        float(FactorAnalysis.fit(values, observed, shrinkage=shrinkage, n_iter=200).loadings.square().sum())
        for shrinkage in (0.1, 5.0, 50.0, 1000.0)
    ]
    assert sizes == sorted(sizes, reverse=True)


# corners


def test_a_feature_that_was_never_observed_stays_at_zero():
    values, observed = draw(make_model(), 80, 0.2)
    observed[:, 3] = False
    model = FactorAnalysis.fit(values, observed, shrinkage=8.0)
    assert model.loc[3] == 0
    mean, std = model.moments(values, observed)
    assert torch.isfinite(mean).all()
    assert torch.isfinite(std).all()
    np.testing.assert_allclose(mean[:, 3], 0, atol=0.05)
    np.testing.assert_allclose(std[:, 3], 1, atol=0.05)  # what the prior says
    others = [0, 1, 2, 4, 5]
    model = FactorAnalysis.fit(values, observed, shrinkage=8.0, n_iter=200, start=model)
    without = FactorAnalysis.fit(values[:, others], observed[:, others], shrinkage=8.0, n_iter=230)
    np.testing.assert_allclose(
        covariance_of(model)[np.ix_(others, others)], covariance_of(without), rtol=0.02, atol=0.05
    )


@pytest.mark.parametrize("shrinkage", [0.1, 8.0])
def test_one_feature(shrinkage):
    """There is nothing but a mean and a variance to find."""
    values = torch.tensor(np.random.RandomState(0).normal(2, 1.5, size=(200, 1)))
    observed = torch.ones_like(values, dtype=torch.bool)
    observed[:50] = False
    model = FactorAnalysis.fit(values, observed, shrinkage=shrinkage, n_iter=300)
    seen = values[50:]
    np.testing.assert_allclose(model.loc, seen.mean(0), atol=1e-3)
    expected = (float((seen - seen.mean()).square().sum()) + shrinkage) / (150 + shrinkage)
    np.testing.assert_allclose(covariance_of(model), expected, rtol=2e-3)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_tables_too_wide_for_all_pairs(missing, monkeypatch):
    """They start elsewhere, and end where others do."""
    truth = make_model(30, 3)
    values, observed = draw(truth, 400, missing)
    expected = FactorAnalysis.fit(values, observed, shrinkage=4.0, n_iter=300)
    monkeypatch.setattr(factor_analysis, "MAX_PAIRED", 20)
    with isolated_rng(0):
        model = FactorAnalysis.fit(values, observed, shrinkage=4.0, n_iter=300)
    np.testing.assert_allclose(covariance_of(model), covariance_of(expected), atol=0.15)
    rows, seen = draw(truth, 200, 0.5, seed=2)
    first, second = (of.moments(rows, seen)[0] for of in (model, expected))
    assert (first - second)[~seen].square().mean() ** 0.5 < 0.05


@pytest.mark.parametrize("n_rows", [1, 2, 30, 60])
def test_wide_tables_of_few_rows(n_rows):
    rng = np.random.RandomState(0)
    values = torch.tensor(rng.normal(size=(n_rows, factor_analysis.MAX_PAIRED + 1)))
    observed = torch.tensor(rng.uniform(size=values.shape) < 0.8)
    with isolated_rng(0):
        model = FactorAnalysis.fit(values, observed, shrinkage=8.0, n_iter=2)
    for moment in model.moments(values, observed):
        assert torch.isfinite(moment).all()


@pytest.mark.parametrize("n_rows", [1, 2, 3])
@pytest.mark.parametrize("n_features", [1, 2, 7])
def test_hardly_any_rows(n_rows, n_features):
    values = torch.tensor(np.random.RandomState(0).normal(size=(n_rows, n_features)))
    observed = torch.ones_like(values, dtype=torch.bool)
    observed[0, 0] = False
    model = FactorAnalysis.fit(values, observed, shrinkage=8.0)
    for moment in model.moments(values, observed):
        assert torch.isfinite(moment).all()


def test_constant_and_equal_features():
    """Standardised tables have none, but rows set aside may leave some."""
    values = torch.tensor(np.random.RandomState(0).normal(size=(100, 4)))
    values[:, 1], values[:, 2] = values[:, 0], 0.0
    observed = torch.ones_like(values, dtype=torch.bool)
    model = FactorAnalysis.fit(values, observed, shrinkage=2.0)
    observed[:, 1] = False
    mean, std = model.moments(values, observed)
    assert (model.variance >= LEAST_VARIANCE).all()
    assert (mean[:, 1] - values[:, 1]).abs().max() < 0.3
    assert torch.isfinite(std).all()


def test_start_continues():
    values, observed = draw(make_model(), 60, 0.3)
    whole = FactorAnalysis.fit(values, observed, shrinkage=4.0, n_iter=12)
    half = FactorAnalysis.fit(values, observed, shrinkage=4.0, n_iter=5)
    rest = FactorAnalysis.fit(values, observed, shrinkage=4.0, n_iter=7, start=half)
    for first, second in zip(vars(whole).values(), vars(rest).values(), strict=True):
        assert torch.equal(first, second)
    same = FactorAnalysis.fit(values, observed, shrinkage=4.0, n_iter=0, start=half)
    assert same is half


def test_float32_and_float64_are_read_alike():
    values, observed = draw(make_model(), 60, 0.3)
    model = FactorAnalysis.fit(values.float(), observed, shrinkage=4.0)
    assert {moment.dtype for moment in model.moments(values.float(), observed)} == {torch.float64}
    expected = FactorAnalysis.fit(values, observed, shrinkage=4.0)
    np.testing.assert_allclose(covariance_of(model), covariance_of(expected), atol=1e-4)


@pytest.mark.parametrize(
    ("n_rows", "n_features", "expected"),
    [(100, 1, 1), (100, 2, 1), (100, 10, 9), (100, 100, 40), (4000, 1000, 11), (4000, 10**6, 5)],
)
def test_number_of_factors_that_can_be_paid_for(n_rows, n_features, expected):
    assert _affordable(n_rows, n_features) == expected
