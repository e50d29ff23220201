r"""An estimate moved towards a law, no farther than its own error allows.

With the estimate :math:`\hat x`, its standard error :math:`\sigma` as the network gives it, before
any calibration, and the penalty R of a law, the
guided estimate minimises

.. math:: \frac1n \sum \frac{(x - \hat x)^2}{\sigma^2} + s \, \frac{R(x)}{R(\hat x)}

over the n cells that were not observed. Since nothing but x = x-hat costs s, the root mean square
of its move is at most :math:`\sqrt s` standard errors.

References
----------
Nocedal (1980), doi:10.1090/S0025-5718-1980-0572855-7, for the minimisation; Dhariwal and Nichol
(2021), arXiv:2105.05233, for guidance by a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Guide", "guided"]

STEPS = 12
TINY = 1e-30


class Guide(Protocol):
    """A penalty for standardised fields."""

    def __call__(self, field: Tensor, n: int) -> Tensor:
        """From a field (C, T, H, W), and which sample of the batch it is, to a penalty ()."""
        ...


def guided(
    estimate: Tensor, variance: Tensor, observed: Tensor, guide: Guide, strength: float
) -> Tensor:
    """Move estimates of a batch, each by itself.

    Parameters
    ----------
    estimate, variance : Tensor, shape (B, C, T, H, W)
    observed : Tensor, shape (B, C, T, H, W)
        1 where observed; nothing moves there.
    guide : callable
    strength : float
        s.

    Returns
    -------
    Tensor, shape (B, C, T, H, W)

    Examples
    --------
    >>> estimate, observed = torch.tensor([0.0, 2.0]).view(1, 1, 1, 1, 2), torch.zeros(1)
    >>> flat = lambda field, n: (field[..., 1] - field[..., 0]).square().sum()
    >>> observed = torch.zeros_like(estimate)
    >>> guided(estimate, torch.ones_like(estimate), observed, flat, 1e3).flatten().round(decimals=1)
    tensor([1., 1.])
    """
    moved = []
    with torch.inference_mode(False), torch.enable_grad():
        for n in range(len(estimate)):
            start, seen = estimate[n].clone(), observed[n].clone()
            reach = variance[n].clone().sqrt() * (1 - seen)
            moved.append(_moved(start, reach, partial(guide, n=n), strength))
    return torch.stack(moved).to(estimate)


def _moved(
    start: Tensor, reach: Tensor, penalty: Callable[[Tensor], Tensor], strength: float
) -> Tensor:
    """One estimate, moved; as it was where there is nothing to gain."""
    before = float(penalty(start))
    cells = int((reach > 0).sum())
    if not before > TINY or not cells:
        return start
    move = torch.zeros_like(start, requires_grad=True)
    search = torch.optim.LBFGS([move], max_iter=STEPS, line_search_fn="strong_wolfe")

    def cost() -> Tensor:
        value = move.square().sum() / cells + strength * penalty(start + move * reach) / before
        (gradient,) = torch.autograd.grad(value, move)
        move.grad = gradient.contiguous()
        return value

    search.step(cost)
    found = (start + move * reach).detach()
    return found if bool(torch.isfinite(found).all()) else start
