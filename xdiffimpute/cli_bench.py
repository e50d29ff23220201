"""The command that compares a network with simpler methods, and says which to fill with."""

from __future__ import annotations

import json
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import (
    as_names,
    as_time,
    axes_options,
    chunks_option,
    is_quiet,
    json_option,
    verbosity,
)
from .exceptions import OutputExistsError
from .folders import prepare_folder, write_text

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["advice", "bench"]

log = logging.getLogger("xdiffimpute")

NEAR = 0.02  # of the error: too little to train a network for
LEARNED = "diffusion"
TOO_FEW = "since other frames could have turned it around"
ANOTHER = "give another path with --out"
READ = ("chunks",)
AXES = ("variables", "time", "y", "x")
FIT = ("window", "tile", "steps", "max_time", "seed")


@click.command()
@click.argument("source", metavar="IN", type=click.Path())
@click.option("--methods", metavar="A,B", callback=as_names,
              help="Baselines to compare with; default climatology, linear, thin_plate, "
              "optimal_interpolation and dineof. See: xdiffimpute list baselines.")  # fmt: skip
@click.option("--out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the report as JSON; its folder is made.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@axes_options
@click.option("--window", type=click.IntRange(1), help="Frames the network sees at once.")
@click.option("--tile", type=click.IntRange(1), help="Side of the tiles, in cells.")
@click.option("--steps", type=click.IntRange(1), help="Number of training steps.")
@click.option("--max-time", metavar="TIME", callback=as_time,
              help="Time of the training steps, such as 90s or 2h; default 10min.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Fixes every random choice.")
@chunks_option
@json_option("Print the report as JSON instead of a table.")
@verbosity
@click.pass_context
def bench(
    ctx: click.Context,
    /,
    source: str,
    methods: list[str] | None,
    out: Path | None,
    overwrite: bool,
    chunks: Any,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare a network with simpler methods on IN, and say which to fill with.

    Observations are set aside in the shape of the gaps of IN; a network is trained and every
    baseline tuned on what is left, and all are judged at what was set aside. Nothing is filled.

    \b
    Examples:
      xdiffimpute bench sst.nc
      xdiffimpute bench sst.nc --max-time 5min --out bench/report.json
      xdiffimpute bench sst.nc --methods linear,optimal_interpolation --json
    """
    if out is not None and out.exists() and not overwrite:
        raise OutputExistsError(
            f"{str(out)!r} exists already; give another path, or allow it with --overwrite"
        )
    if out is not None:
        prepare_folder(out.absolute().parent, (), overwrite=overwrite, another=ANOTHER)
    from .bench import bench as compare
    from .sources import open_store

    ds = open_store(source, chunks=chunks)
    skill = compare(ds, methods, progress=not is_quiet(ctx), **options)
    report, said = _report(skill, source, options | {"chunks": chunks})
    written = json.dumps(report, indent=2)
    click.echo(written if as_json else _text(skill, report, said))
    if out is not None:
        write_text(out, written + "\n", ANOTHER)
        log.info("wrote %s", out)


def _report(
    skill: xr.Dataset, source: str, options: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """What is written as JSON, and the sentences that go with it."""
    from .bench import winners
    from .tabulation import as_dict

    best = winners(skill)
    said, commands = advice(skill, best, source, options)
    methods = [str(name) for name in skill["imputer"].values]
    seconds = dict(zip(methods, skill["seconds"].values.tolist(), strict=True))
    tied = {str(name): table.attrs["tied"].split() for name, table in skill.data_vars.items()}
    report = {
        "data": source, "skill": as_dict(skill), "seconds": seconds,
        "skipped": skill.attrs["skipped"], "best": best, "tied": tied, "next": commands,
    }  # fmt: skip
    return report, said


def _text(skill: xr.Dataset, report: dict[str, Any], said: list[str]) -> str:
    """The table, what fitting took, the winner, and what to type."""
    from .tabulation import as_table

    taken = ", ".join(f"{name} {seconds:.1f}" for name, seconds in report["seconds"].items())
    lines = [as_table(skill), "", f"Seconds to fit: {taken}"]
    lines += [f"Left out: {line}" for line in report["skipped"]]
    return "\n".join([*lines, "", *said, *(f"  {command}" for command in report["next"])])


def advice(
    skill: xr.Dataset, best: dict[str, str], source: str, options: dict[str, Any]
) -> tuple[list[str], list[str]]:
    """Which method is ahead for each variable, and the commands that fill with it.

    Parameters
    ----------
    skill : Dataset
        From ``ds.impute.bench``.
    best : dict of str to str
        Method by variable.
    source : str
        The data.
    options : dict
        Of the command; axes, window, tile, limits and chunks are repeated.

    Returns
    -------
    sentences, commands : lists of str

    Examples
    --------
    >>> import xarray as xr
    >>> coords = {"imputer": ["diffusion", "linear"], "metric": ["rmse", "cells"]}
    >>> table = xr.DataArray([[0.5, 90], [0.4, 90]], coords).to_dataset(name="sst")
    >>> said, commands = advice(table, {"sst": "linear"}, "sst.nc", {})
    >>> print("\\n".join(said + commands))
    sst: the simpler linear wins: RMSE 0.4, the network's is 0.5 (90 observations)
    xdiffimpute fill sst.nc filled.nc --imputer linear
    """
    said = [_sentence(skill, name, method) for name, method in best.items()]
    if not said:
        return ["No method answered at any observation that was set aside."], []
    commands: list[str] = []
    ahead = list(dict.fromkeys(best.values()))
    outs = {method: f"filled{k}.nc" for k, method in enumerate(ahead, 1)}
    won = {method: [name for name in best if best[name] == method] for method in ahead}
    for method in ahead:
        asked, out = dict(options), outs[method] if len(ahead) > 1 else "filled.nc"
        if method == LEARNED:
            fit = ["fit", source, "--save", "model.imputer"]
            commands.append(_command(fit, asked, (*AXES, *FIT, *READ)))
            commands.append(
                _command(["fill", source, out, "--imputer", "model.imputer"], asked, READ)
            )
            continue
        if len(ahead) > 1:
            asked["variables"] = won[method]
        commands.append(_command(["fill", source, out, "--imputer", method], asked, (*AXES, *READ)))
    if len(ahead) > 1:
        kept = ", ".join(f"{' and '.join(won[method])} of {outs[method]}" for method in ahead)
        said.append(f"No method wins everywhere: keep {kept}")
        if LEARNED in ahead:
            said.append(
                "The network learns from all variables together, and is fitted on all of them, as "
                "it was here, even where it fills only some best"
            )
    return said, commands


def _sentence(skill: xr.Dataset, name: str, method: str) -> str:
    table = skill[name]
    errors = dict(
        zip(
            map(str, skill["imputer"].values), table.sel(metric="rmse").values.tolist(), strict=True
        )
    )
    units = f" {table.attrs['units']}" if table.attrs.get("units") else ""
    cells = f"({int(table.sel(metric='cells').max())} observations)"
    tied = str(table.attrs.get("tied", "")).split()
    least = errors.pop(method)
    if method != LEARNED:
        text = (
            f"{name}: the simpler {method} wins: RMSE {least:.4g}{units}, the network's is "
            f"{errors[LEARNED]:.4g} {cells}"
        )
        return f"{text}; that is a tie, {TOO_FEW}" if LEARNED in tied else text
    known = {other: error for other, error in errors.items() if error == error}
    if not known:
        return f"{name}: the network's RMSE is {least:.4g}{units} {cells}"
    second = min(known, key=lambda other: known[other])
    text = (
        f"{name}: the network wins: RMSE {least:.4g}{units}, the next, {second}, has "
        f"{known[second]:.4g} {cells}"
    )
    if second in tied:
        text += f"; that is a tie, {TOO_FEW}, and {second} takes no training"
    elif least > (1 - NEAR) * known[second]:
        text += f"; that is hardly less, and {second} takes no training"
    return text


def _command(words: list[str], options: dict[str, Any], keep: tuple[str, ...]) -> str:
    """A line for the shell, with the options that were given."""
    words = ["xdiffimpute", *words]
    for name in keep:
        value = options.get(name)
        if value is None or (name == "seed" and value == 0):
            continue
        if isinstance(value, dict):
            value = [f"{dim}={size}" for dim, size in value.items()]
        text = ",".join(value) if isinstance(value, list) else str(value)
        words += [f"--{name.replace('_', '-')}", text]
    return shlex.join(words)
