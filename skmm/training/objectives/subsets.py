"""Subsets of a row's modalities, inferred from as one batch, and evidence bounds averaged over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from skmm._blocks.blocks import Blocks, per_feature
from skmm.training.objectives.contract import (
    Terms,
    checked_choice,
    checked_count,
    checked_gradient,
    checked_n_draws,
    divergence,
    elbo_terms,
    log_likelihood,
)

MAX_MODALITIES_FOR_ALL_SUBSETS = 6


@dataclass(frozen=True)
class Copies:
    """Copies of the rows of a batch, each with one subset of the row's modalities, as one larger batch.

    They stand subset by subset, and within one in the order of the rows.

    Parameters
    ----------
    inputs : Blocks
    row, subset : int64 Tensor of shape (n_copies,)
        Which row each copies, and the number of its subset.
    members : bool Tensor of shape (n_modalities, n_copies)
        The modalities that each holds.
    """

    inputs: Blocks
    row: Tensor
    subset: Tensor
    members: Tensor

    @classmethod
    def of(cls, inputs: Blocks, members: Tensor, counts: Tensor) -> Copies:
        """Copy rows.

        Parameters
        ----------
        inputs : Blocks
        members : bool Tensor of shape (n_subsets, n_modalities, n or 1)
            The modalities of each subset, of which a row has those that are present.
        counts : bool Tensor of shape (n_subsets, n)
            The subsets that each row is copied for.
        """
        subset, row = counts.nonzero(as_tuple=True)
        members = members.expand(-1, -1, inputs.n_rows)[subset, :, row].T & inputs.row_present[:, row]
        return cls(restricted(inputs.rows(row), members), row, subset, members)

    def share(self, n_rows: int) -> Tensor:
        """Weights that average over the subsets of a row, and then over rows, (n_copies,)."""
        n_copies = torch.bincount(self.row, minlength=n_rows).to(self.inputs.joint.dtype)
        return 1.0 / (n_copies[self.row] * n_rows)


def restricted(blocks: Blocks, members: Tensor) -> Blocks:
    """Keep some modalities of each row, ``members`` (n_modalities, n)."""
    seen = per_feature(members.T, blocks.sizes, dim=1)  # (n, D)
    if blocks.joint.ndim == 3:
        seen = seen[:, None]
    return Blocks.from_joint(blocks.joint, blocks.joint_observed & seen, blocks.sizes)


def all_and_each(n_modalities: int, device: torch.device) -> Tensor:
    """All modalities, and each alone: memberships (1 + n_modalities, n_modalities, 1)."""
    whole = torch.ones(1, n_modalities, dtype=torch.bool, device=device)
    return torch.cat([whole, torch.eye(n_modalities, dtype=torch.bool, device=device)])[..., None]


def each_alone(inputs: Blocks) -> Copies:
    """Each modality of each row alone; of rows that have none, the row as it is."""
    present = inputs.row_present
    members = torch.eye(len(present), dtype=torch.bool, device=present.device)[..., None]
    members = torch.cat([torch.zeros_like(members[:1]), members])
    return Copies.of(inputs, members, torch.cat([~present.any(0, keepdim=True), present]))


def random_subsets(present: Tensor, n_subsets: int) -> Tensor:
    """Draw subsets of the modalities that are present, all but the empty one equally likely.

    Parameters
    ----------
    present : bool Tensor of shape (n_modalities, n)
    n_subsets : int

    Returns
    -------
    bool Tensor of shape (n_subsets, n_modalities, n)
        Empty where nothing is present.
    """
    # the first modality of a subset has a truncated geometric distribution; those behind it toss a coin
    rank = present.cumsum(0) - 1
    n_present = present.sum(0)
    inside = 1 - 0.5**n_present  # probability that coins for all of them leave anything
    first = -torch.log2(1 - inside * torch.rand(n_subsets, *n_present.shape, device=present.device))
    first = torch.minimum(first.floor(), n_present - 1)[:, None]
    coins = torch.rand(n_subsets, *present.shape, device=present.device) < 0.5
    return present & ((rank == first) | ((rank > first) & coins))


def averaged_elbo(
    network: Any,
    copies: Copies,
    targets: Blocks,
    beta: float,
    *,
    n_draws: int,
    gradient: str,
    own: bool = False,
) -> Terms:
    """Evidence lower bounds given every subset, averaged over the subsets of a row, and over rows.

    ``own`` scores of every subset its own modalities alone, which is no bound of what was observed.
    """
    latent = network.infer(copies.inputs, n_draws)
    scored = targets.rows(copies.row)
    if own:
        scored = restricted(scored, copies.members)
    share = copies.share(targets.n_rows)
    reconstruction = log_likelihood(network, latent, scored).mean(1) @ share  # (M,)
    return elbo_terms(network, reconstruction, divergence(latent, gradient) @ share, beta, bound=not own)


class UnimodalELBO(BaseEstimator):
    r"""Evidence lower bound given all modalities, and given each one alone, averaged.

    .. math:: \frac{1}{1 + |O|} \sum_{C \in \{O\} \cup \{\{m\}: m \in O\}} \Big(
              E_{q(z|x_C)} \Big[\sum_{m \in O} w_m \log p(x_m|z)\Big] - \beta\, KL(q(z|x_C) \| p(z)) \Big)

    where a row holds the modalities O. Every modality's encoder learns to complete all others by itself,
    without relying on the luck of ``modality_dropout``. A bound of the log-likelihood where
    :math:`\beta = 1`, looser than the ELBO. A step costs as many times more as there are modalities.

    Parameters
    ----------
    n_draws : int, default=1
        Latent points per row and subset.
    gradient : {"plain", "stl"}, default="plain"
        As of :class:`skmm.ELBO`.

    References
    ----------
    .. [1] Wu and Goodman (2018), "Multimodal Generative Models for Scalable Weakly-Supervised Learning",
       eq. 5, without random subsets; all observed modalities are scored for every subset.
    .. [2] Zhi-Xuan, Soh and Ong (2020), "Factorized Inference in Deep Markov Models for Incomplete Multimodal
       Time Series".
    """

    importance_weighted = False

    def __init__(self, n_draws: int = 1, *, gradient: str = "plain") -> None:
        self.n_draws = n_draws
        self.gradient = gradient

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        gradient = checked_gradient(self, weighted=False, inputs=inputs)
        present = inputs.row_present
        copies = Copies.of(
            inputs,
            all_and_each(len(present), present.device),
            torch.cat([torch.ones_like(present[:1]), present]),
        )
        return averaged_elbo(network, copies, targets, beta, n_draws=checked_n_draws(self), gradient=gradient)


class MVAE(BaseEstimator):
    r"""Evidence lower bound given all modalities, each one alone, and some random subsets, averaged.

    .. math:: \frac{1}{|S|} \sum_{C \in S} \Big(E_{q(z|x_C)} \Big[\sum_{m \in T_C} w_m \log p(x_m|z)\Big]
              - \beta\, KL(q(z|x_C) \| p(z)) \Big), \quad
              S = \{O\} \cup \{\{m\}: m \in O\} \cup \{R_1, \dots, R_k\}

    where a row holds the modalities O, and R are random subsets of them, new ones in every step. The paper
    has the sum, which is :math:`|S|` times as large, and made for ``fusion="poe"``.

    Parameters
    ----------
    n_random : int, default=1
        Random subsets per row, k, of those that are not empty all equally likely.
    targets : {"observed", "own"}, default="observed"
        What is scored given a subset: all that was really observed, which makes this a bound of the
        log-likelihood where :math:`\beta = 1`; or, as in the paper, the modalities of the subset alone, which
        is none, and never trains one modality to be decoded from another.
    n_draws : int, default=1
        Latent points per row and subset.
    gradient : {"plain", "stl"}, default="plain"
        As of :class:`skmm.ELBO`.

    References
    ----------
    .. [1] Wu and Goodman (2018), "Multimodal Generative Models for Scalable Weakly-Supervised Learning",
       eq. 5.
    """

    importance_weighted = False

    def __init__(
        self,
        n_random: int = 1,
        *,
        targets: str = "observed",
        n_draws: int = 1,
        gradient: str = "plain",
    ) -> None:
        self.n_random = n_random
        self.targets = targets
        self.n_draws = n_draws
        self.gradient = gradient

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        gradient = checked_gradient(self, weighted=False, inputs=inputs)
        own = checked_choice(self, "targets", ("observed", "own")) == "own"
        present = inputs.row_present
        drawn = random_subsets(present, checked_count(self, "n_random", at_least=0))
        fixed = all_and_each(len(present), present.device).expand(-1, -1, inputs.n_rows)
        copies = Copies.of(
            inputs,
            torch.cat([fixed, drawn]),
            torch.cat([torch.ones_like(present[:1]), present, torch.ones_like(drawn[:, 0])]),
        )
        return averaged_elbo(
            network, copies, targets, beta, n_draws=checked_n_draws(self), gradient=gradient, own=own
        )


class PowersetELBO(BaseEstimator):
    r"""Evidence lower bound given every subset of the modalities, averaged.

    .. math:: \frac{1}{2^{|O|} - 1} \sum_{\emptyset \ne C \subseteq O} \Big(
              E_{q(z|x_C)} \Big[\sum_{m \in O} w_m \log p(x_m|z)\Big] - \beta\, KL(q(z|x_C) \| p(z)) \Big)

    where a row holds the modalities O. Every question that may be asked later is trained in every step. A
    bound of the log-likelihood where :math:`\beta = 1`, looser than the ELBO. With more than six modalities,
    an estimate of this average from random subsets.

    Parameters
    ----------
    n_random : int, default=16
        Random subsets per row where there are more than six modalities; new ones in every step.
    n_draws : int, default=1
        Latent points per row and subset.
    gradient : {"plain", "stl"}, default="plain"
        As of :class:`skmm.ELBO`.

    References
    ----------
    .. [1] Wu and Goodman (2018), "Multimodal Generative Models for Scalable Weakly-Supervised Learning",
       sec. 2.2: the sum over all :math:`2^M` subsets that its eq. 5 samples from; all observed modalities are
       scored for every subset.
    """

    importance_weighted = False

    def __init__(self, n_random: int = 16, *, n_draws: int = 1, gradient: str = "plain") -> None:
        self.n_random = n_random
        self.n_draws = n_draws
        self.gradient = gradient

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        gradient = checked_gradient(self, weighted=False, inputs=inputs)
        n_random = checked_count(self, "n_random", at_least=1)
        present = inputs.row_present
        n_modalities = len(present)
        if n_modalities > MAX_MODALITIES_FOR_ALL_SUBSETS:
            members = random_subsets(present, n_random)
            counts = torch.ones_like(members[:, 0])
        else:
            codes = torch.arange(2**n_modalities, device=present.device)
            members = (
                codes[:, None, None] >> torch.arange(n_modalities, device=present.device)[:, None]
            ) & 1 > 0
            counts = (~members | present).all(1)
            counts[0] = ~present.any(0)  # nothing at all is a question only where there is nothing else
        copies = Copies.of(inputs, members, counts)
        return averaged_elbo(network, copies, targets, beta, n_draws=checked_n_draws(self), gradient=gradient)
