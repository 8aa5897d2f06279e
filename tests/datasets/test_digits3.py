"""Digits in three modalities: from small archives written here, and the real ones where they are."""

import os
from pathlib import Path

import numpy as np
import pytest

from skmm.datasets import load_digits3

NAMES = ("hoda", "kannada", "fsdd", "fsdd_spk")


@pytest.fixture
def arrays():
    rng = np.random.RandomState(0)
    index = {"train_label": np.array([3, 0, 3], np.uint8), "test_label": np.array([0, 7], np.uint8)}
    for name in NAMES:
        index |= {f"train_{name}": rng.randint(6, size=3), f"test_{name}": rng.randint(6, size=2)}
    return {
        "digits3": index,
        "hoda_digits": {"image": rng.randint(256, size=(6, 28, 28)).astype(np.uint8), "label": np.zeros(6)},
        "kannada_digits": {"image": rng.randint(256, size=(6, 28, 28)).astype(np.uint8)},
        "fsdd_mfcc": {"mfcc_fixed": rng.normal(size=(6, 20, 13)).astype(np.float32)},
    }


@pytest.fixture
def folder(arrays, tmp_path):
    for name, contents in arrays.items():
        np.savez(tmp_path / f"{name}.npz", **contents)
    return tmp_path


def position(arrays, name, row):
    index = arrays["digits3"]
    return np.concatenate([index[f"train_{name}"], index[f"test_{name}"]])[row]


@pytest.mark.parametrize("new_speaker", [False, True])
def test_rows_belong_together_as_the_index_says(arrays, folder, new_speaker):
    digits = load_digits3(folder, new_speaker=new_speaker)
    assert digits.data.shape == (5, 2 * 784 + 260)
    assert (digits.data.dtypes == np.float32).all()
    for row in range(5):
        for modality, name in (("farsi", "hoda"), ("kannada", "kannada")):
            image = arrays[f"{name}_digits"]["image"][position(arrays, name, row)]
            np.testing.assert_allclose(digits.data[modality].iloc[row], image.ravel() / 255, rtol=1e-6)
        speech = position(arrays, "fsdd_spk" if new_speaker else "fsdd", row)
        np.testing.assert_array_equal(
            digits.data["speech"].iloc[row], arrays["fsdd_mfcc"]["mfcc_fixed"][speech].ravel()
        )
    np.testing.assert_array_equal(digits.target, [3, 0, 3, 0, 7])
    assert digits.target.dtype == np.int64
    np.testing.assert_array_equal(digits.target_names, [0, 3, 7])
    np.testing.assert_array_equal(digits.train_idx, [0, 1, 2])
    np.testing.assert_array_equal(digits.test_idx, [3, 4])
    assert "Hoda" in digits.DESCR


def test_columns_name_places(arrays, folder):
    data = load_digits3(folder).data
    assert list(data.columns.unique("modality")) == ["farsi", "kannada", "speech"]
    image = arrays["hoda_digits"]["image"][position(arrays, "hoda", 4)]
    assert data["farsi", "r3c27"].iloc[4] == pytest.approx(image[3, 27] / 255)
    frames = arrays["fsdd_mfcc"]["mfcc_fixed"][position(arrays, "fsdd", 1)]
    assert data["speech", "t19c12"].iloc[1] == frames[19, 12]
    assert data["speech", "t0c1"].iloc[1] == frames[0, 1]


def test_averages(arrays, folder):
    data = load_digits3(folder, image_size=7, n_frames=4).data
    assert data.shape == (5, 2 * 49 + 52)
    image = arrays["kannada_digits"]["image"][position(arrays, "kannada", 2)]
    assert data["kannada", "r2c6"].iloc[2] == pytest.approx(image[8:12, 24:28].mean() / 255)
    frames = arrays["fsdd_mfcc"]["mfcc_fixed"][position(arrays, "fsdd", 3)]
    assert data["speech", "t1c4"].iloc[3] == pytest.approx(frames[5:10, 4].mean(), rel=1e-5)
    assert load_digits3(folder, image_size=1, n_frames=1).data.shape == (5, 2 + 13)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 8}, r"image_size must be a divisor of 28, one of \[1, 2, 4, 7, 14, 28\]; got 8"),
        ({"n_frames": 3}, r"n_frames must be a divisor of 20, one of \[1, 2, 4, 5, 10, 20\]; got 3"),
        ({"image_size": 56}, "divisor of 28"),
        ({"n_frames": 0}, "n_frames == 0, must be >= 1"),
    ],
)
def test_sizes_must_divide(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        load_digits3(folder, **arguments)


def test_no_file(folder):
    (folder / "fsdd_mfcc.npz").unlink()
    message = (
        r"no file 'fsdd_mfcc.npz' in the folder '.*'; give .* that holds 'digits3.npz', .* load_digit_views"
    )
    with pytest.raises(FileNotFoundError, match=message):
        load_digits3(folder)
    with pytest.raises(FileNotFoundError, match=r"no file 'digits3.npz' in the folder"):
        load_digits3(folder / "nowhere")


def test_missing_array(arrays, folder):
    del arrays["digits3"]["test_fsdd"]
    np.savez(folder / "digits3.npz", **arrays["digits3"])
    with pytest.raises(ValueError, match=r"digits3.npz' lacks the arrays \['test_fsdd'\]"):
        load_digits3(folder)
    load_digits3(folder, new_speaker=True)  # which does not need it


def test_no_archive(folder):
    (folder / "hoda_digits.npz").write_text("nothing")
    with pytest.raises(ValueError, match=r"hoda_digits.npz' is no archive of arrays"):
        load_digits3(folder)


def test_real_digits():
    path = os.environ.get("SKMM_DATA")
    if not path or not (Path(path) / "digits3.npz").is_file():
        pytest.skip("needs digits3.npz and its images and recordings in the folder that SKMM_DATA names")
    digits = load_digits3(path, image_size=7, n_frames=4)
    assert digits.data.shape == (7000, 150)
    for rows, count in ((digits.train_idx, 600), (digits.test_idx, 100)):
        np.testing.assert_array_equal(np.bincount(digits.target[rows]), [count] * 10)
    assert digits.data[["farsi", "kannada"]].to_numpy().min() == 0
    assert digits.data[["farsi", "kannada"]].to_numpy().max() <= 1
    # images of one digit are alike, in either script, and recordings too
    for modality in ("farsi", "kannada", "speech"):
        X = digits.data[modality].to_numpy()
        X = (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-3)
        means = np.stack(
            [X[digits.train_idx][digits.target[digits.train_idx] == k].mean(0) for k in range(10)]
        )
        nearest = np.square(X[digits.test_idx, None] - means).sum(-1).argmin(1)
        assert np.mean(nearest == digits.target[digits.test_idx]) > 0.6
