"""The training loop."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

import torch
from torch import Tensor, nn

from skmm._blocks.blocks import Blocks, SequenceBlocks
from skmm.training.adamw import FlatAdamW
from skmm.training.batches import n_batches, training_batches
from skmm.training.objectives.contract import Objective, Terms
from skmm.training.schedules import Schedule, one_cycle, warmup_end
from skmm.training.written_out import value_and_pullback

MAX_WATCHED = 20  # times
MAX_VALIDATIONS = 100  # small tables have more epochs than it pays to validate after


@dataclass
class History:
    """What happened in training.

    Parameters
    ----------
    loss : list of float
        Mean training loss of each epoch.
    reconstruction : list of list of float
        Expected log-likelihood of each modality, epoch by epoch.
    kl : list of list of float
        Divergence from the prior, epoch by epoch.
    watched : dict of int to list of float
        What ``watch`` returned after some epochs, counted from 1.
    validation : list of float
        Validation score after each epoch that was validated.
    best_epoch : int
        Epoch whose weights were kept, from 0.
    """

    loss: list[float] = field(default_factory=list)
    reconstruction: list[list[float]] = field(default_factory=list)
    kl: list[list[float]] = field(default_factory=list)
    watched: dict[int, list[float]] = field(default_factory=dict)
    validation: list[float] = field(default_factory=list)
    best_epoch: int = 0

    @property
    def n_iter(self) -> int:
        """Number of epochs run."""
        return len(self.loss)


def fit_network(
    network: nn.Module,
    objective: Objective,
    blocks: Blocks | SequenceBlocks,
    *,
    validate: Callable[[nn.Module], float] | None,
    corruption: Callable[[Blocks], Blocks],
    beta: Schedule,
    batch_size: int,
    max_iter: int,
    learning_rate: float,
    weight_decay: float,
    n_iter_no_change: int,
    tol: float,
    watch: Callable[[nn.Module], list[float]] | None = None,
    verbose: int = 0,
) -> History:
    """Train a network in place, and leave it with the best weights.

    Parameters
    ----------
    network : Module
        On the device of the blocks.
    objective : callable
        ``objective(network, inputs, targets, beta) -> Terms``.
    blocks : Blocks
        Training rows.
    validate : callable or None
        ``validate(network) -> score``, higher is better: chooses the best epoch, and when to stop. None
        trains to the end.
    corruption : callable
        ``Blocks -> Blocks``: what the encoders see. The objective scores the uncorrupted blocks.
    beta : callable
        Weight of the divergence, a function of training progress.
    batch_size, max_iter : int
        Rows of a step, and number of passes over the rows.
    learning_rate : float
        Peak of the one-cycle schedule.
    weight_decay : float
        Of AdamW, for weights; biases and noise scales are left alone.
    n_iter_no_change : int
        Epochs without an improvement of the validation score after which training stops.
    tol : float
        What counts as an improvement.
    watch : callable or None
        ``watch(network) -> numbers`` to remember, about twenty times.
    verbose : int
        0 is silent, 1 prints about twenty lines, 2 one line per epoch.

    Returns
    -------
    History

    Raises
    ------
    FloatingPointError
        If the loss is not finite; names epoch and term.
    """
    optimizer = FlatAdamW(network, learning_rate, weight_decay)
    last_step = max(1, max_iter * n_batches(blocks, batch_size) - 1)
    first_choice = warmup_end(beta)
    validate_every = math.ceil(max_iter / MAX_VALIDATIONS)
    watch_every = math.ceil(max_iter / MAX_WATCHED)
    # at once, while the weights still show who is to blame; on a GPU every look would stop the queue
    on_cpu = blocks.joint.device.type == "cpu"
    history, best = History(), _Best(network)
    step = 0
    try:
        for epoch in range(max_iter):
            totals: Tensor | None = None
            network.train()
            for inputs, targets in training_batches(network, blocks, batch_size, corruption):
                progress = step / last_step
                terms, pull = value_and_pullback(objective, network, inputs, targets, beta(progress))
                if on_cpu and not math.isfinite(terms.loss.detach()):
                    _raise_not_finite(network, inputs, terms, epoch)
                optimizer.zero_grad()
                pull()
                optimizer.step(one_cycle(progress))
                row = torch.cat([terms.loss.detach()[None], terms.reconstruction, terms.kl]) * targets.n_rows
                totals = row if totals is None else totals + row
                step += 1
            assert totals is not None
            if not totals.isfinite().all():
                _raise_not_finite(network, inputs, terms, epoch)
            _record(history, (totals / blocks.n_rows).tolist(), len(terms.reconstruction))
            if watch is not None and (epoch % watch_every == 0 or epoch + 1 == max_iter):
                history.watched[epoch + 1] = watch(network.eval())
            if validate is not None and ((epoch + 1) % validate_every == 0 or epoch + 1 == max_iter):
                history.validation.append(validate(network.eval()))
                if progress >= first_choice:
                    best.offer(history.validation[-1], epoch, network, tol)
            _report(history, max_iter, verbose)
            if best.epoch >= 0 and epoch - best.since >= n_iter_no_change:
                break
    except KeyboardInterrupt:
        if history.n_iter == 0:
            raise  # there is nothing worth keeping yet
        warnings.warn(
            f"Training was interrupted in epoch {history.n_iter + 1} of {max_iter}; the estimator keeps the "
            "best weights so far.",
            UserWarning,
            stacklevel=2,
        )
    finally:
        optimizer.release()
    history.best_epoch = best.restore(network) if best.epoch >= 0 else history.n_iter - 1
    network.eval()
    return history


class _Best:
    """The best weights so far, and since when they have not been beaten."""

    def __init__(self, network: nn.Module) -> None:
        self.score = -math.inf
        self.epoch = -1
        self.since = 0
        self._weights = {name: value.clone() for name, value in network.state_dict().items()}

    def offer(self, score: float, epoch: int, network: nn.Module, tol: float) -> None:
        if score > self.score + tol or self.epoch < 0:
            self.since = epoch
        if score > self.score:
            self.score, self.epoch = score, epoch
            for name, value in network.state_dict().items():
                self._weights[name].copy_(value)

    def restore(self, network: nn.Module) -> int:
        network.load_state_dict(self._weights)
        return self.epoch


def _record(history: History, means: list[float], n_modalities: int) -> None:
    """Append an epoch's means to the history."""
    history.loss.append(means[0])
    history.reconstruction.append(means[1 : n_modalities + 1])
    history.kl.append(means[n_modalities + 1 :])


