"""A fill on a cluster of dask.distributed: what travels, where it runs, and workers that die."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from pathlib import Path

import cloudpickle
import dask
import numpy as np
import pytest
import torch
import xarray as xr

from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.ledger import Ledger
from xdiffimpute.masks import MASKS
from xdiffimpute.partition import Partition
from xdiffimpute.reconstruction import Filler
from xdiffimpute.request import Request
from xdiffimpute.sharing import as_one_task, in_stretches

pytestmark = pytest.mark.usefixtures("hasty")

CLUSTER = {
    "n_workers": 2,
    "threads_per_worker": 1,
    "processes": True,
    "dashboard_address": ":0",  # any free port
}


def make(frames: int = 48) -> xr.Dataset:
    rng = np.random.default_rng(0)
    t, y, x = np.ogrid[:frames, :8, :10]
    values = 15 + np.sin(0.4 * y + 0.2 * t) + np.cos(0.5 * x - 0.1 * t)
    values = np.where(rng.random(values.shape) < 0.3, np.nan, values).astype("float32")
    coords = {"lat": np.linspace(30, 37, 8), "lon": np.linspace(0, 9, 10)}
    return xr.Dataset({"sst": (("time", "lat", "lon"), values, {"units": "degC"})}, coords)


@pytest.fixture(scope="module")
def imputer() -> DiffusionImputer:
    options = {"method": "paper", "partition": "pixel", "statistics": "variable", "window": 3}
    quick = DiffusionImputer(steps=1, summary=False, progress=False, **options)
    return quick.fit(make())


@pytest.fixture
def several_regions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[xr.Dataset, Path]:
    """A store that is filled in several regions, and where to."""
    monkeypatch.setattr("xdiffimpute.regions.REGION_BYTES", 4 * 80 * 9)
    monkeypatch.setattr("xdiffimpute.reconstruction.SEGMENT_FRAMES", 4)
    make().chunk(time=4).to_zarr(tmp_path / "in.zarr", consolidated=False)
    ds = xr.open_zarr(tmp_path / "in.zarr", consolidated=False)
    return ds, tmp_path / "out.zarr"


def assert_as_in_memory(out: Path, imputer: DiffusionImputer) -> None:
    found, expected = (
        xr.load_dataset(out, engine="zarr"),
        imputer.fill(make(), sampler="single_pass"),
    )
    for name in expected.data_vars:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5)


def filler_of(imputer: DiffusionImputer, sampler: str = "single_pass") -> Filler:
    return Request(sampler).filler(imputer.fitted, make(), imputer.fitted.spec)[1]


def test_the_network_is_in_the_graph_once(
    imputer: DiffusionImputer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xdiffimpute.reconstruction.SEGMENT_FRAMES", 3)
    one = len(cloudpickle.dumps(filler_of(imputer)))
    filled = imputer.fill(make().chunk(time=12), sampler="single_pass")
    tasks = [len(cloudpickle.dumps(task)) for task in dict(filled["sst"].data.dask).values()]
    assert len(tasks) > 16
    assert sum(size > 0.5 * one for size in tasks) == 1


def test_the_network_moves_to_where_it_arrives(
    imputer: DiffusionImputer, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler = filler_of(imputer)
    assert pickle.loads(pickle.dumps(filler)).denoiser.prior.device.type == "cpu"  # noqa: S301
    monkeypatch.setattr("xdiffimpute.reconstruction.best_device", lambda: torch.device("meta"))
    moved = pickle.loads(pickle.dumps(filler))  # noqa: S301
    assert moved.denoiser.prior.device.type == "meta"
    assert filler.denoiser.prior.device.type == "cpu"


def test_masks_travel_only_where_contexts_are_drawn(imputer: DiffusionImputer) -> None:
    masks = np.random.default_rng(0).random((50, 8, 8)) < 0.5
    for sampler, kept in (("single_pass", False), ("ensemble", True)):
        filler = filler_of(imputer, sampler)
        filler.seed, filler.partition = 5, Partition(MASKS.create("empirical", library=masks))
        moved = pickle.loads(pickle.dumps(filler))  # noqa: S301
        assert moved.seed == 5
        assert (moved.partition.library is not None) == kept


def test_shared_on_a_cluster_a_graph_does_not_carry_it() -> None:
    from distributed import Client, LocalCluster

    payload = np.zeros(1_000_000)
    with LocalCluster(**CLUSTER | {"processes": False}) as cluster, Client(cluster):
        outside = as_one_task(payload)
        with in_stretches():
            inside = as_one_task(payload)
            with dask.config.set(scheduler="threads"):
                elsewhere = as_one_task(payload)
        sizes = [len(cloudpickle.dumps(dict(x.dask))) for x in (outside, inside, elsewhere)]
        assert sizes[0] > 8_000_000 > 10_000 > sizes[1]
        assert sizes[2] > 8_000_000
        assert inside.sum().compute() == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("dying", [1, 2])
def test_workers_that_die_in_mid_fill(
    imputer: DiffusionImputer, several_regions: tuple[xr.Dataset, Path], dying: int
) -> None:
    """Killed after the first region; with both of them goes all that the cluster held."""
    from distributed import Client, LocalCluster

    ds, out = several_regions
    killed = []
    with LocalCluster(**CLUSTER, silence_logs=50) as cluster, Client(cluster) as client:
        victims = list(client.run(os.getpid).values())

        def kill() -> None:
            while not Ledger(out).done():
                time.sleep(0.01)
            for victim in victims[:dying]:
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

        killer = threading.Thread(target=kill)
        killer.start()
        ds.impute.fill_to(out, imputer, sampler="single_pass", progress=False)
        killer.join()
    assert len(killed) == dying
    assert_as_in_memory(out, imputer)


@pytest.mark.slow
def test_an_adaptive_cluster_that_begins_with_no_worker_and_loses_all(
    imputer: DiffusionImputer, several_regions: tuple[xr.Dataset, Path]
) -> None:
    """Workers come when there is work; all retire in mid-fill, and with them the network."""
    from distributed import Client, LocalCluster

    ds, out = several_regions
    quick = {"interval": "50ms", "wait_count": 1}
    empty = CLUSTER | {"n_workers": 0}
    before_and_after: list[set[str]] = []
    with LocalCluster(**empty, silence_logs=50) as cluster, Client(cluster) as client:

        def workers() -> set[str]:
            return set(client.scheduler_info()["workers"])

        def retire_all() -> None:
            while not Ledger(out).done():
                time.sleep(0.01)
            before_and_after.append(workers())
            cluster.adapt(minimum=0, maximum=0, **quick)
            while workers():
                time.sleep(0.01)
            cluster.adapt(minimum=0, maximum=2, **quick)
            while not workers():
                time.sleep(0.01)
            before_and_after.append(workers())

        assert not workers()
        cluster.adapt(minimum=0, maximum=2, **quick)
        scaler = threading.Thread(target=retire_all, daemon=True)
        scaler.start()
        ds.impute.fill_to(out, imputer, sampler="single_pass", progress=False)
        scaler.join(timeout=60)
    first, second = before_and_after
    assert first and second and not first & second
    assert_as_in_memory(out, imputer)
