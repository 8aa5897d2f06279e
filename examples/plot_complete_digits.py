"""
Completing handwritten digits
=============================

Scikit-learn's handwritten digits, cut into four quadrants: each quadrant is a modality. Three quadrants in
ten are removed at random, from the training images too. The model completes what is missing, and draws
alternatives.
"""

# %%
# Four modalities, 30 % of them gone
# ----------------------------------
from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes IterativeImputer importable
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmm
from skmm.datasets import load_digit_views, remove_modalities

X, y = load_digit_views("quadrants", return_X_y=True)
views = list(X.columns.unique(0))
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)
X_train_seen = remove_modalities(X_train, 0.3, random_state=0)
X_test_seen = remove_modalities(X_test, 0.3, random_state=1)
print(f"{len(X_train)} training and {len(X_test)} test images; modalities: {', '.join(views)}")

# %%
# Fit, as any estimator of scikit-learn
# -------------------------------------
start = time.perf_counter()
vae = skmm.MultimodalVAE(n_components=20, random_state=0).fit(X_train_seen)
print(f"MultimodalVAE fitted in {time.perf_counter() - start:.0f} s, {vae.n_iter_} epochs")


# %%
# Complete each hidden quadrant
# -----------------------------
# Each quadrant of the test images is hidden in turn and completed from the other three.
def hidden_quadrant_error(imputer) -> float:
    """Root mean squared error of the hidden pixels, as a share of full ink."""
    squares = []
    for view in views:
        completed = imputer(skmm.hide(X_test, view))
        squares.append(
            np.square((np.asarray(completed) - X_test.to_numpy())[:, X.columns.get_loc(view)] / 16)
        )
    return float(np.sqrt(np.mean(squares)))


def classifier_accuracy(imputer) -> float:
    """Accuracy on completed test rows of a classifier that was trained on completed rows."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    classifier.fit(np.asarray(imputer(X_train_seen)), y_train)
    return float(classifier.score(np.asarray(imputer(X_test_seen)), y_test))


baselines = {
    "column means": SimpleImputer(),
    "KNNImputer": KNNImputer(),
    # its defaults, but for the limits that keep a regression on rare pixels from running off the grey scale
    "IterativeImputer": IterativeImputer(min_value=0, max_value=16, random_state=0),
}
with warnings.catch_warnings():
    # of IterativeImputer: more rounds do not help it here
    warnings.simplefilter("ignore", ConvergenceWarning)
    imputers = {name: baseline.fit(X_train_seen).transform for name, baseline in baselines.items()}
imputers["MultimodalVAE"] = vae.impute
table = pd.DataFrame(
    {
        "error of a hidden quadrant (pixels / 16)": {
            n: hidden_quadrant_error(i) for n, i in imputers.items()
        },
        "classifier accuracy on completed rows": {n: classifier_accuracy(i) for n, i in imputers.items()},
    }
)
print(table.to_string(float_format="{:.3f}".format))

# %%
# Look at completions and draws
# -----------------------------
# The completion is the expected image: where several digits would fit, it is blurred. The draws are not.
n_shown, n_draws = 8, 4
rows = np.flatnonzero(X_test_seen.isna().any(axis=1))[:: len(X_test) // 14][:n_shown]
seen = X_test_seen.iloc[rows]
columns = {
    "original": X_test.iloc[rows],
    "seen": seen,
    "completion": vae.impute(seen),
    **{
        f"draw {draw + 1}": table
        for draw, (_, table) in enumerate(
            vae.sample(n_draws, given=seen, random_state=0).groupby(level="draw")
        )
    },
}


def image(row: pd.Series) -> np.ndarray:
    """Put the quadrants of one row together again."""
    top_left, top_right, bottom_left, bottom_right = (
        row[view].to_numpy(float).reshape(4, 4) for view in views
    )
    return np.block([[top_left, top_right], [bottom_left, bottom_right]])


figure, axes = plt.subplots(
    len(columns), n_shown, figsize=(n_shown + 1.2, len(columns) + 0.4), layout="constrained"
)
colours = plt.get_cmap("gray_r").copy()
colours.set_bad("#8fb8de")  # missing
for axis_row, (title, frame) in zip(axes, columns.items(), strict=True):
    for axis, (_, row) in zip(axis_row, frame.iterrows(), strict=True):
        axis.imshow(image(row), cmap=colours, vmin=0, vmax=16)
        axis.set(xticks=[], yticks=[])
    axis_row[0].set_ylabel(title, rotation=0, ha="right", va="center")
figure.suptitle("Digits with missing quadrants (blue), completed by skmm.MultimodalVAE", fontsize=11)
figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)

output = Path(__file__).parent / "output" if "__file__" in globals() else Path("output")
output.mkdir(exist_ok=True)
figure.savefig(output / "complete_digits.png", dpi=120)
print(f"picture: {os.path.relpath(output / 'complete_digits.png')}")
