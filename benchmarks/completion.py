"""Completion of missing entries by many methods under one protocol.

The tables, in :mod:`benchmarks.completion_data`, are split into training and test rows, and their columns
standardised by the observed training values; columns that are nearly constant there are dropped. In the
settings "p0.1", "p0.3" and "p0.5" a training row loses each modality with this probability, but keeps one,
and each modality is hidden in turn from test rows that are otherwise as they are. In the setting "cells"
training and test rows lose 30 % of their cells at random. The figure is the root mean squared error over what
is hidden, in standard deviations, by modality and over all that is hidden; what is missing in reality is
never scored.
All methods get the same rows with the same gaps. :mod:`benchmarks.completion_baselines` describes them;
"skmm-default" is MultimodalVAE as it is, "skmm-tuned" the best of six in a search by completion.

Every result is appended to ``completion.csv`` at once, so that a run can be interrupted and, with
``--resume``, go on. At the end a table (``completion.md``) and a picture (``completion.png``) are made of all
that is there; ``--report-only`` does just this. Run ``python -m benchmarks.completion --data FOLDER``.
"""

# ruff: noqa: D102  Method says once what its methods do

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from sklearn.model_selection import GridSearchCV

import skmm
from benchmarks.completion_baselines import BASELINES
from benchmarks.completion_data import (
    DATA_SETS,
    NEED_FOLDER,
    SETTINGS,
    SHARE_OF_CELLS,
    Circumstances,
    Method,
    Task,
    blanked,
    make_task,
)
from benchmarks.sequences import markdown, number, parameter
from skmm.scorers import CompletionScorer, completion_scorer

OURS = "skmm-default"
GRID = {"n_components": [5, 10, 20], "beta": [0.3, 1.0]}
KEY = ["data_set", "setting", "seed", "method"]  # of a run
COLUMNS = [*KEY, "modality", "rmse", "fit_seconds", "complete_seconds"]


# --- methods -------------------------------------------------------------------------------------------


class Library(Method):
    """An estimator of the library, or a search for one."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: np.ndarray) -> Self:
        self.estimator.fit(X)
        return self

    def complete(self, X: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(X), self.estimator.predict(X), X)


def default(at: Circumstances, **parameters: Any) -> Method:
    return Library(skmm.MultimodalVAE(modalities=at.modalities, random_state=at.seed, **parameters))


def tuned(at: Circumstances) -> Method:
    """The best in cross-validation by what the benchmark does with test rows."""
    vae = skmm.MultimodalVAE(modalities=at.modalities, random_state=at.seed)
    cells = CompletionScorer(hide="cells", fraction=SHARE_OF_CELLS)
    scoring = cells if at.hide == "cells" else completion_scorer
    return Library(GridSearchCV(vae, GRID, scoring=scoring, cv=3, n_jobs=at.jobs, error_score="raise"))


METHODS: dict[str, Callable[[Circumstances], Method]] = {**BASELINES, OURS: default, "skmm-tuned": tuned}


def chosen(arguments: argparse.Namespace) -> dict[str, Callable[[Circumstances], Method]]:
    """The methods to run; with ``--set``, the default is another method, named after what was set."""
    methods = {name: METHODS[name] for name in arguments.methods}
    if arguments.set and OURS in methods:
        said = " ".join(["skmm", *(f"{key}={value}" for key, value in arguments.set)])
        methods[said] = partial(default, **dict(arguments.set))
        del methods[OURS]
    return methods


# --- runs ----------------------------------------------------------------------------------------------


def run(method: Method, task: Task) -> pd.DataFrame:
    """Fit, complete, and measure: one row per modality, and one of "all"."""
    start = time.perf_counter()
    method.fit(task.train)
    fitted = time.perf_counter()
    completed = {name: method.complete(blanked(task.test, mask)) for name, mask in task.hidden.items()}
    done = time.perf_counter()
    squared, count = np.zeros(task.test.shape[1]), np.zeros(task.test.shape[1])
    for name, mask in task.hidden.items():
        squared += np.where(mask, np.square(completed[name] - task.test), 0.0).sum(axis=0)
        count += mask.sum(axis=0)
    if np.isnan(squared).any():
        raise ValueError("The method left hidden entries NaN.")
    parts = {**task.modalities, "all": np.arange(len(count))}
    rmse = [np.sqrt(squared[columns].sum() / count[columns].sum()) for columns in parts.values()]
    found = {"modality": list(parts), "rmse": rmse}
    return pd.DataFrame({**found, "fit_seconds": fitted - start, "complete_seconds": done - fitted})


def run_all(arguments: argparse.Namespace, path: Path) -> None:
    """Run what is not in the file at ``path`` yet, and append it there."""
    finished = set(read(path)[KEY].itertuples(index=False, name=None)) if path.exists() else set()
    folder = arguments.data or os.environ.get("SKMM_DATA")
    for data_set in arguments.data_sets:
        if data_set in NEED_FOLDER and not (folder and Path(folder).is_dir()):
            print(f"{data_set} skipped: name its folder with --data or the variable SKMM_DATA", flush=True)
            continue
        table = DATA_SETS[data_set](Path(folder) if folder else None)
        for setting in arguments.settings:
            for seed in range(arguments.seeds):
                task = make_task(table, setting, seed)
                at = Circumstances(task.modalities, task.hide, seed, arguments.jobs)
                for name, factory in chosen(arguments).items():
                    key = (data_set, setting, seed, name)
                    if key not in finished:
                        append(run(factory(at), task), key, path)


def append(found: pd.DataFrame, key: tuple[Any, ...], path: Path) -> None:
    """Print one result, and write it to the file."""
    last = found.iloc[-1]
    print(
        f"{' '.join(map(str, key))}: {last['rmse']:.4f} "
        f"(fit {last['fit_seconds']:.1f} s, completion {last['complete_seconds']:.1f} s)",
        flush=True,
    )
    found = found.assign(**dict(zip(KEY, key, strict=True)))[COLUMNS]
    found.to_csv(path, mode="a", header=not path.exists(), index=False)


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"modality": str, "method": str})


# --- the report ----------------------------------------------------------------------------------------


def ordered(names: pd.Series, order: Sequence[str]) -> list[str]:
    """What is there, in a given order; what that does not know comes last."""
    there = list(dict.fromkeys(names))
    return [name for name in order if name in there] + [name for name in there if name not in order]


def rows_of(runs: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Errors over all modalities in each data set and setting, (n_seeds, n_methods)."""
    total = runs[runs["modality"] == "all"]
    methods = ordered(total["method"], list(METHODS))
    for data_set in ordered(total["data_set"], list(DATA_SETS)):
        part = total[total["data_set"] == data_set]
        for setting in ordered(part["setting"], SETTINGS):
            errors = part[part["setting"] == setting].pivot(index="seed", columns="method", values="rmse")
            yield data_set, setting, errors.reindex(columns=methods)


