"""Run the benchmark of speed and memory: ``python -m benchmarks``.

Every line is a ratio measured in this run against a reference in this folder. ``--short`` runs every case
once, on little, to see that it works; its figures mean nothing. The table is printed, and with ``--out``
written as Markdown and as JSON, with the versions and the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
import torch

import skmm
from benchmarks import speed
from benchmarks.sequences import markdown
from benchmarks.speed import Line

WIDE = (1000, 1000)


def cases(short: bool) -> dict[str, Callable[[], Iterator[Line]]]:
    """What to time, by name."""
    if short:
        return {
            "fit": partial(speed.fit_vae, (24, 8), 128, 400, 20, 1),
            "vrnn": partial(speed.fit_vrnn, 5, 1),
            "answers": partial(speed.answers, 500, 1),
            "growth": partial(speed.growth, 2000),
            "growth-of-steps": partial(speed.growth_of_steps, 20, 1),
            "search": partial(speed.search, 1),
            "process": partial(speed.first_times, 1),
            "memory": partial(speed.memory, 2000),
        }
    return {
        "fit": partial(speed.fit_vae, (240, 76), 128, 2000, 30, 5),
        "fit-batch-32": partial(speed.fit_vae, (240, 76), 32, 2000, 8, 5),
        "fit-batch-1024": partial(speed.fit_vae, (240, 76), 1024, 2000, 40, 5),
        "fit-small": partial(speed.fit_vae, (10, 10), 128, 2000, 30, 5),
        "fit-6": partial(speed.fit_vae, (10,) * 6, 128, 2000, 20, 5),
        "fit-20": partial(speed.fit_vae, (10,) * 20, 128, 2000, 10, 5),
        "fit-wide": partial(speed.fit_vae, WIDE, 128, 2000, 8, 3),
        "fit-long": partial(speed.fit_vae, (100, 100), 128, 50_000, 2, 3),
        "vrnn-20": partial(speed.fit_vrnn, 20, 15),
        "vrnn-100": partial(speed.fit_vrnn, 100, 9),
        "vrnn-500": partial(speed.fit_vrnn, 500, 5),
        "answers": partial(speed.answers, 20_000, 7),
        "growth": partial(speed.growth, 200_000),
        "growth-of-steps": partial(speed.growth_of_steps, 500, 9),
        "search": partial(speed.search, 3),
        "process": partial(speed.first_times, 5),
        "memory": partial(speed.memory, 1_000_000),
    }


def report(rows: Sequence[dict[str, Any]], versions: Mapping[str, str]) -> str:
    """The lines as tables, and what they were measured on.

    What was held against several references comes first, with all of them side by side.
    """
    lines = pd.DataFrame(rows)
    lines["target"] = lines["target"].map(lambda target: "" if pd.isna(target) else f"{target:g}")
    for name in ("ours", "reference", "ratio"):
        lines[name] = [f"{float(f'{value:.3g}'):g}" for value in lines[name]]  # three digits tell enough
    several = lines["what"].duplicated(keep=False)
    parts = [markdown(lines[~several])]
    if several.any():
        parts.insert(0, markdown(side_by_side(lines[several])))
    return "\n\n".join([*parts, ", ".join(f"{key} {value}" for key, value in versions.items())])


def side_by_side(lines: pd.DataFrame) -> pd.DataFrame:
    """One row for the lines of the same figure, with the ratios to its references beside one another."""
    rows = [
        dict(zip(("what", "unit", "ours"), key, strict=True))
        | {f"times {reference}": ratio for reference, ratio in zip(of["against"], of["ratio"], strict=True)}
        | {"target": max(of["target"])}
        for key, of in lines.groupby(["what", "unit", "ours"], sort=False)
    ]
    table = pd.DataFrame(rows).fillna("")
    return table[[*table.columns.drop("target"), "target"]]


def main() -> None:
    """Time all, and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="every case once, on little")
    parser.add_argument("--only", nargs="+", choices=list(cases(short=False)), help="some cases")
    parser.add_argument("--threads", type=int, default=1, help="of torch; 1 by default")
    parser.add_argument("--out", type=Path, help="folder for the table")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found: list[Line] = []
    for name, case in cases(arguments.short).items():
        if arguments.only and name not in arguments.only:
            continue
        for line in case():
            found.append(line)
            print(f"{line.what}: {line.ratio:.2f} of {line.against}", flush=True)
    rows = [line.row() for line in found]
    versions = {
        "skmm": skmm.__version__,
        "torch": torch.__version__,
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s)",
    }
    shown = report(rows, versions)
    print(f"\n{shown}")
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "speed.md").write_text(shown + "\n")
        (arguments.out / "speed.json").write_text(json.dumps({"versions": versions, "lines": rows}, indent=1))


if __name__ == "__main__":
    main()
