"""Fills that are pulled towards a law of physics."""

import contextlib

import numpy as np
import pytest
import torch
import xarray as xr
from click.testing import CliRunner

import xdiffimpute as xdi
from xdiffimpute.cli import main
from xdiffimpute.datasets import DATASETS
from xdiffimpute.exceptions import DataError, ImputeError
from xdiffimpute.fields import FieldSpec
from xdiffimpute.guidance import GUIDANCES, Guidance, Penalty
from xdiffimpute.guiding import guided
from xdiffimpute.masks import MASKS
from xdiffimpute.methods.standard import Standard
from xdiffimpute.metrics import METRICS
from xdiffimpute.request import Request
from xdiffimpute.samplers import SAMPLERS

pytestmark = pytest.mark.usefixtures("hasty")


@pytest.fixture(scope="module")
def water() -> tuple[xr.Dataset, xr.Dataset]:
    """Shallow water, whole and with half of the blocks."""
    truth = DATASETS.create(
        "shallow_water", samples=12, shape=(16, 16), frames=6, seed=0
    ).open()  # fmt: skip
    rng = np.random.default_rng(0)
    block = MASKS.create("block", grid=(4, 4), kept=10)
    seen = np.stack([block(np.ones((1, 1, 16, 16), bool), rng)[0, 0] for _ in range(12)])
    mask = xr.DataArray(seen, dims=("sample", "y", "x"))
    names = ["u", "v", "h"]
    return truth, truth.assign({n: truth[n].where(mask) for n in names})


@pytest.fixture(scope="module")
def imputer(water: tuple[xr.Dataset, xr.Dataset]) -> xdi.DiffusionImputer:
    return water[1].impute.fit(steps=20, window=6, batch=6, progress=False, seed=0)


def test_every_law_is_obeyed_by_what_obeys_it() -> None:
    """And the gradient of the residual is that of finite differences."""
    ds = DATASETS.create("shallow_water", samples=2, shape=(16, 16), frames=5, seed=1).open()
    spec = FieldSpec.from_dataset(ds)
    fields = torch.from_numpy(spec.pack(ds).values[1].swapaxes(0, 1).copy()).double()
    penalty = GUIDANCES.create("shallow_water").read(ds, spec)
    loss = METRICS.create("feasibility")(ds.isel(sample=1), ds)["feasibility"]
    assert float(penalty(fields, 1)) == pytest.approx(float(loss), rel=1e-3)
    for name, u, v in (("shallow_water", "u", "v"), ("divergence_free", "u", "v")):
        options = {} if name == "shallow_water" else {"u": u, "v": v}
        penalty = GUIDANCES.create(name, **options).read(ds, spec)
        at = fields.clone().requires_grad_()
        penalty(at, 0).backward()
        nudge = torch.zeros_like(fields)
        nudge[0, 2, 5, 7] = 1e-3
        rise = (penalty(fields + nudge, 0) - penalty(fields - nudge, 0)) / 2e-3
        assert float(at.grad[0, 2, 5, 7]) == pytest.approx(float(rise), rel=1e-3)


def test_divergence_on_the_sphere() -> None:
    """A flow from a stream function has none; a source has."""
    lat, lon = np.linspace(-60, 60, 41), np.arange(0, 360, 4.0)
    phi, lam = np.meshgrid(np.deg2rad(lat), np.deg2rad(lon), indexing="ij")
    stream = np.sin(2 * lam) * np.cos(phi) ** 3 + np.sin(phi)
    north = np.gradient(stream, np.deg2rad(lat), axis=0)
    east = 2 * np.cos(2 * lam) * np.cos(phi) ** 3
    flow = {"u10": -north, "v10": east / np.cos(phi)}
    source = {"u10": np.cos(2 * lam), "v10": np.sin(phi)}
    dims, coords = ("lat", "lon"), {"lat": lat, "lon": lon}
    found = []
    for parts in (flow, source):
        ds = xr.Dataset({k: (dims, v.astype("float32")) for k, v in parts.items()}, coords)
        spec = FieldSpec.from_dataset(ds)
        penalty = GUIDANCES.create("divergence_free", u="u10", v="v10").read(ds, spec)
        assert spec.periodic
        found.append(float(penalty(torch.from_numpy(spec.pack(ds).values[0].swapaxes(0, 1)), 0)))
    assert found[0] < 0.01 * found[1]


