r"""Empirical orthogonal functions of a matrix with gaps.

The gaps of a matrix X, frames by cells, start at zero and are replaced by its truncated singular
value decomposition,

.. math:: X_{gap} \leftarrow (X V_k D V_k^T)_{gap}, \qquad D = \Lambda (\Lambda + \nu I)^{-1} ,

until they no longer change; :math:`V_k` are the leading k right singular vectors and
:math:`\Lambda` the variances of their amplitudes. k grows from 1: started with all modes at once,
the replacements end in patterns that fit what is observed and are far off in the gaps. With a
noise :math:`\nu` weak modes are shrunk; without, D = I.

The vectors are followed by subspace iteration: one product with :math:`X^T X` each time the gaps
are replaced, so a pass over the rows does both and the only large arrays are X and its mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.linalg import qr, solve, svd

from ._typing import BoolArray, FloatArray

__all__ = ["MODES", "Eofs", "errors_by_modes", "find_eofs"]

TOLERANCE = 1e-3
MOST_PASSES = 300
FEW_PASSES = 30  # with each number of modes on the way
FIRST_PASSES = 3
PATIENCE = 3
MODES = (1, 2, 3, 4, 5, 6, 8, 12, 20, 30, 50)
BLOCK = 2**21

Modes = tuple[FloatArray, FloatArray]  # patterns (M, k), float32, and their variances (k,)


@dataclass(frozen=True)
class Eofs:
    """Leading patterns of a matrix.

    Parameters
    ----------
    patterns : float32 array, shape (k, M)
        Orthonormal rows, strongest first.
    variance : float array, shape (k,)
        Mean square of the amplitudes.
    noise : float
        Variance, of one cell, that the patterns do not explain.

    Examples
    --------
    >>> eofs = Eofs(np.full((1, 4), 0.5, dtype=np.float32), np.array([4.0]), 0.0)
    >>> eofs.amplitudes(np.array([3.0, np.nan, np.nan, 3.0])).round(3)
    array([6.])
    """

    patterns: FloatArray
    variance: FloatArray
    noise: float

    def amplitudes(self, frame: FloatArray) -> FloatArray:
        """Amplitudes (k,) of a frame (M,) with gaps, from what is observed in it.

        The fixed point of the replacements for this frame is the least-squares fit to its
        observations; the noise draws to zero what they do not determine.
        """
        seen = np.isfinite(frame)
        part = self.patterns[:, seen].astype(np.float64)
        floor = 1e-6 * float(self.variance.max(initial=0.0)) + 1e-12
        ridge = (self.noise + 1e-9) / np.maximum(self.variance, floor)
        return np.asarray(solve(part @ part.T + np.diag(ridge), part @ frame[seen]))


def find_eofs(matrix: FloatArray, modes: int, noise: float = 0.0) -> Eofs:
    """Patterns of a matrix, its gaps replaced until they no longer change.

    Parameters
    ----------
    matrix : float32 array, shape (N, M)
        Anomalies, NaN in the gaps.
    modes : int
        At most; fewer where the matrix has not as many.
    noise : float
        0 for none; the patterns then come with the mean square of what they leave of the
        observations.

    Returns
    -------
    Eofs

    Examples
    --------
    >>> x = np.outer(np.arange(-2.0, 3.0), [1.0, 2.0, 2.0]).astype(np.float32)
    >>> x[1, 1] = np.nan
    >>> found = find_eofs(x, 1)
    >>> abs(found.patterns.astype(float)).round(2).tolist()
    [[0.33, 0.67, 0.67]]
    """
    matrix, gaps = _start(matrix)
    modes = _available(matrix, modes)
    if modes == 0:
        return Eofs(np.empty((0, matrix.shape[1]), np.float32), np.empty(0), noise)
    found = _none(matrix)
    for k in [k for k in MODES if k < modes] + [modes]:
        most = FEW_PASSES if k < modes else MOST_PASSES
        found = _settle(matrix, gaps, _widened(found, matrix, k), noise, most)
    patterns, variance = found
    left, count = 0.0, 0
    for rows in _blocks(matrix):
        residual = (matrix[rows] - matrix[rows] @ patterns @ patterns.T)[~gaps[rows]]
        left += float(np.square(residual, dtype=np.float64).sum())
        count += len(residual)
    return Eofs(np.ascontiguousarray(patterns.T), variance, noise or left / max(count, 1))


def errors_by_modes(
    matrix: FloatArray, held: BoolArray, tried: Sequence[int], noise: float = 0.0
) -> dict[int, float]:
    """Sum of squared errors at withheld observations, by the number of modes.

    Parameters
    ----------
    matrix : float32 array, shape (N, M)
        NaN in the gaps, with the withheld observations.
    held : bool array, shape (N, M)
        Observations to withhold.
    tried : sequence of int
        In ascending order. Each starts from the fields found with fewer; after three without
        an improvement no more are tried.
    noise : float

    Returns
    -------
    dict of int to float
    """
    kept = np.where(held, np.float32(np.nan), matrix)
    filled, gaps = _start(kept)
    some = np.isfinite(kept).any(axis=1)  # frames of which nothing is left do not count
    place, truth = held[some], matrix[some][held[some]].astype(np.float64)
    errors: dict[int, float] = {}
    found = _none(filled)
    for modes in tried:
        if modes > _available(filled, modes):
            break
        found = _settle(filled, gaps, _widened(found, filled, modes), noise, FEW_PASSES)
        errors[modes] = float(np.square(filled[place] - truth).sum())
        if list(errors).index(min(errors, key=errors.__getitem__)) < len(errors) - PATIENCE:
            break
    return errors


def _available(matrix: FloatArray, modes: int) -> int:
    return max(0, min(modes, len(matrix) - 1, int(matrix.shape[1]) - 1))


def _start(matrix: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Frames that hold an observation, zero in their gaps; and these gaps."""
    matrix = matrix[np.isfinite(matrix).any(axis=1)]
    gaps = np.isnan(matrix)
    return np.where(gaps, np.float32(0.0), matrix), gaps


