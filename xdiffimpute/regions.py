"""A zarr store written stretch by stretch of frames, and gone on with where it stopped.

A region is a stretch of frames that begins and ends with a chunk of the output, so that no two
regions share a file, and where possible with a stretch of frames that is computed at once. Each is
computed by itself, which bounds the memory, and noted in the :class:`~xdiffimpute.ledger.Ledger`
when it is on the disk.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import dask
import xarray as xr

from .allocation import give_back
from .exceptions import OutputExistsError
from .ledger import Ledger, Region, differences, sync
from .memory import free_memory
from .progress import progress_bar
from .stores import for_zarr, format_like, is_full, quiet_metadata, space_said

__all__ = ["layout", "longest_chunk", "write_regions"]

log = logging.getLogger("xdiffimpute")

REGION_BYTES = 32 * 2**20
LEAST_BYTES = 8 * 2**20
SHARE = 32  # of the free memory

Explain: TypeAlias = Callable[[Exception, Region | None], None]


def write_regions(
    ds: xr.Dataset,
    out: str,
    *,
    along: str,
    frames: int,
    job: dict[str, Any],
    like: str | None = None,
    restart: bool = False,
    progress: bool = False,
    explain: Explain | None = None,
) -> int:
    """Write a lazy dataset as zarr, region by region, and give it its name once it is whole.

    If an earlier call for the same job was cut off, its whole regions are kept.

    Parameters
    ----------
    ds : Dataset
    out : str
        Path; what is there is replaced.
    along : str
        The dimension that regions are cut along.
    frames : int
        How many positions along it are computed at once.
    job : dict
        What makes the values of the output, as JSON can hold it.
    like : str, optional
        As for :func:`xdiffimpute.stores.write_store`.
    restart : bool
        Discard what an earlier call left.
    progress : bool
        Show a bar.
    explain : callable, optional
        Called with an error and the region that it came up in, or None where it came up before
        all regions; may raise a better one.

    Returns
    -------
    int
        How many regions were there already.

    Raises
    ------
    OutputExistsError
        If another process is writing the same output, or another job was cut off there.
    StorageError
        If the disk is full; what was written is kept.
    """
    ledger = Ledger(Path(out))
    with ledger.held(), space_said(ledger.path, "the regions written so far are kept"):
        source_format = format_like(like)
        manifest = None if restart else _agreed(ledger, job)
        # as it was when the chunks of the output were laid out, whatever is free now
        most = longest_chunk(ds, along, frames) if manifest is None else manifest["longest"]
        ready = for_zarr(ds, keep_codecs=source_format is not None, most={along: most})
        moving = [n for n, v in ready.variables.items() if v.chunks and along in v.dims]
        if manifest is None:
            ledger.clear()
            with _looked_into(explain, ledger, None):
                _begin(ready, moving, ledger, source_format or 3)
            regions = layout(ready, along, frames)
            manifest = {"job": job, "along": along, "longest": most, "regions": regions}
            ledger.begin(manifest)
        else:
            _sweep(ledger)
        regions = [(int(a), int(b)) for a, b in manifest["regions"]]
        done = ledger.done() & set(regions)
        if done:
            log.info("going on with %s: %d of %d regions are there", out, len(done), len(regions))
        here = _only(ready, moving)
        _write_all(here, along, regions, done, ledger, progress, explain)
        _consolidate(ledger.unfinished)
        ledger.finish()
    return len(done)


def layout(ready: xr.Dataset, along: str, frames: int) -> list[Region]:
    """First and last (excluded) positions of the regions.

    Parameters
    ----------
    ready : Dataset
        From :func:`xdiffimpute.stores.for_zarr`.
    along : str
    frames : int
        How many positions are computed at once.

    Returns
    -------
    list of (int, int)
        They depend on the free memory, so that a job that goes on takes those of its manifest.
    """
    moving = [v for v in ready.variables.values() if v.chunks and along in v.dims]
    length = ready.sizes[along]
    if not moving:
        return []
    unit = min(length, math.lcm(*(_unit(variable, along) for variable in moving)))
    room = max(1, _room() * length // sum(v.nbytes for v in moving))
    both = math.lcm(unit, frames)
    step = both if both <= room else unit
    step *= max(1, room // step)
    edges = [*range(0, length, step), length]
    return list(itertools.pairwise(edges))


def longest_chunk(ds: xr.Dataset, along: str, frames: int) -> int:
    """The longest chunk along a dimension that a region has room for.

    Parameters
    ----------
    ds : Dataset
    along : str
    frames : int

    Returns
    -------
    int
        At least ``frames``.
    """
    moving = [v for v in ds.variables.values() if v.chunks and along in v.dims]
    a_frame = max(1, sum(v.nbytes for v in moving) // max(1, ds.sizes[along]))
    return int(max(1, 4 * _room() // a_frame // frames) * frames)


def _room() -> int:
    """Bytes of a region, all variables together."""
    return int(min(REGION_BYTES, max(LEAST_BYTES, free_memory() // SHARE)))


def _unit(variable: xr.Variable, along: str) -> int:
    """Frames in one file of a variable."""
    sizes = variable.encoding.get("shards") or variable.encoding["chunks"]
    return int(sizes[variable.dims.index(along)])


def _agreed(ledger: Ledger, job: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of what was cut off, if it was this job; None if nothing was."""
    manifest = ledger.read()
    if manifest is None:
        return None
    other = differences(manifest.get("job", {}), job)
    if not other:
        return manifest
    regions = manifest.get("regions", ())
    raise OutputExistsError(
        f"{str(ledger.folder)!r} holds another fill of {ledger.path.name!r} that was cut off, with "
        f"{len(ledger.done())} of {len(regions)} regions: {'; '.join(other)}. Type what was typed "
        "then to go on with it, or discard it with --restart (in Python: restart=True)"
    )


