r"""What observations leave unknown of a stationary Gaussian field: its variance, and draws of it.

The kriging variance

.. math:: v = k_0 + n - k^\top (K + n I)^{-1} k

with the covariances k of a cell and the observations, those K of the observations with each other,
and the variance n of the errors of observation, follows from where the observations are, whatever
their values. What matters to a cell are observations nearby: the cells of a tile of one channel
and frame share the hundred or so that are most correlated with it, of each side some. Where a
window has no more than these, the answer is exact.

Draws are made by kriging what is known already: a field drawn from the covariance is observed where
the data are, with errors of observation, and kriged from the same neighbours. What kriging gets
wrong of it is a draw from the distribution of its errors, whose variance is v - n.

References
----------
Chiles and Delfiner, Geostatistics (2012), doi:10.1002/9781118136188, Sections 3.3 and 3.6, on
kriging and its neighbourhoods, Section 7.3 on conditioning simulations by kriging; Hoffman and
Ribak, The Astrophysical Journal (1991), doi:10.1086/186160.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .kriging import FieldOf, GaussianField, Sizes, pieces
from .tiling import starts

__all__ = ["kriging_variance", "unit_errors"]

NEIGHBOURS = 128
NEIGHBOURS_OF_DRAWS = 320  # more, since their patterns are seen
LEAST_TILE = 8  # cells on a side
# Places about a tile that are looked at for observations: so many times as would do if these were
# spread evenly; where a side has none of them, so many.
SPARE, LOOKED_AT = 4, 2**15
AT_ONCE = 32  # tiles
SIZES = Sizes(96, 64, 16)
FLOOR = 1e-9  # noise without which a matrix might have no factor
LEAST = 1e-4  # of the variance of the field: draws of less than that are not scaled up

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
    wanted = torch.ones_like(context, dtype=torch.bool) if asked is None else asked

    def of_piece(field: GaussianField, context: Tensor, asked: Tensor) -> Tensor:
        groups = _groups(field, neighbours)
        grouped = context.reshape(len(context), len(groups), -1, *field.shape)
        each = asked.reshape(grouped.shape)
        found = [
            torch.stack([group.variance(c, a) for group, c, a in zip(groups, cs, as_, strict=True)])
            for cs, as_ in zip(grouped, each, strict=True)
        ]
        return torch.stack(found).view_as(context)

    total, weight = context.new_zeros(context.shape), context.new_zeros(context.shape[-2:])
    for field, rows, columns, share in pieces(context, field_of, SIZES, periodic=periodic):
        piece = of_piece(field, context[..., rows, columns], wanted[..., rows, columns])
        total[..., rows, columns] += share * piece
        weight[rows, columns] += share
    return total / weight


@torch.no_grad()
def unit_errors(
    context: Tensor,
    field_of: FieldOf,
    rng: np.random.Generator,
    count: int,
    *,
    periodic: bool,
    asked: Tensor | None = None,
) -> Tensor:
    """Draws of the errors of kriging a window, each divided by its standard deviation.

    Parameters
    ----------
    context : Tensor, shape (C, T, H, W)
        1 where the value is given, 0 elsewhere.
    field_of : callable
        From cells (h, w), frames and whether the last axis wraps around to a GaussianField.
    rng : numpy.random.Generator
        The first draws do not depend on how many there are.
    count : int
        N, draws.
    periodic : bool
        Whether the last axis wraps around.
    asked : bool Tensor, shape (C, T, H, W), optional
        Where they are wanted; default: everywhere outside the context.

    Returns
    -------
    Tensor, shape (N, C, T, H, W)
        Of unit variance where they are asked, zero elsewhere, and smaller where next to nothing is
        unknown. Fields of more than 96 cells on a side are drawn in pieces of 64, which overlap by
        16 and are joined so that the variance stays one; over longer ways errors do not go
        together.

    Examples
    --------
    >>> from functools import partial
    >>> from xdiffimpute.covariance import Covariance
    >>> lags = torch.tensor([0.2, 0.5, 1.0, 0.5, 0.2]).view(1, 1, 1, 1, 5)
    >>> context = torch.tensor([1.0, 0.0, 1.0]).view(1, 1, 1, 3)
    >>> field_of = partial(GaussianField, Covariance(lags, torch.tensor(0.0)))
    >>> rng = np.random.default_rng(0)
    >>> draws = unit_errors(context, field_of, rng, 2000, periodic=False)
    >>> draws.std(dim=0).flatten().numpy().round(1)
    array([0., 1., 0.], dtype=float32)
    """
    outside = context == 0
    wanted = outside if asked is None else asked & outside
    rngs = rng.spawn(count)
    total, squares = context.new_zeros(count, *context.shape), context.new_zeros(context.shape[-2:])
    for field, rows, columns, share in pieces(context, field_of, SIZES, periodic=periodic):
        squares[rows, columns] += share.square()
        cut = context[..., rows, columns], wanted[..., rows, columns]
        if cut[1].any():
            total[..., rows, columns] += share * _draws(field, *cut, rngs)
    return total / squares.sqrt()


def _draws(
    field: GaussianField, context: Tensor, asked: Tensor, rngs: Sequence[np.random.Generator]
) -> Tensor:
    """Of a window as large as the field's: (N, C, T, H, W)."""
    groups = _groups(field, NEIGHBOURS_OF_DRAWS)
    shape = len(groups), -1, *field.shape
    known, wanted = context.reshape(shape), asked.reshape(shape)
    out = []
    for rng in rngs:
        white = rng.standard_normal((1, *field.torus), dtype=np.float32)
        drawn = field.coloured(torch.from_numpy(white))[0, ..., : field.shape[0], : field.shape[1]]
        errors = rng.standard_normal(tuple(context.shape), dtype=np.float32)
        seen = drawn + field.noise[0].sqrt() * torch.from_numpy(errors).to(drawn)
        out.append((drawn.reshape(shape).double(), seen.reshape(shape).double()))
    fields, observed = (torch.stack(part, dim=1) for part in zip(*out, strict=True))
    parts = zip(groups, known, wanted, fields, observed, strict=True)
    found = torch.stack([group.errors(*part) for group, *part in parts], dim=1)
    return found.reshape(len(rngs), *context.shape).to(context)


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


