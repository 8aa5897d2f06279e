"""Coefficients of fitted linear models, and their variances as if the data were complete."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import resample


def coefficients(fitted: Any) -> np.ndarray:
    """Coefficients of a fitted model, and its intercepts in one more column at the end.

    Returns
    -------
    float array of shape (n_features + 1,) or (n_classes, n_features + 1)

    Raises
    ------
    TypeError
        If the model has none.
    """
    if not (hasattr(fitted, "coef_") and hasattr(fitted, "intercept_")):
        raise TypeError(
            "estimator must have coef_ and intercept_ once it is fitted, such as LinearRegression or "
            f"LogisticRegression; got {fitted!r}."
        )
    coef = np.asarray(fitted.coef_, dtype=np.float64)
    rows = np.atleast_2d(coef)
    joint = np.column_stack([rows, np.broadcast_to(np.ravel(fitted.intercept_), len(rows))])
    return joint.reshape(*coef.shape[:-1], -1)


def closed_form_variances(fitted: Any, X: Any, y: np.ndarray) -> np.ndarray | None:
    """Variances in the shape of :func:`coefficients`; None where there is no closed form for the model.

    Parameters
    ----------
    fitted : estimator
        Fitted on the same data.
    X : array or DataFrame of shape (n_samples, n_features)
    y : array of shape (n_samples,)

    Returns
    -------
    float array or None
        Of LinearRegression, those for residuals of equal variance. Of LogisticRegression without a penalty
        and without weights, the diagonal of the inverse Fisher information.
    """
    from sklearn.linear_model import LinearRegression, LogisticRegression

    if type(fitted) is LinearRegression and not fitted.positive:
        return _least_squares(fitted, np.asarray(X, dtype=np.float64), y - fitted.predict(X))
    if type(fitted) is LogisticRegression and fitted.class_weight is None and fitted.solver != "liblinear":
        if getattr(fitted, "penalty", "l2") is None or np.isinf(fitted.C):
            return _logistic(fitted, np.asarray(X, dtype=np.float64), fitted.predict_proba(X))
    return None


def bootstrap_variances(
    estimator: Any, X: Any, y: np.ndarray, n_bootstraps: int, generator: np.random.RandomState, classes: Any
) -> np.ndarray:
    """Variances over resampled rows, in the shape of :func:`coefficients`.

    Parameters
    ----------
    estimator : estimator
        Is cloned.
    X : array or DataFrame of shape (n_samples, n_features)
    y : array of shape (n_samples,)
    n_bootstraps : int
    generator : RandomState
    classes : array of shape (n_classes,) or None
        Labels that no resample may lack: a classifier would have no coefficients for them.
    """
    found: list[np.ndarray] = []
    while len(found) < n_bootstraps:
        features, target = resample(X, y, random_state=generator)
        if classes is None or len(np.unique(target)) == len(classes):
            found.append(coefficients(clone(estimator).fit(features, target)))
    return np.var(found, axis=0, ddof=1)


def _least_squares(fitted: Any, X: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    center = X.mean(axis=0) if fitted.fit_intercept else np.zeros(X.shape[1])
    weights = np.linalg.pinv(X - center)  # each coefficient is a weighted sum of targets
    noise = np.square(residuals).sum() / (len(X) - X.shape[1] - bool(fitted.fit_intercept))
    intercept = 1 / len(X) + np.square(center @ weights).sum() if fitted.fit_intercept else 0.0
    return noise * np.append(np.square(weights).sum(axis=1), intercept)


def _logistic(fitted: Any, X: np.ndarray, p: np.ndarray) -> np.ndarray:
    design = np.column_stack([X, np.ones(len(X))]) if fitted.fit_intercept else X
    # far from 0, or in small units, a column would look like one that the data cannot tell from the others
    center = np.zeros(design.shape[1])
    if fitted.fit_intercept:
        center[:-1] = X.mean(axis=0)
    unit = np.sqrt(np.square(design - center).mean(axis=0))
    unit[unit == 0] = 1.0
    design = (design - center) / unit
    if p.shape[1] == 2:  # one set of coefficients, that of the second class
        p = p[:, 1:]
    n_sets, n_columns = p.shape[1], design.shape[1]
    information = np.block(
        [
            [design.T @ ((p[:, [k]] * ((k == j) - p[:, [j]])) * design) for j in range(n_sets)]
            for k in range(n_sets)
        ]
    )
    # of several sets, the model is the one that sums to 0: to all of them, anything could be added. Its
    # variance is the pseudo-inverse
    covariance = np.linalg.pinv(information, rcond=1e-12, hermitian=True)
    blocks = covariance.reshape(n_sets, n_columns, n_sets, n_columns)
    back = np.eye(n_columns) / unit
    back[-1] -= center / unit  # 0 without an intercept
    found = np.stack([np.diag(back @ blocks[k, :, k] @ back.T) for k in range(n_sets)])
    return found if fitted.fit_intercept else np.column_stack([found, np.zeros(n_sets)])
