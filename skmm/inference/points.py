"""Latent points of rows and of sequences, in passes of bounded memory.

Everything that is asked of a fitted network goes the same way: points are taken of each row's posterior, at
fixed nodes, at random or at its mean; decoders are given them; something is averaged; and what comes out is
put together in the order of the table. Rows come in passes. Sequences come sorted by length, and long ones
step by step: the recurrence hands its state from one piece to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks, SequenceBlocks
from skmm.inference.importance import fixed_points, resampled_points
from skmm.inference.nodes import PathNodes, fixed_nodes, rows_per_pass

N_CANDIDATES = 512  # points of a row from which its draws are resampled, where points are weighted
MAX_ORDERED = 256  # rows of a small table
MAX_FLOATS = 2**23  # of one pass
PART_ENTRIES = 2**21  # of an answer, that are asked for together, but one row at least
MAX_EVIDENCE = 2**25  # floats of what is known of whole sequences before the recurrence starts
MIN_STEPS = 32  # of a piece: shorter ones would be all overhead


@dataclass(frozen=True)
class Piece:
    """Some rows, or some steps of some sequences, with points of their posteriors.

    Parameters
    ----------
    rows : Blocks
    code : Tensor of shape (n_draws, n, [n_steps,] n_code)
        What decoders are given.
    weights : Tensor of shape (n_draws, n or 1) or None
        Weights of the points, which sum to 1; None where all count alike.
    level : Tensor
        Levels of the draws' quantiles, which broadcast against (n_draws, n, [n_steps,] n_features).
    posterior : posterior
        Over (n, [n_steps]); along sequences, of the first draw.
    position : int64 Tensor of shape (n,) or (n, n_steps)
        Where the table holds these rows or steps; -1 for padding.
    """

    rows: Blocks
    code: Tensor
    weights: Tensor | None
    level: Tensor | None
    posterior: Any
    position: Tensor

    def average(self, values: Tensor) -> Tensor:
        """Mean of values over the points; in float64, for a float32 sum depends on where a row stands."""
        if self.weights is None:
            return values.mean(0, dtype=torch.float64)
        return (self.weights[..., None] * values).sum(0, dtype=torch.float64)


def assemble(pieces: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Put the results of pieces together in the order of the table.

    Parameters
    ----------
    pieces : sequence of (position, values)
        Positions as of :class:`Piece`, and values (..., n, [n_steps,] n_numbers) that stand there.

    Returns
    -------
    Tensor of shape (..., n_rows of the table, n_numbers)
    """
    positions = torch.cat([position[position >= 0] for position, _ in pieces])
    ranks = torch.empty_like(positions)
    ranks[positions.argsort()] = torch.arange(len(positions))
    first = pieces[0][1]
    found = first.new_empty(
        *first.shape[: -1 - pieces[0][0].ndim], len(positions), first.shape[-1], device="cpu"
    )
    start = 0
    for position, values in pieces:
        inside = (position >= 0).flatten().to(values.device)
        values = values.flatten(-1 - position.ndim, -2)[..., inside, :]
        found[..., ranks[start : start + values.shape[-2]], :] = values.cpu()
        start += values.shape[-2]
    return found


def of_rows(ask: Callable[..., Any], network: Any, blocks: Any, device: torch.device, **how: Any) -> Any:
    """What ``ask(network, blocks, device, **how)`` says of each row, one Tensor or several.

    Products of matrices round by the place of a row. Identical rows, or sequences, of small tables are asked
    for once, and all in an order of their own: the answers are then the same to the last bit however they
    are shuffled. Answers have one axis, of rows or sequences, or end with rows of the table and numbers.
    """
    if blocks.n_rows > MAX_ORDERED:
        return ask(network, blocks, device, **how)
    distinct, of_row, of_table_row = blocks.distinct()
    found = ask(network, distinct, device, **how)
    several = tuple(
        part.index_select(0, of_row) if part.ndim == 1 else part.index_select(-2, of_table_row)
        for part in (found if isinstance(found, tuple) else (found,))
    )
    return several if isinstance(found, tuple) else several[0]


