"""Skill as text and as JSON, for standard output."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["as_dict", "as_table"]


def as_dict(skill: xr.Dataset) -> dict[str, Any]:
    """Units and numbers by variable, method and metric; None where there is none.

    Parameters
    ----------
    skill : Dataset
        From ``ds.impute.score``.

    Returns
    -------
    dict
        As JSON can hold it.

    Examples
    --------
    >>> import xarray as xr
    >>> coords = {"imputer": ["linear"], "metric": ["rmse", "bias"]}
    >>> table = xr.DataArray([[0.5, float("nan")]], coords, attrs={"units": "degC"})
    >>> as_dict(table.to_dataset(name="sst"))
    {'sst': {'units': 'degC', 'methods': {'linear': {'rmse': 0.5, 'bias': None}}}}
    """
    out: dict[str, Any] = {}
    for name, table in skill.data_vars.items():
        rows = {
            str(method): {
                str(metric): None if math.isnan(value := float(cell)) else value
                for metric, cell in zip(skill["metric"].values, row, strict=True)
            }
            for method, row in zip(skill["imputer"].values, table.values, strict=True)
        }
        out[str(name)] = {"units": table.attrs.get("units"), "methods": rows}
    return out


def as_table(skill: xr.Dataset) -> str:
    """Skill as text: a block for each variable, a line for each method.

    Parameters
    ----------
    skill : Dataset
        From ``ds.impute.score``.

    Returns
    -------
    str

    Examples
    --------
    >>> import xarray as xr
    >>> coords = {"imputer": ["linear"], "metric": ["rmse", "bias"]}
    >>> table = xr.DataArray([[0.5, float("nan")]], coords, attrs={"units": "degC"})
    >>> print(as_table(table.to_dataset(name="sst")))
    sst [degC]
                                  rmse        bias
      linear                       0.5           -
    """
    lines: list[str] = []
    for name, entry in as_dict(skill).items():
        lines.append(f"{name} [{entry['units']}]" if entry["units"] else name)
        metrics = [str(metric) for metric in skill["metric"].values]
        lines.append("  " + " " * 20 + "".join(f"{metric:>12}" for metric in metrics))
        for method, row in entry["methods"].items():
            cells = ("-" if row[m] is None else f"{row[m]:.5g}" for m in metrics)
            lines.append(f"  {method:<20}" + "".join(f"{cell:>12}" for cell in cells))
    return "\n".join(lines)
