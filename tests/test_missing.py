"""What missing data may and may not do: the invariants, for every estimator and every fusion rule."""

import copy
import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from skmm import MultimodalVAE, hide, keep
from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng
from skmm.networks.vae import VAENetwork
from skmm.probability.factor_analysis import FactorAnalysis
from skmm.probability.fusion import FUSIONS
from skmm.training.objectives.bounds import ELBO
from skmm.training.objectives.registry import OBJECTIVES

NAN = np.nan
ESTIMATORS = [MultimodalVAE]
MODALITIES = {"audio": [0, 1], "text": [2], "video": [3, 4, 5]}
MIXTURES = {"moe", "mopoe"}  # what OF_MIXTURES have to do with
OF_MIXTURES = {"mmvae", "mmvm"}
NAMES = pd.MultiIndex.from_tuples(
    [(name, f"f{column}") for name, columns in MODALITIES.items() for column in columns]
)
CONTAINERS = {
    "array": np.array,
    "frame": lambda values: pd.DataFrame(
        values, columns=NAMES, index=pd.Index([f"row{i}" for i in range(len(values))], dtype=object)
    ),
}


def make_values(n_rows=50, seed=0):
    """All patterns of missing modalities, missing cells, and rows 0 to 2 with nothing at all."""
    rng = np.random.RandomState(seed)
    values = rng.normal(size=(n_rows, 2)) @ rng.normal(size=(2, 6)) + 0.3 * rng.normal(size=(n_rows, 6))
    values = values * [1, 10, 1, 0.1, 3, 1] + [0, 5, -100, 2, 0, 0]
    values[rng.uniform(size=values.shape) < 0.1] = NAN
    for columns in MODALITIES.values():
        values[np.ix_(rng.uniform(size=n_rows) < 0.3, columns)] = NAN
    values[:3] = NAN
    return values


def make(estimator=MultimodalVAE, container="array", **parameters):
    """An estimator that fits in a few hundredths of a second."""
    settings = {
        "n_components": 2,
        "hidden_layer_sizes": (8,),
        "max_iter": 4,
        "n_draws": 16,
        "random_state": 0,
    }
    if container == "array":
        settings["modalities"] = MODALITIES
    return estimator(**(settings | parameters))


@pytest.fixture(params=ESTIMATORS, scope="module")
def estimator_class(request):
    return request.param


@pytest.fixture(params=FUSIONS, scope="module")
def fusion(request):
    return request.param


@pytest.fixture(params=CONTAINERS, scope="module")
def container(request):
    return request.param


@pytest.fixture(scope="module", params=[50, 150], ids=["few", "enough"])
def fitted(estimator_class, fusion, container, request):
    """Shared, because nothing but fit may change an estimator.

    Few rows: none are set aside, and completion's weights are even. Enough: weights, factors and shapes have
    been learned.
    """
    estimator = make(
        estimator_class, container, fusion=fusion, objective="iwae" if fusion == "moe" else "elbo"
    )
    estimator.fit(CONTAINERS[container](make_values(request.param)))
    assert (estimator.completion_.factor != 1).any() == (request.param == 150)
    return estimator


@pytest.fixture
def X(container):
    return CONTAINERS[container](make_values(seed=1))


METHODS = {
    "transform": lambda estimator, X: estimator.transform(X),
    "posterior_moments": lambda estimator, X: np.stack(estimator.posterior_moments(X), axis=1),
    "predict": lambda estimator, X: estimator.predict(X),
    "predict_std": lambda estimator, X: estimator.predict(X, return_std=True)[1],
    "predict_quantiles": lambda estimator, X: estimator.predict_quantiles(X, 0.9),
    "impute": lambda estimator, X: estimator.impute(X),
    "score_samples": lambda estimator, X: estimator.score_samples(X),
}  # one result per row, each without a random number
SAMPLE = {"sample": lambda estimator, X: estimator.sample(2, given=X, random_state=0)}
EVERYTHING = METHODS | SAMPLE | {"fit": lambda estimator, X: estimator.fit(X)}


def array_of(result):
    return np.asarray(result, dtype=np.float64)


def assert_same(first, second, X, other=None, **tolerance):
    """Two estimators say the same of X (the second of ``other``), row by row."""
    for name, method in METHODS.items():
        expected, actual = array_of(method(first, X)), array_of(method(second, X if other is None else other))
        if tolerance:
            np.testing.assert_allclose(actual, expected, err_msg=name, **tolerance)
        else:
            np.testing.assert_array_equal(actual, expected, err_msg=name)


