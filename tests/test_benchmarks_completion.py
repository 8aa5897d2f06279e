"""The benchmark of completion: baselines against closed forms, and a protocol that does what it says."""

import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal
from sklearn.linear_model import LinearRegression

from benchmarks import completion
from benchmarks.completion_baselines import BASELINES, Chained, Gaussian, PerColumn, PerPattern, SoftImpute
from benchmarks.completion_data import (
    DATA_SETS,
    SETTINGS,
    Circumstances,
    Method,
    Table,
    blanked,
    error,
    hidden_cells,
    hidden_modalities,
    make_task,
)

MODALITIES = {"a": np.arange(3), "b": np.arange(3, 5), "c": np.arange(5, 8)}
KINDS = ("p0.3", "cells")


def gaussian_parameters():
    rng = np.random.RandomState(0)
    loadings = rng.normal(size=(3, 8))
    return rng.normal(size=8), loadings.T @ loadings + 0.3 * np.eye(8)


def gaussian_table(n_samples=900, **parts):
    """Rows of a known Gaussian, with a few gaps that nobody made."""
    X = np.random.RandomState(1).multivariate_normal(*gaussian_parameters(), size=n_samples)
    X[::40, 1] = X[5::50, 3:5] = np.nan
    return Table(X, MODALITIES, **parts)


def conditional(X, mean, covariance):
    """Expected rows, and the sum of conditional covariances, row by row from the textbook."""
    completed, spread = X.copy(), np.zeros_like(covariance)
    for row in completed:
        m = np.isnan(row)
        gain = covariance[np.ix_(m, ~m)] @ np.linalg.inv(covariance[np.ix_(~m, ~m)])
        row[m] = mean[m] + gain @ (row[~m] - mean[~m])
        spread[np.ix_(m, m)] += covariance[np.ix_(m, m)] - gain @ covariance[np.ix_(~m, m)]
    return completed, spread


# --- baselines -----------------------------------------------------------------------------------------


def test_gaussian_conditionals_are_the_textbook_s():
    X = gaussian_table(50).X
    X = blanked(X, hidden_cells(X, 0.5, np.random.RandomState(0)))
    model = Gaussian(Circumstances(MODALITIES))
    model.mean, model.covariance = gaussian_parameters()
    completed, spread = conditional(X, model.mean, model.covariance)
    np.testing.assert_allclose(model.complete(X), completed, atol=1e-8)
    np.testing.assert_allclose(model._expected(X)[1], spread, atol=1e-8)


def test_em_of_complete_rows_finds_their_moments():
    X = np.random.RandomState(0).multivariate_normal(*gaussian_parameters(), size=50)
    model = Gaussian(Circumstances(MODALITIES))
    model.start(X)
    model.fit_on(X, 0.2)
    moments = np.cov(X.T, bias=True)
    np.testing.assert_allclose(model.mean, X.mean(axis=0))
    np.testing.assert_allclose(model.covariance, moments * (0.8 + 0.2 * np.eye(8)), atol=1e-5)


def test_em_increases_the_likelihood_of_what_is_observed():
    X = gaussian_table(100).X
    X = blanked(X, hidden_cells(X, 0.3, np.random.RandomState(0)))
    model = Gaussian(Circumstances(MODALITIES))
    model.start(X)
    found = []
    for _ in range(6):
        model._step(X, 0.0)
        parts = [(x[~np.isnan(x)], np.flatnonzero(~np.isnan(x))) for x in X]
        found.append(
            sum(
                multivariate_normal.logpdf(x, model.mean[o], model.covariance[np.ix_(o, o)]) for x, o in parts
            )
        )
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("setting", KINDS)
def test_em_is_nearly_as_good_as_the_truth(setting):
    table = gaussian_table(1500)
    task = make_task(table, setting, 0)
    model = Gaussian(Circumstances(MODALITIES, task.hide)).fit(task.train)
    exact = Gaussian(Circumstances(MODALITIES, task.hide))
    _, test_rows = table.split(0)
    raw, used = table.X[test_rows], task.test
    scale = np.nanstd(raw, axis=0) / np.nanstd(used, axis=0)
    mean, covariance = gaussian_parameters()
    shift = np.nanmean(raw, axis=0) - scale * np.nanmean(used, axis=0)
    exact.mean, exact.covariance = (mean - shift) / scale, covariance / np.outer(scale, scale)
    best = error(exact, task.test, task.hidden)
    assert best <= error(model, task.test, task.hidden) < 1.02 * best


