"""What the benchmarks of sequences share: arguments, fits, gaps, and tables of what came out.

Each of them has a function ``run(seed, *, ..., **parameters)``, which makes one fit with these parameters of
MultimodalVRNN and returns a frame: columns of text say what a row is about, columns of numbers are figures.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import pandas as pd
import torch

import skmm

QUICK: dict[str, Any] = {"max_iter": 3, "n_draws": 8}  # parameters of a run that only shows that it runs


# --- arguments -----------------------------------------------------------------------------------------


def make_parser(docstring: str, *, seeds: int, needs_data: bool = False) -> argparse.ArgumentParser:
    """Arguments that all benchmarks of sequences take.

    Parameters
    ----------
    docstring : str
        Of the benchmark; its first line describes it.
    seeds : int
        How many seeds there are by default.
    needs_data : bool
        Whether there is a data set that the user must have on disk.
    """
    parser = argparse.ArgumentParser(description=docstring.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="in small, only to see that it runs")
    parser.add_argument("--seeds", type=int, help=f"number of seeds, from 0 (default: {seeds}; 1 if --quick)")
    parser.add_argument(
        "--set",
        type=parameter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of MultimodalVRNN, as in --set beta=0.5 --set 'hidden_layer_sizes=(32,)'",
    )
    parser.add_argument("--out", type=Path, help="folder to write the table to, as CSV, and all runs as JSON")
    parser.set_defaults(default_seeds=seeds)
    if needs_data:
        parser.add_argument(
            "--data", type=Path, help="folder that holds the data (default: the variable SKMM_DATA)"
        )
        parser.add_argument("--generated", action="store_true", help="take made data that are similar")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the arguments; ``seeds`` becomes a range. From here on torch has one thread."""
    torch.set_num_threads(1)
    arguments = parser.parse_args()
    if arguments.seeds is None:
        arguments.seeds = 1 if arguments.quick else arguments.default_seeds
    arguments.seeds = range(arguments.seeds)
    return arguments


def chosen(
    settings: Mapping[str, Mapping[str, Any]], arguments: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Settings with what ``--quick`` and ``--set`` change in them, named after it."""
    changes = {**(QUICK if arguments.quick else {}), **dict(arguments.set)}
    said = [*(["quick"] if arguments.quick else []), *(f"{key}={value}" for key, value in arguments.set)]
    return {", ".join([name, *said]): {**parameters, **changes} for name, parameters in settings.items()}


def parameter(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"write it as NAME=VALUE, not as {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):  # a word, such as the name of a fusion rule
        return name, value


def data_folder(given: Path | None = None) -> Path:
    """Folder of the data: as given, or the one that the variable SKMM_DATA names."""
    folder = given or os.environ.get("SKMM_DATA")
    if not folder:
        raise SystemExit("Name the folder that holds the data: --data PATH, or the variable SKMM_DATA.")
    return Path(folder)


# --- fits ----------------------------------------------------------------------------------------------


def fit(X: Any, seed: int, **parameters: Any) -> tuple[skmm.MultimodalVRNN, dict[str, float]]:
    """Fit a MultimodalVRNN; return it, and what it took."""
    start = time.perf_counter()
    model = skmm.MultimodalVRNN(random_state=seed, **parameters).fit(X)
    return model, {"fit (s)": time.perf_counter() - start, "epochs": float(model.n_iter_)}


def repeat(
    run: Callable[..., pd.DataFrame],
    settings: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    **common: Any,
) -> pd.DataFrame:
    """Run under every setting with every seed, and show meanwhile what comes out.

    Parameters
    ----------
    run : callable
        ``run(seed, **common, **parameters)`` returns a frame.
    settings : dict
        Name -> parameters.
    seeds : sequence of int
    **common
        What all runs are given.

    Returns
    -------
    DataFrame
        All rows of all frames, with columns "setting" and "seed".
    """
    frames = []
    for name, parameters in settings.items():
        for seed in seeds:
            start = time.perf_counter()
            frame = run(seed, **common, **parameters)
            print(f"{name}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
            print(indent(markdown(frame), "    "), flush=True)
            frame.insert(0, "setting", name)
            frames.append(frame.assign(seed=seed))
    return pd.concat(frames, ignore_index=True)


# --- gaps ----------------------------------------------------------------------------------------------


def blanked(X: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Copy of X without the entries that are hidden."""
    return np.where(hidden, np.nan, X)


def hidden_stretch(X: np.ndarray, start: float, stop: float, columns: Any = slice(None)) -> np.ndarray:
    """Hide the same stretch of all sequences, given by shares of their length: a mask of the shape of X."""
    n_steps = X.shape[1]
    hidden = np.zeros(X.shape, dtype=bool)
    hidden[:, round(start * n_steps) : round(stop * n_steps), columns] = True
    return hidden


def hidden_steps(
    X: np.ndarray, share: float, modalities: Mapping[str, Any], rng: np.random.RandomState
) -> np.ndarray:
    """Hide just this share of each sequence's steps, others of each modality: a mask of the shape of X."""
    hidden = np.zeros(X.shape, dtype=bool)
    for columns in modalities.values():
        rank = rng.uniform(size=X.shape[:2]).argsort(axis=1)  # a random order of the steps of each sequence
        hidden[:, :, columns] = (rank < round(share * X.shape[1]))[:, :, None]
    return hidden


# --- tables --------------------------------------------------------------------------------------------


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean of each figure over the seeds, and beside it the standard deviation, where there are several."""
    labels = [name for name in runs if not pd.api.types.is_numeric_dtype(runs[name])]
    figures = [name for name in runs if name not in labels and name != "seed"]
    groups = runs.groupby(labels, sort=False) if labels else runs.groupby(lambda _: 0)
    mean, deviation = groups[figures].mean(), groups[figures].std()
    table = pd.DataFrame(index=mean.index)
    for name in figures:
        table[name] = mean[name]
        if deviation[name].notna().any():
            table[f"{name} (sd)"] = deviation[name]
    return table.reset_index(drop=not labels)


def report(runs: pd.DataFrame, name: str, out: Path | None, *, title: str = "") -> None:
    """Print the means as a Markdown table; write them, and all runs, if there is a folder to write to."""
    table = summary(runs)
    print(f"\n{title}\n" if title else "")
    print(markdown(table), flush=True)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        table.to_csv(out / f"{name}.csv", index=False)
        found = {"skmm": skmm.__version__, "torch": torch.__version__, "runs": runs.to_dict("records")}
        (out / f"{name}.json").write_text(json.dumps(_without_nan(found), indent=1) + "\n")


def markdown(table: pd.DataFrame) -> str:
    """Write a table in Markdown, a deviation behind its mean."""
    shown: dict[str, list[str]] = {}
    for name in table:
        if not pd.api.types.is_numeric_dtype(table[name]):
            shown[name] = table[name].tolist()
        elif name.endswith(" (sd)"):
            before = shown[name.removesuffix(" (sd)")]
            pairs = zip(before, table[name].map(number), strict=True)
            shown[name.removesuffix(" (sd)")] = [a if b == "–" else f"{a} ± {b}" for a, b in pairs]
        else:
            shown[name] = table[name].map(number).tolist()
    rows = [list(shown), ["---"] * len(shown), *zip(*shown.values(), strict=True)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def number(value: float) -> str:
    """Write a number with as many digits as there is something to see."""
    if math.isnan(value):
        return "–"
    if float(value).is_integer():
        return str(int(value))
    if 0 < abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.{4 if abs(value) < 0.1 else 3 if abs(value) < 10 else 1}f}"


def _without_nan(value: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
