"""Learning how to complete: a linear model beside the network, weights of both, and how far errors go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks, per_feature
from skmm.inference.completion import CELL, MODALITY, Completion, blended_scale, linear_moments, seen_inputs
from skmm.inference.draws import draw_completions
from skmm.inference.expectations import predictive_moments, summary
from skmm.probability.factor_analysis import FactorAnalysis
from skmm.probability.likelihoods.contract import which_are_real

SHRINKAGES = (8.0, 2.0, 32.0)  # of the linear model, in rows; the first is also where the others start from
MAX_LINEAR_ROWS = 2000  # from which the linear model is learned: more would tell it little
MAX_LINEAR_ENTRIES = 4_000_000
MIN_LINEAR_ROWS = 200
MAX_CASES = 5000  # rows with something hidden, of all modalities together
MAX_CASE_ENTRIES = 4_000_000
MIN_CASE_ROWS = 20
N_SHAPE_DRAWS = 8
LEAST_CELLS, MOST_CELLS = 0.1, 0.5  # share of cells hidden where single ones are
PRIOR_ROWS = 20.0  # that equal weights of both models are worth
SHARES = (0.5, 0.0, 1.0)  # of the linear model's variance; the first where they do equally well
SHAPE_LEVELS = (0.25, 0.5, 0.75, 0.9, 0.97)
PRIOR_SCALES = 30.0  # rows that a modality's common scale is worth, beside a feature's own
N_CELL_CASES = 3  # times that cells are hidden in the same rows


@torch.no_grad()
def fit_completion(
    network: Any, train: Blocks, validation: Blocks | None, device: torch.device, *, n_draws: int
) -> Completion | None:
    """Learn the linear model, the weights and the factors.

    Parameters
    ----------
    network : Module
        Trained on ``train``.
    train : Blocks
    validation : Blocks or None
        Rows that the network was not trained on: each of their modalities is hidden in turn, and cells.
        Without them, both models have equal weights, and deviations stay as they are.
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
    some = _some(train)
    seen = seen_inputs(network, some)
    linear = FactorAnalysis.fit(*seen, shrinkage=SHRINKAGES[0])
    even = torch.full((2, len(real)), 0.5, dtype=torch.float64)
    normal = _half_normal().expand(2, len(real), -1)
    neutral = Completion(linear, inputs, real, even, even, torch.ones_like(even), normal, normal)
    if validation is None:
        return neutral
    models = [linear] + [
        FactorAnalysis.fit(*seen, shrinkage=shrinkage, start=linear, n_iter=10)
        for shrinkage in SHRINKAGES[1:]
    ]
    cases = list(_cases(network, validation, neutral, models, device, n_draws))
    if not cases:
        return neutral
    best = min(range(len(models)), key=lambda i: float(sum(_squared(case, i) for case in cases)))
    owner = torch.repeat_interleave(torch.tensor(validation.sizes))[real]
    completion = _weighed(neutral, [case.chosen(best) for case in cases], owner)
    everything = _some(_joined(train, validation))
    final = FactorAnalysis.fit(
        *seen_inputs(network, everything), shrinkage=SHRINKAGES[best], start=models[best], n_iter=10
    )
    return replace(completion, linear=final)


def _weighed(neutral: Completion, cases: list[_Case], owner: Tensor) -> Completion:
    """Learn weights, factors and shapes; what no case tells of stays as it is.

    Parameters
    ----------
    neutral : Completion
    cases : list
        With one linear model.
    owner : int64 Tensor of shape (n_real,)
        Modality of each real feature.
    """
    learned = ("weight", "share", "factor", "knots", "shape")
    completion = replace(neutral, **{name: getattr(neutral, name).clone() for name in learned})
    for kind in (CELL, MODALITY):
        of_kind = [case for case in cases if case.kind == kind]
        if not of_kind:
            continue
        common = _weight(of_kind, 0.5)
        for modality in owner.unique().tolist():
            columns = owner == modality
            of_it = [case.of(columns) for case in of_kind if case.hidden[:, columns].any()]
            if not of_it:
                continue
            weight = _weight(of_it, common)
            spread = {share: _factor(of_it, weight, share) for share in SHARES}
            share = max(spread, key=lambda candidate: spread[candidate][0])
            factor = spread[share][1]
            completion.weight[kind, columns] = weight
            completion.share[kind, columns] = share
            completion.factor[kind, columns] = factor
            shapes = _shapes(of_it, weight, share, factor)
            completion.knots[kind, columns], completion.shape[kind, columns] = shapes
    return completion


