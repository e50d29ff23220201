"""Folders that results go to."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from .exceptions import OutputExistsError, StorageError

__all__ = ["check_writable", "prepare_folder"]


def check_writable(folder: Path, advice: str) -> None:
    """Refuse a folder that nothing can be written to, before any work is done.

    Parameters
    ----------
    folder : Path
        One that exists.
    advice : str
        What to do instead.

    Raises
    ------
    StorageError
        With the reason that the system gives.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check_writable(Path(folder), "give another one")
    """
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise StorageError(
            f"cannot write to the folder {str(folder)!r}: {error.strerror}; {advice}"
        ) from error


def prepare_folder(folder: Path, files: Iterable[str], *, overwrite: bool, another: str) -> None:
    """Make a folder for results, without those of an earlier run that are to stay.

    Parameters
    ----------
    folder : Path
    files : iterable of str
        Names of what will be written into it.
    overwrite : bool
        Whether these may be replaced.
    another : str
        How to name another folder.

    Raises
    ------
    OutputExistsError
        If one of the files is there and is not to be replaced.
    StorageError
        If the folder cannot be made or written to.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as above:
    ...     prepare_folder(Path(above, "results"), ["a.nc"], overwrite=False, another="choose")
    ...     Path(above, "results").is_dir()
    True
    """
    there = [name for name in files if (folder / name).exists()]
    if there and not overwrite:
        raise OutputExistsError(
            f"{str(folder)!r} holds results already ({', '.join(there)}); {another}, or replace "
            "them with --overwrite (in Python: overwrite=True)"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot write to the folder {str(folder)!r}: {error.strerror}; {another}"
        ) from error
    check_writable(folder, another)
