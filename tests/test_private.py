"""Latent variables that a modality has for itself."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

from skmm import MultimodalVAE, hide, keep

MODALITIES = {"a": range(4), "b": range(4, 9), "c": range(9, 12)}


def make_styles(n_rows=300, seed=0, missing=0.3):
    """Two latent variables that all modalities show, and one of each alone; modalities are missing."""
    fixed = np.random.RandomState(7)
    rng = np.random.RandomState(seed)
    content, style = rng.normal(size=(n_rows, 2)), rng.normal(size=(n_rows, 3))
    parts = []
    for i, columns in enumerate(MODALITIES.values()):
        weights = fixed.normal(size=(3, len(columns)))
        seen = np.column_stack([content, 1.5 * style[:, i]])
        parts.append(seen @ weights + 0.1 * rng.normal(size=(n_rows, len(columns))))
    X = np.hstack(parts)
    for columns in MODALITIES.values():
        X[np.ix_(rng.uniform(size=n_rows) < missing, list(columns))] = np.nan
    return X, content, style


def make(**parameters):
    settings = {"n_components": 2, "n_private": 1, "modalities": MODALITIES, "max_iter": 3}
    settings |= {"hidden_layer_sizes": (8,), "n_draws": 8, "random_state": 0}
    return MultimodalVAE(**(settings | parameters))


@pytest.fixture(scope="module", params=["poe", "moe", "mopoe", "gpoe"])
def fitted(request):
    return make(fusion=request.param).fit(make_styles()[0])


def test_shapes(fitted):
    X = make_styles(20, seed=1)[0]
    assert fitted.transform(X).shape == (20, 2)
    assert list(fitted.get_feature_names_out()) == ["multimodalvae0", "multimodalvae1"]
    loc, scale = fitted.posterior_moments(X)
    assert loc.shape == scale.shape == (20, 2)
    assert {name: values.shape for name, values in fitted.transform_private(X).items()} == dict.fromkeys(
        "abc", (20, 1)
    )
    assert fitted.inverse_transform(np.zeros((4, 2))).shape == (4, 12)
    assert fitted.sample(5, random_state=0).shape == (5, 12)
    assert np.isfinite(fitted.impute(X)).all()
    assert np.isfinite(fitted.score_samples(X)).all()


def test_counts_by_modality():
    estimator = make(n_private={"a": 3, "c": 1}).fit(make_styles()[0])
    X = make_styles(20, seed=1)[0]
    found = estimator.transform_private(X)
    assert {name: values.shape for name, values in found.items()} == {"a": (20, 3), "c": (20, 1)}
    assert [estimator.module_.decoders[i].n_in for i in range(3)] == [5, 2, 3]
    assert make(n_private=0).fit(make_styles()[0]).transform_private(X) == {}


def test_only_a_modality_itself_tells_of_its_own(fitted):
    """Other modalities change the shared latent variables, and nothing of its own but by mixing."""
    X = make_styles(40, seed=1, missing=0.0)[0]
    absent = fitted.transform_private(hide(X, "a", modalities=MODALITIES))
    assert np.abs(absent["a"]).max() < 1e-6  # the prior's mean
    assert np.abs(absent["b"]).min() > 0
    if fitted.fusion in ("moe", "mopoe"):
        return
    alone = fitted.transform_private(keep(X, "a", modalities=MODALITIES))
    np.testing.assert_allclose(fitted.transform_private(X)["a"], alone["a"], rtol=1e-5, atol=1e-6)
    other = X.copy()
    other[:, 4:] = make_styles(40, seed=2, missing=0.0)[0][:, 4:]
    np.testing.assert_allclose(fitted.transform_private(other)["a"], alone["a"], rtol=1e-5, atol=1e-6)


def test_decoders_see_what_is_shared_and_their_own(fitted):
    network = fitted.module_
    z = torch.randn(50, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = [distribution.mean for distribution in network.decode(z)]
        changed = z.clone()
        changed[:, network.private_columns(1)] += 1.0
        after = [distribution.mean for distribution in network.decode(changed)]
        shared = [distribution.mean for distribution in network.decode(z + torch.eye(5)[0])]
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[2], after[2])
    assert (before[1] != after[1]).any()
    assert all((old != new).any() for old, new in zip(before, shared, strict=True))


def test_points_are_decoded_at_the_private_prior_mean(fitted):
    Z = np.random.RandomState(0).normal(size=(6, 2))
    network, layout = fitted.module_, fitted.layout_
    code = torch.tensor(np.hstack([Z, np.zeros((6, 3))]), dtype=torch.float32)
    with torch.no_grad():
        mean = torch.cat([distribution.mean for distribution in network.decode(code)], dim=-1)
    np.testing.assert_allclose(fitted.inverse_transform(Z), layout.write(mean), rtol=1e-5, atol=1e-6)


def test_the_product_of_experts_by_hand():
    """Shared variables are told by all, private ones by one."""
    estimator = make().fit(make_styles()[0])
    network, X = estimator.module_, make_styles(30, seed=1, missing=0.0)[0]
    blocks = estimator.layout_.read(X)
    with torch.no_grad():
        weighted, precision = super(type(network), network).experts(blocks).natural.chunk(2, dim=-1)
        posterior = network.posterior(blocks)
    total = 1 + precision[..., :2].sum(0)
    torch.testing.assert_close(posterior.mean[:, :2], weighted[..., :2].sum(0) / total)
    for m in range(3):
        own = 1 + precision[m, :, 2 + m]
        torch.testing.assert_close(posterior.mean[:, 2 + m], weighted[m, :, 2 + m] / own)
        torch.testing.assert_close(posterior.stddev[:, 2 + m], own.rsqrt())


@pytest.mark.slow
def test_what_is_shared_is_told_from_what_is_not():
    """Of other modalities' content, the shared latent variables say all; styles are in the private ones."""
    X, _, _ = make_styles(2000)
    estimator = make(hidden_layer_sizes=(32,), max_iter=100, beta=1.0, n_draws=32).fit(X)
    test, content, style = make_styles(1000, seed=1, missing=0.0)
    Z, private = estimator.transform(test), estimator.transform_private(test)

    def explained(features, target):
        return LinearRegression().fit(features[:500], target[:500]).score(features[500:], target[500:])

    assert explained(Z, content) > 0.9
    for i, name in enumerate("abc"):
        assert explained(Z, style[:, i]) < 0.15
        assert explained(np.hstack([Z, private[name]]), style[:, i]) > 0.8


