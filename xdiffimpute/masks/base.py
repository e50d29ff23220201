"""Patterns of observation: which cells are kept when observations are thinned.

One family serves three uses: synthetic gaps, ``pattern(np.ones(shape, bool), rng)``;
the context of a training sample (thin what was observed); and the contexts of an
ensemble at inference. Booleans are True where a cell is observed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._typing import BoolArray

__all__ = ["MaskPattern"]


@dataclass(frozen=True, kw_only=True)
class MaskPattern(ABC):
    """Base of all patterns.

    Parameters
    ----------
    joint : bool
        The same thinning for all channels (gaps common to all variables), or one each.
    static : bool
        The same thinning for every frame of a window (fixed sensors), or one each.

    Examples
    --------
    >>> from xdiffimpute.masks import MASKS
    >>> pattern = MASKS.create("block", grid=(2, 2), kept=3)
    >>> kept = pattern(np.ones((1, 1, 4, 4), dtype=bool), np.random.default_rng(0))
    >>> int(kept.sum())
    12
    """

    joint: bool = True
    static: bool = False

    def __call__(
        self, observed: BoolArray, rng: np.random.Generator, ratio: float | None = None
    ) -> BoolArray:
        """Thin a mask.

        Parameters
        ----------
        observed : bool array, shape (C, T, H, W)
            True where observed.
        rng : numpy.random.Generator
            The only source of randomness.
        ratio : float in (0, 1), optional
            Share of the observed cells (or blocks) to keep; patterns whose share
            follows from data may ignore it. ``None`` means the pattern's own choice.

        Returns
        -------
        bool array, shape (C, T, H, W)
            A subset of ``observed``.
        """
        c, t = observed.shape[:2]
        groups = [slice(0, c)] if self.joint else [slice(i, i + 1) for i in range(c)]
        kept = np.empty_like(observed)
        for group in groups:
            seen: BoolArray = np.any(observed[group], axis=0)
            if self.static:
                ever: BoolArray = np.any(seen, axis=0, keepdims=True)
                keep = self.keep(ever, rng, ratio)
                keep = np.broadcast_to(keep, seen.shape)
            else:
                keep = self.keep(seen, rng, ratio)
            kept[group] = observed[group] & keep
        return kept

    def check(self, masks: BoolArray) -> None:  # noqa: B027
        """Refuse data that the pattern cannot split, before any training.

        Parameters
        ----------
        masks : bool array, shape (..., H, W)
            True where observed.

        Raises
        ------
        ImputeError
            If it cannot.
        """

    @abstractmethod
    def keep(self, observed: BoolArray, rng: np.random.Generator, ratio: float | None) -> BoolArray:
        """What to keep of one group of channels: bool array of shape (T, H, W)."""

    def to_dict(self) -> dict[str, Any]:
        """Constructor arguments that JSON can hold."""
        return {"joint": self.joint, "static": self.static}
