"""Time of a training step of every model of the literature, and what many modalities cost.

The first table gives the time of a step beside that of the plain bound, measured in turn in the same run:
three modalities of 20 columns, batches of 128 rows, a fifth of the modalities missing, one hidden layer of
128. The second gives, for 2, 6 and 20 modalities of 10 columns, the time of a step and of ``transform`` of
2000 rows, and by how much both raise the peak memory of a process that has fitted a small model before. The
third takes every pixel of scikit-learn's digits for a modality, 30 % of which are missing: error of the
missing ones of test rows, in units of their deviation (their mean: 1), with networks of their own, networks
that all share, and one encoder of the set of pixels. Run ``python -m benchmarks.family``; ``--models``,
``--fusions`` and ``--networks`` choose.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import skmm
from benchmarks.sequences import markdown
from benchmarks.speed import peak
from skmm.probability.fusion import FUSIONS
from skmm.recipes import RECIPES

BATCH_SIZE = 128
N_BATCHES = 10  # of an epoch
MODALITIES = (2, 6, 20)
PLAIN = "plain bound"


def make_rows(n_rows: int, n_modalities: int, n_columns: int) -> pd.DataFrame:
    """Views of five latent variables, of which a fifth is missing."""
    rng = np.random.RandomState(0)
    z = rng.normal(size=(n_rows, 5))
    X = z @ rng.normal(size=(5, n_modalities * n_columns)) + rng.normal(
        size=(n_rows, n_modalities * n_columns)
    )
    X[np.repeat(rng.uniform(size=(n_rows, n_modalities)) < 0.2, n_columns, axis=1)] = np.nan
    views = np.split(X, n_modalities, axis=1)
    return skmm.stack_modalities({f"m{i:02}": view for i, view in enumerate(views)})


def make(**parameters: Any) -> skmm.MultimodalVAE:
    """As small a part of fit beside its steps as there can be."""
    settings = {"batch_size": BATCH_SIZE, "early_stopping": False, "completion": "network", "random_state": 0}
    return skmm.MultimodalVAE(**(settings | parameters))


def step_time(X: pd.DataFrame, parameters: dict[str, Any], epochs: int) -> float:
    """Milliseconds of a step: a longer fit less a shorter one."""
    seconds = []
    for max_iter in (1, 1 + epochs):
        start = time.perf_counter()
        make(max_iter=max_iter, **parameters).fit(X)
        seconds.append(time.perf_counter() - start)
    return 1000 * (seconds[1] - seconds[0]) / (epochs * N_BATCHES)


def time_of_models(models: list[str], epochs: int, rounds: int) -> pd.DataFrame:
    """Milliseconds of a step, and the ratio to the plain bound of the same round; medians of rounds."""
    X = make_rows(BATCH_SIZE * N_BATCHES, 3, 20)
    step_time(X, {}, 1)  # what only a first fit takes
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        plain = step_time(X, {}, epochs)
        found.setdefault(PLAIN, []).append((plain, 1.0))
        for name in models:
            took = step_time(X, skmm.recipe(name), epochs)
            found.setdefault(name, []).append((took, took / plain))
    rows = [(name, *np.median(values, axis=0).round(2)) for name, values in found.items()]
    return pd.DataFrame(rows, columns=["model", "ms per step", f"times the {PLAIN}"])


def cost(fusion: str, n_modalities: int, epochs: int) -> tuple[float, float, float]:
    """Milliseconds of a step, of ``transform`` of 2000 rows, and MB that both add to the peak memory."""
    step_time(make_rows(BATCH_SIZE * N_BATCHES, 2, 10), {}, 1)  # what only a first fit takes
    before = peak()
    X = make_rows(BATCH_SIZE * N_BATCHES, n_modalities, 10)
    step = step_time(X, {"fusion": fusion}, epochs)
    vae = make(fusion=fusion, max_iter=1).fit(X)
    test = make_rows(2000, n_modalities, 10)
    vae.transform(test)
    start = time.perf_counter()
    vae.transform(test)
    took = 1000 * (time.perf_counter() - start)
    return step, took, (peak() - before) / 2**20


def time_of_fusions(fusions: list[str], epochs: int) -> pd.DataFrame:
    """Costs by fusion rule and number of modalities, each in a process of its own, for its memory."""
    rows = []
    for fusion in fusions:
        for n_modalities in MODALITIES:
            command = [sys.executable, "-m", "benchmarks.family", "--cost", fusion, str(n_modalities)]
            said = subprocess.run(
                [*command, "--epochs", str(epochs)], check=True, capture_output=True, text=True
            ).stdout
            rows.append((fusion, n_modalities, *(round(float(word), 1) for word in said.split())))
            print(*rows[-1], flush=True)
    return pd.DataFrame(
        rows, columns=["fusion", "modalities", "ms per step", "ms, transform of 2000", "MB more"]
    )


NETWORKS: dict[str, dict[str, Any]] = {
    "own": {},
    "shared encoder": {"encoders": "shared"},
    "shared encoder and decoder": {"encoders": "shared", "decoders": "shared"},
    "encoder of the set": {"fusion": "set"},
}


def completion_of_pixels(networks: list[str], epochs: int) -> pd.DataFrame:
    """Errors of the missing pixels of digits, every pixel a modality."""
    X = load_digits().data
    X = X[:, np.mean(X != 0, axis=0) > 0.01]  # the others are hardly ever anything but 0
    train, test = train_test_split(X, test_size=0.3, random_state=0)
    train, test = ((part - train.mean(0)) / train.std(0) for part in (train, test))
    rng = np.random.RandomState(0)
    gaps = [np.where(rng.uniform(size=part.shape) < 0.3, np.nan, part) for part in (train, test)]
    modalities = {f"pixel{i:02}": [i] for i in range(X.shape[1])}
    rows = []
    for name in networks:
        settings = {"modalities": modalities, "hidden_layer_sizes": (32,), "max_iter": epochs}
        start = time.perf_counter()
        vae = make(**settings, **NETWORKS[name]).fit(gaps[0])
        seconds = time.perf_counter() - start
        missing = np.isnan(gaps[1])
        error = float(np.sqrt(np.mean((vae.predict(gaps[1]) - test)[missing] ** 2)))
        parameters = sum(parameter.numel() for parameter in vae.module_.parameters())
        rows.append((name, len(modalities), parameters, seconds, error))
        print(*rows[-1], flush=True)
    return pd.DataFrame(rows, columns=["networks", "modalities", "parameters", "fit (s)", "error"])


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--fusions", nargs="*", choices=list(FUSIONS), default=list(FUSIONS))
    parser.add_argument("--networks", nargs="*", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cost", nargs=2, metavar=("FUSION", "MODALITIES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.cost:
        print(*cost(arguments.cost[0], int(arguments.cost[1]), arguments.epochs))
        return
    if arguments.models:
        print(markdown(time_of_models(arguments.models, arguments.epochs, arguments.rounds)), flush=True)
    if arguments.fusions:
        print(markdown(time_of_fusions(arguments.fusions, arguments.epochs)), flush=True)
    if arguments.networks:
        print(markdown(completion_of_pixels(arguments.networks, 3 * arguments.epochs)), flush=True)


if __name__ == "__main__":
    main()
