r"""Optimal interpolation (kriging) from the nearest observations in space and time.

The anomalies are taken for a stationary random field with correlation :math:`\rho(r)`, observed
with errors whose variance is a share :math:`\epsilon` of its own. The estimate of least squared
error (Gauss-Markov) from the K observations :math:`a_k` that say most is

.. math:: \hat a(s) = \sum_k w_k a_k, \qquad
    \sum_l (\rho(r_{kl}) + \epsilon \delta_{kl}) w_l = \rho(r_{k}), \qquad
    r^2 = d^2 / L^2 + \tau^2 / T^2 ,

with d the distance on the sphere (along the chord) or on the plane and :math:`\tau` the elapsed
time. Far from all observations it is the climatology. Length, time scale, error and the shape of
:math:`\rho`, of the Matern family, are chosen by the errors at hidden observations. The systems
of a frame's gap cells are solved together.

References
----------
Bretherton, Davis and Fandry, "A technique for objective analysis and design of oceanographic
experiments applied to MODE-73", Deep-Sea Research (1976), doi:10.1016/0011-7471(76)90001-2.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial import KDTree

from .._typing import BoolArray, FloatArray
from ..matern import CORRELATIONS
from .base import Baseline, Geometry

__all__ = ["OptimalInterpolation"]

MOST_HALO = 4
AT_ONCE = 2**22
JITTER = 1e-8


class OptimalInterpolation(Baseline):
    """Optimal interpolation (kriging) from the nearest observations in space and time.

    Parameters
    ----------
    length : float
        Length scale L of the correlation, in cells; tuned if not given.
    time_scale : float
        Time scale T, in the usual steps of the record, 0 to take each frame by itself; tuned
        if not given. Frames up to two scales away are looked at, at most four.
    noise : float
        Variance of the errors of observation over that of the field, 0 to pass through the
        observations; tuned if not given.
    covariance : {"exponential", "matern32", "matern52", "matern72", "matern92"}
        Shape of the correlation, from rough to smooth: Matern with nu = 1/2 to 9/2; tuned if not
        given.
    neighbors : int
        Observations K in each estimate.
    **options
        See :class:`~xdiffimpute.baselines.base.Baseline`.

    Examples
    --------
    Halfway between two observations, with one length to each:

    >>> import numpy as np
    >>> frame = np.array([[[1.0, np.nan, 1.0]]], dtype="float32")
    >>> method = OptimalInterpolation(
    ...     length=1.0, time_scale=0.0, noise=0.0, covariance="exponential"
    ... )
    >>> out = method.interpolate(frame, np.ones((1, 3), bool), Geometry.of((1, 3)), slice(0, 1))
    >>> round(float(out[0, 0, 1]), 4)  # 2 exp(-1) / (1 + exp(-2))
    0.6481
    """

    name = "optimal_interpolation"
    pointwise = True
    knobs = {
        "length": (10.0, 2.5, 5.0, 20.0, 40.0, 80.0, 160.0),
        "time_scale": (2.0, 0.0, 1.0, 4.0, 8.0),
        "noise": (0.01, 0.0, 0.03, 0.1, 0.3),
        "covariance": ("matern32", "exponential", "matern52", "matern72", "matern92"),
        "neighbors": (30,),
    }

    @property
    def frame_halo(self) -> int:
        """Two time scales, at most four frames."""
        return min(MOST_HALO, int(np.ceil(2.0 * float(self.settings["time_scale"]))))

    def interpolate(
        self, frames: FloatArray, domain: BoolArray, geometry: Geometry, core: slice
    ) -> FloatArray:
        out = frames[core].copy()
        points = geometry.points / float(self.settings["length"])
        for k, frame in enumerate(out):
            wanted = np.isnan(frame) & domain
            if not wanted.any():
                continue
            now = core.start + k
            low, high = max(0, now - self.frame_halo), now + self.frame_halo + 1
            known = np.isfinite(frames[low:high])
            if not known.any():
                continue
            step, row, column = np.nonzero(known)
            source = points[row, column]
            target = points[wanted]
            if self.frame_halo:
                unit = geometry.step * float(self.settings["time_scale"])
                lag = (geometry.days[low:high] - geometry.days[now]) / unit
                source = np.column_stack([source, lag[step]])
                target = np.column_stack([target, np.zeros(len(target))])
            frame[wanted] = self._estimate(source, frames[low:high][known], target)
        return out

    def _estimate(self, source: FloatArray, values: FloatArray, target: FloatArray) -> FloatArray:
        """Estimates (M,) at points (M, D) from values (N,) at points (N, D), in units of scale."""
        count = min(int(self.settings["neighbors"]), len(values))
        _, index = KDTree(source).query(target, k=list(range(1, count + 1)))
        rho = CORRELATIONS[str(self.settings["covariance"])]
        noise = max(JITTER, float(self.settings["noise"]))
        out = np.empty(len(target))
        at_once = max(1, AT_ONCE // count**2)
        for a in range(0, len(target), at_once):
            part = slice(a, a + at_once)
            offsets = source[index[part]] - target[part, None]
            weights = _weights(offsets, rho, noise)
            out[part] = (weights * values[index[part]]).sum(axis=1)
        return out


def _weights(
    offsets: FloatArray, rho: Callable[[FloatArray], FloatArray], noise: float
) -> FloatArray:
    """Weights (M, K) of observations at ``offsets`` (M, K, D) from the points of interest."""
    k = offsets.shape[1]
    square = (offsets**2).sum(axis=-1)
    between = square[:, :, None] + square[:, None] - 2.0 * offsets @ offsets.transpose(0, 2, 1)
    system = rho(np.sqrt(np.maximum(between, 0.0)))
    system[:, range(k), range(k)] = 1.0 + noise
    return np.asarray(np.linalg.solve(system, rho(np.sqrt(square))[..., None])[..., 0])
