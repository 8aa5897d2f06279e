"""Completion by the network and two models beside it: what they change, by how much, and what not."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import optimize
from sklearn.base import clone

from skmm import MultimodalVAE, hide, keep
from skmm._torch import isolated_rng
from skmm.inference import stacking
from skmm.inference.completion import CELL, LINEAR, MODALITY, NEAR, NETWORK, Completion, _bent, seen_inputs
from skmm.inference.stacking import PRIOR_WEIGHTS, SHAPE_LEVELS, _half_normal
from skmm.probability.factor_analysis import FactorAnalysis
from skmm.probability.fusion import FUSIONS
from skmm.probability.kernel_regression import KernelRegression
from skmm.probability.likelihoods.continuous import IndependentNormal
from skmm.probability.likelihoods.contract import Likelihood

NAN = np.nan
MODALITIES = {"a": [0, 3, 4], "b": [1], "c": [2, 5]}
N_FEATURES = 6


def make_values(n_rows=150, seed=0, missing=0.15):
    """Linear, in all sorts of units; whole modalities and cells are missing; row 0 has nothing at all."""
    rng = np.random.RandomState(seed)
    weights = np.random.RandomState(99).normal(size=(2, N_FEATURES))
    values = rng.normal(size=(n_rows, 2)) @ weights + 0.4 * rng.normal(size=(n_rows, N_FEATURES))
    values = values * [1, 10, 1, 0.1, 3, 1] + [0, 5, -100, 2, 0, 0]
    values[rng.uniform(size=values.shape) < missing] = NAN
    for columns in MODALITIES.values():
        values[np.ix_(rng.uniform(size=n_rows) < missing, columns)] = NAN
    if missing:
        values[0] = NAN
    return values


def make(**parameters):
    """An estimator that fits in a few tenths of a second."""
    settings = {
        "n_components": 2,
        "modalities": MODALITIES,
        "hidden_layer_sizes": (8,),
        "max_iter": 4,
        "n_draws": 16,
        "random_state": 0,
    }
    return MultimodalVAE(**(settings | parameters))


def alone(estimator):
    """The same network, of which nothing corrects the completions."""
    other = copy.copy(estimator)
    other.completion_ = None
    return other


@pytest.fixture(scope="module")
def fitted():
    """Shared; rows were set aside, so that weights, factors and shapes were learned."""
    return make().fit(make_values())


@pytest.fixture(scope="module")
def X():
    return make_values(60, seed=1, missing=0.25)


def everything(estimator, X):
    """Every answer to which completion matters, as arrays whose last axes are those of X."""
    mean, std = estimator.predict(X, return_std=True)
    return {
        "predict": mean,
        "std": std,
        "impute": estimator.impute(X),
        "quantiles": estimator.predict_quantiles(X, [0.1, 0.5, 0.9]),
        "draws": estimator.sample(3, given=X, random_state=0),
    }


# the formula


def make_bent(n_rows=400, seed=0):
    """As make_values, of which rows lie near a surface that bends: near rows tell more than a plane."""
    values = make_values(n_rows, seed)
    bent = 5 * np.sin(2.5 * np.random.RandomState(seed).normal(size=(n_rows, 1)) + np.arange(N_FEATURES))
    return np.where(np.isnan(values), NAN, bent + 0.1 * np.random.RandomState(seed).normal(size=values.shape))


def around(near, inside, row):
    """Averages over near rows, one row at a time, and the squared distance to the nearest."""
    known = np.where(near.observed.numpy(), near.known.numpy().astype(float), NAN)
    loc, scale = near.loc.numpy(), near.variance.numpy() ** 0.5
    row = (inside[row] - loc) / scale
    seen = ~np.isnan(row)
    squares = np.where(np.isnan(known), row**2 + 1, (known - row) ** 2)[:, seen]
    distance = squares.mean(axis=1)
    weight = np.exp((distance.min() - distance) / 2 / near.bandwidth)[:, None] * ~np.isnan(known)
    return loc + scale * np.nansum(weight * known, axis=0) / weight.sum(axis=0), distance.min()


@pytest.mark.parametrize("make_table", [make_values, make_bent])
def test_means_and_deviations_by_hand(make_table):
    """Entry by entry, in standardised units, with conditionals of the linear model in closed form."""
    fitted, X = make().fit(make_table()), make_table(60, seed=1)
    completion, layout = fitted.completion_, fitted.layout_
    assert (completion.near is not None) == bool((completion.weight[NEAR] > 0).any())
    assert (completion.weight[NEAR] > 0.1).any() or make_table is make_values
    order, scale, location = layout.order, layout.scale[layout.order], layout.location[layout.order]
    assert not np.array_equal(order, np.arange(N_FEATURES))  # positions differ between table and network
    inside = (X[:, order] - location) / scale
    network = [np.asarray(part)[:, order] for part in alone(fitted).predict(X, return_std=True)]
    loc, deviation = (network[0] - location) / scale, network[1] / scale
    linear = completion.linear
    covariance = (linear.loadings @ linear.loadings.T + torch.diag(linear.variance)).numpy()
    mean = linear.loc.numpy()
    owner = np.repeat(np.arange(3), layout.sizes)
    expected, spread = loc.copy(), deviation.copy()
    for i, row in enumerate(inside):
        seen = ~np.isnan(row)
        if not seen.any():
            continue
        if completion.near is not None:
            near, distance = around(completion.near, inside, i)
            h, reach = completion.near.bandwidth, completion.reach
            trusted = 1 if distance <= reach else (reach + h) / (distance + h)
            near = trusted * near + (1 - trusted) * loc[i]
        for j in np.flatnonzero(~seen):
            gain = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[seen, j])
            told = mean[j] + gain @ (row - mean)[seen]
            variance = covariance[j, j] - gain @ covariance[seen, j]
            kind = CELL if seen[owner == owner[j]].any() else MODALITY
            w = completion.weight[:, kind, j].numpy()
            v, c = (float(of[kind, j]) for of in (completion.share, completion.factor))
            expected[i, j] = w[NETWORK] * loc[i, j] + w[LINEAR] * told
            if completion.near is not None:
                expected[i, j] += w[NEAR] * near[j]
            spread[i, j] = c * ((1 - v) * deviation[i, j] ** 2 + v * variance) ** 0.5
    predicted, std = fitted.predict(X, return_std=True)
    # float32, in units in which -100 is the mean
    np.testing.assert_allclose((predicted[:, order] - location) / scale, expected, atol=1e-4)
    np.testing.assert_allclose(std[:, order] / scale, spread, rtol=1e-4)
    imputed, missing = fitted.impute(X), np.isnan(X)
    np.testing.assert_allclose(imputed[missing], predicted[missing], rtol=1e-6)


def test_both_kinds_of_missing_entries_were_learned(fitted):
    """Weights are of a modality, factors of a feature; no single cell of b can be missing."""
    completion = fitted.completion_
    columns = {"a": slice(0, 3), "b": slice(3, 4), "c": slice(4, 6)}
    for kind, name in ((MODALITY, "a"), (MODALITY, "b"), (MODALITY, "c"), (CELL, "a"), (CELL, "c")):
        weight, factor = completion.weight[:, kind, columns[name]], completion.factor[kind, columns[name]]
        assert (weight == weight[:, :1]).all()
        assert (weight >= 0).all()
        np.testing.assert_allclose(weight.sum(0), 1)
        assert weight[:, 0].tolist() != list(PRIOR_WEIGHTS)
        assert (factor > 0).all()
        assert len(set(factor.tolist())) == len(factor)
    assert completion.weight[:, CELL, columns["b"]].flatten().tolist() == list(PRIOR_WEIGHTS)
    assert completion.factor[CELL, columns["b"]] == 1
    assert torch.equal(completion.shape[CELL, columns["b"]][0], _half_normal())


def test_deviations_of_draws_are_moved_and_bent(fitted, X):
    """Draw by draw, by hand."""
    missing = np.isnan(X) & ~np.isnan(X).all(axis=1, keepdims=True)
    draws, before = (model.sample(5, given=X, random_state=3) for model in (fitted, alone(fitted)))
    (loc, scale), (mean, std) = (model.predict(X, return_std=True) for model in (alone(fitted), fitted))
    completion, order = fitted.completion_, fitted.layout_.order
    for j, column in enumerate(order):
        (members,) = [columns for columns in MODALITIES.values() if column in columns]
        absent = np.isnan(X[:, members]).all(axis=1)
        deviation = (before[:, :, column] - loc[:, column]) / scale[:, column]
        for kind, rows in ((MODALITY, absent), (CELL, ~absent)):
            rows = rows & missing[:, column]
            bent = bent_slowly(deviation[:, rows], completion.knots[kind, j], completion.shape[kind, j])
            expected = mean[rows, column] + bent * std[rows, column]
            np.testing.assert_allclose(draws[:, rows, column], expected, rtol=1e-4, atol=1e-4)


# bending


def bent_slowly(deviation, knots, shape):
    """One number at a time."""
    knots, heights = [0.0, *knots.tolist()], [0.0, *shape.tolist()]
    out = np.empty(deviation.shape)
    for index, number in np.ndenumerate(np.asarray(deviation, dtype=float)):
        size = abs(number)
        if size > knots[-1]:
            bent = size * heights[-1] / knots[-1]
        else:
            bent = np.interp(size, knots, heights)
        out[index] = np.sign(number) * bent
    return out


KNOTS = torch.stack(
    [_half_normal(), _half_normal(), torch.tensor([0.1, 0.2, 0.5, 1.0, 5.0], dtype=torch.float64)]
)
SHAPES = torch.tensor(
    [[0.1, 0.4, 0.9, 2.0, 4.0], [0.5, 0.7, 0.9, 1.2, 1.3], [0.0, 0.0, 0.0, 0.5, 9.0]], dtype=torch.float64
)


def test_bending_against_a_slow_reference():
    deviation = torch.tensor(3 * np.random.RandomState(0).normal(size=(40, 7, 3)))
    deviation[0, 0], deviation[0, 1] = 0.0, _half_normal()[-1]
    bent = _bent(deviation, KNOTS, SHAPES)
    for j in range(3):
        expected = bent_slowly(deviation[..., j].numpy(), KNOTS[j], SHAPES[j])
        np.testing.assert_allclose(bent[..., j], expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(_bent(deviation.float(), KNOTS, SHAPES), bent, rtol=1e-4, atol=1e-5)
    assert _bent(deviation.float(), KNOTS, SHAPES).dtype == torch.float32


def test_bending_is_monotone_odd_and_continuous():
    deviation = torch.linspace(-6, 6, 4001, dtype=torch.float64)[:, None, None].expand(-1, 1, 3)
    bent = _bent(deviation, KNOTS, SHAPES)
    assert (bent.diff(dim=0) >= 0).all()
    torch.testing.assert_close(bent.flip(0), -bent)
    assert bent.diff(dim=0).max() < 12 / 4000 * 4.0  # the steepest line
    torch.testing.assert_close(_bent(torch.zeros(1, 1, 3), KNOTS, SHAPES), torch.zeros(1, 1, 3))


def test_the_shape_that_is_there_leaves_deviations_as_they_are():
    deviation = torch.tensor(3 * np.random.RandomState(0).normal(size=(40, 7, 3)))
    torch.testing.assert_close(_bent(deviation, KNOTS, KNOTS), deviation)


@pytest.mark.parametrize("knots", [[0.5] * 5, [0.0] * 5, [0.0, 0.0, 1.0, 1.0, 2.0]], ids=str)
def test_knots_that_coincide(knots):
    """As those of draws from few values: what comes out is finite, and in order."""
    knots = torch.tensor([knots], dtype=torch.float64)
    deviation = torch.linspace(-3, 3, 61)[:, None, None]
    bent = _bent(deviation, knots, SHAPES[:1])
    assert bent.isfinite().all()
    assert (bent.diff(dim=0) >= 0).all()


def test_the_share_of_normal_deviations_within_each_height_is_its_level():
    deviation = torch.tensor(np.random.RandomState(0).normal(size=(50_000, 1, 2)))
    size = _bent(deviation, KNOTS[:2], SHAPES[:2])[:, 0].abs()
    for level, height in zip(SHAPE_LEVELS, SHAPES[:2].T, strict=True):
        np.testing.assert_allclose((size <= height).double().mean(0), level, atol=0.01)


# weights


def make_two_views(n_rows=500, seed=0):
    """View b is, but for noise, a linear function of a."""
    rng = np.random.RandomState(seed)
    a = rng.normal(size=(n_rows, 2))
    b = a @ [[1.0, -0.5, 0.3], [0.4, 1.0, 0.8]]
    return np.hstack([a, b + 0.1 * rng.normal(size=b.shape)])


def make_sizes(n_rows, seed=0):
    """View b holds the sizes of a: no linear function comes near them, and in nine dimensions no row is."""
    rng = np.random.RandomState(seed)
    a = rng.normal(size=(n_rows, 9))
    return np.hstack([a, np.abs(a) + 0.1 * rng.normal(size=a.shape)])


TWO_VIEWS = {"a": [0, 1], "b": [2, 3, 4]}


def test_the_linear_model_gets_the_weight_where_the_network_has_learned_nothing():
    estimator = make(modalities=TWO_VIEWS, max_iter=1).fit(make_two_views())
    assert estimator.completion_.weight[LINEAR].min() > 0.8
    assert estimator.completion_.weight[:, MODALITY][LINEAR].min() > 0.9
    given = keep(make_two_views(seed=1), "a", modalities=TWO_VIEWS)
    truth = make_two_views(seed=1)[:, 2:]
    models = estimator, alone(estimator)
    errors = [np.square(model.predict(given)[:, 2:] - truth).mean() ** 0.5 for model in models]
    assert errors[0] < 0.15  # the noise is 0.1
    assert errors[1] > 0.5


def test_the_network_gets_the_weight_where_others_can_say_nothing():
    views = {"a": range(9), "b": range(9, 18)}
    estimator = MultimodalVAE(9, modalities=views, max_iter=60, random_state=0).fit(make_sizes(2000))
    of_b = estimator.completion_.weight[:, MODALITY, 9:]
    assert of_b[LINEAR].max() < 0.1
    assert of_b[NETWORK].min() > 0.5


def test_near_rows_get_weight_where_others_are_behind():
    """A curve that is densely seen, and a network that has learned nothing of it."""

    def curve(n_rows, seed):
        rng = np.random.RandomState(seed)
        t = rng.uniform(-3, 3, size=(n_rows, 1))
        return np.hstack([t, np.cos(3 * t), t**2, np.sin(4 * t)]) + 0.02 * rng.normal(size=(n_rows, 4))

    views = {"a": [0, 1], "b": [2, 3]}
    estimator = make(modalities=views, max_iter=1).fit(curve(1000, 0))
    assert estimator.completion_.weight[NEAR, MODALITY].min() > 0.9
    truth = curve(1000, 1)
    given = keep(truth, "a", modalities=views)
    models = estimator, alone(estimator)
    errors = [np.square(model.predict(given) - truth)[:, 3].mean() ** 0.5 for model in models]
    assert errors[0] < 0.15
    assert errors[1] > 0.5


def test_rows_unlike_all_others_are_left_to_the_network():
    """What is near is far: the weight of near rows goes over to the network."""
    fitted, X = make().fit(make_bent()), make_bent(20, seed=1)
    completion = fitted.completion_
    far = np.where(np.isnan(X), NAN, X + 1e5)
    alone_with_network = copy.copy(fitted)
    weight = completion.weight.clone()
    weight[NETWORK] += weight[NEAR]
    weight[NEAR] = 0
    alone_with_network.completion_ = replace(completion, weight=weight)
    np.testing.assert_allclose(fitted.predict(far), alone_with_network.predict(far), rtol=1e-4)
    assert (fitted.predict(X) != alone_with_network.predict(X)).any()


def test_weights_by_least_squares(monkeypatch):
    """Of the rows set aside with something hidden: of all modalities drawn to the prior, of each to these."""
    answers = []
    original = stacking._answers

    def recorded(*arguments):
        for answer in original(*arguments):
            answers.append(answer)
            yield answer

    monkeypatch.setattr(stacking, "_answers", recorded)
    completion = make().fit(make_bent(400)).completion_
    owner = np.repeat(np.arange(3), (3, 1, 2))

    def squared(means):
        return float(
            sum(((a.truth - m).square() * a.hidden).sum() for a, m in zip(answers, means, strict=True))
        )

    best = int(np.argmin([squared([a.told[i] for a in answers]) for i in range(len(stacking.SHRINKAGES))]))
    nearest = np.sort(np.concatenate([a.nearest for a in answers]))
    assert completion.reach == nearest[(len(nearest) - 1) // 2]
    candidates = [
        [a.chosen(best, i, completion.reach, bandwidth) for a in answers]
        for i, bandwidth in enumerate(stacking.BANDWIDTHS)
    ]
    # the bandwidth with which the average is best
    error = []
    for cases in candidates:
        total = 0.0
        for kind in (CELL, MODALITY):
            errors, _ = errors_of(cases, kind, np.arange(6))
            total += np.square(least_squares(cases, kind, np.arange(6), None) @ errors).sum()
        error.append(total)
    assert completion.near.bandwidth == stacking.BANDWIDTHS[int(np.argmin(error))]
    cases = candidates[int(np.argmin(error))]
    for kind in (CELL, MODALITY):
        common = least_squares(cases, kind, np.arange(6), PRIOR_WEIGHTS)
        for modality in range(3):
            columns = np.flatnonzero(owner == modality)
            if kind == CELL and modality == 1:
                continue  # one column: there are no single cells
            expected = least_squares(cases, kind, columns, common)
            found = completion.weight[:, kind, columns]
            np.testing.assert_allclose(found, expected[:, None].repeat(len(columns), 1), atol=1e-5)
    assert ((completion.weight > 0.02).sum(0) > 1).any()  # not all of one model


def errors_of(cases, kind, columns):
    """Errors of the three models of what was hidden, and the number of rows."""
    of_it = [case for case in cases if case.kind == kind and case.hidden[:, columns].any()]
    errors = [(case.truth - case.means)[:, :, columns][:, case.hidden[:, columns]] for case in of_it]
    return np.concatenate(errors, axis=1), max(case.hidden[:, columns].any(1).sum() for case in of_it)


def least_squares(cases, kind, columns, prior):
    """Weights by minimisation; with a prior, as if there were twenty rows more of which it is true."""
    errors, n_rows = errors_of(cases, kind, columns)
    gram = errors @ errors.T / np.square(errors).sum()
    share, prior = (0.0, np.ones(3)) if prior is None else (20 / float(n_rows), np.asarray(prior))

    def loss(w):
        return w @ gram @ w + share * (w - prior) @ gram @ (w - prior)

    return optimize.minimize(
        loss,
        np.ones(3) / 3,
        jac=lambda w: 2 * gram @ w + 2 * share * gram @ (w - prior),
        method="SLSQP",
        bounds=[(0, 1)] * 3,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-15, "maxiter": 500},
    ).x


def test_hidden_entries_are_of_their_kind(monkeypatch):
    """Whole modalities, of rows that have another; single cells, of modalities that keep one."""
    values = make_values(300, missing=0.3)
    estimator = make().fit(values)
    rows = estimator.layout_.read(values)
    owner = np.repeat(np.arange(3), (3, 1, 2))
    with isolated_rng(0):
        found = list(stacking._hidden(rows))
    assert [kind for kind, _ in found] == [MODALITY] * 3 + [CELL] * stacking.N_CELL_CASES
    observed = rows.joint_observed.numpy()
    for modality, (_, hidden) in enumerate(found[:3]):
        hidden = hidden.numpy()
        several = observed[:, owner != modality].any(axis=1)
        np.testing.assert_array_equal(hidden, observed & (owner == modality) & several[:, None])
    present = np.array([observed[:, owner == modality].any(axis=1) for modality in owner]).T
    rate = 1 - observed[present].mean()
    for _, hidden in found[3:]:
        cells = hidden.numpy()
        assert not (cells & ~observed).any()
        for modality in range(3):
            of_it = owner == modality
            touched = cells[:, of_it].any(axis=1)
            assert (observed & ~cells)[touched][:, of_it].any(axis=1).all()
        assert not cells[:, 3].any()  # alone in its modality
        assert cells[:, :3].sum() / observed[:, :3].sum() == pytest.approx(rate, abs=0.1)
    assert not torch.equal(found[3][1], found[4][1])


# rows set aside


@pytest.mark.parametrize("parameters", [{"early_stopping": False}, {"validation_fraction": 0.01}], ids=str)
def test_without_rows_set_aside_the_first_two_count_alike(parameters):
    estimator = make(**parameters).fit(make_values(99))
    completion = estimator.completion_
    assert (completion.weight[[NETWORK, LINEAR]] == 0.5).all()
    assert (completion.weight[NEAR] == 0).all()
    assert completion.near is None
    assert (completion.factor == 1).all()
    assert (completion.shape == _half_normal()).all()
    assert (completion.knots == _half_normal()).all()


@pytest.mark.parametrize(
    ("n_rows", "n_held_out", "early"), [(99, 0, False), (100, 20, False), (199, 20, False), (200, 20, True)]
)
def test_number_of_rows_set_aside(n_rows, n_held_out, early, monkeypatch):
    """From 200 rows on they choose the epoch; before, they are only completed."""
    sizes = {}
    original = stacking.fit_completion

    def recorded(network, train, validation, *arguments, **how):
        sizes.update(train=train.n_rows, validation=0 if validation is None else validation.n_rows)
        return original(network, train, validation, *arguments, **how)

    monkeypatch.setattr("skmm.vae.fit_completion", recorded)
    estimator = make().fit(make_values(n_rows, missing=0.0))
    assert sizes == {"train": n_rows - n_held_out, "validation": n_held_out}
    assert (estimator.validation_scores_ is not None) == early
    if not early:
        assert estimator.best_iter_ == estimator.n_iter_ == 4


def test_the_network_alone_is_trained_on_all_rows_of_small_tables():
    values = make_values(150)
    estimator = make(completion="network").fit(values)
    assert estimator.completion_ is None
    assert estimator.loss_curve_ == make(completion="network", early_stopping=False).fit(values).loss_curve_
    assert estimator.loss_curve_ != make().fit(values).loss_curve_


def test_training_is_the_same_where_as_many_rows_are_set_aside():
    """What is learned afterwards draws no number that training would have drawn."""
    values = make_values(300)
    both, network = make().fit(values), make(completion="network").fit(values)
    for first, second in zip(
        both.module_.state_dict().values(), network.module_.state_dict().values(), strict=True
    ):
        assert torch.equal(first, second)
    X = make_values(20, seed=1)
    for name, answer in everything(network, X).items():
        np.testing.assert_array_equal(answer, everything(alone(both), X)[name])


def test_costs_do_not_grow_with_the_table_beyond_caps(monkeypatch):
    """Rows that the linear model is fitted to, and rows that are completed in fit."""
    monkeypatch.setattr(stacking, "MAX_LINEAR_ROWS", 70)
    monkeypatch.setattr(stacking, "MAX_CASES", 150)
    fits, kept, completed = [], [], []
    fit, keep_rows = FactorAnalysis.fit.__func__, KernelRegression.fit.__func__
    predict = stacking.predictive_moments

    def recorded_fit(cls, values, observed, **how):
        fits.append(len(values))
        return fit(cls, values, observed, **how)

    def recorded_rows(cls, values, observed, **how):
        kept.append(len(values))
        return keep_rows(cls, values, observed, **how)

    def recorded_moments(network, blocks, *arguments, **how):
        completed.append(blocks.n_rows)
        return predict(network, blocks, *arguments, **how)

    monkeypatch.setattr(FactorAnalysis, "fit", classmethod(recorded_fit))
    monkeypatch.setattr(KernelRegression, "fit", classmethod(recorded_rows))
    monkeypatch.setattr(stacking, "predictive_moments", recorded_moments)
    for n_rows in (600, 2400):
        make(batch_size=500).fit(make_bent(n_rows))
    assert fits == [70] * 8
    assert kept == [70] * 12
    n = 3 + stacking.N_CELL_CASES
    assert len(completed) == 2 * n
    assert 75 < sum(completed[:n]) <= 150
    assert 75 < sum(completed[n:]) <= 150
    fits.clear()
    completed.clear()
    # wide tables get fewer rows, but not too few
    monkeypatch.setattr(stacking, "MAX_LINEAR_ENTRIES", 6 * 55)
    monkeypatch.setattr(stacking, "MIN_LINEAR_ROWS", 40)
    monkeypatch.setattr(stacking, "MAX_CASE_ENTRIES", 6)
    make().fit(make_values(600, missing=0.0))
    assert fits == [55] * 4
    assert max(completed) == stacking.MIN_CASE_ROWS


# calibration


def make_noisy(n_rows, seed, degrees):
    """Two views of two latent variables, with noise of Student's t distribution."""
    rng = np.random.RandomState(seed)
    weights = np.random.RandomState(5).normal(size=(2, 8))
    noise = np.random.RandomState(seed + 100).standard_t(degrees, size=(n_rows, 8))
    return rng.normal(size=(n_rows, 2)) @ weights + 0.4 * noise