def penalty_of(ds: xr.Dataset, name: str = "shallow_water") -> float:
    spec = FieldSpec.from_dataset(ds)
    fields = torch.from_numpy(spec.pack(ds).values[0].swapaxes(0, 1).copy())
    return float(GUIDANCES.create(name).read(ds, spec)(fields, 0))


def test_coordinates_may_descend() -> None:
    """The same fields, stored the other way round, obey the law as well."""
    ds = DATASETS.create("shallow_water", samples=1, shape=(16, 16), frames=5, seed=1).open()
    torn = ds.assign(h=ds["h"].where(ds["y"] > 200e3, 0.0))
    exact, rough = penalty_of(ds), penalty_of(torn)
    for turn in ({"y": slice(None, None, -1)}, {"x": slice(None, None, -1)}):
        assert exact < 1e-6 * rough
        assert penalty_of(ds.isel(turn)) == pytest.approx(exact, rel=0.5)
        assert penalty_of(torn.isel(turn)) == pytest.approx(rough, rel=0.1)
    rng = np.random.default_rng(0)
    dims, coords = ("y", "x"), {"y": np.arange(8.0) * 2, "x": np.arange(9.0)}
    flow = xr.Dataset({k: (dims, rng.normal(size=(8, 9)).astype("f4")) for k in "uv"}, coords)
    sphere = flow.rename(y="lat", x="lon")
    for ds in (flow, sphere):
        y, x = ds["u"].dims
        for dim in (y, x):
            other = penalty_of(ds.isel({dim: slice(None, None, -1)}), "divergence_free")
            assert other == pytest.approx(penalty_of(ds, "divergence_free"), rel=1e-5)


def with_units(ds: xr.Dataset, units: str, scale: float = 1.0) -> xr.Dataset:
    """Its coordinates in other units, not converted but for a factor."""
    return ds.assign_coords({d: (d, ds[d].values * scale, {"units": units}) for d in ("y", "x")})


def test_distances_are_in_metres() -> None:
    ds = DATASETS.create("shallow_water", samples=1, shape=(8, 8), frames=6).open()
    assert penalty_of(with_units(ds, "km", 1e-3)) == pytest.approx(penalty_of(ds), rel=1e-3)
    bare = with_units(ds, "m")
    for dim in ("y", "x"):
        bare[dim].attrs = {}
    assert penalty_of(bare) == pytest.approx(penalty_of(ds))
    with pytest.raises(DataError, match="in metres, and 'y' is in 'degree'; project the data"):
        penalty_of(with_units(ds, "degree"))


def test_coordinates_in_single_precision_are_even() -> None:
    """Steps of 250.3 m near 5,100 km differ by half a metre there."""
    ds = DATASETS.create("shallow_water", samples=1, shape=(8, 8), frames=6).open()
    places = (5.1e6 + 250.3 * np.arange(8)).astype(np.float32)
    penalty_of(ds.assign_coords({d: (d, places, {"units": "m"}) for d in ("y", "x")}))


def test_gaps_between_distant_coordinates_are_no_rounding() -> None:
    """A row that is missing, at metres of a few million, whatever these are stored as."""
    ds = DATASETS.create("shallow_water", samples=1, shape=(5, 5), frames=6).open()
    places = 5.1e6 + np.array([0.0, 1.0, 2.0, 4.0, 5.0])
    for kind in (np.float64, np.float32):
        with pytest.raises(DataError, match="the steps of 'y' go from 1 to 2"):
            penalty_of(ds.assign_coords(y=places.astype(kind), x=np.arange(5.0)))


def test_a_divergence_knows_the_units_of_both_axes() -> None:
    rng = np.random.default_rng(0)
    dims, coords = ("y", "x"), {"y": np.arange(8.0) * 2, "x": np.arange(9.0)}
    flow = xr.Dataset({k: (dims, rng.normal(size=(8, 9)).astype("f4")) for k in "uv"}, coords)
    mixed = flow.assign_coords(y=("y", flow["y"].values / 1000, {"units": "km"}),
                               x=("x", flow["x"].values, {"units": "m"}))  # fmt: skip
    expected = penalty_of(flow, "divergence_free")
    assert penalty_of(mixed, "divergence_free") == pytest.approx(expected, rel=1e-5)


