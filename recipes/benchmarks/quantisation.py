"""What 8 bits cost the inpainting baselines: MSE after rounding to 256 levels over that without.

    python recipes/benchmarks/quantisation.py

Image inpainting is often run on 8-bit images. Each frame's field is rounded to 256 levels between
its lowest and highest observed value before it is filled, and compared with the fill of the field
itself. Pixels are missing, the same in all frames of a sample.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from _report import arguments, save, table

from xdiffimpute.datasets import DATASETS
from xdiffimpute.masks import MASKS


def rounded(gappy: xr.Dataset) -> xr.Dataset:
    """256 levels in each frame."""
    low, high = gappy.min(("y", "x")), gappy.max(("y", "x"))
    step = (high - low) / 255
    return ((gappy - low) / step).round() * step + low


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--frames", type=int, default=6)
    options = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    for dataset in ("turbulence", "shallow_water", "advection"):
        truth = DATASETS.create(
            dataset, samples=options.samples, frames=options.frames, shape=(32, 32),
            seed=options.seed,
        ).open()  # fmt: skip
        for share in (0.8, 0.6, 0.2):
            rng = np.random.default_rng(options.seed)
            pattern = MASKS.create("pixel", ratio=share, static=True)
            full = np.ones((1, options.frames, 32, 32), bool)
            seen = np.stack([pattern(full, rng)[0] for _ in range(options.samples)])
            gappy = truth.where(xr.DataArray(seen, dims=("sample", "time", "y", "x")))
            row = results.setdefault(f"{dataset} {share:.0%}", {})
            for method in ("telea", "navier_stokes"):
                errors = [
                    sum(
                        float(((fill[n] - truth[n]) ** 2).mean() / truth[n].var())
                        for n in truth.data_vars
                    )
                    for fill in (
                        gappy.impute.fill(method),
                        rounded(gappy).impute.fill(method),
                    )
                ]
                row[method] = errors[0] / len(truth.data_vars)
                row[f"{method}, 8 bits"] = errors[1] / len(truth.data_vars)
                row[f"{method} ratio"] = errors[1] / errors[0]
    table(results, "MSE over all cells, over the variance; and the ratio of 8 bits to none")
    save(options.json, "quantisation", options, results)


if __name__ == "__main__":
    main()
