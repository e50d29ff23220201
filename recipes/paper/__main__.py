"""Run a table of the paper: ``python -m recipes.paper table2 --scale cpu``.

Results go to ``recipes/paper/results``; ``python -m recipes.paper page`` writes docs/paper.md from
them.
"""

from __future__ import annotations

import argparse
import logging
import platform
import sys
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import xdiffimpute as xdi
from recipes.paper.bench import Bench
from recipes.paper.page import write_page
from recipes.paper.results import RESULTS, write_result
from recipes.paper.table import names, read_scale, read_table


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; exit code 2 where something is wrong with the input."""
    parser = argparse.ArgumentParser(prog="recipes.paper", description=__doc__)
    parser.add_argument("tables", nargs="+", help=f"{', '.join(names())}, all, or page")
    parser.add_argument("--scale", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--era5", help="netCDF file or zarr store for the ERA5 columns")
    parser.add_argument("--device", help="cpu, cuda, ...; default: a GPU if there is one")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--skip-done", action="store_true", help="leave finished tables alone")
    options = parser.parse_args(arguments)
    try:
        if options.tables == ["page"]:
            print(f"wrote {write_page(options.out)}")
            return 0
        wanted = names() if options.tables == ["all"] else options.tables
        tables = {name: read_table(name) for name in wanted}
        scale = read_scale(options.scale)
        options.out.mkdir(parents=True, exist_ok=True)
        for seed in options.seeds:
            bench = Bench(scale, seed, era5=options.era5, device=options.device)
            for name, table in tables.items():
                path = options.out / f"{name}.{options.scale}.seed{seed}.json"
                if options.skip_done and path.exists():
                    continue
                print(f"{name}, seed {seed}: {table.title}", flush=True)
                start = time.perf_counter()
                cells = bench.run(table)
                record = {
                    "table": name,
                    "scale": options.scale,
                    "seed": seed,
                    "wall_seconds": time.perf_counter() - start,
                    "settings": scale.model_dump(mode="json"),
                    "versions": {
                        "xdiffimpute": xdi.__version__,
                        "python": platform.python_version(),
                        "torch": torch.__version__,
                        "numpy": np.__version__,
                        "xarray": xr.__version__,
                    },
                    "cells": cells,
                }
                write_result(path, record)
                print(f"wrote {path.name} after {record['wall_seconds']:.0f} s", flush=True)
    except xdi.ImputeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("xdiffimpute").setLevel(logging.ERROR)
    logging.getLogger("xdiffimpute.paper").setLevel(logging.INFO)
    sys.exit(main())