def test_steps_are_known_and_even() -> None:
    ds = DATASETS.create("shallow_water", samples=1, shape=(8, 8), frames=6).open()
    lead = ds.assign_coords(time=ds["time"] - ds["time"][0])
    assert penalty_of(lead) == pytest.approx(penalty_of(ds))
    with pytest.raises(DataError, match="'time' holds int64, neither dates nor durations"):
        penalty_of(ds.assign_coords(time=np.arange(6)))
    for frames in (1, 2):
        with pytest.raises(DataError, match=f"compares 3 frames .* these data have {frames}"):
            penalty_of(ds.isel(time=slice(0, frames)))
    with pytest.raises(DataError, match=r"steps of 'time' go from 900 to 1800 s.*asfreq"):
        penalty_of(ds.isel(time=[0, 1, 3, 4, 5]))
    for dim in ("y", "x"):
        with pytest.raises(DataError, match=f"the steps of '{dim}' go from 50000 to 100000"):
            penalty_of(ds.isel({dim: [0, 1, 2, 3, 5, 6, 7]}))
    with pytest.raises(DataError, match=r"one f for all cells and frames.* along \['y'\]"):
        penalty_of(ds.assign_coords(f=ds["f"] * (1 + ds["y"] / 1e7)))
    dims = ("y", "x")
    flow = xr.Dataset({k: (dims, np.zeros((4, 4), "f4")) for k in "uv"})
    with pytest.raises(DataError, match="needs the distance of cells"):
        penalty_of(flow, "divergence_free")
    with pytest.raises(DataError, match="the steps of 'y' go from 1 to 2"):
        penalty_of(flow.assign_coords(y=[0.0, 1.0, 2.0, 4.0], x=np.arange(4.0)), "divergence_free")


def test_the_law_is_obeyed_better_and_the_error_is_not_larger(water, imputer) -> None:
    truth, gappy = water
    few = gappy.isel(sample=slice(0, 4))
    sampler = SAMPLERS.create("multi_step", steps=10, members=2)
    plain = few.impute.fill(imputer, sampler=sampler, progress=False)
    pulled = few.impute.fill(imputer, sampler=sampler, guidance="shallow_water", progress=False)
    whole = truth.isel(sample=slice(0, 4))
    loss = [
        float(METRICS.create("feasibility")(ds, whole)["feasibility"]) for ds in (plain, pulled)
    ]
    assert loss[1] < 0.5 * loss[0]
    hidden = few.isnull()
    for name in ("u", "v", "h"):
        before, after = (
            float(((ds[name] - whole[name]) ** 2).where(hidden[name]).mean())
            for ds in (plain, pulled)
        )
        assert after < 1.02 * before
        seen = few[name].notnull()
        xr.testing.assert_equal(pulled[name].where(seen), few[name].where(seen))


def test_into_a_store_in_python_and_on_the_command_line(
    water, imputer, tmp_path, monkeypatch
) -> None:
    """The same as in memory."""
    monkeypatch.setitem(Standard.samplers, "multi_step", {"steps": 4, "members": 1})
    few = water[1].isel(sample=slice(0, 2))
    expected = few.impute.fill(imputer, guidance="shallow_water", progress=False)
    path = tmp_path / "python.zarr"
    few.impute.fill_to(path, imputer, guidance="shallow_water", progress=False)
    imputer.save(tmp_path / "water.imputer")
    few.to_netcdf(tmp_path / "water.nc")
    told = ["fill", "water.nc", "line.zarr", "--imputer", "water.imputer"]
    with contextlib.chdir(tmp_path):
        done = CliRunner().invoke(main, [*told, "--guidance", "shallow_water", "-q"])
        assert done.exit_code == 0, done.output
        other = CliRunner().invoke(main, [*told[:2], "other.zarr", "--imputer", "nearest",
                                          "--guidance", "shallow_water"])  # fmt: skip
    assert other.exit_code == 2 and "leave out --guidance" in other.output
    for name in ("python", "line"):
        found = xr.load_dataset(tmp_path / f"{name}.zarr", engine="zarr")
        for variable in ("u", "v", "h"):
            np.testing.assert_allclose(found[variable], expected[variable], rtol=1e-4, atol=1e-4)


