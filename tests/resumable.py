"""A small fit that is stopped on purpose, and how two fits are compared; for several processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xarray as xr

from xdiffimpute import checkpoint, checkpoint_folder
from xdiffimpute.denoiser import Denoiser
from xdiffimpute.diffusion import DiffusionImputer

STEPS = 6
EVERY_STEP = 1e-9
QUICK = {"method": "paper"}  # without first guesses to tune


def make(frames: int = 14, seed: int = 0) -> xr.Dataset:
    """Waves with gaps; the first frames do not depend on how many there are."""
    t, y, x = np.meshgrid(np.arange(frames), np.arange(6), np.arange(7), indexing="ij")
    values = 10 + 2 * np.sin(x / 3.0 + t / 5.0) + np.cos(y / 2.0)
    values[np.random.default_rng(seed).random(values.shape) < 0.3] = np.nan
    days = np.arange(frames) * np.timedelta64(1, "D")
    return xr.Dataset(
        {"sst": (("time", "lat", "lon"), values.astype("float32"))},
        {
            "time": np.datetime64("2005-03-01", "ns") + days,
            "lat": np.linspace(40, 44, 6),
            "lon": np.linspace(-10, -5, 7),
        },
    )


def fit(ds: xr.Dataset, **options: Any) -> DiffusionImputer:
    """A fit of a few steps, each of which is followed by a checkpoint if there is a folder."""
    settings: dict[str, Any] = {
        "steps": STEPS, "window": 3, "batch": 2, "statistics": "variable", "progress": False,
        "summary": False, "training": {"checks": 3},
    }  # fmt: skip
    if options.get("checkpoint") is not None:
        settings["checkpoint_every"] = EVERY_STEP
    return DiffusionImputer(**settings | options).fit(ds)


def assert_same(one: DiffusionImputer, other: DiffusionImputer) -> None:
    """Bit for bit, but for the time that it took."""
    a, b = one.fitted, other.fitted
    for left, right in (
        (a.denoiser.state_dict(), b.denoiser.state_dict()),
        (
            {k: v.to_dict() for k, v in a.calibration.items()},
            {k: v.to_dict() for k, v in b.calibration.items()},
        ),
        (a.to_arrays()[0], b.to_arrays()[0]),
    ):
        assert left.keys() == right.keys()
        for name in left:
            np.testing.assert_array_equal(np.asarray(left[name]), np.asarray(right[name]), name)
    for name in ("steps", "samples", "loss", "validation", "stopped"):
        assert getattr(a.history, name) == getattr(b.history, name), name
    assert (a.sampler, a.density, a.skill) == (b.sampler, b.density, b.skill)


def at_loss(number: int, act: Callable[[], Any]) -> Callable[..., Any]:
    """The loss of the denoiser; something is done when it is computed for the n-th time."""
    original, count = Denoiser.loss, iter(range(1, 10**6))

    def loss(self: Denoiser, *arguments: Any) -> Any:
        if next(count) == number:
            act()
        return original(self, *arguments)

    return loss


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_while_writing(number: int) -> None:
    """Be killed when half of the n-th file of a training is on the disk."""
    write, count = checkpoint_folder.write, iter(range(1, 10**6))

    def half(handle: int) -> None:
        os.ftruncate(handle, os.fstat(handle).st_size // 2)
        kill()

    def counted(*arguments: Any) -> None:
        if next(count) == number:
            checkpoint.os.fsync = half
        write(*arguments)

    checkpoint_folder.write = counted


if __name__ == "__main__":
    moment, folder, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    if moment == "mid-fit":
        Denoiser.loss = at_loss(4, kill)
    else:
        kill_while_writing(5)
    fit(make(), checkpoint=folder, **QUICK)
