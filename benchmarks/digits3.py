"""Digits in three modalities: what each subset of them tells of the label and of the others.

Farsi and Kannada images and spoken English digits, put together by the digit alone, with the label as a
fourth modality. For each of the seven subsets of the three, given alone: accuracy of the label, the bound,
cross-entropy of each image and squared error of the speech, on the test rows. Beside them stand the figures
of a poster (N. Mishra, "Generative Multimodal Learning for Reconstructing Missing Modality"), which are of
training rows and of Farsi images from another source; and what can be reached: where a modality is not
given, by the mean of its digit in the training rows, and for the label by logistic regression of complete
rows. A last table holds all models: of each, how a modality that is not given is completed, in the direction
that goes worst, as a share of the error of the training rows' mean and of that of their digit's mean. Run
``python -m benchmarks.digits3 --data FOLDER``; of the folder, see :func:`skmm.datasets.load_digits3`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import Tensor

import skmm
from benchmarks.sequences import markdown
from skmm._torch import isolated_rng
from skmm.datasets import load_digits3
from skmm.probability.likelihoods.categories import Bernoulli
from skmm.recipes import RECIPES

IMAGES = ("farsi", "kannada")
INPUTS = (*IMAGES, "speech")
SUBSETS = {" + ".join(of): list(of) for size in (1, 2, 3) for of in combinations(INPUTS, size)}
LABEL = ("label", "digit")
N_DRAWS = 8  # of a row, for the bound

# accuracy in %, loss, cross-entropies of both images, squared error of the speech
POSTER = pd.DataFrame(
    {
        "farsi": [99.6, 248.85, 89.09, 135, 0.133],
        "kannada": [99.7, 436.9, 348.67, 68.96, 0.134],
        "speech": [99.2, 493.03, 348.81, 135.76, 0.0095],
        "farsi + kannada": [99.93, 187.64, 89.05, 69.04, 0.133],
        "kannada + speech": [99.94, 427.44, 346.19, 69.1, 0.011],
        "farsi + speech": [99.88, 239.11, 89.33, 134.8, 0.013],
        "farsi + kannada + speech": [99.95, 177.62, 89.38, 69.1, 0.014],
    },
    index=["accuracy", "loss", "farsi", "kannada", "speech"],
).T

# what all have in common; the label is one column beside 1828 others
COMMON: dict[str, Any] = {
    "n_components": 64,
    "completion": "network",
    "cell_dropout": 0.1,
    "early_stopping": False,  # so that all have as many epochs
    # rows are put together at random within a digit: networks of this size learn by heart which images and
    # recordings stand in one row, and the default decay, made for tables, hardly holds them back
    "weight_decay": 1.0,
    "modality_weights": {"label": 30.0},
    "modality_dropout": dict.fromkeys(INPUTS, 0.5) | {"label": 0.8},
}
# the label is hidden from the encoders, and told by the others, whatever the paper
LABEL_HIDDEN = {"modality_dropout": {"label": 0.8}}


def of_recipe(name: str) -> dict[str, Any]:
    """A recipe; where it hides modalities, as many are hidden as of the default."""
    found = skmm.recipe(name)
    hidden = {"modality_dropout": COMMON["modality_dropout"]}
    return found | (hidden if found["modality_dropout"] else LABEL_HIDDEN)


MODELS: dict[str, dict[str, Any]] = {
    "default": {},
    # each modality alone is part of the objective: nothing but the label needs to be hidden by dropout
    "unimodal_elbo": {"objective": "unimodal_elbo", **LABEL_HIDDEN},
    **{name: of_recipe(name) for name in RECIPES},
}
SHOWN = ("unimodal_elbo", "mvae", "mmvae", "mopoe", "mvtcae", "mmvaeplus", "svae")


class Grey(Bernoulli):
    """Ink from 0 to 1, scored by its cross-entropy, as the poster does; no density, but a loss in nats."""

    name = "grey"

    def start(self, values: Tensor, observed: Tensor) -> None:
        """Match the mean ink."""
        ink = torch.where(observed, values, 0.0).sum(0)
        self.offset.copy_(((ink + 0.5) / (observed.sum(0) - ink + 0.5)).log())

    def check(self, values: Tensor, observed: Tensor, modality: Any, labels: Sequence[Any]) -> None:
        """Reject what is no ink."""
        wrong = observed & ~((values >= 0) & (values <= 1))
        self.reject(values, wrong, modality, labels, "numbers from 0 to 1", "Divide by the largest.")

    def probabilities(self, mean: Tensor) -> dict[int, Tensor]:
        """None: pixels are no flags."""
        return {}


@dataclass(frozen=True)
class Digits:
    """The table with its label, cut into training and test rows."""

    train: pd.DataFrame
    test: pd.DataFrame

    @classmethod
    def load(cls, folder: str, n_train: int | None = None, seed: int = 0) -> Digits:
        """Read the archives; of the training rows, take ``n_train`` at random."""
        bunch = load_digits3(folder)
        X = bunch.data
        X[LABEL] = pd.Categorical(bunch.target)
        train = bunch.train_idx
        if n_train is not None and n_train < len(train):
            train = np.random.RandomState(seed).choice(train, n_train, replace=False)
        return cls(X.iloc[train], X.iloc[bunch.test_idx])


def cross_entropy(ink: np.ndarray, expected: np.ndarray) -> float:
    """Bernoulli cross-entropy per image, in nats."""
    expected = np.clip(expected, 1e-6, 1 - 1e-6)
    return float(-(ink * np.log(expected) + (1 - ink) * np.log1p(-expected)).sum(axis=1).mean())


def errors(truth: pd.DataFrame, expected: pd.DataFrame, deviation: pd.Series) -> dict[str, float]:
    """Cross-entropy of images; mean squared error of speech, in units of the training rows' deviations."""
    found = {
        name: cross_entropy(*(table[name].to_numpy(float) for table in (truth, expected))) for name in IMAGES
    }
    difference = (expected["speech"].to_numpy(float) - truth["speech"].to_numpy(float)) / deviation.to_numpy()
    return found | {"speech": float(np.square(difference).mean())}


