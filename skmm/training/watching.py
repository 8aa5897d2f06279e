"""What is looked at while a network learns."""

from __future__ import annotations

from typing import Any

import torch

from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng

MAX_ENTRIES = 2**19  # of a table that is looked at in one pass


@torch.no_grad()
def modality_divergence(network: Any, rows: Blocks) -> list[float]:
    """Divergence from the prior of the posterior given each modality alone; NaN for one that no row has."""
    modality, row = rows.row_present.nonzero(as_tuple=True)  # each modality of each row that has it, alone
    own = torch.stack([rows.columns_of(m) for m in range(len(rows.sizes))])
    step = max(1, MAX_ENTRIES // rows.joint.shape[1:].numel())
    found = [rows.joint.new_zeros(0)]
    with isolated_rng(0, rows.joint.device):  # looking must not change what training draws
        for some, which in zip(row.split(step), modality.split(step), strict=True):
            part, columns = rows.rows(some), own[which]
            seen = part.joint_observed & (columns if part.joint.ndim == 2 else columns[:, None])
            found.append(network.infer(Blocks.from_joint(part.joint, seen, rows.sizes), 1).kl)
    kl = torch.cat(found)
    return [float(kl[modality == m].mean()) for m in range(len(rows.sizes))]
