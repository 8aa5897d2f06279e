"""What every test runs under: one torch thread, and no change of global state."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that need a GPU where there is none."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    """Keep xdist's processes from fighting over the cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def global_state_is_left_alone(one_torch_thread: None) -> Iterator[None]:
    """Fail a test during which the library, or the test, changed what belongs to the user's process."""
    before = _global_state()
    yield
    after = _global_state()
    changed = [name for name, value in before.items() if after[name] != value]
    if changed:
        pytest.fail(f"the test changed global state: {', '.join(changed)}", pytrace=False)


@pytest.fixture
def numpy_generator_put_back() -> Iterator[None]:
    """Some of scikit-learn's checks draw from numpy's global generator."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    yield
    np.random.set_state(state)  # noqa: NPY002


def _global_state() -> dict[str, object]:
    _, key, *position = np.random.get_state()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "numpy's generator": (key.tobytes(), *position),
        "torch's generator": torch.get_rng_state().numpy().tobytes(),
        "torch's CUDA generators": [state.numpy().tobytes() for state in cuda],
        "torch's default dtype": torch.get_default_dtype(),
        "torch's number of threads": torch.get_num_threads(),
        "torch.distributions' validation flag": torch.distributions.Distribution._validate_args,
    }
