"""What is known of a cell whether it was observed or not: values nearby in time and in space.

Whether a value decides over its own absence cannot be seen, since the absent value is not there.
Fields are smooth, so the values of the same cell at other times, and those of the cells around it
at the same time, stand for it: proxies, known where the cell is observed and where it is not.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ._typing import FloatArray, IntArray

__all__ = ["anomalies", "from_neighbours", "from_times", "pairs", "residuals"]

LAGS = 3
WIDTH = 1.0
LARGEST = 4.0
TINY = 1e-6


def residuals(values: FloatArray, weight: FloatArray, regressors: FloatArray) -> FloatArray:
    """What a regression of each cell on time leaves, at the entries of weight one.

    Each series has its own, unless there are more series than frames: then all have one.

    Parameters
    ----------
    values : float array, shape (S, N, H, W)
        Finite where the weight is one.
    weight : float array, shape (S, N, H, W)
        0 or 1.
    regressors : float array, shape (N, R)

    Returns
    -------
    float array, shape (S, N, H, W)
        Zero where the weight is zero.
    """
    s, n = values.shape[:2]
    if s > n:
        pooled = (1, s * n, *values.shape[2:])
        left = residuals(
            values.reshape(pooled), weight.reshape(pooled), np.tile(regressors, (s, 1))
        )
        return left.reshape(values.shape)
    phi = regressors.astype(np.float64)
    r = phi.shape[1]
    upper = np.triu_indices(r)
    products = phi[:, upper[0]] * phi[:, upper[1]]
    sums = np.einsum("nk,snhw->shwk", products, weight, optimize=True)
    gram = np.empty((*sums.shape[:-1], r, r))
    gram[..., upper[0], upper[1]] = sums
    gram[..., upper[1], upper[0]] = sums
    right = np.einsum("nr,snhw->shwr", phi, values * weight, optimize=True)
    tiny = 1e-6 * np.trace(gram, axis1=-2, axis2=-1)[..., None, None] / r + 1e-9
    found = np.linalg.solve(gram + tiny * np.eye(r), right[..., None])[..., 0]
    fitted = np.einsum("nr,shwr->snhw", phi, found, optimize=True)
    return np.asarray((values - fitted) * weight, dtype=np.float32)


def anomalies(values: FloatArray, regressors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Standardised departures from the regression of each cell on time.

    Parameters
    ----------
    values : float array, shape (S, N, H, W)
        NaN where not observed.
    regressors : float array, shape (N, R)

    Returns
    -------
    anomaly : float array, shape (S, N, H, W)
        In units of their standard deviation, at most four; zero where not observed.
    observed : float array, shape (S, N, H, W)
        0 or 1.
    """
    observed = np.isfinite(values).astype(np.float32)
    left = residuals(np.where(observed > 0, values, 0.0), observed, regressors)
    count = max(float(observed.sum()), 1.0)
    spread = float(np.sqrt(np.square(left, dtype=np.float64).sum() / count))
    return np.clip(left / max(spread, 1e-30), -LARGEST, LARGEST), observed


def from_times(
    anomaly: FloatArray, observed: FloatArray, frames: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Mean anomaly of the same cell up to three frames before and after.

    Each frame further away counts half.

    Parameters
    ----------
    anomaly : float array, shape (S, N, H, W)
        Zero where not observed.
    observed : float array, shape (S, N, H, W)
        0 or 1.
    frames : int array, shape (N,)
        Number of each frame in the record, rising.

    Returns
    -------
    proxy : float array, shape (S, N, H, W)
        Zero where nothing is known.
    known : float array, shape (S, N, H, W)
        Weight of what is known, in [0, 1].

    Examples
    --------
    >>> anomaly = np.array([1.0, 0.0, 3.0]).reshape(1, 3, 1, 1)
    >>> proxy, known = from_times(anomaly, (anomaly > 0).astype(float), np.arange(3))
    >>> proxy.ravel().tolist(), known.ravel().round(2).tolist()
    ([3.0, 2.0, 1.0], [0.14, 0.57, 0.14])
    """
    total, weight = np.zeros_like(anomaly), np.zeros_like(observed)
    for lag in range(1, LAGS + 1):
        share = 0.5 ** (lag - 1)
        for sign in (-lag, lag):
            here, there = pairs(frames, sign)
            total[:, here] += share * anomaly[:, there]
            weight[:, here] += share * observed[:, there]
    full = 2 * sum(0.5 ** (lag - 1) for lag in range(1, LAGS + 1))
    return total / np.maximum(weight, TINY), weight / full


def pairs(frames: IntArray, lag: int) -> tuple[IntArray, IntArray]:
    """Positions of frames, and of those that come so many frames later."""
    there = np.searchsorted(frames, frames + lag)
    inside = there < len(frames)
    inside[inside] = frames[there[inside]] == frames[inside] + lag
    return np.flatnonzero(inside), there[inside]


def from_neighbours(anomaly: FloatArray, observed: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean anomaly of the cells around, at most two away, in the same frame.

    The nearer count more, by a Gaussian of one cell.

    Parameters
    ----------
    anomaly : float array, shape (S, N, H, W)
        Zero where not observed.
    observed : float array, shape (S, N, H, W)
        0 or 1.

    Returns
    -------
    proxy : float array, shape (S, N, H, W)
        Zero where nothing is known.
    known : float array, shape (S, N, H, W)
        Weight of what is known, in [0, 1].

    Examples
    --------
    >>> row = np.array([2.0, 0.0, 4.0]).reshape(1, 1, 1, 3)
    >>> from_neighbours(row, (row > 0).astype(float))[0].ravel().round(3).tolist()
    [4.0, 3.0, 2.0]
    """
    kernel = np.exp(-0.5 * (np.arange(-2, 3) / WIDTH) ** 2)
    own = kernel[2] ** 2

    def around(field: FloatArray) -> FloatArray:
        near = ndimage.correlate1d(field, kernel, axis=-1, mode="constant")
        near = ndimage.correlate1d(near, kernel, axis=-2, mode="constant")
        return np.asarray(near - own * field)

    weight = around(observed)
    weight[weight < TINY] = 0.0
    proxy = np.where(weight > 0, around(anomaly) / np.maximum(weight, TINY), 0.0)
    return proxy.astype(anomaly.dtype), weight / (kernel.sum() ** 2 - own)
