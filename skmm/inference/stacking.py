"""Learning how to complete: two models beside the network, weights of all, and how far errors go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks, per_feature
from skmm.inference.completion import (
    CELL,
    MODALITY,
    NEAR,
    Completion,
    blended_scale,
    seen_inputs,
    trust,
)
from skmm.inference.draws import draw_completions
from skmm.inference.expectations import predictive_moments, summary
from skmm.inference.simplex import least_on_simplex
from skmm.probability.factor_analysis import FactorAnalysis
from skmm.probability.kernel_regression import KernelRegression
from skmm.probability.likelihoods.contract import which_are_real

SHRINKAGES = (8.0, 2.0, 32.0)  # of the linear model, in rows; the first is also where the others start from
BANDWIDTHS = (0.1, 0.05, 0.025, 0.01, 0.004)  # of near rows
MAX_LINEAR_ROWS = 2000  # from which both are learned: more would tell the linear model little
MAX_LINEAR_ENTRIES = 4_000_000
MIN_LINEAR_ROWS = 200
MAX_CASES = 5000  # rows with something hidden, of all modalities together
MAX_CASE_ENTRIES = 4_000_000
MIN_CASE_ROWS = 20
N_SHAPE_DRAWS = 8
LEAST_CELLS, MOST_CELLS = 0.1, 0.5  # share of cells hidden where single ones are
PRIOR_ROWS = 20.0  # that the weights are worth from which learning starts
PRIOR_WEIGHTS = (0.5, 0.5, 0.0)  # near rows have to earn theirs
SHARES = (0.5, 0.0, 1.0)  # of the linear model's variance; the first where they do equally well
SHAPE_LEVELS = (0.25, 0.5, 0.75, 0.9, 0.97)
PRIOR_SCALES = 30.0  # rows that a modality's common scale is worth, beside a feature's own
N_CELL_CASES = 3  # times that cells are hidden in the same rows


@torch.no_grad()
def fit_completion(
    network: Any, train: Blocks, validation: Blocks | None, device: torch.device, *, n_draws: int
) -> Completion | None:
    """Learn the models beside the network, the weights and the factors.

    Parameters
    ----------
    network : Module
        Trained on ``train``.
    train : Blocks
    validation : Blocks or None
        Rows that the network was not trained on: each of their modalities is hidden in turn, and cells.
        Without them, weights are ``PRIOR_WEIGHTS``, and deviations stay as they are.
    device : device
    n_draws : int
        Latent points of a row.

    Returns
    -------
    Completion or None
        None where no feature is a real number. Draws from torch's current generator.
    """
    real = torch.tensor([flag for likelihood in network.likelihoods for flag in which_are_real(likelihood)])
    sizes = torch.tensor([size for likelihood in network.likelihoods for size in likelihood.input_sizes])
    inputs = (sizes.cumsum(0) - sizes)[real]
    real = real.nonzero()[:, 0]
    if not len(real):
        return None
    seen = seen_inputs(network, _some(train))
    linear = FactorAnalysis.fit(*seen, shrinkage=SHRINKAGES[0])
    weight = torch.tensor(PRIOR_WEIGHTS, dtype=torch.float64)[:, None, None].expand(-1, 2, len(real))
    even = torch.full((2, len(real)), 0.5, dtype=torch.float64)
    normal = _half_normal().expand(2, len(real), -1)
    neutral = Completion(linear, None, 0.0, inputs, real, weight, even, torch.ones_like(even), normal, normal)
    if validation is None:
        return neutral
    models = [linear] + [
        FactorAnalysis.fit(*seen, shrinkage=shrinkage, start=linear, n_iter=10)
        for shrinkage in SHRINKAGES[1:]
    ]
    near = [KernelRegression.fit(*seen, bandwidth=bandwidth) for bandwidth in BANDWIDTHS]
    found = _answers(network, validation, neutral, models, near, device, n_draws)
    answers = [answer for answer in found if answer.hidden.any()]
    if not answers:
        return neutral
    best = min(range(len(models)), key=lambda i: sum(_squared(answer, i) for answer in answers))
    reach = float(torch.cat([answer.nearest for answer in answers]).median())

    def with_near(i: int) -> list[_Case]:
        return [answer.chosen(best, i, reach, BANDWIDTHS[i]) for answer in answers]

    nearest = min(range(len(near)), key=lambda i: _least(with_near(i)))
    cases = with_near(nearest)
    owner = torch.repeat_interleave(torch.tensor(validation.sizes))[real]
    completion = _weighed(neutral, cases, owner)
    seen = seen_inputs(network, _some(_joined(train, validation)))
    return replace(
        completion,
        linear=FactorAnalysis.fit(*seen, shrinkage=SHRINKAGES[best], start=models[best], n_iter=10),
        near=KernelRegression.fit(*seen, bandwidth=BANDWIDTHS[nearest])
        if (completion.weight[NEAR] > 0).any()
        else None,
        reach=reach,
    )


def _weighed(neutral: Completion, cases: list[_Case], owner: Tensor) -> Completion:
    """Learn weights, factors and shapes; what no case tells of stays as it is.

    Parameters
    ----------
    neutral : Completion
    cases : list
    owner : int64 Tensor of shape (n_real,)
        Modality of each real feature.
    """
    learned = ("weight", "share", "factor", "knots", "shape")
    completion = replace(neutral, **{name: getattr(neutral, name).clone() for name in learned})
    for kind in (CELL, MODALITY):
        of_kind = [case for case in cases if case.kind == kind]
        if not of_kind:
            continue
        common = _weight(of_kind, torch.tensor(PRIOR_WEIGHTS, dtype=torch.float64))
        for modality in owner.unique().tolist():
            columns = owner == modality
            of_it = [case.of(columns) for case in of_kind if case.hidden[:, columns].any()]
            if not of_it:
                continue
            weight = _weight(of_it, common)
            spread = {share: _factor(of_it, weight, share) for share in SHARES}
            share = max(spread, key=lambda candidate: spread[candidate][0])
            factor = spread[share][1]
            completion.weight[:, kind, columns] = weight[:, None]
            completion.share[kind, columns] = share
            completion.factor[kind, columns] = factor
            shapes = _shapes(of_it, weight, share, factor)
            completion.knots[kind, columns], completion.shape[kind, columns] = shapes
    return completion


@dataclass(frozen=True)
class _Answers:
    """What candidates make of rows with some entries hidden; real features only.

    The truth, what was hidden, mean and deviation of the network, all of shape (n, n_real); mean and
    deviation of the linear models and mean of near rows with an axis of candidates in front; squared distance
    of the nearest row, (n,); and with an axis of draws, how far the network's are from their mean, in
    deviations.
    """

    kind: int
    truth: Tensor
    hidden: Tensor
    loc: Tensor
    scale: Tensor
    told: Tensor
    spread: Tensor
    around: Tensor
    nearest: Tensor
    deviation: Tensor

    def chosen(self, linear: int, near: int, reach: float, bandwidth: float) -> _Case:
        """With one candidate of each kind."""
        trusted = trust(self.nearest, reach, bandwidth)[:, None]
        around = torch.lerp(self.loc, self.around[near], trusted)
        means = torch.stack([self.loc, self.told[linear], around])
        return _Case(
            self.kind, self.truth, self.hidden, means, self.scale, self.spread[linear], self.deviation
        )


@dataclass(frozen=True)
class _Case:
    """Rows with some entries hidden, and what the three models make of them; real features only.

    The truth and what was hidden, both (n, n_real); means of the models, (3, n, n_real); deviations of the
    network and the linear model, (n, n_real); draws of the network, as in :class:`_Answers`.
    """

    kind: int
    truth: Tensor
    hidden: Tensor
    means: Tensor
    scale: Tensor
    spread: Tensor
    deviation: Tensor

    def of(self, columns: Tensor) -> _Case:
        """Those of some features."""
        parts = (self.truth, self.hidden, self.means, self.scale, self.spread, self.deviation)
        return _Case(self.kind, *(part[..., columns] for part in parts))

    def relative_error(self, weight: Tensor, scale: Tensor) -> Tensor:
        """Error of the models' average, in units of a deviation, (n, n_real)."""
        return (self.truth - torch.tensordot(weight, self.means, 1)) / scale


