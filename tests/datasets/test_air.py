"""Made air quality: cycles, the laws between the modalities, and the gaps."""

import numpy as np
import pandas as pd
import pytest

from skmm.datasets import make_air_quality

NAMES = {
    "analyser": ["CO_GT", "NMHC_GT", "C6H6_GT", "NOx_GT", "NO2_GT"],
    "sensor": ["PT08_S1_CO", "PT08_S2_NMHC", "PT08_S3_NOx", "PT08_S4_NO2", "PT08_S5_O3"],
    "weather": ["T", "RH", "AH"],
}


@pytest.fixture(scope="module")
def year():
    """A year, and the same without gaps."""
    return make_air_quality(24 * 365, return_complete=True, random_state=0)


def test_form():
    X = make_air_quality(random_state=0)
    assert X.shape == (24 * 7 * 20, 13)
    assert {name: X[name].columns.tolist() for name in X.columns.unique(0)} == NAMES
    assert X.columns.names == ["modality", "feature"]
    expected = pd.date_range("2004-03-10 18:00", periods=len(X), freq=pd.Timedelta(hours=1), name="time")
    pd.testing.assert_index_equal(X.index, expected)
    assert (X.dtypes == np.float64).all()


def test_gaps_only_remove_cells(year):
    X, complete = year
    assert not complete.isna().any(axis=None)
    pd.testing.assert_frame_equal(X, complete.where(X.notna()))
    whole = make_air_quality(24 * 365, gaps=False, random_state=0)
    pd.testing.assert_frame_equal(whole, complete)


def test_values_are_possible(year):
    _, complete = year
    assert (complete[["analyser", "sensor"]] > 0).all(axis=None)
    assert complete["weather", "RH"].between(0, 100).all()
    assert complete["weather", "T"].between(-15, 50).all()


def test_sizes_are_about_those_of_the_real_record(year):
    """Means and standard deviations of UCI Air Quality, over the year, to a factor of 1.5."""
    _, complete = year
    mean = [2.15, 219, 10.1, 247, 113, 1100, 939, 835, 1456, 1023, 18.3, 49.2, 1.03]
    deviation = [1.45, 204, 7.45, 213, 48.4, 217, 267, 257, 346, 398, 8.83, 17.3, 0.403]
    for ratio in (complete.mean() / mean, complete.std() / deviation):
        assert 1 / 1.5 < ratio.min()
        assert ratio.max() < 1.5


def test_cycles_of_the_day_and_the_week(year):
    _, complete = year
    co, temperature = complete["analyser", "CO_GT"], complete["weather", "T"]
    by_hour = co.groupby(co.index.hour).mean()
    assert by_hour[[8, 9, 18, 19]].min() > 2 * by_hour[[3, 4, 5]].max()
    by_day = co.groupby(co.index.day_of_week).mean()
    assert by_day.idxmin() == 6
    assert temperature.groupby(temperature.index.hour).mean().idxmax() in (14, 15, 16)
    assert temperature.groupby(temperature.index.month).mean().idxmax() in (6, 7, 8)


def test_weather_is_slow(year):
    _, complete = year
    assert complete["weather", "T"].autocorr(1) > 0.98
    assert complete["weather", "T"].autocorr(24) > 0.9


def test_humidities_are_tied_by_the_temperature(year):
    """Magnus' formula: the vapour pressure over water, in kPa."""
    weather = year[1]["weather"]
    saturation = 0.6112 * np.exp(17.62 * weather["T"] / (243.12 + weather["T"]))
    np.testing.assert_allclose(weather["AH"], saturation * weather["RH"] / 100)


def test_sensors_follow_from_pollutants_and_weather_but_for_noise_and_drift(year):
    """The formulas written out: what is left in the logarithm is noise of 0.03 and a slow drift."""
    complete = year[1]
    co, benzene, nox, no2 = (complete["analyser", name] for name in ("CO_GT", "C6H6_GT", "NOx_GT", "NO2_GT"))
    temperature, vapour = complete["weather", "T"], complete["weather", "AH"]
    clean = np.stack(
        [
            560 + 250 * co**0.5 + 9 * benzene + 90 * vapour,
            340 + 150 * benzene**0.6 + 2 * temperature,
            2150 / (0.7 + 0.036 * nox**0.65 + 0.08 * benzene**0.9 + 0.4 * vapour),
            300 + 160 * benzene**0.5 + 680 * vapour**0.8 + 0.4 * no2,
            50 + 250 * co**0.5 + 25 * nox**0.5 + 22 * benzene - 3 * temperature,
        ],
        axis=1,
    )
    left = np.log(complete["sensor"].to_numpy() / clean)
    np.testing.assert_allclose(np.diff(left, axis=0).std(axis=0), 0.03 * np.sqrt(2), rtol=0.05)
    weeks = len(left) // (24 * 7)
    drift = left[: weeks * 24 * 7].reshape(weeks, 24 * 7, 5).mean(axis=1)
    assert (drift.std(axis=0) > 0.005).all()
    assert (np.abs(np.diff(drift, axis=0)).max(axis=0) < 0.05).all()


def test_sensor_of_nox_falls_where_pollution_rises(year):
    correlation = year[1].corr()["analyser", "NOx_GT"]
    assert correlation["sensor", "PT08_S3_NOx"] < -0.5
    assert correlation["sensor", "PT08_S1_CO"] > 0.5


def lengths(missing):
    """Lengths of the stretches of True."""
    ends = np.flatnonzero(np.diff(np.r_[False, missing, False].astype(int)))
    return np.diff(ends)[::2]


def test_gaps_of_the_station(year):
    missing = year[0].isna()
    shared = missing[["sensor", "weather"]]
    assert shared.eq(shared.iloc[:, 0], axis=0).all(axis=None)
    station = shared.iloc[:, 0]
    assert 0.01 < station.mean() < 0.1
    assert missing.loc[station, ("analyser", "C6H6_GT")].all()
    assert 0.001 < missing.loc[~station, ("analyser", "C6H6_GT")].mean() < 0.006  # single cells
    assert lengths(station.to_numpy()).max() > 12


def test_gaps_of_the_analysers(year):
    missing = year[0].isna()["analyser"]
    hour = missing.index.hour
    assert missing["CO_GT"].mean() == pytest.approx(0.17, abs=0.08)
    assert missing["NOx_GT"].mean() == pytest.approx(0.18, abs=0.08)
    assert (missing["NOx_GT"] != missing["NO2_GT"]).mean() < 0.01
    assert missing.loc[hour == 3, "NOx_GT"].mean() > 0.85
    assert missing.loc[hour == 4, "CO_GT"].mean() > missing.loc[hour == 12, "CO_GT"].mean() + 0.2
    assert lengths(missing["CO_GT"].to_numpy()).max() > 48
    tenth = len(missing) // 10
    assert missing["NMHC_GT"].iloc[tenth:].all()
    assert missing["NMHC_GT"].iloc[:tenth].mean() < 0.02


def test_gaps_do_not_depend_on_the_values(year):
    """Missing completely at random, but for the hour: at noon, CO is the same where it is missing."""
    X, complete = year
    noon = complete.index.hour == 12
    co, gone = complete["analyser", "CO_GT"][noon], X["analyser", "CO_GT"][noon].isna()
    error = co.std() / np.sqrt(gone.sum() / 3)  # days in a row are alike
    assert abs(co[gone].mean() - co[~gone].mean()) < 3 * error
