"""Times as numbers, in every calendar and unit."""

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xdiffimpute.calendar import read_clock
from xdiffimpute.exceptions import AxesError


def at(times):
    times = np.asarray(times)
    return xr.Dataset({"a": ("time", np.zeros(len(times)))}, coords={"time": times})


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_datetime64_of_any_unit(unit):
    start = np.datetime64("2004-03-01T06:00:00", unit)
    times = start + (np.arange(4) * np.timedelta64(18, "h")).astype(f"timedelta64[{unit}]")
    clock = read_clock(at(times), "time")
    np.testing.assert_allclose(clock.days, 0.75 * np.arange(4))
    np.testing.assert_allclose(clock.day_phase, [0.25, 0.0, 0.75, 0.5])
    expected = (60.25 + 0.75 * np.arange(4)) / 366  # 2004 is a leap year
    np.testing.assert_allclose(clock.year_phase, expected)


def test_labels_do_not_depend_on_the_unit():
    times = np.datetime64("2004-03-01", "s") + np.arange(3) * np.timedelta64(90, "m")
    labels = [
        read_clock(at(times.astype(f"datetime64[{u}]")), "time").labels for u in ("s", "us", "ns")
    ]
    assert list(labels[0]) == list(labels[1]) == list(labels[2])
    assert labels[0][1].startswith("2004-03-01T01:30:00")


@pytest.mark.parametrize(
    ("calendar", "length"),
    [("360_day", 360), ("noleap", 365), ("all_leap", 366), ("julian", 366), ("standard", 366)],
)
def test_cftime_calendars_have_years_of_their_own_length(calendar, length):
    times = xr.date_range(
        "2004-01-01", periods=3 * length, freq="D", calendar=calendar, use_cftime=True
    )
    clock = read_clock(at(times), "time")
    np.testing.assert_allclose(clock.days, np.arange(3 * length))
    np.testing.assert_allclose(clock.year_phase[:length], np.arange(length) / length)
    assert ((clock.year_phase >= 0) & (clock.year_phase < 1)).all()
    assert (clock.day_phase == 0).all()
    assert clock.labels[0].startswith("2004-01-01")


def test_far_years_and_the_thirtieth_of_february():
    times = [cftime.Datetime360Day(2099, 2, 30, 12), cftime.Datetime360Day(2100, 2, 30, 12)]
    clock = read_clock(at(times), "time")
    np.testing.assert_allclose(clock.days, [0, 360])
    np.testing.assert_allclose(clock.year_phase, 59.5 / 360)


def test_the_same_moments_in_two_types_agree():
    times = pd.date_range("2001-01-01", periods=50, freq="37h")
    one = read_clock(at(times.values), "time")
    two = read_clock(at(times.values).convert_calendar("standard", use_cftime=True), "time")
    for name in ("days", "year_phase", "day_phase"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=1e-9)


def test_no_time_axis_numbers_and_lead_times():
    still = read_clock(xr.Dataset(), None)
    assert (len(still.days), still.days[0], still.year_phase[0], len(still.labels)) == (1, 0, 0, 1)
    numbers = read_clock(at([3.0, 5.0, 9.0]), "time")
    np.testing.assert_array_equal(numbers.days, [0, 2, 6])
    assert (numbers.year_phase == 0).all()
    steps = read_clock(at(pd.to_timedelta([0, 12, 36], unit="h").values), "time")
    np.testing.assert_allclose(steps.days, [0, 0.5, 1.5])
    bare = read_clock(xr.Dataset({"a": ("time", np.zeros(4))}), "time")
    np.testing.assert_array_equal(bare.days, np.arange(4))
    assert list(bare.labels) == ["0", "1", "2", "3"]


def test_missing_times_and_text_are_refused():
    times = pd.date_range("2001-01-01", periods=3).values.copy()
    times[1] = np.datetime64("NaT")
    with pytest.raises(AxesError, match=r"'time' holds missing times; drop them with ds.sel"):
        read_clock(at(times), "time")
    with pytest.raises(AxesError, match=r"neither times nor numbers; convert it with"):
        read_clock(at(["one", "two"]), "time")


def test_regressors_are_a_constant_cosines_and_sines():
    clock = read_clock(at(pd.date_range("2001-01-01", periods=1460, freq="6h").values), "time")
    phi = clock.regressors([("year", 1), ("year", 2), ("day", 1)])
    assert phi.shape == (1460, 7)
    gram = phi.T @ phi / len(phi)
    np.testing.assert_allclose(gram, np.diag([1] + [0.5] * 6), atol=1e-10)
    np.testing.assert_allclose(phi[:, 5], np.tile([1, 0, -1, 0], 365), atol=1e-12)


def test_dates_beside_lead_times_and_bare_dimensions_are_read():
    dates = pd.date_range("2001-03-01", periods=4, freq="6h").values
    leads = pd.to_timedelta(np.arange(4) * 6, unit="h").values
    expected = read_clock(at(dates), "time")
    step = xr.Dataset({"a": ("step", np.zeros(4))}, coords={"step": leads})
    step = step.assign_coords(valid_time=("step", dates, {"standard_name": "time"}))
    bare = xr.Dataset({"a": ("n", np.zeros(4))}, coords={"when": ("n", dates)})
    for ds, dim in ((step, "step"), (bare, "n")):
        clock = read_clock(ds, dim)
        np.testing.assert_allclose(clock.days, expected.days)
        np.testing.assert_allclose(clock.year_phase, expected.year_phase)
        assert list(clock.labels) == list(expected.labels)
    # Dates out of order, or of which there are several, say nothing about the frames.
    shuffled = bare.assign_coords(when=("n", dates[::-1]))
    several = bare.assign_coords(other=("n", dates))
    for ds in (shuffled, several):
        np.testing.assert_array_equal(read_clock(ds, "n").days, np.arange(4))