def test_soft_impute_satisfies_the_conditions_of_its_minimum():
    """The residual's singular vectors of Z have the singular value λ, all others less."""
    X = gaussian_table(60).X
    model = SoftImpute(Circumstances(MODALITIES))
    model.tol, model.max_iter = 1e-20, 5000
    model.start(X)
    model.fit_on(X, 0.2)
    residual = np.nan_to_num(X - model.low_rank)
    left, values, right = np.linalg.svd(model.low_rank, full_matrices=False)
    rank = (values > 1e-6).sum()
    assert 0 < rank < 8
    between = left[:, :rank].T @ residual @ right[:rank].T
    np.testing.assert_allclose(between, model.penalty * np.eye(rank), atol=1e-5 * model.penalty)
    assert np.linalg.norm(residual, 2) < (1 + 1e-6) * model.penalty
    gaps = np.isnan(X)
    assert gaps.any()
    np.testing.assert_allclose(model.complete(X)[gaps], model.low_rank[gaps], atol=1e-6)


def test_soft_impute_recovers_low_rank():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 12))
    hidden = hidden_cells(X, 0.3, rng)
    model = SoftImpute(Circumstances({"all": np.arange(12)}, "cells")).fit(blanked(X[:150], hidden[:150]))
    assert error(model, X[150:], {"cells": hidden[150:]}) < 0.05 * X.std()


def test_regression_per_pattern_takes_the_rows_it_says():
    X = gaussian_table(100).X
    X[30:, 5:] = np.nan
    given = X[:4].copy()
    given[:, :3] = np.nan
    given[2:, 5:] = np.nan
    X = X[4:]
    completed = PerPattern(LinearRegression()).fit(X).complete(given)
    whole = X[~np.isnan(X).any(axis=1)]  # no gaps are known that only some of the targets have
    assert len(whole) >= 20
    expected = LinearRegression().fit(whole[:, 3:], whole[:, 2]).predict(given[:2, 3:])
    np.testing.assert_allclose(completed[:2, 2], expected)
    pair = X[~np.isnan(X[:, 2:5]).any(axis=1)]
    expected = LinearRegression().fit(pair[:, 3:5], pair[:, 2]).predict(given[2:, 3:5])
    np.testing.assert_allclose(completed[2:, 2], expected)


def test_regression_of_a_pattern_that_is_rare_takes_zero_for_what_is_missing():
    X = gaussian_table(60).X
    X[15:, 5:] = np.nan
    given = X[:2].copy()
    given[:, :3] = np.nan
    X = X[2:]
    completed = PerPattern(LinearRegression()).fit(X).complete(given)
    filled = np.nan_to_num(X)[~np.isnan(X[:, 2])]
    expected = LinearRegression().fit(filled[:, 3:], filled[:, 2]).predict(np.nan_to_num(given[:, 3:]))
    np.testing.assert_allclose(completed[:, 2], expected)


def test_regression_per_column_sees_zeros_and_gaps():
    X = gaussian_table(100).X
    given = blanked(X[:9], hidden_cells(X[:9], 0.5, np.random.RandomState(0)))
    completed = PerColumn(LinearRegression()).fit(X).complete(given)
    known, gap = ~np.isnan(X[:, 1]), np.isnan(given[:, 1])
    others = [0, *range(2, 8)]

    def seen(table):
        return np.hstack([np.nan_to_num(table[:, others]), np.isnan(table[:, others])])

    expected = LinearRegression().fit(seen(X[known]), X[known, 1]).predict(seen(given[gap]))
    assert gap.any()
    np.testing.assert_allclose(completed[gap, 1], expected)


