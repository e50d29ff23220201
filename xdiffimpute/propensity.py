r"""Weights for data whose gaps depend on the values that are missing.

Where the chance of a cell to be observed falls with its value, the observed values are too low,
and so is what is learned from them. Let the log-odds of being observed be

.. math:: \operatorname{logit} P(\text{observed} \mid x, u) = u \cdot \alpha + \beta x ,

with the standardised value x of the cell itself and covariates u that are always known: how often
the cell is observed, and the season. Bayes' rule then gives

.. math:: p(x \mid c, \text{missing}) \propto e^{-\beta x}\, p(x \mid c, \text{observed})

for any context c: a queried observation that counts by its odds of being missing,
:math:`(1 - p) / p \propto e^{-\beta x}`, stands for the missing ones, and whatever depends on u
alone drops out.

The slope is estimated although x is known at observed cells alone. Cells weighted by 1 / p must
look like all cells in what is known of all: in u, and in a proxy of x made from its neighbours in
time and space (:mod:`xdiffimpute.proxies`),

.. math:: \sum \bigl( \mathrm{observed} / p(x, u) - 1 \bigr) (u, \mathrm{proxy}) = 0 .

Only cells with enough observed around them enter the sum, and how much that is is no part of u:
where clouds and failures both make gaps, many gaps nearby and a low proxy mean clouds, so that the
proxy would tell of the clouds. The assumption that is left is that the proxy has to do with the
gaps through x (and u) only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._typing import FloatArray, IntArray
from .proxies import from_neighbours, from_times

__all__ = ["Propensity"]

LARGEST = 30.0
STEEPEST = 3.0
MOST_ENTRIES = 400_000
LEAST_CORRELATION, CERTAIN = 0.1, 5.0
STEPS, CLOSE = 60, 1e-4
KNOWN, FEW = 0.25, 0.05
LEAST_ENTRIES = 100


@dataclass(frozen=True)
class Propensity:
    """How the odds of being missing depend on the standardised value, in each channel.

    Parameters
    ----------
    slope : float array, shape (C,)
        Beta: change of the log-odds of being observed with one standard deviation.
    level : float array, shape (C,)
        Logarithm of the mean of exp(-slope x) over what is observed.

    References
    ----------
    J. K. Kim and C. L. Yu, "A semiparametric estimation of mean functionals with nonignorable
    missing data", 2011 (doi:10.1198/jasa.2011.tm10104): the odds as exponential tilting.

    P. S. Kott and T. Chang, "Using calibration weighting to adjust for nonignorable unit
    nonresponse", 2010 (doi:10.1198/jasa.2010.tm09016): the estimating equation.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.repeat(rng.normal(size=(1, 400, 1, 8, 8)), 8, axis=-1)  # neighbours are alike
    >>> seen = rng.random(x.shape) < 1 / (1 + np.exp(x - 1))
    >>> gappy = np.where(seen, x, np.nan)
    >>> found = Propensity.estimate([gappy], np.arange(400), np.ones((400, 1)))
    >>> found.slope.round(1).tolist()
    [-1.0]
    >>> weights = found.weights(np.array([-1.0, 0.0, 1.0]).reshape(1, 3, 1, 1))
    >>> bool(np.all(np.diff(weights.ravel()) > 0))
    True
    """

    slope: FloatArray
    level: FloatArray

    def weights(self, z: FloatArray) -> FloatArray:
        """What each observation counts in the loss: about one on average, thirty at most.

        Parameters
        ----------
        z : float array, shape (C, T, H, W)
            Standardised values; one is returned where they are not finite.

        Returns
        -------
        float array, shape (C, T, H, W)
        """
        slope, level = (part[:, None, None, None] for part in (self.slope, self.level))
        log = np.where(np.isfinite(z), -slope * z - level, 0.0)
        return np.exp(np.minimum(log, np.log(LARGEST))).astype(np.float32)

    @classmethod
    def estimate(
        cls, pieces: Sequence[FloatArray], frames: IntArray, regressors: FloatArray
    ) -> Propensity:
        """Solve the estimating equation of each channel.

        Parameters
        ----------
        pieces : sequence of float arrays, shape (S, N, C, h, w)
            Standardised values of parts of the grid, NaN where not observed.
        frames : int array, shape (N,)
            Number of each frame in the record, rising.
        regressors : float array, shape (N, R)
            A constant and the harmonics of the season.

        Returns
        -------
        Propensity
            Of slope zero where the proxies say nothing of the values, or no cell varies.
        """
        slopes, levels = [], []
        for c in range(pieces[0].shape[2]):
            own = [piece[:, :, c] for piece in pieces]
            slope = _slope(own, frames, regressors)
            values = np.concatenate([part[np.isfinite(part)] for part in own])
            log = -slope * values
            top = float(log.max()) if len(log) else 0.0
            levels.append(top + np.log(np.exp(log - top).mean()) if len(log) else 0.0)
            slopes.append(slope)
        return cls(np.array(slopes), np.array(levels))

    def describe(self, labels: Sequence[str]) -> list[str]:
        """A line for each channel, for the log."""
        return [
            f"{label}: the odds of being observed change by the factor {np.exp(slope):.2f} with "
            "one standard deviation; queries count by the odds of being missing"
            for label, slope in zip(labels, self.slope, strict=True)
        ]


def _slope(pieces: Sequence[FloatArray], frames: IntArray, regressors: FloatArray) -> float:
    """Beta of one channel, of pieces (S, N, h, w)."""
    tables = [_table(piece, frames, regressors) for piece in pieces]
    table = np.concatenate(tables, axis=1)
    in_time, in_space = table[:2] > KNOWN
    chosen = in_time & in_space
    if chosen.sum() < FEW * len(chosen):
        chosen = in_time | in_space
    table = table[2:, chosen]
    table = table[:, :: -(-table.shape[1] // MOST_ENTRIES) or 1].astype(np.float64)
    observed = table[-1]
    if min(observed.sum(), (1 - observed).sum()) < LEAST_ENTRIES:
        return 0.0
    return _solve(table[:-4], table[-4:-2], table[-2], observed)


def _table(z: FloatArray, frames: IntArray, regressors: FloatArray) -> FloatArray:
    """Rows for cells that are sometimes observed, shape (2 + R + 5, entries).

    How well the proxies are known, what is always known, proxies, x, observed.
    """
    observed = np.isfinite(z).astype(np.float32)
    x = np.where(observed > 0, z, 0.0).astype(np.float32)
    share = observed.mean(axis=(0, 1))
    varying = (share > 0) & (share < 1)
    times, known_times = from_times(x, observed, frames)
    nearby, known_nearby = from_neighbours(x, observed)
    base = np.log((share + 0.01) / (1.01 - share))
    always = regressors.T[:, None, :, None, None]
    parts = [known_times, known_nearby, *always, base, times, nearby, x, observed]
    return np.stack([np.broadcast_to(p, x.shape)[:, :, varying].ravel() for p in parts])


def _solve(u: FloatArray, proxies: FloatArray, x: FloatArray, observed: FloatArray) -> float:
    """Newton's method on the estimating equation, from independence; zero if it does not settle."""
    seen = observed > 0
    known = np.concatenate([u, proxies])
    best, *_ = np.linalg.lstsq(known[:, seen].T, x[seen], rcond=1e-8)
    proxy = best[-len(proxies) :] @ proxies
    if not _tells(proxy[seen], x[seen], u[:, seen]):
        return 0.0
    features, instruments = np.vstack([u, x]), np.vstack([u, proxy])
    found = np.zeros(len(features))
    share = observed.mean()
    found[0] = np.log(share / (1 - share))
    for _ in range(STEPS):
        inverse = observed * np.exp(-np.clip(found @ features, -10, 10))
        balance = instruments @ (observed + inverse - 1.0) / len(x)
        jacobian = (instruments * inverse) @ features.T / len(x)
        step, *_ = np.linalg.lstsq(jacobian, balance, rcond=1e-8)
        found += step * min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < CLOSE:
            return float(np.clip(found[-1], -STEEPEST, STEEPEST))
    return 0.0


def _tells(proxy: FloatArray, x: FloatArray, u: FloatArray) -> bool:
    """Whether a proxy has to do with the value, beyond what u says."""
    both = np.stack([proxy, x])
    fitted, *_ = np.linalg.lstsq(u.T, both.T, rcond=1e-8)
    left = both - fitted.T @ u
    spread = np.sqrt(np.square(left).sum(axis=1))
    least = max(LEAST_CORRELATION, CERTAIN / len(x) ** 0.5)
    return bool(spread.min() > 0 and (left[0] @ left[1]) / spread.prod() > least)
