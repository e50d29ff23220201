r"""The imputation expectation: a mean over random contexts (Eqs. 9, 10 and 27).

.. math::
    \mathbb E[x_0 \mid x_{obs}, M] \approx
    \frac1K \sum_k x_\theta(\delta, M^{(k)}_{ctx} \odot x_{obs,\delta}, M^{(k)}_{ctx})
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ._typing import BoolArray
from .estimator import DELTA, Estimator, Prediction
from .partition import Partition

__all__ = ["contexts", "gaussian", "imputation_expectation"]

CELLS_AT_ONCE = (50_000, 4_000_000)  # of all members in a batch: on a CPU (its cache), on a GPU


def contexts(
    observed: Tensor,
    partition: Partition,
    rngs: Sequence[np.random.Generator],
    density: float | None,
    members: int,
) -> Tensor:
    """Contexts drawn as in training.

    Parameters
    ----------
    observed : Tensor, shape (B, C, T, H, W)
        1 where observed.
    partition : Partition
    rngs : sequence of numpy.random.Generator
        One for each sample, so that its contexts do not depend on its batch.
    density : float, optional
        Share of all cells that a training context held: contexts are thinned to it, so that the
        network works in the range it learned (Appendix H.5). ``None``: by the ratio of training.
    members : int
        K, contexts for each sample.

    Returns
    -------
    Tensor, shape (K * B, C, T, H, W)
        All samples' first contexts, then all samples' second ones.
    """
    masks = observed.bool().cpu().numpy()
    ratios = [_ratio(mask, density, partition) for mask in masks]
    drawn = [
        partition.split(mask, rng, ratio)[0]
        for _ in range(members)
        for mask, ratio, rng in zip(masks, ratios, rngs, strict=True)
    ]
    return torch.from_numpy(np.stack(drawn)).to(observed)


def imputation_expectation(
    denoiser: Estimator,
    x: Tensor,
    observed: Tensor,
    features: Tensor,
    partition: Partition,
    rngs: Sequence[np.random.Generator],
    density: float | None,
    members: int,
) -> Prediction:
    """Mean over ``members`` contexts, evaluated in batches of as many as memory should hold.

    Parameters
    ----------
    denoiser, x, observed, features, partition, rngs, density
        As for :class:`xdiffimpute.samplers.Sampler`.
    members : int
        K.

    Returns
    -------
    Prediction
    """
    b = x.shape[0]
    context = contexts(observed, partition, rngs, density, members)
    alpha, sigma = (level.to(x) for level in denoiser.schedule(torch.full((1,), DELTA)))
    noise = torch.stack([gaussian((members, *x.shape[1:]), rng) for rng in rngs], dim=1)
    total: list[Tensor] = []
    size = max(1, CELLS_AT_ONCE[x.device.type != "cpu"] // x.numel())
    for k in range(0, members, size):
        count = min(size, members - k)
        x_delta = alpha * x.repeat(count, 1, 1, 1, 1)
        x_delta += sigma * noise[k : k + count].flatten(0, 1).to(x)
        t = torch.full((count * b,), DELTA, device=x.device)
        part = context[k * b : (k + count) * b]
        out = denoiser(x_delta, t, part, features.repeat(count, 1, 1, 1, 1))
        sums = [field.unflatten(0, (count, b)).sum(dim=0) for field in out]
        total = [a + s for a, s in zip(total, sums, strict=True)] if total else sums
    return Prediction(total[0] / members, total[1] / members)


def gaussian(shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Standard normal noise in float32, on the CPU."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def _ratio(observed: BoolArray, density: float | None, partition: Partition) -> float | None:
    """Context ratio that keeps the share of cells given to the network (Appendix H.5)."""
    if density is None or partition.ratio == 1 or not observed.any():
        return None
    share = observed[: len(observed) - partition.given].mean()
    return float(np.clip(density / max(share, 1e-9), 0.05, 0.95))
