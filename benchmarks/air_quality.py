"""Completion of hidden cells in a long hourly record, against interpolation in time, on load_air_quality.

Windows of the first 70 % of the record are trained on, gaps and all. In the rest, cells that are known are
hidden: 10 % or 50 % of them at random; every column, independently of the others, in blocks of 24 hours that
cover 10 % of the hours; or every modality in such blocks. All methods are to complete the same cells. Printed
is, for each, the root mean squared error over the hidden cells in units of each column's standard deviation
in training, over all columns and by modality, and the mean absolute error in these units. Run
``python -m benchmarks.air_quality --data FOLDER``, or with ``--generated`` for made data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import skmm
from benchmarks.sequences import chosen, data_folder, fit, make_parser, parse, repeat, report
from skmm.datasets import load_air_quality, make_air_quality

SHARE_TRAIN = 0.7
BLOCK = 24  # hours
SHARE_OF_BLOCKS = 0.1


@dataclass(frozen=True)
class Record:
    """An hourly record, cut in time: the part to train on, and the part to test on."""

    train: pd.DataFrame
    test: pd.DataFrame

    def shortened(self, n_train: int, n_test: int) -> Record:
        """The hours before and after the cut."""
        return Record(self.train[-n_train:], self.test[:n_test])


def real(folder: Any = None) -> Record:
    """UCI Air Quality."""
    found = load_air_quality(data_folder(folder))
    return Record(found.data.iloc[found.train_idx], found.data.iloc[found.test_idx])


def generated(seed: int = 0) -> Record:
    """Draw a record of the length of the real one."""
    data = make_air_quality(9357, random_state=seed)
    cut = round(SHARE_TRAIN * len(data))
    return Record(data[:cut], data[cut:])


# --- what is hidden ------------------------------------------------------------------------------------


def blocks(n_hours: int, rng: np.random.RandomState) -> np.ndarray:
    """Choose hours in blocks at random places that do not overlap, (n_hours,)."""
    n_blocks = max(1, round(SHARE_OF_BLOCKS * n_hours / BLOCK))
    free = n_hours - n_blocks * BLOCK  # hours that the blocks leave, between which they are put
    starts = np.sort(rng.randint(free + 1, size=n_blocks)) + BLOCK * np.arange(n_blocks)
    hidden = np.zeros(n_hours, dtype=bool)
    hidden[(starts[:, None] + np.arange(BLOCK)).ravel()] = True
    return hidden


def patterns(test: pd.DataFrame, seed: int) -> dict[str, np.ndarray]:
    """Cells to hide, known or not: masks of the shape of the record."""
    rng = np.random.RandomState(seed)
    modalities = test.columns.get_level_values(0)
    by_modality = {name: blocks(len(test), rng) for name in modalities.unique()}
    return {
        "10 % of cells": rng.uniform(size=test.shape) < 0.1,
        "50 % of cells": rng.uniform(size=test.shape) < 0.5,
        "columns, 24 h": np.stack([blocks(len(test), rng) for _ in modalities], axis=1),
        "modalities, 24 h": np.stack([by_modality[name] for name in modalities], axis=1),
    }


# --- methods -------------------------------------------------------------------------------------------


def baselines(train: pd.DataFrame, given: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Complete a record column by column."""
    mean = train.mean()
    return {
        "linear in time": given.interpolate(method="linear", limit_direction="both").fillna(mean),
        "last value": given.ffill().fillna(mean),
        "mean": given.isna() * mean,
    }


def completed(model: skmm.MultimodalVRNN, given: pd.DataFrame, window: int | None) -> pd.DataFrame:
    """Expected values, of the record as one sequence or window by window."""
    sequences = [given] if window is None else skmm.to_windows(given, window)
    return pd.concat(model.predict(sequences))


def run(
    seed: int,
    *,
    data: Record | None = None,
    window: int = 72,
    stride: int = 24,
    test_window: int | None = None,
    **parameters: Any,
) -> pd.DataFrame:
    """Fit on windows, and complete what is hidden of the rest of the record by all methods.

    Parameters
    ----------
    seed : int
        Of the model, and of what is hidden.
    data : Record or None
        None takes the real one, from the folder that SKMM_DATA names.
    window, stride : int
        Hours of a window to train on, and from the start of one to that of the next.
    test_window : int or None
        Hours of a window to complete; None completes the record as one sequence.
    **parameters
        Of MultimodalVRNN.
    """
    data = real() if data is None else data
    model, took = fit(skmm.to_windows(data.train, window, stride=stride), seed, **parameters)
    rows = []
    for pattern, mask in patterns(data.test, seed).items():
        given = data.test.mask(mask)
        found = {"MultimodalVRNN": completed(model, given, test_window), **baselines(data.train, given)}
        for method, table in found.items():
            error = ((table - data.test) / data.train.std()).where(mask)
            rows.append({"pattern": pattern, "method": method, **figures(error)})
            if method == "MultimodalVRNN":
                rows[-1] |= took
    return pd.DataFrame(rows)


def figures(error: pd.DataFrame) -> dict[str, float]:
    """Sum up errors, NaN where nothing was hidden or known."""
    values = error.to_numpy()
    found = {"RMSE": np.sqrt(np.nanmean(np.square(values))), "MAE": np.nanmean(np.abs(values))}
    for name in error.columns.unique(0):
        found[f"RMSE, {name}"] = np.sqrt(np.nanmean(np.square(error[name].to_numpy())))
    return found


def main() -> None:
    """Fit and complete, with every seed."""
    parser = make_parser(__doc__, seeds=3, needs_data=True)
    parser.add_argument("--window", type=int, default=72, help="hours of a window to train on")
    parser.add_argument("--stride", type=int, default=24, help="hours from one window to the next")
    parser.add_argument("--test-window", type=int, help="complete windows of so many hours, not the whole")
    arguments = parse(parser)
    data = generated() if arguments.generated else real(arguments.data)
    if arguments.quick:
        data = data.shortened(24 * 60, 24 * 20)
    runs = repeat(
        run,
        chosen({"defaults": {}}, arguments),
        arguments.seeds,
        data=data,
        window=arguments.window,
        stride=arguments.stride,
        test_window=arguments.test_window,
    )
    report(runs, "air_quality", arguments.out)


if __name__ == "__main__":
    main()
