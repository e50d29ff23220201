"""How accurate the fills are: ``python -m recipes.benchmarks.accuracy run``, then ``... page``.

``run`` writes a result for each case, method and seed, and goes on where it was stopped; ``page``
writes docs/accuracy.md and its figure from them.
"""

from __future__ import annotations

import logging
import sys

import xdiffimpute as xdi

NEEDED = ("pydantic", "yaml")


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; exit code 2 where something is wrong with the input."""
    try:
        from recipes.benchmarks.accuracy.commands import parser
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in NEEDED:
            raise
        print(
            f"Error: the suite needs the package {error.name!r}, which is not installed; install "
            "it, and what baselines and the figure need, with: "
            "pip install -e '.[recipes,baselines,plot]'",
            file=sys.stderr,
        )
        return 2
    options = parser(__doc__).parse_args(arguments)
    try:
        return int(options.command(options))
    except xdi.ImputeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("xdiffimpute").setLevel(logging.ERROR)
    logging.getLogger("xdiffimpute.accuracy").setLevel(logging.INFO)
    sys.exit(main())
