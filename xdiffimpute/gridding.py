"""Sensor tables onto a grid: stations, buoys, ships and tracks become fields with gaps.

Every observation goes to the nearest cell centre, on the sphere, and to the frame whose interval
holds its time; what meets in a cell is averaged. Nothing is spread out: cells without an
observation stay NaN, which is for a fill to deal with.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
import xarray as xr
from pandas.tseries.frequencies import to_offset
from scipy.spatial import cKDTree

from ._typing import AnyArray, FloatArray
from .arguments import as_list
from .axes import find_axes
from .exceptions import DataError
from .grid import Grid, read_grid

__all__ = ["grid_table"]

log = logging.getLogger("xdiffimpute")

How: TypeAlias = Literal["mean", "median", "min", "max"]

SLACK = 1.0 + 1e-6  # an observation on the very corner of a cell is in it


def grid_table(
    table: pd.DataFrame,
    like: xr.Dataset | xr.DataArray,
    *,
    values: str | Sequence[str] | None = None,
    time: str = "time",
    lat: str = "lat",
    lon: str = "lon",
    every: str | None = None,
    how: How = "mean",
    attrs: Mapping[str, Mapping[str, Any]] | None = None,
) -> xr.Dataset:
    """Grid a table of observations as fields with gaps.

    Parameters
    ----------
    table : DataFrame
        One row an observation: time (with a zone, it is turned into UTC), latitude and longitude
        in degrees, and one or more columns of values. Rows with a missing value are left out.
    like : Dataset or DataArray
        Gives the grid, with one- or two-dimensional latitudes and longitudes in degrees, and, if
        it has a time axis, the frames.
    values : str or sequence of str, optional
        Columns to grid; default: all numeric ones but the coordinates.
    time, lat, lon : str
        Names of the columns.
    every : str, optional
        Interval of the frames as pandas writes it, such as ``"1D"``, ``"6h"`` or ``"MS"``
        (months); a frame has the time at which its interval begins. Default: the frames of
        ``like``, each of which takes the observations that are nearest to it in time, up to half
        a step away.
    how : {"mean", "median", "min", "max"}
        What becomes of several observations in a cell.
    attrs : mapping of str to mapping, optional
        Attributes by column, such as ``{"sst": {"units": "degC"}}``.

    Returns
    -------
    Dataset, dims (time, y, x)
        Each column, NaN where nothing was observed, and ``{column}_count``, the number of
        observations (a CF ancillary variable).

    Raises
    ------
    DataError
        If a column is missing, the grid is not geographic, the frames are not told, ``every`` or
        ``how`` is unknown, or no observation lies on the grid.

    Notes
    -----
    A fill leaves cells NaN that never had an observation, which with fixed stations is most of
    them; ``fill(where=...)`` asks for more, for example for all of them with
    ``where=xr.ones_like(ds["sst"].isel(time=0, drop=True), dtype=bool)``.

    Examples
    --------
    >>> table = pd.DataFrame({"time": pd.to_datetime(["2020-01-01T03", "2020-01-02T04"]),
    ...                       "lat": [50.1, 50.9], "lon": [359.2, 0.1], "sst": [9.0, 11.0]})
    >>> grid = xr.Dataset(coords={"lat": [50.0, 51.0], "lon": [-1.0, 0.0]})
    >>> ds = grid_table(table, grid, every="1D", attrs={"sst": {"units": "degC"}})
    >>> ds["sst"].values.tolist()
    [[[9.0, nan], [nan, nan]], [[nan, nan], [nan, 11.0]]]
    """
    if how not in get_args(How):
        raise DataError(f"how={how!r} is not one of {', '.join(get_args(How))}")
    names = _columns(table, values, (time, lat, lon))
    target = like if isinstance(like, xr.Dataset) else like.to_dataset(name="like")
    axes = find_axes(target)
    grid = read_grid(target, axes.y, axes.x)
    if grid.latitude is None or grid.longitude is None:
        raise DataError(
            f"the grid on ({axes.y}, {axes.x}) has no latitudes and longitudes; give like= a "
            "Dataset with coordinates lat and lon in degrees"
        )
    moments = _moments(table[time])
    frames = _frames(moments, target, axes.time, every)
    frame, cell = _frame_of(moments, frames, every), _cell_of(table, lat, lon, grid)
    inside = (frame >= 0) & (cell >= 0)
    if not inside.any():
        raise DataError(
            f"none of the {len(table)} observations lies on the grid and in its frames: "
            f"{_extent(table[lat], table[lon], moments)}, against "
            f"{_extent(grid.latitude, grid.longitude, frames)}"
        )
    if not inside.all():
        log.info("%d of %d observations lie outside", int((~inside).sum()), len(table))
    shape = (len(frames), *grid.shape)
    coords = {n: v for n, v in target.coords.items() if set(v.dims) <= {axes.y, axes.x}}
    ds = xr.Dataset(coords=coords)
    ds = ds.assign_coords(time=("time", frames, {"standard_name": "time", "axis": "T"}))
    for name in names:
        mean, count = _reduced(table[name], frame, cell, inside, shape, how)
        dims = ("time", axes.y, axes.x)
        told = dict((attrs or {}).get(name, {}))
        ds[name] = (dims, mean, told | {"ancillary_variables": f"{name}_count"})
        about = {"long_name": f"observations of {name} in a cell", "units": "1"}
        ds[f"{name}_count"] = (dims, count, about)
    return ds


def _columns(
    table: pd.DataFrame, values: str | Sequence[str] | None, places: tuple[str, str, str]
) -> list[str]:
    """Columns of values; all columns that are named exist."""
    if values is None:
        numeric = table.select_dtypes("number").columns
        names = [str(n) for n in numeric if n not in places]
    else:
        names = as_list(values)
    absent = [n for n in (*places, *names) if n not in table.columns]
    if absent or not names:
        raise DataError(
            f"the table has the columns {list(map(str, table.columns))}"
            f"{f' and not {absent}' if absent else ', none with numbers to grid'}; name them with "
            "time=, lat=, lon= and values="
        )
    return names


def _moments(column: pd.Series[Any]) -> pd.DatetimeIndex:
    """Times in UTC, without a zone."""
    try:
        moments = pd.DatetimeIndex(pd.to_datetime(column))
    except (ValueError, TypeError) as error:
        raise DataError(
            f"the column {column.name!r} does not hold times ({error}); convert it with "
            f"table[{column.name!r}] = pd.to_datetime(table[{column.name!r}], ...)"
        ) from error
    return moments if moments.tz is None else moments.tz_convert(None)


def _frames(
    moments: pd.DatetimeIndex, target: xr.Dataset, time: str | None, every: str | None
) -> pd.DatetimeIndex:
    """Times of the frames."""
    if every is not None:
        known = moments.dropna()
        if known.empty:
            raise DataError("the table has no row with a time")
        first, last = (_begin(moment, every) for moment in (known.min(), known.max()))
        return pd.date_range(first, last, freq=every)
    index = None if time is None else target.indexes.get(time)
    if not isinstance(index, pd.DatetimeIndex) or len(index) < 2 or not (
        index.is_monotonic_increasing and index.is_unique
    ):  # fmt: skip
        raise DataError(
            "like= has no time axis of two or more frames in the standard calendar and in order; "
            "give the interval of the frames, such as every='1D'"
        )
    return index


def _begin(moment: pd.Timestamp, every: str) -> pd.Timestamp:
    """Where the interval begins that a moment is in."""
    try:
        offset = to_offset(every)
    except ValueError as error:
        raise DataError(
            f"every={every!r} is no interval of pandas; write it as '6h', '1D' or 'MS' (months)"
        ) from error
    if type(offset).__name__.endswith("End"):
        raise DataError(
            f"every={every!r} says where intervals end; write where they begin, such as 'MS' for "
            "months, 'QS' for quarters or 'YS' for years"
        )
    try:
        return moment.floor(every)
    except ValueError:  # of no fixed length
        return offset.rollback(moment.normalize())


def _frame_of(moments: pd.DatetimeIndex, frames: pd.DatetimeIndex, every: str | None) -> AnyArray:
    """Number of the frame of each observation, -1 where there is none; shape (N,)."""
    if every is not None:
        return np.where(moments.isna(), -1, frames.searchsorted(moments, side="right") - 1)
    steps = np.diff(frames.asi8)
    half = pd.Timedelta(int(np.median(steps)) // 2, unit=frames.unit)
    return np.asarray(
        frames.get_indexer(moments.as_unit(frames.unit), method="nearest", tolerance=half)
    )


def _cell_of(table: pd.DataFrame, lat: str, lon: str, grid: Grid) -> AnyArray:
    """Number of the cell of each observation in row-major order, -1 outside; shape (N,)."""
    if grid.latitude is None or grid.longitude is None:
        return np.full(len(table), -1)
    centres = _on_sphere(grid.latitude, grid.longitude)
    reach = SLACK * np.hypot(*(_spacing(centres, axis) for axis in (0, 1))).reshape(-1) / 2
    places = np.stack([np.asarray(table[c], dtype=np.float64) for c in (lat, lon)])
    fine = np.isfinite(places).all(axis=0) & (np.abs(places[0]) <= 90)
    found = np.full(len(table), -1)
    distance, nearest = cKDTree(centres.reshape(-1, 3)).query(_on_sphere(*places[:, fine]))
    found[fine] = np.where(distance <= reach[nearest], nearest, -1)
    return found


def _on_sphere(latitude: FloatArray, longitude: FloatArray) -> FloatArray:
    phi, lam = np.radians(latitude), np.radians(longitude)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def _spacing(centres: FloatArray, axis: int) -> FloatArray:
    """Mean distance of each cell from its neighbours along an axis, shape (H, W)."""
    if centres.shape[axis] < 2:
        return np.zeros(centres.shape[:2])
    steps = np.linalg.norm(np.diff(centres, axis=axis), axis=-1)
    ends = (
        [(1, 0) if k == axis else (0, 0) for k in (0, 1)],
        [(0, 1) if k == axis else (0, 0) for k in (0, 1)],
    )
    before, after = (np.pad(steps, width, mode="edge") for width in ends)
    spacing: FloatArray = (before + after) / 2
    return spacing


def _reduced(
    column: pd.Series[Any],
    frame: AnyArray,
    cell: AnyArray,
    inside: AnyArray,
    shape: tuple[int, ...],
    how: str,
) -> tuple[FloatArray, AnyArray]:
    """What is left of a column in each cell, and of how many observations; shape (T, H, W)."""
    observations = pd.DataFrame({"frame": frame, "cell": cell, "value": column.to_numpy(float)})
    groups = observations[inside].dropna().groupby(["frame", "cell"])["value"]
    field = np.full((shape[0], shape[1] * shape[2]), np.nan)
    count = np.zeros(field.shape, dtype=np.int32)
    reduced, counted = groups.agg(how), groups.size()
    at = tuple(np.array(list(reduced.index), dtype=int).reshape(-1, 2).T)
    field[at], count[at] = reduced.to_numpy(), counted.to_numpy()
    return field.reshape(shape), count.reshape(shape)


def _extent(latitude: Any, longitude: Any, times: pd.DatetimeIndex) -> str:
    lat, lon = np.asarray(latitude, float), np.asarray(longitude, float)
    return (
        f"latitude {np.nanmin(lat):g} to {np.nanmax(lat):g}, longitude {np.nanmin(lon):g} to "
        f"{np.nanmax(lon):g}, {times.min()} to {times.max()}"
    )
