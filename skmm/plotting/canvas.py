"""What all displays draw on and with: matplotlib, axes, colours, legends, names."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np

# Okabe and Ito's colours, which the colour-blind can tell apart; without the yellow, too pale for lines
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P")
BLUE, ORANGE, GREY = COLOURS[0], COLOURS[1], "#7f7f7f"

MAX_LEGEND_ROWS = 24
MANY = 10  # entries of a legend: from then on they are small
MAX_NAME = 28  # characters; what is longer loses its middle


def pyplot(caller: str) -> Any:
    """Import ``matplotlib.pyplot``, the optional dependency of everything here.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} draws with matplotlib, which is not installed; install it with `pip install "
            "matplotlib`."
        ) from error
    return plt


def one_axes(ax: Any, caller: str, figsize: tuple[float, float]) -> Any:
    """Give the axes to draw on: the user's, or those of a new figure."""
    plt = pyplot(caller)
    return plt.subplots(figsize=figsize, layout="constrained")[1] if ax is None else ax


def panels(ax: Any, shape: tuple[int, int], caller: str, figsize: tuple[float, float], **how: Any) -> Any:
    """Give a grid of axes.

    Parameters
    ----------
    ax : Axes, array-like of Axes or None
        Axes to be divided, as many axes as the grid has places (or more, which are left alone), or None for
        a new figure.
    shape : tuple of int
        Numbers of rows and columns.
    caller : str
        Whose axes they are, for error messages.
    figsize : tuple of float
        Of a new figure.
    **how : dict
        ``height_ratios`` and ``width_ratios``, of a new figure and of axes that are divided.

    Returns
    -------
    array of Axes, of that shape
    """
    plt = pyplot(caller)
    if ax is None:
        return plt.subplots(*shape, figsize=figsize, layout="constrained", squeeze=False, gridspec_kw=how)[1]
    n_panels = shape[0] * shape[1]
    if isinstance(ax, np.ndarray | list | tuple):
        given = np.asarray(ax, dtype=object).ravel()
        if len(given) < n_panels:
            raise ValueError(
                f"{caller} draws {n_panels} panels, but ax holds {len(given)} axes; give as many, a single "
                "Axes, which is divided, or None."
            )
        return given[:n_panels].reshape(shape)
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError(
            f"{caller} draws {n_panels} panels, and divides an Axes of a grid only, such as plt.subplots "
            f"makes; got {ax!r}. Give one of these, {n_panels} axes in a list, or None."
        )
    ax.set_axis_off()
    grid = place.subgridspec(*shape, **how)
    return np.array([[ax.figure.add_subplot(grid[i, j]) for j in range(shape[1])] for i in range(shape[0])])


def line_styles(n_lines: int) -> list[dict[str, Any]]:
    """Give colours and dashes that tell lines apart; from the 29th on they begin again."""
    return [
        {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i // len(COLOURS) % len(DASHES)]}
        for i in range(n_lines)
    ]


def legend_beside(place: Any, handles: Sequence[Any], **how: Any) -> Any:
    """Put a legend right of all data: beside axes, or beside all axes of a figure of ours."""
    is_axes = hasattr(place, "plot")
    where: dict[str, Any] = {"loc": "outside right upper"}
    if is_axes:
        where = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
    return place.legend(
        handles=handles,
        frameon=False,
        fontsize="small" if len(handles) <= MANY else "x-small",
        ncols=-(-len(handles) // MAX_LEGEND_ROWS),
        **where | how,
    )


def legend_size(names: Iterable[Hashable]) -> tuple[float, float]:
    """Width and height, in inches, that a legend of these names takes."""
    lengths = [len(shown(name)) for name in names]
    per_character, per_row = (0.075, 0.2) if len(lengths) <= MANY else (0.062, 0.165)
    n_columns = -(-len(lengths) // MAX_LEGEND_ROWS)
    width = n_columns * (0.5 + per_character * max(lengths, default=0))
    return width, 0.3 + per_row * min(len(lengths), MAX_LEGEND_ROWS)


def shown(label: Hashable, longest: int = MAX_NAME) -> str:
    """Name of a column or modality, as it stands in a picture: at most so long, and no formula."""
    text = ": ".join(map(str, label)) if isinstance(label, tuple) else str(label)
    if len(text) > longest:  # often it is the end that tells names apart
        head = (longest - 1) // 2
        text = f"{text[:head].rstrip()}…{text[len(text) - (longest - 1 - head) :].lstrip()}"
    return text.replace("$", r"\$")


def ink_on(colour: Sequence[float]) -> str:
    """Black or white, whichever is read more easily on a colour."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # where the contrasts of WCAG, (lighter + 0.05) / (darker + 0.05), are equal
    return "black" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "white"
