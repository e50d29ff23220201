"""The data's own gaps: a sample is thinned by the gaps of another sample.

``context = M & (M' | never)``, where M' is a run of frames drawn from a library of observed
masks, and ``never`` marks the cells that no frame of the library observes (land), which hide
nothing. Clouds are thinned by clouds and swaths by swaths, so contexts follow the
distribution of the masks without anyone declaring a pattern.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._typing import AnyArray, BoolArray
from ..exceptions import ImputeError
from .base import MaskPattern

__all__ = ["Empirical"]

MAX_DRAWS = 5
CLOSE = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class Empirical(MaskPattern):
    """Keep what another run of frames observed.

    Parameters
    ----------
    library : bool array, shape (N, H, W), optional
        Whole frames in time order, True where observed. Runs of consecutive frames are
        drawn from it, wrapping round if a window is longer. A window that is smaller than
        the library's frames gets a crop of them. Without a library the frames of the
        window itself, in another order and place, thin each other.
    drop_frame : float in [0, 1]
        Probability that a window of more than one frame loses one frame altogether.
    flip : bool
        Mirror the drawn frames along y and along x, each half of the time.
    shift : bool
        Shift the drawn frames cyclically by random amounts, half of the time.
    joint, static : bool
        See :class:`~xdiffimpute.masks.MaskPattern`.

    Notes
    -----
    Where the call names a ratio, further draws are united with the first or intersected
    with it as long as that brings the share of kept observations nearer to the ratio. The
    shapes stay those of the data, so the ratio is only approached.

    Raises
    ------
    ImputeError
        If the library is not a three-dimensional array or ``drop_frame`` not a probability.

    Examples
    --------
    >>> library = np.array([[[True, False], [True, True]], [[False, True], [True, True]]])
    >>> pattern = Empirical(library=library, flip=False, shift=False)
    >>> kept = pattern(np.ones((1, 1, 2, 2), dtype=bool), np.random.default_rng(0))
    >>> int(kept.sum())
    3
    """

    library: BoolArray | None = field(default=None, repr=False)
    drop_frame: float = 0.1
    flip: bool = True
    shift: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.drop_frame <= 1:
            raise ImputeError(
                f"Empirical(drop_frame={self.drop_frame!r}): a probability from 0 to 1 is "
                "needed, such as drop_frame=0.1."
            )
        if self.library is None:
            return
        library = np.asarray(self.library)
        if library.ndim != 3 or library.size == 0:
            raise ImputeError(
                f"Empirical(library=...) has shape {library.shape}; it must be (frames, y, x) and "
                "not empty, such as np.isfinite(ds['sst'].transpose('time', 'lat', 'lon'))."
            )
        library = np.ascontiguousarray(library, dtype=bool)
        object.__setattr__(self, "library", library)
        object.__setattr__(self, "_source", _hides_nothing_unseen(library))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Empirical):
            return NotImplemented
        same = self.to_dict() == other.to_dict()
        if self.library is None or other.library is None:
            return same and self.library is other.library
        return same and np.array_equal(self.library, other.library)

    def __hash__(self) -> int:
        shape = None if self.library is None else self.library.shape
        return hash((shape, *self.to_dict().items()))

    def keep(self, observed: BoolArray, rng: np.random.Generator, ratio: float | None) -> BoolArray:
        """The masks of other frames, bool array of shape (T, H, W)."""
        source: BoolArray = getattr(self, "_source", observed)
        if self.library is None:
            source = _hides_nothing_unseen(observed)
        frames = observed.shape[0]
        kept = self._draw(source, observed.shape, rng)
        if ratio is not None:
            kept = self._towards(ratio, kept, observed, source, rng)
        for _ in range(MAX_DRAWS):
            if (kept & observed).any():
                break
            kept |= self._draw(source, observed.shape, rng)
        if frames > 1 and rng.random() < self.drop_frame:
            drop = rng.integers(frames)
            others = np.arange(frames) != drop
            if (kept[others] & observed[others]).any():
                kept[drop] = False
        return kept

    def _towards(
        self,
        ratio: float,
        kept: BoolArray,
        observed: BoolArray,
        source: BoolArray,
        rng: np.random.Generator,
    ) -> BoolArray:
        """Combine further draws while that brings the kept share nearer to ``ratio``."""
        total = max(int(np.count_nonzero(observed)), 1)
        share = np.count_nonzero(kept & observed) / total
        for _ in range(MAX_DRAWS):
            if abs(share - ratio) <= CLOSE:
                break
            other = self._draw(source, observed.shape, rng)
            trial = kept & other if share > ratio else kept | other
            new = np.count_nonzero(trial & observed) / total
            if abs(new - ratio) < abs(share - ratio):
                kept, share = trial, new
        return kept

    def _draw(
        self, source: BoolArray, shape: tuple[int, ...], rng: np.random.Generator
    ) -> BoolArray:
        """One run of frames, cropped, flipped and shifted to ``shape``, as a fresh array."""
        count = source.shape[0]
        whole = count > shape[0] and self.library is not None
        start = int(rng.integers(count - shape[0] + 1 if whole else count))
        frames = _span(start, shape[0], count, mirror=False)
        shift = self.shift and rng.random() < 0.5
        rows, columns = (
            self._places(source.shape[axis], shape[axis], shift, rng) for axis in (1, 2)
        )
        drawn: BoolArray = source[frames][:, rows][:, :, columns]
        return drawn.copy()

    def _places(
        self, have: int, want: int, shift: bool, rng: np.random.Generator
    ) -> slice | AnyArray:
        """Which rows (or columns) of the source to take."""
        span = have if shift else max(have - want, 0) + 1
        start = int(rng.integers(span))
        return _span(start, want, have, mirror=self.flip and rng.random() < 0.5)

    def to_dict(self) -> dict[str, Any]:
        """Constructor arguments that JSON can hold; the library is left out."""
        own = {"drop_frame": float(self.drop_frame), "flip": self.flip, "shift": self.shift}
        return {**super().to_dict(), **own}


def _hides_nothing_unseen(masks: BoolArray) -> BoolArray:
    """Masks in which cells that no frame observes count as kept."""
    filled: BoolArray = masks | ~masks.any(axis=0)
    return filled


def _span(start: int, want: int, have: int, *, mirror: bool) -> slice | AnyArray:
    """``want`` indices from ``start`` on, wrapping at ``have``; a slice where that will do."""
    stop = start + want
    if stop > have:
        places = np.arange(start, stop) % have
        return places[::-1] if mirror else places
    if mirror:
        return slice(stop - 1, start - 1 if start else None, -1)
    return slice(start, stop)
