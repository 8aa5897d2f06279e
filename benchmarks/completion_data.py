"""Tables of the benchmark of completion, what of them is missing or hidden, and what a method must do.

| name | rows | columns | modalities | split |
|---|---|---|---|---|
| breast_cancer | 569 | 30 | mean, error and worst of ten measures of a cell's nucleus | random |
| wine | 178 | 13 | general (columns 0 to 4 and 12: alcohol ... proline), phenols, colour | random |
| diabetes | 442 | 10 | body (age, sex, BMI, pressure), lipids (s1 to s4), serum (s5, s6) | random |
| digits_quadrants | 1797 | 64 | quadrants of 4 x 4 pixels | random |
| digits_halves | 1797 | 64 | upper and lower half | random |
| digits3 | 7000 | 150 | Farsi image, Kannada image, spoken digit | fixed |
| air_quality | 9357 | 12 | analyser, sensor, weather | fixed |

A random split leaves 30 % of the rows, drawn by the seed, for the test. The last two come from a folder that
the user must have. Of digits3, the images are averaged to 7 x 7 and divided by 255, and the 20 frames of 13
coefficients are averaged over four blocks of five; the seed draws 2000 of the 6000 training rows, and the
1000 test rows are all taken. Of the record of air quality, one row is one hour; the first 70 % are trained
on, of which the seed draws 2000, and 1000 of the rest are the test. Its column of NMHC, 90 % of which is
missing, is dropped, and so are hours of which nothing is known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.model_selection import train_test_split

from skmm.datasets import load_air_quality, load_digit_views, load_digits3, remove_modalities

SETTINGS = ("p0.1", "p0.3", "p0.5", "cells")
# of the values of a column: where fewer differ from the commonest, as in border pixels of digits, a single
# entry may lie 30 deviations out and weigh as much as all others together
LEAST_VARIED = 0.01
SHARE_OF_CELLS = 0.3  # missing in the setting "cells", from training and test rows


# --- tables --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """Rows, NaN where nothing is known, and how they are split.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    modalities : dict
        Name -> positions of columns.
    train, test : array of int or None
        Rows to train on and to test on; None: drawn by the seed.
    n_train, n_test : int or None
        How many of them the seed draws; None: all.
    """

    X: np.ndarray
    modalities: dict[str, np.ndarray]
    train: np.ndarray | None = None
    test: np.ndarray | None = None
    n_train: int | None = None
    n_test: int | None = None

    def split(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the training and the test rows."""
        if self.train is None or self.test is None:
            train, test = train_test_split(np.arange(len(self.X)), test_size=0.3, random_state=seed)
            return train, test
        rng = np.random.RandomState(seed)
        return _drawn(self.train, self.n_train, rng), _drawn(self.test, self.n_test, rng)


def _drawn(rows: np.ndarray, n: int | None, rng: np.random.RandomState) -> np.ndarray:
    return rows if n is None or n >= len(rows) else rng.choice(rows, n, replace=False)


def _grouped(X: np.ndarray, **modalities: Any) -> Table:
    return Table(np.asarray(X, dtype=float), {name: np.array(of) for name, of in modalities.items()})


def _from_frame(X: pd.DataFrame, **how: Any) -> Table:
    """Modalities are the first level of the columns."""
    names = X.columns.get_level_values(0)
    modalities = {str(name): np.flatnonzero(names == name) for name in names.unique()}
    return Table(X.to_numpy(dtype=float), modalities, **how)


def breast_cancer(folder: Path | None = None) -> Table:
    return _grouped(load_breast_cancer().data, mean=range(10), error=range(10, 20), worst=range(20, 30))


def wine(folder: Path | None = None) -> Table:
    return _grouped(load_wine().data, general=[0, 1, 2, 3, 4, 12], phenols=range(5, 9), colour=range(9, 12))


def diabetes(folder: Path | None = None) -> Table:
    return _grouped(load_diabetes().data, body=range(4), lipids=range(4, 8), serum=range(8, 10))


def digits_quadrants(folder: Path | None = None) -> Table:
    return _from_frame(load_digit_views("quadrants", return_X_y=True)[0])


def digits_halves(folder: Path | None = None) -> Table:
    return _from_frame(load_digit_views("halves", return_X_y=True)[0])


def digits3(folder: Path | None = None) -> Table:
    """Triplets that have nothing but the digit in common."""
    assert folder is not None
    bunch = load_digits3(folder, image_size=7, n_frames=4)
    return _from_frame(bunch.data, train=bunch.train_idx, test=bunch.test_idx, n_train=2000)


def air_quality(folder: Path | None = None) -> Table:
    """Hours, with the gaps that they have."""
    assert folder is not None
    record = load_air_quality(folder)
    hours = record.data.loc[:, [not label[1].startswith("NMHC") for label in record.data.columns]]
    known = hours.notna().any(axis=1).to_numpy()
    train, test = (rows[known[rows]] for rows in (record.train_idx, record.test_idx))
    return _from_frame(hours, train=train, test=test, n_train=2000, n_test=1000)


DATA_SETS: dict[str, Callable[[Path | None], Table]] = {
    f.__name__: f
    for f in (breast_cancer, wine, diabetes, digits_quadrants, digits_halves, digits3, air_quality)
}
NEED_FOLDER = ("digits3", "air_quality")


# --- what is hidden ------------------------------------------------------------------------------------


