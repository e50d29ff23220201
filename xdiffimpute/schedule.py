r"""Noise schedules of the diffusion, :math:`x_t = \alpha_t x_0 + \sigma_t \epsilon`.

Both are variance preserving, :math:`\alpha_t^2 + \sigma_t^2 = 1`, with t in [0, 1]
(Eq. 15 of the paper, after arXiv:2011.13456).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .exceptions import UnknownNameError

__all__ = ["CosineSchedule", "Schedule", "VPSchedule", "make_schedule"]


class Schedule(ABC):
    """Maps diffusion time to signal and noise levels.

    Examples
    --------
    >>> alpha, sigma = make_schedule("cosine")(torch.linspace(0, 1, 5))
    >>> bool(torch.allclose(alpha**2 + sigma**2, torch.ones(5)))
    True
    """

    @abstractmethod
    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(alpha, sigma)``, each of the shape of ``t`` (values in [0, 1])."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Name and parameters, for a checkpoint."""


@dataclass(frozen=True)
class VPSchedule(Schedule):
    r"""Linear-beta variance-preserving schedule.

    .. math:: \alpha_t = \exp\left(-\tfrac14 t^2 (\beta_1-\beta_0) - \tfrac12 t \beta_0\right)

    Parameters
    ----------
    beta_min, beta_max : float
        :math:`\beta_0` and :math:`\beta_1`.

    References
    ----------
    Song et al. (2021), arXiv:2011.13456, Eq. 33.

    Examples
    --------
    >>> alpha, sigma = VPSchedule()(torch.tensor([0.0, 1.0]))
    >>> [round(v, 3) for v in alpha.tolist()], round(float(sigma[0]), 3)
    ([1.0, 0.007], 0.0)
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        log_alpha = -0.25 * t**2 * (self.beta_max - self.beta_min) - 0.5 * t * self.beta_min
        return log_alpha.exp(), (-torch.expm1(2.0 * log_alpha)).clamp(min=0.0).sqrt()

    def to_dict(self) -> dict[str, Any]:
        return {"name": "vp", "beta_min": self.beta_min, "beta_max": self.beta_max}


@dataclass(frozen=True)
class CosineSchedule(Schedule):
    r"""Cosine schedule, :math:`\alpha_t = \cos(\pi t / 2)`.

    References
    ----------
    Nichol and Dhariwal (2021), arXiv:2102.09672, without the offset.

    Examples
    --------
    >>> alpha, sigma = CosineSchedule()(torch.tensor([0.5]))
    >>> round(float(alpha), 4) == round(float(sigma), 4)
    True
    """

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        angle = t * (math.pi / 2)
        return angle.cos(), angle.sin()

    def to_dict(self) -> dict[str, Any]:
        return {"name": "cosine"}


def make_schedule(name: str = "vp", **parameters: Any) -> Schedule:
    """A schedule by name, ``"vp"`` or ``"cosine"``.

    Raises
    ------
    UnknownNameError
        For any other name.

    Examples
    --------
    >>> make_schedule("vp", beta_max=10.0).to_dict()
    {'name': 'vp', 'beta_min': 0.1, 'beta_max': 10.0}
    """
    if name == "vp":
        return VPSchedule(**parameters)
    if name == "cosine":
        return CosineSchedule()
    raise UnknownNameError(f"no schedule is called {name!r}; there are 'vp' and 'cosine'")
