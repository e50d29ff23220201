"""The layering contracts of pyproject.toml hold, and the light half of the package stays light."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LINT = (
    "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports;"
    "sys.exit(lint_imports(no_cache=True))"
)


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("importlinter")
    return subprocess.run([sys.executable, "-c", LINT], capture_output=True, text=True, cwd=root)


def test_contracts_are_kept() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_contracts_notice_a_breach(tmp_path: Path) -> None:
    """A baseline that imports torch breaks the contract: the check is able to fail."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "xdiffimpute", tmp_path / "xdiffimpute", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "xdiffimpute/baselines/telea.py").open("a") as f:
        f.write("\nimport torch\nfrom . import linear\n")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "never imports torch BROKEN" in done.stdout
    assert "Siblings in baselines import nothing of each other, only base BROKEN" in done.stdout


def test_import_needs_no_torch() -> None:
    code = """
import sys, xarray
before = set(sys.modules)
import xdiffimpute
heavy = {"torch", "zarr", "netCDF4", "dask.array", "matplotlib", "cv2", "skimage", "cdsapi"}
print(sorted(heavy & (set(sys.modules) - before)))
"""
    assert run(code).strip() == "[]"


def test_telea_fill_needs_no_torch() -> None:
    pytest.importorskip("cv2")
    code = """
import sys
import numpy as np, pandas as pd, xarray as xr
import xdiffimpute
rng = np.random.default_rng(0)
values = np.sin(np.arange(12) / 3)[:, None] + np.cos(np.arange(14) / 4) + np.zeros((6, 1, 1))
values[rng.random(values.shape) < 0.3] = np.nan
ds = xr.Dataset(
    {"sst": (("time", "lat", "lon"), values.astype("float32"), {"units": "degC"})},
    {"time": pd.date_range("2001-01-01", periods=6), "lat": np.arange(12.0)},
).assign_coords(lon=np.arange(14.0))
filled = ds.impute.fill("telea").load()
print(int(filled["sst"].isnull().sum()), "torch" in sys.modules)
"""
    missing, torch = run(code).split()
    assert int(missing) < 6 * 12 * 14 * 0.05
    assert torch == "False"
