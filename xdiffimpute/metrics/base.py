"""What every metric is: from a filled dataset and the truth to numbers, lazily."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable
from typing import TypeAlias

import xarray as xr

from ..exceptions import DataError

__all__ = ["Dims", "Metric", "Pointwise", "answered", "common", "selected", "with_units"]

Dims: TypeAlias = str | Collection[Hashable] | None
SUFFIXES = ("_standard_error", "_imputation_flag")


class Metric(ABC):
    """Base of all metrics.

    A cell that counts, whose truth is known and that the fill left empty, makes the result NaN: a
    score over what a method chose to answer would not compare. ``where=filled[...].notnull()``
    asks for that score all the same.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> from xdiffimpute.metrics import METRICS
    >>> ds, truth = xdi.example(), xdi.example(complete=True)
    >>> filled = ds.impute.fill("nearest")
    >>> by_day = METRICS.create("rmse")(filled, truth, where=ds.isnull(), dim=["lat", "lon"])
    >>> by_day["sst"].dims, by_day["sst"].attrs
    (('time',), {'units': 'degC'})
    """

    @abstractmethod
    def __call__(
        self,
        filled: xr.Dataset,
        truth: xr.Dataset,
        *,
        where: xr.Dataset | xr.DataArray | None = None,
        dim: Dims = None,
    ) -> xr.Dataset:
        """Compare.

        Parameters
        ----------
        filled : Dataset
            As ``ds.impute.fill`` returns it; lazy or not.
        truth : Dataset
            The same variables, complete.
        where : bool Dataset or DataArray, optional
            Cells to count, such as ``gappy.isnull()`` for the hidden ones; default: all.
        dim : str or collection of str, optional
            Dimensions to average over; default: all.

        Returns
        -------
        Dataset
            One number (or array over the other dims) for each variable; lazy if the input is.

        Raises
        ------
        DataError
            If the two have no variable in common, or lack what the metric needs.
        """


class Pointwise(Metric):
    """A mean over the errors of single cells."""

    def __call__(
        self,
        filled: xr.Dataset,
        truth: xr.Dataset,
        *,
        where: xr.Dataset | xr.DataArray | None = None,
        dim: Dims = None,
    ) -> xr.Dataset:
        out = {}
        for name in common(filled, truth):
            error = selected(filled[name] - truth[name], where)
            score = self.score(error, truth[name], dim)
            out[name] = answered(score, error, truth[name], where, dim)
        return xr.Dataset(out)

    @abstractmethod
    def score(self, error: xr.DataArray, truth: xr.DataArray, dim: Dims) -> xr.DataArray:
        """The mean over ``dim`` of a function of filled minus true, NaN where not counted."""


def common(filled: xr.Dataset, truth: xr.Dataset) -> list[str]:
    """Variables that both have, ancillary ones left out.

    Raises
    ------
    DataError
        If there are none.
    """
    names = [
        str(name)
        for name in truth.data_vars
        if name in filled.data_vars and not str(name).endswith(SUFFIXES)
    ]
    if not names:
        raise DataError(
            f"the filled data have {sorted(map(str, filled.data_vars))} and the truth has "
            f"{sorted(map(str, truth.data_vars))}: no variable in common; rename one with "
            "ds.rename(...)"
        )
    return names


def answered(
    score: xr.DataArray,
    values: xr.DataArray,
    truth: xr.DataArray,
    where: xr.Dataset | xr.DataArray | None,
    dim: Dims,
) -> xr.DataArray:
    """The score, NaN where ``values`` lack a cell that counts and whose truth is known."""
    lacking = selected((values.isnull() & truth.notnull()).rename(truth.name), where)
    return score.where(lacking.fillna(False).sum(dim) == 0)


def selected(values: xr.DataArray, where: xr.Dataset | xr.DataArray | None) -> xr.DataArray:
    """Values where they count, NaN elsewhere."""
    if where is None:
        return values
    mask = where[values.name] if isinstance(where, xr.Dataset) else where
    return values.where(mask)


def with_units(score: xr.DataArray, like: xr.DataArray | None = None) -> xr.DataArray:
    """The score with the units of ``like`` and no other attribute: it is no longer a field."""
    units = {} if like is None else {k: v for k, v in like.attrs.items() if k == "units"}
    return score.drop_attrs(deep=False).assign_attrs(units)
