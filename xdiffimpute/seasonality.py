"""Whether the chance of being observed follows the season or the time of day, in one field.

What is left of being observed after a regression of each cell on a constant and a trend is
projected on harmonics. The projections of a block of frames on those of each cell are its
contribution; blocks are long against the memory of the gaps, and their signs are drawn at random
(:mod:`xdiffimpute.sign_flips`). Cells may have seasons of their own.
"""

from __future__ import annotations

import numpy as np

from ._typing import FloatArray, IntArray
from .association import NOTHING, Association, lagged
from .proxies import residuals
from .sign_flips import LEAST_BLOCKS, block_count, chance, correlation_time, merged

__all__ = ["Seasonality"]

LAGS = 40
FINE = 48
LONGER = 1.5  # the cycle is slow, and so is what gaps may share with it by chance


class Seasonality:
    """Sums over the pieces of a field.

    Parameters
    ----------
    frames : int array, shape (N,)
        Number of each frame in the record, rising.
    harmonics : float array, shape (N, R)
        R is zero where the record resolves no cycle.
    others : float array, shape (N, K)
        A constant and a trend, of which the harmonics are freed.
    """

    def __init__(self, frames: IntArray, harmonics: FloatArray, others: FloatArray) -> None:
        self.frames, self.others = frames, others
        self.all = np.hstack([others, harmonics])
        fitted, *_ = np.linalg.lstsq(others, harmonics, rcond=None)
        basis, upper = np.linalg.qr(harmonics - others @ fitted)
        self.usable = harmonics.shape[1] > 0 and bool(np.abs(np.diag(upper)).min() > 1e-6)
        self.basis = basis * len(frames) ** 0.5
        free = np.linalg.qr(others)[0]
        lost = merged(self.basis[:, :, None] * free[:, None], min(FINE, len(frames)))
        self.lost = np.einsum("brk,crk->bc", lost, lost)
        self.lags = max(1, min(LAGS, len(frames) // 4))
        self.own = np.zeros(self.lags)
        self.gram: FloatArray | float = 0.0
        self.cells = 0

    def add(self, observed: FloatArray) -> FloatArray:
        """Take in a piece of the grid, and return how much of its gaps follows the season.

        Parameters
        ----------
        observed : float array, shape (S, N, h, w)
            0 or 1.

        Returns
        -------
        float array, shape (h, w)
            Multiple correlation of each cell; NaN where it never varies.
        """
        shape = observed.shape
        varies = observed.min(axis=(0, 1)) < observed.max(axis=(0, 1))
        if not self.usable or shape[0] > shape[1] or not varies.any():
            return np.full(shape[2:], np.nan)
        every = np.ones_like(observed)
        own = residuals(observed, every, self.others)
        parts = own.transpose(1, 0, 2, 3)[:, None] * self.basis[:, :, None, None, None]
        fine = merged(parts, min(FINE, shape[1]))
        flat = fine.reshape(len(fine), -1)
        self.gram = self.gram + flat @ flat.T
        self.own += lagged(residuals(observed, every, self.all), self.frames, self.lags)
        self.cells += shape[0] * int(varies.sum())
        total = np.square(fine.sum(axis=0)).sum(axis=(0, 1)) / shape[1]
        energy = np.square(own).sum(axis=(0, 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(varies, np.sqrt(np.minimum(total / energy, 1.0)), np.nan)

    def concluded(self, seed: int) -> Association:
        """The test on what was taken in."""
        gram = np.atleast_2d(np.asarray(self.gram))
        if len(gram) < LEAST_BLOCKS or self.own[0] <= 0:
            return NOTHING
        length = len(self.frames)
        spent = self.all.shape[1] / length
        memory = correlation_time(self.own / self.own[0], spent=spent)
        blocks = min(len(gram), block_count(length, max(1.0, LONGER * memory)))
        if blocks < LEAST_BLOCKS:
            return Association(float("nan"), float("nan"), blocks)
        gram, lost = (merged(merged(part, blocks).T, blocks) for part in (gram, self.lost))
        # Taking out the constant and the trend made blocks unlike each other and each of them
        # smaller: what it took is put back, as it is where frames are independent.
        noise = np.trace(gram) / max(self.basis.size - np.trace(lost), 1e-9)
        gram = gram + noise * lost
        beyond = max(float(gram.sum() - np.trace(gram)), 0.0)  # noise adds on the diagonal
        effect = float(np.sqrt(beyond / self.cells)) / length
        return Association(chance(gram, seed, (memory - 1.0) * blocks / length), effect, blocks)
