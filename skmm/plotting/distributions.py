"""Whether completed values are spread as observed ones are."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skmm._blocks.columns import BINARY
from skmm._blocks.containers import unstacked
from skmm._blocks.modalities import excerpt
from skmm._torch import RandomStateLike
from skmm.metrics.hiding import Truth
from skmm.plotting.canvas import BLUE, ORANGE, legend_beside, panels, pyplot, shown

MAX_PANELS = 12
PER_ROW = 4
N_BINS = 25  # at most; fewer where few entries are observed
TAIL = 0.005  # share of values that may lie outside of the picture, at either end
MANY_WHOLE = 30  # so many different whole numbers have a bin each
LONGEST_CATEGORY = 14  # characters


class CompletionDistributionDisplay:
    """Distributions of observed entries beside those of completed ones, column by column.

    Completions are drawn, not expected values, which would be too close together. Make one with
    :meth:`from_estimator`; its parameters become attributes.

    Parameters
    ----------
    observed : dict
        Label of a column -> its observed entries: an array of numbers, or a pandas Categorical, whose
        categories are those to show, in their order.
    completed : dict
        The same of drawn completions; may hold several draws of the same entry.

    Attributes
    ----------
    axes_ : array of Axes
        One per column.
    figure_ : Figure

    See Also
    --------
    CalibrationDisplay : Whether draws of known entries are spread as they should be.

    Notes
    -----
    The two need not agree. Where entries are missing at random, completed values may rightly be others than
    the observed ones: the laboratory is asked about the sick. But if nothing speaks for a difference, then a
    difference speaks against the model; and so do values that cannot be.

    Of numbers, the picture leaves out up to one in 200 at either end, so that a heavy tail does not squeeze
    the rest.
    """

    def __init__(self, observed: Mapping[Hashable, Any], completed: Mapping[Hashable, Any]) -> None:
        self.observed = observed
        self.completed = completed

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        columns: Sequence[Hashable] | None = None,
        n_samples: int = 10,
        random_state: RandomStateLike = 0,
        ax: Any = None,
        **kwargs: Any,
    ) -> CompletionDistributionDisplay:
        """Draw completions of what is missing in X, and their distributions.

        Parameters
        ----------
        estimator : estimator or Pipeline
            A fitted :class:`skmm.MultimodalVAE` or :class:`skmm.MultimodalVRNN`, or a Pipeline that ends in
            one.
        X : array-like or DataFrame of shape (n_samples, n_features), or sequences
            With missing entries.
        columns : list of labels, default=None
            Columns to show: by their labels in the frame or their positions in the array; the name of a
            modality stands for its columns. None takes those with missing entries, twelve at most, from
            each modality in turn.
        n_samples : int, default=10
            Draws of each missing entry.
        random_state : int, RandomState instance or None, default=0
            Of the draws.
        ax : Axes or array of Axes, default=None
            One that is divided, or one per column; None makes a figure.
        **kwargs : dict
            For the drawing of both distributions: of numbers ``Axes.stairs``, of categories ``Axes.bar``.

        Returns
        -------
        display : CompletionDistributionDisplay

        Raises
        ------
        ValueError
            If a column does not exist or has no missing entry.
        """
        pyplot(f"{cls.__name__}.from_estimator")
        data = Truth.of(estimator, X, "sample")
        missing = np.isnan(data.matrix)
        chosen = _chosen(data, columns, missing)
        given = data.without(
            np.zeros(missing.shape, dtype=bool)
        )  # in the user's form, behind a Pipeline's steps
        draws = data.model.sample(n_samples, given=given, random_state=random_state)
        drawn = [data.read(unstacked(draws, k)) for k in range(n_samples)]
        observed, completed = {}, {}
        for j in chosen:
            label = data.layout.labels[j]
            rows = missing[:, j]
            observed[label] = _values(data, j, data.matrix[~rows, j])
            completed[label] = _values(data, j, np.concatenate([draw[rows, j] for draw in drawn]))
        return cls(observed, completed).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> CompletionDistributionDisplay:
        """Draw the distributions.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            One that is divided, or one per column; None makes a figure.
        **kwargs : dict
            For the drawing of both distributions: of numbers ``Axes.stairs``, of categories ``Axes.bar``.

        Returns
        -------
        display : CompletionDistributionDisplay
        """
        n_columns = len(self.observed)
        n_rows = 1 if isinstance(ax, np.ndarray | list | tuple) else -(-n_columns // PER_ROW)
        shape = (n_rows, -(-n_columns // n_rows))
        size = (0.6 + 2.5 * shape[1], 0.7 + 2.1 * shape[0])
        grid = panels(ax, shape, f"{type(self).__name__}.plot", size)
        self.axes_ = grid.ravel()[:n_columns]
        self.figure_ = self.axes_[0].figure
        for unused in grid.ravel()[n_columns:]:
            unused.set_visible(False)
        for axes, label in zip(self.axes_, self.observed, strict=True):
            seen, drawn = self.observed[label], self.completed[label]
            draw = _bars if isinstance(seen, pd.Categorical) else _histograms
            draw(axes, seen, drawn, kwargs)
            axes.set_title(f"column {label}" if isinstance(label, int) else shown(label), fontsize="medium")
        for row in grid:
            row[0].set_ylabel("share")
        names = {"observed": BLUE, "completed, drawn": ORANGE}
        handles = [_patch(colour, name, kwargs) for name, colour in names.items()]
        if ax is None:
            self.figure_.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False)
        else:
            legend_beside(self.axes_[shape[1] - 1], handles)
        return self


def _chosen(data: Truth, columns: Any, missing: np.ndarray) -> list[int]:
    """Positions of the columns to show."""
    layout = data.layout
    lacking = [bool(column.any()) for column in missing.T]
    if columns is None:
        by_modality = [[j for j in group if lacking[j] and layout.informative[j]] for group in layout.columns]
        in_turn = sorted((turn, j) for group in by_modality for turn, j in enumerate(group))
        if not in_turn:
            raise ValueError(
                "X has no missing entry in a column that varied in fit, so that there is nothing to show; "
                "hide some, for example with skmm.hide or skmm.datasets.remove_modalities."
            )
        return sorted(int(j) for _, j in in_turn[:MAX_PANELS])
    is_single = isinstance(columns, str) or columns in layout.labels or columns in layout.names
    found: list[int] = []
    for label in [columns] if is_single else list(columns):
        if label in layout.labels:
            found.append(layout.labels.index(label))
        elif label in layout.names:
            found += [int(j) for j in layout.positions(label) if lacking[j]]
        else:
            raise ValueError(
                f"columns holds {label!r}, which is neither a column ({excerpt(layout.labels)}) nor a "
                f"modality ({excerpt(layout.names)})."
            )
    complete = [layout.labels[j] for j in found if not lacking[j]]
    if complete or not found:
        named = repr(complete[0]) if complete else repr(columns)
        raise ValueError(f"columns holds {named}, of which no entry of X is missing; leave it out.")
    return list(dict.fromkeys(found))


def _values(data: Truth, column: int, numbers: np.ndarray) -> Any:
    """Entries of a column, of which none is missing, as they are to be shown."""
    numbers = numbers[~np.isnan(numbers)]  # categories that fit has not seen
    kind = data.layout.types[column]
    categories: Any = kind.categories
    if kind.kind == BINARY and categories is None:
        categories = [False, True] if pd.api.types.is_bool_dtype(kind.dtype) else [0, 1]
    if categories is None:
        return numbers
    return pd.Categorical.from_codes(numbers.astype(np.intp), categories=categories)


def _patch(colour: str, name: str, how: Mapping[str, Any]) -> Any:
    """Entry of the legend."""
    from matplotlib.patches import Patch

    return Patch(facecolor=colour, edgecolor=colour, alpha=how.get("alpha", 0.7), label=name)


def _bars(ax: Any, observed: pd.Categorical, completed: pd.Categorical, how: Mapping[str, Any]) -> None:
    """Shares of categories, side by side."""
    names = [str(category) for category in observed.categories]
    for values, colour, shift in ((observed, BLUE, -0.2), (completed, ORANGE, 0.2)):
        counts = np.bincount(values.codes, minlength=len(names))
        share = counts / max(1, counts.sum())
        ax.bar(
            np.arange(len(names)) + shift, share, **{"width": 0.4, "color": colour, "alpha": 0.7} | dict(how)
        )
    is_wide = sum(map(len, names)) > 22
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if is_wide else {}
    ax.set_xticks(
        range(len(names)), [shown(name, LONGEST_CATEGORY) for name in names], fontsize="small", **turned
    )


def _histograms(ax: Any, observed: np.ndarray, completed: np.ndarray, how: Mapping[str, Any]) -> None:
    """Shares of numbers in common bins, one drawn filled and one as a line."""
    edges = _edges(observed, completed)
    styles: tuple[dict[str, Any], ...] = (
        {"color": BLUE, "fill": True, "alpha": 0.4},
        {"color": ORANGE, "linewidth": 1.8},
    )
    for values, style in zip((observed, completed), styles, strict=True):
        share = np.histogram(values, edges)[0] / max(1, len(values))
        ax.stairs(share, edges, **style | dict(how))


def _edges(observed: np.ndarray, completed: np.ndarray) -> np.ndarray:
    """Bins of two distributions, in which both can be seen."""
    pooled = np.concatenate([observed, completed])
    parts = [values for values in (observed, completed) if values.size]
    low = min(np.quantile(values, TAIL) for values in parts)
    high = max(np.quantile(values, 1 - TAIL) for values in parts)
    if low == high:  # more than 99 in 100 are the same
        low, high = pooled.min(), pooled.max()
    if low == high:
        low, high = low - 0.5, high + 0.5
    if observed.size and (observed == np.rint(observed)).all() and high - low <= MANY_WHOLE:
        # counts: bins around whole numbers, for bins of any other width would hold now two of them, now one
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    n_bins = int(np.clip(np.sqrt(observed.size), 8, N_BINS))
    return np.linspace(low, high, n_bins + 1)
