"""The commands of the suite: ``run``, ``page`` and ``list``."""

from __future__ import annotations

import argparse
from pathlib import Path

from recipes.benchmarks.accuracy.contestants import METHODS
from recipes.benchmarks.accuracy.family import FAMILIES, chosen, read_families
from recipes.benchmarks.accuracy.page import PAGE, write_page
from recipes.benchmarks.accuracy.results import RESULTS
from recipes.benchmarks.accuracy.run import run_suite

__all__ = ["MINUTES", "parser"]

MINUTES = 1.0


def parser(description: str | None) -> argparse.ArgumentParser:
    """What may be said; the command is a function of the options, ``options.command``."""
    out = argparse.ArgumentParser(prog="recipes.benchmarks.accuracy", description=description)
    commands = out.add_subparsers(required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--minutes", type=float, default=MINUTES, help="of training of each network (%(default)g)"
    )
    shared.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    shared.add_argument("--families", type=Path, default=FAMILIES, help="folder of the cases")
    run = commands.add_parser("run", parents=[shared], help="run cases")
    run.add_argument("--cases", nargs="+", help="cases, or families of them; default: all")
    run.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD")
    run.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    run.add_argument("--data", type=Path, help="folder of the archives; without it, no real data")
    run.add_argument("--again", action="store_true", help="run also what is there")
    run.set_defaults(command=_run)
    page = commands.add_parser("page", parents=[shared], help="write the page and the figure")
    page.add_argument("--page", type=Path, default=PAGE, help="the figure goes to figures beside")
    page.set_defaults(command=_page)
    names = commands.add_parser("list", parents=[shared], help="name the cases")
    names.set_defaults(command=_list)
    return out


def _run(options: argparse.Namespace) -> int:
    run_suite(
        chosen(options.cases, options.families), options.methods, options.seeds, options.minutes,
        data=options.data, folder=options.results, again=options.again,
    )  # fmt: skip
    return 0


def _page(options: argparse.Namespace) -> int:
    cases = list(read_families(options.families).values())
    print(f"wrote {write_page(cases, options.results, options.minutes, options.page)}")
    return 0


def _list(options: argparse.Namespace) -> int:
    for case in read_families(options.families).values():
        print(f"{case.name:30s} {case.title}")
    return 0
