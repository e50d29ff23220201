"""``fetch`` and ``run``, from a recipe to a report: the real client and a loopback server."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner, Result

from xdiffimpute.baselines import BASELINES
from xdiffimpute.cli import main
from xdiffimpute.exceptions import DataError
from xdiffimpute.running import report_lines

yaml = pytest.importorskip("yaml")
pytest.importorskip("pydantic")
pytest.importorskip("cdsapi")

from cds_server import DATASET, CdsServer, running  # noqa: E402

pytestmark = pytest.mark.usefixtures("hasty")

RECIPE: dict[str, Any] = {
    "title": "a test",
    "cds": {"dataset": DATASET, "variables": ["2m_temperature"], "years": [2020], "months": [1, 2],
            "days": [1, 2], "hours": [0, 6, 12, 18], "area": [20, 170, 10, -175], "grid": 1.0},
    "store": "t2m.zarr",
    "hide": {"pattern": "block", "options": {"grid": [2, 2], "kept": 3}},
    "fit": {"steps": 2, "size": "small", "window": 1, "partition": "block"},
    "compare": ["climatology"],
    "out": "results",
}  # fmt: skip
QUICK = ["--retries", "2", "--wait", "0.05"]


@pytest.fixture
def cds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CdsServer]:
    with running() as server:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("CDSAPI_URL", server.url)
        monkeypatch.setenv("CDSAPI_KEY", server.key)
        monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "no-such-file"))
        yield server
    logging.getLogger("xdiffimpute").setLevel(logging.NOTSET)


def invoke(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output + repr(result.exception)
    assert "Traceback" not in result.output
    return result


def recipe(**changes: Any) -> str:
    Path("mine.yaml").write_text(yaml.safe_dump(RECIPE | changes))
    return "mine.yaml"


def test_fetch(cds: CdsServer) -> None:
    result = invoke("fetch", recipe(), *QUICK, "--json")
    told = json.loads(result.stdout)
    assert told["store"] == "t2m.zarr" and told["asked"] == ["2020-01", "2020-02"]
    assert "next: xdiffimpute run mine.yaml" in result.stderr
    again = invoke("fetch", recipe(), *QUICK)
    assert "kept 2020-01, 2020-02" in again.stderr and again.stdout == ""
    assert len(cds.asked) == 4
    assert invoke("fetch", recipe(), *QUICK, "-q").stderr == ""


def test_dry_run_asks_nothing(cds: CdsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CDSAPI_KEY")
    told = json.loads(invoke("fetch", recipe(), "--dry-run").stdout)
    assert told["dataset"] == DATASET
    assert [r["area"] for r in told["requests"]["2020-01"]] == [
        [20, 170, 10, 180], [20, -180, 10, -175]
    ]  # fmt: skip
    assert not cds.asked and not Path("t2m.zarr").exists()


def test_run_follows_the_recipe(cds: CdsServer) -> None:
    result = invoke("run", recipe(), *QUICK, "--json")
    report = json.loads(result.stdout)
    assert report == json.loads(Path("results/report.json").read_text())
    assert set(report["hidden"]) == {"xdiffimpute", "climatology"}
    assert report["hidden"]["xdiffimpute"]["t2m"]["rmse"] > 0
    assert report["hidden"]["xdiffimpute"]["t2m"]["cells"] > 0
    assert report["skill"]["t2m"]["units"] == "K"
    assert report["picture"] is None or Path(report["picture"]).stat().st_size > 10_000
    with xr.open_zarr("t2m.zarr") as truth, xr.open_zarr("results/filled.zarr") as filled:
        observed = filled["t2m_imputation_flag"].values == 0
        np.testing.assert_array_equal(filled["t2m"].values[observed], truth["t2m"].values[observed])
        assert 0.7 < observed.mean() < 0.8
    said = invoke("run", recipe(), *QUICK, code=2).stderr
    assert "holds results already" in said and "--overwrite" in said


def test_run_in_windows_on_data_that_are_there(cds: CdsServer) -> None:
    t, y, x = np.ogrid[:9, :8, :10]
    ds = xr.Dataset(
        {"sst": (("time", "lat", "lon"), (np.sin(x / 3 + t / 2) + y / 5).astype("float32")),
         "chl": (("time", "lat", "lon"), np.ones((9, 8, 10), "float32"))},
        {"time": np.datetime64("2020-01-01", "ns") + np.arange(9) * np.timedelta64(1, "h"),
         "lat": np.arange(8.0), "lon": np.arange(10.0)},
    )  # fmt: skip
    Path("data").mkdir()
    ds.isel(time=slice(5)).to_netcdf("data/a.nc")
    ds.isel(time=slice(5, None)).to_netcdf("data/b.nc")
    changes = {
        "cds": None, "store": None, "path": "data", "variables": ["sst"], "window": 3,
        "fit": RECIPE["fit"] | {"window": 3},
    }  # fmt: skip
    lines = invoke("run", recipe(**changes)).stdout
    assert "Root mean square error at the cells that were hidden" in lines
    assert "sst xdiffimpute" in lines and "sst climatology" in lines
    with xr.open_zarr("results/filled.zarr") as filled:
        assert dict(filled.sizes) == {"sample": 3, "time": 3, "lat": 8, "lon": 10}
        assert "chl" not in filled
    said = invoke("fetch", recipe(**changes), code=2).stderr
    assert "nothing to fetch" in said and "xdiffimpute run" in said


def test_own_gaps_are_filled_without_hiding(cds: CdsServer, gappy: xr.Dataset) -> None:
    gappy.to_netcdf("sst.nc")
    changes = {"cds": None, "store": None, "path": "sst.nc", "hide": None}
    changes["fit"] = {"steps": 2, "size": "small", "window": 1, "partition": "pixel"}
    report = json.loads(invoke("run", recipe(**changes), "--json").stdout)
    assert "hidden" not in report and not Path("results/gappy.zarr").exists()
    Path("results/gappy.zarr").mkdir()  # of an earlier run, with a recipe that hid something
    invoke("run", recipe(**changes), "--overwrite")
    assert sorted(f.name for f in Path("results").iterdir()) == [
        "comparison.png", "filled.zarr", "model.imputer", "report.json"
    ]  # fmt: skip
    said = invoke("run", recipe(**changes | {"variables": ["chl"], "out": "r2"}), code=2).stderr
    assert "'sst.nc' has sst and not chl" in said


def test_mistakes_end_with_a_message(cds: CdsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Did you mean 'store'" in invoke("fetch", recipe(stroe="a"), code=2).stderr
    assert "start from one in recipes/era5" in invoke("run", "none.yaml", code=2).stderr
    Path("file").write_text("")
    assert "cannot write to the folder" in invoke("run", recipe(out="file/out"), code=2).stderr
    monkeypatch.delenv("CDSAPI_KEY")
    said = invoke("fetch", recipe(), code=2).stderr
    assert "~/.cdsapirc" in said and "licence" in said


def test_packages_that_are_missing(cds: CdsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recipe()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "cdsapi", None)
        assert "pip install 'xdiffimpute[cds]'" in invoke("fetch", path, code=2).stderr
    monkeypatch.delitem(sys.modules, "xdiffimpute.recipe", raising=False)
    monkeypatch.setitem(sys.modules, "pydantic", None)
    assert "pip install 'xdiffimpute[recipes]'" in invoke("fetch", path, code=2).stderr


def test_a_report_says_where_a_simpler_method_is_ahead() -> None:
    def row(rmse: float, empty: int = 0) -> dict[str, Any]:
        return {"t2m": {"rmse": rmse, "cells": 9, "empty": empty}}

    report = {"skill": {}, "imputer": "a", "filled": "b", "picture": None}
    hidden = {"xdiffimpute": row(0.2), "linear": row(0.1), "temporal": row(0.05, empty=2)}
    assert "t2m: the simpler linear is ahead" in report_lines(report | {"hidden": hidden})
    hidden["xdiffimpute"] = row(0.1)
    assert "ahead" not in report_lines(report | {"hidden": hidden})


def fields(**more: Any) -> xr.Dataset:
    """A field and what goes along with it, whole, on dims of unusual names."""
    t, y, x = np.ogrid[:9, :8, :10]
    wave = (np.sin(x / 3 + t / 2) + y / 5).astype("float32")
    return xr.Dataset(
        {"sst": (("time", "row", "col"), wave), "terrain": (("row", "col"), wave[0])} | more,
        {"time": np.datetime64("2020-01-01", "ns") + np.arange(9) * np.timedelta64(1, "h")},
    )


def test_run_hides_judges_and_draws_what_the_fit_fills(cds: CdsServer) -> None:
    """On the dims that it names; covariates and whole numbers stay as they are."""
    flag = (("time", "row", "col"), np.ones((9, 8, 10), "int8"))
    fields(flag=flag).to_netcdf("sst.nc")
    fit = RECIPE["fit"] | {"y": "row", "x": "col", "covariates": ["terrain"]}
    changes = {"cds": None, "store": None, "path": "sst.nc", "fit": fit}
    report = json.loads(invoke("run", recipe(**changes), "--json").stdout)
    assert {name: set(row) for name, row in report["hidden"].items()} == {
        "xdiffimpute": {"sst"}, "climatology": {"sst"}
    }  # fmt: skip
    drawn = importlib.util.find_spec("matplotlib") is not None
    assert (report["picture"] is not None) == drawn == Path("results/comparison.png").exists()
    with xr.open_zarr("results/gappy.zarr") as gappy:
        assert gappy["terrain"].notnull().all() and gappy["flag"].dtype == np.int8
        assert gappy["sst"].isnull().any()


def test_run_with_members_and_a_baseline_that_cannot(
    cds: CdsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors are of the members' mean; one method that fails takes nothing away."""

    def refuse(self: Any, ds: xr.Dataset) -> None:
        raise DataError("too many values")

    monkeypatch.setattr(BASELINES.get("dineof"), "fit", refuse)
    fields().drop_vars("terrain").rename(row="lat", col="lon").to_netcdf("sst.nc")
    changes = {"cds": None, "store": None, "path": "sst.nc", "fill": {"members": 3},
               "compare": ["dineof", "linear"]}  # fmt: skip
    result = invoke("run", recipe(**changes), "--json")
    assert "dineof is left out of the comparison: too many values" in result.stderr
    report = json.loads(result.stdout)
    assert list(report["hidden"]) == ["xdiffimpute", "linear"]
    filled, truth = xr.load_dataset("results/filled.zarr", engine="zarr"), fields()["sst"].values
    hidden = filled["sst_imputation_flag"].values == 1
    wrong = (filled["sst"].mean("realization").values - truth)[hidden].astype(float)
    own = report["hidden"]["xdiffimpute"]["sst"]
    assert own["rmse"] == pytest.approx(float(np.sqrt((wrong**2).mean())), rel=1e-5)
    assert own["cells"] == hidden.sum() and own["empty"] == 0
