"""Whether modalities that were made together tell the same thing, by the word of classifiers."""

from __future__ import annotations

import numbers
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_consistent_length, column_or_1d

from skmm._blocks.containers import unstacked
from skmm._torch import RandomStateLike, as_random_state, draw_seed
from skmm.metrics.hiding import Truth, last_step


def joint_coherence(
    estimator: Any,
    classifiers: Mapping[Hashable, Any],
    *,
    n_samples: int = 1000,
    random_state: RandomStateLike = 0,
) -> float:
    """Share of new rows whose modalities are all of the same class.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A fitted :class:`skmm.MultimodalVAE`, or a Pipeline that ends in one, of which that last step is
        measured.
    classifiers : dict
        Name of at least two modalities -> fitted classifier of its columns. Its ``predict`` is given what
        ``sample`` returns of the modality: of frames with columns (modality, feature), what ``X[name]`` is.
    n_samples : int, default=1000
        Number of new rows.
    random_state : int, RandomState instance or None, default=0
        Of the rows.

    Returns
    -------
    float
        1 where classifiers agree on every row. Chance is the sum of products of the classes' frequencies.

    Raises
    ------
    ValueError
        If an argument is not as it must be.
    TypeError
        If the estimator draws no rows.

    See Also
    --------
    cross_coherence : Of modalities that are completed from others.

    Notes
    -----
    Errors of the classifiers count against the estimator: their accuracy on rows that were really observed
    is what can be reached. Rows are drawn with their noise; train classifiers on data that have it. All rows
    of one and the same class are coherent too: look at the classes' frequencies beside it.

    References
    ----------
    .. [1] Shi et al. (2019), "Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative
       Models", sec. 4.2.
    """
    model = last_step(estimator, "sample")
    _check_classifiers(classifiers, model.layout_.names, least=2)
    _check_count(n_samples)
    rows = model.sample(int(n_samples), random_state=random_state)
    classes = [_classes(classifier, rows, name, model) for name, classifier in classifiers.items()]
    return float(np.mean(np.all([other == classes[0] for other in classes[1:]], axis=0)))


def cross_coherence(
    estimator: Any,
    X: Any,
    y: Any,
    classifiers: Mapping[Hashable, Any],
    *,
    given: str | Sequence[Hashable] = "others",
    n_samples: int | None = 1,
    random_state: RandomStateLike = 0,
) -> pd.Series | pd.DataFrame:
    """Share of completed modalities that are of the class of the row.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A fitted :class:`skmm.MultimodalVAE`, or a Pipeline that ends in one; measured in front of that last
        step.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Rows, preferably none of those that the estimator was fitted on. Gaps are allowed.
    y : array-like of shape (n_samples,)
        Class of each row, as the classifiers call it.
    classifiers : dict
        Name of a modality -> fitted classifier of its columns, as for :func:`joint_coherence`.
    given : {"others", "each"} or list of modality names, default="others"
        What a modality is completed from: all others, every single other one, or those of a list.
    n_samples : int or None, default=1
        Draws of each row. None takes the expected value instead.
    random_state : int, RandomState instance or None, default=0
        Of the draws.

    Returns
    -------
    Series or DataFrame
        Share by modality that was completed, over rows in which something of what it was completed from is
        observed; NaN where there is none. With ``given="each"``, a frame with one row for each modality that
        was given.

    Raises
    ------
    ValueError
        If an argument is not as it must be.
    TypeError
        If the estimator completes nothing.

    See Also
    --------
    joint_coherence : Of new rows.
    completion_error : How near completions come, value by value.

    References
    ----------
    .. [1] Shi et al. (2019), "Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative
       Models", sec. 4.2.
    """
    truth = Truth.of(estimator, X, "sample" if n_samples is not None else "predict")
    y = column_or_1d(y)
    check_consistent_length(truth.matrix, y)
    names = truth.layout.names
    _check_classifiers(classifiers, names)
    if n_samples is not None:
        _check_count(n_samples)
    rng = as_random_state(random_state)

    def shares(shown: Sequence[Hashable], hidden: Sequence[Hashable]) -> dict[Hashable, float]:
        rows = truth.present(shown)
        if not rows.any():
            return dict.fromkeys(hidden, np.nan)
        completed = _completions(truth.model, truth.given(shown), n_samples, rng)
        right: dict[Hashable, list[np.ndarray]] = {name: [] for name in hidden}
        for table in completed:
            for name in hidden:
                right[name].append((_classes(classifiers[name], table, name, truth.model) == y)[rows])
        return {name: float(np.mean(found)) for name, found in right.items()}

    if isinstance(given, str) and given == "each":
        table = {
            shown: shares([shown], [name for name in classifiers if name != shown])
            for shown in names
            if set(classifiers) - {shown}
        }
        index, columns = (pd.Index(list(of), tupleize_cols=False) for of in (table, classifiers))
        return pd.DataFrame(
            [[row.get(name, np.nan) for name in classifiers] for row in table.values()],
            index=index.rename("given"),
            columns=columns.rename("completed"),
        )
    if isinstance(given, str) and given == "others":
        found = {name: shares([n for n in names if n != name], [name])[name] for name in classifiers}
    else:
        shown = _listed(given, names)
        hidden = [name for name in classifiers if name not in shown]
        if not hidden:
            raise ValueError(f"given={given!r} names all modalities that classifiers are for; leave one out.")
        found = shares(shown, hidden)
    return pd.Series(
        list(found.values()), index=pd.Index(list(found), tupleize_cols=False), name="cross_coherence"
    )


