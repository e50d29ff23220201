"""Every picture of the family, and what is particular to each; maps side by side are tested in
``test_comparison.py``.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import pkgutil
from typing import Any

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("matplotlib")

from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

import xdiffimpute.pictures
from xdiffimpute.coverage import coverage
from xdiffimpute.exceptions import ImputeError
from xdiffimpute.pictures.exposure import exposure
from xdiffimpute.pictures.gaps import gaps
from xdiffimpute.pictures.skill import skill
from xdiffimpute.pictures.spectrum import spectrum
from xdiffimpute.pictures.training import training

pytestmark = pytest.mark.usefixtures("hasty")

NAMES = [m.name for m in pkgutil.iter_modules(xdiffimpute.pictures.__path__) if m.name != "base"]
LOSS = [(10, 0.8), (20, 0.5)]
WITHHELD = [(0, 1.0), (10, 0.36), (20, 0.49)]


def axes_of(figure: Figure) -> dict[str, Axes]:
    return {str(ax.get_label()): ax for ax in figure.axes}


def meshes(figure: Figure) -> dict[str, np.ma.MaskedArray[Any, Any]]:
    """What each map shows, by its heading."""
    return {
        ax.get_title(): next(c for c in ax.collections if isinstance(c, QuadMesh)).get_array()
        for ax in figure.axes
        if ax.get_title() and any(isinstance(c, QuadMesh) for c in ax.collections)
    }


@pytest.fixture
def tables() -> tuple[xr.Dataset, xr.Dataset]:
    """Scores of two methods: overall, and in three classes of which the middle one is empty."""
    coords = {"imputer": ["ours", "linear"], "metric": ["rmse", "mae", "bias", "cells"]}
    whole = [[1.0, 0.8, 0.1, 1240], [2.0, 1.5, 0.1, 1240]]
    nan = np.nan
    parts = [
        [[0.5, nan, 1.5], [0.4, nan, 1.2], [0.1, nan, 0.1], [1220, nan, 20]],
        [[1.5, nan, 3.5], [1.4, nan, 3.2], [0.1, nan, 0.1], [1220, nan, 20]],
    ]
    by = {"gap_size": ["1", "2 to 4", "1025 to 4096"]}
    dims = ("imputer", "metric")
    return (
        xr.Dataset({"sst": (dims, whole, {"units": "degC"})}, coords),
        xr.Dataset({"sst": ((*dims, "gap_size"), parts, {"units": "degC"})}, coords | by),
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_a_function_of_its_files_name(name: str) -> None:
    module = importlib.import_module(f"xdiffimpute.pictures.{name}")
    assert module.__all__ == [name]
    parameters = inspect.signature(getattr(module, name)).parameters
    assert {"figsize", "path"} <= parameters.keys()
    assert all(parameters[p].kind is inspect.Parameter.KEYWORD_ONLY for p in ("figsize", "path"))


def test_pyplot_is_never_imported() -> None:
    for name in [*NAMES, "base"]:
        text = inspect.getsource(importlib.import_module(f"xdiffimpute.pictures.{name}"))
        assert "pyplot" not in "".join(line for line in text.splitlines() if "import" in line)


def test_a_notebook_shows_a_picture_without_pyplot(gappy: xr.Dataset) -> None:
    figure = gaps(coverage(gappy, {}))
    assert figure._repr_png_()[1:4] == b"PNG"
    assert len(copy.deepcopy(figure).axes) == len(figure.axes)


def test_gaps_show_shares_in_percent(gappy: xr.Dataset, tmp_path: Any) -> None:
    figure = gaps(coverage(gappy), figsize=(9.0, 4.0), path=tmp_path / "gaps.png")
    assert (tmp_path / "gaps.png").read_bytes()[:4] == b"\x89PNG"
    assert figure.get_size_inches().tolist() == [9.0, 4.0]
    seen = gappy["sst"].notnull().values
    ax = axes_of(figure)
    assert {"sst: in space", "sst: in time"} <= ax.keys()
    (shown,) = meshes(figure).values()
    np.testing.assert_allclose(shown.compressed(), 100 * seen.mean(axis=0)[seen.any(axis=0)])
    assert shown.mask.sum() == 2  # the land, which is hatched
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["never observed"]
    line = ax["sst: in time"].lines[0]
    np.testing.assert_allclose(line.get_ydata(), 100 * seen[:, seen.any(axis=0)].mean(axis=1))
    assert ax["sst: in time"].get_ylabel() == "cells observed (%)"
    assert ax["sst: in space"].get_xlabel() == "longitude (°E)"
    assert "frames observed (%)" in [a.get_xlabel() for a in figure.axes]


def test_variables_with_the_same_gaps_share_a_row(gappy: xr.Dataset) -> None:
    two = gappy.assign(chl=gappy["sst"] * 2, u=gappy["sst"].where(gappy["lon"] < -7))
    figure = gaps(coverage(two))
    assert [k for k in axes_of(figure) if "space" in k] == ["sst, chl: in space", "u: in space"]
    whole = gaps(coverage(gappy.isel(lon=slice(1, None))))
    assert not whole.legends  # nothing is never observed


@pytest.mark.parametrize("calendar", ["standard", "360_day", None])
def test_times_of_any_calendar_are_drawn(gappy: xr.Dataset, calendar: str | None) -> None:
    if calendar is None:
        ds = gappy.drop_vars("time")
    else:
        dates = xr.date_range("2001-01-01", periods=20, calendar=calendar, use_cftime=True)
        ds = gappy.assign_coords(time=dates)
    figure = gaps(coverage(ds))
    figure.canvas.draw()
    ax = axes_of(figure)["sst: in time"]
    assert ax.get_xlabel() == (f"year ({calendar} calendar)" if calendar else "frame")
    first = ax.lines[0].get_xdata()[0]
    assert first == (pytest.approx(2001.0) if calendar else 0.0)


def test_exposure_explains_the_hatching_only_where_there_is_any() -> None:
    for values, legends in (([[0.2, 0.0], [0.4, 0.1]], 1), ([[0.2, 0.3], [0.4, 0.1]], 0)):
        found = exposure(xr.Dataset({"a": (("lat", "lon"), values)}))
        assert len(found.legends) == legends


def test_exposure_hatches_what_cannot_be_learned() -> None:
    values = np.array([[[0.2, 0.0], [0.4, 0.1]], [[0.3, 0.3], [0.0, 0.8]]])
    found = xr.Dataset({"t": (("level", "lat", "lon"), values)}, {"level": [500, 850]})
    figure = exposure(found.assign_attrs(partition="block"))
    shown = meshes(figure)
    assert list(shown) == ["t, level 500", "t, level 850"]
    assert shown["t, level 500"].mask.tolist() == [[False, True], [False, False]]
    assert figure.get_suptitle() == "Query exposure under the partition 'block'"
    clims = {
        c.get_clim()
        for a in figure.axes
        for c in a.collections
        if isinstance(c, QuadMesh) and a.get_title()
    }
    assert clims == {(0.0, 0.8)}
    with pytest.raises(ImputeError, match="13 maps are too many for one picture"):
        exposure(xr.Dataset({"t": (("level", "lat", "lon"), np.ones((13, 2, 2)))}))


def test_skill_draws_the_numbers_of_the_tables(tables: tuple[xr.Dataset, xr.Dataset]) -> None:
    figure = skill(*tables)
    ax = axes_of(figure)
    assert [p.get_width() for p in ax["sst: all"].patches] == [1.0, 2.0]
    assert ax["sst: all"].get_title() == "sst, 1,240 cells"
    assert ax["sst: all"].get_xlabel() == "RMSE (°C)"
    assert [t.get_text() for t in ax["sst: all"].texts] == ["1.00", "2.00"]
    curves = ax["sst: gap_size"]
    assert [line.get_ydata().tolist() for line in curves.lines] == [[0.5, 1.5], [1.5, 3.5]]
    assert [t.get_text() for t in curves.get_xticklabels()] == ["1\n1.2k", "1k–4.1k\n20"]
    assert curves.get_ylim()[0] == 0 and curves.get_ylim()[1] > 3.5
    # Twenty cells are few: their points are hollow.
    faces = [c.get_facecolors()[:, :3].tolist() for c in curves.collections]
    assert all(face[1] == [1, 1, 1] and face[0] != [1, 1, 1] for face in faces)
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    assert legend == ["ours", "linear", "fewer than 30 cells"]


def test_skill_without_any_cell_can_be_drawn(tables: tuple[xr.Dataset, xr.Dataset]) -> None:
    whole, parts = tables
    figure = skill(whole * np.nan, (parts * np.nan).isel(gap_size=slice(0)))
    figure.canvas.draw()
    assert [t.get_text() for t in axes_of(figure)["sst: all"].texts] == ["no cells", "no cells"]


def test_training_marks_what_was_kept() -> None:
    figure = training(LOSS, WITHHELD, title="a fit")
    ax = axes_of(figure)
    curve, mark = ax["withheld"].lines
    assert curve.get_ydata().tolist() == pytest.approx([1.0, 0.6, 0.7])
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (10.0, pytest.approx(0.6))
    assert ax["withheld"].get_title() == "kept: update 10, error 0.6"
    assert "standard deviations" in ax["withheld"].get_ylabel()
    assert ax["loss"].lines[0].get_ydata().tolist() == [0.8, 0.5]
    flat = axes_of(training(LOSS, [(0, 1.0), (9, 0.999)]))["withheld"].get_ylim()
    assert flat[1] - flat[0] >= 0.099
    with pytest.raises(ImputeError, match=r"no check .*imputer = ds.impute.fit\(\)"):
        training(LOSS, [])


def test_spectrum_is_logarithmic_and_runs_from_long_to_short() -> None:
    values = [[100.0, 1.0, 1e-9], [50.0, 0.5, 0.25]]
    where = ("wavenumber", [0.001, 0.01, 0.1], {"units": "1/km"})
    found = xr.Dataset(
        {"u": (("version", "wavenumber"), values, {"field_units": "m s-1"})},
        {"version": ["truth", "filled"], "wavenumber": where},
    )
    figure = spectrum(found, note="a note")
    ax = axes_of(figure)["u"]
    assert [line.get_label() for line in ax.lines] == ["truth", "filled"]
    assert ax.lines[0].get_color() == "#222222"
    np.testing.assert_allclose(ax.lines[1].get_xdata(), [1000, 100, 10])
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.get_xlim()[0] > ax.get_xlim()[1]
    assert ax.get_ylabel() == "spectral density ((m s⁻¹)² km)"
    assert ax.get_ylim()[0] == pytest.approx(1e-4)
    assert figure.get_supxlabel() == "a note"
