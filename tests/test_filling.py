"""A fill into a store: cut off and gone on with, and everything that can go wrong on the way."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner, Result

import xdiffimpute
from xdiffimpute import regions
from xdiffimpute.baselines import BASELINES
from xdiffimpute.cli import main
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.exceptions import OutputExistsError
from xdiffimpute.job import job_of
from xdiffimpute.ledger import Ledger, differences
from xdiffimpute.reconstruction import Filler

pytestmark = pytest.mark.usefixtures("hasty")

FRAMES = 48
BYTES = 8 * 80 * (8 + 4 + 1)  # eight frames of values, errors and flags


def make(frames: int = FRAMES) -> xr.Dataset:
    rng = np.random.default_rng(0)
    t, y, x = np.ogrid[:frames, :8, :10]
    values = 15 + np.sin(0.4 * y + 0.2 * t) + np.cos(0.5 * x - 0.1 * t)
    values = np.where(rng.random(values.shape) < 0.3, np.nan, values).astype("float32")
    ds = xr.Dataset(
        {"sst": (("time", "lat", "lon"), values, {"units": "degC"})},
        {
            "time": pd.date_range("2001-01-01", periods=frames),
            "lat": np.linspace(30, 37, 8),
            "lon": np.linspace(0, 9, 10),
            "mask": (("lat", "lon"), np.ones((8, 10), dtype="int8")),
        },
    )
    return ds.chunk(time=4)


@pytest.fixture(autouse=True)
def quiet_after() -> Iterator[None]:
    yield
    logging.getLogger("xdiffimpute").setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def small_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six regions of eight frames, filled four at a time."""
    monkeypatch.setattr(regions, "REGION_BYTES", BYTES)
    monkeypatch.setattr("xdiffimpute.reconstruction.SEGMENT_FRAMES", 4)


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("master") / "in.zarr"
    packing = {"dtype": "int16", "scale_factor": 0.001, "add_offset": 15.0, "_FillValue": -32768}
    encoding = {"sst": packing | {"chunks": (4, 8, 10)}}
    make().to_zarr(path, zarr_format=3, consolidated=False, encoding=encoding)
    return path


