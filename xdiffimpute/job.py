"""What makes the values of a fill, in a form that can be compared with that of another day."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .sources import sources_of
from .tiling import Stretches

__all__ = ["digest", "job_of"]


def job_of(
    ds: xr.Dataset,
    stretches: Stretches,
    *,
    imputer: str,
    options: dict[str, Any],
    location: str | None,
    version: str,
) -> dict[str, Any]:
    """What the output of a fill depends on.

    Of the values, covariates among them, three frames are looked at; of files, how many there
    are, how large, and when they were changed.

    Parameters
    ----------
    ds : Dataset
        The input.
    stretches : Stretches
    imputer : str
        Its checksum.
    options : dict
        Of the fill, as JSON can hold them.
    location : str or None
        Where the input comes from, if from files.
    version : str
        Of this package.

    Returns
    -------
    dict
    """
    source = str(ds.encoding.get("source") or "")
    place = location or (source if "://" in source else None)
    return {
        "input": {
            "variables": {str(n): f"{v.dtype} {dict(v.sizes)}" for n, v in ds.variables.items()},
            "coordinates": digest(
                ds[n].values for n in sorted(ds.coords, key=str) if ds[n].chunks is None
            ),
            "values": _look(ds, stretches),
            "files": None if place is None else _files(place),
        },
        "imputer": imputer,
        "options": options,
        "version": version,
    }


def digest(arrays: Iterable[Any]) -> str:
    """A short checksum of arrays.

    Parameters
    ----------
    arrays : iterable of array

    Returns
    -------
    str
    """
    found = hashlib.sha256()
    for array in map(np.asarray, arrays):
        plain = array.astype(str) if array.dtype.kind == "O" else array
        found.update(f"{plain.dtype} {plain.shape}".encode())
        found.update(np.ascontiguousarray(plain).tobytes())
    return found.hexdigest()[:16]


def _look(ds: xr.Dataset, stretches: Stretches) -> str:
    """A checksum of the first, the middle and the last frame, as far as they can be read."""
    frames = []
    for name in stretches.read:
        field = ds[name]
        if stretches.along in field.dims:
            last = field.sizes[stretches.along] - 1
            field = field.isel({stretches.along: sorted({0, last // 2, last})})
        try:
            frames.append(field.values)
        except Exception:  # damage is found, and named, later
            frames.append(np.zeros(0))
    return digest(frames)


def _files(location: str) -> str:
    """How many files, how large, and when they were changed."""
    if "://" in location:
        return location
    count, size, latest = 0, 0, 0.0
    for source in map(Path, sources_of(location)):
        for path in source.rglob("*") if source.is_dir() else (source,):
            if path.is_file():
                status = path.stat()
                count, size = count + 1, size + status.st_size
                latest = max(latest, status.st_mtime)
    when = dt.datetime.fromtimestamp(latest, dt.UTC).isoformat()
    return f"{count} files of {size} bytes, changed {when}"
