"""Batches: from memory and from a store alike, never a withheld or missing cell in a query."""

import itertools
import json
from dataclasses import asdict

import dask
import numpy as np
import pytest
import torch
import xarray as xr
from distributed import Client, LocalCluster

from xdiffimpute.coordinates import Coordinates
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.exceptions import DataError
from xdiffimpute.fields import FieldSpec
from xdiffimpute.masks import MASKS
from xdiffimpute.partition import Partition
from xdiffimpute.pool import BlockPool, Position
from xdiffimpute.prefetching import prefetch
from xdiffimpute.streaming import batches
from xdiffimpute.transforms import Statistics

pytestmark = pytest.mark.usefixtures("hasty")

FRAMES = 96


@pytest.fixture
def store(tmp_path):
    """A zarr store whose values tell their place: frame + 1000 * row + 100000 * column."""
    t, y, x = np.meshgrid(np.arange(FRAMES), np.arange(10), np.arange(12), indexing="ij")
    values = (t + 1000.0 * y + 100000.0 * x).astype("float32")
    values[np.random.default_rng(0).random(values.shape) < 0.3] = np.nan
    ds = xr.Dataset(
        {"a": (("time", "lat", "lon"), values)},
        coords={
            "time": np.datetime64("2001-01-01", "ns") + np.arange(FRAMES) * np.timedelta64(1, "D"),
            "lat": np.linspace(30, 48, 10),
            "lon": np.linspace(-20, 2, 12),
        },
    )
    ds.chunk(time=8).to_zarr(tmp_path / "store.zarr", consolidated=False)
    return tmp_path / "store.zarr"


def open_pool(ds, limit, position=None, **options):
    spec = FieldSpec.from_dataset(ds)
    packed, clock = spec.pack(ds), spec.clock(ds)
    statistics = Statistics.fit(packed, clock, kind="variable")
    pool = BlockPool(packed, clock, statistics, window=3, limit=limit, position=position)
    settings = {"window": 3, "tile": (6, 8), "batch": 4, "periodic": False, "seed": 1} | options
    partition = Partition(MASKS.create("pixel"))
    return pool, statistics, batches(pool, Coordinates(spec, clock), partition, **settings)


@pytest.mark.parametrize("limit", [10**9, 20_000])
def test_values_are_those_of_one_place_and_time(store, limit):
    ds = xr.open_zarr(store, consolidated=False)
    pool, statistics, source = open_pool(ds, limit)
    assert pool.resident == (limit == 10**9)
    for batch in itertools.islice(source, 20):
        assert batch.x.shape == batch.query.shape == (4, 1, 3, 10, 12)
        assert batch.features.shape[-2:] == (6, 8)
        assert all(0 <= y <= 4 and 0 <= x <= 4 for y, x in batch.offsets)
        values = batch.x.numpy() * statistics.scale.ravel()[0] + statistics.coefficients.ravel()[0]
        observed = batch.x != 0  # no value of this store is the mean
        for sample, seen in zip(values, observed.numpy(), strict=True):
            t, y, x = np.meshgrid(np.arange(3), np.arange(10), np.arange(12), indexing="ij")
            offset = sample[0] - (t + 1000.0 * y + 100000.0 * x)
            assert np.ptp(offset[seen[0]]) < 1.5
        assert ((batch.context + batch.query) <= observed).all()
        assert (batch.query.sum(dim=(1, 2, 3, 4)) > 0).all()
        assert 0.5 < observed.float().mean() < 0.9


def test_a_pool_smaller_than_the_store_visits_all_of_it(store):
    pool, _, source = open_pool(xr.open_zarr(store, consolidated=False), 20_000)
    held = sum(block.values.nbytes for block in pool.blocks)
    assert held <= 20_000
    starts = set()
    for _ in itertools.islice(source, 60):
        starts |= {block.start for block in pool.blocks}
    assert starts == {start for _, start, _ in pool.ranges}


