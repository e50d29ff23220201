r"""From scattered cells to all: successive corrections, and how far off they are.

A field that is known at some cells is estimated at all by weighted means of what is known nearby,
first with a wide Gaussian weight; then what the estimate lacks at the known cells is spread in the
same way with narrower ones,

.. math:: \hat f \leftarrow \hat f + \frac{G_k * w (f - \hat f)}{G_k * w + \epsilon} ,

so that it holds scales down to the distance between known cells and stays smooth beyond it.

References
----------
Barnes, "A technique for maximizing details in numerical weather map analysis", Journal of Applied
Meteorology (1964), doi:10.1175/1520-0450(1964)003<0396:ATFMDI>2.0.CO;2; Koch, desJardins and
Kocin, Journal of Climate and Applied Meteorology (1983),
doi:10.1175/1520-0450(1983)022<1487:AIBOMA>2.0.CO;2, on narrower weights in later passes.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.optimize import isotonic_regression

from ._typing import BoolArray, FloatArray

__all__ = ["error_patterns", "expected_error", "spread_from"]

WIDTHS = tuple(8.0 * 2 ** (-k / 2) for k in range(7))  # cells, from 8 to 1
LEAST = 0.01  # of the weight of one cell, below which a cell is out of reach
SHARE = 0.125  # of the known cells, left out to see how far off the others are there
BLOCKS, ROUNDS = (1, 3, 7, 15), 4  # sides of what is left out together, in cells
ENOUGH = 1000  # cells to leave out; fewer, and there are more rounds
TRUNCATED = 3.0
BOUNDS = np.array([1.5, 2.5, 4.5, 8.5, 16.5])  # classes of distance, in cells


def spread_from(fields: FloatArray, weight: FloatArray) -> FloatArray:
    """Estimates at all cells.

    Parameters
    ----------
    fields : float array, shape (K, H, W)
        Deviations from what is to be expected out of reach, which is zero.
    weight : float array, shape (H, W)
        Of what is known; zero elsewhere, where the fields are not looked at.

    Returns
    -------
    float array, shape (K, H, W)

    Examples
    --------
    >>> line = np.arange(40.0)[None, None].repeat(3, 1)
    >>> known = np.zeros((3, 40))
    >>> known[:, ::4] = 1.0
    >>> found = spread_from(line, known)
    >>> bool(abs(found - line)[0, 1, 4:33].max() < 1.0)
    True
    """
    known = np.where(weight > 0, fields, 0.0)
    out = np.zeros_like(known)
    for width in WIDTHS:
        near = _smooth(weight, width) + LEAST / (2.0 * np.pi * width**2)
        out += _smooth(weight * (known - out), width) / near
    return out


def expected_error(fields: FloatArray, weight: FloatArray, share: FloatArray) -> FloatArray:
    """Mean square error of :func:`spread_from` where nothing is known, by distance.

    An eighth of the known cells is left out, one by one and in blocks, spread from the rest, and
    compared, and other ones where they are few. The mean of the errors is taken, as if they were
    normal, since single cells, such as mountains, can be as far off as all others together. Farther
    than any cell that was left out, the error is at least the variance of what is known.

    Parameters
    ----------
    fields : float array, shape (K, H, W)
    weight : float array, shape (H, W)
    share : float array, shape (K,)
        What the square of each field counts.

    Returns
    -------
    float array, shape (H, W)
        Zero where something is known.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> known = (rng.random((40, 40)) < 0.2).astype(float)
    >>> error = expected_error(rng.standard_normal((1, 40, 40)), known, np.ones(1))
    >>> bool(0.5 < error[known == 0].mean() < 2.0), float(error[known > 0].max())
    (True, 0.0)
    """
    seen = weight > 0
    out = np.zeros(weight.shape)
    if seen.all() or not seen.any():
        return out
    squares = (share[:, None, None] * fields**2).sum(axis=0)
    whole = float(np.average(squares[seen], weights=weight[seen]))
    rng = np.random.default_rng(0)
    sums, counts = np.zeros((2, len(BOUNDS) + 1))
    for block in BLOCKS * ROUNDS:
        drawn = rng.random([-(-n // block) for n in seen.shape]) < SHARE
        h, w = seen.shape
        left = seen & drawn.repeat(block, axis=0)[:h].repeat(block, axis=1)[:, :w]
        rest = np.where(left, 0.0, weight)
        if not left.any() or not rest.any():
            continue
        wrong = spread_from(fields, rest) - fields
        size = np.sqrt((share[:, None, None] * wrong**2).sum(axis=0)[left])
        at = np.searchsorted(BOUNDS, _distance(rest > 0)[left])
        sums += np.bincount(at, weight[left] * size, len(sums))
        counts += np.bincount(at, weight[left], len(sums))
        if block == BLOCKS[-1] and np.count_nonzero(left) >= ENOUGH:
            break
    tested = np.flatnonzero(counts)
    if not tested.size:
        return np.where(seen, out, whole)
    rising = isotonic_regression(sums[tested] / counts[tested], weights=counts[tested]).x
    spread = np.pi / 2 if len(fields) == 1 else 4 / np.pi  # mean square over squared mean
    errors = spread * np.interp(np.arange(len(sums)), tested, rising) ** 2
    errors[tested[-1] + 1 :] = max(whole, errors[tested[-1]])
    out[~seen] = errors[np.searchsorted(BOUNDS, _distance(seen)[~seen])]
    return out


def error_patterns(
    seen: BoolArray, count: int, rng: np.random.Generator, *, periodic: bool = False
) -> FloatArray:
    """Draws of the errors of :func:`spread_from` where nothing is known, of unit variance.

    Errors of neighbours are alike up to the distance at which something is known.

    Parameters
    ----------
    seen : bool array, shape (H, W)
    count : int
        Of draws.
    rng : Generator
    periodic : bool
        Whether the last axis wraps around.

    Returns
    -------
    float array, shape (count, H, W)
        Zero where something is known.

    Examples
    --------
    >>> seen = np.zeros((20, 20), dtype=bool)
    >>> seen[::5, ::5] = True
    >>> drawn = error_patterns(seen, 2, np.random.default_rng(0))
    >>> drawn.shape, bool(drawn[:, seen].any())
    ((2, 20, 20), False)
    """
    if seen.all():
        return np.zeros((count, *seen.shape))
    width = WIDTHS[0]
    if seen.any():
        width = min(width, float(_distance(seen, periodic)[~seen].mean()))
    h, w = (n + int(TRUNCATED * width) for n in seen.shape)  # ends of the torus are not alike
    w = seen.shape[1] if periodic else w
    weight = ndimage.fourier_gaussian(np.ones((h, w)), width)
    noise = np.fft.fft2(rng.standard_normal((count, h, w))) * weight
    drawn = np.fft.ifft2(noise).real[:, : seen.shape[0], : seen.shape[1]]
    patterns: FloatArray = np.where(seen, 0.0, drawn / np.sqrt((weight**2).mean()))
    return patterns


def _smooth(fields: FloatArray, width: float) -> FloatArray:
    """With a Gaussian weight in the two last dims, zero beyond the edges."""
    sigma = (0.0,) * (fields.ndim - 2) + (width, width)
    smoothed: FloatArray = ndimage.gaussian_filter(
        fields, sigma, mode="constant", truncate=TRUNCATED
    )
    return smoothed


def _distance(seen: BoolArray, periodic: bool = False) -> FloatArray:
    """To the nearest of the cells, in cells."""
    around = np.tile(seen, (1, 3)) if periodic else seen
    found: FloatArray = ndimage.distance_transform_edt(~around)
    return found[:, seen.shape[1] : 2 * seen.shape[1]] if periodic else found
