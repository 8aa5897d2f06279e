"""How near a fit with default parameters comes to the exact answers of a linear-Gaussian model.

Three modalities share latent variables; 30 % of the modalities are removed from the training rows. Printed
are the log-likelihood per row, and for each hidden modality the error of the completion, the ratio of the
reported deviation to the exact one, and the coverage of 90 % intervals. Run
``python -m benchmarks.linear_gaussian``.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import skmm
from skmm.datasets import remove_modalities

MODALITIES = {"a": slice(0, 8), "b": slice(8, 18), "c": slice(18, 24)}


def main() -> None:
    """Fit and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-samples", type=int, default=3000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--beta", type=float, default=None)
    arguments = parser.parse_args()
    changes = {} if arguments.beta is None else {"beta": arguments.beta}
    for seed in arguments.seeds:
        rng = np.random.RandomState(seed)
        loadings = rng.normal(size=(5, 24))
        noise = 0.7 * rng.uniform(0.5, 1.5, size=24)
        covariance = loadings.T @ loadings + np.diag(noise**2)
        X = rng.multivariate_normal(np.zeros(24), covariance, size=arguments.n_samples + 1000)
        train, test = X[:-1000], X[-1000:]
        train = remove_modalities(train, 0.3, modalities=MODALITIES, random_state=seed)
        start = time.perf_counter()
        vae = skmm.MultimodalVAE(modalities=MODALITIES, random_state=seed, **changes).fit(train)
        seconds = time.perf_counter() - start
        log_det = np.linalg.slogdet(2 * np.pi * covariance)[1]
        exact = -0.5 * (log_det + np.einsum("ij,ij->i", test @ np.linalg.inv(covariance), test)).mean()
        print(
            f"seed {seed}: fit {seconds:.0f} s, {vae.n_iter_} epochs; log-likelihood {vae.score(test):.2f}, "
            f"exact {exact:.2f}"
        )
        for name, columns in MODALITIES.items():
            hidden = np.zeros(24, dtype=bool)
            hidden[columns] = True
            gain = np.linalg.solve(covariance[np.ix_(~hidden, ~hidden)], covariance[np.ix_(~hidden, hidden)])
            best = test[:, ~hidden] @ gain
            deviation = np.sqrt(
                np.diag(covariance[np.ix_(hidden, hidden)] - covariance[np.ix_(hidden, ~hidden)] @ gain)
            )
            given = skmm.hide(test, name, modalities=MODALITIES)
            mean, std = (table[:, hidden] for table in vae.predict(given, return_std=True))
            low, high = vae.predict_quantiles(given, (0.05, 0.95))[:, :, hidden]
            error, floor = (np.sqrt(np.square(guess - test[:, hidden]).mean()) for guess in (mean, best))
            inside = (test[:, hidden] >= low) & (test[:, hidden] <= high)
            print(
                f"  {name} hidden: RMSE {error:.3f}, exact {floor:.3f} (ratio {error / floor:.3f}); "
                f"deviation / exact {np.mean(std / deviation):.3f}; 90 % intervals cover {inside.mean():.3f}"
            )


if __name__ == "__main__":
    main()
