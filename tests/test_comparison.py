"""The picture is a real PNG whose panels hold what their headings say."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("matplotlib")

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import imread

from xdiffimpute.datasets import DATASETS
from xdiffimpute.exceptions import ImputeError
from xdiffimpute.pictures.comparison import comparison

COLUMNS = ["truth", "observed", "filled", "error", "standard error"]


@pytest.fixture
def frame() -> dict[str, xr.Dataset]:
    """One frame of shallow water: h and u with a corner hidden, filled with half the truth."""
    truth = DATASETS.create("shallow_water", samples=1, shape=(10, 12), frames=2).open()
    truth = truth.isel(sample=0, time=1)[["h", "u"]]
    hidden = (truth["x"] > 300e3) & (truth["y"] > 250e3)
    gappy = truth.where(~hidden).transpose("y", "x")
    filled = gappy.fillna(0.5 * truth)
    for name in ("h", "u"):
        filled[name].attrs = truth[name].attrs
        filled[f"{name}_imputation_flag"] = hidden.astype("int8")
        filled[f"{name}_standard_error"] = xr.full_like(truth[name], 0.1).where(hidden)
    return {"gappy": gappy.assign_attrs(truth.attrs), "filled": filled, "truth": truth}


def panels(figure: Figure) -> dict[str, Axes]:
    return {str(ax.get_label()): ax for ax in figure.axes if ": " in str(ax.get_label())}


def bars(figure: Figure) -> list[str]:
    return [ax.get_xlabel() for ax in figure.axes if ax.get_label() == "<colorbar>"]


def mesh(ax: Axes) -> QuadMesh:
    """The map of a panel, drawn over the greys."""
    return [c for c in ax.collections if isinstance(c, QuadMesh)][-1]


def test_writes_a_png_with_every_panel(frame, tmp_path: Path) -> None:
    path = tmp_path / "comparison.png"
    figure = comparison(
        frame["gappy"], frame["filled"], truth=frame["truth"], title="a test", path=path
    )
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    image = imread(path)
    assert image.shape[0] > 800 and image.shape[1] > 1500
    assert len(np.unique(image[..., :3] @ [1.0, 7.0, 49.0])) > 100  # colours: it is not blank
    assert list(panels(figure)) == [f"{v}: {c}" for v in ("h", "u") for c in COLUMNS]
    assert [ax.get_title() for ax in figure.axes[:5]] == [
        "truth", "observed", "filled", "error (filled − truth)", "standard error",
    ]  # fmt: skip
    assert figure.get_suptitle() == "a test"


def test_panels_hold_the_values(frame) -> None:
    shown = panels(comparison(frame["gappy"], frame["filled"], truth=frame["truth"]))
    values = {c: mesh(shown[f"h: {c}"]).get_array() for c in COLUMNS}
    gap = frame["gappy"]["h"].isnull().values
    truth = frame["truth"]["h"].values
    np.testing.assert_allclose(values["truth"], truth)
    np.testing.assert_array_equal(np.ma.getmaskarray(values["observed"]), gap)
    np.testing.assert_array_equal(np.ma.getmaskarray(values["error"]), ~gap)
    np.testing.assert_allclose(values["error"][gap], -0.5 * truth[gap], rtol=1e-5)
    np.testing.assert_allclose(values["standard error"][gap], 0.1, rtol=1e-5)


def test_scales_are_shared_and_say_their_units(frame) -> None:
    figure = comparison(frame["gappy"], frame["filled"], truth=frame["truth"])
    shown = panels(figure)
    limits = [mesh(shown[f"h: {c}"]).get_clim() for c in COLUMNS]
    assert limits[0] == limits[1] == limits[2]
    assert limits[3][0] == -limits[3][1] and limits[4] == (0, limits[3][1])
    wrong = (frame["filled"]["h"] - frame["truth"]["h"]).where(frame["gappy"]["h"].isnull())
    rmse = float(np.sqrt((wrong.astype(float) ** 2).mean()))
    assert bars(figure)[:3] == [
        "height of the surface above rest (m)", f"RMSE {rmse:.3g} m", "root mean square 0.1 m",
    ]  # fmt: skip
    assert bars(figure)[3] == "velocity along x (m s⁻¹)"
    assert figure.axes[0].get_ylabel() == "y (km)"
    assert figure.axes[5].get_xlabel() == "x (km)"
    assert figure.axes[0].get_xlim() == (0, 600) and figure.axes[0].get_ylim() == (0, 500)


def test_gaps_are_outlined_along_cells(frame) -> None:
    figure = comparison(frame["gappy"], frame["filled"], truth=frame["truth"])
    filled = panels(figure)["h: filled"]
    lines = next(c for c in filled.collections if isinstance(c, LineCollection))
    corners = {tuple(p) for s in lines.get_segments() for p in s}
    level = {(x, 250.0) for x in np.arange(300.0, 601.0, 50.0)}
    upright = {(300.0, y) for y in np.arange(250.0, 501.0, 50.0)}
    assert corners == level | upright
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    assert legend == ["not observed", "edge of the gaps", "observed, kept"]


def test_scattered_gaps_are_not_outlined(frame) -> None:
    """Edges around single pixels would cover the map."""
    seen = np.random.default_rng(0).random((10, 12)) < 0.5
    figure = comparison(frame["truth"].where(seen), frame["filled"], truth=frame["truth"])
    lines = [c for c in panels(figure)["h: filled"].collections if isinstance(c, LineCollection)]
    assert sum(len(c.get_segments()) for c in lines) == 0
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    assert "edge of the gaps" not in legend


def test_without_truth_or_standard_error(frame) -> None:
    filled = frame["filled"].drop_vars(["h_standard_error", "u_standard_error"])
    figure = comparison(frame["gappy"], filled, variables=["u"])
    assert list(panels(figure)) == ["u: observed", "u: filled"]
    assert bars(figure) == ["velocity along x (m s⁻¹)"]


def test_cells_left_empty_are_named(frame) -> None:
    filled = frame["filled"].copy()
    filled["h"] = filled["h"].where(filled["x"] < 500e3)
    figure = comparison(frame["gappy"], filled, truth=frame["truth"], variables=["h"])
    assert [t.get_text() for t in figure.legends[0].get_texts()][-1] == "no value"


def test_geographic_fields_keep_north_up_and_their_proportions(gappy: xr.Dataset) -> None:
    """Descending latitude, dims in another order, real units."""
    flipped = gappy.isel(time=3, lat=slice(None, None, -1)).transpose("lon", "lat")
    figure = comparison(flipped, flipped.fillna(10.0), variables=["sst"])
    ax = figure.axes[0]
    low, high = ax.get_ylim()
    assert low < high
    assert ax.get_aspect() == pytest.approx(1 / np.cos(np.radians(42.0)))
    assert (ax.get_ylabel(), figure.axes[0].get_xlabel()) == ("latitude (°N)", "longitude (°E)")
    assert bars(figure) == ["sea surface temperature (°C)"]
    # Cells: the value at a place on paper is the value at that place in the data.
    np.testing.assert_array_equal(
        np.ma.filled(mesh(ax).get_array(), np.nan), flipped["sst"].transpose("lat", "lon").values
    )


def test_grid_without_coordinates_and_constant_fields() -> None:
    values = np.full((5, 6), 3.0)
    values[2, 2:4] = np.nan
    ds = xr.Dataset({"a": (("j", "i"), values)})
    figure = comparison(ds, ds.fillna(3.0), truth=ds.fillna(3.0), variables=["a"])
    assert figure.axes[0].get_xlim() == (-0.5, 5.5)
    low, high = mesh(panels(figure)["a: filled"]).get_clim()
    assert low < 3 < high
    figure.canvas.draw()


def test_needs_no_cmocean(frame, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "cmocean", None)
    figure = comparison(frame["gappy"], frame["filled"], path=tmp_path / "plain.png")
    assert mesh(panels(figure)["u: filled"]).get_cmap().name in ("RdBu_r", "viridis")


def test_never_touches_pyplot(frame) -> None:
    """No figure stays open behind the user's back, and no display is needed."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    before = pyplot.get_fignums()
    comparison(frame["gappy"], frame["filled"])
    assert pyplot.get_fignums() == before