def _raise_not_finite(network: nn.Module, inputs: Blocks, terms: Terms, epoch: int) -> NoReturn:
    """Say which term of the loss is not finite, and which part of the network is at fault."""
    names = getattr(network, "names", range(len(terms.reconstruction)))
    wrong = [
        f"the reconstruction of modality {name!r}"
        for name, value in zip(names, terms.reconstruction, strict=True)
        if not value.isfinite()
    ]
    if not terms.kl.isfinite().all():
        wrong.append("the KL divergence")
    culprit = getattr(network.eval(), "culprit", None)
    raise FloatingPointError(
        f"The loss became {float(terms.loss.detach())} in epoch {epoch + 1}: "
        f"{' and '.join(wrong) or 'their sum'} is not finite; "
        f"{culprit(inputs) if culprit else 'no part of the network is known to be at fault'}. "
        "Try a smaller learning_rate_init, look for extreme values in X, and check your own encoders and "
        "decoders, if any."
    )


def _report(history: History, max_iter: int, verbose: int) -> None:
    every = 1 if verbose > 1 else max(1, max_iter // 20)
    if verbose and (history.n_iter % every == 0 or history.n_iter in (1, max_iter)):
        validation = f", validation {history.validation[-1]:.4f}" if history.validation else ""
        print(
            f"epoch {history.n_iter}/{max_iter}: loss {history.loss[-1]:.4f}, "
            f"kl {sum(history.kl[-1]):.4f}{validation}"
        )
