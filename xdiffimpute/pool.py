"""Blocks of consecutive frames in memory, of a store that need not fit there.

A :class:`BlockPool` holds a few blocks, standardised, and replaces them one by one from the
store, in chunk-aligned reads on a background thread, while windows are cut from those it holds.
Data that fit in memory are one block each series and are never replaced. Memory is bounded by
the pool, never by the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask
import numpy as np
import xarray as xr

from ._typing import FloatArray
from .calendar import Clock
from .transforms import Statistics

__all__ = ["POOL_BYTES", "Block", "BlockPool", "Position"]

POOL_BYTES = 512 * 2**20  # looked up in every fit, so that it can be set


@dataclass(frozen=True)
class Position:
    """Where a stream of batches stands: what it takes to go on from there.

    Parameters
    ----------
    step : int
        Batches that were drawn.
    ranges : tuple of (int, int, int)
        Series, first frame and end of each block of the store; empty for data in memory.
    read : int
        Blocks that were read, in the order of the seed.
    held : tuple of int
        The blocks that are in the pool.
    """

    step: int = 0
    ranges: tuple[tuple[int, int, int], ...] = ()
    read: int = 0
    held: tuple[int, ...] = ()

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Position:
        """Rebuild from ``dataclasses.asdict``, by way of JSON."""
        ranges = tuple((int(s), int(a), int(b)) for s, a, b in saved["ranges"])
        return cls(saved["step"], ranges, saved["read"], tuple(saved["held"]))


@dataclass(frozen=True)
class Block:
    """Consecutive frames of one series, standardised: values (N, C, H, W), NaN where missing."""

    start: int
    values: FloatArray
    weight: float
    index: int


class BlockPool:
    """A bounded set of blocks, refreshed from the store in the background.

    Parameters
    ----------
    packed : DataArray, dims (series, time, channel, y, x)
        Withheld cells already removed.
    clock : Clock
    statistics : Statistics
    window : int
        A block is never shorter than two windows, when there are so many frames.
    limit : int, optional
        Bytes of float32 that the pool may hold; default: ``POOL_BYTES``.
    seed : int
    position : Position, optional
        Hold the blocks that were held there, whatever the chunks are now.
    part : (int, int)
        Rank and number of processes that share the blocks of the store: each reads its own, if
        there are enough for all.
    """

    def __init__(
        self,
        packed: xr.DataArray,
        clock: Clock,
        statistics: Statistics,
        *,
        window: int,
        limit: int | None = None,
        seed: int = 0,
        position: Position | None = None,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        limit = POOL_BYTES if limit is None else limit
        self.packed = packed.transpose("series", "time", "channel", "y", "x")
        self.statistics = statistics
        self.regressors = clock.regressors(statistics.harmonics)
        self.rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
        self.frame_bytes = 4 * int(np.prod(self.packed.shape[2:]))
        self.resident = self.frame_bytes * self.packed.shape[0] * self.packed.shape[1] <= limit
        self.ranges = tuple(self._ranges(window, limit))
        if position is not None and position.held:
            self.ranges = position.ranges
        self._mine = part if len(self.ranges) >= 2 * part[1] else (0, 1)
        self._order: list[int] = []
        self._read = 0
        if self.resident:
            self.blocks = self._load_all()
            self.packed = self.packed.isel(time=slice(0)).copy()  # not held twice
        elif position is not None and position.held:
            self.blocks = self._restored(position)
        else:
            held = max(2, self._capacity(limit))
            self.blocks = self._load(held)
        while not self.blocks and self._order:  # nothing was observed in those
            self.blocks = self._load(2)

    @property
    def longest(self) -> int:
        """Frames of the longest block."""
        return max(b - a for _, a, b in self.ranges)

    def position(self, step: int) -> Position:
        """Where the stream stands after so many batches."""
        if self.resident:
            return Position(step)
        held = tuple(block.index for block in self.blocks)
        return Position(step, self.ranges, self._read, held)

    def _ranges(self, window: int, limit: int) -> list[tuple[int, int, int]]:
        """(series, start, stop) of chunk-aligned blocks."""
        n_series, n_time = self.packed.shape[:2]
        if self.resident:
            return [(s, 0, n_time) for s in range(n_series)]
        chunks = self.packed.chunks[1] if self.packed.chunks is not None else (n_time,)
        least = min(n_time, 2 * window)
        most = max(least, limit // (8 * self.frame_bytes))
        edges = [0]
        for edge in np.cumsum(chunks):
            while edge - edges[-1] > most:
                edges.append(edges[-1] + most)
            if edge - edges[-1] >= least:
                edges.append(int(edge))
        edges[-1] = n_time
        pairs = list(zip(edges[:-1], edges[1:], strict=True))
        return [(s, a, b) for s in range(n_series) for a, b in pairs]

    def _capacity(self, limit: int) -> int:
        return min(
            len(self.ranges) // self._mine[1], int(limit // (2 * self.longest * self.frame_bytes))
        )

    def _standardise(self, values: FloatArray, index: int) -> Block | None:
        start = self.ranges[index][1]
        regressors = self.regressors[start : start + len(values)]
        z = self.statistics.forward(np.asarray(values, dtype=np.float32), regressors)
        observed = float(np.isfinite(z).sum())
        return Block(start, np.ascontiguousarray(z), observed, index) if observed else None

    def _load_all(self) -> list[Block]:
        values = self.packed.values
        blocks = (self._standardise(values[s, a:b], k) for k, (s, a, b) in enumerate(self.ranges))
        return [block for block in blocks if block is not None]

    def _restored(self, position: Position) -> list[Block]:
        """The blocks of a position; those to come are in the order they would have had."""
        self._read = position.read
        self._extend(position.read)
        read, self._order = self._order[: position.read], self._order[position.read :]
        # a position is that of the first process; the others held their own latest blocks
        return self._blocks(position.held if self._mine[0] == 0 else read[-len(position.held) :])

    def _extend(self, count: int) -> None:
        """Know the order of at least so many blocks to come."""
        rank, size = self._mine
        while len(self._order) < count:
            self._order += [int(k) for k in self.rng.permutation(len(self.ranges))[rank::size]]

    def _load(self, count: int) -> list[Block]:
        self._extend(count)
        chosen, self._order = self._order[:count], self._order[count:]
        self._read += len(chosen)
        return self._blocks(chosen)

    def _blocks(self, chosen: Sequence[int]) -> list[Block]:
        """Read blocks; those without an observation are left out."""
        lazy = []
        for k in chosen:
            s, a, b = self.ranges[k]
            lazy.append(self.packed.data[s, a:b])
        blocks = (
            self._standardise(values, k)
            for values, k in zip(dask.compute(*lazy), chosen, strict=True)
        )
        return [block for block in blocks if block is not None]

    def refresh(self) -> None:
        """Replace the oldest block by the next of the store."""
        if self.resident:
            return
        fresh = self._load(1)
        if fresh:
            self.blocks = self.blocks[1:] + fresh
