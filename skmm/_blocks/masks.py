"""Masks, where torch's own functions would take much of the time of a small network on a CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def any_of(mask: Tensor) -> Tensor:
    """Whether anything along the last axis is True; many times faster on a CPU than torch's ``any``."""
    return mask.view(torch.uint8).amax(-1).view(torch.bool)


def random_mask(shape: Sequence[int], rate: float | Tensor, device: torch.device | str) -> Tensor:
    """Draw which entries to keep: False with probability ``rate``, to the 65536th.

    Sixteen random bits for each, which on a CPU take a fraction of the time of random numbers.

    Parameters
    ----------
    shape : sequence of int
    rate : float or Tensor that broadcasts against ``shape``
        From 0 to 1, 1 excluded.
    device : device
    """
    n = math.prod(shape)
    bits = torch.empty(-(-n // 4), dtype=torch.int64, device=device).random_(-(2**63), None)
    levels = bits.view(torch.int16)[:n].view(*shape)
    if isinstance(rate, Tensor):
        return levels >= ((rate * 2**16).round() - 2**15).clamp_max(2**15 - 1).to(torch.int16)
    return levels >= min(round(rate * 2**16) - 2**15, 2**15 - 1)
