"""Where samples lie in the latent space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types
from sklearn.decomposition import PCA

from skmm.plotting.canvas import COLOURS, GREY, MARKERS, legend_beside, one_axes, pyplot, shown

MAX_WHOLE = 10  # so many different whole numbers are labels
MAX_LABELS = 20  # those that are rarer share a grey
PALE = "#d0d0d0"
OF_NUMBERS = ("cmap", "norm", "vmin", "vmax")  # parameters of the colours of numbers


class LatentMapDisplay:
    """Map of the latent space: one point per sample, at its posterior mean.

    Make one with :meth:`from_estimator`; its parameters become attributes.

    Parameters
    ----------
    points : array of shape (n_samples, 2)
    color : array-like of shape (n_samples,), default=None
        Labels (text, flags, categories, or whole numbers of which there are ten at most) or numbers.
    axis_names : tuple of str, default=("", "")
        What the two axes are.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    scatters_ : list of PathCollection
        One per label, in the order of the legend; a single one for numbers, or without ``color``.

    See Also
    --------
    LatentTraversalDisplay : What the components mean.
    """

    def __init__(
        self, points: np.ndarray, *, color: Any = None, axis_names: tuple[str, str] = ("", "")
    ) -> None:
        self.points = points
        self.color = color
        self.axis_names = axis_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        color: Any = None,
        components: tuple[int, int] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> LatentMapDisplay:
        """Draw ``estimator.transform(X)``.

        Parameters
        ----------
        estimator : estimator or Pipeline
            With ``transform``.
        X : array-like or DataFrame of shape (n_samples, n_features), or sequences
            One point per row, or per sequence.
        color : array-like of shape (n_samples,), default=None
            Labels or numbers, one per point and in their order; missing ones are drawn in grey.
        components : tuple of two int, default=None
            Which components to draw, counted from 0. None takes both of two, and of more the plane in which
            the points are spread most: their first two principal components.
        ax : Axes, default=None
            None makes a figure.
        **kwargs : dict
            For ``Axes.scatter``.

        Returns
        -------
        display : LatentMapDisplay

        Raises
        ------
        ValueError
            If there is only one component, or ``components`` or ``color`` do not fit.
        """
        pyplot(f"{cls.__name__}.from_estimator")
        Z = np.asarray(estimator.transform(X), dtype=np.float64)
        n_components = Z.shape[1]
        if n_components < 2:
            raise ValueError(
                "A map needs two latent components, but the estimator has n_components=1; draw a histogram "
                "of estimator.transform(X) instead."
            )
        if components is None and n_components > 2:
            pca = PCA(2, svd_solver="full")
            points = pca.fit_transform(Z)
            shares = [f"{share:.0%} of the variance" for share in pca.explained_variance_ratio_]
            names = (f"first principal component ({shares[0]})", f"second principal component ({shares[1]})")
        else:
            first, second = _checked(components, n_components)
            points = Z[:, [first, second]]
            names = (f"latent component {first}", f"latent component {second}")
        return cls(points, color=color, axis_names=names).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> LatentMapDisplay:
        """Draw the points.

        Parameters
        ----------
        ax : Axes, default=None
            None makes a figure.
        **kwargs : dict
            For ``Axes.scatter``.

        Returns
        -------
        display : LatentMapDisplay
        """
        ax = one_axes(ax, f"{type(self).__name__}.plot", (6.0, 4.6))
        points = np.asarray(self.points)
        # many points are small and let others through
        size = float(np.clip(6000 / max(1, len(points)), 6, 36))
        style = {"s": size, "alpha": 0.8 if len(points) < 3000 else 0.5, "linewidths": 0} | kwargs
        self.scatters_ = []
        color = None if self.color is None else _as_series(self.color, len(points))
        if color is None:
            self.scatters_.append(ax.scatter(*points.T, **{"c": COLOURS[0]} | style))
        elif _are_labels(color):
            self._draw_labels(ax, points, color, style)
        else:
            values = color.to_numpy(dtype=float, na_value=np.nan)
            missing = np.isnan(values)
            plain = {key: value for key, value in style.items() if key not in OF_NUMBERS}
            ax.scatter(*points[missing].T, **plain | {"c": PALE})
            shades = {"c": values[~missing], "cmap": "viridis"}
            self.scatters_.append(ax.scatter(*points[~missing].T, **shades | style))
            name = None if color.name is None else shown(color.name)
            ax.figure.colorbar(self.scatters_[0], ax=ax, label=name)
        ax.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1], title="Latent means")
        ax.set_aspect("equal", adjustable="datalim")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_labels(self, ax: Any, points: np.ndarray, color: pd.Series, style: dict[str, Any]) -> None:
        """Points of each label in a colour and a shape of its own."""
        counts = color.value_counts(sort=False)
        counts = counts[counts > 0]
        frequent = counts.nlargest(MAX_LABELS).index
        labels = [label for label in _in_order(counts.index) if label in frequent]
        rest = (color.notna() & ~color.isin(labels)).to_numpy()
        groups = [(shown(label), (color == label).fillna(False).to_numpy(dtype=bool)) for label in labels]
        greys = [("others", rest, GREY), ("missing", color.isna().to_numpy(), PALE)]
        drawn = [(name, rows, grey, ".") for name, rows, grey in greys if rows.any()]
        for i, (name, rows) in enumerate(groups):
            marker = MARKERS[i % len(MARKERS)]  # of seven colours and six shapes, no pair comes twice
            drawn.append((name, rows, COLOURS[i % len(COLOURS)], marker))
        for name, rows, colour, marker in drawn:
            looks = {"c": colour, "marker": marker} | style
            self.scatters_.append(ax.scatter(*points[rows].T, label=name, **looks))
        n_grey = len(drawn) - len(groups)  # drawn first, below all others, but last in the legend
        self.scatters_ = self.scatters_[n_grey:] + self.scatters_[:n_grey]
        legend = legend_beside(ax, self.scatters_, title=None if color.name is None else shown(color.name))
        for handle in legend.legend_handles:
            handle.set(sizes=[36], alpha=1.0)


def _checked(components: Any, n_components: int) -> tuple[int, int]:
    """Two components that there are."""
    if components is None:
        return 0, 1
    chosen = list(components) if isinstance(components, Sequence | np.ndarray) else [components]
    if len(chosen) != 2 or not all(k in range(n_components) for k in chosen):
        raise ValueError(
            f"components must be two numbers from 0 to {n_components - 1}, or None, got {components!r}."
        )
    return int(chosen[0]), int(chosen[1])


def _as_series(color: Any, n_points: int) -> pd.Series:
    """One label or number per point; categories stay categories."""
    keeps_type = isinstance(color, pd.Series | pd.Index | pd.Categorical)
    values = color if keeps_type else np.asarray(color)
    if values.ndim != 1 or len(values) != n_points:
        raise ValueError(
            f"color must hold one entry per point, of which there are {n_points} (of sequences, one per "
            f"sequence), got shape {values.shape}."
        )
    series = pd.Series(values if keeps_type else values.tolist())  # of an array of objects, infers the type
    return series.reset_index(drop=True)


def _are_labels(color: pd.Series) -> bool:
    """Tell labels from numbers."""
    if not types.is_numeric_dtype(color.dtype) or types.is_bool_dtype(color.dtype):
        return True
    known = color.dropna().unique()
    return len(known) <= MAX_WHOLE and bool((known == np.rint(known)).all())


def _in_order(labels: pd.Index) -> list[Any]:
    """Labels as categories have them, or sorted where they can be."""
    if isinstance(labels, pd.CategoricalIndex):
        return [label for label in labels.categories if label in labels]
    try:
        return sorted(labels)
    except TypeError:
        return list(labels)