HALVES = {"a": range(4), "b": range(4, 8)}
DEGREES = {"heavy tails": 3, "nearly normal": 50}


@pytest.fixture(scope="module", params=DEGREES)
def noisy(request):
    """An estimator, and what draws rows such as it was fitted to."""

    def draw(n_rows, seed):
        return make_noisy(n_rows, seed, DEGREES[request.param])

    draw.heavy = DEGREES[request.param] < 10
    return MultimodalVAE(2, modalities=HALVES, max_iter=30, random_state=0).fit(draw(1000, 0)), draw


@pytest.mark.parametrize("level", [0.5, 0.9])
@pytest.mark.parametrize("name", ["a", "b"])
def test_intervals_cover_what_they_say(noisy, name, level):
    estimator, draw = noisy
    truth = draw(1000, 1)
    given = hide(truth, name, modalities=HALVES)
    hidden = np.isnan(given)
    tails = [(1 - level) / 2, (1 + level) / 2]
    draws = np.quantile(estimator.sample(200, given=given, random_state=0), tails, axis=0)
    for lower, upper in (draws, estimator.predict_quantiles(given, tails)):
        covered = ((lower <= truth) & (truth <= upper))[hidden].mean()
        assert {0.5: 0.43, 0.9: 0.85}[level] < covered < {0.5: 0.57, 0.9: 0.95}[level]


