"""Pages of the families, from their registries: a new variant is on its page by itself.

A line ``<!-- family: baselines BASELINES -->`` becomes one section for each variant of
``xdiffimpute.baselines.BASELINES``, with the documentation of its module.
"""

import importlib
import re

from sphinx.application import Sphinx

LINE = re.compile(r"^<!-- family: (\w+) (\w+) -->$", re.MULTILINE)


def sections(match: re.Match[str]) -> str:
    """One section for each variant."""
    package = importlib.import_module(f"xdiffimpute.{match[1]}")
    return "\n".join(
        f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {package.__name__}.{name}\n"
        "   :members:\n```\n"
        for name in getattr(package, match[2])
    )


def expand(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the line on a page that has one."""
    source[0] = LINE.sub(sections, source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Listen to pages as they are read."""
    app.connect("source-read", expand)
    return {"parallel_read_safe": True}
