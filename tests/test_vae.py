"""MultimodalVAE as a whole, on scikit-learn's digits: an image beside its label."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import skmm

IMAGE, LABEL = slice(0, 64), slice(64, 74)
MODALITIES = {"image": IMAGE, "label": LABEL}


def encoder():
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.SiLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.SiLU(),
    )


class Decoder(nn.Module):
    """A factory's whole module: n_components numbers to 64 pixels."""

    def __init__(self, n_in, n_out):
        super().__init__()
        assert n_out == 64
        self.start = nn.Linear(n_in, 16 * 4 * 4)
        self.layers = nn.Sequential(nn.SiLU(), nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1), nn.SiLU())
        self.end = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, z):
        return self.end(self.layers(self.start(z).unflatten(1, (16, 4, 4)))).flatten(1)


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    X = np.hstack([data.data, np.eye(10)[data.target]])
    rng = np.random.RandomState(0)
    train, test = X[:1200].copy(), X[1200:]
    train[rng.uniform(size=1200) < 0.2, LABEL] = np.nan
    train[(rng.uniform(size=1200) < 0.2) & ~np.isnan(train[:, 64]), IMAGE] = np.nan
    return train, test


@pytest.fixture(scope="module")
def convolutional(digits):
    body = encoder()
    weights = [parameter.clone() for parameter in body.parameters()]
    vae = skmm.MultimodalVAE(
        16,
        modalities=MODALITIES,
        likelihood={"label": "bernoulli"},
        encoders={"image": body},
        decoders={"image": Decoder},
        modality_dropout=0.4,
        max_iter=25,
        random_state=0,
    ).fit(digits[0])
    for before, after in zip(weights, body.parameters(), strict=True):
        assert torch.equal(before, after)  # the user's own module is copied, not trained
    return vae


def test_convolutional_pair_generates_a_hidden_image(digits, convolutional):
    train, test = digits
    shown = skmm.hide(test, "image", modalities=MODALITIES)
    completed = convolutional.impute(shown)[:, IMAGE]
    labels = test[:, LABEL].argmax(1)
    by_class = np.stack([np.nanmean(train[train[:, 64 + k] == 1][:, IMAGE], axis=0) for k in range(10)])
    error, class_error, mean_error = (
        np.sqrt(np.mean(np.square(guess - test[:, IMAGE])))
        for guess in (completed, by_class[labels], np.nanmean(train[:, IMAGE], axis=0))
    )
    assert error < 1.05 * class_error < mean_error  # the label says no more than the mean image of its class


def test_convolutional_pair_reads_an_image(digits, convolutional):
    shown = skmm.hide(digits[1], "label", modalities=MODALITIES)
    probabilities = convolutional.predict(shown)[:, LABEL]
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert (probabilities.argmax(1) == digits[1][:, LABEL].argmax(1)).mean() > 0.85


def test_convolutional_pair_takes_rows_that_lack_pixels(digits, convolutional):
    X = digits[1][:50].copy()
    X[:, 20:30] = np.nan
    error = np.sqrt(np.mean(np.square(convolutional.impute(X) - digits[1][:50])[:, 20:30]))
    guess = np.nanmean(digits[0][:, 20:30], axis=0)
    assert error < np.sqrt(np.mean(np.square(guess - digits[1][:50, 20:30])))


def test_modality_weights_decide_what_is_reconstructed():
    """One latent variable, two modalities that share nothing: the heavier one gets it."""
    X = np.random.RandomState(0).normal(size=(400, 1)) @ np.ones((1, 3))
    X = np.hstack([X, np.random.RandomState(1).normal(size=(400, 1)) @ np.ones((1, 3))])
    X += 0.3 * np.random.RandomState(2).normal(size=X.shape)
    modalities = {"a": slice(0, 3), "b": slice(3, 6)}
    for heavy, columns, others in (("a", slice(0, 3), slice(3, 6)), ("b", slice(3, 6), slice(0, 3))):
        light = "b" if heavy == "a" else "a"
        vae = skmm.MultimodalVAE(
            1,
            modalities=modalities,
            modality_weights={heavy: 1.0, light: 0.05},
            hidden_layer_sizes=(),
            max_iter=60,
            random_state=0,
        ).fit(X)
        error = np.square(vae.predict(X) - X).mean(axis=0)
        assert error[columns].mean() < 0.5 * error[others].mean()


def test_automatic_weights_keep_the_total():
    X = np.random.RandomState(0).normal(size=(30, 10))
    vae = skmm.MultimodalVAE(
        2, modalities={"a": [0, 1], "b": range(2, 10)}, modality_weights="auto", max_iter=1
    )
    weights = vae.fit(X).module_.modality_weights
    assert weights.tolist() == [2.5, 0.625]
    assert float(weights @ torch.tensor([2.0, 8.0])) == 10


@pytest.mark.parametrize(
    "ask",
    [
        lambda vae, X: np.stack(vae.posterior_moments(X), axis=1),
        lambda vae, X: np.stack(vae.predict(X, return_std=True), axis=1),
        lambda vae, X: vae.predict_quantiles(X, 0.3),
        lambda vae, X: vae.score_samples(X),
    ],
)
def test_answers_do_not_depend_on_the_order_of_rows(ask):
    """To the last bit in small tables, also where rows are alike: products of matrices round by place."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(100, 40))
    X[rng.uniform(size=X.shape) < 0.2] = np.nan
    X[60:80] = X[:20]
    vae = skmm.MultimodalVAE(5, completion="network", max_iter=5, random_state=0).fit(X)
    expected = ask(vae, X)
    np.testing.assert_array_equal(expected[60:80], expected[:20])
    for seed in range(5):
        order = np.random.RandomState(seed).permutation(100)
        np.testing.assert_array_equal(ask(vae, X[order]), expected[order])
