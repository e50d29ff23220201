"""From chunked fields to training batches.

A :class:`BlockPool` holds a few blocks of consecutive frames, standardised, and replaces
them one by one from the store, in chunk-aligned reads on a background thread, while
windows are cut from those it holds. Data that fit in memory are one block each series and
are never replaced. Memory is bounded by the pool, never by the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dask
import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ._typing import BoolArray, FloatArray
from .calendar import Clock
from .coordinates import Coordinates
from .partition import Partition
from .tiling import MARGIN, surroundings
from .transforms import Statistics

__all__ = ["Batch", "BlockPool", "batches"]

POOL_BYTES = 512 * 2**20  # looked up in every fit, so that it can be set
ATTEMPTS = 8


@dataclass(frozen=True)
class Batch:
    """What one training step needs, on the CPU.

    Parameters
    ----------
    x : Tensor, shape (B, C, T, H, W)
        Standardised values, zero where not observed.
    observed, context, query : Tensor, shape (B, C, T, H, W)
        1 inside, 0 outside.
    features : Tensor, shape (B, F, T, h, w)
        Coordinates of the tile.
    offsets : list of (int, int)
        First row and column of each sample's tile within its surroundings.
    """

    x: Tensor
    observed: Tensor
    context: Tensor
    query: Tensor
    features: Tensor
    offsets: list[tuple[int, int]] | None = None

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        if device.type == "cpu":
            return self
        x, observed, context, query, features = (
            part.pin_memory().to(device, non_blocking=True)
            for part in (self.x, self.observed, self.context, self.query, self.features)
        )
        return Batch(x, observed, context, query, features, self.offsets)


@dataclass(frozen=True)
class Block:
    """Consecutive frames of one series, standardised: values (N, C, H, W), NaN where missing."""

    start: int
    values: FloatArray
    weight: float


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
    ) -> None:
        limit = POOL_BYTES if limit is None else limit
        self.packed = packed.transpose("series", "time", "channel", "y", "x")
        self.statistics = statistics
        self.regressors = clock.regressors(statistics.harmonics)
        self.rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
        self.frame_bytes = 4 * int(np.prod(self.packed.shape[2:]))
        self.resident = self.frame_bytes * self.packed.shape[0] * self.packed.shape[1] <= limit
        self.ranges = self._ranges(window, limit)
        self._order: list[int] = []
        held = len(self.ranges) if self.resident else max(2, self._capacity(limit))
        self.blocks = self._load_all() if self.resident else self._load(held)
        while not self.blocks and self._order:
            self.blocks = self._load(held)

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
        longest = max(b - a for _, a, b in self.ranges)
        return min(len(self.ranges), int(limit // (2 * longest * self.frame_bytes)))

    def _standardise(self, values: FloatArray, start: int) -> Block | None:
        regressors = self.regressors[start : start + len(values)]
        z = self.statistics.forward(np.asarray(values, dtype=np.float32), regressors)
        observed = float(np.isfinite(z).sum())
        return Block(start, np.ascontiguousarray(z), observed) if observed else None

    def _load_all(self) -> list[Block]:
        values = self.packed.values
        blocks = (self._standardise(values[s, a:b], a) for s, a, b in self.ranges)
        return [block for block in blocks if block is not None]

    def _load(self, count: int) -> list[Block]:
        if len(self._order) < count:
            self._order += list(self.rng.permutation(len(self.ranges)))
        chosen, self._order = self._order[:count], self._order[count:]
        lazy = []
        for k in chosen:
            s, a, b = self.ranges[int(k)]
            lazy.append(self.packed.data[s, a:b])
        starts = [self.ranges[int(k)][1] for k in chosen]
        blocks = (
            self._standardise(values, start)
            for values, start in zip(dask.compute(*lazy), starts, strict=True)
        )
        return [block for block in blocks if block is not None]

    def refresh(self) -> None:
        """Replace the oldest block by the next of the store."""
        if self.resident:
            return
        fresh = self._load(1)
        if fresh:
            self.blocks = self.blocks[1:] + fresh


def batches(
    pool: BlockPool,
    coordinates: Coordinates,
    partition: Partition,
    *,
    window: int,
    tile: tuple[int, int],
    batch: int,
    periodic: bool,
    seed: int = 0,
) -> Iterator[Batch]:
    """Training batches without end.

    Windows are drawn in proportion to the observations of a block; a draw with too few
    observed cells to be split is repeated. The sequence depends on ``seed`` alone.

    Parameters
    ----------
    pool : BlockPool
    coordinates : Coordinates
    partition : Partition
    window : int
        Frames, T.
    tile : (int, int)
        Cells, (H, W).
    batch : int
        B.
    periodic : bool
        Let tiles run across the edge of a global grid.
    seed : int

    Yields
    ------
    Batch
    """
    step = 0
    refresh_every = max(1, len(pool.blocks[0].values) // (batch * 4)) if not pool.resident else 0
    while True:
        rng = np.random.default_rng(np.random.SeedSequence([seed, 2, step]))
        if refresh_every and step and step % refresh_every == 0:
            pool.refresh()
        samples = [
            _sample(pool, coordinates, partition, window, tile, periodic, rng) for _ in range(batch)
        ]
        x, observed, context, query, features = (
            torch.from_numpy(np.stack([sample[k] for sample in samples])) for k in range(5)
        )
        offsets = [sample[5] for sample in samples]
        yield Batch(x, observed, context, query, features, offsets)
        step += 1


def _about_an_observation(
    values: FloatArray, tile: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int]:
    """First row and column of a tile that holds an observed cell, if there is one."""
    cells = np.argwhere(np.isfinite(values).any(axis=(0, 1)))
    if not len(cells):
        return 0, 0
    corner = cells[rng.integers(len(cells))] - rng.integers(tile)
    y, x = np.clip(corner, 0, np.array(values.shape[-2:]) - tile)
    return int(y), int(x)


def _sample(
    pool: BlockPool,
    coordinates: Coordinates,
    partition: Partition,
    window: int,
    tile: tuple[int, int],
    periodic: bool,
    rng: np.random.Generator,
) -> tuple[Any, ...]:
    """One sample of each array of a Batch, and its offset."""
    weights = np.array([block.weight for block in pool.blocks])
    h, w = pool.blocks[0].values.shape[-2:]
    roll = periodic and tile[1] < w
    best: tuple[int, Block, int, int, int] | None = None
    for _ in range(ATTEMPTS):
        block = pool.blocks[int(rng.choice(len(weights), p=weights / weights.sum()))]
        t = int(rng.integers(0, len(block.values) - window + 1))
        y = int(rng.integers(0, h - tile[0] + 1))
        x = int(rng.integers(0, w if roll else w - tile[1] + 1))
        columns = (x + np.arange(tile[1])) % w
        z = block.values[t : t + window, :, y : y + tile[0]][..., columns]
        count = int(np.isfinite(z).sum())
        if best is None or count > best[0]:
            best = (count, block, t, y, x)
        if count >= 0.05 * z.size:
            break
    if best is None:
        raise RuntimeError("unreachable: at least one attempt is made")
    count, block, t, y, x = best
    if count == 0:
        y, x = _about_an_observation(block.values[t : t + window], tile, rng)
    rows, above = surroundings(y, tile[0], h, MARGIN)
    columns, left = surroundings(x, tile[1], w, MARGIN, periodic=roll)
    z = block.values[t : t + window][:, :, rows[0] : rows[-1] + 1][..., columns]
    z = z.transpose(1, 0, 2, 3)
    observed: BoolArray = np.isfinite(z)
    context, query = partition.split(observed, rng)
    frames = slice(block.start + t, block.start + t + window)
    inner = (y + np.arange(tile[0]), (x + np.arange(tile[1])) % w)
    return (
        np.where(observed, z, 0.0).astype(np.float32),
        observed.astype(np.float32),
        context.astype(np.float32),
        query.astype(np.float32),
        np.ascontiguousarray(coordinates(frames, *inner)),
        (above, left),
    )
