"""Regression of every cell on time, by normal equations summed over the blocks of a store.

The sums of the blocks are added, so one pass is enough and the order of blocks does not
matter. The coefficients of a cell are shrunk to those of its neighbourhood, as if that had been
seen ``PRIOR_FRAMES`` more times, so a cell with few observations is safe. Those of a cell that was
never seen are spread from the others by :mod:`xdiffimpute.successive_corrections`.
"""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import xarray as xr
from scipy import ndimage

from ._typing import BoolArray, FloatArray
from .successive_corrections import expected_error, spread_from

__all__ = ["constant_only", "normal_equations", "solve"]

PRIOR_FRAMES = 8.0
NEIGHBOURHOOD = 4.0
BLOCK_CELLS = 2**23
AT_ONCE = 16  # chunks of a store; the sums of no more than these are held beside the total


def normal_equations(
    packed: xr.DataArray, regressors: FloatArray, logs: BoolArray, floor: FloatArray
) -> dict[str, FloatArray]:
    """Normal equations of every cell: upper triangle of X'X, X'y, and y'y.

    Parameters
    ----------
    packed : DataArray, dims (series, time, channel, y, x)
    regressors : float array, shape (N, R)
        X, of all frames.
    logs : bool array, shape (C,)
    floor : float array, shape (C,)
        Added before the logarithm.

    Returns
    -------
    dict of float arrays
        ``xtx`` (R (R + 1) / 2, C, H, W), ``xty`` (R, C, H, W) and ``yty`` (C, H, W).
    """
    if packed.chunks is None:
        total = _memory_sums(packed.values, regressors, logs, floor)
    else:
        total = _store_sums(packed.data, regressors, logs, floor)
    r = regressors.shape[1]
    pairs = r * (r + 1) // 2
    return {"xtx": total[:pairs], "xty": total[pairs : pairs + r], "yty": total[-1]}


