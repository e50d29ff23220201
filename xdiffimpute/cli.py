"""The shell's way in: ``xdiffimpute demo | fit | fill | score | bench | fetch | run | list``.

A thin layer over ``ds.impute``: it opens and writes stores, turns options into arguments, and
errors into one message on standard error and exit code 2. Results go to standard output;
progress and the log go to standard error.
"""

from __future__ import annotations

import json
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import xdiffimpute

from .cli_bench import bench
from .cli_fill import chosen_imputer, fill
from .cli_group import ImputeGroup, logging_to_stderr
from .cli_list import list_
from .cli_options import (
    as_dims,
    as_names,
    as_time,
    axes_options,
    checkpoint_options,
    chunks_option,
    is_quiet,
    json_option,
    verbosity,
)
from .cli_recipes import fetch, run
from .exceptions import CheckpointError, OutputExistsError
from .folders import check_writable
from .tabulation import as_dict, as_table

if TYPE_CHECKING:
    import xarray as xr

    from .imputer import Imputer

__all__ = ["main"]

log = logging.getLogger("xdiffimpute")


@click.group(cls=ImputeGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(xdiffimpute.__version__, package_name="xdiffimpute")
@verbosity
@click.pass_context
def main(ctx: click.Context) -> None:
    """Fill the gaps of gridded data, learning from the gappy data alone.

    \b
    Examples:
      xdiffimpute demo
      xdiffimpute fit sst.nc --save sst.imputer --max-time 10min
      xdiffimpute fill sst.nc filled.zarr --imputer sst.imputer
      xdiffimpute score sst.nc --imputer sst.imputer
      xdiffimpute bench sst.nc --max-time 5min
      xdiffimpute fill sst.nc filled.nc --imputer biharmonic
      xdiffimpute run recipes/era5/t2m.yaml

    \b
    Completion of commands, options and files by the tab key, in the shell's start-up file:
      bash  eval "$(_XDIFFIMPUTE_COMPLETE=bash_source xdiffimpute)"
      zsh   eval "$(_XDIFFIMPUTE_COMPLETE=zsh_source xdiffimpute)"
      fish  _XDIFFIMPUTE_COMPLETE=fish_source xdiffimpute | source

    Results go to standard output; progress, the log and errors to standard error. Exit codes: 0
    done; 1 stopped, or a fault of the program; 2 something is wrong with the command or the data,
    and the message says what to do; 3 done but for chunks that --skip-bad left out; 130 and 143 a
    training with --checkpoint was stopped by SIGINT or SIGTERM, and is saved.
    """
    logging_to_stderr(ctx)


for command in (bench, fetch, fill, run, list_):
    main.add_command(command)


@main.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              default="demo-output", show_default=True, help="Folder for results.")  # fmt: skip
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Training time.")
@click.option("--quick", is_flag=True, help="A small field and a short training, for a look.")
@click.option("--overwrite", is_flag=True, help="Replace results that exist.")
@verbosity
@click.pass_context
def demo(
    ctx: click.Context, /, out: Path, minutes: float | None, quick: bool, overwrite: bool
) -> None:
    """Simulate shallow water, hide blocks, fit, fill, compare with every baseline, draw.

    \b
    Examples:
      xdiffimpute demo --quick
      xdiffimpute demo --out demo-output --minutes 5
    """
    from .demo import run_demo

    run_demo(out, minutes=minutes, quick=quick, overwrite=overwrite, progress=not is_quiet(ctx))


@main.command()
@click.argument("source", metavar="IN", type=click.Path())
@click.option("--save", "model", metavar="MODEL", type=click.Path(), required=True,
              help="File for the imputer.")  # fmt: skip
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
@click.option("--propensity", is_flag=True,
              help="Allow for gaps that depend on the values that are missing.")  # fmt: skip
@click.option("--covariates", metavar="A,B", callback=as_names,
              help="Variables without gaps that inform the fill, such as orography.")  # fmt: skip
