"""A recipe from data to report: fetch, hide, fit, fill, score, draw.

What is hidden was observed, so errors at hidden cells are errors against the truth. Every step
leaves its result in a file before the next one begins.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .arguments import LAYOUT
from .assembly import mean_of_members
from .cds import fetch
from .datasets import DATASETS
from .exceptions import DataError, ImputeError
from .fields import FieldSpec
from .folders import prepare_folder, remove_results, write_text
from .hiding import hide
from .masks import MASKS
from .quantities import dequantify
from .recipe import Recipe
from .sources import open_store
from .stores import write_store
from .tabulation import as_dict

__all__ = ["report_lines", "run_recipe"]

log = logging.getLogger("xdiffimpute")

OURS = "xdiffimpute"
ANOTHER = "name another one with out:"
FILES = ("gappy.zarr", "model.imputer", "filled.zarr", "comparison.png", "report.json")


def run_recipe(
    recipe: Recipe, *, overwrite: bool = False, progress: bool = True, **patience: Any
) -> dict[str, Any]:
    """Follow a recipe.

    Parameters
    ----------
    recipe : Recipe
    overwrite : bool
        Replace results of an earlier run.
    progress : bool
        Show progress bars on standard error.
    **patience
        ``retry_max`` and ``sleep_max`` of :func:`xdiffimpute.cds.fetch`.

    Returns
    -------
    dict
        The report, as it is written to ``report.json``: paths, skill at withheld observations,
        and, where something was hidden, root mean square errors there.

    Raises
    ------
    OutputExistsError
        If there are results already, before anything is done.
    ImputeError
        As the steps raise it.

    Examples
    --------
    >>> from xdiffimpute.recipe import read_recipe
    >>> report = run_recipe(read_recipe("recipes/era5/t2m.yaml"))  # doctest: +SKIP
    >>> print(report_lines(report))  # doctest: +SKIP
    """
    out = Path(recipe.out)
    prepare_folder(out, FILES, overwrite=overwrite, another=ANOTHER)
    if recipe.cds is not None and recipe.store is not None:
        fetch(recipe.cds.order(), recipe.store, progress=progress, **patience)
    truth = _open(recipe)
    gappy, hidden = truth, None
    spec = _layout(truth, recipe)
    remove_results(out, FILES)  # so that all that is in the folder is of one run
    if recipe.hide is not None:
        pattern = MASKS.create(recipe.hide.pattern, **recipe.hide.options)
        gappy, hidden = hide(
            truth, pattern, variables=[v.name for v in spec.filled], seed=recipe.hide.seed,
            along="sample" if recipe.window else None,
            time=spec.axes.time, y=spec.axes.y, x=spec.axes.x,
        )  # fmt: skip
        gappy = _written(gappy, out / "gappy.zarr")
    imputer = gappy.impute.fit(progress=progress, **_arguments(recipe.fit))
    imputer.save(out / "model.imputer", overwrite=True)
    filled = gappy.impute.fill(imputer, progress=progress, **recipe.fill)
    filled = _written(filled, out / "filled.zarr")
    report: dict[str, Any] = {
        "recipe": recipe.model_dump(mode="json"),
        "data": recipe.store or recipe.path,
        "imputer": str(out / "model.imputer"),
        "filled": str(out / "filled.zarr"),
        "skill": as_dict(xr.Dataset.from_dict(imputer.fitted.skill)),
    }
    if hidden is not None:
        fills = {OURS: filled} | _compared(gappy, recipe.compare, spec)
        report["hidden"] = {name: _errors(fill, truth, hidden) for name, fill in fills.items()}
    report["picture"] = _draw(gappy, filled, truth if hidden is not None else None, recipe, spec)
    write_text(out / "report.json", json.dumps(report, indent=2) + "\n", ANOTHER)
    log.info("results are in %s", out)
    return report


def report_lines(report: dict[str, Any]) -> str:
    """A report as text.

    Parameters
    ----------
    report : dict
        From :func:`run_recipe`.

    Returns
    -------
    str

    Examples
    --------
    >>> rows = {"linear": {"rmse": 0.25}}
    >>> skill = {"sst": {"units": "degC", "methods": rows}}
    >>> print(report_lines({"skill": skill, "imputer": "a", "filled": "b", "picture": None}))
    Skill at withheld observations
      sst linear                                    0.25 degC
    a
    b
    """
    lines = ["Skill at withheld observations"]
    for name, entry in report["skill"].items():
        for method, row in entry["methods"].items():
            lines.append(_line(f"  {name} {method}", row["rmse"], entry["units"]))
    if "hidden" in report:
        lines.append("Root mean square error at the cells that were hidden")
        units = {name: entry["units"] for name, entry in report["skill"].items()}
        for method, errors in report["hidden"].items():
            for name, error in errors.items():
                line = _line(f"  {name} {method}", error["rmse"], units.get(name))
                empty = f"  ({error['empty']} of {error['cells']} left empty)"
                lines.append(line + (empty if error["empty"] else ""))
        lines += _simpler(report["hidden"])
    named = [report[key] for key in ("imputer", "filled", "picture") if report[key]]
    return "\n".join([*lines, *named])


def _simpler(hidden: dict[str, Any]) -> list[str]:
    """Says for which variables a simpler method that left nothing empty is ahead."""
    said = []
    for name, own in hidden[OURS].items():
        rows = {method: row[name] for method, row in hidden.items()}
        others = {m: r["rmse"] for m, r in rows.items() if r["rmse"] is not None and not r["empty"]}
        best = min(others, key=lambda method: others[method], default=OURS)
        if best != OURS and (own["rmse"] is None or others[best] < own["rmse"]):
            said.append(f"  {name}: the simpler {best} is ahead; consider it, or a longer training")
    return said


def _open(recipe: Recipe) -> xr.Dataset:
    """The data of a recipe, its variables, in windows if it says so."""
    path = str(recipe.store or recipe.path)
    if recipe.window is not None:
        return DATASETS.create(
            "era5", path=path, variables=recipe.variables, window=recipe.window
        ).open()
    ds = open_store(path)
    missing = set(recipe.variables or ()) - set(map(str, ds.data_vars))
    if missing:
        raise DataError(
            f"{path!r} has {', '.join(map(str, ds.data_vars))} and not {', '.join(sorted(missing))}"
            "; name others with variables:"
        )
    return ds[list(recipe.variables)] if recipe.variables else ds


def _written(ds: xr.Dataset, path: Path) -> xr.Dataset:
    """Stored and opened again, so that it is computed once."""
    try:
        write_store(ds, str(path))
    except OSError as error:
        raise ImputeError(
            f"cannot write {str(path)!r}: {error.strerror or error}; free some space, or name "
            "another folder with out:"
        ) from error
    return open_store(str(path))


def _arguments(given: dict[str, Any]) -> dict[str, Any]:
    """As Python takes them: YAML has no tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}


