"""Which pattern the gaps of a data set follow.

Gaps are compared with two simple laws. Under independent pixels two neighbours agree with
probability q^2 + (1 - q)^2, where q is the share observed; under blocks a regular grid exists
within whose blocks each mask is constant. Whatever follows neither is thinned by itself: the
``empirical`` pattern draws from the masks of the data. Only cells that are observed at least
once (the domain) are looked at, since land would otherwise pass for structure.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from ._typing import BoolArray
from .exceptions import UnknownNameError
from .gaps import Gaps, block_counts, clumping, find_grid, gap_length
from .masks import MASKS, MaskPattern
from .partition import Partition

__all__ = ["recognise", "resolve"]

INDEPENDENT = 0.1
PERSISTENT = 0.3


def recognise(masks: BoolArray, domain: BoolArray) -> tuple[Partition, str]:
    """Choose a partition for the gaps of a data set.

    Parameters
    ----------
    masks : bool array, shape (N, C, H, W) or (S, N, C, H, W)
        True where observed; N frames in time order (of S series).
    domain : bool array, shape (C, H, W)
        Cells that are observed at least once.

    Returns
    -------
    partition : Partition
        Patterns are joint if the channels agree about more than 99% of their cells, and
        static if the masks of each series stay the same throughout.
    reason : str
        Why, for the log.

    Raises
    ------
    DataError
        If the shapes do not fit or nothing is observed at all.

    Examples
    --------
    >>> masks = np.random.default_rng(0).random((20, 1, 8, 8)) < 0.6
    >>> partition, reason = recognise(masks, masks.any(axis=0))
    >>> partition.name, reason.partition(" (")[0]
    ('pixel', 'pixel: gaps at neighbouring cells are independent')
    """
    gaps = Gaps.of(masks, domain)
    if not gaps.frames.size:
        return _without_gaps(gaps)
    return _with_gaps(gaps)


def resolve(
    partition: str | MaskPattern | Partition, masks: BoolArray, domain: BoolArray
) -> tuple[Partition, str]:
    """The partition that a user's argument means.

    Parameters
    ----------
    partition : "auto", name of a mask pattern, MaskPattern or Partition
        Of a Partition, that of a fit with covariates as well, the part for the fields is taken.
        A name gives that pattern, set up for the data: joint and static as recognised, the
        grid of blocks or the library of masks taken from the data.
    masks, domain : bool arrays
        As for :func:`recognise`.

    Returns
    -------
    partition : Partition
    reason : str

    Raises
    ------
    UnknownNameError
        If the name is neither ``"auto"`` nor that of a pattern.

    Examples
    --------
    >>> masks = np.random.default_rng(0).random((20, 1, 8, 8)) < 0.6
    >>> partition, reason = resolve("empirical", masks, masks.any(axis=0))
    >>> partition.pattern.library.shape, reason
    ((20, 8, 8), 'empirical: as asked for')
    """
    if isinstance(partition, Partition):
        own = replace(partition, given=0) if partition.given else partition
        return own, f"{partition.name}: as given"
    if isinstance(partition, MaskPattern):
        found = Partition(partition)
        return found, f"{found.name}: as given"
    if partition == "auto":
        return recognise(masks, domain)
    try:
        pattern = MASKS.get(partition)
    except UnknownNameError as error:
        raise UnknownNameError(f"{error} 'auto' chooses by the gaps of the data.") from error
    chosen, _ = recognise(masks, domain)
    reason = f"{partition}: as asked for"
    if chosen.name == partition:
        return chosen, reason
    gaps = Gaps.of(masks, domain)
    options: dict[str, Any] = {"joint": gaps.joint, "static": gaps.static}
    known = {field.name for field in fields(pattern)}
    if "library" in known:
        options["library"] = gaps.library()
        return Partition(pattern(**options), ratio=_ratio(gaps.library())), reason
    if "frame" in known:
        options["frame"] = gaps.shape
    return Partition(pattern(**options)), reason


def _without_gaps(gaps: Gaps) -> tuple[Partition, str]:
    """Nothing is missing in the domain, except perhaps whole frames."""
    pattern: MaskPattern
    if not (gaps.runs & gaps.inside[:, None]).any(axis=(2, 3)).all():
        library = gaps.library()
        pattern = MASKS.create("empirical", library=library, joint=gaps.joint)
        return (
            Partition(pattern, ratio=None),
            f"empirical: only whole frames are missing; {len(library)} masks of the data thin it",
        )
    inside = gaps.inside
    stray = max(clumping(inside, np.ones_like(inside), axis) for axis in (1, 2))
    if not inside.all() and stray < 2 * INDEPENDENT:
        pattern = MASKS.create("pixel", joint=gaps.joint, static=gaps.static)
        return (
            Partition(pattern),
            "pixel: the observed cells are scattered and the same in all frames, like fixed "
            "stations; single stations are left out, and cells between them are never observed",
        )
    pattern = MASKS.create("block", joint=gaps.joint, frame=gaps.shape)
    return (
        Partition(pattern),
        "block 3 x 3: no cell that is ever observed is missing in these frames, so there is no "
        "pattern of gaps to follow; name one with partition=... if you expect one",
    )


def _with_gaps(gaps: Gaps) -> tuple[Partition, str]:
    how = ("the same" if gaps.joint else "one each") + " for all channels"
    how += ", constant in time" if gaps.static else ""
    clumped, persistence = gaps.clumping(), gaps.persistence()
    moving = persistence < PERSISTENT
    pattern: MaskPattern
    if clumped < INDEPENDENT and moving:
        pattern = MASKS.create("pixel", joint=gaps.joint, static=gaps.static)
        return Partition(pattern), (
            f"pixel: gaps at neighbouring cells are independent (correlation {clumped:.2f}); {how}"
        )
    grid, larger_first = _grid(gaps) if moving else (None, False)
    if grid is not None:
        options = {"grid": grid, "frame": gaps.shape, "larger_first": larger_first}
        pattern = MASKS.create("block", joint=gaps.joint, static=gaps.static, **options)
        counts = block_counts(gaps.frames, grid, larger_first=larger_first)
        number = f"{counts.min()}" + (f" to {counts.max()}" if counts.max() > counts.min() else "")
        return Partition(pattern), (
            f"block: gaps are whole blocks of a {grid[0]} x {grid[1]} grid, of which {number} are "
            f"observed at a time; {how}"
        )
    distinct = gaps.distinct()
    if distinct < 3:
        return _few(gaps, distinct, clumped)
    library = gaps.library()
    pattern = MASKS.create("empirical", library=library, joint=gaps.joint, static=gaps.static)
    law = f"neighbours agree more than chance (correlation {clumped:.2f})"
    law = law if clumped >= INDEPENDENT else f"gaps last (correlation in time {persistence:.2f})"
    return Partition(pattern, ratio=_ratio(library)), (
        f"empirical: {law} and no grid of blocks fits, so the data are thinned by "
        f"{len(library)} masks of their own; {how}"
    )


def _grid(gaps: Gaps) -> tuple[tuple[int, int] | None, bool]:
    """The coarsest grid that fits, and which of the two ways of cutting sides it has."""
    found = [
        (grid, larger_first)
        for larger_first in (False, True)
        if (grid := find_grid(gaps.frames, gaps.within, larger_first=larger_first)) is not None
    ]
    return min(found, key=lambda f: f[0][0] * f[0][1], default=(None, False))


def _few(gaps: Gaps, distinct: int, clumped: float) -> tuple[Partition, str]:
    """Too few masks to draw from: pixels, or blocks about as large as the gaps."""
    many = "all gaps are the same" if distinct == 1 else f"there are only {distinct} different gaps"
    pattern: MaskPattern
    if clumped < INDEPENDENT:
        pattern = MASKS.create("pixel", joint=gaps.joint, static=gaps.static)
        return Partition(pattern), f"pixel: {many}, and neighbours are independent of each other"
    ny, nx = (
        int(np.clip(round(size / gap_length(gaps.frames, axis)), 2, max(2, min(8, size // 2))))
        for axis, size in zip((1, 2), gaps.shape, strict=True)
    )
    options = {"grid": (ny, nx), "frame": gaps.shape}
    pattern = MASKS.create("block", joint=gaps.joint, static=gaps.static, **options)
    return Partition(pattern), (
        f"block {ny} x {nx}: {many}, too few masks to thin the data by; blocks are about as large "
        "as the gaps"
    )


def _ratio(library: BoolArray) -> tuple[float, float] | None:
    """The masks' own share where it leaves both a context and a query, or else a range."""
    varying = ~library.all(axis=0)
    share = library[:, varying].mean() if varying.any() else 1.0
    return None if 0.3 <= share <= 0.9 else (0.35, 0.95)
