"""How every command behaves: the log on standard error, errors as messages, examples in the help.

Nothing heavy is imported, so that help and completion answer at once; commands import what they
need when they run.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from .cli_options import is_quiet
from .exceptions import ImputeError, TrainingInterrupted

__all__ = ["ImputeGroup", "dask_bar", "logging_to_stderr"]

log = logging.getLogger("xdiffimpute")

# Of the libraries whose messages would else miss -q, or appear twice.
OTHERS = ("py.warnings", "multiurl")


class ImputeGroup(click.Group):
    """A group whose commands end in a message and exit code 2 where an ImputeError is raised."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TrainingInterrupted as error:
            raise _Terminated(str(error)) from error
        except ImputeError as error:
            raise _Failure(str(error)) from error
        except KeyboardInterrupt as stop:
            if not stop.args:
                raise
            raise _Cancelled(str(stop)) from stop


class _Failure(click.ClickException):
    exit_code = 2


class _Terminated(click.ClickException):
    exit_code = 128 + signal.SIGTERM


class _Cancelled(click.ClickException):
    exit_code = 128 + signal.SIGINT


class _Handler(logging.Handler):
    """Log records as plain lines on standard error, above any progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < log.getEffectiveLevel():  # of other libraries, after -q
            return
        prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        line = prefix + self.format(record)
        if "tqdm" in sys.modules:  # where there may be a bar, which has to step aside
            from tqdm import tqdm

            tqdm.write(line, file=sys.stderr)
        else:
            click.echo(line, err=True)


def logging_to_stderr(ctx: click.Context) -> None:
    """Show the log while a command runs.

    Parameters
    ----------
    ctx : click.Context
        Of the group; its end is that of the command.
    """
    handler = _Handler()
    if not ctx.ensure_object(dict):
        log.setLevel(logging.INFO)
    loggers = [log, *(logging.getLogger(name) for name in OTHERS)]
    for logger in loggers:
        logger.addHandler(handler)
    logging.captureWarnings(True)

    def restore() -> None:
        logging.captureWarnings(False)
        for logger in loggers:
            logger.removeHandler(handler)

    ctx.call_on_close(restore)


@contextmanager
def dask_bar(ctx: click.Context, *, when: bool = True) -> Iterator[None]:
    """A progress bar of what dask computes, where somebody looks at standard error.

    Parameters
    ----------
    ctx : click.Context
    when : bool
        Whether there is anything to show.

    Yields
    ------
    None
    """
    if not when or is_quiet(ctx) or not sys.stderr.isatty():
        yield
        return
    from dask.diagnostics.progress import ProgressBar

    with ProgressBar(minimum=1.0, out=sys.stderr):
        yield
