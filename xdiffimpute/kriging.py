r"""Simple kriging of whole windows: the conditional mean of a stationary Gaussian field.

With the covariance K of the field and the variance n of the errors of observation, the expected
values given the context (mask M, values y) are

.. math:: \hat x = K M^\top w, \qquad (M K M^\top + n I)\, w = y .

The matrix of a window with few observations is factored. Of one with many, either each tile of
cells is kriged from the observations that matter most to it
(:mod:`xdiffimpute.neighbourhoods`), or K is applied on a torus as a product with its spectrum
(:mod:`xdiffimpute.covariance`), so that a step of conjugate gradients costs two Fourier transforms,
whatever the number of observations. The same few steps are taken always: what they leave undone are
the smallest scales, which noise would spoil. Orthogonality
is restored in each, as Lanczos (1952), doi:10.6028/jres.049.006, says. Observations that diffusion
has made noisy have its variance in n too; where there is much of it, few steps do for any window.

References
----------
Wood and Chan, Journal of Computational and Graphical Statistics (1994),
doi:10.1080/10618600.1994.10474655, on tori around a grid; Fritz, Neuweiler and Nowak,
Mathematical Geosciences (2009), doi:10.1007/s11004-009-9220-x, on kriging by FFT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from .covariance import MOST_TOGETHER, Covariance, Spectrum, factor, spectrum
from .neighbourhoods import FLOOR, Neighbourhoods, cholesky, covariances
from .relaxation import inner_product, ratio
from .spectral_filter import SpectralFilter
from .tiling import ramp, starts

__all__ = ["FieldOf", "GaussianField", "Sizes", "has_factors", "krige", "pieces"]

STEPS = 40
# Observations of which a factor takes less time than steps do, and ten times as long.
QUICKLY_FACTORED, MOST_FACTORED = 500, 2000
LARGEST_TABLE = 64 * 2**20  # bytes of covariances that matrices are looked up in
NOISY = 0.1  # variance of noise with which steps do as well as a factor
TINY = 1e-20


class Sizes(NamedTuple):
    """Cells on a side of the largest field that is one window, and of the pieces of larger ones.

    Parameters
    ----------
    largest, piece : int
    overlap : int
        Cells that two neighbouring pieces share.
    halo : int
        Cells at the inner edges of a piece, beyond those, whose observations it sees alone.

    Examples
    --------
    >>> Sizes(256, 128, 32).piece
    128
    """

    largest: int
    piece: int
    overlap: int
    halo: int = 0


SIZES, NEAR_SIZES = Sizes(256, 128, 32), Sizes(128, 128, 16, halo=32)
FieldOf = Callable[[tuple[int, int], int, bool], "GaussianField"]


class GaussianField:
    """A stationary Gaussian field on windows of one shape.

    Parameters
    ----------
    covariance : Covariance
    shape : (int, int)
        Cells, H and W.
    frames : int
    periodic : bool
        Whether the last axis wraps around.
    factored : int
        Up to so many observations of a window, their matrix is factored.

    Examples
    --------
    >>> lags = torch.tensor([0.0, 0.5, 1.0, 0.5, 0.0]).view(1, 1, 1, 1, 5)
    >>> field = GaussianField(Covariance(lags, torch.tensor(0.0)), (1, 3), 1, False)
    >>> x = torch.tensor([2.0, 0.0, 0.0]).view(1, 1, 1, 1, 3)
    >>> field.mean(x, x / 2)[..., :3].flatten().round(decimals=2).tolist()
    [2.0, 1.0, 0.0]
    """

    def __init__(
        self,
        covariance: Covariance,
        shape: tuple[int, int],
        frames: int,
        periodic: bool,
        factored: int = MOST_FACTORED,
    ) -> None:
        self.shape, self.frames = shape, frames
        self.spectrum: Spectrum = spectrum(covariance, shape, frames, periodic=periodic)
        noise = covariance.variance.clamp(min=TINY).float() * covariance.noise.float()
        self.noise = noise.clamp(min=TINY).view(1, -1, 1, 1, 1)
        self._near: dict[tuple[int, bool], list[Neighbourhoods]] = {}
        single = self.spectrum.matrices.to(torch.complex64)
        self._single = SpectralFilter.of(single)
        fits = has_factors(len(covariance.lags), frames, shape)
        self._factored = factored if fits else -1
        if not fits:
            if max(shape) <= NEAR_SIZES.largest:  # of which neighbourhoods may be asked for
                _ = self.table  # of the spectrum in double precision: what is rounded has no factor
            self.spectrum = Spectrum(single, self.spectrum.size)

    @cached_property
    def _exact(self) -> SpectralFilter:
        """In double precision."""
        return SpectralFilter.of(self.spectrum.matrices)

    @cached_property
    def table(self) -> Tensor:
        """Covariances by lag, float64, shape (G, M, M, 2 H - 1, 2 W - 1)."""
        h, w = self.shape
        waves = self.spectrum.matrices.permute(0, 3, 4, 1, 2)
        torus: Tensor = torch.fft.irfft2(waves, s=self.spectrum.size)
        rows, columns = (
            torch.arange(1 - n, n, device=torus.device) % size
            for n, size in zip(self.shape, self.spectrum.size, strict=True)
        )
        return torus[..., rows[:, None], columns].contiguous()

    def mean(
        self, x: Tensor, context: Tensor, steps: int = STEPS, added: Tensor | None = None
    ) -> Tensor:
        """Expected values given the context.

        Parameters
        ----------
        x : Tensor, shape (B, C, T, H, W)
            Anomalies; what stands outside the context is ignored.
        context : Tensor, shape (B, C, T, H, W)
            1 where the value is given, 0 elsewhere.
        steps : int
            Of conjugate gradients, for windows of many observations.
        added : Tensor, shape (B,), optional
            Variance of noise that has been added to all values of a window.

        Returns
        -------
        Tensor, shape (B, C, T, h, w)
            On the whole torus; the first H x W cells are the field.
        """
        known = x * context
        added = x.new_zeros(len(x)) if added is None else added
        noise = self.noise + added.view(-1, 1, 1, 1, 1)
        few = (context.flatten(1).sum(dim=1) <= self._factored) & (added <= NOISY)
        if few.all():
            return self._by_factors(known, context, noise)
        many = self._weights(known[~few], context[~few], noise[~few], steps)
        found = self._filtered(self._single, many)
        if not few.any():
            return found
        out = found.new_empty(len(x), *found.shape[1:])
        out[~few], out[few] = found, self._by_factors(known[few], context[few], noise[few])
        return out

    def _by_factors(self, y: Tensor, context: Tensor, noise: Tensor) -> Tensor:
        """Expected values from a factor of the matrix of each window's observations."""
        groups, *_, joint = self.spectrum.matrices.shape
        grouped = context.reshape(len(y), groups, joint, *context.shape[-2:])
        values = y.reshape(grouped.shape).double()
        noise = noise.expand(y.shape).reshape(grouped.shape)
        weights = torch.zeros_like(values)
        for b in range(len(y)):
            for g in range(groups):
                cells = grouped[b, g].nonzero()
                at = cells.unbind(1)
                system = covariances(self.table[g], cells[None], cells[None])[0]
                system.diagonal().mul_(1 + FLOOR).add_(noise[b, g][at])
                factor = cholesky(system)
                weights[b, g][at] = torch.cholesky_solve(values[b, g][at][:, None], factor)[:, 0]
        return self._filtered(self._exact, weights.view_as(y)).float()

    def near_mean(
        self, x: Tensor, context: Tensor, asked: Tensor, neighbours: int,
        added: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Expected values from the observations that matter most.

        Parameters
        ----------
        x, context : Tensor, shape (B, C, T, H, W)
        asked : bool Tensor, shape (B, C, T, H, W)
            Where they are wanted, outside the context.
        neighbours : int
            Observations for each tile of cells.
        added : Tensor, shape (B,), optional

        Returns
        -------
        Tensor, shape (B, C, T, H, W)
            Inside the context the values; where nothing was asked zero.
        """
        near = self.neighbourhoods(neighbours, all_round=False)
        shape = len(x), len(near), -1, *self.shape
        known, seen = (x * context).double().reshape(shape), context.reshape(shape)
        wanted = asked.reshape(shape)
        more = [0.0] * len(x) if added is None else added.double()
        found = [
            torch.stack([n.mean(*each, noise) for n, *each in zip(near, *window, strict=True)])
            for *window, noise in zip(seen, wanted, known, more, strict=True)
        ]
        return torch.stack(found).view(x.shape).to(x) + x * context

    def neighbourhoods(self, most: int, *, all_round: bool = True) -> list[Neighbourhoods]:
        """Of each group of channels and frames; kept, since all windows have the same."""
        if (most, all_round) not in self._near:
            groups, joint = self.table.shape[:2]
            each = self.noise.expand(1, -1, self.frames, *self.shape)
            noise = each.reshape(groups, joint, *self.shape).double()
            self._near[most, all_round] = [
                Neighbourhoods(table, own, most, all_round=all_round)
                for table, own in zip(self.table, noise, strict=True)
            ]
        return self._near[most, all_round]

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Fields from this distribution, shape (count, C, T, h, w), on the whole torus."""
        white = torch.randn(count, *self.torus, generator=generator, device=generator.device)
        return self.coloured(white)

    @property
    def torus(self) -> tuple[int, int, int, int]:
        """Shape of a field on the whole torus, (C, T, h, w)."""
        groups, *_, joint = self.spectrum.matrices.shape
        return groups * joint // self.frames, self.frames, *self.spectrum.size

    def coloured(self, white: Tensor) -> Tensor:
        """Fields from this distribution, made of white noise (B, C, T, h, w) on the torus."""
        return self._filtered(self._root, white.to(self.noise.device))

    @cached_property
    def _root(self) -> SpectralFilter:
        """Square roots of the spectrum's matrices."""
        root = factor(self.spectrum.matrices)
        if root is None:
            values, vectors = torch.linalg.eigh(self.spectrum.matrices)
            root = (vectors * values.clamp(min=0.0).sqrt()[..., None, :]) @ vectors.mH
        return SpectralFilter.of(root.to(torch.complex64))

    def power(self, fields: Tensor) -> Tensor:
        """Mean cross-spectra of fields (B, C, T, h, w) on the torus, as in a Spectrum."""
        waves = self._waves(fields)
        cells = self.spectrum.size[0] * self.spectrum.size[1]
        return torch.einsum("bgihw,bgjhw->ghwij", waves, waves.conj()) / (len(fields) * cells)

    def _weights(self, y: Tensor, context: Tensor, noise: Tensor, steps: int) -> Tensor:
        """Weights of the observations, by conjugate gradients from zero.

        What is left is kept orthogonal to all that was left before: without that, rounding errors
        grow so fast that the last digit of an observation would decide over the result.
        """
        h, w = self.shape
        weights = torch.zeros_like(y)
        left = y.clone()
        direction, size = left.clone(), inner_product(left, left)
        past = y.new_zeros(len(y), steps, y[0].numel())
        for k in range(steps):
            past[:, k] = (left * ratio(size.sqrt(), size)).flatten(1)
            spread = self._filtered(self._single, direction)[..., :h, :w]
            bent = spread.mul_(context).addcmul_(direction, noise.expand_as(direction))
            pace = ratio(size, inner_product(direction, bent))
            weights += pace * direction
            left = _without(left - pace * bent, past[:, : k + 1])
            before, size = size, inner_product(left, left)
            direction.mul_(ratio(size, before)).add_(left)
        return weights

    def _filtered(self, spectral: SpectralFilter, u: Tensor) -> Tensor:
        """Fields (B, C, T, H, W), zero beyond their edges, times a spectrum: on the torus."""
        fields: Tensor = torch.fft.irfft2(spectral(self._waves(u)), s=self.spectrum.size)
        return fields.reshape(*u.shape[:3], *self.spectrum.size)

    def _waves(self, u: Tensor) -> Tensor:
        """Fourier transforms, shape (B, G, M, h, w // 2 + 1)."""
        groups = len(self.spectrum.matrices)
        waves: Tensor = torch.fft.rfft2(u, s=self.spectrum.size)
        return waves.reshape(len(u), groups, -1, *waves.shape[-2:])


def has_factors(channels: int, frames: int, shape: tuple[int, int]) -> bool:
    """Whether matrices of the observations of such windows are made.

    Parameters
    ----------
    channels, frames : int
    shape : (int, int)
        Cells, H and W.

    Returns
    -------
    bool
        Not where the covariances that these are looked up in would take too much memory.

    Examples
    --------
    >>> has_factors(1, 5, (128, 128)), has_factors(3, 5, (128, 128))
    (True, False)
    """
    together = channels * frames <= MOST_TOGETHER
    pairs = (channels * frames) ** 2 if together else channels * frames**2
    return 8 * pairs * (2 * shape[0] - 1) * (2 * shape[1] - 1) <= LARGEST_TABLE


def krige(
    x: Tensor,
    context: Tensor,
    field_of: FieldOf,
    *,
    periodic: bool,
    added: Tensor | None = None,
    neighbours: int = 0,
    many: int = MOST_FACTORED,
    asked: Tensor | None = None,
) -> Tensor:
    """Expected values of windows of any size given their context.

    Parameters
    ----------
    x : Tensor, shape (B, C, T, H, W)
        Anomalies; what stands outside the context is ignored.
    context : Tensor, shape (B, C, T, H, W)
        1 where the value is given, 0 elsewhere.
    field_of : callable
        From cells (h, w), frames and whether the last axis wraps around to a GaussianField.
    periodic : bool
        Whether the last axis wraps around.
    added : Tensor, shape (B,), optional
        Variance of noise that has been added to all values of a window.
    neighbours : int
        If not zero, windows of many observations are kriged from the so many that matter most to
        a tile of cells, instead of from all by conjugate gradients.
    many : int
        More than so many.
    asked : bool Tensor, shape (B, C, T, H, W), optional
        Where it is wanted; what is kriged from neighbours is zero elsewhere, but in the context,
        whose values stay as they are, noise and all. Default: outside the context.

    Returns
    -------
    Tensor, shape (B, C, T, H, W)
        Fields of more than 256 cells on a side are kriged in pieces of 128 which overlap by 32;
        from neighbours, of more than 128 in pieces of 64, which overlap by 16 and see what was
        observed up to 32 cells beyond.

    Examples
    --------
    Halfway between two observations with a correlation of 0.5 between neighbours and 0.2 over two
    cells, of unit variance:

    >>> from functools import partial
    >>> lags = torch.tensor([0.2, 0.5, 1.0, 0.5, 0.2]).view(1, 1, 1, 1, 5)
    >>> x = torch.tensor([1.0, 0.0, 1.0]).view(1, 1, 1, 1, 3)
    >>> field_of = partial(GaussianField, Covariance(lags, torch.tensor(0.0)))
    >>> found = krige(x, x, field_of, periodic=False)
    >>> round(float(found[0, 0, 0, 0, 1]), 3)  # (0.5 + 0.5) / (1 + 0.2)
    0.833
    """
    wanted = context == 0 if asked is None else asked & (context == 0)
    near = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    if neighbours:
        near = context.flatten(1).sum(dim=1) > many
        if added is not None:
            near &= added <= NOISY
    out = torch.zeros_like(x)
    for some, sizes in ((~near, SIZES), (near, NEAR_SIZES)):
        if not some.any():
            continue
        noise = None if added is None else added[some]
        total, weight = torch.zeros_like(x[some]), x.new_zeros(x.shape[-2:])
        for field, rows, columns, share in pieces(x, field_of, sizes, periodic=periodic):
            h, w = field.shape
            cut = x[some][..., rows, columns], context[some][..., rows, columns]
            if sizes is NEAR_SIZES:
                part = wanted[some][..., rows, columns] & (share > 0)
                piece = field.near_mean(*cut, part, neighbours, added=noise)
            else:
                piece = field.mean(*cut, added=noise)[..., :h, :w]
            total[..., rows, columns] += share * piece
            weight[rows, columns] += share
        out[some] = total / weight
    return out


def pieces(
    like: Tensor, field_of: FieldOf, sizes: Sizes, *, periodic: bool
) -> Iterator[tuple[GaussianField, Tensor, Tensor, Tensor]]:
    """Windows that cover fields of any size, and how they are joined.

    Parameters
    ----------
    like : Tensor, shape (..., T, H, W)
    field_of : callable
        From cells (h, w), frames and whether the last axis wraps around to a GaussianField.
    sizes : Sizes
    periodic : bool
        Whether the last axis wraps around.

    Yields
    ------
    GaussianField
        Of h x w cells, the same for all.
    rows, columns : Tensor, shapes (h, 1) and (1, w)
    share : Tensor, shape (h, w)
        Weights of its cells, which fall towards edges that others overlap, and are zero in halos.

    Examples
    --------
    >>> field_of = lambda shape, frames, periodic: GaussianField(
    ...     Covariance(torch.ones(1, 1, 1, 1, 1), torch.tensor(0.1)), shape, frames, periodic)
    >>> found = pieces(torch.zeros(1, 4, 10), field_of, Sizes(8, 8, 2, halo=1), periodic=False)
    >>> for _, _, columns, share in found:
    ...     columns[0].tolist(), (10 * share[0]).int().tolist()
    ([0, 1, 2, 3, 4, 5, 6, 7], [10, 10, 10, 10, 10, 8, 1, 0])
    ([2, 3, 4, 5, 6, 7, 8, 9], [0, 1, 8, 10, 10, 10, 10, 10])
    """
    frames, h, w = like.shape[-3:]
    whole = max(h, w) <= sizes.largest
    th, tw = (h, w) if whole else (min(sizes.piece, h), min(sizes.piece, w))
    around = periodic and tw < w
    field = field_of((th, tw), frames, periodic and tw == w)
    step = max(1, sizes.piece - 2 * sizes.halo - sizes.overlap)
    for top in starts(h, th, step):
        down = _side(th, sizes, before=top > 0, after=top + th < h)
        for left in starts(w, tw, step, periodic=around):
            right = _side(tw, sizes, before=around or left > 0, after=around or left + tw < w)
            rows = torch.arange(top, top + th, device=like.device)[:, None]
            columns = torch.arange(left, left + tw, device=like.device)[None, :] % w
            yield field, rows, columns, torch.outer(down, right).to(like)


def _side(cells: int, sizes: Sizes, *, before: bool, after: bool) -> Tensor:
    """Weights along one side of a piece, which has others before and after it or not."""
    halos = before * sizes.halo, after * sizes.halo
    weights = torch.from_numpy(ramp(cells - sum(halos), sizes.overlap))
    if not before:
        weights[: len(weights) // 2] = 1.0
    if not after:
        weights[len(weights) // 2 :] = 1.0
    return torch.nn.functional.pad(weights, halos)


def _without(field: Tensor, past: Tensor) -> Tensor:
    """A field (B, C, T, H, W) less its part along K orthonormal ones, shape (B, K, C T H W)."""
    flat = field.flatten(1)[:, :, None]
    return (flat - past.mT @ (past @ flat)).view_as(field)
