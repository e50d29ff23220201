"""``ds.impute.plot``: the right numbers reach the right picture."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("matplotlib")

from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from xdiffimpute.accessor import ImputeDatasetAccessor
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.exceptions import ImputeError, NotFittedError

pytestmark = pytest.mark.usefixtures("hasty")


@pytest.fixture(scope="module")
def waves() -> xr.Dataset:
    """Twelve complete frames with a name, units and dates."""
    t, y, x = np.meshgrid(np.arange(12), np.arange(9), np.arange(11), indexing="ij")
    values = 10 + 2 * np.sin(x / 3.0 + t / 5.0) + np.cos(y / 2.0)
    ds = xr.Dataset({"sst": (("time", "lat", "lon"), values.astype("float32"))})
    ds["sst"].attrs = {"units": "degC", "long_name": "temperature"}
    times = np.datetime64("2005-03-01", "ns") + np.arange(12) * np.timedelta64(6, "h")
    ds = ds.assign_coords(time=times, lat=np.arange(9.0), lon=np.arange(11.0))
    ds["lat"].attrs["units"], ds["lon"].attrs["units"] = "degrees_north", "degrees_east"
    return ds


@pytest.fixture(scope="module")
def holes(waves: xr.Dataset) -> xr.Dataset:
    seen = np.random.default_rng(0).random(waves["sst"].shape) < 0.7
    return waves.where(seen)


@pytest.fixture(scope="module")
def imputer(holes: xr.Dataset) -> DiffusionImputer:
    return holes.copy().impute.fit(steps=2, progress=False)


def drawn(figure: Figure, heading: str) -> np.ndarray:
    """The map under a heading."""
    ax = next(a for a in figure.axes if a.get_title() == heading)
    return [c for c in ax.collections if isinstance(c, QuadMesh)][-1].get_array().filled(np.nan)


def test_comparison_fills_the_frame_that_is_asked_for(holes, waves, imputer, tmp_path) -> None:
    path = tmp_path / "c.png"
    figure = holes.impute.plot.comparison(imputer, truth=waves, frame=3, path=path, figsize=(9, 3))
    assert path.stat().st_size > 10_000
    titles = [ax.get_title() for ax in figure.axes[:5]]
    assert titles == ["truth", "observed", "filled", "error (filled − truth)", "standard error"]
    assert figure.get_suptitle() == "time 2005-03-01 18:00"
    filled = imputer.fill(holes).isel(time=3)
    np.testing.assert_allclose(drawn(figure, "filled"), filled["sst"].values, rtol=1e-5)
    np.testing.assert_array_equal(drawn(figure, "observed"), holes["sst"].values[3])
    error = (filled["sst"] - waves["sst"][3]).where(holes["sst"][3].isnull()).values
    np.testing.assert_allclose(drawn(figure, "error (filled − truth)"), error, atol=1e-5)


def test_comparison_takes_what_fill_returned_in_either_form(holes, imputer) -> None:
    array = holes["sst"].impute.fill("linear")
    frame = {"time": -1}
    figure = holes["sst"].impute.plot.comparison(array, frame=frame, title="mine")
    np.testing.assert_array_equal(drawn(figure, "filled"), array.values[-1])
    assert figure.get_suptitle() == "mine"
    by_name = holes.impute.plot.comparison("linear", frame=frame)
    np.testing.assert_allclose(drawn(by_name, "filled"), array.values[-1], rtol=1e-5)
    with pytest.raises(ImputeError, match=r"no frame {'time': 12}; .* sizes are time: 12"):
        holes.impute.plot.comparison(array, frame=12)
    with pytest.raises(ImputeError, match="no frame {'depth': 0}"):
        holes.impute.plot.comparison(array, frame={"depth": 0})


def test_comparison_reads_only_what_it_draws(holes, imputer) -> None:
    """The fill stays lazy: of a chunked dataset, far frames are never read."""
    import dask.array as da

    read: set[int] = set()

    def note(block: np.ndarray, block_info=None) -> np.ndarray:
        if block_info:
            read.add(block_info[0]["chunk-location"][0])
        return block

    long = xr.concat([holes] * 8, "time").assign_coords(
        time=np.datetime64("2005-03-01", "ns") + np.arange(96) * np.timedelta64(6, "h")
    )
    lazy = long.chunk(time=12)
    data = da.map_blocks(note, lazy["sst"].data, dtype="float32", meta=np.empty((0, 0, 0), "f4"))
    lazy["sst"] = lazy["sst"].copy(data=data)
    lazy.impute.plot.comparison(imputer, frame=90)
    assert 7 in read and len(read) < 8


def test_skill_and_training_of_the_remembered_imputer(holes) -> None:
    ds = holes.copy()
    with pytest.raises(NotFittedError):
        ds.impute.plot.skill()
    imputer = ds.impute.fit(steps=2, progress=False)
    figure = ds.impute.plot.skill()
    bars = next(ax for ax in figure.axes if ax.get_label() == "sst: all")
    rmse = ds.impute.score()["sst"].sel(metric="rmse").values
    np.testing.assert_allclose([p.get_width() for p in bars.patches], rmse)
    assert {"sst: distance", "sst: gap_size"} <= {ax.get_label() for ax in figure.axes}
    curve = ds.impute.plot.training().axes[0].lines[0]
    np.testing.assert_allclose(
        curve.get_ydata() ** 2, [v for _, v in imputer.fitted.history.validation]
    )
    with pytest.raises(ImputeError, match="'linear' is not trained and has no curves"):
        ds.impute.plot.training("linear")


def test_spectrum_of_several_fills_beside_the_truth(holes, waves, imputer) -> None:
    figure = holes.impute.plot.spectrum(imputer, "linear", imputer, truth=waves, frames=4)
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert labels == ["truth", "diffusion", "linear", "diffusion 2"]
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    np.testing.assert_allclose(lines["diffusion"], lines["diffusion 2"])
    assert not np.allclose(lines["truth"], lines["linear"])
    with pytest.raises(ImputeError, match="frames=0 leaves nothing to draw"):
        holes.impute.plot.spectrum("linear", frames=0)


def test_gaps_and_exposure_take_the_layout(gappy: xr.Dataset) -> None:
    strange = gappy.drop_vars(["lat", "lon"]).rename(lat="row", lon="column")
    figure = strange.impute.plot.gaps(y="row", x="column")
    assert figure.axes[0].get_ylabel() == "row"
    with pytest.warns(UserWarning, match="never observed"):
        figure = gappy["sst"].impute.plot.exposure("pixel", figsize=(4, 4))
    assert figure.get_suptitle() == "Query exposure under the partition 'pixel'"


def test_every_picture_has_a_method_that_says_what_it_draws() -> None:
    import pkgutil

    import xdiffimpute.pictures
    from xdiffimpute.plots import Plots

    names = {m.name for m in pkgutil.iter_modules(xdiffimpute.pictures.__path__)} - {"base"}
    assert names <= set(dir(Plots))
    assert all((getattr(Plots, name).__doc__ or "").strip() for name in names)
    assert all(f".{name}(" in (ImputeDatasetAccessor.plot.__doc__ or "") for name in names)


def test_without_matplotlib_the_error_says_what_to_install(gappy, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImputeError, match=r"pip install 'xdiffimpute\[plot\]'"):
        gappy.impute.plot.gaps()


def test_comparison_of_members_is_of_their_mean(holes, imputer) -> None:
    drawn_by = imputer.fill(holes, members=3)
    figure = holes.impute.plot.comparison(drawn_by, frame=2, variables="sst")
    mean = drawn_by["sst"].mean("realization").isel(time=2)
    np.testing.assert_allclose(drawn(figure, "filled"), mean.values, rtol=1e-5)
