"""Training on two processes over Gloo: the same network on both, and the loss of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import xdiffimpute
from xdiffimpute.exceptions import ImputeError
from xdiffimpute.fields import FieldSpec
from xdiffimpute.parallel import Ranks, joined, local_device
from xdiffimpute.pool import BlockPool, Position
from xdiffimpute.transforms import Statistics

WORKER = """
import json, os, sys
import torch, xarray as xr, xdiffimpute
torch.set_num_threads(1)
ds = xr.open_zarr(sys.argv[1], consolidated=False)
imputer = ds.impute.fit(
    steps=int(sys.argv[3]), batch=4, window=2, seed=0, progress=False, partition="pixel",
    device="cpu", statistics="variable", method="miss_diff",
)
rank = os.environ.get("RANK", "alone")
network = imputer.fitted.denoiser
told = {
    "weights": float(sum(p.double().abs().sum() for p in network.parameters())),
    "loss": imputer.fitted.history.loss,
    "validation": imputer.fitted.history.validation,
    "summary": bool(imputer.fitted.skill),
}
open(f"{sys.argv[2]}/rank{rank}.json", "w").write(json.dumps(told))
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Waves with a third of the pixels missing."""
    rng = np.random.default_rng(0)
    t, y, x = np.ogrid[:48, :12, :12]
    wave = np.sin(x / 2 + t / 3) + np.cos(y / 3) + 0.05 * rng.standard_normal((48, 12, 12))
    wave[rng.random(wave.shape) < 0.33] = np.nan
    path = tmp_path_factory.mktemp("parallel") / "waves.zarr"
    xr.Dataset({"a": (("time", "lat", "lon"), wave.astype("float32"))}).chunk(time=8).to_zarr(
        path, consolidated=False
    )
    return path


def torchrun(program: list[str], processes: int, **environment: str) -> None:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        f"--nproc-per-node={processes}", *program,
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def fitted(store: Path, folder: Path, processes: int, steps: int) -> list[dict]:
    (folder / "worker.py").write_text(WORKER)
    program = [str(folder / "worker.py"), str(store), str(folder), str(steps)]
    if processes == 1:
        subprocess.run([sys.executable, *program], check=True)
        return [json.loads((folder / "rankalone.json").read_text())]
    torchrun(program, processes)
    return [json.loads((folder / f"rank{k}.json").read_text()) for k in range(processes)]


def test_two_processes_learn_as_one_with_the_same_batch(store, tmp_path):
    """Both ranks end with one network; its loss is that of a single process, within noise."""
    first, second = fitted(store, tmp_path, 2, 40)
    assert first["weights"] == second["weights"]
    assert first["validation"] == second["validation"]
    assert first["summary"] and not second["summary"]
    (alone,) = fitted(store, tmp_path, 1, 40)
    assert first["weights"] != alone["weights"]  # other noise
    start, end = alone["validation"][0][1], alone["validation"][-1][1]
    assert end < 0.7 * start
    assert first["validation"][0][1] == pytest.approx(start, rel=1e-6)
    assert first["validation"][-1][1] == pytest.approx(end, rel=0.25)


def test_gradients_are_those_of_the_whole_batch(tmp_path):
    """A share of three samples and one of two, against all five at once."""
    program = tmp_path / "gradients.py"
    program.write_text(
        "import torch\n"
        "from xdiffimpute.parallel import joined\n"
        "torch.manual_seed(0)\n"
        "x, y = torch.randn(5, 3), torch.randn(5)\n"
        "w = torch.nn.Parameter(torch.randn(3))\n"
        "(whole,) = torch.autograd.grad(((x @ w - y) ** 2).mean(), w)\n"
        "with joined('cpu') as ranks:\n"
        "    mine = list(ranks.share(5))\n"
        "    ((x[mine] @ w - y[mine]) ** 2).mean().backward()\n"
        "    assert ranks.sum_gradients([w], len(mine), len(mine)) == 5\n"
        "    q = torch.tensor([1., 1., 0., 0., 1.])\n"
        "    (whole,) = torch.autograd.grad((q * (x @ w - y) ** 2).sum() / 3, w)\n"
        "    mean = (q * (x @ w - y) ** 2)[mine].sum() / q[mine].sum().clamp(min=1)\n"
        "    (w.grad,) = torch.autograd.grad(mean, w)\n"
        "    ranks.sum_gradients([w], len(mine), float(q[mine].sum()))\n"
        "    torch.testing.assert_close(w.grad, whole)\n"
        "    assert ranks.told('first' if ranks.first else None) == 'first'\n"
        "    assert ranks.agreed(7.0 + ranks.rank) == 7.0\n"
        "    layer = torch.nn.Linear(2, 2)\n"
        "    ranks.spread(layer)\n"
        "    assert ranks.agreed(float(layer.weight.sum())) == float(layer.weight.sum())\n"
        "    assert ranks.either(ranks.rank == 1)\n"
    )
    torchrun([str(program)], 2)


def test_alone_nothing_is_asked_of_others():
    with joined("cpu") as ranks:
        assert ranks == Ranks()
    weight = torch.nn.Parameter(torch.ones(2))
    weight.sum().backward()
    assert ranks.sum_gradients([weight], 3, 7.0) == 3 and ranks.told("a") == "a"
    assert weight.grad.tolist() == [1.0, 1.0]
    assert ranks.agreed(0.3) == 0.3 and not ranks.either(False)
    assert local_device(None) is None


def test_every_sample_is_drawn_once():
    shares = [Ranks(k, 3).share(8) for k in range(3)]
    assert sorted(k for share in shares for k in share) == list(range(8))
    with pytest.raises(ImputeError, match="batch of 2 windows cannot be shared by 3 processes"):
        Ranks(0, 3).share(2)


@pytest.mark.slow
def test_the_command_line_on_two_processes_saves_once(store, tmp_path):
    model, run = tmp_path / "waves.imputer", tmp_path / "run"
    command = [
        "-m", "xdiffimpute", "fit", str(store), "--save", str(model), "--steps", "3",
        "--batch", "2", "--device", "cpu", "--checkpoint", str(run), "-q",
    ]  # fmt: skip
    torchrun(command, 2)
    first = xdiffimpute.load(model).fitted
    assert first.history.samples == 6
    torchrun([*command, "--resume", "--overwrite"], 2)
    again = xdiffimpute.load(model).fitted
    for before, after in zip(first.denoiser.parameters(), again.denoiser.parameters(), strict=True):
        torch.testing.assert_close(before, after, rtol=0, atol=0)


def test_processes_read_blocks_of_their_own(store):
    ds = xr.open_zarr(store, consolidated=False)
    spec = FieldSpec.from_dataset(ds)
    packed, clock = spec.pack(ds), spec.clock(ds)
    statistics = Statistics.fit(packed, clock, kind="variable")

    def pool(rank: int, size: int, position: Position | None = None) -> BlockPool:
        return BlockPool(
            packed, clock, statistics, window=2, limit=2 * 16 * 4 * 144, part=(rank, size),
            position=position,
        )  # fmt: skip

    def read(pool: BlockPool) -> list[int]:
        found = [block.index for block in pool.blocks]
        for _ in range(len(pool.ranges) - len(found)):
            pool.refresh()
            found.append(pool.blocks[-1].index)
        return found

    blocks = len(pool(0, 1).ranges)
    assert blocks >= 4 and sorted(read(pool(0, 1))) == list(range(blocks))
    halves = [set(read(pool(rank, 2))[: blocks // 2]) for rank in range(2)]
    assert len(halves[0]) == len(halves[1]) == blocks // 2
    assert halves[0] | halves[1] == set(range(blocks))
    # gone on from the position of the first process, the second holds what it held
    first, second = pool(0, 2), pool(1, 2)
    for each in (first, second):
        each.refresh()
    again = pool(1, 2, first.position(7))
    assert [b.index for b in again.blocks] == [b.index for b in second.blocks]
    second.refresh(), again.refresh()
    assert again.blocks[-1].index == second.blocks[-1].index
