"""``xdiffimpute bench`` and ``ds.impute.bench``: an honest comparison, and what to type next."""

from __future__ import annotations

import json
import logging
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import xdiffimpute as xdi
from xdiffimpute import bench
from xdiffimpute.baselines import BASELINES, Baseline
from xdiffimpute.cli import main
from xdiffimpute.cli_bench import advice
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.exceptions import DataError, ImputeError

pytestmark = pytest.mark.usefixtures("hasty")

QUICK = {"steps": 2, "window": 3, "progress": False}


@pytest.fixture(autouse=True)
def quiet_after() -> Iterator[None]:
    yield
    logging.getLogger("xdiffimpute").setLevel(logging.NOTSET)


def table(**errors: list[float]) -> xr.Dataset:
    """Skill of two variables, a and b, by method."""
    coords = {"imputer": list(errors), "metric": ["rmse", "cells"]}
    return xr.Dataset(
        {
            name: (("imputer", "metric"), [[row[k], 50] for row in errors.values()], {"units": "K"})
            for k, name in enumerate("ab")
        },
        coords,
    )


def test_the_command_on_a_file(tmp_path: Path) -> None:
    path, out = tmp_path / "my data.nc", tmp_path / "new" / "report.json"
    xdi.example(days=12).to_netcdf(path)
    arguments = ["bench", str(path), "--methods", "linear,climatology,dineof", "--steps", "2"]
    arguments += ["--window", "3", "--chunks", "time=6", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "xdiffimpute", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    rows = report["skill"]["sst"]["methods"]
    assert list(rows) == ["diffusion", "linear", "climatology", "dineof"]
    assert report["skill"]["sst"]["units"] == "degC"
    assert len({row["cells"] for row in rows.values()}) == 1 and rows["linear"]["cells"] > 20
    assert all(row["rmse"] > 0 for row in rows.values())
    best = min(rows, key=lambda m: rows[m]["rmse"])
    assert report["best"] == {"sst": best} and set(report["seconds"]) == set(rows)
    assert set(report["tied"]["sst"]) < set(rows) - {best}
    # Two steps teach a network little more than its first guess: the table and the advice agree.
    assert "wins: RMSE" in done.stdout and f"{rows[best]['rmse']:.4g} degC" in done.stdout
    commands = [line.strip() for line in done.stdout.splitlines() if line.startswith("  xdiff")]
    assert commands == report["next"] and shlex.quote(str(path)) in commands[0]
    assert all("--chunks time=6" in line for line in commands)
    for line in commands:
        _, name, *words = shlex.split(line)
        with click.Context(main) as parent:
            main.commands[name].make_context(name, words, parent=parent)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and "--overwrite" in result.stderr


def test_json_on_standard_output(tmp_path: Path) -> None:
    path = tmp_path / "sst.nc"
    xdi.example(days=10).to_netcdf(path)
    arguments = ["-q", "bench", str(path), "--methods", "linear", "--steps", "1", "--window", "1"]
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0 and result.stderr == ""
    assert json.loads(result.stdout)["skipped"] == []


def test_no_method_sees_what_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fit and fill gets the same gaps, and cells are judged that none of them holds."""
    seen: list[xr.Dataset] = []
    ways = [(Baseline, "fit"), (Baseline, "fill"), (DiffusionImputer, "fit")]
    for owner, name in [*ways, (DiffusionImputer, "_fill")]:
        original = getattr(owner, name)

        def spied(self, ds, *args, original=original, **kwargs):
            seen.append(ds.compute())
            return original(self, ds, *args, **kwargs)

        monkeypatch.setattr(owner, name, spied)
    ds = xdi.example(days=12)
    skill = ds.impute.bench(["linear", "climatology"], **QUICK)
    assert len(seen) == 6
    observed = ds["sst"].notnull()
    for shown in seen:
        xr.testing.assert_identical(shown["sst"], seen[0]["sst"])
    aside = observed & seen[0]["sst"].isnull()
    cells = skill["sst"].sel(metric="cells").values
    assert int(aside.sum()) == cells[0] > 0
    assert (cells == cells[0]).all()
    error = skill["sst"].sel(imputer="linear", metric="rmse")
    everywhere = xr.ones_like(ds["sst"].isel(time=0), dtype=bool)
    filled = seen[0].impute.fill("linear", where=everywhere)["sst"]
    expected = float(np.sqrt(((filled - ds["sst"]).where(aside).astype(float) ** 2).mean()))
    assert float(error) == pytest.approx(expected, rel=1e-5)


def test_covariates_are_neither_judged_nor_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """They reach the network in whole, and baselines fill what the network fills."""
    networks: list[xr.Dataset] = []
    fits: list[list[str]] = []
    network, baseline = DiffusionImputer.fit, Baseline.fit

    def spied(self, ds, *args, **kwargs):
        networks.append(ds.compute())
        return network(self, ds, *args, **kwargs)

    def noted(self, ds, *args, **kwargs):
        done = baseline(self, ds, *args, **kwargs)
        fits.append([v.name for v in self.fitted.spec.variables])
        return done

    monkeypatch.setattr(DiffusionImputer, "fit", spied)
    monkeypatch.setattr(Baseline, "fit", noted)
    ds = xdi.example(days=12)
    ds["forecast"] = ds["sst"].fillna(15.0)
    ds["depth"] = ds["forecast"].isel(time=0, drop=True)
    skill = ds.impute.bench(["linear", "climatology"], covariates=["forecast", "depth"], **QUICK)
    assert list(skill.data_vars) == ["sst"]
    assert np.isfinite(skill["sst"].sel(metric="rmse")).all()
    for name in ("forecast", "depth"):
        xr.testing.assert_identical(networks[0][name], ds[name])
    assert int(ds["sst"].count() - networks[0]["sst"].count()) == skill["sst"].sel(
        imputer="linear", metric="cells"
    )
    assert fits == [["sst"], ["sst"]]
    again = ds.impute.bench(["linear"], covariates="depth", variables=["sst"], **QUICK)
    assert list(again.data_vars) == ["sst"]


def test_methods_that_cannot_be_fitted_are_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self, ds):
        raise DataError("too many values")

    monkeypatch.setattr(BASELINES.get("dineof"), "fit", refuse)
    skill = xdi.example(days=10)["sst"].impute.bench(["dineof", "nearest", "nearest"], **QUICK)
    assert list(skill["imputer"].values) == ["diffusion", "nearest"]
    assert skill.attrs["skipped"] == ["dineof: too many values"]
    assert "dineof is left out: too many values" in caplog.text


def test_methods_that_cannot_fill_are_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the network took long to learn is not lost over a baseline; its own error is told."""

    def refuse(self, *args, **kwargs):
        raise DataError("too few values")

    def refuse_late(self, ds, **kwargs):
        data = ds["sst"].data.map_blocks(refuse, meta=np.empty((0, 0, 0), np.float32))
        return ds.assign(sst=ds["sst"].copy(data=data))

    monkeypatch.setattr(BASELINES.get("nearest"), "fill", refuse)
    monkeypatch.setattr(BASELINES.get("temporal"), "fill", refuse_late)
    ds = xdi.example(days=10)
    skill = ds.impute.bench(["nearest", "linear", "temporal"], **QUICK)
    assert list(skill["imputer"].values) == ["diffusion", "linear"] and skill["seconds"].size == 2
    assert skill.attrs["skipped"] == ["nearest: too few values", "temporal: too few values"]
    assert "nearest is left out: too few values" in caplog.text
    monkeypatch.setattr(DiffusionImputer, "_fill", refuse)
    with pytest.raises(DataError, match="too few values"):
        ds.impute.bench(["linear"], **QUICK)


def test_mistakes_are_told() -> None:
    ds = xdi.example(days=10)
    with pytest.raises(ImputeError, match="'liner'"):
        ds.impute.bench(["liner"])
    with pytest.raises(ImputeError, match="choose how it learns with method='paper'"):
        ds.impute.bench(["paper"])
    with pytest.raises(ImputeError, match=r"try methods=\['linear'\]"):
        ds.impute.bench("linear")
    with pytest.raises(ImputeError, match="unknown options"):
        ds.impute.bench(["linear"], max_tim=1)


def test_winners() -> None:
    skill = table(diffusion=[0.5, 0.4], linear=[0.4, np.nan])
    assert bench.winners(skill) == {"a": "linear", "b": "diffusion"}
    assert bench.winners(table(diffusion=[np.nan, np.nan])) == {}


def test_advice_for_several_winners() -> None:
    skill = table(diffusion=[0.5, 0.395], linear=[0.4, 0.4], nearest=[0.9, 0.9])
    options = {"variables": None, "time": "t", "window": 5, "max_time": "5min", "seed": 0}
    said, commands = advice(skill, bench.winners(skill), "in.nc", options)
    assert (
        said[0] == "a: the simpler linear wins: RMSE 0.4 K, the network's is 0.5 (50 observations)"
    )
    assert said[1] == (
        "b: the network wins: RMSE 0.395 K, the next, linear, has 0.4 (50 observations); that is "
        "hardly less, and linear takes no training"
    )
    assert said[2:] == [
        "No method wins everywhere: keep a of filled1.nc, b of filled2.nc",
        "The network learns from all variables together, and is fitted on all of them, as it was "
        "here, even where it fills only some best",
    ]
    # The network won on b while it also saw a.
    assert commands == [
        "xdiffimpute fill in.nc filled1.nc --imputer linear --variables a --time t",
        "xdiffimpute fit in.nc --save model.imputer --time t --window 5 --max-time 5min",
        "xdiffimpute fill in.nc filled2.nc --imputer model.imputer",
    ]
    assert advice(skill, {}, "in.nc", options)[1] == []
    several = {"a": "linear", "b": "nearest"}
    said, commands = advice(skill, several, "in.nc", options)
    assert said[2:] == ["No method wins everywhere: keep a of filled1.nc, b of filled2.nc"]
    assert [line.split("--variables ")[1][0] for line in commands] == ["a", "b"]


def test_a_tie_is_called_one() -> None:
    skill = table(diffusion=[0.5, 0.3], linear=[0.4, 0.4], nearest=[0.9, 0.9])
    skill["a"].attrs["tied"], skill["b"].attrs["tied"] = "diffusion", "linear"
    said, _ = advice(skill, bench.winners(skill), "in.nc", {})
    why = "that is a tie, since other frames could have turned it around"
    assert said[0].endswith(f"the network's is 0.5 (50 observations); {why}")
    assert said[1].endswith(
        f"linear, has 0.4 (50 observations); {why}, and linear takes no training"
    )
    skill["a"].attrs["tied"], skill["b"].attrs["tied"] = "nearest", "nearest"
    assert not any(
        "tie" in line for line in advice(skill, bench.winners(skill), "in.nc", {})[0][:2]
    )


def test_a_place_that_cannot_be_written_to_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "bench", None)  # called, it would fail
    (tmp_path / "file").touch()
    arguments = ["bench", "absent.nc", "--out", str(tmp_path / "file" / "report.json")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and "give another path with --out" in result.stderr


def test_advice_repeats_what_was_asked() -> None:
    skill = table(diffusion=[0.3, 0.3], linear=[0.4, 0.4])
    options = {"variables": ["a", "b"], "seed": 1, "chunks": {"time": 8, "lat": 4}}
    said, commands = advice(skill, bench.winners(skill), "in.zarr", options)
    assert len(said) == 2
    assert commands == [
        "xdiffimpute fit in.zarr --save model.imputer --variables a,b --seed 1 "
        "--chunks time=8,lat=4",
        "xdiffimpute fill in.zarr filled.nc --imputer model.imputer --chunks time=8,lat=4",
    ]
    options = {"chunks": "auto"}
    (line,) = advice(skill, {"a": "linear", "b": "linear"}, "in.zarr", options)[1]
    assert line == "xdiffimpute fill in.zarr filled.nc --imputer linear --chunks auto"


def test_gaps_that_never_change() -> None:
    """Of one record, what is set aside is never observed, and all methods are asked there."""
    ds = xdi.example(days=12, complete=True)
    fixed = np.random.default_rng(0).random(ds["sst"].shape[1:]) < 0.5
    stations = ds.where(xr.DataArray(fixed, dims=("lat", "lon")))
    skill = stations.impute.bench(["linear"], **QUICK)
    assert np.isfinite(skill["sst"].sel(metric="rmse")).all()
    assert float(skill["sst"].sel(metric="cells").min()) > 20
