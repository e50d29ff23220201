r"""A fill in space and time at once: a screened membrane or plate, guided by slopes.

The membrane minimises, with the context held fixed,

.. math::
    \sum_t \int |\nabla u_t - \gamma\, g_t|^2 + k^2 u_t^2 + \kappa\, (u_t - u_{t-1})^2 ,

where :math:`g_t` is the mean of the slopes that were seen at a place in the frames of the
window, weighted by nearness in time. The plate minimises the square of the operator that this
leads to, :math:`\Delta u + \kappa\, \partial_t^2 u - k^2 u - \gamma \nabla \cdot g`.

Each is the most likely field under a Gaussian model with correlation length 1/k, with
persistence :math:`\kappa`, and with a part :math:`\gamma` of the slopes that stays where it is
(fronts, coasts, mountains). The three are found for each channel on the data (:func:`tune`).
They are solved by nested iteration: from the coarsest to the finest of a pyramid of masked
means, a few steps of conjugate gradients each.

References
----------
Lindgren, Rue and Lindstroem (2011), doi:10.1111/j.1467-9868.2011.00777.x, for the screened
operator as a covariance; Perez, Gangnet and Blake (2003), doi:10.1145/882262.882269, for
membranes guided by slopes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .relaxation import inner_product, laplacian, masked_pyramid, prolong, ratio
from .samples import Sample, first_cells

__all__ = ["Stiffness", "fill_space_time", "tune"]

STEPS = {1: 8, 2: 16}
TUNING_CELLS = 1_000_000
FINER = 2.0
SLOPE_FRAMES = 4.0
SLOPE_DOUBT = 0.3

CANDIDATES: dict[str, tuple[float, ...]] = {
    "coupling": (0.0, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 2.0),
    "screening": (0.0, 3e-4, 3e-3, 3e-2, 0.2),
    "guidance": (0.0, 0.5, 1.0),
}


class Stiffness(NamedTuple):
    """What holds the field together, one value for each channel.

    Parameters
    ----------
    coupling : Tensor, shape (C,)
        :math:`\\kappa`, between successive frames, per squared cell.
    screening : Tensor, shape (C,)
        :math:`k^2`, towards climatology, per squared cell.
    guidance : Tensor, shape (C,)
        :math:`\\gamma`, from 0 to 1.
    """

    coupling: Tensor
    screening: Tensor
    guidance: Tensor

    @classmethod
    def free(cls, channels: int) -> Stiffness:
        """Nothing but the membrane or plate itself, frame by frame."""
        return cls(*(torch.zeros(channels) for _ in range(3)))

    @classmethod
    def default(cls, channels: int) -> Stiffness:
        """A length of 30 cells and little persistence."""
        values = (1e-3, 1e-3, 0.5)
        return cls(*(torch.full((channels,), value) for value in values))


def fill_space_time(
    x: Tensor, context: Tensor, stiffness: Stiffness, *, order: int, periodic: bool
) -> Tensor:
    """Fill windows.

    Parameters
    ----------
    x : Tensor, shape (B, C, T, H, W)
        Standardised values, zero outside the context.
    context : Tensor, shape (B, C, T, H, W)
        1 where the value is given.
    stiffness : Stiffness
    order : {1, 2}
        Membrane or thin plate.
    periodic : bool

    Returns
    -------
    Tensor, shape (B, C, T, H, W)
    """
    springs = [part.to(x).repeat(x.shape[0]).view(-1, 1, 1, 1) for part in stiffness]
    guidance = springs[2]
    levels = masked_pyramid(x.flatten(0, 1), context.flatten(0, 1))
    value, seen = levels[-1]
    u = value.clone()
    for level in range(len(levels) - 1, -1, -1):
        value, seen = levels[level]
        slopes = None
        if level < len(levels) - 1:
            u = torch.lerp(prolong(u, (value.shape[-2], value.shape[-1])), value, seen)
            slopes = guidance * _divergence(value, seen, periodic) if guidance.any() else None
        operator = _Operator.at(level, springs[0], springs[1], u.shape[1], periodic)
        u = _solve(u, seen, slopes, operator, order)
    return u.view_as(x)


class _Operator(NamedTuple):
    """The screened Laplacian in space and time on one level of the pyramid.

    Parameters
    ----------
    coupling, screening : Tensor, shape (N, 1, 1, 1)
        Of the cells of this level.
    in_time : bool
        Whether there are frames to couple.
    periodic : bool
    """

    coupling: Tensor
    screening: Tensor
    in_time: bool
    periodic: bool

    @classmethod
    def at(
        cls, level: int, coupling: Tensor, screening: Tensor, frames: int, periodic: bool
    ) -> _Operator:
        """On cells 2**level wide, of 4**level squared cells."""
        in_time = frames > 1 and bool(coupling.any())
        return cls(coupling * 4.0**level, screening * 4.0**level, in_time, periodic)

    def __call__(self, u: Tensor) -> Tensor:
        """Applied to (N, T, H, W), as a new array."""
        out = laplacian(u, self.periodic).sub_(u * self.screening)
        if self.in_time:
            pull = (u[:, 1:] - u[:, :-1]) * self.coupling
            out[:, :-1].add_(pull)
            out[:, 1:].sub_(pull)
        return out


def _solve(
    u: Tensor, seen: Tensor, slopes: Tensor | None, operator: _Operator, order: int
) -> Tensor:
    """A few steps of conjugate gradients for the cells not seen, in place on (N, T, H, W)."""
    missing = 1.0 - seen
    force = operator(u)
    if slopes is not None:
        force.sub_(slopes)
    if order == 2:
        force = operator(force).neg_()
    left = force.mul_(missing)
    direction, size = left.clone(), inner_product(left, left)
    for _ in range(STEPS[order]):
        bent = operator(direction)
        bent = operator(bent) if order == 2 else bent.neg_()
        bent.mul_(missing)
        pace = ratio(size, inner_product(direction, bent))
        u.addcmul_(direction, pace.expand_as(u))
        left.addcmul_(bent, pace.expand_as(u), value=-1.0)
        before, size = size, inner_product(left, left)
        direction.mul_(ratio(size, before)).add_(left)
    return u


def _divergence(value: Tensor, seen: Tensor, periodic: bool) -> Tensor:
    """Divergence of the mean slopes, shape (N, T, H, W)."""
    frames = torch.arange(value.shape[1], device=value.device, dtype=value.dtype)
    kernel = torch.exp(-(frames[:, None] - frames[None, :]).abs() / SLOPE_FRAMES)
    total = torch.zeros_like(value)
    for axis in (-2, -1):
        wraps = periodic and axis == -1
        ahead, ahead_seen = (torch.roll(a, -1, axis) for a in (value, seen))
        both = seen * ahead_seen
        if not wraps:
            both.narrow(axis, -1, 1).zero_()
        slope = torch.einsum("st,nthw->nshw", kernel, (ahead - value) * both)
        slope /= torch.einsum("st,nthw->nshw", kernel, both).add_(SLOPE_DOUBT)
        total += slope
        total -= torch.roll(slope, 1, axis)
    return total


@torch.no_grad()
def tune(
    samples: Sequence[Sample],
    *,
    order: int,
    periodic: bool,
) -> Stiffness:
    """The stiffness that fills best: a coarse search along each coordinate, then a finer one.

    Parameters
    ----------
    samples : sequence of (x, context, query), each of shape (B, C, T, H, W)
        Fills from the context are judged at the query; the first ``TUNING_CELLS`` cells
        are enough.
    order : {1, 2}
        Membrane or thin plate.
    periodic : bool

    Returns
    -------
    Stiffness

    Examples
    --------
    >>> x = torch.linspace(-1, 1, 16).repeat(1, 1, 1, 16, 1)
    >>> context = (torch.rand(x.shape, generator=torch.manual_seed(0)) < 0.5).float()
    >>> found = tune([(x * context, context, 1 - context)], order=2, periodic=False)
    >>> filled = fill_space_time(x * context, context, found, order=2, periodic=False)
    >>> bool((filled - x).abs().max() < 0.5)
    True
    """
    samples = first_cells(samples, TUNING_CELLS)
    best = Stiffness.default(samples[0][0].shape[1])
    for name, candidates in CANDIDATES.items():
        trials = [torch.full_like(best.coupling, c) for c in candidates]
        best = _best(best, name, trials, samples, order, periodic)
    for name in ("coupling", "screening"):
        now = getattr(best, name)
        best = _best(best, name, [now, now / FINER, now * FINER], samples, order, periodic)
    return best


def _best(
    stiffness: Stiffness, name: str, trials: list[Tensor],
    samples: Sequence[Sample], order: int, periodic: bool,
) -> Stiffness:  # fmt: skip
    """The stiffness with, in each channel, the best value of one coordinate."""
    count = len(trials)
    together = Stiffness(*(part.repeat(count) for part in stiffness))
    together = together._replace(**{name: torch.cat(trials)})
    errors = _errors(samples, together, order, periodic, count).view(count, -1)
    chosen = torch.stack(trials).gather(0, errors.argmin(dim=0)[None])[0]
    return stiffness._replace(**{name: chosen})


def _errors(
    samples: Sequence[Sample],
    stiffness: Stiffness,
    order: int,
    periodic: bool,
    trials: int,
) -> Tensor:
    """Squared error at the queried cells for each trial and channel, shape (trials * C,).

    The trials stand side by side as channels: one fill instead of many small ones.
    """
    total = torch.zeros(trials * samples[0][0].shape[1])
    for sample in samples:
        x, context, query = (part.repeat(1, trials, 1, 1, 1) for part in sample)
        fill = fill_space_time(x * context, context, stiffness, order=order, periodic=periodic)
        total += ((fill - x).square() * query).sum(dim=(0, 2, 3, 4)).cpu()
    return total
