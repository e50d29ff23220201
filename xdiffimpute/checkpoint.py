"""One file for an imputer or a training: safetensors with JSON in its header, no code to run.

The file holds named arrays and a JSON document. It is written under a temporary name and
renamed, so a file with the final name is always whole.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ._typing import AnyArray
from .exceptions import CheckpointError

__all__ = ["FORMAT", "IMPUTER", "VERSION", "Kind", "read", "write"]


@dataclass(frozen=True)
class Kind:
    """What a file holds.

    Parameters
    ----------
    format : str
        The word in its header.
    version : int
    noun : str
    remedy : str
        How to get such a file.
    """

    format: str
    version: int
    noun: str
    remedy: str

    @property
    def one(self) -> str:
        """The noun with its article."""
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"


IMPUTER = Kind("xdiffimpute-imputer", 9, "imputer", "save it again with imputer.save(...)")
FORMAT, VERSION = IMPUTER.format, IMPUTER.version


def write(
    path: str | os.PathLike[str],
    arrays: dict[str, AnyArray],
    config: dict[str, Any],
    kind: Kind = IMPUTER,
) -> None:
    """Write arrays and configuration.

    Parameters
    ----------
    path : path
        Replaced if it exists: whoever asks has been warned.
    arrays : dict of str to array
    config : dict
        Anything JSON can hold.
    kind : Kind

    Raises
    ------
    CheckpointError
        If the file cannot be written; an older file of that name is left as it was.
    """
    path = Path(path)
    header = {"format": kind.format, "version": str(kind.version), "config": json.dumps(config)}
    tensors = {name: np.asarray(_plain(array), order="C") for name, array in arrays.items()}
    temporary: str | None = None
    try:
        data = save(tensors, metadata=header)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as f:
            temporary = f.name
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        _settle(path.parent)
    except (OSError, SafetensorError) as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        why = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"cannot write the {kind.noun} to {str(path)!r}: {why}; "
            "give a path in an existing folder with free space"
        ) from error


def _settle(folder: Path) -> None:
    """Have a new name reach the disk, where folders can be asked to."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    """The rights that new files of this user lack; a temporary file has none for others."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _plain(array: AnyArray) -> AnyArray:
    return array.astype(np.uint8) if array.dtype == np.bool_ else array


def read(
    path: str | os.PathLike[str], kind: Kind = IMPUTER
) -> tuple[dict[str, AnyArray], dict[str, Any]]:
    """Read what :func:`write` wrote.

    Parameters
    ----------
    path : path
    kind : Kind

    Returns
    -------
    arrays : dict of str to array
    config : dict

    Raises
    ------
    CheckpointError
        If there is no such file, or it is truncated, of another version or not of this kind.
    """
    name = str(path)
    if Path(path).is_dir():
        raise CheckpointError(
            f"{name!r} is a folder, and {kind.one} is one file; a training in a folder of "
            f"checkpoints is finished by fit(checkpoint={name!r}, resume=True), and then "
            "imputer.save(...)"
        )
    if not Path(path).is_file():
        raise CheckpointError(
            f"no {kind.noun} file at {name!r}; give another path, or {kind.remedy}"
        )
    try:
        with safe_open(name, framework="numpy") as store:
            header = store.metadata() or {}
            if header.get("format") != kind.format:
                raise CheckpointError(
                    f"{name!r} is a safetensors file but not {kind.one} of xdiffimpute; "
                    f"give another file, or {kind.remedy}"
                )
            version = int(header["version"])
            if version > kind.version:
                raise CheckpointError(
                    f"{name!r} has format version {version}, this xdiffimpute reads up to "
                    f"{kind.version}; upgrade with: pip install -U xdiffimpute"
                )
            if version < kind.version:
                raise CheckpointError(
                    f"{name!r} has format version {version}, written before a release; this "
                    f"xdiffimpute reads {kind.version}: fit again and {kind.remedy}"
                )
            arrays = {key: store.get_tensor(key) for key in store.keys()}  # noqa: SIM118
            return arrays, json.loads(header["config"])
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{name!r} is truncated or not {kind.one} file ({error}); "
            f"copy it again, or {kind.remedy}"
        ) from error
