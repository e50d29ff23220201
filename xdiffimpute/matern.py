r"""Matern covariances, fitted to those of pairs: few numbers, so that few data are enough.

All channels share a correlation, and differ by a matrix of covariances at lag zero. At a lag of
:math:`\tau` frames and h cells it is one of

.. math:: \rho_\nu(\sqrt{r^2 + (\tau / T)^2}), \qquad \rho_\nu(r)\, e^{-\tau / T}, \qquad
    r^2 = |H (h - v \tau)|^2 ,

smooth or rough in time. The triangular matrix H, in which are lengths and an angle, and the flow v
are found by least squares; :math:`\rho_\nu` is that of Matern with :math:`\nu` from 1/2 to 9/2.
Near lags count most, by the variogram of the fit before: by that of the data themselves, the noise
of lags with few pairs would count most.

References
----------
Cressie, "Fitting variogram models by weighted least squares", Mathematical Geology (1985),
doi:10.1007/BF01032109; Guttorp and Gneiting, Biometrika (2006), doi:10.1093/biomet/93.4.989, on the
family of Matern; Gneiting, Genton and Guttorp (2007), "Geostatistical space-time models,
stationarity, separability and full symmetry", on fields that are carried along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from ._typing import BoolArray, FloatArray

__all__ = ["CORRELATIONS", "MODELS", "Matern", "Model", "fit_matern"]

ROOT3, ROOT5, ROOT7 = 3**0.5, 5**0.5, 7**0.5
CORRELATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "exponential": lambda r: np.exp(-r),
    "matern32": lambda r: (1.0 + ROOT3 * r) * np.exp(-ROOT3 * r),
    "matern52": lambda r: (1.0 + ROOT5 * r + 5.0 / 3.0 * r**2) * np.exp(-ROOT5 * r),
    "matern72": lambda r: (
        (1.0 + ROOT7 * r * (1.0 + ROOT7 * r * (2.0 / 5.0 + ROOT7 / 15.0 * r))) * np.exp(-ROOT7 * r)
    ),
    "matern92": lambda r: (
        (1.0 + r * (3.0 + r * (27.0 / 7.0 + r * (18.0 / 7.0 + 27.0 / 35.0 * r)))) * np.exp(-3.0 * r)
    ),
}


class Model(NamedTuple):
    """A correlation, and whether it is as smooth in time as in space.

    Examples
    --------
    >>> MODELS[3]
    Model(shape='matern32', smooth=False)
    """

    shape: str
    smooth: bool


MODELS = tuple(Model(shape, smooth) for shape in CORRELATIONS for smooth in (True, False))
LENGTHS = (2.0, 8.0)  # cells that the search starts from
SCALES = (1e-3, 1e3)
LEAST_STEP = 0.02  # of the variogram
FITS = 3
NEAR = 8  # cells; of lags farther than these every fourth does


class Matern(NamedTuple):
    """A correlation in space and time.

    Parameters
    ----------
    model : Model
    parameters : float array, shape (7,)
        Of H the logarithms of its diagonal and what is beside it, the logarithm of 1 / T, the flow
        v in rows and columns, and how much of the variance is the field's.

    Examples
    --------
    >>> found = Matern(MODELS[0], np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]))
    >>> still = np.zeros(1)
    >>> float(found.correlation([still, still, still + 1])[0].round(3))
    0.368
    >>> float(found.scaled(space=2.0).correlation([still, still, still + 2])[0].round(3))
    0.368
    """

    model: Model
    parameters: FloatArray

    @property
    def share(self) -> float:
        """Of the variance that is the field's; the rest are errors of observation."""
        return float(self.parameters[6])

    def correlation(self, lag: Sequence[FloatArray]) -> FloatArray:
        """Of the field at lags in frames, rows and columns, arrays of one shape."""
        return _correlation(CORRELATIONS[self.model.shape], self.model.smooth, lag, self.parameters)

    def clean(self) -> Matern:
        """Without errors of observation."""
        return self._replace(parameters=np.append(self.parameters[:6], 1.0))

    def scaled(self, space: float = 1.0, time: float = 1.0) -> Matern:
        """With so many times the lengths, and the time."""
        p = self.parameters.copy()
        p[:2] -= np.log(space)
        p[2] /= space
        p[3] -= np.log(time)
        return self._replace(parameters=p)

    def covariance(self, between: FloatArray, reach: tuple[int, int, int]) -> FloatArray:
        """Of the field, by lag.

        Parameters
        ----------
        between : float array, shape (C, C)
            Covariances between channels at lag zero, of which the nearest that can be are taken.
        reach : (int, int, int)
            Frames T, and the largest lags in rows and columns, Y and X.

        Returns
        -------
        float array, shape (C, C, T, 2 Y + 1, 2 X + 1)
        """
        rho = self.correlation(_lags(reach))
        return np.asarray(_covariances(between)[:, :, None, None, None] * rho)


