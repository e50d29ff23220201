"""Data with permanent gaps: what is hidden of a sample is hidden for good, in all its frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from recipes.paper.table import Column, Data, Gaps
from xdiffimpute.datasets import DATASETS
from xdiffimpute.exceptions import ImputeError
from xdiffimpute.masks import MASKS
from xdiffimpute.metrics import METRICS

__all__ = ["Case", "hide"]


@dataclass(frozen=True)
class Case:
    """Samples to learn from and others to be filled, all gappy, and the truth of the latter."""

    train: xr.Dataset
    test: xr.Dataset
    truth: xr.Dataset
    column: Column

    @classmethod
    def make(cls, column: Column, data: Data, seed: int, era5: str | None = None) -> Case:
        """Simulate (or open) and hide."""
        full = _open(column, data, seed, era5)
        count = min(data.test, full.sizes["sample"] // 4)
        gappy = hide(full, column.gaps, seed)
        return cls(
            train=gappy.isel(sample=slice(count, None)),
            test=gappy.isel(sample=slice(0, count)),
            truth=full.isel(sample=slice(0, count)),
            column=column,
        )

    def tested_on(self, gaps: Gaps | None, seed: int) -> xr.Dataset:
        """The test samples, with other gaps if there are any."""
        return self.test if gaps is None else hide(self.truth, gaps, seed)

    def judge(self, filled: xr.Dataset) -> float:
        """The column's metric, one number."""
        if self.column.metric != "nmse":
            score = METRICS.create(self.column.metric)(filled, self.truth)
            return float(score[self.column.metric])
        error = METRICS.create("mse")(filled, self.truth)
        parts = [float(error[n]) / float(self.truth[n].var()) for n in error.data_vars]
        return float(np.mean(parts))


def hide(full: xr.Dataset, gaps: Gaps, seed: int) -> xr.Dataset:
    """The same cells of all variables and frames of a sample are missing."""
    rng = np.random.default_rng([seed, 77])
    dims = next(iter(full.data_vars.values())).dims
    count, _, *shape = (full.sizes[d] for d in dims)
    options = {"ratio": gaps.ratio} if gaps.pattern == "pixel" else {"kept": gaps.kept}
    pattern = MASKS.create(gaps.pattern, **options)
    seen = np.stack([pattern(np.ones((1, 1, *shape), bool), rng)[0, 0] for _ in range(count)])
    return full.where(xr.DataArray(seen, dims=(dims[0], *dims[2:])))


def _open(column: Column, data: Data, seed: int, era5: str | None) -> xr.Dataset:
    if column.dataset != "era5":
        return DATASETS.create(
            column.dataset, samples=data.train + data.test, shape=data.shape,
            frames=data.frames, seed=seed,
        ).open()  # fmt: skip
    if era5 is None:
        raise ImputeError(
            f"column {column.name!r} needs ERA5 data: pass --era5 PATH, a netCDF file or zarr "
            "store with dims (time, latitude, longitude); other columns are run without it"
        )
    return DATASETS.create("era5", path=era5, window=data.frames, shape=data.shape).open().load()
