"""A case with one seed: what a method is shown, and apart from it what it is judged by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xarray as xr

from recipes.benchmarks.accuracy.family import Case
from recipes.benchmarks.accuracy.gaps import hidden_cells
from recipes.benchmarks.accuracy.gaussian import Gaussian
from recipes.benchmarks.accuracy.measures import measure
from recipes.benchmarks.accuracy.sources import open_complete

__all__ = ["Shown", "Trial", "make_trial"]


@dataclass(frozen=True)
class Shown:
    """All that a method sees.

    Parameters
    ----------
    learned : Dataset
        With gaps; what is fitted on.
    filled : Dataset
        With gaps; what is filled.
    where : DataArray of bool
        Cells to fill, dims (y, x): all that are not land.
    """

    learned: xr.Dataset
    filled: xr.Dataset
    where: xr.DataArray


@dataclass(frozen=True)
class Trial:
    """What is shown and what is not: the truth, and which of its cells are hidden."""

    shown: Shown
    truth: xr.Dataset
    hidden: xr.Dataset
    gaussian: Gaussian | None

    def judge(self, filled: xr.Dataset) -> dict[str, Any]:
        """Errors and uncertainty of a fill at the hidden cells."""
        return measure(filled, self.truth, self.hidden)

    @cached_property
    def exact(self) -> dict[str, Any] | None:
        """The same of the exact answer, where it is known: no method is better on average."""
        if self.gaussian is None:
            return None
        return self.judge(self.gaussian.answer(self.shown.filled))


def make_trial(case: Case, seed: int, folder: Path | None = None) -> Trial:
    """Draw or open the data of a case, and hide.

    Raises
    ------
    Absent
        If a file is not there.
    """
    complete = open_complete(case.family.data, folder, seed)
    fields = complete.fields
    hidden = hidden_cells(fields, case.gaps.hide, folder, seed)
    gappy = fields.where(~hidden)
    first = fields[next(iter(fields.data_vars))]
    ever = fields.notnull().any(first.dims[:-2]).to_dataarray().any("variable")
    last = {first.dims[0]: slice(-case.family.judged, None)}
    rest = {first.dims[0]: slice(None, -case.family.judged)}
    learned = gappy.isel(rest) if "sample" in fields.dims else gappy
    shown = Shown(learned, gappy.isel(last), ever)
    return Trial(shown, fields.isel(last), hidden.isel(last), complete.gaussian)
