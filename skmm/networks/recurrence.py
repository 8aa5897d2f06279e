"""What carries a sequence from step to step: transitions forward in time, a summary of the future backward.

A transition is a module, made for the numbers it is given and holds, with

``initial(n)``
    the state before the first step of n sequences: a tuple of tensors of shape (n, n_hidden),
``output(state)``
    what prior and decoders see of it, (n, n_hidden),
``step(state, u)``
    the next state, given what the step adds, (n, n_inputs).

To add one, write such a module here and name it in ``TRANSITIONS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]


class GRUTransition(nn.Module):
    """Gated recurrent units, one layer above the other.

    Parameters
    ----------
    n_inputs, n_hidden, n_layers : int

    References
    ----------
    .. [1] Cho et al. (2014), "Learning Phrase Representations using RNN Encoder-Decoder", sec. 2.3.
    """

    def __init__(self, n_inputs: int, n_hidden: int, n_layers: int) -> None:
        super().__init__()
        sizes = [n_inputs, *[n_hidden] * n_layers]
        self.cells = nn.ModuleList(nn.GRUCell(a, b) for a, b in pairwise(sizes))
        self.start = nn.Parameter(torch.zeros(n_layers, n_hidden))

    def initial(self, n: int) -> State:
        return tuple(row.expand(n, -1) for row in self.start)

    def output(self, state: State) -> Tensor:
        return state[-1]

    def step(self, state: State, u: Tensor) -> State:
        new = []
        for cell, h in zip(self.cells, state, strict=True):
            u = cell(u, h)
            new.append(u)
        return tuple(new)


class LSTMTransition(nn.Module):
    """Long short-term memory, one layer above the other. The state holds all outputs, then all memories.

    Parameters
    ----------
    n_inputs, n_hidden, n_layers : int

    References
    ----------
    .. [1] Hochreiter and Schmidhuber (1997), "Long Short-Term Memory".
    """

    def __init__(self, n_inputs: int, n_hidden: int, n_layers: int) -> None:
        super().__init__()
        sizes = [n_inputs, *[n_hidden] * n_layers]
        self.cells = nn.ModuleList(nn.LSTMCell(a, b) for a, b in pairwise(sizes))
        self.start = nn.Parameter(torch.zeros(2 * n_layers, n_hidden))

    def initial(self, n: int) -> State:
        return tuple(row.expand(n, -1) for row in self.start)

    def output(self, state: State) -> Tensor:
        return state[len(self.cells) - 1]

    def step(self, state: State, u: Tensor) -> State:
        n_layers = len(self.cells)
        outputs, memories = [], []
        for cell, h, c in zip(self.cells, state[:n_layers], state[n_layers:], strict=True):
            u, memory = cell(u, (h, c))
            outputs.append(u)
            memories.append(memory)
        return (*outputs, *memories)


TRANSITIONS: dict[str, Any] = {"gru": GRUTransition, "lstm": LSTMTransition}


def build_transition(spec: Any, n_inputs: int, n_hidden: int, n_layers: int) -> nn.Module:
    """Make a transition.

    Parameters
    ----------
    spec : str or callable
        A name in ``TRANSITIONS``; or a class or function, called as ``spec(n_inputs, n_hidden, n_layers)``.
    n_inputs, n_hidden, n_layers : int

    Raises
    ------
    TypeError
        If what the callable returns is not a transition.
    ValueError
        If its output has not ``n_hidden`` numbers.
    """
    maker = TRANSITIONS[spec] if isinstance(spec, str) else spec
    try:
        made = maker(n_inputs, n_hidden, n_layers)
    except (TypeError, NotImplementedError) as error:  # of a Module, which is callable too
        raise TypeError(
            f"transition is called as f(n_inputs, n_hidden, n_layers), here ({n_inputs}, {n_hidden}, "
            f"{n_layers}), but {spec!r} failed: {error}"
        ) from error
    lacking = [method for method in ("initial", "output", "step") if not hasattr(made, method)]
    if lacking or not isinstance(made, nn.Module):
        raise TypeError(
            f"transition must return a torch Module with methods initial, output and step, but {spec!r} "
            f"returned {made!r}."
        )
    transition: Any = made
    try:
        with torch.no_grad():
            start = transition.initial(2)
            state = transition.step(start, torch.zeros(2, n_inputs))
            shape = tuple(transition.output(state).shape)
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"transition {spec!r} failed on 2 sequences: {error}") from error
    for method, parts in (("initial", start), ("step", state)):
        if not isinstance(parts, tuple) or any(part.ndim != 2 or len(part) != 2 for part in parts):
            raise ValueError(
                f"{method} of transition must return a tuple of tensors of shape (n, n_hidden), but for 2 "
                f"sequences it returned {parts!r}."
            )
    if shape != (2, n_hidden):
        raise ValueError(
            f"The output of transition must have shape (n, {n_hidden}), as hidden_size says, but it has "
            f"{shape} for 2 sequences."
        )
    return made


class BackwardSummary(nn.Module):
    """What is observed after each step, summed up by a recurrence that runs from the end to the start.

    Parameters
    ----------
    n_inputs, n_hidden, n_layers : int
    """

    def __init__(self, n_inputs: int, n_hidden: int, n_layers: int) -> None:
        super().__init__()
        self.recurrence = nn.GRU(n_inputs, n_hidden, n_layers, batch_first=True)

    def forward(self, inputs: Sequence[Tensor], seen: Tensor) -> tuple[Tensor, Tensor]:
        """Sum up.

        Parameters
        ----------
        inputs : sequence of Tensors of shape (n, n_steps, n_inputs of the modality)
            What there is to see at each step, masks included.
        seen : bool Tensor of shape (n, n_steps)
            True where anything was observed.

        Returns
        -------
        summary : Tensor of shape (n, n_steps, n_hidden)
        told : bool Tensor of shape (n, n_steps)
            False where nothing was observed from there on; the summary then means nothing.
        """
        n_steps = seen.shape[1]
        position = torch.arange(n_steps, device=seen.device)
        # steps up to the last one seen, in reverse: empty steps behind it come after it, and change nothing
        reach = torch.where(seen, position + 1, 0).amax(1, keepdim=True)
        reverse = (reach - 1 - position).clamp_min(0)[..., None]  # (n, T, 1)
        joint = torch.cat(tuple(inputs), dim=-1)
        outputs, _ = self.recurrence(joint.gather(1, reverse.expand_as(joint)))
        return outputs.gather(1, reverse.expand_as(outputs)), position < reach
