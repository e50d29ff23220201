"""The horizontal grid: coordinates, spacing, and whether it wraps around the globe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ._typing import FloatArray
from .exceptions import AxesError

__all__ = ["Grid", "read_grid"]

TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Grid:
    """Coordinates of the cells.

    Parameters
    ----------
    shape : (int, int)
        Cells in y and x.
    y, x : float arrays, shape (H,) and (W,), or None
        One-dimensional coordinates.
    latitude, longitude : float arrays, shape (H, W), or None
        In degrees; None where the grid is not geographic.
    """

    shape: tuple[int, int]
    y: FloatArray | None
    x: FloatArray | None
    latitude: FloatArray | None
    longitude: FloatArray | None

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Median steps of y and x, signed, or None without coordinates."""
        if self.y is None or self.x is None or min(self.shape) < 2:
            return None
        return float(np.median(np.diff(self.y))), float(np.median(np.diff(self.x)))

    @property
    def periodic(self) -> bool:
        """Whether the last column borders on the first: longitudes span 360 degrees."""
        if self.longitude is None or self.x is None or self.shape[1] < 4:
            return False
        if not np.allclose(self.longitude[0], self.x):
            return False
        step = abs(float(np.median(np.diff(self.x))))
        return bool(abs(step * self.shape[1] - 360.0) < 0.5 * step)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid) or self.shape != other.shape:
            return False
        pairs = (
            (self.y, other.y),
            (self.x, other.x),
            (self.latitude, other.latitude),
            (self.longitude, other.longitude),
        )
        return all(_same_places(a, b) for a, b in pairs)

    def __hash__(self) -> int:
        return hash(self.shape)

    def same_spacing(self, other: Grid) -> bool:
        """Whether steps agree to a thousandth; grids without coordinates need the same shape."""
        mine, theirs = self.spacing, other.spacing
        if mine is None or theirs is None:
            return mine is theirs and self.shape == other.shape
        return bool(np.allclose(mine, theirs, rtol=TOLERANCE))

    def flipped_to(self, other: Grid) -> tuple[int, ...]:
        """Axes (0 for y, 1 for x) whose steps differ in nothing but their sign."""
        mine, theirs = self.spacing, other.spacing
        if mine is None or theirs is None or not np.allclose(np.abs(mine), np.abs(theirs)):
            return ()
        return tuple(k for k in (0, 1) if mine[k] * theirs[k] < 0)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        parts = {name: getattr(self, name) for name in ("y", "x", "latitude", "longitude")}
        if self.latitude is not None and _is_outer(self):
            parts["latitude"] = parts["longitude"] = "outer"
        plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in parts.items()}
        return {"shape": list(self.shape), **plain}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Grid:
        """Rebuild from :meth:`to_dict`."""
        shape = (int(saved["shape"][0]), int(saved["shape"][1]))
        y, x = (None if saved[k] is None else np.asarray(saved[k]) for k in ("y", "x"))
        if isinstance(saved["latitude"], str) and y is not None and x is not None:
            lat, lon = _outer(y, x)
            return cls(shape, y, x, lat, lon)
        lat2, lon2 = (
            None if saved[k] is None else np.asarray(saved[k]) for k in ("latitude", "longitude")
        )
        return cls(shape, y, x, lat2, lon2)


def read_grid(ds: xr.Dataset, y: str, x: str) -> Grid:
    """Read the grid of a dataset.

    Parameters
    ----------
    ds : Dataset
    y, x : str
        Horizontal dims.

    Returns
    -------
    Grid

    Raises
    ------
    AxesError
        If a coordinate is not strictly monotonic, or holds missing values.
    """
    shape = (ds.sizes[y], ds.sizes[x])
    values = [_coordinate(ds, d) for d in (y, x)]
    lat, lon = (_named(ds, kind, y, x) for kind in ("latitude", "longitude"))
    if lat is None or lon is None:
        return Grid(shape, values[0], values[1], None, None)
    if lat.ndim == 1 and lon.ndim == 1:
        return Grid(shape, values[0], values[1], *_outer(lat, lon))
    if lat.ndim == 2 and lon.ndim == 2:
        return Grid(shape, values[0], values[1], lat, lon)
    return Grid(shape, values[0], values[1], None, None)


def _coordinate(ds: xr.Dataset, dim: str) -> FloatArray | None:
    if dim not in ds.coords or not np.issubdtype(ds[dim].dtype, np.number):
        return None
    values = np.asarray(ds[dim].values, dtype=np.float64)
    steps = np.diff(values)
    if len(values) > 1 and not ((steps > 0).all() or (steps < 0).all()):
        raise AxesError(f"the coordinate {dim!r} {_disorder(ds[dim], values, steps)}")
    return values


def _disorder(coordinate: xr.DataArray, values: FloatArray, steps: FloatArray) -> str:
    """What is wrong with a coordinate that is not strictly monotonic, and what to type."""
    dim = coordinate.name
    if np.isnan(values).any():
        return f"holds NaN; drop those cells with ds.isel({dim}=ds[{dim!r}].notnull().values)"
    if len(np.unique(values)) < len(values):
        return f"repeats values; drop the copies with ds.drop_duplicates({dim!r})"
    if (np.abs(steps) > 180.0).sum() == 1 and values.max() - values.min() > 180.0:
        turned = f"ds[{dim!r}] % 360" if values.min() < 0 else f"(ds[{dim!r}] + 180) % 360 - 180"
        return f"jumps by 360; make it run on with ds.assign_coords({dim}={turned})"
    return f"is not monotonic; put it in order with ds.sortby({dim!r})"


def _named(ds: xr.Dataset, kind: str, y: str, x: str) -> FloatArray | None:
    """Latitude or longitude: of the dims (1-D), or auxiliary on both (2-D)."""
    import cf_xarray  # noqa: F401 - registers .cf

    short = {
        "latitude": ("lat", "latitude", "nav_lat"),
        "longitude": ("lon", "longitude", "nav_lon"),
    }
    dim = y if kind == "latitude" else x
    named = [str(n) for n in ds.cf.coordinates.get(kind, [])]
    named += [str(n) for n in ds.coords if str(n).lower() in short[kind]]
    for name in dict.fromkeys(named):
        values = ds[name]
        if values.dims == (dim,):
            return np.asarray(values.values, dtype=np.float64)
        if set(values.dims) == {y, x}:
            field = np.asarray(values.transpose(y, x).values, dtype=np.float64)
            return field if np.isfinite(field).all() else None
    return None


def _same_places(a: FloatArray | None, b: FloatArray | None) -> bool:
    """Whether coordinates agree to a hundredth of a cell, or to what float32 can hold."""
    if a is None or b is None:
        return a is b
    steps = [np.abs(np.diff(a, axis=k)) for k in range(a.ndim) if a.shape[k] > 1]
    moving = [s[s > 0] for s in steps if (s > 0).any()]
    cell = min((float(np.median(s)) for s in moving), default=0.0)
    tolerance = max(0.01 * cell, 4e-7 * float(np.abs(a).max(initial=0.0)))
    return bool((np.abs(a - b) <= tolerance).all())


def _outer(lat: FloatArray, lon: FloatArray) -> tuple[FloatArray, FloatArray]:
    shape = (len(lat), len(lon))
    return np.broadcast_to(lat[:, None], shape), np.broadcast_to(lon[None, :], shape)


def _is_outer(grid: Grid) -> bool:
    if grid.y is None or grid.x is None or grid.latitude is None or grid.longitude is None:
        return False
    lat, lon = _outer(grid.y, grid.x)
    return np.array_equal(lat, grid.latitude) and np.array_equal(lon, grid.longitude)
