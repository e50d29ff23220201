"""One file for a fitted imputer: safetensors with JSON in its header, nothing that can run code.

The file holds named arrays and a JSON document. It is written under a temporary name and
renamed, so a file with the final name is always whole.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ._typing import AnyArray
from .exceptions import CheckpointError

__all__ = ["FORMAT", "VERSION", "read", "write"]

FORMAT = "xdiffimpute-imputer"
VERSION = 3


def write(
    path: str | os.PathLike[str], arrays: dict[str, AnyArray], config: dict[str, Any]
) -> None:
    """Write an imputer's arrays and configuration.

    Parameters
    ----------
    path : path
        Replaced if it exists: whoever asks has been warned.
    arrays : dict of str to array
    config : dict
        Anything JSON can hold.

    Raises
    ------
    CheckpointError
        If the file cannot be written; an older file of that name is left as it was.
    """
    path = Path(path)
    header = {"format": FORMAT, "version": str(VERSION), "config": json.dumps(config)}
    tensors = {name: np.ascontiguousarray(_plain(array)) for name, array in arrays.items()}
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
    except (OSError, SafetensorError) as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        why = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"cannot write the imputer to {str(path)!r}: {why}; "
            "give a path in an existing folder with free space"
        ) from error


def _umask() -> int:
    """The rights that new files of this user lack; a temporary file has none for others."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _plain(array: AnyArray) -> AnyArray:
    return array.astype(np.uint8) if array.dtype == np.bool_ else array


def read(path: str | os.PathLike[str]) -> tuple[dict[str, AnyArray], dict[str, Any]]:
    """Read what :func:`write` wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    arrays : dict of str to array
    config : dict

    Raises
    ------
    CheckpointError
        If there is no such file, or it is truncated, of another version or not one of ours.
    """
    name = str(path)
    if not Path(path).is_file():
        raise CheckpointError(f"no imputer file at {name!r}; imputer.save({name!r}) writes one")
    try:
        with safe_open(name, framework="numpy") as store:
            header = store.metadata() or {}
            if header.get("format") != FORMAT:
                raise CheckpointError(
                    f"{name!r} is a safetensors file but not an imputer of xdiffimpute; "
                    "give a file written by imputer.save(...)"
                )
            version = int(header["version"])
            if version > VERSION:
                raise CheckpointError(
                    f"{name!r} has format version {version}, this xdiffimpute reads up to "
                    f"{VERSION}; upgrade with: pip install -U xdiffimpute"
                )
            if version < VERSION:
                raise CheckpointError(
                    f"{name!r} has format version {version}, written before a release; this "
                    f"xdiffimpute reads {VERSION}: fit again and save with imputer.save(...)"
                )
            arrays = {key: store.get_tensor(key) for key in store.keys()}  # noqa: SIM118
            return arrays, json.loads(header["config"])
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{name!r} is truncated or not an imputer file ({error}); "
            "copy it again, or save it again with imputer.save(...)"
        ) from error
