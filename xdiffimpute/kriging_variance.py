r"""The kriging variance: what the observations leave unknown of a stationary Gaussian field.

.. math:: v = k_0 + n - k^\top (K + n I)^{-1} k

with the covariances k of a cell and the observations, those K of the observations with each other,
and the variance n of the errors of observation. It is known from where the observations are alone,
whatever their values. What matters to a cell are observations nearby, so that the cells of a tile
of one channel and frame share the hundred or so that are most correlated with them; where there are
no more, the answer is exact.

References
----------
Chiles and Delfiner, Geostatistics (2012), doi:10.1002/9781118136188, Sections 3.3 and 3.6, on
kriging and its neighbourhoods.
"""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from .kriging import FieldOf, GaussianField
from .tiling import ramp, starts

__all__ = ["kriging_variance"]

NEIGHBOURS = 128
LEAST_TILE = 8  # cells on a side
# Places about a tile that are looked at for observations: so many times as would do if these were
# spread evenly, and at most.
SPARE, LOOKED_AT = 4, 8192
AT_ONCE = 32  # tiles
LARGEST, PIECE, OVERLAP = 96, 64, 16
FLOOR = 1e-9  # noise without which a matrix might have no factor

_KEPT: WeakKeyDictionary[GaussianField, dict[int, list[_Group]]] = WeakKeyDictionary()


@torch.no_grad()
def kriging_variance(
    context: Tensor,
    field_of: FieldOf,
    *,
    periodic: bool,
    asked: Tensor | None = None,
    neighbours: int = NEIGHBOURS,
) -> Tensor:
    """Variance of an observation at each cell, given those of the context.

    Parameters
    ----------
    context : Tensor, shape (B, C, T, H, W)
        1 where the value is given, 0 elsewhere.
    field_of : callable
        From cells (h, w), frames and whether the last axis wraps around to a GaussianField.
    periodic : bool
        Whether the last axis wraps around.
    asked : bool Tensor, shape (B, C, T, H, W), optional
        Where it is wanted; in tiles without such a cell it is the variance without observations.
        Default: everywhere.
    neighbours : int
        Observations for each tile.

    Returns
    -------
    Tensor, shape (B, C, T, H, W)
        Fields of more than 96 cells on a side are worked on in pieces of 64 which overlap by 16.

    Examples
    --------
    Between two observations with a correlation of 0.5 between neighbours and 0.2 over two cells, of
    unit variance, 1 - 2 * 0.5 ** 2 / 1.2 is left:

    >>> from functools import partial
    >>> from xdiffimpute.covariance import Covariance
    >>> lags = torch.tensor([0.2, 0.5, 1.0, 0.5, 0.2]).view(1, 1, 1, 1, 5)
    >>> context = torch.tensor([1.0, 0.0, 1.0]).view(1, 1, 1, 1, 3)
    >>> field_of = partial(GaussianField, Covariance(lags, torch.tensor(0.0)))
    >>> kriging_variance(context, field_of, periodic=False).flatten().numpy().round(3)
    array([0.   , 0.583, 0.   ], dtype=float32)
    """
    frames, h, w = context.shape[2:]
    wanted = torch.ones_like(context, dtype=torch.bool) if asked is None else asked
    if max(h, w) <= LARGEST:
        return _of_windows(field_of((h, w), frames, periodic), context, wanted, neighbours)
    th, tw = min(PIECE, h), min(PIECE, w)
    field = field_of((th, tw), frames, periodic and tw == w)
    sides = [ramp(n, OVERLAP if n < whole else 0) for n, whole in ((th, h), (tw, w))]
    share = torch.outer(*(torch.from_numpy(side).to(context) for side in sides))
    total, weight = torch.zeros_like(context), context.new_zeros(h, w)
    for top in starts(h, th, PIECE - OVERLAP):
        for left in starts(w, tw, PIECE - OVERLAP, periodic=periodic and tw < w):
            rows = torch.arange(top, top + th, device=context.device)[:, None]
            columns = torch.arange(left, left + tw, device=context.device)[None, :] % w
            cut = context[..., rows, columns], wanted[..., rows, columns]
            total[..., rows, columns] += share * _of_windows(field, *cut, neighbours)
            weight[rows, columns] += share
    return total / weight


