"""Lengths of time as a user writes them."""

from __future__ import annotations

import math
import re

from .exceptions import ImputeError

__all__ = ["parse_time"]

UNITS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "hour": 3600.0, "d": 86400.0}


def parse_time(limit: str | float | None, name: str = "max_time") -> float | None:
    """Seconds in a length of time.

    Parameters
    ----------
    limit : str, float or None
        ``"90s"``, ``"5min"``, ``"1.5h"``, or a number of seconds.
    name : str
        The argument, for the message of the error.

    Returns
    -------
    float or None

    Raises
    ------
    ImputeError
        If it cannot be understood.

    Examples
    --------
    >>> parse_time("5min"), parse_time(30), parse_time(None)
    (300.0, 30.0, None)
    """
    if limit is None:
        return None
    if isinstance(limit, str):
        match = re.fullmatch(r"\s*([0-9.]+)\s*([a-z]*?)s?\s*", limit.lower())
        unit = (match.group(2) or "s") if match else ""
        try:
            seconds = float(match.group(1)) * UNITS[unit] if match else 0.0
        except (KeyError, ValueError):
            seconds = 0.0
    else:
        seconds = float(limit)
    if not 0.0 < seconds < math.inf:
        raise ImputeError(
            f"{name}={limit!r} is not a time; write for example {name}='5min', '90s', '2h', "
            "or a positive number of seconds"
        )
    return seconds