def test_draws_quantiles_and_deviations_agree(noisy):
    estimator, draw = noisy
    given = hide(draw(60, 2), "b", modalities=HALVES)
    hidden = np.isnan(given)
    draws = estimator.sample(4000, given=given, random_state=0)
    mean, std = estimator.predict(given, return_std=True)
    np.testing.assert_allclose(((draws.mean(0) - mean) / std)[hidden], 0, atol=0.12)
    # of heavy tails, draws lack what lies beyond the last level of the shape
    spread = (draws.std(0) / std)[hidden]
    assert (0.75 if draw.heavy else 0.93) < spread.mean() < 1.07
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    quantiles = estimator.predict_quantiles(given, levels)
    assert (np.diff(quantiles, axis=0) >= 0).all()
    difference = (np.quantile(draws, levels, axis=0) - quantiles) / std
    assert np.abs(difference[:, hidden]).max() < 0.3
    assert np.abs(difference[:, hidden].mean(axis=1)).max() < 0.05


def test_deviations_are_as_large_as_errors():
    """Also of a network that was hardly trained."""
    truth = make_noisy(2000, 3, 50)
    for max_iter in (1, 10):
        estimator = MultimodalVAE(2, modalities=HALVES, max_iter=max_iter, random_state=0)
        estimator.fit(make_noisy(1000, 0, 50))
        ratio = []
        for name in HALVES:
            given = hide(truth, name, modalities=HALVES)
            hidden = np.isnan(given)
            mean, std = estimator.predict(given, return_std=True)
            ratio.append(np.square(((truth - mean) / std)[hidden]).mean() ** 0.5)
        np.testing.assert_allclose(ratio, 1, atol=0.12)


