"""Which modality tells how much of which other one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skmm.metrics.completion import squared_error
from skmm.metrics.hiding import Truth
from skmm.metrics.scoring_rules import category_score
from skmm.plotting.canvas import ink_on, one_axes, pyplot, shown

OTHERS = "all others"
LOWEST = -0.5  # of the scale of colours
BLANK = "#e4e4e4"  # where there is nothing to say
ROOM = 8  # characters that fit under a column of the matrix


class ModalityInformationDisplay:
    r"""Which modality informs which: how much of each one is explained by each other one.

    A row of the picture is what the estimator is given, a column what it completes. An entry is the share of
    the variance of the completed modality that is explained: of each of its columns

    .. math:: 1 - \frac{\text{mean squared error}}{\text{variance}},

    both over the same entries, those known in samples of which anything is known of the modality that is
    given; averaged over the columns. 1 is completion without an error. 0 is what the mean of a column gets:
    there the one modality tells nothing of the other, or the estimator does not know what. Below 0, it would
    do better with the mean. The last row is what all other modalities explain together. Make one with
    :meth:`from_estimator`; its parameters become attributes.

    Parameters
    ----------
    information : DataFrame
        Indexed by the modality that is given, with the modalities that are completed as columns. NaN is left
        blank.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    image_ : AxesImage
    text_ : array of Text or None, of the shape of ``information``
        None where nothing is written.

    See Also
    --------
    CompletionErrorDisplay : Errors with more or less of a modality hidden.
    sklearn.metrics.r2_score : The share explained of numbers.

    Notes
    -----
    In place of the squared error, categories have the scores of :func:`skmm.metrics.completion_error`; in
    place of the variance, what the frequencies get.

    What is shown is what *the estimator* has learned to complete. A low number may mean that there is nothing
    to learn, or that it was not learned: among many modalities, ``modality_dropout`` seldom leaves only one,
    and :class:`skmm.UnimodalELBO` trains just that.
    """

    def __init__(self, information: pd.DataFrame) -> None:
        self.information = information

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, ax: Any = None, **kwargs: Any
    ) -> ModalityInformationDisplay:
        """Complete each modality from each other one, and draw what is explained.

        Parameters
        ----------
        estimator : estimator or Pipeline
            A fitted :class:`skmm.MultimodalVAE` or :class:`skmm.MultimodalVRNN`, or a Pipeline that ends in
            one.
        X : array-like or DataFrame of shape (n_samples, n_features), or sequences
            Preferably none that the estimator was fitted on. Of sequences, modalities are hidden from the
            first to the last step.
        ax : Axes, default=None
            None makes a figure.
        **kwargs : dict
            For ``Axes.imshow``.

        Returns
        -------
        display : ModalityInformationDisplay

        Raises
        ------
        ValueError
            If there is only one modality, or no sample has two.
        """
        pyplot(f"{cls.__name__}.from_estimator")
        return cls(_information(Truth.of(estimator, X, "predict"))).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> ModalityInformationDisplay:
        """Draw the matrix.

        Parameters
        ----------
        ax : Axes, default=None
            None makes a figure.
        **kwargs : dict
            For ``Axes.imshow``.

        Returns
        -------
        display : ModalityInformationDisplay
        """
        plt = pyplot(f"{type(self).__name__}.plot")
        values = self.information.to_numpy(dtype=float)
        n_rows, n_columns = values.shape
        ax = one_axes(ax, f"{type(self).__name__}.plot", (3.2 + 0.52 * n_columns, 2.2 + 0.42 * n_rows))
        # white at 0, and blue up to 1: what is a little below 0 must not look like news
        shades = plt.get_cmap("RdBu")(0.5 + np.linspace(LOWEST, 1.0, 256) / 2)
        colours = plt.matplotlib.colors.ListedColormap(shades).with_extremes(bad=BLANK)
        style = {"cmap": colours, "vmin": LOWEST, "vmax": 1.0, "aspect": "auto"} | kwargs
        self.image_ = ax.imshow(values, **style)
        self.text_ = np.full(values.shape, None, dtype=object)
        for place in np.argwhere(~np.isnan(values)):
            value = values[*place]
            colour = ink_on(self.image_.cmap(self.image_.norm(value)))
            size = 9 if n_columns <= 12 else 7
            self.text_[*place] = ax.text(
                place[1], place[0], f"{value:.2f}", ha="center", va="center", color=colour, fontsize=size
            )
        ax.set(
            xlabel="completed modality",
            ylabel="given",
            xticks=range(n_columns),
            yticks=range(n_rows),
            yticklabels=[shown(name) for name in self.information.index],
            title="Share of the variance explained",
        )
        names = [shown(name) for name in self.information.columns]
        is_long = max(map(len, names)) > ROOM
        turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if is_long else {}
        ax.set_xticks(range(n_columns), names, **turned)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        if self.information.index[-1] == OTHERS:
            ax.axhline(n_rows - 1.5, color="white", linewidth=4)
        ax.figure.colorbar(self.image_, ax=ax, extend="min", shrink=0.8, ticks=[-0.5, 0.0, 0.5, 1.0])
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _information(truth: Truth) -> pd.DataFrame:
    """Share of the variance of each modality that each other one explains, and all others together."""
    layout, known, lengths = truth.layout, truth.known, truth.opened.lengths
    names = list(layout.names)
    if len(names) == 1:
        raise ValueError(
            f"There is only one modality, {names[0]!r}, which no other one can inform; say with the "
            "parameter `modalities` of the estimator how the columns form several."
        )
    starts = np.cumsum(lengths) - lengths
    present: np.ndarray = np.stack(
        [
            np.repeat(np.logical_or.reduceat(known[:, columns].any(axis=1), starts), lengths)
            for columns in layout.columns
        ]
    )  # (M, n_rows)
    explained = np.full((len(names) + 1, len(names)), np.nan)
    for given, columns in enumerate(layout.columns):
        hidden = np.ones(known.shape, dtype=bool)
        hidden[:, columns] = False
        squared = _squared_errors(truth, hidden)
        for wanted in set(range(len(names))) - {given}:
            explained[given, wanted] = _explained(truth, squared, wanted, present[given])
    for wanted, columns in enumerate(layout.columns):
        hidden = np.zeros(known.shape, dtype=bool)
        hidden[:, columns] = True
        others: np.ndarray = np.any(np.delete(present, wanted, axis=0), axis=0)
        explained[-1, wanted] = _explained(truth, _squared_errors(truth, hidden), wanted, others)
    if np.isnan(explained).all():
        raise ValueError(
            f"No sample of X has observed entries of two of the modalities {names}, so that none can be "
            "hidden and completed from another one; give such samples."
        )
    index = pd.Index([*names, OTHERS], tupleize_cols=False)
    return pd.DataFrame(explained, index=index, columns=pd.Index(names, tupleize_cols=False))


def _squared_errors(truth: Truth, hidden: np.ndarray) -> np.ndarray:
    """Squared error of every entry where some are hidden, in units of the deviations in ``fit``."""
    everywhere = np.ones(hidden.shape, dtype=bool)
    return squared_error(truth, truth.without(hidden), everywhere).reshape(hidden.shape)


def _explained(truth: Truth, squared: np.ndarray, wanted: int, rows: np.ndarray) -> float:
    """Share explained of the known entries of a modality in some rows; NaN where nothing varies."""
    layout, shares = truth.layout, []
    for j in layout.columns[wanted]:
        compared = truth.known[:, j] & rows
        values, column = truth.matrix[compared, j], layout.types[j]
        if not values.size or np.ptp(values) == 0:
            continue
        if column.n_categories:
            frequencies = np.bincount(values.astype(np.intp), minlength=column.n_categories) / values.size
            guesses = np.broadcast_to(frequencies, (values.size, column.n_categories))
            variance = category_score(guesses, values, column.kind).mean()
        else:
            variance = values.var()
        shares.append(1 - squared[compared, j].mean() * layout.deviation[j] ** 2 / variance)
    return float(np.mean(shares)) if shares else float("nan")
