"""Gaps in sequences: what is hidden from the encoders in training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks, per_feature
from skmm._blocks.corruption import Dropout, never_emptied

SHARE_ALIKE = 0.5  # of the sequences, in which all modalities lose the same steps


@dataclass(frozen=True)
class SequenceDropout:
    """Hide modalities, stretches, steps and cells of sequences from the encoders: ``Blocks -> Blocks``.

    Only the masks change. A sequence in which nothing would be left keeps everything.

    Parameters
    ----------
    modality_rates : tuple of float
        As for :class:`Dropout`; a modality is hidden in the whole sequence.
    cell_rates, step_rates : tuple of float
        Mean share of a modality's cells, and of its steps, that are hidden, one per modality. The share
        itself is drawn anew for each sequence, from none to all: a model that has seen only one share
        completes no other one well.
    burst_rates : tuple of float
        Probability that a modality loses a stretch of a sequence. It has any length up to the whole sequence,
        and any place; the start and the end of a sequence are as likely to be lost as any step between.

    Notes
    -----
    In half of the sequences all modalities lose the same steps, and the same stretch, as when a recorder is
    off; in the others each modality loses its own, as when sensors fail.
    """

    modality_rates: tuple[float, ...]
    cell_rates: tuple[float, ...]
    step_rates: tuple[float, ...]
    burst_rates: tuple[float, ...]

    def __call__(self, blocks: Blocks) -> Blocks:
        """Draw which entries to hide, from torch's current generator."""
        dropped = Dropout(self.modality_rates, (0.0,) * len(blocks.sizes))(blocks)
        if not any((*self.cell_rates, *self.step_rates, *self.burst_rates)):
            return dropped
        alike = torch.rand(blocks.n_rows, device=blocks.joint.device) < SHARE_ALIKE
        hidden = self._steps(blocks, alike) | self._bursts(blocks, alike)
        hidden = per_feature(hidden.movedim(0, -1), blocks.sizes, dim=-1)
        return never_emptied(blocks, dropped.joint_observed & ~hidden & ~self._cells(blocks))

    def _cells(self, blocks: Blocks) -> Tensor:
        """Single cells, (n, n_steps, n_features)."""
        if not any(self.cell_rates):
            return torch.zeros_like(blocks.joint_observed)
        rate = torch.tensor(self.cell_rates, device=blocks.joint.device, dtype=torch.float32)
        share = _share(torch.rand(blocks.n_rows, len(rate), device=rate.device, dtype=torch.float32), rate)
        share = per_feature(share, blocks.sizes, dim=1)
        return torch.rand(blocks.joint.shape, device=rate.device, dtype=torch.float32) < share[:, None]

    def _steps(self, blocks: Blocks, alike: Tensor) -> Tensor:
        """Single steps, (n_modalities, n, n_steps)."""
        n_modalities, n, n_steps = blocks.present.shape
        rate = torch.tensor(self.step_rates, device=alike.device, dtype=torch.float32)[:, None]  # (M, 1)
        draws = _draw(n_modalities, n, n_steps + 1, alike)
        return draws[..., 1:] < _share(draws[..., 0], rate)[..., None]

    def _bursts(self, blocks: Blocks, alike: Tensor) -> Tensor:
        """Stretches, (n_modalities, n, n_steps)."""
        n_modalities, n, n_steps = blocks.present.shape
        rate = torch.tensor(self.burst_rates, device=alike.device, dtype=torch.float32)[:, None]
        step = torch.arange(n_steps, device=alike.device)
        # of the sequence as far as anything was seen: what lies behind has nothing to lose
        reach = torch.where(blocks.present.any(0), step + 1, 0).amax(1)  # (n,)
        lost, length, place = _draw(n_modalities, n, 3, alike).unbind(-1)  # (M, n)
        length = (length * reach).ceil()
        start = (place * (reach + length)).floor() - length
        inside = (step >= start[..., None]) & (step < (start + length)[..., None])
        return inside & (lost < rate)[..., None]


def _share(uniform: Tensor, rate: Tensor) -> Tensor:
    """Shares between none and all, of mean ``rate``: powers of uniform numbers."""
    return torch.where(rate > 0, uniform ** ((1 - rate) / rate.clamp_min(1e-12)), 0.0)


def _draw(n_modalities: int, n: int, n_numbers: int, alike: Tensor) -> Tensor:
    """Uniform numbers, (n_modalities, n, n_numbers), the same for all modalities where ``alike``."""
    draws = torch.rand(n_modalities, n, n_numbers, device=alike.device, dtype=torch.float32)
    return torch.where(alike[:, None], draws[:1], draws)