# what is not changed


def test_observed_entries_and_empty_rows_are_the_networks_own(fitted, X):
    rows = np.vstack([X, np.full((2, N_FEATURES), NAN)])
    kept = ~np.isnan(rows) | np.isnan(rows).all(axis=1, keepdims=True)
    together, network = everything(fitted, rows), everything(alone(fitted), rows)
    for name, answer in together.items():
        np.testing.assert_array_equal(answer[..., kept], network[name][..., kept], err_msg=name)
        assert (answer[..., ~kept] != network[name][..., ~kept]).mean() > 0.9, name


def test_latent_variables_scores_and_new_rows_are_the_networks_own(fitted, X):
    other = alone(fitted)
    for ask in (
        lambda model: model.transform(X),
        lambda model: model.posterior_moments(X)[1],
        lambda model: model.score_samples(X),
        lambda model: model.sample(5, random_state=0),
        lambda model: model.inverse_transform(np.zeros((2, 2))),
    ):
        np.testing.assert_array_equal(ask(fitted), ask(other))


def make_mixed(n_rows=200):
    """Numbers, counts, flags and categories, in turn within modalities."""
    rng = np.random.RandomState(0)
    z = rng.normal(size=n_rows)
    frame = pd.DataFrame(
        {
            ("m", "colour"): pd.Categorical.from_codes(np.digitize(z, [-1, 0, 1]), list("wxyz")),
            ("m", "height"): 100 + 20 * z + rng.normal(size=n_rows),
            ("m", "flag"): pd.array(z > 0, dtype="boolean"),
            ("m", "weight"): -z + 0.2 * rng.normal(size=n_rows),
            ("n", "count"): rng.poisson(np.exp(1 + 0.5 * z)).astype(float),
            ("n", "size"): 3 * z + 0.1 * rng.normal(size=n_rows),
            ("o", "late"): pd.array(z < 0.5, dtype="boolean"),
        }
    )
    for name in "mno":
        frame.loc[rng.uniform(size=n_rows) < 0.2, name] = pd.NA
    return frame.mask(rng.uniform(size=frame.shape) < 0.1)


