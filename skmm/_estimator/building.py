"""Parts of networks, made from an estimator's parameters."""

from __future__ import annotations

import copy
import math
import numbers
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from skmm._blocks.layout import Layout, by_modality
from skmm._torch import isolated_rng
from skmm.networks.dense import Dense, SharedNetwork, build_network
from skmm.probability.experts import Sizes
from skmm.probability.fusion import Fusion, build_fusion
from skmm.probability.likelihoods.registry import build_likelihood
from skmm.probability.priors import PRIORS

N_TOLD = 8  # by which a network that modalities share is told which one it is for
# what keeps experts apart by latent variable; of users' own objects it is not known
PRIVATE_GO_WITH = {
    "fusion": ("poe", "moe", "mopoe", "gpoe"),
    "posterior": ("normal", "laplace"),
    "prior": ("normal", "learned_normal", "laplace"),
}


class BuildingMixin:
    """What the networks of all estimators are made of, one part per modality.

    It needs the parameters ``encoders``, ``decoders``, ``hidden_layer_sizes``, ``activation``, ``dropout``,
    ``modality_weights`` and ``fusion``.
    """

    hidden_layer_sizes: Any
    activation: str
    modality_weights: Any
    fusion: Any
    n_components: int
    n_private: Any
    posterior: Any
    prior: Any

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

    def _private_counts(self, names: Sequence[Hashable]) -> list[int]:
        """Numbers of latent variables that the modalities have for themselves."""
        counts = self._by_modality("n_private", names, 0)
        for name, count in zip(names, counts, strict=True):
            if not isinstance(count, numbers.Integral) or isinstance(count, bool) or count < 0:
                raise ValueError(
                    f"n_private of modality {name!r} must be a whole number of at least 0, got {count!r}."
                )
        if not any(counts):
            return [0] * len(counts)
        for parameter, known in PRIVATE_GO_WITH.items():
            value = getattr(self, parameter)
            if isinstance(value, str) and value not in known:
                raise ValueError(
                    f"n_private={self.n_private!r} and {parameter}={value!r} do not go together: every "
                    f"latent variable would depend on every modality. Choose {parameter} from {list(known)}, "
                    "or n_private=0."
                )
        return [int(count) for count in counts]

    def _check_pair(self, family: Any, prior: Any, n_private: Sequence[int]) -> None:
        """Raise ValueError if the posterior with nothing observed would not be the prior."""
        expected = self.n_components + sum(n_private)
        with isolated_rng(0):  # looking must not change what training draws
            n_components = prior.rsample(1).shape[-1]
        if n_components != expected:
            private = f" and {sum(n_private)} private ones" if sum(n_private) else ""
            raise ValueError(
                f"prior has {n_components} components, but n_components={self.n_components}{private}; give "
                "the prior as many, or a class instead of an object."
            )
        wanted, name = getattr(prior, "family", None), getattr(family, "name", None)
        if wanted is None or name is None:  # users' own objects need not say
            return
        if wanted != name:
            fitting = [key for key, made in PRIORS.items() if made.family == name]
            raise ValueError(
                f"prior={self.prior!r} and posterior={self.posterior!r} do not go together: with nothing "
                f"observed, the posterior would not be the prior. Choose prior from {fitting}, or "
                f"posterior={wanted!r}."
            )
        size = getattr(prior, "size", None)
        if size is not None and size != (own := family.sphere_size(self.n_components)):
            raise ValueError(
                f"posterior={self.posterior!r} has spheres of {own} numbers, prior={self.prior!r} of {size}; "
                "give both the same `size`."
            )

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
        if _is_default(spec):  # values, and where they are missing
            rate = self._rates("dropout", layout.names)[i]
            return self._dense(likelihood.n_inputs + layout.sizes[i] + _told(spec), n_raw, rate)
        return build_network(spec, likelihood.n_inputs, n_raw, role="encoder", modality=name)

    def _decoder(self, layout: Layout, i: int, likelihood: Any, n_code: int) -> nn.Module:
        """Decoder of a modality, of what ``n_code`` numbers say."""
        name = layout.names[i]
        spec = self._by_modality("decoders", layout.names, None)[i]
        if _is_default(spec):
            rate = self._rates("dropout", layout.names)[i]
            return self._dense(n_code + _told(spec), likelihood.n_raw, rate)
        return build_network(spec, n_code, likelihood.n_raw, role="decoder", modality=name)

    def _share(self, parameter: str, layout: Layout, networks: Sequence[nn.Module]) -> list[nn.Module]:
        """Replace the networks of modalities that share one by the first of them, told which it is for."""
        specs = self._by_modality(parameter, layout.names, None)
        sharing = [i for i, spec in enumerate(specs) if isinstance(spec, str)]
        shapes = [[tuple(weight.shape) for weight in networks[i].parameters()] for i in sharing]
        for i, shape in zip(sharing, shapes, strict=True):
            if shape != shapes[0]:
                first, other = layout.names[sharing[0]], layout.names[i]
                raise ValueError(
                    f"{parameter} 'shared' takes modalities of the same columns, but {other!r} is of another "
                    f"width, or another likelihood, than {first!r}; give {parameter} as a dict that names "
                    "those that share."
                )
        if not sharing:
            return list(networks)
        network: Any = networks[sharing[0]]
        n_in, n_out = network.n_in - N_TOLD, network.n_out
        shared = {i: SharedNetwork(network, n_in, n_out, N_TOLD) for i in sharing}
        return [shared.get(i, network) for i, network in enumerate(networks)]

    def _sees_mask(self, layout: Layout) -> list[bool]:
        """Whether the encoder of each modality is given where values are missing."""
        return [_is_default(spec) for spec in self._by_modality("encoders", layout.names, None)]

    def _fusion_rule(self, layout: Layout, likelihoods: Sequence[Any], n_raw: int) -> Fusion:
        n_seen = tuple(
            likelihood.n_inputs + size for likelihood, size in zip(likelihoods, layout.sizes, strict=True)
        )
        rate = max(self._rates("dropout", layout.names))
        features = tuple(likelihood.input_sizes for likelihood in likelihoods)
        fusion = build_fusion(self.fusion, Sizes(n_seen, n_raw, self._dense_with(rate), features))
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


def _is_default(spec: Any) -> bool:
    """Whether a modality's network is the default one, its own or shared."""
    return spec is None or (isinstance(spec, str) and spec == "shared")


def _told(spec: Any) -> int:
    """Numbers by which a network is told what modality it is for."""
    return 0 if spec is None else N_TOLD


def make_part(value: Any, registry: Mapping[str, Callable[..., Any]], *arguments: Any) -> Any:
    """Make what a name, a class, or a partial of a class stands for; copy an object."""
    if isinstance(value, str):
        return registry[value](*arguments)
    is_class = isinstance(value.func if isinstance(value, partial) else value, type)
    return value(*arguments) if is_class else copy.deepcopy(value)
