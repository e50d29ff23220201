"""The climatology of the observations: no anomaly at all.

With a long enough time axis it is seasonal (harmonics of the year and of the day) or one
mean for each cell, drawn towards the neighbouring cells where observations are few; the
other methods interpolate the anomalies that it leaves.
"""

from __future__ import annotations

import numpy as np

from .._typing import BoolArray, FloatArray
from .base import Baseline, Geometry

__all__ = ["Climatology"]


class Climatology(Baseline):
    """Mean of the observations, by cell and season where the data allow.

    Parameters
    ----------
    **options
        See :class:`~xdiffimpute.baselines.base.Baseline`.

    Examples
    --------
    >>> import numpy as np
    >>> frame = np.array([[[1.0, np.nan]]], dtype="float32")
    >>> Climatology().interpolate(frame, np.ones((1, 2), bool), Geometry.of((1, 2)), slice(0, 1))
    array([[[0., 0.]]], dtype=float32)
    """

    name = "climatology"

    def interpolate(
        self, frames: FloatArray, domain: BoolArray, geometry: Geometry, core: slice
    ) -> FloatArray:
        return np.zeros_like(frames[core])
