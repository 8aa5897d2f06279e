"""What becomes of the decoded values as one latent component goes up and down."""

from __future__ import annotations

import math
import numbers
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmm._blocks.layout import Layout, by_modality
from skmm._estimator.reading import check_count
from skmm.metrics.hiding import read_numbers
from skmm.plotting.canvas import GREY, panels, pyplot, shown

MAX_COMPONENTS = 5
MAX_NAMED = 40  # more features than that cannot all be named
MAX_DOTS = 12  # features of a modality
WIDEST = 11.0  # inches, of all images side by side
PER_FEATURE = 3  # characters of a modality's name for which there is room


class LatentTraversalDisplay:
    """What the latent components mean: decoded values as one goes up and down, the others at 0.

    One row per component. Modalities that are images are shown as such, from low to high values of the
    component. All others are dots, or lines where a modality has more than twelve columns, one colour per
    value of the component: how far the expected value of each column is from where it is when all components
    are 0, in standard deviations of the column. Categories, of which there is no mean, are left out. Make one
    with :meth:`from_estimator`; its parameters become attributes.

    Parameters
    ----------
    decoded : DataFrame
        Expected values, indexed by (component, value of the component), with columns (modality, feature).
    center : array of shape (n_features,)
        Expected values where all components are 0.
    scale : array of shape (n_features,)
        What changes of each column are measured in.
    shape : dict, default=None
        Modality -> (height, width) or (height, width, 3), of those that are images.

    Attributes
    ----------
    axes_ : array of Axes of shape (n_components, n_panels)
        The panel of lines first, where there is one, then those of images.
    figure_ : Figure
    images_ : dict
        (component, modality) -> AxesImage, all steps side by side.
    lines_ : dict
        Component -> list of Line2D, one per value of the component.

    See Also
    --------
    LatentMapDisplay : Where samples lie along the components.

    Notes
    -----
    Components are only defined up to a rotation, unless data or ``beta`` prefer one: nothing says that each
    must mean something by itself.
    """

    def __init__(
        self,
        decoded: pd.DataFrame,
        *,
        center: np.ndarray,
        scale: np.ndarray,
        shape: Mapping[Hashable, Sequence[int]] | None = None,
    ) -> None:
        self.decoded = decoded
        self.center = center
        self.scale = scale
        self.shape = shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        components: Sequence[int] | None = None,
        n_steps: int = 7,
        span: float = 2.0,
        shape: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> LatentTraversalDisplay:
        """Decode points along the latent axes with ``estimator.inverse_transform``.

        Parameters
        ----------
        estimator : estimator or Pipeline
            A fitted :class:`skmm.MultimodalVAE`, or a Pipeline that ends in one; values are those in front
            of that last step.
        components : sequence of int, default=None
            Which components to show, counted from 0. None takes those that change the decoded values most,
            five at most.
        n_steps : int, default=7
            Number of values of each component.
        span : float, default=2.0
            They go from ``-span`` to ``span``, in standard deviations of the prior.
        shape : tuple or dict, default=None
            Shape of the image that the columns of a modality are, (height, width) or (height, width, 3), row
            by row; a tuple for all modalities, or a dict by modality.
        ax : Axes or array of Axes, default=None
            One that is divided, or one per panel; None makes a figure.
        **kwargs : dict
            For ``Axes.imshow`` where there are images, for ``Axes.plot`` where there are none.

        Returns
        -------
        display : LatentTraversalDisplay

        Raises
        ------
        ValueError
            If a parameter is not as it must be, or there is nothing to show.
        TypeError
            If the estimator has no ``inverse_transform`` of tables.
        """
        pyplot(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        model = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        if hasattr(model, "transform_steps") or not hasattr(model, "inverse_transform"):
            raise TypeError(
                f"{cls.__name__} needs an estimator of tables, such as MultimodalVAE, as latent variables of "
                f"sequences are others at every step; got {type(model).__name__}."
            )
        check_count(n_steps, "n_steps")
        if not isinstance(span, numbers.Real) or isinstance(span, bool) or not 0 < span < math.inf:
            raise ValueError(f"span must be a positive number, got {span!r}.")
        layout = model.layout_
        shapes = _shapes(shape, layout)
        n_components = len(model.get_feature_names_out())
        chosen = _checked(components, n_components)
        steps = np.linspace(-span, span, n_steps) if n_steps > 1 else np.array([float(span)])
        points = np.zeros((1 + len(chosen) * n_steps, n_components))
        for i, component in enumerate(chosen):
            points[1 + i * n_steps : 1 + (i + 1) * n_steps, component] = steps
        values = read_numbers(model, model.inverse_transform(points)).astype(np.float64)  # a copy
        values[:, [column.n_categories > 0 for column in layout.types]] = np.nan
        center, decoded = values[0], values[1:].reshape(len(chosen), n_steps, -1)
        if components is None:
            change = np.square((decoded - center) / layout.deviation)
            effect = np.nanmean(change, axis=(1, 2)) if np.isfinite(change).any() else np.zeros(len(chosen))
            most = np.sort(np.argsort(-effect, kind="stable")[:MAX_COMPONENTS])
            chosen, decoded = [chosen[i] for i in most], decoded[most]
        frame = pd.DataFrame(
            decoded.reshape(-1, decoded.shape[2])[:, layout.order],
            index=pd.MultiIndex.from_product([chosen, steps], names=["component", "value"]),
            columns=_columns(layout),
        )
        order = layout.order
        return cls(frame, center=center[order], scale=layout.deviation[order], shape=shapes).plot(
            ax, **kwargs
        )

    def plot(self, ax: Any = None, **kwargs: Any) -> LatentTraversalDisplay:
        """Draw decoded values.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            One that is divided, or one per panel; None makes a figure.
        **kwargs : dict
            For ``Axes.imshow`` where there are images, for ``Axes.plot`` where there are none.

        Returns
        -------
        display : LatentTraversalDisplay
        """
        shapes = dict(self.shape or {})
        components = list(dict.fromkeys(self.decoded.index.get_level_values(0)))
        owners = self.decoded.columns.get_level_values(0)
        is_line = ~owners.isin(list(shapes)) & self.decoded.notna().any(axis=0).to_numpy()
        has_lines = bool(is_line.any())
        if not has_lines and not shapes:
            raise ValueError("No column of X holds numbers or flags, so that there are no means to show.")
        n_steps = len(self.decoded.loc[components[0]])
        strips = [
            n_steps * (shape[1] + _gap(shape)) / shape[0] for shape in shapes.values()
        ]  # width / height
        height = min(0.8, WIDEST / sum(strips)) if strips else 0.0
        widths = [max(3.5, min(8.0, 0.22 * is_line.sum()))] if has_lines else []
        widths += [height * (strip + 0.6) for strip in strips]
        size = (1.2 + sum(widths), 1.0 + max(1.4 * has_lines, height + 0.12) * len(components))
        grid = (len(components), len(widths))
        self.axes_ = panels(ax, grid, f"{type(self).__name__}.plot", size, width_ratios=widths)
        self.figure_ = self.axes_[0, 0].figure
        self.lines_: dict[Any, Any] = {}
        self.images_: dict[Any, Any] = {}
        if has_lines:
            self._draw_lines(components, is_line, {} if shapes else kwargs)
        for place, (name, shape) in enumerate(shapes.items(), start=int(has_lines)):
            self._draw_images(self.axes_[:, place], components, name, tuple(shape), kwargs)
        for axes, component in zip(self.axes_[:, 0], components, strict=True):
            axes.set_ylabel(f"component {component}", rotation=0, ha="right", va="center", fontsize="small")
        return self

    def _draw_lines(self, components: list[Any], is_line: np.ndarray, how: Mapping[str, Any]) -> None:
        """One panel per component, all features side by side."""
        plt = pyplot(type(self).__name__)
        columns = self.decoded.columns[is_line]
        names, first, sizes = _runs(columns.get_level_values(0))
        gaps = np.repeat(np.arange(len(sizes)), sizes)  # an empty place between modalities
        places = np.arange(len(columns)) + gaps
        middle = [places[start] + (size - 1) / 2 for start, size in zip(first, sizes, strict=True)]
        change = (self.decoded.loc[:, is_line] - self.center[is_line]) / self.scale[is_line]
        values = change.index.get_level_values(1).to_numpy(dtype=float)
        reach = float(np.abs(values).max())
        colours = plt.get_cmap("coolwarm")
        whole = np.full(places[-1] + 1, np.nan)
        # of few features, lines from one to the next would only show in which order they stand
        few = len(columns) <= MAX_NAMED
        dots = {"marker": "o", "markersize": 4 if few else 2.5, "linestyle": "none"}
        dots = dots if sizes.max() <= MAX_DOTS else {}
        furthest = 1.08 * float(np.nanmax(np.abs(change.to_numpy()))) or 1.0
        for axes, component in zip(self.axes_[:, 0], components, strict=True):
            axes.axhline(0.0, color=GREY, linewidth=0.8)
            for place in places[first[1:]]:
                axes.axvline(place - 1, color=GREY, linewidth=0.6, linestyle=":")
            self.lines_[component] = []
            for value, row in change.loc[component].iterrows():
                line = whole.copy()
                line[places] = row
                style = {"color": colours(0.5 + 0.5 * value / reach), "linewidth": 1.3, **dots, **how}
                self.lines_[component] += axes.plot(line, **style)
            axes.set(xticks=[], xlim=(-0.7, len(whole) - 0.3), ylim=(-furthest, furthest))
        top = self.axes_[0, 0].secondary_xaxis("top")
        narrow = [len(shown(name)) > PER_FEATURE * size for name, size in zip(names, sizes, strict=True)]
        turned: dict[str, Any] = (
            {"rotation": 35, "ha": "left", "rotation_mode": "anchor"} if any(narrow) else {}
        )
        top.set_xticks(middle, [shown(name) for name in names], fontsize="small", **turned)
        top.tick_params(length=0)
        top.spines[:].set_visible(False)
        if few:
            features = [shown(name) for name in columns.get_level_values(1)]
            self.axes_[-1, 0].set_xticks(places, features, rotation=90, fontsize="x-small")
            self.axes_[-1, 0].tick_params(axis="x", length=2)
        self.axes_[0, 0].set_title("change of expected values (standard deviations)", fontsize="medium")
        scale = plt.cm.ScalarMappable(plt.Normalize(-reach, reach), colours)
        self.figure_.colorbar(
            scale, ax=list(self.axes_[:, 0]), label="value of the component", aspect=30, pad=0.01
        )

    def _draw_images(
        self, axes: Any, components: list[Any], name: Hashable, shape: tuple[int, ...], how: Mapping[str, Any]
    ) -> None:
        """One strip of images per component."""
        values = self.decoded.loc[:, self.decoded.columns.get_level_values(0) == name]
        low, high = np.nanmin(values), np.nanmax(values)
        looks: dict[str, Any] = {"cmap": "gray", "vmin": low, "vmax": high, "interpolation": "nearest"}
        gap = _gap(shape)
        for ax, component in zip(axes, components, strict=True):
            images = values.loc[component].to_numpy(dtype=float).reshape(-1, *shape)
            if len(shape) == 3:  # colours go from 0 to 1
                images = (images - low) / ((high - low) or 1.0)
            fill = np.full((shape[0], gap, *shape[2:]), 1.0 if len(shape) == 3 else np.nan)
            strip = np.concatenate([part for image in images for part in (fill, image)][1:], axis=1)
            self.images_[component, name] = ax.imshow(strip, **looks | dict(how))
            margin = 0.3 * shape[0]  # to tell the last image of one modality from the first of the next
            ax.set(xticks=[], yticks=[], xlim=(-0.5 - margin, strip.shape[1] - 0.5 + margin))
            ax.spines[:].set_visible(False)
        axes[0].set_title(shown(name), fontsize="medium")
        steps = values.loc[components[0]].index
        places = (shape[1] - 1) / 2 + (shape[1] + gap) * np.arange(len(steps))
        axes[-1].set_xticks(places, [f"{step:.2g}" for step in steps], fontsize="small")
        axes[-1].tick_params(length=0)
        axes[-1].set_xlabel("value of the component", fontsize="small")


def _checked(components: Any, n_components: int) -> list[int]:
    """Components that there are."""
    if components is None:
        return list(range(n_components))
    chosen = list(np.atleast_1d(components))
    if not chosen or not all(k in range(n_components) for k in chosen):
        raise ValueError(
            f"components must hold numbers from 0 to {n_components - 1}, or be None, got {components!r}."
        )
    return [int(k) for k in chosen]


def _shapes(shape: Any, layout: Layout) -> dict[Hashable, tuple[int, ...]]:
    """Shape of each modality that is an image."""
    found: dict[Hashable, tuple[int, ...]] = {}
    for name, size, each in zip(
        layout.names,
        layout.sizes,
        by_modality(shape, layout.names, parameter="shape", default=None),
        strict=True,
    ):
        if each is None:
            continue
        sides = tuple(int(side) for side in each)
        if not (len(sides) == 2 or (len(sides) == 3 and sides[2] == 3)) or math.prod(sides) != size:
            raise ValueError(
                f"shape gives {each!r} for modality {name!r}, which has {size} columns; give (height, width) "
                "or (height, width, 3) of as many numbers, or leave the modality out of a dict."
            )
        if any(layout.types[j].n_categories for j in layout.positions(name)):
            raise ValueError(
                f"shape gives {each!r} for modality {name!r}, which holds categories; leave it out of a dict."
            )
        found[name] = sides
    return found


def _columns(layout: Layout) -> pd.MultiIndex:
    """Modality and name of each feature, in the order of the networks."""
    owners, features = [], []
    for name, columns in zip(layout.names, layout.columns, strict=True):
        for j in columns:
            label = layout.labels[j]
            is_inside = isinstance(label, tuple) and len(label) > 1 and label[0] == name
            owners.append(name)
            features.append(": ".join(map(str, label[1:])) if is_inside else shown(label))
    return pd.MultiIndex.from_arrays(
        [pd.Index(owners, tupleize_cols=False), features], names=["modality", "feature"]
    )


def _gap(shape: Sequence[int]) -> int:
    """Pixels between two images."""
    return max(1, shape[1] // 8)


def _runs(names: pd.Index) -> tuple[list[Hashable], np.ndarray, np.ndarray]:
    """Each name once, where it begins, and how often it stands there."""
    codes, found = names.factorize()
    sizes = np.bincount(codes)
    return list(found), np.cumsum(sizes) - sizes, sizes
