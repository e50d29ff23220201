"""What the first guesses share: masked means, the Laplacian, and parts of conjugate gradients."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["inner_product", "laplacian", "masked_pyramid", "pad_field", "prolong", "ratio"]

TINY = 1e-20


def pad_field(u: Tensor, width: int, periodic: bool) -> Tensor:
    """Pad the two last dims: latitude by its edge value, longitude too or by wrapping."""
    mode = "circular" if periodic and u.shape[-1] >= width else "replicate"
    u = F.pad(u, (width, width, 0, 0), mode=mode)
    return F.pad(u, (0, 0, width, width), mode="replicate")


def laplacian(u: Tensor, periodic: bool) -> Tensor:
    """Five-point Laplacian of fields (N, C, H, W), as a new array."""
    p = pad_field(u, 1, periodic)
    out = p[..., :-2, 1:-1] + p[..., 2:, 1:-1]
    out.add_(p[..., 1:-1, :-2]).add_(p[..., 1:-1, 2:])
    return out.sub_(u, alpha=4.0)


def _pool(u: Tensor) -> Tensor:
    h, w = u.shape[-2:]
    return F.avg_pool2d(F.pad(u, (0, w % 2, 0, h % 2)), 2)


def masked_pyramid(x: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Means of what was seen, on grids each half as fine as the last, down to 2 x 2 cells.

    Parameters
    ----------
    x, mask : Tensor, shape (N, C, H, W)
        Values, zero where ``mask`` is zero; and 1 where seen.

    Returns
    -------
    list of (values, mask)
        The finest first.
    """
    levels = [(x, mask)]
    weight = mask
    while max(levels[-1][0].shape[-2:]) > 2:
        total = _pool(levels[-1][0] * weight)
        weight = _pool(weight)
        seen = (weight > 0).to(x.dtype)
        levels.append((total / weight.clamp(min=1e-12) * seen, seen))
    return levels


def prolong(u: Tensor, shape: tuple[int, int]) -> Tensor:
    """A coarse field on the grid of twice the resolution, cut to ``shape``."""
    fine = F.interpolate(u, scale_factor=2, mode="bilinear", align_corners=False)
    return fine[..., : shape[0], : shape[1]]


def inner_product(a: Tensor, b: Tensor) -> Tensor:
    """Over all axes but the first, shape (N, 1, ..., 1)."""
    flat = torch.bmm(a.flatten(1)[:, None], b.flatten(1)[:, :, None])
    return flat.view(-1, *[1] * (a.ndim - 1))


def ratio(above: Tensor, below: Tensor) -> Tensor:
    """Zero where there is nothing left to solve."""
    return torch.where(below > TINY, above / below.clamp(min=TINY), torch.zeros_like(above))
