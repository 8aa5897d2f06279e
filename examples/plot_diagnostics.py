"""
Looking at a fitted model
=========================

Seven pictures of a model and its completions, each one line of code. The data are scikit-learn's measurements
of 569 tumours: of the cells of each, the mean of ten quantities, their standard error, and the worst cells.
These are three modalities.
"""

# %%
# Three modalities, 20 % of them gone
# -----------------------------------
from __future__ import annotations

import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import skmm
from skmm.datasets import load_digit_views, remove_modalities
from skmm.plotting import (
    CalibrationDisplay,
    CompletionDistributionDisplay,
    CompletionErrorDisplay,
    LatentMapDisplay,
    LatentTraversalDisplay,
    ModalityInformationDisplay,
    TrainingDisplay,
)

data = load_breast_cancer(as_frame=True)
quantities = [name.removeprefix("mean ") for name in data.data.columns[:10]]
X = skmm.stack_modalities(
    {
        name: data.data.iloc[:, start : start + 10].set_axis(quantities, axis=1)
        for name, start in [("mean", 0), ("standard error", 10), ("worst", 20)]
    }
)
diagnosis = data.target.map({0: "malignant", 1: "benign"}).rename("diagnosis")
X_train, X_test, _, y_test = train_test_split(X, diagnosis, test_size=0.4, random_state=0)
X_train = remove_modalities(X_train, 0.2, random_state=0)
vae = skmm.MultimodalVAE(n_components=8, max_iter=150, random_state=0).fit(X_train)

# %%
# Has it learned enough?
# ----------------------
# The loss of training rows and the score of validation rows should both have become flat. The parts of the
# loss say of which modality something was learned. All are in nats, of standardised values.
TrainingDisplay.from_estimator(vae)
plt.show()

# %%
# How well does it complete?
# --------------------------
# From here on, test rows only. Cells are hidden at random, or each modality as a whole.
CompletionErrorDisplay.from_estimator(vae, X_test)
plt.show()

# %%
# A modality that is missing as a whole is completed about as well as cells are when half of them are missing:
# every quantity is measured three times. Standard errors are the hardest to tell.

# %%
# Which modality informs which?
# -----------------------------
# A row is what is given, a column what is completed from it, and the number how much of its variance.
ModalityInformationDisplay.from_estimator(vae, X_test)
plt.show()

# %%
# The mean and the worst cells tell most of each other. Standard errors tell less of them, and less is told of
# standard errors. The last row is what both others tell together.

# %%
# Are completed values such as there are?
# ---------------------------------------
# Observed values, and draws of the missing ones. Both should be spread alike, as modalities were removed at
# random.
seen = remove_modalities(X_test, 0.3, random_state=1)
columns = [(name, quantity) for name in ("mean", "standard error") for quantity in ("area", "texture")]
CompletionDistributionDisplay.from_estimator(vae, seen, columns=columns)
plt.show()

# %%
# The standard errors of areas are not: they are skewed, and some of those that the model draws are negative.
# This is what the normal density, the default for numbers, does to amounts. ``likelihood`` chooses another
# one, here for all columns that are positive throughout.
positive = {column: "log_normal" for column in X if X[column].min() > 0}
better = skmm.MultimodalVAE(n_components=8, likelihood=positive, max_iter=150, random_state=0).fit(X_train)
CompletionDistributionDisplay.from_estimator(better, seen, columns=columns)
plt.show()

# %%
# Does it know how sure it can be?
# --------------------------------
# Of each modality, while it is hidden: how many of its values lie within intervals that are meant to hold
# 10 % to 95 % of them. On the left the first model, on the right the second.
figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
for ax, (name, model) in zip(axes, {"normal": vae, "log-normal": better}.items(), strict=True):
    CalibrationDisplay.from_estimator(model, X_test, ax=ax).ax_.set_title(name)
plt.show()

# %%
# Above the diagonal intervals are wider than they need be, below it the model is too sure of itself. What has
# the right shape need not have the right width: one picture does not tell everything.

# %%
# What is in the latent space?
# ----------------------------
# A point is a tumour. The model was never told the diagnosis.
LatentMapDisplay.from_estimator(better, X_test, color=y_test)
plt.show()

# %%
# And what do the latent variables mean? As one goes from -2 (blue) to 2 (red) and the others stay at 0,
# these are the changes of what the model expects. The five variables are shown that change most.
LatentTraversalDisplay.from_estimator(better)
plt.show()

# %%
# Modalities that are images are shown as such. These are halves of handwritten digits.
digits, _ = load_digit_views("halves", return_X_y=True)
halves = skmm.MultimodalVAE(n_components=10, max_iter=20, random_state=0).fit(digits)
LatentTraversalDisplay.from_estimator(halves, shape=(4, 8))
plt.show()
