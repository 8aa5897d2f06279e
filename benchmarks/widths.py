"""What weights and dropout of modalities do where one has 2 columns and the other 200.

The narrow modality depends on a latent variable that is a weak direction of the wide one: with fewer latent
variables than directions, a plain objective spends them on the wide modality. Printed are the errors (in
standard deviations) of the narrow modality given the wide one, of the wide one given the narrow one, of both
reconstructed when both are there, and of single cells of the wide one: with the linear model that completes
beside the network, which is the default, and of the network alone. Run ``python -m benchmarks.widths``.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd

import skmm
from skmm.metrics import completion_error

WIDTHS = {"narrow": 2, "wide": 200}
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {"completion": "stacked"},
    "network alone": {},
    "weights: narrow 20": {"modality_weights": {"narrow": 20.0}},
    "weights: auto": {"modality_weights": "auto"},
    "auto, modality_dropout 0": {"modality_weights": "auto", "modality_dropout": 0.0},
    "auto, modality_dropout narrow .5": {
        "modality_weights": "auto",
        "modality_dropout": {"narrow": 0.5, "wide": 0.0},
    },
    "auto, cell_dropout 0": {"modality_weights": "auto", "cell_dropout": 0.0},
    "auto, cell_dropout wide .5": {"modality_weights": "auto", "cell_dropout": {"wide": 0.5}},
}


def make_table(n_samples: int, seed: int) -> pd.DataFrame:
    """Six directions in the wide modality, the last and weakest of which is what the narrow one measures."""
    rng = np.random.RandomState(seed)
    z = rng.normal(size=(n_samples, 6))
    strength = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.4])
    wide = (z * strength) @ rng.normal(size=(6, WIDTHS["wide"])) + rng.normal(
        size=(n_samples, WIDTHS["wide"])
    )
    narrow = z[:, 5:] * [1.0, -1.0] + 0.3 * rng.normal(size=(n_samples, WIDTHS["narrow"]))
    return skmm.stack_modalities({"narrow": narrow, "wide": wide})


def errors(vae: skmm.MultimodalVAE, test: pd.DataFrame) -> dict[str, float]:
    """Errors in standard deviations of a column."""
    hidden = completion_error(vae, test)
    cells = completion_error(vae, test, hide="cells", fraction=0.5)
    reconstructed = (vae.predict(test) - test) / test.std()
    return {
        "narrow | wide": hidden["narrow"],
        "wide | narrow": hidden["wide"],
        "narrow | both": float(np.sqrt(np.square(reconstructed["narrow"].to_numpy()).mean())),
        "wide | both": float(np.sqrt(np.square(reconstructed["wide"].to_numpy()).mean())),
        "half of wide's cells": cells["wide"],
    }


def main() -> None:
    """Fit under each setting and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-samples", type=int, default=1000)
    parser.add_argument("--n-components", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    arguments = parser.parse_args()
    for name, parameters in SETTINGS.items():
        found, start = [], time.perf_counter()
        for seed in arguments.seeds:
            table = make_table(arguments.n_samples + 500, seed)
            vae = skmm.MultimodalVAE(
                arguments.n_components, random_state=seed, **{"completion": "network"} | parameters
            )
            found.append(errors(vae.fit(table[:-500]), table[-500:]))
        shown = "  ".join(f"{key} {value:.3f}" for key, value in pd.DataFrame(found).mean().items())
        print(f"{name:33} {shown}  ({time.perf_counter() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