def test_memory_and_seed_decide_the_sequence(store):
    first, second = (
        [b.x for b in itertools.islice(open_pool(ds, 10**9)[2], 3)]
        for ds in (
            xr.open_zarr(store, consolidated=False),
            xr.open_zarr(store, consolidated=False).load(),
        )
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    other = next(open_pool(xr.open_zarr(store, consolidated=False), 10**9, seed=2)[2]).x
    assert not torch.equal(first[0], other)


def same(one, two):
    return all(torch.equal(getattr(one, n), getattr(two, n)) for n in ("x", "context", "query"))


@pytest.mark.parametrize("limit", [10**9, 40_000])
@pytest.mark.parametrize("drawn", [1, 7, 23])
def test_a_stream_goes_on_from_a_position(store, limit, drawn):
    """The batches are those that would have come, also where the chunks are others."""
    ds = xr.open_zarr(store, consolidated=False)
    whole = list(itertools.islice(open_pool(ds, limit)[2], drawn + 12))
    position = Position.from_dict(json.loads(json.dumps(asdict(whole[drawn - 1].position))))
    assert position == whole[drawn - 1].position
    other = xr.open_zarr(store, consolidated=False, chunks={"time": 16})
    rest = open_pool(other, limit, position, first=position.step)[2]
    assert all(same(a, b) for a, b in zip(whole[drawn:], rest))


def test_a_position_survives_blocks_without_observations(store):
    ds = xr.open_zarr(store, consolidated=False)
    ds["a"] = ds["a"].where((np.arange(FRAMES) // 8 % 2 == 0)[:, None, None])
    whole = list(itertools.islice(open_pool(ds, 20_000)[2], 30))
    position = whole[17].position
    rest = open_pool(ds, 20_000, position, first=position.step)[2]
    assert all(same(a, b) for a, b in zip(whole[18:], rest))


def test_work_ahead_moves_no_position(store):
    source = prefetch(open_pool(xr.open_zarr(store, consolidated=False), 20_000)[2])
    assert [next(source).position.step for _ in range(4)] == [1, 2, 3, 4]
    source.close()


def test_prefetch_keeps_the_order_stops_and_passes_errors_on():
    def numbers():
        yield from range(3)
        raise RuntimeError("the store broke")

    source = prefetch(numbers(), depth=2)
    assert [next(source) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="the store broke"):
        next(source)
    endless = prefetch(itertools.count(), depth=2)
    assert next(endless) == 0
    endless.close()


def test_coordinates_follow_the_cells(store):
    ds = xr.open_zarr(store, consolidated=False)
    spec = FieldSpec.from_dataset(ds)
    coordinates = Coordinates(spec, spec.clock(ds))
    whole = coordinates(slice(0, FRAMES), np.arange(10), np.arange(12))
    part = coordinates(slice(5, 8), np.arange(2, 6), np.arange(3, 9))
    assert whole.shape == (coordinates.count, FRAMES, 10, 12)
    np.testing.assert_array_equal(part, whole[:, 5:8, 2:6, 3:9])


def test_the_default_limit_is_looked_up_when_a_pool_is_made(store, monkeypatch):
    ds = xr.open_zarr(store, consolidated=False)
    assert open_pool(ds, None)[0].resident
    monkeypatch.setattr("xdiffimpute.pool.POOL_BYTES", 20_000)
    assert not open_pool(ds, None)[0].resident


@pytest.mark.parametrize("way", [pytest.param("processes", marks=pytest.mark.slow), "cluster"])
def test_worker_processes_read_netcdf_for_a_training(tmp_path, monkeypatch, way):
    """Blocks come from processes that were spawned, and the training is the same bit for bit."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((60, 6, 8)).astype("float32")
    noise[rng.random(noise.shape) < 0.4] = np.nan
    times = np.datetime64("2000-01-01", "ns") + np.arange(60) * np.timedelta64(1, "D")
    coords = {"time": times, "lat": np.arange(6.0), "lon": np.arange(8.0)}
    xr.Dataset({"a": (("time", "lat", "lon"), noise)}, coords).to_netcdf(tmp_path / "a.nc")
    monkeypatch.setattr("xdiffimpute.pool.POOL_BYTES", noise.nbytes // 4)

    def learned():
        settings = {"steps": 3, "window": 3, "batch": 4, "summary": False, "progress": False}
        with xr.open_dataset(tmp_path / "a.nc", chunks={"time": 10}) as ds:
            return DiffusionImputer(partition="pixel", **settings).fit(ds).fitted

    expected = learned()
    if way == "processes":
        assert dask.config.get("multiprocessing.context", "spawn") == "spawn"
        with dask.config.set(scheduler="processes", num_workers=1):
            found = learned()
    else:
        with (
            LocalCluster(
                n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
            ) as cluster,
            Client(cluster) as client,
        ):
            found = learned()
            done = client.run(lambda dask_worker: len(dask_worker.state.log))
            assert max(done.values()) > 0
    assert found.history.loss == expected.history.loss
    state = expected.denoiser.state_dict()
    assert all(torch.equal(state[k], v) for k, v in found.denoiser.state_dict().items())


def test_a_fit_refuses_a_chunk_larger_than_memory_and_warns_of_tiny_ones(
    store, monkeypatch, caplog
):
    ds = xr.open_zarr(store, consolidated=False).chunk(time=1)
    monkeypatch.setattr("xdiffimpute.chunking.LONG", 40)
    monkeypatch.setattr("xdiffimpute.pool.POOL_BYTES", 20_000)
    imputer = DiffusionImputer(steps=1, window=3, summary=False, progress=False)
    imputer.fit(ds)
    assert "in 96 chunks of one time each" in caplog.text and "chunks={'time': 64}" in caplog.text
    monkeypatch.setattr("xdiffimpute.chunking.free_memory", lambda: 3_000)
    with pytest.raises(DataError, match=r"stored in chunks of \(8, 10, 12\)"):
        imputer.fit(ds)
