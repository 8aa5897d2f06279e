"""Accuracy of a linear classifier on summaries of sequences, with modalities missing in test or in fit too.

On BasicMotions and Japanese vowels, in their official splits: a Pipeline of MultimodalVRNN, StandardScaler
and LogisticRegression, with the latent variables' mean over the steps and with those of the last step; beside
it the same classifier on each channel's mean, deviation, first and last value. "label" is no classifier: the
label is a modality of MultimodalVRNN, repeated at each step and hidden in test; what is predicted is the
label most probable on average over the steps. Printed are accuracies with all modalities, with one missing in
test, and with one missing in fit and in test. Run
``python -m benchmarks.sequence_classification --data FOLDER``, or with ``--generated`` for made motions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

import skmm
from benchmarks.sequences import chosen, data_folder, fit, make_parser, parse, repeat, report
from skmm.datasets import load_basic_motions, load_japanese_vowels, make_motions

REAL = {"basic motions": load_basic_motions, "japanese vowels": load_japanese_vowels}
SUMMARIES = ("mean", "last")
LABEL = "label"


def load(name: str, folder: Any = None) -> Bunch:
    """Load a data set, or make "made motions"."""
    if name == "made motions":
        return make_motions(return_X_y=False, random_state=0)
    return REAL[name](data_folder(folder))


def parts(data: Bunch) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray]:
    """Sequences and labels of the official split: X_train, X_test, y_train, y_test."""
    X = [[data.data[i] for i in index] for index in (data.train_idx, data.test_idx)]
    return *X, data.target[data.train_idx], data.target[data.test_idx]


def linear() -> Any:
    """The classifier of all kinds of features."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))


def simple_features(X: Sequence[np.ndarray]) -> np.ndarray:
    """Mean, deviation, first and last value of each channel, (n_sequences, 4 n_features)."""
    return np.stack([np.concatenate([x.mean(0), x.std(0), x[0], x[-1]]) for x in X])


def labelled(X: Sequence[np.ndarray], y: np.ndarray) -> list[np.ndarray]:
    """Sequences with the label as one more feature of every step."""
    return [np.column_stack([x, np.full(len(x), label)]) for x, label in zip(X, y, strict=True)]


def run(
    seed: int, *, name: str = "basic motions", data: Bunch | None = None, **parameters: Any
) -> pd.DataFrame:
    """Fit once for each modality that may be missing in fit, and once with the label; classify.

    Parameters
    ----------
    seed : int
        Of the model.
    name : {"basic motions", "japanese vowels", "made motions"}
        The data set.
    data : Bunch or None
        What :func:`load` returns, the default.
    **parameters
        Of MultimodalVRNN.
    """
    data = load(name) if data is None else data
    X, X_test, y, y_test = parts(data)
    groups = data.modalities

    def without(sequences: list[np.ndarray], modality: str | None) -> list[np.ndarray]:
        return sequences if modality is None else skmm.hide(sequences, modality, modalities=groups)

    def accuracies(modality: str | None) -> tuple[dict[str | None, dict[str, float]], dict[str, float]]:
        """By what is missing in test, for a fit without this modality; and what the fit took."""
        train = without(X, modality)
        model, took = fit(train, seed, modalities=groups, **parameters)
        missing = (None, *groups) if modality is None else (modality,)
        given = {absent: without(X_test, absent) for absent in missing}
        found: dict[str | None, dict[str, float]] = {absent: {} for absent in missing}
        for summary in SUMMARIES:
            classifier = make_pipeline(FrozenEstimator(model.set_params(summary=summary)), linear())
            classifier.fit(train, y)
            for absent, sequences in given.items():
                found[absent][summary] = classifier.score(sequences, y_test)
        yardstick = make_pipeline(SimpleImputer(keep_empty_features=True), linear())
        yardstick.fit(simple_features(train), y)
        for absent, sequences in given.items():
            found[absent]["simple features"] = yardstick.score(simple_features(sequences), y_test)
        return found, took

    def label_accuracies() -> dict[str | None, float]:
        """By what is missing in test, for a fit with the label as a modality."""
        n_features = X[0].shape[1]
        model, _ = fit(
            labelled(X, y),
            seed,
            modalities={**groups, LABEL: [n_features]},
            likelihood={LABEL: "categorical"},
            **parameters,
        )
        found = {}
        for absent in (None, *groups):
            given = labelled(without(X_test, absent), np.full(len(X_test), np.nan))
            steps = model.predict_category_proba(given)
            average = steps.groupby(level=0).mean()
            labels = average.columns.get_level_values(-1).to_numpy(dtype=int)
            found[absent] = accuracy_score(y_test, labels[average.to_numpy().argmax(1)])
        return found

    rows = []
    by_label = label_accuracies()
    found, took = accuracies(None)
    for absent, scores in found.items():
        missing = "nothing" if absent is None else f"{absent}, in test"
        rows.append({"data": name, "missing": missing, **scores, LABEL: by_label[absent], **took})
    for modality in groups:
        found, took = accuracies(modality)
        rows.append({"data": name, "missing": f"{modality}, in fit and test", **found[modality], **took})
    return pd.DataFrame(rows)


def main() -> None:
    """Fit and classify, with every seed."""
    parser = make_parser(__doc__, seeds=3, needs_data=True)
    parser.add_argument("--only", choices=REAL, help="one of the data sets")
    arguments = parse(parser)
    names = [arguments.only] if arguments.only else list(REAL)
    runs = []
    for name in ["made motions"] if arguments.generated else names:
        data = load(name, arguments.data)
        runs.append(repeat(run, chosen({"defaults": {}}, arguments), arguments.seeds, name=name, data=data))
    report(pd.concat(runs, ignore_index=True), "sequence_classification", arguments.out)


if __name__ == "__main__":
    main()
