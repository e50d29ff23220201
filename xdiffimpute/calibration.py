"""The standard error, scaled to the errors at withheld observations, near and far.

A network tells where it is in doubt, but not always by how much; right after a short training its
standard error hardly grows towards the middle of a gap. Errors at withheld observations say how
large it should be. They are compared in classes of the distance to the nearest observation of the
frame, since that is what an error grows with most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from ._typing import BoolArray, FloatArray

__all__ = ["Calibration", "distance_to_observed"]

# Classes of distance, in cells: 1, 2, 3 to 4, 5 to 8, ... and beyond.
BOUNDS = np.array([1.5, 2.5, 4.5, 8.5, 16.5, 32.5])
CENTRES = np.array([1.0, 2.0, 3.5, 6.5, 12.5, 24.5, 49.0])
LEAST_CELLS = 20  # of a variable, to scale its standard error at all
PRIOR_CELLS = 50  # by which a class is drawn to the mean of all: errors nearby are alike
SMALLEST, LARGEST, TINY = 0.1, 10.0, 1e-30


@dataclass(frozen=True)
class Calibration:
    """Factors of a standard error by distance to the nearest observation.

    Parameters
    ----------
    factors : float array, shape (C, 7)
        At the distances :data:`CENTRES`; between them the factor is interpolated.

    References
    ----------
    M. Leutbecher and T. N. Palmer, "Ensemble forecasting", 2008, on the ratio of spread and error
    (doi:10.1016/j.jcp.2007.02.014).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> distance = rng.integers(1, 9, size=(1, 5000)).astype(float)
    >>> error = distance * rng.standard_normal(distance.shape)
    >>> found = Calibration.fit(error**2, np.ones_like(error), distance, np.ones_like(error))
    >>> found.factor(np.array([[1.0, 3.5, 6.5]])).round()
    array([[1., 4., 7.]], dtype=float32)
    """

    factors: FloatArray

    @classmethod
    def fit(
        cls, squared: FloatArray, variance: FloatArray, distance: FloatArray, weight: FloatArray
    ) -> Calibration:
        """Compare errors with what was expected.

        Parameters
        ----------
        squared, variance : float arrays, shape (C, n)
            Squared errors, and the variances given for them.
        distance : float array, shape (C, n)
            To the nearest observation, in cells; may be infinite.
        weight : float array, shape (C, n)
            0 for cells that do not count.

        Returns
        -------
        Calibration
            In each class, the mean squared error and the mean variance times the square of the
            factor are the same, but for classes with few cells.
        """
        factors = np.ones((len(squared), len(CENTRES)))
        for c in range(len(squared)):
            if np.count_nonzero(weight[c]) < LEAST_CELLS:
                continue
            place = np.searchsorted(BOUNDS, distance[c])
            count, error, expected = (
                np.bincount(place, weight[c] * part, len(CENTRES))
                for part in (np.ones_like(variance[c]), squared[c], variance[c])
            )
            whole = np.log(max(error.sum(), TINY) / max(expected.sum(), TINY))
            each = np.log(np.maximum(error, TINY) / np.maximum(expected, TINY))
            share = count / (count + PRIOR_CELLS)
            logarithm = (share * each + (1 - share) * whole) / 2
            factors[c] = np.exp(logarithm).clip(SMALLEST, LARGEST)
        return cls(factors)

    def factor(self, distance: FloatArray) -> FloatArray:
        """The factor at each cell.

        Parameters
        ----------
        distance : float array, shape (C, ...)
            To the nearest observation of the frame, in cells.

        Returns
        -------
        float32 array, shape (C, ...)
        """
        where = np.log2(np.clip(distance, CENTRES[0], CENTRES[-1]))
        pairs = zip(where, self.factors, strict=True)
        found = [np.interp(at, np.log2(CENTRES), values) for at, values in pairs]
        return np.asarray(found, dtype=np.float32)

    def to_list(self) -> list[list[float]]:
        """As JSON can hold it."""
        saved: list[list[float]] = self.factors.tolist()
        return saved

    @classmethod
    def from_list(cls, saved: Any) -> Calibration:
        """Rebuild from :meth:`to_list`."""
        return cls(np.asarray(saved, dtype=np.float64))


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
