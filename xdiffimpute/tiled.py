"""The denoiser on fields larger than the tiles it was trained on, and on tiles within fields.

Samplers know neither: they call an :class:`~xdiffimpute.estimator.Estimator` on whatever they
are given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ._typing import FloatArray, IntArray
from .denoiser import Denoiser
from .estimator import Prediction
from .memory import free_memory
from .schedule import Schedule
from .tiling import ramp, starts

__all__ = ["InSurroundings", "Tiled", "cells_at_once"]

# On a CPU, where the memory of layers below 32 MB is used again without a new mapping; on a GPU.
CELLS_AT_ONCE = (50_000, 1_000_000)
BYTES_A_CELL = 2_500  # of the network's layers, for a cell of a tile
SHARE = 4  # of the free memory


class InSurroundings:
    """Estimates of tiles, with first guesses from their surroundings.

    Parameters
    ----------
    denoiser : Denoiser
    offsets : sequence of (int, int)
        First row and column of each sample's tile in the values that it is called with; members
        of an ensemble follow one another in the same order.
    guesses : Tensor, shape (B, G, C, T, H, W), optional
        If they have been made before, for a sampler that sees all that is observed, once.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        offsets: Sequence[tuple[int, int]],
        guesses: Tensor | None = None,
    ) -> None:
        self.denoiser, self.offsets, self.guesses = denoiser, list(offsets), guesses

    @property
    def schedule(self) -> Schedule:
        """Of the denoiser."""
        return self.denoiser.schedule

    def __call__(self, x_t: Tensor, t: Tensor, context: Tensor, features: Tensor) -> Prediction:
        """As :meth:`Denoiser.forward`."""
        offsets = self.offsets * (len(x_t) // len(self.offsets))
        prediction: Prediction = self.denoiser(
            x_t, t, context, features, offsets, guesses=self.guesses
        )
        return prediction


class Tiled:
    """Estimates of whole fields, blended from overlapping tiles.

    The first guesses are made once for the whole field; the network works on tiles of the
    size it was trained on, a third of which overlaps the next; as many tiles at a time as memory
    has room for.

    Parameters
    ----------
    denoiser : Denoiser
    tile : (int, int)
        Cells in y and x.
    periodic : bool
        Whether tiles run across the edge of a global grid.
    """

    def __init__(self, denoiser: Denoiser, tile: tuple[int, int], *, periodic: bool) -> None:
        self.denoiser, self.tile, self.periodic = denoiser, tile, periodic

    @property
    def schedule(self) -> Schedule:
        """Of the denoiser."""
        return self.denoiser.schedule

    def __call__(self, x_t: Tensor, t: Tensor, context: Tensor, features: Tensor) -> Prediction:
        """As :meth:`Denoiser.forward`, on fields of any size."""
        if tuple(x_t.shape[-2:]) == self.tile:
            prediction: Prediction = self.denoiser(
                x_t, t, context, features, periodic=self.periodic and self.denoiser.periodic
            )
            return prediction
        guesses = self.denoiser.guess(x_t * context, context, t, periodic=self.periodic)
        places, kernel = self._places(x_t.shape[-2], x_t.shape[-1])
        share = torch.from_numpy(kernel).to(x_t)
        around = self.denoiser.periodic and self.periodic and share.shape[1] == x_t.shape[-1]
        total = [torch.zeros_like(x_t), torch.zeros_like(x_t)]
        weight = x_t.new_zeros(x_t.shape[-2:])
        for y, x in places:
            weight[y[:, None], x[None, :]] += share
        jobs = [(n, y[:, None], x[None, :]) for n in range(len(x_t)) for y, x in places]
        cells = share.numel() * x_t.shape[1] * x_t.shape[2]
        size = max(1, cells_at_once(x_t.device) // cells)
        for k in range(0, len(jobs), size):
            group = jobs[k : k + size]
            cut = [
                torch.stack([part[n][..., y, x] for n, y, x in group])
                for part in (x_t, context, guesses, features)
            ]
            times = t[[n for n, _, _ in group]]
            found = self.denoiser.estimate(cut[0], times, cut[1], cut[2], cut[3], periodic=around)
            for i, (n, y, x) in enumerate(group):
                for whole, part in zip(total, found, strict=True):
                    whole[n][..., y, x] += share * part[i].float()
        return Prediction(total[0] / weight, total[1] / weight)

    def _places(self, h: int, w: int) -> tuple[list[tuple[IntArray, IntArray]], FloatArray]:
        """Rows and columns of the tiles, and the weights of a tile's cells (th, tw)."""
        th, tw = min(self.tile[0], h), min(self.tile[1], w)
        wrap = self.periodic and tw < w
        rows = [y + np.arange(th) for y in starts(h, th, max(1, 2 * th // 3))]
        columns = [
            (x + np.arange(tw)) % w for x in starts(w, tw, max(1, 2 * tw // 3), periodic=wrap)
        ]
        kernel: FloatArray = np.outer(
            ramp(th, th // 3 if th < h else 0), ramp(tw, tw // 3 if tw < w else 0)
        )
        return [(y, x) for y in rows for x in columns], kernel


def cells_at_once(device: torch.device) -> int:
    """Cells that go through a network in a batch, as the free memory of a device allows.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    int
    """
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    most = CELLS_AT_ONCE[device.type != "cpu"]
    return min(most, int(free // (SHARE * BYTES_A_CELL)))