@click.option("--window", type=click.IntRange(1), help="Frames the network sees at once.")
@click.option("--tile", type=click.IntRange(1), help="Side of the tiles, in cells.")
@click.option("--size", type=click.Choice(["auto", "small", "medium", "large"]), default="auto",
              show_default=True, help="Network size.")  # fmt: skip
@click.option("--batch", type=click.IntRange(1), help="Windows in a training step.")
@click.option("--steps", type=click.IntRange(1), help="Number of training steps.")
@click.option("--max-time", metavar="TIME", callback=as_time,
              help="Time of the training steps, such as 90s or 2h; default 10min. Looking at the "
              "data before and comparing after come on top.")  # fmt: skip
@click.option("--device", metavar="NAME", help="cpu, cuda, ...; default a GPU if there is one.")
@click.option("--seed", type=int, default=0, show_default=True, help="Fixes every random choice.")
@checkpoint_options
@chunks_option
@json_option("Print the file and its skill at withheld observations as JSON.")
@verbosity
@click.pass_context
def fit(
    ctx: click.Context,
    /,
    source: str,
    model: str,
    overwrite: bool,
    chunks: Any,
    as_json: bool,
    **options: Any,
) -> None:
    """Learn to fill from IN and save the imputer.

    IN is a netCDF or GRIB file, a folder or a quoted pattern of such files, a zarr store, or the
    address of one.

    \b
    Examples:
      xdiffimpute fit sst.nc --save sst.imputer
      xdiffimpute fit 'daily/*.nc' --save sst.imputer --variables sst,chl --log chl
      xdiffimpute fit https://host/sst.zarr --save sst.imputer --window 5 --max-time 1h
      xdiffimpute fit sst.nc --save sst.imputer --steps 20000 --checkpoint sst.run --resume
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
    check_writable(path.absolute().parent, "save the imputer in another one")
    options |= {name: options[name] or () for name in ("log", "covariates")}
    from .sources import open_store

    ds = open_store(source, chunks=chunks)
    from .diffusion import DiffusionImputer

    imputer = DiffusionImputer(progress=not is_quiet(ctx), **options)
    try:
        imputer.fit(ds)
    finally:
        if imputer.is_fitted:  # also where the comparison after the training was stopped
            imputer.save(path, overwrite=overwrite)
    from .parallel import is_first

    if not is_first():  # of several processes, one saves and reports
        return
    if as_json:
        import xarray as xr

        skill = as_dict(xr.Dataset.from_dict(imputer.fitted.skill))
        click.echo(json.dumps({"imputer": model, "skill": skill}, indent=2))
    told = shlex.join(["fill", source, "OUT", "--imputer", model])
    log.info("saved %s; next: xdiffimpute %s", model, told)


@main.command()
@click.argument("source", metavar="IN", type=click.Path())
@click.option("--imputer", "chosen", metavar="MODEL|NAME", type=click.Path(), required=True,
              help="A saved imputer, or a baseline by name.")  # fmt: skip
@json_option("Print JSON instead of a table.")
@click.option("--html", metavar="FILE", type=click.Path(),
              help="Write a report with pictures; FILE is replaced if it exists.")  # fmt: skip
@axes_options
@chunks_option
@verbosity
def score(
    source: str, chosen: str, as_json: bool, html: str | None, chunks: Any, **axes: Any
) -> None:
    """Print the skill at observations of IN that are withheld and filled again.

    \b
    Examples:
      xdiffimpute score sst.nc --imputer sst.imputer
      xdiffimpute score sst.nc --imputer biharmonic --json
      xdiffimpute score sst.nc --imputer sst.imputer --html report.html
    """
    from .sources import open_store

    if html is not None:
        from .report import check_report

        check_report(html)
    imputer, options = chosen_imputer(chosen, axes)
    ds = open_store(source, chunks=chunks)
    if html is None:
        skill = ds.impute.score(imputer, **options)
    else:
        skill = _report(ds, imputer, options, html, source)
    click.echo(json.dumps(as_dict(skill), indent=2) if as_json else as_table(skill))


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
