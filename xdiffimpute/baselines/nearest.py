"""The nearest observation of the same frame, in distance on the sphere where there is one."""

from __future__ import annotations

import numpy as np

from .._typing import BoolArray, FloatArray
from .base import Baseline, Geometry

__all__ = ["Nearest"]


class Nearest(Baseline):
    """Nearest observed cell in space.

    Parameters
    ----------
    **options
        See :class:`~xdiffimpute.baselines.base.Baseline`.

    Examples
    --------
    >>> import numpy as np
    >>> frame = np.array([[[1.0, np.nan, np.nan, 5.0]]], dtype="float32")
    >>> Nearest().interpolate(frame, np.ones((1, 4), bool), Geometry.of((1, 4)), slice(0, 1))
    array([[[1., 1., 5., 5.]]], dtype=float32)
    """

    name = "nearest"
    pointwise = True

    def interpolate(
        self, frames: FloatArray, domain: BoolArray, geometry: Geometry, core: slice
    ) -> FloatArray:
        out = frames[core].copy()
        for frame in out:
            known = np.isfinite(frame)
            wanted = ~known & domain
            if known.any() and wanted.any():
                _, index = geometry.neighbours(known, wanted, 1)
                frame[wanted] = frame[known][index[:, 0]]
        return out
