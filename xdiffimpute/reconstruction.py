"""Filling: windows and tiles through a sampler, blended, lazily and the same under any chunking.

The time axis is cut into segments whose places depend on its length alone. Each segment
reads the frames its windows touch (an explicit halo), so its result does not depend on
how the data are chunked or on who computes it; randomness is seeded by place.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import dask
import dask.array as da
import numpy as np
import torch
import xarray as xr
from tqdm import tqdm

from ._typing import FloatArray, IntArray
from .denoiser import Denoiser, Prediction
from .partition import Partition
from .samplers import Sampler
from .streaming import Coordinates
from .tiling import ramp, starts, surroundings
from .transforms import Statistics

Place: TypeAlias = tuple[int, IntArray, IntArray]

__all__ = ["Filler", "reconstruct"]

SEGMENT_BYTES = 32 * 2**20
SEGMENT_FRAMES = 64
CELLS_AT_ONCE = 400_000
FILL_MARGIN = 96

_ONE_AT_A_TIME = threading.Lock()  # a network uses all cores by itself; dask threads would fight


@dataclass
class Filler:
    """Everything needed to fill a segment of frames; travels to workers as one object.

    Parameters
    ----------
    denoiser : Denoiser
    statistics : Statistics
    coordinates : Coordinates
        Of all frames.
    regressors : float array, shape (N, R)
        Of all frames, for the climatology.
    partition : Partition
    sampler : Sampler
    window : int
    tile : (int, int)
    periodic : bool
    inflation : float array, shape (C,)
        Factor of the standard error found on withheld observations.
    density : float, optional
        Share of cells in a training context, for ensembles.
    seed : int
    """

    denoiser: Denoiser
    statistics: Statistics
    coordinates: Coordinates
    regressors: FloatArray
    partition: Partition
    sampler: Sampler
    window: int
    tile: tuple[int, int]
    periodic: bool
    inflation: FloatArray
    density: float | None = None
    seed: int = 0

    @property
    def frames(self) -> int:
        """Length of the time axis."""
        return len(self.regressors)

    def windows(self) -> list[int]:
        """First frames of all windows."""
        return starts(self.frames, self.window, max(1, self.window // 2))

    def segment(self, start: int, stop: int) -> tuple[int, int]:
        """Frames that the windows touching [start, stop) read."""
        touching = [t for t in self.windows() if t < stop and t + self.window > start]
        return touching[0], min(touching[-1] + self.window, self.frames)

    def __call__(self, values: FloatArray, series: int, start: int, stop: int) -> FloatArray:
        """Fill frames [start, stop).

        Parameters
        ----------
        values : float array, shape (n, C, H, W)
            The frames of ``segment(start, stop)``, NaN where not observed.
        series, start, stop : int

        Returns
        -------
        float array, shape (2, stop - start, C, H, W)
            Mean and standard error in the units of the data.
        """
        low, high = self.segment(start, stop)
        z = self.statistics.forward(np.asarray(values, np.float32), self.regressors[low:high])
        total = np.zeros((2, *z.shape), dtype=np.float64)
        weight = np.zeros((z.shape[0], 1, *z.shape[2:]), dtype=np.float64)
        in_time = ramp(self.window, self.window // 2)
        for (t, y, x), kernel, mean, variance in self._pieces(z, series, low, start, stop):
            span = slice(t - low, t - low + self.window)
            share = in_time[:, None, None, None] * kernel
            at = (span, slice(None), y[:, None], x[None, :])
            total[0][at] += share * mean
            total[1][at] += share * variance
            weight[at] += share
        inner = slice(start - low, stop - low)
        mean = (total[0, inner] / weight[inner]).astype(np.float32)
        spread = np.sqrt(total[1, inner] / weight[inner]).astype(np.float32)
        spread *= self.inflation.astype(np.float32)[:, None, None]
        regressors = self.regressors[start:stop]
        return np.stack(
            [
                self.statistics.inverse(mean, regressors),
                self.statistics.inverse_spread(spread, mean, regressors),
            ]
        ).astype(np.float32)

    def _pieces(
        self, z: FloatArray, series: int, low: int, start: int, stop: int
    ) -> Iterator[tuple[Place, FloatArray, FloatArray, FloatArray]]:
        h, w = z.shape[-2:]
        th, tw = self.tile
        wrap = self.periodic and tw < w
        rows: list[IntArray] = [y + np.arange(th) for y in starts(h, th, max(1, 2 * th // 3))]
        columns: list[IntArray] = [
            (x + np.arange(tw)) % w for x in starts(w, tw, max(1, 2 * tw // 3), periodic=wrap)
        ]
        kernel: FloatArray = np.outer(
            ramp(th, th // 3 if th < h else 0), ramp(tw, tw // 3 if tw < w else 0)
        )[None, None]
        times = [t for t in self.windows() if t < stop and t + self.window > start]
        places = [(t, y, x) for t in times for y in rows for x in columns]
        size = max(1, CELLS_AT_ONCE // (self.window * th * tw * z.shape[1]))
        for k in range(0, len(places), size):
            group = places[k : k + size]
            mean, variance = self._predict(z, group, series, low)
            for i, place in enumerate(group):
                yield place, kernel, mean[i], variance[i]

    def _predict(
        self, z: FloatArray, places: list[Place], series: int, low: int
    ) -> tuple[FloatArray, FloatArray]:
        device = next(self.denoiser.parameters()).device
        h, w = z.shape[-2:]
        wrap = self.periodic and self.tile[1] < w
        cut, features, offsets = [], [], []
        for t, y, x in places:
            rows, above = surroundings(int(y[0]), len(y), h, FILL_MARGIN)
            columns, left = surroundings(int(x[0]), len(x), w, FILL_MARGIN, periodic=wrap)
            part = z[t - low : t - low + self.window, :, rows[0] : rows[-1] + 1][..., columns]
            cut.append(part.transpose(1, 0, 2, 3))
            features.append(self.coordinates(slice(t, t + self.window), y, x))
            offsets.append((above, left))
        values = torch.from_numpy(np.stack(cut)).to(device)
        observed = torch.isfinite(values)
        seed = [self.seed, 3, series, places[0][0], *(int(axis[0]) for axis in places[0][1:])]
        with torch.inference_mode():
            out: Prediction = self.sampler(
                self.denoiser,
                torch.where(observed, values, torch.zeros_like(values)),
                observed.to(values.dtype),
                torch.from_numpy(np.stack(features)).to(device),
                self.partition,
                np.random.default_rng(np.random.SeedSequence(seed)),
                self.density,
                offsets,
            )
        mean, variance = (part.float().cpu().numpy().transpose(0, 2, 1, 3, 4) for part in out)
        return mean, variance


def reconstruct(
    filler: Filler, packed: xr.DataArray, *, progress: bool = False
) -> tuple[xr.DataArray, xr.DataArray]:
    """Fill a packed array.

    Parameters
    ----------
    filler : Filler
    packed : DataArray, dims (series, time, channel, y, x)
        Lazy if backed by dask; then nothing is computed here.
    progress : bool
        Show a bar, when computing at once.

    Returns
    -------
    mean, standard_error : DataArray
        Like ``packed``.
    """
    packed = packed.transpose("series", "time", "channel", "y", "x")
    n_series, n_time, c, h, w = packed.shape
    length = min(n_time, max(filler.window, min(SEGMENT_FRAMES, SEGMENT_BYTES // (4 * c * h * w))))
    edges = [*range(0, n_time, length), n_time]
    spans = list(zip(edges[:-1], edges[1:], strict=True))
    if packed.chunks is None:
        out = np.empty((2, *packed.shape), dtype=np.float32)
        jobs = [(s, a, b) for s in range(n_series) for a, b in spans]
        for s, a, b in tqdm(jobs, disable=not progress, desc="fill", unit="block", file=sys.stderr):
            low, high = filler.segment(a, b)
            out[:, s, a:b] = filler(packed.values[s, low:high], s, a, b)
        return packed.copy(data=out[0]), packed.copy(data=out[1])
    handle = dask.delayed(filler, pure=False)
    series = []
    for s in range(n_series):
        parts = []
        for a, b in spans:
            low, high = filler.segment(a, b)
            task = dask.delayed(_apply, pure=False)(handle, packed.data[s, low:high], s, a, b)
            parts.append(da.from_delayed(task, shape=(2, b - a, c, h, w), dtype=np.float32))
        series.append(da.concatenate(parts, axis=1))
    both = da.stack(series, axis=1)
    return packed.copy(data=both[0]), packed.copy(data=both[1])


def _apply(filler: Filler, values: FloatArray, series: int, start: int, stop: int) -> FloatArray:
    with _ONE_AT_A_TIME:
        return filler(values, series, start, stop)