def _none(matrix: FloatArray) -> Modes:
    return np.empty((matrix.shape[1], 0), np.float32), np.empty(0)


def _widened(found: Modes, matrix: FloatArray, modes: int) -> Modes:
    """As many as asked for: the new ones at random, all turned to the leading."""
    cells, have = found[0].shape
    fresh = np.random.default_rng(modes).standard_normal((cells, modes - have), dtype=np.float32)
    wide = np.asarray(qr(np.concatenate([found[0], fresh], axis=1))[0], dtype=np.float32)
    found = wide, np.ones(modes)
    for _ in range(FIRST_PASSES):
        found, _ = _pass(matrix, None, found, 0.0)
    return found


def _settle(matrix: FloatArray, gaps: BoolArray, found: Modes, noise: float, most: int) -> Modes:
    """Replace the gaps of ``matrix``, in place, until they no longer change."""
    spread = float(np.sqrt(np.mean(np.square(matrix[~gaps], dtype=np.float64))))
    count = max(1, int(gaps.sum()))
    for _ in range(most):
        found, change = _pass(matrix, gaps, found, noise)
        if np.sqrt(change / count) <= TOLERANCE * spread:
            break
    return found


def _pass(
    matrix: FloatArray, gaps: BoolArray | None, found: Modes, noise: float
) -> tuple[Modes, float]:
    """Replace the gaps, if they are given, and turn the patterns; squared change of the gaps."""
    patterns, variance = found
    shrunk = (patterns * (variance / (variance + noise + 1e-12)).astype(np.float32)).T
    power, change = np.zeros(patterns.shape), 0.0
    for rows in _blocks(matrix):
        part = matrix[rows]
        amplitudes = part @ patterns
        if gaps is not None:
            step = np.where(gaps[rows], amplitudes @ shrunk - part, np.float32(0.0))
            part += step
            amplitudes = part @ patterns
            change += float(np.square(step, dtype=np.float64).sum())
        power += part.T @ amplitudes
    # Where the patterns no longer turn, X'X V = V Lambda: its singular vectors are the patterns.
    turned, energy, _ = svd(power, full_matrices=False)
    return (np.asarray(turned, dtype=np.float32), energy / len(matrix)), change


def _blocks(matrix: FloatArray) -> Iterator[slice]:
    rows = max(1, BLOCK // max(1, matrix.shape[1]))
    return (slice(a, a + rows) for a in range(0, len(matrix), rows))
