"""What is learned from: values, those of them that are shown, and those that are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

__all__ = ["Sample", "first_cells", "known_cells"]

Sample = tuple[Tensor, Tensor, Tensor]  # x, context and query, each of shape (B, C, T, H, W)


def first_cells(samples: Sequence[Sample], left: int) -> list[Sample]:
    """Samples of so many cells together, at least a part of the first."""
    kept: list[Sample] = []
    for x, context, query in samples:
        count = max(1, left // x[0].numel()) if not kept else left // x[0].numel()
        if count < 1:
            break
        kept.append((x[:count], context[:count], query[:count]))
        left -= kept[-1][0].numel()
    return kept


def known_cells(context: Tensor, query: Tensor) -> Tensor:
    """1 where the value is known: shown, or asked for."""
    return (context + (query > 0)).clamp(max=1.0)
