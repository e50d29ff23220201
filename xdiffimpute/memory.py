"""How much memory there is for this process, as the machine and its limits allow."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["free_memory", "readable"]

UNKNOWN = 4 * 2**30
NO_LIMIT = 2**60
MEMINFO = Path("/proc/meminfo")
STATUS = Path("/proc/self/status")
GROUPS = (  # limit and use of a control group, versions 2 and 1
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


def free_memory() -> int:
    """Bytes that this process may still take.

    The least of what the machine has free, what a container leaves, and what the limit on the
    address space leaves (``ulimit -v``). Where none of them can be read, 4 GiB are assumed.

    Returns
    -------
    int

    Examples
    --------
    >>> free_memory() > 0
    True
    """
    found = [_of_machine(), _of_address_space(), *(_of_group(*paths) for paths in GROUPS)]
    known = [value for value in found if value is not None]
    return max(0, min(known)) if known else UNKNOWN


def readable(size: float) -> str:
    """Bytes as text.

    Parameters
    ----------
    size : float

    Returns
    -------
    str

    Examples
    --------
    >>> readable(3 * 2**30), readable(5e6), readable(12)
    ('3.0 GiB', '4.8 MiB', '12 B')
    """
    for unit, one in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size:.0f} B"


def _of_machine() -> int | None:
    kilobytes = _entry(MEMINFO, "MemAvailable:")
    if kilobytes is not None:
        return 1024 * kilobytes
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_address_space() -> int | None:
    """What is left of the limit on the address space, if there is one."""
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = _entry(STATUS, "VmSize:")
    if limit == resource.RLIM_INFINITY or used is None:
        return None
    return limit - 1024 * used


def _of_group(limit: Path, use: Path) -> int | None:
    """What is left of a control group's limit, if there is one; cached files can be let go."""
    try:
        most, used = int(limit.read_text()), int(use.read_text())
    except (OSError, ValueError):  # no such group, or "max"
        return None
    told = use.with_name("memory.stat")
    cached = _entry(told, "total_inactive_file") or _entry(told, "inactive_file") or 0
    return None if most >= NO_LIMIT else most - used + cached


def _entry(path: Path, name: str) -> int | None:
    """A number of a file of lines such as ``MemAvailable:  1234 kB``."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    values = [line.split()[1] for line in lines if line.startswith(name)]
    return int(values[0]) if values else None
