"""The simulator conserves what it should, converges, and describes itself."""

from __future__ import annotations

import cf_xarray  # noqa: F401 - registers .cf
import numpy as np
import pytest
import xarray as xr

from xdiffimpute.axes import Axes, find_axes
from xdiffimpute.datasets import DATASETS
from xdiffimpute.datasets.shallow_water import (
    INTERVAL,
    SPACING,
    ShallowWater,
    integrate,
    to_centres,
)
from xdiffimpute.exceptions import ImputeError

F, G, DEPTH = 1e-4, 9.81, 100.0


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    return ShallowWater(samples=3, shape=(24, 32), frames=50, seed=1).open()


def trajectory(seed: int, frames: int) -> tuple[np.ndarray, float, float]:
    """States of one sample on the staggered grid, (frames, 3, y, x), and its g and H."""
    start, (f, g, depth) = ShallowWater(samples=1, seed=seed)._start(0)
    states = integrate(start, f, g, depth, spacing=SPACING, interval=INTERVAL, frames=frames)
    return np.stack(list(states)), g, depth


@pytest.mark.parametrize("seed", range(4))
def test_energy_is_conserved(seed: int) -> None:
    states, g, depth = trajectory(seed, frames=50)
    u, v, h = np.moveaxis(states, 1, 0)
    energy = (depth * (u**2 + v**2) / 2 + g * h**2 / 2).sum(axis=(1, 2))
    np.testing.assert_allclose(energy, energy[0], rtol=2e-4)
    kinetic = (depth * (u**2 + v**2) / 2).sum(axis=(1, 2)) / energy
    assert np.ptp(kinetic) > 0.02  # it moves between its two forms all the same


@pytest.mark.parametrize("seed", range(4))
def test_mass_is_conserved(seed: int) -> None:
    states, _, _ = trajectory(seed, frames=50)
    h = states[:, 2] + 0.25  # a rise of the whole basin stays as it is
    np.testing.assert_allclose(h.mean(axis=(1, 2)), 0.25, atol=1e-12)


def test_potential_vorticity_stays_in_place() -> None:
    """Where the water rests on average, dv/dx - du/dy - f h / H does not change (at corners)."""
    start, (f, g, depth) = ShallowWater(samples=1, seed=5)._start(0)
    *_, end = integrate(start, f, g, depth, spacing=SPACING, interval=INTERVAL, frames=50)

    def vorticity(state: np.ndarray) -> np.ndarray:
        u, v, h = state
        turn = (np.roll(v, -1, 1) - v - np.roll(u, -1, 0) + u) / SPACING
        corner = (h + np.roll(h, -1, 0)) / 2
        return turn - f / depth * (corner + np.roll(corner, -1, 1)) / 2

    before, after = vorticity(start), vorticity(end)
    assert np.abs(after - before).max() < 5e-3 * before.std()


def wave(y: np.ndarray, x: np.ndarray, time: float, length: float) -> np.ndarray:
    """An inertia-gravity wave, exact in the continuum: u, v, h."""
    k, l = 2 * np.pi / length, 2 * 2 * np.pi / length  # noqa: E741
    omega = np.sqrt(F**2 + G * DEPTH * (k**2 + l**2))
    h = np.exp(1j * (k * x + l * y - omega * time))
    scale = G / (omega**2 - F**2)
    return np.real([scale * (omega * k + 1j * F * l) * h, scale * (omega * l - 1j * F * k) * h, h])


def wave_error(cells: int) -> tuple[float, float]:
    """Largest relative error after 10 h, on the staggered grid and at centres."""
    length, duration = 1.6e6, 36000.0
    spacing = length / cells
    y, x = np.meshgrid(*[(np.arange(cells) + 0.5) * spacing] * 2, indexing="ij")

    def exact(time: float) -> np.ndarray:
        half = spacing / 2
        return np.stack([
            wave(y, x + half, time, length)[0],
            wave(y + half, x, time, length)[1],
            wave(y, x, time, length)[2],
        ])  # fmt: skip

    *_, end = integrate(
        exact(0), F, G, DEPTH, spacing=spacing, interval=duration, frames=2, steps=2 * cells
    )
    scale = np.abs(exact(0)).max(axis=(1, 2), keepdims=True)
    staggered = np.abs((end - exact(duration)) / scale).max()
    centred = np.abs((to_centres(end) - wave(y, x, duration, length)) / scale).max()
    return float(staggered), float(centred)


def test_second_order_convergence_to_a_plane_wave() -> None:
    errors = np.array([wave_error(cells) for cells in (32, 64, 128)])
    order = np.log2(errors[:-1] / errors[1:])
    np.testing.assert_allclose(order[-1], 2, atol=0.1)
    assert errors[-1].max() < 0.05