def _squared(answer: _Answers, linear: int) -> float:
    """Squared error of a linear model over what was hidden."""
    return float(((answer.truth - answer.told[linear]).square() * answer.hidden).sum())


def _gram(cases: list[_Case]) -> Tensor:
    """Products of the models' errors, (3, 3)."""
    gram = torch.zeros((3, 3), dtype=torch.float64)
    for case in cases:
        errors = (case.truth - case.means)[:, case.hidden]
        gram += errors @ errors.T
    return gram


def _least(cases: list[_Case]) -> float:
    """Squared error of the average with the best weights, which are other ones for cells."""
    total = 0.0
    for kind in (CELL, MODALITY):
        gram = _gram([case for case in cases if case.kind == kind])
        weight = least_on_simplex(gram, torch.zeros(3, dtype=torch.float64))
        total += float(weight @ gram @ weight)
    return total


def _weight(cases: list[_Case], prior: Tensor) -> Tensor:
    """Weights of the models, (3,), that make the squared error least, drawn towards prior ones."""
    gram = _gram(cases)
    share = PRIOR_ROWS / _n_rows(cases)
    # the error of an average is the average of the errors: w'Gw + share (w - prior)'G(w - prior)
    return least_on_simplex((1 + share) * gram, share * gram @ prior)


