"""A look at where the data are observed, bounded in memory, before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass

import dask
import numpy as np
import xarray as xr

from ._typing import BoolArray, FloatArray, IntArray
from .tiling import evenly

__all__ = ["Piece", "Sample", "observed_share", "sample_masks", "sample_values"]

MASK_FRAMES = 256
MASK_BYTES = 128 * 2**20
SAMPLE_VALUES = 2**23
SAMPLE_FRAMES = 512
RUN = 32
SQUARE = 32


def observed_share(packed: xr.DataArray) -> FloatArray:
    """How often each cell is observed, in one pass over all frames.

    Parameters
    ----------
    packed : DataArray, dims (series, time, channel, y, x)

    Returns
    -------
    float array, shape (C, H, W)
    """
    share = packed.notnull().mean(("series", "time")).transpose("channel", "y", "x")
    return np.asarray(share.values, dtype=np.float64)


def sample_masks(packed: xr.DataArray, window: int) -> BoolArray:
    """Observation masks of up to 256 frames a dataset, evenly spread.

    Parameters
    ----------
    packed : DataArray, dims (series, time, channel, y, x)
    window : int
        Runs of consecutive frames are at least this long, where the data allow.

    Returns
    -------
    bool array, shape (S, N, C, H, W)
    """
    packed = packed.transpose("series", "time", "channel", "y", "x")
    n_series, n_time = packed.shape[:2]
    most = int(min(MASK_FRAMES, max(4, MASK_BYTES // int(np.prod(packed.shape[2:])))))
    series = evenly(n_series, most // 4)
    frames = _frames(n_time, max(2, most // len(series)), window)
    lazy = [packed[int(s)].isel(time=frames).notnull() for s in series]
    return np.stack([np.asarray(piece.values) for piece in dask.compute(*lazy)])


def _frames(length: int, most: int, window: int) -> IntArray:
    """Runs of consecutive frames, spread over the axis so that slow changes are seen."""
    if length <= most:
        return np.arange(length)
    run = min(max(window, 8), max(1, most // 2))
    starts = np.unique(np.linspace(0, length - run, max(2, most // run)).round().astype(int))
    return np.unique((starts[:, None] + np.arange(run)).ravel())


@dataclass(frozen=True)
class Piece:
    """Values of a part of the grid, in some frames.

    Parameters
    ----------
    rows, columns : slice
        Where on the grid.
    values : float array, shape (S, N, C, h, w)
        NaN where not observed.
    """

    rows: slice
    columns: slice
    values: FloatArray


@dataclass(frozen=True)
class Sample:
    """A bounded part of the data: runs of frames, of the whole grid or of squares of it.

    Parameters
    ----------
    frames : int array, shape (N,)
        Number of each frame in the record.
    pieces : tuple of Piece
    """

    frames: IntArray
    pieces: tuple[Piece, ...]


def sample_values(packed: xr.DataArray, most: int = SAMPLE_VALUES) -> Sample:
    """Runs of frames, evenly spread; of a large grid, squares that are evenly spread.

    Parameters
    ----------
    packed : DataArray, dims (series, time, channel, y, x)
    most : int
        Values that are held at once.

    Returns
    -------
    Sample
    """
    packed = packed.transpose("series", "time", "channel", "y", "x")
    n_series, n_time, channels, height, width = packed.shape
    frames = _frames(n_time, SAMPLE_FRAMES, RUN)
    count = int(np.clip(SAMPLE_FRAMES * 4 // len(frames), 1, n_series))
    series = evenly(n_series, count)
    cells = max(1, most // (len(series) * len(frames) * channels))
    places = _squares(height, width, cells)
    part = packed.isel(series=series, time=frames)
    lazy = [part[..., rows, columns] for rows, columns in places]
    return Sample(
        frames,
        tuple(
            Piece(*place, np.asarray(values.values, dtype=np.float32))
            for place, values in zip(places, dask.compute(*lazy), strict=True)
        ),
    )


def _squares(height: int, width: int, cells: int) -> list[tuple[slice, slice]]:
    """All of the grid where it has so few cells, or else a lattice of squares."""
    if height * width <= cells:
        return [(slice(0, height), slice(0, width))]
    side = min(SQUARE, max(4, int(cells**0.5)))
    h, w = min(side, height), min(side, width)
    wanted = max(1, cells // (h * w))
    down = int(np.clip(round((wanted * height * w / (width * h)) ** 0.5), 1, height // h))
    across = int(np.clip(wanted // down, 1, width // w))
    tops = np.linspace(0, height - h, down + 2)[1:-1].round().astype(int)
    lefts = np.linspace(0, width - w, across + 2)[1:-1].round().astype(int)
    return [(slice(y, y + h), slice(x, x + w)) for y in map(int, tops) for x in map(int, lefts)]