def test_a_move_is_bounded_by_the_standard_error() -> None:
    generator = torch.manual_seed(0)
    estimate = torch.randn(3, 1, 2, 8, 8, generator=generator)
    observed = (torch.rand(estimate.shape, generator=generator) < 0.5).float()
    variance = torch.full_like(estimate, 0.04)
    with torch.inference_mode():
        moved = guided(estimate, variance, observed, lambda x, n: x.square().sum(), 1.0)
        alone = guided(estimate[:1], variance[:1], observed[:1], lambda x, n: x.square().sum(), 1.0)
    step = (moved - estimate)[observed == 0]
    assert 0.0 < float(step.square().mean().sqrt()) <= 0.2
    assert torch.equal((moved - estimate)[observed > 0], torch.zeros(int(observed.sum())))
    assert torch.equal(alone, moved[:1])  # whatever else is in the batch
    still = guided(estimate, variance, observed, lambda x, n: x.sum() * 0.0, 1.0)
    assert torch.equal(still, estimate)


class Curved(Guidance):
    """Steady change, of which two frames tell nothing."""

    def read(self, ds: xr.Dataset, spec: FieldSpec) -> Penalty:
        class Second(Penalty):
            frames = 3

            def __call__(self, fields: torch.Tensor, series: int) -> torch.Tensor:
                return fields.diff(n=2, dim=1).square().mean()

        return Second()


def test_what_is_asked_for_is_checked(water, imputer, tmp_path) -> None:
    """Classes, numbers and the like; whole numbers of numpy are whole numbers."""
    few = water[1].isel(sample=slice(0, 1))
    cases = [
        ({"guidance": GUIDANCES.get("shallow_water")},
         r"guidance=ShallowWater is a class; set one up with GUIDANCES.create\('shallow_water'\)"),
        ({"guidance": Curved}, r"guidance=Curved is a class; set one up with Curved\(...\)"),
        ({"guidance": 3}, "guidance=3 is neither a name of 'divergence_free', 'shallow_water'"),
        ({"sampler": SAMPLERS.get("ensemble")}, r"SAMPLERS.create\('ensemble'\)"),
        ({"sampler": 3}, "sampler=3 is neither a name of 'ensemble'"),
        ({"members": True}, "members=True must be a whole number of 1 or more"),
        ({"members": 2.5}, "members=2.5 must be a whole number of 1 or more"),
        ({"members": "3"}, "members='3' must be a whole number of 1 or more"),
        ({"seed": "one"}, "seed='one' must be a whole number of 0 or more"),
        ({"seed": -1}, "seed=-1 must be a whole number of 0 or more"),
    ]  # fmt: skip
    for options, said in cases:
        with pytest.raises(ImputeError, match=said):
            few.impute.fill(imputer, **options)
        with pytest.raises(ImputeError, match=said):
            few.impute.fill_to(tmp_path / "out.zarr", imputer, **options)
    request = Request(members=np.int64(5), seed=np.uint8(3))
    assert request == Request(members=5, seed=3)
    assert type(request.members) is type(request.seed) is int
    few.impute.fill_to(tmp_path / "out.zarr", imputer, members=np.int64(2), progress=False)
    assert xr.open_zarr(tmp_path / "out.zarr").sizes["realization"] == 2


def test_what_is_wrong_is_said(water, imputer) -> None:
    _, gappy = water
    with pytest.raises(ImputeError, match="cannot be guided; use sampler='multi_step'"):
        gappy.impute.fill(imputer, sampler="ensemble", guidance="shallow_water")
    with pytest.raises(ImputeError, match="no guidance is called 'shallow'.*Did you mean"):
        gappy.impute.fill(imputer, guidance="shallow")
    with pytest.raises(DataError, match=r"needs the parameters f, g, H.*\['g'\] is missing"):
        gappy.drop_vars("g").impute.fill(imputer, guidance="shallow_water")
    with pytest.raises(DataError, match=r"\['wind'\] are not among"):
        gappy.impute.fill(imputer, guidance=GUIDANCES.create("divergence_free", u="wind"))
    with pytest.raises(ImputeError, match="guidance= can be given for a fitted network"):
        gappy.impute.fill("nearest", guidance="shallow_water")
    with pytest.raises(ImputeError, match="must be positive"):
        SAMPLERS.create("multi_step", strength=0.0)
    short = gappy.isel(sample=slice(4)).impute.fit(steps=1, window=2, progress=False)
    with pytest.raises(ImputeError, match="compares 3 frames, and the imputer sees 2"):
        gappy.impute.fill(short, guidance="shallow_water")
    with pytest.raises(DataError, match="compares 3 frames .* these data have 2"):
        gappy.isel(time=slice(2)).impute.fill(imputer, guidance="shallow_water")
    with pytest.raises(ImputeError, match="compares 3 frames, and these data have 2; fill more"):
        gappy.isel(time=slice(2)).impute.fill(imputer, guidance=Curved())
