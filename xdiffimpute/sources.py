"""Datasets from where users have them: files, folders and patterns of files, zarr by address.

The file's ending tells GRIB from netCDF; a folder is a zarr store if it has zarr's metadata, and
otherwise all netCDF or GRIB files in it, as one dataset.
"""

from __future__ import annotations

import contextlib
import glob
import importlib.util
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import xarray as xr

from .exceptions import DataError
from .suggestion import did_you_mean

__all__ = ["open_store", "sources_of", "zarr_format"]

Chunks: TypeAlias = Mapping[str, int] | Literal["auto"] | None

NETCDF = (".nc", ".nc4", ".cdf", ".netcdf")
GRIB = (".grib", ".grib1", ".grib2", ".grb", ".grb1", ".grb2")
HINT = (
    "give a netCDF or GRIB file, a folder or a quoted pattern of them such as 'data/*.nc', or a "
    "zarr store"
)
# What a file system of fsspec needs, where pip install does not follow from its message.
PROTOCOLS = {
    "http": "'xdiffimpute[remote]'", "https": "'xdiffimpute[remote]'", "s3": "s3fs", "gs": "gcsfs",
    "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs",
}  # fmt: skip


def sources_of(location: str) -> list[str]:
    """Paths behind a location: itself, or what its folder holds or its wildcards match, sorted.

    Parameters
    ----------
    location : str
        Path, pattern with wildcards, or address.

    Returns
    -------
    list of str

    Raises
    ------
    DataError
        If there is nothing there.

    Examples
    --------
    >>> Path("daily").mkdir()
    >>> Path("daily/b.nc").touch(), Path("daily/a.nc").touch(), Path("daily/notes.txt").touch()
    (None, None, None)
    >>> sources_of("daily")
    ['daily/a.nc', 'daily/b.nc']
    """
    if "://" in location:
        return [location]
    path = Path(location).expanduser()
    if path.is_dir() and zarr_format(str(path)) is None:
        return _files_in(path)
    if path.exists():
        return [str(path)]
    found = sorted(glob.glob(str(path)))
    if not found:
        raise DataError(f"nothing found at {location!r}; {HINT}")
    return found


def open_store(location: str, *, chunks: Chunks = None) -> xr.Dataset:
    """Open files or a zarr store, lazily.

    Parameters
    ----------
    location : str
        A netCDF or GRIB file, a folder or a pattern of such files, a zarr store, or the address
        of a zarr store that fsspec can open, such as ``"https://host/sst.zarr"``.
    chunks : mapping of str to int, or "auto", optional
        Dask chunks; by default a zarr store's own, and dask's choice for files.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If there is nothing there, it cannot be read, the files do not fit together, a package
        for reading them is missing, or chunks are of a dimension that there is not.

    Examples
    --------
    >>> xr.Dataset({"sst": ("x", [1.0, 2.0])}).to_netcdf("sst.nc")
    >>> with open_store("sst.nc") as ds:
    ...     print(dict(ds.sizes))
    {'x': 2}
    """
    ds = _opened(location, chunks)
    if isinstance(chunks, Mapping):
        unknown = [str(dim) for dim in chunks if dim not in ds.dims]
        if unknown:
            ds.close()
            raise DataError(
                f"chunks of {', '.join(map(repr, unknown))}: {location!r} has the dimensions "
                f"{', '.join(map(str, ds.dims))}.{did_you_mean(unknown, ds.dims)}"
            )
    return ds


def _opened(location: str, chunks: Chunks) -> xr.Dataset:
    sources = sources_of(location)
    _load_proj_first()
    try:
        if len(sources) > 1:
            return _open_several(sources, chunks)
        if zarr_format(sources[0]) is not None:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Failed to open Zarr store with consolidated")
                return xr.open_dataset(sources[0], engine="zarr", chunks=chunks or {})
        how = _engine(sources)
        return xr.open_dataset(sources[0], chunks="auto" if chunks is None else chunks, **how)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(_reason(location, sources, error)) from error


