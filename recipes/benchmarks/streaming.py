"""Training samples per second fed from a dask-backed zarr store, over the same from memory.

    python recipes/benchmarks/streaming.py

Both runs take the same steps with the same network, in turns, several times; the pool for the
store is limited to an eighth of the data so that it is really read all the time.
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


def make_store(path: Path, frames: int, seed: int) -> None:
    """Smooth random fields with half of the pixels missing, chunked in time."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((frames, 64, 64)).astype("float32")
    noise[rng.random(noise.shape) < 0.5] = np.nan
    time_axis = np.datetime64("2000-01-01", "ns") + np.arange(frames) * np.timedelta64(1, "D")
    xr.Dataset(
        {"a": (("time", "lat", "lon"), noise)},
        coords={"time": time_axis, "lat": np.arange(64.0), "lon": np.arange(64.0)},
    ).chunk(time=64).to_zarr(path, consolidated=False)


def rate(ds: xr.Dataset, limit: int, steps: int, seed: int) -> tuple[float, bool]:
    """Samples per second of training, and whether the data were resident."""
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
    train(denoiser, source, settings, validate=None, device=sizes.device, seed=seed, progress=False)
    taken = time.perf_counter() - start
    source.close()
    return steps * sizes.batch / taken, pool.resident


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--frames", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store.zarr"
        make_store(store, options.frames, options.seed)
        size = options.frames * 64 * 64 * 4
        ratios, rates = [], []
        for k in range(options.rounds):
            memory, resident = rate(
                xr.open_zarr(store, consolidated=False).load(),
                2 * size,
                options.steps,
                options.seed + k,
            )
            streamed, kept = rate(
                xr.open_zarr(store, consolidated=False), size // 8, options.steps, options.seed + k
            )
            if not resident or kept:
                raise SystemExit("the two runs do not differ in where the data are")
            rates.append((memory, streamed))
            ratios.append(streamed / memory)
            print(f"memory {memory:.1f}, zarr {streamed:.1f} samples/s, ratio {ratios[-1]:.3f}")
    results = {"ratio": statistics.median(ratios), "ratios": ratios, "rates": rates}
    print(f"median ratio {results['ratio']:.3f}, from {min(ratios):.3f} to {max(ratios):.3f}")
    save(options.json, "streaming", options, results)


if __name__ == "__main__":
    main()
