"""What the benchmark of digits in three modalities measures: by hand, on a table of a few made digits."""

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import digits3
from skmm import keep

SIZES = {"farsi": 6, "kannada": 4, "speech": 5}


@pytest.fixture(scope="module")
def digits():
    """Images and speech of three digits."""
    rng = np.random.RandomState(0)
    y = np.arange(90) % 3
    tables = {}
    for name, size in SIZES.items():
        centre = rng.normal(size=(3, size))[y] + 0.3 * rng.normal(size=(90, size))
        tables[name] = 1 / (1 + np.exp(-2 * centre)) if name != "speech" else 10 * centre
    labels = [(name, f"x{j}") for name, size in SIZES.items() for j in range(size)]
    X = pd.DataFrame(np.hstack(list(tables.values())), columns=pd.MultiIndex.from_tuples(labels))
    X[digits3.LABEL] = pd.Categorical(y)
    return digits3.Digits(X.iloc[:60], X.iloc[60:])


@pytest.fixture(scope="module")
def vae(digits):
    settings = {"n_components": 2, "hidden_layer_sizes": (8,), "batch_size": 30, "weight_decay": 0.01}
    return digits3.fit(settings, digits, epochs=150, seed=0)


def test_cross_entropy_against_torch():
    rng = np.random.RandomState(0)
    ink, expected = rng.uniform(size=(2, 7, 5))
    loss = torch.nn.functional.binary_cross_entropy(
        torch.tensor(expected), torch.tensor(ink), reduction="sum"
    )
    assert digits3.cross_entropy(ink, expected) == pytest.approx(float(loss) / 7)
    assert np.isfinite(digits3.cross_entropy(ink, np.zeros((7, 5))))


def test_grey_likelihood_starts_at_the_mean_ink_and_scores_the_cross_entropy():
    rng = np.random.RandomState(0)
    ink = torch.tensor(rng.uniform(size=(4000, 3)) ** 2, dtype=torch.float32)
    observed = torch.tensor(rng.uniform(size=(4000, 3)) < 0.7)
    grey = digits3.Grey(3)
    grey.start(ink.masked_fill(~observed, 9.0), observed)
    at_start = grey(torch.zeros(1, 3))
    mean = (ink * observed).sum(0) / observed.sum(0)
    torch.testing.assert_close(at_start.mean[0], mean, atol=1e-3, rtol=0)
    everything = torch.ones(4000, 3, dtype=torch.bool)
    expected = digits3.cross_entropy(ink.double().numpy(), at_start.mean.double().numpy())
    assert -float(at_start.log_prob(ink, everything).mean()) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match=r"takes numbers from 0 to 1 only; column 'p' holds 1\.5"):
        grey.check(torch.full((1, 3), 1.5), torch.ones(1, 3, dtype=torch.bool), "farsi", list("pqr"))


def test_what_can_be_reached(digits):
    means, probes = digits3.attainable(digits)
    y = digits.train[digits3.LABEL].to_numpy()
    truth, guess = digits.test["kannada"].to_numpy(), np.empty((30, 4))
    for k in range(3):
        guess[digits.test[digits3.LABEL].to_numpy() == k] = digits.train["kannada"].to_numpy()[y == k].mean(0)
    assert means.loc["digit", "kannada"] == pytest.approx(digits3.cross_entropy(truth, guess))
    assert means.loc["digit", "speech"] < 0.3  # of digits that are this far apart
    of_all = np.tile(digits.train["kannada"].to_numpy().mean(0), (30, 1))
    assert means.loc["all", "kannada"] == pytest.approx(digits3.cross_entropy(truth, of_all))
    assert (means.loc["all"] > means.loc["digit"]).all()
    assert list(probes.index) == list(digits3.SUBSETS)
    assert probes.min() > 90


def test_table(digits, vae):
    found = digits3.table(vae, digits)
    assert list(found.index) == list(digits3.SUBSETS) == list(digits3.POSTER.index[[0, 1, 2, 3, 5, 4, 6]])
    assert found["accuracy"].min() > 80
    seen = keep(digits.test, ["farsi"])
    expected = vae.predict(seen)
    assert found.loc["farsi", "kannada"] == pytest.approx(
        digits3.cross_entropy(digits.test["kannada"].to_numpy(), expected["kannada"].to_numpy())
    )
    z = (expected["speech"] - digits.test["speech"]) / digits.train["speech"].std()
    assert found.loc["farsi", "speech"] == pytest.approx(np.square(z.to_numpy(float)).mean(), rel=1e-5)
    label = vae.predict(seen)[digits3.LABEL]
    assert found.loc["farsi", "accuracy"] == 100 * np.mean(
        label.to_numpy() == digits.test[digits3.LABEL].to_numpy()
    )


def test_bound_is_below_what_importance_weights_find(digits, vae):
    """Of the three modalities, given all of them: the negative bound is above the negative likelihood."""
    complete = keep(digits.test, list(SIZES))
    log_scale = np.log(vae.layout_.scale[vae.layout_.positions("speech")]).sum()
    likelihood = vae.set_params(n_draws=500).score(complete) + log_scale  # speech in units of deviations
    found = digits3.bound(vae, digits.test, list(SIZES))
    assert -likelihood < found["bound"] < -likelihood + 5
    alone = digits3.bound(vae, digits.test, ["speech"])  # a worse posterior of the same three modalities
    assert alone["bound"] > -likelihood


def test_report_shows_all_figures(digits, vae):
    found = digits3.table(vae, digits)
    text = digits3.report(found, *digits3.attainable(digits))
    assert f"{found.loc['speech', 'farsi']:.1f} " in text
    assert f"{found.loc['farsi', 'farsi']:.1f}*" in text
    assert "348.67" in text


def test_summary_takes_the_worst_direction(digits, vae):
    means, _ = digits3.attainable(digits)
    found = digits3.table(vae, digits)
    found.insert(0, "given", found.index)
    runs = pd.concat([found.assign(model="one", seed=seed, seconds=1.0) for seed in (0, 1)])
    summary = digits3.summary(runs, {0: means, 1: means})
    worst = max(found.loc[given, "farsi"] for given in ("kannada", "speech", "kannada + speech"))
    assert summary["farsi / mean of all"].tolist() == pytest.approx([worst / means.loc["all", "farsi"]])
    assert summary["label, of all (sd)"].tolist() == [0.0]
    assert summary["label, of one"].item() == pytest.approx(found["accuracy"].iloc[:3].mean())


def test_summary_divides_every_seed_by_the_means_of_its_own_rows(digits, vae):
    means, _ = digits3.attainable(digits)
    found = digits3.table(vae, digits)
    found.insert(0, "given", found.index)
    runs = pd.concat([found.assign(model="one", seed=seed, seconds=1.0) for seed in (3, 4)])
    alone = digits3.summary(runs[runs["seed"] == 3], {3: means})["farsi / mean of all"].item()
    both = digits3.summary(runs, {3: means, 4: 2 * means})  # as if the other seed's rows were twice as hard
    assert both["farsi / mean of all"].item() == pytest.approx(0.75 * alone)
    assert both["farsi / mean of all (sd)"].item() == pytest.approx(alone / 8**0.5)
