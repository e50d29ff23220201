"""From a pool of blocks to training batches: windows and tiles, each split in context and query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._typing import BoolArray, FloatArray
from .coordinates import Coordinates
from .partition import Partition
from .pool import Block, BlockPool, Position
from .propensity import Propensity
from .tiling import MARGIN, surroundings

__all__ = ["Batch", "batches"]

ATTEMPTS = 8


@dataclass(frozen=True)
class Batch:
    """What one training step needs, on the CPU.

    Parameters
    ----------
    x : Tensor, shape (B, C, T, H, W)
        Standardised values, zero where not observed.
    context, query : Tensor, shape (B, C, T, H, W)
        1 inside, 0 outside.
    features : Tensor, shape (B, F, T, h, w)
        Coordinates of the tile.
    weights : Tensor, shape (B, C, T, H, W), optional
        What each queried cell counts.
    offsets : list of (int, int)
        First row and column of each sample's tile within its surroundings.
    position : Position
        Of the stream, after this batch.
    places : int Tensor, shape (B, 2), optional
        Series and first frame of each sample.
    """

    x: Tensor
    context: Tensor
    query: Tensor
    features: Tensor
    offsets: list[tuple[int, int]] | None = None
    position: Position = Position()
    weights: Tensor | None = None
    places: Tensor | None = None

    @property
    def counted(self) -> Tensor:
        """The query, each cell with its weight, shape (B, C, T, H, W)."""
        return self.query if self.weights is None else self.query * self.weights

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        if device.type == "cpu":
            return self

        def moved(part: Tensor) -> Tensor:
            return part.pin_memory().to(device, non_blocking=True)

        return replace(
            self, x=moved(self.x), context=moved(self.context), query=moved(self.query),
            features=moved(self.features),
            weights=None if self.weights is None else moved(self.weights),
        )  # fmt: skip

    def split(self, size: int) -> list[Batch]:
        """The samples in parts of at most ``size``."""
        parts = []
        for k in range(0, len(self.x), size):
            part = slice(k, k + size)
            offsets = None if self.offsets is None else self.offsets[part]
            weights = None if self.weights is None else self.weights[part]
            places = None if self.places is None else self.places[part]
            parts.append(
                Batch(
                    self.x[part], self.context[part], self.query[part], self.features[part],
                    offsets, self.position, weights, places,
                )
            )  # fmt: skip
        return parts


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
    first: int = 0,
    share: Sequence[int] | None = None,
    propensity: Propensity | None = None,
) -> Iterator[Batch]:
    """Training batches without end.

    Windows are drawn in proportion to the observations of a block; a draw with too few
    observed cells to be split is repeated. The sequence depends on ``seed`` alone.

    Each batch knows the position after it, with which another pool and ``first`` go on.

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
    first : int
        Batches that were drawn before.
    share : sequence of int, optional
        Which samples of each batch to draw; the others are drawn by other processes.
    propensity : Propensity, optional
        What gives the queried cells their weights.

    Yields
    ------
    Batch
    """
    step = first
    refresh_every = 0 if pool.resident else max(1, pool.longest // (batch * 4))
    while True:
        if refresh_every and step and step % refresh_every == 0:
            pool.refresh()
        samples = [
            _sample(
                pool, coordinates, partition, window, tile, periodic, propensity,
                np.random.default_rng(np.random.SeedSequence([seed, 2, step, k])),
            )
            for k in (range(batch) if share is None else share)
        ]  # fmt: skip
        x, context, query, features, *weights = (
            torch.from_numpy(np.stack(arrays))
            for arrays in zip(*(sample[2:] for sample in samples), strict=True)
        )
        offsets = [sample[0] for sample in samples]
        places = torch.tensor([sample[1] for sample in samples])
        step += 1
        yield Batch(
            x, context, query, features, offsets, pool.position(step),
            weights[0] if weights else None, places,
        )  # fmt: skip


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
    propensity: Propensity | None,
    rng: np.random.Generator,
) -> tuple[Any, ...]:
    """The offset and the place of a sample, and its part of each array of a Batch."""
    weights = np.array([block.weight for block in pool.blocks])
    channels, h, w = pool.blocks[0].values.shape[1:]
    fields = channels - partition.given
    roll = periodic and tile[1] < w
    best: tuple[int, Block, int, int, int] | None = None
    for _ in range(ATTEMPTS):
        block = pool.blocks[int(rng.choice(len(weights), p=weights / weights.sum()))]
        t = int(rng.integers(0, len(block.values) - window + 1))
        y = int(rng.integers(0, h - tile[0] + 1))
        x = int(rng.integers(0, w if roll else w - tile[1] + 1))
        columns = (x + np.arange(tile[1])) % w
        z = block.values[t : t + window, :fields, y : y + tile[0]][..., columns]
        count = int(np.isfinite(z).sum())
        if best is None or count > best[0]:
            best = (count, block, t, y, x)
        if count >= 0.05 * z.size:
            break
    if best is None:
        raise RuntimeError("unreachable: at least one attempt is made")
    count, block, t, y, x = best
    if count == 0:
        y, x = _about_an_observation(block.values[t : t + window, :fields], tile, rng)
    rows, above = surroundings(y, tile[0], h, MARGIN)
    columns, left = surroundings(x, tile[1], w, MARGIN, periodic=roll)
    z = block.values[t : t + window][:, :, rows[0] : rows[-1] + 1][..., columns]
    z = z.transpose(1, 0, 2, 3)
    observed: BoolArray = np.isfinite(z)
    context, query = partition.split(observed, rng)
    frames = slice(block.start + t, block.start + t + window)
    inner = (y + np.arange(tile[0]), (x + np.arange(tile[1])) % w)
    return (
        (above, left),
        (pool.ranges[block.index][0], frames.start),
        np.where(observed, z, 0.0).astype(np.float32),
        context.astype(np.float32),
        query.astype(np.float32),
        np.ascontiguousarray(coordinates(frames, *inner)),
        *(() if propensity is None else (propensity.weights(z),)),
    )
