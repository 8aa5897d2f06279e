"""
Digits that share nothing but the digit
=======================================

Two handwritten images and a display of seven segments: three modalities that have the digit in common, and
nothing else. The label is a fourth one. Each subset of them tells the label, and makes the others; new rows
agree with themselves once they are drawn from where the training rows are.
"""

# %%
# Three modalities and a label
# ----------------------------
# Two of scikit-learn's images stand together if they show the same digit, beside a noisy reading of a display
# that shows it too. If the variable ``SKMM_DATA`` names a folder that holds the archives of
# :func:`skmm.datasets.load_digits3`, the modalities are Farsi and Kannada images and spoken English instead.
# Three modalities in ten are removed from the training rows, labels among them.
from __future__ import annotations

import os
import time
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier

import skmm
from skmm.datasets import load_digits3, remove_modalities
from skmm.metrics import cross_coherence, joint_coherence

SEGMENTS = ["abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg"]


def made_triplets(rng: np.random.RandomState) -> tuple[pd.DataFrame, np.ndarray]:
    """Pairs of images, each of which is in one row only, and displays."""
    digits = load_digits()
    rows = [rng.permutation(np.flatnonzero(digits.target == digit)) for digit in range(10)]
    pairs = rng.permutation(np.concatenate([of[: len(of) // 2 * 2].reshape(-1, 2) for of in rows]))
    y = digits.target[pairs[:, 0]]
    lit = np.array([[segment in shown for segment in "abcdefg"] for shown in SEGMENTS], dtype=float)
    display = lit[y] + 0.4 * rng.normal(size=(len(y), 7))
    first, second = (digits.data[pair] / 16 for pair in pairs.T)
    return skmm.stack_modalities({"first": first, "second": second, "display": display}), y


rng = np.random.RandomState(0)
folder = os.environ.get("SKMM_DATA")
if folder and (Path(folder) / "digits3.npz").exists():
    digits = load_digits3(folder, image_size=7, n_frames=4)
    rows = rng.permutation(digits.train_idx)[:1500]
    X, y = digits.data.iloc[rows].reset_index(drop=True), digits.target[rows]
else:
    X, y = made_triplets(rng)
modalities = list(X.columns.unique(0))
X["label", "digit"] = pd.Categorical(y)
n_train = round(0.7 * len(X))
X_train, X_test, y_train, y_test = X[:n_train], X[n_train:], y[:n_train], y[n_train:]
X_seen = remove_modalities(X_train, 0.3, random_state=0)
print(f"{len(X_train)} training and {len(X_test)} test rows of {', '.join(modalities)} and label")

# %%
# Fit
# ---
# ``latent_density`` says where new rows come from: a mixture of Gaussians, fitted after training to draws of
# the training rows' latent variables. Nothing else depends on it.
parameters = {
    "n_components": 16,
    "modality_dropout": 0.4,
    "modality_weights": {"label": 5.0},
    "completion": "network",
    "max_iter": 120,
    "random_state": 0,
}
start = time.perf_counter()
vae = skmm.MultimodalVAE(**parameters, latent_density=GaussianMixture(30)).fit(X_seen)
print(f"fitted in {time.perf_counter() - start:.0f} s, {vae.n_iter_} epochs")

# %%
# What each subset tells of the digit
# -----------------------------------
# All modalities but those of the subset are hidden from the test rows. The label is read off its
# probabilities; what is drawn of the other modalities is shown to a classifier, which has learned from real
# ones. The last row is what it makes of these.
classifiers = {name: KNeighborsClassifier(5).fit(X_train[name], y_train) for name in modalities}
rows = {}
for size in (1, 2, 3):
    for subset in combinations(modalities, size):
        shown = skmm.keep(X_test, list(subset))
        label = vae.predict(shown)["label", "digit"]
        found = {"label": np.mean(label.to_numpy() == y_test)}
        if size < 3:
            found |= cross_coherence(vae, X_test, y_test, classifiers, given=list(subset))
        rows[" + ".join(subset)] = found
rows["real ones"] = {name: classifiers[name].score(X_test[name], y_test) for name in modalities}
accuracy = pd.DataFrame(rows).T[["label", *modalities]]
print(accuracy.to_string(float_format="{:.2f}".format, na_rep=""))

# %%
# New rows
# --------
# Where the latent variables of different digits leave gaps, the prior has none: rows that it gives are often
# no digit, or two. Those of the fitted density are digits more often, and the same one in all modalities.
from_prior = skmm.MultimodalVAE(**parameters).fit(X_seen)
for name, model in {"prior": from_prior, "fitted density": vae}.items():
    share = joint_coherence(model, classifiers)
    print(f"{name}: all modalities are the same digit in {share:.0%} of the new rows")

# %%
# A picture of them, and of images that are made from the first modality of test rows.
pictures = modalities[:2]
side = int(np.sqrt(X[pictures[0]].shape[1]))
shown = X_test[:10]
made = vae.predict(skmm.keep(shown, modalities[0]))
lines = {
    "prior": from_prior.sample(10, random_state=0)[pictures],
    "density": vae.sample(10, random_state=0)[pictures],
    f"{pictures[1]} from\n{pictures[0]}": pd.concat([shown[pictures[:1]], made[pictures[1:]]], axis=1),
}
figure, axes = plt.subplots(2 * len(lines), 10, figsize=(8, 5), layout="constrained")
for pair, (title, table) in zip(axes.reshape(len(lines), 2, 10), lines.items(), strict=True):
    for line, name in zip(pair, pictures, strict=True):
        for axis, image in zip(line, table[name].to_numpy(float), strict=True):
            axis.imshow(image.reshape(side, side), cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
    pair[0, 0].set_ylabel(title, rotation=0, ha="right", va="center")
plt.show()
