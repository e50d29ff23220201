r"""Gaussian fields, carried along and forgotten, whose exact answer is known.

.. math:: C(d, \tau) = \rho\left(\sqrt{a^2 / L_1^2 + b^2 / L_2^2}\right) e^{-|\tau| / T},
    \qquad d - u\tau = (a, b) \text{ along the axes of an ellipse,}

with :math:`\rho` of the Matern family and u the flow. In the moving frame it is a product of two
covariances, so it is one. The conditional mean is optimal interpolation with the true covariance.

References
----------
C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press,
2006: Eqs. 2.23, 2.24 and 4.14 to 4.17, doi:10.7551/mitpress/3206.001.0001.
Bretherton, Davis and Fandry, "A technique for objective analysis and design of oceanographic
experiments applied to MODE-73", Deep-Sea Research (1976), doi:10.1016/0011-7471(76)90001-2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr
from scipy import linalg

from xdiffimpute.datasets.gaussian_field import MATERN, NUGGET

__all__ = ["Gaussian"]


@dataclass(frozen=True)
class Gaussian:
    """Stationary Gaussian fields of zero mean and unit variance.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    frames : int
        One sample is a window of as many; of a single frame there is no dimension of time.
    length : float
        Length scale along the long axis of the ellipse, in cells.
    aspect : float
        Length of the long axis over that of the short one; 1 is isotropic.
    angle : float, degrees
        From the x axis to the long axis.
    smoothness : float
        Matern nu: 0.5, 1.5 or 2.5.
    flow : (float, float)
        Cells a frame along y and x.
    memory : float
        Frames over which the correlation in the moving frame falls to 1/e.
    """

    shape: tuple[int, int] = (32, 32)
    frames: int = 1
    length: float = 6.0
    aspect: float = 1.0
    angle: float = 0.0
    smoothness: float = 2.5
    flow: tuple[float, float] = (0.0, 0.0)
    memory: float = float("inf")

    @cached_property
    def covariance(self) -> np.ndarray:
        """Of all pairs of cells of a sample, in the order of ``values.ravel()``."""
        t, y, x = np.indices((self.frames, *self.shape)).reshape(3, -1).astype(np.float64)
        lag = t[:, None] - t
        dy = y[:, None] - y - self.flow[0] * lag
        dx = x[:, None] - x - self.flow[1] * lag
        angle = np.deg2rad(self.angle)
        along = np.cos(angle) * dx + np.sin(angle) * dy
        across = np.cos(angle) * dy - np.sin(angle) * dx
        scaled = np.hypot(along, across * self.aspect) / self.length
        out = MATERN[self.smoothness](np.sqrt(2 * self.smoothness) * scaled)
        out *= np.exp(-np.abs(lag) / self.memory)
        out[np.diag_indices_from(out)] += NUGGET
        return out

    def draw(self, samples: int, seed: int) -> xr.Dataset:
        """Independent samples, float32, dims (sample, [time,] y, x), one frame a day."""
        size = self.frames * self.shape[0] * self.shape[1]
        noise = np.stack(
            [np.random.default_rng([seed, n]).standard_normal(size) for n in range(samples)]
        )
        factor = linalg.cholesky(self.covariance, lower=True)
        values = (noise @ factor.T).astype(np.float32).reshape(samples, self.frames, *self.shape)
        coords = {
            "time": np.datetime64("2000-01-01", "ns")
            + np.arange(self.frames) * np.timedelta64(1, "D"),
            "y": ("y", np.arange(self.shape[0], dtype=float), {"axis": "Y", "units": "1"}),
            "x": ("x", np.arange(self.shape[1], dtype=float), {"axis": "X", "units": "1"}),
        }
        field = (("sample", "time", "y", "x"), values, {"units": "1"})
        ds = xr.Dataset({"field": field}, coords)
        return ds.isel(time=0, drop=True) if self.frames == 1 else ds

    def posterior(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Conditional mean and variance of all cells of one sample, given those that are finite.

        Parameters
        ----------
        values : float array, shape ([frames,] rows, columns)
            NaN where hidden.

        Returns
        -------
        mean, variance : float64 arrays of the same shape
            The value itself and 0 at observed cells.
        """
        flat = np.asarray(values, dtype=np.float64).ravel()
        seen, hidden = np.flatnonzero(np.isfinite(flat)), np.flatnonzero(~np.isfinite(flat))
        mean, variance = np.nan_to_num(flat), np.zeros(flat.size)
        variance[hidden] = 1 + NUGGET
        if seen.size and hidden.size:
            factor = linalg.cholesky(self.covariance[np.ix_(seen, seen)], lower=True)
            cross = linalg.solve_triangular(
                factor, self.covariance[np.ix_(seen, hidden)], lower=True
            )
            mean[hidden] = cross.T @ linalg.solve_triangular(factor, flat[seen], lower=True)
            variance[hidden] -= np.square(cross).sum(axis=0)
        return mean.reshape(values.shape), np.maximum(variance, 0).reshape(values.shape)

    def answer(self, gappy: xr.Dataset) -> xr.Dataset:
        """The exact fill of samples, with its standard error, as a method would return it."""
        field = gappy["field"]
        pairs = [self.posterior(sample) for sample in field.values]
        mean, variance = (np.stack(part) for part in zip(*pairs, strict=True))
        return gappy.assign(
            field=field.copy(data=mean), field_standard_error=field.copy(data=np.sqrt(variance))
        )
