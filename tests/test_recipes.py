"""Models of the literature: every recipe trains on incomplete rows, and completes what it has not seen."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import skmm
from skmm import MultimodalVAE, completion_scorer, recipe
from skmm.metrics import completion_error
from skmm.recipes import RECIPES

every_recipe = pytest.mark.parametrize("name", RECIPES)


def make_rows(n_rows=600, seed=0, missing=0.3):
    """Three views of two latent variables; of each, every third row is missing, and some cells."""
    weights = np.random.RandomState(3).normal(size=(2, 12))
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n_rows, 2)) @ weights + 0.3 * rng.normal(size=(n_rows, 12))
    for view in range(3):
        X[np.ix_(rng.uniform(size=n_rows) < missing, range(4 * view, 4 * view + 4))] = np.nan
    X[rng.uniform(size=X.shape) < missing / 10] = np.nan
    return skmm.stack_modalities({name: X[:, 4 * i : 4 * i + 4] for i, name in enumerate("abc")})


@every_recipe
def test_completes_every_modality_from_the_others(name):
    """Far better than the mean, whose error is 1; in every direction, and of each from each alone."""
    settings = {"n_components": 4, "max_iter": 60, "hidden_layer_sizes": (16,), "random_state": 0}
    vae = MultimodalVAE(**settings, **recipe(name)).fit(make_rows())
    assert np.isfinite(vae.loss_curve_).all()
    test = make_rows(300, seed=1, missing=0.0)
    assert (completion_error(vae, test) < 0.75).all()
    for given in "abc":
        for target in set("abc") - {given}:
            rows = skmm.keep(test, [given, target])
            assert completion_error(vae, rows, hide=[target])[target] < 0.85


@every_recipe
def test_is_new_every_time(name):
    first, second = recipe(name), recipe(name)
    assert first is not second
    if not isinstance(first["objective"], str):
        assert first["objective"] is not second["objective"]
    first["beta"] = 7
    assert recipe(name)["beta"] == 1.0


@every_recipe
def test_parameters_are_the_estimators_own(name):
    vae = MultimodalVAE(**recipe(name))
    assert clone(vae).get_params()["fusion"] == vae.fusion
    said = RECIPES[name]
    assert all(isinstance(text, str) and text for text in vars(said).values() if not isinstance(text, dict))


def test_unknown_names():
    with pytest.raises(ValueError, match=r"There is no recipe 'mvea'; there are mvae, "):
        recipe("mvea")


@pytest.mark.slow
def test_all_of_them_in_one_search():
    vae = MultimodalVAE(2, max_iter=3, hidden_layer_sizes=(8,), n_draws=8, random_state=0)
    models = [{key: [value] for key, value in recipe(name).items()} for name in RECIPES]
    search = GridSearchCV(vae, models, cv=2, scoring=completion_scorer, error_score="raise")
    search.fit(make_rows(150))
    assert len(search.cv_results_["params"]) == len(RECIPES)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
