"""Commands that follow a recipe: ``fetch`` gets its data, ``run`` does all of it."""

from __future__ import annotations

import json
import logging
import shlex
from typing import TYPE_CHECKING, Any

import click

from .cli_options import is_quiet, json_option, verbosity
from .exceptions import RecipeError

if TYPE_CHECKING:
    from .recipe import Recipe

__all__ = ["fetch", "run"]

log = logging.getLogger("xdiffimpute")


def _patience(function: Any) -> Any:
    """Add --retries and --wait."""
    tries = click.option(
        "--retries", type=click.IntRange(1), default=20, show_default=True,
        help="How often a lost connection is tried again.",
    )  # fmt: skip
    wait = click.option(
        "--wait", type=click.FloatRange(0.0), default=60.0, show_default=True, metavar="SECONDS",
        help="Between tries, and at most between looks at the queue.",
    )  # fmt: skip
    return tries(wait(function))


@click.command()
@click.argument("recipe", metavar="RECIPE", type=click.Path())
@click.option("--overwrite", is_flag=True, help="Replace a store that no fetch has written.")
@click.option("--dry-run", is_flag=True, help="Print the requests as JSON; ask nothing.")
@_patience
@json_option("Print the store and its months as JSON.")
@verbosity
@click.pass_context
def fetch(
    ctx: click.Context,
    /,
    recipe: str,
    overwrite: bool,
    dry_run: bool,
    retries: int,
    wait: float,
    as_json: bool,
) -> None:
    """Fetch the data of a RECIPE from the Climate Data Store, month by month.

    A month that is whole is verified and not asked for again, so the same command goes on where it
    was stopped. It needs a key: see https://cds.climate.copernicus.eu/how-to-api. Start from a
    recipe in recipes/era5.

    \b
    Examples:
      xdiffimpute fetch recipes/era5/t2m.yaml --dry-run
      xdiffimpute fetch recipes/era5/t2m.yaml
    """
    plan = _read(recipe)
    if plan.cds is None or plan.store is None:
        raise RecipeError(
            f"{recipe!r} takes its data from path: {plan.path}, and there is nothing to fetch; go "
            f"on with: xdiffimpute run {shlex.quote(recipe)}"
        )
    order = plan.cds.order()
    if dry_run:
        asked = {str(month): order.requests(month) for month in order.calendar}
        click.echo(json.dumps({"dataset": order.dataset, "requests": asked}, indent=2))
        return
    from .cds import fetch as fetch_order

    done = fetch_order(
        order, plan.store, overwrite=overwrite, progress=not is_quiet(ctx), retry_max=retries,
        sleep_max=wait,
    )  # fmt: skip
    log.info("%s is there; next: xdiffimpute run %s", done.store, shlex.quote(recipe))
    if as_json:
        click.echo(json.dumps(done.to_dict(), indent=2))


@click.command()
@click.argument("recipe", metavar="RECIPE", type=click.Path())
@click.option("--overwrite", is_flag=True, help="Replace results that exist.")
@_patience
@json_option("Print the report as JSON.")
@verbosity
@click.pass_context
def run(
    ctx: click.Context, /, recipe: str, overwrite: bool, retries: int, wait: float, as_json: bool
) -> None:
    """Follow a RECIPE: fetch, hide observations, fit, fill, score, draw.

    Results go to the folder that the recipe names: the imputer, the filled store, a picture and
    report.json with the errors. Steps that a recipe leaves out are left out.

    \b
    Examples:
      xdiffimpute run recipes/era5/t2m.yaml
      xdiffimpute run recipes/era5/t2m.yaml --overwrite --json > report.json
    """
    plan = _read(recipe)
    from .running import report_lines, run_recipe

    report = run_recipe(
        plan, overwrite=overwrite, progress=not is_quiet(ctx), retry_max=retries, sleep_max=wait
    )
    click.echo(json.dumps(report, indent=2) if as_json else report_lines(report))


def _read(path: str) -> Recipe:
    """The recipe in a file, where the packages for reading it are there."""
    try:
        from .recipe import read_recipe
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in ("pydantic", "yaml"):
            raise
        raise RecipeError(
            f"recipes need the package {error.name!r}, which is not installed; install it with: "
            "pip install 'xdiffimpute[recipes]'"
        ) from error
    return read_recipe(path)
