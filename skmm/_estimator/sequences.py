"""What a fitted estimator of sequences can be asked beside what every estimator can."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skmm._blocks.blocks import Blocks, SequenceBlocks
from skmm._blocks.containers import fill, stack
from skmm._blocks.sequences import TIMES, Form, Steps
from skmm._estimator.reading import check_count, check_levels
from skmm._estimator.streaming import StreamingMixin
from skmm._torch import RandomStateLike, draw_seed, isolated_rng
from skmm.inference.draws import draw_completions, draw_paths
from skmm.inference.expectations import decoded_path, summary
from skmm.inference.particles import particle_bound

SUMMARIES = ("last", "mean")


class SequenceAnswersMixin(StreamingMixin):
    """Public methods of fitted estimators of sequences; left of :class:`AnswersMixin`'s other heirs.

    They need the parameter ``summary`` beside what :class:`AnswersMixin` needs, and ``_form``.
    """

    summary: str
    _form: Form
    _n_usual_steps: int
    _n_quantile_draws = 128  # whole paths, whose values are spread evenly over their distributions
    _bound: Any = staticmethod(particle_bound)

    def _open(self, X: Any) -> Steps:
        opened = Steps.of(X)
        if opened.form == "table" and isinstance(getattr(X, "index", None), TIMES):
            warnings.warn(
                "X is a frame with one time per row, and its rows are read as sequences of one step each. "
                "Give [X] if it is one record of many steps; cut a long one with skmm.to_windows for fit.",
                UserWarning,
                stacklevel=4,
            )
        if opened.form == "table" and isinstance(X, list | tuple) and getattr(X[0], "ndim", 0) == 1:
            warnings.warn(
                "X is a list of one-dimensional items, which are read as rows of a table: sequences of one "
                "step each. Give item.reshape(-1, 1) if each is a sequence of one feature.",
                UserWarning,
                stacklevel=4,
            )
        return opened

    def _cut(self, rows: Blocks, opened: Steps) -> SequenceBlocks:
        return SequenceBlocks.from_table(rows, torch.as_tensor(opened.lengths, dtype=torch.long))

    def _labelled(self, opened: Steps, frame: pd.DataFrame) -> pd.DataFrame:
        if opened.form == "list":  # one frame, as for every other container
            opened = Steps("array", frame, opened.lengths)
        return opened.join(frame)

    # --- latent space ----------------------------------------------------------------------------------

    def transform(self, X: Any) -> Any:
        """Mean of the latent variables of each sequence given what is observed, past and future.

        Parameters
        ----------
        X : sequences

        Returns
        -------
        Z : float32 array of shape (n_sequences, n_components)
            By ``summary``: at the last step at which anything is observed ("last"), or the mean over all such
            steps ("mean"); the prior's mean at the first step where nothing is observed. Of a long frame, a
            frame with one row per sequence, labelled and in the order in which they first appear.
        """
        if self.summary not in SUMMARIES:
            raise ValueError(f"summary must be one of {list(SUMMARIES)}, got {self.summary!r}.")
        reading = self._read(X)
        loc, _ = self._latent_moments(reading.blocks)
        weights = _step_weights(reading.blocks, last=self.summary == "last")
        Z = reading.blocks.sums(loc.double() * weights[:, None]).float().numpy()
        labels = reading.opened.labels
        if labels is None:
            return Z
        return pd.DataFrame(Z, index=labels, columns=self.get_feature_names_out())

    def transform_steps(self, X: Any, *, smooth: bool = True) -> Any:
        """Mean of the latent variables of each step.

        Parameters
        ----------
        X : sequences
        smooth : bool, default=True
            Whether a step may know of the steps after it. False filters, as :meth:`step` does.

        Returns
        -------
        Z : sequences of n_components features
            In the form of X, as float32: an array of shape (n_sequences, n_steps, n_components), a list of
            arrays or frames, or a long frame.
        """
        return self.posterior_moments(X, smooth=smooth)[0]

    def posterior_moments(self, X: Any, *, smooth: bool = True) -> tuple[Any, Any]:
        """Mean and standard deviation of the latent variables of each step given what is observed.

        Of each step given that the latent variables of the steps before are at their means.

        Parameters
        ----------
        X : sequences
        smooth : bool, default=True
            Whether a step may know of the steps after it.

        Returns
        -------
        loc, scale : sequences of n_components features
            In the form of X, as float32.
        """
        reading = self._read(X)
        moments = self._latent_moments(reading.blocks, smooth=smooth)
        loc, scale = (self._join_latent(reading.opened, moment.numpy()) for moment in moments)
        return loc, scale

    def _join_latent(self, opened: Steps, values: np.ndarray) -> Any:
        if not isinstance(opened.table, pd.DataFrame):
            return opened.join(values)
        names = self.get_feature_names_out()
        return opened.join(pd.DataFrame(values, index=opened.table.index, columns=names))

    def inverse_transform(self, Z: Any) -> Any:
        """Expected features along latent paths.

        Parameters
        ----------
        Z : sequences of n_components features
            Latent variables of each step, as :meth:`transform_steps` returns them: an array of shape
            (n_sequences, n_steps, n_components), a list or a long frame. A table is sequences of one step.

        Returns
        -------
        X : sequences
            In the form of Z, with the features of ``fit``'s X.
        """
        check_is_fitted(self, "module_")
        opened = Steps.of(Z)
        points = check_array(opened.table, dtype=np.float32, input_name="Z")
        if points.shape[1] != self._n_features_out:
            raise ValueError(
                f"Z has {points.shape[1]} columns, but the estimator was fitted with "
                f"n_components={self._n_features_out}; give points of the space that transform_steps returns."
            )
        table = torch.tensor(points)
        rows = Blocks.from_joint(table, torch.ones_like(table, dtype=torch.bool), (table.shape[1],))
        with self._ready() as (network, device):
            mean = self._finite(decoded_path(network, self._cut(rows, opened), device), network.n_statistics)
            values, _ = summary(network, mean, torch.zeros_like(mean), device)
        index = opened.table.index if isinstance(opened.table, pd.DataFrame) else None
        return opened.join(self.layout_.wrap_new(self.layout_.write(values), index))

    # --- completion ------------------------------------------------------------------------------------

    def predict(self, X: Any, return_std: bool = False, *, smooth: bool = True) -> Any:
        """Expected value of every entry given the observed ones.

        Of entries that are observed, this is what the model expects another measurement to be; use
        :meth:`impute` to keep them.

        Parameters
        ----------
        X : sequences
        return_std : bool, default=False
            Whether to return standard deviations too: of the values, noise included.
        smooth : bool, default=True
            Whether a step may know of the steps after it. False filters.

        Returns
        -------
        mean : sequences
            In the form, index, columns and units of X, as float32; the probability of a flag, the label of
            the most probable category.
        std : sequences
            Only if ``return_std``. Of a category, that of the indicator variable of the label in ``mean``.
        """
        reading = self._read(X)
        values = self._predictive_values(reading.blocks, return_std, smooth=smooth)
        return self._expected(reading.opened, *values)

    def forecast(
        self,
        X: Any,
        n_steps: int,
        *,
        n_samples: int | None = None,
        quantiles: float | Sequence[float] | None = None,
        return_std: bool = False,
        random_state: RandomStateLike = None,
    ) -> Any:
        """Continue sequences: what comes after the last step of each.

        Parameters
        ----------
        X : sequences
            May have gaps anywhere, at their ends too.
        n_steps : int
            How many steps to continue.
        n_samples : int or None, default=None
            Draw as many joint futures of each sequence.
        quantiles : float or sequence of float, default=None
            Give quantiles of each entry.
        return_std : bool, default=False
            Whether to return standard deviations beside expected values.
        random_state : int, RandomState instance or None, default=None
            Of the draws.

        Returns
        -------
        future : sequences
            Of ``n_steps`` steps, in the form of X: expected values; with ``n_samples``, draws as
            :meth:`sample` returns completions, with ``quantiles`` as :meth:`predict_quantiles` returns them.
            A long frame's times go on at the sequence's own rate. A table, whose rows are sequences of one
            step, is continued in an array of three dimensions, or in a long frame.
        std : sequences
            Only if ``return_std``.

        Raises
        ------
        ValueError
            If ``n_steps`` is not a positive whole number, or times cannot be continued.
        """
        check_is_fitted(self, "module_")
        check_count(n_steps, "n_steps")
        if sum((n_samples is not None, quantiles is not None, bool(return_std))) > 1:
            raise ValueError("Set one of n_samples, quantiles and return_std, not several.")
        if n_samples is not None:
            check_count(n_samples, "n_samples")
        reading = self._read(X)
        template = reading.opened.ahead(int(n_steps))
        blocks = reading.blocks.extended(int(n_steps))
        ahead = blocks.last_steps(int(n_steps))
        if n_samples is not None:
            with self._ready() as (network, device), isolated_rng(draw_seed(random_state), device):
                draws = self._finite(draw_completions(network, blocks, int(n_samples), device)[:, ahead])
            return stack(
                [self._filled(template, self.layout_.write(draw)) for draw in draws],
                level="draw",
                keys=range(int(n_samples)),
            )
        if quantiles is not None:
            values = self._quantile_values(blocks, check_levels(quantiles))[:, ahead]
            return self._quantiles(template, values, quantiles)
        mean, std = self._predictive_values(blocks, return_std)
        return self._expected(template, mean[ahead], None if std is None else std[ahead])

    def _filled(self, template: Steps, values: np.ndarray) -> Any:
        """Values in the data types of a table that the user did not fill."""
        everywhere = np.ones(values.shape, dtype=bool)
        return template.join(fill(template.table, everywhere, values, self.layout_.types))

    # --- sampling --------------------------------------------------------------------------------------

    def sample(
        self,
        n_samples: int = 1,
        given: Any = None,
        random_state: RandomStateLike = None,
        *,
        n_steps: int | None = None,
    ) -> Any:
        """Draw new sequences, or completions of given ones.

        Parameters
        ----------
        n_samples : int, default=1
            Number of sequences; of draws per sequence where ``given`` is set.
        given : sequences, default=None
            Sequences whose missing entries are drawn given the observed ones, jointly within a sequence.
        random_state : int, RandomState instance or None, default=None
            None draws something else every time.
        n_steps : int or None, default=None
            Number of steps of new sequences; None takes the median length of those in ``fit``.

        Returns
        -------
        sequences
            New ones in the form and data types of ``fit``'s X. With ``given``, draws in its form: of shape
            ``(n_samples, *given.shape)`` for arrays, a list of lists for lists; frames get an outer index
            level "draw". Observed entries are bit-identical in every draw.

        Raises
        ------
        ValueError
            If ``n_samples`` or ``n_steps`` is not a positive whole number, or ``n_steps`` is set with
            ``given``.
        """
        check_is_fitted(self, "module_")
        check_count(n_samples, "n_samples")
        if given is not None:
            if n_steps is not None:
                raise ValueError(
                    "n_steps is for new sequences, and given has its own; use forecast to continue sequences."
                )
            return self._draw_completions(self._read(given), int(n_samples), random_state)
        if n_steps is None:
            n_steps = self._n_usual_steps
        check_count(n_steps, "n_steps")
        with self._ready() as (network, device), isolated_rng(draw_seed(random_state), device):
            steps = self._finite(draw_paths(network, int(n_samples), int(n_steps), device))
        table = self.layout_.restore(self.layout_.write(steps))
        return self._form.join_new(table, int(n_samples), int(n_steps))


def _step_weights(blocks: SequenceBlocks, *, last: bool) -> Tensor:
    """Share of each step in the summary of its sequence, (n_steps of all sequences,)."""
    seen = blocks.flat().present.any(0).cpu()
    if last:
        step = torch.arange(len(seen)) - blocks.starts.repeat_interleave(blocks.lengths)
        reach = blocks.trimmed().lengths.clamp_min(1)
        return (step == (reach - 1).repeat_interleave(blocks.lengths)).double()
    count = blocks.sums(seen.double())
    first = torch.zeros(len(seen), dtype=torch.double)
    first[blocks.starts] = 1.0
    empty = (count == 0).repeat_interleave(blocks.lengths)
    return torch.where(empty, first, seen / count.clamp_min(1).repeat_interleave(blocks.lengths))
