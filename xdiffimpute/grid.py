"""The horizontal grid: coordinates, spacing, and whether it wraps around the globe."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ._typing import FloatArray
from .exceptions import AxesError

__all__ = ["Grid", "read_grid"]

TOLERANCE = 1e-3
ALIKE = 1.5  # of the cells of two parts of a curvilinear grid, one may be larger by so much


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
        y, x = self.steps
        return None if y is None or x is None else (y, x)

    @property
    def steps(self) -> tuple[float | None, float | None]:
        """Median step along y and along x, signed; None without coordinates or of one cell."""
        y, x = (
            None if c is None or len(c) < 2 else float(np.median(np.diff(c)))
            for c in (self.y, self.x)
        )
        return y, x

    @property
    def arcs(self) -> tuple[float, float] | None:
        """Median distances of neighbours along y and x in degrees of arc, on a curvilinear grid."""
        if self.latitude is None or self.longitude is None or _is_outer(self):
            return None
        if min(self.shape) < 2:
            return None
        phi, lam = np.radians(self.latitude), np.radians(self.longitude)
        places = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
        y, x = (np.median(np.linalg.norm(np.diff(places, axis=k), axis=0)) for k in (1, 2))
        return float(np.degrees(y)), float(np.degrees(x))

    @property
    def told_spacing(self) -> str:
        """The spacing in words, for messages."""
        if self.arcs is None:
            return str(self.spacing)
        return "({:.3g}, {:.3g}) degrees of arc".format(*self.arcs)

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
        """Whether steps agree to a thousandth, as far as a grid of one row or column has them.

        Axes without coordinates need as many cells. On curvilinear grids cells have to be about
        as large: the steps may be those of an index.
        """
        if self.arcs is not None and other.arcs is not None:
            larger = np.divide(self.arcs, other.arcs)
            if not ((larger < ALIKE) & (larger > 1 / ALIKE)).all():
                return False
        for k, (mine, theirs) in enumerate(zip(self.steps, other.steps, strict=True)):
            if mine is not None and theirs is not None:
                if not np.isclose(mine, theirs, rtol=TOLERANCE):
                    return False
            elif 1 not in (self.shape[k], other.shape[k]) and (
                mine is not theirs or self.shape[k] != other.shape[k]
            ):
                return False
        return True

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
        If a coordinate of a dim is not strictly monotonic, or holds missing values.

    Warns
    -----
    UserWarning
        If values of latitude or longitude are missing: the grid is no geographic one then.
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
            return _whole(values, x)
        if set(values.dims) == {y, x}:
            return _whole(values.transpose(y, x), x)
    return None


def _whole(coordinate: xr.DataArray, x: str) -> FloatArray | None:
    """Its values; None, with a warning, where some are missing."""
    values = np.asarray(coordinate.values, dtype=np.float64)
    missing = int((~np.isfinite(values)).sum())
    if not missing:
        return values
    name, along = coordinate.name, x if x in coordinate.dims else coordinate.dims[0]
    warnings.warn(
        f"{missing} of {values.size} values of the coordinate {name!r} are missing, so that "
        "distances are those of rows and columns and not those on the sphere; complete it, "
        f"for example with ds.assign_coords({name}=ds[{name!r}].interpolate_na({along!r}, "
        "use_coordinate=False, fill_value='extrapolate'))",
        UserWarning,
        stacklevel=2,
    )
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