@pytest.fixture
def source(master: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(master, tmp_path / "in.zarr"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "sst.imputer"
    options = {"method": "paper", "partition": "pixel", "statistics": "variable", "window": 3}
    quick = DiffusionImputer(steps=1, summary=False, progress=False, **options)
    quick.fit(make().load()).save(path)
    return path


@pytest.fixture(scope="module")
def whole(master: Path, model: Path) -> xr.Dataset:
    """An undisturbed fill, in regions of its own."""
    out = model.parent / "undisturbed.zarr"
    run(*asked(master, out, model))
    return xr.load_dataset(out, engine="zarr")


@pytest.fixture
def undisturbed(whole: xr.Dataset) -> xr.Dataset:
    return whole.copy()


def asked(source: Path, out: Path, model: Path | str) -> list[str]:
    """The command; a network by a single pass."""
    command = ["fill", str(source), str(out), "--imputer", str(model)]
    return [*command, "--sampler", "single_pass"] if isinstance(model, Path) else command


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def same(out: Path, other: xr.Dataset) -> None:
    """The same in all but the hour that history tells; and nothing is left beside it."""
    found = xr.load_dataset(out, engine="zarr")
    for ds in (found, other):
        ds.attrs.pop("history", None)
    xr.testing.assert_identical(found, other)
    assert {p.name for p in out.parent.iterdir()} <= {
        "in.zarr", "single.zarr", out.name
    }  # fmt: skip


def stopped(monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException) -> None:
    """The network fails after so many segments."""
    usual, count = Filler.__call__, [0]

    def fails(self: Filler, *arguments: object) -> np.ndarray:
        count[0] += 1
        if count[0] > after:
            raise error
        return usual(self, *arguments)

    monkeypatch.setattr(Filler, "__call__", fails)


def stopped_by_hand(command: list[str]) -> str:
    """Start a fill, stop it after seven segments, and give what it said."""
    with pytest.MonkeyPatch.context() as patch:
        stopped(patch, 7, KeyboardInterrupt())
        return run(*command, code=1).stderr


def test_regions_end_where_chunks_and_segments_do(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = xr.open_zarr(source, consolidated=False)
    ready = regions.for_zarr(ds, keep_codecs=True)
    assert regions.layout(ready, "time", 4)[:2] == [(0, 12), (12, 24)]
    assert regions.layout(ready, "time", 6)[:2] == [(0, 12), (12, 24)]
    assert regions.layout(ready, "time", 9)[:2] == [(0, 12), (12, 24)]
    monkeypatch.setattr(regions, "REGION_BYTES", 3 * BYTES)
    assert regions.layout(ready, "time", 9)[:2] == [(0, 36), (36, 48)]


def test_a_store_is_written_in_regions_and_equals_the_fill(
    source: Path, model: Path, tmp_path: Path, undisturbed: xr.Dataset
) -> None:
    import xdiffimpute as xdi

    ds = xr.open_zarr(source, consolidated=False)
    imputer = xdi.load(model)
    options = {"sampler": "single_pass", "progress": False}
    done = ds.impute.fill_to(tmp_path / "out.zarr", imputer, **options)
    assert done.kept == 0 and "sst_standard_error" in done.variables
    same(tmp_path / "out.zarr", undisturbed)
    whole = ds.impute.fill(imputer, **options).load()
    back = xr.load_dataset(tmp_path / "out.zarr", engine="zarr")
    np.testing.assert_allclose(back["sst"], whole["sst"], atol=0.0006)
    np.testing.assert_array_equal(back["sst_imputation_flag"], whole["sst_imputation_flag"])
    seen = ds["sst"].notnull().values
    np.testing.assert_array_equal(back["sst"].values[seen], ds["sst"].values[seen])
    assert back["sst"].encoding["dtype"] == np.int16
    xr.testing.assert_equal(back["mask"], ds["mask"])


def test_killed_in_mid_fill_it_goes_on(
    source: Path, model: Path, tmp_path: Path, undisturbed: xr.Dataset
) -> None:
    """A process of its own, that kills itself with a half-written region on the disk."""
    out = tmp_path / "out.zarr"
    code = (
        "import os, signal, sys\n"
        "from xdiffimpute import regions, reconstruction\n"
        "from xdiffimpute.cli import main\n"
        "regions.REGION_BYTES, reconstruction.SEGMENT_FRAMES = 8320, 4\n"
        "usual, count = regions.Ledger.mark, [0]\n"
        "def mark(self, region, written):\n"
        "    count[0] += 1\n"
        "    if count[0] == 4:\n"
        "        files = [p for p in written if p.exists()]\n"
        "        files[0].unlink(); files[1].write_bytes(files[1].read_bytes()[:9])\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    usual(self, region, written)\n"
        "regions.Ledger.mark = mark\n"
        "main()\n"
    )
    command = asked(source, out, model)
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not out.exists()
    assert len(Ledger(out).done()) == 3
    said = run(*command).stderr
    assert "going on with" in said and "3 of " in said
    same(out, undisturbed)


def test_stopped_by_hand_it_goes_on(
    source: Path, model: Path, tmp_path: Path, undisturbed: xr.Dataset
) -> None:
    out = tmp_path / "out.zarr"
    command = asked(source, out, model)
    said = stopped_by_hand(command)
    assert "regions are kept" in said and "Traceback" not in said
    assert not out.exists() and not Ledger(out).lock.exists()
    kept = len(Ledger(out).done())
    assert kept > 0
    assert f"going on with {out}: {kept} of" in run(*command).stderr
    same(out, undisturbed)


def test_another_job_is_not_mixed_in(
    source: Path, model: Path, tmp_path: Path, undisturbed: xr.Dataset
) -> None:
    out = tmp_path / "out.zarr"
    command = asked(source, out, model)
    stopped_by_hand(command)
    said = run(*command[:-1], "ensemble", code=2).stderr
    assert "options: sampler was single_pass, now ensemble" in said and "--restart" in said
    said = run(*asked(source, out, "climatology"), code=2).stderr
    assert "imputer was diffusion" in said
    again = xr.open_zarr(source, consolidated=False).load()
    again["sst"] += 1
    shutil.rmtree(source)
    again.to_zarr(source, zarr_format=3, consolidated=False)
    said = run(*command, code=2).stderr
    assert "input: values was" in said and "input: files was" in said
    assert len(Ledger(out).done()) > 0
    run(*command, "--restart")
    assert not np.allclose(
        xr.load_dataset(out, engine="zarr")["sst"], undisturbed["sst"], equal_nan=True
    )


def test_two_fills_to_one_output(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    command = asked(source, out, "climatology")
    for kind in (out, tmp_path / "out.nc"):
        with Ledger(kind).held():
            said = run(*asked(source, kind, "climatology"), code=2).stderr
        assert "is being written by another fill" in said
    run(*command)
    assert out.exists() and not Ledger(out).lock.exists()


def test_the_lock_goes_with_its_holder(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from xdiffimpute.ledger import Ledger\n"
        "with Ledger(Path(sys.argv[1])).held():\n"
        "    print('held', flush=True); time.sleep(600)\n"
    )
    path = tmp_path / "out.zarr"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(OutputExistsError, match="another fill"), Ledger(path).held():
            pass
        holder.kill()
    with Ledger(path).held():
        pass


def test_a_full_disk_is_said_and_gone_on_from(
    source: Path, model: Path, tmp_path: Path, undisturbed: xr.Dataset
) -> None:
    from zarr.storage import LocalStore

    out = tmp_path / "out.zarr"
    usual, count = LocalStore.set, [0]

    async def full(self: LocalStore, key: str, value: object) -> None:
        count[0] += "/c/" in key
        if count[0] > 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        await usual(self, key, value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalStore, "set", full)
        said = run(*asked(source, out, model), code=2).stderr
    assert "the disk is full" in said and "written so far are kept" in said
    assert not out.exists()
    assert len(Ledger(out).done()) > 0
    run(*asked(source, out, model))
    same(out, undisturbed)


@pytest.mark.parametrize("said_by", ["system", "HDF5"])
def test_a_full_disk_in_netcdf(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said_by: str
) -> None:
    """HDF5 does not say what went wrong: then it is looked how much is free, before cleaning up."""

    def to_netcdf(self: xr.Dataset, path: Path, **_: object) -> None:
        Path(path).write_text("half")
        if said_by == "system":
            raise OSError(errno.ENOSPC, "No space left on device")
        raise RuntimeError("NetCDF: HDF error")

    def disk_usage(folder: Path) -> SimpleNamespace:
        full = said_by == "HDF5" and any(".partial" in p.name for p in tmp_path.iterdir())
        return SimpleNamespace(free=10 if full else 10**12)

    monkeypatch.setattr(xr.Dataset, "to_netcdf", to_netcdf)
    monkeypatch.setattr("xdiffimpute.stores.shutil.disk_usage", disk_usage)
    said = run(*asked(source, tmp_path / "out.nc", "climatology"), code=2).stderr
    assert "the disk is full" in said
    assert [p.name for p in tmp_path.iterdir()] == ["in.zarr"]


def spoil(source: Path, *numbers: int) -> None:
    for number in numbers:
        chunk = source / f"sst/c/{number}/0/0"
        assert chunk.exists()
        chunk.write_bytes(b"no zstd frame")


@pytest.mark.parametrize("imputer", ["network", "climatology"])
def test_a_chunk_that_cannot_be_decoded(
    source: Path, model: Path, tmp_path: Path, imputer: str
) -> None:
    out = tmp_path / "out.zarr"
    chosen = model if imputer == "network" else imputer
    spoil(source, 5)
    said = run(*asked(source, out, chosen), code=2).stderr
    assert "chunk (5, 0, 0) of 'sst'" in said and "time 20 to 23, 2001-01-21 to 2001-01-24" in said
    assert "--skip-bad" in said
    assert not out.exists()
    found = run(*asked(source, out, chosen), "--skip-bad", "--restart", "--json", code=3)
    assert "1 chunks could not be read" in found.stderr
    assert "chunk (5, 0, 0)" in json.loads(found.stdout)["skipped"][0]
    with xr.open_dataset(out, engine="zarr") as ds:
        bad = np.isin(np.arange(FRAMES), np.arange(20, 24))
        assert ds["sst"].isnull().values[bad].all() and not ds["sst"].isnull().values[~bad].any()
        flag = ds["sst_imputation_flag"].values
        assert (flag[bad] == 2).all() and (flag[~bad] < 2).all()
        if imputer == "network":
            np.testing.assert_array_equal(
                np.isnan(ds["sst_standard_error"].values).all(axis=(1, 2)), bad
            )


def test_members_around_a_chunk_that_cannot_be_decoded(source: Path, tmp_path: Path) -> None:
    ds, out = xr.open_zarr(source, consolidated=False), tmp_path / "out.zarr"
    imputer = DiffusionImputer(steps=1, window=1, progress=False, summary=False).fit(ds)
    spoil(source, 5)
    ds.impute.fill_to(out, imputer, members=2, skip_bad=True, progress=False)
    with xr.open_dataset(out, engine="zarr") as found:
        bad = np.isin(np.arange(FRAMES), np.arange(20, 24))
        assert found["sst"].dims[0] == "realization"
        empty = found["sst"].isnull().values.all(axis=(2, 3))
        np.testing.assert_array_equal(empty, [bad, bad])
        assert found["sst"].notnull().values[:, ~bad].all()
        assert (found["sst_imputation_flag"].values[bad] == 2).all()


@pytest.fixture(scope="module")
def informed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A store with covariates, of each frame and of all, and a network that was given them."""
    folder = tmp_path_factory.mktemp("informed")
    ds = make().load()
    ds["forecast"] = ds["sst"].fillna(15.0) + 1
    ds["depth"] = ds["forecast"].isel(time=0, drop=True)
    chunks = {"sst": (4, 8, 10), "forecast": (4, 8, 10), "depth": (4, 10)}
    ds.to_zarr(
        folder / "in.zarr", zarr_format=3, consolidated=False,
        encoding={name: {"chunks": sizes} for name, sizes in chunks.items()},
    )  # fmt: skip
    options = {"method": "paper", "partition": "pixel", "statistics": "variable", "window": 3}
    quick = DiffusionImputer(
        steps=1, summary=False, progress=False, covariates=["forecast", "depth"], **options
    )
    quick.fit(ds).save(folder / "sst.imputer")
    return folder / "in.zarr", folder / "sst.imputer"


@pytest.mark.parametrize("kept", ["memory", "chunks"])
def test_one_frame_makes_another_job(gappy: xr.Dataset, kept: str) -> None:
    """Of data in memory; of others, frames at even distances, here all of them."""
    ds = gappy.drop_encoding()
    other = ds.copy(deep=True)
    other["sst"][7, 5, 5] = -3.0
    if kept == "chunks":
        ds, other = ds.chunk(time=4), other.chunk(time=4)
    stretches = BASELINES.create("linear").stretches(ds)
    told = {"imputer": "", "options": {}, "location": None, "version": ""}
    jobs = [job_of(part, stretches, **told) for part in (ds, other, ds.copy(deep=True))]
    assert jobs[0] == jobs[2] and differences(jobs[0], jobs[1])[0].startswith("input: values was")


@pytest.mark.parametrize("name", ["forecast", "depth"])
def test_another_covariate_is_another_job(
    informed: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    """Data that are in memory, or of which the files do not tell."""
    import xdiffimpute as xdi

    ds, imputer = xr.open_zarr(informed[0], consolidated=False), xdi.load(informed[1])
    out, options = tmp_path / "out.zarr", {"sampler": "single_pass", "progress": False}
    assert imputer.stretches(ds).read == ("sst", "forecast", "depth")
    ds.encoding = {}
    with pytest.MonkeyPatch.context() as patch:
        stopped(patch, 7, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            ds.impute.fill_to(out, imputer, **options)
    with pytest.raises(OutputExistsError, match="input: values was"):
        ds.assign({name: ds[name] + 1}).impute.fill_to(out, imputer, **options)
    assert ds.impute.fill_to(out, imputer, **options).kept > 0
    expected = ds.impute.fill(imputer, **options)
    np.testing.assert_allclose(xr.open_zarr(out)["sst"], expected["sst"], atol=1e-4)


@pytest.mark.parametrize(
    "chunk, said",
    [("forecast/c/5/0/0", "chunk (5, 0, 0) of 'forecast' (time 20 to 23"),
     ("depth/c/1/0", "chunk (1, 0) of 'depth' (lat 4 to 7")],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["zarr", "nc"])
def test_a_chunk_of_a_covariate_that_cannot_be_decoded(
    informed: tuple[Path, Path], tmp_path: Path, chunk: str, said: str, kind: str
) -> None:
    """It is named; left out, it tells nothing, and what is to be filled is filled without it."""
    master, model = informed
    source, out = Path(shutil.copytree(master, tmp_path / "in.zarr")), tmp_path / f"out.{kind}"
    (source / chunk).write_bytes(b"no zstd frame")
    error = run(*asked(source, out, model), code=2).stderr
    assert said in error and "--skip-bad" in error and not out.exists()
    command = [*asked(source, out, model), "--skip-bad", "--json"]
    found = run(*command, *(["--restart"] if kind == "zarr" else []), code=3)
    assert said in json.loads(found.stdout)["skipped"][0]
    name = chunk.split("/")[0]
    with xr.open_dataset(out) as ds, xr.open_zarr(master, consolidated=False) as whole:
        assert ds["sst"].notnull().all()
        gone = ds[name].isnull()
        assert 0 < int(gone.sum()) < gone.size
        xr.testing.assert_equal(ds[name], whole[name].where(~gone))


def test_several_bad_chunks_in_space(tmp_path: Path, source: Path) -> None:
    spatial = tmp_path / "spatial.zarr"
    whole = xr.open_zarr(source, consolidated=False).load().drop_encoding()
    whole.to_zarr(spatial, consolidated=False, encoding={"sst": {"chunks": (6, 4, 10)}})
    for number in ("2/0/0", "2/1/0", "7/1/0"):
        (spatial / "sst/c" / number).write_bytes(b"nothing")
    out = tmp_path / "out.zarr"
    said = run(*asked(spatial, out, "climatology"), "--skip-bad", code=3).stderr
    assert "chunk (7, 1, 0) of 'sst' (time 42 to 47" in said and "lat 4 to 7, 34" in said
    bad = np.zeros((FRAMES, 8, 10), dtype=bool)
    bad[12:18], bad[42:48, 4:] = True, True
    with xr.open_dataset(out, engine="zarr") as ds:
        np.testing.assert_array_equal(ds["sst"].isnull().values, bad)
        np.testing.assert_array_equal(ds["sst_imputation_flag"].values == 2, bad)
        assert ds["sst"].encoding["chunks"] == (6, 4, 10)


def test_netcdf_chunks_that_cannot_be_decoded(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "in.nc"
    encoding = {"sst": {"chunksizes": (4, 8, 10), "zlib": True}}
    make().to_netcdf(path, encoding=encoding)
    with h5py.File(path) as file:
        place = file["sst"].id.get_chunk_info(5)
    with path.open("r+b") as raw:
        raw.seek(place.byte_offset)
        raw.write(b"\0" * place.size)
    out = tmp_path / "out.zarr"
    assert "'sst'" in run(*asked(path, out, "climatology"), code=2).stderr
    said = run(*asked(path, out, "climatology"), "--skip-bad", code=3).stderr
    assert "chunk (5, 0, 0) of 'sst'" in said


def test_a_chunk_larger_than_memory_is_refused(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.zarr"
    monkeypatch.setattr("xdiffimpute.chunking.free_memory", lambda: 60_000)
    said = run(*asked(source, out, "climatology"), "--chunks", "time=-1", code=2).stderr
    assert "--chunks time=15" in said and "30.0 KiB" in said
    monkeypatch.setattr("xdiffimpute.chunking.free_memory", lambda: 3_000)
    said = run(*asked(source, out, "climatology"), code=2).stderr
    assert "stored in chunks of (4, 8, 10)" in said and "rechunker" in said
    assert [p.name for p in tmp_path.iterdir()] == ["in.zarr"]


def test_time_chunks_of_one(
    tmp_path: Path, source: Path, model: Path, undisturbed: xr.Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("xdiffimpute.chunking.LONG", 40)
    monkeypatch.setattr("xdiffimpute.filling.FEWEST", 1)
    ds = xr.open_zarr(source, consolidated=False)
    single = tmp_path / "single.zarr"
    packing = {
        k: ds["sst"].encoding[k] for k in ("dtype", "scale_factor", "add_offset", "_FillValue")
    }
    ones = {"sst": packing | {"chunks": (1, 8, 10)}}
    ds.drop_encoding().chunk(time=1).to_zarr(single, consolidated=False, encoding=ones)
    out = tmp_path / "out.zarr"
    said = run(*asked(single, out, model)).stderr
    assert "read in 48 chunks of one time each, which is slow" in said and "--chunks time=4" in said
    xr.testing.assert_equal(xr.load_dataset(out, engine="zarr"), undisturbed)


def test_interrupted_by_a_signal(
    source: Path, model: Path, tmp_path: Path, undisturbed: xr.Dataset
) -> None:
    """As from the keyboard, to a process of its own: it stops by itself, and goes on."""
    out = tmp_path / "out.zarr"
    code = (
        "import signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job ignores it
        "from xdiffimpute import regions, reconstruction\n"
        "from xdiffimpute.cli import main\n"
        f"regions.REGION_BYTES, reconstruction.SEGMENT_FRAMES = {BYTES}, 4\n"
        "usual = reconstruction.Filler.__call__\n"
        "def slow(self, *arguments):\n"
        "    time.sleep(0.5)\n"
        "    return usual(self, *arguments)\n"
        "reconstruction.Filler.__call__ = slow\n"
        "main()\n"
    )
    command = asked(source, out, model)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command], stderr=subprocess.PIPE, text=True
    )
    with process:
        while process.poll() is None and not Ledger(out).done():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 1, said
    assert "regions are kept" in said and "Traceback" not in said
    assert not out.exists() and not Ledger(out).lock.exists()
    kept = Ledger(out).done()
    assert 0 < len(kept) < 6
    run(*command)
    same(out, undisturbed)


def test_an_unfinished_store_has_no_name_and_the_old_one_stays(
    source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.zarr"
    run(*asked(source, out, "nearest"))
    before = xr.load_dataset(out, engine="zarr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "_write", _never)
        run(*asked(source, out, "climatology"), "--overwrite", code=1)
    xr.testing.assert_identical(xr.load_dataset(out, engine="zarr"), before)
    run(*asked(source, out, "climatology"), "--overwrite")
    assert "climatology" in xr.load_dataset(out, engine="zarr").attrs["history"].splitlines()[0]


def _never(*_: object) -> None:
    raise RuntimeError("out of the blue")


def test_without_time_series_are_regions(tmp_path: Path) -> None:
    still = make(12).rename(time="realization").drop_vars("realization").chunk(realization=2)
    done = still.impute.fill_to(tmp_path / "out.zarr", "nearest", progress=False)
    assert done.kept == 0
    expected = still.impute.fill("nearest").load()
    np.testing.assert_array_equal(
        xr.load_dataset(tmp_path / "out.zarr", engine="zarr")["sst"], expected["sst"]
    )
    one = still.isel(realization=0)
    one.impute.fill_to(tmp_path / "one.zarr", "nearest", progress=False)
    np.testing.assert_array_equal(
        xr.load_dataset(tmp_path / "one.zarr", engine="zarr")["sst"],
        one.impute.fill("nearest")["sst"],
    )


def test_data_in_memory_are_filled_too(tmp_path: Path) -> None:
    ds = make().load()
    ds.impute.fill_to(tmp_path / "out.zarr", "linear", progress=False)
    filled = xr.load_dataset(tmp_path / "out.zarr", engine="zarr")
    np.testing.assert_array_equal(filled["sst"], ds.impute.fill("linear")["sst"])
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        ds.impute.fill_to(tmp_path / "out.zarr", "linear")


def test_an_array_is_not_written_over_what_it_is_read_from(tmp_path: Path) -> None:
    """It does not know where it is from, as the Dataset does."""
    xdiffimpute.example(days=8).chunk(time=4).to_zarr(tmp_path / "in.zarr", consolidated=False)
    array = xr.open_zarr(tmp_path / "in.zarr", consolidated=False)["sst"]
    with pytest.raises(OutputExistsError, match="may be what these data are read from"):
        array.impute.fill_to(tmp_path / "in.zarr", "nearest", overwrite=True, progress=False)
    array.impute.fill_to(tmp_path / "out.zarr", "nearest", progress=False)
    assert xr.open_zarr(tmp_path / "out.zarr")["sst"].notnull().all()


def test_less_memory_than_when_it_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks stay as they were laid out."""
    monkeypatch.setattr("xdiffimpute.regions.REGION_BYTES", 4 * 192 * 12)
    monkeypatch.setattr("xdiffimpute.regions.LEAST_BYTES", 1)
    ds = xdiffimpute.example(days=48).chunk(time=12)
    undisturbed = ds.impute.fill("nearest").compute()

    def mark(ledger: Ledger, region: tuple[int, int], written: Any) -> None:
        if region[0]:
            raise KeyboardInterrupt
        original(ledger, region, written)

    original = Ledger.mark
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "mark", mark)
        with pytest.raises(KeyboardInterrupt):
            ds.impute.fill_to(tmp_path / "out.zarr", "nearest", progress=False)
    monkeypatch.setattr("xdiffimpute.regions.free_memory", lambda: 2**12)
    assert ds.impute.fill_to(tmp_path / "out.zarr", "nearest", progress=False).kept == 1
    xr.testing.assert_equal(xr.open_zarr(tmp_path / "out.zarr").compute(), undisturbed)


def test_data_whose_file_is_gone(tmp_path: Path) -> None:
    """They are in memory; where they were read from is asked for no more."""
    ds = make()
    ds.encoding["source"] = str(tmp_path / "gone.nc")
    done = ds.impute.fill_to(tmp_path / "out.zarr", "nearest", progress=False)
    assert "sst" in done.variables
