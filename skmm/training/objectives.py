"""Objectives: what training maximises.

An objective is called as ``objective(network, inputs, targets, beta) -> Terms``. It sees latent points and
distributions, never a fusion rule, and never a particular prior. Its attribute ``importance_weighted`` says
that it makes the posterior a proposal, whose points have to be weighted afterwards. To add one, write such
a class here and name it in ``OBJECTIVES``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from skmm._blocks.blocks import Blocks, per_feature
from skmm._torch import isolated_rng


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


class ELBO(BaseEstimator):
    r"""Evidence lower bound.

    .. math:: E_{q(z|x)} \Big[\sum_m w_m \log p(x_m|z)\Big] - \beta\, KL(q(z|x) \| p(z))

    Parameters
    ----------
    n_draws : int, default=1
        Latent points per row.

    References
    ----------
    .. [1] Kingma and Welling (2014), "Auto-Encoding Variational Bayes", eq. 3.
    .. [2] Higgins et al. (2017), "beta-VAE", eq. 4.
    """

    importance_weighted = False

    def __init__(self, n_draws: int = 1) -> None:
        self.n_draws = n_draws

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        latent = network.infer(inputs, _checked(self.n_draws))
        log_likelihood = network.log_likelihood(network.decode(latent.code), targets)  # (M, K, n)
        reconstruction = log_likelihood.mean((1, 2))
        kl = latent.kl.mean()
        return Terms(
            loss=beta * kl - network.modality_weights @ reconstruction,
            reconstruction=reconstruction.detach(),
            kl=kl.detach()[None],
            bound=(reconstruction.sum() - kl).detach(),
        )


class UnimodalELBO(BaseEstimator):
    r"""Evidence lower bound given all modalities, and given each one alone, averaged.

    .. math:: \frac{1}{1 + |O|} \sum_{C \in \{O\} \cup \{\{m\}: m \in O\}} \Big(
              E_{q(z|x_C)} \Big[\sum_{m \in O} w_m \log p(x_m|z)\Big] - \beta\, KL(q(z|x_C) \| p(z)) \Big)

    where a row holds the modalities O. Every modality's encoder learns to complete all others by itself,
    without relying on the luck of ``modality_dropout``. A step costs as many times more as there are
    modalities.

    Parameters
    ----------
    n_draws : int, default=1
        Latent points per row and subset.

    References
    ----------
    .. [1] Wu and Goodman (2018), "Multimodal Generative Models for Scalable Weakly-Supervised Learning",
       eq. 5, without random subsets; all observed modalities are scored for every subset.
    .. [2] Zhi-Xuan, Soh and Ong (2020), "Factorized Inference in Deep Markov Models for Incomplete Multimodal
       Time Series".
    """

    importance_weighted = False

    def __init__(self, n_draws: int = 1) -> None:
        self.n_draws = n_draws

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        n, n_modalities = inputs.n_rows, len(inputs.sizes)
        present = inputs.row_present  # (M, n)
        counts = torch.cat([torch.ones_like(present[:1]), present])  # which subsets a row has, (M + 1, n)
        share = (counts / counts.sum(0)).flatten() / n
        members = torch.cat([present.new_ones(1, n_modalities), torch.eye(n_modalities).to(present)])
        seen = per_feature(members, inputs.sizes, dim=1).repeat_interleave(n, dim=0)  # ((M + 1) n, D)
        if inputs.joint.ndim == 3:
            seen = seen[:, None]
        copies = torch.arange(n, device=present.device).repeat(n_modalities + 1)
        copied = inputs.rows(copies)  # all subsets at once: as many times the rows
        copied = Blocks.from_joint(copied.joint, copied.joint_observed & seen, inputs.sizes)
        latent = network.infer(copied, _checked(self.n_draws))
        log_likelihood = network.log_likelihood(network.decode(latent.code), targets.rows(copies)).mean(1)
        reconstruction = log_likelihood @ share  # (M,)
        kl = latent.kl @ share
        return Terms(
            loss=beta * kl - network.modality_weights @ reconstruction,
            reconstruction=reconstruction.detach(),
            kl=kl.detach()[None],
            bound=(reconstruction.sum() - kl).detach(),
        )


class IWAE(BaseEstimator):
    r"""Importance-weighted evidence lower bound, tighter with every draw.

    It forgives a posterior that covers more than it should, such as several explanations of the same row;
    completions and draws of a model trained with it weight the points of the posterior in turn.

    .. math:: \log \frac1K \sum_k \exp\Big(\sum_m w_m \log p(x_m|z_k)
              + \beta\,(\log p(z_k) - \log q(z_k|x))\Big)

    Parameters
    ----------
    n_draws : int, default=10
        Latent points per row, K.

    References
    ----------
    .. [1] Burda, Grosse and Salakhutdinov (2016), "Importance Weighted Autoencoders", eq. 8.
    .. [2] Mattei and Frellsen (2019), "MIWAE", eq. 4, for incomplete data.
    """

    importance_weighted = True

    def __init__(self, n_draws: int = 10) -> None:
        self.n_draws = n_draws

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        latent = network.infer(inputs, _checked(self.n_draws))
        log_likelihood = network.log_likelihood(network.decode(latent.code), targets)  # (M, K, n)
        log_ratio = latent.log_p - latent.log_q
        weighted = torch.tensordot(network.modality_weights, log_likelihood, dims=1)
        return Terms(
            loss=-_log_mean_exp(weighted + beta * log_ratio).mean(),
            reconstruction=log_likelihood.detach().mean((1, 2)),
            kl=-log_ratio.detach().mean()[None],
            bound=_log_mean_exp(log_likelihood.sum(0) + log_ratio).mean().detach(),
        )


@torch.no_grad()
def modality_divergence(network: Any, rows: Blocks) -> list[float]:
    """Divergence from the prior of the posterior given each modality alone; NaN for one that no row has."""
    found = []
    with isolated_rng(0, rows.joint.device):  # looking must not change what training draws
        for modality, present in enumerate(rows.row_present):
            if not present.any():
                found.append(math.nan)
                continue
            some = rows.rows(present)
            seen = some.joint_observed & some.columns_of(modality)
            latent = network.infer(Blocks.from_joint(some.joint, seen, rows.sizes), 1)
            found.append(float(latent.kl.mean()))
    return found


def _checked(n_draws: Any) -> int:
    if not isinstance(n_draws, numbers.Integral) or n_draws < 1:
        raise ValueError(f"n_draws of the objective must be a positive whole number, got {n_draws!r}.")
    return int(n_draws)


def _log_mean_exp(values: Tensor) -> Tensor:
    return torch.logsumexp(values, dim=0) - math.log(values.shape[0])


Objective = Callable[[Any, Blocks, Blocks, float], Terms]

OBJECTIVES: dict[str, Callable[[], Any]] = {"elbo": ELBO, "unimodal_elbo": UnimodalELBO, "iwae": IWAE}
