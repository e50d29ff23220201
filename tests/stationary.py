"""Covariances of stationary Gaussian fields, by lag and as dense matrices."""

import numpy as np
import torch

from xdiffimpute.covariance import taper


def gaussian(height: int, width: int, reach: int, frames: int = 1, channels: int = 1):
    """Covariance with a length of three cells and two frames, and channels that go together."""
    y, x = torch.meshgrid(*(torch.arange(-reach, reach + 1.0),) * 2, indexing="ij")
    space = torch.exp(-(y**2 + 0.5 * x**2) / (2 * 3.0**2)) * taper((reach, reach), reach + 1.0)
    time = torch.exp(-torch.arange(frames) / 2.0)
    joint = torch.full((channels, channels), 0.6).fill_diagonal_(1.0)
    return joint[:, :, None, None, None] * time[:, None, None] * space


def dense(lags, height: int, width: int, frames: int):
    """The covariance matrix of all channels, frames and cells of a window."""
    channels, reach = len(lags), lags.shape[-1] // 2
    cells = [(c, t, y, x) for c in range(channels) for t in range(frames)
             for y in range(height) for x in range(width)]  # fmt: skip
    out = np.zeros((len(cells), len(cells)))
    for i, (c, t, y, x) in enumerate(cells):
        for j, (d, s, v, u) in enumerate(cells):
            if abs(v - y) <= reach and abs(u - x) <= reach:
                one = (c, d, s - t, v - y, u - x) if s >= t else (d, c, t - s, y - v, x - u)
                out[i, j] = lags[one[0], one[1], one[2], one[3] + reach, one[4] + reach]
    return out
