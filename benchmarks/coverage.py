"""How often 90 % intervals hold the truth, by data set, hidden modality and what is seen beside it.

The tables and gaps are those of :mod:`benchmarks.completion`. Each modality is hidden from test rows, once
with all others seen ("others"), once with a single one seen ("one": the mean over which one); in the setting
"cells", 30 % of the cells are. Printed are the share of hidden entries inside the interval from the 5 % to
the 95 % quantile of MultimodalVAE with its default parameters, mean, least and largest of the seeds. Run
``python -m benchmarks.coverage --data FOLDER``; ``--completion network`` asks the network alone.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import skmm
from benchmarks.completion_data import DATA_SETS, NEED_FOLDER, Task, blanked, make_task
from benchmarks.sequences import markdown

SETTINGS = ("p0.3", "cells")


def cases(task: Task) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Modality, what is seen of others, what is taken away and which entries are looked at."""
    if task.hide == "cells":
        for hidden in task.hidden.values():
            yield "cells", "all", hidden, hidden
        return
    for name, columns in task.modalities.items():
        own = np.isin(np.arange(task.test.shape[1]), columns)
        yield name, "others", own & ~np.isnan(task.test), task.hidden[name]
        for other, seen in task.modalities.items():
            if other != name and len(task.modalities) > 2:
                taken = ~np.isin(np.arange(task.test.shape[1]), seen) & ~np.isnan(task.test)
                yield name, "one", taken, task.hidden[name] & ~np.isnan(task.test[:, seen]).all(1)[:, None]


def coverage(vae: skmm.MultimodalVAE, task: Task) -> Iterator[dict[str, object]]:
    """Share of hidden entries inside the intervals, case by case."""
    for modality, seen, taken, looked_at in cases(task):
        low, high = vae.predict_quantiles(blanked(task.test, taken), (0.05, 0.95))
        inside = (low <= task.test) & (task.test <= high)
        yield {"modality": modality, "seen": seen, "coverage": inside[looked_at].mean()}


def main() -> None:
    """Fit, hide and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", default=",".join(DATA_SETS), help="some of %(default)s")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--data", default=os.environ.get("SKMM_DATA"), help="folder that holds the data")
    parser.add_argument("--completion", choices=["stacked", "network"], default="stacked")
    arguments = parser.parse_args()
    found: list[dict[str, object]] = []
    for name in arguments.data_sets.split(","):
        if name in NEED_FOLDER and arguments.data is None:
            print(f"{name} is skipped: it needs --data")
            continue
        table = DATA_SETS[name](Path(arguments.data) if arguments.data else None)
        for setting in SETTINGS:
            for seed in range(arguments.seeds):
                task = make_task(table, setting, seed)
                vae = skmm.MultimodalVAE(
                    modalities=task.modalities, completion=arguments.completion, random_state=seed
                ).fit(task.train)
                found += [
                    {"data": name, "setting": setting, "seed": seed} | line for line in coverage(vae, task)
                ]
                print(f"{name} {setting} {seed}", flush=True)
    keys = ["data", "setting", "modality", "seen"]
    by_seed = pd.DataFrame(found).groupby([*keys, "seed"], sort=False)["coverage"].mean()
    shares = by_seed.groupby(keys, sort=False).agg(["mean", "min", "max"])
    print(markdown(shares.reset_index()))


if __name__ == "__main__":
    main()