def _of_windows(field: GaussianField, context: Tensor, asked: Tensor, neighbours: int) -> Tensor:
    """Of windows (B, C, T, H, W) as large as the field's."""
    groups, joint = field.table.shape[:2]
    grouped = context.reshape(len(context), groups, joint, *context.shape[-2:])
    wanted = asked.reshape(grouped.shape)
    out = torch.empty_like(grouped)
    for g, group in enumerate(_groups(field, neighbours)):
        for b in range(len(grouped)):
            out[b, g] = group.variance(grouped[b, g], wanted[b, g])
    return out.view_as(context)


def _groups(field: GaussianField, neighbours: int) -> list[_Group]:
    """Kept as long as the field is: the order of neighbours is the same in all windows."""
    kept = _KEPT.setdefault(field, {})
    if neighbours not in kept:
        groups, joint = field.table.shape[:2]
        each = field.noise.expand(1, -1, field.frames, *field.shape)
        noise = each.reshape(groups, joint, *field.shape).double()
        pairs = zip(field.table.double(), noise, strict=True)
        kept[neighbours] = [_Group(table, own, neighbours) for table, own in pairs]
    return kept[neighbours]


class _Group:
    """M channels and frames that go together: covariances by lag, noise (M, H, W)."""

    def __init__(self, table: Tensor, noise: Tensor, neighbours: int) -> None:
        self.table, self.noise, self.neighbours = table, noise, neighbours
        self.joint, self.shape = len(table), (noise.shape[-2], noise.shape[-1])
        middle = self.shape[0] - 1, self.shape[1] - 1
        own = table[range(self.joint), range(self.joint), middle[0], middle[1]]
        self.alone: Tensor = own[:, None, None] + noise
        self._orders: dict[tuple[int, ...], Tensor] = {}

    def variance(self, context: Tensor, asked: Tensor) -> Tensor:
        """What a context leaves unknown in tiles about the asked cells, shape (M, H, W)."""
        at = context.nonzero()
        explained = torch.zeros_like(self.alone)
        if len(at):
            tile = self._tile(len(at))
            cells = _cells(tile, context.device)
            for m, corners in self._tiles(asked, tile):
                if len(at) <= self.neighbours:
                    known, counts = at[None], at.new_ones(1, len(at))
                else:
                    known, counts = self._neighbours(context, m, corners, tile)
                place = F.pad(cells[None] + corners[:, None], (1, 0), value=m)
                found = self._explained(place, known, counts)
                explained[place.flatten(0, 1).unbind(1)] = found.flatten()
        return (self.alone - explained).clamp(min=0.0).to(context)

    def _tile(self, observations: int) -> tuple[int, int]:
        """Rows and columns of a tile which holds a quarter of the neighbours."""
        h, w = self.shape
        side = max(h, w)
        while observations > self.neighbours and side > LEAST_TILE:
            if side * side * observations / (h * w) <= self.neighbours / 4:
                break
            side = (side + 1) // 2
        return min(max(side, LEAST_TILE), h), min(max(side, LEAST_TILE), w)

    def _tiles(self, asked: Tensor, tile: tuple[int, int]) -> Iterator[tuple[int, Tensor]]:
        """Of each channel and frame, first rows and columns of some tiles at a time."""
        corners = _corners(self.shape, tile, asked.device)
        pooled = F.max_pool2d(asked[:, None].float(), tile, stride=1)[:, 0] > 0
        for m in range(self.joint):
            some = corners[pooled[m, corners[:, 0], corners[:, 1]]]
            yield from ((m, part) for part in some.split(AT_ONCE) if len(part))

    def _order(self, m: int, tile: tuple[int, int]) -> Tensor:
        """Places (m, y, x) from the corner of a tile, the most correlated with it first."""
        h, w = self.shape
        likeness = self.table.new_zeros(self.joint, 2 * h - 1, 2 * w - 1)
        table = self.table[m].abs().flip(-2, -1)  # by the place of an observation from a cell
        for down in {0, tile[0] // 2, tile[0] - 1}:
            for right in {0, tile[1] // 2, tile[1] - 1}:
                part = likeness[:, down:, right:]
                part.copy_(torch.maximum(part, table[:, : 2 * h - 1 - down, : 2 * w - 1 - right]))
        places = likeness.flatten().topk(min(LOOKED_AT, likeness.numel())).indices
        rest = places % ((2 * h - 1) * (2 * w - 1))
        y, x = rest // (2 * w - 1) - (h - 1), rest % (2 * w - 1) - (w - 1)
        return torch.stack([places // ((2 * h - 1) * (2 * w - 1)), y, x], dim=-1)

    def _neighbours(
        self, context: Tensor, m: int, corners: Tensor, tile: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Observations (tiles, n, 3) that matter most to tiles, and which of these count."""
        if (m, *tile) not in self._orders:
            self._orders[m, *tile] = self._order(m, tile)
        enough = round(SPARE * self.neighbours * context.numel() / float(context.sum()))
        order = self._orders[m, *tile][:enough]
        y, x = (order[:, k + 1] + corners[:, k, None] for k in (0, 1))
        h, w = self.shape
        inside = (y >= 0) & (y < h) & (x >= 0) & (x < w)
        y, x = y.clamp(0, h - 1), x.clamp(0, w - 1)
        seen = inside & (context[order[:, 0], y, x] > 0)
        rank = torch.arange(len(order), 0, -1, device=seen.device) * seen
        first = rank.topk(min(self.neighbours, len(order)), dim=1)
        channel = order[:, 0].expand_as(y)
        found = [part.gather(1, first.indices) for part in (channel, y, x)]
        return torch.stack(found, dim=-1), (first.values > 0).long()

    def _explained(self, cells: Tensor, at: Tensor, counts: Tensor) -> Tensor:
        """Of the variance of cells (tiles, P, 3), by observations (tiles or 1, n, 3)."""
        system = self._covariances(at, at) * counts[:, :, None] * counts[:, None, :]
        noise = self.noise[at.unbind(-1)] * counts + (1 - counts)
        system.diagonal(dim1=-2, dim2=-1).mul_(1 + FLOOR).add_(noise)
        factor = torch.linalg.cholesky(system)
        between = self._covariances(at, cells) * counts[:, :, None]
        whitened: Tensor = torch.linalg.solve_triangular(factor, between, upper=False)
        return whitened.square().sum(dim=1)

    def _covariances(self, one: Tensor, other: Tensor) -> Tensor:
        """Of cells (N, P, 3) with cells (N, Q, 3): shape (N, P, Q)."""
        joint, _, height, width = self.table.shape
        m, r, c = one.unbind(-1)
        first = (m * joint * height + r) * width + c
        m, r, c = other.unbind(-1)
        second = (m * height + height // 2 - r) * width + width // 2 - c
        found: Tensor = self.table.view(-1)[first[:, :, None] + second[:, None, :]]
        return found


def _cells(tile: tuple[int, int], device: torch.device) -> Tensor:
    """Rows and columns of the cells of a tile, from its corner: shape (cells, 2)."""
    grid = torch.meshgrid(*(torch.arange(n, device=device) for n in tile), indexing="ij")
    return torch.stack(grid, dim=-1).flatten(0, 1)


def _corners(shape: tuple[int, int], tile: tuple[int, int], device: torch.device) -> Tensor:
    """First rows and columns of tiles that cover a window, shape (tiles, 2)."""
    firsts = [torch.tensor(starts(n, t, t)) for n, t in zip(shape, tile, strict=True)]
    return torch.stack(torch.meshgrid(*firsts, indexing="ij"), dim=-1).flatten(0, 1).to(device)