def _n_rows(cases: list[_Case]) -> int:
    """Rows that something is learned from; the same ones, with something else hidden, are no more of them."""
    return max(int(case.hidden.any(1).sum()) for case in cases)


def _factor(cases: list[_Case], weight: Tensor, share: float) -> tuple[float, Tensor]:
    """How well deviations tell errors, with a share of the linear model's variance in them.

    Returns
    -------
    score : float
        Log-density of the errors, but for a constant, as if they were normal.
    factor : Tensor of shape (n_features,)
        What brings deviations to the size of errors.
    """
    scales = [blended_scale(share, case.scale, case.spread) for case in cases]
    errors = [case.relative_error(weight, scale) for case, scale in zip(cases, scales, strict=True)]
    hidden = torch.cat([case.hidden for case in cases])
    squared, count = torch.cat(errors).square() * hidden, hidden.sum(0)
    common = squared.sum() / count.sum()
    factor = ((squared.sum(0) + PRIOR_SCALES * common) / (count + PRIOR_SCALES)).sqrt()
    score = -(0.5 * squared / factor.square() + (torch.cat(scales) * factor).log() * hidden).sum()
    return float(score), factor


def _shapes(cases: list[_Case], weight: Tensor, share: float, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Knots of the network's deviations, and of errors, (n_knots,), of one modality."""
    errors = [
        case.relative_error(weight, factor * blended_scale(share, case.scale, case.spread))[case.hidden]
        for case in cases
    ]
    shape = _levels(torch.cat(errors).abs())
    knots = _levels(torch.cat([case.deviation.abs()[:, case.hidden].flatten() for case in cases]))
    trusted = _n_rows(cases) / (_n_rows(cases) + PRIOR_ROWS)
    return knots, trusted * shape + (1 - trusted) * knots


def _answers(
    network: Any,
    validation: Blocks,
    completion: Completion,
    models: list[FactorAnalysis],
    near: list[KernelRegression],
    device: torch.device,
    n_draws: int,
) -> Iterator[_Answers]:
    """Hide each modality in turn, and single cells, and ask the models."""
    n_modalities = len(validation.sizes)
    n_rows = min(MAX_CASES, MAX_CASE_ENTRIES // validation.joint.shape[1]) // (n_modalities + N_CELL_CASES)
    rows = validation.rows(slice(0, max(MIN_CASE_ROWS, n_rows)))
    everything = rows.joint_observed
    for kind, hidden in _hidden(rows):
        chosen = hidden.any(1)
        if not chosen.any():
            continue
        left = Blocks.from_joint(rows.joint[chosen], (everything & ~hidden)[chosen], rows.sizes)
        moments = predictive_moments(network, left, device, n_draws=n_draws)
        loc, scale = (part.double()[:, completion.real] for part in summary(network, *moments, device))
        seen = seen_inputs(network, left)
        told, spread = _stacked(*(model.moments(*seen) for model in models))
        around, nearest = _stacked(*(model.complete(*seen) for model in near))
        draws = draw_completions(network, left, N_SHAPE_DRAWS, device)[..., completion.real]
        yield _Answers(
            kind,
            truth=rows.joint[chosen].double()[:, completion.real].cpu(),
            hidden=hidden[chosen][:, completion.real].cpu(),
            loc=loc,
            scale=scale,
            told=told[..., completion.inputs],
            spread=spread[..., completion.inputs],
            around=around[..., completion.inputs],
            nearest=nearest[0],
            deviation=((draws - loc) / scale).float(),
        )


def _stacked(*pairs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The first of all pairs, and the second of all, with a new axis in front."""
    first, second = zip(*pairs, strict=True)
    return torch.stack(first), torch.stack(second)


def _hidden(rows: Blocks) -> Iterator[tuple[int, Tensor]]:
    """What to hide, (n, n_features); never all that a row has."""
    present = rows.present  # (M, n)
    for modality in range(len(rows.sizes)):
        several = present[modality] & (present.sum(0) > 1)
        yield MODALITY, rows.joint_observed & rows.columns_of(modality) & several[:, None]
    there = per_feature(present.T, rows.sizes, dim=1)
    rate = 1 - float(rows.joint_observed[there].float().mean()) if there.any() else 0.0
    rate = min(max(rate, LEAST_CELLS), MOST_CELLS)
    for _ in range(N_CELL_CASES):
        hidden = rows.joint_observed & (torch.rand(rows.joint.shape, device=rows.joint.device) < rate)
        # single cells only: something of the modality stays
        left = Blocks.from_joint(rows.joint, rows.joint_observed & ~hidden, rows.sizes).present
        yield CELL, hidden & per_feature(left.T, rows.sizes, dim=1)


def _half_normal() -> Tensor:
    """Absolute values that a share ``SHAPE_LEVELS`` of standard normal numbers does not exceed."""
    return torch.special.ndtri(0.5 + 0.5 * torch.tensor(SHAPE_LEVELS, dtype=torch.float64))


def _levels(sizes: Tensor) -> Tensor:
    """What a share ``SHAPE_LEVELS`` of some numbers does not exceed."""
    return torch.from_numpy(np.quantile(sizes, SHAPE_LEVELS))  # torch's own takes 16 million at most


def _some(blocks: Blocks) -> Blocks:
    """As many rows as the linear model is learned from, at random."""
    n_rows = min(MAX_LINEAR_ROWS, max(MIN_LINEAR_ROWS, MAX_LINEAR_ENTRIES // blocks.joint.shape[1]))
    if blocks.n_rows <= n_rows:
        return blocks
    return blocks.rows(torch.randperm(blocks.n_rows)[:n_rows].to(blocks.joint.device))


def _joined(first: Blocks, second: Blocks) -> Blocks:
    """The rows of both."""
    return Blocks.from_joint(
        torch.cat([first.joint, second.joint]),
        torch.cat([first.joint_observed, second.joint_observed]),
        first.sizes,
    )
