"""The shell's way in: ``xdiffimpute demo | fit | fill | score | list``.

A thin layer over ``ds.impute``: it opens and writes stores, turns options into arguments, and
errors into one message on standard error and exit code 2. Results go to standard output;
progress and the log go to standard error.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import xarray as xr

import xdiffimpute

from .cli_options import (
    as_dims,
    as_names,
    as_time,
    axes_options,
    chunks_option,
    is_quiet,
    verbosity,
)
from .exceptions import CheckpointError, ImputeError, OutputExistsError, UnknownNameError
from .registry import Registry
from .stores import check_output, open_store, write_store

if TYPE_CHECKING:
    from .imputer import Imputer

__all__ = ["main"]

log = logging.getLogger("xdiffimpute")

FAMILIES = {
    "methods": ("methods", "METHODS"),
    "baselines": ("baselines", "BASELINES"),
    "masks": ("masks", "MASKS"),
    "backbones": ("backbones", "BACKBONES"),
    "samplers": ("samplers", "SAMPLERS"),
    "datasets": ("datasets", "DATASETS"),
    "metrics": ("metrics", "METRICS"),
}


class _Handler(logging.Handler):
    """Log records as plain lines on standard error, above any progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        click.echo(prefix + self.format(record), err=True)


class _Failure(click.ClickException):
    exit_code = 2


