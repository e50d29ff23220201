"""Chunks that are too large for the memory, or too small to be read at a good pace."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np
import xarray as xr

from .exceptions import DataError
from .memory import free_memory, readable

__all__ = ["check_chunks"]

log = logging.getLogger("xdiffimpute")

COPIES = 3  # of a chunk: as it is read, in single precision, standardised
LONG = 256


def check_chunks(ds: xr.Dataset, names: Sequence[str], along: str | None, frames: int) -> None:
    """Refuse chunks that do not fit into memory; warn of those that are tiny.

    Parameters
    ----------
    ds : Dataset
    names : sequence of str
        Variables that are read.
    along : str or None
        The dim that the data are read along.
    frames : int
        How many positions along it are worked on at once, which is what chunks are best.

    Raises
    ------
    DataError
        If a chunk does not fit; it says how to chunk the data.
    """
    free = free_memory()
    for name in names:
        variable = ds[name].variable
        if variable.chunks is None:
            continue
        dim = along if along in variable.dims else str(variable.dims[0])
        size = max(4, variable.dtype.itemsize)
        a_frame = max(1, variable.size // max(1, variable.sizes[dim])) * size
        wise = max(1, min(frames, free // (2 * COPIES * a_frame)))
        stored = variable.encoding.get("chunks") or variable.encoding.get("chunksizes") or ()
        held = math.prod(stored) * size if len(stored) == variable.ndim else 0
        if COPIES * held > free:
            raise DataError(
                f"{name!r} is stored in chunks of {tuple(map(int, stored))}, {readable(held)} each "
                f"when read, and {readable(free)} of memory are free; store it in smaller ones, on "
                f"a machine that can: ds.chunk({dim}={wise}).drop_encoding().to_zarr("
                "'smaller.zarr'), or with the rechunker package, which needs little memory"
            )
        largest = math.prod(max(blocks) for blocks in variable.chunks) * size
        if COPIES * largest > free:
            raise DataError(
                f"the largest chunk of {name!r} takes {readable(largest)}, and {readable(free)} of "
                f"memory are free; read smaller ones: --chunks {dim}={wise} (in Python: "
                f"xr.open_dataset(..., chunks={{{dim!r}: {wise}}}))"
            )
        blocks = variable.chunks[variable.dims.index(dim)]
        if len(blocks) > LONG and float(np.mean(blocks)) < 2 <= frames:
            log.warning(
                "%r is read in %d chunks of one %s each, which is slow; reading %d at once is "
                "faster: --chunks %s=%d (in Python: xr.open_dataset(..., chunks={%r: %d}))",
                name, len(blocks), dim, frames, dim, frames, dim, frames,
            )  # fmt: skip
