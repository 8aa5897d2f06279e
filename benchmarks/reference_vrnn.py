"""The model of MultimodalVRNN as one would write it first: one loop over the steps that does everything.

The maths are those of the library's network with its defaults (normal likelihood, product of experts, GRU,
smoothing), but nothing is shared with it, and nothing is computed for several steps at once: encoders,
decoders and the recurrences are called at every step. ``benchmarks.sequence_speed`` compares the time, a test
the loss and its gradients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

LOG_2PI = math.log(2 * math.pi)
MAX_LOG_PRECISION = 10.0
NOISE_FLOOR = 1e-2

# how the library names the parts that have other names here
_NAMES = {
    "likelihoods.": "log_scales.",
    ".log_scale": "",
    "transition.cells.0.": "cell.",
    "transition.": "",
    "prior_head.": "prior.",
    "combine.": "",
    "backward.recurrence.": "backward_cell.",
    "_l0": "",
}


class Net(nn.Module):
    """A hidden layer beside a linear path."""

    def __init__(self, n_in: int, n_hidden: int, n_out: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.linear = nn.Linear(n_in, n_out)
        self.hidden = nn.Linear(n_in, n_hidden)
        self.last = nn.Linear(n_hidden, n_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, n_in) to (n, n_out)."""
        return self.linear(x) + self.last(self.dropout(nn.functional.silu(self.hidden(x))))


class ReferenceVRNN(nn.Module):
    """Variational recurrent network of several modalities of numbers.

    Parameters
    ----------
    sizes : sequence of int
        Number of features of each modality.
    n_components : int
        Number of latent variables of a step.
    n_hidden : int
        Width of the recurrences.
    width : int
        Of the hidden layer of encoders and decoders.
    """

    def __init__(self, sizes: Sequence[int], n_components: int, n_hidden: int, width: int) -> None:
        super().__init__()
        self.sizes, self.n_components = list(sizes), n_components
        self.encoders = nn.ModuleList(Net(2 * size, width, 2 * n_components) for size in sizes)
        self.decoders = nn.ModuleList(Net(n_components + n_hidden, width, size) for size in sizes)
        self.log_scales = nn.ParameterList(torch.zeros(size) for size in sizes)
        self.start = nn.Parameter(torch.zeros(1, n_hidden))
        self.cell = nn.GRUCell(n_components, n_hidden)
        self.prior = nn.Linear(n_hidden, 2 * n_components)
        self.backward_cell = nn.GRUCell(2 * sum(sizes), n_hidden)
        self.future = nn.Linear(n_hidden, 2 * n_components)

    def loss(self, values: Tensor, seen: Tensor, scored: Tensor, beta: float) -> Tensor:
        """Negative evidence lower bound, a scalar, with one latent path per sequence.

        Parameters
        ----------
        values : Tensor of shape (n, n_steps, n_features)
            The modalities side by side; what stands where nothing was observed does not matter.
        seen, scored : bool Tensor of the same shape
            What the encoders are given, and what the decoders are to explain.
        beta : float
            Weight of the divergence from the prior.
        """
        n, n_steps, _ = values.shape
        noise = torch.randn(n, n_steps, self.n_components)
        futures = self._futures(values, seen)
        h = self.start.expand(n, -1)
        kl = log_likelihood = values.new_zeros(n)
        for t in range(n_steps):
            prior = _natural(self.prior(h))
            posterior = prior + futures[t]
            for encoder, x, known in zip(
                self.encoders,
                self._inputs(values[:, t], seen[:, t]),
                seen[:, t].split(self.sizes, dim=1),
                strict=True,
            ):
                present = known.any(1, keepdim=True)
                posterior = posterior + torch.where(present, _natural(encoder(x)), 0.0)
            (loc, scale), (prior_loc, prior_scale) = _moments(posterior), _moments(prior)
            z = loc + scale * noise[:, t]
            ratio, distance = scale / prior_scale, (loc - prior_loc) / prior_scale
            kl = kl + 0.5 * (distance**2 + ratio**2 - 1 - 2 * ratio.log()).sum(1)
            code = torch.cat([z, h], dim=1)
            for decoder, log_scale, x, known in zip(
                self.decoders,
                self.log_scales,
                values[:, t].split(self.sizes, dim=1),
                scored[:, t].split(self.sizes, dim=1),
                strict=True,
            ):
                noise_scale = NOISE_FLOOR + log_scale.exp()
                squared = (torch.where(known, x - decoder(code), 0.0) / noise_scale) ** 2
                density = -0.5 * (squared + 2 * noise_scale.log() + LOG_2PI)
                log_likelihood = log_likelihood + (density * known).sum(1)
            h = self.cell(z, h)
        return (beta * kl - log_likelihood).mean()

    def _futures(self, values: Tensor, seen: Tensor) -> list[Tensor]:
        """Expert of each step on what is observed from there on, (n, 2 * n_components) each."""
        h = values.new_zeros(len(values), self.backward_cell.hidden_size)
        told = torch.zeros(len(values), 1, dtype=torch.bool)
        futures = []
        for t in reversed(range(values.shape[1])):
            told = told | seen[:, t].any(1, keepdim=True)
            x = torch.cat(self._inputs(values[:, t], seen[:, t]), dim=1)
            h = torch.where(told, self.backward_cell(x, h), 0.0)
            futures.append(torch.where(told, _natural(self.future(h)), 0.0))
        return futures[::-1]

    def _inputs(self, values: Tensor, seen: Tensor) -> list[Tensor]:
        """What encoders are given of a step: values, and where they are missing."""
        parts = zip(values.split(self.sizes, dim=1), seen.split(self.sizes, dim=1), strict=True)
        return [torch.cat([torch.where(known, x, 0.0), (~known).float()], dim=1) for x, known in parts]

    @staticmethod
    def translated(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the parameters of the library's network have, by their names here."""
        found = {}
        for name, value in values.items():
            for theirs, ours in _NAMES.items():
                name = name.replace(theirs, ours)
            if ".first." in name:  # of the linear path, and behind it of the hidden layer
                n_out = len(values[name.rpartition("first.")[0] + "last"])
                found[name.replace("first", "linear")] = value[:n_out]
                found[name.replace("first", "hidden")] = value[n_out:]
            else:
                found[name + ".weight" if name.endswith(".last") else name] = value
        return found

    @classmethod
    def copy_of(cls, network: nn.Module, sizes: Sequence[int]) -> ReferenceVRNN:
        """The same model as the library's network, with copies of its weights."""
        n_hidden, n_components = network.transition.cells[0].weight_ih.shape
        width = network.encoders[0].last.shape[1]
        with torch.random.fork_rng():
            model = cls(sizes, n_components, n_hidden // 3, width)
        model.load_state_dict(cls.translated(dict(network.named_parameters())))
        return model


def _natural(raw: Tensor) -> Tensor:
    """Precision-weighted mean, and precision, from a mean and the log-precision."""
    mean, log_precision = raw.chunk(2, dim=-1)
    precision = log_precision.clamp(-MAX_LOG_PRECISION, MAX_LOG_PRECISION).exp()
    return torch.cat([mean * precision, precision], dim=-1)


def _moments(natural: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation."""
    weighted_mean, precision = natural.chunk(2, dim=-1)
    return weighted_mean / precision, precision.rsqrt()
