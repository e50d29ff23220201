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
        If a named dimension does not exist, a horizontal axis cannot be found, or variables
        lie on different grids.

    Examples
    --------
    >>> find_axes(xr.Dataset({"a": (("time", "lat", "lon"), [[[1.0]]])}))
    Axes(time='time', y='lat', x='lon')
    """
    found: dict[str, str | None] = {}
    curved = _curvilinear(ds)
    for axis, name in (("y", y), ("x", x), ("time", time)):
        if name is not None and name not in ds.dims:
            raise AxesError(
                f"{axis}={name!r} is not a dimension of the data; the dimensions are "
                f"{_listed(ds.dims)}"
            )
        found[axis] = name or _by_attributes(ds, axis) or curved.get(axis) or _by_name(ds, axis)
    if time is None and (found["time"] is None or found["time"] in (found["y"], found["x"])):
        found["time"] = _by_dtype(ds, {found["y"], found["x"]})
    missing = [axis for axis in ("y", "x") if found[axis] is None]
    if missing and len(ds.data_vars) > 1 and y is None and x is None:
        agreed = _of_each(ds, time)
        if agreed is not None:
            return agreed
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
            first, second = map(str, ds[name].dims)
            if first.lower() in NAMES["x"] and second.lower() in NAMES["y"]:
                first, second = second, first
            return {"y": first, "x": second}
    return {}


def _of_each(ds: xr.Dataset, time: str | None) -> Axes | None:
    """The axes that the variables agree on when each is looked at by itself."""
    found: dict[tuple[str, str], str] = {}
    chosen = None
    for name, array in ds.data_vars.items():
        lacks_time = time is not None and time not in array.dims
        if array.dtype.kind != "f" or array.ndim < 2 or lacks_time:
            continue
        try:
            axes = find_axes(ds[[name]], time=time)
        except AxesError:
            continue
        chosen = axes if chosen is None or chosen.time is None else chosen
        found.setdefault((axes.y, axes.x), str(name))
    if len(found) > 1:
        (here, one), (there, other) = list(found.items())[:2]
        raise AxesError(
            f"{one!r} is on the grid ({', '.join(here)}) and {other!r} on ({', '.join(there)}); "
            f"learn one grid at a time, with variables=[{one!r}], or regrid"
        )
    return chosen


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


def _by_dtype(ds: xr.Dataset, horizontal: set[str | None]) -> str | None:
    """The one dimension along which a coordinate holds dates, whatever the names."""
    dated = {
        str(c.dims[0])
        for name, c in ds.coords.items()
        if c.ndim == 1
        and (name in c.dims or c.dims[0] not in ds.coords)
        and c.attrs.get("standard_name") != "forecast_reference_time"
        and c.dtype.kind != "m"
        and hasattr(c, "dt")
    } - horizontal
    return dated.pop() if len(dated) == 1 else None


def _listed(dims: object) -> str:
    names: list[Hashable] = list(dims)  # type: ignore[call-overload]
    return ", ".join(map(repr, names)) or "none"
