"""The model of MultimodalVAE as one would write it by hand for complete rows, and two loops that train it.

Product of experts, normal likelihood with one learned scale per column, a hidden layer beside a linear path
in every network: the architecture, the objective and the passes of the library's defaults, dropout of
modalities, cells and hidden units too, where rates are given. It knows nothing of rows with missing values,
other likelihoods or a changing step size; encoders are given as many inputs as the library's, half of which
say what is hidden. The plain loop is the one of every tutorial, without
a DataLoader; the lean loop keeps all parameters in one tensor and does without an optimiser object.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmarks.reference_vrnn import LOG_2PI, NOISE_FLOOR, Net

LEARNING_RATE = 1e-3


class ReferenceVAE(nn.Module):
    """Variational autoencoder of several modalities of complete numbers.

    Parameters
    ----------
    sizes : sequence of int
        Number of columns of each modality.
    n_components : int
    n_hidden : int
    modality_dropout, cell_dropout, dropout : float
        Probability that an expert, an input or a hidden unit is dropped.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        n_components: int,
        n_hidden: int,
        *,
        modality_dropout: float = 0.0,
        cell_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.modality_dropout, self.cell_dropout = modality_dropout, cell_dropout
        self.encoders = nn.ModuleList(Net(2 * size, n_hidden, 2 * n_components, dropout) for size in sizes)
        self.decoders = nn.ModuleList(Net(n_components, n_hidden, size, dropout) for size in sizes)
        self.log_scales = nn.ParameterList(torch.zeros(size) for size in sizes)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, both (n, n_components)."""
        weighted_mean, precision = 0.0, 1.0
        for part, encoder in zip(x.split(self.sizes, dim=1), self.encoders, strict=True):
            if self.cell_dropout:
                kept = (torch.rand_like(part) >= self.cell_dropout).float()
                inputs = torch.cat([part * kept, 1 - kept], dim=1)
            else:
                inputs = torch.cat([part, torch.zeros_like(part)], dim=1)
            raw, log_precision = encoder(inputs).chunk(2, dim=1)
            root = (0.5 * log_precision).exp()
            if self.modality_dropout:
                root = root * (torch.rand(len(x), 1) >= self.modality_dropout)
            weighted_mean = weighted_mean + raw * root
            precision = precision + root.square()
        return weighted_mean / precision, precision.rsqrt()

    def loss(self, x: Tensor) -> Tensor:
        """Negative evidence lower bound, a scalar."""
        mean, stddev = self.posterior(x)
        z = mean + stddev * torch.randn_like(mean)
        loss = 0.5 * (mean.square() + stddev.square() - 1 - 2 * stddev.log()).sum(1)
        for part, decoder, log_scale in zip(
            x.split(self.sizes, dim=1), self.decoders, self.log_scales, strict=True
        ):
            scale = NOISE_FLOOR + log_scale.exp()
            squared = ((part - decoder(z)) / scale).square()
            loss = loss + 0.5 * (squared + 2 * scale.log() + LOG_2PI).sum(1)
        return loss.mean()


def plain_loop(model: ReferenceVAE, x: Tensor, batch_size: int, n_epochs: int) -> None:
    """Train by ``torch.optim.Adam``, fused."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    for _ in range(n_epochs):
        for index in torch.randperm(len(x)).split(batch_size):
            loss = model.loss(x[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def lean_loop(model: ReferenceVAE, x: Tensor, batch_size: int, n_epochs: int) -> None:
    """Train by Adam written out, on parameters and gradients that are views of one tensor each."""
    parameters = list(model.parameters())
    flat = torch.cat([parameter.detach().flatten() for parameter in parameters])
    gradient, first, second = (torch.zeros_like(flat) for _ in range(3))
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.data = flat[start:end].view_as(parameter)
        parameter.grad = gradient[start:end].view_as(parameter)
        start = end
    step = 0
    for _ in range(n_epochs):
        for index in torch.randperm(len(x)).split(batch_size):
            gradient.zero_()
            model.loss(x[index]).backward()
            step += 1
            first.lerp_(gradient, 0.1)
            second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            unbiased = (second / (1 - 0.999**step)).sqrt_().add_(1e-8)
            flat.addcdiv_(first, unbiased, value=-LEARNING_RATE / (1 - 0.9**step))
