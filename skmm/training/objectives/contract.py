"""What every objective returns, and the pieces that several of them are put together from."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks


@dataclass(frozen=True)
class Terms:
    """What an objective has to say about a batch; all summed over features and averaged over rows.

    Parameters
    ----------
    loss : scalar Tensor
        To be minimised.
    reconstruction : Tensor of shape (n_modalities,)
        Expected log-likelihood of each modality, unweighted.
    kl : Tensor of shape (n_parts,)
        Divergence of the posterior from the prior, one number per part of the latent variable.
    bound : scalar Tensor or None
        Lower bound of the log-likelihood of the targets, at beta 1 and unweighted; None where the
        objective is not a bound.
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor
    bound: Tensor | None


Objective = Callable[[Any, Blocks, Blocks, float], Terms]


def elbo_terms(network: Any, reconstruction: Tensor, kl: Tensor, beta: float, *, bound: bool = True) -> Terms:
    """Terms of an evidence lower bound, from its two halves, averaged over rows."""
    loss = beta * kl - network.modality_weights @ reconstruction
    reconstruction, kl = reconstruction.detach(), kl.detach()
    return Terms(loss, reconstruction, kl[None], reconstruction.sum() - kl if bound else None)


def log_likelihood(network: Any, latent: Any, targets: Blocks) -> Tensor:
    """Log-density of the targets given latent points, of each modality, (n_modalities, n_draws, n)."""
    return network.log_likelihood(network.decode(latent.code), targets)


def log_mean_exp(values: Tensor, dim: int = 0) -> Tensor:
    """Logarithm of the mean of numbers given by their logarithms."""
    return torch.logsumexp(values, dim=dim) - math.log(values.shape[dim])


# --- the gradient of a bound ---------------------------------------------------------------------------


def log_ratio(latent: Any, gradient: str) -> Tensor:
    """Log-density of latent points under the prior less that under the posterior, (n_draws, n).

    The posterior's parameters change its density at a point directly, and by moving the point. The direct
    part is zero on average, and noise: "stl" and "dreg" leave it out.
    """
    return latent.log_p - (latent.log_q if gradient == "plain" else latent.log_q_of_points)


def divergence(latent: Any, gradient: str) -> Tensor:
    """Divergence of the posterior from the prior, (n,).

    "stl" estimates it from the points even where it has a closed form: at the exact posterior, what the
    points contribute to it and to the reconstruction cancels, draw by draw.
    """
    return latent.kl if gradient == "plain" else -log_ratio(latent, gradient).mean(0)


def reweight_points(z: Tensor, weights: Tensor, beta: float) -> None:
    r"""Make the gradient of an importance-weighted bound that of Tucker et al. with respect to the points.

    The bound's own gradient gives the logarithm of the k-th weight the factor :math:`w_k`, normalised. What
    "dreg" leaves out, reparameterised, makes it :math:`(1 - \beta) w_k + \beta w_k^2` on the way through
    the point: :math:`w_k^2` where the divergence has its full weight.

    Parameters
    ----------
    z : Tensor of shape (n_draws, n, n_components)
    weights : Tensor of shape (n_draws, n)
        Normalised importance weights.
    beta : float
        Weight of the divergence.
    """
    if z.requires_grad:
        factor = (1 - beta + beta * weights.detach())[..., None]
        z.register_hook(lambda of_z: of_z * factor)


# --- what is refused -----------------------------------------------------------------------------------


def checked_n_draws(objective: Any) -> int:
    """``n_draws`` of an objective."""
    return checked_count(objective, "n_draws", at_least=1)


def checked_count(objective: Any, parameter: str, *, at_least: int) -> int:
    """A whole number among the parameters of an objective."""
    value = getattr(objective, parameter)
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < at_least:
        needed = "a positive whole number" if at_least == 1 else f"a whole number of at least {at_least}"
        raise ValueError(f"{parameter} of the objective must be {needed}, got {value!r}.")
    return int(value)


def checked_weight(objective: Any, parameter: str, *, at_most: float = math.inf) -> float:
    """A weight among the parameters of an objective."""
    value = getattr(objective, parameter)
    if not isinstance(value, numbers.Real) or not 0 <= float(value) <= at_most or value == math.inf:
        limits = "a finite number of at least 0" if at_most == math.inf else f"a number from 0 to {at_most:g}"
        raise ValueError(f"{parameter} of the objective must be {limits}, got {value!r}.")
    return float(value)


def checked_choice(objective: Any, parameter: str, choices: Sequence[str]) -> str:
    """A name among the parameters of an objective."""
    value = getattr(objective, parameter)
    if value not in choices:
        raise ValueError(
            f"{parameter} of the objective must be {' or '.join(map(repr, choices))}, got {value!r}."
        )
    return value


def checked_gradient(objective: Any, *, weighted: bool, inputs: Blocks) -> str:
    """``gradient`` of an objective; ``weighted`` says that it is importance-weighted."""
    gradient = checked_choice(objective, "gradient", ("plain", "stl", "dreg"))
    if gradient == "dreg" and not weighted:
        raise ValueError(
            f"gradient='dreg' reparameterises importance weights, and objective={objective!r} has none; use "
            "gradient='stl', or objective=IWAE(gradient='dreg')."
        )
    if gradient != "plain" and inputs.joint.ndim == 3:
        # every step's posterior depends on the points before it: to detach it would detach them
        raise ValueError(
            f"gradient={gradient!r} of objective={objective!r} is for one latent variable per row, and along "
            "sequences there is one per step; use gradient='plain' with MultimodalVRNN."
        )
    return gradient


def refuse_sequences(objective: Any, inputs: Blocks) -> None:
    """Raise ValueError where the rows are sequences, and an objective compares posteriors of rows."""
    if inputs.joint.ndim == 3:
        raise ValueError(
            f"objective={objective!r} compares posteriors given different modalities, and along sequences "
            "each depends on a path of its own; use objective='elbo', 'unimodal_elbo', 'mvae' or "
            "'powerset' with MultimodalVRNN."
        )


def refuse_one_part(objective: Any, network: Any, posterior: Any, what: str) -> None:
    """Raise ValueError where an objective, which does ``what``, needs a mixture and there is none."""
    if posterior.log_weights is None:
        name = getattr(network.fusion, "__name__", type(network.fusion).__name__)
        raise ValueError(
            f"objective={objective!r} {what}, but fusion={name} makes posteriors of one part; use "
            "fusion='moe' or 'mopoe', or another objective."
        )
