"""How often 90 % intervals of hidden modalities hold the truth, on scikit-learn's bundled tables.

Columns are cut into modalities, 30 % of which are removed from the training rows; each is hidden in turn from
complete test rows. Printed are the share of hidden entries inside the interval from the 5 % to the 95 %
quantile, and the error of the expected values in standard deviations of a column, as means over the splits.
Run ``python -m benchmarks.coverage``.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.model_selection import train_test_split

import skmm
from skmm.datasets import load_digit_views, remove_modalities


def tables() -> dict[str, pd.DataFrame]:
    """Tables with columns (modality, feature)."""
    found = {"digits, quadrants": load_digit_views("quadrants", return_X_y=True)[0]}
    for name, load in (
        ("breast cancer", load_breast_cancer),
        ("wine", load_wine),
        ("diabetes", load_diabetes),
    ):
        values = load().data
        parts = np.array_split(np.arange(values.shape[1]), 3)
        found[name] = skmm.stack_modalities({f"m{i}": values[:, part] for i, part in enumerate(parts)})
    return found


def main() -> None:
    """Fit and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--betas", type=float, nargs="+", default=[0.5, 1.0], help="0.5 is the default")
    arguments = parser.parse_args()
    for name, X in tables().items():
        for beta in arguments.betas:
            inside, squared = [], []
            for seed in arguments.seeds:
                train, test = train_test_split(X, test_size=0.3, random_state=seed)
                train = remove_modalities(train, 0.3, random_state=seed)
                vae = skmm.MultimodalVAE(beta=beta, random_state=seed).fit(train)
                varies = train.std() > 0
                for modality in X.columns.unique(0):
                    given = skmm.hide(test, modality)
                    columns = [label for label in X.columns[varies] if label[0] == modality]
                    low, high = (vae.predict_quantiles(given, q)[columns] for q in (0.05, 0.95))
                    inside.append(((low <= test[columns]) & (test[columns] <= high)).to_numpy().mean())
                    error = (vae.predict(given)[columns] - test[columns]) / train[columns].std()
                    squared.append(np.square(error.to_numpy()).mean())
            print(
                f"{name:18} beta {beta}: 90 % intervals cover {np.mean(inside):.3f}, "
                f"RMSE {np.sqrt(np.mean(squared)):.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
