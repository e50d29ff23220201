"""Skill at withheld observations, in the units of each variable.

Any imputer is scored the same way: the withheld cells are taken out, the data are filled,
and what comes back at those cells is compared with what was taken out.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import dask
import numpy as np
import xarray as xr

from ._typing import BoolArray, FloatArray
from .baselines import BASELINES, Baseline
from .fields import FieldSpec
from .imputer import Imputer
from .withholding import Withheld

__all__ = ["METRICS", "describe", "score", "skill_lines", "skill_table", "thinned"]

log = logging.getLogger("xdiffimpute")

Run: TypeAlias = tuple[int, int, int, BoolArray]

REFERENCES = ("climatology", "linear")
METRICS = ("rmse", "mae", "bias", "cells")


def thinned(ds: xr.Dataset, spec: FieldSpec, withheld: Withheld) -> xr.Dataset:
    """The dataset without the withheld cells; lazy if the input is."""
    return ds.assign(spec.unpack(withheld.remove(spec.pack(ds)), like=ds))


def score(imputer: Imputer, ds: xr.Dataset, spec: FieldSpec, withheld: Withheld) -> xr.Dataset:
    """Skill of an imputer beside that of climatology and linear interpolation.

    A baseline is fitted on the data without the withheld cells; a network must not have seen
    them.

    Parameters
    ----------
    imputer : Imputer
    ds : Dataset
    spec : FieldSpec
    withheld : Withheld

    Returns
    -------
    Dataset
        See :func:`skill_table`.
    """
    fills: dict[str, Callable[[xr.Dataset], xr.Dataset]] = {}
    for method in (imputer, *(BASELINES.create(name) for name in REFERENCES)):
        if method.name not in fills:
            fills[method.name] = (
                _refit(method, spec) if isinstance(method, Baseline) else method.fill
            )
    with _quiet():
        return skill_table(ds, spec, withheld, fills)


@contextmanager
def _quiet() -> Iterator[None]:
    """Baselines fitted for comparison say nothing: nobody asked for them."""
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _refit(baseline: Baseline, spec: FieldSpec) -> Callable[[xr.Dataset], xr.Dataset]:
    def fill(gappy: xr.Dataset) -> xr.Dataset:
        axes = spec.axes
        extra = dict.fromkeys(spec.channel_dims, "channels") | dict.fromkeys(
            spec.series_dims, "series"
        )
        names = [v.name for v in spec.variables]
        apart = copy.copy(baseline).fit(  # what the caller has fitted stays as it is
            gappy, variables=names, time=axes.time, y=axes.y, x=axes.x, extra_dims=extra or "series"
        )
        everywhere = xr.DataArray(np.ones(spec.shape, dtype=bool), dims=(axes.y, axes.x))
        return apart.fill(gappy, where=everywhere)

    return fill


def skill_lines(skill: xr.Dataset) -> str:
    """The root mean square errors as a table of text."""
    methods = [str(m) for m in skill["imputer"].values]
    rows = [f"{'RMSE at withheld observations':32s}" + "".join(f"{m:>14s}" for m in methods)]
    for name, table in skill.data_vars.items():
        units = table.attrs.get("units", "")
        label = f"{name} ({units})" if units else str(name)
        rmse = table.sel(metric="rmse").values
        rows.append(f"{label:32s}" + "".join(f"{v:14.4g}" for v in rmse))
    return "\n".join(rows)


def describe(skill: xr.Dataset) -> str:
    """Log and return the table; say loudly where the first method does not beat all others."""
    methods = [str(m) for m in skill["imputer"].values]
    lost: list[str] = []
    for name, table in skill.data_vars.items():
        rmse = table.sel(metric="rmse").values
        others = np.where(np.isfinite(rmse[1:]), rmse[1:], np.inf)
        if others.size and np.isfinite(others).any() and not rmse[0] < others.min():
            lost.append(f"{name}: {methods[1 + int(np.argmin(others))]} is better")
    text = skill_lines(skill)
    log.info("%s", text)
    if lost:
        log.warning(
            "THE NETWORK DOES NOT BEAT THE SIMPLE METHODS (%s). Try a longer max_time, a wider "
            "window, a larger size, another partition (see ds.impute.exposure()), or fill with "
            "that method, or with 'biharmonic' or 'thin_plate'.",
            "; ".join(lost),
        )
    return text


def skill_table(
    ds: xr.Dataset,
    spec: FieldSpec,
    withheld: Withheld,
    fills: Mapping[str, Callable[[xr.Dataset], xr.Dataset]],
) -> xr.Dataset:
    """Score several ways of filling at the same withheld cells.

    Parameters
    ----------
    ds : Dataset
        With the withheld cells still in it.
    spec : FieldSpec
    withheld : Withheld
    fills : mapping of str to callable
        Each from a gappy Dataset to a filled one.

    Returns
    -------
    Dataset
        One variable for each variable of ``spec``, dims (imputer, metric): RMSE, mean absolute
        error and bias in the variable's units, and the number of cells, those that every
        method fills.
    """
    truth = spec.pack(ds)
    gappy = thinned(ds.chunk(), spec, withheld)
    names = [channel.variable for channel in spec.channels]
    out: dict[str, FloatArray] = {
        v.name: np.full((len(fills), len(METRICS)), np.nan) for v in spec.variables
    }
    runs = _runs(withheld)
    if not runs:
        log.warning("no observation could be withheld: there is no skill to report")
    pieces: list[dict[str, list[FloatArray]]] = []
    right = _cut(truth, runs)
    for fill in fills.values():
        errors: dict[str, list[FloatArray]] = {v.name: [] for v in spec.variables}
        guesses = _cut(spec.pack(fill(gappy)), runs)
        for guess, known, (_, _, _, masks) in zip(guesses, right, runs, strict=True):
            for c, name in enumerate(names):
                errors[name].append((guess - known)[:, c][masks[:, c]])
        pieces.append(errors)
    for name in out:
        every = [np.concatenate([np.empty(0), *errors[name]]) for errors in pieces]
        answered: BoolArray = np.all([np.isfinite(error) for error in every], axis=0)
        for k, error in enumerate(every):
            fine = error[answered]
            if fine.size:
                out[name][k] = (
                    np.sqrt(np.mean(fine**2)), np.abs(fine).mean(), fine.mean(), fine.size,
                )  # fmt: skip
    units = {v.name: v.units for v in spec.variables}
    coords = {"imputer": list(fills), "metric": list(METRICS)}
    return xr.Dataset(
        {
            name: (("imputer", "metric"), table, {"units": units[name]} if units[name] else {})
            for name, table in out.items()
        },
        coords=coords,
        attrs={"comment": "errors at observations withheld in the shape of the data's own gaps"},
    )


def _cut(packed: xr.DataArray, runs: list[Run]) -> list[FloatArray]:
    """Frames of each run, (n, C, H, W) in float64, in one computation."""
    lazy = [packed.isel(series=s, time=slice(a, b)) for s, a, b, _ in runs]
    return [np.asarray(piece.values, dtype=np.float64) for piece in dask.compute(*lazy)]


def _runs(withheld: Withheld) -> list[Run]:
    """Consecutive frames of one series together: (series, start, stop, masks)."""
    order = np.lexsort((withheld.time, withheld.series))
    runs: list[tuple[int, int, int, list[int]]] = []
    for k in order:
        s, t = int(withheld.series[k]), int(withheld.time[k])
        if runs and runs[-1][0] == s and runs[-1][2] == t:
            runs[-1] = (s, runs[-1][1], t + 1, [*runs[-1][3], int(k)])
        else:
            runs.append((s, t, t + 1, [int(k)]))
    return [(s, a, b, withheld.masks[index]) for s, a, b, index in runs]
