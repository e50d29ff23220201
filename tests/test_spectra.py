"""Spectral densities: the variance, the wavelength and the units are right."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xdiffimpute.exceptions import DataError
from xdiffimpute.fields import FieldSpec
from xdiffimpute.spectra import cell_size, density, spectra


def grid(values: np.ndarray, **attrs: str) -> xr.Dataset:
    """Frames on a plane in metres: cells 2 km high, 1 km wide."""
    _, h, w = values.shape
    ds = xr.Dataset({"h": (("time", "y", "x"), values, {"units": "m"} | attrs)})
    coords = {"y": ("y", 2e3 * np.arange(h), {"units": "m"})}
    return ds.assign_coords(coords | {"x": ("x", 1e3 * np.arange(w), {"units": "m"})})


def test_the_variance_is_all_there() -> None:
    """The sum over wavenumbers of white noise is its variance up to the Nyquist circle."""
    rng = np.random.default_rng(0)
    noise = 3.0 * rng.normal(size=(200, 32, 32))
    k, found = density(noise, np.ones((32, 32), dtype=bool), (1.0, 1.0), periodic=False)
    assert k[0] == k[1] - k[0] == 1 / 32 and k[-1] == 0.5
    inside = np.pi * 0.5**2  # of the square of wavenumbers
    assert found.sum() * k[0] == pytest.approx(9.0 * inside, rel=0.08)


@pytest.mark.parametrize("axis, wavelength", [("y", 16.0), ("x", 16.0)])
def test_a_wave_is_found_at_its_length_in_km_on_either_axis(axis: str, wavelength: float) -> None:
    y, x = np.meshgrid(2.0 * np.arange(64), 1.0 * np.arange(128), indexing="ij")
    wave = np.cos(2 * np.pi * (y if axis == "y" else x) / wavelength)[None]
    ds = grid(wave)
    spec = FieldSpec.from_dataset(ds)
    assert cell_size(spec, ds) == (2.0, 1.0, "km")
    found, share = spectra({"filled": ds}, spec)
    peak = found["h"].isel(version=0).idxmax("wavenumber")
    assert float(1 / peak) == pytest.approx(wavelength)
    assert found["wavenumber"].attrs["units"] == "1/km" and share == {"h": 1.0}
    assert found["h"].attrs == {"units": "(m)2 km", "field_units": "m"}


def test_a_smoother_fill_has_less_at_short_waves_only() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(50, 32, 32))
    smooth = (values + np.roll(values, 1, 1) + np.roll(values, 1, 2)) / 3
    ds, other = grid(values), grid(smooth)
    found, _ = spectra({"truth": ds, "filled": other}, FieldSpec.from_dataset(ds))
    ratio = found["h"].sel(version="filled") / found["h"].sel(version="truth")
    assert float(ratio[0]) > 0.9 and float(ratio[-1]) < 0.3


def test_cells_that_one_version_lacks_are_left_out_of_all() -> None:
    rng = np.random.default_rng(2)
    ds = grid(rng.normal(size=(5, 16, 16)))
    half = ds.where(ds["x"] < 8e3)
    spec = FieldSpec.from_dataset(ds)
    found, share = spectra({"truth": ds, "filled": half}, spec)
    assert share == {"h": 0.5}
    np.testing.assert_allclose(found["h"][0], found["h"][1])


def test_degrees_become_km(gappy: xr.Dataset) -> None:
    dy, dx, length = cell_size(FieldSpec.from_dataset(gappy), gappy)
    assert length == "km"
    assert dy == pytest.approx(0.5 * 111.2, rel=0.01)
    assert dx == pytest.approx(0.5 * 111.2 * np.cos(np.radians(42)), rel=0.01)


def test_what_cannot_be_done_is_said(gappy: xr.Dataset) -> None:
    small = gappy.isel(lat=slice(4))
    with pytest.raises(DataError, match="a grid of 4 x 11 cells is too small"):
        spectra({"filled": small.fillna(0.0)}, FieldSpec.from_dataset(small))
    with pytest.raises(DataError, match=r"no cell of 'sst' has a value in every .*fill\(\)"):
        spectra({"observed": gappy}, FieldSpec.from_dataset(gappy))
