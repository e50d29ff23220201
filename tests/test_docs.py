"""What the documentation shows exists and runs."""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import inspect
import io
import pkgutil
import re
import shlex
import textwrap
import tomllib
from pathlib import Path

import click
import pytest

import xdiffimpute
from xdiffimpute.accessor import ImputeDatasetAccessor
from xdiffimpute.cli import main

ROOT = Path(__file__).parents[1]
MODULES = ["xdiffimpute"] + sorted(
    module.name for module in pkgutil.walk_packages(xdiffimpute.__path__, "xdiffimpute.")
)
PAGES = ["README.md"] + sorted(
    page.relative_to(ROOT).as_posix()
    for page in (ROOT / "docs").rglob("*.md")
    if "_build" not in page.parts
)


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text, flags=re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)
    report = io.StringIO()
    with contextlib.redirect_stdout(report):
        result = doctest.testmod(
            module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        )
    assert result.failed == 0, report.getvalue()


def test_modules_have_docstrings() -> None:
    bare = [name for name in MODULES if not (importlib.import_module(name).__doc__ or "").strip()]
    assert not bare


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_compile(page: str) -> None:
    """Those of tutorial and how-to pages are run as well, in ``test_pages.py``."""
    for block in blocks(page, "python"):
        compile(block, page, "exec")


def test_commands_of_the_paper_page_name_tables_that_exist() -> None:
    text = "\n".join(blocks("docs/paper.md", "bash"))
    told = re.findall(r"^python -m recipes\.paper (\w+)", text, flags=re.MULTILINE)
    known = {path.stem for path in (ROOT / "recipes/paper").glob("*s/*.yaml")}
    assert told
    assert set(told) <= known | {"page", "all", "figures"}


def test_readme_calls_exist() -> None:
    """Names under xdi and .impute exist, with the keyword arguments that are shown."""
    signatures = 0
    for node in ast.walk(ast.parse("\n".join(blocks("README.md", "python")))):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "xdi":
            assert hasattr(xdiffimpute, node.attr)
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = node.func.value
        if isinstance(owner, ast.Attribute) and owner.attr == "impute":
            method = getattr(ImputeDatasetAccessor, node.func.attr)
            signature = inspect.signature(method)
            keywords = {k.arg: None for k in node.keywords if k.arg}
            signature.bind(None, *node.args, **keywords)
            assert keywords.keys() <= signature.parameters.keys()
            signatures += 1
    assert signatures >= 5


def test_readme_shell_lines_parse() -> None:
    lines = [line for block in blocks("README.md", "bash") for line in block.splitlines()]
    lines = [line for line in lines if line.startswith("xdiffimpute ")]
    assert lines
    for line in lines:
        _, name, *arguments = shlex.split(line, comments=True)
        command = main.commands[name]
        with click.Context(main, info_name="xdiffimpute") as parent:
            command.make_context(name, list(arguments), parent=parent)


def test_readme_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(
        re.findall(r"^make ([a-z-]+)", "\n".join(blocks("README.md", "bash")), re.MULTILINE)
    )
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_architecture_page_has_the_table_of_the_contract() -> None:
    with (ROOT / "pyproject.toml").open("rb") as f:
        contracts = tomllib.load(f)["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["type"] == "layers")
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    told = [set(re.findall(r"(?:\| |; )`(\w+)`", row)) for row in rows]
    assert told == [set(re.findall(r"\w+", layer)) for layer in layers]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)
    missing = [
        link for link in links
        if "://" not in link and not ((ROOT / page).parent / link).exists()
    ]  # fmt: skip
    assert not missing
