"""Air quality at a roadside: an analyser, cheap sensors and the weather, with gaps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, check_scalar

from skmm._torch import RandomStateLike, as_random_state
from skmm.datasets.archives import read_archive

_DESCR = """\
UCI Air Quality: hourly averages at road level in an Italian town, March 2004 to April 2005, in three
modalities: a reference analyser (CO in mg/m3, non-methane hydrocarbons in ug/m3, benzene in ug/m3, NOx in
ppb, NO2 in ug/m3), five cheap metal oxide sensors (their responses, named by what they were meant for), and
the weather (temperature in degrees C, relative humidity in %, absolute humidity). Gaps are those of the
instruments.

Origin: De Vito et al. (2008), https://archive.ics.uci.edu/dataset/360/air+quality.
Licence: CC BY 4.0 is what the UCI repository gives by default; the donors ask for use in research only. Both
are not confirmed. The split, the first 70 % of the hours and the rest, is no part of the origin.
"""

_START = pd.Timestamp("2004-03-10 18:00")  # the first hour of UCI Air Quality
_FEATURES = {
    "analyser": ["CO_GT", "NMHC_GT", "C6H6_GT", "NOx_GT", "NO2_GT"],
    "sensor": ["PT08_S1_CO", "PT08_S2_NMHC", "PT08_S3_NOx", "PT08_S4_NO2", "PT08_S5_O3"],
    "weather": ["T", "RH", "AH"],
}

# traffic by hour of the day and by day of the week, over its mean
_HOURS = np.array(
    [
        *(0.80, 0.65, 0.50, 0.40, 0.35, 0.35, 0.45, 0.90, 1.35, 1.40, 1.20, 1.10),
        *(1.05, 1.05, 1.00, 0.95, 1.05, 1.30, 1.55, 1.70, 1.60, 1.20, 0.95, 0.90),
    ]
)
_DAYS = np.array([0.95, 1.08, 1.10, 1.12, 1.15, 0.90, 0.70])


def load_air_quality(path: str | os.PathLike[str]) -> Bunch:
    """Load UCI Air Quality: one long hourly record of an analyser, cheap sensors and the weather.

    The record is that of [1]_.

    Nothing is downloaded, and the data do not come with the library: see the notes for the file.

    Parameters
    ----------
    path : str or path-like
        The folder that holds ``air_quality.npz``, or the file itself.

    Returns
    -------
    Bunch
        With attributes

        data : DataFrame of shape (9357, 13)
            One row per hour, with a DatetimeIndex, and columns ("analyser", "CO_GT") to ("weather", "AH").
            NaN where an instrument gave nothing: 4 % of most columns, 18 % of the analyser's CO, NOx and
            NO2, 90 % of its hydrocarbons.
        train_idx, test_idx : int ndarrays of shape (6549,) and (2808,)
            Positions of the first 70 % of the rows, and of the rest.
        DESCR : str
            Origin, units and licence, as far as known.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no archive, or lacks an array.

    See Also
    --------
    make_air_quality : A similar record without a file.

    Notes
    -----
    The file is a NumPy archive (:func:`numpy.savez`) of

    - ``analyser``, ``sensor`` and ``weather``, of shape (n_hours, n_features), with NaN for gaps;
    - ``analyser_names``, ``sensor_names`` and ``weather_names``, the names of their features;
    - ``time_start``, the first hour, as in "2004-03-10 18:00:00";
    - ``train_idx`` and ``test_idx``.

    References
    ----------
    .. [1] De Vito, Massera, Piga, Martinotto and Di Francia (2008), "On Field Calibration of an Electronic
       Nose for Benzene Estimation in an Urban Pollution Monitoring Scenario", Sensors and Actuators B 129.

    Examples
    --------
    >>> from skmm.datasets import load_air_quality
    >>> air = load_air_quality("data")  # doctest: +SKIP
    >>> train = air.data.iloc[air.train_idx]  # doctest: +SKIP
    """
    arrays = read_archive(
        path,
        "air_quality.npz",
        [*_FEATURES, *(f"{name}_names" for name in _FEATURES), "time_start", "train_idx", "test_idx"],
        instead="make_air_quality draws a similar record without a file.",
    )
    features = {modality: arrays[f"{modality}_names"].tolist() for modality in _FEATURES}
    values = np.concatenate([arrays[modality] for modality in _FEATURES], axis=1).astype(np.float64)
    return Bunch(
        data=_frame(values, features, pd.Timestamp(str(arrays["time_start"]))),
        train_idx=arrays["train_idx"].astype(np.int64),
        test_idx=arrays["test_idx"].astype(np.int64),
        DESCR=_DESCR,
    )


def make_air_quality(
    n_hours: int = 24 * 7 * 20,
    *,
    gaps: bool = True,
    return_complete: bool = False,
    random_state: RandomStateLike = None,
) -> pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame]:
    """Draw an hourly record of air quality: an analyser, cheap sensors and the weather, with gaps.

    Columns, units, sizes and gaps are about those of UCI Air Quality (:func:`load_air_quality`), so that
    either can stand for the other.

    Parameters
    ----------
    n_hours : int, default=3360
        Number of rows; the default are 20 weeks.
    gaps : bool, default=True
        Whether the instruments fail now and then.
    return_complete : bool, default=False
        Whether to return the record without gaps as well.
    random_state : int, RandomState instance or None, default=None
        An int gives the same data on every call; None gives new data.

    Returns
    -------
    X : DataFrame of shape (n_hours, 13)
        One row per hour from 10 March 2004, 18:00, with a DatetimeIndex, and columns ("analyser", "CO_GT")
        to ("weather", "AH"). Gaps are NaN.
    complete : DataFrame of shape (n_hours, 13)
        The same without gaps, if ``return_complete``.

    See Also
    --------
    load_air_quality : The real record.

    Notes
    -----
    - Weather: the temperature is the sum of the year's cycle, the day's cycle and slow noise (a first-order
      autoregression over four days); the humidity follows its own slow noise and the temperature.
    - Analyser: pollution is the traffic, which has cycles over the day and the week, over the ventilation,
      which varies slowly and is better in summer and at noon. The pollutants are powers of it, with
      autoregressive noise of their own; NO₂ saturates with NOx.
    - Sensors: each is a nonlinear function of two pollutants and of the humidity or the temperature, times
      a drift (a random walk, about 5 % after half a year) and noise of 3 %. That of NOx falls where
      pollution rises.
    - Gaps: the station fails (sensors, weather and benzene together, 4 % of the hours), or an analyser does
      (CO; NOx and NO₂ together), for hours to days; NOx and NO₂ lack most nights' fourth hour, and CO some
      nights' fifth, as if for calibration; single cells of the analysers fail; the analyser of
      hydrocarbons is taken away after a tenth of the record. None of this depends on the values.

    Examples
    --------
    >>> from skmm.datasets import make_air_quality
    >>> X = make_air_quality(24 * 7, random_state=0)
    >>> X.shape, X.columns.unique("modality").tolist()
    ((168, 13), ['analyser', 'sensor', 'weather'])
    >>> X.index[-1]
    Timestamp('2004-03-17 17:00:00')
    """
    check_scalar(n_hours, "n_hours", Integral, min_val=1)
    rng = as_random_state(random_state)
    time = pd.date_range(_START, periods=n_hours, freq=pd.offsets.Hour())
    weather, summer = _weather(time, rng)
    pollutants = _pollutants(time, summer, rng)
    sensors = _sensors(pollutants, weather, rng)
    complete = _frame(np.concatenate([pollutants, sensors, weather], axis=1), _FEATURES, _START)
    X = complete.mask(_failures(time, rng)) if gaps else complete.copy()
    return (X, complete) if return_complete else X


def _frame(values: np.ndarray, features: dict[str, list[str]], start: pd.Timestamp) -> pd.DataFrame:
    columns = pd.MultiIndex.from_tuples(
        [(modality, name) for modality, names in features.items() for name in names],
        names=["modality", "feature"],
    )
    time = pd.date_range(start, periods=len(values), freq=pd.offsets.Hour(), name="time")
    return pd.DataFrame(values, index=time, columns=columns)


def _slow_noise(n_hours: int, hours: Sequence[float], rng: np.random.RandomState) -> np.ndarray:
    """Stationary autoregressions of unit variance, (n_hours, K), forgotten in so many hours."""
    keep = np.exp(-1.0 / np.asarray(hours))
    noise = rng.normal(size=(n_hours, len(keep)))
    noise[1:] *= np.sqrt(1.0 - keep**2)
    for t in range(1, n_hours):
        noise[t] += keep * noise[t - 1]
    return noise


def _weather(time: pd.DatetimeIndex, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Temperature, relative and absolute humidity, (n_hours, 3), and how much it is summer, from -1 to 1."""
    hour = time.hour.to_numpy()
    summer = np.cos(2.0 * np.pi * (time.day_of_year.to_numpy() - 205) / 365.25)
    spell, damp = _slow_noise(len(time), [96.0, 48.0], rng).T
    afternoon = np.cos(2.0 * np.pi * (hour - 15) / 24.0)
    temperature = 18.0 + 10.0 * summer + (4.0 + 1.5 * summer) * afternoon + 2.8 * spell
    saturation = 0.6112 * np.exp(17.62 * temperature / (243.12 + temperature))  # kPa, over water (Magnus)
    vapour = 0.98 * np.exp(0.42 * summer + 0.25 * damp + 0.1 * spell)
    humidity = np.clip(100.0 * vapour / saturation, 9.0, 92.0)
    return np.stack([temperature, humidity, saturation * humidity / 100.0], axis=1), summer


