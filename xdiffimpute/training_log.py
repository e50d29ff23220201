"""A record of a training, row by row: a CSV file, or a folder for TensorBoard."""

from __future__ import annotations

import csv
import importlib.util
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .exceptions import CheckpointError, ImputeError, OutputExistsError
from .folders import check_writable

__all__ = ["COLUMNS", "CsvLog", "TensorBoardLog", "TrainingLog", "check_log", "open_log"]

COLUMNS = (
    "step", "seconds", "loss", "withheld", "learning_rate", "samples_per_second", "waiting",
    "memory",
)  # fmt: skip


class TrainingLog(ABC):
    """Rows of :data:`COLUMNS`; a context that closes them."""

    @abstractmethod
    def write(self, row: Mapping[str, float]) -> None:
        """Add a row; ``withheld`` may be absent."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class CsvLog(TrainingLog):
    """A CSV file; each row is there as soon as it is written.

    Parameters
    ----------
    path : path
        A log that is there is replaced, but for the rows up to ``after``.
    after : int
        Steps that were done before a training is resumed.
    """

    def __init__(self, path: str | os.PathLike[str], after: int = 0) -> None:
        self.path = Path(path)
        kept = _rows_until(self.path, after)
        try:
            self._file = self.path.open("w", newline="", encoding="utf-8")
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._writer = csv.DictWriter(self._file, COLUMNS, restval="")
        self._put([dict(zip(COLUMNS, COLUMNS, strict=True)), *kept])

    def write(self, row: Mapping[str, float]) -> None:
        self._put([{name: f"{value:.10g}" for name, value in row.items()}])

    def _put(self, rows: list[dict[str, str]]) -> None:
        try:
            self._writer.writerows(rows)
            self._file.flush()
        except OSError as error:
            with suppress(OSError):
                self._file.close()
            raise _unwritable(self.path, error) from error

    def close(self) -> None:
        self._file.close()


class TensorBoardLog(TrainingLog):
    """A folder that ``tensorboard --logdir`` shows.

    Parameters
    ----------
    path : path
        Of the folder.
    after : int
        Steps that were done before a training is resumed; later ones are hidden.
    """

    def __init__(self, path: str | os.PathLike[str], after: int = 0) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        make: Any = SummaryWriter
        self._writer = make(str(path), purge_step=after + 1 if after else None)

    def write(self, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(row["step"]))

    def close(self) -> None:
        self._writer.close()


def check_log(path: str | os.PathLike[str]) -> None:
    """Refuse, before any work, what :func:`open_log` could not open.

    Raises
    ------
    ImputeError
    """
    name, place = os.fspath(path), Path(path)
    if place.suffix.lower() == ".csv":
        if not place.absolute().parent.is_dir() or place.is_dir():
            raise ImputeError(f"log_to={name!r} is not a file in a folder that exists")
        if place.is_file() and not _is_log(place):
            raise OutputExistsError(
                f"log_to={name!r} exists and is no log of a training; give another name"
            )
        check_writable(place.absolute().parent, "give log_to= a file in another one")
    elif place.is_file():
        raise ImputeError(
            f"log_to={name!r} is a file; give a name that ends in .csv, or a folder for TensorBoard"
        )
    elif importlib.util.find_spec("tensorboard") is None:
        raise ImputeError(
            f"log_to={name!r} is a folder for TensorBoard, which is not installed; install it with "
            "pip install 'xdiffimpute[tensorboard]', or give a file that ends in .csv"
        )


def open_log(path: str | os.PathLike[str], after: int = 0) -> TrainingLog:
    """A CSV file where the name ends in ``.csv``, else a folder for TensorBoard.

    Parameters
    ----------
    path : path
    after : int
        Steps that were done before a training is resumed.

    Returns
    -------
    TrainingLog
    """
    check_log(path)
    return (CsvLog if Path(path).suffix.lower() == ".csv" else TensorBoardLog)(path, after)


def _is_log(path: Path) -> bool:
    """Whether a file begins as a log does, or is empty."""
    with path.open(encoding="utf-8", errors="replace") as f:
        first = f.readline().strip()
    return first in ("", ",".join(COLUMNS))


def _rows_until(path: Path, step: int) -> list[dict[str, str]]:
    """Whole rows of an earlier part of the training, up to a step."""
    if not step or not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    whole = [row for row in rows if list(row) == list(COLUMNS) and row["memory"]]
    return [row for row in whole if row["step"].isdigit() and int(row["step"]) <= step]


def _unwritable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"cannot write the log to {str(path)!r}: {error.strerror or error}; give a path in a "
        "folder with free space"
    )
