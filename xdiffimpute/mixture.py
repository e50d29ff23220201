"""The constant mixture of climatology and first guesses that fits the queried cells best."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from ._typing import FloatArray

__all__ = ["best_mixture"]


@torch.no_grad()
def best_mixture(
    samples: Sequence[tuple[Tensor, Tensor, Tensor]], guess: Callable[[Tensor, Tensor], Tensor]
) -> FloatArray:
    """Weights by non-negative least squares, one set for each channel.

    Parameters
    ----------
    samples : sequence of (x, context, query), each of shape (B, C, T, H, W)
        The query may hold weights.
    guess : callable
        From values and context to G guesses, shape (B, G, C, T, H, W).

    Returns
    -------
    float array, shape (1 + G, C)
        Of climatology (zero anomaly) and of each guess; at least zero, one in sum.
    """
    gram: FloatArray | float = 0.0
    right: FloatArray | float = 0.0
    for x, context, query in samples:
        guesses = guess(x, context)
        counted = guesses * query[:, None]
        gram += torch.einsum("bgcthw,bkcthw->cgk", counted, guesses).cpu().double().numpy()
        right += torch.einsum("bgcthw,bcthw->cg", counted, x).cpu().double().numpy()
    products, sides = np.asarray(gram), np.asarray(right)
    channels, count = sides.shape
    weights = np.full((1 + count, channels), 1.0 / (1 + count))
    for c in range(channels):
        scale = np.trace(products[c])
        if scale > 0:
            weights[:, c] = _solve(products[c] / scale, sides[c] / scale)
    return weights


def _solve(gram: FloatArray, right: FloatArray) -> FloatArray:
    """Weights of climatology (zero) and the guesses, at least zero and one in sum."""
    count = len(right)
    values, vectors = np.linalg.eigh(gram)
    root = np.sqrt(np.maximum(values, 1e-9))
    design = np.concatenate([root[:, None] * vectors.T, np.full((1, count), 1e3)])
    design = np.concatenate([np.append(np.zeros(count), 1e3)[:, None], design], axis=1)
    target = np.append((vectors.T @ right) / root, 1e3)
    weights, _ = nnls(design, target)
    return np.asarray(weights / weights.sum())
