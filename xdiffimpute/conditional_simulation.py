r"""Errors that kriging may have made, drawn with the variances and correlations they have.

A field drawn from the covariance is observed where the data are, with errors of observation, and
kriged from that; what kriging got wrong is a draw from the distribution of its errors. Divided by
their standard deviation at each cell, draws say how errors go together; how large they are, a
calibrated standard error says better.

References
----------
Chiles and Delfiner, Geostatistics (2012), doi:10.1002/9781118136188, Section 7.3, on conditioning
simulations by kriging; Hoffman and Ribak, The Astrophysical Journal (1991), doi:10.1086/186160.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .kriging import FieldOf, GaussianField
from .kriging_variance import kriging_variance
from .tiling import ramp, starts

__all__ = ["unit_errors"]

LARGEST, PIECE, OVERLAP = 128, 96, 32
NEIGHBOURS = 320  # for the standard deviation, which has to fit the draws
AT_ONCE = 1_500_000  # cells of draws that are kriged together, which takes forty times as many
LEAST = 1e-4  # of the variance of the field; errors less than that are left as small as they are


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
    """Draws of what is not known of a window, of about unit variance where it is asked.

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
        Where they are wanted; default: everywhere.

    Returns
    -------
    Tensor, shape (N, C, T, H, W)
        Fields of more than 128 cells on a side are drawn in pieces of 96, which overlap by 32 and
        are joined so that the variance stays what it is.

    Examples
    --------
    Between two observations errors are those of what is not known; at these, nothing is left:

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
    frames, h, w = context.shape[1:]
    wanted = torch.ones_like(context, dtype=torch.bool) if asked is None else asked
    rngs = rng.spawn(count)
    if max(h, w) <= LARGEST:
        return _of_window(field_of((h, w), frames, periodic), context, wanted, rngs)
    th, tw = min(PIECE, h), min(PIECE, w)
    field = field_of((th, tw), frames, periodic and tw == w)
    sides = [ramp(n, OVERLAP if n < whole else 0) for n, whole in ((th, h), (tw, w))]
    share = torch.outer(*(torch.from_numpy(side).to(context) for side in sides))
    total, squares = context.new_zeros(count, *context.shape), context.new_zeros(h, w)
    for top in starts(h, th, PIECE - OVERLAP):
        for left in starts(w, tw, PIECE - OVERLAP, periodic=periodic and tw < w):
            rows = torch.arange(top, top + th, device=context.device)[:, None]
            columns = torch.arange(left, left + tw, device=context.device)[None, :] % w
            cut = context[..., rows, columns], wanted[..., rows, columns]
            total[..., rows, columns] += share * _of_window(field, *cut, rngs)
            squares[rows, columns] += share.square()
    return total / squares.sqrt()


def _of_window(
    field: GaussianField,
    context: Tensor,
    asked: Tensor,
    rngs: Sequence[np.random.Generator],
) -> Tensor:
    """Of a window (C, T, H, W) as large as the field's: (N, C, T, H, W)."""
    h, w = context.shape[-2:]
    size, wrong = max(1, AT_ONCE // context.numel()), []
    for k in range(0, len(rngs), size):
        some = rngs[k : k + size]
        drawn = field.coloured(_normal(field.torus, some, context))[..., :h, :w]
        noise = field.noise.sqrt() * _normal(tuple(context.shape), some, context)
        wrong.append(drawn - field.mean(drawn + noise, context[None])[..., :h, :w])
    unknown = kriging_variance(
        context[None], lambda *_: field, periodic=False, asked=asked[None], neighbours=NEIGHBOURS
    )[0]
    own = field.variance.view(-1, 1, 1, 1)
    left = (unknown - field.noise[0]).clamp(min=LEAST * own)
    return torch.cat(wrong) * (1 - context) / left.sqrt()


def _normal(shape: tuple[int, ...], rngs: Sequence[np.random.Generator], like: Tensor) -> Tensor:
    """Standard normal, shape (N, ...): a generator for each draw."""
    draws = [rng.standard_normal(shape, dtype=np.float32) for rng in rngs]
    return torch.from_numpy(np.stack(draws)).to(like)
