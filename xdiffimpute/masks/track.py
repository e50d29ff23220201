"""Satellite swaths: parallel inclined strips, ascending and descending.

A cell at (y, x) is kept where ``(x + s y tan(angle) - phase) mod spacing < width``, with
s = 1 for ascending and, if ``crossing``, also with s = -1 for descending passes. Each frame
has its own phases, as an orbit sweeps over a region from one day to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._typing import BoolArray
from ..exceptions import ImputeError
from .base import MaskPattern

__all__ = ["Track"]


@dataclass(frozen=True, kw_only=True)
class Track(MaskPattern):
    """Keep what lies under the swaths of a polar orbiter.

    Parameters
    ----------
    ratio : float in (0, 1)
        Share of the frame that the swaths cover where the call does not name one.
    tracks : int
        Number of passes of one direction across the frame; the spacing is W / tracks.
    angle : float, degrees
        Inclination of the tracks from the y axis.
    crossing : bool
        Ascending and descending passes, or ascending ones only.
    joint, static : bool
        See :class:`~xdiffimpute.masks.MaskPattern`.

    Raises
    ------
    ImputeError
        If ``ratio`` is not in (0, 1), ``tracks`` not positive or ``angle`` beyond 80 degrees.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> kept = Track(ratio=0.4)(np.ones((1, 8, 64, 64), dtype=bool), rng)
    >>> bool(0.35 < kept.mean() < 0.45)
    True
    """

    ratio: float = 0.4
    tracks: int = 3
    angle: float = 20.0
    crossing: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1 or self.tracks < 1 or abs(self.angle) > 80:
            raise ImputeError(
                f"Track(ratio={self.ratio!r}, tracks={self.tracks!r}, angle={self.angle!r}): "
                "0 < ratio < 1, tracks >= 1 and an angle from -80 to 80 degrees are needed, "
                "such as Track(ratio=0.4, tracks=3, angle=20)."
            )

    def keep(self, observed: BoolArray, rng: np.random.Generator, ratio: float | None) -> BoolArray:
        """Swaths at random phases, bool array of shape (T, H, W)."""
        frames, height, width = observed.shape
        share = self.ratio if ratio is None else ratio
        # Two independent directions together cover 1 - (1 - strip)^2.
        strip = 1 - np.sqrt(1 - share) if self.crossing else share
        spacing = max(width / self.tracks, 1.0)
        slope = np.tan(np.deg2rad(self.angle)) * np.arange(height, dtype=np.float32)[:, None]
        x = np.arange(width, dtype=np.float32)
        kept = np.zeros(observed.shape, dtype=bool)
        for sign in (1, -1) if self.crossing else (1,):
            phase = rng.random((frames, 1, 1), dtype=np.float32)
            cycle = ((x + sign * slope) / np.float32(spacing)).astype(np.float32) + phase
            kept |= cycle - np.floor(cycle) < strip
        return kept

    def to_dict(self) -> dict[str, Any]:
        """Constructor arguments that JSON can hold."""
        own = {"ratio": float(self.ratio), "tracks": int(self.tracks)}
        own |= {"angle": float(self.angle), "crossing": self.crossing}
        return {**super().to_dict(), **own}
