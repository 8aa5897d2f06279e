"""The likelihoods by name, and what makes the likelihood of a column and of a modality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import nn

from skmm.probability.likelihoods.bounded import BOUNDED
from skmm.probability.likelihoods.categories import CATEGORIES
from skmm.probability.likelihoods.columnwise import Columnwise
from skmm.probability.likelihoods.continuous import CONTINUOUS
from skmm.probability.likelihoods.contract import NUMBERS
from skmm.probability.likelihoods.counts import COUNTS
from skmm.probability.likelihoods.positive import POSITIVE

LIKELIHOODS: dict[str, Any] = {**CONTINUOUS, **POSITIVE, **BOUNDED, **COUNTS, **CATEGORIES}

# what likelihood="auto" means for a type of column
BY_KIND = {"continuous": "normal", "binary": "bernoulli", "category": "categorical", "ordered": "ordinal"}

MAX_PADDING = 4  # columns with more than so many times the categories of others are described apart

CONTRACT = (
    "n_raw",
    "n_inputs",
    "n_statistics",
    "input_sizes",
    "width",
    "features",
    "check",
    "start",
    "forward",
    "summary",
    "probabilities",
)

Maker = Callable[[Any], Any]


def declared(maker: Maker, name: str, default: Any) -> Any:
    """What a class of likelihoods says of itself, also where ``functools.partial`` has set its parameters."""
    while isinstance(maker, partial):
        maker = maker.func
    return getattr(maker, name, default)


def likelihood_of(spec: Any, kind: str) -> Any:
    """Find what makes the likelihood of a column.

    Parameters
    ----------
    spec : str or callable
        "auto" chooses by the type of the column; a name stands for an entry of ``LIKELIHOODS``; a callable,
        such as a user's class, for itself.
    kind : {"continuous", "binary", "category", "ordered"}

    Raises
    ------
    ValueError
        If no likelihood has this name.
    """
    if not isinstance(spec, str):
        return spec
    name = BY_KIND[kind] if spec == "auto" else spec
    if name not in LIKELIHOODS:
        raise ValueError(
            f"There is no likelihood {spec!r}; choose 'auto', a callable or one of {sorted(LIKELIHOODS)}."
        )
    return LIKELIHOODS[name]


def scaling_of(maker: Maker) -> str | None:
    """Tell what is done to a column on the way in: "standard", "scale" or None.

    Raises
    ------
    ValueError
        If the maker says something else.
    """
    scaling = declared(maker, "scaling", "standard")
    if scaling not in ("standard", "scale", None):
        raise ValueError(
            f"scaling of likelihood {maker!r} must be 'standard', 'scale' or None, got {scaling!r}."
        )
    return scaling


def suits(maker: Maker, kind: str) -> bool:
    """Tell whether a likelihood describes columns of a type; one that does not say describes numbers."""
    return kind in declared(maker, "kinds", NUMBERS)


def build_likelihood(makers: Sequence[Maker], n_categories: Sequence[int]) -> Any:
    """Make the likelihood of a modality.

    Parameters
    ----------
    makers : sequence of callables
        One per column; columns with the same one are described together. It is given their number, or, if it
        has a true ``takes_categories``, their numbers of categories.
    n_categories : sequence of int
        Number of categories of each column; of no account for columns of numbers and flags.

    Raises
    ------
    TypeError
        If a callable returns anything but a likelihood.
    """
    groups: dict[Maker, list[int]] = {}
    for position, maker in enumerate(makers):
        groups.setdefault(maker, []).append(position)
    parts, columns = [], []
    for maker, positions in groups.items():
        for alike in _alike(positions, n_categories):
            parts.append(_make(maker, [n_categories[i] for i in alike]))
            columns.append(alike)
    return parts[0] if len(parts) == 1 else Columnwise(parts, columns)


def _alike(positions: Sequence[int], n_categories: Sequence[int]) -> list[list[int]]:
    """Cut columns into groups of about as many categories: within one, all are padded to the most."""
    groups: list[list[int]] = []
    for position in sorted(positions, key=lambda i: n_categories[i]):
        if not groups or n_categories[position] > MAX_PADDING * max(1, n_categories[groups[-1][0]]):
            groups.append([])
        groups[-1].append(position)
    return [sorted(group) for group in groups]


def _make(maker: Maker, n_categories: Sequence[int]) -> Any:
    likelihood = maker(n_categories if declared(maker, "takes_categories", False) else len(n_categories))
    lacking = [name for name in CONTRACT if not hasattr(likelihood, name)]
    if getattr(type(likelihood), "forward", None) is nn.Module.forward:
        lacking.append("forward")  # torch's own does nothing but raise
    if not isinstance(likelihood, nn.Module) or lacking:
        without = f" without {', '.join(lacking)}" if lacking else ""
        raise TypeError(
            f"likelihood={maker!r} must return a Module with {', '.join(CONTRACT[:-1])} and {CONTRACT[-1]}, "
            f"but it returned {likelihood!r}{without}. A subclass "
            "of skmm.probability.likelihoods.contract.Likelihood needs to add forward only."
        )
    return likelihood
