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
) -> tuple[FloatArray, FloatArray]:
    """Weights by non-negative least squares, one set for each channel, and what they leave.

    Parameters
    ----------
    samples : sequence of (x, context, query), each of shape (B, C, T, H, W)
        The query may hold weights.
    guess : callable
        From values and context to G guesses, shape (B, G, C, T, H, W).

    Returns
    -------
    weights : float array, shape (1 + G, C)
        Of climatology (zero anomaly) and of each guess; at least zero, one in sum.
    error : float array, shape (C,)
        Mean square error of the mixture; one where nothing is asked or all guesses are zero.
    """
    gram: FloatArray | float = 0.0
    right: FloatArray | float = 0.0
    squares: FloatArray | float = 0.0
    counts: FloatArray | float = 0.0
    for x, context, query in samples:
        guesses = guess(x, context)
        counted = guesses * query[:, None]
        gram += torch.einsum("bgcthw,bkcthw->cgk", counted, guesses).cpu().double().numpy()
        right += torch.einsum("bgcthw,bcthw->cg", counted, x).cpu().double().numpy()
        squares += torch.einsum("bcthw,bcthw->c", x.square(), query).cpu().double().numpy()
        counts += query.sum(dim=(0, 2, 3, 4)).cpu().double().numpy()
    products, sides = np.asarray(gram), np.asarray(right)
    whole, cells = np.asarray(squares), np.asarray(counts)
    channels, count = sides.shape
    weights = np.full((1 + count, channels), 1.0 / (1 + count))
    error = np.ones(channels)
    for c in range(channels):
        scale = np.trace(products[c])
        if scale > 0:
            weights[:, c] = _solve(products[c] / scale, sides[c] / scale)
            own = weights[1:, c]
            left = whole[c] - 2.0 * own @ sides[c] + own @ products[c] @ own
            error[c] = left / cells[c]
    return weights, error


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
