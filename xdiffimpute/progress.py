"""Progress bars on standard error: smooth on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

__all__ = ["progress_bar"]

SECONDS = 15.0


def progress_bar(
    items: Iterable[Any] | None = None,
    *,
    show: bool,
    desc: str,
    unit: str,
    total: int | None = None,
    initial: int = 0,
) -> tqdm[Any]:
    """A bar over ``items``, or one that is moved by hand.

    Parameters
    ----------
    items : iterable, optional
    show : bool
    desc, unit : str
    total : int, optional
    initial : int
        What was done before.
    """
    pause = 0.1 if sys.stderr.isatty() else SECONDS
    return tqdm(
        items, total=total, initial=initial, disable=not show, desc=desc, unit=unit,
        file=sys.stderr, mininterval=pause, maxinterval=max(pause, 10.0), miniters=1,
    )  # fmt: skip
