"""What is written already of an output that is not finished.

Beside ``OUT`` stands a hidden working folder, ``.OUT.partial``, with the unfinished output, a
manifest that says what is being written, and an empty file for each region that is whole. A
region's file is made after its data have reached the disk, so a region that was cut short is
written again. ``OUT`` appears, by renaming, when all regions are there.

A lock on a file beside it, which the system releases when its holder dies, keeps a second writer
out.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from .exceptions import OutputExistsError

__all__ = ["Ledger", "Region", "differences", "sync"]

Region = tuple[int, int]


class Ledger:
    """The working folder of an output.

    Use it inside :meth:`held`, which keeps other writers out.

    Parameters
    ----------
    path : Path
        Of the output.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.folder = self.path.parent / f".{self.path.name}.partial"
        self.lock = self.path.parent / f".{self.path.name}.lock"
        self.unfinished = self.folder / self.path.name
        self.manifest = self.folder / "manifest.json"
        self.marks = self.folder / "done"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other writers out for the time of a block.

        Raises
        ------
        OutputExistsError
            If another process, or another call, is writing this output.
        """
        file = _locked(self.lock)
        if file is None:
            raise OutputExistsError(
                f"{str(self.path)!r} is being written by another fill; wait for that one, or give "
                "another path"
            )
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                self.lock.unlink(missing_ok=True)
            file.close()

    def read(self) -> dict[str, Any] | None:
        """The manifest; None if nothing usable was begun."""
        try:
            found = json.loads(self.manifest.read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and self.unfinished.exists() else None

    def clear(self) -> None:
        """Remove what was begun, and make an empty folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.marks.mkdir(parents=True)

    def begin(self, manifest: dict[str, Any]) -> None:
        """Write the manifest: the regions can follow."""
        new = self.manifest.with_suffix(".new")
        new.write_text(json.dumps(manifest, indent=2))
        sync([new])
        new.replace(self.manifest)
        sync([self.folder])

    def done(self) -> set[Region]:
        """Regions that are whole."""
        found = (mark.name.partition("-") for mark in self.marks.glob("*-*"))
        return {(int(start), int(stop)) for start, _, stop in found}

    def mark(self, region: Region, written: Iterable[Path]) -> None:
        """Note that a region is whole, after its files have reached the disk."""
        files = [path for path in written if path.exists()]
        sync([*files, *{path.parent for path in files}])
        (self.marks / f"{region[0]}-{region[1]}").touch()
        sync([self.marks])

    def finish(self) -> None:
        """Give the output its name, in place of what had it."""
        old = self.folder / "replaced"
        shutil.rmtree(old, ignore_errors=True)
        if self.path.is_dir():
            self.path.rename(old)
        try:
            self.unfinished.replace(self.path)
        except OSError:
            if old.exists():
                old.rename(self.path)
            raise
        sync([self.path.parent])
        shutil.rmtree(self.folder, ignore_errors=True)


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What two jobs do not have in common, a line each.

    Parameters
    ----------
    before, now : dict
        As JSON can hold them, possibly nested.

    Returns
    -------
    list of str

    Examples
    --------
    >>> differences({"options": {"members": None}}, {"options": {"members": 20}})
    ['options: members was None, now 20']
    """
    found = []
    for key in dict.fromkeys((*before, *now)):
        one, other = before.get(key), now.get(key)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            found += [f"{key}: {line}" for line in differences(one, other)]
        else:
            found.append(f"{key} was {_short(one, other)}, now {_short(other, one)}")
    return found


def _short(said: Any, other: Any) -> Any:
    """The name at the beginning, where the names differ already: the settings follow from it."""
    if isinstance(said, str) and isinstance(other, str):
        name, rest = said.partition(" ")[0], other.partition(" ")[0]
        return said if name == rest else name
    return said


def sync(paths: Iterable[Path]) -> None:
    """Wait until files or folders have reached the disk.

    Raises
    ------
    OSError
        If they cannot: what was written is lost. Systems that know no such thing are passed over.
    """
    for path in paths:
        try:
            number = os.open(path, os.O_RDONLY)
        except PermissionError:  # a folder, on Windows
            continue
        try:
            os.fsync(number)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):
                raise
        finally:
            os.close(number)


def _locked(path: Path) -> BinaryIO | None:
    """The file, locked until it is closed; None if somebody else has it."""
    while True:
        file = path.open("ab")
        if not _lock(file):
            file.close()
            return None
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # its holder removed it in between: another one counts now


def _lock(file: BinaryIO) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.ENOLCK, errno.ENOTSUP)  # of a file system without locks
    return True
