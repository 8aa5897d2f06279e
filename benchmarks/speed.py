"""What `python -m benchmarks` times: the library beside hand-written torch, in turns, in the same run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

import skmm
from benchmarks import sequence_speed
from benchmarks.reference_vae import ReferenceVAE, lean_loop, plain_loop

N_COMPONENTS, N_HIDDEN = 16, 128
ALL_HIDDEN = {"modality_dropout": 0.3, "cell_dropout": 0.1, "dropout": 0.1}
NOTHING_HIDDEN = dict.fromkeys(ALL_HIDDEN, 0.0)


@dataclass(frozen=True)
class Line:
    """A figure of the library beside that of a reference.

    Parameters
    ----------
    what, unit : str
    ours, reference : float
        Medians.
    against : str
        The reference.
    ratio : float
        How many times as good as the reference the library is: the median over rounds.
    target : float or None
        What the ratio is to be at least.
    """

    what: str
    unit: str
    ours: float
    against: str
    reference: float
    ratio: float
    target: float | None = None

    def row(self) -> dict[str, Any]:
        """For a table."""
        return asdict(self)


def in_turns(tasks: dict[str, Callable[[], float]], n_rounds: int) -> dict[str, np.ndarray]:
    """Figures of several tasks, taken in turns."""
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(n_rounds):
        for name, task in tasks.items():
            found[name].append(task())
    return {name: np.array(figures) for name, figures in found.items()}


def seconds(task: Callable[[], Any]) -> float:
    """Time of a call."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def lines(
    found: dict[str, np.ndarray],
    what: str,
    unit: str,
    ours: str,
    against: Sequence[str],
    *,
    less_is_better: bool = False,
    targets: Sequence[float | None] = (None,),
) -> Iterator[Line]:
    """Put figures beside each of their references."""
    for reference, target in zip(against, targets, strict=True):
        ratios = found[ours] / found[reference]
        ratio = float(np.median(1 / ratios if less_is_better else ratios))
        yield Line(
            what,
            unit,
            float(np.median(found[ours])),
            reference,
            float(np.median(found[reference])),
            ratio,
            target,
        )


# --- training ------------------------------------------------------------------------------------------


def rows_of(n_rows: int, sizes: Sequence[int]) -> tuple[np.ndarray, dict[str, slice]]:
    """Noisy views of five latent variables, and which columns are whose."""
    rng = np.random.RandomState(0)
    n_columns = sum(sizes)
    X = rng.normal(size=(n_rows, 5)) @ rng.normal(size=(5, n_columns)) + rng.normal(size=(n_rows, n_columns))
    ends = np.cumsum([0, *sizes])
    return X, {f"m{i:02}": slice(int(a), int(b)) for i, (a, b) in enumerate(pairwise(ends))}


def estimator(modalities: Any, **parameters: Any) -> skmm.MultimodalVAE:
    """The model of the reference: nothing but the network."""
    settings = {
        "n_components": N_COMPONENTS,
        "hidden_layer_sizes": (N_HIDDEN,),
        "modalities": modalities,
        "early_stopping": False,
        "completion": "network",
        "random_state": 0,
    }
    return skmm.MultimodalVAE(**(settings | NOTHING_HIDDEN | parameters))


def samples_per_second(train: Callable[[int], Any], n_rows: int, n_epochs: int) -> float:
    """Rows trained on per second: of a longer training less a shorter one."""
    short, long = (seconds(partial(train, n)) for n in (1, 1 + n_epochs))
    return n_epochs * n_rows / max(long - short, 1e-9)


def fit_vae(
    sizes: Sequence[int], batch_size: int, n_rows: int, n_epochs: int, n_rounds: int
) -> Iterator[Line]:
    """Training of tables: with nothing hidden, and with all that hides inputs and units.

    The latter beside the plain loop that hides nothing, and beside the one that hides as much.
    """
    X, modalities = rows_of(n_rows, sizes)
    x = torch.as_tensor((X - X.mean(0)) / X.std(0), dtype=torch.float32)

    def ours(n_epochs: int, **parameters: Any) -> None:
        estimator(modalities, batch_size=batch_size, max_iter=n_epochs, **parameters).fit(X)

    def by_hand(loop: Callable[..., None], n_epochs: int, **rates: float) -> None:
        loop(ReferenceVAE(sizes, N_COMPONENTS, N_HIDDEN, **rates), x, batch_size, n_epochs)

    tasks = {
        "nothing hidden": ours,
        "all dropout": partial(ours, **ALL_HIDDEN),
        "plain loop": partial(by_hand, plain_loop),
        "plain loop, all dropout": partial(by_hand, plain_loop, **ALL_HIDDEN),
        "lean loop": partial(by_hand, lean_loop),
    }
    for task in tasks.values():
        task(1)  # what only a first training takes
    found = in_turns(
        {name: partial(samples_per_second, task, n_rows, n_epochs) for name, task in tasks.items()}, n_rounds
    )
    width = " + ".join(map(str, sizes)) if len(sizes) < 4 else f"{len(sizes)} x {sizes[0]}"
    for ours_name, against in (
        ("nothing hidden", ("plain loop", "lean loop")),
        ("all dropout", ("plain loop", "plain loop, all dropout")),
    ):
        what = f"fit, {width} columns, batch {batch_size}, {ours_name}"
        targets = [None if name == "lean loop" else 0.9 for name in against]
        yield from lines(found, what, "rows/s", ours_name, against, targets=targets)


