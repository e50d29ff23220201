"""Times of frames as numbers: elapsed days, and the phase of the year and of the day.

Works for datetime64 of any unit and for cftime in any calendar, where the length of a year is
the calendar's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ._typing import AnyArray, FloatArray
from .exceptions import AxesError

__all__ = ["Clock", "read_clock"]

SEASON_DAYS = 400.0
DAY_STEP = 6.5 / 24
DAY_SPAN = 5.0


@dataclass(frozen=True)
class Clock:
    """Times of N frames.

    Parameters
    ----------
    days : float array, shape (N,)
        Days since the first frame.
    year_phase, day_phase : float arrays, shape (N,)
        Share of the year and of the day that has passed, in [0, 1).
    labels : str array, shape (N,)
        Each time as text, for matching frames of two selections.
    dated : bool
        Whether the times are dates; if not, the phases are zero.
    """

    days: FloatArray
    year_phase: FloatArray
    day_phase: FloatArray
    labels: AnyArray
    dated: bool = True

    @property
    def step(self) -> float | None:
        """Median time from frame to frame in days (or in frames), None for a single one."""
        return float(np.median(np.diff(self.days))) if len(self.days) > 1 else None

    def cycles(self) -> tuple[tuple[str, int], ...]:
        """Harmonics of the year and of the day that the record can resolve.

        Returns
        -------
        tuple of (str, int)
            For :meth:`regressors`.

        Examples
        --------
        >>> days = np.arange(800.0)
        >>> Clock(days, days % 365 / 365, 0 * days, days).cycles()
        (('year', 1), ('year', 2))
        """
        found: list[tuple[str, int]] = []
        span = float(self.days[-1] - self.days[0]) if len(self.days) > 1 else 0.0
        if span >= SEASON_DAYS and len(np.unique(np.round(self.year_phase * 12))) >= 5:
            found += [("year", 1), ("year", 2)]
        step = float(np.median(np.diff(self.days))) if len(self.days) > 1 else np.inf
        phases = len(np.unique(np.round(self.day_phase, 4)))
        if step <= DAY_STEP and span >= DAY_SPAN and phases >= 4:
            found += [("day", 1)] + ([("day", 2)] if phases >= 6 else [])
        return tuple(found)

    def regressors(self, harmonics: Sequence[tuple[str, int]]) -> FloatArray:
        """A constant and, for each harmonic, a cosine and a sine.

        Parameters
        ----------
        harmonics : sequence of (str, int)
            ``("year", n)`` or ``("day", n)``: n cycles in a year or day.

        Returns
        -------
        float array, shape (N, 1 + 2 len(harmonics))

        Examples
        --------
        >>> zero = np.zeros(2)
        >>> Clock(zero, zero, zero, zero).regressors([("year", 1)]).tolist()
        [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]]
        """
        phases = {"year": self.year_phase, "day": self.day_phase}
        columns = [np.ones(len(self.days))]
        for name, cycles in harmonics:
            angle = 2.0 * np.pi * cycles * phases[name]
            columns += [np.cos(angle), np.sin(angle)]
        return np.stack(columns, axis=1)


def read_clock(ds: xr.Dataset, time: str | None) -> Clock:
    """The clock of a dataset.

    Parameters
    ----------
    ds : Dataset
    time : str, optional
        The time dimension; without one there is a single frame. Dates of an auxiliary
        coordinate along it are read where its own coordinate holds none.

    Returns
    -------
    Clock

    Raises
    ------
    AxesError
        If the time coordinate holds missing times.
    """
    if time is None:
        return Clock(np.zeros(1), np.zeros(1), np.zeros(1), np.array(["0"]), dated=False)
    size = ds.sizes[time]
    values = _coordinate(ds, time)
    if values is None:
        steps = np.arange(size, dtype=float)
        labels = np.arange(size).astype(str)
        return Clock(steps, np.zeros(size), np.zeros(size), labels, dated=False)
    if bool(values.isnull().any()):
        raise AxesError(
            f"the time coordinate {time!r} holds missing times; drop them with "
            f"ds.sel({time}=ds[{time!r}].notnull())"
        )
    labels = _labels(values)
    if not _holds_dates(values):
        numbers = _numbers(values)
        none = np.zeros(size)
        return Clock(numbers - numbers[0], none, none, labels, dated=False)
    day_phase = (
        values.dt.hour.values / 24.0 + values.dt.minute.values / 1440.0
        + values.dt.second.values / 86400.0
    )  # fmt: skip
    first = values.values[0]
    elapsed = values.values - first
    if np.issubdtype(values.dtype, np.datetime64):
        days = elapsed / np.timedelta64(1, "s") / 86400.0
        length = np.where(values.dt.is_leap_year.values, 366.0, 365.0)
    else:
        days = np.array([delta.total_seconds() / 86400.0 for delta in elapsed])
        length = np.array([_days_in_year(moment) for moment in values.values])
    year_phase = (values.dt.dayofyear.values - 1.0 + day_phase) / length
    return Clock(np.asarray(days, float), np.minimum(year_phase, 1.0 - 1e-9), day_phase, labels)


def _holds_dates(coordinate: xr.DataArray) -> bool:
    """Whether a coordinate holds dates, of datetime64 or of cftime."""
    return coordinate.dtype.kind != "m" and hasattr(coordinate, "dt")


def _coordinate(ds: xr.Dataset, time: str) -> xr.DataArray | None:
    """The dates along the time dimension: its own coordinate, or an auxiliary one in order.

    Lead times, running numbers and dimensions without a coordinate often have the dates
    beside them, such as ``valid_time(step)``.
    """
    own = ds[time] if time in ds.coords else None
    if own is not None and _holds_dates(own):
        return own
    beside = [c for c in ds.coords.values() if c.dims == (time,) and _dates_in_order(c)]
    named = [c for c in beside if c.attrs.get("standard_name") == "time"]
    chosen = named or beside
    return chosen[0] if len(chosen) == 1 else own


def _dates_in_order(coordinate: xr.DataArray) -> bool:
    if not _holds_dates(coordinate) or bool(coordinate.isnull().any()):
        return False
    return bool((coordinate.values[1:] > coordinate.values[:-1]).all())


def _labels(values: xr.DataArray) -> AnyArray:
    """Times as text that does not depend on the unit in which they are stored."""
    if values.dtype.kind == "M":
        return np.datetime_as_string(values.values.astype("datetime64[us]"))
    if values.dtype.kind == "m":
        return values.values.astype("timedelta64[us]").astype(str)
    return np.array([str(value) for value in values.values])


def _numbers(values: xr.DataArray) -> FloatArray:
    """Elapsed days: of lead times, or numbers as they are."""
    if values.dtype.kind == "m":
        days: FloatArray = values.values / np.timedelta64(1, "s") / 86400.0
        return days
    if values.dtype.kind not in "iufb":
        raise AxesError(
            f"the time coordinate {values.name!r} holds {values.dtype}, neither times nor numbers; "
            f"convert it with ds.assign_coords({values.name}=pd.to_datetime(ds[{values.name!r}]))"
        )
    return np.asarray(values.values, dtype=float)


def _days_in_year(moment: object) -> float:
    """Length of a cftime moment's year in its own calendar."""
    start = moment.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)  # type: ignore[attr-defined]
    return float((start.replace(year=start.year + 1) - start).days)
