"""What is tried before training: users' own parts, where it can still be said which of them is at fault."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from skmm._blocks.blocks import Blocks
from skmm.training.objectives.contract import Objective
from skmm.training.schedules import Schedule

POSTERIOR = ("mean", "stddev", "rsample", "log_prob", "kl")
DISTRIBUTION = ("mean", "stddev", "log_prob", "sample", "quantile", "given")


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
    leading = tuple(rows.joint.shape[:-1])  # rows, and steps in sequences
    network.eval()
    with network.measured(rows):
        posterior = network.posterior(rows)
    lacking = [what for what in POSTERIOR if not hasattr(posterior, what)]
    if isinstance(posterior, Tensor) or lacking:
        raise ValueError(
            f"fusion must return a posterior with {_listed(POSTERIOR)}, such as experts.family.posterior "
            f"gives, but it returned {_shown(posterior)}."
        )
    moments: list[Any] = []
    for what in ("mean", "stddev"):
        moments.append(getattr(posterior, what))
        _check_shape(
            moments[-1], (*leading, network.n_components), f"fusion must return a posterior whose {what}"
        )
    with network.measured(rows):
        distributions = network.decode(network.central(rows)[None])
    for name, distribution, n_statistics, values, observed in zip(
        network.names, distributions, network.n_statistics, rows.values, rows.observed, strict=True
    ):
        who = f"The likelihood of modality {name!r} must return distributions whose"
        try:
            for part in getattr(distribution, "parts", (distribution,)):  # of several in one modality, each
                lacking = [what for what in DISTRIBUTION if not hasattr(part, what)]
                if lacking:
                    raise ValueError(
                        f"The likelihood of modality {name!r} must return a distribution with "
                        f"{_listed(DISTRIBUTION)}, but it returned {_shown(part)} without {_listed(lacking)}."
                    )
            for what in ("mean", "stddev"):
                moments.append(getattr(distribution, what))
                _check_shape(moments[-1], (1, *leading, n_statistics), f"{who} {what}")
            _check_shape(distribution.log_prob(values, observed), (1, *leading), f"{who} log_prob")
        except (TypeError, RuntimeError, IndexError) as error:
            raise ValueError(
                f"{who} mean, stddev and log_prob(values, observed) are tensors of shapes "
                f"{(1, *leading, n_statistics)}, {(1, *leading, n_statistics)} and {(1, *leading)} here, but "
                f"they failed: {error}"
            ) from error
    if not all(moment.isfinite().all() for moment in moments):
        raise FloatingPointError(
            f"Training cannot begin: {network.culprit(rows)}. Look for extreme values in X, and check your "
            "own encoders and decoders, if any."
        )
    terms = objective(network, rows, rows, 1.0)
    for what, shape in (("loss", ()), ("reconstruction", (len(network.names),))):
        _check_shape(getattr(terms, what, None), shape, f"objective must return Terms whose {what}")


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _shown(value: Any) -> str:
    """What was returned, in few words."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__module__}.{type(value).__qualname__}"


def _check_shape(values: Any, expected: tuple[int, ...], who: str) -> None:
    if not isinstance(values, Tensor) or tuple(values.shape) != expected:
        got = f"a tensor of shape {tuple(values.shape)}" if isinstance(values, Tensor) else repr(values)
        raise ValueError(f"{who} is a tensor of shape {expected} here, but it is {got}.")
