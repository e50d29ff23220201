"""Independent pixels: each observed cell is kept with probability r (Algorithm 5).

``keep_i ~ Bernoulli(r)``, independently over cells, frames and (unless ``joint``) channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._typing import BoolArray
from ..exceptions import ImputeError
from .base import MaskPattern

__all__ = ["Pixel"]


@dataclass(frozen=True, kw_only=True)
class Pixel(MaskPattern):
    """Keep each cell by itself with probability ``ratio``.

    The pattern of sparse, unstructured sensors and of random dropouts.

    Parameters
    ----------
    ratio : float in (0, 1)
        Probability of keeping a cell where the call does not name one.
    joint, static : bool
        See :class:`~xdiffimpute.masks.MaskPattern`.

    Raises
    ------
    ImputeError
        If ``ratio`` is not strictly between 0 and 1.

    References
    ----------
    Algorithm 5 of "Incomplete Data, Complete Dynamics: A Diffusion Approach".

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> kept = Pixel(ratio=0.25)(np.ones((1, 1, 64, 64), dtype=bool), rng)
    >>> bool(0.2 < kept.mean() < 0.3)
    True
    """

    ratio: float = 0.7

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise ImputeError(
                f"Pixel(ratio={self.ratio!r}): the share of cells to keep must lie strictly "
                "between 0 and 1, such as Pixel(ratio=0.7)."
            )

    def keep(self, observed: BoolArray, rng: np.random.Generator, ratio: float | None) -> BoolArray:
        """Bernoulli draws, bool array of shape (T, H, W)."""
        share = self.ratio if ratio is None else ratio
        kept: BoolArray = rng.random(observed.shape, dtype=np.float32) < share
        return kept

    def to_dict(self) -> dict[str, Any]:
        """Constructor arguments that JSON can hold."""
        return {**super().to_dict(), "ratio": float(self.ratio)}
