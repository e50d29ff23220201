"""What checkpoints cost of the training time.

    python recipes/benchmarks/checkpoint.py

Trains on a field of 64 x 64 cells for some minutes with a checkpoint every few seconds, adds up
the time spent on them, and says what share of the training that is, at this interval and at the
default of five minutes.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr
from _report import arguments, save

from xdiffimpute.checkpoint_folder import EVERY, CheckpointFolder
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.training import _Loop


def make(frames: int, seed: int) -> xr.Dataset:
    """Smooth fields with a third of the pixels missing."""
    rng = np.random.default_rng(seed)
    t, y, x = np.ogrid[:frames, :64, :64]
    values = (
        np.sin(x / 7 + t / 5) + np.cos(y / 9 - t / 11) + 0.1 * rng.normal(size=(frames, 64, 64))
    )
    values[rng.random(values.shape) < 0.33] = np.nan
    return xr.Dataset({"a": (("time", "lat", "lon"), values.astype("float32"))})


def main() -> None:
    parser = arguments(__doc__, minutes=3.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between checkpoints")
    parser.add_argument("--size", default="small")
    options = parser.parse_args()
    costs: list[float] = []
    original = _Loop._save

    def timed(loop: _Loop, interruption: object) -> None:
        """Everything that is done for checkpoints after a step, writing or not."""
        before, began = loop.folder.cost, time.perf_counter()
        original(loop, interruption)
        taken = time.perf_counter() - began
        costs.append(taken if loop.folder.cost != before else -taken)

    _Loop._save = timed
    with tempfile.TemporaryDirectory() as parent:
        folder = CheckpointFolder(Path(parent) / "run")
        imputer = DiffusionImputer(
            max_time=60 * options.minutes, size=options.size, seed=options.seed, summary=False,
            statistics="variable", checkpoint=folder.path, checkpoint_every=options.every,
        ).fit(make(200, options.seed))  # fmt: skip
        size = max(path.stat().st_size for path in folder.path.glob("step-*")) / 2**20
    history = imputer.fitted.history
    written = [cost for cost in costs if cost > 0]
    idle = -sum(cost for cost in costs if cost < 0)
    each = statistics.median(written)
    results = {
        "steps": history.steps, "seconds": history.seconds, "mebibytes": size,
        "checkpoints": len(written), "seconds each": each, "seconds each, most": max(written),
        "share": (sum(written) + idle) / history.seconds,
        "share at the default": each / EVERY + idle / history.seconds,
    }  # fmt: skip
    for name, value in results.items():
        print(f"{name:22s} {value:.6g}")
    save(options.json, "checkpoint", options, results)


if __name__ == "__main__":
    main()
