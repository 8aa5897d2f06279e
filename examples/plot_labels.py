"""
Few labels and missing modalities
=================================

Handwritten digits in four quadrants, each a modality. Three quadrants in ten are missing, and nine labels in
ten. One model learns from all of it, tells the digit from any of the quadrants, and draws digits on demand.
"""

# %%
# One label in ten
# ----------------
from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmm
from skmm.datasets import load_digit_views, remove_modalities

X, y = load_digit_views("quadrants", return_X_y=True)
views = list(X.columns.unique(0))
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=0, stratify=y)
X_train_seen = remove_modalities(X_train, 0.3, random_state=0)
labelled = np.random.RandomState(0).uniform(size=len(y_train)) < 0.1
y_seen = np.where(labelled, y_train, -1)  # scikit-learn's code for "not known"
print(f"{len(X_train)} training images, {labelled.sum()} of them labelled")

# %%
# Fit
# ---
classifier = skmm.MultimodalVAEClassifier(n_components=20, max_iter=150, random_state=0)
classifier.fit(X_train_seen, y_seen)
baseline = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=2000))
baseline.fit(X_train_seen[labelled], y_train[labelled])

# %%
# The fewer quadrants there are, the harder it is
# -----------------------------------------------
# The baseline fills gaps with means, and can use labelled images only.
for n_seen in range(1, 5):
    given = skmm.keep(X_test, views[:n_seen])
    print(
        f"{n_seen} of 4 quadrants: accuracy {classifier.score(given, y_test):.2f}, "
        f"logistic regression on means {baseline.score(given, y_test):.2f}"
    )

# %%
# It knows when it does not know
# ------------------------------
# Of the digits that it is sure of, nearly all are right: probabilities average over all that the posterior
# given the observed quadrants holds possible.
probabilities = classifier.predict_proba(skmm.keep(X_test, views[:2]))
confidence = probabilities.max(axis=1)
right = classifier.classes_[probabilities.argmax(axis=1)] == y_test
for low, high in ((0.0, 0.5), (0.5, 0.9), (0.9, 1.0)):
    within = (confidence > low) & (confidence <= high)
    print(f"sure to {low:.0%}-{high:.0%}: {within.sum():4d} images, {right[within].mean():.0%} of them right")

# %%
# Digits on demand
# ----------------
# A label is one more modality, so that it can also be given.
figure, axes = plt.subplots(4, 10, figsize=(8, 3.8), layout="constrained")
by_pixel = X.columns.get_level_values(1).argsort()  # named by row and column of the image
for digit, column in zip(classifier.classes_, axes.T, strict=True):
    drawn = classifier.sample(4, y=digit, random_state=0).to_numpy()[:, by_pixel]
    for axis, image in zip(column, drawn.reshape(-1, 8, 8), strict=True):
        axis.imshow(image, cmap="gray_r", vmin=0, vmax=16)
        axis.set_axis_off()
    column[0].set_title(digit)
figure.suptitle("Drawn for each label")
