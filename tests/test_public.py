"""Every object that the reference shows has a docstring, and an example that runs.

Public is what a page of ``docs/reference`` names: what its directives name, and each variant of a
family. The examples themselves are run by ``test_docs.py``.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from functools import cache
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import xdiffimpute
from xdiffimpute.accessor import ImputeDatasetAccessor
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.plots import Plots
from xdiffimpute.tree import ImputeDataTreeAccessor

ROOT = Path(__file__).parents[1]
DIRECTIVE = re.compile(r"^( *)\.\. auto(module|class|function|method|property):: +([\w.]+)$")
FAMILY = re.compile(r"^<!-- family: (\w+) (\w+) -->$")
PARSER = doctest.DocTestParser()
ENTRANCES = (Plots, ImputeDataTreeAccessor, DiffusionImputer)  # each of whose methods is shown


def by_name(dotted: str) -> Any:
    """A module, or what one holds."""
    try:
        return importlib.import_module(dotted)
    except ModuleNotFoundError:
        home, _, name = dotted.rpartition(".")
        return getattr(by_name(home), name)


def shown() -> dict[str, Any]:
    """Objects on the pages of the reference, by their dotted names."""
    found: dict[str, Any] = {}

    def add(thing: Any, members: str | None) -> None:
        if not isinstance(thing, ModuleType):
            found[f"{thing.__module__}.{thing.__qualname__}"] = thing
        elif members is not None:
            for name in members.split(",") if members else thing.__all__:
                add(getattr(thing, name.strip()), None)

    for page in sorted((ROOT / "docs/reference").glob("*.md")):
        lines = page.read_text(encoding="utf-8").splitlines()
        owner = None
        for k, line in enumerate(lines):
            if family := FAMILY.match(line):
                package = importlib.import_module(f"xdiffimpute.{family[1]}")
                for name in getattr(package, family[2]):
                    add(importlib.import_module(f"{package.__name__}.{name}"), "")
            elif directive := DIRECTIVE.match(line):
                _, kind, name = directive.groups()
                if kind in ("method", "property"):
                    thing = inspect.getattr_static(owner, name)
                    found[f"{owner.__module__}.{owner.__qualname__}.{name}"] = thing
                    continue
                owner = by_name(name)
                below = takewhile(lambda n: n.startswith(" "), lines[k + 1 :])
                members = [m[1].strip() for n in below if (m := re.match(r" +:members:(.*)", n))]
                add(owner, members[0] if members else None)
                if owner in ENTRANCES:
                    for part, value in public_parts(owner).items():
                        found[f"{owner.__module__}.{owner.__qualname__}.{part}"] = value
    for name in xdiffimpute.__all__:
        thing = getattr(xdiffimpute, name)
        if not isinstance(thing, str):
            found[f"{thing.__module__}.{thing.__qualname__}"] = thing
    return {name: thing for name, thing in found.items() if callable(thing) or is_part(thing)}


def is_part(thing: Any) -> bool:
    return isinstance(thing, property | classmethod | staticmethod)


def public_parts(cls: type) -> dict[str, Any]:
    """Methods and properties that a class defines itself."""
    own = {name: value for name, value in vars(cls).items() if not name.startswith("_")}
    return {n: v for n, v in own.items() if inspect.isfunction(v) or is_part(v)}


def exempt(thing: Any) -> bool:
    """Errors are shown by what raises them."""
    return inspect.isclass(thing) and issubclass(thing, Exception)


PUBLIC = shown()


def examples(thing: Any) -> str:
    """What is typed in the examples of a docstring, those that are skipped left out."""
    text = inspect.cleandoc(thing.__doc__ or "")
    skipped = doctest.OPTIONFLAGS_BY_NAME["SKIP"]
    return "".join(e.source for e in PARSER.get_examples(text) if not e.options.get(skipped))


@cache
def owner_of(name: str) -> str:
    """What is typed in the examples of the class that a method belongs to."""
    owner = PUBLIC.get(name.rpartition(".")[0])
    return "" if owner is None else examples(owner)


def test_much_is_public() -> None:
    assert len(PUBLIC) > 90
    for name in ("masks.track.Track", "accessor.ImputeDatasetAccessor.fit", "plots.Plots.gaps",
                 "load", "gridding.grid_table", "example_data.example"):  # fmt: skip
        assert f"xdiffimpute.{name}" in PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_public_objects_have_docstrings_of_their_own(name: str) -> None:
    doc = inspect.cleandoc(PUBLIC[name].__doc__ or "")
    assert len(doc.partition("\n")[0].split()) >= 2
    if inspect.isclass(PUBLIC[name]):
        bare = [n for n, v in public_parts(PUBLIC[name]).items() if not (v.__doc__ or "").strip()]
        assert not [n for n in bare if not inherited(PUBLIC[name], n)]


def inherited(cls: type, name: str) -> bool:
    """Whether a base documents what a subclass fills in."""
    return any((getattr(getattr(b, name, None), "__doc__", "") or "") for b in cls.__mro__[1:])


@pytest.mark.parametrize("name", [n for n, thing in PUBLIC.items() if not exempt(thing)])
def test_public_objects_have_examples_of_their_own(name: str) -> None:
    """Those of a base class do not count; a method may be shown in the example of its class."""
    thing = PUBLIC[name]
    part = name.rpartition(".")[2]
    owner = owner_of(name)
    if inspect.isclass(thing):
        assert "__doc__" in vars(thing)
    inside = "".join(map(examples, public_parts(thing).values())) if inspect.isclass(thing) else ""
    shown_by = examples(thing) or inside or re.search(rf"\.{part}\b", owner)
    assert shown_by, f"{name} has no example"


@pytest.mark.parametrize("name", [n for n, t in PUBLIC.items() if inspect.isfunction(t)])
def test_docstrings_name_the_parameters(name: str) -> None:
    doc = PUBLIC[name].__doc__ or ""
    parameters = [
        p for p in inspect.signature(PUBLIC[name]).parameters.values()
        if p.name not in ("self", "cls")
    ]  # fmt: skip
    if "Parameters\n" not in doc:
        return
    absent = [p.name for p in parameters if not re.search(rf"\b{p.name}\b", doc)]
    assert not absent


def test_the_accessor_is_all_on_its_page() -> None:
    methods = [n for n in dir(ImputeDatasetAccessor) if not n.startswith("_")]
    page = (ROOT / "docs/reference/accessor.md").read_text(encoding="utf-8")
    assert not [n for n in methods if not re.search(rf"auto(method|property):: {n}\n|`{n}`", page)]
