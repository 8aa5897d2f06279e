"""What several likelihoods compute: marginal moments, bounded parameters, SciPy's inverse functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

NOISE_FLOOR = 1e-2  # in standardised units: a density must not run off to infinity on a feature it can copy


def marginal_moments(values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column's observed entries, in float64.

    They are 0 and 1 where nothing was observed; the deviation is 1 too where it is none.
    """
    n = observed.sum(0).clamp_min(1)
    mean = torch.where(observed, values, 0.0).double().sum(0) / n
    # masked before it is squared: what stands there may be infinite
    deviation = torch.where(observed, values.double() - mean, 0.0)
    stddev = (deviation.square().sum(0) / n).sqrt()
    return mean, torch.where(stddev > 0, stddev, 1.0)


def marginal_quantile(values: Tensor, observed: Tensor, q: float) -> Tensor:
    """Nearest quantile of each column's observed entries; 0 where there are none."""
    ordered = torch.where(observed, values, torch.inf).sort(0).values
    count = observed.sum(0)
    index = (q * (count - 1).clamp_min(0)).round().long()
    return torch.where(count > 0, ordered.gather(0, index[None])[0], 0.0)


def between(x: Tensor, low: float, high: float) -> Tensor:
    """Map every number into (low, high), smoothly; far below ``high`` this is about ``low + exp(x)``."""
    return low + (high - low) * torch.sigmoid(x - math.log(high))


def into(value: Tensor, low: float, high: float) -> Tensor:
    """Inverse of :func:`between`; values near or beyond its ends are moved inside."""
    share = ((value - low) / (high - low)).clamp(1e-6, 0.9)
    return share.logit() + math.log(high)


def through_scipy(function: Callable[..., Any], like: Tensor, *arguments: Tensor) -> Tensor:
    """Apply a function of NumPy arrays to tensors; the result has the type and the device of ``like``."""
    arrays = [argument.detach().cpu().double().numpy() for argument in arguments]
    return torch.as_tensor(np.asarray(function(*arrays))).to(like)
