"""Things that the many tasks of a fill have in common, made or sent once.

A network is one node of a dask graph, which the tasks refer to. On a cluster, each graph carries
it to the scheduler, which passes it to a worker, and workers to one another. A fill that is
computed in many graphs, one for each region of its output, leaves it on the cluster instead: as
the result of a task, so that it is made again if the workers that hold it die, and new workers
fetch it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import xarray as xr

from ._typing import BoolArray

__all__ = ["as_one_task", "in_stretches", "settled"]

_in_stretches: ContextVar[bool] = ContextVar("_in_stretches", default=False)


@contextmanager
def in_stretches() -> Iterator[None]:
    """What is built inside is going to be computed in stretches, soon and by the present scheduler.

    Yields
    ------
    None
    """
    token = _in_stretches.set(True)
    try:
        yield
    finally:
        _in_stretches.reset(token)


def as_one_task(what: Any) -> Any:
    """An object as one node of a graph.

    Parameters
    ----------
    what : object
        Can be pickled.

    Returns
    -------
    Delayed
        On a cluster, and inside :func:`in_stretches`, it lies there already.
    """
    from dask.delayed import delayed

    handle = delayed(what, pure=False)
    client = _client() if _in_stretches.get() else None
    return handle if client is None else client.persist(handle)


def settled(domain: BoolArray | xr.DataArray) -> BoolArray | xr.DataArray:
    """A mask that all frames share, computed once where it would else be for each stretch."""
    if _in_stretches.get() and isinstance(domain, xr.DataArray):
        return domain.compute()
    return domain


def _client() -> Any:
    """The client of dask.distributed that computations go through, if there is one."""
    import sys

    if "distributed" not in sys.modules:
        return None
    import dask
    from distributed import default_client

    if dask.config.get("scheduler", None) not in (None, "dask.distributed", "distributed"):
        return None
    try:
        return default_client()  # type: ignore[no-untyped-call]
    except ValueError:
        return None
