"""Datasets into files: netCDF and zarr, never half written, never over the input.

An output appears under its name only when it is whole: it is written inside a working folder
beside it (:mod:`xdiffimpute.ledger`) and renamed. Whatever storage settings of the input still
make sense for the output are kept; those that do not (chunks larger than a dimension, chunks that
the dask blocks straddle, codecs of another format) are rebuilt.
"""

from __future__ import annotations

import errno
import logging
import shlex
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from .exceptions import DataError, ImputeError, OutputExistsError, StorageError
from .folders import check_writable
from .ledger import Ledger, sync
from .memory import readable
from .sources import sources_of, zarr_format

__all__ = [
    "check_output",
    "for_zarr",
    "format_like",
    "is_full",
    "quiet_metadata",
    "space_said",
    "write_store",
]

log = logging.getLogger(__name__)

_PACKING_KEYS = ("dtype", "scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned")
_CF_KEYS = (*_PACKING_KEYS, "units", "calendar", "coordinates", "grid_mapping", "bounds")
_CODEC_KEYS = ("compressors", "filters", "serializer")

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LITTLE = 64 * 2**20  # free, when a file could not be written for a reason unsaid


def check_output(out: str, location: str | None, *, overwrite: bool) -> None:
    """Refuse an output that cannot or should not be written, before any work is done.

    Parameters
    ----------
    out : str
        Path of the output, ending in ``.nc`` or ``.zarr``.
    location : str or None
        Where the input comes from, if from files.
    overwrite : bool

    Raises
    ------
    OutputExistsError
        If ``out`` exists and overwriting was not asked for, or if it is the input.
    DataError
        If its folder does not exist or its ending is neither ``.nc`` nor ``.zarr``.
    StorageError
        If nothing can be written to its folder.
    """
    path = Path(out)
    if "://" in out or path.suffix not in (".nc", ".zarr"):
        raise DataError(f"cannot write {out!r}; give a local path that ends in .nc or .zarr")
    if not path.absolute().parent.is_dir():
        made = shlex.join(["mkdir", "-p", str(path.parent)])
        raise DataError(f"the folder of {out!r} does not exist; make it with: {made}")
    check_writable(path.absolute().parent, "write the output to another one")
    target = path.resolve()
    for source in () if location is None else sources_of(location):
        known = Path(source).resolve()
        if target == known or known in target.parents or target in known.parents:
            raise OutputExistsError(
                f"the output {out!r} is the input, or one contains the other; "
                "give the output a path of its own"
            )
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{out!r} exists already; give another path, or allow it with --overwrite (in Python: "
            "overwrite=True)"
        )


def write_store(ds: xr.Dataset, out: str, *, like: str | None = None) -> None:
    """Write a dataset, computing it, and give it its name once it is whole.

    Parameters
    ----------
    ds : Dataset
    out : str
        Path ending in ``.nc`` or ``.zarr``; replaced if it exists.
    like : str, optional
        Where the input came from, if from a store; a zarr store passes its format and codecs on.

    Raises
    ------
    OutputExistsError
        If another process is writing the same output.
    StorageError
        If the disk is full.

    Examples
    --------
    >>> import tempfile, xdiffimpute as xdi
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_store(xdi.example(), folder + "/sst.zarr")
    ...     xr.open_zarr(folder + "/sst.zarr")["sst"].shape
    (20, 12, 16)
    """
    ledger = Ledger(Path(out))
    with ledger.held():
        ledger.clear()
        try:
            with space_said(ledger.path):  # looks at the disk before the folder is removed
                _write(ds, ledger.unfinished, like)
                ledger.finish()
        finally:
            shutil.rmtree(ledger.folder, ignore_errors=True)


def _write(ds: xr.Dataset, path: Path, like: str | None) -> None:
    if path.suffix == ".nc":
        _for_netcdf(ds).to_netcdf(path, engine="netcdf4")
        sync([path])
        return
    source_format = format_like(like)
    ready = for_zarr(ds, keep_codecs=source_format is not None)
    with quiet_metadata():
        ready.to_zarr(path, mode="w", zarr_format=source_format or 3, consolidated=True)


def format_like(like: str | None) -> Literal[2, 3] | None:
    """Format of the zarr store that an input came from; None if it came from elsewhere."""
    return None if like is None else zarr_format(sources_of(like)[0])