def zarr_format(source: str) -> Literal[2, 3] | None:
    """Format of a zarr store; None if it is not one.

    Parameters
    ----------
    source : str
        Path or address; of an address, only the ending is looked at.

    Returns
    -------
    2, 3 or None

    Examples
    --------
    >>> zarr_format("https://host/sst.zarr"), zarr_format("sst.nc")
    (3, None)
    """
    if "://" in source:
        return None if source.lower().endswith((*NETCDF, *GRIB)) else 3
    path = Path(source)
    if (path / "zarr.json").exists():
        return 3
    if any((path / name).exists() for name in (".zgroup", ".zmetadata")):
        return 2
    return 3 if path.suffix == ".zarr" else None


def _files_in(folder: Path) -> list[str]:
    """The netCDF files of a folder, or else its GRIB files."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    for endings in (NETCDF, GRIB):
        found = [str(p) for p in files if p.suffix.lower() in endings]
        if found:
            return found
    stores = sorted(p.name for p in folder.glob("*.zarr"))
    if stores:
        raise DataError(
            f"the folder {str(folder)!r} holds zarr stores ({', '.join(stores[:3])}); give one of "
            f"them, such as {str(folder / stores[0])!r}"
        )
    endings_said = ", ".join((*NETCDF, *GRIB))
    raise DataError(f"no file in the folder {str(folder)!r} ends in {endings_said}; {HINT}")


def _open_several(sources: list[str], chunks: Chunks) -> xr.Dataset:
    return xr.open_mfdataset(
        sources,
        chunks="auto" if chunks is None else chunks,
        combine="by_coords",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="exact",
        combine_attrs="override",
        **_engine(sources),
    )


def _engine(sources: list[str]) -> dict[str, Any]:
    """Arguments of xarray's open functions: its own choice, but for GRIB."""
    if not sources[0].lower().endswith(GRIB):
        return {}
    if importlib.util.find_spec("cfgrib") is None:
        raise DataError(
            f"{sources[0]!r} is a GRIB file, and reading GRIB needs cfgrib, which is not "
            "installed; install it with: pip install 'xdiffimpute[grib]', or turn the file into "
            "netCDF with: grib_to_netcdf -o out.nc in.grib"
        )
    # Without an index path no index files are left beside the user's data.
    return {"engine": "cfgrib", "backend_kwargs": {"indexpath": ""}}


def _load_proj_first() -> None:
    """Load pyproj before ecCodes, where both are installed.

    xarray loads all its plugins when it opens a file. The wheels of ecCodes bring a PROJ of their
    own, and a pyproj that is loaded after them finds that one and crashes when Python ends.
    """
    if importlib.util.find_spec("eccodes") is not None:
        with contextlib.suppress(ImportError):
            importlib.import_module("pyproj")


def _reason(location: str, sources: list[str], error: Exception) -> str:
    """What went wrong in opening, with a way out."""
    protocol = location.partition("://")[0]
    if isinstance(error, ImportError) and "://" in location:
        needed = PROTOCOLS.get(protocol, f"the package of fsspec for {protocol!r}")
        return f"opening {location!r} needs a package that is not installed: pip install {needed}"
    if "://" in location:
        if zarr_format(location) is None:
            return f"{location!r} is not a zarr store; download the file first, then open it"
        return (
            f"cannot open {location!r} as a zarr store: {_first_line(error)}; check the address "
            "(and that consolidated metadata were written, which a web server needs)"
        )
    if sources[0].lower().endswith(GRIB) and "filter_by_keys" in str(error):
        return (
            f"{location!r} holds GRIB messages that do not fit into one dataset (several levels or "
            "steps); split them with cfgrib.open_datasets(path) in Python and save the parts "
            "as netCDF"
        )
    if sources[0].lower().endswith(NETCDF + GRIB) and isinstance(error, FileNotFoundError):
        return f"nothing found at {location!r}; {HINT}"
    return (
        f"cannot open {location!r}: {_first_line(error)}; give netCDF files that share one "
        "grid, or a zarr store"
    )


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
