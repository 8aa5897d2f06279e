"""Recordings of a watch on the wrist: an accelerometer and a gyroscope."""

from __future__ import annotations

import os
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from sklearn.utils import Bunch, check_scalar

from skmm._torch import RandomStateLike, as_random_state
from skmm.datasets.archives import read_archive

MOTION_MODALITIES = {"accelerometer": slice(0, 3), "gyroscope": slice(3, 6)}
"""Features of each modality of :func:`make_motions` and :func:`load_basic_motions`."""

_DESCR_LOADED = """\
BasicMotions: 80 recordings of a smart watch, 10 seconds at 10 Hz, of an accelerometer and a gyroscope with
three axes each. The target is the activity: standing, running, walking or badminton.

Origin: UEA archive (Bagnall et al. 2018), https://www.timeseriesclassification.com, with the official split.
Licence: the origin states none. Units are not stated either; they look like m/s2 and rad/s.
"""

_DESCR_MADE = """\
Made recordings of a watch on the wrist, at 10 Hz, of an accelerometer (m/s2) and a gyroscope (rad/s) with
three axes each. The target is the activity: standing, running, walking or badminton. See make_motions.
"""

_RATE = 10.0  # steps per second
_FOREARM = np.array([-0.18, 0.17, 0.08])  # from the elbow to the watch, in metres and in the watch's axes


