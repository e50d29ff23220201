r"""Cheap linear fills that the denoiser starts from.

Each guess solves, approximately, a variational fill of one frame: find the field
that equals the context where there is one and elsewhere minimises
:math:`\int |\nabla u|^2` (membrane, :math:`\Delta u = 0`) or
:math:`\int |\Delta u|^2` (thin plate, :math:`\Delta^2 u = 0`). They are found by
nested iteration: the masked means of a pyramid are relaxed from the coarsest grid
to the finest, so a guess costs a few dozen elementwise passes whatever the gap size.
A third guess does the same for what is left after a weighted mean through time.

They are given to the backbone as inputs and as terms of a weighted base
(:mod:`xdiffimpute.denoiser`); being linear in the data they change nothing of what the
training loss converges to (Theorem 1).

References
----------
Briggs, "Machine contouring using minimum curvature", Geophysics 39 (1974), doi:10.1190/1.1440410.
Brandt, "Multi-level adaptive solutions", Math. Comp. 31 (1977),
doi:10.1090/S0025-5718-1977-0431719-X.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["GUESSES", "first_guesses", "pad_field"]

GUESSES = ("membrane", "thin_plate", "temporal")

MEMBRANE_SWEEPS = 4
PLATE_SWEEPS = 12
DECAY_FRAMES = 2.0


def pad_field(u: Tensor, width: int, periodic: bool) -> Tensor:
    """Pad the two last dims: latitude by its edge value, longitude too or by wrapping."""
    mode = "circular" if periodic and u.shape[-1] >= width else "replicate"
    u = F.pad(u, (width, width, 0, 0), mode=mode)
    return F.pad(u, (0, 0, width, width), mode="replicate")


def _laplacian(u: Tensor, periodic: bool) -> Tensor:
    p = pad_field(u, 1, periodic)
    around = p[..., :-2, 1:-1] + p[..., 2:, 1:-1] + p[..., 1:-1, :-2] + p[..., 1:-1, 2:]
    return around - 4.0 * u


def _pool(u: Tensor) -> Tensor:
    h, w = u.shape[-2:]
    return F.avg_pool2d(F.pad(u, (0, w % 2, 0, h % 2)), 2)


def _relax(u: Tensor, value: Tensor, mask: Tensor, order: int, periodic: bool) -> Tensor:
    """Damped Jacobi sweeps of the membrane (order 1) or thin-plate (order 2) equation."""
    if order == 1:
        for _ in range(MEMBRANE_SWEEPS):
            u = torch.lerp(u + 0.225 * _laplacian(u, periodic), value, mask)
        return u
    velocity = torch.zeros_like(u)
    for _ in range(PLATE_SWEEPS):
        bending = _laplacian(_laplacian(u, periodic), periodic)
        velocity = 0.7 * velocity - (1.4 / 64.0) * bending
        u = torch.lerp(u + velocity, value, mask)
    return u


def _fill(x: Tensor, mask: Tensor, order: int, periodic: bool) -> Tensor:
    """Fill frames of shape (N, 1, H, W); ``x`` is zero where ``mask`` is zero."""
    pyramid = [(x, mask)]
    weight = mask
    while max(pyramid[-1][0].shape[-2:]) > 2:
        total = _pool(pyramid[-1][0] * weight)
        weight = _pool(weight)
        seen = (weight > 0).to(x.dtype)
        pyramid.append((total / weight.clamp(min=1e-12) * seen, seen))
    value, seen = pyramid[-1]
    count = seen.sum(dim=(-2, -1), keepdim=True).clamp(min=1.0)
    u = torch.lerp((value * seen).sum(dim=(-2, -1), keepdim=True) / count, value, seen)
    for value, seen in reversed(pyramid[:-1]):
        h, w = value.shape[-2:]
        u = F.interpolate(u, scale_factor=2, mode="bilinear", align_corners=False)[..., :h, :w]
        u = _relax(torch.lerp(u, value, seen), value, seen, 1, periodic)
        if order == 2:
            u = _relax(u, value, seen, 2, periodic)
    return u


def _through_time(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each cell through the window, weighted by nearness in time; and its weight."""
    frames = torch.arange(x.shape[2], device=x.device, dtype=x.dtype)
    kernel = torch.exp(-(frames[:, None] - frames[None, :]).abs() / DECAY_FRAMES)
    total = torch.einsum("st,bcthw->bcshw", kernel, x)
    weight = torch.einsum("st,bcthw->bcshw", kernel, mask)
    return total / weight.clamp(min=1e-6), weight


@torch.no_grad()
def first_guesses(x: Tensor, context: Tensor, *, periodic: bool) -> Tensor:
    """All guesses of a batch.

    Parameters
    ----------
    x : Tensor, shape (B, C, T, H, W)
        Standardised values; whatever stands outside the context is ignored.
    context : Tensor, shape (B, C, T, H, W)
        1 where the value is given, 0 elsewhere.
    periodic : bool
        Whether the last axis wraps around the globe.

    Returns
    -------
    Tensor, shape (B, G, C, T, H, W)
        One fill for each name in :data:`GUESSES`. A frame without any context is zero in
        the purely spatial guesses.
    """
    b, c, t, h, w = x.shape
    x = x * context
    frames, masks = x.reshape(-1, 1, h, w), context.reshape(-1, 1, h, w)
    membrane = _fill(frames, masks, 1, periodic)
    plate = _fill(frames, masks, 2, periodic)
    limit = frames.abs().amax(dim=(-2, -1), keepdim=True)
    plate = torch.maximum(torch.minimum(plate, 1.5 * limit), -1.5 * limit)
    spatial = [membrane, plate]
    if t > 1:
        mean, weight = _through_time(x, context)
        ever = (weight > 0).to(x.dtype)
        background = _fill(
            mean.reshape_as(frames) * ever.reshape_as(frames), ever.reshape_as(frames), 1, periodic
        )
        rest = _fill((frames - background) * masks, masks, 1, periodic)
        spatial.append(background + rest)
    else:
        spatial.append(membrane)
    return torch.stack([s.reshape(b, c, t, h, w) for s in spatial], dim=1)