class _Group(click.Group):
    """A group whose commands end in a message and exit code 2 where an ImputeError is raised."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ImputeError as error:
            raise _Failure(str(error)) from error


@contextmanager
def _bar(ctx: click.Context) -> Iterator[None]:
    """A progress bar of what dask computes, on standard error."""
    if is_quiet(ctx):
        yield
        return
    from dask.diagnostics.progress import ProgressBar

    with ProgressBar(minimum=1.0, out=sys.stderr):
        yield


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(xdiffimpute.__version__, package_name="xdiffimpute")
@verbosity
@click.pass_context
def main(ctx: click.Context) -> None:
    """Fill the gaps of gridded data, learning from the gappy data alone."""
    handler = _Handler()
    if not ctx.ensure_object(dict):
        log.setLevel(logging.INFO)
    log.addHandler(handler)
    logging.getLogger("py.warnings").addHandler(handler)
    logging.captureWarnings(True)

    def restore() -> None:
        logging.captureWarnings(False)
        log.removeHandler(handler)
        logging.getLogger("py.warnings").removeHandler(handler)

    ctx.call_on_close(restore)


@main.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              default="demo-output", show_default=True, help="Folder for results.")  # fmt: skip
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Training time.")
@click.option("--quick", is_flag=True, help="A small field and a short training, for a look.")
@verbosity
@click.pass_context
def demo(ctx: click.Context, /, out: Path, minutes: float | None, quick: bool) -> None:
    """Simulate shallow water, hide blocks, fit, fill, compare with every baseline, draw."""
    from .demo import run_demo

    run_demo(out, minutes=minutes, quick=quick, progress=not is_quiet(ctx))


@main.command()
@click.argument("source", metavar="IN")
@click.option("--save", "model", metavar="MODEL", required=True, help="File for the imputer.")
@click.option("--overwrite", is_flag=True, help="Replace MODEL if it exists.")
@axes_options
@click.option("--extra-dims", default="series", show_default=True, callback=as_dims,
              metavar="series|channels|DIM=...", help="What further dimensions hold.")  # fmt: skip
@click.option("--partition", default="auto", show_default=True, metavar="NAME",
              help="How observations are split; see: xdiffimpute list masks.")  # fmt: skip
@click.option("--method", default="standard", show_default=True, metavar="NAME",
              help="How the network learns; see: xdiffimpute list methods.")  # fmt: skip
@click.option("--backbone", default="unet", show_default=True, metavar="NAME",
              help="See: xdiffimpute list backbones.")  # fmt: skip
@click.option("--statistics", type=click.Choice(["auto", "variable", "cell", "seasonal"]),
              default="auto", show_default=True, help="What anomalies are taken from.")  # fmt: skip
@click.option("--log", metavar="A,B", callback=as_names,
              help="Positive, skewed variables to learn in the logarithm.")  # fmt: skip
@click.option("--window", type=click.IntRange(1), help="Frames the network sees at once.")
@click.option("--tile", type=click.IntRange(1), help="Side of the tiles, in cells.")
@click.option("--size", type=click.Choice(["auto", "small", "medium", "large"]), default="auto",
              show_default=True, help="Network size.")  # fmt: skip
@click.option("--batch", type=click.IntRange(1), help="Windows in a training step.")
@click.option("--steps", type=click.IntRange(1), help="Number of training steps.")
@click.option("--max-time", metavar="TIME", callback=as_time,
              help="Training time, such as 90s, 2h or seconds; default 10min.")  # fmt: skip
@click.option("--device", metavar="NAME", help="cpu, cuda, ...; default a GPU if there is one.")
@click.option("--seed", type=int, default=0, show_default=True, help="Fixes every random choice.")
@chunks_option
@verbosity
@click.pass_context
def fit(
    ctx: click.Context, /, source: str, model: str, overwrite: bool, chunks: Any, **options: Any
) -> None:
    """Learn to fill from IN and save the imputer.

    IN is a netCDF file, a quoted pattern of netCDF files, or a zarr store.
    """
    path = Path(model)
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{model!r} exists already; give another path, or allow it with --overwrite"
        )
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise CheckpointError(
            f"cannot save the imputer as {model!r}; give a file in a folder that exists"
        )
    options["log"] = options["log"] or ()
    ds = open_store(source, chunks=chunks)
    imputer = ds.impute.fit(progress=not is_quiet(ctx), **options)
    imputer.save(path)
    log.info("saved %s; next: xdiffimpute fill %s OUT --imputer %s", model, source, model)


@main.command()
@click.argument("source", metavar="IN")
@click.argument("out", metavar="OUT")
@click.option("--imputer", "chosen", metavar="MODEL|NAME", required=True,
              help="A saved imputer, or a baseline: xdiffimpute list baselines.")  # fmt: skip
@click.option("--members", type=click.IntRange(1), help="Contexts of the ensemble sampler.")
@click.option("--sampler", metavar="NAME", help="See: xdiffimpute list samplers.")
@axes_options
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@chunks_option
@verbosity
@click.pass_context
def fill(
    ctx: click.Context,
    /,
    source: str,
    out: str,
    chosen: str,
    members: int | None,
    sampler: str | None,
    overwrite: bool,
    chunks: Any,
    **axes: Any,
) -> None:
    """Fill the gaps of IN and write OUT (.nc or .zarr).

    OUT gets its name only when it is whole.
    """
    check_output(out, source, overwrite=overwrite)
    imputer, options = _imputer(chosen, axes)
    ds = open_store(source, chunks=chunks)
    filled = ds.impute.fill(
        imputer, members=members, sampler=sampler, progress=not is_quiet(ctx), **options
    )
    with _bar(ctx):
        write_store(filled, out, like=source)
    log.info("wrote %s", out)


@main.command()
@click.argument("source", metavar="IN")
@click.option("--imputer", "chosen", metavar="MODEL|NAME", required=True,
              help="A saved imputer, or a baseline by name.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--html", metavar="FILE",
              help="Write a report with pictures; FILE is replaced if it exists.")  # fmt: skip
@axes_options
@chunks_option
@verbosity
def score(
    source: str, chosen: str, as_json: bool, html: str | None, chunks: Any, **axes: Any
) -> None:
    """Print the skill at observations of IN that are withheld and filled again."""
    if html is not None:
        from .report import check_report

        check_report(html)
    imputer, options = _imputer(chosen, axes)
    ds = open_store(source, chunks=chunks)
    if html is None:
        skill = ds.impute.score(imputer, **options)
    else:
        skill = _report(ds, imputer, options, html, source)
    click.echo(json.dumps(_as_dict(skill), indent=2) if as_json else _as_table(skill))


@main.command(name="list")
@click.argument("family", type=click.Choice(list(FAMILIES)), required=False)
@verbosity
def list_(family: str | None) -> None:
    """List methods, baselines, masks, backbones, samplers, datasets and metrics by name."""
    from importlib import import_module

    for title in [family] if family else FAMILIES:
        package, attribute = FAMILIES[title]
        registry: Registry[Any] = getattr(import_module(f"xdiffimpute.{package}"), attribute)
        click.echo(title)
        for name in registry:
            summary = (registry.get(name).__doc__ or "").strip().splitlines()
            click.echo(f"  {name:<20}{summary[0] if summary else ''}".rstrip())


def _imputer(chosen: str, axes: dict[str, Any]) -> tuple[Imputer | str, dict[str, Any]]:
    """A saved imputer, or a baseline's name with the options that go with it."""
    from .baselines import BASELINES

    given = {name: value for name, value in axes.items() if value is not None}
    if Path(chosen).exists():
        if given:
            raise ImputeError(
                f"{chosen!r} is a saved imputer and knows its variables and axes; "
                f"leave out {', '.join('--' + name for name in given)}"
            )
        return xdiffimpute.load(chosen), {}
    if chosen in BASELINES:
        return chosen, given
    near = get_close_matches(chosen, BASELINES.names(), n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    if Path(chosen).suffix:
        hint = " No such file."
    raise UnknownNameError(
        f"{chosen!r} is neither a saved imputer nor a baseline; "
        f"there are {', '.join(BASELINES)}.{hint}"
    )


def _report(
    ds: xr.Dataset, imputer: Imputer | str, options: dict[str, Any], path: str, source: str
) -> xr.Dataset:
    """Write the report; the skill comes back, so that it is measured once."""
    from .baselines import BASELINES
    from .report import write_report

    method = BASELINES.create(imputer, **options) if isinstance(imputer, str) else imputer
    skill = write_report(ds, method, path, source=Path(source).name)
    log.info("wrote %s", path)
    return skill


def _as_dict(skill: xr.Dataset) -> dict[str, Any]:
    """Units and numbers by variable, method and metric; null where there is none."""
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


def _as_table(skill: xr.Dataset) -> str:
    lines: list[str] = []
    for name, entry in _as_dict(skill).items():
        lines.append(f"{name} [{entry['units']}]" if entry["units"] else name)
        metrics = [str(metric) for metric in skill["metric"].values]
        lines.append("  " + " " * 20 + "".join(f"{metric:>12}" for metric in metrics))
        for method, row in entry["methods"].items():
            cells = ("-" if row[m] is None else f"{row[m]:.5g}" for m in metrics)
            lines.append(f"  {method:<20}" + "".join(f"{cell:>12}" for cell in cells))
    return "\n".join(lines)
