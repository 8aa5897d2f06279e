"""The default network beside users' own, as encoder and decoder of a modality."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skmm._blocks.masks import random_mask

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
}


class Dense(nn.Module):
    """Multilayer perceptron beside a linear path.

    The perceptron's last layer starts at zero, so that every model starts as a linear one, and the
    perceptron learns what is left.

    Parameters
    ----------
    n_in, n_out : int
    hidden_layer_sizes : sequence of int
        Empty for the linear path alone.
    activation : str
        A name in ``ACTIVATIONS``.
    dropout : float
        Probability that a hidden unit is dropped in training.
    """

    def __init__(
        self, n_in: int, n_out: int, hidden_layer_sizes: Sequence[int], activation: str, dropout: float
    ) -> None:
        super().__init__()
        self.n_in, self.n_out = n_in, n_out
        widths = list(hidden_layer_sizes)
        # of the linear path, and behind it of the first hidden layer: both see the same, one product does
        self.widths = [n_out, *widths[:1]]
        self.first = nn.Linear(n_in, sum(self.widths))
        layers: list[nn.Module] = []
        for i, width in enumerate(widths):
            if i > 0:
                layers.append(nn.Linear(widths[i - 1], width))
            layers.append(ACTIVATIONS[activation]())
            if dropout:
                layers.append(Dropout(dropout))
        self.hidden = nn.ModuleList(layers)
        self.last = nn.Parameter(torch.zeros(n_out, widths[-1])) if layers else None

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 2:
            return self(x.reshape(-1, self.n_in)).view(*x.shape[:-1], self.n_out)
        both = self.first(x)
        if self.last is None:
            return both
        straight, bent = torch.split_with_sizes(both, self.widths, dim=1)
        for layer in self.hidden:
            bent = layer(bent)
        return torch.addmm(straight, bent, self.last.t())


class Dropout(nn.Module):
    """As torch's, whose masks take most of the time of a small network on a CPU.

    Parameters
    ----------
    rate : float
        Probability that a unit is dropped in training.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factors(x) if self.training else x

    def factors(self, x: Tensor) -> Tensor:
        """Draw what units are multiplied by: 0 where dropped, and elsewhere what makes up for it."""
        return random_mask(x.shape, self.rate, x.device, x.dtype).mul_(1 / (1 - self.rate))

    def extra_repr(self) -> str:
        return f"{self.rate}"


class Trunk(nn.Module):
    """A user's module with the linear head it needs to return ``n_out`` numbers per row.

    Parameters
    ----------
    body : Module
        Maps (n, n_in) to (n, ...); everything but the first axis is flattened.
    n_in, n_out : int

    Raises
    ------
    ValueError
        If the body does not take (n, n_in), or does not return one row per row.
    """

    def __init__(self, body: nn.Module, n_in: int, n_out: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(_probe(body, n_in).flatten(1).shape[1], n_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(1))


class SharedNetwork(nn.Module):
    r"""What one modality uses of a network that several share, beside a linear path of its own.

    .. math:: y_m = W_m x + c_m + f(x, e_m)

    A learned embedding e tells the network f which modality it is for. By the embedding alone it would be
    slow to learn that every modality depends on the latent variables in a way of its own, as the linear path
    says at once.

    Parameters
    ----------
    network : Module
        (n, n_in + width) -> (n, n_out), the same object for all modalities that share it.
    n_in, n_out : int
    width : int
        Numbers of the embedding.
    """

    def __init__(self, network: nn.Module, n_in: int, n_out: int, width: int) -> None:
        super().__init__()
        self.network = network
        self.linear = nn.Linear(n_in, n_out)
        self.embedding = nn.Parameter(torch.randn(width))

    def forward(self, x: Tensor) -> Tensor:
        told = self.embedding.tanh().expand(*x.shape[:-1], -1)
        return self.linear(x) + self.network(torch.cat([x, told], dim=-1))


def build_network(spec: Any, n_in: int, n_out: int, *, role: str, modality: Hashable) -> nn.Module:
    """Make a user's encoder or decoder.

    Parameters
    ----------
    spec : Module or callable
        A Module is deep-copied, and a linear head is put behind it; a callable is called as
        ``spec(n_in, n_out)`` and returns the whole module.
    n_in, n_out : int
        Numbers per row that go in and must come out.
    role : {"encoder", "decoder"}
    modality : hashable
        For error messages.

    Raises
    ------
    ValueError
        If the module does not map (n, n_in) to (n, n_out).
    TypeError
        If ``spec`` is neither, or the callable returns something that is not a Module.
    """
    who = f"The {role} of modality {modality!r}"
    if not isinstance(spec, nn.Module) and not callable(spec):
        raise TypeError(f"{who} must be a torch Module or a callable f(n_in, n_out), got {spec!r}.")
    try:
        if isinstance(spec, nn.Module):
            module: Any = Trunk(copy.deepcopy(spec).to(torch.float32), n_in, n_out)
        else:
            module = _call_factory(spec, n_in, n_out, who)
            if not isinstance(module, nn.Module):
                raise TypeError(f"{who}: the factory must return a torch Module, got {module!r}.")
        shape = tuple(_probe(module.to(torch.float32), n_in).shape)
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(f"{who} failed on an input of shape (2, {n_in}): {error}") from error
    if shape != (2, n_out):
        raise ValueError(
            f"{who} must return shape (n, {n_out}) for n rows, but returned {shape} for 2 rows. Return a "
            "Module instead of a factory to have a linear head of the right width added."
        )
    return module


def _call_factory(factory: Any, n_in: int, n_out: int, who: str) -> Any:
    try:
        return factory(n_in, n_out)
    except TypeError as error:
        raise TypeError(f"{who}: the factory is called as f({n_in}, {n_out}), but: {error}") from error


def _probe(module: nn.Module, n_in: int) -> Tensor:
    """Output for two rows of zeros, leaving the module as it was."""
    training = module.training
    with torch.no_grad():
        output = module.eval()(torch.zeros(2, n_in, dtype=torch.float32))
    if not isinstance(output, Tensor):
        raise ValueError(f"it returned a {type(output).__name__}, not a tensor.")
    module.train(training)
    return output
