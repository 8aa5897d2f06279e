"""
Sequences: one long record with days missing
============================================

A year of hourly air quality: a reference analyser, five cheap sensors and the weather. The model is trained
on windows of three days and then completes the rest of the record in one piece, with the analyser away for
whole days.
"""

# %%
# The data
# --------
# If the variable ``SKMM_DATA`` names a folder that holds ``air_quality.npz``, this is UCI Air Quality; see
# :func:`skmm.datasets.load_air_quality` for the file. Otherwise :func:`skmm.datasets.make_air_quality` makes
# up a similar record. Both have gaps of their own, and they stay in.
from __future__ import annotations

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.dates import ConciseDateFormatter
from sklearn.linear_model import LinearRegression

import skmm
from skmm.datasets import load_air_quality, make_air_quality

folder = os.environ.get("SKMM_DATA")
if folder and Path(folder, "air_quality.npz").is_file():
    record = load_air_quality(folder).data
    print("UCI Air Quality")
else:
    record = make_air_quality(24 * 7 * 52, random_state=0)
    print("a made-up record")
n_train = int(0.7 * len(record))
train, test = record.iloc[:n_train], record.iloc[n_train:]
print(f"{len(train)} hours for training, {len(test)} after them for testing")
for modality in record.columns.unique("modality"):
    names, share = ", ".join(record[modality]), test[modality].isna().to_numpy().mean()
    print(f"{modality}: {names}; {share:.0%} of the test entries missing")

# %%
# Train on windows
# ----------------
# A network that learns from one long sequence takes one step at a time and sees it once per epoch. Windows
# are many sequences, and quick. They overlap here, so that every hour has a past in one of them.
windows = skmm.to_windows(train, 72, stride=36)
print(f"{len(windows)} windows of up to {len(windows[0])} hours")
vrnn = skmm.MultimodalVRNN(batch_size=64, max_iter=80, random_state=0).fit(windows)

# %%
# The analyser is away
# --------------------
# For 24 hours at a time, in a quarter of the test record, chosen at random. What the cheap sensors and the
# weather show in these hours stays. The record is completed as a whole: a list of one sequence. (A plain
# table would be read as rows that have nothing to do with one another.)
day = np.arange(len(test)) // 24
away = np.isin(day, np.random.default_rng(0).choice(np.arange(1, day[-1]), size=day[-1] // 4, replace=False))
seen = test.copy()
seen.loc[away, "analyser"] = np.nan
(expected,) = vrnn.predict([seen])
(low,), (high,) = vrnn.predict_quantiles([seen], (0.05, 0.95))

# %%
# Against other ways: the mean of the column; a straight line from before to after; the same between the same
# hours of the days before and after; and, for each pollutant, a linear regression on the sensors and the
# weather of that hour. Hydrocarbons are left out: the analyser for them is gone long before the test.
compared = [column for column in record if column[0] == "analyser" and test.loc[away, column].notna().any()]
sources = train[["sensor", "weather"]]
guesses = {
    "column mean": seen.fillna(train.mean()),
    "straight line": seen.interpolate(limit_direction="both"),
    "same hours": seen.groupby(seen.index.hour).transform(
        lambda hour: hour.interpolate(limit_direction="both")
    ),
    "regression": seen.copy(),
    "skmm": expected,
}
for column in compared:
    rows = train[column].notna()
    regression = LinearRegression().fit(sources[rows].fillna(sources.mean()), train.loc[rows, column])
    guesses["regression"][column] = regression.predict(seen[sources.columns].fillna(sources.mean()))

errors, inside = {}, {}
for column in compared:
    asked = away & test[column].notna().to_numpy()
    truth = test.loc[asked, column]
    errors[column[1]] = {
        name: np.sqrt(np.mean(np.square(guess.loc[asked, column] - truth))) for name, guess in guesses.items()
    }
    inside[column[1]] = np.mean((low.loc[asked, column] <= truth) & (truth <= high.loc[asked, column]))
errors = pd.DataFrame(errors).T
print(errors.assign(**{"inside the 90 % band": inside}).to_string(float_format="{:.2f}".format))

# %%
# Errors are root mean squared ones, in the units of the pollutant: mg/m³ of CO, µg/m³ of benzene (C6H6) and
# NO2, ppb of NOx. The regression is the one to beat: it, too, knows what the sensors say, for benzene most of
# what there is to know. It knows nothing of the hours around, and has to be fitted for each column and for
# each set of instruments that may fail. The test hours come after all training hours: seasons change and
# sensors age, and neither errors nor bands know of that.
#
# Ten days
# --------
# The ten days of which most was hidden, and the errors as a share of that of the column mean.
BLUE, BAND, HIDDEN = "#1f5f8b", "#c4dcf0", "#a33b20"
hidden = pd.Series(away & test[compared].notna().all(axis=1), index=test.index)
end = hidden.rolling(240).sum().idxmax()
window = slice(end - pd.Timedelta(hours=239), end)
gone = pd.Series(away, index=test.index)[window]
figure, axes = plt.subplots(3, 1, figsize=(10, 9), layout="constrained", height_ratios=[3, 3, 2.6])
shown = {"CO_GT": "CO, mg/m³", "NO2_GT": "NO2, µg/m³"}
for axis, (pollutant, unit) in zip(axes[:2], shown.items(), strict=True):
    tables = {"truth": test, "mean": expected, "low": low, "high": high, "line": guesses["straight line"]}
    part = pd.DataFrame({name: table["analyser", pollutant] for name, table in tables.items()})[window]
    in_gap = part.where(gone)
    axis.fill_between(part.index, in_gap["low"], in_gap["high"], color=BAND, linewidth=0, label="90 % band")
    axis.plot(in_gap["mean"], color=BLUE, label="completion")
    axis.plot(in_gap["line"], ":", color="grey", label="straight line")
    axis.plot(part["truth"].where(~gone), "k.-", linewidth=0.7, markersize=3, label="observed")
    axis.plot(in_gap["truth"], "o", color=HIDDEN, fillstyle="none", markersize=3.5, label="hidden")
    axis.set(ylabel=unit, xlim=(part.index[0], part.index[-1]))
    axis.xaxis.set_major_formatter(ConciseDateFormatter(axis.xaxis.get_major_locator()))
axes[0].legend(fontsize=8, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
relative = errors.div(errors["column mean"], axis=0)
colours = dict(zip(relative, ["#d8d8d8", "#b4b4b4", "#8c8c8c", "#e8b07a", BLUE], strict=True))
relative.plot.bar(ax=axes[2], color=colours, width=0.8, rot=0)
axes[2].set(ylabel="error / that of the mean", xlabel="")
axes[2].legend(fontsize=8, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
plt.show()
