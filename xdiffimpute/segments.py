"""Lazy arrays made stretch by stretch of frames, each from these frames and some around them.

A graph is written down by hand, since slices of a dask array that are passed to delayed functions
carry the whole graph of the array each, and take a time that grows with the square of its chunks.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from dask.highlevelgraph import HighLevelGraph

from ._typing import FloatArray

__all__ = ["Span", "in_segments"]

Apply = Callable[[Any, FloatArray, int, int, int], FloatArray]


class Span(NamedTuple):
    """Frames [start, stop), which depend on the frames [low, high)."""

    start: int
    stop: int
    low: int
    high: int


def in_segments(
    data: da.Array, spans: Sequence[Span], apply: Apply, what: Any, lead: int | None = None
) -> da.Array:
    """Apply a function to each stretch of frames of each series.

    Parameters
    ----------
    data : dask array, shape (S, N, C, H, W)
    spans : sequence of Span
        One after the other, from frame 0 to frame N.
    apply : callable
        From ``what``, frames [low, high) of a series (n, C, H, W), the series, start and stop to
        float32 values (stop - start, C, H, W), with an axis of length ``lead`` before them if
        that is given.
    what : Delayed
        Common to all stretches.
    lead : int, optional

    Returns
    -------
    dask array, shape (S, N, C, H, W) or (lead, S, N, C, H, W)

    Examples
    --------
    >>> from dask import delayed
    >>> data = da.arange(5, chunks=2).reshape(1, 5, 1, 1, 1)
    >>> spans = [Span(0, 3, 0, 4), Span(3, 5, 2, 5)]
    >>> def sums(factor, values, series, start, stop):
    ...     return np.full((stop - start, 1, 1, 1), factor * values.sum(), dtype=np.float32)
    >>> in_segments(data, spans, sums, delayed(10)).compute().ravel().tolist()
    [60.0, 60.0, 60.0, 90.0, 90.0]
    """
    lengths = tuple(span.stop - span.start for span in spans)
    cut = data.rechunk({0: 1, 2: -1, 3: -1, 4: -1})  # in time as it is: no more is read
    sizes = cut.chunks[1]
    ends = np.cumsum(sizes)
    name, before = f"segments-{uuid.uuid4().hex}", () if lead is None else (0,)
    tasks: dict[Any, Any] = {}
    for s in range(data.shape[0]):
        for k, (start, stop, low, high) in enumerate(spans):
            first, last = np.searchsorted(ends, low, "right"), np.searchsorted(ends, high)
            blocks = [(cut.name, s, int(j), 0, 0, 0) for j in range(first, last + 1)]
            skipped = low - int(ends[first] - sizes[first])
            tasks[(name, *before, s, k, 0, 0, 0)] = (
                _segment, apply, what.key, blocks, skipped, high - low, s, start, stop,
            )  # fmt: skip
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=[cut, what])
    chunks = (cut.chunks[0], lengths, *cut.chunks[2:])
    chunks = chunks if lead is None else ((lead,), *chunks)
    return da.Array(graph, name, chunks, meta=np.empty((0,) * len(chunks), dtype=np.float32))


def _segment(
    apply: Apply, what: Any, blocks: list[FloatArray], first: int, count: int, series: int,
    start: int, stop: int,
) -> FloatArray:  # fmt: skip
    values = np.concatenate([block[0] for block in blocks])[first : first + count]
    out = apply(what, values, series, start, stop)
    return np.expand_dims(out, out.ndim - 4)
