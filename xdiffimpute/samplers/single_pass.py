r"""One evaluation with all observations as the context.

.. math:: \hat x = x_\theta(\delta, M \odot x_{obs}, M)

It is exact in the limit when training contexts vary enough to include densities near that
of the observations themselves, which a context ratio drawn from a range provides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..estimator import DELTA, Estimator, Prediction
from ..partition import Partition
from .base import Sampler

__all__ = ["SinglePass"]


class SinglePass(Sampler):
    """Condition on everything at once; deterministic."""

    draws = False

    def __call__(
        self,
        denoiser: Estimator,
        x: Tensor,
        observed: Tensor,
        features: Tensor,
        partition: Partition,
        rngs: Sequence[np.random.Generator],
        density: float | None = None,
        noise: Tensor | None = None,
    ) -> Prediction:
        t = torch.full((x.shape[0],), DELTA, device=x.device)
        return denoiser(x, t, observed, features)
