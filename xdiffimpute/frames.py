"""Which variables and frames are drawn, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import xarray as xr

from .exceptions import ImputeError
from .fields import FieldSpec
from .tiling import evenly

__all__ = [
    "Data",
    "as_dataset",
    "choose_frame",
    "filled_names",
    "place_of",
    "spread",
    "unpacked_position",
    "within",
]

Data: TypeAlias = xr.Dataset | xr.DataArray

COMPANIONS = ("_standard_error", "_imputation_flag")


def as_dataset(data: Data, like: xr.Dataset) -> xr.Dataset:
    """A DataArray with its companions, which are its coordinates, as variables."""
    if isinstance(data, xr.Dataset):
        return data
    name = str(next(iter(like.data_vars)) if data.name is None else data.name)
    extra = [c for c in data.coords if str(c).endswith(COMPANIONS)]
    return data.to_dataset(name=name).reset_coords(extra)


def filled_names(filled: xr.Dataset, ds: xr.Dataset) -> list[str]:
    """Variables that were filled: those with a flag; else those that both have."""
    flagged = [str(n) for n in ds.data_vars if f"{n}_imputation_flag" in filled]
    return flagged or [str(n) for n in ds.data_vars if n in filled and ds[n].dtype.kind == "f"]


def choose_frame(
    ds: xr.Dataset, spec: FieldSpec, frame: int | Mapping[str, int] | None
) -> dict[str, int]:
    """A position along every dim but the grid's: the middle where none is given.

    Raises
    ------
    ImputeError
        If there is no such dim, or no such position on it.
    """
    dims = [d for v in spec.variables for d in map(str, ds[v.name].dims)]
    further = [d for d in dict.fromkeys(dims) if d not in (spec.axes.y, spec.axes.x)]
    if isinstance(frame, (int, np.integer)):
        frame = {spec.axes.time or (further[0] if further else "time"): frame}
    at = {d: ds.sizes[d] // 2 for d in further} | dict(frame or {})
    for d, k in at.items():
        if d not in further or not -ds.sizes[d] <= k < ds.sizes[d]:
            sizes = ", ".join(f"{d}: {ds.sizes[d]}" for d in further) or "none"
            raise ImputeError(
                f"there is no frame {{{d!r}: {k}}}; the dims to select along and their sizes are "
                f"{sizes}: ds.impute.plot.comparison(imputer, frame={{{(further or [d])[0]!r}: 0}})"
            )
    return at


def within(at: Mapping[str, int], ds: xr.Dataset) -> dict[str, int]:
    """The part of a position that concerns dims which a dataset has."""
    return {d: k for d, k in at.items() if d in ds.dims}


def place_of(frame: xr.Dataset, dim: str, k: int) -> str:
    """Where a frame is: its coordinate without trailing zeros of a time, or its number."""
    if dim not in frame.coords:
        return str(k)
    value = frame[dim].values
    if np.issubdtype(value.dtype, np.datetime64):
        return str(np.datetime_as_string(value, unit="m")).removesuffix("T00:00").replace("T", " ")
    return str(value)


def spread(ds: xr.Dataset, spec: FieldSpec, frames: int) -> xr.Dataset:
    """Frames evenly spread along time, or along the first other dim where there is no time."""
    dim = spec.axes.time or next(iter(spec.series_dims), None)
    if dim is None or dim not in ds.dims or ds.sizes[dim] <= frames:
        return ds
    return ds.isel({dim: evenly(ds.sizes[dim], frames)})


def unpacked_position(ds: xr.Dataset, spec: FieldSpec, series: int, time: int) -> dict[str, int]:
    """Where a packed frame stands in the dataset; of channels, the first."""
    sizes = [ds.sizes[d] for d in spec.series_dims]
    index = np.unravel_index(series, sizes) if sizes else ()
    at = {d: int(k) for d, k in zip(spec.series_dims, index, strict=True)}
    if spec.axes.time is not None:
        at[spec.axes.time] = time
    return at | dict.fromkeys(spec.channel_dims, 0)
