"""The score report: its numbers, that it needs nothing else, and how a browser sees it."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from test_card import Checked, read_png

pytest.importorskip("matplotlib")

from xdiffimpute.baselines import BASELINES
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.exceptions import ImputeError
from xdiffimpute.markup import number
from xdiffimpute.report import write_report

pytestmark = pytest.mark.usefixtures("hasty")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-sync", "--disable-background-networking", "--disable-component-update",
]  # fmt: skip


@pytest.fixture(scope="module")
def sea() -> xr.Dataset:
    """Two variables, one with a dangerous name, on two members; a corner is land."""
    rng = np.random.default_rng(0)
    t, y, x = np.ogrid[:10, :9, :11]
    wave = 10 + 2 * np.sin(x / 3 + t / 5) + np.cos(y / 2)
    values = np.stack([wave, wave + 1]) + 0.1 * rng.normal(size=(2, 10, 9, 11))
    values[rng.random(values.shape) < 0.3] = np.nan
    values[..., :2, 0] = np.nan
    dims = ("member", "time", "lat", "lon")
    ds = xr.Dataset({"sst": (dims, values, {"units": "degC"}), "a<b": (dims, 2 * values)})
    times = np.datetime64("2001-01-01", "ns") + np.arange(10) * np.timedelta64(1, "D")
    ds = ds.assign_coords(time=times, lat=40 + np.arange(9) / 2, lon=np.arange(11) / 2)
    ds["lat"].attrs["units"], ds["lon"].attrs["units"] = "degrees_north", "degrees_east"
    return ds


@pytest.fixture(scope="module")
def written(sea: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset]:
    """The report of a network."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    imputer = DiffusionImputer(steps=1, progress=False).fit(sea)
    return path, write_report(sea, imputer, path, source="<sea>.nc")


def test_it_holds_every_number_of_the_score(written: tuple[Path, xr.Dataset]) -> None:
    path, skill = written
    page = Checked(path.read_text(encoding="utf-8"))
    for name in ("sst", "a<b"):
        for value in skill[name].sel(metric="rmse").values:
            assert number(value) in page.text
        assert f"{float(skill[name].sel(metric='cells')[0]):,.0f}" in page.text
    captions = [t for t in page.text if t in ("sst (degC)", "a<b")]
    assert captions.count("sst (degC)") >= 3  # by variable, by distance, by gap size
    for words in ("By variable", "By distance to the nearest observation", "By size of the gap",
                  "A frame", "The data", "Training", "<sea>.nc"):  # fmt: skip
        assert words in page.text, words
    assert any("4 of 198 cells are never observed" in t for t in page.text)


def test_distances_add_up_to_the_whole(written: tuple[Path, xr.Dataset]) -> None:
    path, skill = written
    page = path.read_text(encoding="utf-8")
    part = page.split("By distance")[1].split("</table>")[0]
    rows = re.findall(r"<tr><th[^>]*>[^<]*</th><td>([\d,]+)</td>", part)
    counted = sum(int(n.replace(",", "")) for n in rows)
    assert len(rows) >= 2 and counted == int(skill["sst"].sel(metric="cells")[0])


def test_it_needs_nothing_else(written: tuple[Path, xr.Dataset]) -> None:
    path, _ = written
    text = path.read_text(encoding="utf-8")
    page = Checked(text)
    assert not re.findall(r"https?://|<link|<script|@import|url\(", text)
    pictures = [a for t, a in page.tags if t == "img" and a.get("class") == "picture"]
    assert [a["alt"] for a in pictures if a["alt"]] and len(pictures) == 5
    for attrs in pictures:
        image = read_png(base64.b64decode(str(attrs["src"]).removeprefix("data:image/png;base64,")))
        assert min(image.shape[:2]) > 150 and len(np.unique(image[..., 0])) > 20
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_a_baseline_has_no_training(sea: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text("an earlier one")
    skill = write_report(sea, BASELINES.create("nearest"), path)
    page = Checked(path.read_text(encoding="utf-8"))
    assert "Training" not in page.text and "The imputer" not in page.text
    assert sum(a.get("class") == "picture" for _, a in page.tags) == 4
    assert list(skill["imputer"].values) == ["nearest", "climatology", "linear"]
    # It says so where the method is beaten.
    lost = float(skill["sst"].sel(metric="rmse")[0] - skill["sst"].sel(metric="rmse")[1:].min()) > 0
    assert lost == ("worse" in [a.get("class") for _, a in page.tags][:20])


def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    sea: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = BASELINES.create("nearest")
    monkeypatch.setattr(type(idle), "fit", None)
    for path in (tmp_path, tmp_path / "no" / "r.html"):
        with pytest.raises(ImputeError, match="cannot write a report .* such as report.html"):
            write_report(sea, idle, path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImputeError, match=r"pip install 'xdiffimpute\[plot\]'"):
        write_report(sea, idle, tmp_path / "r.html")


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_shows_all_of_it(written: tuple[Path, xr.Dataset], tmp_path: Path) -> None:
    """Every picture is decoded, nothing sticks out at the side, and the page is not blank."""
    path, _ = written
    copy = tmp_path / "copy.html"
    script = (
        "<script>addEventListener('load', () => { const all = [...document.images];"
        "document.title = [all.length, all.filter(i => i.naturalWidth > 0).length,"
        "document.documentElement.scrollWidth <= innerWidth,"
        "getComputedStyle(document.querySelector('.xdi-card')).display,"
        "getComputedStyle(document.querySelector('.xdi-text')).display].join(' ') })"
        "</script></body>"
    )
    copy.write_text(path.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    shot = tmp_path / "shot.png"
    base = [str(CHROMIUM), *QUIET, f"--user-data-dir={tmp_path / 'profile'}"]
    size = "--window-size=1150,4000"
    told = subprocess.run(
        [*base, size, "--dump-dom", f"file://{copy}"], capture_output=True, text=True, timeout=200
    )
    assert "<title>6 6 true block none</title>" in told.stdout
    subprocess.run(
        [*base, size, f"--screenshot={shot}", f"file://{path}"], capture_output=True, timeout=200,
        check=True,
    )  # fmt: skip
    image = read_png(shot.read_bytes())
    assert image.shape[0] == 4000 and len(np.unique(image[..., 0])) > 100


def test_exposure_beside_covariates(gappy: xr.Dataset, tmp_path: Path) -> None:
    """The map is of the fields, which are queried, and not of what is given."""
    whole = gappy.assign(forecast=gappy["sst"].fillna(10.0))
    imputer = DiffusionImputer(steps=1, progress=False, covariates=["forecast"]).fit(whole)
    write_report(whole, imputer, tmp_path / "report.html")
    page = Checked((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert any("2 of 99 cells are never observed" in t for t in page.text)
    assert not any("forecast" in t for t in page.text)
