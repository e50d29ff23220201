"""Skill at withheld observations, in the units of each variable.

Any imputer is scored the same way: the withheld cells are taken out, the data are filled,
and what comes back at those cells is compared with what was taken out.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import xarray as xr

from ._typing import BoolArray
from .baselines import BASELINES, Baseline
from .breakdown import breakdown
from .fields import FieldSpec
from .imputer import Imputer
from .residuals import METRICS, Residuals, residuals
from .withholding import Withheld

__all__ = ["compare", "describe", "filling", "quiet", "skill_lines", "skill_table"]

log = logging.getLogger("xdiffimpute")

REFERENCES = ("climatology", "linear")
SMALL = 64 * 2**20  # bytes


def compare(
    imputer: Imputer,
    ds: xr.Dataset,
    spec: FieldSpec,
    withheld: Withheld,
    domain: BoolArray,
    fill: Callable[[xr.Dataset], xr.Dataset] | None = None,
) -> Residuals:
    """Errors of an imputer beside those of climatology and linear interpolation.

    A baseline is fitted on the data without the withheld cells; a network must not have seen
    them.

    Parameters
    ----------
    imputer : Imputer
    ds : Dataset
    spec : FieldSpec
    withheld : Withheld
    domain : bool array, shape (C, H, W)
        Cells observed at least once.
    fill : callable, optional
        How the imputer fills; default: as :func:`filling` says.

    Returns
    -------
    Residuals
    """
    fills: dict[str, Callable[[xr.Dataset], xr.Dataset]] = {}
    if fill is not None:
        fills[imputer.name] = fill
    for method in (imputer, *(BASELINES.create(name) for name in REFERENCES)):
        fills.setdefault(method.name, filling(method, spec))
    log.info(
        "%d observations are withheld and filled by %s",
        sum(int(mask.sum()) for mask in withheld.masks), ", ".join(fills),
    )  # fmt: skip
    if not withheld.cells:
        log.warning(
            "no observation can be withheld in the shape of these data's gaps, so there is no "
            "skill to report; give a longer record, or hide cells yourself"
        )
    with quiet():
        return residuals(ds, spec, withheld, fills, domain)


@contextmanager
def quiet() -> Iterator[None]:
    """Baselines fitted for comparison say nothing: nobody asked for them."""
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def filling(imputer: Imputer, spec: FieldSpec) -> Callable[[xr.Dataset], xr.Dataset]:
    """How an imputer fills data of which observations are withheld.

    Parameters
    ----------
    imputer : Imputer
        A baseline is fitted anew on what is left, everywhere; a network is used as it is.
    spec : FieldSpec

    Returns
    -------
    callable
        From a gappy Dataset to a filled one.
    """
    return _refit(imputer, spec) if isinstance(imputer, Baseline) else imputer.fill


def _refit(baseline: Baseline, spec: FieldSpec) -> Callable[[xr.Dataset], xr.Dataset]:
    def fill(gappy: xr.Dataset) -> xr.Dataset:
        axes = spec.axes
        # What the caller has fitted stays as it is.
        known = gappy.compute() if gappy.nbytes <= SMALL else gappy  # a fit passes over it often
        apart = copy.copy(baseline).fit(known, **spec.layout)
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
    unknown = [n for n, t in skill.data_vars.items() if not t.sel(metric="cells").values.any()]
    if unknown:
        log.warning(
            "no observation of %s could be withheld: nothing tells how good its fill is, and its "
            "standard error is not calibrated", ", ".join(map(str, unknown)),
        )  # fmt: skip
    if lost:
        log.warning(
            "THE NETWORK DOES NOT BEAT THE SIMPLE METHODS (%s). Try a longer max_time, a wider "
            "window, a larger size, another partition (see ds.impute.exposure()), or fill with "
            "that method.",
            "; ".join(lost),
        )
    return text


def skill_table(found: Residuals, by: str | None = None) -> xr.Dataset:
    """Errors as a table.

    Parameters
    ----------
    found : Residuals
    by : {"distance", "gap_size"}, optional
        Sort the cells (:mod:`xdiffimpute.breakdown`); default: all of them together.

    Returns
    -------
    Dataset
        One variable for each variable of the data, dims (imputer, metric) or
        (imputer, metric, by): RMSE, mean absolute error and bias in the variable's units, and
        the number of cells, those that every method fills.

    Raises
    ------
    UnknownNameError
        If ``by`` is another word.
    """
    if by is not None:
        return breakdown(found, by)
    return xr.Dataset(
        {
            v.name: (
                ("imputer", "metric"),
                found.table(v.name),
                {"units": v.units} if v.units else {},
            )
            for v in found.spec.filled
        },
        coords={"imputer": list(found.methods), "metric": list(METRICS)},
        attrs={"comment": "errors at observations withheld in the shape of the data's own gaps"},
    )
