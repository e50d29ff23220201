r"""DINEOF: a few empirical orthogonal functions, found from the gappy record itself.

Frames by cells, the record is a matrix whose gaps start at the climatology and are replaced by
its truncated singular value decomposition,

.. math:: X_{gap} \leftarrow (X V_k V_k^T)_{gap},

until they no longer change, with one mode first, then with two, and so on. The number k of
modes is the one that is best at observations withheld in the shape of other frames' gaps, which
are clouds where clouds made the gaps.

The amplitudes of a frame are then a least-squares fit to its observations. Where these are all
on one side of a gap such a fit runs away, most of all with many modes, since what the modes leave
is no white noise. A noise variance, chosen with the modes, draws the amplitudes to zero, as in
the error estimate of 2006; at 0 the algorithm is the one of 2003.

The fit needs the whole record in memory, and keeps the modes. With them frames are filled one by
one, lazily, also frames that were no part of the fit. Each variable is filled by itself.

References
----------
Beckers and Rixen, "EOF calculations and data filling from incomplete oceanographic datasets",
J. Atmos. Oceanic Technol. (2003), doi:10.1175/1520-0426(2003)020<1839:ECADFF>2.0.CO;2.
Alvera-Azcarate, Barth, Rixen and Beckers, "Reconstruction of incomplete oceanographic data sets
using empirical orthogonal functions", Ocean Modelling (2005), doi:10.1016/j.ocemod.2004.08.001.
Beckers, Barth and Alvera-Azcarate, "DINEOF reconstruction of clouded images including error
maps", Ocean Science (2006), doi:10.5194/os-2-183-2006.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import xarray as xr

from .._typing import BoolArray, FloatArray
from ..blockwise import Fitted
from ..calendar import Clock
from ..eofs import MODES, Eofs, errors_by_modes, find_eofs
from ..exceptions import DataError, NotFittedError
from ..fields import FieldSpec
from ..transforms import Statistics
from ..trials import Trial, make_trials
from ..tuning import KINDS, in_doubt
from .base import Baseline, Geometry

__all__ = ["Dineof"]

Setting = tuple[float, int]  # noise and modes

log = logging.getLogger("xdiffimpute")

FEWEST_FRAMES = 3
MOST_VALUES = 2**28
WITHHELD = 0.05
MOST_FOLDS = 3
TRIAL_VALUES = 2**19
NEIGHBOURS = 8


class Dineof(Baseline):
    """Empirical orthogonal functions of the whole record (DINEOF).

    Parameters
    ----------
    noise : float
        Variance, over that of the anomalies, of what the functions leave of a cell; 0 for the
        algorithm as published in 2003. Chosen by cross-validation if not given.
    modes : int
        Number of functions; chosen by cross-validation if not given.
    **options
        See :class:`~xdiffimpute.baselines.base.Baseline`.

    Raises
    ------
    DataError
        From the fit, if the record has more than 268 million values.

    Examples
    --------
    >>> import xarray as xr
    >>> field = np.outer(np.arange(1.0, 7.0), [1.0, 2.0, 3.0]).reshape(6, 1, 3)
    >>> field[2, 0, 1] = np.nan
    >>> ds = xr.Dataset({"v": (("time", "y", "x"), field.astype("float32"))})
    >>> filled = Dineof(modes=2, noise=0.0).fill(ds)
    >>> round(float(filled["v"][2, 0, 1]), 1)
    6.0
    """

    name = "dineof"
    gridded = True
    knobs = {"noise": (0.0, 0.3, 1.0), "modes": MODES}
    found: tuple[Eofs, BoolArray] | None = None

    def interpolate(
        self, frames: FloatArray, domain: BoolArray, geometry: Geometry, core: slice
    ) -> FloatArray:
        if self.found is None:
            raise NotFittedError("'dineof' has no modes yet; call fit(ds) first")
        eofs, cells = self.found
        maps = _on_grid(eofs.patterns, cells, domain, geometry)
        out = frames[core].copy()
        for frame in out:
            wanted = np.isnan(frame) & domain
            if wanted.any() and np.isfinite(frame[cells]).any():
                frame[wanted] = eofs.amplitudes(frame[cells]) @ maps[:, wanted]
        return out

    def _tune(
        self,
        spec: FieldSpec,
        packed: xr.DataArray,
        clock: Clock,
        kind: str | None,
        seed: int | None,
    ) -> Fitted:
        """The climatology, the number of modes of each channel, and the modes."""
        _check_size(packed)
        packed = packed.compute()
        labels = [channel.label for channel in spec.channels]
        kind = self.statistics if kind is None else kind
        statistics = Statistics.fit(packed, clock, kind=kind)
        if packed.shape[0] * packed.shape[1] < FEWEST_FRAMES:
            log.warning(
                "dineof finds its modes in at least %d frames and there are %d; the gaps of %s get "
                "the climatology; for single frames ask for another method, such as "
                "ds.impute.fill('optimal_interpolation')",
                FEWEST_FRAMES, packed.shape[0] * packed.shape[1], ", ".join(labels),
            )  # fmt: skip
            return self._learned(spec, packed, clock, statistics, [(0.0, 0)] * len(labels))
        trials = make_trials(packed, 0, self.seed if seed is None else seed)
        doubtful = in_doubt(kind, statistics)
        given = (float(self.settings["noise"]), int(self.settings["modes"]))
        if not trials or (len(self.given) == len(self.knobs) and not doubtful):
            return self._learned(spec, packed, clock, statistics, [given] * len(labels))
        folds = _folds(packed, trials)
        kinds = KINDS if doubtful else (kind,)
        errors = {k: self._cross_validate(packed, clock, k, folds) for k in kinds}
        spread = statistics.scale[:, 0, 0].astype(np.float64) ** 2  # one for all kinds
        least = {k: [min(e.values(), default=np.inf) for e in errors[k]] for k in kinds}
        best = min(kinds, key=lambda k: float(np.sum(least[k] / spread)))
        if doubtful and best != statistics.kind:
            statistics = Statistics.fit(packed, clock, kind=best)
        chosen = [min(e, key=e.__getitem__, default=given) for e in errors[best]]
        for label, pair, error in zip(labels, chosen, errors[best], strict=True):
            log.info(
                "dineof of %s: %d modes, noise %g, climatology by %s; root mean square error %.3g "
                "at withheld observations, without noise %s by modes", label, *pair[::-1],
                statistics.kind, np.sqrt(error.get(pair, np.nan)),
                {k: float(f"{np.sqrt(e):.3g}") for (noise, k), e in error.items() if not noise},
            )  # fmt: skip
        return self._learned(spec, packed, clock, statistics, chosen)

    def _cross_validate(
        self, packed: xr.DataArray, clock: Clock, kind: str, folds: Sequence[BoolArray]
    ) -> list[dict[Setting, float]]:
        """Mean squared error at withheld observations in units of the data, for each channel."""
        noises, modes = ((self.given[k],) if k in self.given else v for k, v in self.knobs.items())
        ladder = [*(k for k in MODES if k < min(modes)), *modes]
        channels = packed.sizes["channel"]
        count = np.sum([held.sum(axis=(0, 1, 3, 4)) for held in folds], axis=0)
        total: list[dict[Setting, float]] = [{} for _ in range(channels)]
        for n, held in enumerate(folds):
            seen = Statistics.fit(packed.where(~held), clock, kind=kind)
            for c in range(channels):
                cells = np.isfinite(packed.values[:, :, c]).any(axis=(0, 1))
                hidden = held[:, :, c].reshape(-1, *cells.shape)[:, cells]
                rows = _some_frames(hidden)
                hidden = hidden[rows]
                anomalies = _anomalies(packed.values, clock, seen, c)[rows][:, cells]
                unit = float(seen.scale[c, 0, 0]) ** 2 / max(1, int(count[c]))
                found = {
                    (noise, k): error * unit
                    for noise in noises
                    for k, error in errors_by_modes(anomalies, hidden, ladder, noise).items()
                    if k in modes
                }
                before = total[c] if n else dict.fromkeys(found, 0.0)
                total[c] = {key: before[key] + e for key, e in found.items() if key in before}
        return total

    def _learned(
        self, spec: FieldSpec, packed: xr.DataArray, clock: Clock, statistics: Statistics,
        chosen: Sequence[Setting],
    ) -> Fitted:  # fmt: skip
        methods = []
        for c, (noise, modes) in enumerate(chosen):
            cells = statistics.domain[c]
            anomalies = _anomalies(packed.values, clock, statistics, c)
            method = self.variant(noise=noise, modes=modes) if modes else self.variant()
            method.found = (find_eofs(anomalies[:, cells], modes, noise), cells)
            methods.append(method)
        return Fitted(spec, statistics, tuple(methods))


def _check_size(packed: xr.DataArray) -> None:
    if packed.size > MOST_VALUES:
        every = -(-packed.size // MOST_VALUES)
        raise DataError(
            f"dineof finds its modes in the whole record in memory, and this one has "
            f"{packed.size:,} values ({dict(packed.sizes)}), more than {MOST_VALUES:,}; fit it on "
            f"fewer frames and fill all of them with the modes, "
            f"BASELINES.create('dineof').fit(ds.isel(time=slice(None, None, {every}))).fill(ds), "
            "or take a part of the grid, ds.isel(...)"
        )


def _folds(packed: xr.DataArray, trials: Sequence[Trial]) -> list[BoolArray]:
    """Observations to withhold together: a small part of all, or what one trial hides."""
    most = WITHHELD * float(np.isfinite(packed.values).sum())
    folds: list[BoolArray] = []
    for trial in trials:
        if not folds or folds[-1].sum() + trial.hidden.sum() > most:
            if len(folds) == MOST_FOLDS:
                break
            folds.append(np.zeros(packed.shape, dtype=bool))
        at = folds[-1][trial.series, trial.times[trial.now], :, trial.rows, trial.columns]
        at |= trial.hidden
    return folds


def _some_frames(held: BoolArray) -> BoolArray:
    """Frames (N,) of a long record that are enough to choose: those withheld from, and others."""
    frames, cells = held.shape
    every = -(-frames * cells // TRIAL_VALUES)
    return np.asarray(held.any(axis=1) | (np.arange(frames) % every == 0))


def _anomalies(values: FloatArray, clock: Clock, statistics: Statistics, c: int) -> FloatArray:
    """Standardised anomalies of one channel, the frames of all series, shape (S N, H, W)."""
    phi = clock.regressors(statistics.harmonics)
    series = [statistics.forward(part, phi)[:, c] for part in values]
    return np.concatenate(series)


def _on_grid(
    patterns: FloatArray, cells: BoolArray, domain: BoolArray, geometry: Geometry
) -> FloatArray:
    """Patterns (k, H, W); wanted cells that were never observed take those of their neighbours."""
    maps = np.zeros((len(patterns), *cells.shape), dtype=np.float32)
    maps[:, cells] = patterns
    beyond = domain & ~cells
    if beyond.any():
        distance, index = geometry.neighbours(cells, beyond, NEIGHBOURS)
        weight = np.maximum(distance, 1e-9) ** -2.0
        weight /= weight.sum(axis=1, keepdims=True)
        maps[:, beyond] = (patterns[:, index] * weight).sum(axis=-1)
    return maps
