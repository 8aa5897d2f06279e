"""A density of latent points, fitted after the network: from where new rows are drawn."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from inspect import signature
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from skmm._torch import RandomStateLike, as_random_state, draw_seed
from skmm.inference.points import at_random

N_POINTS = 10_000  # to fit the density to, about; more only where there are more rows
MAX_DRAWS = 20  # of a row: what a few rows leave unsaid, more draws of them do not say


def fit_density(density: Any, network: Any, tables: Sequence[Any], device: torch.device, seed: int) -> Any:
    """Fit a copy of a density to draws of the posterior of every row, from torch's current generator.

    Draws and not means: the posterior's mean varies less between rows than the latent variable does.

    Parameters
    ----------
    density : estimator, or a class of one
        With ``fit`` and ``sample``. Whatever ``random_state`` it, or a part of it, has as None is set.
    network : Module
    tables : sequence of Blocks
        Rows, each of which holds something.
    device : device
    seed : int
        For the random states.
    """
    n_draws = min(math.ceil(N_POINTS / sum(blocks.n_rows for blocks in tables)), MAX_DRAWS)
    with torch.no_grad():
        points = [
            piece.code.flatten(0, 1).cpu()
            for blocks in tables
            for piece in at_random(network, blocks, device, n_draws)
        ]
    fitted = density() if isinstance(density, type) else clone(density, safe=False)
    _seed(fitted, as_random_state(seed))
    fitted.fit(torch.cat(points).double().numpy())
    return fitted


def draw_points(density: Any, network: Any, n: int, random_state: RandomStateLike) -> Tensor:
    """Draw n points of a fitted density, or of the prior if it is None, (n, n_components), in any order.

    Where the prior has mass on spheres only, densities of scikit-learn come near them: then the nearest
    points on them are taken.

    Raises
    ------
    ValueError
        If it gives other points than it was fitted to, or NaN or infinite ones.
    """
    if density is None:
        return network.prior.rsample(n)
    rng = as_random_state(random_state)
    if "random_state" in signature(density.sample).parameters:
        drawn = density.sample(n, random_state=draw_seed(rng))
    else:  # a mixture draws by its parameter, which would give the same points every time
        density = copy.deepcopy(density)
        _seed(density, rng, always=True)
        drawn = density.sample(n)
    n_components = network.n_components
    points = np.asarray(drawn[0] if isinstance(drawn, tuple) else drawn, dtype=np.float32)
    if points.shape != (n, n_components) or not np.isfinite(points).all():
        raise ValueError(
            f"latent_density, a {type(density).__name__}, was asked for {n} finite points of {n_components} "
            f"numbers, but its sample gave an array of shape {points.shape}, or NaN, or infinity; use a "
            "density of scikit-learn, such as GaussianMixture or KernelDensity, or one that works alike."
        )
    z = torch.tensor(points[rng.permutation(n)])  # mixtures give one part after the other
    nearest = getattr(network.prior, "nearest", None)
    return z if nearest is None else nearest(z)


def _seed(density: Any, rng: np.random.RandomState, *, always: bool = False) -> None:
    """Set the random states of an estimator and its parts: those that are None, or all."""
    if not hasattr(density, "get_params"):
        return
    for name, value in sorted(density.get_params(deep=True).items()):
        if name.split("__")[-1] == "random_state" and (always or value is None):
            density.set_params(**{name: draw_seed(rng)})
