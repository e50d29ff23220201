"""The command that fills, and the choice of an imputer by its file or name."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import xdiffimpute

from .cli_group import dask_bar
from .cli_options import axes_options, chunks_option, is_quiet, json_option, verbosity
from .exceptions import ImputeError, UnknownNameError
from .suggestion import did_you_mean

if TYPE_CHECKING:
    import xarray as xr

    from .imputer import Imputer

__all__ = ["chosen_imputer", "fill"]

log = logging.getLogger("xdiffimpute")

SKIPPED = 3


@click.command()
@click.argument("source", metavar="IN", type=click.Path())
@click.argument("out", metavar="OUT", type=click.Path())
@click.option("--imputer", "chosen", metavar="MODEL|NAME", type=click.Path(), required=True,
              help="A saved imputer, or a baseline: xdiffimpute list baselines.")  # fmt: skip
@click.option("--members", type=click.IntRange(1), help="Draw so many fields, along realization.")
@click.option("--sampler", metavar="NAME", help="See: xdiffimpute list samplers.")
@click.option("--guidance", metavar="NAME",
              help="A law to be pulled towards: xdiffimpute list guidance.")  # fmt: skip
@axes_options
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@click.option("--restart", is_flag=True, help="Discard what a fill that was cut off has written.")
@click.option("--skip-bad", is_flag=True,
              help="Leave out chunks of IN that cannot be read; exit code 3 if there "
              "are any.")  # fmt: skip
@chunks_option
@json_option("Print the names of what was written as JSON.")
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
    guidance: str | None,
    overwrite: bool,
    restart: bool,
    skip_bad: bool,
    chunks: Any,
    as_json: bool,
    **axes: Any,
) -> None:
    """Fill the gaps of IN and write OUT (.nc or .zarr).

    OUT gets its name only when it is whole. IN may be what `fit` takes.

    A zarr store is written region by region, into a hidden folder beside OUT. When a fill is
    stopped or killed, or the disk is full, type the same again: it goes on with the regions that
    are missing, and the result is that of an undisturbed fill. netCDF is written in one go.

    \b
    Examples:
      xdiffimpute fill sst.nc filled.zarr --imputer sst.imputer
      xdiffimpute fill sst.nc filled.nc --imputer sst.imputer --members 20
      xdiffimpute fill daily/ filled.nc --imputer telea --overwrite
      xdiffimpute fill sst.zarr filled.zarr --imputer sst.imputer --chunks time=64 --skip-bad
    """
    from .filling import fill_to
    from .stores import check_output

    check_output(out, source, overwrite=overwrite)
    imputer, options = chosen_imputer(chosen, axes)
    of_network = {"members": members, "sampler": sampler, "guidance": guidance}
    method = _method(imputer, options, **of_network)
    asked = {} if isinstance(imputer, str) else of_network
    ds = _opened(source, chunks, by_chunk=skip_bad)
    with dask_bar(ctx, when=Path(out).suffix == ".nc"):
        done = fill_to(
            ds, out, method, options=asked, location=source, overwrite=overwrite,
            restart=restart, skip_bad=skip_bad, progress=not is_quiet(ctx),
        )  # fmt: skip
    log.info("wrote %s", out)
    if done.skipped:
        log.warning(
            "%d chunks could not be read and are missing in %s: %s",
            len(done.skipped), out, "; ".join(done.skipped),
        )  # fmt: skip
    if as_json:
        said = {"out": out, "variables": list(done.variables), "skipped": list(done.skipped)}
        click.echo(json.dumps(said, indent=2))
    if done.skipped:
        ctx.exit(SKIPPED)


def _method(imputer: Imputer | str, options: dict[str, Any], **of_network: Any) -> Imputer:
    """The imputer itself; a baseline takes no arguments of a network."""
    if not isinstance(imputer, str):
        return imputer
    from .baselines import BASELINES

    given = [name for name, value in of_network.items() if value is not None]
    if given:
        raise ImputeError(
            f"{imputer!r} is a baseline; leave out {', '.join('--' + name for name in given)}"
        )
    method: Imputer = BASELINES.create(imputer, **options)
    return method


def _opened(source: str, chunks: Any, *, by_chunk: bool) -> xr.Dataset:
    """The input; if asked for, each stored chunk a chunk of dask, where none are given."""
    from .sources import open_store

    ds = open_store(source, chunks=chunks)
    if by_chunk and chunks is None and any(v.encoding.get("chunksizes") for v in ds.values()):
        return open_store(source, chunks={})
    return ds


def chosen_imputer(chosen: str, axes: dict[str, Any]) -> tuple[Imputer | str, dict[str, Any]]:
    """A saved imputer, or a baseline's name with the options that go with it.

    Parameters
    ----------
    chosen : str
        A file or a name.
    axes : dict
        Options about axes and variables, None where not given.

    Returns
    -------
    imputer : Imputer or str
    options : dict

    Raises
    ------
    UnknownNameError
        If it is neither.
    ImputeError
        If axes are given for an imputer that knows its own.
    """
    from .baselines import BASELINES

    given = {name: value for name, value in axes.items() if value is not None}
    place = Path(chosen)
    if place.is_file() or (place.exists() and chosen not in BASELINES):
        if given:
            raise ImputeError(
                f"{chosen!r} is a saved imputer and knows its variables and axes; "
                f"leave out {', '.join('--' + name for name in given)}"
            )
        return xdiffimpute.load(chosen), {}
    if chosen in BASELINES:
        return chosen, given
    hint = " No such file." if place.suffix else did_you_mean(chosen, BASELINES)
    raise UnknownNameError(
        f"{chosen!r} is neither a saved imputer nor a baseline; "
        f"there are {', '.join(BASELINES)}.{hint}"
    )