def in_parts(ask: Callable[[Any], Tensor], blocks: Any, *, n_tables: int = 1) -> Tensor:
    """What ``ask(blocks)`` says of each row, asked for some rows at a time.

    What answers are made from is many times as large as they are, and is let go after each part.

    Parameters
    ----------
    ask : callable
        Of some rows or sequences, one number each, or a Tensor that ends with an axis of rows of their
        table and one of numbers.
    blocks : Blocks or SequenceBlocks
    n_tables : int
        How many times as large as the table the answer is.
    """
    ends = blocks.lengths.cumsum(0)
    number = (ends - 1) * (n_tables * blocks.joint.shape[-1]) // PART_ENTRIES  # of each row's part
    counts = number.unique_consecutive(return_counts=True)[1]
    if len(counts) < 2:
        return ask(blocks)
    found: Tensor | None = None
    start = 0
    for first, end in pairwise([0, *counts.cumsum(0).tolist()]):
        values = ask(blocks.rows(slice(first, end)))
        axis = max(0, values.ndim - 2)
        if found is None:
            shape = list(values.shape)
            shape[axis] = blocks.n_rows if values.ndim == 1 else int(ends[-1])
            found = values.new_empty(shape)
        found.narrow(axis, start, values.shape[axis]).copy_(values)
        start += values.shape[axis]
    assert found is not None
    return found


def at_mean(network: Any, blocks: Any, device: torch.device, *, smooth: bool = True) -> Iterator[Piece]:
    """One point for each row: the posterior's mean."""
    if isinstance(blocks, SequenceBlocks):

        def silence(n: int, n_steps: int) -> tuple[Tensor, None, None]:
            return torch.zeros(1, 1, n_steps, network.n_components), None, None

        yield from _along(network, blocks, device, 1, lambda: silence, smooth)
        return
    for rows, position in passes(network, blocks, 1, device):
        posterior = checked_posterior(network, rows)
        yield Piece(rows, posterior.mean[None], None, None, posterior, position)


def at_nodes(
    network: Any,
    blocks: Any,
    device: torch.device,
    n_draws: int,
    *,
    balanced: bool,
    smooth: bool = True,
) -> Iterator[Piece]:
    """Fixed points, the same in every call and whatever rows there are beside.

    Where training made the posterior a proposal, the points are weighted by what was observed, as far as
    enough of them keep a weight; elsewhere they count alike. (Weights are no cure for a posterior that is
    merely imprecise: on real tables hardly a point of 64 would be left.)
    """
    if isinstance(blocks, SequenceBlocks):

        def nodes() -> Callable[[int, int], tuple[Tensor, Tensor, Tensor | None]]:
            path = PathNodes(n_draws, network.n_components, balanced=balanced)
            return lambda n, n_steps: path.take(n_steps)

        yield from _along(network, blocks, device, n_draws, nodes, smooth)
        return
    points = fixed_nodes(n_draws, network.n_components, device, balanced=balanced)
    for rows, position in passes(network, blocks, n_draws, device):
        posterior = checked_posterior(network, rows)
        if network.importance_weighted:
            weighted = fixed_points(network, rows, posterior, n_draws, device)
            weights = weighted.shares().to(weighted.z.dtype)
            yield Piece(rows, weighted.z, weights, points.level, posterior, position)
        else:
            code = posterior.at(points.noise, points.part)
            yield Piece(rows, code, None, points.level, posterior, position)


