"""Tiles on a globe: where they meet, the fill is as smooth as elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from xdiffimpute import planning, tiled
from xdiffimpute.denoiser import Denoiser
from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.estimator import Prediction
from xdiffimpute.planning import plan
from xdiffimpute.tiled import Tiled

pytestmark = pytest.mark.usefixtures("hasty")

SHAPE, TILE = (24, 48), 12


def globe(frames: int = 12) -> tuple[xr.Dataset, xr.Dataset]:
    """Smooth waves that close around the globe, whole and with gaps."""
    rng = np.random.default_rng(0)
    t, y, x = np.meshgrid(np.arange(frames), *map(np.arange, SHAPE), indexing="ij")
    around, down = 2 * np.pi * x / SHAPE[1], np.pi * (y + 0.5) / SHAPE[0]
    truth = 15 + 4 * np.sin(around - 0.3 * t) * np.sin(down) + 2 * np.cos(3 * around + 2 * down)
    coords = {
        "time": np.datetime64("2003-01-01", "ns") + np.arange(frames) * np.timedelta64(1, "D"),
        "lat": np.linspace(-90 + 3.75, 90 - 3.75, SHAPE[0]),
        "lon": np.arange(SHAPE[1]) * 360.0 / SHAPE[1],
    }
    whole = xr.Dataset({"t": (("time", "lat", "lon"), truth.astype("float32"))}, coords)
    return whole, whole.where(rng.random(truth.shape) < 0.4)


@pytest.fixture(scope="module")
def filled() -> tuple[xr.Dataset, xr.Dataset]:
    truth, gappy = globe()
    options = {"tile": TILE, "window": 1, "statistics": "variable", "partition": "pixel"}
    imputer = DiffusionImputer(steps=30, summary=False, progress=False, seed=0, **options)
    imputer.fit(gappy)
    assert imputer.fitted.tile == (TILE, TILE) and imputer.fitted.spec.periodic
    return truth, imputer.fill(gappy, sampler="single_pass")


def borders() -> tuple[list[int], list[int]]:
    """Rows and columns at which a tile begins or ends; the outer rows are no borders."""
    places, _ = Tiled(Denoiser(1, 0, size="small"), (TILE, TILE), periodic=True)._places(*SHAPE)
    rows = {int(y[0]) for y, _ in places} | {int(y[-1] + 1) for y, _ in places}
    columns = {int(x[0]) for _, x in places} | {int(x[-1] + 1) % SHAPE[1] for _, x in places}
    return sorted(rows - {0, SHAPE[0]}), sorted(columns)


def jumps(field: xr.DataArray, rows: list[int], columns: list[int]) -> tuple[float, float]:
    """Mean absolute step across some rows, and across some columns, around the globe."""
    values = field.values.astype(float)
    down = np.abs(values[:, rows] - values[:, [r - 1 for r in rows]]).mean()
    across = np.abs(values[..., columns] - values[..., [c - 1 for c in columns]]).mean()
    return float(down), float(across)


class Disagreeing(Denoiser):
    """Knows the field, but each tile is off by another amount."""

    def estimate(self, x_t, t, context, guesses, features, query=None, periodic=None):  # type: ignore[no-untyped-def]
        wrong = 0.2 * torch.randn(len(x_t), generator=torch.Generator().manual_seed(1))
        mean = x_t + wrong[:, None, None, None, None]
        return Prediction(mean, torch.ones_like(mean))


def test_tiles_that_disagree_are_blended() -> None:
    """On a globe; with tiles side by side the jumps would be some times those of the truth."""
    truth = globe()[0]["t"]
    x = torch.from_numpy(truth.values[:, None, None] / 4)
    whole = Tiled(Disagreeing(1, 0, size="small"), (TILE, TILE), periodic=True)
    with torch.inference_mode():
        field = whole(x, torch.zeros(len(x)), torch.ones_like(x), torch.zeros(len(x), 0, 1, *SHAPE))
    found = truth.copy(data=4 * field.mean[:, 0, 0].numpy())
    rows, columns = borders()
    assert float(abs(found - truth).max()) > 0.2
    for some, expected in zip(
        jumps(found, rows, columns), jumps(truth, rows, columns), strict=True
    ):
        assert some <= 1.1 * expected


@pytest.mark.slow
def test_no_seam_where_tiles_meet(filled) -> None:  # type: ignore[no-untyped-def]
    truth, fill = filled
    rows, columns = borders()
    assert len(rows) >= 3 and len(columns) >= 8 and 0 in columns
    for found, expected in zip(
        jumps(fill["t"], rows, columns), jumps(truth["t"], rows, columns), strict=True
    ):
        assert found <= 1.1 * expected
    date_line = jumps(fill["t"], rows, [0])[1]
    assert date_line <= 1.1 * jumps(truth["t"], rows, [0])[1]


def test_the_poles_do_not_touch() -> None:
    """What stands at one pole changes nothing at the other; across the date line it does."""
    denoiser = Denoiser(1, 0, size="small", periodic=False).eval()
    whole = Tiled(denoiser, (TILE, TILE), periodic=True)
    places, _ = whole._places(*SHAPE)
    assert all((np.diff(y) == 1).all() for y, _ in places)
    assert any((np.diff(x) != 1).any() for _, x in places)
    x = torch.randn(1, 1, 1, *SHAPE, generator=torch.Generator().manual_seed(0))
    context, features = torch.ones_like(x), torch.zeros(1, 0, 1, *SHAPE)
    other = x.clone()
    other[..., 0, :] += 3.0
    with torch.inference_mode():
        one, two = (whole(f, torch.zeros(1), context, features).mean for f in (x, other))
    change = (one - two).abs().amax(dim=-1).flatten()
    assert change[0] > 100 * change[-TILE // 2 :].max()


def test_tiles_at_once_follow_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the answer does not depend on it."""
    denoiser = Denoiser(1, 0, size="small").eval()
    sizes: list[int] = []
    usual = Denoiser.estimate

    def watched(self, x_t, *others, **named):  # type: ignore[no-untyped-def]
        sizes.append(len(x_t))
        return usual(self, x_t, *others, **named)

    monkeypatch.setattr(Denoiser, "estimate", watched)
    x = torch.randn(1, 1, 1, *SHAPE, generator=torch.Generator().manual_seed(0))
    found = []
    for free in (10**12, 3 * TILE**2 * tiled.SHARE * tiled.BYTES_A_CELL, 0):
        monkeypatch.setattr(tiled, "free_memory", lambda free=free: free)
        sizes.clear()
        with torch.inference_mode():
            field = Tiled(denoiser, (TILE, TILE), periodic=True)(
                x, torch.zeros(1), torch.ones_like(x), torch.zeros(1, 0, 1, *SHAPE)
            )
        found.append((max(sizes), field.mean))
    assert [most for most, _ in found[1:]] == [3, 1] and found[0][0] > 3
    for _, mean in found[1:]:
        torch.testing.assert_close(mean, found[0][1])


def test_tiles_of_a_fit_follow_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {}
    for free in (10**12, 500 * 10**6, 1):
        monkeypatch.setattr(planning, "free_memory", lambda free=free: free)
        sizes[free] = plan(100, (720, 1440), 1, window=5, device="cpu").tile
    assert list(sizes.values()) == [(64, 64), (32, 32), (16, 16)]
    assert plan(100, (720, 1440), 1, window=5, tile=96, device="cpu").tile == (96, 96)
