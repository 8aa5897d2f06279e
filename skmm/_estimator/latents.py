"""What a fitted variational autoencoder of tables says of its latent variables beside ``transform``."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if

from skmm._estimator.answers import AnswersMixin
from skmm.inference.expectations import part_probabilities
from skmm.probability.priors import PRIORS


def _has_clusters(estimator: Any) -> bool:
    """Whether the prior has clusters; for scikit-learn, which hides methods that need them otherwise."""
    prior = PRIORS.get(estimator.prior) if isinstance(estimator.prior, str) else estimator.prior
    if not hasattr(getattr(prior, "func", prior), "responsibilities"):  # of a partial, the class
        raise AttributeError(
            f"prior={estimator.prior!r} has no clusters; predict_clusters needs prior='mixture', at fit."
        )
    return True


class LatentsMixin(AnswersMixin):
    """Clusters of the prior, and latent variables that a modality has for itself."""

    prior: Any

    @available_if(_has_clusters)
    def predict_clusters(self, X: Any) -> np.ndarray:
        """Cluster that each row most probably belongs to, given what is observed of it.

        Only with a prior that has clusters: ``prior="mixture"``, or
        ``functools.partial(skmm.probability.priors.NormalMixturePrior, n_parts=3)`` to say how many.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        labels : int array of shape (n_samples,)
            Numbers of the prior's parts; that of the largest one where nothing is observed.
        """
        blocks = self._read(X).blocks
        with self._ready() as (network, device):
            probabilities = part_probabilities(network, blocks, device, n_draws=self.n_draws)
        return probabilities.argmax(1).numpy()

    def transform_private(self, X: Any) -> dict[Hashable, np.ndarray]:
        """Mean of the modalities' own latent variables given what is observed.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        dict
            Modality -> float32 array of shape (n_samples, n_private of the modality), those with
            ``n_private=0`` left out; the prior's mean where the modality is missing.
        """
        loc, _ = self._latent_moments(self._read(X).blocks)
        network = self.module_
        return {
            name: loc[:, network.private_columns(i)].numpy()
            for i, name in enumerate(network.names)
            if network.n_private and network.n_private[i]
        }