def at_random(network: Any, blocks: Any, device: torch.device, n_draws: int) -> Iterator[Piece]:
    """Draws from torch's current generator; along a sequence, one path per draw."""
    if isinstance(blocks, SequenceBlocks):

        def noise(n: int, n_steps: int) -> tuple[Tensor, Tensor, None]:
            shape = (n_draws, n, n_steps)
            return (
                torch.randn(*shape, network.n_components, device=device, dtype=torch.float32),
                torch.rand(shape, device=device, dtype=torch.float32),
                None,
            )

        yield from _along(network, blocks, device, n_draws, lambda: noise, True)
        return
    n_points = max(n_draws, N_CANDIDATES) if network.importance_weighted else n_draws
    for rows, position in passes(network, blocks, n_points, device):
        posterior = checked_posterior(network, rows)
        if network.importance_weighted:
            z = resampled_points(network, rows, posterior, n_draws, n_points)
        else:
            z = posterior.rsample(n_draws)
        yield Piece(rows, z, None, None, posterior, position)


def passes(
    network: Any, blocks: Blocks, n_draws: int, device: torch.device
) -> Iterator[tuple[Blocks, Tensor]]:
    """Cut blocks into passes of bounded memory, on the device, and say where their rows stand."""
    step = rows_per_pass(n_draws, network.width)
    order = torch.arange(blocks.n_rows)
    for start in range(0, blocks.n_rows, step):
        index = slice(start, start + step)
        yield blocks.rows(index).to(device), order[index]


def sequence_passes(
    network: Any,
    blocks: SequenceBlocks,
    n_draws: int,
    device: torch.device,
    *,
    min_steps: int = MIN_STEPS,
) -> Iterator[tuple[Blocks, Tensor, int]]:
    """Cut sequences into passes: of like length together, how many steps of them to take at once.

    Parameters
    ----------
    min_steps : int
        Rather take fewer sequences at once than fewer steps.

    Yields
    ------
    rows : Blocks of shape (n, n_steps, ...)
    index : int64 Tensor of shape (n,)
        Which sequences these are.
    n_steps : int
        How many steps to decode at once.
    """
    order = blocks.lengths.argsort(stable=True)
    end = len(order)
    cost = max(1, n_draws * network.width)  # floats per step
    while end > 0:  # from the longest: it decides how many others go with it
        longest = max(1, int(blocks.lengths[order[end - 1]]))
        n = min(MAX_FLOATS // (cost * min(longest, min_steps)), MAX_EVIDENCE // (network.width * longest))
        index = order[max(0, end - max(1, n)) : end]
        end -= len(index)
        n_steps = max(min_steps, MAX_FLOATS // (cost * len(index)))
        yield blocks.batch(index).to(device), index, n_steps


def _along(
    network: Any,
    blocks: SequenceBlocks,
    device: torch.device,
    n_draws: int,
    begin: Callable[[], Callable[[int, int], tuple[Tensor, Tensor | None, Tensor | None]]],
    smooth: bool,
) -> Iterator[Piece]:
    """Walk along sequences; ``begin()(n, n_steps)`` gives noise, part and level for the next steps."""
    for rows, sequences, n_steps in sequence_passes(network, blocks, n_draws, device):
        position = blocks.positions(sequences)
        evidence = network.evidence(rows, smooth=smooth)
        take, state = begin(), None
        for start in range(0, rows.joint.shape[1], n_steps):
            index = slice(start, start + n_steps)
            some = rows.steps(index)
            noise, part, level = take(*some.joint.shape[:2])
            chosen = None if part is None else part.to(device)
            path = network.walk(evidence.steps(index), noise.to(device), chosen, some, state)
            state = path.state
            posterior = path.posterior.rows(0)
            _check_finite(network, rows, posterior)
            yield Piece(
                some,
                path.code,
                None,
                None if level is None else level.to(device),
                posterior,
                position[:, index],
            )


def checked_posterior(network: Any, rows: Blocks) -> Any:
    """Posterior of the rows; raise ValueError if the network returns NaN or infinite numbers."""
    posterior = network.posterior(rows)
    _check_finite(network, rows, posterior)
    return posterior


def _check_finite(network: Any, rows: Blocks, posterior: Any) -> None:
    if not (posterior.mean.isfinite().all() and posterior.stddev.isfinite().all()):
        raise ValueError(
            f"No finite posterior: {network.culprit(rows)}. Look for extreme values in X, and check your "
            "own encoders, if any."
        )
