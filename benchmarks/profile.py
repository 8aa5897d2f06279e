"""Where the time of training goes: by phase of a step, and by kind of operation.

Phases are timed one by one; kinds are what torch's profiler finds, as shares of all that it finds. Run
``python -m benchmarks.profile``.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.sequences import markdown
from benchmarks.speed import ALL_HIDDEN, NOTHING_HIDDEN, estimator, rows_of
from skmm._torch import isolated_rng
from skmm.training.adamw import FlatAdamW
from skmm.training.batches import training_batches
from skmm.training.objectives.bounds import ELBO
from skmm.training.written_out import value_and_pullback

BATCH, N_ROWS, N_EPOCHS = 128, 2048, 30
CASES: dict[str, tuple[Sequence[int], dict[str, float]]] = {
    "10 + 10, nothing hidden": ((10, 10), NOTHING_HIDDEN),
    "10 + 10, all dropout": ((10, 10), ALL_HIDDEN),
    "240 + 76, nothing hidden": ((240, 76), NOTHING_HIDDEN),
    "240 + 76, all dropout": ((240, 76), ALL_HIDDEN),
}
KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::addmm_", "aten::mv", "aten::addmv_"),
    "random numbers": ("aten::random_", "aten::normal_", "aten::uniform_", "aten::ge"),
    "optimiser": ("aten::_fused_adamw_", "aten::linalg_vector_norm"),
}


class Step:
    """A step of training in its phases, as ``skmm.training.loop`` takes it."""

    def __init__(self, sizes: Sequence[int], rates: dict[str, float]) -> None:
        X, modalities = rows_of(N_ROWS, sizes)
        vae = estimator(modalities, batch_size=BATCH, max_iter=1, **rates).fit(X)
        self.network = vae.module_.train()
        self.blocks = vae._read(X).blocks
        self.corruption = vae._corruption(vae.layout_.names)
        self.optimizer = FlatAdamW(self.network, 1e-3, 0.01)
        self.objective = ELBO()

    def epoch(self) -> dict[str, float]:
        """Seconds of each phase."""
        spent: dict[str, float] = defaultdict(float)
        batches = training_batches(self.network, self.blocks, BATCH, self.corruption)
        now = time.perf_counter()

        def note(phase: str) -> None:
            nonlocal now
            spent[phase] += time.perf_counter() - now
            now = time.perf_counter()

        for inputs, targets in batches:
            note("batches and masks")
            _, pullback = value_and_pullback(self.objective, self.network, inputs, targets, 0.5)
            note("forward")
            self.optimizer.zero_grad()
            pullback()
            note("backward")
            self.optimizer.step(1.0)
            note("optimiser step")
        return spent


def kinds(step: Step) -> dict[str, float]:
    """Share of each kind of operation in the time that torch's profiler sees."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        step.epoch()
    spent: dict[str, float] = defaultdict(float)
    for event in found.key_averages():
        kind = next((kind for kind, names in KINDS.items() if event.key in names), None)
        if kind is None:
            is_operation = event.key.startswith("aten::")
            kind = "other operations" if is_operation else "automatic differentiation"
        spent[kind] += event.self_cpu_time_total
    return {kind: time / sum(spent.values()) for kind, time in spent.items()}


def main() -> None:
    """Profile every case."""
    torch.set_num_threads(1)
    rows = []
    for name, (sizes, rates) in CASES.items():
        with isolated_rng(0):
            step = Step(sizes, rates)
            phases = pd.DataFrame([step.epoch() for _ in range(N_EPOCHS)]).median()
            shares: dict[str, Any] = {"columns": name, "step (us)": 1e6 * phases.sum() * BATCH / N_ROWS}
            shares |= {f"{phase} (%)": 100 * share for phase, share in (phases / phases.sum()).items()}
            shares |= {f"{kind} (%)": 100 * share for kind, share in kinds(step).items()}
        rows.append(shares)
    table = pd.DataFrame(rows).set_index("columns").fillna(0.0).round(0).astype(int)
    print(markdown(table.T.reset_index(names="")))


if __name__ == "__main__":
    main()
