"""What a fitted estimator of multimodal data can be asked: the public methods, once."""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skmm._blocks.containers import row_index, stack
from skmm._blocks.layout import Layout
from skmm._blocks.sequences import Steps
from skmm._estimator.latent_density import draw_points
from skmm._estimator.reading import Reading, ReadingMixin, check_count, check_levels
from skmm._torch import RandomStateLike, draw_seed, float32_by_default, inference_device, isolated_rng
from skmm.inference.completion import Completion
from skmm.inference.draws import draw_completions, draw_rows
from skmm.inference.expectations import (
    decoded_mean,
    latent_moments,
    predictive_moments,
    predictive_quantiles,
    summary,
)
from skmm.inference.likelihoods import importance_sampled_bound
from skmm.inference.points import in_parts, of_rows

Moments = tuple[Tensor, Tensor]


class AnswersMixin(ReadingMixin, TransformerMixin):
    """Public methods of fitted estimators.

    They need ``module_`` and ``layout_``, and the parameters ``n_draws``, ``device`` and ``handle_unknown``.
    """

    module_: Any
    layout_: Layout
    n_draws: int
    device: Any
    handle_unknown: str
    completion_: Completion | None
    latent_density_: Any
    _n_quantile_draws = 512  # per entry
    _bound: Any = staticmethod(importance_sampled_bound)

    def _finite(self, joint: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
        """Pass on results of the decoders, unless one of them is NaN or infinite.

        Parameters
        ----------
        joint : Tensor of shape (..., n)
        sizes : sequence of int or None
            How many of the n numbers belong to each modality; None: as many as it has features.
        """
        parts = joint.split(self.layout_.joint.sizes if sizes is None else list(sizes), dim=-1)
        wrong = [int((~part.isfinite()).any(-1).sum()) for part in parts]
        if any(wrong):  # a recurrence passes on what one returns to the others, one step later
            name = self.layout_.joint.names[wrong.index(max(wrong))]
            raise ValueError(
                f"The decoder of modality {name!r} returned NaN or infinite numbers. Look for extreme "
                "values in what was given, and check your own decoders, if any."
            )
        return joint

    @contextmanager
    def _ready(self) -> Iterator[tuple[Any, torch.device]]:
        """Make the network ready for questions."""
        device = inference_device(self.device)
        if not isinstance(self.n_draws, numbers.Integral) or self.n_draws < 1:
            raise ValueError(f"n_draws must be a positive whole number, got {self.n_draws!r}.")
        with float32_by_default():
            yield self.module_.to(device), device  # moves in place: no attribute is written

    @property
    def _n_features_out(self) -> int:
        return self.module_.n_shared  # what was fitted: the parameter may have been changed since

    # --- latent space ----------------------------------------------------------------------------------

    def transform(self, X: Any) -> np.ndarray:
        """Mean of the latent variable given what is observed.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        Z : float32 array of shape (n_samples, n_components)
            The prior's mean where nothing is observed.
        """
        return self.posterior_moments(X)[0]

    def posterior_moments(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the latent variable given what is observed.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        loc, scale : float32 arrays of shape (n_samples, n_components)
        """
        loc, scale = self._latent_moments(self._read(X).blocks)
        return loc[..., : self._n_features_out].numpy(), scale[..., : self._n_features_out].numpy()

    def _latent_moments(self, blocks: Any, **how: Any) -> tuple[Tensor, Tensor]:
        with self._ready() as (network, device):
            return of_rows(latent_moments, network, blocks, device, **how)

    def inverse_transform(self, Z: Any) -> Any:
        """Expected features of latent points.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)

        Returns
        -------
        X : array or DataFrame of shape (n_samples, n_features)
            In the container of ``fit``, numbers as float32 (float64 where float32 could not tell values
            apart), categories as labels.
        """
        check_is_fitted(self, "module_")
        index = row_index(Z)
        points = check_array(Z, dtype=np.float32, input_name="Z")
        if points.shape[1] != self._n_features_out:
            raise ValueError(
                f"Z has {points.shape[1]} columns, but the estimator was fitted with "
                f"n_components={self._n_features_out}; give points of the space that transform returns."
            )
        with self._ready() as (network, device):
            mean = self._finite(decoded_mean(network, torch.tensor(points), device), network.n_statistics)
            values, _ = summary(network, mean, torch.zeros_like(mean), device)
        return self.layout_.wrap_new(self.layout_.write(values), index)

    # --- completion ------------------------------------------------------------------------------------

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Expected value of every entry given the observed ones.

        Of entries that are observed, this is what the model expects another measurement to be; use
        :meth:`impute` to keep them.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to return standard deviations too: of the values, noise included.

        Returns
        -------
        mean : array or DataFrame of shape (n_samples, n_features)
            In the container, index, columns and units of X, as float32; the probability of a flag, the
            label of the most probable category.
        std : array or DataFrame of shape (n_samples, n_features)
            Only if ``return_std``. Of a category, that of the indicator variable of the label in ``mean``:
            the root of p (1 - p), where p is its probability.
        """
        reading = self._read(X)
        return self._expected(reading.opened, *self._predictive_values(reading.blocks, return_std))

    def _expected(self, opened: Steps, mean: Tensor, std: Tensor | None) -> Any:
        """Expected values, and deviations where there are some, in the container of X."""
        layout, table = self.layout_, opened.table
        expected = opened.join(layout.wrap(layout.write(mean, layout.dtype), table))
        if std is None:
            return expected
        return expected, opened.join(layout.wrap_numbers(layout.write_scale(std, layout.dtype), table))

    def _moments(self, network: Any, blocks: Any, device: torch.device, **how: Any) -> tuple[Tensor, Tensor]:
        """Moments of all statistics given what is observed, both (n_samples, n_statistics)."""
        mean, std = of_rows(predictive_moments, network, blocks, device, n_draws=self.n_draws, **how)
        return self._finite(mean, network.n_statistics), self._finite(std, network.n_statistics)

    def _predictive_values(
        self, blocks: Any, return_std: bool = False, **how: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Value of every entry, and its standard deviation where wanted, both (n_samples, n_features)."""
        with self._ready() as (network, device):

            def ask(part: Any) -> Tensor:
                moments = self._network_values(network, part, device, **how)
                return torch.stack(self._completed(network, part, moments)[: 2 if return_std else 1])

            found = in_parts(ask, blocks, n_tables=2)  # both are computed, whatever is kept
        return found[0], found[1] if return_std else None

    def _network_values(self, network: Any, blocks: Any, device: torch.device, **how: Any) -> Moments:
        """The same, from the network alone."""
        return summary(network, *self._moments(network, blocks, device, **how), device)

    def _completed(self, network: Any, blocks: Any, moments: Moments) -> Moments:
        """Correct moments of missing entries, where something was learned that does."""
        completion = self.completion_
        return moments if completion is None else completion.adjust(network, blocks, *moments)

    def _moved(self, network: Any, blocks: Any, device: torch.device, draws: Tensor) -> Tensor:
        """Correct draws, or quantiles, of missing entries, (n_draws, n_samples, n_features)."""
        if self.completion_ is None:
            return draws
        moments = self._network_values(network, blocks, device)
        return self._finite(
            self.completion_.moved(draws, blocks, moments, self._completed(network, blocks, moments))
        )

    def predict_category_proba(self, X: Any) -> pd.DataFrame:
        """Probability of every category of every column of categories or flags, given what is observed.

        Of entries that are observed, too, this is what the model expects another observation to be.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        probabilities : DataFrame of shape (n_samples, n_categories of all those columns)
            With the index of X, and MultiIndex columns (column, category) in the order of X. Rows sum to 1
            within each column of X. Flags have the categories False and True, or 0 and 1.

        Raises
        ------
        ValueError
            If no column holds categories or flags.
        """
        reading = self._read(X)
        found = self._probabilities(reading.blocks)
        probabilities = {j: p.numpy() for j, p in found.items() if j < self.layout_.n_features}
        if not probabilities:
            raise ValueError(
                "No column of X holds categories or flags, so that there are no probabilities; use predict "
                "or predict_quantiles."
            )
        return self._labelled(
            reading.opened, self.layout_.probability_frame(probabilities, row_index(reading.opened.table))
        )

    def _probabilities(self, blocks: Any) -> dict[int, Tensor]:
        """Probabilities of the categories of each column that has some, by its position; targets last."""
        with self._ready() as (network, device):
            mean = in_parts(lambda part: self._moments(network, part, device)[0], blocks)
        found: dict[int, Tensor] = {}
        for likelihood, columns, part in zip(
            self.module_.likelihoods,
            self.layout_.joint.columns,
            mean.split(self.module_.n_statistics, dim=-1),
            strict=True,
        ):
            found |= {int(columns[i]): p for i, p in likelihood.probabilities(part).items()}
        return found

    def _labelled(self, opened: Steps, frame: pd.DataFrame) -> pd.DataFrame:
        """Give a frame, one row per row of the table, the index of X."""
        return frame

    def predict_quantiles(self, X: Any, q: float | Sequence[float] = (0.05, 0.5, 0.95)) -> Any:
        """Quantiles of every entry given the observed ones.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
        q : float or sequence of float, default=(0.05, 0.5, 0.95)
            Between 0 and 1.

        Returns
        -------
        quantiles : array or DataFrame
            Like X, as float32, for a single ``q``. For several, of shape (n_quantiles, n_samples, n_features)
            for arrays; frames get an outer index level "quantile". Of ordered categories, labels; categories
            without an order have no quantiles and are missing: see :meth:`predict_category_proba`.

        Raises
        ------
        ValueError
            If a quantile is not between 0 and 1.
        """
        reading = self._read(X)
        levels = check_levels(q)
        return self._quantiles(reading.opened, self._quantile_values(reading.blocks, levels), q)

    def _quantile_values(self, blocks: Any, levels: np.ndarray) -> Tensor:
        with self._ready() as (network, device):
            how = {"q": torch.tensor(levels), "n_draws": self._n_quantile_draws}

            def ask(part: Any) -> Tensor:
                quantiles = of_rows(predictive_quantiles, network, part, device, **how)
                return self._moved(network, part, device, self._finite(quantiles))

            return in_parts(ask, blocks, n_tables=len(levels))

    def _quantiles(self, opened: Steps, values: Tensor, q: Any) -> Any:
        """Quantiles (n_quantiles, n_rows, n_features) in the container of X."""
        written = self.layout_.write(values, self.layout_.dtype)
        written[..., self.layout_.without_order()] = np.nan
        tables = [opened.join(self.layout_.wrap(table, opened.table)) for table in written]
        if np.ndim(q) == 0:
            return tables[0]
        return stack(tables, level="quantile", keys=np.asarray(q, dtype=np.float64).tolist())

    def impute(self, X: Any) -> Any:
        """Fill in what is missing with its expected value given what is observed.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        completed : array or DataFrame of shape (n_samples, n_features)
            In the container, index, columns, units and data types of X. Observed entries are
            bit-identical; flags and columns of whole numbers are rounded; categories are the most probable.
        """
        reading = self._read(X)
        # the values inside are let go as soon as they are written
        return self._complete(reading, self.layout_.write(self._predictive_values(reading.blocks)[0]))

    def _complete(self, reading: Reading, values: np.ndarray) -> Any:
        """Put values where X has none."""
        return reading.opened.join(self.layout_.complete(reading.opened.table, reading.matrix, values))

    # --- sampling --------------------------------------------------------------------------------------

    def sample(self, n_samples: int = 1, given: Any = None, random_state: RandomStateLike = None) -> Any:
        """Draw new rows, from the prior or a ``latent_density``, or completions of given ones.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows; of draws per row where ``given`` is set.
        given : array-like or DataFrame of shape (n_samples, n_features), default=None
            Rows whose missing entries are drawn given the observed ones, jointly within a row.
        random_state : int, RandomState instance or None, default=None
            None draws something else every time.

        Returns
        -------
        rows : array or DataFrame
            Of shape (n_samples, n_features), in the container and data types of ``fit``'s X. With ``given``,
            in those of ``given``: of shape ``(n_samples, *given.shape)`` for arrays; frames get an outer
            index level "draw". Observed entries are bit-identical in every draw.

        Raises
        ------
        ValueError
            If ``n_samples`` is not a positive whole number.
        """
        check_is_fitted(self, "module_")
        check_count(n_samples, "n_samples")
        if given is not None:
            return self._draw_completions(self._read(given), int(n_samples), random_state)
        seed = draw_seed(random_state)
        with self._ready() as (network, device), isolated_rng(seed, device):
            z = draw_points(self.latent_density_, network, int(n_samples), seed)
            rows = draw_rows(network, z, device)
        return self.layout_.restore(self.layout_.write(self._finite(rows)))

    def _draw_completions(self, reading: Reading, n_samples: int, random_state: RandomStateLike) -> Any:
        with self._ready() as (network, device), isolated_rng(draw_seed(random_state), device):

            def ask(part: Any) -> Tensor:
                draws = self._finite(draw_completions(network, part, n_samples, device))
                return self._moved(network, part, device, draws)

            draws = in_parts(ask, reading.blocks, n_tables=n_samples)
        tables = [self._complete(reading, self.layout_.write(draw)) for draw in draws]
        return stack(tables, level="draw", keys=range(len(tables)))

    # --- likelihood ------------------------------------------------------------------------------------

    def score_samples(self, X: Any) -> np.ndarray:
        """Log-likelihood of the observed entries of each row, from below.

        An importance-sampled bound that tightens with ``n_draws``, at beta 1 and without modality weights,
        in the units of X (nats; a density for continuous columns). Columns of measurements that did not
        vary in ``fit`` do not count.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        log_likelihood : float32 array of shape (n_samples,)
            Higher is better; 0 where nothing is observed.
        """
        reading = self._read(X)
        with self._ready() as (network, device):

            def ask(part: Any) -> Tensor:
                bound = of_rows(self._bound, network, part, device, n_draws=self.n_draws)
                wrong = bound.isnan()
                if wrong.any():
                    raise ValueError(
                        f"No log-likelihood: {network.culprit(part.batch(wrong).to(device))}. Look for "
                        "extreme values in X, and check your own encoders and decoders, if any."
                    )
                volume = part.sums(self.layout_.log_volume(part.flat()))
                return (bound - volume).to(torch.float32)

            return in_parts(ask, reading.blocks).numpy()

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of :meth:`score_samples`: what searches and cross-validation maximise.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
        y : Ignored

        Returns
        -------
        float
        """
        return float(np.mean(self.score_samples(X), dtype=np.float64))
