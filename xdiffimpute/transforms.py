r"""Climatology, anomalies and their scale, from observed cells only, in one pass.

For each cell the values are regressed on a constant and on harmonics of the year and day,

.. math:: x_n = \phi(t_n) \cdot c + a_n ,

by normal equations that are sums over frames, so one pass over the chunks is enough and
their order does not matter. The coefficients of a cell are shrunk to those of its
neighbourhood, as if that had been seen a few more times (:mod:`xdiffimpute.regression`), so
a cell with few observations is safe. The doubt about cells that were never observed is known from
others that were left out.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import dask
import numpy as np
import xarray as xr

from ._typing import AnyArray, BoolArray, FloatArray
from .calendar import Clock
from .exceptions import DataError, ImputeError
from .regression import constant_only, normal_equations, solve

__all__ = ["Region", "Statistics"]

logger = logging.getLogger("xdiffimpute")

Kind = Literal["variable", "cell", "seasonal"]
Region = tuple[Any, Any]
TINY = 1e-6
MOST_DOUBT = 1.5  # standard error of a logarithm, beyond which the mean is not trusted to grow
EVERYWHERE: Region = (slice(None), slice(None))

CELL_COUNT = 30
BLOCK_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Statistics:
    """Climatology and scale of each channel.

    Parameters
    ----------
    kind : {"variable", "cell", "seasonal"}
        One mean a channel; one a cell; or harmonics for each cell.
    harmonics : tuple of (str, int)
        As for :meth:`xdiffimpute.calendar.Clock.regressors`.
    coefficients : float array, shape (R, C, H, W) or (R, C, 1, 1)
    scale : float array, shape (C, 1, 1)
        Spread of the anomalies.
    log : bool array, shape (C,)
        Channels that are learned in the logarithm.
    floor : float array, shape (C,)
        What is added before the logarithm.
    count : int array, shape (C, H, W)
        How often each cell was observed.
    doubt : float array, shape (C, H, W) or (C, 1, 1)
        Standard error of the climatology at cells never observed, over the scale; zero elsewhere.

    Examples
    --------
    >>> import xdiffimpute as xdi
    >>> from xdiffimpute.fields import FieldSpec
    >>> ds = xdi.example()
    >>> spec = FieldSpec.from_dataset(ds)
    >>> statistics = Statistics.fit(spec.pack(ds), spec.clock(ds), kind="cell")
    >>> statistics.coefficients.shape, statistics.scale.shape, bool(statistics.domain.all())
    ((1, 1, 12, 16), (1, 1, 1), True)
    """

    kind: str
    harmonics: tuple[tuple[str, int], ...]
    coefficients: FloatArray
    scale: FloatArray
    log: BoolArray
    floor: FloatArray
    count: AnyArray
    doubt: FloatArray

    @property
    def domain(self) -> BoolArray:
        """Cells observed at least once, shape (C, H, W)."""
        return np.asarray(self.count > 0)

    @classmethod
    def fit(
        cls,
        packed: xr.DataArray,
        clock: Clock,
        *,
        kind: str = "auto",
        log: Sequence[bool] | None = None,
    ) -> Statistics:
        """Estimate from what is observed.

        Parameters
        ----------
        packed : DataArray, dims (series, time, channel, y, x)
            NaN where not observed.
        clock : Clock
        kind : {"auto", "variable", "cell", "seasonal"}
            ``"auto"``: variable, unless a typical cell is observed 30 times; then seasonal where
            the record spans more than a year (or several days, for sub-daily data), else cell.
        log : sequence of bool, optional
            For each channel, learn in the logarithm.

        Returns
        -------
        Statistics

        Raises
        ------
        ImputeError
            If ``kind`` is unknown.
        DataError
            If a logarithm is asked for values below zero.
        """
        if kind not in ("auto", "variable", "cell", "seasonal"):
            raise ImputeError(
                f"statistics={kind!r} is not one of 'auto', 'variable', 'cell', 'seasonal'"
            )
        packed = packed.transpose("series", "time", "channel", "y", "x")
        logs = np.zeros(packed.sizes["channel"], bool) if log is None else np.asarray(log, bool)
        found = clock.cycles()
        regressors = clock.regressors(found if kind in ("auto", "seasonal") else ())
        floor = _floor(packed, logs)
        if kind == "seasonal" and not found:
            logger.warning(
                "statistics='seasonal': the record of %d frames is too short or too coarse for "
                "harmonics of the year or the day; each cell gets one mean", len(clock.days),
            )  # fmt: skip
        sums = normal_equations(packed, regressors, logs, floor)
        count = sums["xtx"][0].astype(np.int64)
        if kind == "auto":
            kind = _choose(count, found)
        if kind != "seasonal":
            found, sums = (), constant_only(sums)
        fitted = (np.ascontiguousarray(part, dtype=np.float32) for part in solve(sums, kind))
        coefficients, scale, doubt = fitted
        return cls(kind, found, coefficients, scale, logs, floor, count, doubt)

    def replaced(self, other: Statistics, channels: BoolArray) -> Statistics:
        """These statistics, but for some channels those of another estimate on the same data.

        Parameters
        ----------
        other : Statistics
            With the same harmonics.
        channels : bool array, shape (C,)
            True where ``other`` is taken.

        Returns
        -------
        Statistics
            Of the kind that has a value for each cell, unless both have one for each variable.
        """
        coefficients = np.where(channels[:, None, None], other.coefficients, self.coefficients)
        kind = other.kind if self.kind == "variable" else self.kind
        scale, doubt = (
            np.where(channels[:, None, None], one, own)
            for one, own in ((other.scale, self.scale), (other.doubt, self.doubt))
        )
        return replace(self, kind=kind, coefficients=coefficients, scale=scale, doubt=doubt)

    def without_cells(self, channels: BoolArray) -> Statistics:
        """These statistics, but for some channels one mean over all cells, and the spread about it.

        Parameters
        ----------
        channels : bool array, shape (C,)
            Those that differ from cell to cell and not in time.

        Returns
        -------
        Statistics
        """
        if self.kind == "variable" or not channels.any():
            return self
        coefficients, scale = self.coefficients.copy(), self.scale.copy()
        doubt = np.where(channels[:, None, None], np.float32(0.0), self.doubt)
        for c in np.flatnonzero(channels):
            values = self.coefficients[0, c][self.count[c] > 0]
            coefficients[:, c], coefficients[0, c] = 0.0, values.mean()
            scale[c] = max(float(np.hypot(values.std(), self.scale[c].item())), TINY)
        return replace(self, coefficients=coefficients, scale=scale, doubt=doubt)

    def climatology(self, regressors: FloatArray, region: Region = EVERYWHERE) -> FloatArray:
        """Expected values, in the logarithm where that is used.

        Parameters
        ----------
        regressors : float array, shape (N, R)
        region : pair of slices or indices
            Rows and columns.

        Returns
        -------
        float array, shape (N, C, h, w) or (N, C, 1, 1)
        """
        c = self.coefficients
        if c.shape[-2:] != (1, 1):
            c = c[:, :, region[0]][..., region[1]]
        values: FloatArray = np.einsum("nr,rchw->nchw", regressors.astype(np.float32), c)
        return values

    def forward(
        self, values: FloatArray, regressors: FloatArray, region: Region = EVERYWHERE
    ) -> FloatArray:
        """Standardised anomalies of values (N, C, h, w), in float32; NaN stays NaN."""
        z = np.array(values, dtype=np.float32)
        frames = max(1, BLOCK_BYTES // max(1, z[:1].nbytes))
        for k in range(0, len(z), frames):  # beside the result, no more than a block is held
            part = z[k : k + frames]
            if self.log.any():
                logged = np.maximum(part[:, self.log], 0.0) + self.floor[self.log, None, None]
                part[:, self.log] = np.log(logged)
            part -= self.climatology(regressors[k : k + frames], region)
            part /= self.scale
        return z

    def inverse(
        self,
        z: FloatArray,
        regressors: FloatArray,
        region: Region = EVERYWHERE,
        spread: FloatArray | None = None,
    ) -> FloatArray:
        """Values of standardised anomalies (N, C, h, w).

        Where the logarithm was learned, the mean of the values is above the exponential of the
        mean, by half the variance: ``spread``, the standard error of ``z``, accounts for it.
        """
        values = np.asarray(z * self.scale + self.climatology(regressors, region), np.float32)
        if self.log.any() and spread is not None:
            doubt = (self.trusted(spread) * self.scale)[:, self.log]
            values[:, self.log] += doubt**2 / 2
        if self.log.any():
            part = np.exp(values[:, self.log]) - self.floor[self.log, None, None]
            values[:, self.log] = np.maximum(part, 0.0)
        return values

    def trusted(self, spread: FloatArray) -> FloatArray:
        """Standard errors of standardised anomalies (N, C, h, w); of logarithms no more than 1.5.

        Beyond that an exponential of what may be wrong by so much says nothing.
        """
        if not self.log.any():
            return spread
        most = np.where(self.log[:, None, None], MOST_DOUBT / self.scale, np.inf)
        return np.minimum(spread, most).astype(np.float32)

    def inverse_spread(
        self, spread: FloatArray, z: FloatArray, regressors: FloatArray,
        region: Region = EVERYWHERE,
    ) -> FloatArray:  # fmt: skip
        """Standard errors in data units, of what :meth:`inverse` gives with the same ``spread``.

        Where the logarithm was learned: the standard deviation of a lognormal distribution, of
        which that is the mean.
        """
        error = np.asarray(self.trusted(spread) * self.scale, dtype=np.float32)
        if self.log.any():
            mean = self.inverse(z, regressors, region, spread=spread)[:, self.log]
            mean += self.floor[self.log, None, None]
            error[:, self.log] = mean * np.sqrt(np.expm1(error[:, self.log] ** 2))
        return error

    def to_arrays(self) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        """Arrays, and the rest as JSON, for a checkpoint."""
        arrays = {
            "coefficients": self.coefficients,
            "scale": self.scale,
            "log": self.log,
            "floor": self.floor,
            "count": self.count,
            "doubt": self.doubt,
        }
        return arrays, {"kind": self.kind, "harmonics": [list(h) for h in self.harmonics]}

    @classmethod
    def from_arrays(cls, arrays: dict[str, AnyArray], small: dict[str, Any]) -> Statistics:
        """Rebuild from :meth:`to_arrays`."""
        return cls(
            kind=small["kind"],
            harmonics=tuple((str(name), int(n)) for name, n in small["harmonics"]),
            coefficients=arrays["coefficients"],
            scale=arrays["scale"],
            log=arrays["log"].astype(bool),
            floor=arrays["floor"],
            count=arrays["count"],
            doubt=arrays["doubt"],
        )


def _choose(count: AnyArray, harmonics: tuple[tuple[str, int], ...]) -> str:
    seen = count[count > 0]
    typical = float(np.median(seen)) if seen.size else 0.0
    if harmonics and typical >= CELL_COUNT:
        return "seasonal"
    return "cell" if typical >= CELL_COUNT else "variable"


def _floor(packed: xr.DataArray, logs: BoolArray) -> FloatArray:
    """A hundredth of the mean of each logarithmic channel."""
    if not logs.any():
        return np.ones(len(logs), dtype=np.float32)
    part = packed.isel(channel=np.flatnonzero(logs))
    dims = ("series", "time", "y", "x")
    low, mean = dask.compute(part.min(dims), part.mean(dims, dtype=np.float64))
    if (low < 0).any():
        raise DataError(
            f"log= was asked for a variable with values down to {float(low.min()):g}; "
            "a logarithm needs values of zero or more, leave that variable out of log=[...]"
        )
    floor = np.ones(len(logs), dtype=np.float32)
    floor[logs] = np.maximum(0.01 * mean.values, 1e-12)
    return floor
