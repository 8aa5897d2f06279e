"""Archives of arrays (.npz) that the user has on disk: nothing is downloaded."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np


def read_archive(
    path: str | os.PathLike[str], name: str, arrays: Sequence[str], *, instead: str
) -> dict[str, np.ndarray]:
    """Read the named arrays of the archive ``name``.

    Parameters
    ----------
    path : str or path-like
        The folder that holds the archive, or the archive itself, whatever its name.
    name : str
        Name of the file in that folder.
    arrays : sequence of str
        What is read; other arrays are ignored.
    instead : str
        What to do for who has no such file, to end the message with.

    Returns
    -------
    dict of ndarray

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no archive, or lacks an array.
    """
    path = Path(path)
    file = path if path.is_file() or (path.suffix == ".npz" and not path.is_dir()) else path / name
    if not file.is_file():
        raise FileNotFoundError(
            f"There is no file {file.name!r} in the folder {str(file.parent)!r}; give as path the folder "
            f"that holds {name!r}, or the file itself. {instead}"
        )
    return _read(file, arrays)


def read_folder(
    path: str | os.PathLike[str], archives: Mapping[str, Sequence[str]], *, instead: str
) -> dict[str, dict[str, np.ndarray]]:
    """Read arrays of several archives that lie in one folder.

    Parameters
    ----------
    path : str or path-like
        The folder.
    archives : dict
        Name of each file -> the arrays to read of it.
    instead : str
        As of :func:`read_archive`.

    Returns
    -------
    dict of dict of ndarray
        By file and array.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If one is no archive, or lacks an array.
    """
    folder = Path(path)
    missing = [name for name in archives if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"There is no file {missing[0]!r} in the folder {str(folder)!r}; give as path the folder that "
            f"holds {', '.join(map(repr, archives))}. {instead}"
        )
    return {name: _read(folder / name, arrays) for name, arrays in archives.items()}


def _read(file: Path, arrays: Sequence[str]) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(file):
        raise ValueError(f"{str(file)!r} is no archive of arrays; write it with numpy.savez.")
    with np.load(file, allow_pickle=False) as archive:
        missing = [array for array in arrays if array not in archive.files]
        if missing:
            raise ValueError(f"{str(file)!r} lacks the arrays {missing}; it holds {archive.files}.")
        return {array: archive[array] for array in arrays}