REAL = [("m", "height"), ("m", "weight"), ("n", "size")]


@pytest.fixture(scope="module")
def mixed():
    return make(modalities=None, likelihood={("n", "count"): "poisson"}).fit(make_mixed())


def test_only_real_numbers_are_corrected(mixed):
    X = make_mixed()
    completion, layout = mixed.completion_, mixed.layout_
    assert [layout.labels[layout.order[i]] for i in completion.real] == REAL
    blocks = layout.read(mixed._read(X).matrix)
    values, observed = seen_inputs(mixed.module_, blocks)
    assert values.shape[1] == 10  # four categories
    assert torch.equal(observed[:, completion.inputs], blocks.joint_observed[:, completion.real])
    expected = torch.where(blocks.joint_observed, blocks.joint, 0.0)[:, completion.real]
    assert torch.equal(values[:, completion.inputs], expected)
    missing = X.isna().to_numpy() & X.notna().any(axis=1).to_numpy()[:, None]
    other = alone(mixed)
    for ask in (
        lambda model: model.predict(X),
        lambda model: model.predict(X, return_std=True)[1],
        lambda model: model.impute(X),
        lambda model: model.predict_quantiles(X, 0.9),
        lambda model: model.sample(1, given=X, random_state=0),
    ):
        corrected, network = ask(mixed), ask(other)
        for j, name in enumerate(X):
            if name in REAL:
                different = (corrected[name] != network[name]).to_numpy()
                assert not different[~missing[:, j]].any()
                assert different[missing[:, j]].mean() > 0.9
            else:
                assert corrected[name].equals(network[name])
    assert mixed.predict_category_proba(X).equals(other.predict_category_proba(X))


