r"""Distance-weighted mean of the nearest observations of a frame.

.. math:: \hat a(s) = \sum_k w_k a(s_k) / \sum_k w_k, \qquad w_k = |s - s_k|^{-p}

References
----------
Shepard, "A two-dimensional interpolation function for irregularly-spaced data",
Proc. 23rd ACM National Conference (1968), doi:10.1145/800186.810616.
"""

from __future__ import annotations

import numpy as np

from .._typing import BoolArray, FloatArray
from .base import Baseline, Geometry

__all__ = ["InverseDistance"]


class InverseDistance(Baseline):
    """Inverse distance weighting of the nearest observed cells.

    Parameters
    ----------
    neighbors : int
        Number of cells that are averaged; tuned if not given.
    power : float
        Exponent p of the distance; tuned if not given.
    **options
        See :class:`~xdiffimpute.baselines.base.Baseline`.

    Examples
    --------
    >>> import numpy as np
    >>> frame = np.array([[[0.0, np.nan, 4.0]]], dtype="float32")
    >>> method = InverseDistance(neighbors=2, power=2.0)
    >>> method.interpolate(frame, np.ones((1, 3), bool), Geometry.of((1, 3)), slice(0, 1))
    array([[[0., 2., 4.]]], dtype=float32)
    """

    name = "inverse_distance"
    pointwise = True
    knobs = {"neighbors": (12, 4, 6, 24, 48), "power": (2.0, 1.0, 3.0, 4.0)}

    def interpolate(
        self, frames: FloatArray, domain: BoolArray, geometry: Geometry, core: slice
    ) -> FloatArray:
        out = frames[core].copy()
        count, power = int(self.settings["neighbors"]), float(self.settings["power"])
        for frame in out:
            known = np.isfinite(frame)
            wanted = ~known & domain
            if known.any() and wanted.any():
                distance, index = geometry.neighbours(known, wanted, count)
                weight = np.maximum(distance, 1e-9) ** -power
                total = (weight * frame[known][index]).sum(axis=1)
                frame[wanted] = total / weight.sum(axis=1)
        return out
