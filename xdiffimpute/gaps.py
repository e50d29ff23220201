"""What the gaps of a data set look like: who shares them, how long they last, how they clump.

Statistics are taken over the domain, the cells that are observed at least once, since land
would otherwise pass for structure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ._typing import AnyArray, BoolArray, IntArray
from .division import block_starts
from .exceptions import DataError

__all__ = ["Gaps", "block_counts", "clumping", "find_grid", "gap_length", "gap_sizes"]

AGREE = 0.99
PURE = 0.98
GRIDS = range(2, 9)
LIBRARY_FRAMES = 256
LIBRARY_BYTES = 64 * 2**20
SEARCH_FRAMES = 64
ENOUGH_PAIRS = 8


@dataclass(frozen=True)
class Gaps:
    """The masks of a data set, sorted for questions about them.

    Parameters
    ----------
    joint : bool
        Do the channels share their gaps?
    static : bool
        Do the gaps of each series stay the same?
    runs : bool array, shape (R, N, H, W)
        One sequence of masks per series and, unless joint, per channel. Cells outside the
        domain count as observed.
    inside : bool array, shape (R, H, W)
        The domain of each run.
    frames, within : bool arrays, shape (M, H, W)
        The frames that have some gaps but not only gaps, and their domains; one per run if
        the gaps are static.
    """

    joint: bool
    static: bool
    runs: BoolArray
    inside: BoolArray
    frames: BoolArray
    within: BoolArray

    @classmethod
    def of(cls, masks: BoolArray, domain: BoolArray) -> Gaps:
        """Sort masks of shape (N, C, H, W) or (S, N, C, H, W).

        Raises
        ------
        DataError
            If the shapes do not fit or nothing is observed at all.
        """
        if masks.ndim == 4:
            masks = masks[None]
        if masks.ndim != 5 or masks.shape[2:] != domain.shape or not masks.size:
            raise DataError(
                f"masks of shape {masks.shape} do not go with a domain of shape {domain.shape}; "
                "pass masks as (series, time, channel, y, x) and the domain as (channel, y, x)."
            )
        if not (masks & domain).any():
            raise DataError("no cell is observed in any frame; check the variable and its units.")
        joint = _channels_agree(masks, domain)
        if joint:
            runs: BoolArray = np.asarray(masks.any(axis=2))
            inside: BoolArray = np.asarray(domain.any(axis=0))[None]
        else:
            runs = masks.swapaxes(1, 2).reshape(-1, masks.shape[1], *masks.shape[3:])
            inside = np.tile(domain, (masks.shape[0], 1, 1))
        inside = np.broadcast_to(inside, (len(runs), *inside.shape[1:]))
        runs = np.logical_or(runs, ~inside[:, None])
        static = bool(runs.shape[1] > 1 and _agree(runs, runs[:, :1], inside))
        distinct = runs[:, :1] if static else runs
        share = 1 - (~distinct).sum(axis=(2, 3)) / np.maximum(inside.sum(axis=(1, 2)), 1)[:, None]
        gappy = (share < 1 - 0.005) & (share > 0)
        run, _ = np.nonzero(gappy)
        return cls(joint, static, runs, inside, distinct[gappy], inside[run])

    @property
    def shape(self) -> tuple[int, int]:
        """H and W."""
        return self.runs.shape[2], self.runs.shape[3]

    def clumping(self) -> float:
        """Correlation of gaps at neighbouring cells; 0 for independent pixels."""
        return max(clumping(self.frames, self.within, axis) for axis in (1, 2))

    def persistence(self) -> float:
        """Correlation of gaps at consecutive frames; 0 with too few frames to tell."""
        runs = self.runs
        if self.static or len(runs) * (runs.shape[1] - 1) < ENOUGH_PAIRS:
            return 0.0
        both = np.broadcast_to(self.inside[:, None], runs[:, 1:].shape)
        return _correlation(runs[:, 1:][both], runs[:, :-1][both])

    def distinct(self) -> int:
        """Number of different masks, counted up to 3."""
        seen: set[bytes] = set()
        for frame in self.frames:
            seen.add(np.packbits(frame).tobytes())
            if len(seen) == 3:
                break
        return len(seen)

    def library(self) -> BoolArray:
        """At most 256 frames in time order, in runs around those that have gaps."""
        runs = self.runs[:, :1] if self.static else self.runs
        missing: BoolArray = ~np.asarray(runs.all(axis=(2, 3)))
        near = missing.copy()
        near[:, 1:] |= missing[:, :-1]
        near[:, :-1] |= missing[:, 1:]
        frames: BoolArray = runs[near] if near.any() else runs.reshape(-1, *self.shape)
        height, width = self.shape
        limit = int(np.clip(LIBRARY_BYTES // (height * width), 4, LIBRARY_FRAMES))
        if len(frames) <= limit:
            return frames
        pieces = min(8, limit // 4)
        length = limit // pieces
        starts = np.linspace(0, len(frames) - length, pieces).astype(int)
        return np.concatenate([frames[start : start + length] for start in starts])


def _channels_agree(masks: BoolArray, domain: BoolArray) -> bool:
    for channel in range(1, masks.shape[2]):
        both = domain[0] & domain[channel]
        if not both.any() or not _agree(masks[:, :, 0], masks[:, :, channel], both[None]):
            return False
    return True


def _agree(a: BoolArray, b: BoolArray, inside: BoolArray) -> bool:
    """Do two (R, N, H, W) masks agree at over 99% of the cells, and of their gaps at most?

    The second question matters where there are few gaps: two masks with 0.4% of gaps each
    agree at over 99% of the cells, whatever the gaps.
    """
    inside = inside[:, None]
    cells = np.count_nonzero(np.broadcast_to(inside, a.shape))
    differ = np.count_nonzero((a != b) & inside)
    gaps = np.count_nonzero(~(a & b) & inside)
    return bool(differ <= (1 - AGREE) * cells and 2 * differ <= gaps)


def _correlation(a: BoolArray, b: BoolArray) -> float:
    if a.size == 0:
        return 0.0
    qa, qb = float(a.mean()), float(b.mean())
    spread = float(np.sqrt(qa * (1 - qa) * qb * (1 - qb)))
    return (float((a & b).mean()) - qa * qb) / spread if spread > 0 else 0.0


def clumping(frames: BoolArray, inside: BoolArray, axis: int) -> float:
    """Correlation within frames of the masks of neighbours along an axis, pooled."""
    first = [slice(None)] * 3
    second = [slice(None)] * 3
    first[axis], second[axis] = slice(1, None), slice(None, -1)
    one, other = tuple(first), tuple(second)
    pairs = inside[one] & inside[other]
    number = pairs.sum(axis=(1, 2))
    a = (frames[one] & pairs).sum(axis=(1, 2)) / np.maximum(number, 1)
    b = (frames[other] & pairs).sum(axis=(1, 2)) / np.maximum(number, 1)
    ab = (frames[one] & frames[other] & pairs).sum(axis=(1, 2)) / np.maximum(number, 1)
    spread = np.sqrt(a * (1 - a) * b * (1 - b))
    total = float((spread * number).sum())
    return float(((ab - a * b) * number).sum()) / total if total > 0 else 0.0


def find_grid(
    frames: BoolArray, inside: BoolArray, *, larger_first: bool = False
) -> tuple[int, int] | None:
    """The coarsest grid within whose blocks the masks are constant, or None.

    Parameters
    ----------
    frames, inside : bool array, shape (M, H, W)
    larger_first : bool
        How sides that do not divide are cut, see :func:`xdiffimpute.division.block_starts`.
    """
    pick = np.linspace(0, len(frames) - 1, min(len(frames), SEARCH_FRAMES)).astype(int)
    known, seen = inside[pick], frames[pick] & inside[pick]
    cells = known.sum()
    best: tuple[int, int] | None = None
    for ny in (n for n in GRIDS if n <= frames.shape[1] // 2):
        rows = block_starts(frames.shape[1], ny, larger_first=larger_first)
        known_rows = np.add.reduceat(known, rows, axis=1, dtype=np.int32)
        seen_rows = np.add.reduceat(seen, rows, axis=1, dtype=np.int32)
        for nx in (n for n in GRIDS if n <= frames.shape[2] // 2):
            columns = block_starts(frames.shape[2], nx, larger_first=larger_first)
            number = np.add.reduceat(known_rows, columns, axis=2)
            count = np.add.reduceat(seen_rows, columns, axis=2)
            pure = np.maximum(count, number - count).sum() / cells
            if pure >= PURE and (best is None or ny * nx < best[0] * best[1]):
                best = (ny, nx)
    return best


def block_counts(
    frames: BoolArray, grid: tuple[int, int], *, larger_first: bool = False
) -> AnyArray:
    """How many blocks of each frame are mostly observed."""
    rows, columns = (
        block_starts(n, k, larger_first=larger_first)
        for n, k in zip(frames.shape[1:], grid, strict=True)
    )
    seen = np.add.reduceat(frames, rows, axis=1, dtype=np.int32)
    seen = np.add.reduceat(seen, columns, axis=2)
    sizes = np.diff(rows, append=frames.shape[1])[:, None] * np.diff(
        columns, append=frames.shape[2]
    )
    count: AnyArray = (2 * seen > sizes).sum(axis=(1, 2))
    return count


def gap_length(frames: BoolArray, axis: int) -> float:
    """Mean length of the runs of missing cells along an axis."""
    missing = ~np.moveaxis(frames, axis, -1)
    starts = missing[..., 0].sum() + (missing[..., 1:] & ~missing[..., :-1]).sum()
    return float(missing.sum() / max(int(starts), 1))


def gap_sizes(missing: BoolArray, *, periodic: bool = False) -> IntArray:
    """Size of the gap that each missing cell is part of: cells that touch at a side.

    Parameters
    ----------
    missing : bool array, shape (H, W)
    periodic : bool
        Whether the last column borders on the first.

    Returns
    -------
    int array, shape (H, W)
        Zero where nothing is missing.

    Examples
    --------
    >>> gap_sizes(np.array([[1, 0, 1], [1, 0, 0]], dtype=bool)).tolist()
    [[2, 0, 1], [2, 0, 0]]
    >>> gap_sizes(np.array([[1, 0, 1], [1, 0, 0]], dtype=bool), periodic=True).tolist()
    [[3, 0, 3], [3, 0, 0]]
    """
    label, count = ndimage.label(missing)
    if periodic and count:
        # Gaps that meet across the seam are one: the components of a graph of labels.
        meet = missing[:, 0] & missing[:, -1]
        pairs = (label[meet, 0] - 1, label[meet, -1] - 1)
        graph = coo_array((np.ones(len(pairs[0])), pairs), shape=(count, count))
        label = np.where(missing, connected_components(graph, directed=False)[1][label - 1] + 1, 0)
    sizes = np.bincount(label.ravel())
    sizes[0] = 0
    return np.asarray(sizes[label])