def _layout(truth: xr.Dataset, recipe: Recipe) -> FieldSpec:
    """What the fit will fill, and along which dims."""
    told = {k: v for k, v in _arguments(recipe.fit).items() if k in (*LAYOUT, "covariates")}
    return FieldSpec.from_dataset(dequantify(truth)[0], **told)


def _compared(gappy: xr.Dataset, names: tuple[str, ...], spec: FieldSpec) -> dict[str, xr.Dataset]:
    """Fills by baselines; one that cannot fill these data is left out."""
    fills = {}
    for name in names:
        try:
            fills[name] = gappy.impute.fill(name, **spec.layout)
        except ImputeError as error:
            log.warning("%s is left out of the comparison: %s", name, error)
    return fills


def _errors(fill: xr.Dataset, truth: xr.Dataset, hidden: xr.Dataset) -> dict[str, Any]:
    """By variable: RMSE where something was hidden and is filled, and how much is not."""
    found, fill = {}, mean_of_members(fill)
    for name in hidden.data_vars:
        # by position: what was stored and read again has the same cells in the same order
        cells, values = hidden[name].variable, fill[name].variable
        wrong = (values - truth[name].variable).where(cells).astype(np.float64)
        rmse = float(np.sqrt((wrong**2).mean()))
        found[str(name)] = {
            "rmse": rmse if np.isfinite(rmse) else None,  # JSON knows no NaN
            "cells": int(cells.sum()),
            "empty": int((cells & values.isnull()).sum()),
        }
    return found


def _draw(
    gappy: xr.Dataset, filled: xr.Dataset, truth: xr.Dataset | None, recipe: Recipe,
    spec: FieldSpec,
) -> str | None:  # fmt: skip
    """A picture of the frame in the middle; without matplotlib, a warning."""
    from .pictures.comparison import comparison

    filled = mean_of_members(filled)
    dims = {d for v in spec.filled for d in gappy[v.name].dims} - {spec.axes.y, spec.axes.x}
    frame = {dim: gappy.sizes[dim] // 2 for dim in dims}
    path = Path(recipe.out) / "comparison.png"
    try:
        comparison(
            gappy.isel(frame), filled.isel(frame), title=recipe.title, path=path,
            truth=None if truth is None else truth.isel(frame),
        )  # fmt: skip
    except ImputeError as error:
        log.warning("no picture: %s", error)
        return None
    return str(path)


def _line(what: str, value: float | None, units: str | None) -> str:
    return f"{what:<40}{'-' if value is None else f'{value:.4g}':>12} {units or ''}".rstrip()
