"""A recipe from data to report: fetch, hide, fit, fill, score, draw.

What is hidden was observed, so errors at hidden cells are errors against the truth. Every step
leaves its result in a file before the next one begins.
"""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .axes import find_axes
from .cds import fetch
from .datasets import DATASETS
from .exceptions import DataError, ImputeError, OutputExistsError
from .hiding import hide
from .masks import MASKS
from .recipe import Recipe
from .sources import open_store
from .stores import write_store
from .tabulation import as_dict

__all__ = ["report_lines", "run_recipe"]

log = logging.getLogger("xdiffimpute")

OURS = "xdiffimpute"
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
    _prepare(out, overwrite)
    if recipe.cds is not None and recipe.store is not None:
        fetch(recipe.cds.order(), recipe.store, progress=progress, **patience)
    truth = _open(recipe)
    gappy, hidden = truth, None
    if recipe.hide is not None:
        pattern = MASKS.create(recipe.hide.pattern, **recipe.hide.options)
        along = "sample" if recipe.window else None
        gappy, hidden = hide(truth, pattern, along=along, seed=recipe.hide.seed)
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
        fills = {OURS: filled} | _compared(gappy, recipe.compare)
        report["hidden"] = {name: _errors(fill, truth, hidden) for name, fill in fills.items()}
    report["picture"] = _draw(gappy, filled, truth if hidden is not None else None, recipe)
    (out / "report.json").write_text(json.dumps(report, indent=2))
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
        others = {m: row[name]["rmse"] for m, row in hidden.items() if not row[name]["empty"]}
        best = min(others, key=lambda method: others[method], default=OURS)
        if best != OURS and others[best] < own["rmse"]:
            said.append(f"  {name}: the simpler {best} is ahead; consider it, or a longer training")
    return said


def _prepare(out: Path, overwrite: bool) -> None:
    """The folder, without results that are not to be replaced."""
    there = [name for name in FILES if (out / name).exists()]
    if there and not overwrite:
        raise OutputExistsError(
            f"{str(out)!r} holds results already ({', '.join(there)}); name another folder with "
            "out:, or allow it with --overwrite"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise ImputeError(
            f"cannot write to the folder {str(out)!r}: {error.strerror}; name another one with out:"
        ) from error


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


def _compared(gappy: xr.Dataset, names: tuple[str, ...]) -> dict[str, xr.Dataset]:
    return {name: gappy.impute.fill(name) for name in names}


def _errors(fill: xr.Dataset, truth: xr.Dataset, hidden: xr.Dataset) -> dict[str, Any]:
    """By variable: RMSE where something was hidden and is filled, and how much is not."""
    found = {}
    for name in hidden.data_vars:
        # by position: what was stored and read again has the same cells in the same order
        cells, values = hidden[name].variable, fill[name].variable
        wrong = (values - truth[name].variable).where(cells).astype(np.float64)
        found[str(name)] = {
            "rmse": float(np.sqrt((wrong**2).mean())),
            "cells": int(cells.sum()),
            "empty": int((cells & values.isnull()).sum()),
        }
    return found


def _draw(
    gappy: xr.Dataset, filled: xr.Dataset, truth: xr.Dataset | None, recipe: Recipe
) -> str | None:
    """A picture of the frame in the middle; without matplotlib, a warning."""
    from .pictures.comparison import comparison

    axes = find_axes(gappy)
    names = [n for n in gappy.data_vars if f"{n}_imputation_flag" in filled]
    dims = {d for n in names for d in gappy[n].dims} - {axes.y, axes.x}
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