def rows_of(X, index):
    return X.iloc[index] if isinstance(X, pd.DataFrame) else X[index]


# 1. what stands under a mask never matters


@pytest.mark.parametrize("below", [NAN, 0.0, -7.0, 1e30, np.inf])
def test_values_under_the_mask_of_a_masked_array_do_not_matter(estimator_class, fusion, below):
    values = make_values()
    expected = make(estimator_class, fusion=fusion).fit(values)
    masked = np.ma.masked_array(np.where(np.isnan(values), below, values), mask=np.isnan(values))
    estimator = make(estimator_class, fusion=fusion).fit(masked)
    assert_same(expected, estimator, values, masked)


def test_marks_of_missing_values_do_not_matter(estimator_class, fusion):
    """None, pandas.NA and NaN say the same."""
    frame = CONTAINERS["frame"](make_values())
    expected = make(estimator_class, "frame", fusion=fusion).fit(frame)
    nullable = frame.convert_dtypes()
    assert nullable.dtypes.astype(str).eq("Float64").all()
    objects = frame.astype(object).where(frame.notna(), None)
    for other in (nullable, objects):
        estimator = make(estimator_class, "frame", fusion=fusion).fit(other)
        for name in ("transform", "predict", "score_samples"):
            actual = array_of(METHODS[name](estimator, other))
            np.testing.assert_array_equal(actual, array_of(METHODS[name](expected, frame)), err_msg=name)


def filled(blocks, value):
    """The same blocks with another number wherever nothing was observed."""
    joint = torch.where(blocks.joint_observed, blocks.joint, torch.tensor(value, dtype=blocks.joint.dtype))
    return Blocks(joint, blocks.joint_observed, blocks.present, blocks.sizes)


def loss_and_gradients(network, objective, inputs, targets):
    network.zero_grad()
    with isolated_rng(0):
        loss = objective(network, inputs, targets, 0.7).loss
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    return loss.detach(), gradients


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("value", [-7.0, 1e4])
def test_the_filling_of_blocks_does_not_matter_in_training(fitted, X, objective, value):
    if objective in OF_MIXTURES and fitted.fusion not in MIXTURES:
        pytest.skip("needs a mixture")
    network = copy.deepcopy(fitted.module_)
    blocks = fitted.layout_.read(np.asarray(X))
    loss, gradients = loss_and_gradients(network, OBJECTIVES[objective](), blocks, blocks)
    other = filled(blocks, value)
    other_loss, other_gradients = loss_and_gradients(network, OBJECTIVES[objective](), other, other)
    torch.testing.assert_close(other_loss, loss)
    torch.testing.assert_close(other_gradients, gradients)


def test_what_is_missing_has_no_likelihood(fitted, X):
    blocks = fitted.layout_.read(np.asarray(X))
    z = torch.zeros(1, blocks.n_rows, 2)
    with torch.no_grad():
        (likelihood,) = fitted.module_.log_likelihood(fitted.module_.decode(z), blocks).unbind(1)
    assert (likelihood[~blocks.present] == 0).all()
    assert (likelihood[blocks.present] != 0).all()


# 2. an absent modality has no influence, even if its expert is NaN or infinite


class Poison(nn.Module):
    """Encoder that returns something useless for an input of zeros, which is what it is given in absence."""

    def __init__(self, n_in, n_out, poison):
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        self.poison = poison

    def forward(self, x):
        absent = (x == 0).all(-1, keepdim=True)
        return torch.where(absent, self.poison, self.linear(x))


class Wholesome(Poison):
    """The same for what is present, and a number for what is absent."""

    def __init__(self, n_in, n_out, poison):
        super().__init__(n_in, n_out, 0.0)


class Factory:
    def __init__(self, encoder, poison):
        self.encoder = encoder
        self.poison = poison

    def __call__(self, n_in, n_out):
        return self.encoder(n_in, n_out, self.poison)


def with_encoders(encoder, poison):
    return {name: Factory(encoder, poison) for name in MODALITIES}


