"""A look at where the data are observed, bounded in memory, before anything is decided."""

from __future__ import annotations

import dask
import numpy as np
import xarray as xr

from ._typing import BoolArray, FloatArray, IntArray

__all__ = ["observed_share", "sample_masks"]

MASK_FRAMES = 256
MASK_BYTES = 128 * 2**20


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
    series = np.unique(np.linspace(0, n_series - 1, min(n_series, most // 4)).round().astype(int))
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
