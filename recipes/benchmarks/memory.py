"""Peak memory of a fit and of a fill, on a small store and on one many times as large.

    python recipes/benchmarks/memory.py --small 1 --large 8 --fill-seconds 300
    python recipes/benchmarks/memory.py --small 1 --large 10 --gappy 0.015 --limit 4 --seconds 120

Each runs in a process of its own, which reads a zarr store that this script makes on disk (smooth
fields with gaps in float32; they compress well) and, for a fill, writes another. The peak is what
the kernel has counted as resident at most. A fill of two billion cells takes hours on two cores:
stop it early, or let only some frames have gaps, since the others cost no more than being read.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
from _report import arguments, save

SIDE = 128
CHUNK = 64

FIT = """
import sys, xarray as xr, xdiffimpute
ds = xr.open_zarr(sys.argv[1])
imputer = ds.impute.fit(max_time=float(sys.argv[3]), progress=False, seed=0)
imputer.save(sys.argv[2])
"""
FILL = """
import os, signal, sys, threading, xarray as xr, xdiffimpute as xdi
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where started in the background
ds = xr.open_zarr(sys.argv[1])
if float(sys.argv[4]):
    timer = threading.Timer(float(sys.argv[4]), os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()
try:
    ds.impute.fill_to(sys.argv[3], xdi.load(sys.argv[2]), sampler="single_pass", progress=False)
except KeyboardInterrupt:
    pass
"""


def make_store(path: Path, gigabytes: float, seed: int, gappy: float = 1.0) -> int:
    """Waves with square gaps, on disk; written a stretch at a time. Returns its frames.

    Gaps come in stretches of 16 frames, of which a share ``gappy`` has any.
    """
    frames = int(gigabytes * 1e9 / (4 * SIDE * SIDE)) // CHUNK * CHUNK
    axis = np.arange(SIDE)
    time_axis = np.datetime64("1950-01-01", "ns") + np.arange(frames) * np.timedelta64(6, "h")
    coords = {"lat": np.linspace(-60, 60, SIDE), "lon": np.linspace(0, 179, SIDE)}
    rng = np.random.default_rng(seed)
    for start in range(0, frames, 16 * CHUNK):
        stop = min(frames, start + 16 * CHUNK)
        t = np.arange(start, stop)
        rows = np.sin(0.07 * axis[None, :] + 0.05 * t[:, None])
        columns = np.cos(0.05 * axis[None, :] - 0.04 * t[:, None])
        values = np.round(rows[:, :, None] + columns[:, None, :], 2).astype("float32")
        clouds = rng.random((len(t), SIDE // 8, SIDE // 8)) < 0.4
        clouds &= (rng.random(-(-len(t) // 16)) < gappy).repeat(16)[: len(t), None, None]
        values[clouds.repeat(8, 1).repeat(8, 2)] = np.nan
        part = xr.Dataset(
            {"a": (("time", "lat", "lon"), values, {"units": "K"})}, {"time": time_axis[t]} | coords
        ).chunk(time=CHUNK)
        if start == 0:
            times = {"time": {"units": "hours since 1950-01-01", "dtype": "int64"}}
            part.to_zarr(path, consolidated=False, encoding=times)
        else:
            part.to_zarr(path, append_dim="time", consolidated=False)
    import zarr

    zarr.consolidate_metadata(path)
    return frames


def peak(code: str, *told: str) -> float:
    """Peak resident memory in GB of a process that runs some code."""
    script = (
        code + "\nlines = open('/proc/self/status').read().splitlines()\n"
        "print([line.split()[1] for line in lines if line.startswith('VmHWM')][0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *told], stdout=subprocess.PIPE, text=True,
        check=True,
    )  # fmt: skip
    return int(done.stdout.split()[-1]) * 1024 / 1e9


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--small", type=float, default=1.0, help="GB of the small store")
    parser.add_argument("--large", type=float, default=8.0, help="GB of the large store")
    parser.add_argument("--seconds", type=float, default=60.0, help="training time")
    parser.add_argument(
        "--fill-seconds", type=float, default=0.0,
        help="stop each fill then, as by hand; default: when it is whole",
    )  # fmt: skip
    parser.add_argument("--gappy", type=float, default=1.0, help="share of frames with gaps")
    parser.add_argument("--limit", type=float, help="GB of address space that each step may take")
    parser.add_argument("--folder", type=Path, help="where to make the stores; default: temporary")
    options = parser.parse_args()
    if options.limit:
        most = int(options.limit * 1e9)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for name, size in (("small", options.small), ("large", options.large)):
            store, model, out = (
                Path(folder) / f"{name}.{e}" for e in ("zarr", "model", "out.zarr")
            )
            frames = make_store(store, size, options.seed, options.gappy)
            print(f"{name}: {size:g} GB, {frames} frames", flush=True)
            told = (str(store), str(model))
            results[name] = {"GB": size, "fit": peak(FIT, *told, str(options.seconds))}
            print(f"  fit: peak {results[name]['fit']:.2f} GB", flush=True)
            results[name]["fill"] = peak(FILL, *told, str(out), str(options.fill_seconds))
            print(f"  fill: peak {results[name]['fill']:.2f} GB", flush=True)
            shutil.rmtree(store)
            for folder_of_fill in Path(folder).glob(f"*{out.name}*"):
                shutil.rmtree(folder_of_fill)
    ratios = {k: results["large"][k] / results["small"][k] for k in ("fit", "fill")}
    print("large over small:", json.dumps({k: round(v, 3) for k, v in ratios.items()}))
    save(options.json, "memory", options, {"peaks": results, "ratios": ratios})


if __name__ == "__main__":
    main()
