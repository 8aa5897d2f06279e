"""Data sets from files: small archives written here, and the real ones where SKMM_DATA names their folder."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skmm.datasets import (
    MOTION_MODALITIES,
    load_air_quality,
    load_basic_motions,
    load_japanese_vowels,
    make_air_quality,
    make_motions,
)


def basic_motions():
    rng = np.random.RandomState(0)
    return {
        "accel": rng.normal(size=(6, 5, 3)).astype(np.float32),
        "gyro": rng.normal(size=(6, 5, 3)).astype(np.float32),
        "label": np.array([0, 1, 0, 1, 0, 1], dtype=np.uint8),
        "label_names": np.array(["Standing", "Running"]),
        "train_idx": np.arange(4, dtype=np.int32),
        "test_idx": np.array([4, 5], dtype=np.int32),
    }


def japanese_vowels():
    return {
        "lpc_seq": np.arange(6 * 12, dtype=np.float32).reshape(6, 12),
        "lengths": np.array([1, 3, 2], dtype=np.int32),
        "label": np.array([2, 0, 2], dtype=np.uint8),
        "train_idx": np.array([0, 2], dtype=np.int32),
        "test_idx": np.array([1], dtype=np.int32),
    }


def air_quality():
    rng = np.random.RandomState(0)
    analyser = rng.normal(size=(30, 2)).astype(np.float32)
    analyser[3:7, 0] = np.nan
    return {
        "analyser": analyser,
        "sensor": rng.normal(size=(30, 3)).astype(np.float32),
        "weather": rng.normal(size=(30, 1)).astype(np.float32),
        "analyser_names": np.array(["CO", "NOx"]),
        "sensor_names": np.array(["a", "b", "c"]),
        "weather_names": np.array(["T"]),
        "time_start": np.array("2020-02-28 22:00:00"),
        "train_idx": np.arange(20, dtype=np.int32),
        "test_idx": np.arange(20, 30, dtype=np.int32),
    }


LOADERS = [
    pytest.param(load_air_quality, "air_quality", air_quality, "make_air_quality", id="air_quality"),
    pytest.param(load_basic_motions, "basic_motions", basic_motions, "make_motions", id="basic_motions"),
    pytest.param(
        load_japanese_vowels, "japanese_vowels", japanese_vowels, "make_motions", id="japanese_vowels"
    ),
]


# small archives


def test_basic_motions(tmp_path):
    arrays = basic_motions()
    np.savez(tmp_path / "basic_motions.npz", **arrays)
    motions = load_basic_motions(tmp_path)
    assert motions.data.shape == (6, 5, 6)
    assert motions.data.dtype == np.float64
    assert motions.modalities == MOTION_MODALITIES
    for sensor, array in (("accelerometer", "accel"), ("gyroscope", "gyro")):
        np.testing.assert_array_equal(motions.data[..., motions.modalities[sensor]], arrays[array])
    np.testing.assert_array_equal(motions.target_names[motions.target][:2], ["Standing", "Running"])
    np.testing.assert_array_equal(motions.train_idx, [0, 1, 2, 3])
    np.testing.assert_array_equal(motions.test_idx, [4, 5])
    assert "BasicMotions" in motions.DESCR


def test_made_motions_have_the_form_of_the_loaded(tmp_path):
    np.savez(tmp_path / "basic_motions.npz", **basic_motions())
    loaded, made = load_basic_motions(tmp_path), make_motions(6, 5, return_X_y=False, random_state=0)
    assert list(loaded) == list(made)
    assert loaded.data.shape == made.data.shape


def test_japanese_vowels(tmp_path):
    arrays = japanese_vowels()
    np.savez(tmp_path / "japanese_vowels.npz", **arrays)
    vowels = load_japanese_vowels(tmp_path)
    assert [len(sequence) for sequence in vowels.data] == [1, 3, 2]
    np.testing.assert_array_equal(vowels.data[1], arrays["lpc_seq"][1:4])
    np.testing.assert_array_equal(vowels.data[2][:, vowels.modalities["high"]], arrays["lpc_seq"][4:, 6:])
    np.testing.assert_array_equal(vowels.data[2][:, vowels.modalities["low"]], arrays["lpc_seq"][4:, :6])
    np.testing.assert_array_equal(vowels.target, [2, 0, 2])
    np.testing.assert_array_equal(vowels.target_names, [0, 2])
    np.testing.assert_array_equal(vowels.train_idx, [0, 2])
    np.testing.assert_array_equal(vowels.test_idx, [1])
    vowels.data[0][:] = 0  # sequences do not share memory
    assert vowels.data[1][0, 0] == 12
    assert "speaker" in vowels.DESCR


def test_lengths_must_fit_the_frames(tmp_path):
    np.savez(tmp_path / "japanese_vowels.npz", **japanese_vowels() | {"lengths": np.array([1, 3, 3])})
    with pytest.raises(ValueError, match=r"japanese_vowels.npz add up to 7, but lpc_seq has 6 frames"):
        load_japanese_vowels(tmp_path)


def test_air_quality(tmp_path):
    arrays = air_quality()
    np.savez(tmp_path / "air_quality.npz", **arrays)
    air = load_air_quality(tmp_path)
    assert air.data.columns.tolist() == [
        ("analyser", "CO"),
        ("analyser", "NOx"),
        ("sensor", "a"),
        ("sensor", "b"),
        ("sensor", "c"),
        ("weather", "T"),
    ]
    for modality in ("analyser", "sensor", "weather"):
        np.testing.assert_array_equal(air.data[modality], arrays[modality])
    assert air.data.isna().sum().sum() == 4
    assert air.data.index[0] == pd.Timestamp("2020-02-28 22:00")
    assert air.data.index[29] == pd.Timestamp("2020-03-01 03:00")  # the day in between has a date of its own
    np.testing.assert_array_equal(air.data.iloc[air.test_idx], air.data.iloc[20:])
    assert len(air.train_idx) == 20
    assert "De Vito" in air.DESCR


# all of them


def stacked(bunch):
    """All values as one array, of a list of sequences too."""
    return np.concatenate(bunch.data) if isinstance(bunch.data, list) else np.asarray(bunch.data)


@pytest.mark.parametrize(("load", "name", "arrays", "generator"), LOADERS)
class TestFiles:
    def test_folder_or_file(self, load, name, arrays, generator, tmp_path):
        np.savez_compressed(tmp_path / f"{name}.npz", surplus=np.zeros(2), **arrays())
        np.savez(tmp_path / "other.npz", **arrays())
        expected = load(tmp_path)
        for path in (str(tmp_path), tmp_path / f"{name}.npz", str(tmp_path / "other.npz")):
            found = load(path)
            assert list(found) == list(expected)
            np.testing.assert_array_equal(stacked(found), stacked(expected))

    def test_no_file(self, load, name, arrays, generator, tmp_path):
        message = rf"no file '{name}.npz' in the folder '.*'; give as path the folder .* {generator} draws"
        with pytest.raises(FileNotFoundError, match=message):
            load(tmp_path)
        with pytest.raises(FileNotFoundError, match=message):
            load(tmp_path / "nowhere")
        with pytest.raises(FileNotFoundError, match=r"no file 'mine.npz' in the folder"):
            load(tmp_path / "mine.npz")

    def test_missing_array(self, load, name, arrays, generator, tmp_path):
        some = arrays()
        del some["train_idx"]
        np.savez(tmp_path / f"{name}.npz", **some)
        with pytest.raises(ValueError, match=rf"{name}.npz' lacks the arrays \['train_idx'\]; it holds \['"):
            load(tmp_path)

    def test_no_archive(self, load, name, arrays, generator, tmp_path):
        (tmp_path / f"{name}.npz").write_text("a,b\n1,2\n")
        with pytest.raises(
            ValueError, match=rf"{name}.npz' is no archive of arrays; write it with numpy.savez"
        ):
            load(tmp_path)

    def test_pickles_are_not_opened(self, load, name, arrays, generator, tmp_path):
        np.savez(tmp_path / f"{name}.npz", **arrays() | {"train_idx": np.array([{}], dtype=object)})
        with pytest.raises(ValueError, match="allow_pickle=False"):
            load(tmp_path)


# the real archives


def real(name):
    """Path of a real archive; without it, the test is skipped."""
    folder = os.environ.get("SKMM_DATA")
    if not folder or not (Path(folder) / name).is_file():
        pytest.skip(f"needs {name} in the folder that SKMM_DATA names")
    return Path(folder) / name


def test_real_basic_motions():
    motions = load_basic_motions(real("basic_motions.npz"))
    assert motions.data.shape == (80, 100, 6)
    assert motions.target_names.tolist() == ["Standing", "Running", "Walking", "Badminton"]
    for rows in (motions.train_idx, motions.test_idx):
        np.testing.assert_array_equal(np.bincount(motions.target[rows]), 10)
    assert len(set(motions.train_idx) | set(motions.test_idx)) == 80


def test_real_japanese_vowels():
    vowels = load_japanese_vowels(real("japanese_vowels.npz"))
    lengths = [len(sequence) for sequence in vowels.data]
    assert (len(lengths), min(lengths), max(lengths)) == (640, 7, 29)
    assert {sequence.shape[1] for sequence in vowels.data} == {12}
    np.testing.assert_array_equal(np.bincount(vowels.target[vowels.train_idx]), 30)
    assert len(vowels.test_idx) == 370
    np.testing.assert_array_equal(vowels.target_names, np.arange(9))


def test_real_air_quality_and_the_made_one_are_interchangeable():
    air = load_air_quality(real("air_quality.npz"))
    made = make_air_quality(len(air.data), random_state=0)
    pd.testing.assert_index_equal(air.data.columns, made.columns)
    pd.testing.assert_index_equal(air.data.index, made.index)
    assert (air.data.dtypes == made.dtypes).all()
    missing = air.data.isna().mean()
    assert missing["analyser", "NMHC_GT"] == pytest.approx(0.902, abs=1e-3)
    assert missing["sensor"].to_numpy() == pytest.approx(0.0391, abs=1e-4)
    np.testing.assert_array_equal(np.r_[air.train_idx, air.test_idx], np.arange(9357))


def test_made_numbers_are_like_the_real_ones():
    """Means, standard deviations and correlations: the docstring says "about"."""
    real_air = load_air_quality(real("air_quality.npz")).data
    made = make_air_quality(len(real_air), gaps=False, random_state=0)
    for ratio in (made.mean() / real_air.mean(), made.std() / real_air.std()):
        assert 1 / 1.5 < ratio.min()
        assert ratio.max() < 1.5
    difference = made.corr().sub(real_air.corr()).to_numpy()
    assert np.abs(difference).mean() < 0.15
    # hydrocarbons were measured in spring only
    assert np.abs(np.delete(np.delete(difference, 1, axis=0), 1, axis=1)).max() < 0.4
