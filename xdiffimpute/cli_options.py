"""Options that commands share, and how their text becomes values."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = [
    "as_chunks",
    "as_dims",
    "as_names",
    "as_time",
    "axes_options",
    "checkpoint_options",
    "chunks_option",
    "is_quiet",
    "json_option",
    "verbosity",
]

F = TypeVar("F", bound=Callable[..., Any])


def _set_level(ctx: click.Context, _: click.Parameter, value: int | bool) -> None:
    if not value:
        return
    quiet = isinstance(value, bool)
    ctx.ensure_object(dict)["quiet"] = quiet
    logging.getLogger("xdiffimpute").setLevel(logging.ERROR if quiet else logging.DEBUG)


def verbosity(function: F) -> F:
    """Add -v and -q, before or after the name of a command."""
    louder = click.option(
        "-v", "--verbose", count=True, expose_value=False, callback=_set_level,
        help="Say more on standard error.",
    )  # fmt: skip
    quieter = click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=_set_level,
        help="Say nothing but errors.",
    )  # fmt: skip
    return louder(quieter(function))


def axes_options(function: F) -> F:
    """Add --variables, --time, --y and --x."""
    for name in ("x", "y", "time"):
        text = f"Dimension that is the {name} axis, where the metadata do not tell."
        function = click.option(f"--{name}", metavar="DIM", help=text)(function)
    return click.option(
        "--variables", metavar="A,B", callback=as_names, help="Variables to fill; default all."
    )(function)


def checkpoint_options(function: F) -> F:
    """Add --checkpoint, --checkpoint-every, --resume and --log-to."""
    for option in (
        click.option("--log-to", metavar="FILE.csv|DIR", type=click.Path(),
                     help="Write speed, memory and losses to a CSV file, or a folder for "
                     "TensorBoard."),
        click.option("--resume", is_flag=True,
                     help="Go on with the training in --checkpoint; start it if there is none."),
        click.option("--checkpoint-every", metavar="TIME", callback=as_time,
                     help="Time from one checkpoint to the next; default 5min."),
        click.option("--checkpoint", metavar="DIR", type=click.Path(file_okay=False),
                     help="Keep the training in a folder, at intervals and when it is stopped."),
    ):  # fmt: skip
        function = option(function)
    return function


def chunks_option(function: F) -> F:
    """Add --chunks."""
    return click.option(
        "--chunks", metavar="DIM=N,...", callback=as_chunks, help="Dask chunks of IN, or auto."
    )(function)


def json_option(text: str) -> Callable[[F], F]:
    """Add --json, with its help."""
    return click.option("--json", "as_json", is_flag=True, help=text)


def as_names(_: click.Context, __: click.Parameter, value: str | None) -> list[str] | None:
    """``"sst,chl"`` as a list."""
    return [name.strip() for name in value.split(",")] if value else None


def as_chunks(_: click.Context, __: click.Parameter, value: str | None) -> Any:
    """``"time=10,lat=64"`` as a mapping to int; ``"auto"`` as it is."""
    if value is None or value == "auto":
        return value
    try:
        return {dim: int(size) for dim, size in _pairs(value).items()}
    except ValueError as error:
        raise click.BadParameter(f"{value!r} has a size that is not a whole number") from error


def as_dims(_: click.Context, __: click.Parameter, value: str) -> str | dict[str, str]:
    """``"level=channels,number=series"`` as a mapping; a single word as it is."""
    return _pairs(value) if "=" in value else value


def as_time(_: click.Context, __: click.Parameter, value: str | None) -> str | float | None:
    """``"90"`` as seconds; ``"10min"`` as it is."""
    return float(value) if value and value.replace(".", "", 1).isdigit() else value


def is_quiet(ctx: click.Context) -> bool:
    """Whether -q was given."""
    return bool(ctx.ensure_object(dict).get("quiet"))


def _pairs(value: str) -> dict[str, str]:
    pairs = [item.partition("=") for item in value.split(",")]
    if not all(key.strip() and text.strip() for key, _, text in pairs):
        raise click.BadParameter(f"{value!r} is not of the form DIM=VALUE,DIM=VALUE")
    return {key.strip(): text.strip() for key, _, text in pairs}
