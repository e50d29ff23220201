"""The standard error, chosen and scaled by the errors at withheld observations, near and far.

A network tells where it is in doubt, but not always by how much; right after a short training its
standard error hardly grows towards the middle of a gap, and it hardly falls where more is observed
than in training. The kriging variance (:mod:`xdiffimpute.local_kriging`) does both, but knows
nothing of the values. Errors at withheld observations say which of them is likelier, or whether
their geometric mean is, and how large the standard error should be; where they hardly tell, it is
the kriging variance, since less is observed around them than around the cells to fill. They are
compared in classes of the distance to the nearest observation of the frame, since that is what an
error grows with most. A class with few withheld observations follows those beside it, the less the
farther they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from ._typing import AnyArray, BoolArray, FloatArray

__all__ = ["Calibration", "distance_to_observed"]

# Classes of distance, in cells: 1, 2, 3 to 4, 5 to 8, ... and beyond.
BOUNDS = np.array([1.5, 2.5, 4.5, 8.5, 16.5, 32.5])
CENTRES = np.array([1.0, 2.0, 3.5, 6.5, 12.5, 24.5, 49.0])
LEAST_CELLS = 20  # of a variable, to scale its standard error at all
PRIOR_CELLS = 50  # by which a class is drawn to those beside it: errors nearby are alike
FADING = 0.5  # of what a class says about others, for each step between them
UNCHANGED = 0.2  # weight of a factor of one beside theirs
SMALLEST, LARGEST, TINY = 0.1, 10.0, 1e-30
SHARES = (0.0, 0.5, 1.0)  # of the network in the logarithm of the variance
CLEARLY = 0.05  # by so much more likely, in twice the logarithm for each cell, to take the next
LEAST_VARIANCE = 1e-9


@dataclass(frozen=True)
class Calibration:
    """Whose variance is taken, and factors of the standard error by distance.

    Parameters
    ----------
    factors : float array, shape (C, 7)
        At the distances :data:`CENTRES` to the nearest observation; between them the factor is
        interpolated.
    shares : float array, shape (C,)
        Exponent of the network's variance, one minus which is that of the kriging variance.

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
    >>> found.factor(np.array([[1.0, 2.0, 6.5]])).round()
    array([[1., 2., 7.]], dtype=float32)
    """

    factors: FloatArray
    shares: FloatArray

    @classmethod
    def fit(
        cls,
        squared: FloatArray,
        variance: FloatArray,
        distance: FloatArray,
        weight: FloatArray,
        kriging: FloatArray | None = None,
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
        kriging : float array, shape (C, n), optional
            The kriging variances.

        Returns
        -------
        Calibration
            Of each channel the likeliest, as of normal errors. In each class, the mean squared
            error and the mean variance times the square of the factor are the same, but for classes
            with few cells, which follow those beside them.
        """
        channels = len(squared)
        factors, shares = np.ones((channels, len(CENTRES))), np.ones(channels)
        for c in range(channels):
            known = weight[c] > 0
            if np.count_nonzero(known) < LEAST_CELLS:
                continue
            place = np.searchsorted(BOUNDS, distance[c][known])
            best = np.inf
            for share in SHARES if kriging is not None else (1.0,):
                other = None if kriging is None else kriging[c][known]
                expected = _combined(variance[c][known], other, share)
                rows = _factors(squared[c][known], expected, place, weight[c][known])
                scaled = expected * rows[place] ** 2
                misfit = np.log(scaled) + squared[c][known] / scaled
                unlikely = float(np.average(misfit, weights=weight[c][known]))
                if unlikely < best - CLEARLY:
                    best, factors[c], shares[c] = unlikely, rows, share
        return cls(factors, shares)

    @property
    def needs_kriging(self) -> bool:
        """Whether the kriging variance has a share."""
        return bool((self.shares < 1.0).any())

    def combined(self, variance: FloatArray, kriging: FloatArray) -> FloatArray:
        """The variance that the factors apply to.

        Parameters
        ----------
        variance, kriging : float arrays, shape (C, ...)
            The network's, and the kriging variance.

        Returns
        -------
        float array, shape (C, ...)
        """
        rows = zip(variance, kriging, self.shares, strict=True)
        return np.stack([_combined(one, other, float(share)) for one, other, share in rows])

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

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"factors": self.factors.tolist(), "shares": self.shares.tolist()}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Calibration:
        """Rebuild from :meth:`to_dict`."""
        return cls(np.asarray(saved["factors"], float), np.asarray(saved["shares"], float))


def _combined(variance: FloatArray, kriging: FloatArray | None, share: float) -> FloatArray:
    """A weighted geometric mean."""
    if share == 1.0 or kriging is None:
        return np.maximum(variance, LEAST_VARIANCE)
    one, other = np.maximum(variance, LEAST_VARIANCE), np.maximum(kriging, LEAST_VARIANCE)
    found: FloatArray = other if share == 0.0 else one**share * other ** (1.0 - share)
    return found


def _factors(
    squared: FloatArray, variance: FloatArray, place: AnyArray, weight: FloatArray
) -> FloatArray:
    """By class of distance."""
    count, error, expected = (
        np.bincount(place, weight * part, len(CENTRES))
        for part in (np.ones_like(variance), squared, variance)
    )
    each = np.log(np.maximum(error, TINY) / np.maximum(expected, TINY))
    share = count / (count + PRIOR_CELLS)
    near = FADING ** abs(np.subtract.outer(np.arange(len(CENTRES)), np.arange(len(CENTRES))))
    others = near @ (share * each) / (near @ share + UNCHANGED)
    found: FloatArray = np.exp((share * each + (1 - share) * others) / 2).clip(SMALLEST, LARGEST)
    return found


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
