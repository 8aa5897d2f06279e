"""Digits in three modalities: two handwritings and a spoken one."""

from __future__ import annotations

import os
from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, check_scalar

from skmm.datasets.archives import read_folder

_DESCR = """\
Digits in three modalities: an image of a Farsi digit, an image of a Kannada digit, and the cepstrum of a
spoken English one, 7000 triplets of the same digit. Only the digit is shared: writers and speakers are put
together at random, as on N. Mishra's poster "Generative Multimodal Learning for Reconstructing Missing
Modality".

Origin: Hoda Farsi digits (http://farsiocr.ir/), for research and non-commercial use only; Kannada-MNIST
(Prabhu 2019, arXiv:1908.01242), whose repository states no licence; Free Spoken Digit Dataset
(https://github.com/Jakobovski/free-spoken-digit-dataset), CC BY-SA 4.0. Training rows are from the origins'
training parts, test rows from their test parts.
"""

_SIDE, _N_FRAMES = 28, 20  # as the archives hold them


def load_digits3(
    path: str | os.PathLike[str],
    *,
    image_size: int = _SIDE,
    n_frames: int = _N_FRAMES,
    new_speaker: bool = False,
) -> Bunch:
    """Load digits in three modalities: Farsi and Kannada handwriting, and spoken English.

    Nothing is downloaded, and the data do not come with the library: see the notes for the files.

    Parameters
    ----------
    path : str or path-like
        The folder that holds the four archives.
    image_size : int, default=28
        Pixels along a side of the images; a divisor of 28. Smaller ones are averaged down.
    n_frames : int, default=20
        Frames of a recording; a divisor of 20. Fewer are averages of successive ones.
    new_speaker : bool, default=False
        Whether the test rows' recordings are of a speaker of whom the training rows have none.

    Returns
    -------
    Bunch
        With attributes

        data : DataFrame of shape (7000, 1828)
            As float32, with columns ("farsi", "r0c0") to ("farsi", "r27c27"), ("kannada", "r0c0") to
            ("kannada", "r27c27"): ink from 0 to 1 by row and column of the image; and ("speech", "t0c0") to
            ("speech", "t19c12"): cepstrum coefficients by frame.
        target : int ndarray of shape (7000,)
            The digit.
        target_names : ndarray of shape (10,)
            All the digits.
        train_idx, test_idx : int ndarrays of shape (6000,) and (1000,)
            Positions in ``data``; 600 and 100 rows of each digit.
        DESCR : str
            Origin and licences, as far as known.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If a file is no archive, or lacks an array; if ``image_size`` or ``n_frames`` is no divisor.

    See Also
    --------
    load_digit_views : Images cut into modalities, without a file.

    Notes
    -----
    The files are NumPy archives (:func:`numpy.savez`):

    - ``digits3.npz``, for ``part`` "train" and "test": ``{part}_label``, the digit, and ``{part}_hoda``,
      ``{part}_kannada``, ``{part}_fsdd``, ``{part}_fsdd_spk``, which rows of the other files belong together;
    - ``hoda_digits.npz`` and ``kannada_digits.npz``, with ``image`` of shape (n, 28, 28), from 0 to 255;
    - ``fsdd_mfcc.npz``, with ``mfcc_fixed`` of shape (n, 20, 13).

    Each recording is in two or three training rows, or three or four test rows; images are in one.

    Examples
    --------
    >>> from skmm.datasets import load_digits3
    >>> digits = load_digits3("data", image_size=14)  # doctest: +SKIP
    >>> X_train = digits.data.iloc[digits.train_idx]  # doctest: +SKIP
    """
    for name, value, whole in (("image_size", image_size, _SIDE), ("n_frames", n_frames, _N_FRAMES)):
        check_scalar(value, name, Integral, min_val=1)
        if whole % value:
            divisors = [k for k in range(1, whole + 1) if whole % k == 0]
            raise ValueError(f"{name} must be a divisor of {whole}, one of {divisors}; got {value}.")
    speech = "fsdd_spk" if new_speaker else "fsdd"
    rows = [f"{part}_{name}" for part in ("train", "test") for name in ("label", "hoda", "kannada", speech)]
    archives = read_folder(
        path,
        {
            "digits3.npz": rows,
            "hoda_digits.npz": ["image"],
            "kannada_digits.npz": ["image"],
            "fsdd_mfcc.npz": ["mfcc_fixed"],
        },
        instead="load_digit_views cuts images of digits into modalities without a file.",
    )
    index = archives["digits3.npz"]

    def both_parts(name: str) -> np.ndarray:
        return np.concatenate([index[f"train_{name}"], index[f"test_{name}"]]).astype(np.int64)

    images = {
        modality: _averaged_images(archives[f"{name}_digits.npz"]["image"][both_parts(name)], image_size)
        for modality, name in (("farsi", "hoda"), ("kannada", "kannada"))
    }
    frames = archives["fsdd_mfcc.npz"]["mfcc_fixed"][both_parts(speech)]
    target = both_parts("label")
    n_train = len(index["train_label"])
    return Bunch(
        data=_side_by_side(images | {"speech": _averaged_frames(frames, n_frames)}),
        target=target,
        target_names=np.unique(target),
        train_idx=np.arange(n_train),
        test_idx=np.arange(n_train, len(target)),
        DESCR=_DESCR,
    )


def _averaged_images(images: np.ndarray, size: int) -> np.ndarray:
    """Mean ink of square blocks of pixels, from 0 to 1, (n, size, size)."""
    block = _SIDE // size
    return images.reshape(-1, size, block, size, block).mean(axis=(2, 4), dtype=np.float64) / 255


def _averaged_frames(frames: np.ndarray, n_frames: int) -> np.ndarray:
    """Means of successive frames, (n, n_frames, n_coefficients)."""
    return frames.reshape(len(frames), n_frames, _N_FRAMES // n_frames, -1).mean(axis=2, dtype=np.float64)


def _side_by_side(tables: dict[str, np.ndarray]) -> pd.DataFrame:
    """One frame of arrays (n, n_rows, n_columns); images have rows and columns, recordings times."""
    labels = []
    for modality, table in tables.items():
        first = "t" if modality == "speech" else "r"
        labels += [(modality, f"{first}{i}c{j}") for i, j in np.ndindex(*table.shape[1:])]
    return pd.DataFrame(
        np.concatenate(
            [table.reshape(len(table), -1) for table in tables.values()], axis=1, dtype=np.float32
        ),
        columns=pd.MultiIndex.from_tuples(labels, names=["modality", "feature"]),
    )
