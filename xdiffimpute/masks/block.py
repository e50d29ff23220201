"""Whole blocks of a regular grid: k of the observed blocks are kept (Algorithm 6).

The frame is cut into ``ny`` by ``nx`` blocks with edges ``round(linspace(0, H, ny + 1))``,
for any H and W (or, where sides do not divide, with the larger blocks first, as
``numpy.array_split`` cuts). A block counts as observed where any cell in it is, and ``k``
of the observed blocks are kept, drawn without replacement: integer counts, so that
P(a block is queried | context) is the same for all blocks outside the context.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._typing import AnyArray, BoolArray
from ..division import block_starts
from ..exceptions import ImputeError
from .base import MaskPattern

__all__ = ["Block"]


@dataclass(frozen=True, kw_only=True)
class Block(MaskPattern):
    """Keep whole blocks.

    Parameters
    ----------
    grid : (int, int)
        Number of blocks along y and along x.
    kept : int, optional
        Number of blocks to keep where the call names no ratio; by default all observed
        blocks but one. Always at least 1 and, so that there is something left to query,
        at most one fewer than are observed.
    frame : (int, int), optional
        H and W of the whole frame that ``grid`` divides. A tile cropped out of a larger
        frame is then cut into blocks of the whole frame's size, at a random offset, since
        a tile does not know where it came from. Without ``frame`` the edges are those of
        the tile itself: ``grid`` divides whatever is passed.
    larger_first : bool
        How a side that does not divide is cut: 17 rows in three as 6, 6, 5 where True, as 6, 5, 6
        where False.
    joint, static : bool
        See :class:`~xdiffimpute.masks.MaskPattern`.

    Raises
    ------
    ImputeError
        If the grid has fewer than two blocks, or ``kept`` does not fit it.

    References
    ----------
    Algorithm 6 of "Incomplete Data, Complete Dynamics: A Diffusion Approach".

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> kept = Block(grid=(3, 3), kept=5)(np.ones((1, 4, 9, 9), dtype=bool), rng)
    >>> kept.sum(axis=(2, 3)).tolist()
    [[45, 45, 45, 45]]
    """

    grid: tuple[int, int] = (3, 3)
    kept: int | None = None
    frame: tuple[int, int] | None = None
    larger_first: bool = False

    def __post_init__(self) -> None:
        ny, nx = (int(n) for n in self.grid)
        object.__setattr__(self, "grid", (ny, nx))
        if self.frame is not None:
            object.__setattr__(self, "frame", (int(self.frame[0]), int(self.frame[1])))
        if min(ny, nx) < 1 or ny * nx < 2:
            raise ImputeError(
                f"Block(grid={self.grid!r}): there must be at least two blocks, "
                "such as Block(grid=(3, 3))."
            )
        if self.kept is not None and not 1 <= self.kept < ny * nx:
            raise ImputeError(
                f"Block(grid={self.grid!r}, kept={self.kept!r}): the number of blocks kept must "
                f"lie between 1 and {ny * nx - 1}, such as Block(grid={self.grid!r}, kept=1)."
            )

    def check(self, masks: BoolArray) -> None:
        """Refuse data that it cannot split.

        Parameters
        ----------
        masks : bool array, shape (..., H, W)
            True where observed.

        Raises
        ------
        ImputeError
            If the grid is finer than the field, or no mask shows more blocks than ``kept``.
        """
        shape = masks.shape[-2:]
        if self.grid[0] > shape[0] or self.grid[1] > shape[1]:
            raise ImputeError(
                f"Block(grid={self.grid!r}) is finer than the field of {shape[0]} x {shape[1]} "
                f"cells; at most grid=({shape[0]}, {shape[1]}) is possible."
            )
        if self.kept is None or (self.frame is not None and self.frame != shape):
            return
        ys, xs = (self._starts(axis, shape[axis], None) for axis in (0, 1))
        seen = np.logical_or.reduceat(np.logical_or.reduceat(masks, ys, axis=-2), xs, axis=-1)
        most = int(seen.sum(axis=(-2, -1)).max(initial=0))
        if most <= self.kept:
            raise ImputeError(
                f"Block(grid={self.grid!r}, kept={self.kept}): the data show at most {most} blocks "
                f"at a time, and a context of {self.kept} leaves none to query; use kept="
                f"{max(most - 1, 1)} or less, or leave it out."
            )

    def keep(self, observed: BoolArray, rng: np.random.Generator, ratio: float | None) -> BoolArray:
        """Blocks drawn without replacement in each frame, bool array of shape (T, H, W)."""
        frames, height, width = observed.shape
        tile = self.frame is not None and self.frame != (height, width)
        ys = self._starts(0, height, rng if tile else None)
        xs = self._starts(1, width, rng if tile else None)
        seen = np.logical_or.reduceat(observed, ys, axis=1)
        seen = np.logical_or.reduceat(seen, xs, axis=2)
        flat = seen.reshape(frames, -1)
        count = flat.sum(axis=1)
        if ratio is not None:
            wanted = np.rint(ratio * count)
        else:
            wanted = count - 1 if self.kept is None else np.full_like(count, self.kept)
        wanted = np.clip(wanted, 1, np.maximum(count - 1, 1))
        scores = np.where(flat, rng.random(flat.shape), 2.0)
        rank = scores.argsort(axis=1).argsort(axis=1)
        blocks = (rank < wanted[:, None]).reshape(seen.shape)
        rows = np.repeat(blocks, np.diff(ys, append=height), axis=1)
        kept: BoolArray = np.repeat(rows, np.diff(xs, append=width), axis=2)
        return kept

    def _starts(self, axis: int, length: int, rng: np.random.Generator | None) -> AnyArray:
        """First index of each block along one axis, without empty blocks.

        With ``rng`` the blocks have the size they have in the whole frame and begin at a
        random phase.
        """
        count = self.grid[axis]
        if rng is None or self.frame is None:
            edges: AnyArray = block_starts(length, count, larger_first=self.larger_first)
        else:
            size = self.frame[axis] / count
            edges = np.arange(-rng.random() * size, length, size)
        starts = np.unique(np.rint(edges).astype(np.intp).clip(0))
        return starts[starts < length]

    def to_dict(self) -> dict[str, Any]:
        """Constructor arguments that JSON can hold."""
        frame = None if self.frame is None else list(self.frame)
        own = {"grid": list(self.grid), "kept": self.kept, "frame": frame}
        own |= {"larger_first": self.larger_first} if self.larger_first else {}
        return {**super().to_dict(), **own}
