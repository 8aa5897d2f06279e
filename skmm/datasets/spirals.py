"""Spirals: sequences of two modalities that follow the same turn."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_scalar

from skmm._torch import RandomStateLike, as_random_state

SPIRAL_MODALITIES = {"first": slice(0, 2), "second": slice(2, 4)}
"""Features of each modality of :func:`make_spirals`, to be given as ``modalities``."""

ELLIPTIC_SPIRAL_MODALITIES = {"x": [0], "y": [1]}
"""Features of each modality of :func:`make_elliptic_spirals`, to be given as ``modalities``."""

# how the second spiral follows from the first: half the sum and half the difference of x and y,
# which is a rotation by -45 degrees and a scaling by 1 / sqrt(2)
_SPIRAL_MIXING = np.array([[0.5, 0.5], [-0.5, 0.5]])


def make_spirals(
    n_samples: int = 1000,
    n_steps: int = 50,
    *,
    noise: float = 0.25,
    shuffle: bool = True,
    random_state: RandomStateLike = None,
) -> np.ndarray:
    """Draw pairs of noisy spirals: sequences of two modalities, two features each.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of sequences.
    n_steps : int, default=50
        Number of time steps of each; a sequence always makes two turns.
    noise : float, default=0.25
        Standard deviation of the normal noise on every value.
    shuffle : bool, default=True
        Whether to shuffle the sequences. They are independent draws, so this matters only to whoever
        wants them in the order of the generator that [1]_ uses.
    random_state : int, RandomState instance or None, default=None
        An int gives the same data on every call; None gives new data.

    Returns
    -------
    ndarray of shape (n_samples, n_steps, 4)
        Features x and y of the first modality, then of the second; ``SPIRAL_MODALITIES`` names them.

    See Also
    --------
    make_elliptic_spirals : Spirals of many shapes, whose x and y are one modality each.
    make_quadratic_sinusoidal : A table instead of sequences.

    Notes
    -----
    With t from 0 to 4π, an amplitude A per sequence, uniform between 0.5 and 1.5, and ε the noise:

    - first: x = A t cos t + ε, y = A t sin t + ε;
    - second: half the sum and half the difference, (x + y) / 2 + ε and (y - x) / 2 + ε, of the first
      modality as observed, noise included.

    So the mean squared error per value of predicting the second modality from the first cannot be below
    ``noise ** 2``. In the other direction it is ``2 / 3 * noise ** 2`` for who knows the amplitude, and
    ``2 * noise ** 2`` for who inverts step by step without making use of the dynamics.

    References
    ----------
    .. [1] sathya-ml/multimodal-vrnn-vae, ``generate_spirals_dataset``.

    Examples
    --------
    >>> from skmm.datasets import SPIRAL_MODALITIES, make_spirals
    >>> X = make_spirals(n_samples=100, n_steps=20, random_state=0)
    >>> X.shape
    (100, 20, 4)
    >>> X[:, :, SPIRAL_MODALITIES["second"]].shape
    (100, 20, 2)
    """
    check_scalar(n_samples, "n_samples", Integral, min_val=1)
    check_scalar(n_steps, "n_steps", Integral, min_val=1)
    check_scalar(noise, "noise", Real, min_val=0)
    rng = as_random_state(random_state)
    t = np.linspace(0.0, 4.0 * np.pi, n_steps)
    radius = rng.uniform(0.5, 1.5, size=(n_samples, 1)) * t  # (n, T)
    first = np.stack([radius * np.cos(t), radius * np.sin(t)], axis=-1)  # (n, T, 2)
    first += rng.normal(0.0, noise, size=first.shape)
    second = first @ _SPIRAL_MIXING.T + rng.normal(0.0, noise, size=first.shape)
    X = np.concatenate([first, second], axis=-1)
    return X[rng.permutation(n_samples)] if shuffle else X


def make_elliptic_spirals(
    n_samples: int = 1000,
    n_steps: int = 100,
    *,
    noise: float = 0.1,
    return_clean: bool = False,
    random_state: RandomStateLike = None,
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Draw noisy spirals of many shapes: sequences whose x and y are one modality each.

    One coordinate alone leaves open which way the spiral turns, and with that the sign of the other: half
    of the spirals turn clockwise, half counterclockwise. A few steps of both settle it.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of sequences.
    n_steps : int, default=100
        Number of time steps of each; a sequence always makes one and a half to two and a half turns.
    noise : float, default=0.1
        Standard deviation of the normal noise on every value.
    return_clean : bool, default=False
        Whether to return the spirals before the noise as well.
    random_state : int, RandomState instance or None, default=None
        An int gives the same data on every call; None gives new data. 1, with the other defaults, gives
        the data of [1]_, whose training set is ``X[:600]``, and whose test set is ``X[600:]``.

    Returns
    -------
    X : ndarray of shape (n_samples, n_steps, 2)
        Features x and y; ``ELLIPTIC_SPIRAL_MODALITIES`` names them. The sequences are in random order.
    clean : ndarray of shape (n_samples, n_steps, 2)
        The same without the noise, if ``return_clean``.

    See Also
    --------
    make_spirals : Pairs of round spirals, two modalities of two features each.

    Notes
    -----
    With radius r and angle θ in equal steps from r₀ to r₁ and from θ₀ to θ₁, an aspect ratio ρ, and ε the
    noise,

    x = √ρ r cos θ + ε, y = r sin θ / √ρ + ε.

    r₀ is uniform from 0.25 to 0.75, r₁ from 2.25 to 2.75, θ₀ from 0 to π, θ₁ from 4π to 5π, log₂ ρ from -1
    to 1. In one half of the sequences, both angles are negative instead.

    So the squared error, summed over x and y as in [1]_, cannot be below ``2 * noise ** 2`` for values that
    were not seen: 0.02 by default.

    References
    ----------
    .. [1] ztangent/multimodal-dmm, ``datasets/spirals.py``, the data of Tan, Soh and Ong (2020), "Factorized
       Inference in Deep Markov Models for Incomplete Multimodal Time Series", AAAI.

    Examples
    --------
    >>> from skmm.datasets import ELLIPTIC_SPIRAL_MODALITIES, make_elliptic_spirals
    >>> X, clean = make_elliptic_spirals(n_samples=400, return_clean=True, random_state=0)
    >>> X.shape
    (400, 100, 2)
    >>> round(float((X - clean).std()), 2)
    0.1
    >>> X[:, :, ELLIPTIC_SPIRAL_MODALITIES["y"]].shape
    (400, 100, 1)
    """
    check_scalar(n_samples, "n_samples", Integral, min_val=1)
    check_scalar(n_steps, "n_steps", Integral, min_val=1)
    check_scalar(noise, "noise", Real, min_val=0)
    rng = as_random_state(random_state)
    order = rng.permutation(n_samples)
    shape, errors = np.empty((n_samples, 5)), np.empty((n_samples, 2, n_steps))
    for i in range(n_samples):  # sequence by sequence, since the published generator draws in this order
        shape[i] = rng.uniform(size=5)
        errors[i] = rng.normal(size=(2, n_steps))
    direction = np.where(np.arange(n_samples) >= n_samples / 2, 1.0, -1.0)
    radius = np.linspace(0.25 + 0.5 * shape[:, 0], 2.25 + 0.5 * shape[:, 1], n_steps, axis=1)  # (n, T)
    first, last = direction * np.pi * shape[:, 2], direction * np.pi * (shape[:, 3] + 4.0)
    angle = np.linspace(first, last, n_steps, axis=1)
    root = np.sqrt(2.0 ** (2.0 * shape[:, 4] - 1.0))[:, None]  # (n, 1)
    clean = np.stack([root * radius * np.cos(angle), radius * np.sin(angle) / root], axis=-1)
    X = clean + noise * errors.transpose(0, 2, 1)
    return (X[order], clean[order]) if return_clean else X[order]