def better(errors: pd.DataFrame, ours: str) -> tuple[int, int]:
    """How many methods have a lower mean, and of how many this is beyond two standard errors.

    Both over the seeds that both methods have; the standard error is that of the difference.
    """
    difference = errors.drop(columns=ours).rsub(errors[ours], axis=0)  # ours - theirs
    mean = difference.mean()
    return int((mean > 0).sum()), int((mean > 2 * difference.sem()).sum())


def shown(mean: float, spread: float, least: float) -> str:
    if np.isnan(mean):
        return "–"
    said = f"{mean:.3f}" if np.isnan(spread) else f"{mean:.3f} ± {spread:.3f}"
    return f"**{said}**" if mean == least else said


def error_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Means and standard errors over the seeds, and ranks."""
    lines, ranks = [], []
    for data_set, setting, errors in rows_of(runs):
        mean, spread = errors.mean(), errors.sem()
        line = {"data set": data_set, "setting": setting}
        line |= {name: shown(mean[name], spread[name], mean.min()) for name in errors}
        rank = mean.rank().to_dict()
        if OURS in errors and errors[OURS].notna().any():
            lower, surely = better(errors, OURS)
            rank |= {"rank": 1 + lower, "rank within noise": 1 + surely}
            line |= {"rank": str(1 + lower), "rank within noise": str(1 + surely)}
        lines.append(line)
        ranks.append(rank)
    average = {name: f"{value:.1f}" for name, value in pd.DataFrame(ranks).mean().items()}
    return pd.DataFrame([*lines, {"data set": "average rank", "setting": "", **average}]).fillna("–")


def time_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Median seconds of fit and completion over settings and seeds."""
    total = runs[runs["modality"] == "all"]
    total = total.assign(seconds=total["fit_seconds"] + total["complete_seconds"])
    table = total.pivot_table(index="data_set", columns="method", values="seconds", aggfunc="median")
    table.loc["all"] = total.groupby("method")["seconds"].median()
    rows = [*ordered(total["data_set"], list(DATA_SETS)), "all"]
    table = table.loc[rows, ordered(total["method"], list(METHODS))]
    return table.map(number).rename_axis("data set").reset_index()


def report(runs: pd.DataFrame) -> str:
    """All of it in Markdown."""
    seeds = runs.groupby(["data_set", "setting", "method"])["seed"].nunique()
    many = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    rank = (
        f" The rank is that of {OURS}; within noise, only methods count as better whose paired\n"
        "difference to it exceeds two standard errors."
    )
    return f"""# Completion of missing entries

Root mean squared error of hidden entries in standard deviations: mean ± standard error over {many} seeds, the
least in bold.{rank if OURS in set(runs["method"]) else ""}

{markdown(error_table(runs))}

Median seconds of fit and completion:

{markdown(time_table(runs))}
"""