# rules that look at experts at all
RULES_OF_EXPERTS = [name for name, rule in FUSIONS.items() if getattr(rule, "uses_experts", True)]
# every rule with the two kinds of bound, every objective with a rule that it is for
OBJECTIVES_OF_EXPERTS = pytest.mark.parametrize(
    ("objective", "fusion"),
    [
        *itertools.product(["elbo", "iwae"], RULES_OF_EXPERTS),
        *(
            (name, "moe" if name in OF_MIXTURES else "poe")
            for name in OBJECTIVES
            if name not in ("elbo", "iwae")
        ),
    ],
)
POISONS = pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf], ids=["nan", "inf", "-inf"])


@POISONS
@OBJECTIVES_OF_EXPERTS
def test_poisonous_experts_of_absent_modalities(estimator_class, fusion, objective, poison):
    """Training and every result are those of an encoder that behaves."""
    X = make_values()
    wholesome = make(
        estimator_class, fusion=fusion, objective=objective, encoders=with_encoders(Wholesome, poison)
    )
    poisonous = make(
        estimator_class, fusion=fusion, objective=objective, encoders=with_encoders(Poison, poison)
    )
    assert_same(wholesome.fit(X), poisonous.fit(X), make_values(seed=1))
    assert wholesome.loss_curve_ == poisonous.loss_curve_


@POISONS
@OBJECTIVES_OF_EXPERTS
def test_gradients_with_poisonous_experts(estimator_class, fusion, objective, poison):
    """Masking after the density would give a finite loss and a gradient that is NaN."""
    wholesome = make(estimator_class, fusion=fusion, encoders=with_encoders(Wholesome, poison)).fit(
        make_values()
    )
    network = wholesome.module_.train()
    blocks = wholesome.layout_.read(make_values(seed=1))
    expected = loss_and_gradients(network, OBJECTIVES[objective](), blocks, blocks)
    for encoder, size in zip(network.encoders, blocks.sizes, strict=True):
        encoder.poison = poison
        assert not encoder(torch.zeros(1, size)).isfinite().any()
    loss, gradients = loss_and_gradients(network, OBJECTIVES[objective](), blocks, blocks)
    torch.testing.assert_close(loss, expected[0])
    torch.testing.assert_close(gradients, expected[1])
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert any(gradient.any() for name, gradient in gradients.items() if name.startswith("encoders"))


# 3. a row with nothing observed gets the prior


def test_rows_with_nothing_get_the_prior(fitted, X):
    nothing = rows_of(X, slice(0, 3))
    assert np.isnan(array_of(nothing)).all()
    loc, scale = fitted.posterior_moments(nothing)
    np.testing.assert_allclose(loc, 0, atol=1e-6)
    np.testing.assert_allclose(scale, 1, rtol=1e-6)
    assert (fitted.score_samples(nothing) == 0).all()
    assert fitted.score(nothing) == 0.0


def test_rows_with_nothing_are_completed_like_new_rows(fitted, container):
    nothing = CONTAINERS[container](np.full((4000, 6), NAN))
    new = array_of(fitted.sample(4000, random_state=0))
    tolerance = 6 * new.std(0) / np.sqrt(len(new))
    drawn = array_of(fitted.sample(1, given=nothing, random_state=1)).reshape(4000, 6)
    np.testing.assert_array_less(np.abs(drawn.mean(0) - new.mean(0)), tolerance)
    np.testing.assert_allclose(drawn.std(0), new.std(0), rtol=0.1)
    expected, std = copy.copy(fitted).set_params(n_draws=1024).predict(nothing[:1], return_std=True)
    np.testing.assert_array_less(np.abs(array_of(expected)[0] - new.mean(0)), tolerance)
    np.testing.assert_allclose(array_of(std)[0], new.std(0), rtol=0.1)


def test_rows_with_nothing_are_no_part_of_training(estimator_class, fusion):
    values = make_values()
    without = make(estimator_class, fusion=fusion).fit(values[3:])
    with_more = np.concatenate([values, np.full((20, 6), NAN)])
    assert_same(without, make(estimator_class, fusion=fusion).fit(with_more), values)


@pytest.mark.parametrize("method", METHODS | SAMPLE)
def test_rows_with_nothing_in_every_method(fitted, X, method):
    result = array_of((METHODS | SAMPLE)[method](fitted, rows_of(X, slice(0, 3))))
    assert np.isfinite(result).all()
    if method in METHODS:
        np.testing.assert_array_equal(result, np.tile(result[:1], (3, *[1] * (result.ndim - 1))))


