"""Shapes of gaps: a function a shape, named by ``hide: {shape: NAME, ...}``.

Each says which cells of some frames are seen, from the number of variables, frames and cells and a
generator alone: what is hidden never depends on the values, nor on the method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from recipes.benchmarks.accuracy.sources import find_file
from xdiffimpute.exceptions import ImputeError
from xdiffimpute.masks import MASKS

__all__ = ["SHAPES", "hidden_cells"]

Shape = tuple[int, int, int, int]  # variables, frames, rows, columns


def hidden_cells(
    fields: xr.Dataset, hide: Mapping[str, Any], folder: Path | None, seed: int
) -> xr.Dataset:
    """True where a value is hidden.

    Parameters
    ----------
    fields : Dataset
        All variables with the same dims, ([sample,] [time,] y, x).
    hide : mapping
        ``shape``, its options, and ``static: true`` for gaps that are the same in all frames of a
        sample.
    folder : Path, optional
        Of the archives.
    seed : int

    Returns
    -------
    Dataset of bool

    Raises
    ------
    Absent
        If the gaps are in a file that is not there.
    ImputeError
        If the shape or one of its options is unknown.
    """
    options = dict(hide)
    name, static = options.pop("shape", None), options.pop("static", False)
    if name not in SHAPES:
        raise ImputeError(f"hide: shape {name!r} is not one of {', '.join(SHAPES)}")
    names = [str(n) for n in fields.data_vars]
    dims = fields[names[0]].dims
    lead, grid = (tuple(fields.sizes[d] for d in part) for part in (dims[:-2], dims[-2:]))
    if static and "sample" not in dims:
        raise ImputeError("hide: static: an archive is one record, in which all would be hidden")
    frames = lead[:1] if static else lead
    rng = np.random.default_rng([seed, 0xC10D])
    if "variables" in options:
        options["variables"] = [names.index(n) for n in options["variables"]]
    try:
        seen = SHAPES[name]((len(names), int(np.prod(frames)), *grid), rng, folder, **options)
    except TypeError as error:
        raise ImputeError(f"hide: shape {name!r}: {error}") from error
    seen = seen.reshape(len(names), *frames, *[1] * (len(lead) - len(frames)), *grid)
    whole = np.broadcast_to(seen, (len(names), *lead, *grid))
    return xr.Dataset(
        {n: fields[n].notnull() & ~xr.DataArray(whole[k], dims=dims) for k, n in enumerate(names)}
    )


def _pattern(
    shape: Shape, rng: np.random.Generator, _: Path | None, *, pattern: str, **options: Any
) -> np.ndarray:
    """A pattern of :mod:`xdiffimpute.masks`: pixels, blocks, swaths."""
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return MASKS.create(pattern, **options)(np.ones(shape, dtype=bool), rng)


def _clouds(
    shape: Shape, rng: np.random.Generator, folder: Path | None, *, file: str, product: str
) -> np.ndarray:
    """Cloud scenes of a satellite product, mirrored and moved, one after the other, over all."""
    with xr.open_dataset(find_file(folder, file)) as masks:
        scenes = masks[product].values > 0
    land = ~scenes.any(axis=0)
    clear = [np.where(land, scene[::-1] | land[::-1], scene) for scene in scenes]
    _, count, height, width = shape
    rows, columns = (-(-a // b) for a, b in zip((height, width), scenes.shape[1:], strict=True))

    def scene() -> np.ndarray:
        one = clear[rng.integers(len(clear))]
        one = np.roll(one, [rng.integers(n) for n in one.shape], axis=(0, 1))
        return one[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]

    seen = np.stack(
        [np.block([[scene() for _ in range(columns)] for _ in range(rows)]) for _ in range(count)]
    )
    return np.broadcast_to(seen[:, :height, :width], shape)


def _mask(
    shape: Shape, rng: np.random.Generator, folder: Path | None, *, file: str, variable: str
) -> np.ndarray:
    """Gaps from a file: 1 where a cell is to be hidden, dims (time, y, x)."""
    with xr.open_dataset(find_file(folder, file)) as masks:
        return np.broadcast_to(~(masks[variable].values > 0), shape)


def _stations(
    shape: Shape,
    rng: np.random.Generator,
    _: Path | None,
    *,
    share: float,
    open: Sequence[int],
    closed: Sequence[int],
) -> np.ndarray:
    """A share of the cells are stations, which open and close for so many frames, from and to."""
    _, count, height, width = shape
    seen = np.zeros((count, height, width), dtype=bool)
    for cell in rng.choice(height * width, size=round(share * height * width), replace=False):
        row, column = divmod(int(cell), width)
        # The record begins somewhere in an interval, not at its start.
        now = -int(rng.integers(open[1] + closed[1]))
        while now < count:
            end = now + int(rng.integers(open[0], open[1] + 1))
            seen[max(now, 0) : max(end, 0), row, column] = True
            now = end + int(rng.integers(closed[0], closed[1] + 1))
    return np.broadcast_to(seen, shape)


def _frames(
    shape: Shape, rng: np.random.Generator, _: Path | None, *, variables: list[int], share: float
) -> np.ndarray:
    """Whole frames of some variables, in which the others are there."""
    seen = np.ones(shape, dtype=bool)
    gone = rng.choice(shape[1], size=round(share * shape[1]), replace=False)
    for variable in variables:
        seen[variable, gone] = False
    return seen


SHAPES: dict[str, Callable[..., np.ndarray]] = {
    "pattern": _pattern,
    "clouds": _clouds,
    "mask": _mask,
    "stations": _stations,
    "frames": _frames,
}
