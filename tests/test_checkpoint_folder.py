"""The folder of a training: two states, the newest good one found, intervals kept."""

from __future__ import annotations

import os

import numpy as np
import pytest

from xdiffimpute import checkpoint_folder
from xdiffimpute.checkpoint import read
from xdiffimpute.checkpoint_folder import EVERY, STATE, CheckpointFolder
from xdiffimpute.exceptions import CheckpointError, OutputExistsError

ARRAYS = {"a": np.arange(3.0), "scalar": np.array(2.0, dtype=np.float32)}


@pytest.fixture
def folder(tmp_path):
    found = CheckpointFolder(tmp_path / "deep" / "run")
    assert not found.open(resume=False)
    yield found
    found.close()


def names(folder):
    return sorted(path.name for path in folder.path.iterdir())


def test_the_two_newest_stay(folder):
    for step in (9, 10, 1000, 999_999_999):
        folder.save(step, ARRAYS, {"n": step})
    assert names(folder) == ["step-000001000.safetensors", "step-999999999.safetensors"]
    arrays, config = folder.latest()
    assert config == {"n": 999_999_999}
    assert arrays["scalar"].shape == () and arrays["scalar"] == 2.0


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be locked there")
def test_one_training_at_a_time(folder):
    folder.prepare(ARRAYS, {})
    other = CheckpointFolder(folder.path)
    with pytest.raises(OutputExistsError, match="a training that is running writes"):
        other.open(resume=True)
    folder.close()
    assert other.open(resume=True)
    other.close()


def test_states_of_an_abandoned_future_are_removed(folder):
    for step in (1, 2, 3):
        folder.save(step, ARRAYS, {"n": step})
    (folder.path / "step-000000003.safetensors").write_bytes(b"")
    assert folder.latest()[1] == {"n": 2}
    folder.prepare(ARRAYS, {})
    folder.save(2, ARRAYS, {"n": 22})
    assert folder.latest()[1] == {"n": 22}
    assert names(folder) == ["prepared.safetensors", "step-000000002.safetensors"]


def test_leftovers_of_a_killed_process_go(folder):
    folder.prepare(ARRAYS, {})
    for name in (".step-000000003.safetensors.ab12", ".prepared.safetensors.xy"):
        (folder.path / name).write_bytes(b"half")
    (folder.path / "step-mine.safetensors").touch()
    (folder.path / ".mine").touch()
    assert folder.open(resume=True)
    assert names(folder) == [".mine", "prepared.safetensors", "step-mine.safetensors"]
    assert folder.latest() is None


def test_intervals(folder, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpoint_folder.time, "monotonic", lambda: now[0])
    folder.save(1, ARRAYS, {})
    now[0] = EVERY - 1
    assert not folder.due()
    now[0] = EVERY
    assert folder.due()
    folder.cost = 10.0  # half a percent of 2000 seconds
    now[0] = 1999.0
    assert not folder.due()
    now[0] = 2000.0
    assert folder.due()
    folder.every = 60.0  # as asked for
    now[0] = 60.0
    assert folder.due()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"cannot write checkpoints to the folder"):
        CheckpointFolder(tmp_path / "file" / "run").open(resume=False)


def test_the_kind_of_a_file_is_known(folder):
    folder.save(1, ARRAYS, {})
    path = folder.path / "step-000000001.safetensors"
    with pytest.raises(CheckpointError, match="not an imputer of xdiffimpute"):
        read(path)
    assert read(path, STATE)[1] == {}
