"""The command line on real netCDF files and zarr stores."""

from __future__ import annotations

import json
import logging
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner, Result
from resumable import at_loss

import xdiffimpute
from xdiffimpute.cli import main
from xdiffimpute.cli_group import _Handler
from xdiffimpute.denoiser import Denoiser
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.markup import number

pytestmark = pytest.mark.usefixtures("hasty")


@pytest.fixture
def ds() -> xr.Dataset:
    rng = np.random.default_rng(0)
    t, y, x = np.ogrid[:12, :12, :14]
    values = 15 + np.sin(0.4 * y + 0.2 * t) + np.cos(0.5 * x - 0.1 * t)
    values = np.where(rng.random(values.shape) < 0.3, np.nan, values)
    ds = xr.Dataset(
        {"sst": (("time", "lat", "lon"), values.astype("float32"))},
        {
            "time": pd.date_range("2001-01-01", periods=12),
            "lat": ("lat", np.linspace(30, 41, 12), {"units": "degrees_north"}),
            "lon": ("lon", np.linspace(0, 13, 14), {"units": "degrees_east"}),
            "depth": ((), 0.5, {"units": "m"}),
        },
        {"title": "a test", "history": "made"},
    )
    ds["sst"].attrs = {"units": "degC", "standard_name": "sea_surface_temperature"}
    return ds


@pytest.fixture
def nc(ds: xr.Dataset, tmp_path: Path) -> str:
    path = tmp_path / "in.nc"
    encoding = {"dtype": "int16", "scale_factor": 0.001, "add_offset": 15.0, "_FillValue": -32768}
    ds.to_netcdf(path, encoding={"sst": encoding | {"zlib": True}})
    return str(path)


@pytest.fixture
def zarr(ds: xr.Dataset, tmp_path: Path) -> str:
    path = tmp_path / "in.zarr"
    encoding = {"sst": {"chunks": (4, 12, 14)}}
    ds.to_zarr(path, zarr_format=3, consolidated=False, encoding=encoding)
    return str(path)


@pytest.fixture(autouse=True)
def quiet_after() -> Iterator[None]:
    yield
    logging.getLogger("xdiffimpute").setLevel(logging.NOTSET)


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def failure(*arguments: str) -> str:
    """What is said on standard error by a command that ends with exit code 2."""
    result = run(*arguments, code=2)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def check_filled(before: xr.Dataset, out: str) -> xr.Dataset:
    engine = "zarr" if out.endswith(".zarr") else "netcdf4"
    with xr.open_dataset(out, engine=engine) as ds:
        filled = ds.load()
    seen = before["sst"].notnull().values
    np.testing.assert_array_equal(
        filled["sst"].values[seen], before["sst"].values[seen], strict=True
    )
    assert filled["sst"].notnull().all()
    assert before["sst"].attrs.items() <= filled["sst"].attrs.items()
    assert filled.attrs["title"] == "a test"
    np.testing.assert_array_equal(filled["sst_imputation_flag"].values, (~seen).astype("int8"))
    xr.testing.assert_equal(filled.coords.to_dataset(), before.coords.to_dataset())
    leftovers = [p.name for p in Path(out).parent.iterdir() if "partial" in p.name]
    assert not leftovers
    return filled


