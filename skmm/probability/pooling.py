"""Fusion rules that pool the experts' means and deviations.

Both pool what each modality that is present says by itself, the prior times its expert. Where the prior
multiplies what the rule returns, the standard normal density takes its place, and is divided out afterwards.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks
from skmm.probability.experts import Experts


def wasserstein_barycentre(blocks: Blocks, experts: Experts, present: Tensor) -> Any:
    r"""Average means and standard deviations over the modalities that are present.

    This is the density nearest to all of them, by the square of the Wasserstein distance:

    .. math:: q = \arg\min_q \sum_m W_2^2(q, q_m), \quad \mu = \frac1M \sum_m \mu_m, \quad
              \sigma = \frac1M \sum_m \sigma_m

    No modality sharpens what another says.

    Parameters
    ----------
    blocks : Blocks
        Not used.
    experts : Experts
        Of a family with means and deviations: normal or Laplace.
    present : bool Tensor of shape (n_modalities, ...)

    Returns
    -------
    posterior
        Of one part; the prior where nothing is present.

    References
    ----------
    .. [1] Qiu et al. (2025), "Multimodal Variational Autoencoder: A Barycentric View": the barycentre of
       densities with diagonal covariance.
    """
    loc, scale, counts = _moments(experts, present, "wasserstein")
    weights = (counts / counts.sum(0))[..., None]
    return _pooled(experts, present, (weights * loc).sum(0), (weights * scale).sum(0))


def hellinger_pool(blocks: Blocks, experts: Experts, present: Tensor) -> Any:
    r"""Average square roots of densities; the posterior has the mean and the variances of what comes out.

    .. math:: q(z) \propto \Big( \sum_m \sqrt{q_m(z)} \Big)^2 = \sum_{l, m} B_{lm}\, q_{lm}(z), \quad
              q_{lm} \propto \sqrt{q_l q_m}

    This is the density nearest to all of them by the square of the Hellinger distance. It lies between the
    mixture, which is the sum over l = m, and the product: modalities that agree reinforce each other, by
    their Bhattacharyya coefficient :math:`B_{lm}`, and those that do not make the posterior wider. Time and
    memory grow with the square of the number of modalities.

    Parameters
    ----------
    blocks : Blocks
        Not used.
    experts : Experts
        Of a family with means and deviations: normal, or Laplace, which is pooled as if it were normal.
    present : bool Tensor of shape (n_modalities, ...)

    Returns
    -------
    posterior
        Of one part; the prior where nothing is present.

    References
    ----------
    .. [1] Vo and Valera (2026), "Hellinger Multimodal Variational Autoencoders": Hölder pooling with
       exponent 1/2, by its moments.
    """
    loc, scale, counts = _moments(experts, present, "hellinger")
    first, second = torch.triu_indices(len(loc), len(loc), device=loc.device)
    # each pair of modalities: the normal density in proportion to the root of their product
    variance = scale.square()
    total = variance[first] + variance[second]
    between = 2 * variance[first] * variance[second] / total
    middle = (loc[first] * variance[second] + loc[second] * variance[first]) / total
    log_coefficient = 0.5 * (between / (scale[first] * scale[second])).log()
    log_coefficient = log_coefficient - 0.25 * (loc[first] - loc[second]).square() / total
    times = torch.where(first == second, 1.0, 2.0)  # of different modalities, in both orders
    log_weights = log_coefficient.sum(-1) + times.log().view(-1, *[1] * (loc.ndim - 2))
    log_weights = log_weights.masked_fill(~(counts[first] & counts[second]), -torch.inf)
    weights = log_weights.softmax(0)[..., None]
    mean = (weights * middle).sum(0)
    stddev = (weights * (between + (middle - mean).square())).sum(0).sqrt()
    return _pooled(experts, present, mean, stddev)


def _moments(experts: Experts, present: Tensor, rule: str) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and deviation of each modality's posterior, and which count: all, where none is present."""
    if not hasattr(experts.family, "moments"):
        name = getattr(experts.family, "name", type(experts.family).__name__)
        raise ValueError(
            f"fusion={rule!r} pools means and standard deviations, which the experts of posterior={name!r} "
            "do not have; choose posterior='normal', or another fusion, such as 'poe' or 'moe'."
        )
    standard = _standard(experts)
    prior = standard if experts.multiplied_later else experts.prior
    natural = torch.where(present[..., None], experts.natural + prior, standard)
    loc, scale = experts.family.moments(natural)
    return loc, scale, present | ~present.any(0)


def _pooled(experts: Experts, present: Tensor, loc: Tensor, scale: Tensor) -> Any:
    if experts.multiplied_later:
        # what the pool says beyond the standard normal density; never less, or no prior might be left of it
        natural = experts.family.natural_of(loc, scale.clamp_max(1.0)) - _standard(experts)
    else:
        natural = experts.family.natural_of(loc, scale)
    natural = torch.where(present.any(0)[..., None], natural, experts.prior)
    return experts.family.posterior(natural[None], None)


def _standard(experts: Experts) -> Tensor:
    """Natural parameters of the standard normal density."""
    zero = experts.natural.new_zeros(experts.natural.shape[-1] // 2)
    return experts.family.natural_of(zero, torch.ones_like(zero))