# 4. a column that was never observed


def test_column_never_observed(estimator_class, fusion, container):
    values = make_values()
    values[:, 4] = NAN
    X = CONTAINERS[container](values)
    estimator = make(estimator_class, container, fusion=fusion).fit(X)  # a warning would be an error here
    assert estimator.layout_.location[4] == 0
    assert estimator.layout_.scale[4] == 1
    mean, std = (array_of(result) for result in estimator.predict(X, return_std=True))
    assert (mean[:, 4] == 0).all()
    assert (std[:, 4] == 1).all()
    for method in (METHODS | SAMPLE).values():
        assert np.isfinite(array_of(method(estimator, X))).all()


def test_column_never_observed_is_ignored_when_it_appears(estimator_class, fusion):
    values = make_values()
    values[:, 4] = NAN
    estimator = make(estimator_class, fusion=fusion).fit(values)
    observed = values.copy()
    observed[:, 4] = 1e6
    for name in ("transform", "predict", "score_samples"):
        expected, actual = (array_of(METHODS[name](estimator, X)) for X in (values, observed))
        np.testing.assert_array_equal(actual, expected, err_msg=name)
    assert (estimator.impute(observed)[:, 4] == 1e6).all()


# 5. a modality that was never observed in fit


def test_modality_never_seen(estimator_class, fusion, container):
    X = CONTAINERS[container](make_values())
    names = {} if container == "frame" else {"modalities": MODALITIES}
    without = hide(X, "audio", **names)
    estimator = make(estimator_class, container, fusion=fusion).fit(without)
    for x in (X, without, keep(X, "audio", **names)):
        for name, method in (METHODS | SAMPLE).items():
            assert np.isfinite(array_of(method(estimator, x))).all(), name
        np.testing.assert_array_equal(estimator.transform(x), estimator.transform(hide(x, "audio", **names)))
    assert (estimator.score_samples(keep(X, "audio", **names)) == 0).all()
    assert np.isfinite(array_of(estimator.sample(5, random_state=0))).all()
    assert np.isfinite(array_of(estimator.inverse_transform(np.zeros((2, 2))))).all()


def test_modality_that_is_constant(estimator_class, fusion, container):
    values = make_values()
    values[:, 2] = np.where(np.isnan(values[:, 2]), NAN, 4.5)
    X = CONTAINERS[container](values)
    estimator = make(estimator_class, container, fusion=fusion).fit(X)
    mean, std = (array_of(result) for result in estimator.predict(X, return_std=True))
    assert (mean[:, 2] == 4.5).all()
    assert (std[:, 2] == 0).all()
    assert (array_of(estimator.impute(X))[:, 2] == 4.5).all()
    assert (array_of(estimator.sample(5, random_state=0))[:, 2] == 4.5).all()
    surprise = values.copy()
    surprise[:, 2] = 1e6
    np.testing.assert_array_equal(
        estimator.score_samples(CONTAINERS[container](surprise)), estimator.score_samples(X)
    )


def make_mixed(n_rows=60):
    """A table of flags and numbers, in which each says something about the other."""
    rng = np.random.RandomState(0)
    factor = rng.normal(size=n_rows)
    frame = pd.DataFrame(
        {
            ("answers", "yes"): pd.array(factor > 0, dtype="boolean"),
            ("answers", "no"): pd.array(factor < -0.5, dtype="boolean"),
            ("sizes", "x"): factor + 0.1 * rng.normal(size=n_rows),
            ("sizes", "y"): 100 - 50 * factor + rng.normal(size=n_rows),
            ("both", "flag"): pd.array(factor > 1, dtype="boolean"),
            ("both", "number"): 3 * factor,
        }
    )
    for name in ("answers", "sizes", "both"):
        frame.loc[rng.uniform(size=n_rows) < 0.3, name] = pd.NA
    frame.iloc[0] = pd.NA
    return frame


