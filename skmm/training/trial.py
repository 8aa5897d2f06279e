"""What is tried before training: users' own parts, where it can still be said which of them is at fault."""

from __future__ import annotations

import math
import numbers
from typing import Any

from torch import Tensor

from skmm._blocks.blocks import Blocks
from skmm.training.objectives import Objective
from skmm.training.schedules import Schedule


def try_schedule(beta: Schedule) -> None:
    """Check some values of a schedule.

    Raises
    ------
    ValueError
        If one is not a finite number of at least 0.
    """
    for progress in (0.0, 0.5, 1.0):
        value = beta(progress)
        if not isinstance(value, numbers.Real) or not 0 <= float(value) < math.inf:
            raise ValueError(
                f"beta must be a finite number of at least 0 at every progress from 0 to 1, but {beta!r} "
                f"returned {value!r} at progress {progress}."
            )


def try_network(network: Any, objective: Objective, rows: Blocks) -> None:
    """Pass some rows through an untrained network and check what comes out.

    Parameters
    ----------
    network : Module
        Left in evaluation mode.
    objective : callable
    rows : Blocks
        On the network's device.

    Raises
    ------
    ValueError
        If the posterior, a likelihood or the objective returns something of another kind or shape.
    FloatingPointError
        If a part of the network returns NaN or infinite numbers.
    """
    n = rows.n_rows
    network.eval()
    posterior = network.posterior(rows)
    moments: list[Any] = []
    for what in ("mean", "stddev"):
        moments.append(getattr(posterior, what, None))
        _check_shape(moments[-1], (n, network.n_components), f"fusion must return a posterior whose {what}")
    distributions = network.decode(posterior.mean[None])
    for name, distribution, n_statistics, values, observed in zip(
        network.names, distributions, network.n_statistics, rows.values, rows.observed, strict=True
    ):
        who = f"The likelihood of modality {name!r} must return distributions whose"
        for what in ("mean", "stddev"):
            moments.append(getattr(distribution, what, None))
            _check_shape(moments[-1], (1, n, n_statistics), f"{who} {what}")
        _check_shape(distribution.log_prob(values, observed), (1, n), f"{who} log_prob")
    if not all(moment.isfinite().all() for moment in moments):
        raise FloatingPointError(
            f"Training cannot begin: {network.culprit(rows)}. Look for extreme values in X, and check your "
            "own encoders and decoders, if any."
        )
    terms = objective(network, rows, rows, 1.0)
    for what, shape in (("loss", ()), ("reconstruction", (len(network.names),))):
        _check_shape(getattr(terms, what, None), shape, f"objective must return Terms whose {what}")


def _check_shape(values: Any, expected: tuple[int, ...], who: str) -> None:
    if not isinstance(values, Tensor) or tuple(values.shape) != expected:
        got = f"a tensor of shape {tuple(values.shape)}" if isinstance(values, Tensor) else repr(values)
        raise ValueError(f"{who} is a tensor of shape {expected} here, but it is {got}.")
