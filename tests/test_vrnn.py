"""MultimodalVRNN learns: completion from both sides, dynamics, labels, features for a classifier."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmm
from skmm.datasets import SPIRAL_MODALITIES, make_spirals

N_STEPS = 12


def turning_points(n, random_state):
    """Points on circles, seen by two noisy sensors, and which way they turn."""
    rng = np.random.RandomState(random_state)
    way = rng.randint(2, size=n)
    angle = rng.uniform(0, 2 * np.pi, n)[:, None] + (2 * way - 1)[:, None] * 0.6 * np.arange(N_STEPS)
    place = np.stack([np.cos(angle), np.sin(angle)], axis=-1)  # (n, T, 2)
    first = place + 0.1 * rng.normal(size=place.shape)
    second = place @ np.array([[0.5, -1.0], [1.0, 0.5]]) + 0.1 * rng.normal(size=place.shape)
    return np.concatenate([first, second], axis=-1), way


MODALITIES = {"first": slice(0, 2), "second": slice(2, 4)}


@pytest.fixture(scope="module")
def circles():
    X, way = turning_points(400, 0)
    labels = np.repeat(way[:, None, None].astype(float), N_STEPS, axis=1)
    labels[100:] = np.nan  # a quarter of the sequences has one
    X[50:100, :, 2:] = np.nan
    train = np.concatenate([X, labels], axis=-1)
    X_test, way_test = turning_points(200, 1)
    test = np.concatenate([X_test, np.full((200, N_STEPS, 1), np.nan)], axis=-1)
    model = skmm.MultimodalVRNN(
        4,
        modalities={**MODALITIES, "way": [4]},
        likelihood={"way": "categorical"},
        hidden_size=32,
        max_iter=40,
        batch_size=50,
        random_state=0,
    )
    return model.fit(train), test, way_test


def rmse(model, X, hidden, **how):
    """Error of the hidden entries, in units of the spread of the data."""
    blanked = X.copy()
    blanked[hidden] = np.nan
    return np.sqrt(np.nanmean((model.predict(blanked, **how) - X)[hidden] ** 2)) / np.nanstd(X[..., :4])


def where(shape, *index):
    hidden = np.zeros(shape, dtype=bool)
    hidden[index] = True
    hidden[..., 4] = False
    return hidden


def test_completes_a_modality(circles):
    model, X, _ = circles
    assert rmse(model, X, where(X.shape, slice(None), slice(None), slice(2, 4))) < 0.3
    assert rmse(model, X, where(X.shape, slice(None), slice(None), slice(0, 2))) < 0.3


def test_fills_a_gap_from_both_sides(circles):
    model, X, _ = circles
    gap = where(X.shape, slice(None), slice(4, 7))
    smoothed, filtered = rmse(model, X, gap), rmse(model, X, gap, smooth=False)
    assert smoothed < 0.35
    start = where(X.shape, slice(None), slice(0, 3))  # nothing but the future tells
    assert rmse(model, X, start) < 0.5
    assert rmse(model, X, start, smooth=False) > 0.9
    assert smoothed < filtered


def test_forecasts(circles):
    model, X, _ = circles
    future = model.forecast(X[:, :9], 3)
    error = np.sqrt(np.mean((future - X[:, 9:])[..., :4] ** 2)) / np.nanstd(X[..., :4])
    assert error < 0.5
    mean, std = model.forecast(X[:, :9], 3, return_std=True)
    np.testing.assert_array_equal(mean, future)
    assert (std[:, 2, :4] > std[:, 0, :4]).mean() > 0.6  # the farther, the less certain


def test_labels_are_one_more_modality(circles):
    model, X, way = circles
    probability = model.predict_category_proba(X).to_numpy()[:, 1].reshape(len(X), N_STEPS)
    assert np.mean((probability[:, -1] > 0.5) == way) > 0.9
    # conditioning the other way round: sequences of a given label
    given = np.full((200, N_STEPS, 5), np.nan)
    given[:, :, 4] = way[:, None]
    drawn = model.sample(given=given, random_state=0)[0]
    x, y = drawn[..., 0], drawn[..., 1]
    turn = (x[:, :-1] * y[:, 1:] - x[:, 1:] * y[:, :-1]).sum(1)
    assert np.mean((turn > 0) == way) > 0.65


def test_features_for_a_classifier():
    """Circles around two centres, told apart with one sensor missing."""
    X, _ = turning_points(150, 2)
    X_test, _ = turning_points(100, 3)
    label, label_test = np.arange(150) % 2, np.arange(100) % 2
    X, X_test = X + 0.6 * label[:, None, None], X_test + 0.6 * label_test[:, None, None]
    X_test[:, :, 2:] = np.nan
    vrnn = skmm.MultimodalVRNN(
        4, modalities=MODALITIES, summary="mean", hidden_size=16, max_iter=50, batch_size=50, random_state=0
    )
    model = make_pipeline(vrnn, StandardScaler(), LogisticRegression()).fit(X, label)
    assert model.score(X_test, label_test) > 0.9


def test_unlikely_sequences_score_low(circles):
    model, X, _ = circles
    shuffled = X.copy()
    shuffled[:, ::2], shuffled[:, 1::2] = X[:, 1::2], X[:, ::2]  # back and forth
    assert np.mean(model.score_samples(X) > model.score_samples(shuffled)) > 0.95


def test_more_particles_give_a_tighter_bound(circles):
    model, X, _ = circles
    few, many = (model.set_params(n_draws=n).score(X[:50]) for n in (2, 64))
    assert few < many


def test_answers_do_not_depend_on_the_order_of_sequences():
    """To the last bit where there are few, also where they are alike: products of matrices round by place."""
    rng = np.random.RandomState(0)
    X = [rng.normal(size=(n, 5)) for n in rng.randint(1, 7, size=40)]
    for sequence in X:
        sequence[rng.uniform(size=sequence.shape) < 0.2] = np.nan
    X[30:] = X[:10]
    vrnn = skmm.MultimodalVRNN(2, max_iter=2, n_draws=8, random_state=0).fit(X)
    order = rng.permutation(40)
    shuffled = [X[i] for i in order]
    features, scores = vrnn.transform(X), vrnn.score_samples(X)
    np.testing.assert_array_equal(features[30:], features[:10])
    np.testing.assert_array_equal(vrnn.transform(shuffled), features[order])
    np.testing.assert_array_equal(vrnn.score_samples(shuffled), scores[order])
    completed = vrnn.predict(X)
    for found, i in zip(vrnn.predict(shuffled), order, strict=True):
        np.testing.assert_array_equal(found, completed[i])


def test_unimodal_objective():
    """Every modality's encoder completes the other one, without dropout."""
    X, _ = turning_points(300, 4)
    test, _ = turning_points(100, 5)
    test = np.concatenate([test, np.zeros((100, N_STEPS, 1))], axis=-1)[..., :4]
    model = skmm.MultimodalVRNN(
        4,
        modalities=MODALITIES,
        objective="unimodal_elbo",
        modality_dropout=0.0,
        burst_dropout=0.0,
        hidden_size=16,
        max_iter=30,
        batch_size=50,
        random_state=0,
    ).fit(X)
    for hidden in (slice(0, 2), slice(2, 4)):
        blanked = test.copy()
        blanked[..., hidden] = np.nan
        error = np.sqrt(np.mean((model.predict(blanked) - test)[..., hidden] ** 2)) / test.std()
        assert error < 0.35


def test_spirals_beat_inversion_step_by_step():
    X, test = make_spirals(300, 15, random_state=0), make_spirals(100, 15, random_state=1)
    model = skmm.MultimodalVRNN(
        6, modalities=SPIRAL_MODALITIES, max_iter=100, batch_size=50, hidden_size=32, random_state=0
    ).fit(X)
    errors = []
    for name, hidden in SPIRAL_MODALITIES.items():
        predicted = model.predict(skmm.hide(test, name, modalities=SPIRAL_MODALITIES))
        errors.append(np.mean((predicted - test)[..., hidden] ** 2) / 0.25**2)
    assert errors[0] < 2.0  # of the first given the second: inversion step by step gets 2
    assert errors[1] < 2.0  # the floor is 1