def test_flags_and_numbers_together(estimator_class, fusion):
    X = make_mixed()
    estimator = make(estimator_class, "frame", fusion=fusion).fit(X)
    for name, method in (METHODS | SAMPLE).items():
        assert np.isfinite(array_of(method(estimator, X))).all(), name
    flags = [("answers", "yes"), ("answers", "no"), ("both", "flag")]
    probability = estimator.predict(X)[flags]
    assert ((probability > 0) & (probability < 1)).all().all()
    imputed = estimator.impute(X)
    assert imputed.dtypes.equals(X.dtypes)
    for flag in flags:
        missing = X[flag].isna()
        assert (imputed.loc[missing, flag] == (probability.loc[missing, flag] >= 0.5)).all()
    assert estimator.sample(3, given=X, random_state=0)[flags].dtypes.eq("boolean").all()
    assert estimator.sample(3, random_state=0).dtypes.equals(X.dtypes)


def test_a_flag_that_was_never_seen_is_even(estimator_class, fusion):
    X = make_mixed()
    X["answers"] = X["answers"].mask(np.ones((len(X), 2), dtype=bool))
    estimator = make(estimator_class, "frame", fusion=fusion).fit(X)
    mean, std = estimator.predict(X, return_std=True)
    assert mean["answers"].eq(0.5).all().all()
    assert std["answers"].eq(0.5).all().all()


def test_learns_across_flags_and_numbers(estimator_class, fusion):
    """Flags are told from numbers and numbers from flags."""
    X = make_mixed(300)
    estimator = make(
        estimator_class, "frame", fusion=fusion, max_iter=30, learning_rate_init=0.03, batch_size=50
    ).fit(X)
    known = X.notna().to_numpy().all(axis=1)
    truth = X.loc[known, ("answers", "yes")].astype(bool)
    probability = estimator.predict(keep(X[known], "sizes"))["answers", "yes"]
    assert ((probability > 0.5) == truth).mean() > 0.9
    y = estimator.predict(keep(X[known], "answers"))["sizes", "y"]
    assert np.corrcoef(y, X.loc[known, ("sizes", "y")].astype(float))[0, 1] > 0.7


# 6. impute returns observed entries bit-identical


def test_imputed_tables_keep_every_observed_bit(fitted, container):
    values = make_values(seed=2)
    values[5] = [0.1, -0.0, 1e-310, 1 / 3, 123456789.123456789, NAN]
    X = CONTAINERS[container](values)
    observed = ~np.isnan(values)
    for result in (
        fitted.impute(X),
        *(rows for rows in split_draws(fitted.sample(2, given=X, random_state=0))),
    ):
        assert type(result) is type(X)
        imputed = np.asarray(result)
        assert imputed.dtype == np.float64
        assert (imputed[observed].view(np.int64) == values[observed].view(np.int64)).all()
        assert np.isfinite(imputed).all()


def split_draws(draws):
    if isinstance(draws, pd.DataFrame):
        return [draws.xs(key, level="draw") for key in (0, 1)]
    return list(draws)


def test_imputed_columns_keep_their_types(estimator_class, fusion):
    rng = np.random.RandomState(0)
    X = pd.DataFrame(
        {
            "a__float32": rng.normal(size=40).astype(np.float32),
            "a__float64": rng.normal(size=40),
            "b__whole": pd.array(rng.randint(2**60, 2**60 + 9, size=40), dtype="Int64"),
            "b__flag": pd.array(rng.uniform(size=40) < 0.5, dtype="boolean"),
            "b__object": pd.Series(rng.uniform(size=40) < 0.5, dtype=object),
        }
    )
    X = X.mask(rng.uniform(size=X.shape) < 0.2)
    X["c__complete"] = np.arange(40)
    estimator = make(estimator_class, "frame", modalities="prefix", fusion=fusion).fit(X)
    imputed = estimator.impute(X)
    assert imputed.dtypes.equals(X.dtypes)
    assert imputed.notna().all().all()
    for name in X:
        known = X[name].notna()
        assert imputed.loc[known, name].tolist() == X.loc[known, name].tolist()
    assert imputed["b__object"].map(type).eq(bool).all()


def test_complete_tables_come_back_as_they_are(fitted, container):
    complete = CONTAINERS[container](np.nan_to_num(make_values()))
    imputed = fitted.impute(complete)
    assert imputed is not complete
    np.testing.assert_array_equal(imputed, complete)


# 7. permuting the modalities permutes outputs only


