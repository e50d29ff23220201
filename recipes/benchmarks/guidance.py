"""What guidance by the shallow-water equations does: residual and error, guided over plain.

    python recipes/benchmarks/guidance.py

Fields of 32 x 32 cells and 8 frames of which 5 of 9 blocks are observed, and samples that were not
trained on. Both fills start from the same noise.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from _report import arguments, save, table

from xdiffimpute.datasets import DATASETS
from xdiffimpute.masks import MASKS
from xdiffimpute.metrics import METRICS
from xdiffimpute.samplers import SAMPLERS

NAMES = ["u", "v", "h"]
SIDE, FRAMES = 32, 8


def main() -> None:
    parser = arguments(__doc__, minutes=2.0)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--test", type=int, default=8)
    parser.add_argument("--steps", type=int, default=30, help="of the sampler")
    parser.add_argument("--strengths", type=float, nargs="*", default=[0.1, 1.0])
    options = parser.parse_args()
    truth = DATASETS.create(
        "shallow_water", samples=options.samples + options.test, shape=(SIDE, SIDE),
        frames=FRAMES, seed=options.seed,
    ).open()  # fmt: skip
    rng = np.random.default_rng(options.seed)
    block = MASKS.create("block", grid=(3, 3), kept=5)
    full = np.ones((1, 1, SIDE, SIDE), dtype=bool)
    seen = xr.DataArray(
        np.stack([block(full, rng)[0, 0] for _ in range(truth.sizes["sample"])]),
        dims=("sample", "y", "x"),
    )
    gappy = truth.assign({name: truth[name].where(seen) for name in NAMES})
    train, test = (
        ds.isel(sample=part)
        for ds, part in (
            (gappy, slice(0, options.samples)), (gappy, slice(options.samples, None)),
        )
    )  # fmt: skip
    whole = truth.isel(sample=slice(options.samples, None))
    imputer = train.impute.fit(window=FRAMES, max_time=60 * options.minutes, seed=options.seed)
    results: dict[str, dict[str, float]] = {}
    for strength in (None, *options.strengths):
        sampler = SAMPLERS.create(
            "multi_step", steps=options.steps, members=2, strength=strength or 1.0
        )
        law = "shallow_water" if strength else None
        filled = test.impute.fill(imputer, sampler=sampler, guidance=law, progress=False)
        row = {"residual": float(METRICS.create("feasibility")(filled, whole)["feasibility"])}
        for name in NAMES:
            error = (filled[name] - whole[name]).where(test[name].isnull())
            row[name] = float(np.sqrt((error**2).mean()))
        results["plain" if strength is None else f"strength {strength:g}"] = row
    plain = results["plain"]
    for label, row in results.items():
        results[label] = row | {f"{k} / plain": row[k] / plain[k] for k in ("residual", *NAMES)}
    table(results, "mean square residual, and RMSE at hidden cells")
    save(options.json, "guidance", options, results)


if __name__ == "__main__":
    main()
