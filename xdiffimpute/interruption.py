"""SIGTERM and SIGINT during a training: noted, so that a step can be finished and saved first."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from .exceptions import TrainingInterrupted

__all__ = ["Interruption"]

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """A context in which a signal to stop is noted instead of acted on.

    Handlers are set on entering, in the main thread only, and what was there before is put back on
    leaving; a signal that nobody acted on by then is sent again. A signal that is ignored stays so.
    A second SIGINT stops at once.

    Parameters
    ----------
    listen : bool
        Whether to set handlers at all.

    Attributes
    ----------
    received : signal.Signals or None
        What arrived.
    """

    def __init__(self, *, listen: bool = True) -> None:
        self.listen = listen
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if self.listen and threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # None: set by other than Python, and could not be put back
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
        if self.received is not None and kind is None:
            signal.raise_signal(self.received)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)

    def stop(self, message: str) -> NoReturn:
        """Raise what was received.

        Parameters
        ----------
        message : str

        Raises
        ------
        KeyboardInterrupt
            After SIGINT, so that a notebook or a script behaves as always.
        TrainingInterrupted
            After SIGTERM.
        """
        if self.received is signal.SIGINT:
            raise KeyboardInterrupt(message)
        raise TrainingInterrupted(message)
