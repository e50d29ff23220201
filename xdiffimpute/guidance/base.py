"""What every guidance is: from data to a number that says how far fields are from a law."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from .._typing import FloatArray
from ..exceptions import CompatibilityError, DataError
from ..fields import FieldSpec
from ..quantities import conversion

__all__ = ["Guidance", "Penalty", "channels_of", "even_spacing", "even_step", "spacing_in_metres"]

UNEVEN = 1e-3  # of a step
MOST_UNEVEN = 0.05  # of a step, where that is how float32 rounds the coordinates


class Penalty(ABC):
    """How far fields are from a law.

    Examples
    --------
    >>> import torch
    >>> class Steady(Penalty):
    ...     frames = 2
    ...     def __call__(self, fields, series):
    ...         return fields.diff(dim=1).square().mean()
    >>> float(Steady()(torch.tensor([1.0, 3.0]).view(1, 2, 1, 1), 0))
    4.0
    """

    frames: ClassVar[int] = 1
    """Fewest consecutive frames that it can be taken of."""

    @abstractmethod
    def __call__(self, fields: Tensor, series: int) -> Tensor:
        """Mean square residual.

        Parameters
        ----------
        fields : Tensor, shape (C, T, H, W)
            Consecutive frames, in the units of the data.
        series : int
            Which series of the data they are of.

        Returns
        -------
        Tensor, shape ()
            Differentiable.
        """


class Guidance(ABC):
    """A law that fields obey.

    Examples
    --------
    >>> from xdiffimpute.guidance import GUIDANCES
    >>> GUIDANCES.names()
    ['divergence_free', 'shallow_water']
    """

    @abstractmethod
    def read(self, ds: xr.Dataset, spec: FieldSpec) -> Penalty:
        """Find what is needed in the data: spacing, steps, parameters.

        Parameters
        ----------
        ds : Dataset
        spec : FieldSpec

        Returns
        -------
        Penalty

        Raises
        ------
        DataError
            If something is missing.
        """


def channels_of(spec: FieldSpec, names: Sequence[str], law: str) -> list[int]:
    """Places of variables among the channels.

    Raises
    ------
    DataError
        If one is missing, or has several channels.
    """
    labels = [channel.label for channel in spec.channels]
    lacking = [name for name in names if name not in labels]
    if lacking:
        raise DataError(
            f"guidance={law!r} needs the variables {list(names)}, and {lacking} are not among "
            f"{labels}; say which they are with GUIDANCES.create({law!r}, ...), or rename them "
            "before the fit"
        )
    return [labels.index(name) for name in names]


def even_spacing(spec: FieldSpec, law: str) -> tuple[float, float]:
    """Steps of y and x, negative where a coordinate descends.

    Raises
    ------
    DataError
        If there are no coordinates, or they are not evenly spaced.
    """
    axes = (spec.axes.y, spec.axes.x)
    if spec.spacing is None:
        raise DataError(
            f"guidance={law!r} needs the distance of cells; give {axes[0]!r} and {axes[1]!r} "
            "coordinates, evenly spaced, with ds.assign_coords(...)"
        )
    for dim, places in zip(axes, (spec.grid.y, spec.grid.x), strict=True):
        known = np.empty(0) if places is None else places
        steps = np.diff(known)
        if not np.allclose(steps, np.median(steps), rtol=UNEVEN, atol=_rounding(known, steps)):
            raise DataError(
                f"guidance={law!r} needs cells that are evenly spaced, and the steps of {dim!r} "
                f"go from {_extremes(steps)}; bring the data onto an even grid with "
                f"ds.interp({dim}=...)"
            )
    return spec.spacing


def spacing_in_metres(ds: xr.Dataset, spec: FieldSpec, law: str) -> tuple[float, float]:
    """Steps of y and x (m), negative where a coordinate descends; those without units are metres.

    Parameters
    ----------
    ds : Dataset
    spec : FieldSpec
    law : str
        Its name, for errors.

    Returns
    -------
    (float, float)

    Raises
    ------
    DataError
        As for :func:`even_spacing`, and if the units are no lengths.

    Examples
    --------
    >>> coords = {dim: (dim, np.arange(3.0), {"units": "km"}) for dim in ("y", "x")}
    >>> ds = xr.Dataset({"h": (("y", "x"), np.zeros((3, 3)))}, coords)
    >>> spacing_in_metres(ds, FieldSpec.from_dataset(ds), "shallow_water")
    (1000.0, 1000.0)
    """
    found = []
    spacing = even_spacing(spec, law)
    for dim, step in zip((spec.axes.y, spec.axes.x), spacing, strict=True):
        units = ds[dim].attrs.get("units")
        try:
            factor, _ = conversion(str(dim), units, "m")
        except CompatibilityError as error:
            raise DataError(
                f"guidance={law!r} needs the distance of cells in metres, and {dim!r} is in "
                f"{units!r}; project the data, and give {dim!r} coordinates in m with "
                "ds.assign_coords(...)"
            ) from error
        found.append(step * factor)
    return found[0], found[1]


def even_step(ds: xr.Dataset, spec: FieldSpec, law: str, fewest: int) -> float:
    """Seconds from frame to frame.

    Raises
    ------
    DataError
        If there are too few frames, no times, or the times are not evenly spaced.
    """
    dim = spec.axes.time
    frames = 1 if dim is None else ds.sizes[dim]
    if dim is None or frames < fewest:
        raise DataError(
            f"guidance={law!r} compares {fewest} frames along a time axis, and these data have "
            f"{frames}; fill more frames at once, or leave out guidance="
        )
    clock, held = spec.clock(ds), ds[dim].dtype
    if not clock.dated and held.kind != "m":
        raise DataError(
            f"guidance={law!r} needs the time from frame to frame, and {dim!r} holds {held}, "
            f"neither dates nor durations; decode its units with xr.decode_cf(ds), or give it "
            f"dates with ds.assign_coords({dim}=pd.to_datetime(...))"
        )
    steps = np.diff(clock.days) * 86400.0
    step = float(np.median(steps))
    if not np.allclose(steps, step, rtol=UNEVEN, atol=0.0):
        raise DataError(
            f"guidance={law!r} needs frames at even intervals, and the steps of {dim!r} go from "
            f"{_extremes(steps)} s; put in the missing ones with "
            f"ds.resample({dim}='{step:g}s').asfreq()"
        )
    return step


def _rounding(places: FloatArray, steps: FloatArray) -> float:
    """How much steps may differ because the places were rounded to single precision."""
    single = places.astype(np.float32)
    if not np.array_equal(single, places):
        return 0.0
    unit = float(np.spacing(np.abs(single).max(initial=0.0)))
    return min(2 * unit, MOST_UNEVEN * float(np.abs(np.median(steps))))


def _extremes(steps: FloatArray) -> str:
    return f"{steps.min():g} to {steps.max():g}"


def beside(field: Tensor, axis: int, cells: int) -> Tensor:
    """The values so many cells further along an axis that wraps around."""
    return torch.roll(field, -cells, dims=axis)
