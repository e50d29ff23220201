"""``list``: what there is, by family and name."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from .cli_options import json_option, verbosity

if TYPE_CHECKING:
    from .registry import Registry

__all__ = ["list_"]

FAMILIES = {
    "methods": ("methods", "METHODS"),
    "baselines": ("baselines", "BASELINES"),
    "masks": ("masks", "MASKS"),
    "backbones": ("backbones", "BACKBONES"),
    "samplers": ("samplers", "SAMPLERS"),
    "guidance": ("guidance", "GUIDANCES"),
    "datasets": ("datasets", "DATASETS"),
    "metrics": ("metrics", "METRICS"),
}


@click.command(name="list")
@click.argument("family", type=click.Choice(list(FAMILIES)), required=False)
@json_option("Print JSON: summaries by family and name.")
@verbosity
def list_(family: str | None, as_json: bool) -> None:
    """List methods, baselines, masks, backbones, samplers, guidance, datasets and metrics.

    \b
    Examples:
      xdiffimpute list
      xdiffimpute list baselines
    """
    found: dict[str, dict[str, str]] = {}
    for title in [family] if family else FAMILIES:
        package, attribute = FAMILIES[title]
        registry: Registry[Any] = getattr(import_module(f"xdiffimpute.{package}"), attribute)
        summaries = {
            n: (registry.get(n).__doc__ or "").strip().partition("\n")[0] for n in registry
        }
        found[title] = summaries
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for title, summaries in found.items():
        click.echo(title)
        for name, summary in summaries.items():
            click.echo(f"  {name:<22} {summary}".rstrip())