def test_a_table_without_real_numbers_has_no_completion():
    X = make_mixed()[[("m", "colour"), ("m", "flag"), ("o", "late")]]
    estimator = make(modalities=None).fit(X)
    assert estimator.completion_ is None
    assert estimator.impute(X).notna().all().all()


class OwnNormal(Likelihood):
    """A user's: it says nothing of real numbers."""

    def forward(self, raw):
        return IndependentNormal(raw, torch.ones(self.n_features))


class Unspoken(torch.nn.Module):
    """The same, without the base class that knows the question."""

    kinds = OwnNormal.kinds
    scaling = "standard"

    def __init__(self, n_features):
        super().__init__()
        self.inside = OwnNormal(n_features)

    def __getattr__(self, name):
        if name in ("is_real", "real"):
            raise AttributeError(name)
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inside"), name)

    def forward(self, raw):
        return self.inside(raw)


@pytest.mark.parametrize("likelihood", [OwnNormal, Unspoken])
def test_users_likelihoods_are_left_alone(likelihood):
    estimator = make(likelihood={"c": likelihood}).fit(make_values())
    assert estimator.completion_.real.tolist() == [0, 1, 2, 3]
    assert estimator.completion_.inputs.tolist() == [0, 1, 2, 3]
    X = make_values(30, seed=1)
    answers, others = everything(estimator, X), everything(alone(estimator), X)
    for name, answer in answers.items():
        np.testing.assert_array_equal(answer[..., MODALITIES["c"]], others[name][..., MODALITIES["c"]])
    assert make(likelihood=likelihood).fit(make_values()).completion_ is None


