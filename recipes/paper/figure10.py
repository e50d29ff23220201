"""The failure that Figures 1 and 10 predict, as a picture.

    python -m recipes.paper.figure10 --out docs/figure10.png

Seven of nine blocks are observed. Split by single pixels, a cell deep inside a gap is never queried
for a context like the one it is filled from; its fill is arbitrary (Theorem 1). Split by blocks,
every cell is. Both networks have the same data and steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xarray as xr

from recipes.paper.cases import hide
from recipes.paper.table import Gaps
from xdiffimpute.datasets import DATASETS
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.masks import MASKS

KEPT = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("figure10.png"))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    full = DATASETS.create(
        "advection", samples=options.samples + 8, shape=(24, 24), frames=4, seed=options.seed
    ).open()
    gaps = Gaps(pattern="block", kept=KEPT)
    gappy = hide(full, gaps, options.seed)
    train, test, truth = (
        ds.isel(sample=part)
        for ds, part in ((gappy, slice(8, None)), (gappy, slice(0, 8)), (full, slice(0, 8)))
    )
    where = xr.ones_like(truth["c"].isel(sample=0, time=0, drop=True), dtype=bool)
    fills = {}
    for label, pattern in (
        ("pixels (wrong)", MASKS.create("pixel", static=True)),
        ("blocks (right)", MASKS.create("block", static=True)),
    ):
        imputer = DiffusionImputer(
            method="paper", partition=pattern, steps=options.steps, batch=8, window=4,
            seed=options.seed, progress=True,
        ).fit(train)  # fmt: skip
        fills[label] = imputer.fill(test, where=where)["c"]
        hidden = test["c"].isnull()
        error = float((((fills[label] - truth["c"]) ** 2).where(hidden)).mean()) ** 0.5
        print(f"{label}: RMSE at hidden cells {error:.3f}, of a field with spread "
              f"{float(truth['c'].std()):.3f}")  # fmt: skip
    draw(options.out, truth["c"], test["c"], fills)


def draw(path: Path, truth: xr.DataArray, gappy: xr.DataArray, fills: dict[str, xr.DataArray]):
    """Three samples: truth, gaps, and the two fills."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = {"truth": truth, "observed": gappy} | {f"split by {k}": v for k, v in fills.items()}
    limit = float(np.abs(truth).quantile(0.99))
    figure, axes = plt.subplots(3, len(panels), figsize=(2.4 * len(panels), 7), squeeze=False)
    for row, sample in zip(axes, range(3), strict=True):
        for axis, (title, field) in zip(row, panels.items(), strict=True):
            image = axis.imshow(
                field.isel(sample=sample, time=1), cmap="RdBu_r", vmin=-limit, vmax=limit,
                origin="lower",
            )  # fmt: skip
            axis.set_facecolor("0.7")
            axis.set_xticks([]), axis.set_yticks([])
            if sample == 0:
                axis.set_title(title, fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.5, label="concentration anomaly")
    figure.savefig(path, dpi=130, bbox_inches="tight")


if __name__ == "__main__":
    main()
