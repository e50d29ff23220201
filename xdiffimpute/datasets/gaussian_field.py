"""Random fields whose covariance is known, so that the best possible filling is known too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr
from scipy import linalg
from scipy.spatial import distance

from .._typing import BoolArray, FloatArray
from ..exceptions import DataError, ImputeError
from .base import Source, check_at_least, check_shape

__all__ = ["GaussianField"]

# Added to the variance of each cell (1), so that the covariance of smooth fields has a factor.
# It is part of the model: draws, covariance and posterior agree on it.
NUGGET = 1e-8
# Correlation at scaled distance s = sqrt(2 nu) d / length, by nu.
MATERN: dict[float, Callable[[FloatArray], FloatArray]] = {
    0.5: lambda s: np.exp(-s),
    1.5: lambda s: (1 + s) * np.exp(-s),
    2.5: lambda s: (1 + s + s**2 / 3) * np.exp(-s),
}


@dataclass(frozen=True)
class GaussianField(Source):
    """Stationary Gaussian fields of zero mean, unit variance and Matern covariance.

    Parameters
    ----------
    samples : int
        Independent fields.
    shape : tuple of int
        Rows and columns.
    length : float
        Length scale of the covariance, in cells.
    smoothness : float
        Matern nu: 0.5 (rough), 1.5 or 2.5 (twice differentiable).
    seed : int
        Sample n depends on the seed and n alone, not on how many samples there are
        (but for rounding).

    Raises
    ------
    ImputeError
        If a size, the length or the smoothness is not one of the valid values.

    References
    ----------
    C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT
    Press, 2006: Eqs. 2.23 and 2.24 (conditioning) and 4.14 to 4.17 (Matern).

    Examples
    --------
    >>> source = GaussianField(samples=2, shape=(8, 8), length=3.0)
    >>> source.open()["field"].sizes
    Frozen({'sample': 2, 'y': 8, 'x': 8})
    >>> source.covariance().shape
    (64, 64)
    """

    samples: int = 64
    shape: tuple[int, int] = (32, 32)
    length: float = 6.0
    smoothness: float = 2.5
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(1, samples=self.samples)
        check_at_least(0, seed=self.seed)
        check_shape(self.shape, least=1)
        if not 0 < self.length < np.inf:
            raise ImputeError(
                f"length={self.length!r} is not a positive number of cells; "
                "pass for example length=6.0."
            )
        if self.smoothness not in MATERN:
            raise ImputeError(
                f"smoothness={self.smoothness!r} is not a Matern nu with a closed form; "
                f"pass one of {', '.join(map(str, MATERN))}."
            )

    def open(self) -> xr.Dataset:
        """Draw the fields.

        Returns
        -------
        Dataset
            ``field``, float32, dims (sample, y, x), units 1; coordinates x and y in cells.
        """
        rows, columns = self.shape
        noise = np.stack(
            [np.random.default_rng([self.seed, n]).standard_normal(rows * columns)
             for n in range(self.samples)]
        )  # fmt: skip
        factor = linalg.cholesky(self._covariance, lower=True)
        values = (noise @ factor.T).reshape(self.samples, rows, columns).astype(np.float32)
        return xr.Dataset(
            {
                "field": (
                    ("sample", "y", "x"),
                    values,
                    {"long_name": "Gaussian random field", "units": "1"},
                )
            },
            coords={
                "sample": ("sample", np.arange(self.samples), {"long_name": "sample number"}),
                "y": _axis(rows, "Y", "row"),
                "x": _axis(columns, "X", "column"),
            },
            attrs={
                "Conventions": "CF-1.8",
                "title": "Gaussian random fields with Matern covariance",
                "source": "xdiffimpute gaussian_field",
                "matern_smoothness": float(self.smoothness),
                "matern_length": float(self.length),
                "seed": self.seed,
            },
        )

    def covariance(self) -> FloatArray:
        """Covariance of all pairs of cells.

        Returns
        -------
        float64 array, shape (rows * columns, rows * columns)
            Cells in row-major order.
        """
        return self._covariance.copy()

    def posterior(self, values: FloatArray, observed: BoolArray) -> tuple[FloatArray, FloatArray]:
        """What the observed cells of one field say about all of its cells.

        Parameters
        ----------
        values : float array, shape (rows, columns)
            One field; values where ``observed`` is False are not looked at.
        observed : bool array, shape (rows, columns)
            True where observed.

        Returns
        -------
        mean : float64 array, shape (rows, columns)
            Conditional mean, the filling of least squared error; the value itself at
            observed cells.
        variance : float64 array, shape (rows, columns)
            Conditional variance, the expected squared error of ``mean``; 0 at observed cells.

        Raises
        ------
        DataError
            If the shapes differ from ``shape``, or an observed value is not finite.
        """
        field = np.asarray(values, dtype=np.float64)
        seen = np.asarray(observed, dtype=bool)
        if field.shape != tuple(self.shape) or seen.shape != tuple(self.shape):
            raise DataError(
                f"values of shape {field.shape} and observed of shape {seen.shape} are not one "
                f"field of shape {tuple(self.shape)}; pass one sample, such as "
                "ds['field'].values[0]."
            )
        known = field[seen]
        if not np.isfinite(known).all():
            raise DataError(
                f"{np.count_nonzero(~np.isfinite(known))} observed cells are not finite; pass "
                "observed=np.isfinite(values)."
            )
        at, hidden = np.flatnonzero(seen), np.flatnonzero(~seen)
        mean, variance = np.where(seen, field, 0.0).ravel(), np.zeros(seen.size)
        variance[hidden] = 1 + NUGGET
        if at.size and hidden.size:
            factor = linalg.cholesky(self._covariance[np.ix_(at, at)], lower=True)
            between = self._covariance[np.ix_(at, hidden)]
            # With K_oo = L L', both parts of the answer are inner products of whitened vectors.
            cross = linalg.solve_triangular(factor, between, lower=True)
            mean[hidden] = cross.T @ linalg.solve_triangular(factor, known, lower=True)
            variance[hidden] -= np.sum(cross**2, axis=0)
        return mean.reshape(seen.shape), np.maximum(variance, 0).reshape(seen.shape)

    @cached_property
    def _covariance(self) -> FloatArray:
        cells = np.indices(self.shape).reshape(2, -1).T.astype(np.float64)
        scaled = distance.cdist(cells, cells) * (np.sqrt(2 * self.smoothness) / self.length)
        covariance = MATERN[self.smoothness](scaled)
        covariance[np.diag_indices_from(covariance)] += NUGGET
        return covariance


def _axis(count: int, axis: str, name: str) -> tuple[str, FloatArray, dict[str, str]]:
    attributes = {"axis": axis, "long_name": name, "units": "1"}
    return axis.lower(), np.arange(count, dtype=np.float64), attributes
