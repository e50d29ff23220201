"""Where a side of a grid is cut into blocks."""

from __future__ import annotations

import numpy as np

from ._typing import IntArray

__all__ = ["block_starts"]


def block_starts(length: int, count: int, *, larger_first: bool = False) -> IntArray:
    """First index of each block of a side.

    Parameters
    ----------
    length : int
        Cells of the side.
    count : int
        Blocks, as equal as can be.
    larger_first : bool
        The larger blocks first, as ``numpy.array_split`` cuts; by default they are spread
        out, with edges ``round(linspace(0, length, count + 1))``.

    Returns
    -------
    int array, shape (count,)

    Examples
    --------
    >>> block_starts(17, 3).tolist(), block_starts(17, 3, larger_first=True).tolist()
    ([0, 6, 11], [0, 6, 12])
    """
    if larger_first:
        least, larger = divmod(length, count)
        number = np.arange(count)
        return np.asarray(number * least + np.minimum(number, larger), dtype=np.intp)
    return np.asarray(np.rint(np.linspace(0, length, count + 1)[:-1]), dtype=np.intp)
