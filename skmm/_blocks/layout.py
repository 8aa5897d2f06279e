"""Layout: a table's modalities, types, location and scale; Blocks in and tables out."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks
from skmm._blocks.columns import BINARY, CATEGORY, ORDERED, ColumnType
from skmm._blocks.containers import Container, absent, column_labels, fill, row_slices, wrap_like
from skmm._blocks.modalities import excerpt

# what results must be able to express, in standard deviations of a column
WIDEST, FINEST = 1e3, 1e-3
FARTHEST = 1e15  # standard deviations: beyond, densities overflow in float32


@dataclass(frozen=True)
class Layout:
    """How a fitted estimator reads a table and writes results in the table's own units.

    Parameters
    ----------
    names : tuple
        Modalities, in the order in which the networks hold them.
    columns : tuple of int arrays
        Positions of each modality's columns in the user's table.
    labels : tuple
        Label of each of the user's columns.
    types : tuple of ColumnType
        What each of the user's columns holds. Inside, a category is its position among the categories.
    location, scale : float64 array of shape (n_features,)
        A value in the user's units is ``location + scale * value inside``.
    deviation : float64 array of shape (n_features,)
        What errors are measured in: the standard deviation of each column in ``fit``; of categories, the
        root of what their frequencies get in :func:`skmm.metrics.category_score`, on average. 1 where it is
        0 or not known.
    informative : bool array of shape (n_features,)
        False for columns that were never observed in ``fit``, and for scaled ones that were constant. They
        are read as missing and written as ``location``: a density of a constant has no finite value, and
        the networks have nothing to learn from them.
    spread : float64 array of shape (n_features,)
        Standard deviation reported for columns that are not informative: 0 for a constant, ``scale``
        where nothing is known.
    container : Container
        What ``fit`` was given.
    targets : Layout or None
        Of y, a table of its own. The networks hold its columns behind those of X; in X, and in what is
        written for the user, they do not exist.
    """

    names: tuple[Hashable, ...]
    columns: tuple[np.ndarray, ...]
    labels: tuple[Hashable, ...]
    types: tuple[ColumnType, ...]
    location: np.ndarray
    scale: np.ndarray
    deviation: np.ndarray
    informative: np.ndarray
    spread: np.ndarray
    container: Container
    targets: Layout | None = None

    @classmethod
    def fit(
        cls,
        X: Any,
        matrix: np.ndarray,
        groups: Mapping[Hashable, np.ndarray],
        types: Sequence[ColumnType],
        scaling: Sequence[str | None],
    ) -> Layout:
        """Learn the layout of a table.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The user's table, for its names and container.
        matrix : array of shape (n_samples, n_features)
            The same as numbers, NaN where missing.
        groups : dict
            Name of each modality -> positions of its columns.
        types : sequence of ColumnType
            What each column holds.
        scaling : sequence of {"standard", "scale", None}
            Whether each column is centred and scaled, only scaled (what is positive stays so), or left.
        """
        scaled = np.array([how is not None for how in scaling])
        centred = np.array([how == "standard" for how in scaling])
        numbers = np.array([kind.kind != BINARY and kind.categories is None for kind in types])
        location, scale, seen, varies = _location_and_scale(matrix)
        constant = seen & scaled & ~varies
        unknown = np.where([kind.kind == BINARY for kind in types], 0.5, 0.0)
        return cls(
            names=tuple(groups),
            columns=tuple(groups.values()),
            labels=column_labels(X),
            types=tuple(types),
            location=np.where(centred | constant, location, np.where(seen, 0.0, unknown)),
            scale=np.where(scaled, scale, 1.0),
            deviation=_deviation(matrix, scale, types),
            informative=seen & ~constant,
            spread=np.where(seen, 0.0, np.where(numbers, 1.0, 0.5)),
            container=Container.of(X),
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kind of each of the user's columns: "continuous", "binary", "category" or "ordered"."""
        return tuple(column.kind for column in self.types)

    @property
    def n_features(self) -> int:
        """Number of the user's columns."""
        return len(self.labels)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of features of each modality."""
        return tuple(len(columns) for columns in self.columns)

    @property
    def order(self) -> np.ndarray:
        """The user's columns in the order in which the networks hold them."""
        return np.concatenate(self.columns)

    @property
    def joint(self) -> Layout:
        """All that the networks hold: the columns of X, and those of the targets behind them."""
        if self.targets is None:
            return self
        return replace(
            self,
            names=self.names + self.targets.names,
            columns=(*self.columns, *(columns + self.n_features for columns in self.targets.columns)),
            labels=self.labels + self.targets.labels,
            types=self.types + self.targets.types,
            location=np.concatenate([self.location, self.targets.location]),
            scale=np.concatenate([self.scale, self.targets.scale]),
            deviation=np.concatenate([self.deviation, self.targets.deviation]),
            informative=np.concatenate([self.informative, self.targets.informative]),
            spread=np.concatenate([self.spread, self.targets.spread]),
            targets=None,
        )

    def check_columns(self, X: Any) -> None:
        """Raise ValueError if a frame's columns are not those of ``fit``.

        scikit-learn compares string names; this covers the labels it ignores, MultiIndex columns above all.
        """
        expected = self.container.columns
        if expected is None or not isinstance(X, pd.DataFrame) or X.columns.equals(expected):
            return
        missing = expected.difference(X.columns, sort=False)
        unknown = X.columns.difference(expected, sort=False)
        problems = []
        if len(missing):
            problems.append(f"{len(missing)} missing ({excerpt(missing)}), add them, with NaN if unknown")
        if len(unknown):
            problems.append(f"{len(unknown)} unknown ({excerpt(unknown)}), drop them")
        if not problems:
            problems.append(f"they stand in another order than {excerpt(expected)}")
        raise ValueError(f"The columns of X are not those seen in fit: {'; '.join(problems)}.")

    def read(self, matrix: np.ndarray, targets: np.ndarray | None = None) -> Blocks:
        """Turn a matrix in the user's units into Blocks in standardised ones.

        Parameters
        ----------
        matrix : array of shape (n_samples, n_features)
        targets : array of shape (n_samples, n_targets) or None
            NaN where unknown; None where all are, or where there are no targets.
        """
        joint = self.joint
        order = joint.order
        location, scale, informative = joint.location[order], joint.scale[order], joint.informative[order]
        in_order = (np.diff(order, prepend=-1) == 1).all()
        values = np.empty((len(matrix), len(order)), dtype=np.float32)
        observed = np.empty(values.shape, dtype=bool)
        for rows in row_slices(values.shape):
            part, inside = matrix[rows], values[rows]
            if self.targets is not None:
                unknown = np.full((len(part), self.targets.n_features), np.nan)
                part = np.hstack([part, unknown if targets is None else targets[rows]])
            with np.errstate(over="ignore"):
                inside[:] = ((part if in_order else part[:, order]) - location) / scale
            np.equal(inside, inside, out=observed[rows])  # NaN alone is not
            if not informative.all():
                observed[rows] &= informative
                inside[:, ~informative] = 0.0
            # in place; writing where a mask says takes numpy ten times as long
            torch.nan_to_num_(torch.from_numpy(inside), 0.0, np.inf, -np.inf)
            joint._check_reach(part, inside, rows.start)
        return Blocks.from_joint(torch.from_numpy(values), torch.from_numpy(observed), joint.sizes)

    def _check_reach(self, matrix: np.ndarray, values: np.ndarray, start: int) -> None:
        """Raise ValueError for values that are too large; the rows are those from ``start``."""
        if max(values.max(initial=0.0), -values.min(initial=0.0)) > FARTHEST:
            row, position = np.argwhere(np.abs(values) > FARTHEST)[0].tolist()
            column = self.order[position]
            usual = f"mean {self.location[column]:.6g}, standard deviation {self.scale[column]:.6g}"
            raise ValueError(
                f"Column {self.labels[column]!r} holds {matrix[row, column]} in row {start + row}, too far "
                f"from what fit saw ({usual}) to be computed with. Correct it, or put NaN if the value is "
                "unknown."
            )

    def write(self, joint: Tensor | np.ndarray, dtype: Any = np.float64) -> np.ndarray:
        """Turn standardised values (..., n_features) into an array in the user's units and order.

        Values of targets, behind those of X, are left out.
        """
        return self._written(joint, dtype, lambda values: values * self.scale + self.location, self.location)

    def write_scale(self, joint: Tensor | np.ndarray, dtype: Any = np.float64) -> np.ndarray:
        """Turn standard deviations (..., n_features) into the user's units and order."""
        return self._written(joint, dtype, lambda values: values * self.scale, self.spread)

    def _written(
        self, joint: Tensor | np.ndarray, dtype: Any, scaled: Any, otherwise: np.ndarray
    ) -> np.ndarray:
        """Numbers in the user's order, scaled; of columns that are not informative, something else."""
        if isinstance(joint, Tensor):
            joint = joint.detach().cpu().numpy()
        values = joint[..., : self.n_features].reshape(-1, self.n_features)
        out = np.empty(values.shape, dtype=dtype)
        for rows in row_slices(out.shape):
            part = np.empty(values[rows].shape)
            part[:, self.order] = values[rows]
            out[rows] = np.where(self.informative, scaled(part), otherwise)
        return out.reshape(*joint.shape[:-1], self.n_features)

    def log_volume(self, blocks: Blocks) -> Tensor:
        """Log-density of each row lost to the scaling: the sum of log scale over observed entries, (n,)."""
        joint = self.joint
        log_scale = torch.tensor(np.log(joint.scale[joint.order]), device=blocks.joint.device)
        return (blocks.joint_observed * log_scale).sum(-1)

    @property
    def dtype(self) -> np.dtype:
        """Type of results: float32, or float64 where float32 would blur or lose the values of a column."""
        reach = np.abs(self.location) + WIDEST * self.scale
        fine = np.where(self.informative, self.scale, np.maximum(np.abs(self.location), 1.0))
        with np.errstate(all="ignore"):  # out of reach: the spacing is NaN
            told_apart = np.spacing(reach.astype(np.float32)) < FINEST * fine
        return np.dtype(np.float32 if told_apart.all() else np.float64)

    def wrap(self, matrix: np.ndarray, like: Any) -> Any:
        """Put values in the container and columns of ``like``: numbers as :attr:`dtype`, and labels."""
        return wrap_like(like, matrix.astype(self.dtype, copy=False), self.types)

    def wrap_numbers(self, matrix: np.ndarray, like: Any) -> Any:
        """As :meth:`wrap`, where categories have numbers too, such as their standard deviation."""
        return wrap_like(like, matrix.astype(self.dtype, copy=False))

    def wrap_new(self, matrix: np.ndarray, index: pd.Index | None) -> Any:
        """As :meth:`wrap`, in the container of ``fit``."""
        return self.container.wrap(matrix.astype(self.dtype, copy=False), self.types, index)

    def restore(self, matrix: np.ndarray) -> Any:
        """Put values in the container and the data types of ``fit``."""
        return self.container.restore(matrix, self.types)

    def complete(self, X: Any, matrix: np.ndarray, values: np.ndarray) -> Any:
        """Put ``values`` where X has none; keep X's container and data types.

        A category that ``fit`` has not seen stays: it was read as missing, but it is there.
        """
        missing = np.isnan(matrix)
        if any(kind.n_categories for kind in self.types):
            missing &= absent(X)
        return fill(X, missing, values, self.types)

    def probability_frame(
        self, probabilities: Mapping[int, np.ndarray], index: pd.Index | None
    ) -> pd.DataFrame:
        """Put probabilities of categories side by side.

        Parameters
        ----------
        probabilities : dict
            Position of a column -> array of shape (n_samples, n_categories of the column).
        index : Index or None

        Returns
        -------
        DataFrame
            With MultiIndex columns (column, category), after all levels that the columns have already.
        """
        levels = self.container.columns if isinstance(self.container.columns, pd.MultiIndex) else None
        tables, labels = [], []
        for column, table in sorted(probabilities.items()):
            kind, label = self.types[column], self.labels[column]
            if not self.informative[column]:  # never observed: nothing is known
                table = np.full_like(table, 1 / table.shape[1])
            tables.append(table)
            categories: Any = kind.categories
            if categories is None:
                categories = [False, True] if kind.kind == BINARY else [0, 1]
            outer: Any = (label,) if levels is None else label
            labels += [(*outer, category) for category in categories]
        names = ["column"] if levels is None else list(levels.names)
        return pd.DataFrame(
            np.concatenate(tables, axis=1),
            index=index,
            columns=pd.MultiIndex.from_tuples(labels, names=[*names, "category"]),
        )

    def without_order(self) -> np.ndarray:
        """Which of the user's columns hold categories that have no order, (n_features,)."""
        return np.array([column.kind == CATEGORY for column in self.types])

    def positions(self, name: Hashable) -> np.ndarray:
        """The user's columns of one modality."""
        return self.columns[self.names.index(name)]


