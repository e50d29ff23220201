"""What the Climate Data Store sends, as one CF dataset.

It sends netCDF, or a zip of several (instantaneous and accumulated variables come apart, whatever
was asked for). Times are called ``valid_time``, the experiment version ``expver`` and the member
``number`` ride along, ``coordinates`` name variables that do not exist, and standard names are
"unknown".
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..exceptions import FetchError
from .names import STANDARD_NAMES, UNITS

__all__ = ["PRELIMINARY", "TIME_ENCODING", "open_answer", "unpack"]

# Global attribute: how many times are of ERA5T, which may still change.
PRELIMINARY = "preliminary_times"
TIME_ENCODING = {"units": "hours since 1970-01-01", "calendar": "standard", "dtype": "int32"}
AXES: dict[str, dict[str, Any]] = {
    "time": {"standard_name": "time", "long_name": "time", "axis": "T"},
    "latitude": {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"},
    "longitude": {"standard_name": "longitude", "units": "degrees_east", "axis": "X"},
    "pressure_level": {
        "standard_name": "air_pressure", "units": "hPa", "positive": "down", "axis": "Z",
    },
    "realization": {"standard_name": "realization", "units": "1"},
}  # fmt: skip
KEPT = ("long_name", "standard_name", "units", "GRIB_paramId", "GRIB_shortName")


def unpack(download: Path, folder: Path, stem: str) -> list[Path]:
    """Put the netCDF files of a download into a folder.

    Parameters
    ----------
    download : Path
        A netCDF file or a zip of some; it is moved or removed.
    folder : Path
    stem : str
        What their names begin with.

    Returns
    -------
    list of Path

    Raises
    ------
    FetchError
        If it is neither, or broken.

    Examples
    --------
    >>> _ = Path("download").write_bytes(b"<html>")
    >>> unpack(Path("download"), Path("."), "0")
    Traceback (most recent call last):
    xdiffimpute.exceptions.FetchError: what came is neither netCDF nor a zip of netCDF; it begins...
    """
    with download.open("rb") as file:
        start = file.read(8)
    if start[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(download) as archive:
                members = [m for m in archive.infolist() if m.filename.endswith(".nc")]
                files = []
                for k, member in enumerate(members):
                    target = folder / f"{stem}.{k}.nc"
                    target.write_bytes(archive.read(member))
                    files.append(target)
        except zipfile.BadZipFile as error:
            raise FetchError(f"the zip file that came is broken ({error})") from error
        if not files:
            raise FetchError(f"the zip file that came holds no netCDF: {archive.namelist()}")
        download.unlink()
        return files
    if start[:4] != b"\x89HDF" and start[:3] != b"CDF":
        raise FetchError(
            f"what came is neither netCDF nor a zip of netCDF; it begins with {start!r}"
        )
    target = folder / f"{stem}.0.nc"
    download.rename(target)
    return [target]


def open_answer(parts: Sequence[Sequence[Path]], west: float) -> xr.Dataset:
    """Open the files of one month, lazily, as one CF dataset.

    Parameters
    ----------
    parts : sequence of sequences of Path
        Files of each request of a month; requests differ in their longitudes.
    west : float
        Longitude to start at, in degrees.

    Returns
    -------
    Dataset, dims (time, [pressure_level,] latitude, longitude)

    Raises
    ------
    FetchError
        If a file is broken, or the files do not fit together.
    """
    pieces = [_merged([_normalised(_open(path)) for path in files]) for files in parts]
    try:
        ds = xr.concat(
            pieces, "longitude", join="exact", compat="override", coords="minimal",
            data_vars="minimal", combine_attrs="override",
        ) if len(pieces) > 1 else pieces[0]  # fmt: skip
    except ValueError as error:
        raise FetchError(f"the two sides of the date line do not fit together: {error}") from error
    return _from_west(ds, west)


def _open(path: Path) -> xr.Dataset:
    with path.open("rb") as file:
        engine = "h5netcdf" if file.read(4) == b"\x89HDF" else "scipy"
    try:
        return xr.open_dataset(path, engine=engine, chunks="auto")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FetchError(f"the netCDF file that came is broken ({error})") from error


def _merged(members: list[xr.Dataset]) -> xr.Dataset:
    """Members of a zip side by side."""
    try:
        return xr.merge(members, join="exact", compat="override", combine_attrs="override")
    except ValueError as error:
        raise FetchError(
            "the variables lie on different grids or times and do not fit into one dataset "
            f"({error}); ask for one grid, such as grid: 0.5, or for fewer variables"
        ) from error


def _normalised(ds: xr.Dataset) -> xr.Dataset:
    """CF names, axes, attributes and nothing else."""
    ds = _one_version(ds)
    if "number" in ds.dims:
        ds = ds.rename(number="realization")
    if "valid_time" in ds.dims:
        ds = ds.drop_vars("time", errors="ignore").rename(valid_time="time")
    if "level" in ds.dims:
        ds = ds.rename(level="pressure_level")
    if "time" not in ds.dims or not ds.data_vars:
        raise FetchError(
            f"the netCDF file that came has the dims {list(map(str, ds.dims))} and the variables "
            f"{list(map(str, ds.data_vars))}: no fields in time"
        )
    ds = ds.drop_vars([name for name in ds.coords if name not in ds.dims])
    ds = ds.drop_vars([name for name, v in ds.data_vars.items() if "longitude" not in v.dims])
    for name, variable in ds.variables.items():
        variable.encoding = {}
        variable.attrs = {k: v for k, v in variable.attrs.items() if k in KEPT}
        if name in AXES:
            variable.attrs = dict(AXES[str(name)])
        elif name in ds.data_vars:
            _describe(str(name), variable.attrs)
            variable.encoding["_FillValue"] = np.float32(np.nan)
    for name in ("latitude", "longitude"):
        ds[name].encoding["_FillValue"] = None
    ds["time"].encoding = dict(TIME_ENCODING)
    return ds.sortby("time").drop_duplicates("time")


def _one_version(ds: xr.Dataset) -> xr.Dataset:
    """Without the experiment version; what is preliminary is counted in an attribute."""
    count = 0
    if "expver" in ds.dims:  # as until 2024: the final values, or else the preliminary ones
        order = sorted(range(ds.sizes["expver"]), key=lambda k: int(ds["expver"].values[k]))
        joined = ds.isel(expver=order[0], drop=True)
        for k in order[1:]:
            joined = joined.combine_first(ds.isel(expver=k, drop=True))
        ds = joined
    elif "expver" in ds.variables:
        versions = np.atleast_1d(ds["expver"].values).astype(str)
        time = "valid_time" if "valid_time" in ds.dims else "time"
        frames = ds.sizes.get(time, 1) if versions.size == 1 else 1
        count = frames * int(np.count_nonzero(np.char.strip(versions, "0") == "5"))
    return ds.drop_vars("expver", errors="ignore").assign_attrs({PRELIMINARY: count})


def _describe(name: str, attrs: dict[str, Any]) -> None:
    if attrs.get("standard_name", "unknown") == "unknown":
        attrs.pop("standard_name", None)
        if name in STANDARD_NAMES:
            attrs["standard_name"] = STANDARD_NAMES[name]
    if "units" in attrs:
        attrs["units"] = UNITS.get(attrs["units"], attrs["units"])


def _from_west(ds: xr.Dataset, west: float) -> xr.Dataset:
    """Longitudes that increase eastwards from ``west``, each once."""
    before = ds["longitude"].values.astype(np.float64)
    outside = (before < west - 1e-6) | (before >= west + 360.0 - 1e-6)
    # Only those outside move: the arithmetic would leave rounding errors on the others.
    moved = np.where(outside, np.round((before - west + 1e-6) % 360.0 + west - 1e-6, 6), before)
    attrs, encoding = ds["longitude"].attrs, ds["longitude"].encoding
    ds = ds.assign_coords(longitude=("longitude", moved, attrs))
    if not np.all(np.diff(moved) > 0):
        ds = ds.sortby("longitude").drop_duplicates("longitude")
    ds["longitude"].encoding = encoding
    return ds
