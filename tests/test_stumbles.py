"""What a new user trips over says what to do, in words."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import xdiffimpute as xdi
from xdiffimpute.cli import main
from xdiffimpute.exceptions import ArgumentError, DataError, OutputExistsError

pytestmark = pytest.mark.usefixtures("hasty")


@pytest.fixture(scope="module")
def fitted() -> xdi.DiffusionImputer:
    options = {"steps": 1, "window": 1, "progress": False, "summary": False}
    return xdi.DiffusionImputer(**options).fit(xdi.example(days=8))


def test_the_log_of_a_fit_is_text(caplog: pytest.LogCaptureFixture) -> None:
    ds = xdi.example(days=8)
    ds["sst"][:, 0, :3] = np.nan
    with caplog.at_level(logging.INFO, "xdiffimpute"):
        ds.impute.fit(steps=1, window=1, progress=False)
        ds.impute.fill("linear")
    said = "\n".join(caplog.messages)
    assert "{" not in said and "[" not in said
    assert re.search(r"sst starts from .*\d+% (climatology|membrane|thin plate|kriging)", said)
    assert "1 channel," in said and "1 frame," in said
    assert len([m for m in caplog.messages if "never observed" in m]) == 1


def test_land_is_told_calmly(caplog: pytest.LogCaptureFixture) -> None:
    ds = xdi.example(days=8)
    ds["sst"][:, 0, :3] = np.nan
    with caplog.at_level(logging.INFO, "xdiffimpute"):
        ds.impute.fit(steps=1, window=1, progress=False)
    (record,) = [r for r in caplog.records if "never observed" in r.getMessage()]
    assert record.levelno == logging.INFO
    assert record.getMessage().startswith("3 of 192 cells are never observed, as land is not")


def test_variables_left_alone_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    ds = xdi.example(days=8).assign(crs=0)
    with caplog.at_level(logging.INFO, "xdiffimpute"):
        ds.impute.fill("nearest")
    assert [m for m in caplog.messages if "left as they are" in m] == [
        "left as they are (not fields on the grid): crs"
    ]


def test_a_variable_that_is_not_there() -> None:
    with pytest.raises(DataError, match=r"Did you mean 'sst'\?"):
        xdi.example().impute.fill("nearest", variables=["SSTT"])
    with pytest.raises(DataError, match=r"choose one or more of them\.$"):
        xdi.example().impute.fill("nearest", variables=["chlorophyll"])


@pytest.mark.parametrize("name", ["fit", "fill", "score", "exposure"])
def test_a_positional_argument_too_many(name: str) -> None:
    method = getattr(xdi.example().impute, name)
    with pytest.raises(ArgumentError, match=rf"^ds\.impute\.{name}\(\): .* by name: "):
        method("auto", "sst", 3)


def test_a_keyword_that_there_is_not() -> None:
    impute = xdi.example().impute
    with pytest.raises(ArgumentError, match=r"ds\.impute\.fit\(\) .*'max_tim'.*'max_time'\?"):
        impute.fit(max_tim="5min")
    with pytest.raises(TypeError, match=r"ds\.impute\.exposure\(\) .*'variable'.*'variables'\?"):
        impute.exposure(variable=["sst"])
    with pytest.raises(ArgumentError, match=r"plot\.gaps\(\) .*'fig_size'.*'figsize'\?"):
        impute.plot.gaps(fig_size=(8, 5))
    with pytest.raises(ArgumentError, match=r"plot\.exposure\(\) .*'windows'.*'window'\?"):
        impute.plot.exposure(windows=3)


def test_save_replaces_nothing_unasked(fitted: xdi.DiffusionImputer, tmp_path: Path) -> None:
    path = tmp_path / "sst.imputer"
    fitted.save(path)
    before = path.read_bytes()
    with pytest.raises(OutputExistsError, match=r"exists already.*overwrite=True"):
        fitted.save(path)
    assert path.read_bytes() == before
    fitted.save(path, overwrite=True)
    xdi.load(path)


def test_a_report_says_where_it_is(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    xdi.example(days=8).to_netcdf(tmp_path / "sst.nc")
    page = tmp_path / "report.html"
    arguments = ["score", str(tmp_path / "sst.nc"), "--imputer", "nearest", "--html", str(page)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0 and page.exists()
    said = [line for line in result.stderr.splitlines() if "report" in line]
    assert len(said) >= 4
    assert "withheld and filled by nearest, climatology, linear" in result.stderr


def test_the_example_is_a_dataset_with_gaps() -> None:
    ds, truth = xdi.example(days=5), xdi.example(days=5, complete=True)
    assert bool((ds["sst"].isnull().mean(("lat", "lon")) > 0.1).all())
    assert not bool(truth["sst"].isnull().any())
    xr.testing.assert_equal(ds, truth.where(ds["sst"].notnull()))
    with pytest.raises(xdi.ImputeError, match="one day or more"):
        xdi.example(days=0)
