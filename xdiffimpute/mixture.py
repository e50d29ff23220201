"""The constant mixture of climatology and first guesses that fits what is known best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from ._typing import FloatArray

__all__ = ["Products", "best_mixture"]

LEAST_CELLS = 100  # of a channel that is withheld, to count as much as all of its queries
TINY = 1e-12


class Products(NamedTuple):
    """Sums over asked cells, by channel: what a fit by least squares needs.

    Examples
    --------
    >>> x = torch.ones(1, 1, 1, 2, 2)
    >>> found = Products.of([(torch.stack([x, 2 * x], dim=1), x, x)])
    >>> found.gram[0].tolist(), found.right[0].tolist(), found.cells.tolist()
    ([[4.0, 8.0], [8.0, 16.0]], [4.0, 8.0], [4.0])
    """

    gram: FloatArray
    right: FloatArray
    squares: FloatArray
    cells: FloatArray

    @classmethod
    @torch.no_grad()
    def of(cls, samples: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Products:
        """Of guesses (B, G, C, T, H, W), values and a query (B, C, T, H, W), or its weights."""
        parts = [
            [_products(guesses[:, :, c], x[:, c], query[:, c]) for c in range(x.shape[1])]
            for guesses, x, query in samples
        ]
        sums = [
            [np.sum(part, axis=0) for part in zip(*own, strict=True)]
            for own in zip(*parts, strict=True)
        ]
        return cls(*(np.stack(column) for column in zip(*sums, strict=True)))

    def error(self, weights: FloatArray) -> FloatArray:
        """Mean square errors (C,) with weights (1 + G, C); one where nothing is known."""
        own = weights[1:].T
        left = self.squares - 2.0 * (own * self.right).sum(axis=1)
        left += np.einsum("cg,cgk,ck->c", own, self.gram, own)
        known = (self.cells > 0) & (np.trace(self.gram, axis1=1, axis2=2) > 0)
        return np.where(known, left / np.maximum(self.cells, TINY), 1.0)


def best_mixture(sets: Sequence[Products]) -> tuple[FloatArray, FloatArray]:
    """Weights by non-negative least squares, one set for each channel, and what they leave.

    Parameters
    ----------
    sets : sequence of Products
        Of queries; and of withheld cells. Both count alike, since errors are divided by the least
        that any mixture has in their set; a set of a channel with less than a hundred cells, as
        its weights have it in sum, counts less.

    Returns
    -------
    weights : float array, shape (1 + G, C)
        Of climatology (zero anomaly) and of each guess; at least zero, one in sum.
    error : float array, shape (C,)
        Mean square error of the mixture at the queries; one where nothing is asked or all guesses
        are zero.
    """
    gram, right = np.zeros_like(sets[0].gram), np.zeros_like(sets[0].right)
    for products in sets:
        least = products.error(_weights(products.gram, products.right))
        share = np.minimum(products.cells / LEAST_CELLS, 1.0) if len(sets) > 1 else 1.0
        unit = np.maximum(products.cells, TINY) * np.maximum(least, TINY)
        gram += (share / unit)[:, None, None] * products.gram
        right += (share / unit)[:, None] * products.right
    weights = _weights(gram, right)
    return weights, sets[0].error(weights)


def _products(guesses: Tensor, x: Tensor, query: Tensor) -> list[FloatArray]:
    """Sums for a channel, of guesses (B, G, T, H, W).

    In double precision: of squares that nearly cancel, those of small errors are the rest.
    """
    here = query > 0
    weight, values = query[here].double(), x[here].double()
    columns = guesses.movedim(1, -1)[here].double()
    counted = columns * weight[:, None]
    found = counted.T @ columns, counted.T @ values, weight @ values.square(), weight.sum()
    return [part.cpu().numpy() for part in found]


def _weights(gram: FloatArray, right: FloatArray) -> FloatArray:
    """Of each channel, (1 + G, C); equal ones where all guesses are zero."""
    channels, count = right.shape
    weights = np.full((1 + count, channels), 1.0 / (1 + count))
    for c in range(channels):
        scale = np.trace(gram[c])
        if scale > 0:
            weights[:, c] = _solve(gram[c] / scale, right[c] / scale)
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
