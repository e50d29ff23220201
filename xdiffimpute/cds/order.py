"""What is asked of the Climate Data Store: one request a month, two across the date line."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from .._typing import AnyArray
from ..exceptions import ImputeError

__all__ = ["Month", "Order"]

EARTH = 360.0
NATIVE = 0.25  # degrees, of ERA5 where no grid is asked for
ORDER = "area is [north, west, south, east] in degrees, such as [60, -10, 35, 30]"


@dataclass(frozen=True, order=True)
class Month:
    """A month of a year.

    Examples
    --------
    >>> str(Month(2020, 2)), Month(2020, 2).days
    ('2020-02', 29)
    """

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def days(self) -> int:
        """How many days it has."""
        return calendar.monthrange(self.year, self.month)[1]


@dataclass(frozen=True, kw_only=True)
class Order:
    """Variables, months and an area of a dataset of the Climate Data Store.

    Parameters
    ----------
    dataset : str
        Such as ``"reanalysis-era5-single-levels"``.
    variables : sequence of str
        By their names in the Climate Data Store, such as ``"2m_temperature"``.
    years : sequence of int
    months : sequence of int
        From 1 to 12; default: all.
    days : sequence of int, optional
        Of every month; default: all that it has.
    hours : sequence of int
        UTC, from 0 to 23; default: all.
    area : (north, west, south, east), optional
        In degrees; an area may cross the date line, as in ``(10, 170, -10, -170)``. Default: the
        globe.
    grid : float or (float, float), optional
        Spacing in degrees; default: the dataset's own.
    levels : sequence of int, optional
        Pressure levels in hPa.
    product_type : str or None
        ``None`` for datasets that have none, such as ERA5-Land.

    Raises
    ------
    ImputeError
        If a date does not exist or has not come yet, or the area is none.

    Examples
    --------
    >>> order = Order(dataset="reanalysis-era5-single-levels", variables=["2m_temperature"],
    ...               years=[2020], months=[2], area=(10, 170, -10, -170))
    >>> [request["area"] for request in order.requests(Month(2020, 2))]
    [[10, 170.0, -10, 180.0], [10, -180.0, -10, -170.0]]
    """

    dataset: str
    variables: Sequence[str]
    years: Sequence[int]
    months: Sequence[int] = tuple(range(1, 13))
    days: Sequence[int] | None = None
    hours: Sequence[int] = tuple(range(24))
    area: tuple[float, float, float, float] | None = None
    grid: float | tuple[float, float] | None = None
    levels: Sequence[int] | None = None
    product_type: str | None = "reanalysis"

    def __post_init__(self) -> None:
        if not self.variables or not self.years or not self.months or not self.hours:
            raise ImputeError(
                "there is nothing to ask for; name at least one variable, year, month and hour"
            )
        _within("months", self.months, 1, 12)
        _within("hours", self.hours, 0, 23)
        _within("days", self.days or (), 1, 31)
        self._check_dates()
        self._check_area()
        steps = self.grid if isinstance(self.grid, tuple) else (self.grid or NATIVE,) * 2
        if len(steps) != 2 or min(steps) <= 0:
            raise ImputeError(
                f"grid={self.grid!r} is no spacing in degrees; give one such as 0.25, or "
                "(0.5, 0.25) for latitude and longitude"
            )

    @property
    def calendar(self) -> list[Month]:
        """The months, in order."""
        return sorted({Month(int(y), int(m)) for y in self.years for m in self.months})

    @property
    def west(self) -> float:
        """Longitude that the result starts at, in degrees."""
        if self.area is None:
            return 0.0
        _, west, _, east = self.area
        return float(west) if west < east else _wrapped(west)

    def requests(self, month: Month) -> list[dict[str, Any]]:
        """What the Climate Data Store is asked for a month: two requests across the date line.

        Parameters
        ----------
        month : Month

        Returns
        -------
        list of dict
            As the web form of the Climate Data Store shows them.
        """
        request: dict[str, Any] = {
            "variable": list(self.variables),
            "year": [f"{month.year:04d}"],
            "month": [f"{month.month:02d}"],
            "day": [f"{day:02d}" for day in self._days(month)],
            "time": [f"{hour:02d}:00" for hour in sorted(set(self.hours))],
            "data_format": "netcdf",
            "download_format": "unarchived",
        }
        if self.product_type is not None:
            request["product_type"] = [self.product_type]
        if self.levels is not None:
            request["pressure_level"] = [str(level) for level in self.levels]
        if self.grid is not None:
            request["grid"] = list(self.grid) if isinstance(self.grid, tuple) else [self.grid] * 2
        parts = self._areas()
        return [request | {"area": part} for part in parts] if parts else [request]

    def times(self, month: Month) -> AnyArray:
        """The times of a month that are asked for.

        Parameters
        ----------
        month : Month

        Returns
        -------
        datetime64 array, shape (days x hours,)
        """
        days = np.array([f"{month}-{day:02d}" for day in self._days(month)], dtype="datetime64[h]")
        hours = np.array(sorted(set(self.hours))).astype("timedelta64[h]")
        times: AnyArray = (days[:, None] + hours).reshape(-1)
        return times

    def _days(self, month: Month) -> list[int]:
        return sorted(set(self.days)) if self.days else list(range(1, month.days + 1))

    def _check_dates(self) -> None:
        today = date.today()
        for month in self.calendar:
            if not month.year >= 1900 or (month.year, month.month) > (today.year, today.month):
                raise ImputeError(
                    f"there are no data of {month} (today is {today}); give years and months "
                    "that have been, from 1940 on for ERA5"
                )
            for day in self.days or ():
                if day > month.days:
                    raise ImputeError(
                        f"{month}-{day:02d} does not exist: {month} has {month.days} days; leave "
                        "out days: for whole months"
                    )

    def _check_area(self) -> None:
        if self.area is None:
            return
        north, west, south, east = self.area
        if not -90 <= south < north <= 90:
            raise ImputeError(
                f"area={list(self.area)}: north must lie above south, both from -90 to 90; {ORDER}"
            )
        if not (-180 <= west <= 360 and -180 <= east <= 360) or west == east:
            raise ImputeError(
                f"area={list(self.area)}: west and east must differ and lie from -180 to 360; an "
                f"area across the date line is [10, 170, -10, -170] or [10, 170, -10, 190]; {ORDER}"
            )

    def _areas(self) -> list[list[float]]:
        """The area between -180 and 180 degrees east, in two parts where it crosses 180."""
        if self.area is None:
            return []
        north, west, south, east = self.area
        step = self.grid[1] if isinstance(self.grid, tuple) else self.grid or NATIVE
        if east - west > EARTH - 1.5 * step:
            return [] if (north, south) == (90, -90) else [[north, -180.0, south, 180.0]]
        left, right = _wrapped(west), _wrapped(east)
        right = EARTH / 2 if right == -EARTH / 2 else right
        if left <= right:
            return [[north, left, south, right]]
        return [[north, left, south, 180.0], [north, -180.0, south, right]]


def _wrapped(longitude: float) -> float:
    """A longitude from -180 up to, but not, 180."""
    return float((longitude + EARTH / 2) % EARTH - EARTH / 2)


def _within(name: str, values: Sequence[int], low: int, high: int) -> None:
    wrong = [value for value in values if not low <= value <= high]
    if wrong:
        raise ImputeError(f"{name}: {wrong[0]} does not exist; give numbers from {low} to {high}")
