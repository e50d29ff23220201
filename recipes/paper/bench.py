"""Fill every cell of a table, training each network once."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from recipes.paper.cases import Case
from recipes.paper.table import Column, Row, Run, Scale, Split, Table
from xdiffimpute.baselines import BASELINES
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.exceptions import ImputeError
from xdiffimpute.masks import MASKS
from xdiffimpute.partition import Partition
from xdiffimpute.request import sampler_settings
from xdiffimpute.samplers import SAMPLERS

__all__ = ["Bench"]

log = logging.getLogger("xdiffimpute.paper")

CHECKS = 4  # looks at the withheld observations in a training


@dataclass
class Bench:
    """Runs tables at one scale with one seed.

    Parameters
    ----------
    scale : Scale
    seed : int
    era5 : str, optional
        Where ERA5 columns take their data from.
    device : str, optional
    """

    scale: Scale
    seed: int
    era5: str | None = None
    device: str | None = None
    cases: dict[str, Case] = field(default_factory=dict)
    imputers: dict[str, tuple[DiffusionImputer, float]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def timed(self, table: Table) -> tuple[dict[str, dict[str, Any]], float]:
        """Results, and the seconds they take with the training of every network in the table."""
        before, start = set(self.imputers), time.perf_counter()
        self.used = set()
        cells = self.run(table)
        shared = sum(self.imputers[key][1] for key in self.used & before)
        return cells, time.perf_counter() - start + shared

    def run(self, table: Table) -> dict[str, dict[str, Any]]:
        """Results by column and row."""
        cells: dict[str, dict[str, Any]] = {}
        for column in table.columns:
            try:
                case = self._case(column)
            except ImputeError as error:
                log.warning("%s", error)
                continue
            cells[column.name] = {}
            for row in table.rows:
                cell = self._cell(column, row, case)
                cells[column.name][row.name] = cell
                log.info(
                    "%s, %s: %.5g (%s)", column.name, row.name, cell["value"] / column.unit,
                    cell["by"],
                )  # fmt: skip
        return cells

    def fills(self, column: Column, rows: Sequence[Row]) -> tuple[Case, dict[str, xr.Dataset]]:
        """The case of a column, and each row's fill of its test samples, by its first sampler."""
        case = self._case(column)
        fills = {}
        for row in rows:
            if row.baseline is not None:
                fills[row.name] = self._baseline(row.baseline, case, case.test)
            else:
                imputer, _ = self._imputer(column, row, case)
                fills[row.name] = self._fill(imputer, row.samplers[0], case.test)
        return case, fills

    def describe_era5(self) -> str | None:
        """Which ERA5 data were used, if any."""
        for key, case in self.cases.items():
            if key.startswith("era5 "):
                count = case.train.sizes["sample"] + case.test.sizes["sample"]
                sizes = " x ".join(str(n) for n in list(case.train.sizes.values())[1:])
                return f"{', '.join(map(str, case.train.data_vars))}: {count} windows of {sizes}"
        return None

    def _case(self, column: Column) -> Case:
        key = f"{column.dataset} {column.gaps}"
        if key not in self.cases:
            data = self.scale.data[column.dataset]
            self.cases[key] = Case.make(column, data, self.seed, self.era5)
        case = self.cases[key]
        return Case(case.train, case.test, case.truth, column)

    def _cell(self, column: Column, row: Row, case: Case) -> dict[str, Any]:
        gappy = case.tested_on(row.test, self.seed)
        if row.baseline is not None:
            start = time.perf_counter()
            value = case.judge(self._baseline(row.baseline, case, gappy))
            taken = time.perf_counter() - start
            return {"value": value, "by": row.baseline, "all": {row.baseline: value},
                    "seconds": {row.baseline: taken}}  # fmt: skip
        imputer, trained = self._imputer(column, row, case)
        found: dict[str, float] = {}
        seconds = {"training": trained}
        for run in row.samplers:
            label = _label(run)
            start = time.perf_counter()
            filled = self._fill(imputer, run, gappy)
            seconds[label] = time.perf_counter() - start
            found[label] = case.judge(filled)
        best = min(found, key=lambda name: found[name])
        return {"value": found[best], "by": best, "all": found, "seconds": seconds}

    def _baseline(self, name: str, case: Case, gappy: xr.Dataset) -> xr.Dataset:
        """A baseline that takes its climatology from all the gappy data, as the networks do."""
        both = xr.concat([gappy, case.train], "sample", data_vars="minimal")
        filled: xr.Dataset = BASELINES.create(name).fit(both).fill(gappy, where=_all(gappy))
        return filled

    def _fill(self, imputer: DiffusionImputer, run: Run, gappy: xr.Dataset) -> xr.Dataset:
        return imputer.fill(gappy, sampler=self._sampler(imputer, run), where=_all(gappy))

    def _imputer(self, column: Column, row: Row, case: Case) -> tuple[DiffusionImputer, float]:
        key = f"{column.dataset} {column.gaps} {row.method} {row.backbone} {row.split}"
        self.used.add(key)
        if key not in self.imputers:
            start = time.perf_counter()
            imputer = DiffusionImputer(
                method=row.method, backbone=row.backbone, partition=_partition(column, row),
                steps=self.scale.steps, batch=self.scale.batch, size=self.scale.size,
                window=case.train.sizes["time"], tile=max(self.scale.data[column.dataset].shape),
                seed=self.seed, progress=False, device=self.device, summary=False,
                training={"checks": CHECKS},
            )  # fmt: skip
            imputer.fit(case.train)
            self.imputers[key] = imputer, time.perf_counter() - start
        return self.imputers[key]

    def _sampler(self, imputer: DiffusionImputer, run: Run) -> Any:
        options = sampler_settings(imputer.fitted, run.sampler) | run.options
        if run.sampler == "multi_step":
            options.setdefault("steps", self.scale.sampling_steps)
        return SAMPLERS.create(run.sampler, **options)


def _partition(column: Column, row: Row) -> Any:
    """The data's own pattern, or what the row says."""
    split = row.split or Split()
    pattern = MASKS.create(split.pattern or column.gaps.pattern, static=True)
    if split.ratio is None:
        return pattern
    return Partition(
        pattern, ratio=split.ratio, query="observed",
        query_ratio=None if split.query_ratio in (None, 1.0) else split.query_ratio,
    )  # fmt: skip


def _label(run: Run) -> str:
    given = ", ".join(f"{k}={v}" for k, v in run.options.items())
    return f"{run.sampler}({given})" if given else run.sampler


def _all(ds: xr.Dataset) -> xr.DataArray:
    """Every cell is to be filled, also those that no sample shows."""
    first = next(iter(ds.data_vars.values()))
    return xr.ones_like(first.isel(dict.fromkeys(first.dims[:2], 0), drop=True), dtype=bool)
