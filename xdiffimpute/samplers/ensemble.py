r"""The paper's single-step ensemble (Eqs. 9 and 10).

.. math::
    \hat x = \frac1K \sum_k x_\theta(\delta, M^{(k)}_{ctx} \odot x_{obs,\delta}, M^{(k)}_{ctx})

with contexts drawn as in training. Theorem 2: the error falls as 1/K to a floor set by the
information that a single context lacks.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .._typing import BoolArray
from ..denoiser import DELTA, Estimator, Prediction
from ..partition import Partition
from .base import Sampler

__all__ = ["Ensemble"]


class Ensemble(Sampler):
    """Mean over random contexts.

    Parameters
    ----------
    members : int
        K, the number of contexts.
    """

    def __init__(self, members: int = 10) -> None:
        self.members = members

    def __call__(
        self,
        denoiser: Estimator,
        x: Tensor,
        observed: Tensor,
        features: Tensor,
        partition: Partition,
        rng: np.random.Generator,
        density: float | None = None,
    ) -> Prediction:
        b = x.shape[0]
        masks = observed.bool().cpu().numpy()
        ratios = [_ratio(mask, density) for mask in masks]
        contexts = np.stack(
            [
                partition.split(mask, rng, ratio)[0]
                for _ in range(self.members)
                for mask, ratio in zip(masks, ratios, strict=True)
            ]
        )
        context = torch.from_numpy(contexts).to(x)
        seed = int(rng.integers(2**63 - 1))
        generator = torch.Generator(device="cpu").manual_seed(seed)
        alpha, sigma = denoiser.schedule(torch.full((1,), DELTA))
        noise = torch.randn(context.shape, generator=generator).to(x)
        x_delta = alpha.to(x) * x.repeat(self.members, 1, 1, 1, 1) + sigma.to(x) * noise
        t = torch.full((self.members * b,), DELTA, device=x.device)
        repeated = features.repeat(self.members, 1, 1, 1, 1)
        out = denoiser(x_delta, t, context, repeated)
        means = out.mean.unflatten(0, (self.members, b))
        variances = out.variance.unflatten(0, (self.members, b))
        return Prediction(means.mean(dim=0), variances.mean(dim=0))


def _ratio(observed: BoolArray, density: float | None) -> float | None:
    """Context ratio that keeps the share of cells given to the network (Appendix H.5)."""
    if density is None or not observed.any():
        return None
    return float(np.clip(density / observed.mean(), 0.05, 0.95))
