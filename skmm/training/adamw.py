"""The optimiser: AdamW of parameters that stand side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

NOISE_RATE = 3.0  # noise scales must travel far from 1 in few steps: they learn this much faster
MAX_GRADIENT_NORM = 10.0
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class FlatAdamW:
    """AdamW, for all parameters of a network at once.

    Parameters and gradients become views of one tensor each, so that a step costs a small network of many
    parts hardly more than one of a few, until ``release`` gives them memory of their own again. It calls
    torch's function and makes no optimiser of torch's, the first of which takes a second of imports.

    Parameters
    ----------
    network : Module
        Its parameters are trained; noise scales, those of ``likelihoods``, faster than others.
    learning_rate : float
    weight_decay : float
        For weights; biases and noise scales are left alone.

    References
    ----------
    .. [1] Loshchilov and Hutter (2019), "Decoupled Weight Decay Regularization", alg. 2.
    """

    def __init__(self, network: nn.Module, learning_rate: float, weight_decay: float) -> None:
        weights, biases, noise = _grouped(network)
        self._parameters = [*weights, *biases, *noise]
        count = [sum(parameter.numel() for parameter in group) for group in (weights, biases, noise)]
        like = self._parameters[0] if self._parameters else torch.zeros(())
        flat, self._gradient, first, second = like.new_zeros(4, sum(count)).unbind()
        start = 0
        for parameter in self._parameters:
            place = slice(start, start + parameter.numel())
            flat[place] = parameter.detach().flatten()
            parameter.data = flat[place].view_as(parameter)
            parameter.grad = self._gradient[place].view_as(parameter)
            start = place.stop
        rates = (learning_rate, learning_rate, NOISE_RATE * learning_rate)
        tensors = zip(
            *(tensor.detach().split(count) for tensor in (flat, self._gradient, first, second)), strict=True
        )
        # what a group has: rate, decay, and the lists that torch's function takes
        self._groups = [
            (rate, decay, [[tensor] for tensor in group], [like.new_zeros(())])
            for rate, decay, group in zip(rates, (weight_decay, 0.0, 0.0), tensors, strict=True)
            if group[0].numel()
        ]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._gradient.zero_()

    @torch.no_grad()
    def step(self, share: float) -> None:
        """Move the parameters, by a share of the learning rate; long gradients are cut."""
        self._gradient.mul_((MAX_GRADIENT_NORM / (self._gradient.norm() + 1e-6)).clamp_max(1.0))
        for rate, decay, (flat, gradient, first, second), steps in self._groups:
            adamw(
                flat,
                gradient,
                first,
                second,
                [],
                steps,
                fused=True,
                amsgrad=False,
                beta1=BETA_1,
                beta2=BETA_2,
                lr=rate * share,
                weight_decay=decay,
                eps=EPSILON,
                maximize=False,
            )

    def release(self) -> None:
        """Give every parameter memory of its own, and no gradient."""
        for parameter in self._parameters:
            parameter.grad = None
            parameter.data = parameter.data.clone()


def _grouped(network: nn.Module) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Weights, biases and noise scales that are to be trained."""
    noise = {id(p) for likelihood in getattr(network, "likelihoods", []) for p in likelihood.parameters()}
    groups: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    for parameter in network.parameters():
        if parameter.requires_grad:
            groups[2 if id(parameter) in noise else 0 if parameter.ndim > 1 else 1].append(parameter)
    return groups
