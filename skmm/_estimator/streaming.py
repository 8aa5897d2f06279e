"""Filtering step by step, as values arrive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skmm._blocks.sequences import Steps
from skmm._estimator.answers import AnswersMixin
from skmm._estimator.reading import check_count, check_support


@dataclass(frozen=True)
class FilterState:
    """What a filter knows of the steps so far; goes into ``step`` and comes out of it, and never changes.

    Parameters
    ----------
    tensors : tuple of Tensors of shape (n_sequences, n_hidden)
    """

    tensors: tuple[Tensor, ...]

    @property
    def n_sequences(self) -> int:
        """Number of sequences."""
        return len(self.tensors[0])


class StreamingMixin(AnswersMixin):
    """A filter whose state is the caller's."""

    def initial_state(self, n_sequences: int = 1) -> FilterState:
        """State of a filter before the first step.

        Parameters
        ----------
        n_sequences : int, default=1
            Number of sequences that are filtered side by side.

        Returns
        -------
        FilterState
        """
        check_is_fitted(self, "module_")
        check_count(n_sequences, "n_sequences")
        with self._ready() as (network, _), torch.no_grad():
            tensors = network.transition.initial(int(n_sequences))
        return FilterState(tuple(tensor.cpu().clone() for tensor in tensors))

    def step(self, x: Any, state: FilterState) -> tuple[np.ndarray, FilterState]:
        """Take in one step of some sequences.

        Going through a sequence step by step gives what ``transform_steps(X, smooth=False)`` gives.

        Parameters
        ----------
        x : array-like or DataFrame of shape (n_sequences, n_features)
            What was observed; NaN is missing, and all may be.
        state : FilterState
            What :meth:`initial_state` or the last call returned. It is not changed.

        Returns
        -------
        z : float32 array of shape (n_sequences, n_components)
            Mean of the latent variables given what was observed so far.
        state : FilterState
            The state to give to the next call.
        """
        check_is_fitted(self, "module_")
        if not isinstance(state, FilterState):
            raise TypeError(
                f"state must be what initial_state or step returned, got a {type(state).__name__}."
            )
        widths = [part.shape[1:] for part in self.initial_state().tensors]
        if [part.shape[1:] for part in state.tensors] != widths:
            raise ValueError(
                "state is that of an estimator with another recurrence; give what initial_state or step of "
                "this one returned."
            )
        opened = Steps.of_table(x)
        matrix = self._read_matrix(opened.table)
        if len(matrix) != state.n_sequences:
            raise ValueError(
                f"x has {len(matrix)} rows, but state is that of {state.n_sequences} sequences; give one row "
                "per sequence, of NaN where nothing was observed."
            )
        check_support(self.module_, self.layout_, matrix)
        rows = self._cut(self.layout_.read(matrix), opened).batch(slice(None))
        with self._ready() as (network, device), torch.no_grad():
            before = tuple(tensor.to(device) for tensor in state.tensors)
            path = network.mean_path(rows.to(device), smooth=False, state=before)
            mean = path.posterior.rows(0).mean[:, 0].cpu()
            if not all(part.isfinite().all() for part in (mean, *path.state)):
                raise ValueError(
                    f"No finite posterior: {network.culprit(rows.to(device))}. Look for extreme values in x, "
                    "and check your own encoders and decoders, if any."
                )
        return mean.numpy(), FilterState(tuple(tensor.cpu() for tensor in path.state))
