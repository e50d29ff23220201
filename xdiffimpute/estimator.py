"""What samplers call: an estimate of the clean field from a noisy context."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

from .schedule import Schedule

__all__ = ["DELTA", "Estimator", "Prediction"]

DELTA = 1e-3
"""The small diffusion time of single-step sampling (Eq. 9)."""


class Prediction(NamedTuple):
    """Mean and variance of the clean field, each of shape (B, C, T, H, W)."""

    mean: Tensor
    variance: Tensor


class Estimator(Protocol):
    """A denoiser, or one spread over a larger field."""

    @property
    def schedule(self) -> Schedule:
        """Noise levels."""
        ...

    def __call__(self, x_t: Tensor, t: Tensor, context: Tensor, features: Tensor) -> Prediction:
        """Estimate the clean field; shapes as in :meth:`xdiffimpute.denoiser.Denoiser.forward`."""
        ...
