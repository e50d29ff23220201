"""A file is whole or absent, cannot run code, and says what is wrong with it."""

import json
import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

from xdiffimpute.checkpoint import FORMAT, VERSION, read, write
from xdiffimpute.exceptions import CheckpointError

ARRAYS = {"a": np.arange(6.0, dtype=np.float32).reshape(2, 3), "flags": np.array([True, False])}


def test_round_trip(tmp_path):
    path = tmp_path / "m.imputer"
    write(path, ARRAYS, {"window": 5, "names": ["sst"]})
    arrays, config = read(path)
    np.testing.assert_array_equal(arrays["a"], ARRAYS["a"])
    assert arrays["flags"].tolist() == [1, 0]
    assert config == {"window": 5, "names": ["sst"]}
    assert [p.name for p in tmp_path.iterdir()] == ["m.imputer"]


def test_truncated(tmp_path):
    path = tmp_path / "m.imputer"
    write(path, ARRAYS, {})
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(CheckpointError, match=r"truncated or not an imputer.*save it again"):
        read(path)


def test_older_version(tmp_path):
    path = tmp_path / "old.imputer"
    header = {"format": FORMAT, "version": str(VERSION - 1), "config": "{}"}
    save_file(ARRAYS, path, metadata=header)
    with pytest.raises(CheckpointError, match=rf"format version {VERSION - 1}.*fit again"):
        read(path)


def test_newer_version(tmp_path):
    path = tmp_path / "m.imputer"
    header = {"format": FORMAT, "version": str(VERSION + 1), "config": "{}"}
    save_file(ARRAYS, path, metadata=header)
    with pytest.raises(
        CheckpointError, match=rf"format version {VERSION + 1}.*upgrade with: pip install"
    ):
        read(path)


@pytest.mark.parametrize("metadata", [None, {"format": "other"}])
def test_someone_elses_safetensors(tmp_path, metadata):
    path = tmp_path / "m.safetensors"
    save_file(ARRAYS, path, metadata=metadata)
    with pytest.raises(CheckpointError, match="not an imputer of xdiffimpute"):
        read(path)


def test_a_pickle_is_refused_unopened(tmp_path):
    path = tmp_path / "m.pt"

    class Evil:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'owned')!r}, 'w')",))

    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match="not an imputer"):
        read(path)
    assert not (tmp_path / "owned").exists()


def test_missing(tmp_path):
    with pytest.raises(CheckpointError, match="no imputer file"):
        read(tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"is a folder, and an imputer is one file.*resume"):
        read(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "m.imputer"
    write(path, ARRAYS, {"n": 1})
    with pytest.raises(TypeError):
        write(path, ARRAYS, {"n": object()})
    assert read(path)[1] == {"n": 1}
    with pytest.raises(CheckpointError, match="give a path in an existing folder"):
        write(tmp_path / "absent" / "m.imputer", ARRAYS, {})


def test_configuration_is_plain_json(tmp_path):
    path = tmp_path / "m.imputer"
    write(path, ARRAYS, {"x": [1, 2.5, None]})
    length = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + length])
    assert json.loads(header["__metadata__"]["config"]) == {"x": [1, 2.5, None]}
