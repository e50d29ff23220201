"""Cells filled per second: one process against two workers of dask.distributed.

    python recipes/benchmarks/fill_rate.py

All fill the same data with the same network, in turns, several times: one process with one thread
against two workers with one thread each. On an idle machine with two cores or more.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # of this process and of the workers
    os.environ[name] = "1"

import statistics  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import dask  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import xarray as xr  # noqa: E402
from _report import arguments, save  # noqa: E402

from xdiffimpute.diffusion import DiffusionImputer  # noqa: E402

SIDE = 64


def make(frames: int, seed: int) -> xr.Dataset:
    """Waves with a third of the pixels missing."""
    rng = np.random.default_rng(seed)
    t, y, x = np.ogrid[:frames, :SIDE, :SIDE]
    values = (np.sin(0.1 * x + 0.05 * t) + np.cos(0.13 * y - 0.04 * t)).astype("float32")
    values = np.where(rng.random(values.shape) < 0.33, np.nan, values).astype("float32")
    coords = {"lat": np.linspace(30, 60, SIDE), "lon": np.linspace(0, 30, SIDE)}
    return xr.Dataset({"a": (("time", "lat", "lon"), values)}, coords)


def rate(ds: xr.Dataset, imputer: DiffusionImputer, sampler: str) -> float:
    """Cells per second of a fill whose values stay where they are computed."""
    filled = imputer.fill(ds, sampler=sampler)
    start = time.perf_counter()
    dask.compute(filled["a"].sum(), filled["a_standard_error"].sum())
    return ds["a"].size / (time.perf_counter() - start)


def main() -> None:
    from distributed import Client, LocalCluster

    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samplers", nargs="*", default=["single_pass", "ensemble"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    plain = make(options.frames, options.seed)
    settings = {"method": "paper", "partition": "pixel", "statistics": "variable", "window": 3}
    imputer = DiffusionImputer(steps=1, summary=False, progress=False, **settings).fit(
        plain.isel(time=slice(64))
    )
    results: dict[str, dict[str, list[float]]] = {}
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        path = Path(folder) / "in.zarr"
        plain.chunk(time=64).to_zarr(path, consolidated=False)
        ds = xr.open_zarr(path, consolidated=False)
        for sampler in options.samplers:
            rows = results.setdefault(sampler, {"one": [], "two workers": []})
            with client.as_current(), dask.config.set(scheduler=client.get):
                rate(ds.isel(time=slice(64)), imputer, sampler)  # imports, on the workers
            for _ in range(options.rounds):
                rows["one"].append(rate(ds, imputer, sampler))
                with client.as_current(), dask.config.set(scheduler=client.get):
                    rows["two workers"].append(rate(ds, imputer, sampler))
            ratios = [b / a for a, b in zip(rows["one"], rows["two workers"], strict=True)]
            said = ", ".join(f"{k} {statistics.median(v):.0f}" for k, v in rows.items())
            print(
                f"{sampler}: {said} cells/s; two workers over one: {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f})"
            )
            rows["ratio"] = ratios
    save(options.json, "fill_rate", options, results)


if __name__ == "__main__":
    main()