class _Gait(NamedTuple):
    """The arm swings with the legs."""

    frequency: tuple[float, float]  # swings per second: one in two steps
    turning: tuple[float, float, float]  # rad/s, root of the mean square of each axis
    impact: tuple[float, float, float]  # m/s2, at every step

    def turn(self, n_steps: int, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Angular velocity and impacts of one gait, (n_steps, 3) each."""
        frequency = rng.uniform(*self.frequency) * (1.0 + rng.normal(0.0, 0.05, size=n_steps))
        phase = rng.uniform(0.0, 2.0 * np.pi) + 2.0 * np.pi * frequency.cumsum() / _RATE
        # x and z turn together and y against them, as in BasicMotions
        swing = np.array([1.0, -1.0, 1.0]) * np.stack(
            [np.cos(phase - lag) + 0.3 * np.cos(2.0 * phase) for lag in (0.4, 0.8, 0.0)], axis=-1
        )
        turning = np.sqrt(2.0) * np.array(self.turning) * swing
        # a peak at both ends of the swing, when the foot comes down, less its mean
        peak = np.exp(3.0 * (np.cos(2.0 * phase - 1.0) - 1.0))
        return turning, np.array(self.impact) * (peak - 0.24)[:, None]


class _Strokes(NamedTuple):
    """The arm turns now and then, at random."""

    rate: float  # per second
    turning: tuple[float, float, float]  # rad/s, how quickly about each axis at the height of a stroke
    seconds: tuple[float, float]  # how long a stroke takes, one standard deviation of its bell

    def turn(self, n_steps: int, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Angular velocity of strokes at random times, and no impacts, (n_steps, 3) each."""
        margin = 1.0  # seconds before and after, whose strokes reach into the recording
        duration = n_steps / _RATE + 2.0 * margin
        # at least one, or a recording of somebody who stands would hold nothing
        n_strokes = max(1, rng.poisson(self.rate * duration))
        centre = rng.uniform(-margin, duration - margin, size=n_strokes)
        width = rng.uniform(*self.seconds, size=n_strokes)
        height = np.array(self.turning) * rng.normal(size=(n_strokes, 3))
        time = np.arange(n_steps)[:, None] / _RATE
        bells = np.exp(-0.5 * ((time - centre) / width) ** 2)  # (n_steps, n_strokes)
        turning = bells @ height
        return turning, np.zeros_like(turning)


# in the order of the targets of BasicMotions, and about as strong as there
_ACTIVITIES: dict[str, _Gait | _Strokes] = {
    "Standing": _Strokes(rate=0.4, turning=(0.9, 0.4, 1.0), seconds=(0.15, 0.4)),
    "Running": _Gait(frequency=(1.0, 1.25), turning=(1.8, 1.6, 5.2), impact=(4.0, 9.0, 3.0)),
    "Walking": _Gait(frequency=(0.65, 0.85), turning=(0.8, 0.4, 1.4), impact=(0.7, 4.0, 1.0)),
    "Badminton": _Strokes(rate=1.6, turning=(4.0, 3.3, 5.0), seconds=(0.1, 0.25)),
}


def load_basic_motions(path: str | os.PathLike[str]) -> Bunch:
    """Load BasicMotions: recordings of a smart watch, an accelerometer and a gyroscope.

    The recordings are those of [1]_.

    Nothing is downloaded, and the data do not come with the library: see the notes for the file.

    Parameters
    ----------
    path : str or path-like
        The folder that holds ``basic_motions.npz``, or the file itself.

    Returns
    -------
    Bunch
        With attributes

        data : ndarray of shape (80, 100, 6)
            Recordings of 10 seconds at 10 Hz: x, y and z of the accelerometer, then of the gyroscope.
        modalities : dict
            The features of "accelerometer" and "gyroscope", which is ``MOTION_MODALITIES``.
        target : int ndarray of shape (80,)
            The activity: position in ``target_names``.
        target_names : ndarray of shape (4,)
            Standing, Running, Walking and Badminton.
        train_idx, test_idx : int ndarrays of shape (40,)
            The official split: positions in ``data``.
        DESCR : str
            Origin and licence, as far as known.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no archive, or lacks an array.

    See Also
    --------
    make_motions : Similar recordings without a file.

    Notes
    -----
    The file is a NumPy archive (:func:`numpy.savez`) of

    - ``accel`` and ``gyro``, of shape (n_recordings, n_steps, 3);
    - ``label``, of shape (n_recordings,), and ``label_names``;
    - ``train_idx`` and ``test_idx``.

    References
    ----------
    .. [1] Bagnall et al. (2018), "The UEA Multivariate Time Series Classification Archive, 2018",
       arXiv:1811.00075.

    Examples
    --------
    >>> from skmm.datasets import load_basic_motions
    >>> motions = load_basic_motions("data")  # doctest: +SKIP
    >>> train = motions.data[motions.train_idx]  # doctest: +SKIP
    """
    arrays = read_archive(
        path,
        "basic_motions.npz",
        ["accel", "gyro", "label", "label_names", "train_idx", "test_idx"],
        instead="make_motions draws similar recordings without a file.",
    )
    return Bunch(
        data=np.concatenate([arrays["accel"], arrays["gyro"]], axis=-1).astype(np.float64),
        modalities=dict(MOTION_MODALITIES),
        target=arrays["label"].astype(np.int64),
        target_names=arrays["label_names"],
        train_idx=arrays["train_idx"].astype(np.int64),
        test_idx=arrays["test_idx"].astype(np.int64),
        DESCR=_DESCR_LOADED,
    )


def make_motions(
    n_samples: int = 80,
    n_steps: int = 100,
    *,
    noise: float = 0.1,
    return_X_y: bool = True,
    random_state: RandomStateLike = None,
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Draw recordings of a watch on the wrist: an accelerometer and a gyroscope, during four activities.

    They have the shape, the units and about the size of BasicMotions (:func:`load_basic_motions`).

    Parameters
    ----------
    n_samples : int, default=80
        Number of recordings.
    n_steps : int, default=100
        Number of time steps of each, at 10 Hz.
    noise : float, default=0.1
        Standard deviation of the normal noise on every value: in m/s² and in rad/s.
    return_X_y : bool, default=True
        Whether to return ``(X, y)`` instead of a Bunch like that of :func:`load_basic_motions`.
    random_state : int, RandomState instance or None, default=None
        An int gives the same data on every call; None gives new data.

    Returns
    -------
    X : ndarray of shape (n_samples, n_steps, 6)
        x, y and z of the accelerometer, then of the gyroscope; ``MOTION_MODALITIES`` names them.
    y : int ndarray of shape (n_samples,)
        The activity: 0 standing, 1 running, 2 walking, 3 badminton, in turns, so that every stretch of the
        recordings has about as many of each.
    Bunch
        Instead of these, unless ``return_X_y``, with ``data``, ``modalities``, ``target``,
        ``target_names``, ``train_idx`` (the first half), ``test_idx`` and ``DESCR``.

    See Also
    --------
    load_basic_motions : Real recordings.

    Notes
    -----
    The forearm turns about the elbow. With its angular velocity ω, which is what the gyroscope shows, and
    the way r from the elbow to the watch, the accelerometer shows [1]_

    a = dω/dt × r + ω × (ω × r) + i,

    with the impact i of the steps, and both show noise. ω and i differ between the activities:

    - running and walking: every axis of ω swings with the same phase, with a share of the second harmonic,
      and there are two impacts per swing. A recording has its own frequency, strength and first phase; the
      frequency strays a little.
    - badminton and standing: ω is a sum of bells at random times, about random axes: strong and frequent
      ones, or weak and rare ones. There are no impacts.

    The mean squared error per value of predicting one sensor from the other cannot be below ``noise ** 2``.
    It takes the dynamics to come near it, since the accelerometer shows how ω changes.

    References
    ----------
    .. [1] Acceleration of a point of a rigid body; for example Goldstein, Poole and Safko (2002),
       "Classical Mechanics", sec. 4.10.

    Examples
    --------
    >>> from skmm.datasets import MOTION_MODALITIES, make_motions
    >>> X, y = make_motions(random_state=0)
    >>> X.shape, y[:6].tolist()
    ((80, 100, 6), [0, 1, 2, 3, 0, 1])
    >>> X[:, :, MOTION_MODALITIES["gyroscope"]].shape
    (80, 100, 3)
    """
    check_scalar(n_samples, "n_samples", Integral, min_val=1)
    check_scalar(n_steps, "n_steps", Integral, min_val=1)
    check_scalar(noise, "noise", Real, min_val=0)
    rng = as_random_state(random_state)
    activities = list(_ACTIVITIES.values())
    y = np.arange(n_samples) % len(activities)
    clean = np.stack([_recording(activities[label], n_steps, rng) for label in y])
    X = clean + rng.normal(0.0, noise, size=clean.shape)
    if return_X_y:
        return X, y
    return Bunch(
        data=X,
        modalities=dict(MOTION_MODALITIES),
        target=y,
        target_names=np.array(list(_ACTIVITIES)),
        train_idx=np.arange(n_samples // 2),
        test_idx=np.arange(n_samples // 2, n_samples),
        DESCR=_DESCR_MADE,
    )


def _recording(activity: _Gait | _Strokes, n_steps: int, rng: np.random.RandomState) -> np.ndarray:
    """One recording without its noise, (n_steps, 6)."""
    # one step more on both sides: every change is a central difference
    n_drawn = n_steps + 2
    strength = rng.lognormal(0.0, 0.15)
    turning, impact = activity.turn(n_drawn, rng)
    turning, impact = strength * turning, strength * impact
    change = (turning[2:] - turning[:-2]) * (_RATE / 2.0)
    turning, impact = turning[1:-1], impact[1:-1]
    acceleration = np.cross(change, _FOREARM) + np.cross(turning, np.cross(turning, _FOREARM)) + impact
    return np.concatenate([acceleration, turning], axis=-1)
