"""Posteriors and priors other than the normal ones, through the estimator, on tables with gaps."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV

from skmm import MultimodalVAE
from skmm._torch import isolated_rng
from skmm.probability.fusion import FUSIONS
from skmm.probability.posteriors import POSTERIORS, LaplaceFamily
from skmm.probability.priors import PRIORS, NormalMixturePrior, StandardNormal
from skmm.probability.spheres import UniformOnSpheres, VonMisesFisherFamily

NAN = np.nan
MODALITIES = {"audio": [0, 1], "text": [2], "video": [3, 4, 5]}
PAIRS = [(name, prior) for name in POSTERIORS for prior, made in PRIORS.items() if made.family == name]
POOLING = ("wasserstein", "hellinger")
WITH_RULES = [
    (posterior, prior, rule)
    for posterior, prior in PAIRS
    for rule in FUSIONS
    if (posterior, prior) != ("normal", "normal") and not (posterior == "vmf" and rule in POOLING)
]
METHODS = {
    "posterior_moments": lambda vae, X: np.stack(vae.posterior_moments(X), axis=1),
    "predict": lambda vae, X: np.stack(vae.predict(X, return_std=True), axis=1),
    "predict_quantiles": lambda vae, X: vae.predict_quantiles(X, 0.9),
    "impute": lambda vae, X: vae.impute(X),
    "score_samples": lambda vae, X: vae.score_samples(X),
}


def make_values(n_rows=60, seed=0):
    """All patterns of missing modalities, missing cells, and rows 0 to 2 with nothing at all."""
    rng = np.random.RandomState(seed)
    values = rng.normal(size=(n_rows, 2)) @ rng.normal(size=(2, 6)) + 0.3 * rng.normal(size=(n_rows, 6))
    values[rng.uniform(size=values.shape) < 0.1] = NAN
    for columns in MODALITIES.values():
        values[np.ix_(rng.uniform(size=n_rows) < 0.3, columns)] = NAN
    values[:3] = NAN
    return values


def make(posterior="normal", prior="normal", rule="poe", **parameters):
    settings = {"hidden_layer_sizes": (8,), "max_iter": 4, "n_draws": 16, "random_state": 0}
    return MultimodalVAE(
        4, modalities=MODALITIES, posterior=posterior, prior=prior, fusion=rule, **(settings | parameters)
    )


@pytest.fixture(scope="module", params=WITH_RULES, ids="-".join)
def fitted(request):
    posterior, prior, rule = request.param
    objective = "iwae" if rule == "moe" else "elbo"
    return make(posterior, prior, rule, objective=objective, max_iter=12).fit(make_values())


class TestEveryFamily:
    def test_nothing_observed_is_the_prior(self, fitted):
        nothing = np.full((2, 6), NAN)
        network = fitted.module_
        with isolated_rng(0), torch.no_grad():
            z = network.prior.rsample(4000)
            posterior = network.posterior(fitted.layout_.read(nothing))
            density = posterior.log_prob(z[:, None].expand(-1, 2, -1))
        expected = network.prior.log_prob(z).detach()[:, None].expand(-1, 2)
        torch.testing.assert_close(density, expected, rtol=1e-3, atol=1e-3)
        loc, scale = fitted.posterior_moments(nothing)
        spread = z.std(0).numpy()
        assert (np.abs(loc - z.mean(0).numpy()) < 5 * spread / np.sqrt(len(z))).all()
        np.testing.assert_allclose(scale, np.tile(spread, (2, 1)), rtol=0.1)
        assert fitted.score(nothing) == 0.0

    def test_rows_with_nothing_are_completed_like_new_rows(self, fitted):
        new = np.asarray(fitted.sample(3000, random_state=0))
        drawn = fitted.sample(1, given=np.full((3000, 6), NAN), random_state=1)[0]
        tolerance = 6 * new.std(0) / np.sqrt(len(new))
        np.testing.assert_array_less(np.abs(drawn.mean(0) - new.mean(0)), tolerance)
        np.testing.assert_allclose(drawn.std(0), new.std(0), rtol=0.1)

    def test_everything_is_finite_and_no_row_depends_on_its_batch(self, fitted):
        X = make_values(seed=1)[:12]
        for name, method in METHODS.items():
            together = np.asarray(method(fitted, X))
            assert np.isfinite(together).all(), name
            alone = np.concatenate([method(fitted, X[i : i + 1]) for i in range(len(X))])
            np.testing.assert_allclose(alone, together, rtol=1e-3, atol=1e-4, err_msg=name)
            np.testing.assert_array_equal(method(fitted, X), together, err_msg=name)

    def test_loss_went_down(self, fitted):
        assert np.isfinite(fitted.loss_curve_).all()
        assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]

    def test_what_stands_under_a_mask_does_not_matter(self, fitted):
        """Neither for the loss nor for any gradient."""
        network = copy.deepcopy(fitted.module_).train()
        blocks = fitted.layout_.read(make_values(seed=2))
        spoilt = type(blocks)(
            torch.where(blocks.joint_observed, blocks.joint, 1e4),
            *(blocks.joint_observed, blocks.present, blocks.sizes),
        )
        results = []
        for rows in (blocks, spoilt):
            network.zero_grad()
            with isolated_rng(0):
                latent = network.infer(rows, 2)
                terms = network.log_likelihood(network.decode(latent.code), rows).sum() - latent.kl.sum()
            terms.backward()
            gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
            results.append((terms.detach(), {name: grad.clone() for name, grad in gradients.items()}))
            assert all(gradient.isfinite().all() for gradient in gradients.values())
        torch.testing.assert_close(results[1], results[0])


@pytest.mark.parametrize(("posterior", "prior"), PAIRS)
def test_pickle_clone_and_repeat(posterior, prior):
    X = make_values()
    model = make(posterior, prior).fit(X)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), clone(model).fit(X)):
        np.testing.assert_array_equal(other.transform(X), model.transform(X))
        np.testing.assert_array_equal(other.sample(3, random_state=0), model.sample(3, random_state=0))


def test_directions_are_unit_vectors():
    model = make("vmf", "sphere").fit(make_values())
    with isolated_rng(0), torch.no_grad():
        z = model.module_.infer(model.layout_.read(make_values()), 3).z
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(3, 60))
    assert (np.linalg.norm(model.transform(make_values()), axis=1) < 1).all()


def test_priors_learn():
    """What a prior has to learn is trained with everything else."""
    for prior in ("learned_normal", "mixture"):
        still, model = (
            make(prior=prior, learning_rate_init=rate).fit(make_values()) for rate in (1e-30, 0.01)
        )
        before = dict(still.module_.prior.named_parameters())
        for name, parameter in model.module_.prior.named_parameters():
            assert (parameter != before[name]).all(), name


def test_families_can_be_searched():
    grid = [
        {"posterior": ["normal"], "prior": ["learned_normal", partial(NormalMixturePrior, n_parts=2)]},
        {"posterior": ["vmf", VonMisesFisherFamily()], "prior": ["sphere"]},
        {"posterior": ["laplace"], "prior": ["laplace"], "fusion": ["poe", "moe"]},
    ]
    search = GridSearchCV(make(), grid, cv=2, error_score="raise").fit(make_values())
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert scores[2] == scores[3]
    assert len(set(scores)) == 5


# pairs that make no sense


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("prior", PRIORS)
def test_pairs_that_do_not_go_together(posterior, prior):
    model = make(posterior, prior)
    if (posterior, prior) in PAIRS:
        model.fit(make_values())
        return
    message = f"prior='{prior}' and posterior='{posterior}' do not go together.*Choose prior from"
    with pytest.raises(ValueError, match=message):
        model.fit(make_values())


def test_spheres_of_different_sizes():
    model = make(VonMisesFisherFamily(2), UniformOnSpheres(4, size=4))
    with pytest.raises(ValueError, match=r"posterior=.* has spheres of 2 numbers, prior=.* of 4"):
        model.fit(make_values())
    model.set_params(prior=UniformOnSpheres(4, size=2)).fit(make_values())


def test_components_that_make_no_spheres():
    with pytest.raises(ValueError, match="cut n_components=7 into spheres"):
        make("vmf", "sphere").set_params(n_components=7).fit(make_values())


def test_a_prior_of_another_number_of_components():
    with pytest.raises(ValueError, match="prior has 3 components, but n_components=4"):
        make(prior=StandardNormal(3)).fit(make_values())


def test_classes_partials_and_objects():
    for posterior, prior in [
        (LaplaceFamily, PRIORS["laplace"]),
        (LaplaceFamily(relative=False), "laplace"),
        ("normal", partial(NormalMixturePrior, n_parts=5)),
    ]:
        if isinstance(posterior, type):
            posterior = posterior()  # families are objects
        model = make(posterior, prior).fit(make_values())
        assert np.isfinite(model.score(make_values()))
    assert len(model.module_.prior.logits) == 5


# clusters


def make_clusters(n_rows=300, seed=0):
    """Three clusters in eight columns, whose modalities are missing with probability 0.3 each."""
    rng = np.random.RandomState(seed)
    label = rng.randint(3, size=n_rows)
    centres = 7 * np.linalg.qr(rng.normal(size=(8, 3)))[0].T
    X = centres[label] + rng.normal(size=(n_rows, 8))
    for columns in ([0, 1, 2], [3, 4], [5, 6, 7]):
        X[np.ix_(rng.uniform(size=n_rows) < 0.3, columns)] = NAN
    known = ~np.isnan(X).all(1)
    return X[known], label[known]


@pytest.mark.slow
def test_clusters_are_found():
    """Nearly as well as with the true centres, of which some rows show too little.

    As with any mixture, some starts end with two clusters in one part: 5 of 34.
    """
    X, label = make_clusters()
    found = []
    for seed in range(7):
        model = MultimodalVAE(
            2,
            modalities={"a": [0, 1, 2], "b": [3, 4], "c": [5, 6, 7]},
            prior=partial(NormalMixturePrior, n_parts=3),
            max_iter=40,
            early_stopping=False,
            completion="network",
            random_state=seed,
        ).fit(X)
        found.append(adjusted_rand_score(label, model.predict_clusters(X)))
    assert np.median(found) > 0.9


def test_clusters_are_the_heaviest_parts():
    X = make_values()
    model = make(prior="mixture", n_draws=256).fit(X)
    with torch.no_grad():
        model.module_.prior.logits[3] = 1.5
    labels = model.predict_clusters(X)
    assert labels.shape == (60,)
    assert labels.dtype.kind == "i"
    with torch.no_grad():
        weights = model.module_.posterior(model.layout_.read(X)).log_weights.T
    two = weights.topk(2).values
    clear = (two[:, 0] - two[:, 1] > 0.3).numpy()
    assert clear.sum() > 5
    np.testing.assert_array_equal(labels[clear], weights.argmax(1).numpy()[clear])
    assert (labels[:3] == labels[0]).all()
    assert labels[0] == 3
    np.testing.assert_array_equal(labels[5:9], model.predict_clusters(X[5:9]))


def test_only_a_mixture_has_clusters():
    model = make().fit(make_values())
    assert not hasattr(model, "predict_clusters")
    with pytest.raises(AttributeError) as error:
        model.predict_clusters(make_values())
    assert "prior='normal' has no clusters" in str(error.value.__cause__ or error.value)
    for prior in ("mixture", NormalMixturePrior, partial(NormalMixturePrior, n_parts=2)):
        assert hasattr(make(prior=prior), "predict_clusters")
