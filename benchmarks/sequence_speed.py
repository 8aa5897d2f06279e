"""Time of a training step of MultimodalVRNN: by length, against a plain loop, and what padding costs.

A step is forward pass, backward pass and optimiser, on a batch of 64 sequences with gaps, of two modalities
of 10 features, with 16 latent variables and hidden layers and recurrences of width 64, on one thread.

First table: medians for several lengths, beside those of the same model written as one loop that encodes and
decodes at every step (``benchmarks.reference_vrnn``). Both are timed in turns, and have to agree in their
loss first. Second table: one epoch over sequences of 10 to 100 steps, put into batches by length, as the
library does, and at random. Run ``python -m benchmarks.sequence_speed``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.reference_vrnn import ReferenceVRNN
from benchmarks.sequences import fit, make_parser, parse, report
from skmm._blocks.blocks import Blocks, SequenceBlocks
from skmm.training.adamw import FlatAdamW
from skmm.training.batches import cut, shuffled_batches
from skmm.training.objectives.bounds import ELBO

SIZES = (10, 10)
MODALITIES = {"a": slice(0, 10), "b": slice(10, 20)}
N_COMPONENTS, N_HIDDEN, WIDTH, BATCH = 16, 64, 64, 64
LENGTHS = (25, 50, 100, 200, 500)
BETA = 0.3
SHARE_HIDDEN = 0.2  # of the steps of each modality
TOLERANCE = 1e-4  # of the loss, relative


def library_network(seed: int, **parameters: Any) -> nn.Module:
    """The library's network, in training mode; from a short fit, so that no weight is zero by chance."""
    X = np.random.RandomState(seed).normal(size=(BATCH, 5, sum(SIZES)))
    settings: dict[str, Any] = {
        "n_components": N_COMPONENTS,
        "hidden_size": N_HIDDEN,
        "hidden_layer_sizes": (WIDTH,),
        "smoothing_dropout": 0.0,  # what it leaves out, it leaves out at random
        "max_iter": 10,
        **parameters,
    }
    model, _ = fit(X, seed, modalities=MODALITIES, **settings)
    return model.module_.train()


def batch(n: int, n_steps: int, seed: int) -> tuple[Blocks, Blocks]:
    """What the encoders are given, with gaps, and what is scored: n sequences of noise."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(n, n_steps, sum(SIZES), generator=generator)
    kept = torch.rand(n, n_steps, len(SIZES), generator=generator) >= SHARE_HIDDEN
    seen = kept.repeat_interleave(torch.tensor(SIZES), dim=-1)
    return Blocks.from_joint(values, seen, SIZES), Blocks.from_joint(values, torch.ones_like(seen), SIZES)


def library_loss(network: Any, inputs: Blocks, targets: Blocks) -> Tensor:
    """Loss as the library computes it; the noise comes from torch's generator."""
    return ELBO()(network, inputs, targets, BETA).loss


def reference_loss(reference: ReferenceVRNN, inputs: Blocks, targets: Blocks) -> Tensor:
    """Loss as the plain loop computes it, with the same noise."""
    return reference.loss(targets.joint, inputs.joint_observed, targets.joint_observed, BETA)


def seeded(loss: Callable[[], Tensor], seed: int) -> Tensor:
    """Evaluate with the noise of this seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return loss()


def difference(network: Any, reference: ReferenceVRNN, n_steps: int = 20) -> float:
    """Relative difference of the two losses on the same batch, with the same noise."""
    both = batch(BATCH, n_steps, seed=1)
    ours = seeded(partial(library_loss, network, *both), seed=2)
    theirs = seeded(partial(reference_loss, reference, *both), seed=2)
    return float(((ours - theirs) / theirs).detach().abs())


def library_step(network: nn.Module) -> Callable[[Blocks, Blocks], None]:
    """Forward pass, backward pass, optimiser, as ``fit`` does them."""
    optimizer = FlatAdamW(network, 1e-4, 0.01)

    def step(inputs: Blocks, targets: Blocks) -> None:
        optimizer.zero_grad()
        library_loss(network, inputs, targets).backward()
        optimizer.step(1.0)

    return step


def training_step(network: nn.Module, loss: Callable[..., Tensor]) -> Callable[[Blocks, Blocks], None]:
    """Forward pass, backward pass, optimiser, as one would write them."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def step(inputs: Blocks, targets: Blocks) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(network, inputs, targets).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()

    return step


