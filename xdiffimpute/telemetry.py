"""How fast a training runs, how long it waits for data, and how much memory it takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TypeVar

import torch

from .history import History

__all__ = ["Telemetry", "peak_memory"]

T = TypeVar("T")


class Telemetry:
    """Counts into a :class:`xdiffimpute.history.History`, and tells rates since the last look.

    Parameters
    ----------
    history : History
        Its ``samples``, ``waiting`` and ``memory`` are kept up to date.
    device : torch.device
    """

    def __init__(self, history: History, device: torch.device) -> None:
        self.history, self.device = history, device
        self._looked = (time.perf_counter(), history.samples, history.waiting)

    def draw(self, source: Iterator[T]) -> T:
        """The next item; the time it takes is waiting."""
        began = time.perf_counter()
        item = next(source)
        self.history.waiting += time.perf_counter() - began
        return item

    def look(self) -> dict[str, float]:
        """Numbers since the last look.

        Returns
        -------
        dict of str to float
            ``samples_per_second``; ``waiting``, the share of the time; ``memory``, the peak so far
            in bytes.
        """
        now, history = time.perf_counter(), self.history
        began, samples, waiting = self._looked
        self._looked = (now, history.samples, history.waiting)
        history.memory = max(history.memory, peak_memory(self.device))
        taken = max(now - began, 1e-9)
        return {
            "samples_per_second": (history.samples - samples) / taken,
            "waiting": min(1.0, (history.waiting - waiting) / taken),
            "memory": float(history.memory),
        }


def peak_memory(device: torch.device) -> int:
    """The most bytes in use so far: tensors on a GPU, else of the process; 0 if nobody knows."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)