@contextmanager
def quiet_metadata() -> Iterator[None]:
    """Without zarr's note that format 3 has yet to adopt consolidated metadata."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")
        yield


@contextmanager
def space_said(path: Path, kept: str = "nothing is left of it") -> Iterator[None]:
    """Turn the many errors of a full disk into one that says so.

    Parameters
    ----------
    path : Path
        Of the output.
    kept : str
        What becomes of what was written.

    Raises
    ------
    StorageError
        If the block fails because there is no room.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, ImputeError) or not is_full(error, path.parent):
            raise
        free = shutil.disk_usage(path.parent).free
        raise StorageError(
            f"the disk is full: {str(path)!r} could not be written whole, and {kept}; "
            f"{readable(free)} are free in {str(path.parent)!r}. Free some space and type the "
            "same again, or write to another disk"
        ) from error


def is_full(error: BaseException | None, folder: Path) -> bool:
    """Whether an error, or one that it came from, is that of a full disk.

    Parameters
    ----------
    error : exception
    folder : Path
        That was written to.

    Returns
    -------
    bool
    """
    hidden = isinstance(error, OSError | RuntimeError)  # HDF5 does not say what went wrong
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return True
        error = error.__cause__ or error.__context__
    return hidden and shutil.disk_usage(folder).free < LITTLE


def _for_netcdf(ds: xr.Dataset) -> xr.Dataset:
    ds = ds.copy()
    bounds = {v.attrs.get("bounds", v.encoding.get("bounds")) for v in ds.variables.values()}
    for name, variable in ds.variables.items():
        _tidy(str(name), variable.encoding)
        if variable.dtype.kind == "f" and (name in ds.indexes or name in bounds):
            variable.encoding.setdefault("_FillValue", None)
    return ds


def for_zarr(
    ds: xr.Dataset, *, keep_codecs: bool, most: Mapping[Any, int] | None = None
) -> xr.Dataset:
    """A dataset with the encoding, and in the blocks, in which it can be written as zarr.

    Parameters
    ----------
    ds : Dataset
    keep_codecs : bool
        Whether the chunks and codecs of its encoding are those of a zarr store.
    most : mapping of dim to int, optional
        Longest chunks along dims; longer ones of the input are not kept.

    Returns
    -------
    Dataset
    """
    keep = _CF_KEYS + (_CODEC_KEYS if keep_codecs else ())
    encodings, aligned = {}, {}
    for name, variable in ds.variables.items():
        before = variable.encoding
        encodings[name] = {key: before[key] for key in keep if key in before}
        _tidy(str(name), encodings[name])
        if variable.chunks is not None:
            layout = _layout(before if keep_codecs else {}, variable, most or {})
            encodings[name] |= layout
            unit = layout.get("shards", layout["chunks"])
            aligned[name] = variable.chunk(_aligned(variable, unit))
    ds = ds.assign(aligned)
    for name, encoding in encodings.items():
        ds[name].variable.encoding = encoding
    return ds


def _layout(
    encoding: Mapping[str, Any], variable: xr.Variable, most: Mapping[Any, int]
) -> dict[str, tuple[int, ...]]:
    """Chunks (and shards) for a zarr array: the input's where they fit, else the blocks'."""
    chunks, shards = encoding.get("chunks"), encoding.get("shards")
    longest = [min(n, most.get(d, n)) for d, n in variable.sizes.items()]
    if chunks is not None and len(chunks) == variable.ndim:
        fits = all(c <= n for c, n in zip(shards or chunks, longest, strict=True))
        if fits:
            kept = {"chunks": tuple(chunks)}
            return kept | ({"shards": tuple(shards)} if shards else {})
    blocks = (max(blocks) for blocks in variable.chunks or ())
    return {"chunks": tuple(min(b, n) for b, n in zip(blocks, longest, strict=True))}


def _aligned(variable: xr.Variable, unit: tuple[int, ...]) -> dict[Any, int]:
    """Dask chunks of about the present size that no unit of storage straddles."""
    blocks = [max(b) for b in variable.chunks or ()]
    return {
        dim: max(1, round(block / size)) * size
        for dim, block, size in zip(variable.dims, blocks, unit, strict=True)
    }


def _tidy(name: str, encoding: dict[str, Any]) -> None:
    """Settings that can be read but not written: foreign byte order, two fill values."""
    if "dtype" in encoding and not isinstance(encoding["dtype"], type):
        encoding["dtype"] = np.dtype(encoding["dtype"]).newbyteorder("=")
    fill, missing = encoding.get("_FillValue"), encoding.get("missing_value")
    if fill is not None and missing is not None and not np.array_equal(fill, missing, True):
        log.info("%s: missing_value %s is written as _FillValue %s", name, missing, fill)
        del encoding["missing_value"]