def test_inertial_oscillation() -> None:
    """A current that is the same everywhere turns clockwise with f and returns after 2 pi / f."""
    start = np.zeros((3, 4, 4))
    start[0] = 1
    _, quarter, *_, end = integrate(
        start, F, G, DEPTH, spacing=SPACING, interval=np.pi / 2 / F, frames=5, steps=40
    )
    np.testing.assert_allclose(quarter[1], -1, atol=1e-6)
    np.testing.assert_allclose(end, start, atol=1e-6)


def test_waves_cross_the_domain(ds: xr.Dataset) -> None:
    first, later = ds["h"].isel(time=0), ds["h"]
    correlation = (first * later).mean(("y", "x")) / (first.std(("y", "x")) * later.std(("y", "x")))
    assert float(correlation.isel(time=1).min()) > 0.9
    assert float(correlation.min("time").max()) < 0.2
    reach = np.sqrt(ds["g"] * ds["H"]) * INTERVAL * (ds.sizes["time"] - 1)
    assert float(reach.min()) > 0.5 * SPACING * ds.sizes["x"]


def test_is_described_by_cf(ds: xr.Dataset) -> None:
    assert ds.attrs["Conventions"] == "CF-1.8"
    assert {name: ds[name].attrs["units"] for name in ds.data_vars} == {
        "u": "m s-1", "v": "m s-1", "h": "m",
    }  # fmt: skip
    assert ds["u"].attrs["standard_name"] == "sea_water_x_velocity"
    assert ds["v"].attrs["standard_name"] == "sea_water_y_velocity"
    assert ds["h"].attrs["standard_name"] == "sea_surface_height_above_mean_sea_level"
    assert all(ds[name].dims == ("sample", "time", "y", "x") for name in ds.data_vars)
    assert all(ds[name].dtype == np.float32 for name in ds.data_vars)
    assert ds.cf.axes == {"X": ["x"], "Y": ["y"], "T": ["time"]}
    assert ds["x"].attrs["standard_name"] == "projection_x_coordinate"
    assert ds["y"].attrs["standard_name"] == "projection_y_coordinate"
    assert ds["x"].attrs["units"] == ds["y"].attrs["units"] == "m"
    assert {n: ds[n].attrs["units"] for n in "fgH"} == {"f": "s-1", "g": "m s-2", "H": "m"}
    assert all(ds[name].dims == ("sample",) and name in ds.coords for name in "fgH")
    assert np.issubdtype(ds["time"].dtype, np.datetime64)
    assert find_axes(ds) == Axes("time", "y", "x")


def test_netcdf_round_trip(ds: xr.Dataset, tmp_path) -> None:
    ds.to_netcdf(tmp_path / "waves.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "waves.nc", engine="h5netcdf") as back:
        xr.testing.assert_identical(back.load(), ds)


def test_seed_decides_and_samples_stand_alone(ds: xr.Dataset) -> None:
    few = ShallowWater(samples=2, shape=(24, 32), frames=4, seed=1).open()
    xr.testing.assert_identical(few, ds.isel(sample=slice(2), time=slice(4)))
    other = ShallowWater(samples=2, shape=(24, 32), frames=4, seed=2).open()
    assert not np.allclose(few["h"], other["h"], atol=0.1)
    assert len(np.unique(ds["f"])) == len(np.unique(ds["H"])) == 3


def test_samples_are_the_same_in_any_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ShallowWater(samples=5, shape=(8, 8), frames=3).open()
    monkeypatch.setattr("xdiffimpute.datasets.shallow_water.BATCH", 2)
    xr.testing.assert_identical(whole, ShallowWater(samples=5, shape=(8, 8), frames=3).open())


def test_found_by_name() -> None:
    assert "shallow_water" in DATASETS
    assert isinstance(DATASETS.create("shallow_water", samples=1), ShallowWater)


@pytest.mark.parametrize(
    "options",
    [{"samples": 0}, {"frames": 0}, {"shape": (3, 8)}, {"shape": (8,)}, {"seed": -1},
     {"samples": 1.5}],
)  # fmt: skip
def test_bad_settings_are_named(options: dict[str, object]) -> None:
    with pytest.raises(ImputeError, match="pass for example"):
        ShallowWater(**options)


def test_too_long_a_step_is_refused() -> None:
    """Beyond the CFL limit: said before anything overflows."""
    start = np.zeros((3, 8, 8))
    states = integrate(start, F, G, DEPTH, spacing=SPACING, interval=1e5, frames=2, steps=1)
    with pytest.raises(ImputeError, match=r"steps=1 lets the fastest wave move .* or more"):
        next(states)
