"""What all generators of data share: the random state and the checks of their arguments."""

import numpy as np
import pytest

from skmm.datasets import (
    make_air_quality,
    make_elliptic_spirals,
    make_motions,
    make_quadratic_sinusoidal,
    make_spirals,
)

GENERATORS = [
    pytest.param(make_air_quality, "n_hours", id="air_quality"),
    pytest.param(make_elliptic_spirals, "n_samples", id="elliptic_spirals"),
    pytest.param(make_motions, "n_samples", id="motions"),
    pytest.param(make_quadratic_sinusoidal, "n_samples", id="quadratic_sinusoidal"),
    pytest.param(make_spirals, "n_samples", id="spirals"),
]


def draw(make, n, **arguments):
    drawn = make(n, **arguments)
    return np.asarray(drawn[0] if isinstance(drawn, tuple) else drawn)


@pytest.mark.parametrize(("make", "size"), GENERATORS)
class TestGenerators:
    def test_random_state(self, make, size):
        np.testing.assert_array_equal(draw(make, 20, random_state=0), draw(make, 20, random_state=0))
        assert not np.array_equal(draw(make, 20, random_state=0), draw(make, 20, random_state=1))
        rng = np.random.RandomState(0)
        first = draw(make, 20, random_state=rng)
        np.testing.assert_array_equal(first, draw(make, 20, random_state=0))
        assert not np.array_equal(first, draw(make, 20, random_state=rng))

    def test_no_random_state_gives_new_data(self, make, size):
        """Also after a seed of numpy's global generator, which is left alone."""
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(0)  # noqa: NPY002
        expected = np.random.RandomState(0).uniform()
        first, second = draw(make, 20), draw(make, 20)
        assert not np.array_equal(first, second)
        assert np.random.uniform() == expected  # noqa: NPY002
        np.random.set_state(state)  # noqa: NPY002

    def test_size(self, make, size):
        assert len(draw(make, 1)) == 1
        assert len(draw(make, 7)) == 7
        assert draw(make, 7).dtype == np.float64

    @pytest.mark.parametrize(
        ("value", "error", "message"),
        [(0, ValueError, "{} == 0, must be >= 1"), (2.5, TypeError, "{} must be an instance of")],
    )
    def test_wrong_size(self, make, size, value, error, message):
        with pytest.raises(error, match=message.format(size)):
            make(value)


@pytest.mark.parametrize(
    "make", [make_elliptic_spirals, make_motions, make_quadratic_sinusoidal, make_spirals]
)
def test_noise_must_not_be_negative(make):
    with pytest.raises(ValueError, match=r"noise == -0.1, must be >= 0"):
        make(noise=-0.1)


@pytest.mark.parametrize("make", [make_elliptic_spirals, make_motions, make_spirals])
def test_sequences_need_a_step(make):
    with pytest.raises(ValueError, match="n_steps == 0, must be >= 1"):
        make(n_steps=0)


@pytest.mark.parametrize("make", [make_spirals, make_quadratic_sinusoidal])
def test_shuffling_only_permutes_the_rows(make):
    shuffled, ordered = (np.asarray(make(200, shuffle=s, random_state=0)) for s in (True, False))
    assert not np.array_equal(shuffled, ordered)
    rows = np.sort(shuffled.reshape(200, -1), axis=0), np.sort(ordered.reshape(200, -1), axis=0)
    np.testing.assert_array_equal(*rows)