def permuted_fusion(network, order):
    """The fusion rule, with what it has learned of each modality in another order."""
    fusion = copy.deepcopy(network.fusion)
    with torch.no_grad():
        for name in ("log_powers", "modality"):
            if hasattr(fusion, name):
                getattr(fusion, name).copy_(getattr(network.fusion, name)[order])
        if isinstance(fusion, FUSIONS["set"]):  # the modalities' features, one number each
            sizes = [likelihood.n_inputs for likelihood in network.likelihoods]
            columns = torch.cat([torch.arange(sum(sizes)).split(sizes)[i] for i in order])
            fusion.features = tuple(fusion.features[i] for i in order)
            fusion.embedding.copy_(network.fusion.embedding[columns])
            fusion.bias.copy_(network.fusion.bias[columns])
        if isinstance(fusion, FUSIONS["joint"]):
            n_inputs = [2 * likelihood.n_inputs for likelihood in network.likelihoods]
            columns = torch.cat([torch.arange(sum(n_inputs)).split(n_inputs)[i] for i in order])
            weight = fusion.encoder.first.weight
            weight.copy_(weight[:, columns].clone())
    return fusion


def permuted_completion(completion, sizes, order):
    """What corrects completions, with its features in another order."""
    assert torch.equal(completion.real, torch.arange(sum(sizes)))
    assert torch.equal(completion.inputs, completion.real)
    columns = torch.cat([torch.arange(sum(sizes)).split(sizes)[i] for i in order])
    linear, near = completion.linear, completion.near
    if near is not None:
        near = replace(
            near,
            **{name: getattr(near, name)[..., columns] for name in ("loc", "variance", "known", "observed")},
        )
    return replace(
        completion,
        near=near,
        linear=FactorAnalysis(linear.loc[columns], linear.loadings[columns], linear.variance[columns]),
        weight=completion.weight[..., columns],
        share=completion.share[:, columns],
        factor=completion.factor[:, columns],
        knots=completion.knots[:, columns],
        shape=completion.shape[:, columns],
    )


def permuted(estimator, order):
    """The same fitted estimator with its modalities held in another order."""
    network, layout = copy.deepcopy(estimator.module_), estimator.layout_
    other = copy.copy(estimator)
    other.module_ = VAENetwork(
        names=[network.names[i] for i in order],
        encoders=[network.encoders[i] for i in order] if len(network.encoders) else [],
        decoders=[network.decoders[i] for i in order],
        likelihoods=[network.likelihoods[i] for i in order],
        sees_mask=[network.sees_mask[i] for i in order],
        fusion=permuted_fusion(network, order),
        family=network.family,
        prior=network.prior,
        weights=[float(network.modality_weights[i]) for i in order],
        n_components=network.n_components,
    ).eval()
    other.module_.importance_weighted = network.importance_weighted
    other.completion_ = permuted_completion(estimator.completion_, layout.sizes, order)
    other.layout_ = replace(
        layout, names=tuple(layout.names[i] for i in order), columns=tuple(layout.columns[i] for i in order)
    )
    return other