def fit_matern(
    lags: FloatArray, pairs: FloatArray, model: Model, asked: BoolArray | None = None
) -> Matern:
    """The fit of a model.

    Parameters
    ----------
    lags, pairs : float array, shape (C, C, T, 2 Y + 1, 2 X + 1)
        Covariances by lag, as of :class:`~xdiffimpute.covariance.Covariance`, and the number of
        pairs that each rests on.
    model : Model
        One of ``MODELS``.
    asked : bool array, shape (C,), optional
        Channels that it is fitted to, each of which counts the same; default: all.

    Returns
    -------
    Matern

    Examples
    --------
    >>> lag = np.arange(-6.0, 7.0)
    >>> lags = np.exp(-abs(lag) / 3.0).reshape(1, 1, 1, 1, 13)
    >>> found = fit_matern(lags, np.ones_like(lags), MODELS[0])
    >>> found.model.shape, round(found.share, 2)
    ('exponential', 1.0)
    >>> bool(abs(found.covariance(np.ones((1, 1)), (1, 0, 6)) - lags).max() < 1e-3)
    True
    """
    own = np.arange(len(lags)) if asked is None else np.flatnonzero(asked)
    frames, y, x = lags.shape[2], lags.shape[-2] // 2, lags.shape[-1] // 2
    variance = np.maximum(lags[own, own, 0, y, x], 1e-12)[:, None, None, None]
    counts = pairs[own, own]
    counts = counts / np.maximum(counts.sum(axis=(1, 2, 3), keepdims=True), 1.0)
    total = counts.sum(axis=0)
    data = (lags[own, own] / variance * counts).sum(axis=0) / np.maximum(total, 1e-300)
    lag = _lags((frames, y, x))
    kept, counted = _thinned(lag)
    weight = counted * np.sqrt(total[kept] / total.max())
    correlation = partial(_correlation, CORRELATIONS[model.shape], model.smooth)
    some = [axis[kept] for axis in lag]
    starts = [
        np.array([-np.log(length), -np.log(length), 0.0, -np.log(2.0), 0.0, 0.0, 0.95])
        for length in LENGTHS
    ]
    variogram: FloatArray | float = 1.0  # the first fit is by numbers of pairs alone
    for _ in range(FITS):
        near = weight / np.maximum(variogram, LEAST_STEP)
        starts = [_fitted(partial(correlation, some), data[kept], near, starts, frames > 1)]
        variogram = 1.0 - starts[0][6] * correlation(some, starts[0])
    return Matern(model, starts[0])


def _lags(reach: tuple[int, int, int]) -> list[FloatArray]:
    """Frames, rows and columns, each of shape (T, 2 Y + 1, 2 X + 1)."""
    frames, y, x = reach
    axes = np.arange(float(frames)), np.arange(-y, y + 1.0), np.arange(-x, x + 1.0)
    return list(np.meshgrid(*axes, indexing="ij"))


def _covariances(found: FloatArray) -> FloatArray:
    """The nearest matrix that covariances can make."""
    values, vectors = np.linalg.eigh((found + found.T) / 2)
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)


def _thinned(lag: Sequence[FloatArray]) -> tuple[BoolArray, FloatArray]:
    """Lags that are compared: all near ones but zero, every other far one in rows and columns.

    And the root of how many each stands for.
    """
    far = np.maximum(abs(lag[1]), abs(lag[2])) > NEAR
    even = (lag[1] % 2 == 0) & (lag[2] % 2 == 0)
    kept = (even | ~far) & ((lag[0] != 0) | (lag[1] != 0) | (lag[2] != 0))
    return kept, np.where(far[kept], 2.0, 1.0)


def _correlation(
    shape: Callable[[FloatArray], FloatArray], smooth: bool, lag: Sequence[FloatArray],
    p: FloatArray,
) -> FloatArray:  # fmt: skip
    """At lags in frames, rows and columns."""
    first, second = lag[1] - p[4] * lag[0], lag[2] - p[5] * lag[0]
    down, across = np.exp(p[0]) * first + p[2] * second, np.exp(p[1]) * second
    slow = abs(lag[0]) * np.exp(p[3])
    squares = down**2 + across**2
    if smooth:
        return shape(np.sqrt(squares + slow**2))
    return np.asarray(shape(np.sqrt(squares)) * np.exp(-slow))


def _fitted(
    correlation: Callable[[FloatArray], FloatArray], data: FloatArray, weight: FloatArray,
    starts: Sequence[FloatArray], moving: bool,
) -> FloatArray:  # fmt: skip
    """The seven parameters; the last one is the field's share."""

    def wrong(p: FloatArray) -> FloatArray:
        return np.asarray((p[6] * correlation(p) - data) * weight)

    low, high = np.log(1.0 / SCALES[1]), np.log(1.0 / SCALES[0])
    limit = np.array([high, high, 50.0, high, *((10.0, 10.0) if moving else (1e-6, 1e-6)), 1.0])
    floor = np.array([low, low, -50.0, low, *-limit[4:6], 0.3])
    fits = [
        least_squares(
            wrong, np.clip(start, floor, limit), bounds=(floor, limit), x_scale="jac", max_nfev=60
        )
        for start in starts
    ]
    return np.asarray(min(fits, key=lambda fit: float(fit.cost)).x)
