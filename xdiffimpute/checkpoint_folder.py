"""The folder of a training that can be resumed: what was decided before it, and where it stands.

``prepared.safetensors`` is written once, before the first step: statistics, partition, withheld
cells. ``step-*.safetensors`` hold the state of the training after so many steps; the two newest
stay, so that there is a good one at every moment, also while the next is being written.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from pathlib import Path
from typing import Any

from ._typing import AnyArray
from .checkpoint import Kind, read, write
from .exceptions import CheckpointError, OutputExistsError

__all__ = ["EVERY", "CheckpointFolder", "Content"]

log = logging.getLogger("xdiffimpute")

EVERY = 300.0
SHARE = 0.005  # of the time, that writing may take where the user names no interval
KEPT = 2
PREPARED = "prepared.safetensors"
STEPS = "step-*.safetensors"
TEMPORARY = (f".{PREPARED}.*", f".{STEPS}.*")
AFRESH = "start afresh with checkpoint= in another folder"

PREPARATION = Kind("xdiffimpute-preparation", 2, "preparation of a training", AFRESH)
STATE = Kind("xdiffimpute-training", 4, "state of a training", AFRESH)

Content = tuple[dict[str, AnyArray], dict[str, Any]]


class CheckpointFolder:
    """Checkpoints of one training.

    Parameters
    ----------
    path : path
        Of the folder; made where it does not exist.
    every : float, optional
        Seconds from one checkpoint to the next. Default: five minutes, or more if writing one
        takes so long that it would cost more than half a percent of the time.
    """

    def __init__(self, path: str | os.PathLike[str], every: float | None = None) -> None:
        self.path = Path(path)
        self.every = every
        self.cost = 0.0
        self._lock: int | None = None
        self._last = time.monotonic()

    def open(self, *, resume: bool) -> bool:
        """Make the folder, and tell whether there is something to go on from.

        Parameters
        ----------
        resume : bool
            Whether what is there may be gone on from.

        Raises
        ------
        OutputExistsError
            If a training is there, and is not to be resumed, or is running.
        CheckpointError
            If there can be no such folder.
        """
        name = str(self.path)
        if self.path.exists() and not self.path.is_dir():
            raise CheckpointError(
                f"checkpoint={name!r} is a file; give the name of a folder, which is made if it "
                "does not exist"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.close()
            self._lock = _lock(self.path)
            if self._lock is None:
                raise OutputExistsError(
                    f"a training that is running writes its checkpoints to {name!r}; wait for it, "
                    "or give another checkpoint="
                )
            for pattern in TEMPORARY:  # of a process that was killed while it wrote
                for left in self.path.glob(pattern):
                    left.unlink()
        except OSError as error:
            raise CheckpointError(
                f"cannot write checkpoints to the folder {name!r}: {error.strerror}; give another "
                "with checkpoint="
            ) from error
        there = (self.path / PREPARED).exists() or bool(self._states())
        if there and not resume:
            steps = _step(self._states()[-1]) if self._states() else 0
            raise OutputExistsError(
                f"{name!r} holds a training of {steps} steps already; go on with it by resume=True "
                "(--resume on the command line), remove the folder, or give another checkpoint="
            )
        return (self.path / PREPARED).exists()

    def close(self) -> None:
        """Let others use the folder; so does the end of the process."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def prepare(self, arrays: dict[str, AnyArray], config: dict[str, Any]) -> None:
        """Keep what was decided before the training."""
        write(self.path / PREPARED, arrays, config, PREPARATION)

    def prepared(self) -> Content:
        """What :meth:`prepare` kept."""
        return read(self.path / PREPARED, PREPARATION)

    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        every = max(EVERY, self.cost / SHARE) if self.every is None else self.every
        return time.monotonic() - self._last >= every

    def save(self, step: int, arrays: dict[str, AnyArray], config: dict[str, Any]) -> None:
        """Keep a state, and no more than the one before it.

        Raises
        ------
        CheckpointError
            If it cannot be written; those before are left as they were.
        """
        began = time.monotonic()
        write(self.path / STEPS.replace("*", f"{step:09d}"), arrays, config, STATE)
        states = self._states()
        later = [path for path in states if _step(path) > step]  # damaged, or not gone on from
        earlier = [path for path in states if _step(path) <= step]
        for path in later + earlier[:-KEPT]:
            path.unlink(missing_ok=True)
        self._last = time.monotonic()
        self.cost = self._last - began

    def latest(self) -> Content | None:
        """The newest state that can be read; None before the first.

        Raises
        ------
        CheckpointError
            If there are states and none can be read.
        """
        errors = []
        for path in reversed(self._states()):
            try:
                return read(path, STATE)
            except CheckpointError as error:
                log.warning("%s: the checkpoint before it is taken", error)
                errors.append(error)
        if errors:
            raise CheckpointError(
                f"no checkpoint in {str(self.path)!r} can be read; remove the folder and fit "
                f"afresh ({errors[0]})"
            ) from errors[0]
        return None

    def _states(self) -> list[Path]:
        return sorted((p for p in self.path.glob(STEPS) if _step(p) >= 0), key=_step)


def _step(path: Path) -> int:
    """Number of steps in the name of a state, or -1."""
    number = path.name.removeprefix("step-").removesuffix(".safetensors")
    return int(number) if number.isdigit() else -1


def _lock(folder: Path) -> int | None:
    """A descriptor that keeps others out until it is closed; None if somebody else has one."""
    if os.name == "nt":  # folders cannot be locked there
        return os.open(os.devnull, os.O_RDONLY)
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP):  # of a file system without locks
            os.close(descriptor)
            return None
    return descriptor
