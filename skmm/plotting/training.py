"""How training went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmm.plotting.canvas import BLUE, GREY, legend_beside, legend_size, line_styles, panels, pyplot, shown

ALL = "all together"  # how the legend calls divergences given everything
START_UP = 0.1  # share of the epochs that may lie outside of the picture


class TrainingDisplay:
    """Loss, validation score, and the two parts of the loss by modality, along training.

    Make one with :meth:`from_estimator`; its parameters become attributes. Panels for which there is nothing
    are left out.

    Parameters
    ----------
    loss : sequence of float
        Mean training loss of each epoch.
    validation : Series, default=None
        Validation scores, indexed by epoch, from 1.
    reconstruction : DataFrame, default=None
        Mean expected log-likelihood, indexed by epoch, with modalities as columns.
    kl : DataFrame, default=None
        Divergence of the posterior from the prior, indexed by epoch: the first column given everything
        that is observed, and a column by modality given that one alone. Epochs with NaN are left out.
    best_iter : int, default=None
        Epoch whose weights were kept, from 1.
    unit : str, default="row"
        What losses and scores are averaged over: "row" or "sequence".

    Attributes
    ----------
    axes_ : array of Axes
        One per panel.
    figure_ : Figure
    lines_ : dict
        Title of a panel -> its lines.

    Notes
    -----
    What to look for: a loss that has become flat (else ``max_iter`` is too small); a validation score that
    falls again while the loss still sinks (too many parameters for the data); a modality whose log-likelihood
    stays where it began (it is not learned: see ``modality_weights``); a modality whose divergence stays near
    0 (it says nothing about the latent variables, so that nothing can be completed from it).
    """

    def __init__(
        self,
        loss: Sequence[float],
        *,
        validation: pd.Series | None = None,
        reconstruction: pd.DataFrame | None = None,
        kl: pd.DataFrame | None = None,
        best_iter: int | None = None,
        unit: str = "row",
    ) -> None:
        self.loss = loss
        self.validation = validation
        self.reconstruction = reconstruction
        self.kl = kl
        self.best_iter = best_iter
        self.unit = unit

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None, **kwargs: Any) -> TrainingDisplay:
        """Draw what ``fit`` has kept of training.

        Parameters
        ----------
        estimator : estimator or Pipeline
            A fitted :class:`skmm.MultimodalVAE` or :class:`skmm.MultimodalVRNN`, or a Pipeline that ends in
            one.
        ax : Axes or array of Axes, default=None
            One that is divided, or one per panel; None makes a figure.
        **kwargs : dict
            For ``Axes.plot``.

        Returns
        -------
        display : TrainingDisplay

        Raises
        ------
        TypeError
            If the estimator keeps no losses.
        """
        pyplot(f"{cls.__name__}.from_estimator")
        if isinstance(estimator, Pipeline):
            estimator = estimator[-1]
        check_is_fitted(estimator)
        if not hasattr(estimator, "loss_curve_"):
            raise TypeError(
                f"{cls.__name__} needs an estimator with loss_curve_, such as a fitted MultimodalVAE; got "
                f"{estimator!r}."
            )
        loss = estimator.loss_curve_
        scores = getattr(estimator, "validation_scores_", None)
        return cls(
            loss,
            validation=None
            if scores is None
            else pd.Series(scores, index=_validated(len(scores), len(loss))),
            reconstruction=getattr(estimator, "reconstruction_curve_", None),
            kl=getattr(estimator, "kl_curve_", None),
            best_iter=getattr(estimator, "best_iter_", None),
            unit="sequence" if hasattr(estimator, "transform_steps") else "row",
        ).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> TrainingDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            One that is divided, or one per panel; None makes a figure.
        **kwargs : dict
            For ``Axes.plot``.

        Returns
        -------
        display : TrainingDisplay
        """
        curves = self._curves()
        if isinstance(ax, np.ndarray | list | tuple):
            shape = (1, len(curves))
        else:
            shape = (1, len(curves)) if len(curves) < 4 else (2, 2)
        names = max(([*curve] for curve in curves.values()), key=len)
        width, height = legend_size(names) if len(names) > 1 else (0.0, 0.0)
        size = (0.4 + 3.4 * shape[1] + width, max(0.4 + 2.5 * shape[0], height))
        grid = panels(ax, shape, f"{type(self).__name__}.plot", size)
        self.axes_ = grid.ravel()[: len(curves)]
        self.figure_ = self.axes_[0].figure
        for unused in grid.ravel()[len(curves) :]:
            unused.set_visible(False)
        styles = self._styles(curves)
        self.lines_: dict[str, Any] = {}
        for axes, (title, curve) in zip(self.axes_, curves.items(), strict=True):
            self.lines_[title] = [
                axes.plot(line.index, line, label=shown(name), **styles[name] | kwargs)[0]
                for name, line in ((name, curve[name].dropna()) for name in curve)
            ]
            if self.best_iter is not None:
                axes.axvline(self.best_iter, color=GREY, linewidth=1, linestyle=(0, (1, 2)))
            _leave_out_the_start(axes, curve)
            axes.set_title(title, fontsize="medium")
            axes.set(xlabel="epoch", ylabel=f"nats per {self.unit}")
            axes.margins(x=0.02)
        if self.best_iter is not None:
            self._name_best(len(self.loss))
        n_lines = [len(lines) for lines in self.lines_.values()]
        if max(n_lines) > 1:  # colours mean the same everywhere: once is enough
            fullest = n_lines.index(max(n_lines))
            place = self.figure_ if ax is None else self.axes_[fullest]
            legend_beside(place, [*self.lines_.values()][fullest])
        return self

    def _curves(self) -> dict[str, pd.DataFrame]:
        """What each panel shows, indexed by epoch."""
        epochs = pd.RangeIndex(1, len(self.loss) + 1)
        curves = {"training loss": pd.DataFrame({"": np.asarray(self.loss)}, index=epochs)}
        if self.validation is not None:
            curves["validation score (higher is better)"] = pd.DataFrame({"": self.validation})
        if self.reconstruction is not None:
            curves["expected log-likelihood"] = self.reconstruction
        if self.kl is not None:
            # a modality may be called "all" too
            columns = [ALL, *self.kl.columns[1:]]
            curves["divergence from the prior"] = self.kl.set_axis(columns, axis=1)
        return curves

    def _styles(self, curves: dict[str, pd.DataFrame]) -> dict[Any, dict[str, Any]]:
        """A style for each modality, the same in all panels."""
        names = [name for curve in curves.values() for name in curve if name not in ("", ALL)]
        names = list(dict.fromkeys(names))
        styles = dict(zip(names, line_styles(len(names)), strict=True))
        everything = {"color": "black", "linewidth": 2.2}
        return {**styles, "": {"color": BLUE}, ALL: everything}

    def _name_best(self, n_epochs: int) -> None:
        """Say in the first panel, whose upper corners are free, what the dotted line is."""
        is_late = self.best_iter > n_epochs / 2 if self.best_iter is not None else False
        self.axes_[0].annotate(
            f"weights kept:\nepoch {self.best_iter}",
            (self.best_iter, 0.96),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if is_late else 4, 0),
            textcoords="offset points",
            ha="right" if is_late else "left",
            va="top",
            fontsize="small",
            color="#505050",
        )


def _validated(n_scores: int, n_iter: int) -> np.ndarray:
    """Epochs that were validated: every so many, and the last one if training was not stopped early."""
    for every in range(1, n_iter + 1):
        epochs = np.arange(every, n_iter + 1, every)
        if len(epochs) == n_scores:
            return epochs
        if len(epochs) == n_scores - 1:
            return np.append(epochs, n_iter)
    return np.linspace(1, n_iter, n_scores)  # another rule than that of skmm's own training


def _leave_out_the_start(ax: Any, curve: pd.DataFrame) -> None:
    """Let the first epochs, in which losses fall steeply, not decide the scale."""
    values = curve.to_numpy(dtype=float)
    late = values[curve.index > START_UP * curve.index.max()]
    if not np.isfinite(late).any():
        return
    low, high, lowest, highest = np.nanmin(late), np.nanmax(late), np.nanmin(values), np.nanmax(values)
    reach = (high - low) or abs(high) or 1.0
    if highest - lowest > 3 * reach:
        ax.set_ylim(max(lowest, low - 0.6 * reach), min(highest, high + 0.6 * reach))
