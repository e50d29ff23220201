"""Errors at withheld cells sorted by distance and by size of the gap, against counting by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from xdiffimpute.breakdown import breakdown
from xdiffimpute.exceptions import UnknownNameError
from xdiffimpute.fields import FieldSpec
from xdiffimpute.gaps import gap_sizes
from xdiffimpute.residuals import Residuals, residuals
from xdiffimpute.scoring import skill_table
from xdiffimpute.withholding import Withheld

pytestmark = pytest.mark.usefixtures("hasty")


def one_gap(rows: slice, columns: slice, *, periodic: bool = False) -> tuple[xr.Dataset, Withheld]:
    """Two frames of 9 x 12 cells; in the first a rectangle is withheld, and two cells apart."""
    lon = np.arange(12) * 30.0 if periodic else np.arange(12) * 1.0
    values = np.zeros((2, 9, 12), dtype=np.float32)
    ds = xr.Dataset(
        {"sst": (("time", "lat", "lon"), values, {"units": "degC"})},
        {"time": [0, 1], "lat": np.arange(9) * 1.0 - 4.0, "lon": lon},
    )
    ds["lat"].attrs["units"], ds["lon"].attrs["units"] = "degrees_north", "degrees_east"
    mask = np.zeros((1, 1, 9, 12), dtype=bool)
    mask[0, 0, rows, columns] = True
    return ds, Withheld(np.array([0]), np.array([0]), np.array(["0"]), mask, np.array([0.0]))


def found(ds: xr.Dataset, held: Withheld, domain: np.ndarray | None = None) -> Residuals:
    """Errors of two fills: one off by 2 everywhere, one off by -1."""
    spec = FieldSpec.from_dataset(ds)
    everywhere = np.ones((1, *spec.shape), dtype=bool)
    fills = {"ours": lambda d: d.fillna(2.0), "theirs": lambda d: d.fillna(-1.0)}
    return residuals(ds, spec, held, fills, everywhere if domain is None else domain)


def test_distance_and_size_of_a_rectangle() -> None:
    """Three rows of five, on a plane: what is inside is 2 cells from an observation."""
    ds, held = one_gap(slice(3, 6), slice(2, 7))
    ds["lat"].attrs, ds["lon"].attrs = {}, {}
    seen = found(ds.rename(lat="row", lon="column").rename(row="y", column="x"), held)
    assert seen.distance["sst"].tolist() == [1.0] * 5 + [1.0, 2.0, 2.0, 2.0, 1.0] + [1.0] * 5
    assert seen.size["sst"].tolist() == [15.0] * 15
    assert (seen.errors["sst"] == [[2.0] * 15, [-1.0] * 15]).all()


def test_tables_hold_what_was_counted() -> None:
    ds, held = one_gap(slice(3, 6), slice(2, 7))
    near = breakdown(found(ds, held), "distance")
    assert near["sst"].dims == ("imputer", "metric", "distance")
    assert near["distance"].values.tolist() == ["up to 1", "1 to 2"]
    assert near["distance"].attrs["units"] == "cells" and near["sst"].attrs["units"] == "degC"
    assert near["sst"].sel(metric="cells", imputer="ours").values.tolist() == [12, 3]
    assert near["sst"].sel(metric="rmse", imputer="ours").values.tolist() == [2.0, 2.0]
    assert near["sst"].sel(metric="bias", imputer="theirs").values.tolist() == [-1.0, -1.0]
    np.testing.assert_allclose(near["distance_mean"], [1.0, 2.0], rtol=0.01)
    size = breakdown(found(ds, held), "gap_size")
    assert size["gap_size"].values.tolist() == ["5 to 16"]
    assert float(size["sst"].sel(metric="cells", imputer="ours", gap_size="5 to 16")) == 15


def test_classes_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(0)
    ds, held = one_gap(slice(0, 8), slice(0, 11))
    held.masks[:] &= rng.random(held.masks.shape) < 0.7
    ds["sst"] = ds["sst"].copy(data=rng.normal(size=ds["sst"].shape))
    seen = found(ds, held)
    whole = skill_table(seen)["sst"]
    for by in ("distance", "gap_size"):
        parts = skill_table(seen, by)["sst"]
        count = parts.sel(metric="cells")
        assert (count.sum(by) == whole.sel(metric="cells")).all() and count.sizes[by] > 1
        square = (parts.sel(metric="rmse") ** 2 * count).sum(by) / count.sum(by)
        np.testing.assert_allclose(square**0.5, whole.sel(metric="rmse"))


def test_a_frame_without_observations_has_a_class_of_its_own() -> None:
    ds, held = one_gap(slice(None), slice(None))
    near = breakdown(found(ds, held), "distance")
    assert near["distance"].values.tolist() == ["none in the frame"]
    assert np.isinf(near["distance_mean"].values).all()


def test_a_coast_bounds_a_gap() -> None:
    """Land is never observed: a gap that touches it is no larger for that."""
    ds, held = one_gap(slice(0, 2), slice(0, 2))
    domain = np.ones((1, 9, 12), dtype=bool)
    domain[0, 2:, 0] = False
    ds["sst"] = ds["sst"].where(domain[0])
    assert set(found(ds, held, domain).size["sst"]) == {4.0}
    assert set(found(ds, held).size["sst"]) == {11.0}


def test_gaps_and_distances_cross_the_date_line() -> None:
    ds, held = one_gap(slice(4, 5), slice(0, 2), periodic=True)
    held.masks[0, 0, 4, -1] = True
    seen = found(ds, held)
    assert seen.size["sst"].tolist() == [3.0, 3.0, 3.0]
    missing = np.zeros((3, 5), dtype=bool)
    missing[0, [0, 4]] = missing[2, 2] = True
    assert gap_sizes(missing)[0].tolist() == [1, 0, 0, 0, 1]
    assert gap_sizes(missing, periodic=True).tolist() == [[2, 0, 0, 0, 2], [0] * 5, [0, 0, 1, 0, 0]]
    assert gap_sizes(np.zeros((2, 3), dtype=bool), periodic=True).tolist() == [[0] * 3] * 2


def test_cells_that_one_method_leaves_are_left_out() -> None:
    ds, held = one_gap(slice(3, 6), slice(2, 7))
    spec = FieldSpec.from_dataset(ds)
    fills = {"ours": lambda d: d.fillna(2.0), "half": lambda d: d.fillna(1.0).where(d["lon"] < 4)}
    seen = residuals(ds, spec, held, fills, np.ones((1, 9, 12), dtype=bool))
    assert seen.errors["sst"].shape == (2, 6) and len(seen.distance["sst"]) == 6


def test_methods_are_tied_where_other_frames_could_turn_it_around() -> None:
    rng = np.random.default_rng(0)
    run = np.repeat(np.arange(12), 20)
    size = np.repeat(np.where(np.arange(12) % 2, 1.0, 2.0), 20)  # by turns one is ahead
    ours, other = rng.normal(size=(2, 240)) * np.stack([size, 2.95 - size])
    far = 3.0 * rng.normal(size=240)
    ds, held = one_gap(slice(2, 4), slice(3, 6))
    made = replace(
        found(ds, held), methods=("ours", "other", "far"), run={"a": run},
        errors={"a": np.stack([ours, other, far])},
    )  # fmt: skip
    best = int(np.argmin((made.errors["a"] ** 2).sum(axis=1)))
    assert made.tied("a") == [("other", "ours")[best]]
    few = replace(made, run={"a": np.repeat(np.arange(4), 60)})
    assert few.tied("a") == []


def test_every_error_knows_its_run() -> None:
    ds, held = one_gap(slice(2, 4), slice(3, 6))
    made = found(ds, held)
    (name,) = made.errors
    assert made.run[name].shape == made.errors[name].shape[1:]
    assert len(np.unique(made.run[name])) == len(np.unique(held.time)) == 1


def test_unknown_ways_are_refused(gappy: xr.Dataset) -> None:
    with pytest.raises(UnknownNameError, match="by='depth' is not a way .* by='distance'"):
        gappy.impute.score("nearest", by="depth")


def test_through_the_accessor(gappy: xr.Dataset) -> None:
    whole, near = gappy.impute.score("nearest"), gappy.impute.score("nearest", by="distance")
    count = near["sst"].sel(metric="cells").sum("distance")
    assert (count == whole["sst"].sel(metric="cells")).all() and near.sizes["distance"] >= 2
    imputer = gappy.impute.fit(steps=1, progress=False)
    size = gappy.impute.score(imputer, by="gap_size")
    assert list(size["imputer"].values) == ["diffusion", "climatology", "linear"]
    rmse = size["sst"].sel(metric="rmse")
    assert (rmse.notnull() & (rmse > 0)).all()
