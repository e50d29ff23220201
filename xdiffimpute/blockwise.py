"""A method on frames, run over a packed array: lazily, and the same under any chunking.

The time axis is cut into blocks whose places depend on the size of the data alone. Each block
holds all of space and reads its own frames and as many before and after as the method needs,
so how the input is chunked cannot matter.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
import xarray as xr

from ._typing import BoolArray, FloatArray
from .calendar import Clock
from .compatibility import refuse_incompatible, tell_of_units
from .exceptions import CompatibilityError
from .fields import FieldSpec
from .geometry import Geometry
from .segments import Span, in_segments
from .sharing import as_one_task, settled
from .transforms import Statistics

__all__ = ["Filler", "Fitted", "FrameMethod", "block_frames", "geometry_of", "run"]

log = logging.getLogger("xdiffimpute")

BLOCK_BYTES = 16 * 2**20
BLOCK_FRAMES = 64


class FrameMethod(Protocol):
    """What is asked of a method."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def pointwise(self) -> bool:
        """Whether each gap cell is guessed by itself."""
        ...

    @property
    def gridded(self) -> bool:
        """Whether it holds something for each cell of the grid of its fit."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """Values in use."""
        ...

    def variant(self, **settings: Any) -> Self:
        """The same with other settings."""
        ...

    @property
    def frame_halo(self) -> int:
        """Frames on either side that a frame's result depends on."""
        ...

    def complete(
        self, frames: FloatArray, domain: BoolArray, geometry: Geometry, core: slice
    ) -> tuple[FloatArray, int, int]:
        """Frames of ``core`` filled inside ``domain``; cells left to the two fallbacks."""
        ...


