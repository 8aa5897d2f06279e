"""Spoken vowels: sequences of unequal lengths."""

from __future__ import annotations

import os

import numpy as np
from sklearn.utils import Bunch

from skmm.datasets.archives import read_archive

_DESCR = """\
Japanese vowels: nine men say /ae/, 640 utterances of 7 to 29 frames, each frame described by twelve
cepstrum coefficients of a linear prediction. The target is the speaker.

Origin: Kudo, Toyama and Shimbo (1999), https://archive.ics.uci.edu/dataset/128/japanese+vowels, with the
official split: 270 utterances for training, 370 for testing.
Licence: CC BY 4.0 is what the UCI repository gives by default; not confirmed for this data set.
The two modalities are no part of the origin: they are the lower and the upper six coefficients.
"""


def load_japanese_vowels(path: str | os.PathLike[str]) -> Bunch:
    """Load utterances of Japanese vowels: sequences of unequal lengths, cut into two modalities.

    The recordings are those of [1]_.

    Nothing is downloaded, and the data do not come with the library: see the notes for the file.

    Parameters
    ----------
    path : str or path-like
        The folder that holds ``japanese_vowels.npz``, or the file itself.

    Returns
    -------
    Bunch
        With attributes

        data : list of 640 ndarrays of shape (n_steps, 12)
            Cepstrum coefficients of an utterance of 7 to 29 steps.
        modalities : dict
            The features of "low", the first six coefficients, which tell the coarse shape of the spectrum,
            and of "high", the last six; to be given as ``modalities``.
        target : int ndarray of shape (640,)
            The speaker, from 0 to 8.
        target_names : ndarray of shape (9,)
            All the speakers.
        train_idx, test_idx : int ndarrays of shape (270,) and (370,)
            The official split: positions in ``data``.
        DESCR : str
            Origin and licence, as far as known.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no archive, or lacks an array.

    See Also
    --------
    make_motions : Sequences of two modalities without a file.

    Notes
    -----
    The file is a NumPy archive (:func:`numpy.savez`) of

    - ``lpc_seq``, all frames of all utterances, one after the other, of shape (9961, 12);
    - ``lengths``, the number of frames of each utterance, and ``label``, its speaker;
    - ``train_idx`` and ``test_idx``.

    References
    ----------
    .. [1] Kudo, Toyama and Shimbo (1999), "Multidimensional Curve Classification Using Passing-Through
       Regions", Pattern Recognition Letters 20.

    Examples
    --------
    >>> from skmm.datasets import load_japanese_vowels
    >>> vowels = load_japanese_vowels("data")  # doctest: +SKIP
    >>> train = [vowels.data[i] for i in vowels.train_idx]  # doctest: +SKIP
    """
    arrays = read_archive(
        path,
        "japanese_vowels.npz",
        ["lpc_seq", "lengths", "label", "train_idx", "test_idx"],
        instead="make_motions draws sequences of two modalities without a file.",
    )
    frames, ends = arrays["lpc_seq"].astype(np.float64), np.cumsum(arrays["lengths"], dtype=np.int64)
    if ends[-1] != len(frames):
        raise ValueError(
            f"The lengths of japanese_vowels.npz add up to {ends[-1]}, but lpc_seq has {len(frames)} frames; "
            "give one length per utterance."
        )
    target = arrays["label"].astype(np.int64)
    return Bunch(
        data=[sequence.copy() for sequence in np.split(frames, ends[:-1])],
        modalities={"low": slice(0, 6), "high": slice(6, 12)},
        target=target,
        target_names=np.unique(target),
        train_idx=arrays["train_idx"].astype(np.int64),
        test_idx=arrays["test_idx"].astype(np.int64),
        DESCR=_DESCR,
    )
