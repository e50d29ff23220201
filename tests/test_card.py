"""The imputer in a notebook: what it says, that it is safe, and the small pictures in it."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr

from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.markup import number, score_table, skill_tables
from xdiffimpute.thumbnail import SIDE, map_png, sparkline

pytestmark = pytest.mark.usefixtures("hasty")

VOID = {"img", "meta", "br", "hr", "polyline", "circle"}


class Checked(HTMLParser):
    """Tags in order and their text; fails where one is closed that is not open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def read_png(content: bytes) -> np.ndarray:
    image = pytest.importorskip("matplotlib.image")
    return image.imread(io.BytesIO(content))


@pytest.fixture(scope="module")
def imputer() -> DiffusionImputer:
    """Of a variable whose name and units are markup, on a grid whose first row is land."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(8, 9, 11))
    values[rng.random(values.shape) < 0.3] = np.nan
    values[:, 0] = np.nan
    name = "a<script>alert(1)</script>"
    ds = xr.Dataset({name: (("time", "lat", "lon"), values, {"units": '"><img src=x>'})})
    times = np.datetime64("2001-01-01", "ns") + np.arange(8) * np.timedelta64(6, "h")
    ds = ds.assign_coords(time=times, lat=np.arange(9.0), lon=np.arange(11.0))
    return DiffusionImputer(steps=1, progress=False).fit(ds)


def test_it_says_what_it_was_trained_on_and_how_good_it_is(imputer: DiffusionImputer) -> None:
    page = Checked(imputer._repr_html_())
    told = " ".join(page.text)
    history = imputer.fitted.history
    for words in (
        "9 × 11 cells, lat 0 to 8, lon 0 to 10", "one every 6 hours", "89% of the cells",
        f"{history.steps} updates", imputer.fitted.reason, "observed up to",
    ):  # fmt: skip
        assert words in told, words
    skill = xr.Dataset.from_dict(imputer.fitted.skill)
    rmse = next(iter(skill.data_vars.values())).sel(metric="rmse").values
    assert all(number(value) in page.text for value in rmse)
    assert [t for t, _ in page.tags].count("table") == 1


def test_whatever_comes_from_the_data_is_escaped(imputer: DiffusionImputer) -> None:
    html = imputer._repr_html_()
    page = Checked(html)
    assert "<script" not in html and "<img src=x" not in html
    assert [attrs["src"][:22] for tag, attrs in page.tags if tag == "img"] == [
        "data:image/png;base64,"
    ]
    assert "a<script>alert(1)</script>" in " ".join(page.text)


def test_it_takes_its_colours_from_the_page_and_has_a_plain_form(imputer: DiffusionImputer) -> None:
    html = imputer._repr_html_()
    style = html.split("</style>")[0]
    assert not re.search(r"#[0-9a-fA-F]{3,6}\b", style)  # legible in light and in dark
    assert "<pre class='xdi-text'>&lt;DiffusionImputer of a" in html
    assert "style='display:none'" in html  # where styles are dropped, the plain form is shown


def test_before_a_fit_it_says_what_to_type() -> None:
    page = Checked(DiffusionImputer()._repr_html_())
    assert "imputer.fit(ds), or ds.impute.fit()" in page.text


def test_the_map_has_north_up_and_land_transparent(imputer: DiffusionImputer) -> None:
    source = next(a["src"] for t, a in Checked(imputer._repr_html_()).tags if t == "img")
    image = read_png(base64.b64decode(str(source).split(",")[1]))
    assert image.shape == (9, 11, 4)
    assert (image[-1, :, 3] == 0).all() and (image[:-1, :, 3] == 1).all()


def test_png_is_read_by_others_with_the_values_in_order() -> None:
    values = np.array([[0.0, 1.0], [np.nan, 2.0]])
    image = read_png(map_png(values))
    assert image.shape == (2, 2, 4) and image[1, 0, 3] == 0
    brightness = image[..., :3].sum(axis=-1)
    assert brightness[0, 0] > brightness[0, 1] > brightness[1, 1]
    assert max(read_png(map_png(np.zeros((400, 300)))).shape) <= SIDE
    assert read_png(map_png(np.full((2, 3), np.nan)))[..., 3].max() == 0


def test_sparkline_falls_where_the_error_falls() -> None:
    svg = sparkline([(0, 1.0), (10, 0.2), (20, 0.6)])
    points = re.search(r'points="([^"]+)"', svg)
    assert points is not None
    heights = [float(p.split(",")[1]) for p in points[1].split()]
    assert heights[0] < heights[2] < heights[1]  # y runs downwards
    assert f'cy="{heights[1]:.1f}"' in svg and "currentColor" in svg
    assert sparkline([(0, 1.0)]) == sparkline([(0, 1.0), (1, float("nan"))]) == ""
    assert "nan" not in sparkline([(0, 1.0), (1, 1.0)])


def test_tables_mark_the_best_and_leave_empty_classes_out() -> None:
    coords = {"imputer": ["ours", "linear"], "metric": ["rmse", "mae", "bias", "cells"]}
    nan = float("nan")
    whole = xr.Dataset({"t": (("imputer", "metric"), [[0.5, 0.4, nan, 1234], [0.7, 1, 1, 1234]])},
                       coords)  # fmt: skip
    page = score_table(whole)
    assert "<td><b>0.500</b></td><td>0.700</td>" in page
    assert "<td><b>0.500</b></td><td>0.400</td><td>–</td><td>1,234</td>" in skill_tables(whole)
    parts = whole.expand_dims(distance=["up to 1", "<far>"], axis=-1).copy(deep=True)
    parts["t"][:, :, 1] = nan
    page = skill_tables(parts, "distance")
    assert "up to 1" in page and "far" not in page and '<th scope="col">distance (cells)' in page


@pytest.mark.parametrize(
    "value, shown",
    [(0.0, "0"), (0.0801, "0.0801"), (-0.13, "-0.130"), (366.4, "366"), (1.5e7, "1.50e+07"),
     (float("inf"), "–")],
)  # fmt: skip
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown
