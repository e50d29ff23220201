"""Chunks of an input that cannot be read: found, named, and left out.

A chunk is a dask block, which for a zarr store opened as it is stored is one of its chunks. They
are read in batches, and one by one only where a batch fails.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from ._typing import AnyArray

__all__ = ["Damage", "left_out", "unreadable"]

log = logging.getLogger("xdiffimpute")

BATCH_BYTES = 64 * 2**20
LONGEST = 160


@dataclass(frozen=True)
class Damage:
    """A chunk that cannot be read.

    Parameters
    ----------
    variable : str
    chunk : tuple of int
        Its place among the chunks.
    box : tuple of slice
        Its cells.
    where : str
        The same in words.
    reason : str
        The first line of the error.
    """

    variable: str
    chunk: tuple[int, ...]
    box: tuple[slice, ...]
    where: str
    reason: str

    def __str__(self) -> str:
        return f"chunk {self.chunk} of {self.variable!r} ({self.where}): {self.reason}"


def unreadable(
    ds: xr.Dataset,
    names: Sequence[str],
    *,
    along: str | None = None,
    span: tuple[int, int] | None = None,
) -> list[Damage]:
    """Read all chunks of some variables, and list those that fail.

    Parameters
    ----------
    ds : Dataset
    names : sequence of str
        Variables; those in memory are passed over.
    along : str, optional
    span : (int, int), optional
        Positions along that dim to look at; default all.

    Returns
    -------
    list of Damage
    """
    found: list[Damage] = []
    for name in names:
        variable = ds[name].variable
        if not isinstance(variable.data, da.Array):
            continue
        ranges = [(0, count) for count in variable.data.numblocks]
        if along in variable.dims and span is not None:
            axis = variable.dims.index(along)
            ranges[axis] = _touched(variable.data.chunks[axis], span)
        for batch in _batches(variable.data, ranges):
            for chunk, error in _failing(variable.data, batch):
                box = tuple(_bounds(c, k) for c, k in zip(variable.data.chunks, chunk, strict=True))
                where = _in_words(ds, variable.dims, box)
                found.append(Damage(name, chunk, box, where, _first_line(error)))
    return found


def left_out(array: Any, boxes: Sequence[tuple[slice, ...]], value: Any) -> Any:
    """A dask array with a value in some boxes, whose own values are never asked for.

    Parameters
    ----------
    array : dask array
    boxes : sequence of tuple of slice
    value : scalar

    Returns
    -------
    dask array
    """
    return _left_out(array, list(boxes), value, 0)


def _left_out(array: Any, boxes: list[tuple[slice, ...]], value: Any, axis: int) -> Any:
    if not boxes:
        return array
    if axis == array.ndim:
        return da.full(array.shape, value, dtype=array.dtype, chunks=array.chunks)
    ends = {e for box in boxes for e in (box[axis].start, box[axis].stop)}
    edges = sorted({0, array.shape[axis], *ends})
    parts = []
    for a, b in itertools.pairwise(edges):
        inside = [box for box in boxes if box[axis].start <= a and b <= box[axis].stop]
        part = array[(slice(None),) * axis + (slice(a, b),)]
        parts.append(_left_out(part, inside, value, axis + 1))
    return da.concatenate(parts, axis=axis)


def _touched(blocks: tuple[int, ...], span: tuple[int, int]) -> tuple[int, int]:
    """First and last (excluded) of the blocks that hold positions of a span."""
    edges = np.cumsum([0, *blocks])
    first = int(np.searchsorted(edges, span[0], side="right")) - 1
    last = int(np.searchsorted(edges, span[1], side="left"))
    return max(0, first), max(first + 1, min(last, len(blocks)))


def _batches(array: Any, ranges: list[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], ...]]:
    """Ranges of blocks of a moderate size, cut along the first axis."""
    (first, last), *others = ranges
    row = array.nbytes / max(1, array.numblocks[0])
    step = max(1, int(BATCH_BYTES // max(1, row)))
    for start in range(first, last, step):
        yield ((start, min(start + step, last)), *others)


def _failing(
    array: Any, ranges: tuple[tuple[int, int], ...]
) -> Iterator[tuple[tuple[int, ...], Exception]]:
    """Blocks within some ranges whose reading fails, and how; halved until one is left."""
    part = array.blocks[tuple(slice(a, b) for a, b in ranges)]
    try:
        da.map_blocks(
            _read,
            part,
            dtype=bool,
            chunks=(1,) * array.ndim,
            meta=np.empty((0,) * array.ndim, bool),
        ).compute()
    except Exception as error:  # codecs and file systems raise what they please
        lengths = [b - a for a, b in ranges]
        axis = int(np.argmax(lengths))
        if lengths[axis] == 1:
            yield tuple(a for a, _ in ranges), error
            return
        a, b = ranges[axis]
        middle = (a + b) // 2
        for half in ((a, middle), (middle, b)):
            yield from _failing(array, (*ranges[:axis], half, *ranges[axis + 1 :]))


def _read(block: AnyArray) -> AnyArray:
    return np.zeros((1,) * block.ndim, dtype=bool)


def _bounds(blocks: tuple[int, ...], k: int) -> slice:
    return slice(sum(blocks[:k]), sum(blocks[: k + 1]))


def _in_words(ds: xr.Dataset, dims: tuple[Any, ...], box: tuple[slice, ...]) -> str:
    """Such as ``time 4 to 7, 2001-01-05 to 2001-01-08``; dims that it covers whole are left out."""
    said = []
    for dim, part in zip(dims, box, strict=True):
        if part == slice(0, ds.sizes[dim]) and len(dims) > 1 and part.stop > 1:
            continue
        text = f"{dim} {part.start} to {part.stop - 1}"
        if dim in ds.indexes:
            ends = ds.indexes[dim][[part.start, part.stop - 1]]
            text += f", {_short(ends[0])} to {_short(ends[1])}"
        said.append(text)
    return "; ".join(said) or "all of it"


def _short(value: Any) -> str:
    return str(value).removesuffix(" 00:00:00")


def _first_line(error: BaseException) -> str:
    line = (str(error) or type(error).__name__).strip().splitlines()[0]
    return line if len(line) <= LONGEST else line[:LONGEST] + "..."
