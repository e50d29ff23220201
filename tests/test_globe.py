"""Maps on the globe need cartopy, which is optional."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

import xdiffimpute as xdi
from xdiffimpute import globe
from xdiffimpute.exceptions import ImputeError, UnknownNameError

pytest.importorskip("matplotlib")
HAVE = importlib.util.find_spec("cartopy") is not None


@pytest.mark.skipif(HAVE, reason="cartopy is installed")
def test_without_cartopy_the_error_says_so() -> None:
    with pytest.raises(ImputeError, match="pip install cartopy"):
        xdi.example().impute.plot.comparison("nearest", projection="Orthographic")


def test_a_projection_needs_degrees() -> None:
    ds = xdi.example().drop_vars(["lat", "lon"]).rename(lat="y", lon="x")
    with pytest.raises(ImputeError, match="latitudes and longitudes in degrees"):
        ds.impute.plot.comparison("nearest", projection="Orthographic")


@pytest.mark.filterwarnings("ignore")
def test_projections() -> None:
    ccrs = pytest.importorskip("cartopy.crs")
    x, y = np.array([10.0, 20.0]), np.array([40.0, 50.0])
    centred = globe.projected("Orthographic", x, y)
    assert centred.proj4_params["lon_0"] == 15 and centred.proj4_params["lat_0"] == 45
    robinson = ccrs.Robinson()
    assert globe.projected(robinson, x, y) is robinson
    with pytest.raises(UnknownNameError, match="mean 'Orthographic'"):
        globe.projected("Orthografic", x, y)


@pytest.mark.filterwarnings("ignore")
def test_a_comparison_on_the_globe(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    pytest.importorskip("cartopy.crs")
    monkeypatch.setattr("xdiffimpute.pictures.comparison.add_coast", lambda axes: None)
    truth = xdi.example(complete=True)
    path = tmp_path / "globe.png"
    figure = xdi.example().impute.plot.comparison(
        "nearest", truth=truth, projection="Orthographic", path=path
    )
    assert [ax.get_title() for ax in figure.axes[:3]] == ["truth", "observed", "filled"]
    assert hasattr(figure.axes[0], "projection") and path.stat().st_size > 10_000