def _begin(ready: xr.Dataset, moving: list[Any], ledger: Ledger, zarr_format: Any) -> None:
    """All but the values of the regions: metadata, and variables of another kind."""
    still = [n for n, v in ready.variables.items() if v.chunks and n not in moving]
    with quiet_metadata():
        ready.to_zarr(
            ledger.unfinished, mode="w", zarr_format=zarr_format, consolidated=False, compute=False
        )
        if still:
            _only(ready, still).to_zarr(ledger.unfinished, mode="r+", consolidated=False, region={})
    files = [path for path in ledger.unfinished.rglob("*") if path.is_file()]
    sync([*files, *{path.parent for path in files}])


def _only(ds: xr.Dataset, names: list[Any]) -> xr.Dataset:
    """Some variables, without the coordinates that come with them."""
    part = ds[names]
    return part.drop_vars([n for n in part.coords if n not in names])


def _sweep(ledger: Ledger) -> None:
    """Remove what zarr was writing when it was cut off."""
    for path in ledger.unfinished.rglob("*.partial"):
        path.unlink(missing_ok=True)


def _write_all(
    ds: xr.Dataset,
    along: str,
    regions: list[Region],
    done: set[Region],
    ledger: Ledger,
    progress: bool,
    explain: Explain | None,
) -> None:
    """The regions that are not there yet, one after the other."""
    count = len(done)
    with progress_bar(show=progress, desc="fill", unit="region", total=len(regions)) as bar:
        bar.update(count)
        for region in regions:
            if region in done:
                continue
            try:
                with _looked_into(explain, ledger, region), _own_threads():
                    _write(ds, along, region, ledger)
            except KeyboardInterrupt:
                log.warning(
                    "stopped: %d of %d regions are kept in %s; type the same again to go on",
                    count, len(regions), ledger.folder,
                )  # fmt: skip
                raise
            count += 1
            bar.update()
            give_back()


@contextmanager
def _looked_into(explain: Explain | None, ledger: Ledger, region: Region | None) -> Iterator[None]:
    """Errors that are not the disk's are explained, if they can be."""
    try:
        yield
    except Exception as error:
        if explain is not None and not is_full(error, ledger.path.parent):
            explain(error, region)
        raise


def _write(ds: xr.Dataset, along: str, region: Region, ledger: Ledger) -> None:
    """Compute a region, write it, wait for the disk, and note that it is whole."""
    span = slice(*region)
    ds.isel({along: span}).to_zarr(
        ledger.unfinished, mode="r+", region={along: span}, consolidated=False
    )
    ledger.mark(region, _files(ds, along, region, ledger.unfinished))


def _files(ds: xr.Dataset, along: str, region: Region, store: Path) -> Iterator[Path]:
    """Where the values of a region lie."""
    import zarr

    group = zarr.open_group(store, mode="r", use_consolidated=False)
    for name, variable in ds.variables.items():
        array = group[str(name)]
        if not isinstance(array, zarr.Array):
            continue
        sizes = array.shards or array.chunks
        ranges = [range(math.ceil(n / size)) for n, size in zip(array.shape, sizes, strict=True)]
        axis = variable.dims.index(along)
        start, stop = region[0] // sizes[axis], math.ceil(region[1] / sizes[axis])
        ranges[axis] = range(start, stop)
        for place in itertools.product(*ranges):
            yield store / str(name) / array.metadata.encode_chunk_key(place)


def _consolidate(store: Path) -> None:
    import zarr

    with quiet_metadata():
        zarr.consolidate_metadata(store)
    sync([p for p in store.iterdir() if p.is_file()])


@contextmanager
def _own_threads() -> Iterator[None]:
    """Threads of dask that are gone when the block ends, however it ends.

    An interrupt would else leave them writing after the lock is released. Other schedulers are
    left alone.
    """
    if dask.config.get("scheduler", None) not in (None, "threads", "threading"):
        yield
        return
    if dask.config.get("pool", None) is not None:
        yield
        return
    workers = dask.config.get("num_workers", None) or dask.system.CPU_COUNT
    pool = ThreadPoolExecutor(workers)
    try:
        with dask.config.set(pool=pool):
            yield
    finally:
        with contextlib.suppress(RuntimeError):
            pool.shutdown(wait=True, cancel_futures=True)
