"""Folders that results go to."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .exceptions import OutputExistsError, StorageError

__all__ = ["check_writable", "prepare_folder", "remove_results", "write_text"]


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
        raise _refused(f"to the folder {str(folder)!r}", error, advice) from error


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
        raise _refused(f"to the folder {str(folder)!r}", error, another) from error
    check_writable(folder, another)


def remove_results(folder: Path, files: Iterable[str]) -> None:
    """Remove the results of an earlier run, the last one first.

    Parameters
    ----------
    folder : Path
    files : iterable of str
        Names of files and folders in it, in the order in which they are written.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "a.txt").touch()
    ...     remove_results(Path(folder), ["a.txt", "b.zarr"])
    ...     list(Path(folder).iterdir())
    []
    """
    for path in reversed([folder / name for name in files]):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str, advice: str) -> None:
    """Write a file as a whole: it has its name when it is complete.

    Parameters
    ----------
    path : Path
        In a folder that exists. A file that is there is replaced.
    text : str
    advice : str
        What to do where it cannot be written.

    Raises
    ------
    StorageError
        With the reason that the system gives.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder, "a.txt"), "whole", "give another one")
    ...     [file.name for file in Path(folder).iterdir()]
    ['a.txt']
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise _refused(repr(str(path)), error, advice) from error


def _refused(what: str, error: OSError, advice: str) -> StorageError:
    return StorageError(f"cannot write {what}: {error.strerror or error}; {advice}")