@pytest.mark.parametrize("setting", KINDS)
@pytest.mark.parametrize("name", list(completion.METHODS))
def test_methods_fill_all_gaps_and_only_these(name, setting, monkeypatch):
    """And a row's completion depends on no other row that is completed."""
    monkeypatch.setattr(completion, "GRID", {"n_components": [2], "max_iter": [2]})
    task = make_task(gaussian_table(120), setting, 0)
    at = Circumstances(task.modalities, task.hide)
    make = completion.METHODS[name]
    method = make(at, max_iter=2) if name == completion.OURS else make(at)
    if isinstance(method, Chained):
        method.rounds = 2
    before = task.train.copy()
    method.fit(task.train)
    np.testing.assert_array_equal(task.train, before)
    for mask in task.hidden.values():
        given = blanked(task.test, mask)
        kept = given.copy()
        completed = method.complete(given)
        np.testing.assert_array_equal(given, kept)
        assert not np.isnan(completed).any()
        np.testing.assert_array_equal(completed[~np.isnan(given)], given[~np.isnan(given)])
        np.testing.assert_allclose(method.complete(given[5:9]), completed[5:9], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("setting", KINDS)
def test_methods_use_the_other_columns(setting):
    task = make_task(gaussian_table(400), setting, 0)
    at = Circumstances(task.modalities, task.hide)
    errors = {name: error(make(at).fit(task.train), task.test, task.hidden) for name, make in QUICK.items()}
    assert max(errors.values()) == errors["mean"] == pytest.approx(1.0, abs=0.1)
    assert min(errors.values()) == errors["EM-Gaussian"]
    assert sorted(errors.values())[-2] < 0.9


QUICK = {name: make for name, make in BASELINES.items() if not name.startswith("chained-trees")}


# --- the protocol --------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", SETTINGS)
def test_tasks(setting):
    table = gaussian_table()
    task = make_task(table, setting, 3)
    rows, test_rows = table.split(3)
    assert not set(rows) & set(test_rows)
    assert len(test_rows) == round(0.3 * len(table.X))
    known = ~np.isnan(task.train)
    assert (known <= ~np.isnan(table.X[rows])).all()
    assert known.any(axis=1).all()
    np.testing.assert_allclose(np.nanmean(task.train, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(task.train, axis=0), 1)
    np.testing.assert_array_equal(np.isnan(task.test), np.isnan(table.X[test_rows]))
    share = 0.3 if setting == "cells" else float(setting[1:])
    assert known[:, 5:].mean() == pytest.approx(1 - share, abs=0.07)
    whole = (known[:, 5:].sum(axis=1) % 3 == 0).all()
    assert whole == (setting != "cells")
    again, other = make_task(table, setting, 3), make_task(table, setting, 4)
    np.testing.assert_array_equal(again.train, task.train)
    if setting == "cells":  # a scorer with the same seed hides other cells than those that are missing
        drawn = hidden_cells(np.zeros(task.train.shape), 0.3, np.random.RandomState(3))
        assert (drawn & known).mean() == pytest.approx(0.3 * 0.7, abs=0.02)
    assert not np.array_equal(other.train, task.train, equal_nan=True)


@pytest.mark.parametrize("setting", SETTINGS)
def test_only_known_entries_are_hidden(setting):
    task = make_task(gaussian_table(), setting, 0)
    known = ~np.isnan(task.test)
    for name, mask in task.hidden.items():
        assert mask.any()
        assert (mask <= known).all()
        if setting == "cells":
            assert mask.sum() / known.sum() == pytest.approx(0.3, abs=0.03)
        else:
            columns = MODALITIES[name]
            assert (mask[:, columns] == known[:, columns]).all()
            assert not np.delete(mask, columns, axis=1).any()
    assert list(task.hidden) == (["cells"] if setting == "cells" else ["a", "b", "c"])


def test_no_row_loses_all_it_has():
    X = np.full((200, 8), np.nan)
    X[:, 1] = 1.0
    X[100:, 4] = 2.0
    hidden = hidden_modalities(X, MODALITIES)
    assert not any(mask[:100].any() for mask in hidden.values())
    assert hidden["a"][100:, 1].all()
    assert hidden["b"][100:, 4].all()
    assert not hidden["c"].any()
    cells = hidden_cells(X, 0.999, np.random.RandomState(0))
    assert not cells[:100].any()
    assert (cells[100:].sum(axis=1) == 1).all()


def test_nearly_constant_columns_are_dropped():
    table = gaussian_table()
    table.X[:, [0, 6]] = 7.3
    table.X[0, 6] = 8.0  # a single row of many makes it no column worth completing
    task = make_task(table, "p0.3", 0)
    assert {name: list(columns) for name, columns in task.modalities.items()} == {
        "a": [0, 1],
        "b": [2, 3],
        "c": [4, 5],
    }
    assert task.train.shape[1] == 6


class OffByKnown(Method):
    """Knows the truth, and is wrong by the number of the modality."""

    def __init__(self, task):
        self.task, self.given = task, []

    def fit(self, X):
        assert X is self.task.train
        return self

    def complete(self, X):
        self.given.append(X)
        off = np.repeat([1.0, 2.0, 3.0], [3, 2, 3])
        return np.where(np.isnan(X), np.nan_to_num(self.task.test, nan=1e6) + off, X)


@pytest.mark.parametrize("setting", KINDS)
def test_errors_are_those_of_hidden_entries(setting):
    task = make_task(gaussian_table(), setting, 0)
    method = OffByKnown(task)
    found = completion.run(method, task).set_index("modality")["rmse"]
    masks = list(task.hidden.values())
    for given, mask in zip(method.given, masks, strict=True):
        np.testing.assert_array_equal(given, np.where(mask, np.nan, task.test))
    counts = [sum(mask[:, columns].sum() for mask in masks) for columns in MODALITIES.values()]
    total = np.sqrt(np.dot(counts, [1, 4, 9]) / sum(counts))
    np.testing.assert_allclose(found[["a", "b", "c", "all"]], [1, 2, 3, total])


def test_data_sets_that_come_with_scikit_learn():
    sizes = {
        "breast_cancer": [10, 10, 10],
        "wine": [6, 4, 3],
        "diabetes": [4, 4, 2],
        "digits_quadrants": [16] * 4,
        "digits_halves": [32, 32],
    }
    for name, size in sizes.items():
        table = DATA_SETS[name](None)
        assert [len(columns) for columns in table.modalities.values()] == size
        np.testing.assert_array_equal(
            np.sort(np.concatenate(list(table.modalities.values()))), np.arange(sum(size))
        )


def test_triplets_of_digits_are_averaged(tmp_path):
    rng = np.random.RandomState(0)
    images = {name: rng.randint(256, size=(3, 28, 28)) for name in ("hoda", "kannada")}
    frames = rng.normal(size=(3, 20, 13))
    for name, image in images.items():
        np.savez(tmp_path / f"{name}_digits.npz", image=image)
    np.savez(tmp_path / "fsdd_mfcc.npz", mfcc_fixed=frames)
    index = {f"train_{name}": [2, 0] for name in ("hoda", "kannada", "fsdd", "label")}
    index |= {f"test_{name}": [1] for name in ("hoda", "kannada", "fsdd", "label")}
    np.savez(tmp_path / "digits3.npz", **index)
    table = DATA_SETS["digits3"](tmp_path)
    assert table.X.shape == (3, 150)
    assert table.X[0, 8] == pytest.approx(images["hoda"][2, 4:8, 4:8].mean() / 255)
    assert table.X[2, 49] == pytest.approx(images["kannada"][1, :4, :4].mean() / 255)
    assert table.X[1, 98 + 13] == pytest.approx(frames[0, 5:10, 0].mean())
    assert [part.tolist() for part in table.split(0)] == [[0, 1], [2]]


def test_fixed_splits_are_drawn_from_their_parts():
    table = gaussian_table(train=np.arange(600), test=np.arange(600, 900), n_train=50, n_test=20)
    rows, test_rows = table.split(0)
    assert (len(set(rows)), len(set(test_rows))) == (50, 20)
    assert max(rows) < 600 <= min(test_rows)
    assert set(table.split(1)[0]) != set(rows)


# --- the report ----------------------------------------------------------------------------------------


def runs(errors, data_set="wine", setting="p0.3"):
    """Errors (n_seeds) by method."""
    rows = [
        (data_set, setting, seed, method, modality, value, 1.0 + seed, 0.5)
        for method, values in errors.items()
        for seed, value in enumerate(values)
        for modality in ("a", "all")
    ]
    return pd.DataFrame(rows, columns=completion.COLUMNS)


def test_only_differences_beyond_noise_count():
    errors = {
        "skmm-default": [0.5, 0.7, 0.6],
        "kNN": [0.4, 0.59, 0.5],  # always better by about .1
        "ridge": [0.6, 0.3, 0.6],  # better on average only
        "mean": [1.0, 1.1, 0.9],
    }
    assert completion.better(pd.DataFrame(errors), "skmm-default") == (2, 1)
    assert completion.better(pd.DataFrame(errors)[:1], "skmm-default") == (1, 0)  # one seed has no noise


def test_report_and_picture(tmp_path):
    first = runs({"skmm-default": [0.5, 0.7], "kNN": [0.4, 0.59], "mean": [1.0, 1.1]})
    second = runs({"skmm-default": [0.3], "mean": [0.9], "skmm beta=1": [0.2]}, "diabetes", "cells")
    found = pd.concat([first, second])
    table = completion.error_table(found).set_index("data set")
    assert list(table["setting"]) == ["p0.3", "cells", ""]
    assert table.loc["wine", "kNN"] == "**0.495 ± 0.095**"
    assert table.loc["diabetes", "skmm-default"] == "0.300"
    assert table.loc["diabetes", "kNN"] == "–"
    assert table.loc["wine", ["rank", "rank within noise"]].tolist() == ["2", "2"]
    assert table.loc["average rank", "mean"] == "3.0"
    times = completion.time_table(found).set_index("data set")
    assert times.loc["wine", "kNN"] == "2"
    assert times.loc["all", "mean"] == "1.500"
    assert "| wine | p0.3 |" in completion.report(found)
    completion.draw(found, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_command_resumes(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("SKMM_DATA", raising=False)

    def command(*arguments):
        line = ["completion", "--out", str(tmp_path), "--data-sets", "wine,digits3", *arguments]
        monkeypatch.setattr(sys, "argv", line)
        completion.main()
        return capsys.readouterr().out

    said = command("--methods", "mean", "--seeds", "2", "--settings", "p0.3,cells")
    assert "digits3 skipped" in said
    with pytest.raises(SystemExit, match="--resume"):
        command("--methods", "mean")
    said = command("--methods", "mean,kNN", "--seeds", "2", "--settings", "p0.3,cells", "--resume")
    assert "wine p0.3 1 kNN" in said
    assert "wine p0.3 1 mean" not in said
    found = completion.read(tmp_path / "completion.csv")
    assert list(found) == completion.COLUMNS
    assert len(found) == 2 * 2 * 2 * 4
    assert not found.duplicated([*completion.KEY, "modality"]).any()
    table = (tmp_path / "completion.md").read_text()
    (tmp_path / "completion.md").unlink()
    command("--report-only")
    assert (tmp_path / "completion.md").read_text() == table


def test_set_makes_another_method(monkeypatch):
    arguments = completion.make_parser().parse_args(
        ["--methods", "mean,skmm-default", "--set", "beta=0.3", "--set", "fusion=moe"]
    )
    methods = completion.chosen(arguments)
    assert list(methods) == ["mean", "skmm beta=0.3 fusion=moe"]
    estimator = methods["skmm beta=0.3 fusion=moe"](Circumstances(MODALITIES, seed=4)).estimator
    assert (estimator.beta, estimator.fusion, estimator.random_state) == (0.3, "moe", 4)
