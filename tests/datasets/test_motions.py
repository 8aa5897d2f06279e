"""Made recordings of a watch: the mechanics that tie the sensors together, and the four activities."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer

from skmm.datasets import MOTION_MODALITIES, make_motions

STANDING, RUNNING, WALKING, BADMINTON = range(4)


def split(X):
    return X[..., MOTION_MODALITIES["accelerometer"]], X[..., MOTION_MODALITIES["gyroscope"]]


def kinematics(turning):
    """Acceleration of the watch from its angular velocity, between the first and the last step."""
    arm = np.array([-0.18, 0.17, 0.08])
    change = (turning[:, 2:] - turning[:, :-2]) * 5.0  # a central difference at 10 Hz
    turning = turning[:, 1:-1]
    return np.cross(change, arm) + np.cross(turning, np.cross(turning, arm))


@pytest.mark.parametrize("activity", [STANDING, BADMINTON])
def test_accelerometer_follows_from_the_gyroscope(activity):
    X, y = make_motions(40, noise=0, random_state=0)
    acceleration, turning = split(X[y == activity])
    np.testing.assert_allclose(acceleration[:, 1:-1], kinematics(turning), atol=1e-9)


@pytest.mark.parametrize("activity", [RUNNING, WALKING])
def test_steps_add_impacts_along_one_direction(activity):
    """What the rotation does not explain is one curve over time, about twice as quick as the swing."""
    X, y = make_motions(40, noise=0, random_state=0)
    acceleration, turning = split(X[y == activity])
    impact = acceleration[:, 1:-1] - kinematics(turning)
    for recording, swing in zip(impact, turning, strict=True):
        singular = np.linalg.svd(recording, compute_uv=False)
        assert singular[1] < 1e-9 * singular[0]
        frequencies = [spectrum[1:].argmax() + 1 for spectrum in (power(recording[:, 1]), power(swing[:, 2]))]
        assert 1.8 < frequencies[0] / frequencies[1] < 2.2


def power(x):
    return np.abs(np.fft.rfft(x - x.mean())) ** 2


def test_noise_is_on_every_value():
    difference = make_motions(40, noise=0.5, random_state=0)[0] - make_motions(40, noise=0, random_state=0)[0]
    np.testing.assert_allclose(difference.std(axis=(0, 1)), 0.5, rtol=0.03)


def test_activities_come_in_turns():
    y = make_motions(10, 5, random_state=0)[1]
    np.testing.assert_array_equal(y, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1])
    assert y.dtype.kind == "i"


def test_activities_are_about_as_strong_as_in_basic_motions():
    """Standard deviations within the recordings of BasicMotions, to a factor of 1.5; standing is weaker."""
    X, y = make_motions(400, random_state=0)
    spread = np.array([X[y == activity].std(axis=1).mean(axis=0) for activity in range(4)])
    reference = np.array(
        [
            [10.75, 10.37, 3.17, 1.84, 1.65, 5.19],
            [1.33, 3.16, 0.92, 0.83, 0.43, 1.40],
            [6.75, 6.62, 5.41, 3.26, 2.77, 4.06],
        ]
    )
    ratio = spread[[RUNNING, WALKING, BADMINTON]] / reference
    ratio[1, 2] *= 1.5  # up and down while walking: the made one is weaker still
    assert 1 / 1.5 < ratio.min()
    assert ratio.max() < 1.5
    assert (spread[STANDING] < 0.5 * spread[WALKING]).all()


def test_recordings_differ_in_strength_frequency_and_phase():
    X, y = make_motions(200, 400, noise=0, random_state=0)
    swing = X[y == WALKING][..., 5]
    peak = np.array([power(x).argmax() for x in swing]) / 40  # hertz
    assert 0.6 < peak.min() < 0.7 < 0.8 < peak.max() < 0.9
    strength = np.log(swing.std(axis=1))
    np.testing.assert_allclose(strength.std(), 0.15, rtol=0.35)
    assert abs(np.mean(swing[:, 0] > 0) - 0.5) < 0.25


@pytest.mark.parametrize("sensor", MOTION_MODALITIES)
def test_either_sensor_tells_the_activity(sensor):
    X, y = make_motions(240, random_state=0)
    spectra = np.log(0.1 + np.abs(np.fft.rfft(X[..., MOTION_MODALITIES[sensor]], axis=1))).reshape(240, -1)
    classifier = KNeighborsClassifier().fit(spectra[:120], y[:120])
    assert classifier.score(spectra[120:], y[120:]) > 0.95


def test_bunch():
    X, y = make_motions(9, 20, random_state=0)
    bunch = make_motions(9, 20, return_X_y=False, random_state=0)
    np.testing.assert_array_equal(bunch.data, X)
    np.testing.assert_array_equal(bunch.target, y)
    assert bunch.target_names.tolist() == ["Standing", "Running", "Walking", "Badminton"]
    assert bunch.modalities == MOTION_MODALITIES
    np.testing.assert_array_equal(bunch.train_idx, [0, 1, 2, 3])
    np.testing.assert_array_equal(bunch.test_idx, [4, 5, 6, 7, 8])
    assert "activity" in bunch.DESCR


def test_motion_modalities_can_be_a_parameter():
    holder = clone(FunctionTransformer(kw_args={"modalities": MOTION_MODALITIES}))
    assert holder.kw_args["modalities"] == MOTION_MODALITIES
