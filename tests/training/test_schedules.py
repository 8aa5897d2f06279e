"""Schedules: exact first value, last value and period, as scikit-learn's estimators."""

import math

import numpy as np
import pytest
from sklearn.base import clone

from skmm.training.schedules import (
    SCHEDULES,
    ConstantSchedule,
    CyclicalSchedule,
    LinearSchedule,
    SigmoidSchedule,
    one_cycle,
    warmup_end,
)

PROGRESS = np.linspace(0, 1, 401)


def values(schedule, progress=PROGRESS):
    return np.array([schedule(float(p)) for p in progress])


def example(name, start=0.25, stop=2.0):
    """A schedule of a name, from start to stop where it has these."""
    schedule = SCHEDULES[name]()
    known = schedule.get_params()
    return schedule.set_params(
        **{key: v for key, v in {"start": start, "stop": stop}.items() if key in known}
    )


@pytest.mark.parametrize("name", SCHEDULES)
class TestEverySchedule:
    @pytest.mark.parametrize(("start", "stop"), [(0.25, 2.0), (2.0, 0.25), (0.0, 1.0), (1.0, 1.0)])
    def test_first_and_last_value_are_exact(self, name, start, stop):
        schedule = example(name, start, stop)
        known = schedule.get_params()
        assert schedule(0.0) == (known.get("start", known.get("value")))
        assert schedule(1.0) == (known.get("stop", known.get("value")))
        assert schedule(1) == schedule(1.0)

    def test_values_are_finite_floats_between_the_ends(self, name):
        schedule = example(name)
        results = [schedule(p) for p in PROGRESS]
        assert all(type(result) is float for result in results)
        assert min(results) >= min(0.25, schedule(0.0))
        assert max(results) <= 2.0

    def test_is_a_function_of_progress_alone(self, name):
        schedule = example(name)
        forwards, backwards = values(schedule), values(schedule, PROGRESS[::-1])
        np.testing.assert_array_equal(forwards, backwards[::-1])

    def test_parameters_can_be_searched(self, name):
        schedule = example(name)
        parameters = schedule.get_params()
        copy = clone(schedule)
        assert copy is not schedule
        assert copy.get_params() == parameters
        first = "start" if "start" in parameters else "value"
        copy.set_params(**{first: 0.75})
        assert copy.get_params()[first] == 0.75
        assert copy(0.0) == 0.75
        assert schedule.get_params() == parameters

    def test_default_goes_from_nothing_to_the_whole(self, name):
        schedule = SCHEDULES[name]()
        assert schedule(1.0) == 1.0
        assert schedule(0.0) == (1.0 if name == "constant" else 0.0)


@pytest.mark.parametrize("cls", [LinearSchedule, SigmoidSchedule])
class TestWarmup:
    @pytest.mark.parametrize("warmup", [0.1, 0.5, 1.0])
    def test_reaches_stop_at_the_end_of_the_warmup(self, cls, warmup):
        schedule = cls(0.5, 1.5, warmup=warmup)
        assert schedule(warmup) == 1.5
        assert schedule(0.99 * warmup) < 1.5
        assert schedule(warmup / 2) == pytest.approx(1.0)
        rising = values(schedule, np.linspace(0, warmup, 50))
        assert (np.diff(rising) > 0).all()
        assert (values(schedule, np.linspace(warmup, 1, 50)) == 1.5).all()

    def test_no_warmup(self, cls):
        assert (values(cls(0.5, 1.5, warmup=0)) == 1.5).all()

    def test_falling(self, cls):
        falling = values(cls(2.0, 0.5, warmup=0.5))
        assert falling[0] == 2.0
        assert (np.diff(falling) <= 0).all()
        assert (falling[200:] == 0.5).all()


def test_constant():
    assert (values(ConstantSchedule(0.3)) == 0.3).all()
    assert type(ConstantSchedule(2)(0.5)) is float


def test_linear_is_straight():
    np.testing.assert_allclose(values(LinearSchedule(1.0, 3.0, warmup=0.8), [0.2, 0.4, 0.6]), [1.5, 2.0, 2.5])


def test_sigmoid_is_the_logistic_function_between_its_ends():
    """Scaled from its values at the ends, which are near 0 and 1 only, to 0 and 1."""
    schedule = SigmoidSchedule(0.0, 1.0, warmup=1.0, steepness=10.0)

    def logistic(p):
        return 1 / (1 + np.exp(-10.0 * (p - 0.5)))

    expected = (logistic(PROGRESS) - logistic(0)) / (logistic(1) - logistic(0))
    np.testing.assert_allclose(values(schedule), expected, atol=1e-12)
    nearly_straight = values(SigmoidSchedule(warmup=1.0, steepness=1e-3))
    np.testing.assert_allclose(nearly_straight, PROGRESS, atol=1e-6)


class TestCyclical:
    @pytest.mark.parametrize("n_cycles", [1, 2, 3, 4, 7, 10])
    def test_period(self, n_cycles):
        schedule = CyclicalSchedule(0.5, 2.0, n_cycles=n_cycles, rise=0.4)
        within = np.linspace(0.01, 0.99, 50)
        first = values(schedule, within / n_cycles)
        for cycle in range(n_cycles):
            np.testing.assert_allclose(values(schedule, (cycle + within) / n_cycles), first)
        expected = np.where(within < 0.4, 0.5 + 1.5 * within / 0.4, 2.0)
        np.testing.assert_allclose(first, expected)

    @pytest.mark.parametrize("n_cycles", [1, 2, 4, 8])
    def test_every_cycle_begins_at_start_and_the_last_ends_at_stop(self, n_cycles):
        schedule = CyclicalSchedule(0.5, 2.0, n_cycles=n_cycles, rise=1.0)
        assert (values(schedule, np.arange(n_cycles) / n_cycles) == 0.5).all()
        assert schedule(1.0) == 2.0
        assert schedule(1 - 1e-6) == pytest.approx(2.0, abs=1e-4)

    def test_no_rise(self):
        assert (values(CyclicalSchedule(0.5, 2.0, rise=0)) == 2.0).all()


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (ConstantSchedule(0.1), 0.0),
        (LinearSchedule(warmup=0.5), 0.5),
        (LinearSchedule(warmup=1.0), 1.0),
        (LinearSchedule(warmup=0.0), 0.0),
        (LinearSchedule(2.0, 1.0, warmup=0.5), 0.0),  # falling: it never asks for more than at first
        (SigmoidSchedule(warmup=0.25), 0.25),
        (CyclicalSchedule(n_cycles=4, rise=0.4), 0.1),
        (lambda progress: math.sin(math.pi * progress), 0.5),
        (lambda progress: 3, 0.0),
    ],
)
def test_warmup_ends_where_the_largest_value_is_first_reached(schedule, expected):
    assert warmup_end(schedule) == pytest.approx(expected, abs=2e-3)


class TestOneCycle:
    def test_landmarks(self):
        assert one_cycle(0.0) == pytest.approx(1 / 25)
        assert one_cycle(0.2) == 1.0
        assert one_cycle(1.0) == pytest.approx(1e-3)
        assert one_cycle(0.1) == pytest.approx((1 + 1 / 25) / 2)
        assert one_cycle(0.6) == pytest.approx((1 + 1e-3) / 2)

    def test_goes_up_then_down(self):
        rates = values(one_cycle)
        peak = rates.argmax()
        assert PROGRESS[peak] == pytest.approx(0.2)
        assert (np.diff(rates[: peak + 1]) > 0).all()
        assert (np.diff(rates[peak:]) < 0).all()

    def test_without_warmup(self):
        assert one_cycle(0.0, warmup=0.0) == 1.0
