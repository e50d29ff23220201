r"""Cheap linear fills that the denoiser starts from.

A membrane and a thin plate are stretched over the context, held together through time with a
stiffness that was tuned on the data (:mod:`xdiffimpute.space_time`). A guess costs a few dozen
elementwise passes whatever the gap size.

They are given to the backbone as inputs and as terms of a weighted base
(:mod:`xdiffimpute.denoiser`); being linear in the data, but for a limit on extrapolation, they
change nothing of what the training loss converges to (Theorem 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .space_time import Stiffness, fill_space_time, tune

__all__ = ["GUESSES", "Springs", "describe_guesses", "first_guesses", "tune_guesses"]

GUESSES = ("membrane", "thin_plate")

OVERSHOOT = 1.5


class Springs(NamedTuple):
    """The stiffness of each guess."""

    membrane: Stiffness
    thin_plate: Stiffness

    @classmethod
    def default(cls, channels: int) -> Springs:
        """Before any tuning."""
        return cls(Stiffness.default(channels), Stiffness.default(channels))


@torch.no_grad()
def first_guesses(x: Tensor, context: Tensor, springs: Springs, *, periodic: bool) -> Tensor:
    """All guesses of a batch, in float32 whatever the surrounding autocast.

    Parameters
    ----------
    x : Tensor, shape (B, C, T, H, W)
        Standardised values; whatever stands outside the context is ignored.
    context : Tensor, shape (B, C, T, H, W)
        1 where the value is given, 0 elsewhere.
    springs : Springs
    periodic : bool
        Whether the last axis wraps around the globe.

    Returns
    -------
    Tensor, shape (B, G, C, T, H, W)
        One fill for each name in :data:`GUESSES`, nowhere beyond 1.5 times the largest
        anomaly of its window and channel.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = x * context
        guesses = torch.stack(
            [
                fill_space_time(x, context, stiffness, order=order, periodic=periodic)
                for order, stiffness in enumerate(springs, start=1)
            ],
            dim=1,
        )
        limit = OVERSHOOT * x.abs().amax(dim=(-3, -2, -1), keepdim=True)[:, None]
        return torch.maximum(torch.minimum(guesses, limit), -limit)


def tune_guesses(samples: Sequence[tuple[Tensor, Tensor, Tensor]], *, periodic: bool) -> Springs:
    """Springs that fill best; ``samples`` as in :func:`xdiffimpute.space_time.tune`."""
    return Springs(*(tune(samples, order=order, periodic=periodic) for order in (1, 2)))


def describe_guesses(labels: Sequence[str], mixture: Tensor, springs: Springs) -> list[str]:
    """What the tuning found, as lines of text: one for each channel.

    Parameters
    ----------
    labels : sequence of str
        Of the C channels.
    mixture : Tensor, shape (1 + G, C)
        Shares of climatology and of the guesses that training starts from.
    springs : Springs

    Returns
    -------
    list of str

    Examples
    --------
    >>> shares = torch.tensor([[0.1], [0.0], [0.9]])
    >>> describe_guesses(["sst"], shares, Springs.default(1))[0]
    'sst starts from 10% climatology, 90% thin plate (coupling 0.001, screening 0.001, ...)'
    """
    lines = []
    for c, label in enumerate(labels):
        parts = [] if mixture[0, c] < 0.005 else [f"{float(mixture[0, c]):.0%} climatology"]
        for share, name in zip(mixture[1:, c].tolist(), GUESSES, strict=True):
            if share >= 0.005:
                found = getattr(springs, name)._asdict().items()
                how = ", ".join(f"{k} {float(v[c]):.1g}" for k, v in found)
                parts.append(f"{share:.0%} {name.replace('_', ' ')} ({how})")
        lines.append(f"{label} starts from {', '.join(parts)}")
    return lines
