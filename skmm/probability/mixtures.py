"""What posteriors of all families share: each is a mixture, of one part where nothing is mixed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor


class Mixture(ABC):
    """Mixture of densities of one family, over any leading axes.

    A subclass is a frozen dataclass of Tensors (n_parts, ..., n_numbers), the parameters of its parts; and of
    ``log_weights`` and whatever its density depends on that is no Tensor. ``log_weights``, of shape
    (n_parts, ...), are the logarithms of the weights, -inf for parts that do not count; None where there is
    one part.
    """

    log_weights: Tensor | None
    __dataclass_fields__: ClassVar[dict[str, Any]]

    # --- what a density has to say about its parts -----------------------------------------------------

    @property
    @abstractmethod
    def part_mean(self) -> Tensor:
        """Mean of each part, (n_parts, ..., n_components)."""

    @property
    @abstractmethod
    def part_variance(self) -> Tensor:
        """Variance of each component of each part, (n_parts, ..., n_components)."""

    @property
    @abstractmethod
    def natural(self) -> Tensor:
        """Natural parameters of each part, as of the family, (n_parts, ..., n_natural)."""

    @abstractmethod
    def _log_prob_of_parts(self, z: Tensor) -> Tensor:
        """Log-density of points, (n_draws, n_parts or 1, ..., n_components) -> (n_draws, n_parts, ...)."""

    @abstractmethod
    def _moved(self, noise: Tensor, index: Tensor | None) -> Tensor:
        """Map standard normal noise (n_draws, ..., n_components) to points of the parts chosen by an index.

        Parameters
        ----------
        noise : Tensor of shape (n_draws, ..., n_components)
        index : int64 Tensor of shape (n_draws, ...) or None
            None: the parameters' first axis, of length 1 or n_draws, goes with the draws.
        """

    @abstractmethod
    def kl(self, prior: Any) -> Tensor | None:
        """Kullback-Leibler divergence from the prior, (...,); None where it has no closed form."""

    @abstractmethod
    def widened(self, factor: float) -> Self:
        """The same mixture with the spread of every part multiplied."""

    # --- what follows ----------------------------------------------------------------------------------

    @property
    def mean(self) -> Tensor:
        """Mean, (..., n_components)."""
        if self.log_weights is None:
            return self.part_mean[0]
        return (self.log_weights.exp()[..., None] * self.part_mean).sum(0)

    @property
    def stddev(self) -> Tensor:
        """Standard deviation of each component, (..., n_components)."""
        if self.log_weights is None:
            return self.part_variance[0].sqrt()
        second = self.part_variance + (self.part_mean - self.mean).square()
        return (self.log_weights.exp()[..., None] * second).sum(0).sqrt()

    def rsample(self, n_draws: int) -> Tensor:
        """Draw points with gradients to the parameters, (n_draws, ..., n_components).

        The parts are drawn systematically: each gives its share of the draws, up to one.
        """
        like = self.part_mean
        noise = torch.randn((n_draws, *like.shape[1:]), device=like.device, dtype=like.dtype)
        if self.log_weights is None:
            return self.at(noise, noise[..., 0])
        steps = torch.arange(n_draws, device=like.device).view(-1, *[1] * (like.ndim - 2))
        shift = torch.rand(like.shape[1:-1], device=like.device, dtype=like.dtype)
        return self.at(noise, (steps + shift) / n_draws)

    def at(self, noise: Tensor, part: Tensor) -> Tensor:
        """Map standard normal noise (n_draws, ..., n_components) to points of the posterior.

        Parameters
        ----------
        noise : Tensor of shape (n_draws, ..., n_components)
        part : Tensor of shape (n_draws, ...)
            Numbers in [0, 1) that choose the part of the mixture.
        """
        return self._moved(noise, None if self.log_weights is None else self._chosen(part))

    def _chosen(self, part: Tensor) -> Tensor:
        """Index of the part in which each number in [0, 1) falls, (n_draws, ...)."""
        assert self.log_weights is not None
        # in an order that the parts' own places settle: the same points whatever order the modalities have
        order = self.part_mean[..., 0].argsort(dim=0, stable=True)  # (C, ...)
        weights = self.log_weights.exp().gather(0, order)
        index = (part[:, None] >= weights.cumsum(0)[:-1]).sum(1)  # (K, ...)
        # rounding of the sum must not choose a part without weight
        index = torch.minimum(index, (weights > 0).long().cumsum(0).argmax(0))
        return order.gather(0, index.expand(-1, *order.shape[1:]))

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of points (n_draws, ..., n_components): (n_draws, ...)."""
        parts = self._log_prob_of_parts(z[:, None])  # (K, C, ...)
        return parts[:, 0] if self.log_weights is None else torch.logsumexp(parts + self.log_weights, dim=1)

    def detached(self) -> Self:
        """The same mixture without gradients to its parameters."""
        weights = None if self.log_weights is None else self.log_weights.detach()
        return replace(self._map(Tensor.detach), log_weights=weights)

    def rows(self, index: slice | int | Tensor) -> Self:
        """Take some rows, or the one draw of a mixture that has an axis of draws."""
        weights = None if self.log_weights is None else self.log_weights[:, index]
        return replace(self._map(lambda parameter: parameter[:, index]), log_weights=weights)

    def heaviest_part(self) -> Self:
        """The part with the largest weight, by itself; all there is to a mixture with one weight above 0."""
        if self.log_weights is None:
            return self
        return self.only(self.log_weights.argmax(0))

    def only(self, part: Tensor) -> Self:
        """One part of each row, chosen by its number, (...,)."""
        return self._taken(part[None])

    def _taken(self, index: Tensor | None) -> Self:
        """For each draw the part that an index (n_draws, ...) chooses, without weights."""
        if index is None:
            return self
        return self._map(
            lambda parameter: parameter.gather(0, index[..., None].expand(-1, *parameter.shape[1:]))
        )

    def _map(self, function: Any) -> Self:
        """Parts of other parameters, without weights."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        parameters = {
            name: function(value)
            for name, value in named.items()
            if isinstance(value, Tensor) and name != "log_weights"
        }
        return replace(self, **parameters, log_weights=None)
