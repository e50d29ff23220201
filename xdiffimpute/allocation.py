"""Memory that a network's layers use again, on workers which would give it back after each.

Unless it is told otherwise, the GNU C library learns to keep freed blocks of up to 32 MB for the
next layer. A nanny of dask.distributed starts its workers with ``MALLOC_TRIM_THRESHOLD_``, which
ends this learning: every layer is then mapped anew, page by page, and a fill takes twice as long.
"""

from __future__ import annotations

import ctypes
import os

__all__ = ["give_back", "keep_memory"]

LIMITED = "MALLOC_TRIM_THRESHOLD_"
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST_BLOCK = 32 * 2**20  # what the library would come to by itself
KEPT = 2 * LARGEST_BLOCK


def keep_memory() -> bool:
    """Have freed blocks kept again in this process, if the environment limits that.

    Returns
    -------
    bool
        Whether anything was set.

    Examples
    --------
    >>> keep_memory() in (True, False)
    True
    """
    if LIMITED not in os.environ:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    done = [mallopt(MMAP_THRESHOLD, LARGEST_BLOCK), mallopt(TRIM_THRESHOLD, KEPT)]
    return all(done)


def give_back() -> bool:
    """Return freed memory to the system, between the parts of a long job.

    What is left over of each part lies scattered, so that the memory of a process grows from part
    to part although nothing is held.

    Returns
    -------
    bool
        Whether any could be returned.

    Examples
    --------
    >>> give_back() in (True, False)
    True
    """
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError, TypeError):  # another C library
        return False
