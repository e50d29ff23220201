"""Which dimensions are time, y and x.

What the user names wins; then CF attributes as cf-xarray reads them (``axis``,
``standard_name``, units); then common names of dimensions.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import xarray as xr

from .exceptions import AxesError

__all__ = ["Axes", "find_axes"]

NAMES = {
    "time": ("time", "valid_time", "t", "date", "time_counter"),
    "y": ("lat", "latitude", "y", "rlat", "nav_lat", "j", "nj", "ny", "yc", "south_north",
          "northing"),
    "x": ("lon", "longitude", "x", "rlon", "nav_lon", "i", "ni", "nx", "xc", "west_east",
          "easting"),
}  # fmt: skip
CF_KEYS = {"time": ("T", "time"), "y": ("Y", "latitude"), "x": ("X", "longitude")}


@dataclass(frozen=True)
class Axes:
    """Names of the dimensions of time (or None), y and x."""

    time: str | None
    y: str
    x: str


def find_axes(
    ds: xr.Dataset, *, time: str | None = None, y: str | None = None, x: str | None = None
) -> Axes:
    """Find the axes of a dataset.

    Parameters
    ----------
    ds : Dataset
    time, y, x : str, optional
        Dimensions named by the user.

    Returns
    -------
    Axes

    Raises
    ------
    AxesError
        If a named dimension does not exist, or a horizontal axis cannot be found.

    Examples
    --------
    >>> find_axes(xr.Dataset({"a": (("time", "lat", "lon"), [[[1.0]]])}))
    Axes(time='time', y='lat', x='lon')
    """
    found: dict[str, str | None] = {}
    curved = _curvilinear(ds)
    for axis, name in (("time", time), ("y", y), ("x", x)):
        if name is not None and name not in ds.dims:
            raise AxesError(
                f"{axis}={name!r} is not a dimension of the data; the dimensions are "
                f"{_listed(ds.dims)}"
            )
        found[axis] = (
            name
            or _by_attributes(ds, axis)
            or curved.get(axis)
            or _by_name(ds, axis)
            or (_by_dtype(ds) if axis == "time" else None)
        )
    missing = [axis for axis in ("y", "x") if found[axis] is None]
    if missing:
        raise AxesError(
            f"no {' or '.join(missing)} axis found among the dimensions {_listed(ds.dims)}; name "
            "them, for example ds.impute.fit(y='row', x='column'), or set their attributes: "
            "ds['row'].attrs['axis'] = 'Y'"
        )
    axes = Axes(found["time"], str(found["y"]), str(found["x"]))
    chosen = [d for d in (axes.time, axes.y, axes.x) if d is not None]
    if len(set(chosen)) < len(chosen):
        raise AxesError(
            f"time={axes.time!r}, y={axes.y!r} and x={axes.x!r} are not different dimensions; name "
            "them, for example ds.impute.fit(y='row', x='column')"
        )
    return axes


def _curvilinear(ds: xr.Dataset) -> dict[str, str]:
    """Dims of two-dimensional latitudes and longitudes: rows, then columns."""
    import cf_xarray  # noqa: F401 - registers .cf

    for name in ds.cf.coordinates.get("latitude", []):
        if ds[name].ndim == 2:
            return dict(zip(("y", "x"), map(str, ds[name].dims), strict=True))
    return {}


def _by_attributes(ds: xr.Dataset, axis: str) -> str | None:
    import cf_xarray  # noqa: F401 - registers .cf

    for key in CF_KEYS[axis]:
        for mapping in (ds.cf.axes, ds.cf.coordinates):
            names = [n for n in mapping.get(key, []) if n in ds.dims]
            if len(names) == 1:
                return str(names[0])
            shared = {d for n in mapping.get(key, []) for d in ds[n].dims}
            if len(mapping.get(key, [])) == 1 and len(shared) == 1:
                return str(shared.pop())
    return None


def _by_name(ds: xr.Dataset, axis: str) -> str | None:
    lower = {str(d).lower(): str(d) for d in ds.dims}
    for name in NAMES[axis]:
        if name in lower:
            return lower[name]
    return None


def _by_dtype(ds: xr.Dataset) -> str | None:
    """The one dimension whose coordinate holds dates, whatever its name."""
    dates = [str(d) for d in ds.dims if d in ds.coords and _holds_dates(ds[d])]
    return dates[0] if len(dates) == 1 else None


def _holds_dates(coordinate: xr.DataArray) -> bool:
    if coordinate.dtype.kind == "M":
        return True
    return coordinate.size > 0 and hasattr(coordinate.values[0], "calendar")


def _listed(dims: object) -> str:
    names: list[Hashable] = list(dims)  # type: ignore[call-overload]
    return ", ".join(map(repr, names)) or "none"
