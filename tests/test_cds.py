"""The real cdsapi client against a server on the loopback interface: every way a fetch can go."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from xdiffimpute.cds import Fetched, Month, Order, fetch
from xdiffimpute.cds.names import STANDARD_NAMES
from xdiffimpute.exceptions import CredentialsError, FetchError, ImputeError, OutputExistsError
from xdiffimpute.stores import write_store

pytest.importorskip("cdsapi")

from cds_server import DATASET, CdsServer, answer, as_bytes, field_of, running, served  # noqa: E402


@pytest.fixture
def cds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CdsServer]:
    with running() as server:
        monkeypatch.setenv("CDSAPI_URL", server.url)
        monkeypatch.setenv("CDSAPI_KEY", server.key)
        monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "no-such-file"))
        yield server


def order(**changes: Any) -> Order:
    settings: dict[str, Any] = {
        "dataset": DATASET, "variables": ["2m_temperature"], "years": [2020], "months": [1, 2],
        "days": [1, 2], "hours": [0, 12], "area": (60, -10, 55, 0), "grid": 1.0,
    }  # fmt: skip
    return Order(**settings | changes)


def quick(what: Order, store: Path, **options: Any) -> Fetched:
    return fetch(what, store, progress=False, retry_max=3, sleep_max=0.05, **options)


def opened(store: Path) -> xr.Dataset:
    with xr.open_zarr(store) as ds:
        return ds.load()


def test_months_become_one_cf_store(cds: CdsServer, tmp_path: Path) -> None:
    done = quick(order(), tmp_path / "t2m.zarr")
    assert done.asked == [Month(2020, 1), Month(2020, 2)] and not done.kept and not done.unfinished
    assert cds.months() == ["2020-01", "2020-02"]
    assert cds.asked[0] == {
        "variable": ["2m_temperature"], "year": ["2020"], "month": ["01"], "day": ["01", "02"],
        "time": ["00:00", "12:00"], "data_format": "netcdf", "download_format": "unarchived",
        "product_type": ["reanalysis"], "grid": [1.0, 1.0], "area": [60, -10.0, 55, 0.0],
    }  # fmt: skip
    ds = opened(tmp_path / "t2m.zarr")
    assert dict(ds.sizes) == {"time": 8, "latitude": 6, "longitude": 11}
    assert set(ds.variables) == {"time", "latitude", "longitude", "t2m"}
    assert ds["t2m"].attrs["standard_name"] == "air_temperature"
    assert ds["t2m"].dtype == np.float32
    assert ds["time"].values[4] == np.datetime64("2020-02-01")
    hours = ds["time"].values.astype("datetime64[h]").astype(int)
    expected = field_of(ds["latitude"].values, ds["longitude"].values, hours)
    np.testing.assert_array_equal(ds["t2m"].values, expected)
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == ["t2m.months", "t2m.zarr"]


def test_the_store_is_cf(cds: CdsServer, tmp_path: Path) -> None:
    suite = pytest.importorskip("compliance_checker.runner")
    quick(order(variables=["2m_temperature", "total_cloud_cover"]), tmp_path / "a.zarr")
    write_store(opened(tmp_path / "a.zarr"), str(tmp_path / "a.nc"))
    suite.CheckSuite.load_all_available_checkers()
    report = tmp_path / "report.txt"
    suite.ComplianceChecker.run_checker(
        str(tmp_path / "a.nc"), ["cf:1.8"], 0, "strict", output_filename=str(report)
    )
    text = report.read_text()
    assert "All tests passed!" in text, text


def test_standard_names_are_in_the_table() -> None:
    base = pytest.importorskip("compliance_checker.cf.util")
    table = base.StandardNameTable()
    unknown = [name for name in STANDARD_NAMES.values() if name not in table]
    assert not unknown


def test_finished_months_are_not_asked_for_again(cds: CdsServer, tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    quick(order(months=[1]), store)
    done = quick(order(months=[1, 2, 3]), store)
    assert done.kept == [Month(2020, 1)]
    assert cds.months() == ["2020-01", "2020-02", "2020-03"]
    assert opened(store).sizes["time"] == 12
    before = (store / "zarr.json").stat().st_mtime_ns
    assert not quick(order(months=[1, 2, 3]), store).asked
    assert (store / "zarr.json").stat().st_mtime_ns == before


def test_another_area_is_asked_for(cds: CdsServer, tmp_path: Path) -> None:
    quick(order(months=[1]), tmp_path / "a.zarr")
    quick(order(months=[1], area=(60, -10, 50, 0)), tmp_path / "a.zarr")
    assert len(cds.asked) == 2
    assert opened(tmp_path / "a.zarr").sizes["latitude"] == 11


def test_a_broken_month_is_asked_for_again(cds: CdsServer, tmp_path: Path) -> None:
    quick(order(), tmp_path / "a.zarr")
    file = tmp_path / "a.months/2020-01/0.0.nc"
    file.write_bytes(file.read_bytes()[:-100])
    (tmp_path / "a.months/2020-02.partial").mkdir()
    done = quick(order(), tmp_path / "a.zarr")
    assert done.asked == [Month(2020, 1)] and done.kept == [Month(2020, 2)]
    assert not list((tmp_path / "a.months").glob("*.partial"))


def test_queue(cds: CdsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cds.statuses = ("accepted", "running", "successful")
    with caplog.at_level("INFO", logger="xdiffimpute"):
        quick(order(months=[1]), tmp_path / "a.zarr")
    for status in cds.statuses:
        assert f"status has been updated to {status}" in caplog.text
    assert cds.key not in caplog.text


def test_zip_of_instantaneous_and_accumulated(cds: CdsServer, tmp_path: Path) -> None:
    names = ["2m_temperature", "total_precipitation", "10m_u_component_of_wind"]
    quick(order(variables=names, months=[1]), tmp_path / "a.zarr")
    ds = opened(tmp_path / "a.zarr")
    assert set(ds.data_vars) == {"t2m", "u10", "tp"}
    assert ds["tp"].attrs["standard_name"] == "lwe_thickness_of_precipitation_amount"
    assert len(list((tmp_path / "a.months/2020-01").glob("*.nc"))) == 2


def test_pressure_levels(cds: CdsServer, tmp_path: Path) -> None:
    what = order(variables=["temperature"], months=[1], levels=[500, 850])
    quick(what, tmp_path / "a.zarr")
    ds = opened(tmp_path / "a.zarr")
    assert ds["t"].dims == ("time", "pressure_level", "latitude", "longitude")
    assert ds["pressure_level"].attrs["standard_name"] == "air_pressure"
    assert cds.asked[0]["pressure_level"] == ["500", "850"]


@pytest.mark.parametrize("area", [(10, 170, -10, -170), (10, 170, -10, 190)])
def test_area_across_the_date_line(cds: CdsServer, tmp_path: Path, area: Any) -> None:
    quick(order(months=[1], area=area), tmp_path / "a.zarr")
    assert [r["area"][1::2] for r in cds.asked] == [[170, 180], [-180, -170]]
    ds = opened(tmp_path / "a.zarr")
    np.testing.assert_array_equal(ds["longitude"], np.arange(170.0, 191.0))
    hours = ds["time"].values.astype("datetime64[h]").astype(int)
    expected = field_of(ds["latitude"].values, ds["longitude"].values, hours)
    np.testing.assert_allclose(ds["t2m"].values, expected, atol=1e-4)


@pytest.mark.parametrize(
    "area, first, last",
    [((10, 200, -10, 240), 200, 240), ((10, 350, -10, 10), -10, 10), ((10, 0, -10, 360), 0, 359)],
)
def test_longitudes_from_0_to_360(
    cds: CdsServer, tmp_path: Path, area: Any, first: float, last: float
) -> None:
    quick(order(months=[1], area=area), tmp_path / "a.zarr")
    assert len(cds.asked) == 1
    longitude = opened(tmp_path / "a.zarr")["longitude"].values
    np.testing.assert_array_equal(longitude, np.arange(first, last + 1.0))


def test_preliminary_times_are_told(cds: CdsServer, tmp_path: Path) -> None:
    def mixed(inputs: dict[str, Any]) -> bytes:
        ds = answer(inputs)
        ds["expver"] = ("valid_time", np.array(["0001"] * 3 + ["0005"], dtype=object))
        return as_bytes(ds)

    cds.make = mixed
    quick(order(), tmp_path / "a.zarr")
    assert "2 of 8 times are preliminary" in opened(tmp_path / "a.zarr").attrs["comment"]


def test_experiment_versions_along_a_dimension(cds: CdsServer, tmp_path: Path) -> None:
    def old(inputs: dict[str, Any]) -> bytes:
        ds = answer(inputs).drop_vars("expver")
        first = ds["t2m"].where(ds["valid_time"] < ds["valid_time"][2])
        both = xr.concat([first, ds["t2m"].where(first.isnull())], "expver")
        ds = ds.assign(t2m=both.transpose("valid_time", "expver", "latitude", "longitude"))
        ds["t2m"].encoding = {}
        return as_bytes(ds.assign_coords(expver=[1, 5]).rename(valid_time="time"))

    cds.make = old
    quick(order(months=[1]), tmp_path / "a.zarr")
    ds = opened(tmp_path / "a.zarr")
    assert ds["t2m"].dims == ("time", "latitude", "longitude")
    assert ds["t2m"].notnull().all()


def test_month_that_is_not_out_completely(
    cds: CdsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cds.make = lambda inputs: as_bytes(answer(inputs | {"day": ["01"]}))
    done = quick(order(months=[1]), tmp_path / "a.zarr")
    assert done.unfinished == [Month(2020, 1)]
    assert "2 times are not out yet, from 2020-01-02" in caplog.text
    assert opened(tmp_path / "a.zarr").sizes["time"] == 2
    cds.make = served
    assert quick(order(months=[1]), tmp_path / "a.zarr").asked == [Month(2020, 1)]
    assert opened(tmp_path / "a.zarr").sizes["time"] == 4


def test_download_that_drops_is_resumed(cds: CdsServer, tmp_path: Path) -> None:
    def large(inputs: dict[str, Any]) -> bytes:  # the client writes megabyte by megabyte
        ds = answer(inputs)
        noise = np.random.default_rng(0).standard_normal(ds["t2m"].shape, dtype="float32")
        return as_bytes(ds.assign(t2m=ds["t2m"].copy(data=noise)))

    cds.drops, cds.make = 1, large
    quick(order(months=[1], days=range(1, 7), hours=range(24), grid=0.1), tmp_path / "a.zarr")
    assert cds.ranges[0] is None and (cds.ranges[1] or "").startswith("bytes=")
    assert len(cds.asked) == 1
    assert opened(tmp_path / "a.zarr")["t2m"].notnull().all()


def test_download_that_keeps_dropping(cds: CdsServer, tmp_path: Path) -> None:
    quick(order(months=[1]), tmp_path / "a.zarr")
    cds.drops = 100
    with pytest.raises(FetchError, match="2020-02.*kept in.*2020-01.*only for the rest"):
        quick(order(), tmp_path / "a.zarr")
    assert opened(tmp_path / "a.zarr").sizes["time"] == 4
    cds.drops = 0
    assert quick(order(), tmp_path / "a.zarr").asked == [Month(2020, 2)]


def test_licence_that_was_not_accepted(cds: CdsServer, tmp_path: Path) -> None:
    cds.licence = False
    with pytest.raises(CredentialsError, match=rf"datasets/{DATASET}\?tab=download#manage-lic"):
        quick(order(), tmp_path / "a.zarr")


def test_key_that_is_refused(
    cds: CdsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDSAPI_KEY", "wrong")
    with pytest.raises(CredentialsError, match=r"refuses the key.*\.cdsapirc.*CDSAPI_KEY") as info:
        quick(order(), tmp_path / "a.zarr")
    assert "wrong" not in str(info.value)


def test_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CDSAPI_URL", "CDSAPI_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "no-such-file"))
    with pytest.raises(CredentialsError, match=r"profile.*\.cdsapirc.*key: TOKEN.*licence"):
        quick(order(), tmp_path / "a.zarr")


@pytest.mark.parametrize("text", ["key: 123:abc\nurl: {url}\n", "key:\nurl: {url}\n"])
def test_key_in_a_file_that_is_old_or_empty(
    cds: CdsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.delenv("CDSAPI_KEY")
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "rc"))
    (tmp_path / "rc").write_text(text.format(url=cds.url))
    with pytest.raises(CredentialsError, match=r"the key (looks like|is empty).*\.cdsapirc"):
        quick(order(), tmp_path / "a.zarr")


def test_key_in_a_file(cds: CdsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CDSAPI_URL", "CDSAPI_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "rc"))
    (tmp_path / "rc").write_text(f"url: {cds.url}\nkey: {cds.key}\n")
    quick(order(months=[1]), tmp_path / "a.zarr")


@pytest.mark.parametrize("status", ["failed", "rejected", "dismissed"])
def test_request_that_fails(cds: CdsServer, tmp_path: Path, status: str) -> None:
    cds.statuses = (status,)
    if status != "dismissed":
        cds.error = {"title": "The job has failed", "traceback": "MARS returned no data"}
    match = "dismissed" if status == "dismissed" else "MARS returned no data"
    with pytest.raises(FetchError, match=f"2020-01.*{match}.*") as info:
        quick(order(), tmp_path / "a.zarr")
    assert "/requests" in str(info.value) or "refuses the request" in str(info.value)


def test_unknown_dataset_and_variable(cds: CdsServer, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="no dataset 'reanalysis-era6'"):
        quick(order(dataset="reanalysis-era6"), tmp_path / "a.zarr")
    with pytest.raises(FetchError, match="invalid value 3m_temperature"):
        quick(order(variables=["3m_temperature"]), tmp_path / "a.zarr")


def test_server_that_cannot_be_reached(
    cds: CdsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDSAPI_URL", "http://127.0.0.1:9/api")
    with pytest.raises(FetchError, match="cannot reach"):
        quick(order(), tmp_path / "a.zarr")


@pytest.mark.parametrize(
    "content, said",
    [(b"<html>busy</html>", "neither netCDF"), (b"PK\x03\x04junk", "zip file that came is broken"),
     (b"\x89HDF\r\n\x1a\njunk", "is broken")],
)  # fmt: skip
def test_answer_that_cannot_be_read(
    cds: CdsServer, tmp_path: Path, content: bytes, said: str
) -> None:
    cds.make = lambda _: content
    with pytest.raises(FetchError, match=said):
        quick(order(), tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()
    assert not list((tmp_path / "a.months").iterdir())


def test_answer_without_a_variable(cds: CdsServer, tmp_path: Path) -> None:
    cds.make = lambda inputs: as_bytes(answer(inputs, ["t2m"]))
    with pytest.raises(FetchError, match="some are missing"):
        quick(order(variables=["2m_temperature", "total_cloud_cover"]), tmp_path / "a.zarr")


def test_variables_on_different_grids(cds: CdsServer, tmp_path: Path) -> None:
    calls = iter([[1.0, 1.0], [0.5, 0.5]])

    def split(inputs: dict[str, Any]) -> bytes:
        return served(inputs | {"grid": next(calls)})

    cds.make = split
    with pytest.raises(FetchError, match="do not fit together"):
        quick(order(), tmp_path / "a.zarr")


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond a few bytes: the kernel's refusal of a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_disk_that_takes_no_more(cds: CdsServer, tmp_path: Path, request: Any) -> None:
    quick(order(months=[1]), tmp_path / "a.zarr")
    content = served(order().requests(Month(2020, 2))[0])
    cds.make = lambda _: content
    request.getfixturevalue("small_files")
    with pytest.raises(FetchError, match=r"2020-02: cannot write.*free some space.*2020-01"):
        quick(order(), tmp_path / "a.zarr")
    assert not list((tmp_path / "a.months").glob("*.partial"))


def test_folder_that_cannot_be_written(cds: CdsServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FetchError, match="cannot write to.*store: another folder"):
        quick(order(), tmp_path / "file/a.zarr")
    if os.geteuid() != 0:  # root may write everywhere
        tmp_path.chmod(0o500)
        with pytest.raises(FetchError, match="Permission denied"):
            quick(order(), tmp_path / "sub/a.zarr")
        tmp_path.chmod(0o700)
    assert not cds.asked


def test_store_of_someone_else_is_kept(cds: CdsServer, tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(OutputExistsError, match="--overwrite"):
        quick(order(months=[1]), tmp_path / "a.zarr")
    quick(order(months=[1]), tmp_path / "a.zarr", overwrite=True)
    assert opened(tmp_path / "a.zarr").sizes["time"] == 4


def test_write_that_fails_leaves_the_old_store(
    cds: CdsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(order(months=[1]), tmp_path / "a.zarr")

    def to_zarr(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_zarr", to_zarr)
    with pytest.raises(FetchError, match="No space left.*kept.*2020-01, 2020-02"):
        quick(order(), tmp_path / "a.zarr")
    assert opened(tmp_path / "a.zarr").sizes["time"] == 4
    record = json.loads((tmp_path / "a.months/2020-02/whole.json").read_text())
    assert record["complete"]


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"days": [29, 30]}, "2020-02-30 does not exist: 2020-02 has 29 days"),
        ({"months": [13]}, "months: 13 does not exist"),
        ({"hours": [24]}, "hours: 24 does not exist"),
        ({"years": [2999]}, "no data of 2999-01"),
        ({"variables": []}, "nothing to ask for"),
        ({"area": (50, -10, 60, 0)}, r"north must lie above south.*\[north, west, south, east\]"),
        ({"area": (60, -190, 50, 0)}, "from -180 to 360"),
        ({"area": (60, 5, 50, 5)}, "must differ"),
        ({"grid": -1.0}, "no spacing"),
    ],
)
def test_orders_that_make_no_sense(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ImputeError, match=said):
        order(**changes)


def test_a_note_that_was_cut_off(cds: CdsServer, tmp_path: Path) -> None:
    """Of what the store was made from: it is made again, and nothing is asked for."""
    quick(order(months=[1]), tmp_path / "a.zarr")
    (note,) = tmp_path.rglob("store.json")
    note.write_text("")
    assert quick(order(months=[1]), tmp_path / "a.zarr").asked == []
    assert json.loads(note.read_text())["dataset"] == DATASET