def test_errors_say_what_to_type(frame, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImputeError, match=r"'h' has the dims .*select one frame first"):
        comparison(frame["gappy"].expand_dims("time"), frame["filled"])
    with pytest.raises(ImputeError, match=r"no variable has an imputation flag; .*fill\(\)"):
        comparison(frame["gappy"], frame["gappy"])
    with pytest.raises(ImputeError, match="'sst' is missing from a Dataset that has h, u"):
        comparison(frame["gappy"], frame["filled"], variables=["sst"])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImputeError, match=r"pip install 'xdiffimpute\[plot\]'"):
        comparison(frame["gappy"], frame["filled"])


def test_headings_and_size_can_be_given(frame) -> None:
    figure = comparison(
        frame["gappy"], frame["filled"], variables=["h"], headings={"observed": "given"},
        figsize=(7.0, 3.0),
    )  # fmt: skip
    assert [ax.get_title() for ax in figure.axes[:3]] == ["given", "filled", "standard error"]
    assert figure.get_size_inches().tolist() == [7.0, 3.0]
    with pytest.raises(ImputeError, match=r"figsize=7 is not a size; .*figsize=\(8, 5\)"):
        comparison(frame["gappy"], frame["filled"], figsize=7)  # type: ignore[arg-type]
    with pytest.raises(ImputeError, match="cannot save a picture as 'a.txt'"):
        comparison(frame["gappy"], frame["filled"], path="a.txt")


def test_wide_strips_stand_one_below_the_other(frame: dict[str, xr.Dataset]) -> None:
    """With what their low colour bars have no room for in the headings."""
    strips = {k: ds.isel(y=slice(4, 6)).assign_coords(x=ds["x"] * 2) for k, ds in frame.items()}
    figure = comparison(
        strips["gappy"], strips["filled"], truth=strips["truth"], variables=["h", "u"]
    )
    figure.draw_without_rendering()
    found = panels(figure)
    for name in ("h", "u"):
        places = [found[f"{name}: {column}"].get_position() for column in COLUMNS]
        assert len({round(place.x0, 3) for place in places}) == 1
        assert all(a.y0 > b.y1 for a, b in zip(places, places[1:]))
        title = found[f"{name}: error"].get_title(loc="left")
        assert title.startswith("error (filled − truth): RMSE")
    assert found["h: truth"].get_position().x1 < found["u: truth"].get_position().x0
