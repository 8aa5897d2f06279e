"""How often central 90 % intervals along sequences hold the truth, on make_spirals and make_elliptic_spirals.

Sequences that were not trained on lose their last quarter, which is forecast; a quarter in the middle; each
modality wholly; or half of the steps of each modality. Printed are the share of hidden values inside the
interval from the 5 % to the 95 % quantile, the root mean squared error of the expected values, and the mean
width of the intervals over that error, which is 3.29 where all errors have the same normal distribution. Run
``python -m benchmarks.sequence_calibration``.
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
from skmm.datasets import (
    ELLIPTIC_SPIRAL_MODALITIES,
    SPIRAL_MODALITIES,
    make_elliptic_spirals,
    make_spirals,
)

LEVELS = (0.05, 0.95)
SHARE_AHEAD = 0.25
DATA: dict[str, tuple[Any, dict[str, Any]]] = {
    "spirals": (make_spirals, SPIRAL_MODALITIES),
    "elliptic spirals": (make_elliptic_spirals, ELLIPTIC_SPIRAL_MODALITIES),
}


def gaps(X: np.ndarray, modalities: dict[str, Any], seed: int) -> dict[str, np.ndarray]:
    """What is hidden and completed: masks of the shape of X."""
    return {
        "middle": hidden_stretch(X, 0.375, 0.625),
        **{f"{name}, all of it": hidden_stretch(X, 0, 1, columns) for name, columns in modalities.items()},
        "half of the steps": hidden_steps(X, 0.5, modalities, np.random.RandomState(seed)),
    }


def figures(truth: np.ndarray, mean: np.ndarray, quantiles: np.ndarray) -> dict[str, float]:
    """Coverage, error and width of intervals; all arrays are of the same values."""
    low, high = quantiles
    error = np.sqrt(np.square(mean - truth).mean())
    return {
        "coverage": ((low <= truth) & (truth <= high)).mean(),
        "error": error,
        "width / error": (high - low).mean() / error,
    }


def run(
    seed: int,
    *,
    data: str = "spirals",
    n_train: int = 1000,
    n_test: int = 100,
    **parameters: Any,
) -> pd.DataFrame:
    """Fit, and compare intervals of what is hidden with the truth."""
    make, modalities = DATA[data]
    X = make(n_train + n_test, random_state=seed)
    test = X[n_train:]
    model, took = fit(X[:n_train], seed, modalities=modalities, **parameters)
    n_ahead = round(SHARE_AHEAD * X.shape[1])
    past, future = test[:, :-n_ahead], test[:, -n_ahead:]
    forecast = model.forecast(past, n_ahead), model.forecast(past, n_ahead, quantiles=LEVELS)
    rows = [{"data": data, "task": "forecast", **figures(future, *forecast)}]
    for task, hidden in gaps(test, modalities, seed).items():
        given = blanked(test, hidden)
        mean, quantiles = model.predict(given), model.predict_quantiles(given, LEVELS)
        rows.append({"data": data, "task": task, **figures(test[hidden], mean[hidden], quantiles[:, hidden])})
    return pd.DataFrame(rows).assign(**took)


def main() -> None:
    """Fit and count, on both data sets."""
    arguments = parse(make_parser(__doc__, seeds=3))
    settings = chosen({"defaults": {}}, arguments)
    size = {"n_train": 100, "n_test": 10} if arguments.quick else {}
    runs = [repeat(run, settings, arguments.seeds, data=data, **size) for data in DATA]
    report(pd.concat(runs, ignore_index=True), "sequence_calibration", arguments.out)


if __name__ == "__main__":
    main()
