"""Everything that touches torch's or numpy's global state: seeds, generators and devices."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from sklearn.utils import check_random_state

RandomStateLike = int | np.random.RandomState | None


def as_random_state(random_state: RandomStateLike) -> np.random.RandomState:
    """Return a numpy generator; None gives fresh entropy, never numpy's global generator.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        As everywhere in scikit-learn, but for None.

    Returns
    -------
    numpy.random.RandomState
    """
    if random_state is None:
        entropy = np.random.SeedSequence().generate_state(4)
        return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(entropy.tolist())))
    return check_random_state(random_state)


def draw_seed(random_state: RandomStateLike) -> int:
    """Draw one seed for torch from ``random_state``."""
    return int(as_random_state(random_state).randint(2**31 - 1))


@contextmanager
def isolated_rng(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch inside the block and put its generators back afterwards.

    Modules, dropout and sampling take no generator of their own, so this is the only way to make all
    of them reproducible without changing the caller's random numbers.
    """
    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        if device.type in ("cpu", "cuda"):
            torch.default_generator.manual_seed(seed)
            for one in devices:
                with torch.cuda.device(one):
                    torch.cuda.manual_seed(seed)
        else:  # seeds all devices there are, and notes down for each where it was called from
            torch.manual_seed(seed)
        yield


@contextmanager
def float32_by_default() -> Iterator[None]:
    """Make float32 torch's default type inside the block: users' own default must not change a result."""
    dtype = torch.get_default_dtype()
    if dtype == torch.float32:
        yield
        return
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn the ``device`` parameter into a torch device that this machine has.

    Raises
    ------
    ValueError
        If torch does not know the name, or the machine lacks the device.
    """
    resolved = _as_device(device)
    lacking = _lacking(resolved)
    if lacking:
        raise ValueError(
            f"device={device!r} was asked for, but torch finds {lacking}; use device='auto' to fall back on "
            "the CPU."
        )
    return resolved


def inference_device(device: str | torch.device) -> torch.device:
    """As :func:`resolve_device`, but fall back on the CPU: what was fitted elsewhere must still predict."""
    resolved = _as_device(device)
    lacking = _lacking(resolved)
    if lacking:
        warnings.warn(
            f"The estimator was fitted with device={device!r}, but torch finds {lacking}; computing on the "
            "CPU.",
            UserWarning,
            stacklevel=2,
        )
        return torch.device("cpu")
    return resolved


def _lacking(device: torch.device) -> str:
    """What this machine has instead of a device that it lacks; empty where it has it."""
    if device.type != "cuda":
        return ""
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if n_devices == 0:
        return "no CUDA device on this machine"
    return f"only {n_devices} CUDA device(s) on this machine" if (device.index or 0) >= n_devices else ""


def _as_device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"device={device!r} is not a device torch knows; use 'cpu', 'cuda', 'cuda:1' or 'auto'."
        ) from error
