"""The demonstration: hide blocks of simulated shallow water for good, fill, compare, draw."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click
import numpy as np
import xarray as xr

from .baselines import BASELINES
from .datasets import DATASETS
from .exceptions import ImputeError
from .folders import prepare_folder
from .masks import MASKS
from .pictures.comparison import comparison
from .stores import write_store

__all__ = ["Row", "hide_blocks", "run_demo"]

log = logging.getLogger("xdiffimpute")

NAMES = ("u", "v", "h")
MINUTES = 3.0
OURS = "xdiffimpute"
FILES = ("filled.zarr", "comparison.png")


@dataclass
class Row:
    """How one method did: RMSE by variable, seconds, and what it could not do."""

    method: str
    rmse: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    remark: str = ""


def hide_blocks(truth: xr.Dataset, seed: int) -> tuple[xr.Dataset, xr.DataArray]:
    """Hide 4 of 9 blocks in each sample, the same in all its frames and variables.

    Parameters
    ----------
    truth : Dataset, dims (sample, time, y, x)
    seed : int

    Returns
    -------
    gappy : Dataset
    hidden : bool DataArray, dims (sample, y, x)
    """
    sizes = truth.sizes
    pattern = MASKS.create("block", grid=(3, 3), kept=5)
    full = np.ones((1, sizes["sample"], sizes["y"], sizes["x"]), dtype=bool)
    observed = pattern(full, np.random.default_rng(seed))[0]
    hidden = xr.DataArray(~observed, dims=("sample", "y", "x"))
    gappy = truth.assign({n: truth[n].where(~hidden).transpose(*truth[n].dims) for n in NAMES})
    return gappy, hidden


def run_demo(
    out: Path,
    *,
    minutes: float | None = None,
    quick: bool = False,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> list[Row]:
    """Run it.

    Parameters
    ----------
    out : Path
        Folder for ``filled.zarr`` and ``comparison.png``; made if absent.
    minutes : float, optional
        Training time.
    quick : bool
        Few small samples and a short training.
    seed : int
    overwrite : bool
        Replace results that are there.
    progress : bool
        Show progress bars.

    Returns
    -------
    list of Row
        The table that was printed: ours first, then every baseline.

    Raises
    ------
    OutputExistsError
        If there are results already, before anything is done.
    """
    prepare_folder(out, FILES, overwrite=overwrite, another="name another one with --out")
    samples, frames, size = (24, 6, 24) if quick else (160, 20, 32)
    minutes = minutes if minutes is not None else 0.1 if quick else MINUTES
    source = DATASETS.create(
        "shallow_water", samples=samples, shape=(size, size), frames=frames, seed=seed
    )
    truth = source.open()
    gappy, hidden = hide_blocks(truth, seed)
    click.echo(
        f"{samples} samples of {frames} frames, {size} x {size} cells of rotating shallow water; "
        f"4 of 9 blocks hidden for good in each.\nLearning from the rest for {minutes:g} min.",
        err=True,
    )
    start = time.perf_counter()
    window = min(frames, 8)
    imputer = gappy.impute.fit(
        variables=NAMES, window=window, max_time=60 * minutes, seed=seed, progress=progress
    )
    few = {"sample": slice(0, 4 if quick else 16)}
    judged, truth, hidden = gappy.isel(few), truth.isel(few), hidden.isel(few)
    filled = judged.impute.fill(imputer, progress=progress)
    rows = [_row(OURS, lambda: filled, truth, hidden)]
    rows[0].seconds = time.perf_counter() - start
    for name in BASELINES:
        rows.append(_row(name, partial(_baseline, gappy, judged, name), truth, hidden))
        click.echo(f"  {name}: {rows[-1].seconds:.1f} s", err=True)
    _print_table(rows, truth)
    store, picture = (out / name for name in FILES)
    write_store(filled, str(store))
    frame = {"sample": 0, "time": frames // 2}
    comparison(
        judged.isel(frame), filled.isel(frame), truth=truth.isel(frame), variables=NAMES,
        title="Rotating shallow water, 4 of 9 blocks never observed, filled by xdiffimpute",
        path=picture,
    )  # fmt: skip
    click.echo(f"\n{store}\n{picture}")
    sys.stdout.flush()
    return rows


def _baseline(gappy: xr.Dataset, judged: xr.Dataset, name: str) -> xr.Dataset:
    """A baseline fitted on all samples, filling the judged ones."""
    method = BASELINES.create(name, variables=list(NAMES))
    return method.fit(gappy).fill(judged)


def _row(
    method: str, fill: Callable[[], xr.Dataset], truth: xr.Dataset, hidden: xr.DataArray
) -> Row:
    row, start = Row(method), time.perf_counter()
    try:
        filled = fill()
    except ImputeError as error:
        row.remark = f"cannot fill this case: {error}"
        return row
    row.seconds = time.perf_counter() - start
    empty = 0
    for name in NAMES:
        wrong = (filled[name] - truth[name]).where(hidden).astype("float64")
        row.rmse[name] = float(np.sqrt((wrong**2).mean()))
        empty += int((filled[name].isnull() & hidden).sum())
    if empty:
        row.remark = f"left {empty} cells empty"
    return row


def _print_table(rows: list[Row], truth: xr.Dataset) -> None:
    heads = "".join(f"{n + ' (' + truth[n].attrs['units'] + ')':>14s}" for n in NAMES)
    click.echo(f"\n{'RMSE at hidden cells':22s}{heads}{'seconds':>10s}")
    for row in rows:
        cells = "".join(f"{row.rmse.get(n, float('nan')):14.4g}" for n in NAMES)
        click.echo(f"{row.method:22s}{cells}{row.seconds:10.1f}  {row.remark}")
