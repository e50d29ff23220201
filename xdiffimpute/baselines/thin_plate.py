r"""Thin-plate spline through the nearest observations in space and time.

For each gap cell the spline

.. math:: \hat a(s) = \sum_k c_k \phi(|s - s_k|) + b_0 + b \cdot s, \qquad \phi(r) = r^2 \log r

through its nearest observations is evaluated; with a smoothing :math:`\lambda`,
:math:`(\Phi + \lambda I) c + P b = a` and :math:`P^T c = 0`. This is what
:class:`scipy.interpolate.RBFInterpolator` with ``neighbors`` computes; here all gap cells of
a frame are solved at once, which is many times faster, and neighbours that lie in one frame
or on one line do not make the system singular. Time is a third coordinate: one frame is as
far as ``time_scale`` cells.

References
----------
Duchon, "Splines minimizing rotation-invariant semi-norms in Sobolev spaces" (1977),
doi:10.1007/BFb0086566.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from .._typing import BoolArray, FloatArray
from .base import Baseline, Geometry

__all__ = ["ThinPlate"]

AT_ONCE = 4096
RIDGE = 1e-8


class ThinPlate(Baseline):
    """Thin-plate spline through the nearest observations in space and time.

    Parameters
    ----------
    time_scale : float
        Distance of two frames, in cells; infinity: each frame by itself. Tuned if not given.
    smoothing : float
        Diagonal term of the system, 0 to pass through the observations; tuned if not given.
    slope_penalty : float
        Draws the slope b to zero, 0 for none. Where all neighbours lie on one side, across a
        wide gap, a free slope runs away; 1 makes it cost as much as a spread of the data across
        the neighbourhood. Tuned if not given.
    neighbors : int
        Observations in each spline.
    **options
        See :class:`~xdiffimpute.baselines.base.Baseline`.

    Examples
    --------
    >>> import numpy as np
    >>> plane = np.add.outer(np.arange(5.0), np.arange(5.0)).astype("float32")
    >>> plane[2, 2] = np.nan
    >>> out = ThinPlate().interpolate(
    ...     plane[None], np.ones((5, 5), bool), Geometry.of((5, 5)), slice(0, 1)
    ... )
    >>> round(float(out[0, 2, 2]), 5)
    4.0
    """

    name = "thin_plate"
    pointwise = True
    knobs = {
        "time_scale": (np.inf, 1.0, 2.0, 5.0, 10.0, 20.0),
        "smoothing": (0.0, 1.0, 10.0, 100.0, 1000.0),
        "slope_penalty": (0.0, 1.0, 10.0, 100.0),
        "neighbors": (30,),
    }

    @property
    def frame_halo(self) -> int:
        """Two frames before and two after, or none if time is not used."""
        return 2 if np.isfinite(self.settings["time_scale"]) else 0

    def interpolate(
        self, frames: FloatArray, domain: BoolArray, geometry: Geometry, core: slice
    ) -> FloatArray:
        out = frames[core].copy()
        scale = np.array([1.0, geometry.aspect])
        for k, frame in enumerate(out):
            wanted = np.isnan(frame) & domain
            if not wanted.any():
                continue
            low, high, now = self._window(core.start + k, len(frames))
            near = geometry.wrap(frames[low:high])
            known = np.isfinite(near)
            if known.sum() < 4:
                continue
            targets = (np.argwhere(wanted) + [0, geometry.border]) * scale
            frame[wanted] = self._solve(near, known, scale, targets, now)
        return out

    def _window(self, k: int, frames: int) -> tuple[int, int, int]:
        low = max(0, k - self.frame_halo)
        return low, min(frames, k + self.frame_halo + 1), k - low

    def _solve(
        self, near: FloatArray, known: BoolArray, scale: FloatArray, targets: FloatArray, now: int
    ) -> FloatArray:
        """Values at ``targets`` (M, 2) in frame ``now`` of ``near``."""
        step, row, column = np.nonzero(known)
        source = np.column_stack([row, column]) * scale
        if len(near) > 1:
            lag = (step - now) * float(self.settings["time_scale"])
            source = np.column_stack([source, lag])
            targets = np.column_stack([targets, np.zeros(len(targets))])
        values = near[known].astype(np.float64)
        count = min(int(self.settings["neighbors"]), len(values))
        _, index = KDTree(source).query(targets, k=count)
        out = np.empty(len(targets))
        for a in range(0, len(targets), AT_ONCE):
            part = slice(a, a + AT_ONCE)
            chosen = index[part]
            out[part] = _splines(
                source[chosen] - targets[part, None],
                values[chosen],
                float(self.settings["smoothing"]),
                float(self.settings["slope_penalty"]),
            )
        return np.clip(out, values.min(), values.max())


def _splines(
    offsets: FloatArray, values: FloatArray, smoothing: float, slope_penalty: float
) -> FloatArray:
    """Splines through M sets of points, each evaluated at the origin.

    Parameters
    ----------
    offsets : float array, shape (M, K, D)
    values : float array, shape (M, K)
    smoothing, slope_penalty : float

    Returns
    -------
    float array, shape (M,)
    """
    m, k, d = offsets.shape
    scale = np.abs(offsets).max(axis=(1, 2), keepdims=True)
    system = np.zeros((m, k + d + 1, k + d + 1))
    square = (offsets**2).sum(axis=-1)
    between = square[:, :, None] + square[:, None] - 2.0 * offsets @ offsets.transpose(0, 2, 1)
    unit = scale**2
    system[:, :k, :k] = _kernel(np.maximum(between / unit, 0.0))
    system[:, range(k), range(k)] += smoothing / unit[:, :, 0]
    system[:, :k, k] = system[:, k, :k] = 1.0
    system[:, :k, k + 1 :] = offsets / scale
    system[:, k + 1 :, :k] = (offsets / scale).transpose(0, 2, 1)
    # Neighbours on one line or in one frame leave a slope undetermined: take the smallest.
    slopes = range(k + 1, k + 1 + d)
    system[:, slopes, slopes] = -max(RIDGE, slope_penalty)
    right = np.zeros((m, k + d + 1, 1))
    right[:, :k, 0] = values
    solved = np.linalg.solve(system, right)[:, :, 0]
    at_origin = _kernel(square / unit[:, :, 0])
    return np.asarray((solved[:, :k] * at_origin).sum(axis=1) + solved[:, k])


def _kernel(square: FloatArray) -> FloatArray:
    """r squared times log r, from r squared."""
    return np.asarray(0.5 * square * np.log(np.maximum(square, 1e-300)))