# --- the picture ---------------------------------------------------------------------------------------


def draw(runs: pd.DataFrame, path: Path) -> None:
    """One panel per data set: errors by setting, relative to those of the mean where it was run."""
    rows = list(rows_of(runs))
    data_sets = list(dict.fromkeys(data_set for data_set, _, _ in rows))
    n_columns = min(4, len(data_sets))
    n_lines = -(-len(data_sets) // n_columns)
    figure, axes = plt.subplots(
        n_lines,
        n_columns,
        figsize=(3.1 * n_columns + 1.8, 3.0 * n_lines),
        squeeze=False,
        layout="constrained",
    )
    drawn: dict[str, Any] = {}
    for axis, data_set in zip(axes.flat, data_sets, strict=False):
        drawn |= draw_panel(axis, {setting: errors for name, setting, errors in rows if name == data_set})
        axis.set_title(data_set)
    for axis in axes.flat[len(data_sets) :]:
        axis.set_axis_off()
    relative = "mean" in rows[0][2]
    for axis in axes[:, 0]:
        axis.set_ylabel("RMSE / RMSE of the mean" if relative else "RMSE (standard deviations)")
    order = ordered(pd.Series(list(drawn)), list(METHODS))
    figure.legend(
        [drawn[name] for name in order], order, loc="outside right center", frameon=False, handlelength=3
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_panel(axis: Axes, errors: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """One line per method over the settings that hide modalities, and a point for the cells."""
    means = pd.DataFrame({setting: found.mean() for setting, found in errors.items()})
    if "mean" in means.index:
        means = (means / means.loc["mean"]).drop("mean")
    drawn = {}
    connected = means.columns != "cells"
    places = np.arange(means.shape[1])
    for index, (name, values) in enumerate(means.iterrows()):
        if values.notna().any():
            style = look(str(name), index)
            drawn[str(name)] = axis.plot(places[connected], values[connected], **style)[0]
            axis.plot(places[~connected], values[~connected], **style)
    axis.set_xticks(places, means.columns)
    axis.margins(x=0.08)
    axis.grid(axis="y", color="0.9")
    return drawn


def look(method: str, index: int) -> dict[str, Any]:
    """The library stands out; the others differ in colour and marker."""
    if method.startswith("skmm"):
        style, marker = {OURS: ("-", "o"), "skmm-tuned": ("--", "*")}.get(method, (":", "sD^vX"[index % 5]))
        return {
            "color": "black",
            "linestyle": style,
            "linewidth": 2.2,
            "marker": marker,
            "markersize": 7,
            "zorder": 3,
        }
    return {"color": f"C{index}", "linewidth": 1, "marker": "sv^DPXd<>"[index % 9], "markersize": 5}


# --- the command ---------------------------------------------------------------------------------------


def names(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Reader of an argument that lists names with commas between them."""

    def listed(text: str) -> list[str]:
        found = text.split(",")
        unknown = [name for name in found if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"there is no {', '.join(unknown)}; there are {', '.join(known)}"
            )
        return found

    return listed


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option, known in (("data-sets", DATA_SETS), ("settings", SETTINGS), ("methods", METHODS)):
        said = f"some of {','.join(known)} (default: all)"
        parser.add_argument(f"--{option}", type=names(list(known)), default=list(known), help=said)
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, from 0")
    parser.add_argument(
        "--data", type=Path, help="folder that holds the data (default: the variable SKMM_DATA)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/output/completion"), help="folder to write to"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes or threads that a method may take")
    parser.add_argument("--resume", action="store_true", help="go on with what is there")
    parser.add_argument("--report-only", action="store_true", help="run nothing")
    parser.add_argument(
        "--set",
        type=parameter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of skmm-default, which then has another name, as in --set beta=0.3",
    )
    return parser


def main() -> None:
    """Run, and report."""
    torch.set_num_threads(1)
    arguments = make_parser().parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "completion.csv"
    if not arguments.report_only:
        if path.exists() and not arguments.resume:
            raise SystemExit(
                f"{path} is there: go on with it by --resume, or name another folder with --out."
            )
        run_all(arguments, path)
    if not path.exists():
        raise SystemExit(f"There is nothing to report in {path}.")
    runs = read(path)
    text = report(runs)
    print(f"\n{text}")
    (arguments.out / "completion.md").write_text(text)
    draw(runs, arguments.out / "completion.png")


if __name__ == "__main__":
    main()