@dataclass(frozen=True)
class Filler:
    """What a worker needs to fill a block.

    Parameters
    ----------
    methods : tuple of FrameMethod
        One for each channel.
    labels : tuple of str
        Names of the channels, for the log.
    statistics : Statistics
    regressors : float array, shape (N, R)
        Of all frames.
    domain : bool array, shape (C, H, W)
    geometry : Geometry
        With the times of all frames.
    told : set, optional
        Which channels' fallbacks were logged.
    """

    methods: tuple[FrameMethod, ...]
    labels: tuple[str, ...]
    statistics: Statistics
    regressors: FloatArray
    domain: BoolArray
    geometry: Geometry
    told: set[tuple[str, str]] = field(default_factory=set, compare=False, repr=False)

    @property
    def halo(self) -> int:
        """The widest of the methods'."""
        return max(method.frame_halo for method in self.methods)

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Frames to read for the frames [start, stop)."""
        return max(0, start - self.halo), min(len(self.regressors), stop + self.halo)

    def __call__(self, values: FloatArray, start: int, stop: int) -> FloatArray:
        """Fill frames [start, stop) of one series.

        Parameters
        ----------
        values : float array, shape (n, C, H, W)
            The frames of :meth:`span`, NaN where missing.
        start, stop : int

        Returns
        -------
        float32 array, shape (stop - start, C, H, W)
            In the units of the data.
        """
        low, high = self.span(start, stop)
        z = self.statistics.forward(np.asarray(values, np.float32), self.regressors[low:high])
        geometry = self.geometry.at(self.geometry.days[low:high])
        core = slice(start - low, stop - low)
        out = np.empty((stop - start, *z.shape[1:]), dtype=np.float32)
        for c, method in enumerate(self.methods):
            frames = np.ascontiguousarray(z[:, c])
            out[:, c], near, zero = method.complete(frames, self.domain[c], geometry, core)
            self._tell(method.name, self.labels[c], start, stop, near, zero)
        return self.statistics.inverse(out, self.regressors[start:stop])

    def _tell(self, name: str, label: str, start: int, stop: int, near: int, zero: int) -> None:
        """Log what a method left to the fallbacks: once a channel, not once a block."""
        where = (label, start, stop)
        if zero and (label, "zero") not in self.told:
            self.told.add((label, "zero"))
            log.warning(
                "%s cannot fill %d cells of %s in frames %d to %d (other frames may follow), which "
                "hold no observation that it could use; they get the climatology",
                name, zero, *where,
            )  # fmt: skip
        if near and (label, "near") not in self.told:
            self.told.add((label, "near"))
            log.info(
                "%s has no answer for %d cells of %s in frames %d to %d (other frames may follow); "
                "they get the nearest observation of their frame", name, near, *where,
            )  # fmt: skip


@dataclass(frozen=True)
class Fitted:
    """What a fit leaves: layout, climatology, and the tuned method of each channel.

    Parameters
    ----------
    spec : FieldSpec
    statistics : Statistics
    methods : tuple of FrameMethod
        With the settings of each channel.
    """

    spec: FieldSpec
    statistics: Statistics
    methods: tuple[FrameMethod, ...]

    def layout_of(self, ds: xr.Dataset) -> tuple[xr.DataArray, FieldSpec, BoolArray | xr.DataArray]:
        """The data packed, their layout, and the cells to fill, lazily on another grid."""
        refuse_incompatible(self.spec, ds)
        tell_of_units(self.spec, ds)
        packed = self.spec.pack(ds)
        if self.spec.same_grid(ds):
            return packed, self.spec, self.statistics.domain
        if self.statistics.kind != "variable":
            raise CompatibilityError(
                f"the baseline was fitted with a climatology for each cell on a grid of "
                f"{self.spec.shape} cells, and these data are on another; fit it on these data, "
                "or with statistics='variable'"
            )
        if any(method.gridded for method in self.methods):
            raise CompatibilityError(
                f"{self.methods[0].name!r} was fitted on a grid of {self.spec.shape} cells, and "
                "what it found belongs to these cells; these data are on another grid, so fit it "
                "on them"
            )
        domain = settled(packed.notnull().any(("series", "time")))
        return packed, self.spec.moved_to(ds), domain

    def filler(self, spec: FieldSpec, clock: Clock, domain: BoolArray) -> Filler:
        """What fills the cells of ``domain`` at the times of a clock."""
        return Filler(
            methods=self.methods,
            labels=tuple(channel.label for channel in spec.channels),
            statistics=self.statistics,
            regressors=clock.regressors(self.statistics.harmonics),
            domain=domain,
            geometry=geometry_of(spec, clock),
        )


def geometry_of(spec: FieldSpec, clock: Clock) -> Geometry:
    """Geometry of a layout and its times."""
    return Geometry.of(
        spec.shape, periodic=spec.periodic, latitude=spec.latitude, longitude=spec.longitude,
        days=clock.days,
    )  # fmt: skip


def block_frames(shape: tuple[int, ...]) -> int:
    """Frames of a packed array (S, N, C, H, W) that are filled at once."""
    return int(np.clip(BLOCK_BYTES // (4 * int(np.prod(shape[2:]))), 1, BLOCK_FRAMES))


def run(filler: Filler, packed: xr.DataArray) -> xr.DataArray:
    """Fill a packed array.

    Parameters
    ----------
    filler : Filler
    packed : DataArray, dims (series, time, channel, y, x)
        If it is lazy, nothing is computed here.

    Returns
    -------
    DataArray
        Like ``packed``.
    """
    n_time = packed.shape[1]
    length = block_frames(packed.shape)
    spans = [(a, min(n_time, a + length)) for a in range(0, n_time, length)]
    if packed.chunks is None:
        return packed.copy(data=_run_now(filler, packed.values, spans))
    pieces = [Span(a, b, *filler.span(a, b)) for a, b in spans]
    return packed.copy(data=in_segments(packed.data, pieces, _apply, as_one_task(filler)))


def _apply(filler: Filler, values: FloatArray, _: int, start: int, stop: int) -> FloatArray:
    return filler(values, start, stop)


def _run_now(filler: Filler, values: FloatArray, spans: list[tuple[int, int]]) -> FloatArray:
    """Values (S, N, C, H, W) in memory, on a thread for each core."""
    out = np.empty(values.shape, dtype=np.float32)

    def work(job: tuple[int, int, int]) -> None:
        s, start, stop = job
        low, high = filler.span(start, stop)
        out[s, start:stop] = filler(values[s, low:high], start, stop)

    jobs = [(s, start, stop) for s in range(len(values)) for start, stop in spans]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, jobs))
    return out
