"""Observations set aside, in the shape of the data's own gaps, to measure skill honestly.

A withheld cell is never part of a context, a query, or a statistic, except that weights of
propensity, where they are asked for, are two numbers a channel from all observations. What is
withheld is drawn by a partition in the shape of the data's gaps, so the score answers the question
a user has: how good is the fill in gaps like mine?
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import dask
import numpy as np
import xarray as xr

from ._typing import AnyArray, BoolArray, FloatArray
from .calendar import Clock
from .partition import Partition

__all__ = ["Withheld", "withhold"]

KEPT = 0.8
RECOGNISED = 1e-5
RUNS = 4
MAX_FRAMES = 128
MAX_CELLS = 2**20  # of these frames, on a large grid


@dataclass(frozen=True)
class Withheld:
    """Cells of some frames that are set aside.

    Parameters
    ----------
    series, time : int arrays, shape (M,)
        Which frames of the packed array.
    labels : str array, shape (M,)
        The time of each frame, so that it is found again in another selection of the data.
    masks : bool array, shape (M, C, H, W)
        True where withheld.
    sums : float array, shape (M,)
        Sum of the values that are withheld, by which they are recognised again.
    whole : int array, shape (A,)
        Series of which the same cells are withheld in all frames, of which those above are a part.
    cells_of_whole : bool array, shape (A, C, H, W)
        Those cells.
    """

    series: AnyArray
    time: AnyArray
    labels: AnyArray
    masks: BoolArray
    sums: FloatArray
    whole: AnyArray = field(default_factory=lambda: np.empty(0, dtype=int))
    cells_of_whole: BoolArray = field(default_factory=lambda: np.empty((0, 1, 1, 1), dtype=bool))

    def __len__(self) -> int:
        return len(self.time)

    @property
    def cells(self) -> int:
        """Number of withheld cells of the frames above, all channels."""
        return int(self.masks.sum())

    def some(self, frames: BoolArray) -> Withheld:
        """Those of some of the frames, (M,)."""
        fields = ("series", "time", "labels", "masks", "sums")
        return replace(self, **{name: getattr(self, name)[frames] for name in fields})

    def edges(self) -> list[int]:
        """Frames at which runs of withheld frames begin, and those after their last ones."""
        frames = {int(t) for t in self.time}
        around = frames | {t + 1 for t in frames}
        return sorted(t for t in around if (t in frames) != (t - 1 in frames))

    def remove(self, packed: xr.DataArray) -> xr.DataArray:
        """The packed array with the withheld cells missing; lazy if the input is.

        Parameters
        ----------
        packed : DataArray, dims (series, time, channel, y, x)

        Returns
        -------
        DataArray
        """
        if packed.chunks is None:
            values = packed.values.copy()
            return packed.copy(data=self._blank(values, [(0, n) for n in values.shape]))
        data = packed.data.map_blocks(_blank_chunk, withheld=self, meta=packed.data._meta)
        return packed.copy(data=data)

    def _blank(self, values: FloatArray, location: list[tuple[int, int]]) -> FloatArray:
        (s0, s1), (t0, t1), (c0, c1), (y0, y1), (x0, x1) = location
        here = (self.series >= s0) & (self.series < s1) & (self.time >= t0) & (self.time < t1)
        for k in np.flatnonzero(here):
            frame = values[self.series[k] - s0, self.time[k] - t0]
            frame[self.masks[k, c0:c1, y0:y1, x0:x1]] = np.nan
        for s, mask in zip(self.whole, self.cells_of_whole, strict=True):
            if s0 <= s < s1:
                values[s - s0][:, mask[c0:c1, y0:y1, x0:x1]] = np.nan
        return values

    def hidden(self, series: int, start: int, frames: int) -> BoolArray:
        """Withheld cells of consecutive frames of a series, shape (C, frames, H, W)."""
        _, c, h, w = self.masks.shape
        hidden = np.zeros((c, frames, h, w), dtype=bool)
        inside = (self.time >= start) & (self.time < start + frames)
        for k in np.flatnonzero((self.series == series) & inside):
            hidden[:, self.time[k] - start] = self.masks[k]
        for k in np.flatnonzero(self.whole == series):
            hidden |= self.cells_of_whole[k][:, None]
        return hidden

    def matched(self, packed: xr.DataArray, labels: AnyArray) -> Withheld | None:
        """The part of this that another selection of the same data holds.

        A frame is recognised by its time and by the values that were withheld of it, wherever it
        stands now.

        Parameters
        ----------
        packed : DataArray, dims (series, time, channel, y, x)
        labels : str array, shape (T,)
            Times of its frames.

        Returns
        -------
        Withheld or None
            With indices into ``packed``; None where no frame is recognised.
        """
        places = {str(label): k for k, label in enumerate(labels)}
        frames = {k: places[str(v)] for k, v in enumerate(self.labels) if str(v) in places}
        count = packed.sizes["series"]
        if not frames or tuple(packed.shape[2:]) != self.masks.shape[1:]:
            return None
        own = {k: int(self.series[k]) for k in frames if self.series[k] < count}
        lazy = [packed.isel(series=s, time=frames[k]) for k, s in own.items()]
        found = {
            k: s
            for (k, s), values in zip(own.items(), dask.compute(*lazy), strict=True)
            if self._is(k, values)
        }
        for k in frames.keys() - found.keys() if count > 1 or not found else ():
            for s, values in enumerate(packed.isel(time=frames[k]).compute()):
                if self._is(k, values):
                    found[k] = s
                    break
        if not found:
            return None
        keep = sorted(found)
        now = {int(self.series[k]): found[k] for k in keep}
        rows = [k for k, s in enumerate(self.whole) if int(s) in now]
        return Withheld(
            np.array([found[k] for k in keep]), np.array([frames[k] for k in keep]),
            self.labels[keep], self.masks[keep], self.sums[keep],
            np.array([now[int(self.whole[k])] for k in rows], dtype=int), self.cells_of_whole[rows],
        )  # fmt: skip

    def _is(self, k: int, values: xr.DataArray) -> bool:
        """Whether a frame (C, H, W) holds the values that were withheld; some must have been."""
        if not self.masks[k].any():
            return False
        part = np.asarray(values.values, dtype=np.float64)[self.masks[k]]
        near = RECOGNISED * np.abs(part).sum() + 1e-30
        return bool(np.isfinite(part).all() and abs(part.sum() - self.sums[k]) <= near)

    def to_arrays(self) -> dict[str, AnyArray]:
        """Arrays for a checkpoint: masks as packed bits, labels as bytes."""
        return {
            "series": self.series.astype(np.int64),
            "time": self.time.astype(np.int64),
            "labels": np.frombuffer("\n".join(map(str, self.labels)).encode(), dtype=np.uint8),
            "masks": np.packbits(self.masks),
            "sums": self.sums,
            "whole": self.whole,
            "cells_of_whole": self.cells_of_whole,
            "shape": np.array(self.masks.shape, dtype=np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, AnyArray]) -> Withheld:
        """Rebuild from :meth:`to_arrays`."""
        shape = tuple(int(n) for n in arrays["shape"])
        bits = np.unpackbits(arrays["masks"], count=int(np.prod(shape)))
        labels = np.array(bytes(arrays["labels"]).decode().split("\n"))
        masks = bits.astype(bool).reshape(shape)
        return cls(
            arrays["series"], arrays["time"], labels, masks, arrays["sums"],
            arrays["whole"], arrays["cells_of_whole"].astype(bool),
        )  # fmt: skip


def _blank_chunk(
    values: FloatArray, withheld: Withheld, block_info: dict[Any, Any] | None = None
) -> FloatArray:
    if block_info is None or values.size == 0:
        return values
    return withheld._blank(values.copy(), block_info[0]["array-location"])


def withhold(
    packed: xr.DataArray,
    clock: Clock,
    partition: Partition,
    *,
    window: int,
    fraction: float = 0.1,
    most: int = MAX_FRAMES,
    seed: int = 0,
) -> Withheld:
    """Choose observations to set aside.

    Runs of frames are drawn at random and thinned by the pattern of ``partition``; what the
    thinning removes is withheld: a fifth of the observations, or what the data's own masks
    would hide, so that the fill is judged near the density it works at. Where gaps are the
    same in all frames of a series, whole series are drawn, since otherwise the neighbouring
    frames would give the answer away; of a series too long for that, the same cells are withheld
    in all frames.

    Parameters
    ----------
    packed : DataArray, dims (series, time, channel, y, x)
    clock : Clock
        Times of the frames.
    partition : Partition
    window : int
        Frames the imputer sees at once; the longest run.
    fraction : float
        Share of the frames to draw, of a large grid fewer.
    most : int
        Frames to draw at most.
    seed : int

    Returns
    -------
    Withheld
    """
    sizes = dict(packed.sizes)
    n_series, n_time = sizes["series"], sizes["time"]
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5EED]))
    cells = sizes["channel"] * sizes["y"] * sizes["x"]
    most = int(np.clip(MAX_CELLS // cells, min(RUNS * window, most), most))
    wanted = int(np.clip(round(fraction * n_series * n_time), min(RUNS, most), most))
    static = partition.pattern.static and n_time > 1
    run = n_time if static else int(min(window, max(1, wanted // RUNS), n_time))
    limit = max(1, n_series // 4) if static else max(1, n_series * n_time // (2 * run))
    count = int(np.clip(wanted // run, min(2 if static else RUNS, limit), limit))
    if static and n_time > most:
        return _withhold_for_good(packed, clock, partition, window, most, rng)
    series, time, masks, sums = [], [], [], []
    for s, t in _runs(packed, run, count, rng):
        values = _frames_of(packed, s, slice(t, t + run))
        observed = np.isfinite(values)
        kept, _ = partition.split(observed, rng, None if partition.ratio is None else KEPT)
        hidden = observed & ~kept
        for k in range(values.shape[1]):
            series.append(s)
            time.append(t + k)
            masks.append(hidden[:, k])
            sums.append(values[:, k][hidden[:, k]].sum())
    return _gathered(packed, clock, series, time, masks, sums)


def _withhold_for_good(
    packed: xr.DataArray,
    clock: Clock,
    partition: Partition,
    window: int,
    most: int,
    rng: np.random.Generator,
) -> Withheld:
    """Cells of one long series, in all its frames; a few runs of them are there to be judged."""
    (s, first), *_ = _runs(packed, min(window, most), 1, rng)
    count = max(1, most // (2 * window))
    starts = np.linspace(0, packed.sizes["time"] - window, count).round().astype(int)
    starts = np.unique([first, *starts])
    runs = {int(t): _frames_of(packed, s, slice(t, t + window)) for t in starts}
    seen = np.any([np.isfinite(v).any(axis=1, keepdims=True) for v in runs.values()], axis=0)
    kept, _ = partition.split(seen, rng, None if partition.ratio is None else KEPT)
    cells = (seen & ~kept)[:, 0]
    time: list[int] = []
    masks, sums = [], []
    for t, values in runs.items():
        for k in range(values.shape[1]):
            if time and t + k <= time[-1]:
                continue
            mask = cells & np.isfinite(values[:, k])
            time.append(t + k)
            masks.append(mask)
            sums.append(values[:, k][mask].sum())
    found = _gathered(packed, clock, [s] * len(time), time, masks, sums)
    return replace(found, whole=np.array([s]), cells_of_whole=cells[None])


def _frames_of(packed: xr.DataArray, series: int, frames: slice) -> FloatArray:
    """Frames of a series in float64, shape (C, T, H, W)."""
    block = packed.isel(series=series, time=frames).transpose("channel", "time", "y", "x")
    return np.asarray(block.values, dtype=np.float64)


def _gathered(
    packed: xr.DataArray,
    clock: Clock,
    series: list[int],
    time: list[int],
    masks: list[BoolArray],
    sums: list[float],
) -> Withheld:
    sizes = packed.sizes
    shape = (0, sizes["channel"], sizes["y"], sizes["x"])
    index = np.array(time, dtype=int)
    return Withheld(
        np.array(series, dtype=int),
        index,
        clock.labels[index] if len(index) else np.array([], dtype=str),
        np.stack(masks) if masks else np.zeros(shape, dtype=bool),
        np.array(sums),
    )


def _runs(
    packed: xr.DataArray, run: int, count: int, rng: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """Distinct starts (series, time) of runs that do not overlap and hold observations."""
    n_series, n_time = packed.sizes["series"], packed.sizes["time"]
    slots = [(s, t) for s in range(n_series) for t in range(0, max(1, n_time - run + 1), run)]
    order = rng.permutation(len(slots))
    chosen = [slots[int(k)] for k in order[:count]]
    lazy = [packed.isel(series=s, time=slice(t, t + run)).notnull().any() for s, t in chosen]
    if not all(bool(seen) for seen in dask.compute(*lazy)):
        frames = packed.notnull().any(("channel", "y", "x")).compute().values
        full = [k for k in order if frames[slots[k][0]][slots[k][1] : slots[k][1] + run].any()]
        chosen = [slots[int(k)] for k in full[:count]]
    return iter(sorted(chosen))
