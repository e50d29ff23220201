"""A Climate Data Store on the loopback interface, for the real client.

It speaks the protocol of ecmwf-datastores-client 0.5: processes, execution, jobs, results and the
download with ranges. The error bodies are reconstructions.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

DATASET = "reanalysis-era5-single-levels"
SHORT = {
    "2m_temperature": ("t2m", "K"), "10m_u_component_of_wind": ("u10", "m s**-1"),
    "total_precipitation": ("tp", "m"), "total_cloud_cover": ("tcc", "(0 - 1)"),
    "temperature": ("t", "K"),
}  # fmt: skip
ACCUMULATED = ("tp",)


def field_of(latitude: np.ndarray, longitude: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """Values that tell where and when they are from: smooth, and periodic in longitude."""
    t, y, x = np.ix_(hours.astype(float), latitude, np.radians(longitude))
    return (280 + 0.1 * y + 3 * np.cos(x) + np.sin(t / 4)).astype("float32")


def answer(inputs: dict[str, Any], names: list[str] | None = None) -> xr.Dataset:
    """What the Climate Data Store would put into one netCDF file, oddities included."""
    month = f"{inputs['year'][0]}-{inputs['month'][0]}"
    times = np.array(
        [f"{month}-{d}T{h}" for d in inputs["day"] for h in inputs["time"]], dtype="datetime64[s]"
    )
    n, w, s, e = inputs.get("area", [90, 0, -90, 359])
    dy, dx = inputs.get("grid", [1.0, 1.0])
    latitude = np.arange(n, s - 1e-9, -dy)
    longitude = np.arange(w, e + 1e-9, dx)
    values = field_of(latitude, longitude, times.astype("datetime64[h]").astype(int))
    dims = ["valid_time", "latitude", "longitude"]
    coords: dict[str, Any] = {
        "valid_time": ("valid_time", times, {"standard_name": "time", "long_name": "time"}),
        "latitude": ("latitude", latitude, {"units": "degrees_north", "standard_name": "latitude"}),
        "longitude": ("longitude", longitude, {"units": "degrees_east"}),
        "number": ((), 0, {"units": "1", "standard_name": "realization"}),
        "expver": ("valid_time", np.array(["0001"] * len(times), dtype=object)),
    }
    if "pressure_level" in inputs:
        levels = np.array(inputs["pressure_level"], dtype=float)
        values = values[:, None] + levels[:, None, None].astype("float32")
        dims.insert(1, "pressure_level")
        coords["pressure_level"] = ("pressure_level", levels, {"units": "hPa"})
    ds = xr.Dataset(coords=coords)
    for variable in inputs["variable"]:
        name, units = SHORT[variable]
        if names is None or name in names:
            attrs = {"GRIB_paramId": 167, "GRIB_gridType": "regular_ll", "units": units}
            attrs |= {"standard_name": "unknown", "long_name": variable}
            ds[name] = (dims, values, attrs)
            ds[name].encoding = {"coordinates": "number expver isobaricInhPa", "zlib": True}
    ds["valid_time"].encoding = {"units": "seconds since 1970-01-01", "dtype": "int64"}
    ds.attrs = {"GRIB_centre": "ecmf", "Conventions": "CF-1.7"}
    return ds


def as_bytes(ds: xr.Dataset) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.nc"
        ds.to_netcdf(path, engine="h5netcdf")
        return path.read_bytes()


def served(inputs: dict[str, Any]) -> bytes:
    """A netCDF file, or a zip of two where instantaneous and accumulated variables mix."""
    names = [SHORT[v][0] for v in inputs["variable"]]
    sums = [n for n in names if n in ACCUMULATED]
    if not sums or len(sums) == len(names):
        return as_bytes(answer(inputs))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for kind, some in (("instant", [n for n in names if n not in sums]), ("accum", sums)):
            member = f"data_stream-oper_stepType-{kind}.nc"
            archive.writestr(member, as_bytes(answer(inputs, some)))
    return buffer.getvalue()


@dataclass
class CdsServer:
    """What the server was asked, and how it shall behave."""

    url: str = ""
    key: str = "a-key-that-is-good"
    statuses: tuple[str, ...] = ("successful",)
    licence: bool = True
    error: dict[str, Any] = field(default_factory=dict)
    drops: int = 0
    make: Callable[[dict[str, Any]], bytes] = served
    asked: list[dict[str, Any]] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    files: dict[int, bytes] = field(default_factory=dict)

    def months(self) -> list[str]:
        return [f"{r['year'][0]}-{r['month'][0]}" for r in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_: Any) -> None:
        pass

    @property
    def cds(self) -> CdsServer:
        return self.server.cds

    def say(self, body: Any, code: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_HEAD(self) -> None:
        content = self.cds.files[int(self.path.split("/")[-1].removesuffix(".nc"))]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        cds = self.cds
        if self.headers["PRIVATE-TOKEN"] != cds.key:
            title, detail = "Unauthorized", "operation not allowed"
            return self.say({"type": "error", "title": title, "detail": detail}, 401)
        if not cds.licence:
            detail = (
                "Not all the required licences have been accepted; please visit "
                f"{cds.url}/datasets/{DATASET}?tab=download#manage-licences to accept the "
                "required licence(s)."
            )
            title = "required licences not accepted"
            return self.say({"type": "permission denied", "title": title, "detail": detail}, 403)
        inputs = body["inputs"]
        if unknown := [v for v in inputs["variable"] if v not in SHORT]:
            detail = {"variable": f"invalid value {unknown[0]}"}
            return self.say({"title": "invalid request", "detail": detail}, 400)
        job = len(cds.asked)
        cds.asked.append(inputs)
        cds.looks.append(0)
        return self.say(
            {
                "jobID": str(job), "status": "accepted", "processID": DATASET,
                "links": [{"rel": "monitor", "href": f"{cds.url}/retrieve/v1/jobs/{job}"}],
            }, 201,
        )  # fmt: skip

    def do_GET(self) -> None:
        path, cds = self.path.partition("?")[0], self.cds
        if path == "/api/catalogue/v1/messages":
            return self.say({"messages": []})
        if path.startswith("/api/retrieve/v1/processes/"):
            name = path.split("/")[-1]
            if name != DATASET:
                return self.say({"title": "process not found", "detail": f"{name} not found"}, 404)
            return self.say({"id": name, "links": []})
        if found := re.fullmatch(r"/api/retrieve/v1/jobs/(\d+)", path):
            return self.job(int(found[1]))
        if found := re.fullmatch(r"/api/retrieve/v1/jobs/(\d+)/results", path):
            job = int(found[1])
            if cds.error:
                return self.say(cds.error, 400)
            cds.files[job] = cds.make(cds.asked[job])
            value = {
                "type": "application/netcdf", "href": f"{cds.url}/cache/{job}.nc",
                "file:size": len(cds.files[job]),
            }  # fmt: skip
            return self.say({"asset": {"value": value}})
        return self.download(int(path.split("/")[-1].removesuffix(".nc")))

    def job(self, job: int) -> None:
        cds = self.cds
        status = cds.statuses[min(cds.looks[job], len(cds.statuses) - 1)]
        cds.looks[job] += 1
        self.say(
            {
                "jobID": str(job), "status": status, "processID": DATASET, "metadata": {"log": []},
                "links": [{"rel": "results", "href": f"{cds.url}/retrieve/v1/jobs/{job}/results"}],
            }
        )  # fmt: skip

    def download(self, job: int) -> None:
        cds, content = self.cds, self.cds.files[job]
        wanted = self.headers["Range"]
        cds.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if cds.drops:
            cds.drops -= 1
            self.wfile.write(content[start : start + (len(content) - start) // 2])
            self.close_connection = True
            return
        self.wfile.write(content[start:])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass  # a client that has gone away


@contextmanager
def running() -> Iterator[CdsServer]:
    """Serve until the block ends."""
    server: Any = _Server(("127.0.0.1", 0), _Handler)
    server.cds = CdsServer(url=f"http://127.0.0.1:{server.server_address[1]}/api")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.cds
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
