"""What can be opened: folders, patterns, zarr by address, GRIB; and what is said otherwise."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xdiffimpute.exceptions import DataError
from xdiffimpute.sources import open_store, sources_of
from xdiffimpute.stores import write_store


@pytest.fixture
def ds() -> xr.Dataset:
    values = np.arange(6 * 4 * 5, dtype="float32").reshape(6, 4, 5)
    return xr.Dataset(
        {"sst": (("time", "lat", "lon"), values, {"units": "degC"})},
        {"time": pd.date_range("2001-01-01", periods=6), "lat": np.arange(4.0),
         "lon": np.arange(5.0)},
    )  # fmt: skip


def test_folder_of_netcdf_files(ds: xr.Dataset, tmp_path: Path) -> None:
    for k in range(3):
        ds.isel(time=slice(2 * k, 2 * k + 2)).to_netcdf(tmp_path / f"{k}.nc")
    (tmp_path / "readme.txt").write_text("not data")
    with open_store(str(tmp_path)) as found:
        xr.testing.assert_equal(found.load(), ds)
    assert len(sources_of(f"{tmp_path}/")) == 3


def test_folders_without_data(ds: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file in the folder.*ends in \.nc"):
        open_store(str(tmp_path))
    ds.to_zarr(tmp_path / "a.zarr", consolidated=False)
    with pytest.raises(DataError, match=r"holds zarr stores.*give one of them, such as .*a\.zarr"):
        open_store(str(tmp_path))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address under which a web server shows the folder of the test."""
    handler = partial(_Quiet, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_zarr_on_a_web_server(ds: xr.Dataset, tmp_path: Path, address: str) -> None:
    pytest.importorskip("aiohttp")
    write_store(ds.chunk(time=3), str(tmp_path / "a.zarr"))
    found = open_store(f"{address}/a.zarr")
    assert found["sst"].chunks is not None
    xr.testing.assert_equal(found.load(), ds)
    with pytest.raises(DataError, match="cannot open .*b.zarr.* check the address"):
        open_store(f"{address}/b.zarr")


def test_zarr_in_memory(ds: xr.Dataset) -> None:
    ds.to_zarr("memory://sources/a.zarr", zarr_format=2, consolidated=True)
    xr.testing.assert_equal(open_store("memory://sources/a.zarr").load(), ds)


@pytest.mark.parametrize(
    "address, said",
    [
        ("s3://bucket/a.zarr", "pip install s3fs"),
        ("gs://bucket/a.zarr", "pip install gcsfs"),
        ("nonsense://a.zarr", "cannot open 'nonsense://a.zarr' as a zarr store"),
    ],
)
def test_addresses_that_cannot_be_opened(address: str, said: str) -> None:
    package = said.rpartition(" ")[2]
    if package.isidentifier() and importlib.util.find_spec(package):
        pytest.skip(f"{package} is installed")
    with pytest.raises(DataError, match=said):
        open_store(address)


def test_netcdf_by_address_is_explained(address: str) -> None:
    with pytest.raises(DataError, match="download the file first"):
        open_store(f"{address}/a.nc")


def test_grib_without_cfgrib(tmp_path: Path) -> None:
    if importlib.util.find_spec("cfgrib"):
        pytest.skip("cfgrib is installed")
    (tmp_path / "a.grib").write_bytes(b"GRIB")
    with pytest.raises(DataError, match=r"pip install 'xdiffimpute\[grib\]'"):
        open_store(str(tmp_path / "a.grib"))


def test_grib(shared_data, tmp_path: Path) -> None:
    """In a process of its own, which must end well: see sources._load_proj_first."""
    if not importlib.util.find_spec("cfgrib"):
        pytest.skip("needs cfgrib: pip install 'xdiffimpute[grib]'")
    source = tmp_path / "era5.grib"
    source.symlink_to(shared_data("era5-2mt-2019-03-uk.grib"))
    out = tmp_path / "out.nc"
    code = "from xdiffimpute.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "fill",
        str(source),
        str(out),
        "--imputer",
        "climatology",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    known = str(shared_data("era5_t2m_uk_2019-03.nc"))
    with open_store(str(out)) as filled, open_store(known) as truth:
        np.testing.assert_allclose(filled["t2m"], truth["t2m"], atol=1e-3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["era5.grib", "out.nc"]


def test_chunks_of_a_dimension_that_there_is_not(ds: xr.Dataset, tmp_path: Path) -> None:
    ds.to_netcdf(tmp_path / "sst.nc")
    ds.to_zarr(tmp_path / "sst.zarr", consolidated=False)
    for name in ("sst.nc", "sst.zarr"):
        with pytest.raises(DataError, match="chunks of 'tme': .*. Did you mean 'time'"):
            open_store(str(tmp_path / name), chunks={"tme": 4})
        whole = {"time": ds.sizes["time"]}
        assert open_store(str(tmp_path / name), chunks=whole).chunks["time"] == (whole["time"],)
