"""What makes the values of a fill, in a form that can be compared with that of another day."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ._typing import AnyArray, IntArray
from .sources import sources_of
from .tiling import Stretches, evenly

__all__ = ["digest", "job_of"]

SAMPLED = 64
BYTES_AT_ONCE = 64 * 2**20


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

    Of data in memory that are from no file all values are looked at, covariates among them; of
    others 64 frames at even distances, and how many files there are, how large, and when they were
    changed.

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
            "values": digest(
                chain.from_iterable(
                    _frames(ds[name], stretches.along, whole=place is None)
                    for name in stretches.read
                )
            ),
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


def _frames(field: xr.DataArray, along: str | None, *, whole: bool) -> Iterator[AnyArray]:
    """The values of all frames if these are in memory, else of some, as far as they can be read."""
    pieces = [field]
    if along in field.dims:
        count = field.sizes[along]
        taken: IntArray = np.arange(count)
        if field.chunks is not None or not whole:
            taken = evenly(count, SAMPLED)
        size = max(1, BYTES_AT_ONCE * count // max(1, field.nbytes))
        pieces = [field.isel({along: taken[k : k + size]}) for k in range(0, len(taken), size)]
    for piece in pieces:
        try:
            yield piece.values
        except Exception:  # damage is found, and named, later
            yield np.zeros(0)


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