def attainable(digits: Digits) -> tuple[pd.DataFrame, pd.Series]:
    """Errors of the mean of each digit and of all, and the accuracy of logistic regression of each subset."""
    train, test = digits.train, digits.test
    of_all = pd.DataFrame([train[list(INPUTS)].mean()] * len(test))
    means = train[list(INPUTS)].groupby(train[LABEL].to_numpy(), observed=True).mean()
    of_digit = means.loc[test[LABEL].to_numpy()]
    found = {
        name: errors(test, expected, train["speech"].std())
        for name, expected in (("digit", of_digit), ("all", of_all))
    }
    accuracy = {}
    for name, subset in SUBSETS.items():
        scaled = [rows[subset] / np.maximum(train[subset].std(), 0.1) for rows in (train, test)]
        n_components = min(100, *scaled[0].shape)
        probe = make_pipeline(PCA(n_components, random_state=0), LogisticRegression(C=0.1, max_iter=500))
        probe.fit(scaled[0].to_numpy(), train[LABEL].to_numpy())
        accuracy[name] = 100 * probe.score(scaled[1].to_numpy(), test[LABEL].to_numpy())
    return pd.DataFrame(found).T, pd.Series(accuracy, name="accuracy")


def accuracy_of_label(vae: skmm.MultimodalVAE, X: pd.DataFrame, subset: list[str]) -> float:
    """Share of rows, in percent, whose most probable label is theirs, given a subset of the modalities."""
    probability = vae.predict_category_proba(skmm.keep(X, subset))[LABEL[0]]
    guess = probability.columns.get_level_values(-1).to_numpy()[probability.to_numpy().argmax(axis=1)]
    return 100 * float(np.mean(guess == X[LABEL].to_numpy()))


def bound(vae: skmm.MultimodalVAE, X: pd.DataFrame, subset: list[str]) -> dict[str, float]:
    """The negative bound of all three modalities with the posterior of a subset, in nats.

    "bound" is that of the model, speech in units of its deviations; "loss" is what the poster's figures add
    up to: both cross-entropies, the divergence, and the squared error, its density left out.
    """
    inputs, targets = (vae._read(table).blocks for table in (skmm.keep(X, subset), X))
    with torch.no_grad(), isolated_rng(0):
        terms = skmm.ELBO(n_draws=N_DRAWS)(vae.module_, inputs, targets, 1.0)
    log_likelihood = dict(zip(vae.layout_.names, terms.reconstruction.tolist(), strict=True))
    kl = float(terms.kl.sum())
    return {
        "bound": kl - sum(log_likelihood[name] for name in INPUTS),
        "images and divergence": kl - sum(log_likelihood[name] for name in IMAGES),
    }