def _pollutants(time: pd.DatetimeIndex, summer: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """What a perfect analyser shows: CO, hydrocarbons, benzene, NOx, NO2, (n_hours, 5)."""
    hour = time.hour.to_numpy()
    stagnation, crowd, *own = _slow_noise(len(time), [30.0, 5.0, 4.0, 4.0, 4.0, 8.0, 8.0], rng).T
    co, hydrocarbons, benzene, nox, no2 = own
    noon = np.cos(2.0 * np.pi * (hour - 14) / 24.0)
    traffic = np.log(_HOURS[hour] * _DAYS[time.day_of_week.to_numpy()]) + 0.2 * crowd
    pollution = traffic + 0.38 * stagnation - 0.08 * summer - 0.06 * noon  # logarithms
    logarithms = [
        0.70 + 0.95 * pollution + 0.14 * co,
        5.15 + 1.25 * pollution + 0.20 * hydrocarbons,
        2.18 + 1.10 * pollution + 0.15 * summer + 0.13 * benzene,
        5.25 + 1.05 * pollution - 0.55 * summer + 0.22 * nox,
    ]
    amounts = np.exp(logarithms)
    saturating = 260.0 * amounts[3] / (amounts[3] + 230.0) * np.exp(0.15 * no2)
    return np.stack([*amounts, saturating], axis=1)


def _sensors(pollutants: np.ndarray, weather: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Responses of the five cheap sensors, (n_hours, 5)."""
    co, _, benzene, nox, no2 = pollutants.T
    temperature, _, vapour = weather.T
    clean = np.stack(
        [
            560.0 + 250.0 * np.sqrt(co) + 9.0 * benzene + 90.0 * vapour,
            340.0 + 150.0 * benzene**0.6 + 2.0 * temperature,
            2150.0 / (0.7 + 0.036 * nox**0.65 + 0.08 * benzene**0.9 + 0.4 * vapour),
            300.0 + 160.0 * np.sqrt(benzene) + 680.0 * vapour**0.8 + 0.4 * no2,
            50.0 + 250.0 * np.sqrt(co) + 25.0 * np.sqrt(nox) + 22.0 * benzene - 3.0 * temperature,
        ],
        axis=1,
    )
    drift = 0.05 * rng.normal(size=clean.shape).cumsum(axis=0) / np.sqrt(24 * 182)
    return clean * np.exp(drift + 0.03 * rng.normal(size=clean.shape))


def _failures(time: pd.DatetimeIndex, rng: np.random.RandomState) -> np.ndarray:
    """Where an instrument gives nothing, (n_hours, 13)."""
    n_hours, hour = len(time), time.hour.to_numpy()
    station = _off(n_hours, every=600.0, typical=12.0, rng=rng)
    co, nox = _off(n_hours, 330.0, 28.0, rng), _off(n_hours, 440.0, 40.0, rng)
    co |= (hour == 4) & (rng.uniform(size=n_hours) < 0.4)
    nox |= (hour == 3) & (rng.uniform(size=n_hours) < 0.9)
    lost = np.repeat(station[:, None], 13, axis=1)
    removed = np.arange(n_hours) >= n_hours / 10
    lost[:, :5] = np.stack([co, removed, station, nox, nox], axis=1)
    lost[:, :5] |= rng.uniform(size=(n_hours, 5)) < 0.003
    return lost


def _off(n_hours: int, every: float, typical: float, rng: np.random.RandomState) -> np.ndarray:
    """When an instrument is off: about once in ``every`` hours, for ``typical`` hours or much longer."""
    off = np.zeros(n_hours, dtype=bool)
    for start in np.flatnonzero(rng.uniform(size=n_hours) < 1.0 / every):
        off[start : start + 1 + int(typical * rng.lognormal(0.0, 0.9))] = True
    return off
