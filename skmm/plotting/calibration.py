"""Whether intervals hold as much as they say."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skmm._torch import RandomStateLike
from skmm.metrics.uncertainty import interval_coverage
from skmm.plotting.canvas import GREY, MANY, legend_beside, legend_size, line_styles, one_axes, pyplot, shown

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


class CalibrationDisplay:
    """Share of hidden entries that lie within central intervals, against what the intervals promise.

    One line per modality. On the diagonal, intervals of 90 % hold 90 % of the entries; below it they are too
    narrow, above it too wide. Make one with :meth:`from_estimator`; its parameters become attributes.

    Parameters
    ----------
    coverage : DataFrame
        Share of entries inside, from 0 to 1, indexed by the level of the interval, with modalities as
        columns. Modalities of which nothing is known are NaN, and left out.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    lines_ : dict
        Modality -> Line2D.

    See Also
    --------
    skmm.metrics.interval_coverage : The shares.
    CompletionDistributionDisplay : Completed values beside observed ones.
    """

    def __init__(self, coverage: pd.DataFrame) -> None:
        self.coverage = coverage

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        hide: str = "modalities",
        levels: float | Sequence[float] = LEVELS,
        fraction: float = 0.2,
        n_samples: int = 100,
        random_state: RandomStateLike = 0,
        ax: Any = None,
        **kwargs: Any,
    ) -> CalibrationDisplay:
        """Hide what is known, draw completions of it, and see whether it lies among them.

        Parameters
        ----------
        estimator : estimator or Pipeline
            A fitted :class:`skmm.MultimodalVAE` or :class:`skmm.MultimodalVRNN`, or a Pipeline that ends in
            one.
        X : array-like or DataFrame of shape (n_samples, n_features), or sequences
            None that the estimator was fitted on.
        hide : {"modalities", "cells"}, default="modalities"
            What is hidden, as in :func:`skmm.metrics.completion_error`.
        levels : float or sequence of float
            Of the intervals, between 0 and 1; ten by default, from 0.1 to 0.95.
        fraction : float, default=0.2
            Probability that an entry is hidden, for ``hide="cells"``.
        n_samples : int, default=100
            Draws of each entry.
        random_state : int, RandomState instance or None, default=0
            Of what is hidden, and of the draws.
        ax : Axes, default=None
            None makes a figure.
        **kwargs : dict
            For ``Axes.plot``.

        Returns
        -------
        display : CalibrationDisplay
        """
        pyplot(f"{cls.__name__}.from_estimator")
        coverage = interval_coverage(
            estimator,
            X,
            level=np.atleast_1d(levels).tolist(),
            hide=hide,
            fraction=fraction,
            n_samples=n_samples,
            random_state=random_state,
        )
        return cls(coverage).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> CalibrationDisplay:
        """Draw the shares.

        Parameters
        ----------
        ax : Axes, default=None
            None makes a figure.
        **kwargs : dict
            For ``Axes.plot``.

        Returns
        -------
        display : CalibrationDisplay
        """
        coverage = self.coverage.dropna(axis=1, how="all")
        width, height = legend_size(["as promised", *coverage])
        ax = one_axes(ax, f"{type(self).__name__}.plot", (4.1 + width, max(4.2, 0.5 + height)))
        (diagonal,) = ax.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="as promised")
        self.lines_: dict[Hashable, Any] = {}
        for name, style in zip(coverage, line_styles(coverage.shape[1]), strict=True):
            style |= {"label": shown(name)}
            if coverage.shape[1] <= MANY:
                style |= {"marker": "o", "markersize": 3.5}
            (self.lines_[name],) = ax.plot(coverage.index, coverage[name], **style | kwargs)
        ticks = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
        ax.set(
            xlabel="level of the interval",
            ylabel="share of hidden entries inside",
            xlim=(0, 1),
            ylim=(0, 1),
            xticks=ticks,
            yticks=ticks,
            aspect="equal",
            title="Calibration of intervals",
        )
        ax.grid(alpha=0.3)
        notes = {"too wide": (0.04, 0.96, "left", "top"), "too narrow": (0.96, 0.04, "right", "bottom")}
        for text, (x, y, across, up) in notes.items():
            ax.text(x, y, text, ha=across, va=up, color=GREY, fontsize="small", fontstyle="italic")
        legend_beside(ax, [diagonal, *self.lines_.values()])
        self.ax_, self.figure_ = ax, ax.figure
        return self
