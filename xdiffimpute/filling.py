"""A fill straight into a file or a store: checked, written in stretches, gone on with.

What a Dataset holds lazily is computed region by region, so that the memory does not grow with
the store, and a fill that was cut off goes on where it stopped.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from .assembly import FLAGS, REALIZATION, package_version
from .chunking import check_chunks
from .damage import Damage, left_out, unreadable
from .exceptions import DataError, ImputeError, OutputExistsError
from .imputer import Imputer
from .job import digest, job_of
from .quantities import dequantify
from .regions import write_regions
from .sharing import in_stretches
from .stores import check_output, write_store
from .tiling import Stretches

__all__ = ["Written", "fill_to"]

log = logging.getLogger("xdiffimpute")

SHOWN = 5
FEWEST = 16  # chunks read together are no more than this many to a stretch


@dataclass(frozen=True)
class Written:
    """What a fill to a store did.

    Parameters
    ----------
    out : str
    variables : tuple of str
        Of the output.
    kept : int
        Regions that an earlier fill, which was cut off, had written.
    skipped : tuple of str
        Chunks of the input that could not be read and were left out, in words.

    Examples
    --------
    >>> import tempfile, xdiffimpute as xdi
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     xdi.example().impute.fill_to(f"{folder}/sst.zarr", "nearest", progress=False).kept
    0
    """

    out: str
    variables: tuple[str, ...]
    kept: int
    skipped: tuple[str, ...]


def fill_to(
    ds: xr.Dataset,
    out: str | os.PathLike[str],
    imputer: Imputer,
    *,
    options: Mapping[str, Any],
    location: str | None = None,
    overwrite: bool = False,
    restart: bool = False,
    skip_bad: bool = False,
    progress: bool = False,
    known: bool = True,
) -> Written:
    """Fill a dataset into a store; see :meth:`xdiffimpute.accessor.ImputeDatasetAccessor.fill_to`.

    Parameters
    ----------
    ds : Dataset
    out : path
        Ends in ``.zarr`` or ``.nc``.
    imputer : Imputer
    options : mapping
        Arguments of its ``fill``.
    location : str, optional
        Where ``ds`` was opened.
    overwrite, restart, skip_bad, progress : bool
    known : bool
        Whether ``ds`` says where it was opened, if it was.

    Returns
    -------
    Written

    Raises
    ------
    ImputeError
        See the classes in :mod:`xdiffimpute.exceptions`.
    """
    out = os.fspath(out)
    source = ds.encoding.get("source")
    place = location or (str(source) if source and Path(str(source)).exists() else None)
    check_output(out, place, overwrite=overwrite)
    lazy = any(v.chunks for v in ds.variables.values())
    if lazy and not known and not place and Path(out).exists():
        raise OutputExistsError(
            f"{out!r} exists, and may be what these data are read from; give another path, remove "
            "it first, or pass the Dataset that was opened, which knows where it is from"
        )
    stretches = imputer.stretches(ds, members=options.get("members") or 0)
    along, frames = stretches.along, stretches.frames
    check_chunks(ds, stretches.read, along, frames)
    job = {}
    if Path(out).suffix == ".zarr":
        said = {name: _said(value) for name, value in options.items()} | {"skip_bad": skip_bad}
        job = job_of(
            dequantify(ds)[0], stretches, imputer=imputer.checksum(), options=said,
            location=place, version=package_version(),
        )  # fmt: skip
    damages: list[Damage] = []
    if skip_bad:
        damages = unreadable(ds, stretches.read)
        for damage in damages:
            log.warning("left out: %s", damage)
        ds = _without(ds, damages)
    ready = _in_blocks(ds, stretches)

    def explain(error: Exception, span: tuple[int, int] | None = None) -> None:
        _name_damage(ds, stretches, error, span)

    with in_stretches():
        with _explained(explain):
            filled = _blanked(imputer.fill(ready, **options), ready, damages)
        kept = 0
        if along is None or Path(out).suffix == ".nc":
            with _explained(explain):
                write_store(filled, out, like=place)
        else:
            kept = write_regions(
                filled, out, along=along, frames=frames, job=job, like=place, restart=restart,
                progress=progress, explain=explain,
            )  # fmt: skip
    return Written(out, tuple(map(str, filled.data_vars)), kept, tuple(map(str, damages)))


@contextmanager
def _explained(explain: Callable[[Exception], None]) -> Iterator[None]:
    """Errors of libraries, which may come from an input that cannot be read, are looked into."""
    try:
        yield
    except ImputeError:
        raise
    except Exception as error:
        explain(error)
        raise


def _in_blocks(ds: xr.Dataset, stretches: Stretches) -> xr.Dataset:
    """Lazy, in blocks that are not much smaller than what is computed at once."""
    along, frames = stretches.along, stretches.frames
    if along is None:
        return ds
    blocks: dict[str, int] = {}
    for name in stretches.read:
        chunks = ds[name].variable.chunksizes.get(along)
        if chunks is None:
            if name in stretches.variables:
                blocks[name] = frames
        elif max(chunks) * FEWEST < frames:
            blocks[name] = max(1, frames // max(chunks)) * max(chunks)
    return ds.assign({name: ds[name].chunk({along: n}) for name, n in blocks.items()})


def _without(ds: xr.Dataset, damages: Sequence[Damage]) -> xr.Dataset:
    """The dataset with its unreadable chunks missing."""
    changed = {}
    for name in dict.fromkeys(damage.variable for damage in damages):
        boxes = [damage.box for damage in damages if damage.variable == name]
        changed[name] = _replaced(ds[name].variable, boxes, float("nan"))
    return ds.assign(changed)


def _blanked(filled: xr.Dataset, ready: xr.Dataset, damages: Sequence[Damage]) -> xr.Dataset:
    """The filled dataset with nothing where the input could not be read, and flagged so."""
    changed = {}
    for name in dict.fromkeys(damage.variable for damage in damages):
        boxes = [damage.box for damage in damages if damage.variable == name]
        for other, value in (
            (name, float("nan")),
            (f"{name}_standard_error", float("nan")),
            (f"{name}_imputation_flag", FLAGS.index("not_imputed")),
        ):
            if other in filled:
                drawn = REALIZATION in filled[other].dims and REALIZATION not in ready.dims
                every = (slice(0, filled.sizes[REALIZATION]),) if drawn else ()
                places = [(*every, *box) for box in boxes]
                changed[other] = _replaced(filled[other].variable, places, value)
    return filled.assign(changed)


def _replaced(
    variable: xr.Variable, boxes: Sequence[tuple[slice, ...]], value: float
) -> xr.Variable:
    data = left_out(variable.data, boxes, value)
    blocks = {d: max(c) for d, c in zip(variable.dims, variable.chunks or (), strict=True)}
    new = variable._replace(data=data.rechunk(tuple(blocks.values())))
    new.encoding = dict(variable.encoding)
    return new


def _name_damage(
    ds: xr.Dataset, stretches: Stretches, error: Exception, span: tuple[int, int] | None
) -> None:
    """Raise an error that names the chunks that cannot be read, if that is what went wrong."""
    if isinstance(error, PermissionError | TypeError):  # of whoever writes
        return
    if span is not None:  # windows reach into the neighbouring frames
        span = (max(0, span[0] - stretches.frames), span[1] + stretches.frames)
    found = unreadable(ds, stretches.read, along=stretches.along, span=span)
    if not found:
        return
    more = f" (and {len(found) - SHOWN} more)" if len(found) > SHOWN else ""
    raise DataError(
        f"the input cannot be read: {'; '.join(map(str, found[:SHOWN]))}{more}. Restore it, or "
        "fill the rest with --skip-bad (in Python: skip_bad=True)"
    ) from error


def _said(value: Any) -> Any:
    """An option as JSON can hold it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, xr.DataArray):
        return f"{value.dims} {digest([value.values])}"
    return f"{type(value).__name__} {sorted(vars(value).items())}"
