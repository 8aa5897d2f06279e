"""The evidence lower bound of tables, with its backward pass written out where that is known.

A step of a small network takes its time not for arithmetic, but for recording operations and for playing the
record backwards. Here each part of the network returns its value and its pullback, as ``torch.func.vjp``
does: a function that is given the gradient of the value, adds to the gradients of the part's parameters, and
returns the gradient of what went in. Both are written out for default networks, normal noise and products of
normal experts; all else, such as other likelihoods and users' own modules, is recorded as ever. The results
are those of :class:`skmm.ELBO`, which computes the same for every network, and against which this is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from skmm._blocks.blocks import Blocks
from skmm._blocks.masks import as_numbers, masked
from skmm.networks.dense import Dense, Dropout
from skmm.networks.vae import VAENetwork
from skmm.probability.fusion import product_of_experts
from skmm.probability.likelihoods.continuous import Normal
from skmm.probability.likelihoods.numerics import NOISE_FLOOR
from skmm.probability.posteriors import LOG_2PI, MAX_LOG_PRECISION, NormalFamily
from skmm.probability.priors import StandardNormal
from skmm.training.objectives.bounds import ELBO
from skmm.training.objectives.contract import Objective, Terms, checked_n_draws, elbo_terms

aten = torch.ops.aten

# gradient of x where an activation made y of it: of all ACTIVATIONS
DERIVATIVES: dict[type[nn.Module], Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    nn.SiLU: lambda of_y, x, y: aten.silu_backward(of_y, x),
    nn.ReLU: lambda of_y, x, y: aten.threshold_backward(of_y, y, 0),
    nn.GELU: lambda of_y, x, y: aten.gelu_backward(of_y, x),
    nn.ELU: lambda of_y, x, y: aten.elu_backward(of_y, 1, 1, 1, False, x),
    nn.Tanh: lambda of_y, x, y: aten.tanh_backward(of_y, y),
}

Pullback = Callable[[Tensor], Tensor]


def value_and_pullback(
    objective: Objective, network: Any, inputs: Blocks, targets: Blocks, beta: float
) -> tuple[Terms, Callable[[], None]]:
    """Evaluate an objective on a batch.

    Parameters
    ----------
    objective : callable
    network : Module
        Its parameters have gradients, which the pullback adds to; those that have none are frozen.
    inputs, targets : Blocks
        What the encoders see, and all that was observed.
    beta : float

    Returns
    -------
    terms : Terms
    pullback : callable
        ``pullback()`` adds the gradient of the loss to the gradients of all parameters.
    """
    if _is_common(objective, network):
        return _bound(network, inputs, targets, checked_n_draws(objective), beta)
    terms = objective(network, inputs, targets, beta)
    return terms, terms.loss.backward


def _is_common(objective: Any, network: Any) -> bool:
    """Whether this is the plain bound, of a network with an encoder per modality and no private variables."""
    return (
        type(objective) is ELBO
        and objective.gradient == "plain"
        and type(network) is VAENetwork
        and len(network.encoders) > 0
        and not network.n_private
    )


@torch.no_grad()
def _bound(
    network: VAENetwork, inputs: Blocks, targets: Blocks, n_draws: int, beta: float
) -> tuple[Terms, Callable[[], None]]:
    raw, pull_encoders = _encoded(network, inputs)
    (z, kl), pull_points = _drawn(network, inputs, raw, n_draws)
    reconstruction, pull_decoders = _reconstructed(network, z, targets)

    @torch.no_grad()
    def pull() -> None:
        pull_encoders(pull_points(pull_decoders(-network.modality_weights), beta))

    return elbo_terms(network, reconstruction, kl, beta), pull


# --- the three stages ----------------------------------------------------------------------------------


def _encoded(network: VAENetwork, inputs: Blocks) -> tuple[Tensor, Callable[[Tensor], None]]:
    """What the encoders return, (n_modalities, n, n_encoded)."""
    raw: list[Tensor] = []
    pullbacks: list[Callable[[Tensor], Any]] = []
    for modality, (encoder, seen) in enumerate(zip(network.encoders, network.inputs(inputs), strict=True)):
        if type(encoder) is Dense and network.sees_mask[modality]:
            value, pull = _dense(encoder, seen, is_input=True)
        else:
            value, pull = _recorded(partial(network.encode_one, modality, seen, inputs))
        raw.append(value)
        pullbacks.append(pull)

    def pull_all(of_raw: Tensor) -> None:
        for pull, gradient in zip(pullbacks, of_raw, strict=True):
            pull(gradient)

    return torch.stack(raw), pull_all


def _drawn(
    network: VAENetwork, inputs: Blocks, raw: Tensor, n_draws: int
) -> tuple[tuple[Tensor, Tensor], Callable[[Tensor, float], Tensor]]:
    """Latent points (n_draws, n, n_components), and the divergence from the prior, averaged over rows."""
    family = network.family
    if (
        network.fusion is product_of_experts
        and type(family) is NormalFamily
        and family.relative
        and type(network.prior) is StandardNormal
    ):
        return _product_of_normals(raw, inputs.present, n_draws)

    def draw(raw: Tensor) -> tuple[Tensor, Tensor]:
        latent = network.infer(inputs, n_draws, raw)
        return latent.z, latent.kl.mean()

    (z, kl), pull = _recorded(draw, raw)
    return (z, kl), lambda of_z, of_kl: pull(of_z, torch.full_like(kl, of_kl))


def _reconstructed(network: VAENetwork, z: Tensor, targets: Blocks) -> tuple[Tensor, Pullback]:
    """Log-likelihood of each modality, averaged over draws and rows, (n_modalities,)."""
    points = z.flatten(0, 1)
    found: list[Tensor] = []
    pullbacks: list[tuple[Pullback, Pullback]] = []
    for decoder, likelihood, values, observed in zip(
        network.decoders, network.likelihoods, targets.values, targets.observed, strict=True
    ):
        raw, to_points = _dense(decoder, points) if type(decoder) is Dense else _recorded(decoder, points)
        raw = raw.view(*z.shape[:2], -1)
        if type(likelihood) is Normal:
            value, to_raw = _normal(likelihood, raw, values, observed)
        else:
            value, to_raw = _recorded(partial(_mean_log_prob, likelihood, values, observed), raw)
        found.append(value)
        pullbacks.append((to_points, to_raw))

    def pull(of_values: Tensor) -> Tensor:
        of_points = torch.zeros_like(points)
        for (to_points, to_raw), of_value in zip(pullbacks, of_values, strict=True):
            of_points += to_points(to_raw(of_value).flatten(0, 1))
        return of_points.view_as(z)

    return torch.stack(found), pull


def _mean_log_prob(likelihood: Any, values: Tensor, observed: Tensor, raw: Tensor) -> Tensor:
    return likelihood(raw).log_prob(values, observed).mean()


# --- parts ---------------------------------------------------------------------------------------------


def _recorded(function: Callable[..., Any], given: Tensor | None = None) -> tuple[Any, Callable[..., Any]]:
    """Let torch record what a function does with a tensor, or with none, and with parameters it knows of.

    The pullback takes the gradient of each value that the function returns.
    """
    leaf = None if given is None else given.detach().requires_grad_()
    with torch.enable_grad():
        value = function() if leaf is None else function(leaf.clone())  # it may work in place
    values: Sequence[Tensor] = value if isinstance(value, tuple) else (value,)

    def pull(*of_values: Tensor) -> Tensor | None:
        pairs = zip(values, of_values, strict=True)
        recorded = [pair for pair in pairs if pair[0].requires_grad]  # what depends on what is learned
        if recorded:
            outputs, gradients = zip(*recorded, strict=True)
            torch.autograd.backward(outputs, gradients)
        if leaf is None:
            return None
        return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad

    detached = tuple(one.detach() for one in values)
    return detached if isinstance(value, tuple) else detached[0], pull


def _dense(network: Dense, x: Tensor, *, is_input: bool = False) -> tuple[Tensor, Pullback]:
    """A default network, without calling it: hooks see evaluation alone.

    Of what is input to the whole, nobody needs the gradient: the pullback returns nothing of use.
    """
    both, to_x = _linear(network.first, x, is_input=is_input)
    last = network.last
    if last is None:
        return both, to_x
    straight, bent = both.split_with_sizes(network.widths, dim=1)
    pullbacks = []
    for layer in network.hidden:
        bent, pull = _layer(layer, bent)
        pullbacks.append(pull)

    def pull_all(of_y: Tensor) -> Tensor:
        _gradient(last).addmm_(of_y.t(), bent)
        of_bent = of_y @ last
        for pull in reversed(pullbacks):
            of_bent = pull(of_bent)
        return to_x(torch.cat([of_y, of_bent], dim=1))

    return torch.addmm(straight, bent, last.t()), pull_all


def _layer(layer: nn.Module, x: Tensor) -> tuple[Tensor, Pullback]:
    """What stands between the first and the last layer of a default network."""
    if isinstance(layer, nn.Linear):
        return _linear(layer, x)
    if isinstance(layer, Dropout):
        if not layer.training:
            return x, lambda of_y: of_y
        factors = layer.factors(x)
        return x * factors, lambda of_y: of_y * factors
    y = layer(x)
    derivative = DERIVATIVES[type(layer)]
    return y, lambda of_y: derivative(of_y, x, y)


def _linear(layer: nn.Linear, x: Tensor, *, is_input: bool = False) -> tuple[Tensor, Pullback]:
    weight, bias = layer.weight, layer.bias

    def pull(of_y: Tensor) -> Tensor:
        _gradient(weight).addmm_(of_y.t(), x)
        _gradient(bias).add_(of_y.sum(0))
        return of_y if is_input else of_y @ weight

    return torch.addmm(bias, x, weight.t()), pull


def _normal(likelihood: Normal, raw: Tensor, values: Tensor, observed: Tensor) -> tuple[Tensor, Pullback]:
    """Log-density of values (n, n_features) around means (n_draws, n, n_features), averaged over both."""
    n_draws, n = raw.shape[:2]
    deviation = masked(values - raw, observed)
    squared, count = deviation.square().sum((0, 1)), as_numbers(observed, raw.dtype).sum(0)
    scale = likelihood.scale
    precision = scale**-2
    constant = count @ scale.log() + (0.5 * LOG_2PI) * count.sum()
    value = torch.add(constant, squared @ precision, alpha=0.5 / n_draws) / -n

    def pull(of_value: Tensor) -> Tensor:
        share = of_value / (n_draws * n)
        excess = 1 - NOISE_FLOOR / scale  # derivative of the scale's logarithm
        of_log_scale = torch.sub(squared * precision, count, alpha=n_draws)
        _gradient(likelihood.log_scale).addcmul_(of_log_scale, excess * share)
        return deviation.mul_(precision * share)  # in place: a pullback is called once

    return value, pull


def _product_of_normals(
    raw: Tensor, present: Tensor, n_draws: int
) -> tuple[tuple[Tensor, Tensor], Callable[[Tensor, float], Tensor]]:
    """Points of the standard normal prior times the experts present; see ``NormalFamily.natural``."""
    mean, log_precision = masked(raw, present[..., None]).chunk(2, dim=-1)
    root = (0.5 * log_precision.clamp(-MAX_LOG_PRECISION, MAX_LOG_PRECISION)).exp_()
    root *= as_numbers(present, raw.dtype)[..., None]
    weighted_mean, precision = (mean * root).sum(0), root.square().sum(0) + 1
    variance, scale = precision.reciprocal(), precision.rsqrt()
    loc = weighted_mean * variance
    noise = torch.randn((n_draws, *loc.shape), device=loc.device, dtype=loc.dtype)
    n = len(loc)
    kl = (loc.square() + variance - 1 + precision.log()).sum() * (0.5 / n)

    def pull(of_z: Tensor, of_kl: float) -> Tensor:
        of_loc = torch.add(of_z.sum(0), loc, alpha=of_kl / n)
        of_scale = (of_z * noise).sum(0) + (scale - precision * scale) * (of_kl / n)
        of_weighted_mean = of_loc * variance
        of_precision = (of_loc * loc + 0.5 * of_scale * scale) * -variance
        of_raw = torch.empty_like(raw)
        of_mean, of_log_precision = of_raw.chunk(2, dim=-1)
        torch.mul(root, of_weighted_mean, out=of_mean)
        of_root = torch.addcmul(mean * of_weighted_mean, root, of_precision, value=2)
        within = as_numbers(log_precision.abs() <= MAX_LOG_PRECISION, raw.dtype)
        torch.mul(of_root * root, 0.5 * within, out=of_log_precision)
        return of_raw

    return (torch.addcmul(loc, scale, noise), kl), pull


def _gradient(parameter: Tensor) -> Tensor:
    """What the gradient of a parameter is added to; of one that is frozen, it is forgotten."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
