"""Observations hidden in the data's own gap shapes, to see how well a method does.

The gaps around one frame are laid over the observations around another (in time too, so that
gaps that last stay as long). Where all frames share their gaps, a frame's own gaps are turned
over. A handful of seeded trials, on part of the grid if that is large, bounds the cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ._typing import AnyArray, BoolArray, FloatArray
from .tiling import starts

__all__ = ["Trial", "make_trials", "without"]

TRIALS = 6
MOST_TRIALS = 48
ENOUGH_CELLS = 30_000
TILE = 192
WHOLE_CELLS = 2**16
WINDOW_BYTES = 32 * 2**20
MAX_CELLS = 1500


@dataclass(frozen=True)
class Trial:
    """Frames of one series with some cells of one frame to be guessed.

    Parameters
    ----------
    series : int
    times : int array, shape (n,)
        Frames that are seen.
    now : int
        Which of them is guessed.
    rows, columns : slice
        Part of the grid.
    values : float array, shape (n, C, h, w)
        NaN where missing or hidden.
    truth : float array, shape (C, h, w)
        Of the guessed frame, NaN but at hidden cells.
    """

    series: int
    times: AnyArray
    now: int
    rows: slice
    columns: slice
    values: FloatArray
    truth: FloatArray

    @property
    def hidden(self) -> BoolArray:
        """Cells to be guessed, shape (C, h, w)."""
        return np.isfinite(self.truth)

    def sample(self, channel: int, seed: int) -> BoolArray:
        """At most 1500 hidden cells of one channel, shape (h, w)."""
        cells = np.flatnonzero(self.hidden[channel])
        if len(cells) > MAX_CELLS:
            cells = np.random.default_rng(seed).choice(cells, MAX_CELLS, replace=False)
        out = np.zeros(self.truth.shape[1:], dtype=bool)
        out.flat[cells] = True
        return out


def make_trials(packed: xr.DataArray, halo: int, seed: int) -> list[Trial]:
    """Hide observations of a few frames.

    Parameters
    ----------
    packed : DataArray, dims (series, time, channel, y, x)
        Only the frames that are drawn are computed.
    halo : int
        Frames to see on either side of the guessed one.
    seed : int

    Returns
    -------
    list of Trial
        Six on a large grid, more on a small one; fewer, or none, where there is too little
        to hide.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xBA5E]))
    n_series, n_time, channels, h, w = packed.shape
    least = int(np.clip(24 // channels, 3, TRIALS))
    wanted = int(np.clip(ENOUGH_CELLS // (channels * h * w), least, MOST_TRIALS))
    slots = rng.permutation(n_series * n_time)[: 3 * wanted]
    places = [(int(k) // n_time, int(k) % n_time) for k in slots]
    out: list[Trial] = []
    for place in places:
        trial = _trial(packed, place, [p for p in places if p != place], halo, rng)
        if trial is not None:
            out.append(trial)
        if len(out) == wanted:
            break
    return out


def without(packed: xr.DataArray, trial: Trial) -> xr.DataArray:
    """The packed array with the hidden cells of a trial's guessed frame missing."""
    keep = np.ones(packed.shape[1:], dtype=bool)
    keep[trial.times[trial.now], :, trial.rows, trial.columns] &= ~trial.hidden
    mask = xr.DataArray(keep, dims=packed.dims[1:])
    return packed.where(
        mask | (xr.DataArray(np.arange(packed.shape[0]), dims="series") != trial.series)
    )


def _trial(
    packed: xr.DataArray,
    place: tuple[int, int],
    donors: list[tuple[int, int]],
    halo: int,
    rng: np.random.Generator,
) -> Trial | None:
    series, time = place
    n_time = packed.sizes["time"]
    times = np.arange(max(0, time - halo), min(n_time, time + halo + 1))
    rows, columns = _tile(packed, place, len(times))
    values = _read(packed, series, times, rows, columns)
    now = int(time - times[0])
    observed = np.isfinite(values)
    shapes = (
        np.isfinite(_read(packed, s, (times - time + t) % n_time, rows, columns)) for s, t in donors
    )
    for gaps in _gap_shapes(shapes, observed, rng):
        hidden = observed & gaps
        count, total = int(hidden[now].sum()), int(observed[now].sum())
        if count >= max(4, 0.01 * total) and total - count >= max(4, 0.05 * total):
            truth = np.where(hidden[now], values[now], np.float32(np.nan))
            seen = np.where(hidden, np.float32(np.nan), values)
            return Trial(series, times, now, rows, columns, seen, truth)
    return None


def _gap_shapes(
    donors: Iterator[BoolArray], observed: BoolArray, rng: np.random.Generator
) -> Iterator[BoolArray]:
    """Gaps to try: of other frames, of these turned over, and at random. (n, C, h, w) each."""
    for _, donor in zip(range(4), donors, strict=False):
        yield ~donor
    for axes in rng.permutation(np.array([(-1, -1), (-2, -2), (-2, -1)])):
        yield ~np.flip(observed, axis=tuple({int(a) for a in axes}))
    yield np.broadcast_to(rng.random(observed.shape[-2:]) < 0.3, observed.shape)


def _read(
    packed: xr.DataArray, series: int, times: AnyArray, rows: slice, columns: slice
) -> FloatArray:
    part = packed.isel(series=series, time=times, y=rows, x=columns)
    return np.asarray(part.values, dtype=np.float32)


def _tile(packed: xr.DataArray, place: tuple[int, int], frames: int) -> tuple[slice, slice]:
    """The whole grid, or the part of it where gaps and observations meet most."""
    channels, h, w = packed.shape[2:]
    side = int(np.clip(np.sqrt(WINDOW_BYTES / (4 * frames * channels)), 64, TILE))
    if h * w <= min(WHOLE_CELLS, 2 * side**2):
        return slice(0, h), slice(0, w)
    observed = np.isfinite(packed.isel(series=place[0], time=place[1]).values).mean(axis=0)
    best, chosen = -1.0, (slice(0, h), slice(0, w))
    for y in starts(h, min(h, side), max(1, side // 2)):
        for x in starts(w, min(w, side), max(1, side // 2)):
            part = (slice(y, min(h, y + side)), slice(x, min(w, x + side)))
            share = float(observed[part].mean())
            if share * (1.0 - share) > best:
                best, chosen = share * (1.0 - share), part
    return chosen
