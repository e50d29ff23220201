"""Filling: windows and tiles through a sampler, blended, lazily and the same under any chunking.

The time axis is cut into segments whose places depend on its length alone. Each segment
reads the frames its windows touch (an explicit halo), so its result does not depend on
how the data are chunked or on who computes it; randomness is seeded by place.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
import xarray as xr

from ._typing import AnyArray, BoolArray, FloatArray
from .allocation import keep_memory
from .calibration import Calibration, distance_to_observed
from .coordinates import Coordinates
from .denoiser import Denoiser
from .exceptions import ImputeError
from .guidance import Penalty
from .guiding import Guide
from .imputation import gaussian
from .masks import MASKS
from .partition import Partition
from .planning import best_device
from .progress import progress_bar
from .samplers import Sampler
from .segments import Span, in_segments
from .sharing import as_one_task
from .successive_corrections import error_patterns
from .tiled import Tiled, cells_at_once
from .tiling import ramp, starts
from .transforms import Statistics
from .validation import check_block

__all__ = ["Filler", "reconstruct", "segment_frames"]

SEGMENT_BYTES = 32 * 2**20
SEGMENT_FRAMES = 64

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
    calibration : Calibration
        Of the standard error, by withheld observations.
    density : float, optional
        Share of cells in a training context, for ensembles.
    seed : int
    penalty : Penalty, optional
        For a sampler that is guided.
    members : int
        Draws of the posterior beside the mean.
    domain : bool array, shape (C, H, W), optional
        Cells that are wanted. Windows of frames which lack none of them are passed over, and such
        frames may come back as NaN.
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
    calibration: Calibration
    density: float | None = None
    seed: int = 0
    penalty: Penalty | None = None
    members: int = 0
    domain: BoolArray | None = None

    def __getstate__(self) -> dict[str, Any]:
        """For the way to a worker: the network on the CPU, and no masks that nobody draws from.

        Nor the patterns of the climatology's errors, which it draws itself.
        """
        state = dict(self.__dict__)
        state.pop("_climatological_errors", None)
        if next(self.denoiser.parameters()).device.type != "cpu":
            state["denoiser"] = copy.deepcopy(self.denoiser).cpu()
        if not self.sampler.draws:
            state["partition"] = Partition(MASKS.create("pixel"))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """On a worker: the network moves to its GPU, if it has one."""
        keep_memory()
        self.__dict__.update(state)
        self.denoiser.to(best_device())

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
        float array, shape (2 + members, stop - start, C, H, W)
            Mean, standard error and members in the units of the data.
        """
        low, high = self.segment(start, stop)
        z = self.statistics.forward(np.asarray(values, np.float32), self.regressors[low:high])
        check_block(values, z)
        mean, variance = self._blended(z, series, low, start, stop)
        observed = np.isfinite(z[start - low : stop - low])
        beside = self._kriging_variance(z, low, start, stop)
        if beside is None:
            beside = distance_to_observed(observed, periodic=self.periodic)
        pair = variance.swapaxes(0, 1), beside.swapaxes(0, 1)
        spread = np.sqrt(self.calibration.variance(*pair).swapaxes(0, 1))
        doubt = np.where(observed, np.float32(0.0), self.statistics.doubt)
        spread = np.hypot(spread, doubt)
        regressors = self.regressors[start:stop]
        about = None if self.sampler.in_place else spread  # a sample is not the mean of anything
        fields = [
            self.statistics.inverse(mean, regressors, spread=about),
            self.statistics.inverse_spread(spread, mean, regressors),
        ]
        fields += self._members(z, mean, spread, doubt, series, low, start, stop)
        return np.stack(fields).astype(np.float32, copy=False)

    def _members(
        self, z: FloatArray, mean: FloatArray, spread: FloatArray, doubt: FloatArray, series: int,
        low: int, start: int, stop: int,
    ) -> list[FloatArray]:  # fmt: skip
        """Draws about the mean, or samples of the diffusion, each (n, C, H, W).

        What is wrong with the climatology is drawn once for all frames.
        """
        if not self.members:
            return []
        inverse = partial(self.statistics.inverse, regressors=self.regressors[start:stop])
        size = self.statistics.trusted(spread)
        share = np.divide(doubt, spread, out=np.zeros_like(spread), where=spread > 0.0)
        lasting = [size * share * error for error in self._climatological_errors]
        if self.sampler.in_place:
            more = (
                self._blended(z, series, low, start, stop, draw=k)[0]
                for k in range(1, self.members)
            )
            return [
                inverse(draw + always) for draw, always in zip((mean, *more), lasting, strict=True)
            ]
        passing = size * np.sqrt(1.0 - share**2)
        return [
            inverse(mean + passing * error + always)
            for error, always in zip(
                self._unit_errors(z, series, low, start, stop), lasting, strict=True
            )
        ]

    @cached_property
    def _climatological_errors(self) -> FloatArray:
        """Unit errors (members, C, H, W) of the climatology where nothing was ever observed.

        The same in all segments of all series.
        """
        if not self.statistics.doubt.any():
            return np.zeros((self.members, 1, 1, 1), dtype=np.float32)
        drawn = [
            error_patterns(seen, self.members, self._rng(10, c), periodic=self.periodic)
            for c, seen in enumerate(self.statistics.domain)
        ]
        return np.stack(drawn, axis=1).astype(np.float32)

    def _blended(
        self, z: FloatArray, series: int, low: int, start: int, stop: int, draw: int = 0
    ) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of frames [start, stop), of all windows that touch them."""
        total = np.zeros((2, *z.shape), dtype=np.float64)
        weight = np.zeros((z.shape[0], 1, 1, 1), dtype=np.float64)
        share = ramp(self.window, self.window // 2)[:, None, None, None]
        for t, mean, variance in self._windows_of(z, series, low, start, stop, draw):
            span = slice(t - low, t - low + self.window)
            total[0, span] += share * mean
            total[1, span] += share * variance
            weight[span] += share
        inner = slice(start - low, stop - low)
        weight[weight == 0.0] = np.nan
        mean, variance = (total[:, inner] / weight[inner]).astype(np.float32)
        return mean, variance

    def _unit_errors(
        self, z: FloatArray, series: int, low: int, start: int, stop: int
    ) -> FloatArray:
        """Errors of members over the standard error, (members, n, C, H, W).

        Those of windows that overlap are joined so that their variance stays one.
        """
        first = self.denoiser.first
        if first is None:
            raise ImputeError("members are drawn with the covariance of first guesses")
        device = next(self.denoiser.parameters()).device
        missing = self._missing(z)
        total = np.zeros((self.members, *z.shape), dtype=np.float32)
        squares = np.zeros((z.shape[0], 1, 1, 1), dtype=np.float32)
        share = ramp(self.window, self.window // 2)[:, None, None, None]
        for t in self._gappy(missing, low, start, stop):
            span = slice(t - low, t - low + self.window)
            known, asked = (
                torch.from_numpy(part.swapaxes(0, 1).copy()).to(device)
                for part in (np.isfinite(z[span]).astype(np.float32), missing[span])
            )
            rng = self._rng(9, series, t)
            drawn = first.draw_errors(known, rng, self.members, self.periodic, asked)
            total[:, span] += share * drawn.cpu().numpy().swapaxes(1, 2)
            squares[span] += share**2
        inner = slice(start - low, stop - low)
        squares[squares == 0.0] = np.nan
        found: FloatArray = total[:, inner] / np.sqrt(squares[inner])
        return found

    def _windows_of(
        self, z: FloatArray, series: int, low: int, start: int, stop: int, draw: int
    ) -> Iterator[tuple[int, FloatArray, FloatArray]]:
        """First frame, mean and variance (T, C, H, W) of each window about a frame with gaps."""
        missing = self._missing(z)
        times = self._gappy(missing, low, start, stop)
        cells = self.window * int(np.prod(z.shape[1:]))
        size = max(1, cells_at_once(next(self.denoiser.parameters()).device) // cells)
        for k in range(0, len(times), size):
            group = times[k : k + size]
            mean, variance = self._predict(z, group, series, low, draw)
            yield from zip(group, mean, variance, strict=True)

    def _missing(self, z: FloatArray) -> BoolArray:
        """Cells that are wanted and not there."""
        missing: BoolArray = np.isnan(z) if self.domain is None else np.isnan(z) & self.domain
        return missing

    def _gappy(self, missing: BoolArray, low: int, start: int, stop: int) -> list[int]:
        """First frames of the windows about a frame of [start, stop) that misses something."""
        gappy = low + np.flatnonzero(missing.any(axis=(1, 2, 3)))
        gappy = gappy[(gappy >= start) & (gappy < stop)]
        return [t for t in self.windows() if ((gappy >= t) & (gappy < t + self.window)).any()]

    def _rng(self, purpose: int, *place: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([self.seed, purpose, *place]))

    def _noise(
        self, series: int, start: int, shape: tuple[int, ...], draw: tuple[int, ...]
    ) -> torch.Tensor:
        """Where a window starts from, (C, T, H, W): one field a frame, common to all windows."""
        rngs = [self._rng(8, series, start + k, *draw) for k in range(self.window)]
        return torch.stack([gaussian(shape, rng) for rng in rngs], dim=1)

    def _guide(self, penalty: Penalty, times: list[int], series: int) -> Guide:
        """The penalty of a standardised field of a window."""
        device = next(self.denoiser.parameters()).device
        regressors = [self.regressors[t : t + self.window] for t in times]
        means = [self.statistics.climatology(part).transpose(1, 0, 2, 3) for part in regressors]
        mean = torch.from_numpy(np.stack(means)).to(device)
        scale = torch.from_numpy(self.statistics.scale[:, None]).to(device)
        return lambda field, n: penalty(field * scale + mean[n], series)

    def _predict(
        self, z: FloatArray, times: list[int], series: int, low: int, draw: int
    ) -> tuple[FloatArray, FloatArray]:
        which = (draw,) if draw else ()
        device = next(self.denoiser.parameters()).device
        rows, columns = np.arange(z.shape[-2]), np.arange(z.shape[-1])
        cut = [z[t - low : t - low + self.window].transpose(1, 0, 2, 3) for t in times]
        features = [self.coordinates(slice(t, t + self.window), rows, columns) for t in times]
        values = torch.from_numpy(np.stack(cut)).to(device)
        observed = torch.isfinite(values)
        guide = {"guide": self._guide(self.penalty, times, series)} if self.penalty else {}
        with torch.inference_mode():
            out = self.sampler(
                Tiled(self.denoiser, self.tile, periodic=self.periodic),
                torch.where(observed, values, torch.zeros_like(values)),
                observed.to(values.dtype),
                torch.from_numpy(np.stack(features)).to(device),
                self.partition,
                [self._rng(3, series, t, *which) for t in times],
                self.density,
                torch.stack([self._noise(series, t, z.shape[1:], which) for t in times])
                if self.sampler.in_place
                else None,
                **guide,
            )
        mean, variance = (part.float().cpu().numpy().transpose(0, 2, 1, 3, 4) for part in out)
        return mean, variance

    def _kriging_variance(
        self, z: FloatArray, low: int, start: int, stop: int
    ) -> FloatArray | None:
        """The kriging variance (n, C, H, W) of frames [start, stop), where there is one.

        That of each frame comes from the window in whose middle it is, or nearly so.
        """
        first = self.denoiser.first
        if first is None or not self.calibration.kriged:
            return None
        device = next(self.denoiser.parameters()).device
        missing = self._missing(z)
        out = np.ones((stop - start, *z.shape[1:]), dtype=np.float32)
        for t, frames in self._middles(low, start, stop).items():
            inner = slice(t - low, t - low + self.window)
            asked = np.zeros_like(missing[inner])
            asked[frames - t] = missing[frames - low]
            if not asked.any():
                continue
            known, wanted = (
                torch.from_numpy(part.swapaxes(0, 1)[None].copy()).to(device)
                for part in (np.isfinite(z[inner]).astype(np.float32), asked)
            )
            found = first.variance(known, self.periodic, wanted)
            if found is not None:
                out[frames - start] = found[0].cpu().numpy().swapaxes(0, 1)[frames - t]
        return out

    def _middles(self, low: int, start: int, stop: int) -> dict[int, AnyArray]:
        """Of each window the frames that are nearer to its middle than to that of others."""
        windows = np.array([t for t in self.windows() if t < stop and t + self.window > start])
        frames = np.arange(start, stop)
        nearest = abs(frames[:, None] - windows - (self.window - 1) / 2).argmin(axis=1)
        return {int(windows[k]): frames[nearest == k] for k in np.unique(nearest)}


def segment_frames(shape: tuple[int, ...], window: int, members: int = 0) -> int:
    """Frames of a packed array (S, N, C, H, W) that are filled at once."""
    frame = 4 * int(np.prod(shape[2:])) * (2 + members) // 2
    return min(shape[1], max(window, min(SEGMENT_FRAMES, SEGMENT_BYTES // frame)))


def reconstruct(
    filler: Filler,
    packed: xr.DataArray,
    *,
    progress: bool = False,
    cuts: Sequence[int] = (),
) -> tuple[xr.DataArray, xr.DataArray, list[xr.DataArray]]:
    """Fill a packed array.

    Parameters
    ----------
    filler : Filler
    packed : DataArray, dims (series, time, channel, y, x)
        Lazy if backed by dask; then nothing is computed here.
    progress : bool
        Show a bar, when computing at once.
    cuts : sequence of int
        Frames at which a segment is to begin, besides the usual ones.

    Returns
    -------
    mean, standard_error : DataArray
        Like ``packed``.
    members : list of DataArray
        Each like ``packed``, as many as the filler draws.
    """
    packed = packed.transpose("series", "time", "channel", "y", "x")
    n_series, n_time = packed.shape[:2]
    length = segment_frames(packed.shape, filler.window, filler.members)
    edges = sorted({*range(0, n_time, length), *cuts, n_time})
    spans = list(zip(edges[:-1], edges[1:], strict=True))
    count = 2 + filler.members
    if packed.chunks is None:
        out = np.empty((count, *packed.shape), dtype=np.float32)
        jobs = [(s, a, b) for s in range(n_series) for a, b in spans]
        for s, a, b in progress_bar(jobs, show=progress, desc="fill", unit="block"):
            low, high = filler.segment(a, b)
            out[:, s, a:b] = filler(packed.values[s, low:high], s, a, b)
        mean, error, *members = (packed.copy(data=field) for field in out)
        return mean, error, members
    pieces = [Span(a, b, *filler.segment(a, b)) for a, b in spans]
    every = in_segments(packed.data, pieces, _apply, as_one_task(filler), lead=count)
    mean, error, *members = (packed.copy(data=every[k]) for k in range(count))
    return mean, error, members


def _apply(filler: Filler, values: FloatArray, series: int, start: int, stop: int) -> FloatArray:
    with _ONE_AT_A_TIME:
        return filler(values, series, start, stop)
