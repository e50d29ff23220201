"""Members of a fill against the truth: ranks, CRPS, and the error of regional means.

    python recipes/benchmarks/members.py
    python recipes/benchmarks/members.py --picture docs/figures/ranks.png

Gaussian fields of 32 x 32 cells, with 30% of the pixels and with 5 of 9 blocks observed; of a
hundred samples that were not trained on, 19 members each. A rank histogram of 20 ranks is level at
0.05. The regional mean is that of a sample's hidden cells: its error is right only if members go
together in space as errors do.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from _report import arguments, save, table

from xdiffimpute.datasets import DATASETS
from xdiffimpute.masks import MASKS
from xdiffimpute.metrics import METRICS

MEMBERS, SIDE = 19, 32
PATTERNS = {
    "30% of the pixels": MASKS.create("pixel", ratio=0.3),
    "5 of 9 blocks": MASKS.create("block", grid=(3, 3), kept=5),
}


def main() -> None:
    parser = arguments(__doc__, minutes=1.0)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--test", type=int, default=100)
    parser.add_argument("--picture", type=Path, help="a PNG of the rank histograms")
    options = parser.parse_args()
    truth = DATASETS.create(
        "gaussian_field", samples=options.samples + options.test, shape=(SIDE, SIDE), length=6.0,
        seed=options.seed,
    ).open()  # fmt: skip
    results, ranks = {}, {}
    for label, pattern in PATTERNS.items():
        rng = np.random.default_rng(options.seed)
        full = np.ones((1, 1, SIDE, SIDE), dtype=bool)
        seen = np.stack([pattern(full, rng)[0, 0] for _ in range(truth.sizes["sample"])])
        gappy = truth.where(xr.DataArray(seen, dims=("sample", "y", "x")))
        last = {"sample": slice(options.samples, None)}
        imputer = gappy.isel(sample=slice(0, options.samples)).impute.fit(
            max_time=60 * options.minutes, seed=options.seed
        )
        row, ranks[label] = judged(gappy.isel(last), truth.isel(last), imputer)
        results[label] = row | {f"rank {k}": v for k, v in enumerate(ranks[label])}
        table({label: row}, "members against the truth")
    if options.picture:
        draw(ranks, options.picture)
    save(options.json, "members", options, results)


def judged(test: xr.Dataset, truth: xr.Dataset, imputer: object) -> tuple[dict, np.ndarray]:
    """Figures of a case, and the shares of the ranks."""
    mean = test.impute.fill(imputer, progress=False)
    drawn = test.impute.fill(imputer, members=MEMBERS, progress=False)
    name = next(iter(truth.data_vars))
    hidden = test[name].isnull()
    scores = {
        key: float(METRICS.create(key)(fill, truth[[name]], where=hidden)[name])
        for key, fill in (("crps", drawn[[name]]), ("spread", drawn[[name]]))
    }
    normal = float(METRICS.create("crps")(mean, truth[[name]], where=hidden)[name])
    ranks = METRICS.create("rank_histogram")(drawn[[name]], truth[[name]], where=hidden)[name]
    error = float(METRICS.create("rmse")(mean, truth[[name]], where=hidden)[name])
    over = [d for d in truth[name].dims if d != "sample"]
    wrong = (mean[name] - truth[name]).where(hidden).mean(over)
    regional = drawn[name].where(hidden).mean(over).var("realization", ddof=1)
    alone = (mean[f"{name}_standard_error"] ** 2).where(hidden).sum(over) / hidden.sum(over) ** 2
    size = float((wrong**2).mean())
    shares = ranks.values
    return {
        "RMSE": error,
        "spread / error": scores["spread"] / error,
        "CRPS of members / of the normal": scores["crps"] / normal,
        "largest share of a rank x 20": float(shares.max() * len(shares)),
        "least": float(shares.min() * len(shares)),
        "regional mean: spread / error": float(np.sqrt(regional.mean() / size)),
        "the same, were errors independent": float(np.sqrt(alone.mean() / size)),
    }, shares


def draw(ranks: dict[str, np.ndarray], path: Path) -> None:
    """A panel for each case."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(ranks), figsize=(7, 2.6), sharey=True, layout="constrained")
    for panel, (label, shares) in zip(np.atleast_1d(axes), ranks.items(), strict=True):
        panel.bar(np.arange(len(shares)), shares * len(shares), width=0.9)
        panel.axhline(1.0, color="black", linewidth=0.8)
        panel.set(title=label, xlabel="members below the truth")
    np.atleast_1d(axes)[0].set_ylabel("share of the cells\nover that of a level histogram")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
