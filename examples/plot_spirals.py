"""
Sequences: completion and forecast of spirals
=============================================

Pairs of noisy spirals, two modalities that make the same turns. One modality is hidden, then a stretch of
both, then the end. One model completes all three, and says how sure it is.
"""

# %%
# The data
# --------
# Sequences are an array of shape (n_sequences, n_steps, n_features). The first two features are x and y of
# one spiral, the other two are those of a second one, half turned and smaller. Every pair has a size of its
# own, and all values carry noise with a standard deviation of 0.25.
from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import skmm
from skmm.datasets import SPIRAL_MODALITIES, make_spirals

X = make_spirals(320, 40, noise=0.25, random_state=0)
X_train, X_test = X[:256], X[256:]
print(f"{X_train.shape} for training, {X_test.shape} for testing; modalities: {SPIRAL_MODALITIES}")

# %%
# Fit
# ---
# The training sequences are complete. While it is trained, the model has modalities and stretches hidden
# from it, and so it learns what to do without them. A short training is enough here.
vrnn = skmm.MultimodalVRNN(
    n_components=4, modalities=SPIRAL_MODALITIES, batch_size=64, max_iter=120, random_state=0
).fit(X_train)
print(f"{vrnn.n_iter_} epochs")

# %%
# Three kinds of gaps
# -------------------
# Each is made of the same test sequences. In an array, a NaN is a gap, wherever it stands.
lost = slice(14, 28)  # steps that are lost
known = 24  # steps before the end is cut off
without_second = skmm.hide(X_test, "second", modalities=SPIRAL_MODALITIES)
without_stretch = X_test.copy()
without_stretch[:, lost] = np.nan
completed = {
    "second modality": vrnn.predict(without_second),
    "stretch of both": vrnn.predict(without_stretch),
}
future = vrnn.forecast(X_test[:, :known], X.shape[1] - known)

# %%
# Against two simple guesses: the mean of the training sequences at the same step, which knows everything
# about these spirals but their size; and a straight line across the gap.
mean_sequence = X_train.mean(axis=0)
line = np.linspace(X_test[:, lost.start - 1], X_test[:, lost.stop], lost.stop - lost.start + 2, axis=1)


def error(guess: np.ndarray, truth: np.ndarray) -> float:
    """Root mean squared error."""
    return float(np.sqrt(np.mean(np.square(guess - truth))))


second = X_test[..., 2:]
errors = {
    "second modality": {
        "mean of the step": error(mean_sequence[:, 2:], second),
        "skmm": error(completed["second modality"][..., 2:], second),
    },
    "stretch of both": {
        "mean of the step": error(mean_sequence[lost], X_test[:, lost]),
        "straight line": error(line[:, 1:-1], X_test[:, lost]),
        "skmm": error(completed["stretch of both"][:, lost], X_test[:, lost]),
    },
    f"forecast after {known} steps": {
        "mean of the step": error(mean_sequence[known:], X_test[:, known:]),
        "skmm": error(future, X_test[:, known:]),
    },
}
table = pd.DataFrame(errors).T[["mean of the step", "straight line", "skmm"]]
print(table.to_string(float_format="{:.2f}".format, na_rep=""))

# %%
# No guess can be better than the noise, which is 0.25.

