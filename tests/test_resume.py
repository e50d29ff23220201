"""A training that is stopped, in whatever way, goes on as if nothing had happened."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from resumable import QUICK, STEPS, assert_same, at_loss, fit, make

import xdiffimpute  # noqa: F401 - registers .impute
from xdiffimpute import checkpoint
from xdiffimpute.checkpoint_folder import STATE
from xdiffimpute.denoiser import Denoiser
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.exceptions import (
    CheckpointError,
    ImputeError,
    OutputExistsError,
    TrainingInterrupted,
)

pytestmark = pytest.mark.usefixtures("hasty")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def quick():
    return fit(make(), **QUICK)


@pytest.fixture
def run(tmp_path):
    return tmp_path / "sst.run"


def stop(monkeypatch, ds, number, act=None, error=RuntimeError, **options):
    """A fit that ends in an error while the n-th step is taken."""

    def fail():
        raise error("stopped")

    with monkeypatch.context() as patched:
        patched.setattr(Denoiser, "loss", at_loss(number, act or fail))
        with pytest.raises(BaseException) as caught:
            fit(ds, **options)
    return caught.value


def steps_in(folder):
    return [int(p.stem.removeprefix("step-")) for p in sorted(folder.glob("step-*"))]


# Faults


@pytest.mark.parametrize("moment, last", [("mid-fit", 3), ("mid-checkpoint", 2)])
def test_killed(moment, last, run, quick):
    """kill -9, in another process."""
    script, threads = ROOT / "tests" / "resumable.py", str(torch.get_num_threads())
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, str(script), moment, str(run), threads],
        env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert steps_in(run) == [last - 1, last]
    left = [p for p in run.iterdir() if p.name.startswith(".")]
    assert len(left) == (moment == "mid-checkpoint")
    assert_same(fit(make(), checkpoint=run, resume=True, **QUICK), quick)
    assert not [p for p in run.iterdir() if p.name.startswith(".")]


def test_disk_full(run, quick, monkeypatch):
    original, count = checkpoint.tempfile.NamedTemporaryFile, iter(range(1, 100))

    def small_disk(**options):
        file = original(**options)
        if next(count) >= 5:
            write = file.write

            def half(data):
                write(data[: len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            file.write = half
        return file

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.tempfile, "NamedTemporaryFile", small_disk)
        with pytest.raises(
            CheckpointError, match=r"cannot write the state of a training to .*000003.*No space"
        ):
            fit(make(), checkpoint=run, **QUICK)
    assert sorted(p.name for p in run.iterdir()) == [
        "prepared.safetensors", "step-000000001.safetensors", "step-000000002.safetensors",
    ]  # fmt: skip
    assert_same(fit(make(), checkpoint=run, resume=True, **QUICK), quick)


@pytest.fixture
def from_the_store(monkeypatch):
    """Data are read block by block during the training, however small they are."""
    monkeypatch.setattr("xdiffimpute.pool.POOL_BYTES", 2500)


@pytest.mark.usefixtures("from_the_store")
def test_the_store_grows_meanwhile(run, tmp_path, monkeypatch, caplog):
    """While the training runs, and again before it goes on, read in other chunks."""
    store, options = tmp_path / "sst.zarr", QUICK | {"steps": 12, "batch": 1}
    make(40).chunk(time=4).to_zarr(store, consolidated=False)
    undisturbed = fit(xr.open_zarr(store, consolidated=False), **options)

    def grow():
        frames = make(46).isel(time=slice(40, None))
        frames.chunk(time=4).to_zarr(store, append_dim="time", consolidated=False)

    def grow_and_go_on():
        grow()
        signal.raise_signal(signal.SIGTERM)

    said = stop(monkeypatch, xr.open_zarr(store, consolidated=False), 9, grow_and_go_on,
                checkpoint=run, **options)  # fmt: skip
    assert isinstance(said, TrainingInterrupted)
    now = xr.open_zarr(store, consolidated=False, chunks={"time": 8})
    assert now.sizes["time"] == 46
    resumed = fit(now, checkpoint=run, resume=True, **options)
    assert "6 frames were added along 'time'" in caplog.text
    assert "the 40 frames that it knows, up to 2005-04-09" in caplog.text
    assert_same(resumed, undisturbed)


def test_data_in_memory_have_grown(run, quick, monkeypatch, caplog):
    stop(monkeypatch, make(), 4, checkpoint=run, **QUICK)
    assert_same(fit(make(19), checkpoint=run, resume=True, **QUICK), quick)
    assert "5 frames were added along 'time'" in caplog.text


@pytest.mark.usefixtures("sigint_is_heard")
@pytest.mark.parametrize(
    "number, kind", [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, TrainingInterrupted)]
)
def test_signals_finish_the_step_and_save(number, kind, run, quick, monkeypatch):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    said = stop(monkeypatch, make(), 3, lambda: signal.raise_signal(number),
                checkpoint=run, checkpoint_every="1d", **QUICK)  # fmt: skip
    assert isinstance(said, kind)
    assert f"stopped by {number.name} after 3 steps" in str(said)
    assert f"saved in {str(run)!r}; go on by the same call with resume=True" in str(said)
    assert steps_in(run) == [0, 3]
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    assert_same(fit(make(), checkpoint=run, resume=True, **QUICK), quick)


@pytest.mark.usefixtures("sigint_is_heard")
def test_a_second_sigint_stops_at_once(run, monkeypatch):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    said = stop(monkeypatch, make(), 3, twice, checkpoint=run, **QUICK)
    assert isinstance(said, KeyboardInterrupt) and not said.args
    assert steps_in(run) == [1, 2]


@pytest.mark.usefixtures("sigint_is_heard")
def test_without_checkpoints_signals_are_left_alone(monkeypatch):
    said = stop(monkeypatch, make(), 2, lambda: signal.raise_signal(signal.SIGINT), **QUICK)
    assert isinstance(said, KeyboardInterrupt) and not said.args


def test_other_threads_set_no_handlers(run, quick):
    found = []
    thread = threading.Thread(target=lambda: found.append(fit(make(), checkpoint=run, **QUICK)))
    thread.start()
    thread.join()
    assert_same(found[0], quick)


# The same result


@pytest.mark.parametrize("summary", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_with_first_guesses_and_several_stops(summary, run, monkeypatch):
    whole = fit(make(), summary=summary)
    stop(monkeypatch, make(), 3, checkpoint=run, summary=summary)
    stop(monkeypatch, make(), 2, checkpoint=run, resume=True, summary=summary)
    monkeypatch.setattr(Denoiser, "start_from", None)
    monkeypatch.setattr("xdiffimpute.fitting._prepare", None)
    resumed = fit(make(), checkpoint=run, resume=True, summary=summary)
    assert bool(resumed.fitted.skill) == summary
    assert_same(resumed, whole)


def test_stopped_before_the_first_step(run, quick, monkeypatch):
    stop(monkeypatch, make(), 1, checkpoint=run, **QUICK)
    assert steps_in(run) == [0]
    monkeypatch.setattr("xdiffimpute.fitting._prepare", None)
    assert_same(fit(make(), checkpoint=run, resume=True, **QUICK), quick)


def test_first_guesses_are_found_once(run, monkeypatch):
    """They can take as long as many steps; the windows that they take are not seen again."""
    whole = fit(make(), summary=False)
    stop(monkeypatch, make(), 1, checkpoint=run, summary=False)
    monkeypatch.setattr(Denoiser, "start_from", None)
    assert_same(fit(make(), checkpoint=run, resume=True, summary=False), whole)


def test_what_is_finished_is_not_trained_again(run, quick, monkeypatch):
    assert_same(fit(make(), checkpoint=run, resume=True, **QUICK), quick)
    assert steps_in(run) == [STEPS - 1, STEPS]
    monkeypatch.setattr(Denoiser, "loss", None)
    assert_same(fit(make(), checkpoint=run, resume=True, **QUICK), quick)


def test_a_damaged_checkpoint_is_passed_over(run, quick, monkeypatch, caplog):
    stop(monkeypatch, make(), 5, checkpoint=run, **QUICK)
    newest = run / "step-000000004.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    assert_same(fit(make(), checkpoint=run, resume=True, **QUICK), quick)
    assert "truncated" in caplog.text and "the checkpoint before it is taken" in caplog.text


def test_all_damaged(run, monkeypatch):
    stop(monkeypatch, make(), 4, checkpoint=run, **QUICK)
    for path in run.glob("step-*"):
        path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="remove the folder and fit afresh"):
        fit(make(), checkpoint=run, resume=True, **QUICK)


@pytest.fixture
def no_summary(monkeypatch):
    original = DiffusionImputer.__init__

    def without(self, **options):
        original(self, **options, summary=False)

    monkeypatch.setattr(DiffusionImputer, "__init__", without)


@pytest.mark.usefixtures("no_summary")
def test_by_the_accessors(run, tmp_path):
    """Each group of a tree has its own folder."""
    options = {"steps": 1, "window": 3, "batch": 2, "method": "paper", "progress": False}
    options |= {"checkpoint": run, "checkpoint_every": "5min", "resume": True}
    imputer = make().impute.fit(**options, log_to=tmp_path / "run.csv")
    assert imputer.fitted.history.samples == 2
    assert len((tmp_path / "run.csv").read_text().splitlines()) == 2
    dt = xr.DataTree.from_dict({"/": make(), "/fine/one": make(seed=1)})
    dt.impute.fit(**options)
    assert steps_in(run) == steps_in(run / "fine" / "one") == [0, 1]
    with pytest.raises(ImputeError, match="log_to= is the log of one training"):
        dt.impute.fit(log_to="run.csv", **options)


def test_a_finished_training_takes_more_steps(run, quick, caplog):
    """And its log says that the result is not that of one run."""
    first = fit(make(), checkpoint=run, **QUICK)
    more = fit(make(), checkpoint=run, resume=True, **QUICK | {"steps": STEPS + 4})
    assert f"steps={STEPS} (now {STEPS + 4})" in caplog.text
    assert (first.fitted.history.steps, more.fitted.history.steps) == (STEPS, STEPS + 4)
    assert more.fitted.history.stopped == quick.fitted.history.stopped
    losses = [step for step, _ in more.fitted.history.loss]
    assert losses == sorted(losses) and max(losses) == STEPS + 4
    again = fit(make(), checkpoint=run, resume=True, **QUICK | {"steps": STEPS + 4})
    assert_same(again, more)


# What is refused


@pytest.fixture
def begun(run, monkeypatch):
    stop(monkeypatch, make(), 2, checkpoint=run, **QUICK)
    return run


@pytest.mark.parametrize(
    "options, said",
    [
        ({"seed": 1}, r"was begun with seed=0 \(now 1\); give the same again, or start afresh"),
        ({"partition": "pixel", "log": ["sst"]}, r"partition='auto' \(now 'pixel'\), log=\[\]"),
        ({"method": "standard"}, r"method='paper' \(now 'standard'\)"),
    ],
)
def test_other_options(options, said, begun):
    with pytest.raises(CheckpointError, match=said):
        fit(make(), checkpoint=begun, resume=True, **QUICK | options)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda ds: ds.isel(time=slice(10)), "begun with 14 frames, of which number 10 was 2005"),
        (lambda ds: ds.isel(time=slice(1, None)), "number 0 was 2005-03-01.*here 2005-03-02"),
        (lambda ds: ds + 1, "other values: 14 of the 14 frames .* the first is 2005-03-01"),
        (lambda ds: ds.rename(sst="temperature"), "other variables: .*temperature"),
        (lambda ds: ds.assign_coords(lat=ds["lat"] + 1), "begun with other grid"),
        (lambda ds: ds.expand_dims(member=2), "begun with other series_dims"),
    ],
)
def test_other_data(change, said, begun):
    with pytest.raises(CheckpointError, match=said):
        fit(change(make()), checkpoint=begun, resume=True, **QUICK)


def test_one_changed_frame_is_noticed(begun):
    ds = make()
    ds["sst"][7, 0, 0] = 3.0
    with pytest.raises(CheckpointError, match="1 of the 14 frames.*the first is 2005-03-08"):
        fit(ds, checkpoint=begun, resume=True, **QUICK)


def test_a_folder_in_use_is_not_overwritten(begun):
    with pytest.raises(OutputExistsError, match=r"holds a training of 1 steps.*resume=True"):
        fit(make(), checkpoint=begun, **QUICK)


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CheckpointError, match="is a file; give the name of a folder"):
        fit(make(), checkpoint=tmp_path / "file", **QUICK)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("options", [{"resume": True}, {"checkpoint_every": "5min"}])
def test_a_folder_has_to_be_named(options):
    with pytest.raises(ImputeError, match="give it with checkpoint='run.ckpt'"):
        fit(make(), **QUICK | options)


def test_an_interval_that_is_none(run):
    with pytest.raises(ImputeError, match="checkpoint_every='often' is not a time"):
        fit(make(), checkpoint=run, checkpoint_every="often", **QUICK)
    assert not run.exists()


def test_another_machine_is_said(begun, monkeypatch, caplog):
    monkeypatch.setattr("xdiffimpute.resumption.torch.get_num_threads", lambda: 99)
    with caplog.at_level(logging.WARNING):
        fit(make(), checkpoint=begun, resume=True, **QUICK)
    assert "goes on with 99: the result may differ" in caplog.text


def test_another_device_is_said(begun, caplog):
    """The noise of a GPU cannot go on elsewhere."""
    path = begun / "step-000000001.safetensors"
    arrays, config = checkpoint.read(path, STATE)
    checkpoint.write(path, arrays | {"generator": np.zeros(16)}, config | {"device": "cuda"}, STATE)
    resumed = fit(make(), checkpoint=begun, resume=True, **QUICK)
    assert "began on cuda and goes on on cpu, with other noise" in caplog.text
    assert resumed.fitted.history.steps == STEPS


def test_elapsed_time_counts(run, monkeypatch):
    """The limit in time is for all parts of a training together."""
    stop(monkeypatch, make(), 4, checkpoint=run, steps=None, max_time="10h", **QUICK)
    content = checkpoint.read(run / "step-000000003.safetensors", STATE)
    content[1]["history"]["seconds"] = 36000.0
    checkpoint.write(run / "step-000000003.safetensors", *content, STATE)
    resumed = fit(make(), checkpoint=run, resume=True, steps=None, max_time="10h", **QUICK)
    assert resumed.fitted.history.steps == 4
    assert np.isfinite(resumed.fitted.history.loss[-1][1])
