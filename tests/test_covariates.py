"""Variables that are given and not filled."""

import numpy as np
import pytest
import xarray as xr

import xdiffimpute as xdi
from xdiffimpute.exceptions import CompatibilityError, DataError
from xdiffimpute.fields import FieldSpec
from xdiffimpute.masks import MASKS
from xdiffimpute.partition import Partition
from xdiffimpute.samplers.multi_step import MultiStep

pytestmark = pytest.mark.usefixtures("hasty")

QUICK = {"steps": 25, "window": 2, "progress": False, "seed": 0}


@pytest.fixture(scope="module")
def data() -> tuple[xr.Dataset, xr.Dataset]:
    """Temperatures that follow a rough terrain and a forecast; whole, and with gaps."""
    rng = np.random.default_rng(0)
    frames, height, width = 40, 12, 16
    terrain = rng.normal(size=(height, width)).astype("float32")
    forecast = rng.normal(size=(frames, height, width)).astype("float32")
    noise = 0.1 * rng.normal(size=forecast.shape).astype("float32")
    dims = ("time", "lat", "lon")
    truth = xr.Dataset(
        {
            "t2m": (dims, 280.0 - 2.0 * terrain + forecast + noise, {"units": "K"}),
            "orography": (dims[1:], terrain, {"units": "km"}),
            "forecast": (dims, forecast, {"units": "K"}),
        },
        {
            "time": np.datetime64("2024-01-01") + np.arange(frames) * np.timedelta64(1, "D"),
            "lat": 40.0 + np.arange(height), "lon": np.arange(float(width)),
        },
    )  # fmt: skip
    seen = rng.random((frames, height // 4, width // 4)).repeat(4, 1).repeat(4, 2) < 0.6
    seen &= ~((rng.random((height, width)) < 0.1)[None])  # some cells are never observed
    return truth, truth.assign(t2m=truth["t2m"].where(xr.DataArray(seen, dims=dims)))


@pytest.fixture(scope="module")
def fitted(data: tuple[xr.Dataset, xr.Dataset]) -> xdi.DiffusionImputer:
    return data[1].impute.fit(covariates=["orography", "forecast"], **QUICK)


def error(truth: xr.Dataset, gappy: xr.Dataset, filled: xr.Dataset) -> float:
    hidden = gappy["t2m"].isnull() & filled["t2m"].notnull()
    return float(np.sqrt(((filled["t2m"] - truth["t2m"]) ** 2).where(hidden).mean()))


def test_they_inform_the_fill(data, fitted) -> None:
    """What neighbours cannot tell is told by the covariates; the best is the noise, 0.1 K."""
    truth, gappy = data
    alone = gappy[["t2m"]].impute.fit(**QUICK)
    with_them = error(truth, gappy, gappy.impute.fill(fitted))
    without = error(truth, gappy, gappy[["t2m"]].impute.fill(alone))
    assert without > 0.8  # the forecast cannot be known
    assert with_them < 0.45 * without


def test_they_come_back_as_they_were(data, fitted) -> None:
    _, gappy = data
    filled = gappy.impute.fill(fitted)
    for name in ("orography", "forecast"):
        xr.testing.assert_identical(filled[name], gappy[name])
        assert f"{name}_standard_error" not in filled
        assert f"{name}_imputation_flag" not in filled
    assert list(fitted.fitted.skill["data_vars"]) == ["t2m"]
    assert "orography" not in filled.attrs["history"].splitlines()[0]


def test_they_are_never_asked_for(fitted) -> None:
    partition = Partition(MASKS.create("pixel"), given=2)
    observed = np.ones((3, 2, 8, 8), dtype=bool)
    context, query = partition.split(observed, np.random.default_rng(0))
    assert context[1:].all() and not query[1:].any()
    assert query[0].any() and not (context[0] & query[0]).any()
    assert Partition.from_dict(partition.to_dict()) == partition
    assert fitted.fitted.partition.given == 2
    masks = fitted.fitted.withheld.masks
    assert masks[:, 0].any() and not masks[:, 1:].any()


def test_lazily_and_saved_and_on_every_sampler(data, fitted, tmp_path) -> None:
    _, gappy = data
    fitted.save(tmp_path / "imputer")
    again = xdi.load(tmp_path / "imputer")
    lazy = gappy.chunk(time=7)
    few = MultiStep(steps=3, members=2)
    for sampler in ("single_pass", "ensemble", few):
        here = gappy.impute.fill(fitted, sampler=sampler)
        there = lazy.impute.fill(again, sampler=sampler)
        assert there["t2m"].chunks is not None
        np.testing.assert_allclose(there["t2m"].values, here["t2m"].values, atol=1e-3)


def test_a_static_one_keeps_its_pattern(data) -> None:
    """It is no anomaly from a mean of each cell, which would be zero everywhere."""
    _, gappy = data
    imputer = gappy.impute.fit(
        covariates="orography", variables="t2m", statistics="cell", **(QUICK | {"steps": 1})
    )
    statistics = imputer.fitted.statistics
    spec = imputer.fitted.spec
    assert [v.name for v in spec.filled] == ["t2m"] and spec.covariates == ("orography",)
    packed = spec.pack(gappy).values[0, :2]
    z = statistics.forward(packed, np.ones((2, statistics.coefficients.shape[0]), np.float32))
    assert 0.8 < float(np.std(z[:, 1])) < 1.2
    assert np.array_equal(z[0, 1], z[1, 1])


def test_what_is_wrong_is_said(data, fitted, caplog) -> None:
    _, gappy = data
    with pytest.raises(DataError, match=r"\['elevation'\] are not in the data.*Did you mean"):
        gappy.rename(orography="elevations").impute.fit(covariates=["elevation"], **QUICK)
    with pytest.raises(DataError, match="name each variable once"):
        gappy.impute.fit(variables=["t2m", "forecast"], covariates=["forecast"], **QUICK)
    mask = gappy.assign(land=gappy["orography"] > 0)
    with pytest.raises(DataError, match="must be floating-point"):
        mask.impute.fit(covariates=["land"], **QUICK)
    with pytest.raises(CompatibilityError, match=r"\['orography'\] are not among"):
        gappy.drop_vars("orography").impute.fill(fitted)
    holes = gappy.assign(forecast=gappy["forecast"].where(gappy["lon"] > 4))
    holes.impute.fit(covariates=["forecast", "orography"], **(QUICK | {"steps": 1}))
    assert "the covariate 'forecast' is missing at" in caplog.text


def test_layout_of_channels(data) -> None:
    _, gappy = data
    spec = FieldSpec.from_dataset(gappy, covariates=["orography"])
    assert [c.label for c in spec.channels] == ["t2m", "forecast", "orography"]
    assert spec.given == 1 and spec.constant(gappy).tolist() == [False, False, True]
    assert spec.pack(gappy.chunk(time=5)).chunks is not None
    assert FieldSpec.from_dict(spec.to_dict()) == spec


def test_on_the_command_line(data, tmp_path) -> None:
    from click.testing import CliRunner

    from xdiffimpute.cli import main

    _, gappy = data
    gappy.to_netcdf(tmp_path / "in.nc")
    model, out = str(tmp_path / "m"), str(tmp_path / "out.nc")
    source = str(tmp_path / "in.nc")
    told = ["fit", source, "--save", model, "--steps", "1", "--window", "1"]
    told += ["--covariates", "orography,forecast"]
    done = CliRunner().invoke(main, told)
    assert done.exit_code == 0, done.output
    assert CliRunner().invoke(main, ["fill", source, out, "--imputer", model]).exit_code == 0
    with xr.open_dataset(out) as filled:
        assert "t2m_standard_error" in filled and "orography_standard_error" not in filled
