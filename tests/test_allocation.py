"""A worker of dask.distributed keeps the memory of a network's layers."""

import os
import subprocess
import sys

import pytest

from xdiffimpute.allocation import keep_memory

FAULTS = """
import resource, sys, torch
from xdiffimpute.allocation import keep_memory
if sys.argv[1] == "kept":
    assert keep_memory()
layer = torch.ones(2_000_000)  # 8 MB
for k in range(50):
    if k == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    layer * 2.0 + 1.0
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(what: str, **environ: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, what], env={**os.environ, **environ}, check=True, text=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="about the GNU C library")
def test_layers_are_not_mapped_anew_on_a_worker():
    limited = {"MALLOC_TRIM_THRESHOLD_": "65536"}  # as dask's nanny sets it
    anew = faults("as it is", **limited)
    assert anew > 10_000
    assert faults("kept", **limited) < anew / 10


def test_nothing_is_set_where_nothing_is_limited(monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    assert not keep_memory()
