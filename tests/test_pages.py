"""The code on the tutorial and the how-to pages runs, and prints what the pages say it prints.

On small data, with training and sampling cut down to a few steps. A ``text`` block that follows a
``python`` block is its output.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.samplers.multi_step import MultiStep

pytestmark = pytest.mark.usefixtures("hasty")

ROOT = Path(__file__).parents[1]
NEEDS = {"docs/howto/neighbours.md": "rioxarray", "docs/howto/units.md": "pint_xarray"}
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in [*(ROOT / "docs").rglob("howto/*.md"), *(ROOT / "docs").rglob("reference/*.md")]
    if "```python" in page.read_text(encoding="utf-8")
)
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```\n(?:\n```text\n(.*?)^```)?", re.M | re.S)


FITTED: dict[str, DiffusionImputer] = {}  # once for all pages: none changes it


def run(page: str, names: dict[str, Any]) -> None:
    """Run the blocks of a page one after the other, and compare what they print."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = list(BLOCK.finditer(text))
    assert len(found) == len(re.findall(r"^ *```python$", text, re.M))
    for block in found:
        line = text[: block.start()].count("\n") + 2
        code = "\n" * (line - 1) + textwrap.dedent(block[2])
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(code, page, "exec"), names)
        if block[3] is not None:
            assert said.getvalue().strip() == block[3].strip(), f"{page}:{line}"


@pytest.fixture
def one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fit takes one step, looks at few windows, and samples in at most three steps."""
    monkeypatch.setattr("xdiffimpute.verification.MAX_WINDOWS", 4)
    monkeypatch.setattr("xdiffimpute.verification.LEAST_WINDOWS", 2)
    original, sampler = DiffusionImputer.__init__, MultiStep.__init__

    def quick(self: DiffusionImputer, **options: Any) -> None:
        original(self, **options | {"steps": 1, "max_time": None, "progress": False})

    def few(self: MultiStep, steps: int = 3, members: int = 2, **options: Any) -> None:
        sampler(self, min(steps, 3), min(members, 2), **options)

    monkeypatch.setattr(DiffusionImputer, "__init__", quick)
    monkeypatch.setattr(MultiStep, "__init__", few)


@pytest.fixture
def here(gappy: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the pages take for granted: ``ds``, ``imputer``, and files in the working directory."""
    import xdiffimpute as xdi

    ds = gappy.assign(chlorophyll=np.exp(gappy["sst"] / 10))
    ds["chlorophyll"].attrs = {"units": "mg m-3"}
    monkeypatch.chdir(tmp_path)
    ds.to_netcdf("sst.nc")
    ds.to_zarr("sst_l3.zarr", consolidated=False)
    return {"ds": ds, "np": np, "xr": xr, "xdi": xdi}


@pytest.mark.filterwarnings("ignore:2 of 99 cells are never observed", "ignore:4 of 198 cells")
@pytest.mark.filterwarnings("ignore:Consolidated metadata", "ignore:Failed to open Zarr store with")
@pytest.mark.parametrize("page", PAGES)
def test_how_to_pages_run(page: str, here: dict[str, Any], one_step: None) -> None:
    if page in NEEDS:
        pytest.importorskip(NEEDS[page])
    if not FITTED:
        FITTED["imputer"] = here["ds"].impute.fit()
    run(page, here | FITTED)


@pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="the tutorial draws a picture"
)
def test_the_tutorial_runs(
    here: dict[str, Any], one_step: None, caplog: pytest.LogCaptureFixture
) -> None:
    """``caplog`` so that the page's own logging has no effect on other tests."""
    import matplotlib

    matplotlib.use("Agg")
    run("docs/tutorial.md", {})
    assert Path("filled.nc").exists() and Path("waves.imputer").exists()