@pytest.mark.parametrize("likelihood", ["student_t", "laplace", "heteroscedastic_normal", "low_rank_normal"])
def test_likelihoods_of_real_numbers(likelihood):
    estimator = make(likelihood=likelihood).fit(make_values())
    assert len(estimator.completion_.real) == N_FEATURES
    for answer in everything(estimator, make_values(30, seed=1)).values():
        assert np.isfinite(answer).all()


@pytest.mark.parametrize("likelihood", ["log_normal", "gamma", "poisson"])
def test_likelihoods_of_other_numbers(likelihood):
    values = np.round(np.exp(np.random.RandomState(0).normal(1, 1, size=(150, N_FEATURES)))) + 1
    estimator = make(likelihood=likelihood).fit(values)
    assert estimator.completion_ is None


@pytest.mark.parametrize("n_rows", [150, 1500])
def test_numbers_of_which_there_is_none(n_rows):
    """Beside flags: nothing is learned about completing them, and nothing fails."""
    values = np.full((n_rows, N_FEATURES), NAN)
    values[:, [1, 2, 5]] = np.random.RandomState(0).uniform(size=(n_rows, 3)) < 0.5
    likelihood = dict.fromkeys(("b", "c"), "bernoulli")
    estimator = make(likelihood=likelihood).fit(values)
    assert np.isfinite(estimator.impute(values)).all()


# corners


def check_every_answer(estimator, X):
    for name, answer in everything(estimator, X).items():
        assert np.isfinite(answer).all(), name
    imputed, observed = estimator.impute(X), ~np.isnan(X)
    assert (imputed[observed].view(np.int64) == X[observed].view(np.int64)).all()


@pytest.mark.parametrize("n_rows", [2, 5, 30, 99, 100, 150])  # scikit-learn wants two
@pytest.mark.parametrize("modalities", [MODALITIES, None], ids=["three", "one"])
def test_any_number_of_rows(n_rows, modalities):
    values = make_values(n_rows + 1)[1:]
    values[0, 0] = 1.0
    estimator = make(modalities=modalities).fit(values)
    check_every_answer(estimator, make_values(20, seed=1))


@pytest.mark.parametrize("n_rows", [2, 5, 150])
def test_one_column(n_rows):
    values = np.random.RandomState(0).normal(3, 2, size=(n_rows, 1))
    values[-1] = NAN
    estimator = make(modalities=None).fit(values)
    X = np.array([[1.0], [NAN]])
    for name, answer in everything(estimator, X).items():  # nothing, or all, is observed
        np.testing.assert_array_equal(answer, everything(alone(estimator), X)[name])


