"""The observations that matter most to a cell of a Gaussian field, and kriging from them.

The cells of a tile of one channel and frame share the hundred or so observations that are most
correlated with it. Where a window has no more than these, the answer is exact.

References
----------
Chiles and Delfiner, Geostatistics (2012), doi:10.1002/9781118136188, Section 3.6, on kriging
neighbourhoods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .tiling import starts

__all__ = ["FLOOR", "Neighbourhoods", "cholesky", "covariances"]

LEAST_TILE = 8  # cells on a side
# A tile of that size in which more than this share of the neighbours was seen, in its own channel
# and frame, is cut in four: its neighbours would be within it and not around it.
CROWDED = 1 / 8
# Places about a tile that are looked at for observations: so many times as would do if these were
# spread evenly; then so many times more, until there are enough, and no more than so many.
SPARE, FARTHER, LOOKED_AT = 4, 4, 2**15
AT_ONCE = 32  # tiles
FLOOR = 1e-9  # noise without which a matrix might have no factor
OUTSIDE = 2
LEAST = 1e-7  # of the variance of the field: draws of less than that are not scaled up


class _Part(NamedTuple):
    """Tiles of a channel and frame, their neighbours, and the kriging system."""

    place: Tensor  # cells (m, y, x) of each tile, (tiles, P, 3)
    owned: Tensor  # those that no other tile has, (tiles, P)
    at: Tensor  # neighbours, (tiles or 1, n, 3)
    counts: Tensor  # which of these count, (tiles or 1, n)
    solve: Callable[[Tensor], Tensor]  # with the Cholesky factor
    whitened: Tensor  # covariances of neighbours and cells, so solved, (tiles, n, P)


class Neighbourhoods:
    """Of M channels and frames that go together.

    Parameters
    ----------
    table : float64 Tensor, shape (M, M, 2 H - 1, 2 W - 1)
        Covariances by lag.
    noise : float64 Tensor, shape (M, H, W)
        Variance of the errors of observation.
    most : int
        Observations for each tile.
    all_round : bool
        Whether some of them are to be of each side, as what is unknown in the middle of a hole
        asks for.

    Examples
    --------
    >>> table = torch.tensor([0.2, 0.5, 1.0, 0.5, 0.2], dtype=torch.float64).view(1, 1, 1, 5)
    >>> near = Neighbourhoods(table, torch.zeros(1, 1, 3, dtype=torch.float64), 8)
    >>> context = torch.tensor([[[1.0, 0.0, 1.0]]])
    >>> near.mean(context, context == 0, context.double() * 2.4).flatten().numpy().round(3)
    array([0., 2., 0.])
    """

    def __init__(self, table: Tensor, noise: Tensor, most: int, *, all_round: bool = True) -> None:
        self.table, self.noise, self.neighbours, self.all_round = table, noise, most, all_round
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

    def mean(
        self, context: Tensor, asked: Tensor, values: Tensor, added: float | Tensor = 0.0
    ) -> Tensor:
        """Expected values in tiles about the asked cells, zero elsewhere, shape (M, H, W).

        The values are float64, and have noise of the variance ``added`` beside their own.
        """
        out = torch.zeros_like(values)
        for part in self._parts(context, asked, added):
            known = _at(values[None], part.at) * part.counts[..., None]
            found = (part.whitened.mT @ part.solve(known))[..., 0]
            out[part.place[part.owned].unbind(1)] = found[part.owned]
        return out * asked

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

    def _parts(
        self, context: Tensor, asked: Tensor, added: float | Tensor = 0.0
    ) -> Iterator[_Part]:
        """All tiles with an asked cell; none without any observation."""
        at = context.nonzero()
        if not len(at):
            return
        tile = self._tile(len(at))
        padded = self._padded(context)
        for m, corners, whole, size in self._tiles(context, asked, tile, len(at)):
            if len(at) <= self.neighbours:
                near, counts = at[None], at.new_ones(1, len(at))
            else:
                near, counts = self._neighbours(padded, len(at), m, corners, size)
            inner = _cells(size, context.device)[None] + corners[:, None]
            ends = whole[:, None] + whole.new_tensor(tile) - 1
            owned = (self._owner(inner, tile) == self._owner(ends, tile)).all(dim=-1)
            place = F.pad(inner, (1, 0), value=m)
            yield _Part(place, owned, near, counts, *self._solved(place, near, counts, added))

    def _owner(self, cells: Tensor, tile: tuple[int, int]) -> Tensor:
        """Which tile a cell is of, where the last one and the one before it share some."""
        return torch.minimum(cells // cells.new_tensor(tile), _last(self.shape, tile, cells))

    def _solved(
        self, cells: Tensor, at: Tensor, counts: Tensor, added: float | Tensor
    ) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """For observations (tiles or 1, n, 3) that count or do not, and cells (tiles, P, 3)."""
        system = covariances(self.table, at, at) * counts[:, :, None] * counts[:, None, :]
        noise = (self.noise[at.unbind(-1)] + added) * counts + (1 - counts)
        system.diagonal(dim1=-2, dim2=-1).mul_(1 + FLOOR).add_(noise)
        factor = cholesky(system)

        def solve(sides: Tensor) -> Tensor:
            found: Tensor = torch.linalg.solve_triangular(factor, sides, upper=False)
            return found

        return solve, solve(covariances(self.table, at, cells) * counts[:, :, None])

    def _tile(self, observations: int) -> tuple[int, int]:
        """Rows and columns of a tile which holds a quarter of the neighbours."""
        h, w = self.shape
        side = max(h, w)
        while observations > self.neighbours and side > LEAST_TILE:
            if side * side * observations / (h * w) <= self.neighbours / 4:
                break
            side = (side + 1) // 2
        return min(max(side, LEAST_TILE), h), min(max(side, LEAST_TILE), w)

    def _tiles(
        self, context: Tensor, asked: Tensor, tile: tuple[int, int], known: int
    ) -> Iterator[tuple[int, Tensor, Tensor, tuple[int, int]]]:
        """Of each channel and frame some asked tiles at a time, crowded ones in quarters.

        First rows and columns, those of the whole tiles, and their size.
        """
        corners = _corners(self.shape, tile, asked.device)
        quarter = (tile[0] + 1) // 2, (tile[1] + 1) // 2
        cut = known > self.neighbours and max(tile) <= LEAST_TILE and min(tile) > 1
        for m in range(self.joint):
            whole = corners[_any(asked[m], corners, tile)]
            crowded = torch.zeros_like(whole[:, 0], dtype=torch.bool)
            if cut:
                crowded = _count(context[m], whole, tile) > CROWDED * self.neighbours
            parts, of = _quarters(whole[crowded], tile, quarter)
            some = _any(asked[m], parts, quarter)
            for kind in (
                (whole[~crowded], whole[~crowded], tile),
                (parts[some], of[some], quarter),
            ):
                pairs = zip(kind[0].split(AT_ONCE), kind[1].split(AT_ONCE), strict=True)
                yield from ((m, own, each, kind[2]) for own, each in pairs if len(own))

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

    def _padded(self, context: Tensor) -> Tensor:
        """1 where observed, 0 where not, OUTSIDE in a margin as wide as the window."""
        h, w = self.shape
        return F.pad((context > 0).to(torch.uint8), (w, w, h, h), value=OUTSIDE)

    def _neighbours(
        self, padded: Tensor, known: int, m: int, corners: Tensor, tile: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Observations (tiles, n, 3) that matter most to tiles, and which of these count."""
        order = self._order(m, tile)
        places = self.joint * self.shape[0] * self.shape[1]
        enough = round(SPARE * self.neighbours * places / known)
        at, counts, lacking = self._first_seen(padded, order[:enough], corners, tile)
        while enough < len(order) and lacking.any():
            enough *= FARTHER
            rest = lacking.nonzero(as_tuple=True)[0]
            at[rest], counts[rest], lacking[rest] = self._first_seen(
                padded, order[:enough], corners[rest], tile
            )
        return at, counts

    def _first_seen(
        self, padded: Tensor, order: Tensor, corners: Tensor, tile: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The first observations of an order, and which tiles lack some.

        If they are to be all round, of each side some come first, and a side may not lack any.
        """
        (h, w), (_, rows, columns) = self.shape, padded.shape  # no products of integers on a GPU
        first = (corners[:, 0] + h) * columns + corners[:, 1] + w
        further = (order[:, 0] * rows + order[:, 1]) * columns + order[:, 2]
        state = padded.flatten()[first[:, None] + further]
        seen = state == 1
        most = min(self.neighbours, len(order))
        rank = torch.arange(len(order), 0, -1, device=seen.device, dtype=torch.int32) * seen
        lacking = (rank > 0).sum(dim=1) < most
        if self.all_round:
            below, right = (2 * order[:, k + 1] >= tile[k] for k in (0, 1))
            for side in (below & right, below & ~right, ~below & right, ~below & ~right):
                here = seen[:, side]
                lacking |= (state[:, side] != OUTSIDE).any(dim=1) & ~here.any(dim=1)
                ahead = here & (here.cumsum(dim=1) <= self.neighbours // 8)
                rank[:, side] += len(order) * ahead
        best = rank.topk(most, dim=1)
        found = F.pad(corners, (1, 0))[:, None] + order[best.indices]
        counts = best.values > 0
        return torch.where(counts[..., None], found, 0), counts.long(), lacking


def covariances(table: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Of cells with cells.

    Parameters
    ----------
    table : Tensor, shape (M, M, 2 H - 1, 2 W - 1)
        By lag.
    one, other : int Tensors, shapes (N, P, 3) and (N, Q, 3)
        Channel and frame, row, column.

    Returns
    -------
    Tensor, shape (N, P, Q)

    Examples
    --------
    >>> table = torch.tensor([0.2, 0.5, 1.0, 0.5, 0.2]).view(1, 1, 1, 5)
    >>> cells = torch.tensor([[[0, 0, 0], [0, 0, 1]]])
    >>> covariances(table, cells, cells)[0].tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    joint, _, height, width = table.shape
    m, r, c = one.unbind(-1)
    first = (m * joint * height + r) * width + c
    m, r, c = other.unbind(-1)
    second = (m * height + height // 2 - r) * width + width // 2 - c
    found: Tensor = table.view(-1)[first[:, :, None] + second[:, None, :]]
    return found


def cholesky(systems: Tensor) -> Tensor:
    """Factors of covariance matrices; rounding may have made them singular.

    Parameters
    ----------
    systems : float64 Tensor, shape (..., n, n)

    Returns
    -------
    Tensor, shape (..., n, n)
        Where there is none, of the matrix with as little more on its diagonal as it takes.

    Raises
    ------
    torch.linalg.LinAlgError
        If not even twice the diagonal does, as where a covariance is not a number.

    Examples
    --------
    >>> cholesky(torch.ones(2, 2, dtype=torch.float64)).isfinite().all()
    tensor(True)
    """
    found: Tensor
    found, info = torch.linalg.cholesky_ex(systems)
    more = FLOOR
    while info.any():
        if more > 1.0:
            found = torch.linalg.cholesky(systems)  # says what is wrong
            break
        raised = systems.clone()
        raised.diagonal(dim1=-2, dim2=-1).mul_(1 + more)
        again, failed = torch.linalg.cholesky_ex(raised)
        found = torch.where((info > 0)[..., None, None], again, found)
        info, more = torch.where(info > 0, failed, info), 10 * more
    return found


def _at(fields: Tensor, cells: Tensor) -> Tensor:
    """Values of fields (N, M, H, W) at cells (tiles, P, 3): shape (tiles, P, N)."""
    m, y, x = cells.unbind(-1)
    return fields[:, m, y, x].movedim(0, -1)


def _cells(tile: tuple[int, int], device: torch.device) -> Tensor:
    """Rows and columns of the cells of a tile, from its corner: shape (cells, 2)."""
    grid = torch.meshgrid(*(torch.arange(n, device=device) for n in tile), indexing="ij")
    return torch.stack(grid, dim=-1).flatten(0, 1)


def _count(field: Tensor, corners: Tensor, tile: tuple[int, int]) -> Tensor:
    """Sums of a field (H, W) over tiles."""
    sums = F.avg_pool2d(field[None, None].float(), tile, stride=1, divisor_override=1)[0, 0]
    return sums[corners[:, 0], corners[:, 1]]


def _any(asked: Tensor, corners: Tensor, tile: tuple[int, int]) -> Tensor:
    """Which tiles hold an asked cell."""
    return _count(asked, corners, tile) > 0.5


def _quarters(whole: Tensor, tile: tuple[int, int], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """First rows and columns of the quarters of tiles, and those of the tiles."""
    moves = [(down, right) for down in (0, tile[0] - size[0]) for right in (0, tile[1] - size[1])]
    parts = torch.cat([whole + whole.new_tensor(move) for move in moves])
    return parts, whole.repeat(len(moves), 1)


def _corners(shape: tuple[int, int], tile: tuple[int, int], device: torch.device) -> Tensor:
    """First rows and columns of tiles that cover a window, shape (tiles, 2)."""
    firsts = [torch.tensor(starts(n, t, t)) for n, t in zip(shape, tile, strict=True)]
    return torch.stack(torch.meshgrid(*firsts, indexing="ij"), dim=-1).flatten(0, 1).to(device)


def _last(shape: tuple[int, int], tile: tuple[int, int], like: Tensor) -> Tensor:
    """Numbers of the last tiles, which may overlap those before them."""
    return like.new_tensor([len(starts(n, t, t)) - 1 for n, t in zip(shape, tile, strict=True)])
