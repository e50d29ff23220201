"""Fixtures that all tests share."""

import logging
import os
import signal
from contextlib import contextmanager
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr

from xdiffimpute import (
    fitting,
    matern_tuning,
    pair_covariance,
    planning,
    space_time,
    tuning,
    variography,
)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="session")
def small_batches():
    """Tests ask what a fit does, and seldom how well it learns: a step of theirs is quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(planning.CELLS_A_STEP, "cpu", 6_000)
        yield


@pytest.fixture(scope="module")
def hasty():
    """First guesses are looked for among few candidates: for tests of what is done with them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_covariance, "MODELS", pair_covariance.MODELS[2:4])
        patch.setattr(variography, "WIDTHS", variography.WIDTHS[1:3])
        patch.setattr(variography, "SHRUNK", variography.SHRUNK[1:2])
        patch.setattr(variography, "ROUNDS", variography.LOOK_EVERY)
        patch.setattr(variography, "JUDGED_CELLS", 10_000)
        patch.setattr(variography, "WORK", variography.WORK / 15)
        patch.setattr(variography, "NOISES", variography.NOISES[:2])
        patch.setattr(matern_tuning, "COUNT", 200)
        patch.setattr(matern_tuning, "NOISES", matern_tuning.NOISES[3:5])
        patch.setattr(matern_tuning, "SWEEPS", 1)
        patch.setattr(fitting, "GUESS_BATCHES", 8)
        few = {name: tried[1:3] for name, tried in space_time.CANDIDATES.items()}
        patch.setattr(space_time, "CANDIDATES", few)
        patch.setattr(space_time, "TUNING_CELLS", 2_000)
        patch.setattr(tuning, "MOST_CELLS", 0)  # baselines take the climatology that comes first
        yield


@pytest.fixture(autouse=True)
def log_level_as_before():
    """Commands with -q quieten the log of the process, and of the tests after them."""
    log = logging.getLogger("xdiffimpute")
    before = log.level
    yield
    log.setLevel(before)


@pytest.fixture
def shared_data():
    """Path of a real data file; the test skips, saying so, where there is none."""

    def find(name: str) -> Path:
        folder = Path(os.environ.get("XDI_DATA", ROOT.parent / "shared" / "data"))
        path = folder / name
        if not path.exists():
            pytest.skip(f"needs the data file {name}; set XDI_DATA to the folder that holds it")
        return path

    return find


@pytest.fixture
def sigint_is_heard():
    """As in a terminal; a process that a shell started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def no_compute():
    """A context in which any dask computation fails."""

    def refuse(dsk, keys, **kwargs):
        raise AssertionError("something was computed")

    @contextmanager
    def forbidden():
        with dask.config.set(scheduler=refuse):
            yield

    return forbidden


@pytest.fixture
def gappy() -> xr.Dataset:
    """A small CF dataset: smooth daily fields with gaps, some land, attributes and encoding."""
    rng = np.random.default_rng(0)
    t, y, x = np.meshgrid(np.arange(20), np.arange(9), np.arange(11), indexing="ij")
    values = 10 + 2 * np.sin(x / 3.0 + t / 5.0) + np.cos(y / 2.0)
    values[rng.random(values.shape) < 0.3] = np.nan
    values[:, :2, 0] = np.nan
    ds = xr.Dataset(
        {"sst": (("time", "lat", "lon"), values.astype("float32"))},
        coords={
            "time": np.datetime64("2005-03-01", "ns") + np.arange(20) * np.timedelta64(1, "D"),
            "lat": ("lat", np.linspace(40.0, 44.0, 9)),
            "lon": ("lon", np.linspace(-10.0, -5.0, 11)),
        },
        attrs={"Conventions": "CF-1.8", "title": "waves", "history": "made for a test"},
    )
    ds["sst"].attrs = {
        "standard_name": "sea_surface_temperature",
        "long_name": "sea surface temperature",
        "units": "degC",
    }
    ds["lat"].attrs = {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"}
    ds["lon"].attrs = {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}
    ds["time"].attrs = {"standard_name": "time", "axis": "T"}
    ds["time"].encoding = {"units": "days since 2000-01-01", "dtype": "int32"}
    return ds