@pytest.mark.parametrize("n_rows", [50, 150])
def test_corners_of_columns(n_rows):
    """Never observed, constant, twice the same, observed once, of a whole modality that was never there."""
    values = make_values(n_rows)
    values[:, 0] = NAN
    values[:, 3] = np.where(np.isnan(values[:, 3]), NAN, 4.5)
    values[:, 5] = values[:, 2]
    values[1:, 4] = NAN
    values[0, 4] = 2.0
    estimator = make().fit(values)
    X = make_values(30, seed=1)
    mean, std = estimator.predict(X, return_std=True)
    assert (mean[:, 0] == 0).all()
    assert (std[:, 0] == 1).all()
    assert (mean[:, 3] == 4.5).all()
    assert (std[:, 3] == 0).all()
    check_every_answer(estimator, X)
    without = hide(make_values(n_rows), "a", modalities=MODALITIES)
    check_every_answer(make().fit(without), X)
    apart = make_values(n_rows)
    apart[::2, 1:3] = apart[::2, 5] = NAN
    apart[1::2, [0, 3, 4]] = NAN
    check_every_answer(make().fit(apart), X)
    lonely = make_values(n_rows)
    lonely[~np.isnan(lonely[:, 1]), :1] = lonely[~np.isnan(lonely[:, 1]), 2:] = NAN
    check_every_answer(make().fit(lonely), X)


@pytest.mark.parametrize("unit", [1e-30, 1e30, 1e200])
def test_units_do_not_matter(unit):
    values = make_values(120, missing=0.2)
    shifted = values * unit
    X = make_values(20, seed=1)
    expected, found = make().fit(values).impute(X), make().fit(shifted).impute(X * unit)
    np.testing.assert_allclose(found / unit, expected, rtol=1e-3, atol=1e-3)


def test_large_offsets():
    """Columns whose values float32 cannot tell apart."""
    values = make_values(150)
    far = values + 1e12
    X = make_values(20, seed=1)
    worst = []
    for seed in range(3):  # which models have a weight is a choice, and one of them may tip
        near = make(random_state=seed).fit(values).impute(X)
        worst.append(np.abs(make(random_state=seed).fit(far).impute(X + 1e12) - 1e12 - near).max())
    assert np.median(worst) < 0.05


def test_outliers_in_what_is_completed(fitted):
    X = make_values(5, seed=1, missing=0.0)
    X[:, 0] = [1e6, -1e6, 1e12, -1e12, NAN]
    X[:, 1] = NAN
    check_every_answer(fitted, X)


def test_outliers_in_fit():
    values = make_values(300)
    values[10, 0], values[200, 2] = 1e9, -1e9
    check_every_answer(make().fit(values), make_values(20, seed=1))


@pytest.mark.parametrize("objective", ["elbo", "iwae", "unimodal_elbo"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_rules_and_objectives(fusion, objective):
    estimator = make(fusion=fusion, objective=objective).fit(make_values(120))
    assert (estimator.completion_.factor != 1).any()
    check_every_answer(estimator, make_values(20, seed=1))


def test_modalities_may_stand_anywhere(fitted, X):
    """The table's columns in another order, under the same names: answers follow."""
    order = [5, 0, 2, 4, 1, 3]
    names = {name: [order.index(column) for column in columns] for name, columns in MODALITIES.items()}
    # within a modality, columns keep the order in which they are named
    other = make(modalities=names).fit(make_values()[:, order])
    for name, answer in everything(fitted, X).items():
        found = everything(other, X[:, order])[name]
        np.testing.assert_allclose(found, answer[..., order], rtol=1e-5, atol=1e-5, err_msg=name)


# scikit-learn's conventions


def test_pickling_and_copies(fitted, X):
    expected = everything(fitted, X)
    loaded = pickle.loads(pickle.dumps(fitted))
    for other in (loaded, copy.deepcopy(fitted), clone(fitted).fit(make_values())):
        assert isinstance(other.completion_, Completion)
        for name, answer in everything(other, X).items():
            np.testing.assert_array_equal(answer, expected[name], err_msg=name)


def test_completion_is_a_parameter():
    assert make().get_params()["completion"] == "stacked"
    assert clone(make(completion="network")).completion == "network"
    with pytest.raises(ValueError, match="completion"):
        make(completion="linear").fit(make_values())


def test_fitting_again():
    """Of a warm start the network continues; completion is learned anew, from the rows that are given."""
    estimator = make(warm_start=True).fit(make_values())
    before = estimator.completion_
    estimator.fit(make_values(seed=7))
    assert not torch.equal(before.linear.loc, estimator.completion_.linear.loc)
    assert estimator.set_params(completion="network").fit(make_values()).completion_ is None
    estimator.set_params(completion="stacked").fit(make_values())
    check_every_answer(estimator, make_values(20, seed=1))


def test_what_was_asked_for_in_fit_counts(X):
    """Setting the parameter afterwards changes nothing until the next fit."""
    estimator = make().fit(make_values())
    expected = estimator.impute(X)
    np.testing.assert_array_equal(estimator.set_params(completion="network").impute(X), expected)


@pytest.mark.gpu
def test_tables_of_mixed_columns_on_a_gpu():
    X = make_mixed()
    estimator = make(modalities=None, device="cuda").fit(X)
    on_cpu = pickle.loads(pickle.dumps(estimator)).set_params(device="cpu")
    first, second = (model.impute(X)[REAL].astype(float) for model in (estimator, on_cpu))
    np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-3)
    assert estimator.sample(2, given=X, random_state=0)[REAL].notna().all().all()
    assert estimator.predict_quantiles(X, [0.1, 0.9])[REAL].notna().all().all()
