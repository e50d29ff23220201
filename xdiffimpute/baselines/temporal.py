"""Interpolation in time, cell by cell; in space where a cell is not seen for long.

A gap cell takes the value on the line between its last observation and its next one, if both
are at most ``reach`` frames away; else that of the one that is; and where neither is, the
distance-weighted mean of the cells of its frame that now have a value.
"""

from __future__ import annotations

import numpy as np

from .._typing import BoolArray, FloatArray
from .base import Baseline, Geometry

__all__ = ["Temporal"]

NEIGHBOURS = 12


class Temporal(Baseline):
    """Linear in time, then nearest in time, then distance-weighted in space.

    Parameters
    ----------
    reach : int
        Frames that an observation is carried; tuned if not given.
    **options
        See :class:`~xdiffimpute.baselines.base.Baseline`.

    Examples
    --------
    >>> import numpy as np
    >>> frames = np.array([1.0, np.nan, 3.0], dtype="float32").reshape(3, 1, 1)
    >>> geometry = Geometry.of((1, 1), days=np.arange(3.0))
    >>> out = Temporal(reach=2).interpolate(frames, np.ones((1, 1), bool), geometry, slice(0, 3))
    >>> out.ravel().tolist()
    [1.0, 2.0, 3.0]
    """

    name = "temporal"
    knobs = {"reach": (4, 1, 2, 8, 16, 32)}

    @property
    def frame_halo(self) -> int:
        """The reach."""
        return int(self.settings["reach"])

    def interpolate(
        self, frames: FloatArray, domain: BoolArray, geometry: Geometry, core: slice
    ) -> FloatArray:
        days = (geometry.days - geometry.days[0]).astype(np.float32)[:, None, None]
        value_before, days_before = _carried(frames, days, self.frame_halo)
        value_after, days_after = _carried(frames[::-1], days[::-1], self.frame_halo)
        past, when_past = value_before[core], days_before[core]
        future, when_future = value_after[::-1][core], days_after[::-1][core]
        span = np.maximum(when_future - when_past, np.float32(1e-9))
        share = np.clip((days[core] - when_past) / span, 0.0, 1.0)
        line = past + share * (future - past)
        out = np.where(np.isnan(past), future, np.where(np.isnan(future), past, line))
        out = np.where(np.isnan(frames[core]), out, frames[core]).astype(np.float32)
        for frame in out:
            known = np.isfinite(frame)
            wanted = ~known & domain
            if known.any() and wanted.any():
                distance, index = geometry.neighbours(known, wanted, NEIGHBOURS)
                weight = np.maximum(distance, 1e-9) ** -2.0
                frame[wanted] = (weight * frame[known][index]).sum(axis=1) / weight.sum(axis=1)
        return out


def _carried(frames: FloatArray, days: FloatArray, reach: int) -> tuple[FloatArray, FloatArray]:
    """The last observation at most ``reach`` frames ago and its time, NaN if there is none."""
    value, when = np.full_like(frames, np.nan), np.full_like(frames, np.nan)
    for lag in range(min(reach, len(frames) - 1) + 1):
        later = slice(lag, None)
        earlier = frames[: len(frames) - lag]
        take = np.isnan(value[later]) & np.isfinite(earlier)
        value[later][take] = earlier[take]
        when[later][take] = np.broadcast_to(days[: len(frames) - lag], earlier.shape)[take]
    return value, when