class _Part(NamedTuple):
    """Tiles of a channel and frame, their neighbours, and the kriging system."""

    place: Tensor  # cells (m, y, x) of each tile, (tiles, P, 3)
    owned: Tensor  # those that no other tile has, (tiles, P)
    at: Tensor  # neighbours, (tiles or 1, n, 3)
    counts: Tensor  # which of these count, (tiles or 1, n)
    solve: Callable[[Tensor], Tensor]  # with the Cholesky factor
    whitened: Tensor  # covariances of neighbours and cells, so solved, (tiles, n, P)


class _Group:
    """M channels and frames that go together: covariances by lag, noise (M, H, W)."""

    def __init__(self, table: Tensor, noise: Tensor, neighbours: int) -> None:
        self.table, self.noise, self.neighbours = table, noise, neighbours
        self.joint, self.shape = len(table), (noise.shape[-2], noise.shape[-1])
        middle = self.shape[0] - 1, self.shape[1] - 1
        own = table[range(self.joint), range(self.joint), middle[0], middle[1]]
        self.own: Tensor = own[:, None, None].expand(self.joint, *self.shape)
        self._orders: dict[tuple[int, ...], Tensor] = {}

    def variance(self, context: Tensor, asked: Tensor) -> Tensor:
        """What a context leaves unknown in tiles about the asked cells, shape (M, H, W)."""
        explained = torch.zeros_like(self.own)
        for part in self._parts(context, asked):
            where = part.place[part.owned].unbind(1)
            explained[where] = part.whitened.square().sum(dim=1)[part.owned]
        return (self.own + self.noise - explained).clamp(min=0.0).to(context)

    def errors(self, context: Tensor, asked: Tensor, drawn: Tensor, observed: Tensor) -> Tensor:
        """What kriging from noisy observations gets wrong of fields (N, M, H, W), in deviations."""
        least = LEAST * self.own
        unit = drawn / self.own.clamp(min=1e-30).sqrt()
        for part in self._parts(context, asked):
            left = self.own[part.place.unbind(-1)] - part.whitened.square().sum(dim=1)
            spread = torch.maximum(left, least[part.place.unbind(-1)]).clamp(min=1e-30).sqrt()
            known = _at(observed, part.at) * part.counts[..., None]
            wrong = _at(drawn, part.place) - part.whitened.mT @ part.solve(known)
            m, y, x = part.place[part.owned].unbind(1)
            unit[:, m, y, x] = (wrong / spread[..., None])[part.owned].mT
        return unit * asked

    def _parts(self, context: Tensor, asked: Tensor) -> Iterator[_Part]:
        """All tiles with an asked cell; none without any observation."""
        at = context.nonzero()
        if not len(at):
            return
        tile = self._tile(len(at))
        cells = _cells(tile, context.device)
        for m, corners in self._tiles(asked, tile):
            if len(at) <= self.neighbours:
                near, counts = at[None], at.new_ones(1, len(at))
            else:
                near, counts = self._neighbours(context, m, corners, tile)
            inner = cells[None] + corners[:, None]
            owner = torch.minimum(inner // inner.new_tensor(tile), _last(self.shape, tile, inner))
            owned = (owner == owner[:, -1:]).all(dim=-1)
            place = F.pad(inner, (1, 0), value=m)
            yield _Part(place, owned, near, counts, *self._solved(place, near, counts))

    def _solved(
        self, cells: Tensor, at: Tensor, counts: Tensor
    ) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """For observations (tiles or 1, n, 3) that count or do not, and cells (tiles, P, 3)."""
        system = self._covariances(at, at) * counts[:, :, None] * counts[:, None, :]
        noise = self.noise[at.unbind(-1)] * counts + (1 - counts)
        system.diagonal(dim1=-2, dim2=-1).mul_(1 + FLOOR).add_(noise)
        factor = torch.linalg.cholesky(system)

        def solve(sides: Tensor) -> Tensor:
            found: Tensor = torch.linalg.solve_triangular(factor, sides, upper=False)
            return found

        return solve, solve(self._covariances(at, cells) * counts[:, :, None])

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
        if (m, *tile) in self._orders:
            return self._orders[m, *tile]
        h, w = self.shape
        likeness = self.table.new_zeros(self.joint, 2 * h - 1, 2 * w - 1)
        scale = self.own[:, :1, :1].clamp(min=1e-30).sqrt()
        table = (self.table[m].abs() / scale).flip(-2, -1)  # by the place from a cell
        for down in {0, tile[0] // 2, tile[0] - 1}:
            for right in {0, tile[1] // 2, tile[1] - 1}:
                part = likeness[:, down:, right:]
                part.copy_(torch.maximum(part, table[:, : 2 * h - 1 - down, : 2 * w - 1 - right]))
        places = likeness.flatten().topk(min(LOOKED_AT, likeness.numel())).indices
        rest = places % ((2 * h - 1) * (2 * w - 1))
        y, x = rest // (2 * w - 1) - (h - 1), rest % (2 * w - 1) - (w - 1)
        found = torch.stack([places // ((2 * h - 1) * (2 * w - 1)), y, x], dim=-1)
        self._orders[m, *tile] = found
        return found

    def _neighbours(
        self, context: Tensor, m: int, corners: Tensor, tile: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Observations (tiles, n, 3) that matter most to tiles, and which of these count."""
        order = self._order(m, tile)
        enough = round(SPARE * self.neighbours * context.numel() / float(context.sum()))
        at, counts, lacking = self._first_seen(context, order[:enough], corners, tile)
        if enough < len(order) and lacking.any():
            at[lacking], counts[lacking], _ = self._first_seen(
                context, order, corners[lacking], tile
            )
        return at, counts

    def _first_seen(
        self, context: Tensor, order: Tensor, corners: Tensor, tile: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The first observations of an order, of each side some, and whether a side lacks any."""
        y, x = (order[:, k + 1] + corners[:, k, None] for k in (0, 1))
        h, w = self.shape
        inside = (y >= 0) & (y < h) & (x >= 0) & (x < w)
        y, x = y.clamp(0, h - 1), x.clamp(0, w - 1)
        seen = inside & (context[order[:, 0], y, x] > 0)
        below, right = (2 * order[:, k + 1] >= tile[k] for k in (0, 1))
        rank = torch.arange(len(order), 0, -1, device=seen.device) * seen
        lacking = seen.sum(dim=1) < min(self.neighbours, len(order))
        for side in (below & right, below & ~right, ~below & right, ~below & ~right):
            here = seen & side
            lacking |= (inside & side).any(dim=1) & ~here.any(dim=1)
            rank += len(order) * (here & (here.cumsum(dim=1) <= self.neighbours // 8))
        first = rank.topk(min(self.neighbours, len(order)), dim=1)
        channel = order[:, 0].expand_as(y)
        found = [part.gather(1, first.indices) for part in (channel, y, x)]
        return torch.stack(found, dim=-1), (first.values > 0).long(), lacking

    def _covariances(self, one: Tensor, other: Tensor) -> Tensor:
        """Of cells (N, P, 3) with cells (N, Q, 3): shape (N, P, Q)."""
        joint, _, height, width = self.table.shape
        m, r, c = one.unbind(-1)
        first = (m * joint * height + r) * width + c
        m, r, c = other.unbind(-1)
        second = (m * height + height // 2 - r) * width + width // 2 - c
        found: Tensor = self.table.view(-1)[first[:, :, None] + second[:, None, :]]
        return found


def _at(fields: Tensor, cells: Tensor) -> Tensor:
    """Values of fields (N, M, H, W) at cells (tiles, P, 3): shape (tiles, P, N)."""
    m, y, x = cells.unbind(-1)
    return fields[:, m, y, x].movedim(0, -1)


def _cells(tile: tuple[int, int], device: torch.device) -> Tensor:
    """Rows and columns of the cells of a tile, from its corner: shape (cells, 2)."""
    grid = torch.meshgrid(*(torch.arange(n, device=device) for n in tile), indexing="ij")
    return torch.stack(grid, dim=-1).flatten(0, 1)


def _corners(shape: tuple[int, int], tile: tuple[int, int], device: torch.device) -> Tensor:
    """First rows and columns of tiles that cover a window, shape (tiles, 2)."""
    firsts = [torch.tensor(starts(n, t, t)) for n, t in zip(shape, tile, strict=True)]
    return torch.stack(torch.meshgrid(*firsts, indexing="ij"), dim=-1).flatten(0, 1).to(device)


def _last(shape: tuple[int, int], tile: tuple[int, int], like: Tensor) -> Tensor:
    """Numbers of the last tiles, which may overlap those before them."""
    return like.new_tensor([len(starts(n, t, t)) - 1 for n, t in zip(shape, tile, strict=True)])