@dataclass(frozen=True)
class _Case:
    """Rows with some entries hidden, and what the models make of them; real features only.

    All of shape (n, n_real): the truth, what was hidden, mean and deviation of the network; of the linear
    model, at first with an axis of candidates in front; and with an axis of draws, how far the network's are
    from their mean, in deviations.
    """

    kind: int
    truth: Tensor
    hidden: Tensor
    loc: Tensor
    scale: Tensor
    told: Tensor
    spread: Tensor
    deviation: Tensor

    def chosen(self, model: int) -> _Case:
        """With one of the linear models."""
        return replace(self, told=self.told[model], spread=self.spread[model])

    def of(self, columns: Tensor) -> _Case:
        """Those of some features."""
        parts = (
            self.truth,
            self.hidden,
            self.loc,
            self.scale,
            self.told,
            self.spread,
            self.deviation,
        )
        return _Case(self.kind, *(part[..., columns] for part in parts))

    def relative_error(self, weight: float, scale: Tensor) -> Tensor:
        """Error of both models' average, in units of a deviation, (n, n_real)."""
        return (self.truth - (1 - weight) * self.loc - weight * self.told) / scale


def _squared(case: _Case, model: int) -> Tensor:
    """Squared error of a linear model over what was hidden."""
    return ((case.truth - case.told[model]).square() * case.hidden).sum()


def _weight(cases: list[_Case], prior: float) -> float:
    """Weight of the linear model that makes the squared error least, drawn towards a prior one."""
    along = across = torch.zeros((), dtype=torch.float64)
    n_rows = 0
    for case in cases:
        between = (case.told - case.loc) * case.hidden
        along = along + ((case.truth - case.loc) * between).sum()
        across = across + between.square().sum()
        n_rows += int(case.hidden.any(1).sum())
    share = PRIOR_ROWS / max(1, n_rows)
    weight = (along + share * across * prior) / ((1 + share) * across).clamp_min(1e-12)
    return float(weight.clamp(0, 1))


def _factor(cases: list[_Case], weight: float, share: float) -> tuple[float, Tensor]:
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


def _shapes(cases: list[_Case], weight: float, share: float, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Knots of the network's deviations, and of errors, (n_knots,), of one modality."""
    errors = [
        case.relative_error(weight, factor * blended_scale(share, case.scale, case.spread))[case.hidden]
        for case in cases
    ]
    shape = _levels(torch.cat(errors).abs())
    knots = _levels(torch.cat([case.deviation.abs()[:, case.hidden].flatten() for case in cases]))
    n_rows = sum(int(case.hidden.any(1).sum()) for case in cases)
    trusted = n_rows / (n_rows + PRIOR_ROWS)
    return knots, trusted * shape + (1 - trusted) * knots


def _cases(
    network: Any,
    validation: Blocks,
    completion: Completion,
    models: list[FactorAnalysis],
    device: torch.device,
    n_draws: int,
) -> Iterator[_Case]:
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
        answers = [linear_moments(model, network, left) for model in models]
        told, spread = (torch.stack(parts)[..., completion.inputs] for parts in zip(*answers, strict=True))
        truth = rows.joint[chosen].double()[:, completion.real].cpu()
        draws = draw_completions(network, left, N_SHAPE_DRAWS, device)[..., completion.real]
        deviation = ((draws - loc) / scale).float()
        yield _Case(
            kind, truth, hidden[chosen][:, completion.real].cpu(), loc, scale, told, spread, deviation
        )


def _hidden(rows: Blocks) -> Iterator[tuple[int, Tensor]]:
    """What to hide, (n, n_features); never all that a row has."""
    present = rows.present  # (M, n)
    for modality in range(len(rows.sizes)):
        several = present[modality] & (present.sum(0) > 1)
        yield MODALITY, rows.joint_observed & rows.columns_of(modality) & several[:, None]
    there = per_feature(present, rows.sizes, dim=0).T
    rate = 1 - float(rows.joint_observed[there].float().mean()) if there.any() else 0.0
    rate = min(max(rate, LEAST_CELLS), MOST_CELLS)
    for _ in range(N_CELL_CASES):
        hidden = rows.joint_observed & (torch.rand(rows.joint.shape, device=rows.joint.device) < rate)
        # single cells only: something of the modality stays
        left = Blocks.from_joint(rows.joint, rows.joint_observed & ~hidden, rows.sizes).present
        yield CELL, hidden & per_feature(left, rows.sizes, dim=0).T


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