def _memory_sums(
    values: FloatArray, regressors: FloatArray, logs: BoolArray, floor: FloatArray
) -> FloatArray:
    frames = max(1, BLOCK_CELLS // max(1, int(np.prod(values.shape[2:]))))
    parts = (
        _block_sums(series[a : a + frames], regressors[a : a + frames], logs, floor)
        for series in values
        for a in range(0, values.shape[1], frames)
    )
    total = next(parts)
    for part in parts:
        total += part
    return total


def _store_sums(
    data: da.Array, regressors: FloatArray, logs: BoolArray, floor: FloatArray
) -> FloatArray:
    r = regressors.shape[1]
    rows = r * (r + 1) // 2 + r + 1
    parts, start = [], 0
    for length in data.chunks[1]:
        frames = data[:, start : start + length].rechunk({1: -1, 2: -1})
        summed = frames.map_blocks(
            _chunk_sums, phi=regressors[start : start + length], logs=logs, floor=floor,
            dtype=np.float64, meta=np.empty((0, 0, 0, 0, 0)),
            chunks=((1,) * len(frames.chunks[0]), (rows,), *frames.chunks[2:]),
        )  # fmt: skip
        parts.append(summed.sum(axis=0))
        start += length
    total = np.zeros(parts[0].shape)
    for k in range(0, len(parts), AT_ONCE):
        for part in dask.compute(*parts[k : k + AT_ONCE]):
            total += part
    return total


def _chunk_sums(
    values: FloatArray, phi: FloatArray, logs: BoolArray, floor: FloatArray
) -> FloatArray:
    """Sums over the series and frames of a chunk (s, n, C, h, w): (1, rows, C, h, w)."""
    total = _block_sums(values[0], phi, logs, floor)
    for series in values[1:]:
        total += _block_sums(series, phi, logs, floor)
    return total[None]


def _block_sums(
    values: FloatArray, phi: FloatArray, logs: BoolArray, floor: FloatArray
) -> FloatArray:
    """Sums over the frames of a block (n, C, h, w): (rows, C, h, w)."""
    values = np.array(values, dtype=np.float64)
    values[:, logs] = np.log(np.maximum(values[:, logs], 0.0) + floor[logs, None, None])
    seen = np.isfinite(values)
    values[~seen] = 0.0
    upper = np.triu_indices(phi.shape[1])
    products = phi[:, upper[0]] * phi[:, upper[1]]
    mask = seen.astype(np.float64)
    return np.concatenate(
        [
            np.tensordot(products.T, mask, axes=1),
            np.tensordot(phi.T, values, axes=1),
            np.square(values).sum(axis=0)[None],
        ]
    )


def constant_only(sums: dict[str, FloatArray]) -> dict[str, FloatArray]:
    return {"xtx": sums["xtx"][:1], "xty": sums["xty"][:1], "yty": sums["yty"]}


def solve(sums: dict[str, FloatArray], kind: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Coefficients (R, C, H, W) or (R, C, 1, 1), scales (C, 1, 1), and doubt.

    The doubt, shape (C, H, W) or (C, 1, 1), is the standard error of the regression at cells that
    were never seen, over the scale; elsewhere it is zero.
    """
    r = sums["xty"].shape[0]
    xtx, xty, yty = _square(sums["xtx"], r), sums["xty"], sums["yty"]
    pooled = _regress(xtx.sum((-2, -1)), xty.sum((-2, -1)))[..., None, None]
    squares: FloatArray = np.zeros((xty.shape[1], 1, 1))
    if kind == "variable":
        coefficients = pooled
    else:
        widths = (0, 0, 0, NEIGHBOURHOOD, NEIGHBOURHOOD)
        near = [ndimage.gaussian_filter(a, w, mode="constant") for a, w in
                ((xtx, widths), (xty, widths[1:]))]  # fmt: skip
        weight = 1e-3 * _identity(xtx)
        prior = _regress(
            near[0] + weight, near[1] + np.einsum("ijchw,jchw->ichw", weight, pooled + 0 * xty)
        )
        ridge = PRIOR_FRAMES * _identity(xtx) * _energy(xtx)
        coefficients = _regress(xtx + ridge, xty + np.einsum("ijchw,jchw->ichw", ridge, prior))
        coefficients, squares = _everywhere(coefficients, pooled, xtx[0, 0], _energy(xtx).ravel())
    full = coefficients + np.zeros_like(xty)
    fitted = np.einsum("ichw,ijchw,jchw->chw", full, xtx, full)
    residual = yty - 2.0 * (full * xty).sum(axis=0) + fitted
    count = xtx[0, 0].sum((-2, -1))
    variance = residual.sum((-2, -1)) / np.maximum(count, 1.0)
    scale = np.sqrt(np.maximum(variance, 0.0))
    scale = np.where(scale > 1e-12, scale, 1.0)
    return coefficients, scale[:, None, None], np.sqrt(squares) / scale[:, None, None]


def _everywhere(
    coefficients: FloatArray, pooled: FloatArray, count: FloatArray, energy: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Coefficients (R, C, H, W), also of cells never seen, and their square error (C, H, W)."""
    out, squares = coefficients.copy(), np.zeros(coefficients.shape[1:])
    for c, seen in enumerate(count > 0):
        if seen.any() and not seen.all():
            weight = count[c] / np.maximum(count[c] + PRIOR_FRAMES, 1.0)
            known = coefficients[:, c] - pooled[:, c]
            out[:, c] = np.where(seen, out[:, c], pooled[:, c] + spread_from(known, weight))
            squares[c] = expected_error(known, weight, energy)
    return out, squares


def _square(upper: FloatArray, r: int) -> FloatArray:
    """The full symmetric matrices (R, R, C, H, W) of their upper triangles."""
    full = np.empty((r, r, *upper.shape[1:]))
    rows, columns = np.triu_indices(r)
    full[rows, columns] = upper
    full[columns, rows] = upper
    return full


def _identity(xtx: FloatArray) -> FloatArray:
    r = xtx.shape[0]
    return np.eye(r)[(...,) + (None,) * (xtx.ndim - 2)] * np.ones(xtx.shape[2:])


def _energy(xtx: FloatArray) -> FloatArray:
    """Mean square of each regressor (1 for the constant, 1/2 for a harmonic), as a column."""
    r = xtx.shape[0]
    return np.where(np.arange(r) == 0, 1.0, 0.5)[(...,) + (None,) * (xtx.ndim - 1)]


def _regress(xtx: FloatArray, xty: FloatArray) -> FloatArray:
    """Solve the normal equations of each cell: (R, R, ...) and (R, ...) to (R, ...)."""
    a, b = np.moveaxis(xtx, (0, 1), (-2, -1)), np.moveaxis(xty, 0, -1)[..., None]
    tiny = 1e-9 * np.trace(a, axis1=-2, axis2=-1)[..., None, None] + 1e-12
    out = np.linalg.solve(a + tiny * np.eye(a.shape[-1]), b)[..., 0]
    return np.moveaxis(out, -1, 0)
