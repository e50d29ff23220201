"""What all baselines share; a method itself is one small file.

A baseline interpolates standardised anomalies, channel by channel, in frames (N, H, W) with
NaN gaps. Everything else is done here: layout, climatology, settings tuned on hidden
observations, lazy blocks whose result does not depend on the chunks, and CF metadata.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr

from .._typing import BoolArray, FloatArray
from ..assembly import assemble
from ..blockwise import Fitted, block_frames, geometry_of, run
from ..calendar import Clock
from ..compatibility import refuse_incompatible
from ..exceptions import ImputeError, NotFittedError
from ..fields import FieldSpec
from ..geometry import Geometry
from ..imputer import Imputer
from ..job import digest
from ..quantities import dequantify, requantify
from ..suggestion import did_you_mean
from ..tiling import Stretches
from ..trials import make_trials
from ..tuning import Tuner, check_setting
from ..validation import check_dataset, check_values

__all__ = ["Baseline", "Geometry"]


class Baseline(Imputer):
    """Base of all baselines.

    Parameters
    ----------
    variables : sequence of str, optional
        Default: every floating-point variable on the grid.
    time, y, x : str, optional
        Dims, where they cannot be found.
    extra_dims : {"series", "channels"} or mapping
        Treatment of further dims.
    statistics : {"auto", "variable", "cell", "seasonal"}
        Climatology whose anomalies are interpolated. ``"auto"``: by the length of the record;
        where that is short, or has no seasons, what does better at hidden observations, in data of
        up to ten million values.
    seed : int
        Which observations are hidden to tune the settings.
    **settings
        Of the method, listed in its :attr:`knobs`; those not given are tuned.

    Attributes
    ----------
    knobs : mapping of str to tuple
        Values that are tried; the first is taken where nothing can be tried.
    settings : dict
        Values in use.
    pointwise : bool
        Each gap cell is guessed by itself, so that tuning may guess a sample of them.
    gridded : bool
        What the fit leaves belongs to the cells of its grid, and is no use on another.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> from xdiffimpute.baselines import BASELINES
    >>> ds = xdi.example()
    >>> baseline = BASELINES.create("inverse_distance", power=2.0).fit(ds)
    >>> baseline.settings["power"], int(baseline.fill(ds)["sst"].isnull().sum())
    (2.0, 0)
    """

    name: ClassVar[str]
    knobs: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    pointwise: ClassVar[bool] = False
    gridded: ClassVar[bool] = False

    def __init__(
        self,
        *,
        variables: Sequence[str] | None = None,
        time: str | None = None,
        y: str | None = None,
        x: str | None = None,
        extra_dims: str | Mapping[str, str] = "series",
        statistics: str = "auto",
        seed: int = 0,
        **settings: Any,
    ) -> None:
        unknown = sorted(set(settings) - set(self.knobs))
        if unknown:
            known = ", ".join(self.knobs) or "none"
            others = ("variables", "time", "y", "x", "extra_dims", "statistics", "seed")
            raise ImputeError(
                f"{self.name!r} has no setting {', '.join(map(repr, unknown))}; its settings are: "
                f"{known}; and {', '.join(others)}."
                f"{did_you_mean(unknown, [*self.knobs, *others])}"
            )
        for knob, value in settings.items():
            check_setting(self.name, knob, value, self.knobs[knob])
        self.layout: dict[str, Any] = {
            "variables": variables, "time": time, "y": y, "x": x, "extra_dims": extra_dims,
        }  # fmt: skip
        self.statistics, self.seed = statistics, seed
        self.given = settings
        self.settings = {k: settings.get(k, tried[0]) for k, tried in self.knobs.items()}
        self._fitted: Fitted | None = None

    @property
    def fitted(self) -> Fitted:
        """What the fit left.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        """
        if self._fitted is None:
            raise NotFittedError(f"{self.name!r} has not been fitted; call fit(ds) first")
        return self._fitted

    @property
    def frame_halo(self) -> int:
        """Frames before and after a frame that its result may depend on."""
        return 0

    @abstractmethod
    def interpolate(
        self, frames: FloatArray, domain: BoolArray, geometry: Geometry, core: slice
    ) -> FloatArray:
        """Fill frames of one channel.

        Parameters
        ----------
        frames : float32 array, shape (N, H, W)
            Standardised anomalies, NaN where missing.
        domain : bool array, shape (H, W)
            Cells that are wanted.
        geometry : Geometry
            Of the grid, with the times of the N frames.
        core : slice
            Frames that are wanted; the others are within :attr:`frame_halo` of them.

        Returns
        -------
        float array, shape (n, H, W), n the frames of ``core``
            NaN where the method has no answer.
        """

    def fit(
        self,
        ds: xr.Dataset,
        *,
        variables: Sequence[str] | None = None,
        time: str | None = None,
        y: str | None = None,
        x: str | None = None,
        extra_dims: str | Mapping[str, str] | None = None,
        statistics: str | None = None,
        seed: int | None = None,
    ) -> Self:
        """Estimate the climatology and tune the settings that were not given.

        Parameters
        ----------
        ds : Dataset
        variables, time, y, x, extra_dims, statistics, seed : optional
            As of the constructor, whose values are the defaults.

        Returns
        -------
        self

        Raises
        ------
        ImputeError
            If the data cannot be filled; see :func:`xdiffimpute.validation.check_values`.
        """
        asked = {"variables": variables, "time": time, "y": y, "x": x, "extra_dims": extra_dims}
        layout = self.layout | {k: v for k, v in asked.items() if v is not None}
        plain, _ = dequantify(ds)
        spec = FieldSpec.from_dataset(plain, **layout)
        spec.tell_skipped()
        check_dataset(plain, spec)
        packed, clock = spec.pack(plain), spec.clock(plain)
        check_values(packed, spec, for_fit=False)
        self._fitted = self._tune(spec, packed, clock, statistics, seed)
        return self

    def fill(self, ds: xr.Dataset, *, where: xr.DataArray | None = None) -> xr.Dataset:
        """Fill the gaps.

        Parameters
        ----------
        ds : Dataset
            If nothing was fitted, the settings are tuned on it, and forgotten.
        where : bool DataArray, optional
            Cells to fill; default: those observed at least once in the fit.

        Returns
        -------
        Dataset
            As ``ds``, lazy if it is; observed cells bit-identical.

        Raises
        ------
        CompatibilityError
            If the fit was on other variables, units or another grid.
        """
        plain, units = dequantify(ds)
        finish = partial(assemble, plain, standard_error=None, method=self.name, where=where)
        if self._fitted is None:
            spec = FieldSpec.from_dataset(plain, **self.layout)
            packed = spec.pack(plain)
            if _complete(packed):  # there is nothing to tune at
                check_values(packed, spec, for_fit=False)  # -999 may stand for what is missing
                everywhere = np.ones((len(spec.channels), *spec.shape), dtype=bool)
                return requantify(finish(spec, packed, domain=everywhere), units)
            fitted = copy.copy(self).fit(plain).fitted
        else:
            fitted = self.fitted
        packed, spec, domain = fitted.layout_of(plain)
        everywhere = np.ones((len(spec.channels), *spec.shape), dtype=bool)
        if where is not None:
            domain = everywhere
        wanted = domain if isinstance(domain, np.ndarray) else everywhere
        filled = run(fitted.filler(spec, spec.clock(plain), wanted), packed)
        return requantify(finish(fitted.spec, filled, domain=domain), units)

    def stretches(self, ds: xr.Dataset, members: int = 0) -> Stretches:
        """What is computed at once when a dataset is filled; there are no members."""
        plain, _ = dequantify(ds)
        spec = FieldSpec.from_dataset(plain, **self.layout)
        if self._fitted is not None:
            spec = self._fitted.spec
            refuse_incompatible(spec, plain)
        packed = spec.pack(plain)
        return spec.stretches(packed, block_frames(packed.shape))

    def checksum(self) -> str:
        """A line that is another for a baseline that fills otherwise."""
        said = [self.name, self.layout, self.statistics, self.seed, sorted(self.given.items())]
        line = " ".join(map(str, said))
        if self._fitted is None:
            return line
        arrays, small = self._fitted.statistics.to_arrays()
        tuned = [small, [dict(method.settings) for method in self._fitted.methods]]
        return f"{line} {digest([repr(tuned), *(arrays[name] for name in sorted(arrays))])}"

    def _tune(
        self,
        spec: FieldSpec,
        packed: xr.DataArray,
        clock: Clock,
        kind: str | None,
        seed: int | None,
    ) -> Fitted:
        seed = self.seed if seed is None else seed
        tried = {k: (self.given[k],) if k in self.given else v for k, v in self.knobs.items()}
        widest = [self.variant(**{k: v}).frame_halo for k, values in tried.items() for v in values]
        trials = make_trials(packed, max([self.frame_halo, *widest]), seed)
        tuner = Tuner(packed, clock, geometry_of(spec, clock), trials, seed)
        start = self.variant()
        statistics = tuner.statistics(self.statistics if kind is None else kind, start)
        methods = tuple(
            tuner.settings(start, c, channel.label, statistics, tried)
            for c, channel in enumerate(spec.channels)
        )
        return Fitted(spec, statistics, methods)

    def variant(self, **settings: Any) -> Self:
        """The same method with other settings, not fitted."""
        other = copy.copy(self)
        other.settings = {**self.settings, **settings}
        other._fitted = None
        return other

    def complete(
        self, frames: FloatArray, domain: BoolArray, geometry: Geometry, core: slice
    ) -> tuple[FloatArray, int, int]:
        """Interpolate, and fall back where there is no answer.

        Returns
        -------
        values : float32 array, shape (n, H, W)
        by_nearest, by_climatology : int
            Cells that took the nearest observation of their frame, or a zero anomaly where
            the frame has none.
        """
        inner = frames[core]
        guess = self.interpolate(frames, domain, geometry, core)
        out = np.where(np.isfinite(inner), inner, guess).astype(np.float32)
        near = zero = 0
        for frame, seen in zip(out, inner, strict=True):
            left, known = ~np.isfinite(frame) & domain, np.isfinite(seen)
            if not left.any():
                continue
            if known.any():
                _, index = geometry.neighbours(known, left, 1)
                frame[left] = seen[known][index[:, 0]]
                near += int(left.sum())
            else:
                frame[left] = 0.0
                zero += int(left.sum())
        return out, near, zero

    def __repr__(self) -> str:
        state = "fitted" if self._fitted is not None else "not fitted"
        shown = "".join(f", {k}={v}" for k, v in self.given.items())
        return f"<{type(self).__name__}{shown}, {state}>"


class Inpainting(Baseline):
    """A method of image processing: each frame by itself, with or without its land.

    Subclasses write :meth:`inpaint` and name their settings in ``knobs``, among them ``land``:
    ``"climatology"`` holds cells outside the domain there, ``"free"`` fills them too.
    """

    @abstractmethod
    def inpaint(self, field: FloatArray, gaps: BoolArray, domain: BoolArray) -> FloatArray:
        """Fill the gaps of one field.

        Parameters
        ----------
        field : float32 array, shape (H, W)
            NaN where missing.
        gaps : bool array, shape (H, W)
            Cells to fill; other missing cells count as zero.
        domain : bool array, shape (H, W)
            Cells whose values are wanted.

        Returns
        -------
        float array, shape (H, W)
        """

    def interpolate(
        self, frames: FloatArray, domain: BoolArray, geometry: Geometry, core: slice
    ) -> FloatArray:
        out = frames[core].copy()
        free = self.settings["land"] == "free"
        inside = geometry.wrap(domain)
        for frame in out:
            if not np.isfinite(frame).any() or not (np.isnan(frame) & domain).any():
                continue
            wide = geometry.wrap(frame)
            gaps = np.isnan(wide) if free else np.isnan(wide) & inside
            frame[:] = geometry.unwrap(self.inpaint(wide, gaps, inside))
        return out


def _complete(packed: xr.DataArray) -> bool:
    """Nothing is missing, as far as is known without computing."""
    return packed.chunks is None and bool(np.isfinite(packed.values).all())