@pytest.mark.parametrize("order", [[2, 0, 1], [1, 0, 2]], ids=str)
def test_permuted_modalities(fitted, X, order):
    other = permuted(fitted, order)
    for expected, actual in zip(fitted.posterior_moments(X), other.posterior_moments(X), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    Z = np.random.RandomState(0).normal(size=(5, 2))
    np.testing.assert_allclose(fitted.inverse_transform(Z), other.inverse_transform(Z), rtol=1e-5, atol=1e-6)

    blocks, other_blocks = fitted.layout_.read(np.asarray(X)), other.layout_.read(np.asarray(X))
    z = torch.tensor(np.tile(Z[:, None], (1, len(X), 1)), dtype=torch.float32)
    with torch.no_grad():
        networks = (fitted.module_, blocks), (other.module_, other_blocks)
        density, other_density = (net.posterior(rows).log_prob(z) for net, rows in networks)
        likelihood, other_likelihood = (net.log_likelihood(net.decode(z), rows) for net, rows in networks)
    torch.testing.assert_close(other_density, density, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(other_likelihood, likelihood[order], rtol=1e-5, atol=1e-5)
    assert_same(fitted, other, X, rtol=1e-5, atol=1e-5)


# 8. inf raises


@pytest.mark.parametrize("method", EVERYTHING)
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values_raise(fitted, X, method, value):
    X = X.copy()
    where = np.argwhere(~np.isnan(np.asarray(X)))[0]
    if isinstance(X, pd.DataFrame):
        X.iloc[*where] = value
    else:
        X[*where] = value
    asked = copy.deepcopy(fitted) if method == "fit" else fitted
    with pytest.raises(ValueError, match="infinity"):
        EVERYTHING[method](asked, X)


# 9. the caller's data are never changed


@pytest.mark.parametrize("method", EVERYTHING)
def test_data_are_never_changed(fitted, X, method):
    before = X.copy()
    result = EVERYTHING[method](copy.deepcopy(fitted) if method == "fit" else fitted, X)
    if isinstance(result, pd.DataFrame):
        result.iloc[:] = -1.0  # what comes back is the caller's own
    elif isinstance(result, np.ndarray):
        result[:] = -1.0
    if isinstance(X, pd.DataFrame):
        pd.testing.assert_frame_equal(X, before)
    else:
        np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("method", EVERYTHING)
def test_read_only_data(estimator_class, method):
    values = np.asfortranarray(make_values())[:, ::-1]
    values.flags.writeable = False
    estimator = make(estimator_class).fit(values)
    assert EVERYTHING[method](estimator, values) is not None


# 10. a row's results do not depend on its batch

CLOSE = {"rtol": 1e-4, "atol": 1e-6}


@pytest.mark.parametrize("method", METHODS)
def test_a_row_alone_and_in_its_batch(fitted, X, method):
    together = array_of(METHODS[method](fitted, X))
    alone = [array_of(METHODS[method](fitted, rows_of(X, slice(i, i + 1)))) for i in range(12)]
    np.testing.assert_allclose(np.concatenate(alone), together[:12], **CLOSE)


@pytest.mark.parametrize("method", METHODS)
def test_patterns_of_missingness_do_not_mix(fitted, X, method):
    """All patterns in one batch, and each in a batch of its own."""
    patterns = np.isnan(np.asarray(X)) @ 2 ** np.arange(6)
    assert len(set(patterns)) > 10
    together = array_of(METHODS[method](fitted, X))
    for pattern in set(patterns):
        rows = patterns == pattern
        np.testing.assert_allclose(
            array_of(METHODS[method](fitted, rows_of(X, rows))), together[rows], **CLOSE
        )


def test_repeated_calls_say_the_same(fitted, X):
    for method in METHODS.values():
        np.testing.assert_array_equal(array_of(method(fitted, X)), array_of(method(fitted, X)))


def test_passes_of_bounded_memory_say_the_same(fitted, X, monkeypatch):
    expected = {name: array_of(method(fitted, X)) for name, method in METHODS.items()}
    monkeypatch.setattr("skmm.inference.expectations.rows_per_pass", lambda n_draws, width: 7)
    for name, method in METHODS.items():
        np.testing.assert_allclose(array_of(method(fitted, X)), expected[name], err_msg=name, **CLOSE)


# missing in fit: cells, modalities, and both at once


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_fit_with_every_pattern(estimator_class, fusion, objective):
    estimator = make(
        estimator_class, fusion=fusion, objective=objective, modality_dropout=0.9, cell_dropout=0.5
    )
    if objective in OF_MIXTURES and fusion not in MIXTURES:
        with pytest.raises(ValueError, match=r"objective=.* fusion="):
            estimator.fit(make_values())
        return
    estimator.fit(make_values())
    assert np.isfinite(estimator.loss_curve_).all()


def test_modalities_never_observed_together(estimator_class, fusion):
    """Nothing to learn across them, and nothing to fail of."""
    values = make_values()
    values[::2, :2] = NAN
    values[1::2, 2:] = NAN
    estimator = make(estimator_class, fusion=fusion).fit(values)
    for name, method in METHODS.items():
        assert np.isfinite(array_of(method(estimator, make_values(seed=1)))).all(), name


def test_objectives_score_hidden_targets():
    """Training hides a modality from the encoders, not from the loss: otherwise nothing is learned across."""
    X = np.random.RandomState(0).normal(size=(30, 1)) * np.ones(6)
    estimator = make(modality_dropout=0.0, cell_dropout=0.0, early_stopping=False).fit(X)
    blocks = estimator.layout_.read(X)
    hidden = estimator.layout_.read(hide(X, "video", modalities=MODALITIES))
    with isolated_rng(0), torch.no_grad():
        terms = ELBO()(estimator.module_, hidden, blocks, 1.0)
    assert terms.reconstruction[2] != 0
