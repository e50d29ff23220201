"""Stations that fail in high wind: is it noticed, and how far does it bias a fill?

    python recipes/benchmarks/failing_stations.py --seeds 20 --fits 8 --steps 120

A wind speed with a Weibull distribution, correlated over some five cells and a day, six-hourly.
A station reports with a probability of 0.97 exp(-(v / 12 m/s)^4): four in five on the whole, hardly
one at 15 m/s. The test of ``ds.impute.dependence`` is run on it, and on gaps of the same field that
do not depend on it. Then a network is fitted to the failing stations as it is and with
``propensity=True``, and both fills are compared with the truth where the stations failed.

Flagged is what ``fit`` warns of: a p-value of one of two kinds, value and neighbours, below 0.005.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr
from _report import arguments, save, table
from scipy import ndimage
from scipy.special import ndtr

from xdiffimpute.datasets import DATASETS
from xdiffimpute.dependence import KINDS

LEVEL = 0.01
LABELS = {"without": False, "with": True}  # the weights


def evolving(fields: np.ndarray, memory: float) -> np.ndarray:
    """Fields of unit variance, each correlated with the one before."""
    out = fields.copy()
    for t in range(1, len(out)):
        out[t] = memory * out[t - 1] + np.sqrt(1 - memory**2) * fields[t]
    return out


def wind(shape: tuple[int, int, int], seed: int) -> xr.Dataset:
    """Wind speed in m/s, dims (time, y, x)."""
    source = DATASETS.create(
        "gaussian_field", samples=shape[0], shape=shape[1:], length=4.0, smoothness=1.5, seed=seed
    )
    normal = evolving(source.open()["field"].values.astype(float), 0.8)
    speed = 8.0 * np.sqrt(-np.log(np.maximum(1 - ndtr(normal), 1e-12)))
    time = pd.date_range("2024-01-01", periods=shape[0], freq="6h")
    return xr.Dataset(
        {"wind": (("time", "y", "x"), speed.astype(np.float32), {"units": "m s-1"})},
        coords={"time": time},
    )


def failing(speed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.random(speed.shape) < 0.97 * np.exp(-((speed / 12.0) ** 4))


def patterns(speed: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Which cells are observed: failing stations, and gaps that do not depend on the wind."""
    frames, height, width = speed.shape
    yield "failing stations", failing(speed, rng)
    yield "random pixels", rng.random(speed.shape) < 0.8
    yield "random pixels, few", rng.random(speed.shape) < 0.2
    blocks = rng.random((frames, -(-height // 4), -(-width // 4))) < 0.7
    yield "random blocks", blocks.repeat(4, 1).repeat(4, 2)[:, :height, :width]
    noise = ndimage.gaussian_filter(rng.normal(size=speed.shape), (0, 3, 3), mode="wrap")
    yield "clouds", evolving(noise / noise.std(), 0.8) < 0.5
    yield "fixed stations", np.broadcast_to(rng.random(speed.shape[1:]) < 0.5, speed.shape)
    night = np.arange(frames) % 4 < 2
    yield "more at night", rng.random(speed.shape) < np.where(night, 0.9, 0.6)[:, None, None]


def tested(options, shape: tuple[int, int, int]) -> dict[str, dict[str, float]]:
    """In how many of the seeds each pattern is flagged."""
    counts: dict[str, dict[str, float]] = {}
    for seed in range(options.seed, options.seed + options.seeds):
        ds = wind(shape, seed)
        speed = ds["wind"].values
        for name, seen in patterns(speed, np.random.default_rng([seed, 1])):
            found = ds.where(xr.DataArray(seen, dims=("time", "y", "x"))).impute.dependence()
            p = found["p_value"].sel(variable="wind")
            row = counts.setdefault(name, dict.fromkeys(("flagged", *KINDS), 0))
            row["flagged"] += int(bool((p.sel(kind=list(KINDS[:2])) < LEVEL / 2).any()))
            for kind in KINDS:
                row[kind] += int(bool(p.sel(kind=kind) < LEVEL))
    return counts


def filled(options, shape: tuple[int, int, int], seed: int) -> dict[str, float]:
    """Errors at the hidden cells of one seed, without and with the weights."""
    ds = wind(shape, seed)
    speed = ds["wind"].values
    seen = failing(speed, np.random.default_rng([seed, 1]))
    gappy = ds.where(xr.DataArray(seen, dims=("time", "y", "x")))
    row = {"hidden": float(1 - seen.mean())}
    for label, propensity in LABELS.items():
        imputer = gappy.impute.fit(
            steps=options.steps, window=3, batch=8, seed=seed, propensity=propensity,
            progress=False,
        )  # fmt: skip
        error = (imputer.fill(gappy)["wind"].values - speed)[~seen]
        row[f"bias {label}"] = float(error.mean())
        row[f"RMSE {label}"] = float(np.sqrt(np.mean(error**2)))
    row["ratio of biases"] = abs(row["bias with"] / row["bias without"])
    return row


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="seeds of the test")
    parser.add_argument("--fits", type=int, default=8, help="seeds that are fitted")
    parser.add_argument("--steps", type=int, default=120, help="updates of each fit")
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--sides", type=int, nargs="*", default=[16], help="cells a side")
    options = parser.parse_args()
    results: dict[str, object] = {}
    for side in options.sides:
        counts = tested(options, (options.frames, side, side))
        table(counts, f"Flagged in so many of {options.seeds} seeds, {side} x {side} cells")
        results[f"flagged, side {side}"] = counts
    rows: dict[str, dict[str, float]] = {}
    for seed in range(options.seed, options.seed + options.fits):
        rows[f"seed {seed}"] = filled(options, (options.frames, 16, 16), seed)
        print(rows[f"seed {seed}"], flush=True)
    if rows:
        sizes = {k: np.mean([abs(row[f"bias {k}"]) for row in rows.values()]) for k in LABELS}
        columns = list(next(iter(rows.values())))
        rows["mean"] = {c: float(np.mean([row[c] for row in rows.values()])) for c in columns}
        rows["mean"]["ratio of biases"] = float(sizes["with"] / sizes["without"])
        table(rows, "Fill minus truth where the stations failed, m/s")
        results["filled"] = rows
    save(options.json, "failing_stations", options, results)


if __name__ == "__main__":
    main()
