"""Cells missing at random, as the authors of MIWAE hide them, on scikit-learn's breast cancer table.

The table is standardised by all its values, half of its cells are hidden, and the same table is fitted and
completed: Mattei and Frellsen (2019), "MIWAE: Deep Generative Modelling and Imputation of Incomplete Data
Sets", whose figure is a mean squared error of 0.2867. Run ``python -m benchmarks.miwae``.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.datasets import load_breast_cancer

import skmm

PUBLISHED = 0.2867


def hidden_cells(shape: tuple[int, int]) -> np.ndarray:
    """Half of the cells, by the generator and seed that the published figure was made with."""
    size = shape[0] * shape[1]
    chosen = np.random.RandomState(1234).choice(size, size // 2, replace=False)
    hidden = np.zeros(size, dtype=bool)
    hidden[chosen] = True
    return hidden.reshape(shape)


def main() -> None:
    """Fit, complete and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    arguments = parser.parse_args()
    X = load_breast_cancer().data.astype(np.float32)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    hidden = hidden_cells(X.shape)
    given = np.where(hidden, np.nan, X)
    for seed in range(arguments.seeds):
        for completion in ("stacked", "network"):
            start = time.perf_counter()
            vae = skmm.MultimodalVAE(completion=completion, random_state=seed).fit(given)
            seconds = time.perf_counter() - start
            error = float(np.square(vae.predict(given) - X)[hidden].mean())
            print(f"seed {seed} {completion:8} {error:.4f} (published {PUBLISHED}), fit {seconds:.0f} s")


if __name__ == "__main__":
    main()
