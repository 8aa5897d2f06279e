"""
Sequences: a watch with a broken sensor
=======================================

Recordings of a watch on the wrist: an accelerometer and a gyroscope, during four activities. A Pipeline
learns to tell the activities from both sensors. Later one of them is missing. The same model then makes do
with the other, and completes what is missing.
"""

# %%
# The data
# --------
# If the variable ``SKMM_DATA`` names a folder that holds ``basic_motions.npz``, these are 80 recordings of
# real people, BasicMotions; see :func:`skmm.datasets.load_basic_motions` for the file. Otherwise they are
# made up: :func:`skmm.datasets.make_motions` draws recordings of the same shape, in about the same units.
from __future__ import annotations

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmm
from skmm.datasets import load_basic_motions, make_motions

folder = os.environ.get("SKMM_DATA")
if folder and Path(folder, "basic_motions.npz").is_file():
    motions = load_basic_motions(folder)
else:
    motions = make_motions(return_X_y=False, random_state=0)
print(motions.DESCR)
X_train, y_train = motions.data[motions.train_idx], motions.target[motions.train_idx]
X_test, y_test = motions.data[motions.test_idx], motions.target[motions.test_idx]
print(f"{X_train.shape} for training, {X_test.shape} for testing; modalities: {motions.modalities}")

# %%
# A Pipeline
# ----------
# With ``summary="mean"``, the model gives the next step one row per recording: the mean of its latent
# variables over the steps. It does not look at the activities; the classifier does. The values of somebody
# who stands vary little, those of a player much: hence a likelihood whose spread is another one at each step.
model = make_pipeline(
    skmm.MultimodalVRNN(
        modalities=motions.modalities,
        likelihood="heteroscedastic_normal",
        summary="mean",
        max_iter=220,
        random_state=0,
    ),
    StandardScaler(),
    LogisticRegression(max_iter=1000),
).fit(X_train, y_train)
vrnn = model[0]
print(f"features of the test recordings: {vrnn.transform(X_test).shape}")

# %%
# A sensor is missing
# -------------------
# In the test recordings only: the training ones had both. ``hide`` puts NaN, and nothing else has to be said.
cases = {
    "both sensors": X_test,
    **{
        f"without the {sensor}": skmm.hide(X_test, sensor, modalities=motions.modalities)
        for sensor in motions.modalities
    },
}


# %%
# To compare, a simple way: the mean and the standard deviation of every channel as features. A missing sensor
# is filled with the means of the training recordings; or there is a classifier of its own for each case,
# which has never seen the other sensor.
def channel_features(X: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of every channel, for each recording."""
    return np.concatenate([X.mean(axis=1), X.std(axis=1)], axis=1)


def channel_classifier(X: np.ndarray):
    """Classifier of the channels' means and deviations."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return classifier.fit(channel_features(X), y_train)


filled_in = channel_classifier(X_train)
accuracy = {}
for case, X_seen in cases.items():
    channels = ~np.isnan(X_seen).all(axis=(0, 1))
    filled = np.where(np.isnan(X_seen), X_train.mean(axis=(0, 1)), X_seen)
    own = channel_classifier(X_train[..., channels])
    accuracy[case] = {
        "channels, missing ones filled": filled_in.score(channel_features(filled), y_test),
        "channels, a classifier for each case": own.score(channel_features(X_seen[..., channels]), y_test),
        "skmm, one model": model.score(X_seen, y_test),
    }
print(pd.DataFrame(accuracy).T.to_string(float_format="{:.3f}".format))

# %%
# What is filled with a constant looks like a watch at rest, and misleads the classifier. A classifier for
# each case avoids that, but has to be trained for each. (Forty recordings are few: one of them is 0.025.)

# %%
# The missing sensor, completed
# -----------------------------
# One recording of each activity. On the left, an axis of the gyroscope as it is expected from the
# accelerometer alone; on the right, the other way round. The bands are meant to hold nine values in ten.
# Scales differ: who stands moves little.
BLUE, BAND = "#1f5f8b", "#c4dcf0"
shown = {"gyroscope": (5, "z, rad/s"), "accelerometer": (1, "y, m/s²")}
seconds = np.arange(X_test.shape[1]) / 10
figure, axes = plt.subplots(4, 2, figsize=(11, 9), layout="constrained", sharex=True)
for column, (sensor, (channel, unit)) in zip(axes.T, shown.items(), strict=True):
    rows = [np.flatnonzero(y_test == activity)[0] for activity in range(4)]
    seen = skmm.hide(X_test[rows], sensor, modalities=motions.modalities)
    mean = vrnn.predict(seen)[..., channel]
    low, high = vrnn.predict_quantiles(seen, (0.05, 0.95))[..., channel]
    for axis, activity, row, *lines in zip(column, motions.target_names, rows, mean, low, high, strict=True):
        expected, lower, upper = lines
        axis.fill_between(seconds, lower, upper, color=BAND, linewidth=0, label="90 % band")
        axis.plot(seconds, expected, color=BLUE, label="completion")
        axis.plot(seconds, X_test[row, :, channel], "k.", markersize=4, label="truth, hidden")
        axis.set(ylabel=unit, title=f"{activity}: {sensor} missing", xlim=(0, seconds[-1]))
    column[-1].set_xlabel("seconds")
handles, labels = axes[0, 0].get_legend_handles_labels()
figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
plt.show()

# %%
# What repeats itself is completed closely. Strokes come at random times and in random directions; where the
# other sensor does not tell the direction, the band widens.
#
# Over all test recordings: root mean squared errors, those of the sensor's means, and what share of the
# values is inside the bands.
rows = {}
for sensor, columns in motions.modalities.items():
    seen, truth = cases[f"without the {sensor}"], X_test[..., columns]
    mean = vrnn.predict(seen)[..., columns]
    low, high = vrnn.predict_quantiles(seen, (0.05, 0.95))[..., columns]
    rows[sensor] = {
        "error of the means": np.sqrt(np.mean(np.square(truth - X_train[..., columns].mean(axis=(0, 1))))),
        "error of skmm": np.sqrt(np.mean(np.square(truth - mean))),
        "inside the 90 % band": np.mean((low <= truth) & (truth <= high)),
    }
print(pd.DataFrame(rows).T.to_string(float_format="{:.2f}".format))
