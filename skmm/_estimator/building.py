"""Parts of networks, made from an estimator's parameters."""

from __future__ import annotations

import copy
import math
import numbers
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from skmm._blocks.layout import Layout, by_modality
from skmm.networks.dense import Dense, build_network
from skmm.probability.fusion import Fusion, Sizes, build_fusion
from skmm.probability.likelihoods.registry import build_likelihood


class BuildingMixin:
    """What the networks of all estimators are made of, one part per modality.

    It needs the parameters ``encoders``, ``decoders``, ``hidden_layer_sizes``, ``activation``, ``dropout``,
    ``modality_weights`` and ``fusion``.
    """

    hidden_layer_sizes: Any
    activation: str
    modality_weights: Any
    fusion: Any

    def _rates(self, parameter: str, names: Sequence[Hashable]) -> tuple[float, ...]:
        """Probabilities, one per modality."""
        rates = by_modality(getattr(self, parameter), names, parameter=parameter, default=0.0)
        certain = parameter in ("modality_dropout", "burst_dropout")  # where 1 leaves something to learn from
        for name, rate in zip(names, rates, strict=True):
            if not isinstance(rate, numbers.Real) or not (0 <= float(rate) < 1 or (certain and rate == 1)):
                raise ValueError(
                    f"{parameter} of modality {name!r} must be a number from 0 to 1"
                    f"{'' if certain else ', 1 excluded'}, got {rate!r}."
                )
        return tuple(float(rate) for rate in rates)

    def _likelihoods(self, layout: Layout, makers: Sequence[Any]) -> list[Any]:
        return [
            build_likelihood(
                [makers[column] for column in columns],
                [layout.types[column].n_categories for column in columns],
            )
            for columns in layout.columns
        ]

    def _encoder(self, layout: Layout, i: int, likelihood: Any, n_raw: int) -> nn.Module:
        """Encoder of a modality, that returns ``n_raw`` numbers."""
        name = layout.names[i]
        spec = self._by_modality("encoders", layout.names, None)[i]
        if spec is None:  # values, and where they are missing
            rate = self._rates("dropout", layout.names)[i]
            return self._dense(likelihood.n_inputs + layout.sizes[i], n_raw, rate)
        return build_network(spec, likelihood.n_inputs, n_raw, role="encoder", modality=name)

    def _decoder(self, layout: Layout, i: int, likelihood: Any, n_code: int) -> nn.Module:
        """Decoder of a modality, of what ``n_code`` numbers say."""
        name = layout.names[i]
        spec = self._by_modality("decoders", layout.names, None)[i]
        if spec is None:
            return self._dense(n_code, likelihood.n_raw, self._rates("dropout", layout.names)[i])
        return build_network(spec, n_code, likelihood.n_raw, role="decoder", modality=name)

    def _sees_mask(self, layout: Layout) -> list[bool]:
        """Whether the encoder of each modality is given where values are missing."""
        return [spec is None for spec in self._by_modality("encoders", layout.names, None)]

    def _fusion_rule(self, layout: Layout, likelihoods: Sequence[Any], n_raw: int) -> Fusion:
        n_seen = tuple(
            likelihood.n_inputs + size for likelihood, size in zip(likelihoods, layout.sizes, strict=True)
        )
        rate = max(self._rates("dropout", layout.names))
        fusion = build_fusion(self.fusion, Sizes(n_seen, n_raw, self._dense_with(rate)))
        if not getattr(fusion, "uses_experts", True) and not all(self._sees_mask(layout)):
            raise ValueError(
                f"fusion={self.fusion!r} has one encoder for all modalities and none for each, so that "
                "`encoders` would not be used; choose another fusion, or encoders=None."
            )
        return fusion

    def _dense(self, n_in: int, n_out: int, dropout: float) -> Dense:
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes)).tolist()
        return Dense(n_in, n_out, [int(size) for size in sizes], self.activation, dropout)

    def _dense_with(self, dropout: float) -> Callable[[int, int], Dense]:
        return lambda n_in, n_out: self._dense(n_in, n_out, dropout)

    def _by_modality(self, parameter: str, names: Sequence[Hashable], default: Any) -> tuple[Any, ...]:
        return by_modality(getattr(self, parameter), names, parameter=parameter, default=default)

    def _weights(self, names: Sequence[Hashable], sizes: Sequence[int]) -> list[float]:
        if self.modality_weights == "auto":
            # 1/d_m, scaled so that the features together keep their weight against the divergence
            return [sum(sizes) / len(sizes) / size for size in sizes]
        weights: list[Any] = [
            1.0 if weight is None else weight for weight in self._by_modality("modality_weights", names, 1.0)
        ]
        for name, weight in zip(names, weights, strict=True):
            if not isinstance(weight, numbers.Real) or not 0 <= float(weight) < math.inf:
                raise ValueError(
                    f"modality_weights of modality {name!r} must be a finite number of at least 0, got "
                    f"{weight!r}."
                )
        return [float(weight) for weight in weights]


def make_part(value: Any, registry: Mapping[str, Callable[..., Any]], *arguments: Any) -> Any:
    """Make what a name or a class stands for; copy an object."""
    if isinstance(value, str):
        return registry[value](*arguments)
    return value(*arguments) if isinstance(value, type) else copy.deepcopy(value)