def _completions(model: Any, X: Any, n_samples: int | None, rng: np.random.RandomState) -> list[Any]:
    """Tables in which what X lacks is drawn, or expected."""
    if n_samples is None:
        return [model.predict(X)]
    drawn = model.sample(int(n_samples), given=X, random_state=draw_seed(rng))
    return [unstacked(drawn, i) for i in range(int(n_samples))]


def _classes(classifier: Any, X: Any, name: Hashable, model: Any) -> np.ndarray:
    """What a classifier says of one modality of a table, (n_rows,)."""
    positions = model.layout_.positions(name)
    if isinstance(X, pd.DataFrame):
        part = X.iloc[:, positions]
        levels = part.columns.nlevels
        if levels > 1 and set(part.columns.get_level_values(0)) == {name}:
            part = part.droplevel(0, axis=1)  # as X[name], whose names the classifier was trained with
    else:
        part = np.asarray(X)[:, positions]
    return np.asarray(classifier.predict(part))


def _check_classifiers(classifiers: Any, names: Sequence[Hashable], *, least: int = 1) -> None:
    if not isinstance(classifiers, Mapping) or len(classifiers) < least:
        raise ValueError(
            f"classifiers must be a dict of at least {least} modalities, each with its fitted classifier; "
            f"got {classifiers!r}."
        )
    for name, classifier in classifiers.items():
        if name not in names:
            raise ValueError(f"classifiers names the unknown modality {name!r}; X has {list(names)}.")
        if not callable(getattr(classifier, "predict", None)):
            raise ValueError(f"The classifier of modality {name!r} has no predict; got {classifier!r}.")
    if len(names) < 2:
        raise ValueError(f"There is only one modality, {names[0]!r}, so that none can agree with another.")


def _listed(given: Any, names: Sequence[Hashable]) -> list[Hashable]:
    if not isinstance(given, list | tuple) or not given:
        raise ValueError(f"given must be 'others', 'each' or a list of modalities, got {given!r}.")
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ValueError(f"given names the unknown modality {unknown[0]!r}; X has {list(names)}.")
    return list(given)


def _check_count(n_samples: Any) -> None:
    if not isinstance(n_samples, numbers.Integral) or isinstance(n_samples, bool) or n_samples < 1:
        raise ValueError(f"n_samples must be a positive whole number, got {n_samples!r}.")