def hidden_modalities(X: np.ndarray, modalities: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Hide each modality in turn, in all rows that have observed entries of another one.

    Returns
    -------
    dict
        Name of the modality -> bool array of the shape of X; only observed entries are hidden.
    """
    known = ~np.isnan(X)
    found = {}
    for name, columns in modalities.items():
        others = np.setdiff1d(np.concatenate(list(modalities.values())), columns)
        hidden = np.zeros(X.shape, dtype=bool)
        hidden[:, columns] = known[:, columns] & known[:, others].any(axis=1)[:, None]
        found[name] = hidden
    return found


def hidden_cells(X: np.ndarray, share: float, rng: np.random.RandomState) -> np.ndarray:
    """Hide this share of the observed cells at random, and no row's last one: a mask of the shape of X."""
    draws = np.where(np.isnan(X), -1.0, rng.uniform(size=X.shape))
    return (draws >= 0) & (draws < share) & (draws < draws.max(axis=1, keepdims=True))


def hidden_in_turn(
    X: np.ndarray, modalities: Mapping[str, np.ndarray], hide: str, rng: np.random.RandomState
) -> dict[str, np.ndarray]:
    """Masks of what is to be completed: one per modality, or, for ``hide="cells"``, one."""
    if hide == "cells":
        return {"cells": hidden_cells(X, SHARE_OF_CELLS, rng)}
    return hidden_modalities(X, modalities)


def blanked(X: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Copy of X without the entries that are hidden."""
    return np.where(hidden, np.nan, X)


@dataclass(frozen=True)
class Task:
    """A table to fit, and entries of another one to complete.

    Parameters
    ----------
    train : array of shape (n_train, n_features)
        NaN where something is missing. Observed values of each column have mean 0 and variance 1.
    test : array of shape (n_test, n_features)
        The truth, in the same units, NaN where it is not known.
    hidden : dict
        Name -> bool array of the shape of ``test``: what to hide at a time. Only known entries.
    modalities : dict
        Name -> positions of columns.
    hide : {"modalities", "cells"}
        What is missing and hidden.
    """

    train: np.ndarray
    test: np.ndarray
    hidden: dict[str, np.ndarray]
    modalities: dict[str, np.ndarray]
    hide: str


def make_task(table: Table, setting: str, seed: int) -> Task:
    """Split a table, remove from the training rows, standardise by what is left, and hide from the test rows.

    Parameters
    ----------
    table : Table
    setting : str
        "p0.3": a training row loses each modality with probability 0.3, but keeps one. "cells": training
        and test rows lose 30 % of their cells.
    seed : int
        Of the split, and of what is removed and hidden.
    """
    rows, test_rows = table.split(seed)
    # not the numbers that a method or a scorer with this seed draws, which would hide what is missing already
    rng = np.random.RandomState([seed, 1])
    hide = "cells" if setting == "cells" else "modalities"
    if hide == "cells":
        train = blanked(table.X[rows], hidden_cells(table.X[rows], SHARE_OF_CELLS, rng))
    else:
        share = float(setting.removeprefix("p"))
        train = remove_modalities(table.X[rows], share, modalities=table.modalities, random_state=rng)
    mean, std = np.nanmean(train, axis=0), np.nanstd(train, axis=0)
    varies = np.array([_share_off_the_commonest(column) >= LEAST_VARIED for column in train.T])
    modalities = _without(table.modalities, varies)
    train, test = ((X[:, varies] - mean[varies]) / std[varies] for X in (train, table.X[test_rows]))
    return Task(train, test, hidden_in_turn(test, modalities, hide, rng), modalities, hide)


def _share_off_the_commonest(column: np.ndarray) -> float:
    """Share of the observed values that are not the commonest one."""
    counts = np.unique(column[~np.isnan(column)], return_counts=True)[1]
    return 1 - counts.max() / counts.sum() if len(counts) else 0.0


def _without(modalities: Mapping[str, np.ndarray], kept: np.ndarray) -> dict[str, np.ndarray]:
    """Positions after columns have been dropped."""
    position = np.cumsum(kept) - 1
    return {name: position[columns[kept[columns]]] for name, columns in modalities.items()}


# --- methods -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Circumstances:
    """What a method may know beside the training table.

    Parameters
    ----------
    modalities : dict
        Name -> positions of columns.
    hide : {"modalities", "cells"}
        What will be hidden from test rows.
    seed : int
    jobs : int
        Processes or threads that a method may take.
    """

    modalities: dict[str, np.ndarray]
    hide: str = "modalities"
    seed: int = 0
    jobs: int = 1


class Method(ABC):
    """Fills gaps in standardised tables."""

    @abstractmethod
    def fit(self, X: np.ndarray) -> Self:
        """Learn from a table with NaN where something is missing."""

    @abstractmethod
    def complete(self, X: np.ndarray) -> np.ndarray:
        """Copy of a table with a number in place of every NaN."""


def error(method: Method, X: np.ndarray, hidden: dict[str, np.ndarray]) -> float:
    """Root mean squared error over all that is hidden in turn."""
    squared = [np.square((method.complete(blanked(X, mask)) - X)[mask]) for mask in hidden.values()]
    return float(np.sqrt(np.concatenate(squared).mean()))


def by_pattern(X: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Go through the sets of missing columns: a mask of columns, and the rows that lack just these."""
    patterns, which = np.unique(np.isnan(X), axis=0, return_inverse=True)
    rows = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1])
    yield from zip(patterns, rows, strict=True)
