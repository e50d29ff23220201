"""Whether being observed goes along with a proxy of the value, in one field.

Both are freed of what a regression of each cell on a constant, the season and a trend explains, so
that the climate and the base rate of a cell, and a network that grows while the climate changes,
do not pass for dependence. What is left is multiplied and summed over the grid: a contribution of
each frame, tested by :mod:`xdiffimpute.sign_flips`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._typing import FloatArray, IntArray
from .proxies import pairs
from .sign_flips import LEAST_BLOCKS, block_count, chance, correlation_time, merged

__all__ = ["NOTHING", "Association", "Evidence", "lagged"]

LAGS = 40
FAINT = 1e-9  # a mean square that rounding may leave


@dataclass(frozen=True)
class Association:
    """What a test found.

    Parameters
    ----------
    p_value : float
        NaN where there is nothing to test: no cell is sometimes observed, no proxy is known, or
        the record is too short against its memory.
    effect : float
        Change of the chance of being observed with one standard deviation of the proxy; of the
        season, the standard deviation of its cycle of the chance.
    blocks : int
        Parts of the record that count as independent.
    """

    p_value: float
    effect: float
    blocks: int


NOTHING = Association(float("nan"), float("nan"), 0)


class Evidence:
    """Sums over the pieces of a field, for one kind of dependence.

    Parameters
    ----------
    frames : int array, shape (N,)
        Number of each frame in the record, rising.
    regressors : float array, shape (N, R)
        What each cell was freed of.
    """

    def __init__(self, frames: IntArray, regressors: FloatArray) -> None:
        self.frames, self.regressors = frames, regressors
        self.lags = max(1, min(LAGS, len(frames) // 4))
        self.own = np.zeros(self.lags)
        self.proxy = np.zeros(self.lags)
        self.contributions: FloatArray | float = 0.0
        self.products = self.gaps = self.squares = self.entries = 0.0

    def add(self, own: FloatArray, proxy: FloatArray, known: FloatArray) -> FloatArray:
        """Take in a piece of the grid, and return its local correlations.

        Parameters
        ----------
        own, proxy : float array, shape (S, N, h, w)
            What is left of being observed and of the proxy; zero where the proxy is not known.
        known : float array, shape (S, N, h, w)

        Returns
        -------
        float array, shape (h, w)
            NaN where either never varies.
        """
        product = own * proxy
        joint = own.shape[1] >= own.shape[0]  # else series are many, and independent
        self.contributions = self.contributions + product.sum(
            axis=(0, 2, 3) if joint else (1, 2, 3), dtype=np.float64
        )
        self.products += float(product.sum(dtype=np.float64))
        self.squares += float(np.square(proxy, dtype=np.float64).sum())
        self.gaps += float(np.square(own, dtype=np.float64).sum())
        self.entries += float(known.sum())
        if joint:
            self.own += lagged(own, self.frames, self.lags)
            self.proxy += lagged(proxy, self.frames, self.lags)
        return correlations(product, own, proxy)

    def _spent(self, blocks: int) -> float:
        """Share of a block's contributions that the regression took, were the proxy slow.

        Cycles that end within a block take nothing of it.
        """
        if len(np.atleast_1d(self.contributions)) != len(self.frames):
            return 0.0
        basis = np.linalg.qr(self.regressors)[0]
        return float(np.square(merged(basis, blocks)).sum() / len(basis))

    def concluded(self, seed: int) -> Association:
        """The test on what was taken in."""
        sums = np.atleast_1d(np.asarray(self.contributions))
        least = FAINT * max(self.entries, 1.0)
        if len(sums) < LEAST_BLOCKS or min(self.squares, self.gaps) < least:
            return NOTHING
        memory = 1.0
        if self.own[0] > 0 and self.proxy[0] > 0:
            both = (self.own / self.own[0]) * (self.proxy / self.proxy[0])
            centred = (sums - sums.mean())[None, :, None, None]
            alone = lagged(centred, self.frames, self.lags)
            noise = 2.0 / len(sums) ** 0.5
            memory = max(
                correlation_time(both), correlation_time(alone / max(alone[0], 1e-300), noise)
            )
        blocks = block_count(len(sums), memory)
        effect = self.products / np.sqrt(self.squares * max(self.entries, 1.0))
        if blocks < LEAST_BLOCKS:
            return Association(float("nan"), float(effect), blocks)
        parts = merged(sums, blocks)
        p_value = chance(np.outer(parts, parts), seed, self._spent(blocks))
        return Association(p_value, float(effect), blocks)


def lagged(values: FloatArray, frames: IntArray, lags: int) -> FloatArray:
    """Sums of products of values (S, N, h, w) so many frames apart, shape (lags,)."""
    flat = values.transpose(1, 0, 2, 3).reshape(len(frames), -1)
    out = np.zeros(lags)
    for lag in range(lags):
        here, there = pairs(frames, lag)
        out[lag] = np.vdot(flat[here], flat[there]) / max(len(here), 1)
    return out


def correlations(product: FloatArray, own: FloatArray, proxy: FloatArray) -> FloatArray:
    """Of each cell, shape (h, w)."""
    axes, least = (0, 1), FAINT * own.shape[0] * own.shape[1]
    scale = np.sqrt(np.square(own).sum(axes) * np.square(proxy).sum(axes))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(scale > least, product.sum(axes) / scale, np.nan)
    return np.asarray(found)
