"""Training samples per second fed from zarr and from netCDF4, over the same from memory.

    python recipes/benchmarks/streaming.py

All runs take the same steps with the same network, in turns, several times; the pool for a store
is limited to an eighth of the data so that it is really read all the time. Both stores are chunked
in time and compressed. Waiting is the share of the time in which training had no batch to work on.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from _report import arguments, save

from xdiffimpute.coordinates import Coordinates
from xdiffimpute.denoiser import Denoiser
from xdiffimpute.fields import FieldSpec
from xdiffimpute.masks import MASKS
from xdiffimpute.partition import Partition
from xdiffimpute.planning import plan
from xdiffimpute.pool import BlockPool
from xdiffimpute.prefetching import prefetch
from xdiffimpute.streaming import batches
from xdiffimpute.training import Training, train
from xdiffimpute.transforms import Statistics

CHUNK = 64


def make_stores(folder: Path, frames: int, seed: int) -> dict[str, xr.Dataset]:
    """Noise with half of the pixels missing, chunked in time: in memory, in zarr, in netCDF4."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((frames, 64, 64)).astype("float32")
    noise[rng.random(noise.shape) < 0.5] = np.nan
    time_axis = np.datetime64("2000-01-01", "ns") + np.arange(frames) * np.timedelta64(1, "D")
    ds = xr.Dataset(
        {"a": (("time", "lat", "lon"), noise)},
        coords={"time": time_axis, "lat": np.arange(64.0), "lon": np.arange(64.0)},
    )
    ds.chunk(time=CHUNK).to_zarr(folder / "store.zarr", consolidated=False)
    packing = {"chunksizes": (CHUNK, 64, 64), "zlib": True, "complevel": 1}
    ds.to_netcdf(folder / "store.nc", encoding={"a": packing})
    return {
        "memory": ds,
        "zarr": xr.open_zarr(folder / "store.zarr", consolidated=False),
        "netCDF4": xr.open_dataset(folder / "store.nc", chunks={"time": CHUNK}),
    }


def rate(ds: xr.Dataset, limit: int, steps: int, seed: int) -> tuple[float, float, bool]:
    """Samples per second of training, share of waiting, and whether the data were resident."""
    spec = FieldSpec.from_dataset(ds)
    packed, clock = spec.pack(ds), spec.clock(ds)
    sizes = plan(packed.sizes["time"], spec.shape, 1, window=5)
    statistic = Statistics.fit(packed, clock, kind="variable")
    pool = BlockPool(packed, clock, statistic, window=sizes.window, limit=limit, seed=seed)
    coordinates = Coordinates(spec, clock)
    source = prefetch(
        batches(
            pool, coordinates, Partition(MASKS.create("pixel")), window=sizes.window,
            tile=sizes.tile, batch=sizes.batch, periodic=False, seed=seed,
        )
    )  # fmt: skip
    torch.manual_seed(seed)
    denoiser = Denoiser(1, coordinates.count, size=sizes.size).to(sizes.device)
    settings = Training(steps=steps, checks=1)
    start = time.perf_counter()
    _, history = train(
        denoiser, source, settings, validate=None, device=sizes.device, seed=seed, progress=False
    )
    taken = time.perf_counter() - start
    source.close()
    return steps * sizes.batch / taken, history.waiting / taken, pool.resident


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--frames", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    rows: list[dict[str, tuple[float, float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        sources = make_stores(Path(folder), options.frames, options.seed)
        size = options.frames * 64 * 64 * 4
        for k in range(options.rounds):
            row = {}
            for name, ds in sources.items():
                limit = 2 * size if name == "memory" else size // 8
                *numbers, resident = rate(ds, limit, options.steps, options.seed + k)
                if resident != (name == "memory"):
                    raise SystemExit("the runs do not differ in where the data are")
                row[name] = (numbers[0], numbers[1])
            rows.append(row)
            said = (f"{name} {r:.1f} ({w:.1%} waiting)" for name, (r, w) in row.items())
            print("samples/s: " + ", ".join(said), flush=True)
    results: dict[str, object] = {"rows": rows}
    for name in ("zarr", "netCDF4"):
        ratios = [row[name][0] / row["memory"][0] for row in rows]
        waiting = [row[name][1] for row in rows]
        results[name] = {
            "ratio": statistics.median(ratios), "ratios": ratios,
            "waiting": statistics.median(waiting),
        }  # fmt: skip
        print(
            f"{name} over memory: median {statistics.median(ratios):.3f}, from {min(ratios):.3f} "
            f"to {max(ratios):.3f}; waiting {statistics.median(waiting):.1%} (at most "
            f"{max(waiting):.1%})"
        )
    save(options.json, "streaming", options, results)


if __name__ == "__main__":
    main()