def by_modality(value: Any, names: Iterable[Hashable], *, parameter: str, default: Any) -> tuple[Any, ...]:
    """Spread a parameter that is one value for all modalities, or a dict by modality.

    Raises
    ------
    ValueError
        If a dict names a modality that does not exist.
    """
    names = tuple(names)
    if not isinstance(value, Mapping):
        return (value,) * len(names)
    unknown = [name for name in value if name not in names]
    if unknown:
        raise ValueError(f"{parameter} names the unknown modality {unknown[0]!r}; X has {list(names)}.")
    return tuple(value.get(name, default) for name in names)


def _deviation(matrix: np.ndarray, scale: np.ndarray, types: Sequence[ColumnType]) -> np.ndarray:
    """What errors of each column are measured in."""
    deviation = scale.copy()
    for j, column in enumerate(types):
        if column.n_categories:
            codes = matrix[~np.isnan(matrix[:, j]), j].astype(np.intp)
            share = np.bincount(codes, minlength=column.n_categories) / max(len(codes), 1)
            if column.kind == ORDERED:
                share = share.cumsum()
            expected = (share * (1 - share)).sum()  # the score, in closed form
            deviation[j] = np.sqrt(expected if column.kind == ORDERED else expected / 2) or 1.0
    return deviation


def _location_and_scale(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column's observed entries; whether there are any, and they vary.

    A column without observed entries has location 0 and scale 1; a constant one its value and scale 1.
    """
    n_columns = matrix.shape[1]
    count, largest, first = (
        np.zeros(n_columns, dtype=np.int64),
        np.zeros(n_columns),
        np.full(n_columns, np.nan),
    )
    for part, observed in _parts(matrix):
        count += observed.sum(axis=0)
        largest = np.maximum(largest, np.abs(part).max(axis=0, where=observed, initial=0.0))
        new = np.isnan(first) & observed.any(axis=0)
        first[new] = part[observed.argmax(axis=0), np.arange(n_columns)][new]
    seen, n = count > 0, np.maximum(count, 1)
    # in units of a power of two, which costs no accuracy: sums and squares then neither overflow nor vanish
    unit = np.ldexp(1.0, np.frexp(largest)[1] - 1)
    first = np.where(seen, first, 0.0) / unit
    mean = sum((part / unit).sum(axis=0, where=observed) for part, observed in _parts(matrix)) / n
    squares, spread = np.zeros(n_columns), np.zeros(n_columns)
    for part, observed in _parts(matrix):
        values = part / unit
        squares += np.square(values - mean).sum(axis=0, where=observed)
        # the range, not the variance: that of a constant is of the size of the mean's rounding error
        spread = np.maximum(spread, np.abs(values - first).max(axis=0, where=observed, initial=0.0))
    scale = unit * np.sqrt(squares / n)
    fineness = np.finfo(np.float32 if matrix.dtype == np.float32 else np.float64).eps
    varies = spread > 4 * fineness * np.abs(first)
    return unit * np.where(varies, mean, first), np.where(varies, scale, 1.0), seen, varies


def _parts(matrix: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of a matrix as float64, a part at a time, and which entries are observed."""
    for rows in row_slices(matrix.shape):
        part = matrix[rows].astype(np.float64)
        yield part, ~np.isnan(part)
