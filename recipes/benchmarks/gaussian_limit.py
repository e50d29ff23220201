"""Gaussian fields with known covariance: MSE at hidden cells over that of the exact answer.

    python recipes/benchmarks/gaussian_limit.py --minutes 5

Fields of 32 x 32 cells; 30% of the pixels, or 5 of 9 blocks, observed. The exact answer is
the conditional mean under the true covariance, which no method can beat on average.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from _report import arguments, save, table

from xdiffimpute.datasets import DATASETS
from xdiffimpute.masks import MASKS

PATTERNS = {
    "pixel 30%": ("pixel", {"ratio": 0.3}),
    "5 of 9 blocks": ("block", {"grid": (3, 3), "kept": 5}),
}


def exact(source: object, truth: np.ndarray, observed: np.ndarray) -> float:
    """MSE of the conditional mean at the hidden cells."""
    errors = []
    for field, seen in zip(truth, observed, strict=True):
        mean, _ = source.posterior(field, seen)
        errors.append((mean - field)[~seen])
    return float(np.mean(np.concatenate(errors) ** 2))


def main() -> None:
    parser = arguments(__doc__, minutes=5.0)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--smoothness", type=float, default=2.5, help="Matern nu")
    parser.add_argument("--length", type=float, default=6.0, help="length scale in cells")
    options = parser.parse_args()
    source = DATASETS.create(
        "gaussian_field", samples=options.samples + options.test, shape=(32, 32),
        length=options.length, smoothness=options.smoothness, seed=options.seed,
    )  # fmt: skip
    ds = source.open()
    name = next(iter(ds.data_vars))
    values = ds[name].values
    results: dict[str, dict[str, float]] = {}
    for label, (pattern, settings) in PATTERNS.items():
        rng = np.random.default_rng(options.seed + 1)
        full = np.ones((1, *values.shape), dtype=bool)
        observed = MASKS.create(pattern, **settings)(full, rng)[0]
        gappy = ds.assign({name: ds[name].where(xr.DataArray(observed, dims=ds[name].dims))})
        train = gappy.isel(sample=slice(0, options.samples))
        test = gappy.isel(sample=slice(options.samples, None))
        truth, seen = values[options.samples :], observed[options.samples :]
        bayes = exact(source, truth, seen)
        imputer = train.impute.fit(
            max_time=60 * options.minutes, seed=options.seed, statistics="variable"
        )
        results[label] = {"Bayes MSE": bayes, "steps": imputer.fitted.history.steps}
        for sampler in ("single_pass", "ensemble"):
            filled = test.impute.fill(imputer, sampler=sampler)[name].values
            results[label][f"{sampler}/Bayes"] = float(
                np.mean((filled - truth)[~seen] ** 2) / bayes
            )
    table(results, "MSE at hidden cells of fields not trained on, over the exact minimum")
    save(options.json, "gaussian_limit", options, results)


if __name__ == "__main__":
    main()
