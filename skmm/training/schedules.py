"""Schedules: closed-form functions of training progress, from 0 at the first step to 1 at the last.

A schedule is an estimator in scikit-learn's sense, so that its own parameters can be searched
(``beta__n_cycles``), or any function of the progress. To add one, write such a class here and name it in
``SCHEDULES``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

Schedule = Callable[[float], float]


class ConstantSchedule(BaseEstimator):
    """The same value all the time.

    Parameters
    ----------
    value : float, default=1.0
    """

    def __init__(self, value: float = 1.0) -> None:
        self.value = value

    def __call__(self, progress: float) -> float:
        """Value at a progress in [0, 1]."""
        return float(self.value)


class LinearSchedule(BaseEstimator):
    """A straight line up (or down), then constant.

    Parameters
    ----------
    start, stop : float, default=0.0 and 1.0
        First and last value.
    warmup : float, default=0.5
        Share of the training after which ``stop`` is reached; 0 for at once.

    Examples
    --------
    >>> from skmm import LinearSchedule
    >>> [LinearSchedule(warmup=0.5)(progress) for progress in (0, 0.25, 0.5, 1)]
    [0.0, 0.5, 1.0, 1.0]
    """

    def __init__(self, start: float = 0.0, stop: float = 1.0, warmup: float = 0.5) -> None:
        self.start = start
        self.stop = stop
        self.warmup = warmup

    def __call__(self, progress: float) -> float:
        """Value at a progress in [0, 1]."""
        done = 1.0 if progress >= self.warmup else progress / self.warmup
        return float(self.start + (self.stop - self.start) * done)


class CyclicalSchedule(BaseEstimator):
    """A rise and a plateau, again and again.

    Every cycle takes the same share of the training, starts at ``start``, rises in a straight line and
    stays at ``stop``, which is also the very last value.

    Parameters
    ----------
    start, stop : float, default=0.0 and 1.0
        First and last value of each cycle.
    n_cycles : int, default=4
    rise : float, default=0.5
        Share of a cycle after which ``stop`` is reached; 0 for at once.

    References
    ----------
    .. [1] Fu et al. (2019), "Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing",
       eq. 6.

    Examples
    --------
    >>> from skmm import CyclicalSchedule
    >>> schedule = CyclicalSchedule(n_cycles=2, rise=0.5)
    >>> [schedule(progress) for progress in (0, 0.125, 0.25, 0.375, 0.5, 1)]
    [0.0, 0.5, 1.0, 1.0, 0.0, 1.0]
    """

    def __init__(self, start: float = 0.0, stop: float = 1.0, n_cycles: int = 4, rise: float = 0.5) -> None:
        self.start = start
        self.stop = stop
        self.n_cycles = n_cycles
        self.rise = rise

    def __call__(self, progress: float) -> float:
        """Value at a progress in [0, 1]."""
        if not isinstance(self.n_cycles, numbers.Integral) or self.n_cycles < 1:
            raise ValueError(
                f"n_cycles of the schedule must be a positive whole number, got {self.n_cycles!r}."
            )
        within = progress * int(self.n_cycles) % 1.0
        if progress >= 1 or within >= self.rise:
            return float(self.stop)
        return float(self.start + (self.stop - self.start) * within / self.rise)


class SigmoidSchedule(BaseEstimator):
    """A smooth step, scaled so that it starts and ends exactly where it should.

    Parameters
    ----------
    start, stop : float, default=0.0 and 1.0
        First and last value.
    warmup : float, default=0.5
        Share of the training after which ``stop`` is reached; 0 for at once.
    steepness : float, default=10.0
        Slope of the logistic function at its middle, in units of the warm-up; near 0 a straight line.
    """

    def __init__(
        self, start: float = 0.0, stop: float = 1.0, warmup: float = 0.5, steepness: float = 10.0
    ) -> None:
        self.start = start
        self.stop = stop
        self.warmup = warmup
        self.steepness = steepness

    def __call__(self, progress: float) -> float:
        """Value at a progress in [0, 1]."""
        if progress >= self.warmup:
            return float(self.stop)
        # tanh is the logistic function about its middle: exact ends after dividing by its value there
        half = self.steepness / 4
        done = 0.5 + 0.5 * math.tanh(half * (2 * progress / self.warmup - 1)) / math.tanh(half)
        return float(self.start + (self.stop - self.start) * done)


SCHEDULES: dict[str, Callable[[], Any]] = {
    "constant": ConstantSchedule,
    "linear": LinearSchedule,
    "cyclical": CyclicalSchedule,
    "sigmoid": SigmoidSchedule,
}


def warmup_end(schedule: Schedule) -> float:
    """Progress at which a schedule first reaches its largest value: no model is chosen before it."""
    progress = np.linspace(0, 1, 1001)
    values = np.array([schedule(float(p)) for p in progress])
    return float(progress[np.argmax(values >= values.max() - 1e-9)])


def one_cycle(progress: float, *, warmup: float = 0.2, first: float = 1 / 25, last: float = 1e-3) -> float:
    """Learning rate as a share of its peak: a cosine up from ``first``, then a cosine down to ``last``.

    References
    ----------
    .. [1] Smith and Topin (2018), "Super-Convergence: Very Fast Training of Neural Networks Using Large
       Learning Rates".
    """
    if progress < warmup:
        return first + (1 - first) * (1 - math.cos(math.pi * progress / warmup)) / 2
    done = (progress - warmup) / (1 - warmup)
    return last + (1 - last) * (1 + math.cos(math.pi * done)) / 2
