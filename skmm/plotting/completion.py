"""How well an estimator completes each modality, the more is hidden from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from skmm._torch import RandomStateLike
from skmm.metrics.completion import completion_error
from skmm.plotting.canvas import BLUE, GREY, ORANGE, legend_beside, one_axes, pyplot, shown

WHOLE = "modality"  # the column of errors of modalities that were hidden as a whole


class CompletionErrorDisplay:
    """Error of completions, by modality and by how much is hidden.

    One line of dots per modality: single cells hidden, at several fractions, and the modality hidden as a
    whole, completed from the other ones. Make one with :meth:`from_estimator`; its parameters become
    attributes.

    Parameters
    ----------
    errors : DataFrame
        Indexed by modality. Each column holds what :func:`skmm.metrics.completion_error` returned: with
        cells hidden, the column is labelled by the fraction; with whole modalities hidden, ``"modality"``.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    points_ : dict
        Column of ``errors`` -> Line2D of its dots.

    See Also
    --------
    skmm.metrics.completion_error : The errors.
    ModalityInformationDisplay : Which of the other modalities it is that helps.

    Notes
    -----
    To compare estimators, draw them side by side on the same scale::

        figure, axes = plt.subplots(1, 2, sharex=True, sharey=True, layout="constrained")
        for ax, (name, vae) in zip(axes, {"beta 0.5": first, "beta 2": second}.items()):
            CompletionErrorDisplay.from_estimator(vae, X, ax=ax).ax_.set_title(name)
    """

    def __init__(self, errors: pd.DataFrame) -> None:
        self.errors = errors

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        fractions: float | Sequence[float] = (0.1, 0.3, 0.5),
        random_state: RandomStateLike = 0,
        ax: Any = None,
        **kwargs: Any,
    ) -> CompletionErrorDisplay:
        """Hide what is known, complete it, and draw the errors.

        Parameters
        ----------
        estimator : estimator or Pipeline
            A fitted :class:`skmm.MultimodalVAE` or :class:`skmm.MultimodalVRNN`, or a Pipeline that ends in
            one.
        X : array-like or DataFrame of shape (n_samples, n_features), or sequences
            Preferably none that the estimator was fitted on.
        fractions : float or sequence of float, default=(0.1, 0.3, 0.5)
            Probabilities with which a cell is hidden, between 0 and 1; () for whole modalities only, which
            are left out where there is only one.
        random_state : int, RandomState instance or None, default=0
            Chooses the cells. With a number, what is hidden at one fraction is hidden at larger ones too.
        ax : Axes, default=None
            None makes a figure.
        **kwargs : dict
            For ``Axes.plot``.

        Returns
        -------
        display : CompletionErrorDisplay

        Raises
        ------
        ValueError
            As by :func:`skmm.metrics.completion_error`.
        """
        pyplot(f"{cls.__name__}.from_estimator")
        errors: dict[Any, pd.Series] = {
            fraction: completion_error(
                estimator, X, hide="cells", fraction=fraction, random_state=random_state
            )
            for fraction in np.atleast_1d(fractions).tolist()
        }
        n_modalities = len(next(iter(errors.values()))) if errors else 2
        if n_modalities > 1:
            errors[WHOLE] = completion_error(estimator, X)
        return cls(pd.DataFrame(errors)).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> CompletionErrorDisplay:
        """Draw the errors.

        Parameters
        ----------
        ax : Axes, default=None
            None makes a figure.
        **kwargs : dict
            For ``Axes.plot``.

        Returns
        -------
        display : CompletionErrorDisplay
        """
        plt = pyplot(f"{type(self).__name__}.plot")
        names, kinds = list(self.errors.index), list(self.errors.columns)
        ax = one_axes(ax, f"{type(self).__name__}.plot", (7.2, max(2.2, 1.2 + 0.36 * len(names))))
        fractions = sorted(kind for kind in kinds if kind != WHOLE)
        tints = dict(
            zip(fractions, plt.get_cmap("Blues")(np.linspace(0.4, 1.0, len(fractions))), strict=True)
        )
        places = np.arange(len(names))
        for place in places[::2]:
            ax.axhspan(place - 0.5, place + 0.5, color="black", alpha=0.04, linewidth=0)
        mean = ax.axvline(1.0, color=GREY, linestyle="--", linewidth=1, label="the columns' means")
        self.points_: dict[Any, Any] = {}
        # one above the other, so that equal errors do not hide one another
        ordered = [*fractions, *(kind for kind in kinds if kind == WHOLE)]
        for kind, lift in zip(ordered, np.linspace(-0.27, 0.27, len(ordered) + 2)[1:-1], strict=True):
            style: dict[str, Any] = {"linestyle": "none", "markersize": 6}
            if kind == WHOLE:
                style |= {"marker": "D", "color": ORANGE, "label": "the whole modality"}
            else:
                style |= {"marker": "o", "color": tints[kind], "label": f"{100 * kind:.3g} % of the cells"}
                style |= {"markeredgecolor": BLUE}
            (self.points_[kind],) = ax.plot(self.errors[kind], places + lift, **style | kwargs)
        ax.set(
            xlabel="root mean squared error (standard deviations of the columns)",
            yticks=places,
            yticklabels=[shown(name) for name in names],
            ylim=(len(names) - 0.5, -0.5),
            title="Error of completions",
        )
        ax.set_xlim(0, max(1.08, ax.get_xlim()[1]))
        ax.tick_params(axis="y", length=0)
        legend_beside(ax, [*self.points_.values(), mean], title="hidden", alignment="left")
        self.ax_, self.figure_ = ax, ax.figure
        return self
