"""
A search in a Pipeline, scored by completion
============================================

Which fusion rule, which beta, how much modality dropout? ``GridSearchCV`` answers, if it is told what to
ask for: ``completion_scorer`` hides each modality in turn where it is known, and measures how well it is
completed.
"""

# %%
# Three groups of measurements
# ----------------------------
# Scikit-learn's breast cancer data hold ten features of cell nuclei, three times: their means over an
# image, their standard errors, and their worst values. Each group is a modality here. A quarter of them is
# removed at random.
from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

import skmm
from skmm.datasets import remove_modalities
from skmm.metrics import completion_error

table = load_breast_cancer(as_frame=True).data
groups = {
    "mean": [name for name in table if name.startswith("mean")],
    "error": [name for name in table if name.endswith("error")],
    "worst": [name for name in table if name.startswith("worst")],
}
X_train, X_test = train_test_split(table, test_size=0.3, random_state=0)
X_seen = remove_modalities(X_train, 0.25, modalities=groups, random_state=0)
print(f"{len(X_seen)} rows to search with, {X_seen.isna().mean().mean():.0%} of their entries missing")

# %%
# The pipeline
# ------------
# The features are skewed amounts, so their logarithms are taken first. ColumnTransformer calls its output
# ``mean__mean radius`` and so on: ``modalities="prefix"`` reads the groups from there. Steps pass NaN on.
log = FunctionTransformer(np.log1p, feature_names_out="one-to-one")
by_group = ColumnTransformer([(name, log, columns) for name, columns in groups.items()])
by_group.set_output(transform="pandas")
pipeline = Pipeline(
    [
        ("log", by_group),
        ("vae", skmm.MultimodalVAE(n_components=8, modalities="prefix", max_iter=40, random_state=0)),
    ]
)

# %%
# The search
# ----------
# The scorer looks at known values only. The folds are shuffled, so that each has rows with two modalities.
grid = {"vae__fusion": ["poe", "moe"], "vae__beta": [0.1, 0.5, 2.0], "vae__modality_dropout": [0.05, 0.3]}
search = GridSearchCV(
    pipeline, grid, scoring=skmm.completion_scorer, cv=KFold(2, shuffle=True, random_state=0)
)
search.fit(X_seen)

# %%
results = pd.DataFrame(search.cv_results_)
results = results.rename(columns=lambda name: name.removeprefix("param_vae__"))
results["error"] = -results["mean_test_score"]
results["first fold"], results["second fold"] = -results["split0_test_score"], -results["split1_test_score"]
results = results.sort_values("error")
columns = ["fusion", "beta", "modality_dropout", "error", "first fold", "second fold"]
print(results[columns].to_string(index=False, float_format="{:.3f}".format))

# %%
# Errors are in units of each column's standard deviation: completing with the mean has an error of 1. One
# fold is harder than the other for all candidates, which does not matter, as they share the folds; but
# where the order of two candidates is not the same in both, their difference is not to be believed.
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
limits = {"vmin": results["error"].min(), "vmax": results["error"].max(), "cmap": "viridis_r"}
for axis, fusion in zip(axes, grid["vae__fusion"], strict=True):
    errors = results[results["fusion"] == fusion].pivot(
        index="modality_dropout", columns="beta", values="error"
    )
    picture = axis.imshow(errors, aspect="auto", **limits)
    for (row, column), error in np.ndenumerate(errors):
        dark = error > np.mean([limits["vmin"], limits["vmax"]])
        axis.text(column, row, f"{error:.2f}", ha="center", va="center", color="w" if dark else "k")
    axis.set(
        title=f'fusion="{fusion}"',
        xticks=range(errors.shape[1]),
        xticklabels=errors.columns,
        yticks=range(errors.shape[0]),
        yticklabels=errors.index,
        xlabel="beta",
    )
axes[0].set_ylabel("modality_dropout")
figure.colorbar(picture, ax=axes, label="error of a hidden modality")
plt.show()

# %%
# On rows that the search has not seen
# ------------------------------------
# The best candidate was fitted again on all rows of the search. What it is worth is for other rows to say;
# there, nothing is missing, and each group is hidden in turn.
best = {name.removeprefix("vae__"): value for name, value in search.best_params_.items()}
print("best:", ", ".join(f"{name}={value!r}" for name, value in best.items()))
errors = completion_error(search.best_estimator_, X_test)
print(errors.to_string(float_format="{:.3f}".format))