def test_fill_netcdf_to_netcdf(nc: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out.nc")
    result = run("fill", nc, out, "--imputer", "linear")
    assert result.stdout == ""
    assert f"wrote {out}" in result.stderr
    filled = check_filled(xr.load_dataset(nc), out)
    assert filled["sst"].encoding["dtype"] == np.int16
    assert filled["sst"].encoding["scale_factor"] == 0.001


def test_fill_netcdf_to_zarr(nc: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out.zarr")
    run("fill", nc, out, "--imputer", "linear")
    check_filled(xr.load_dataset(nc), out)
    assert (tmp_path / "out.zarr" / "zarr.json").exists()


@pytest.mark.parametrize("chunks", ["time=6", "time=8,lat=5", "auto"])
@pytest.mark.filterwarnings("ignore:The specified chunks separate")
def test_fill_zarr_whose_chunks_the_blocks_straddle(
    zarr: str, ds: xr.Dataset, tmp_path: Path, chunks: str
) -> None:
    out = str(tmp_path / "out.zarr")
    run("fill", zarr, out, "--imputer", "linear", "--chunks", chunks)
    filled = check_filled(ds, out)
    assert filled["sst"].encoding["chunks"] == (4, 12, 14)


def test_fill_keeps_the_zarr_format(ds: xr.Dataset, tmp_path: Path) -> None:
    ds.to_zarr(tmp_path / "in.zarr", zarr_format=2)
    out = str(tmp_path / "out.zarr")
    run("fill", str(tmp_path / "in.zarr"), out, "--imputer", "linear")
    check_filled(ds, out)
    assert (tmp_path / "out.zarr" / ".zgroup").exists()


def test_fill_zarr_with_shards(ds: xr.Dataset, tmp_path: Path) -> None:
    encoding = {"sst": {"chunks": (2, 6, 7), "shards": (4, 12, 14)}}
    ds.to_zarr(tmp_path / "in.zarr", zarr_format=3, consolidated=False, encoding=encoding)
    out = str(tmp_path / "out.zarr")
    run("fill", str(tmp_path / "in.zarr"), out, "--imputer", "linear")
    filled = check_filled(ds, out)
    assert filled["sst"].encoding["shards"] == (4, 12, 14)


def test_fill_several_files(ds: xr.Dataset, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    ds.isel(time=slice(5)).to_netcdf(tmp_path / "parts/a.nc")
    ds.isel(time=slice(5, None)).to_netcdf(tmp_path / "parts/b.nc")
    out = str(tmp_path / "out.nc")
    run("fill", str(tmp_path / "parts/*.nc"), out, "--imputer", "linear")
    check_filled(ds, out)


def test_output_that_exists_is_refused_then_overwritten(nc: str, tmp_path: Path) -> None:
    out = tmp_path / "out.nc"
    out.write_text("precious")
    said = failure("fill", nc, str(out), "--imputer", "linear")
    assert "exists already" in said and "--overwrite" in said
    assert out.read_text() == "precious"
    run("fill", nc, str(out), "--imputer", "linear", "--overwrite")
    check_filled(xr.load_dataset(nc), str(out))


def test_store_that_exists_is_overwritten(zarr: str, ds: xr.Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    (out / "stale").mkdir(parents=True)
    assert "exists already" in failure("fill", zarr, str(out), "--imputer", "linear")
    run("fill", zarr, str(out), "--imputer", "linear", "--overwrite")
    check_filled(ds, str(out))
    assert not (out / "stale").exists()


@pytest.mark.parametrize("inside", ["", "/inner.zarr"])
def test_output_that_is_the_input_is_refused(zarr: str, inside: str) -> None:
    said = failure("fill", zarr, zarr + inside, "--imputer", "linear", "--overwrite")
    assert "is the input" in said


def test_bad_paths(nc: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out.nc")
    assert "nothing found" in failure("fill", str(tmp_path / "no*.nc"), out, "--imputer", "linear")
    assert ".nc or .zarr" in failure("fill", nc, str(tmp_path / "out.txt"), "--imputer", "linear")
    assert "mkdir -p" in failure("fill", nc, str(tmp_path / "no/out.nc"), "--imputer", "linear")
    (tmp_path / "junk.nc").write_text("junk")
    assert "cannot open" in failure("fill", str(tmp_path / "junk.nc"), out, "--imputer", "linear")
    assert not Path(out).exists()


def test_unknown_imputer_names_the_nearest(nc: str, tmp_path: Path) -> None:
    said = failure("fill", nc, str(tmp_path / "out.nc"), "--imputer", "tela")
    assert "neither a saved imputer nor a baseline" in said
    assert "Did you mean 'telea'?" in said


def test_file_that_is_no_imputer(nc: str, tmp_path: Path) -> None:
    said = failure("fill", nc, str(tmp_path / "out.nc"), "--imputer", nc)
    assert "not an imputer" in said


def test_write_that_fails_leaves_nothing(
    nc: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.nc"
    out.write_text("precious")

    def to_netcdf(self: xr.Dataset, path: Path, **_: object) -> None:
        Path(path).write_text("half")
        raise RuntimeError("disk on fire")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", to_netcdf)
    result = run("fill", nc, str(out), "--imputer", "linear", "--overwrite", code=1)
    assert "disk on fire" in str(result.exception)
    assert out.read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.nc", "out.nc"]


def test_errors_of_the_library_become_exit_code_2(tmp_path: Path) -> None:
    empty = xr.Dataset({"a": (("time", "lat", "lon"), np.full((2, 4, 4), np.nan))})
    empty.to_netcdf(tmp_path / "empty.nc")
    said = failure(
        "fill", str(tmp_path / "empty.nc"), str(tmp_path / "o.nc"), "--imputer", "linear"
    )
    assert said.startswith("Error: ")


def test_score(nc: str) -> None:
    table = run("score", nc, "--imputer", "linear").stdout
    assert table.startswith("sst [degC]")
    assert "linear" in table and "rmse" in table
    skill = json.loads(run("score", nc, "--imputer", "linear", "--json").stdout)
    assert skill["sst"]["units"] == "degC"
    assert 0 < skill["sst"]["methods"]["linear"]["rmse"] < 1


@pytest.mark.parametrize("position", ["before", "after"])
def test_quiet_and_verbose(nc: str, tmp_path: Path, position: str) -> None:
    arguments = ["fill", nc, str(tmp_path / "out.nc"), "--imputer", "linear", "--overwrite"]
    order = (lambda flag: [flag, *arguments]) if position == "before" else (
        lambda flag: [*arguments, flag]
    )  # fmt: skip
    assert run(*order("-q")).stderr == ""
    assert run(*order("-v")).stderr != ""


def test_list() -> None:
    everything = run("list").stdout
    for name in ("telea", "pixel", "unet", "ensemble"):
        assert f"\n  {name}" in everything
    assert "pixel" not in run("list", "baselines").stdout


@pytest.mark.parametrize("bad", ["time", "time=", "time=many", "=3"])
def test_bad_chunks(nc: str, tmp_path: Path, bad: str) -> None:
    said = failure("fill", nc, str(tmp_path / "o.nc"), "--imputer", "linear", "--chunks", bad)
    assert "--chunks" in said


def test_in_a_shell_of_its_own(nc: str, tmp_path: Path) -> None:
    """Exit code, no traceback, and no torch for a baseline."""
    code = (
        "import sys; from xdiffimpute.cli import main\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    out = str(tmp_path / "out.zarr")
    command = [sys.executable, "-c", code, "fill", nc, out, "--imputer", "climatology"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False"
    check_filled(xr.load_dataset(nc), out)
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 2
    assert "Traceback" not in again.stderr
    assert "exists already" in again.stderr


def test_fit_fill_score(nc: str, tmp_path: Path) -> None:
    model, out = str(tmp_path / "m.imputer"), str(tmp_path / "out.nc")
    fit = ["fit", nc, "--save", model, "--steps", "5", "--window", "1", "--partition", "pixel"]
    result = run(*fit, "--size", "small", "--variables", "sst")
    assert f"saved {model}" in result.stderr
    assert "exists already" in failure(*fit)
    run("fill", nc, out, "--imputer", model)
    check_filled(xr.load_dataset(nc), out)
    skill = json.loads(run("score", nc, "--imputer", model, "--json").stdout)
    assert {"climatology", "linear"} <= skill["sst"]["methods"].keys()
    said = failure("fill", nc, str(tmp_path / "o.nc"), "--imputer", model, "--time", "time")
    assert "leave out --time" in said


def test_fit_needs_a_place_for_the_model(nc: str, tmp_path: Path) -> None:
    said = failure("fit", nc, "--save", str(tmp_path / "no/m.imputer"))
    assert "in a folder that exists" in said


def test_score_writes_a_report_beside_the_table(nc: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    page = tmp_path / "report.html"
    result = run("score", nc, "--imputer", "nearest", "--json", "--html", str(page))
    assert f"wrote {page}" in result.stderr
    rmse = json.loads(result.stdout)["sst"]["methods"]["nearest"]["rmse"]
    text = page.read_text(encoding="utf-8")
    assert number(rmse) in text and "<b>in.nc</b>" in text
    assert "give a file in a folder that exists" in failure(
        "score", nc, "--imputer", "nearest", "--html", str(tmp_path / "no" / "r.html")
    )


@pytest.mark.usefixtures("sigint_is_heard")
@pytest.mark.parametrize(
    "number, code, name", [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "SIGINT")]
)
def test_fit_is_stopped_and_goes_on(
    nc: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int, name: str
) -> None:
    folder, model = str(tmp_path / "sst.run"), str(tmp_path / "sst.imputer")
    command = ["fit", nc, "--save", model, "--steps", "3", "--window", "3", "--batch", "2"]
    command += ["--method", "paper", "--checkpoint", folder, "--checkpoint-every", "60", "--resume"]
    with monkeypatch.context() as patched:
        patched.setattr(Denoiser, "loss", at_loss(2, lambda: signal.raise_signal(number)))
        stopped = run(*command, code=code)
    assert f"training was stopped by {name} after 2 steps" in stopped.stderr
    assert repr(folder) in stopped.stderr and "the same command with --resume" in stopped.stderr
    assert "nothing to resume" in stopped.stderr and "Traceback" not in stopped.stderr
    assert not Path(model).exists()
    monkeypatch.setattr("xdiffimpute.diffusion.DiffusionImputer.score", lambda *_: xr.Dataset())
    monkeypatch.setattr("xdiffimpute.diffusion.describe", str)
    done = run(*command, "--log-to", str(tmp_path / "run.csv"))
    assert "going on after 2 steps" in done.stderr
    assert Path(model).exists()
    assert len((tmp_path / "run.csv").read_text().splitlines()) == 2
    again = failure(*command[:4] + ["--overwrite"], *command[4:-1])
    assert "holds a training of 3 steps already" in again and "--resume" in again


def test_what_was_trained_is_saved_when_the_comparison_is_stopped(
    nc: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(DiffusionImputer, "score", stop)
    model = tmp_path / "my sst.imputer"
    run("fit", nc, "--save", str(model), "--steps", "1", "--window", "1", code=1)
    assert xdiffimpute.load(model).is_fitted


def test_commands_that_are_suggested_can_be_typed(nc: str, tmp_path: Path) -> None:
    model = str(tmp_path / "my sst.imputer")
    said = run("fit", nc, "--save", model, "--steps", "1", "--window", "1").stderr
    line = next(part for part in said.splitlines() if "next: xdiffimpute" in part)
    words = shlex.split(line.partition("next: xdiffimpute ")[2])
    assert words == ["fill", nc, "OUT", "--imputer", model]
    missing = tmp_path / "no such folder" / "out.nc"
    said = failure("fill", nc, str(missing), "--imputer", "nearest")
    assert shlex.split(said.partition("make it with: ")[2].strip())[-1] == str(missing.parent)


def test_a_folder_named_as_a_baseline(nc: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nearest").mkdir()
    run("fill", nc, "out.nc", "--imputer", "nearest")
    Path("mine").mkdir()
    assert "is a folder" in failure("fill", nc, "other.nc", "--imputer", "mine")


def test_quiet_silences_warnings_of_other_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    log, handler = logging.getLogger("xdiffimpute"), _Handler()
    for level, heard in ((logging.INFO, True), (logging.ERROR, False)):
        log.setLevel(level)
        handler.emit(logging.LogRecord("py.warnings", logging.WARNING, "", 0, "old", None, None))
        assert ("old" in capsys.readouterr().err) == heard
