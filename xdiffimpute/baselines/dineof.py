r"""DINEOF: a few empirical orthogonal functions, found from the gappy record itself.

Frames by cells, the record is a matrix whose gaps start at the climatology and are replaced by
its truncated singular value decomposition,

.. math:: X_{gap} \leftarrow (X V_k V_k^T)_{gap},

until they no longer change, with one mode first, then with two, and so on. The number k of
modes is the one that is best at observations withheld in the shape of other frames' gaps, which
are clouds where clouds made the gaps.

The fit needs the whole record in memory, and keeps the modes. With them the fixed point of a
frame is a least-squares fit of the amplitudes to its own observations, so frames are filled one
by one, lazily, also frames that were no part of the fit; the noise and the variances of the
modes draw to zero the amplitudes that a frame does not determine, as in the error estimate of
2006. Each variable is filled by itself.

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
from .base import Baseline, Geometry

__all__ = ["Dineof"]

log = logging.getLogger("xdiffimpute")

FEWEST_FRAMES = 3
MOST_VALUES = 2**28
WITHHELD = 0.05
NEIGHBOURS = 8


class Dineof(Baseline):
    """Empirical orthogonal functions of the whole record (DINEOF), fitted to each frame.

    Parameters
    ----------
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
    >>> filled = Dineof(modes=2).fill(ds)
    >>> round(float(filled["v"][2, 0, 1]), 1)
    6.0
    """

    name = "dineof"
    gridded = True
    knobs = {"modes": MODES}
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
            return self._learned(spec, packed, clock, statistics, [0] * len(labels))
        trials = make_trials(packed, 0, self.seed if seed is None else seed)
        short = kind == "auto" and statistics.kind == "variable"
        given = int(self.settings["modes"])
        if not trials or ("modes" in self.given and not short):
            return self._learned(spec, packed, clock, statistics, [given] * len(labels))
        kinds = ("variable", "cell") if short else (kind,)
        folds = _folds(packed, trials)
        tried = MODES if "modes" not in self.given else [*(k for k in MODES if k < given), given]
        errors = {k: _cross_validate(packed, clock, k, folds, tried) for k in kinds}
        best = min(errors, key=lambda k: sum(min(e.values(), default=np.inf) for e in errors[k]))
        if short:
            statistics = Statistics.fit(packed, clock, kind=best)
        modes = [min(e, key=e.__getitem__, default=given) for e in errors[best]]
        for label, k, error in zip(labels, modes, errors[best], strict=True):
            log.info(
                "dineof of %s: %d modes, climatology by %s, root mean square error at withheld "
                "observations by modes %s", label, k, statistics.kind,
                {n: float(f"{np.sqrt(e):.3g}") for n, e in error.items()},
            )  # fmt: skip
        if "modes" in self.given:
            modes = [given] * len(labels)
        return self._learned(spec, packed, clock, statistics, modes)

    def _learned(
        self, spec: FieldSpec, packed: xr.DataArray, clock: Clock, statistics: Statistics,
        modes: Sequence[int],
    ) -> Fitted:  # fmt: skip
        methods = []
        for c, k in enumerate(modes):
            cells = statistics.domain[c]
            anomalies = _anomalies(packed.values, clock, statistics, c)
            method = self.variant(modes=k) if k else self.variant()
            method.found = (find_eofs(anomalies[:, cells], k), cells)
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
            folds.append(np.zeros(packed.shape, dtype=bool))
        at = folds[-1][trial.series, trial.times[trial.now], :, trial.rows, trial.columns]
        at |= trial.hidden
    return folds


def _cross_validate(
    packed: xr.DataArray, clock: Clock, kind: str, folds: Sequence[BoolArray], tried: Sequence[int]
) -> list[dict[int, float]]:
    """Mean squared error at withheld observations in units of the data: by channel and modes."""
    channels = packed.sizes["channel"]
    count = np.sum([held.sum(axis=(0, 1, 3, 4)) for held in folds], axis=0)
    total: list[dict[int, float]] = [{} for _ in range(channels)]
    for n, held in enumerate(folds):
        seen = Statistics.fit(packed.where(~held), clock, kind=kind)
        for c in range(channels):
            cells = np.isfinite(packed.values[:, :, c]).any(axis=(0, 1))
            hidden = held[:, :, c].reshape(-1, *cells.shape)[:, cells]
            anomalies = _anomalies(packed.values, clock, seen, c)[:, cells]
            found = errors_by_modes(anomalies, hidden, tried)
            unit = float(seen.scale[c, 0, 0]) ** 2 / max(1, int(count[c]))
            before = total[c] if n else dict.fromkeys(found, 0.0)
            total[c] = {k: before[k] + e * unit for k, e in found.items() if k in before}
    return total


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