# %%
# Completions
# -----------
# One sequence, and both kinds of gaps. In the upper row, the plane: dots are observed, circles are hidden,
# the line is the completion, and thin lines are draws of what may have been there, as noisy as values that
# are observed. In the lower row, one coordinate with a band that is meant to hold nine values in ten.
BLUE, BAND, DRAW, HIDDEN = "#1f5f8b", "#c4dcf0", "#8fb8de", "#a33b20"
by_size = np.abs(X_test).max(axis=(1, 2)).argsort()
chosen = by_size[len(by_size) * 3 // 4]
steps = np.arange(X.shape[1])
cases = {
    "the second modality is hidden": (without_second[[chosen]], 2, np.ones(len(steps), dtype=bool)),
    f"both modalities lack steps {lost.start} to {lost.stop - 1}": (
        without_stretch[[chosen]],
        0,
        (steps >= lost.start) & (steps < lost.stop),
    ),
}
figure, axes = plt.subplots(2, 2, figsize=(9, 7.6), layout="constrained", height_ratios=[3, 2])
for (above, below), (title, (seen, first, is_gap)) in zip(axes.T, cases.items(), strict=True):
    truth = X_test[chosen]
    mean = vrnn.predict(seen)[0]
    low, high = vrnn.predict_quantiles(seen, (0.05, 0.95))[:, 0]
    draws = vrnn.sample(3, given=seen, random_state=0)[:, 0]
    # a draw leaves observed entries as they are; only the gap and its edges are drawn
    around = np.convolve(is_gap, [1, 1, 1], mode="same") > 0
    for draw in draws:
        above.plot(*np.where(around, draw[:, first : first + 2].T, np.nan), color=DRAW, linewidth=0.8)
    for axis, points in (
        (above, truth[:, first : first + 2]),
        (below, np.stack([steps, truth[:, first]], axis=1)),
    ):
        axis.plot(*points[~is_gap].T, "k.", markersize=6, label="observed")
        axis.plot(*points[is_gap].T, "o", color=HIDDEN, fillstyle="none", markersize=5, label="hidden")
    above.plot(*mean[:, first : first + 2].T, color=BLUE, label="completion")
    below.fill_between(steps, low[:, first], high[:, first], color=BAND, linewidth=0, label="90 % band")
    below.plot(steps, mean[:, first], color=BLUE, label="completion")
    above.set(title=title, aspect="equal", xlabel="x", ylabel="y", xlim=(-17, 17), ylim=(-17, 17))
    below.set(xlabel="step", ylabel="x")
    below.legend(fontsize=8, loc="upper left", frameon=False)
plt.show()

# %%
# Forecasts
# ---------
# A forecast is the same question again: steps of which nothing is known, behind those that are. Two
# sequences, a large and a small one, are cut off early and late. ``quantiles`` give a fan, ``n_samples``
# whole futures. Early on, a fan leans towards spirals of the usual size; the more is known, the less.
figure, axes = plt.subplots(2, 3, figsize=(11, 6.2), layout="constrained", width_ratios=[3, 3, 2.3])
for (*fans, plane), chosen in zip(axes, by_size[[-8, 12]], strict=True):
    truth = X_test[chosen]
    for axis, known in zip(fans, (12, 24), strict=True):
        beginning, ahead = truth[None, :known], steps[known:]
        quantiles = vrnn.forecast(beginning, len(ahead), quantiles=(0.05, 0.25, 0.5, 0.75, 0.95))[:, 0, :, 0]
        axis.fill_between(ahead, quantiles[0], quantiles[4], color=BAND, linewidth=0, label="90 %")
        axis.fill_between(ahead, quantiles[1], quantiles[3], color=DRAW, linewidth=0, label="50 %")
        axis.plot(ahead, quantiles[2], color=BLUE, label="median")
        axis.plot(steps[:known], truth[:known, 0], "k.", markersize=6, label="observed")
        axis.plot(ahead, truth[known:, 0], "o", color=HIDDEN, fillstyle="none", markersize=5, label="to come")
        axis.set(title=f"after {known} steps", xlabel="step", ylabel="x", ylim=(-18, 24))
    for draw in vrnn.forecast(beginning, len(ahead), n_samples=4, random_state=0)[:, 0]:
        plane.plot(*draw[:, :2].T, color=DRAW, linewidth=0.8)
    plane.plot(*truth[:known, :2].T, "k.", markersize=6)
    plane.plot(*truth[known:, :2].T, "o", color=HIDDEN, fillstyle="none", markersize=4)
    plane.set(title="four futures", xlabel="x", ylabel="y", xlim=(-19, 19), ylim=(-19, 19), aspect="equal")
axes[0, 0].legend(fontsize=8, ncols=2, loc="upper left", frameon=False)
plt.show()

# %%
# How far to trust the fans? Count, on sequences that the model does not know.
for known in (12, 24):
    low, high = vrnn.forecast(X_test[:, :known], len(steps) - known, quantiles=(0.05, 0.95))
    inside = (low <= X_test[:, known:]) & (X_test[:, known:] <= high)
    print(f"after {known} steps, 90 % intervals hold {inside.mean():.0%} of {inside.size} values to come")
