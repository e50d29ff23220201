"""Where complete data come from: a function a source, named by ``data: {source: NAME, ...}``.

Each takes the folder of archives (None if there is none), the seed, and the options that a file
gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from recipes.benchmarks.accuracy.gaussian import Gaussian
from xdiffimpute.datasets import DATASETS
from xdiffimpute.exceptions import ImputeError

__all__ = ["SOURCES", "Absent", "Complete", "find_file", "open_complete"]


class Absent(ImputeError):
    """Data of a case that are not there: the case is skipped."""


@dataclass(frozen=True)
class Complete:
    """Fields without gaps but those of land and the archive, and the covariance, if it is known."""

    fields: xr.Dataset
    gaussian: Gaussian | None = None


def open_complete(data: Mapping[str, Any], folder: Path | None, seed: int) -> Complete:
    """The data of a family.

    Raises
    ------
    Absent
        If they are in a file that is not there.
    ImputeError
        If the source or one of its options is unknown.
    """
    options = dict(data)
    name = options.pop("source", None)
    if name not in SOURCES:
        raise ImputeError(f"data: source {name!r} is not one of {', '.join(SOURCES)}")
    try:
        return SOURCES[name](folder, seed, **options)
    except TypeError as error:
        raise ImputeError(f"data: source {name!r}: {error}") from error


def _gaussian(folder: Path | None, seed: int, *, samples: int, **options: Any) -> Complete:
    """Gaussian fields of known covariance."""
    source = Gaussian(**{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})
    return Complete(source.draw(samples, seed), source)


def _simulator(folder: Path | None, seed: int, *, dataset: str, **options: Any) -> Complete:
    """One of the simulators of :mod:`xdiffimpute.datasets`."""
    options["shape"] = tuple(options["shape"])
    return Complete(DATASETS.create(dataset, seed=seed, **options).open())


def _archive(
    folder: Path | None,
    seed: int,
    *,
    file: str,
    variables: list[str],
    select: Mapping[str, list[float]] | None = None,
    last: int | None = None,
) -> Complete:
    """A netCDF file, or a part of it: by coordinates, and its last frames."""
    with xr.open_dataset(find_file(folder, file)) as ds:
        part = ds[variables].sel({dim: slice(*ends) for dim, ends in (select or {}).items()})
        if last is not None:
            part = part.isel(time=slice(-last, None))
        return Complete(part.astype("float32").load())


def find_file(folder: Path | None, file: str) -> Path:
    """A file of the archive.

    Raises
    ------
    Absent
        If it is not there.
    """
    if folder is None:
        raise Absent(f"it needs {file}; give the folder that holds it with --data FOLDER")
    if not (folder / file).exists():
        raise Absent(f"it needs {file}, which is not in the folder given with --data")
    return folder / file


SOURCES: dict[str, Callable[..., Complete]] = {
    "gaussian": _gaussian,
    "simulator": _simulator,
    "archive": _archive,
}
