r"""The standard error as the errors at withheld observations have it.

A network tells where it is in doubt, but not always by how much; right after a short training its
standard error hardly grows towards the middle of a gap, and it hardly falls where more is observed
than in training. The kriging variance k (:mod:`xdiffimpute.local_kriging`) does both, but knows
nothing of the values and takes its covariance for true. Errors at withheld observations say how
much to trust either: the variance of an error is taken to be

.. math:: \log v = a + b \log k + c \log n ,

n being the network's variance, with the coefficients that make the errors likeliest. Less is
observed around withheld cells than around the cells to fill, so that it matters how the variance
changes with what is observed, and not its size alone. Without a covariance it is the network's
variance and the distance d to the nearest observation of the frame,

.. math:: \log v = a + c \log n + e \log d .

Where the climatology of a cell is in doubt, because it was never observed, the square of that is
added to v; errors at withheld cells of which nothing else was observed are compared with the sum.

Slopes are drawn to those that take the first of each pair as it is. Beyond what the withheld
observations have covered it is changed by no more than at the edge of that. Where they have made
the kriging variance smaller, as next to observations, it is less so the larger it is beyond them,
as in frames without any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.optimize import minimize

from ._typing import BoolArray, FloatArray, IntArray

__all__ = ["Calibration", "distance_to_observed"]

LEAST_CELLS = 20  # of a variable, to change anything
PRIOR_CELLS = 20  # that the slopes expected beforehand count for
FADING = 0.5  # of the logarithm of the kriging variance, beyond what was withheld
COVERED = (0.01, 0.99)  # quantiles of what was withheld
FARTHEST = 64.0  # cells
LEAST_VARIANCE = 1e-9
EXPECTED = np.array([1.0, 0.0])  # slopes
SLOPES = (0.0, 4.0)  # more doubt is never a smaller error
FARTHEST_LEVEL = 10.0  # of the logarithm of the mean squared error


@dataclass(frozen=True)
class Calibration:
    """How the variance of an error follows from what is known before it.

    Parameters
    ----------
    levels : float array, shape (C,)
        Logarithm of the variance where the logarithms that it depends on are zero.
    slopes : float array, shape (C, 2)
        Of kriging and network variance; without kriging, of network variance and distance.
    covered : float array, shape (C, 2, 2)
        From where to where these were at withheld observations, in the logarithm.
    kriged : bool
        Whether there is a kriging variance.
    cells : int array, shape (C,)
        Withheld observations that it rests on.

    References
    ----------
    T. Gneiting et al., "Calibrated probabilistic forecasting using ensemble model output
    statistics", Monthly Weather Review 133 (2005), doi:10.1175/MWR2904.1; M. Leutbecher and T. N.
    Palmer, "Ensemble forecasting" (2008), doi:10.1016/j.jcp.2007.02.014, on spread and error.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> distance = rng.integers(1, 9, size=(1, 5000)).astype(float)
    >>> error = distance * rng.standard_normal(distance.shape)
    >>> one = np.ones_like(error)
    >>> found = Calibration.fit(error**2, one, distance, one, kriged=False)
    >>> np.sqrt(found.variance(np.ones((1, 3)), np.array([[1.0, 2.0, 6.0]]))).round()
    array([[1., 2., 6.]], dtype=float32)
    """

    levels: FloatArray
    slopes: FloatArray
    covered: FloatArray
    kriged: bool
    cells: IntArray

    @classmethod
    def unchanged(cls, channels: int, *, kriged: bool) -> Calibration:
        """The kriging variance as it is, or without one the network's.

        Parameters
        ----------
        channels : int
            C.
        kriged : bool

        Returns
        -------
        Calibration
        """
        zeros = np.zeros((channels, 2, 2))
        slopes = np.tile(EXPECTED, (channels, 1))
        return cls(np.zeros(channels), slopes, zeros, kriged, np.zeros(channels, dtype=int))

    @classmethod
    def fit(
        cls,
        squared: FloatArray,
        network: FloatArray,
        beside: FloatArray,
        weight: FloatArray,
        doubt_variance: FloatArray | float = 0.0,
        *,
        kriged: bool,
    ) -> Calibration:
        """Compare errors with what was expected.

        Parameters
        ----------
        squared, network : float arrays, shape (C, n)
            Squared errors, and the network's variances.
        beside : float array, shape (C, n)
            The kriging variances; or, if there are none, the distances to the nearest observation,
            in cells, which may be infinite.
        weight : float array, shape (C, n)
            0 for cells that do not count.
        doubt_variance : float array, shape (C, n), or float
            Of the errors of the climatology, which are part of the errors and of neither variance.
        kriged : bool

        Returns
        -------
        Calibration
            Of each channel the likeliest, as of normal errors.
        """
        found = cls.unchanged(len(squared), kriged=kriged)
        doubt = np.broadcast_to(doubt_variance, squared.shape)
        for c in range(len(squared)):
            known = weight[c] > 0
            if np.count_nonzero(known) < LEAST_CELLS:
                continue
            found.cells[c] = np.count_nonzero(known)
            terms = _terms(network[c][known], beside[c][known], kriged)
            found.covered[c] = np.quantile(terms, COVERED, axis=1).T
            found.levels[c], found.slopes[c] = _likeliest(
                squared[c][known], terms, weight[c][known], doubt[c][known]
            )
        return found

    def variance(self, network: FloatArray, beside: FloatArray) -> FloatArray:
        """Of the error at each cell.

        Parameters
        ----------
        network : float array, shape (C, ...)
            Its variance.
        beside : float array, shape (C, ...)
            The kriging variance, or the distance, as in the fit.

        Returns
        -------
        float32 array, shape (C, ...)
        """
        out = np.empty(network.shape, dtype=np.float32)
        for c in range(len(out)):
            total = np.full(out[c].shape, self.levels[c])
            terms = _terms(network[c], beside[c], self.kriged)
            for term, slope, expected, (low, high) in zip(
                terms, self.slopes[c], EXPECTED, self.covered[c], strict=True
            ):
                within = term.clip(low, high)
                total += slope * within + expected * (term - within)
            if self.kriged:
                above = np.maximum(terms[0] - self.covered[c, 0, 1], 0.0)
                lowered = np.minimum(total - terms[0], 0.0)
                total += lowered * np.expm1(-above / FADING)
            out[c] = np.exp(total)
        return out

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "levels": self.levels.tolist(),
            "slopes": self.slopes.tolist(),
            "covered": self.covered.tolist(),
            "kriged": self.kriged,
            "cells": self.cells.tolist(),
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Calibration:
        """Rebuild from :meth:`to_dict`."""
        levels, slopes, covered = (
            np.asarray(saved[name], float) for name in ("levels", "slopes", "covered")
        )
        return cls(levels, slopes, covered, saved["kriged"], np.asarray(saved["cells"], int))


def _terms(network: FloatArray, beside: FloatArray, kriged: bool) -> FloatArray:
    """What the logarithm of the variance is a sum of, shape (2, ...)."""
    own = np.log(np.maximum(network, LEAST_VARIANCE))
    if kriged:
        return np.stack([np.log(np.maximum(beside, LEAST_VARIANCE)), own])
    return np.stack([own, np.log(np.clip(beside, 1.0, FARTHEST))])


def _likeliest(
    squared: FloatArray, terms: FloatArray, weight: FloatArray, besides: FloatArray
) -> tuple[float, FloatArray]:
    """Level and slopes of normal errors; the slopes are drawn to those expected."""
    squared = np.maximum(squared, LEAST_VARIANCE)
    share = weight / weight.sum()
    centre = terms @ share
    about = terms - centre[:, None]
    pull = PRIOR_CELLS / len(squared)

    def unlikely(p: FloatArray) -> tuple[float, FloatArray]:
        logs = p[0] + p[1:] @ about
        own = np.exp(logs)
        total = own + besides
        over = squared / total
        away = p[1:] - EXPECTED
        each = (1.0 - over) * own / total * share
        slope = np.concatenate([[each.sum()], about @ each])
        slope[1:] += 2.0 * pull * away
        return float(((np.log(total) + over) * share).sum() + pull * away @ away), slope

    level = np.log(max(float((squared * share).sum()), LEAST_VARIANCE))
    found = minimize(
        unlikely, np.array([level, *EXPECTED]), jac=True, method="L-BFGS-B",
        bounds=[(level - FARTHEST_LEVEL, level + FARTHEST_LEVEL), SLOPES, SLOPES],
    ).x  # fmt: skip
    return float(found[0] - found[1:] @ centre), found[1:]


def distance_to_observed(observed: BoolArray, *, periodic: bool = False) -> FloatArray:
    """How far each cell is from the nearest observation of its frame, in cells.

    Parameters
    ----------
    observed : bool array, shape (..., H, W)
    periodic : bool
        Whether the last axis wraps around.

    Returns
    -------
    float32 array, shape (..., H, W)
        0 where observed, infinite in frames without any observation.

    Examples
    --------
    >>> distance_to_observed(np.array([[True, False, False, False]])).tolist()
    [[0.0, 1.0, 2.0, 3.0]]
    >>> distance_to_observed(np.array([[True, False, False, False]]), periodic=True).tolist()
    [[0.0, 1.0, 2.0, 1.0]]
    """
    h, w = observed.shape[-2:]
    wrap = w // 2 + 1 if periodic else 0
    out = np.full(observed.shape, np.inf, dtype=np.float32)
    for frame, seen in zip(out.reshape(-1, h, w), observed.reshape(-1, h, w), strict=True):
        if seen.all():
            frame[:] = 0.0
        elif seen.any():
            wide = np.pad(seen, ((0, 0), (wrap, wrap)), mode="wrap")
            frame[:] = ndimage.distance_transform_edt(~wide)[:, wrap : wrap + w]
    return out
