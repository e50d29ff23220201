"""Work ahead on a background thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

__all__ = ["prefetch"]

T = TypeVar("T")


def prefetch(source: Iterator[T], depth: int = 3) -> Iterator[T]:
    """Draw from an iterator on a background thread, at most ``depth`` items ahead.

    Closing the generator stops the thread. An error of the source is raised here.
    """
    line: queue.Queue[T | BaseException] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def work() -> None:
        try:
            for item in source:
                while not stop.is_set():
                    try:
                        line.put(item, timeout=0.1)
                        break
                    except queue.Full:
                        continue
                if stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - handed to the consumer
            line.put(error)

    thread = threading.Thread(target=work, name="xdiffimpute-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item = line.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join(timeout=5)