def medians(tasks: Sequence[Callable[[], Any]], n_repetitions: int) -> list[float]:
    """Median time of each task in seconds, done in turns; the first turn does not count."""
    times: list[list[float]] = [[] for _ in tasks]
    for _ in range(n_repetitions + 1):
        for task, found in zip(tasks, times, strict=True):
            start = time.perf_counter()
            task()
            found.append(time.perf_counter() - start)
    return [float(np.median(found[1:])) for found in times]


def run(
    seed: int, *, lengths: Sequence[int] = LENGTHS, n_repetitions: int = 9, **parameters: Any
) -> pd.DataFrame:
    """Time training steps, by length; only those parameters may be given that leave the model the same."""
    network = library_network(seed, **parameters)
    reference = ReferenceVRNN.copy_of(network, SIZES)
    off = difference(network, reference)
    if off > TOLERANCE:
        raise AssertionError(f"The two losses differ by {off:.1e}, relatively; they are not the same model.")
    steps = library_step(network), training_step(reference, reference_loss)
    rows = []
    for n_steps in lengths:
        both = batch(BATCH, n_steps, seed)
        ours, theirs = medians([partial(step, *both) for step in steps], n_repetitions)
        rows.append(
            {
                "length": str(n_steps),
                "library (ms)": 1000 * ours,
                "library (ms per time step)": 1000 * ours / n_steps,
                "plain loop (ms)": 1000 * theirs,
                "plain loop / library": theirs / ours,
                "losses differ by": off,
            }
        )
        print(
            f"length {n_steps}: library {1000 * ours:.0f} ms, plain loop {1000 * theirs:.0f} ms", flush=True
        )
    return pd.DataFrame(rows)


def run_padding(
    seed: int, *, n_sequences: int = 2048, n_repetitions: int = 3, **parameters: Any
) -> pd.DataFrame:
    """Time epochs over sequences of unequal lengths, in batches by length and at random."""
    rng = np.random.RandomState(seed)
    lengths = torch.as_tensor(rng.randint(10, 101, size=n_sequences))
    values = torch.as_tensor(rng.normal(size=(int(lengths.sum()), sum(SIZES))), dtype=torch.float32)
    table = Blocks.from_joint(values, torch.ones_like(values, dtype=torch.bool), SIZES)
    sequences = SequenceBlocks.from_table(table, lengths)
    step = library_step(library_network(seed, **parameters))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        ways = {
            "by length": shuffled_batches(sequences, BATCH),
            "at random": cut(torch.randperm(n_sequences), BATCH),
        }

    def epoch(batches: list[Tensor]) -> None:
        for index in batches:
            rows = sequences.batch(index)
            step(rows, rows)

    times = medians([partial(epoch, batches) for batches in ways.values()], n_repetitions)
    rows = []
    for (way, batches), seconds in zip(ways.items(), times, strict=True):
        computed = sum(int(lengths[index].max()) * len(index) for index in batches)
        rows.append(
            {
                "batches": way,
                "epoch (s)": seconds,
                "padding / data": computed / int(lengths.sum()) - 1,
                "time / by length": seconds / times[0],
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Time both."""
    parser = make_parser(__doc__, seeds=1)
    parser.add_argument("--lengths", type=int, nargs="+", help=f"in steps (default: {LENGTHS})")
    arguments = parse(parser)
    size, padding = {"lengths": arguments.lengths or LENGTHS}, {}
    if arguments.quick:
        size = {"lengths": arguments.lengths or LENGTHS[:2], "n_repetitions": 3}
        padding = {"n_sequences": 512, "n_repetitions": 1}
    for name, measure, how in (("", run, size), ("_padding", run_padding, padding)):
        frames = [measure(seed, **how, **dict(arguments.set)).assign(seed=seed) for seed in arguments.seeds]
        report(pd.concat(frames), f"sequence_speed{name}", arguments.out)


if __name__ == "__main__":
    main()
