"""What the benchmarks share: arguments, hiding cells, errors at hidden cells, tables, JSON."""

from __future__ import annotations

import argparse
import json
import logging
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import xarray as xr

import xdiffimpute as xdi
from xdiffimpute.baselines import BASELINES


def arguments(
    description: str,
    *,
    data: str | None = None,
    minutes: float | None = None,
    methods: bool = False,
) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes, and what is asked for."""
    parser = argparse.ArgumentParser(description=description)
    if data is not None:
        parser.add_argument("--data", type=Path, required=True, help=data)
    if minutes is not None:
        parser.add_argument("--minutes", type=float, default=minutes, help="training time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the results here")
    if methods:
        parser.add_argument(
            "--methods", nargs="*", default=BASELINES.names(), help="baselines to compare with"
        )
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return parser


def hide(ds: xr.Dataset, hidden: xr.DataArray, names: Iterable[str]) -> xr.Dataset:
    """The dataset without the hidden cells of some variables."""
    return ds.assign({name: ds[name].where(~hidden) for name in names})


def rmse(filled: xr.DataArray, truth: xr.DataArray, hidden: xr.DataArray) -> tuple[float, int]:
    """Root mean square error at hidden cells, and how many of them stayed empty."""
    error = (filled - truth).where(hidden & truth.notnull()).astype("float64")
    empty = int((hidden & truth.notnull() & filled.isnull()).sum())
    return float(np.sqrt((error**2).mean())), empty


def compare(
    gappy: xr.Dataset,
    truth: xr.Dataset,
    hidden: xr.DataArray,
    names: list[str],
    ours: Callable[[xr.Dataset, xr.DataArray | None], xr.Dataset],
    methods: Iterable[str],
) -> dict[str, dict[str, float]]:
    """RMSE at the hidden cells of our fill and of every baseline, each with its time.

    All methods are asked for every cell that the truth has somewhere, so that all are judged
    at the same cells, also those that were never observed in the gappy data.
    """
    where = truth[names[0]].notnull()
    time_dim = where.dims[0]
    where = where.any(time_dim)
    results: dict[str, dict[str, float]] = {}
    runs = {"xdiffimpute": ours}
    runs |= {m: (lambda ds, w, m=m: ds.impute.fill(m, where=w, variables=names)) for m in methods}
    for method, fill in runs.items():
        start = time.perf_counter()
        try:
            filled = fill(gappy, where)
        except xdi.ImputeError as error:
            print(f"{method}: cannot fill this case: {error}")
            continue
        row: dict[str, float] = {}
        for name in names:
            row[name], empty = rmse(filled[name], truth[name], hidden)
            if empty:
                row[f"{name} left empty"] = empty
        row["seconds"] = time.perf_counter() - start
        results[method] = row
        print(method, {k: round(v, 4) for k, v in row.items()}, flush=True)
    return results


def table(results: dict[str, dict[str, float]], title: str) -> None:
    """Print rows by method."""
    columns = list(dict.fromkeys(c for row in results.values() for c in row))
    print(f"\n{title}")
    print(f"{'':18s}" + "".join(f"{c:>26s}" for c in columns))
    for method, row in results.items():
        print(f"{method:18s}" + "".join(f"{row.get(c, float('nan')):26.5g}" for c in columns))


def save(path: Path | None, name: str, options: argparse.Namespace, results: object) -> None:
    """Write results with what is needed to run them again."""
    if path is None:
        return
    record = {
        "benchmark": name,
        "options": {k: str(v) for k, v in vars(options).items() if k not in ("data", "json")},
        "version": xdi.__version__,
        "python": platform.python_version(),
        "results": results,
    }
    path.write_text(json.dumps(record, indent=2) + "\n")
