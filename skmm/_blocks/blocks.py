"""Blocks: values and masks of all modalities, as tensors without a NaN."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Blocks:
    """Rows of a table cut into modalities, with what is observed of them.

    The modalities stand side by side in one tensor, so that taking a mini-batch costs the same for two
    modalities as for twenty; ``values`` and ``observed`` give each modality its view of it.

    Parameters
    ----------
    joint : float32 Tensor of shape (..., n_features)
        Values in standardised units. Never NaN or infinite; what stands where nothing was observed is
        arbitrary and must not matter.
    joint_observed : bool Tensor of shape (..., n_features)
        True where the value was observed.
    present : bool Tensor of shape (n_modalities, ...)
        True where at least one feature of the modality was observed.
    sizes : tuple of int
        Number of features of each modality.
    """

    joint: Tensor
    joint_observed: Tensor
    present: Tensor
    sizes: tuple[int, ...]

    @classmethod
    def from_joint(cls, joint: Tensor, joint_observed: Tensor, sizes: tuple[int, ...]) -> Blocks:
        """Build blocks, deriving which modalities are present."""
        parts = joint_observed.split(sizes, dim=-1)
        present = torch.stack([part.any(-1) for part in parts])  # (M, ...)
        return cls(joint, joint_observed, present, tuple(sizes))

    @cached_property
    def values(self) -> tuple[Tensor, ...]:
        """One tensor of shape (..., n_features of the modality) per modality."""
        return self.joint.split(self.sizes, dim=-1)

    @cached_property
    def observed(self) -> tuple[Tensor, ...]:
        """One bool tensor per modality, of the shape of its values."""
        return self.joint_observed.split(self.sizes, dim=-1)

    @property
    def n_rows(self) -> int:
        """Number of rows (sequences, where there is a time axis)."""
        return self.joint.shape[0]

    def rows(self, index: Tensor | slice) -> Blocks:
        """Take some rows."""
        return Blocks(self.joint[index], self.joint_observed[index], self.present[:, index], self.sizes)

    def to(self, device: torch.device) -> Blocks:
        """Move to a device."""
        return Blocks(
            self.joint.to(device), self.joint_observed.to(device), self.present.to(device), self.sizes
        )
