"""Benchmarks run, on little; what they measure is not judged here."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "recipes" / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Import a script: the module, and a function that runs it and returns what it kept."""
    monkeypatch.syspath_prepend(str(FOLDER))
    out = tmp_path / "out.json"

    def load(name: str) -> tuple[ModuleType, Callable[..., dict]]:
        module = importlib.import_module(name)

        def run(*options: str) -> dict:
            monkeypatch.setattr(sys, "argv", [f"{name}.py", "--json", str(out), *options])
            module.main()
            record = json.loads(out.read_text())
            assert record["benchmark"] == name and record["options"]["seed"] == "0"
            return record["results"]

        return module, run

    return load


GUESSED = {
    "gaussian_field": ({"shape": (16, 16), "length": 4.0, "smoothness": 1.5}, 60, 6),
    "shallow_water": ({"shape": (12, 12), "frames": 2}, 8, 2),
}


@pytest.mark.parametrize(
    "case", ["gaussian_field", pytest.param("shallow_water", marks=pytest.mark.slow)]
)
def test_first_guesses(case: str, script, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Gaussian fields the mixture that is started from is near the exact answer."""
    module, run = script("first_guesses")
    monkeypatch.setattr(module, "CASES", {case: GUESSED[case]})
    monkeypatch.delitem(module.PATTERNS, "5 of 9 blocks")
    (row,) = run().values()
    assert {"membrane", "thin_plate", "kriging", "mixture", "seconds"} <= set(row)
    if case == "gaussian_field":
        assert 1 < row["mixture / exact"] < 1.5 and row["mixture"] < 0.5


def test_members(script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module, run = script("members")
    monkeypatch.setattr(module, "MEMBERS", 4)
    monkeypatch.delitem(module.PATTERNS, "5 of 9 blocks")
    monkeypatch.setattr(module, "SIDE", 12)
    picture = tmp_path / "ranks.png"
    options = ("--samples", "30", "--test", "3", "--minutes", "0.01", "--picture", str(picture))
    results = run(*options)
    assert picture.stat().st_size > 1000
    for row in results.values():
        ranks = [value for key, value in row.items() if key.startswith("rank ")]
        assert len(ranks) == 5 and sum(ranks) == pytest.approx(1.0)
        assert row["RMSE"] > 0 and row["spread / error"] > 0


def test_guidance(script, monkeypatch: pytest.MonkeyPatch) -> None:
    module, run = script("guidance")
    monkeypatch.setattr(module, "SIDE", 12)
    monkeypatch.setattr(module, "FRAMES", 3)
    options = ("--samples", "6", "--test", "1", "--minutes", "0.01", "--steps", "2")
    results = run(*options, "--strengths", "1")
    assert set(results) == {"plain", "strength 1"}
    assert results["plain"]["residual / plain"] == 1.0


@pytest.mark.slow
def test_failing_stations(script) -> None:
    options = ("--seeds", "1", "--fits", "1", "--steps", "2", "--frames", "24", "--sides", "8")
    _, run = script("failing_stations")
    results = run(*options)
    assert set(results["flagged, side 8"]) >= {"failing stations", "random pixels"}
    assert results["filled"]["mean"]["ratio of biases"] > 0


def test_methods_are_asked_only_where_baselines_are_run(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import _report

    from xdiffimpute.baselines import BASELINES

    assert not hasattr(_report.arguments("").parse_args([]), "methods")
    assert _report.arguments("", methods=True).parse_args([]).methods == BASELINES.names()


def test_make_bench_runs_scripts_that_exist() -> None:
    text = (FOLDER.parents[1] / "Makefile").read_text()
    names = re.search(r"for name in ([a-z_ ]+); do", text).group(1).split()
    assert {"members", "guidance", "first_guesses", "failing_stations"} <= set(names)
    for name in names:
        script = (FOLDER / f"{name}.py").read_text()
        assert "data=" not in script.partition("arguments(")[2].partition(")")[0]
