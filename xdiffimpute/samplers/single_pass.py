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
    """Condition on everything at once; deterministic.

    Examples
    --------
    >>> import torch
    >>> from xdiffimpute.denoiser import Denoiser
    >>> from xdiffimpute.masks import MASKS
    >>> denoiser, x = Denoiser(channels=1, features=0), torch.zeros(1, 1, 1, 8, 8)
    >>> inputs = (denoiser, x, torch.ones_like(x), x[:, :0], Partition(MASKS.create("pixel")))
    >>> with torch.no_grad():
    ...     mean, variance = SinglePass()(*inputs, [np.random.default_rng(0)])
    >>> mean.shape, bool((variance > 0).all())
    (torch.Size([1, 1, 1, 8, 8]), True)
    """

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
