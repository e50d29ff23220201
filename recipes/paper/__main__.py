"""Run tables and figures of the paper: ``python -m recipes.paper table2 --scale cpu``.

Results of tables go to ``recipes/paper/results``, pictures to ``docs/figures``; ``python -m
recipes.paper page`` writes docs/paper.md from them.
"""

from __future__ import annotations

import argparse
import logging
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

import xdiffimpute as xdi
from recipes.paper.bench import Bench
from recipes.paper.drawing import draw
from recipes.paper.page import FIGURES, write_page
from recipes.paper.results import RESULTS, write_result
from recipes.paper.table import Scale, Table, names, read_figure, read_scale, read_table


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; exit code 2 where something is wrong with the input."""
    parser = argparse.ArgumentParser(prog="recipes.paper", description=__doc__)
    parser.add_argument(
        "items", nargs="+",
        help=f"{', '.join(names() + names('figure'))}, all (tables), figures (all), or page",
    )  # fmt: skip
    parser.add_argument("--scale", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--era5", help="netCDF file or zarr store for the ERA5 columns")
    parser.add_argument("--device", help="cpu, cuda, ...; default: a GPU if there is one")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="folder of the pictures")
    parser.add_argument("--skip-done", action="store_true", help="leave finished tables alone")
    options = parser.parse_args(arguments)
    try:
        if options.items == ["page"]:
            print(f"wrote {write_page(options.out)}")
            return 0
        _run(options)
    except xdi.ImputeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(options: argparse.Namespace) -> None:
    """Everything asked for, seed by seed; nothing starts if a name is wrong."""
    every = {"all": names(), "figures": names("figure")}
    wanted = [name for item in options.items for name in every.get(item, [item])]
    tables = {n: read_table(n) for n in wanted if not n.startswith("figure")}
    figures = {n: read_figure(n) for n in wanted if n.startswith("figure")}
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        benches: dict[int | None, Bench] = {}
        for name, table in tables.items():
            scale = read_scale(options.scale, table.steps)
            bench = benches.setdefault(
                table.steps, Bench(scale, seed, era5=options.era5, device=options.device)
            )
            path = options.out / f"{name}.{options.scale}.seed{seed}.json"
            if options.skip_done and path.exists():
                continue
            print(f"{name}, seed {seed}: {table.title}", flush=True)
            write_result(path, _record(bench, name, table, scale, options.scale))
            print(f"wrote {path.name}", flush=True)
    for name, figure in figures.items():
        scale = read_scale(options.scale, figure.steps)
        bench = Bench(scale, options.seeds[0], era5=options.era5, device=options.device)
        path = options.figures / f"{name}.png"
        errors = draw(bench, figure, path)
        print(f"wrote {path.name}: RMSE over spread {errors}", flush=True)


def _record(bench: Bench, name: str, table: Table, scale: Scale, label: str) -> dict[str, Any]:
    """Run a table; its cells, with what it takes to run it again."""
    cells, seconds = bench.timed(table)
    return {
        "table": name,
        "scale": label,
        "seed": bench.seed,
        "wall_seconds": seconds,
        "settings": scale.model_dump(mode="json"),
        "era5": bench.describe_era5(),
        "versions": {
            "xdiffimpute": xdi.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "xarray": xr.__version__,
        },
        "cells": cells,
    }


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("xdiffimpute").setLevel(logging.ERROR)
    logging.getLogger("xdiffimpute.paper").setLevel(logging.INFO)
    sys.exit(main())
