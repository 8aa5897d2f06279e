"""What is looked at while a network learns."""

from __future__ import annotations

import math
from typing import Any

import torch

from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng


@torch.no_grad()
def modality_divergence(network: Any, rows: Blocks) -> list[float]:
    """Divergence from the prior of the posterior given each modality alone; NaN for one that no row has."""
    found = []
    with isolated_rng(0, rows.joint.device):  # looking must not change what training draws
        for modality, present in enumerate(rows.row_present):
            if not present.any():
                found.append(math.nan)
                continue
            some = rows.rows(present)
            seen = some.joint_observed & some.columns_of(modality)
            latent = network.infer(Blocks.from_joint(some.joint, seen, rows.sizes), 1)
            found.append(float(latent.kl.mean()))
    return found
