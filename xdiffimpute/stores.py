"""Datasets into files: netCDF and zarr, never half written, never over the input.

An output appears under its name only when it is whole: it is written inside a temporary
folder beside it and renamed. Whatever storage settings of the input still make sense for the
output are kept; those that do not (chunks larger than a dimension, chunks that the dask blocks
straddle, codecs of another format) are rebuilt.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .exceptions import DataError, OutputExistsError
from .sources import sources_of, zarr_format

__all__ = ["check_output", "write_store"]

log = logging.getLogger(__name__)

_PACKING_KEYS = ("dtype", "scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned")
_CF_KEYS = (*_PACKING_KEYS, "units", "calendar", "coordinates", "grid_mapping", "bounds")
_CODEC_KEYS = ("compressors", "filters", "serializer")


def check_output(out: str, location: str, *, overwrite: bool) -> None:
    """Refuse an output that cannot or should not be written, before any work is done.

    Parameters
    ----------
    out : str
        Path of the output, ending in ``.nc`` or ``.zarr``.
    location : str
        Where the input comes from.
    overwrite : bool

    Raises
    ------
    OutputExistsError
        If ``out`` exists and overwriting was not asked for, or if it is the input.
    DataError
        If its folder does not exist or its ending is neither ``.nc`` nor ``.zarr``.
    """
    path = Path(out)
    if "://" in out or path.suffix not in (".nc", ".zarr"):
        raise DataError(f"cannot write {out!r}; give a local path that ends in .nc or .zarr")
    if not path.absolute().parent.is_dir():
        raise DataError(
            f"the folder of {out!r} does not exist; make it with: mkdir -p {path.parent}"
        )
    target = path.resolve()
    for source in sources_of(location):
        known = Path(source).resolve()
        if target == known or known in target.parents or target in known.parents:
            raise OutputExistsError(
                f"the output {out!r} is the input, or one contains the other; "
                "give the output a path of its own"
            )
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{out!r} exists already; give another path, or allow it with --overwrite"
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

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_store(xdi.example(), folder + "/sst.zarr")
    ...     xr.open_zarr(folder + "/sst.zarr")["sst"].shape
    (20, 12, 16)
    """
    path = Path(out).absolute()
    with _replacing(path) as temporary:
        if path.suffix == ".nc":
            _for_netcdf(ds).to_netcdf(temporary, engine="netcdf4")
            return
        source_format = None if like is None else zarr_format(sources_of(like)[0])
        ready = _for_zarr(ds, keep_codecs=source_format is not None)
        with warnings.catch_warnings():
            # xarray asks for consolidated metadata; zarr notes that format 3 has yet to adopt it.
            warnings.filterwarnings("ignore", "Consolidated metadata")
            ready.to_zarr(temporary, mode="w", zarr_format=source_format or 3, consolidated=True)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of ``path`` if the block succeeds."""
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial"))
    try:
        new, old = folder / path.name, folder / "replaced"
        yield new
        if path.is_dir():
            path.rename(old)
        try:
            new.replace(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _for_netcdf(ds: xr.Dataset) -> xr.Dataset:
    ds = ds.copy()
    bounds = {v.attrs.get("bounds", v.encoding.get("bounds")) for v in ds.variables.values()}
    for name, variable in ds.variables.items():
        _tidy(str(name), variable.encoding)
        if variable.dtype.kind == "f" and (name in ds.indexes or name in bounds):
            variable.encoding.setdefault("_FillValue", None)
    return ds


def _for_zarr(ds: xr.Dataset, *, keep_codecs: bool) -> xr.Dataset:
    keep = _CF_KEYS + (_CODEC_KEYS if keep_codecs else ())
    encodings, aligned = {}, {}
    for name, variable in ds.variables.items():
        before = variable.encoding
        encodings[name] = {key: before[key] for key in keep if key in before}
        _tidy(str(name), encodings[name])
        if variable.chunks is not None:
            layout = _layout(before if keep_codecs else {}, variable)
            encodings[name] |= layout
            unit = layout.get("shards", layout["chunks"])
            aligned[name] = variable.chunk(_aligned(variable, unit))
    ds = ds.assign(aligned)
    for name, encoding in encodings.items():
        ds[name].variable.encoding = encoding
    return ds


def _layout(encoding: Mapping[str, Any], variable: xr.Variable) -> dict[str, tuple[int, ...]]:
    """Chunks (and shards) for a zarr array: the input's where they fit, else the blocks'."""
    chunks, shards = encoding.get("chunks"), encoding.get("shards")
    if chunks is not None and len(chunks) == variable.ndim:
        fits = all(c <= n for c, n in zip(shards or chunks, variable.shape, strict=True))
        if fits:
            kept = {"chunks": tuple(chunks)}
            return kept | ({"shards": tuple(shards)} if shards else {})
    return {"chunks": tuple(max(blocks) for blocks in variable.chunks or ())}


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
