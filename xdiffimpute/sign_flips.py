"""A test of whether contributions along a record add up to more than chance.

The record is cut in blocks that are long against its memory. Were there nothing to find, the
contribution of a block would be as likely with the opposite sign, so the sum is compared with sums
in which the sign of whole blocks is drawn at random. What is correlated in space, or in time
within a block, stays together, and no variance has to be estimated.
"""

from __future__ import annotations

import itertools

import numpy as np

from ._typing import FloatArray

__all__ = ["LEAST_BLOCKS", "block_count", "chance", "correlation_time", "merged"]

MOST_BLOCKS, LEAST_BLOCKS = 24, 8  # of fewer no assignment of signs is rarer than one in 100
FEW = 13
DRAWS = 2**16
NEGLIGIBLE = 0.02
ROUNDS = 5


def correlation_time(
    correlation: FloatArray, least: float = NEGLIGIBLE, spent: float = 0.0
) -> float:
    """Frames that count as one: 1 + 2 (sum of correlations), up to the first that is negligible.

    Parameters
    ----------
    correlation : float array, shape (K,)
        At lags 0 to K - 1; the first is one.
    least : float
    spent : float
        Slow coefficients that were fitted before, over the number of frames: with them went a
        part of what is slow.

    Returns
    -------
    float
        At least one.

    Examples
    --------
    >>> correlation_time(np.array([1.0, 0.5, 0.25, 0.0, 0.3]))
    2.5
    """
    small = np.flatnonzero(correlation[1:] < least)
    last = int(small[0]) if small.size else len(correlation) - 1
    rest, time = correlation[1 : 1 + last], 1.0
    for _ in range(ROUNDS if spent else 1):
        gone = min(spent * time, 0.5)
        time = float(1.0 + 2.0 * (rest + gone * (1.0 - rest)).sum())
    return time


def block_count(length: int, memory: float) -> int:
    """Number of blocks of at least twice the memory, 24 at most.

    Parameters
    ----------
    length : int
        Of the record.
    memory : float
        As :func:`correlation_time` gives it; one where the entries are independent.

    Returns
    -------
    int

    Examples
    --------
    >>> block_count(200, 1.0), block_count(200, 8.0), block_count(16, 1.0)
    (24, 12, 16)
    """
    block = 1.0 if memory <= 1.0 else 2.0 * memory
    return int(min(MOST_BLOCKS, length // block))


def merged(contributions: FloatArray, blocks: int) -> FloatArray:
    """Sums over consecutive entries of the first axis, in blocks that differ by one at most.

    Examples
    --------
    >>> merged(np.arange(6.0), 2).tolist()
    [3.0, 12.0]
    """
    length = len(contributions)
    starts = np.ceil(np.arange(blocks) * length / blocks).astype(int)
    return np.asarray(np.add.reduceat(contributions, starts, axis=0))


def chance(gram: FloatArray, seed: int = 0, spent: float = 0.0) -> float:
    r"""Probability of so large a sum by chance.

    Parameters
    ----------
    gram : float array, shape (B, B)
        Inner products of the blocks' contributions; the sum of all is the squared length of
        their sum.
    seed : int
    spent : float
        Share of the sum's size that is not to be counted: what fitted coefficients took from the
        contributions of blocks, or what blocks have in common with the next.

    Returns
    -------
    float
        Share of the assignments of signs whose sum is as long; NaN with fewer than eight blocks.

    References
    ----------
    I. A. Canay, J. P. Romano and A. M. Shaikh, "Randomization tests under an approximate symmetry
    assumption", 2017 (doi:10.3982/ECTA13081).

    Examples
    --------
    >>> same, mixed = np.ones(10), np.array([1.0, -1.0] * 5)
    >>> chance(np.outer(same, same)), chance(np.outer(mixed, mixed))
    (0.001953125, 1.0)
    """
    blocks = len(gram)
    if blocks < LEAST_BLOCKS:
        return float("nan")
    if blocks <= FEW:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=blocks - 1)))
        signs = np.hstack([np.ones((len(signs), 1)), signs])  # both signs of all are the same
    else:
        signs = np.random.default_rng(seed).choice((1.0, -1.0), size=(DRAWS, blocks))
        signs[0] = 1.0
    lengths = ((signs @ gram) * signs).sum(axis=1)
    own = lengths[0] * max(1.0 - spent, 0.0)
    return float(np.mean(lengths >= own * (1 - 1e-9) - 1e-300))
