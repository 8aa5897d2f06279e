"""One search over everything a model can be made of: fusion, objective, gradient, posterior, prior, latents.

All of them together, in one ``GridSearchCV``, on the measurements of breast cancer in three modalities, 30 %
of which are missing: how well hidden modalities are completed, in cross-validation, by the network alone. The
winner of the search then completes the test rows, beside the default network and the default estimator, whose
linear model and near rows help the network. Combinations that make no sense are refused with an error that
names both parameters; they are counted, and left out. Run ``python -m benchmarks.search``; ``--jobs 2``
shares the work between two processes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, ParameterGrid, ShuffleSplit, train_test_split

import skmm
from benchmarks.completion_data import breast_cancer
from benchmarks.sequences import markdown
from skmm.datasets import remove_modalities
from skmm.probability.fusion import FUSIONS
from skmm.probability.posteriors import POSTERIORS
from skmm.probability.priors import PRIORS
from skmm.training.objectives.registry import OBJECTIVES

MISSING = 0.3
AXES: dict[str, list[Any]] = {
    "fusion": list(FUSIONS),
    "objective": list(OBJECTIVES),
    "posterior": list(POSTERIORS),
    "prior": list(PRIORS),
}
# gradients are parameters of objectives, of those that have one; and private latent variables
FURTHER: dict[str, list[Any]] = {
    "fusion": ["poe", "gpoe", "moe", "mopoe"],
    "objective": [
        "elbo",
        skmm.ELBO(gradient="stl"),
        "mvae",
        skmm.MVAE(gradient="stl"),
        skmm.IWAE(gradient="plain"),
        skmm.IWAE(gradient="dreg"),
        skmm.MMVAE(gradient="dreg"),
    ],
    "posterior": ["normal", "laplace"],
    "prior": ["normal", "learned_normal", "laplace"],
    "n_private": [3],
}
FIXED: dict[str, Any] = {
    "n_components": 8,
    "hidden_layer_sizes": (64,),
    "completion": "network",
    "early_stopping": False,
    "random_state": 0,
}
TOO_FEW = 20  # rows that show whether a combination makes sense


def load(seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Training and test rows, and the modalities; of the training rows, modalities are missing."""
    table = breast_cancer()
    train, test = train_test_split(table.X, test_size=0.3, random_state=seed)
    kept = remove_modalities(train, MISSING, modalities=table.modalities, random_state=seed)
    return np.asarray(kept), test, table.modalities


def sensible(grid: list[dict[str, Any]], X: np.ndarray, modalities: Any) -> tuple[list[dict[str, Any]], int]:
    """Combinations that go together, and how many are refused."""
    good, refused = [], 0
    for parameters in ParameterGrid(grid):
        vae = skmm.MultimodalVAE(modalities=modalities, **(FIXED | {"max_iter": 1} | parameters))
        try:
            vae.fit(X[:TOO_FEW])
        except ValueError as error:
            if str(error).count("=") < 2:  # must name what does not go with what
                raise
            refused += 1
        else:
            good.append(parameters)
    return good, refused


def best_by_value(results: pd.DataFrame) -> pd.DataFrame:
    """Error of the best combination that has each value of each axis."""
    rows = []
    for axis in (*AXES, "n_private"):
        values = results[f"param_{axis}"].map(str)
        best = results.loc[results.groupby(values)["error"].idxmin()].sort_values("error")
        for _, row in best.iterrows():
            others = ", ".join(str(row[f"param_{name}"]) for name in AXES if name != axis)
            count = int((values == str(row[f"param_{axis}"])).sum())
            rows.append((axis, str(row[f"param_{axis}"]), row["error"], count, others))
    return pd.DataFrame(rows, columns=["axis", "value", "least error", "combinations", "with"])


def main() -> None:
    """Search, and report the best."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fusions", nargs="+", choices=list(FUSIONS), default=list(FUSIONS))
    parser.add_argument("--objectives", nargs="+", choices=list(OBJECTIVES), default=list(OBJECTIVES))
    parser.add_argument("--out", type=Path, help="folder for the table of all combinations")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    X, X_test, modalities = load(arguments.seed)
    axes = AXES | {"fusion": arguments.fusions, "objective": arguments.objectives}
    combinations, refused = sensible([axes, FURTHER], X, modalities)
    print(f"{len(combinations)} combinations; {refused} more make no sense and are refused", flush=True)

    vae = skmm.MultimodalVAE(modalities=modalities, max_iter=arguments.epochs, **FIXED)
    search = GridSearchCV(
        vae,
        [{name: [value] for name, value in parameters.items()} for parameters in combinations],
        scoring=skmm.completion_scorer,
        cv=ShuffleSplit(arguments.splits, test_size=0.3, random_state=arguments.seed),
        n_jobs=arguments.jobs,
        error_score="raise",
    )
    start = time.perf_counter()
    search.fit(X)
    seconds = time.perf_counter() - start
    results = pd.DataFrame(search.cv_results_).assign(error=lambda found: -found["mean_test_score"])
    n_private = results.get("param_n_private", pd.Series(0, index=results.index))
    results["param_n_private"] = n_private.fillna(0).astype(int)
    results = results.sort_values("error")
    print(f"{len(results) * arguments.splits} fits in {seconds:.0f} s; best: {search.best_params_}\n")
    shown = [f"param_{name}" for name in (*AXES, "n_private")]
    first = results[["error", *shown]].head(10).astype(dict.fromkeys(shown, str))
    print(markdown(first.rename(columns=lambda name: name.removeprefix("param_"))), "\n")
    print(markdown(best_by_value(results)), "\n")
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        results.to_csv(arguments.out / "search.csv", index=False)

    models = {
        "best of the search": search.best_estimator_,
        "the same, default completion": clone(search.best_estimator_).set_params(completion="stacked"),
        "default network": skmm.MultimodalVAE(modalities=modalities, completion="network", random_state=0),
        "default": skmm.MultimodalVAE(modalities=modalities, random_state=0),
    }
    errors = {name: -skmm.completion_scorer(model.fit(X), X_test) for name, model in models.items()}
    print(markdown(pd.DataFrame(list(errors.items()), columns=["model", "error on the test rows"])))


if __name__ == "__main__":
    main()
