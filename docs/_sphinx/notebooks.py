"""The notebooks, with the outputs they were committed with, as pages: nothing is run."""

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

HERE = Path(__file__).resolve().parents[2] / "notebooks"


def copy(app: Sphinx, config: Config) -> None:
    """Sphinx reads pages below its source folder only, so they are copied there."""
    target = Path(app.srcdir) / "notebooks"
    target.mkdir(exist_ok=True)
    wanted = {page.name: page.read_bytes() for page in HERE.glob("[0-9]*.ipynb")}
    for page in target.glob("*.ipynb"):
        if page.name not in wanted:
            page.unlink()
    for name, content in wanted.items():
        page = target / name
        if not page.exists() or page.read_bytes() != content:
            page.write_bytes(content)


def point(app: Sphinx, docname: str, source: list[str]) -> None:
    """Links lead to where the notebooks are in the repository; on the site, to the copies."""
    source[0] = source[0].replace("](../notebooks/", "](notebooks/")


def setup(app: Sphinx) -> dict[str, bool]:
    """Copy before the pages are looked for."""
    app.connect("config-inited", copy)
    app.connect("source-read", point)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
