"""Error of one spiral given the other, against the noise floors and step-wise least squares, on make_spirals.

The data are those of the system that they come from (sathya-ml/multimodal-vrnn-vae): 1000 sequences of 50
steps, noise 0.25, not scaled; as many others to test. Printed are, for each setting, the mean squared error
per value of a modality that is hidden wholly, and its ratio to the floor: the noise itself for second given
first; for first given second, what is left to who knows the sequence's amplitude. Without making use of the
dynamics, that error cannot be below 0.125. Run ``python -m benchmarks.spirals``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

import skmm
from benchmarks.sequences import chosen, fit, make_parser, parse, repeat, report
from skmm.datasets import SPIRAL_MODALITIES, make_spirals

NOISE = 0.25
FLOORS = {"second": NOISE**2, "first": 2 / 3 * NOISE**2}  # of the modality that is hidden
GIVEN = {"second": "first", "first": "second"}
LARGER: dict[str, Any] = {"n_components": 20, "hidden_size": 128, "hidden_layer_sizes": (128,)}
LONGER: dict[str, Any] = {"max_iter": 400}
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "small": {  # sizes and epochs of the system that the data come from
        "n_components": 5,
        "hidden_size": 5,
        "n_layers": 2,
        "hidden_layer_sizes": (10,),
        "max_iter": 60,
        "batch_size": 64,
    },
    "larger": LARGER,
    "longer": LONGER,
    "both": {**LARGER, **LONGER},
}


def draw(seed: int, n_samples: int = 1000, n_steps: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Sequences to train on, and as many to test on."""
    return tuple(
        make_spirals(n_samples, n_steps, noise=NOISE, random_state=own) for own in (seed, 1000 + seed)
    )


def run(seed: int, *, n_samples: int = 1000, n_steps: int = 50, **parameters: Any) -> pd.DataFrame:
    """Fit, and complete each modality from the other."""
    train, test = draw(seed, n_samples, n_steps)
    model, took = fit(train, seed, modalities=SPIRAL_MODALITIES, **parameters)
    predicted = {
        hidden: model.predict(skmm.hide(test, hidden, modalities=SPIRAL_MODALITIES)) for hidden in FLOORS
    }
    return _figures(test, predicted, took)


def least_squares(seed: int, *, n_samples: int = 1000, n_steps: int = 50) -> pd.DataFrame:
    """Regress each step of a modality on the same step of the other."""
    train, test = draw(seed, n_samples, n_steps)
    predicted = {}
    for hidden, given in GIVEN.items():
        source, target = SPIRAL_MODALITIES[given], SPIRAL_MODALITIES[hidden]
        line = LinearRegression().fit(train[..., source].reshape(-1, 2), train[..., target].reshape(-1, 2))
        predicted[hidden] = np.full(test.shape, np.nan)
        predicted[hidden][..., target] = line.predict(test[..., source].reshape(-1, 2)).reshape(
            *test.shape[:2], 2
        )
    return _figures(test, predicted, {})


def _figures(test: np.ndarray, predicted: dict[str, np.ndarray], took: dict[str, float]) -> pd.DataFrame:
    figures = {}
    for hidden, floor in FLOORS.items():
        error = np.square(predicted[hidden] - test)[..., SPIRAL_MODALITIES[hidden]].mean()
        figures |= {f"{hidden} given {GIVEN[hidden]}": error, f"{hidden} / floor": error / floor}
    return pd.DataFrame([figures | took])


def main() -> None:
    """Fit under each setting and compare."""
    parser = make_parser(__doc__, seeds=3)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=["defaults", "small"])
    arguments = parse(parser)
    size = {"n_samples": 200} if arguments.quick else {}
    settings = {name: SETTINGS[name] for name in arguments.settings}
    runs = [
        repeat(least_squares, {"least squares, step by step": {}}, arguments.seeds, **size),
        repeat(run, chosen(settings, arguments), arguments.seeds, **size),
    ]
    title = f"Floors: second given first {FLOORS['second']:.4f}, first given second {FLOORS['first']:.4f}."
    report(pd.concat(runs, ignore_index=True), "spirals", arguments.out, title=title)


if __name__ == "__main__":
    main()
