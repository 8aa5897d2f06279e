"""Five tasks on spirals of many shapes, after a published suite, on make_elliptic_spirals.

The data and the tasks are those of ztangent/multimodal-dmm: 600 spirals of 100 steps to train on, 400 to test
on, x and y one modality each, noise 0.1. "recon" is given everything; "half" lacks half of the steps of each
modality, "fwd" the last quarter of both, "bwd" the first; "condgen" is given x, and the first quarter of y.
Printed are, for each task, the squared error of the expected values summed over x and y, as there: its mean
over all steps, also those that are given, against the noisy values, for which a prediction without any error
of its own gets 0.02; and against the noise-free ones. Beside them, the mean squared error per hidden value,
against both, and the best error of each task in the published table. Run
``python -m benchmarks.spirals_suite``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.sequences import (
    blanked,
    chosen,
    fit,
    hidden_steps,
    hidden_stretch,
    make_parser,
    parse,
    repeat,
    report,
)
from skmm.datasets import ELLIPTIC_SPIRAL_MODALITIES, make_elliptic_spirals

N_TRAIN = 600
PUBLISHED = {"recon": 0.02, "half": 0.04, "fwd": 0.10, "bwd": 0.04, "condgen": 0.26}  # best of each task
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    # what the tasks hide: stretches, and rarely a whole modality; and twice as many steps
    "long gaps": {
        "n_components": 6,
        "burst_dropout": 0.8,
        "modality_dropout": 0.0,
        "step_dropout": 0.0,
        "cell_dropout": 0.0,
        "smoothing_dropout": 0.0,
        "early_stopping": False,
        "batch_size": 50,
        "max_iter": 280,
    },
}


def tasks(X: np.ndarray) -> dict[str, np.ndarray]:
    """What each task hides, the same in every call: masks of the shape of X."""
    return {
        "recon": np.zeros(X.shape, dtype=bool),
        "half": hidden_steps(X, 0.5, ELLIPTIC_SPIRAL_MODALITIES, np.random.RandomState(0)),
        "fwd": hidden_stretch(X, 0.75, 1.0),
        "bwd": hidden_stretch(X, 0.0, 0.25),
        "condgen": hidden_stretch(X, 0.25, 1.0, ELLIPTIC_SPIRAL_MODALITIES["y"]),
    }


def run(
    seed: int, *, n_train: int = N_TRAIN, n_test: int | None = None, n_steps: int = 100, **parameters: Any
) -> pd.DataFrame:
    """Fit, and do the tasks; the seed is that of the model, the data are always the same."""
    X, clean = make_elliptic_spirals(n_steps=n_steps, return_clean=True, random_state=1)
    test, truth = X[N_TRAIN:][:n_test], clean[N_TRAIN:][:n_test]
    model, took = fit(X[:n_train], seed, modalities=ELLIPTIC_SPIRAL_MODALITIES, **parameters)
    rows = []
    for task, hidden in tasks(test).items():
        predicted = model.predict(blanked(test, hidden))
        noisy, own = np.square(predicted - test), np.square(predicted - truth)
        rows.append(
            {
                "task": task,
                "error": noisy.sum(-1).mean(),
                "published": PUBLISHED[task],
                "error, noise-free": own.sum(-1).mean(),
                "hidden": noisy[hidden].mean() if hidden.any() else np.nan,
                "hidden, noise-free": own[hidden].mean() if hidden.any() else np.nan,
                **took,
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Fit and do the tasks, with every seed."""
    parser = make_parser(__doc__, seeds=5)
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    arguments = parse(parser)
    size = {"n_train": 100, "n_test": 50} if arguments.quick else {}
    runs = repeat(
        run, chosen({name: SETTINGS[name] for name in arguments.settings}, arguments), arguments.seeds, **size
    )
    report(runs, "spirals_suite", arguments.out)


if __name__ == "__main__":
    main()
