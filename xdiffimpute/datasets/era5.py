"""ERA5, and anything like it, cut into short windows: from any netCDF file or zarr store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..axes import find_axes
from ..exceptions import DataError
from ..sources import open_store
from .base import Source, check_at_least

__all__ = ["Era5"]


@dataclass(frozen=True)
class Era5(Source):
    """Windows of consecutive frames of an archive, each one a sample with gaps of its own.

    The paper uses one year of hourly data in nine variables on 103 x 120 cells, in windows of
    three hours.

    Parameters
    ----------
    path : str
        netCDF file, quoted pattern of files, or zarr store.
    variables : sequence of str, optional
        Default: all of (time, y, x).
    window : int
        Frames of a sample; frames that do not fill a last window are left out.
    shape : (int, int), optional
        Rows and columns to keep, from the first ones; default: all.

    Raises
    ------
    ImputeError
        If a size is not one of the valid values.

    References
    ----------
    Hersbach et al. (2020), doi:10.1002/qj.3803; Appendix H.1 of the paper.

    Examples
    --------
    >>> import os, tempfile, xdiffimpute as xdi
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "archive.nc")
    ...     xdi.example(days=20, complete=True).to_netcdf(path)
    ...     with Era5(path, window=3, shape=(8, 8)).open() as ds:
    ...         print(dict(ds.sizes))
    {'sample': 6, 'time': 3, 'lat': 8, 'lon': 8}
    """

    path: str
    variables: Sequence[str] | None = None
    window: int = 3
    shape: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        check_at_least(1, window=self.window)

    def open(self) -> xr.Dataset:
        """Open lazily.

        Returns
        -------
        Dataset
            The variables, dims (sample, time, y, x) with the archive's own names for y and x;
            ``sample`` is the time of the first frame, ``time`` counts the frames of a window.

        Raises
        ------
        DataError
            If a variable is missing, none is of (time, y, x), or there are too few frames.
        """
        ds = open_store(self.path)
        axes = find_axes(ds)
        if axes.time is None:
            raise DataError(f"{self.path!r} has no time axis to cut into windows")
        dims = {axes.time, axes.y, axes.x}
        usable = [n for n, v in ds.data_vars.items() if set(v.dims) == dims]
        names = usable if self.variables is None else list(self.variables)
        if not names or not set(names) <= set(usable):
            raise DataError(
                f"{self.path!r} has {sorted(map(str, usable))} on {sorted(dims)}; asked for was "
                f"variables={self.variables!r}"
            )
        ds = ds[names].drop_vars(
            [n for n, v in ds.coords.items() if axes.time in v.dims and n != axes.time]
        )
        if self.shape is not None:
            ds = ds.isel({axes.y: slice(self.shape[0]), axes.x: slice(self.shape[1])})
        count = ds.sizes[axes.time] // self.window
        if count < 1:
            raise DataError(
                f"{self.path!r} has {ds.sizes[axes.time]} frames, fewer than window={self.window}"
            )
        return self._windows(ds.isel({axes.time: slice(count * self.window)}), axes.time)

    def _windows(self, ds: xr.Dataset, time: str) -> xr.Dataset:
        starts = ds[time].values[:: self.window]
        attributes = dict(ds[time].attrs) | {"long_name": "time of the first frame"}
        attributes.pop("axis", None)
        attributes.pop("standard_name", None)
        plain = ds.drop_vars(time).rename({time: "frame"} if time != "frame" else {})
        cut = plain.coarsen(frame=self.window).construct(frame=("sample", "time"))
        grid = [d for d in next(iter(ds.data_vars.values())).dims if d != time]
        about = {"axis": "T", "long_name": "frame of the window"}
        return cut.transpose("sample", "time", *grid).assign_coords(
            sample=("sample", starts, attributes), time=("time", np.arange(self.window), about)
        )
