"""Objectives as estimators' parameters: what each learns from incomplete tables, and what is refused."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from skmm import IWAE, MMVAE, MVAE, MultimodalVAE, MultimodalVRNN
from skmm.datasets import remove_modalities
from skmm.training.objectives.registry import OBJECTIVES

MODALITIES = {"a": [0, 1], "b": [2, 3, 4], "c": [5]}
FOR_SEQUENCES = {"elbo", "unimodal_elbo", "mvae", "powerset"}
OF_MIXTURES = {"mmvae", "mmvm"}


@pytest.fixture(scope="module")
def X():
    """One latent variable, 30 % of the modalities missing, and a few cells."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 1)) @ rng.uniform(0.5, 1.5, size=(1, 6)) + 0.3 * rng.normal(size=(300, 6))
    X = remove_modalities(X, 0.3, modalities=MODALITIES, random_state=0)
    X[rng.uniform(size=X.shape) < 0.05] = np.nan
    return X


def make(estimator=MultimodalVAE, **parameters):
    settings = {"modalities": MODALITIES, "hidden_layer_sizes": (8,), "max_iter": 40, "random_state": 0}
    return estimator(2, **(settings | parameters))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_learns_from_incomplete_rows(name, X):
    """Completion of a hidden modality is better than by the mean, by the network alone."""
    fusion = "moe" if name in OF_MIXTURES else "poe"
    objective = OBJECTIVES[name]()
    if "n_draws" in objective.get_params():
        objective.set_params(n_draws=min(objective.n_draws, 3))
    vae = make(objective=objective, fusion=fusion, completion="network").fit(X)
    assert np.isfinite(vae.loss_curve_).all()
    assert vae.loss_curve_[-1] < vae.loss_curve_[0]
    known = ~np.isnan(X[:, 5]) & ~np.isnan(X[:, :5]).all(axis=1)
    hidden = X[known].copy()
    hidden[:, 5] = np.nan
    error = np.square(vae.predict(hidden)[:, 5] - X[known, 5]).mean()
    assert error < 0.6 * X[known, 5].var()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_along_sequences(name, X):
    sequences = X.reshape(60, 5, 6)
    vrnn = make(MultimodalVRNN, objective=name, max_iter=3)
    if name in FOR_SEQUENCES:
        assert np.isfinite(vrnn.fit(sequences).loss_curve_).all()
        return
    with pytest.raises(ValueError, match=r"objective=.*with MultimodalVRNN"):
        vrnn.fit(sequences)


@pytest.mark.parametrize(
    ("objective", "match"),
    [
        (OBJECTIVES["elbo"](gradient="stl"), r"gradient='stl' of objective=ELBO.*MultimodalVRNN"),
        (MMVAE(bound="elbo"), r"objective=MMVAE\(bound='elbo'\) compares .* with MultimodalVRNN"),
    ],
)
def test_parameters_that_do_not_go_with_sequences(objective, match, X):
    with pytest.raises(ValueError, match=match):
        make(MultimodalVRNN, objective=objective).fit(X.reshape(60, 5, 6))


def test_own_targets_along_sequences(X):
    """The modalities of a subset are those that the sequence has at any step."""
    vrnn = make(MultimodalVRNN, objective=MVAE(targets="own"), max_iter=3)
    assert np.isfinite(vrnn.fit(X.reshape(60, 5, 6)).loss_curve_).all()


def test_strata_need_a_mixture(X):
    with pytest.raises(ValueError, match=r"objective=MMVAE\(\) .* fusion=product_of_experts"):
        make(objective="mmvae").fit(X)


def test_parameters_can_be_searched(X):
    grid = {"objective__gradient": ["plain", "dreg"], "objective__n_draws": [2, 5]}
    search = GridSearchCV(make(objective=IWAE(), max_iter=4), grid, cv=2, error_score="raise").fit(X)
    assert len(set(search.cv_results_["mean_test_score"])) == 4
    assert search.best_estimator_.objective.get_params() == {
        name.removeprefix("objective__"): value for name, value in search.best_params_.items()
    }


@pytest.mark.parametrize(("bound", "weighted"), [("looser", False), ("tighter", True), ("elbo", False)])
def test_which_strata_make_the_posterior_a_proposal(bound, weighted, X):
    vae = make(objective=MMVAE(2, bound=bound), fusion="moe", max_iter=1).fit(X)
    assert vae.module_.importance_weighted is weighted
