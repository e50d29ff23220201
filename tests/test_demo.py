"""The demonstration, small: what it hides, what it compares, what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("matplotlib")
pytest.importorskip("cv2")
pytest.importorskip("skimage")

from xdiffimpute.baselines import BASELINES
from xdiffimpute.datasets import DATASETS
from xdiffimpute.demo import NAMES, Row, _row, hide_blocks, run_demo
from xdiffimpute.exceptions import ImputeError, OutputExistsError

pytestmark = pytest.mark.usefixtures("hasty")

SEED = 3


@pytest.fixture(scope="module")
def truth() -> xr.Dataset:
    source = DATASETS.create("shallow_water", samples=24, shape=(24, 24), frames=6, seed=SEED)
    return source.open()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    out = tmp_path_factory.mktemp("demo") / "results"
    return out, run_demo(out, quick=True, minutes=0.03, seed=SEED, progress=False)


def test_hides_four_of_nine_blocks_for_good(truth: xr.Dataset) -> None:
    gappy, hidden = hide_blocks(truth, SEED)
    blocks = hidden.values.reshape(24, 3, 8, 3, 8)
    assert (blocks.all(axis=(2, 4)) == blocks.any(axis=(2, 4))).all()  # whole blocks
    assert (blocks.any(axis=(2, 4)).sum(axis=(1, 2)) == 4).all()
    assert len(np.unique(blocks.any(axis=(2, 4)).reshape(24, 9), axis=0)) > 10
    for name in NAMES:
        assert gappy[name].dims == truth[name].dims
        assert (gappy[name].isnull() == hidden).all()  # in every frame
        assert (gappy[name] == truth[name]).where(~hidden, True).all()


def test_hiding_follows_the_seed(truth: xr.Dataset) -> None:
    first, again, other = (hide_blocks(truth, s)[1] for s in (1, 1, 2))
    assert first.identical(again) and not first.equals(other)


def test_compares_with_every_baseline(ran: tuple[Path, list[Row]]) -> None:
    _, rows = ran
    assert [row.method for row in rows] == ["xdiffimpute", *BASELINES.names()]
    for row in rows:
        filled = row.rmse and all(0 < row.rmse[name] < 10 for name in NAMES)
        assert filled or row.remark, row
    assert set(rows[0].rmse) == set(NAMES) and not rows[0].remark


def test_store_holds_what_was_scored(ran: tuple[Path, list[Row]], truth: xr.Dataset) -> None:
    out, rows = ran
    filled = xr.open_zarr(out / "filled.zarr").load()
    gappy, hidden = hide_blocks(truth, SEED)
    few = {"sample": slice(0, filled.sizes["sample"])}
    truth, gappy, hidden = truth.isel(few), gappy.isel(few), hidden.isel(few)
    for name in NAMES:
        wrong = (filled[name] - truth[name]).where(hidden).astype("float64")
        assert float(np.sqrt((wrong**2).mean())) == pytest.approx(rows[0].rmse[name])
        seen = gappy[name].notnull().values
        np.testing.assert_array_equal(filled[name].values[seen], gappy[name].values[seen])
        assert filled[name].notnull().all()
        assert (filled[f"{name}_imputation_flag"] == hidden).all()
        assert (filled[f"{name}_standard_error"].where(hidden, 1) > 0).all()
        assert filled[name].attrs["units"] == truth[name].attrs["units"]


def test_draws_a_picture(ran: tuple[Path, list[Row]]) -> None:
    from matplotlib.image import imread

    out, _ = ran
    image = imread(out / "comparison.png")
    assert min(image.shape[:2]) > 1000
    assert len(np.unique(image[..., :3] @ [1.0, 7.0, 49.0])) > 1000  # colours: it is not blank


def test_a_method_that_cannot_says_so(truth: xr.Dataset) -> None:
    def refuse() -> xr.Dataset:
        raise ImputeError("it needs more frames")

    row = _row("stubborn", refuse, truth, hide_blocks(truth, SEED)[1])
    assert row.remark == "cannot fill this case: it needs more frames" and not row.rmse


def test_cells_left_empty_are_counted(truth: xr.Dataset) -> None:
    gappy, hidden = hide_blocks(truth, SEED)
    row = _row("idle", lambda: gappy, truth, hidden)
    cells = int(hidden.sum()) * truth.sizes["time"] * len(NAMES)
    assert row.remark == f"left {cells} cells empty"


def test_results_are_not_replaced_unasked(ran: tuple[Path, list[Row]]) -> None:
    out, _ = ran
    with pytest.raises(OutputExistsError, match=r"holds results already \(filled.zarr, comp"):
        run_demo(out, quick=True)
