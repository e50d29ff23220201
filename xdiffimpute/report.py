"""A score report: one HTML page with tables and pictures inside it, which needs nothing else.

All of it comes from one fill of the data without the withheld observations, and a second one
of the frame that is drawn.
"""

from __future__ import annotations

import datetime as dt
import io
import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .appraisal import examine, exposure_map
from .baselines import Baseline
from .coverage import coverage
from .exceptions import ImputeError
from .fields import FieldSpec
from .folders import check_writable, write_text
from .frames import place_of, unpacked_position, within
from .imputer import Imputer
from .markup import number, skill_tables, text
from .pictures.comparison import comparison
from .pictures.exposure import exposure
from .pictures.gaps import gaps
from .pictures.skill import skill
from .pictures.training import training
from .quantities import dequantify
from .residuals import Residuals, thinned
from .scoring import filling, skill_table
from .thumbnail import data_uri

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["check_report", "write_report"]

log = logging.getLogger("xdiffimpute")

DPI = 110
MOST_ROWS = 4  # variables in the maps
EXPOSURE_MAPS = 12
HEADINGS = {
    "truth": "all observations", "observed": "what was given", "filled": "filled",
    "error": "error (filled − withheld)",
}  # fmt: skip
STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:.2rem}h2{margin-top:2.4rem;border-bottom:1px solid rgba(128,128,128,.4)}
.quiet{opacity:.7}
.worse{border-left:4px solid #d55e00;padding-left:.8rem}
.better{border-left:4px solid #0072b2;padding-left:.8rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;margin:1rem 2.5rem 1rem 0;display:inline-table;vertical-align:top}
caption{text-align:left;font-weight:bold;padding-bottom:.2rem}
th,td{padding:.18rem .8rem;text-align:right}
th:first-child{text-align:left;padding-left:0}
thead th{border-bottom:1px solid rgba(128,128,128,.6);font-weight:normal;opacity:.75}
tbody th{font-weight:normal}
img.picture{max-width:100%;background:#fff;border-radius:4px;display:block;margin:1rem 0}
"""


def check_report(path: str | os.PathLike[str]) -> Path:
    """Refuse a place for a report before anything is computed.

    Parameters
    ----------
    path : path

    Returns
    -------
    Path

    Raises
    ------
    ImputeError
        If it is a folder, or in one that does not exist or cannot be written to; or matplotlib is
        missing.
    """
    place = Path(path)
    if place.is_dir() or not place.absolute().parent.is_dir():
        raise ImputeError(
            f"cannot write a report to {os.fspath(path)!r}; give a file in a folder that exists, "
            "such as report.html"
        )
    check_writable(place.absolute().parent, "write the report to another one")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImputeError(
            "a report needs matplotlib; install it with: pip install 'xdiffimpute[plot]'"
        ) from error
    return place


def write_report(
    ds: xr.Dataset,
    imputer: Imputer,
    path: str | os.PathLike[str],
    *,
    source: str = "",
) -> xr.Dataset:
    """Score an imputer and write the report.

    Parameters
    ----------
    ds : Dataset
    imputer : DiffusionImputer or Baseline
    path : path
        An HTML file; it is replaced if it exists, and appears only when it is whole.
    source : str
        What to call the data in the heading.

    Returns
    -------
    Dataset
        The skill, as of ``ds.impute.score(imputer)``.

    Raises
    ------
    ImputeError
        If the file cannot be written, or the data cannot be scored.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import xdiffimpute as xdi
    >>> from xdiffimpute.baselines import BASELINES
    >>> with TemporaryDirectory() as folder:
    ...     skill = write_report(
    ...         xdi.example(), BASELINES.create("nearest"), folder + "/report.html"
    ...     )
    >>> [str(name) for name in skill["imputer"].values]
    ['nearest', 'climatology', 'linear']
    """
    place = check_report(path)
    plain = dequantify(ds)[0]
    found = examine(imputer, plain)
    whole = skill_table(found)
    page = _page(plain, imputer, found, whole, source)
    write_text(place, page, "give a file in a folder that can be written to")
    return whole


def _page(
    ds: xr.Dataset, imputer: Imputer, found: Residuals, whole: xr.Dataset, source: str
) -> str:
    log.info("report: errors by distance and by size of the gap")
    near, size = (skill_table(found, by) for by in ("distance", "gap_size"))
    parts = [_head(imputer, source), _verdicts(whole), _about(imputer)]
    parts += [
        "<h2>By variable</h2>", "<div class='wide'>", skill_tables(whole), "</div>",
        _image(skill(whole, near, size), "errors by method, by distance and by size of the gap"),
        "<h2>By distance to the nearest observation</h2>",
        "<p class='quiet'>Root mean square error. Distances are within the frame, in cells.</p>",
        "<div class='wide'>", skill_tables(near, "distance"), "</div>",
        "<h2>By size of the gap</h2>",
        "<p class='quiet'>Root mean square error. A gap is of missing cells of one frame that "
        "touch at a side; cells that are never observed, such as land, are no part of it.</p>",
        "<div class='wide'>", skill_tables(size, "gap_size"), "</div>",
        _maps(ds, imputer, found), _data(ds, imputer, found.spec), _curves(imputer), _reading(),
    ]  # fmt: skip
    title = f"Score report{f' of {source}' if source else ''}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(filter(None, parts))
        + "\n</body></html>\n"
    )


def _head(imputer: Imputer, source: str) -> str:
    now = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC"
    data = f" at filling the gaps of <b>{text(source)}</b>" if source else ""
    return (
        f"<h1>Score report</h1><p class='quiet'>How good <b>{text(imputer.name)}</b> is{data}, "
        f"measured at observations that were withheld in the shape of the data's own gaps. "
        f"Written {now}.</p>"
    )


def _verdicts(whole: xr.Dataset) -> str:
    """A sentence a variable: is the first method the best, and by how much?"""
    lines = []
    for name, table in whole.data_vars.items():
        units = str(table.attrs.get("units", ""))
        rmse = dict(zip(table["imputer"].values, table.sel(metric="rmse").values, strict=True))
        (ours, mine), *others = ((str(k), float(v)) for k, v in rmse.items())
        named = f"<b>{text(name)}</b>: the RMSE of {text(ours)} is {number(mine)} {text(units)}"
        others = [(k, v) for k, v in others if np.isfinite(v)]
        if not np.isfinite(mine) or not others:
            lines.append(f"<p>{text(name)}: no observation could be withheld and compared.</p>")
            continue
        rival, best = min(others, key=lambda pair: pair[1])
        if mine < best:
            said = f"{1 - mine / best:.0%} less than {text(rival)} ({number(best)})"
            lines.append(f"<p class='better'>{named}, {said}.</p>")
        else:
            said = f"which does not beat {text(rival)} ({number(best)})"
            lines.append(f"<p class='worse'>{named}, {said}.</p>")
    return "".join(lines)


def _about(imputer: Imputer) -> str:
    describe: Callable[[], str] | None = getattr(imputer, "_repr_html_", None)
    return f"<h2>The imputer</h2>{describe()}" if describe is not None else ""


def _maps(ds: xr.Dataset, imputer: Imputer, found: Residuals) -> str:
    """The frame of which most was withheld, filled from what was left."""
    held, spec = found.withheld, found.spec
    if not len(held):
        return ""
    log.info("report: the frame of which most was withheld")
    most = int(held.masks.sum(axis=(1, 2, 3)).argmax())
    at = unpacked_position(ds, spec, int(held.series[most]), int(held.time[most]))
    gappy = thinned(ds.chunk(), spec, held)
    filled = filling(imputer, spec)(gappy)
    names = [v.name for v in spec.filled][:MOST_ROWS]
    seen, done, known = (
        part.isel(within(at, part)).compute()
        for part in (gappy[names], _companions(filled, names), ds[names])
    )
    where = ", ".join(f"{d} {place_of(known, d, k)}" for d, k in at.items())
    figure = comparison(seen, done, truth=known, variables=names, headings=HEADINGS)
    few = "" if len(spec.filled) == len(names) else f" The first {len(names)} variables are shown."
    return (
        f"<h2>A frame</h2><p class='quiet'>The frame of which most was withheld"
        f"{f' ({text(where)})' if where else ''}, filled from what was left.{few}</p>"
        + _image(figure, "observations, what was given, the fill, and its error")
    )


def _companions(filled: xr.Dataset, names: list[str]) -> xr.Dataset:
    """Variables with their standard errors and flags."""
    ends = ("", "_standard_error", "_imputation_flag")
    return filled[[f"{n}{end}" for n in names for end in ends if f"{n}{end}" in filled]]


def _data(ds: xr.Dataset, imputer: Imputer, spec: FieldSpec) -> str:
    """Coverage and exposure."""
    log.info("report: coverage and exposure")
    covered = _image(gaps(coverage(ds, spec.layout)), "coverage in space and through time")
    trained = _fitted(imputer)
    partition, window = (trained.partition, trained.window) if trained else ("auto", None)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        found = exposure_map(ds, partition, window=window, seed=0, options=spec.layout)
    notes = "".join(f"<p class='quiet'>{text(w.message)}</p>" for w in told)
    shown = _few(found)
    return f"<h2>The data</h2>{covered}{notes}" + _image(
        exposure(shown), "probability that a cell is queried, given the context"
    )


def _few(found: xr.Dataset) -> xr.Dataset:
    """As many maps as one picture takes: of levels, the first."""
    levels = {d: 0 for name in found.data_vars for d in found[name].dims[:-2]}
    first = found.isel(levels) if levels else found
    names: list[Any] = list(first.data_vars)[:EXPOSURE_MAPS]
    return first[names]


def _curves(imputer: Imputer) -> str:
    trained = _fitted(imputer)
    if trained is None or not trained.history.validation:
        return ""
    figure = training(trained.history.loss, trained.history.validation)
    return f"<h2>Training</h2>{_image(figure, 'loss and withheld error by update')}"


def _reading() -> str:
    return (
        "<h2>How to read this</h2><ul>"
        "<li>Every method fills the same gaps and is judged at the same cells, those that all of "
        "them fill.</li>"
        "<li>The baselines are fitted without the withheld observations. A network never saw them "
        "in training; they did tell which of its states to keep, and so flatter it a little. "
        "Other data than those of the fit have observations withheld afresh.</li>"
        "<li>Cells that are never observed are not judged: nothing can be learned or checked "
        "there.</li></ul>"
    )


def _fitted(imputer: Imputer) -> Any:
    """What the fit of a network left; a baseline has nothing to show."""
    return None if isinstance(imputer, Baseline) else getattr(imputer, "fitted", None)


def _image(figure: Figure, alt: str) -> str:
    """A figure as an ``<img>`` that holds it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", bbox_inches="tight")
    return f'<img class="picture" src="{data_uri(buffer.getvalue())}" alt="{text(alt)}">'
