r"""The paper's single-step ensemble (Eqs. 9 and 10).

.. math::
    \hat x = \frac1K \sum_k x_\theta(\delta, M^{(k)}_{ctx} \odot x_{obs,\delta}, M^{(k)}_{ctx})

with contexts drawn as in training. Theorem 2: the error falls as 1/K to a floor set by the
information that a single context lacks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ..estimator import Estimator, Prediction
from ..exceptions import ImputeError
from ..imputation import imputation_expectation
from ..partition import Partition
from .base import Sampler

__all__ = ["Ensemble"]


class Ensemble(Sampler):
    """Mean over random contexts.

    Parameters
    ----------
    members : int
        K, the number of contexts.

    Raises
    ------
    ImputeError
        If it is below one.

    Examples
    --------
    >>> import torch
    >>> from xdiffimpute.denoiser import Denoiser
    >>> from xdiffimpute.masks import MASKS
    >>> denoiser, x = Denoiser(channels=1, features=0), torch.zeros(1, 1, 1, 8, 8)
    >>> inputs = (denoiser, x, torch.ones_like(x), x[:, :0], Partition(MASKS.create("pixel")))
    >>> with torch.no_grad():
    ...     mean, variance = Ensemble(members=2)(*inputs, [np.random.default_rng(0)])
    >>> mean.shape, bool((variance > 0).all())
    (torch.Size([1, 1, 1, 8, 8]), True)
    """

    def __init__(self, members: int = 10) -> None:
        if members < 1:
            raise ImputeError(f"Ensemble(members={members}): at least 1, such as members=10")
        self.members = members

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
        return imputation_expectation(
            denoiser, x, observed, features, partition, rngs, density, self.members
        )
