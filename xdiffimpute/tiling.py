"""Where windows and tiles stand, and how overlapping ones are blended.

Positions depend on the size of the field alone, never on how it is chunked, so a fill is
the same whatever the chunks and the number of workers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._typing import FloatArray, IntArray

__all__ = ["MARGIN", "Stretches", "default_window", "evenly", "ramp", "starts", "surroundings"]

MARGIN = 32
"""Cells around a tile from which the first guesses are made in training."""


class Stretches(NamedTuple):
    """How a fill is computed: of these variables, along this dim, so many positions at once.

    Covariates are read and not filled.
    """

    variables: tuple[str, ...]
    along: str | None
    frames: int
    covariates: tuple[str, ...] = ()

    @property
    def read(self) -> tuple[str, ...]:
        """The variables that the fill depends on."""
        return (*self.variables, *self.covariates)


def default_window(frames: int) -> int:
    """Frames that a network sees at once, when nobody says how many: all of a short record."""
    return frames if frames <= 12 else 5


def evenly(count: int, most: int) -> IntArray:
    """At most so many indices, at even distances from the first to the last.

    Examples
    --------
    >>> evenly(9, 3).tolist(), evenly(3, 9).tolist()
    ([0, 4, 8], [0, 1, 2])
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def starts(length: int, size: int, stride: int, *, periodic: bool = False) -> list[int]:
    """First indices of pieces that cover an axis.

    Parameters
    ----------
    length, size, stride : int
        Cells of the axis, of a piece, and between pieces.
    periodic : bool
        Let pieces run across the end of the axis and on from its beginning.

    Returns
    -------
    list of int

    Examples
    --------
    >>> starts(10, 4, 3)
    [0, 3, 6]
    >>> starts(11, 4, 3)
    [0, 3, 6, 7]
    >>> starts(12, 4, 3, periodic=True)
    [0, 3, 6, 9]
    """
    if size >= length:
        return [0]
    if periodic:
        count = int(np.ceil(length / stride))
        return [int(k * length // count) for k in range(count)]
    places = list(range(0, length - size + 1, stride))
    if places[-1] != length - size:
        places.append(length - size)
    return places


def surroundings(
    start: int, size: int, length: int, margin: int, *, periodic: bool = False
) -> tuple[IntArray, int]:
    """Cells of a tile with a margin along one axis, always the same number of them.

    Parameters
    ----------
    start, size : int
        The tile.
    length : int
        Cells of the axis.
    margin : int
        Cells wanted on either side; at an edge the missing ones are taken from the other.
    periodic : bool

    Returns
    -------
    cells : int array
        Indices, wrapped where the axis is periodic.
    offset : int
        Where the tile begins among them.

    Examples
    --------
    >>> surroundings(0, 4, 10, 2)[0].tolist(), surroundings(0, 4, 10, 2)[1]
    ([0, 1, 2, 3, 4, 5, 6, 7], 0)
    >>> surroundings(0, 4, 10, 2, periodic=True)[0].tolist()
    [8, 9, 0, 1, 2, 3, 4, 5]
    """
    width = min(length, size + 2 * margin)
    if periodic and size < length:
        margin = (width - size) // 2
        return (start - margin + np.arange(width)) % length, margin
    first = int(np.clip(start - margin, 0, length - width))
    return first + np.arange(width), start - first


def ramp(size: int, overlap: int) -> FloatArray:
    """Weights of a piece along one axis: 1 inside, falling smoothly over the overlap.

    Parameters
    ----------
    size, overlap : int

    Returns
    -------
    float array, shape (size,)
        Positive everywhere, so that a border cell covered once is still defined.

    Examples
    --------
    >>> ramp(4, 0).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    distance = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5
    if overlap <= 0:
        return np.ones(size, dtype=np.float32)
    rise = np.clip(distance / overlap, 0.0, 1.0)
    return np.asarray(np.maximum(np.sin(0.5 * np.pi * rise) ** 2, 1e-3), dtype=np.float32)
