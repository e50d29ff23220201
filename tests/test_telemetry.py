"""Speed, waiting and memory: counted, shown, and written row by row."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import sys
import types

import pytest
import torch
from resumable import QUICK, at_loss, fit, make

from xdiffimpute import telemetry
from xdiffimpute.denoiser import Denoiser
from xdiffimpute.exceptions import CheckpointError, ImputeError, OutputExistsError
from xdiffimpute.fitted import Fitted
from xdiffimpute.history import History
from xdiffimpute.telemetry import Telemetry, peak_memory
from xdiffimpute.training_log import COLUMNS, CsvLog, check_log

pytestmark = pytest.mark.usefixtures("hasty")

CPU = torch.device("cpu")


def rows(path):
    with path.open(newline="") as f:
        return list(csv.DictReader(f))


def test_rates_since_the_last_look(monkeypatch):
    clock = itertools.count(100.0)  # each look at the clock is a second after the one before
    monkeypatch.setattr(telemetry.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(telemetry, "peak_memory", lambda _: 7 * 2**20)
    history = History(samples=50, waiting=20.0)
    counter = Telemetry(history, CPU)
    assert counter.draw(iter("ab")) == "a"
    history.samples += 12
    assert counter.look() == {
        "samples_per_second": 4.0, "waiting": 1 / 3, "memory": 7 * 2.0**20
    }  # fmt: skip
    assert counter.look()["samples_per_second"] == 0.0
    assert (history.waiting, history.memory) == (21.0, 7 * 2**20)


def test_memory_of_the_process():
    before = peak_memory(CPU)
    kept = torch.ones(before // 4 + 2**24)
    assert peak_memory(CPU) >= before + 2**25 > kept.numel()


def test_history_keeps_it_in_the_file(tmp_path):
    imputer = fit(make(), **QUICK)
    history = imputer.fitted.history
    assert history.samples == 12
    assert history.memory > 2**20
    assert 0 < history.waiting < history.seconds + 60
    imputer.save(tmp_path / "m.imputer")
    assert Fitted.load(tmp_path / "m.imputer").history == history


def test_the_bar_shows_it(capsys):
    fit(make(), **QUICK, progress=True)
    said = capsys.readouterr().err
    assert all(f"{word}=" in said for word in ("samples/s", "waiting", "memory", "withheld"))


def test_csv_of_a_resumed_training(tmp_path, monkeypatch):
    """Rows after the checkpoint are written once more, not twice."""
    whole, log = tmp_path / "whole.csv", tmp_path / "run.csv"
    options = QUICK | {"steps": 24, "training": {"checks": 4}}
    fit(make(), log_to=whole, **options)
    found = rows(whole)
    assert list(found[0]) == list(COLUMNS)
    assert [row["step"] for row in found] == ["6", "10", "12", "18", "20", "24"]
    assert [row["withheld"] != "" for row in found] == [True, False, True, True, False, True]
    options |= {"checkpoint": tmp_path / "run", "log_to": log}
    with monkeypatch.context() as patched:
        patched.setattr(Denoiser, "loss", at_loss(21, lambda: 1 / 0))
        with pytest.raises(ZeroDivisionError):
            fit(make(), **options | {"checkpoint_every": "1d"})
    assert [row["step"] for row in rows(log)] == ["6", "10", "12", "18", "20"]
    with log.open("a") as f:
        f.write("20,1.0")  # killed while it wrote
    fit(make(), resume=True, **options)
    names = ("step", "loss", "withheld", "learning_rate")
    assert [[r[n] for n in names] for r in rows(log)] == [[r[n] for n in names] for r in found]


def test_csv_on_a_full_disk(tmp_path):
    (tmp_path / "run.csv").symlink_to("/dev/full")
    with pytest.raises(CheckpointError, match=r"cannot write the log to .*No space left"):
        CsvLog(tmp_path / "run.csv")


def test_tensorboard(tmp_path, monkeypatch):
    said = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            said.append((folder, purge_step))

        def add_scalar(self, *arguments):
            said.append(arguments)

        def close(self):
            said.append("closed")

    module = types.ModuleType("torch.utils.tensorboard.writer")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", module)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    fit(make(), log_to=tmp_path / "runs", **QUICK)
    assert said[0] == (str(tmp_path / "runs"), None) and said[-1] == "closed"
    assert {name for name, *_ in said[1:-1]} == set(COLUMNS) - {"step"}
    assert [step for name, _, step in said[1:-1] if name == "withheld"] == [2, 4, 6]


def test_tensorboard_has_to_be_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImputeError, match=r"pip install 'xdiffimpute\[tensorboard\]', or give a"):
        fit(make(), log_to=tmp_path / "runs", **QUICK)


@pytest.mark.parametrize("name", ["absent/run.csv", "folder.csv", "file"])
def test_places_that_cannot_be(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ImputeError, match="log_to="):
        check_log(tmp_path / name)


def test_a_table_that_is_no_log_is_not_replaced(tmp_path):
    table = tmp_path / "stations.csv"
    table.write_text("name,lat,lon\nBlue,1,2\n")
    with pytest.raises(OutputExistsError, match="stations.csv' exists and is no log of a training"):
        fit(make(), log_to=table, **QUICK)
    assert table.read_text().startswith("name,lat")
    with CsvLog(tmp_path / "run.csv"):
        pass
    check_log(tmp_path / "run.csv")
