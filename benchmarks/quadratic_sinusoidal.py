"""Completion error against the noise floor, and draws where a mean cannot do, on make_quadratic_sinusoidal.

The settings are those of the system that the data come from (sathya-ml/multimodal-vrnn-vae): 5000 rows, noise
0.1, 5 latent variables, 10 hidden units, 400 epochs, batches of 100. Run
``python -m benchmarks.quadratic_sinusoidal``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import skmm
from skmm.datasets import make_quadratic_sinusoidal

NOISE = 0.1


def explained_by(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Misfit, in noise deviations, of drawn (x1, y1) to (x2, y2): noise alone gives about 1."""
    x1, y1 = first[..., 0], first[..., 1]
    residual = np.stack([second[..., 0] - y1, second[..., 1] - np.sin(2 * np.pi * x1) - 0.5 * y1, y1 - x1**2])
    return np.sqrt(np.mean(np.square(residual / NOISE), axis=0))


def main() -> None:
    """Fit, print the errors, save the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-samples", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--hidden", type=int, nargs="+", default=[10, 10])
    parser.add_argument("--output", type=Path, default=Path("benchmarks/output"))
    arguments = parser.parse_args()

    train = make_quadratic_sinusoidal(arguments.n_samples, noise=NOISE, random_state=0)
    test = make_quadratic_sinusoidal(2000, noise=NOISE, random_state=1)
    print(
        f"floor of second given first: {NOISE**2:.4f} per coordinate; first given second has several branches"
    )
    # 10 hidden units leave nothing to drop; the importance-weighted bound forgives a posterior that covers
    # several branches, which the plain bound answers with noise
    settings = {"batch_size": 100, "dropout": 0.0, "cell_dropout": 0.0, "random_state": 0}
    settings |= {"hidden_layer_sizes": tuple(arguments.hidden)}
    objectives = {
        "elbo": {"objective": "elbo", "max_iter": arguments.epochs},
        "iwae": {"objective": skmm.IWAE(20), "beta": 1.0, "max_iter": max(1, arguments.epochs // 4)},
    }
    for name, objective in objectives.items():
        start = time.perf_counter()
        vae = skmm.MultimodalVAE(5, **settings, **objective).fit(train)
        seconds = time.perf_counter() - start
        print(f"{name}: fit {seconds:.0f} s, {vae.n_iter_} epochs; log-likelihood {vae.score(test):.3f}")
        report(vae, test)
        arguments.output.mkdir(parents=True, exist_ok=True)
        path = arguments.output / f"quadratic_sinusoidal_{name}.png"
        draw_picture(vae, test, path)
        print(f"  picture: {path}")


def report(vae: skmm.MultimodalVAE, test: pd.DataFrame) -> None:
    """Print completion errors, coverage of intervals, and how plausible draws are."""
    for hidden, given in (("second", "first"), ("first", "second")):
        shown = skmm.hide(test, hidden)
        error = np.square(vae.predict(shown)[hidden] - test[hidden]).mean()
        quantiles = vae.predict_quantiles(shown, (0.05, 0.95))
        inside = (test[hidden] >= quantiles.loc[0.05][hidden]) & (test[hidden] <= quantiles.loc[0.95][hidden])
        print(
            f"  {hidden} given {given}: mean squared error {error.to_numpy().round(4)} (variance "
            f"{test[hidden].var().to_numpy().round(3)}); 90 % intervals cover {inside.to_numpy().mean():.3f}"
        )
    draws = vae.sample(20, given=skmm.hide(test, "first"), random_state=0)["first"].to_numpy()
    draws = draws.reshape(20, len(test), 2)
    second = test["second"].to_numpy()
    distance = np.median(explained_by(draws, np.broadcast_to(second, draws.shape)))
    truth = np.median(explained_by(test["first"].to_numpy(), second))
    print(f"  draws of first given second: median misfit {distance:.2f} noise deviations (rows {truth:.2f})")


def draw_picture(vae: skmm.MultimodalVAE, test: pd.DataFrame, path: Path) -> None:
    """Show draws of the first modality for three values of the second."""
    x1 = np.linspace(-1, 1, 400)
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), sharex=True, sharey=True)
    new = vae.sample(len(test), random_state=1)["first"]
    axes[0].plot(*test["first"].to_numpy().T, ".", ms=2, alpha=0.4, label="data")
    axes[0].plot(*new.to_numpy().T, ".", ms=2, alpha=0.4, label="draws")
    axes[0].set_title("new rows")
    # one branch; two, as x1 and -x1 give the same second modality; two that noise tells apart in part
    for axis, root in zip(axes[1:], (-0.75, 0.5, 0.2), strict=True):
        second = [root**2, np.sin(2 * np.pi * root) + 0.5 * root**2]
        row = pd.DataFrame([[np.nan, np.nan, *second]], columns=test.columns)
        draws = vae.sample(400, given=row, random_state=2)["first"].to_numpy()
        mean = vae.predict(row)["first"].to_numpy()
        axis.plot(x1, x1**2, color="0.7", lw=1, label="noise-free first modality")
        axis.plot(*draws.T, ".", ms=3, alpha=0.4, color="C1", label="draws given second")
        axis.plot(*mean.T, "x", color="k", label="expected value")
        axis.set_title(f"second = ({second[0]:.2f}, {second[1]:.2f})")
    for axis in axes:
        axis.set_xlabel("x1")
        axis.legend(fontsize=7, loc="upper center")
    axes[0].set_ylabel("y1")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