def table(vae: skmm.MultimodalVAE, digits: Digits) -> pd.DataFrame:
    """Figures of every subset."""
    rows, deviation = {}, digits.train["speech"].std()
    for name, subset in SUBSETS.items():
        seen = skmm.keep(digits.test, subset)
        found = {
            "accuracy": accuracy_of_label(vae, digits.test, subset),
            "training rows": accuracy_of_label(vae, digits.train.iloc[:1000], subset),
        }
        error = errors(digits.test, vae.predict(seen), deviation)
        nats = bound(vae, digits.test, subset)
        found |= {"loss": nats["images and divergence"] + error["speech"], "bound": nats["bound"], **error}
        rows[name] = found
    return pd.DataFrame(rows).T


def report(found: pd.DataFrame, means: pd.DataFrame, probes: pd.Series) -> str:
    """The figures beside the poster's and what can be reached; "*" where the modality itself was given."""
    shown = found[["accuracy"]].copy()
    shown["(training)"] = found["training rows"]
    shown["(logistic)"] = probes
    shown["(poster)"] = POSTER["accuracy"]
    for column in ("bound", "loss", *INPUTS):
        digits = 3 if column == "speech" else 1
        shown[column] = [
            f"{value:.{digits}f}{'*' if column in SUBSETS[name] else ' '}"
            for name, value in found[column].items()
        ]
        if column != "bound":
            shown[f"(poster) {column}"] = POSTER[column].map("{:g}".format)
    lines = [shown.to_string(float_format="{:.1f}".format)]
    for of, row in means.iterrows():
        lines.append(f"mean of {of}: " + ", ".join(f"{name} {value:.3f}" for name, value in row.items()))
    return "\n".join([*lines, "* given"])


def summary(runs: pd.DataFrame, means: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """Of each model: accuracy of the label, and the worst of the directions; deviations over seeds.

    ``means`` holds the errors of the means by seed: seeds may have other training rows.
    """
    rows = []
    for name, of_model in runs.groupby("model", sort=False):
        by_seed = []
        for seed, run in of_model.groupby("seed"):
            table = run.set_index("given")
            missing = {way: [given for given in SUBSETS if way not in SUBSETS[given]] for way in INPUTS}
            alone = table.loc[list(INPUTS), "accuracy"]
            found = {"label, of one": alone.mean(), "label, of all": table["accuracy"].iloc[-1]}
            worst = {way: table.loc[missing[way], way].max() for way in INPUTS}
            for of, row in means[seed].iterrows():
                found |= {f"{way} / mean of {of}": worst[way] / row[way] for way in INPUTS}
            by_seed.append(found | {"s": run["seconds"].iloc[0]})
        figures = pd.DataFrame(by_seed)
        row: dict[str, Any] = {"model": name}
        for column in figures:
            row[column] = figures[column].mean()
            if len(figures) > 1 and column != "s":
                row[f"{column} (sd)"] = figures[column].std()
        rows.append(row)
    return pd.DataFrame(rows)


def fit(parameters: Mapping[str, Any], digits: Digits, epochs: int | str, seed: int) -> skmm.MultimodalVAE:
    """One model of all four modalities."""
    grey = dict.fromkeys(IMAGES, Grey)
    settings = COMMON | dict(parameters) | {"likelihood": grey, "max_iter": epochs, "random_state": seed}
    return skmm.MultimodalVAE(**settings).fit(digits.train)


def main() -> None:
    """Fit, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("SKMM_DATA"), help="folder that holds the data")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(SHOWN))
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--n-train", type=int, help="training rows, if not all 6000")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, help="folder for the figures of every run")
    arguments = parser.parse_args()
    if not arguments.data:
        raise SystemExit("Name the folder that holds the data: --data PATH, or the variable SKMM_DATA.")
    torch.set_num_threads(1)
    runs, means = [], {}
    for seed in arguments.seeds:
        digits = Digits.load(arguments.data, arguments.n_train, seed)
        means[seed], probes = attainable(digits)
        for name in arguments.models:
            start = time.perf_counter()
            vae = fit(MODELS[name], digits, arguments.epochs, seed)
            seconds = time.perf_counter() - start
            print(f"\n{name}, seed {seed}: fit {seconds:.0f} s", flush=True)
            found = table(vae, digits)
            print(report(found, means[seed], probes), flush=True)
            found.insert(0, "given", found.index)
            runs.append(found.assign(model=name, seed=seed, seconds=seconds))
    everything = pd.concat(runs, ignore_index=True)
    print("\n" + markdown(summary(everything, means)))
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        everything.to_csv(arguments.out / "digits3.csv", index=False)


if __name__ == "__main__":
    main()