def test_a_model_without_private_latent_variables_is_the_same_as_ever():
    X = make_styles()[0]
    first, second = make(n_private=0).fit(X), make(n_private={"a": 0}).fit(X)
    for one, other in zip(
        first.module_.state_dict().values(), second.module_.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)
    assert "told" not in first.module_.state_dict()


def test_copies():
    X = make_styles()[0]
    estimator = make(n_private={"b": 2}).fit(X)
    expected = estimator.transform_private(X)["b"]
    for other in (pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator), clone(estimator).fit(X)):
        np.testing.assert_array_equal(other.transform_private(X)["b"], expected)


@pytest.mark.parametrize("count", [-1, 1.5, "one", True])
def test_bad_counts(count):
    with pytest.raises(ValueError, match=r"n_private of modality 'a' must be a whole number"):
        make(n_private={"a": count}).fit(make_styles()[0])


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("fusion", "joint"), ("fusion", "attention"), ("posterior", "vmf"), ("prior", "mixture")],
)
def test_what_does_not_go_together(parameter, value):
    more = {"prior": "sphere"} if value == "vmf" else {}
    with pytest.raises(ValueError, match=rf"n_private=1 and {parameter}='{value}' do not go together"):
        make(**{parameter: value}, **more).fit(make_styles()[0])


def test_unknown_modalities():
    with pytest.raises(ValueError, match="n_private"):
        make(n_private={"z": 1}).fit(make_styles()[0])
