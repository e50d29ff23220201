"""From a Dataset to one packed array and back.

A packed array has the dims (series, time, channel, y, x), in float32, NaN where not observed.
Variables and, if asked, levels become channels; other further dims become series.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from ._typing import BoolArray, FloatArray
from .axes import Axes, find_axes
from .calendar import Clock, read_clock
from .channels import Channel, VariableSpec, channels_of, levels_of
from .exceptions import AxesError
from .grid import Grid, read_grid
from .quantities import conversion
from .selection import (
    choose_covariates,
    choose_variables,
    considered,
    refuse_other_dims,
    refuse_two_grids,
    treat_extra,
)
from .tiling import Stretches

__all__ = ["PACKED", "FieldSpec"]

log = logging.getLogger("xdiffimpute")

PACKED = ("series", "time", "channel", "y", "x")


@dataclass(frozen=True)
class FieldSpec:
    """How a Dataset is laid out as fields.

    Parameters
    ----------
    axes : Axes
    variables : tuple of VariableSpec
    channels : tuple of Channel
    channel_dims, series_dims : tuple of str
        Further dims by treatment.
    grid : Grid
    skipped : tuple of str
        Variables that are left as they are.
    levels : tuple of (str, tuple of str)
        Coordinate values of the channel dims, as text.
    covariates : tuple of str
        The last of the variables, which are given and not filled.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> ds = xdi.example()
    >>> spec = FieldSpec.from_dataset(ds)
    >>> spec.shape, [channel.label for channel in spec.channels], spec.periodic
    ((12, 16), ['sst'], False)
    >>> packed = spec.pack(ds)
    >>> packed.dims, packed.dtype
    (('series', 'time', 'channel', 'y', 'x'), dtype('float32'))
    """

    axes: Axes
    variables: tuple[VariableSpec, ...]
    channels: tuple[Channel, ...]
    channel_dims: tuple[str, ...]
    series_dims: tuple[str, ...]
    grid: Grid
    skipped: tuple[str, ...] = field(default=(), compare=False)
    levels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    covariates: tuple[str, ...] = ()

    @property
    def filled(self) -> tuple[VariableSpec, ...]:
        """The variables that are filled: all but the covariates."""
        return self.variables[: len(self.variables) - len(self.covariates)]

    @property
    def given(self) -> int:
        """How many of the channels, the last ones, are of covariates."""
        return sum(channel.variable in self.covariates for channel in self.channels)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells in y and x."""
        return self.grid.shape

    @property
    def periodic(self) -> bool:
        """Whether x wraps around the globe."""
        return self.grid.periodic

    @property
    def latitude(self) -> FloatArray | None:
        """Latitude in degrees, shape (H, W), or None."""
        return self.grid.latitude

    @property
    def longitude(self) -> FloatArray | None:
        """Longitude in degrees, shape (H, W), or None."""
        return self.grid.longitude

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Steps of the y and x coordinates, or None."""
        return self.grid.spacing

    @property
    def layout(self) -> dict[str, Any]:
        """The arguments of :meth:`from_dataset` that lead to this layout, without covariates."""
        return {
            "variables": [v.name for v in self.filled],
            "time": self.axes.time,
            "y": self.axes.y,
            "x": self.axes.x,
            "extra_dims": {
                **dict.fromkeys(self.channel_dims, "channels"),
                **dict.fromkeys(self.series_dims, "series"),
            },
        }

    @classmethod
    def from_dataset(
        cls,
        ds: xr.Dataset,
        *,
        variables: Sequence[str] | None = None,
        time: str | None = None,
        y: str | None = None,
        x: str | None = None,
        extra_dims: str | Mapping[str, str] = "series",
        covariates: Sequence[str] = (),
    ) -> FieldSpec:
        """Read the layout of a dataset; nothing is computed.

        Parameters
        ----------
        ds : Dataset
        variables : sequence of str, optional
            Default: every floating-point variable on the grid.
        time, y, x : str, optional
            Dims, where they cannot be found.
        extra_dims : {"series", "channels"} or mapping of dim to one of them
        covariates : sequence of str
            Variables that are given and not filled; they may lack time and further dims.

        Returns
        -------
        FieldSpec

        Raises
        ------
        AxesError
            If axes cannot be found or variables disagree about their dims.
        DataError
            If there is nothing to fill.
        """
        beside = choose_covariates(ds, covariates, variables)
        own = ds.drop_vars(beside)
        axes = find_axes(considered(own, variables), time=time, y=y, x=x)
        chosen, skipped = choose_variables(own, axes, variables)
        if axes.time is not None and not any(axes.time in ds[n].dims for n in chosen):
            axes = Axes(None, axes.y, axes.x)
        if variables is None:
            refuse_two_grids(own, chosen, skipped, axes)
        treatment = treat_extra(ds, chosen, axes, extra_dims)
        channel_dims = tuple(d for d, how in treatment.items() if how == "channels")
        series_dims = tuple(d for d, how in treatment.items() if how == "series")
        for name in chosen:
            lacking = [d for d in series_dims if d not in ds[name].dims]
            if lacking:
                raise AxesError(
                    f"variable {name!r} lacks the dimension {lacking[0]!r} that others have; use "
                    f"extra_dims={{{lacking[0]!r}: 'channels'}}, or select with variables=[...]"
                )
        refuse_other_dims(ds, beside, {*map(str, ds[chosen[0]].dims), *channel_dims})
        chosen = [*chosen, *beside]
        specs = tuple(
            VariableSpec(n, ds[n].attrs.get("units"), ds[n].attrs.get("standard_name"))
            for n in chosen
        )
        channels = tuple(c for n in chosen for c in channels_of(ds, n, channel_dims))
        grid = read_grid(ds, axes.y, axes.x)
        return cls(
            axes, specs, channels, channel_dims, series_dims, grid, tuple(skipped),
            levels_of(ds, channel_dims), tuple(beside),
        )  # fmt: skip

    def tell_skipped(self) -> None:
        """Log which variables are left as they are."""
        if self.skipped:
            log.info("left as they are (not fields on the grid): %s", ", ".join(self.skipped))

    def moved_to(self, ds: xr.Dataset) -> FieldSpec:
        """The same layout on the grid of other data."""
        return FieldSpec.from_dataset(ds, **self.layout, covariates=self.covariates)

    def pack(self, ds: xr.Dataset) -> xr.DataArray:
        """Lay out a dataset's variables, in the units of this spec.

        Parameters
        ----------
        ds : Dataset

        Returns
        -------
        DataArray, dims (series, time, channel, y, x)
            float32; backed by dask if any of the variables is.
        """
        layers = []
        for channel in self.channels:
            array = ds[channel.variable].isel(dict(channel.position))
            if channel.variable in self.covariates:
                array = array.broadcast_like(self._frame_of(ds))
            order = [*self.series_dims, *self.time_dims, self.axes.y, self.axes.x]
            data = array.transpose(*order).data
            n_time = ds.sizes[self.axes.time] if self.axes.time else 1
            data = data.reshape((-1, n_time, *data.shape[-2:]))
            factor, offset = self.to_units(ds, channel.variable)
            if (factor, offset) != (1.0, 0.0):
                data = data * factor + offset
            layers.append(_in_single(data))
        stack = da.stack if any(isinstance(layer, da.Array) for layer in layers) else np.stack
        labels = [channel.label for channel in self.channels]
        return xr.DataArray(stack(layers, axis=2), dims=PACKED, coords={"channel": labels})

    def unpack(
        self, packed: xr.DataArray, like: xr.Dataset, *, differences: bool = False
    ) -> dict[str, xr.DataArray]:
        """Undo :meth:`pack`.

        Parameters
        ----------
        packed : DataArray, dims (series, time, channel, y, x)
        like : Dataset
            Gives dims, coordinates, attributes and units.
        differences : bool
            The values are differences (errors), which an offset of units does not concern.

        Returns
        -------
        dict of str to DataArray
            In float32, each with the dim order of its variable.
        """
        out: dict[str, xr.DataArray] = {}
        for spec in self.filled:
            places = [k for k, c in enumerate(self.channels) if c.variable == spec.name]
            target = like[spec.name]
            dims = [d for d in self.channel_dims if d in target.dims]
            data = packed.transpose(*PACKED).data[:, :, places]
            data = data.transpose(2, 0, 1, 3, 4)
            order = [*dims, *self.series_dims, *self.time_dims, self.axes.y, self.axes.x]
            data = data.reshape([target.sizes[d] for d in order])
            factor, offset = self.to_units(like, spec.name)
            if (factor, offset) != (1.0, 0.0):
                data = (data - (0.0 if differences else offset)) / factor
            flat = xr.DataArray(data, dims=order).transpose(*target.dims)
            out[spec.name] = xr.DataArray(
                flat.data,
                dims=target.dims,
                coords=target.coords,
                attrs=target.attrs,
                name=spec.name,
            )
        return out

    def stretches(self, packed: xr.DataArray, frames: int) -> Stretches:
        """How a packed array is cut: along time, or along series where there are more of these.

        Parameters
        ----------
        packed : DataArray, dims (series, time, channel, y, x)
        frames : int
            That are filled at once.

        Returns
        -------
        Stretches
        """
        names = tuple(v.name for v in self.filled)
        n_series, n_time = packed.shape[:2]
        if self.axes.time is not None and (n_time > frames or n_series == 1):
            return Stretches(names, self.axes.time, frames, self.covariates)
        if self.series_dims:
            return Stretches(names, self.series_dims[0], 1, self.covariates)
        return Stretches(names, self.axes.time, frames, self.covariates)

    def clock(self, ds: xr.Dataset) -> Clock:
        """The times of the frames."""
        return read_clock(ds, self.axes.time)

    def same_grid(self, ds: xr.Dataset) -> bool:
        """Whether other data lie on the very cells of this grid."""
        return bool(self.grid == read_grid(ds, self.axes.y, self.axes.x))

    def constant(self, ds: xr.Dataset) -> BoolArray:
        """Which channels are covariates that are the same in all frames, shape (C,)."""
        moving = {*self.series_dims, *self.time_dims}
        return np.array([
            c.variable in self.covariates and not moving & set(map(str, ds[c.variable].dims))
            for c in self.channels
        ])  # fmt: skip

    def _frame_of(self, ds: xr.Dataset) -> xr.DataArray:
        """Something with the dims that every channel is laid out along."""
        first = self.channels[0]
        return ds[first.variable].isel(dict(first.position))

    @property
    def time_dims(self) -> tuple[str, ...]:
        """The dim of time, if there is one."""
        return () if self.axes.time is None else (self.axes.time,)

    def to_units(self, ds: xr.Dataset, name: str) -> tuple[float, float]:
        """Factor and offset from the units of a variable in other data to those of this spec."""
        units = {v.name: v.units for v in self.variables}
        return conversion(name, ds[name].attrs.get("units"), units[name])

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        return {
            "axes": [self.axes.time, self.axes.y, self.axes.x],
            "variables": [[v.name, v.units, v.standard_name] for v in self.variables],
            "channels": [[c.variable, [list(p) for p in c.position]] for c in self.channels],
            "channel_dims": list(self.channel_dims),
            "series_dims": list(self.series_dims),
            "grid": self.grid.to_dict(),
            "levels": [[d, list(values)] for d, values in self.levels],
            "covariates": list(self.covariates),
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> FieldSpec:
        """Rebuild from :meth:`to_dict`."""
        return cls(
            axes=Axes(*saved["axes"]),
            variables=tuple(VariableSpec(*v) for v in saved["variables"]),
            channels=tuple(
                Channel(name, tuple((str(d), int(k)) for d, k in position))
                for name, position in saved["channels"]
            ),
            channel_dims=tuple(saved["channel_dims"]),
            series_dims=tuple(saved["series_dims"]),
            grid=Grid.from_dict(saved["grid"]),
            levels=tuple((d, tuple(values)) for d, values in saved["levels"]),
            covariates=tuple(saved["covariates"]),
        )


def _in_single(data: Any) -> Any:
    """In float32, lazily; what does not fit becomes infinite, and is refused as such."""
    if isinstance(data, da.Array):
        empty = np.empty((0,) * data.ndim, np.float32)
        return da.map_blocks(_in_single, data, dtype=np.float32, meta=empty)
    with np.errstate(over="ignore"):
        return data.astype(np.float32)
