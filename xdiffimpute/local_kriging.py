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

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .kriging import NEAR_SIZES, FieldOf, GaussianField, pieces

__all__ = ["kriging_variance", "unit_errors"]

NEIGHBOURS = 128
NEIGHBOURS_OF_DRAWS = 320  # more, since their patterns are seen


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
        Fields of more than 128 cells on a side are worked on in pieces of 64, which overlap by 16
        and see what was observed up to 32 cells beyond.

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
        groups = field.neighbourhoods(neighbours)
        grouped = context.reshape(len(context), len(groups), -1, *field.shape)
        each = asked.reshape(grouped.shape)
        found = [
            torch.stack([group.variance(c, a) for group, c, a in zip(groups, cs, as_, strict=True)])
            for cs, as_ in zip(grouped, each, strict=True)
        ]
        return torch.stack(found).view_as(context)

    total, weight = context.new_zeros(context.shape), context.new_zeros(context.shape[-2:])
    for field, rows, columns, share in pieces(context, field_of, NEAR_SIZES, periodic=periodic):
        some = wanted[..., rows, columns] & (share > 0)
        piece = of_piece(field, context[..., rows, columns], some)
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
        unknown. Fields of more than 128 cells on a side are drawn in pieces of 64, which overlap by
        16, see what was observed up to 32 cells beyond, and are joined so that the variance stays
        one; over longer ways errors do not go together.

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
    for field, rows, columns, share in pieces(context, field_of, NEAR_SIZES, periodic=periodic):
        squares[rows, columns] += share.square()
        cut = context[..., rows, columns], wanted[..., rows, columns] & (share > 0)
        if cut[1].any():
            total[..., rows, columns] += share * _draws(field, *cut, rngs)
    return total / squares.sqrt()


def _draws(
    field: GaussianField, context: Tensor, asked: Tensor, rngs: Sequence[np.random.Generator]
) -> Tensor:
    """Of a window as large as the field's: (N, C, T, H, W)."""
    groups = field.neighbourhoods(NEIGHBOURS_OF_DRAWS)
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
