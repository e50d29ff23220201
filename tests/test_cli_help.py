"""Help, completion and JSON: quick, complete, and for scripts."""

from __future__ import annotations

import json
import os
import resource
import shlex
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from xdiffimpute.cli import main

CODE = """
import sys
from xdiffimpute.cli import main
try:
    main(prog_name="xdiffimpute")
finally:
    heavy = {"xarray", "torch", "pandas", "numpy", "dask", "pydantic", "cdsapi"}
    print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


def shell(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | variables, timeout=60
    )


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fit", "-h"], ["run", "-h"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    done = shell(*arguments)
    assert done.returncode == 0 and done.stdout
    assert done.stderr.strip() == "[]"


def test_help_is_quick() -> None:
    """In processor time, so that a busy machine does not matter."""

    def seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = seconds()
    shell("--help")
    assert seconds() - before < 0.5


def test_completion_is_there_and_light() -> None:
    done = shell(_XDIFFIMPUTE_COMPLETE="bash_source")
    assert "complete" in done.stdout and "_XDIFFIMPUTE_COMPLETE" in done.stdout
    words = {"COMP_WORDS": "xdiffimpute fe", "COMP_CWORD": "1"}
    done = shell(_XDIFFIMPUTE_COMPLETE="bash_complete", **words)
    assert done.stdout.strip() == "plain,fetch"
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", [None, *main.commands])
def test_every_help_has_examples_that_parse(name: str | None) -> None:
    result = CliRunner().invoke(main, [name, "--help"] if name else ["--help"])
    assert result.exit_code == 0
    lines = [line.strip() for line in result.stdout.splitlines()]
    lines = [line for line in lines if line.startswith("xdiffimpute ")]
    assert lines
    for line in lines:
        _, command, *arguments = shlex.split(line.partition(" > ")[0])
        assert name in (None, command)
        with click.Context(main, info_name="xdiffimpute") as parent:
            main.commands[command].make_context(command, arguments, parent=parent)


def test_list_for_scripts() -> None:
    found = json.loads(CliRunner().invoke(main, ["list", "--json"]).stdout)
    assert {"baselines", "masks", "metrics"} <= set(found)
    assert found["masks"]["block"].startswith("Keep whole blocks")
    only = json.loads(CliRunner().invoke(main, ["list", "baselines", "--json"]).stdout)
    assert list(only) == ["baselines"]


def test_no_bar_without_a_terminal() -> None:
    done = shell("list", "masks")
    assert done.returncode == 0 and "\r" not in done.stderr


@pytest.mark.parametrize(
    "imports",
    ["import xarray as xr; import xdiffimpute", "import xdiffimpute; import xarray as xr",
     "import xdiffimpute; from xarray import Dataset; import xarray as xr",
     "from xdiffimpute.accessor import ImputeDatasetAccessor; import xarray as xr",
     "import importlib.util, xdiffimpute; importlib.util.find_spec('xarray'); import xarray as xr",
     "import xdiffimpute.stores; import xarray as xr"],
)  # fmt: skip
def test_accessor_is_there_in_any_order_of_imports(imports: str) -> None:
    code = (
        f"import sys; {imports}; print(type(xr.Dataset().impute).__name__, "
        "type(xr.__spec__.loader).__name__, len([f for f in sys.meta_path "
        "if type(f).__module__.startswith('xdiffimpute')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["ImputeDatasetAccessor", "SourceFileLoader", "0"], done.stderr