def fit_vrnn(n_steps: int, n_repetitions: int) -> Iterator[Line]:
    """Training of sequences."""
    row = sequence_speed.run(0, lengths=[n_steps], n_repetitions=n_repetitions).iloc[0]
    ours, theirs = row["library (ms)"], row["plain loop (ms)"]
    yield Line(f"VRNN step, {n_steps} time steps", "ms", ours, "plain loop", theirs, theirs / ours, 2.2)


# --- afterwards ----------------------------------------------------------------------------------------


def answers(n_rows: int, n_rounds: int) -> Iterator[Line]:
    """Features, completions, draws and likelihoods of rows with gaps, beside bare passes of the network."""
    sizes = (240, 76)
    X, modalities = rows_of(n_rows, sizes)
    vae = estimator(modalities, max_iter=2).fit(X[:1000])
    network = vae.module_
    X[np.random.RandomState(1).uniform(size=X.shape) < 0.1] = np.nan  # hardly two rows of the same pattern
    blocks = vae._read(X).blocks

    @torch.no_grad()
    def encode() -> None:
        network.posterior(blocks).mean.numpy()

    @torch.no_grad()
    def encode_and_decode() -> None:
        for distribution in network.decode(network.posterior(blocks).mean):
            distribution.mean.numpy()

    tasks: dict[str, Callable[[], Any]] = {
        "encoders": encode,
        "encoders and decoders": encode_and_decode,
        "transform": partial(vae.transform, X),
        "predict": partial(vae.predict, X),
        "impute": partial(vae.impute, X),
        "score_samples": partial(vae.score_samples, X[: n_rows // 10]),
        "sample": partial(vae.sample, n_rows),
    }
    for task in tasks.values():
        task()
    found = in_turns({name: partial(seconds, task) for name, task in tasks.items()}, n_rounds)
    found = {name: n_rows / times for name, times in found.items()}
    found["score_samples"] /= 10
    for name, reference, target in (
        ("transform", "encoders", 0.9),
        ("predict", "encoders and decoders", None),
        ("impute", "encoders and decoders", None),
        ("score_samples", "encoders and decoders", None),
        ("sample", "encoders and decoders", None),
    ):
        yield from lines(found, name, "rows/s", name, [reference], targets=[target])


def growth(n_rows: int) -> Iterator[Line]:
    """Ten times the rows: how many times the time of an answer, and of an epoch of training."""
    X, modalities = rows_of(n_rows, (20, 10))
    vae = estimator(modalities, max_iter=1).fit(X[:500])
    vae.transform(X)
    few, many = (seconds(partial(vae.transform, X[:n])) for n in (n_rows // 10, n_rows))
    yield Line(f"transform, {n_rows} rows", "s", many, "ten times a tenth", 10 * few, 10 * few / many)

    def train(n: int, n_epochs: int) -> None:
        estimator(modalities, batch_size=128, max_iter=n_epochs).fit(X[:n])

    # an epoch more: what happens once, such as reading, is the same for both
    few, many = (
        seconds(partial(train, n, 2)) - seconds(partial(train, n, 1)) for n in (n_rows // 10, n_rows)
    )
    yield Line(f"epoch of fit, {n_rows} rows", "s", many, "ten times a tenth", 10 * few, 10 * few / many)


def growth_of_steps(n_steps: int, n_repetitions: int) -> Iterator[Line]:
    """Five times as many steps of sequences: how many times the time of one step of training."""
    step = sequence_speed.library_step(sequence_speed.library_network(0))
    few, many = sequence_speed.medians(
        [
            partial(step, *sequence_speed.batch(sequence_speed.BATCH, n, seed=1))
            for n in (n_steps // 5, n_steps)
        ],
        n_repetitions,
    )
    what = f"VRNN step, grown to {n_steps} time steps"
    yield Line(what, "ms", 1e3 * many, "five times a fifth", 5e3 * few, 5 * few / many)


# --- processes -----------------------------------------------------------------------------------------

IMPORT_OURS = "import torch, sklearn.base, time; start = time.perf_counter(); import skmm"
IMPORT_THEIRS = "import time; start = time.perf_counter(); import torch, sklearn.base"
FIRST_FIT = """
import torch
torch.set_num_threads(1)
from functools import partial
from benchmarks.speed import *
X, modalities = rows_of(2000, (240, 76))
start = time.perf_counter()
"""
OURS = "estimator(modalities, max_iter=10, batch_size=128).fit(X)"
THEIRS = """
x = torch.as_tensor((X - X.mean(0)) / X.std(0), dtype=torch.float32)
plain_loop(ReferenceVAE((240, 76), N_COMPONENTS, N_HIDDEN), x, 128, 10)
"""


def in_new_process(code: str, threads: int = 1) -> float:
    """The number that a code prints in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", code]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def seconds_of(code: str, threads: int = 1) -> float:
    """Time from ``start``, which the code takes, to its end."""
    return in_new_process(f"{code}\nprint(time.perf_counter() - start)", threads)


def first_times(n_rounds: int) -> Iterator[Line]:
    """What a new process takes to import, and for its first fit."""
    found = in_turns(
        {"ours": partial(seconds_of, IMPORT_OURS), "torch, sklearn.base": partial(seconds_of, IMPORT_THEIRS)},
        n_rounds,
    )
    yield from lines(
        found, "import skmm, beside those", "s", "ours", ["torch, sklearn.base"], less_is_better=True
    )
    tasks = {"ours": FIRST_FIT + OURS, "plain loop": FIRST_FIT + THEIRS}
    found = in_turns({name: partial(seconds_of, code) for name, code in tasks.items()}, n_rounds)
    what = "first fit of a process, 10 epochs of 2000 x 316"
    yield from lines(found, what, "s", "ours", ["plain loop"], less_is_better=True)


SEARCH = """
import torch
from sklearn.model_selection import GridSearchCV
torch.set_num_threads({n_threads})
from benchmarks.speed import *
X, modalities = rows_of(300, (10, 10))
grid = {{"beta": [0.1, 0.3, 1.0], "n_components": [4, 8]}}
search = GridSearchCV(estimator(modalities, max_iter=20), grid, cv=3, n_jobs={n_jobs})
search.fit(X)  # starts the processes
start = time.perf_counter()
search.fit(X)
"""


def search(n_rounds: int) -> Iterator[Line]:
    """A search of small fits, in one process and in two, with one thread of torch's and with two."""
    tasks = {
        f"n_jobs={n_jobs}, {n_threads} thread(s)": partial(
            seconds_of, SEARCH.format(n_jobs=n_jobs, n_threads=n_threads), threads=n_threads
        )
        for n_jobs in (1, 2)
        for n_threads in (1, 2)
    }
    found = in_turns(tasks, n_rounds)
    first, *others = tasks
    for name in others:
        what = f"GridSearchCV, 18 small fits, {name}"
        yield from lines(found, what, "s", name, [first], less_is_better=True)


PEAK = """
from benchmarks.speed import *
import tempfile
import pandas as pd
rows_of(100, (20, 20))
estimator(None, max_iter=1).fit(np.zeros((50, 4)) + np.arange(50)[:, None])
X = np.random.RandomState(0).standard_normal(({n_rows}, 200)).astype(np.float32)
n_bytes = X.nbytes
with tempfile.NamedTemporaryFile() as file:
    if {mapped}:
        X.tofile(file)
        del X
        X = np.memmap(file.name, dtype=np.float32, mode="r", shape=({n_rows}, 200))
    forget_peak()
    before = peak()
    if {frame}:
        X = pd.DataFrame(X, copy=False)
    vae = estimator(
        {{"a": slice(0, 100), "b": slice(100, 200)}},
        max_iter=1, batch_size=1024, n_draws=2, early_stopping={early}, completion="{completion}",
    ).fit(X)
    vae.{method}(X)
    print((peak() - before) / n_bytes)
"""


def peak() -> float:
    """Of the memory of this process since :func:`forget_peak`, in bytes; pages of files count."""
    status = Path("/proc/self/status").read_text()
    return 1024.0 * int(status.split("VmHWM:")[1].split()[0])


def forget_peak() -> None:
    """Count from the memory that is used now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def memory(n_rows: int) -> Iterator[Line]:
    """Peak memory of fit and of an answer beyond the data, in units of the data in float32."""
    for what, settings in (
        ("fit and transform", {"method": "transform"}),
        ("fit with early stopping and transform", {"method": "transform", "early": True}),
        ("fit and transform of a frame", {"method": "transform", "frame": True}),
        ("fit and impute", {"method": "impute"}),
        ("fit and impute, stacked completion", {"method": "impute", "completion": "stacked"}),
        ("fit and transform of a mapped file, its pages too,", {"method": "transform", "mapped": True}),
    ):
        usual = {"early": False, "mapped": False, "frame": False, "completion": "network"}
        code = PEAK.format(n_rows=n_rows, **(usual | settings))
        times = in_new_process(code)
        yield Line(
            f"peak memory of {what} {n_rows} x 200",
            "times the data",
            times,
            "the data",
            1.0,
            1 / times if times > 0 else float("nan"),
        )
