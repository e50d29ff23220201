"""Recipes: those that come with the project, and what is said about mistakes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic")
yaml = pytest.importorskip("yaml")

from xdiffimpute.cds import Month  # noqa: E402
from xdiffimpute.exceptions import RecipeError  # noqa: E402
from xdiffimpute.recipe import read_recipe  # noqa: E402

pytestmark = pytest.mark.usefixtures("hasty")

RECIPES = Path(__file__).parents[1] / "recipes/era5"
GOOD: dict[str, Any] = {
    "cds": {"dataset": "reanalysis-era5-single-levels", "variables": ["2m_temperature"],
            "years": [2020], "months": [2]},
    "store": "a.zarr", "out": "results",
}  # fmt: skip


def written(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(GOOD | changes))
    return path


def mistake(path: Path) -> str:
    with pytest.raises(RecipeError) as info:
        read_recipe(path)
    assert "pydantic" not in str(info.value)
    return str(info.value)


def test_recipes_of_the_project() -> None:
    found = {path.stem: read_recipe(path) for path in RECIPES.glob("*.yaml")}
    assert set(found) == {"t2m", "surface", "pressure_levels"}
    assert len({recipe.store for recipe in found.values()}) == 3
    surface = found["surface"]
    assert surface.cds is not None and len(surface.cds.variables) == 9
    assert surface.cds.area is not None and surface.window == 3
    north, west, south, east = surface.cds.area
    assert (math.floor((north - south) / 0.25) + 1, (east - west) / 0.25 + 1) == (103, 120)
    order = surface.cds.order()
    assert sum(len(order.times(month)) for month in order.calendar) == 365 * 24


def test_a_good_recipe(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, fit={"window": 3}))
    assert recipe.cds is not None
    order = recipe.cds.order()
    assert order.calendar == [Month(2020, 2)] and len(order.hours) == 24
    assert len(order.times(Month(2020, 2))) == 29 * 24


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"stroe": "b.zarr"}, "mine.yaml: stroe: is not a key of a recipe. Did you mean 'store'?"),
        ({"zzz": 1}, "zzz: is not a key of a recipe; there are cds, compare, fill,"),
        ({"cds": GOOD["cds"] | {"month": [1]}}, "cds.month: is not a key"),
        ({"cds": GOOD["cds"] | {"days": [30]}}, "2020-02-30 does not exist: 2020-02 has 29 days"),
        ({"cds": GOOD["cds"] | {"years": ["soon"]}}, "cds.years.0: Input should be a valid int"),
        ({"cds": GOOD["cds"] | {"area": [1, 2, 3]}}, "cds.area.3: is missing"),
        ({"cds": GOOD["cds"] | {"area": [50, 0, 60, 9]}}, "north must lie above south"),
        ({"cds": {"dataset": "x", "years": [2020]}}, "cds.variables: is missing"),
        ({"cds": None}, "give either cds: (what to fetch) or path: (data that are there)"),
        ({"path": "a.nc"}, "give either cds: (what to fetch) or path:"),
        ({"store": None}, "store: must name the zarr store"),
        ({"fit": {"windw": 3}}, "fit: 'windw' is not an option. Did you mean 'window'?"),
        ({"fill": {"where": 3}}, "fill: 'where' is not an option"),
        ({"hide": {"pattern": "blok"}}, "hide: no mask pattern is called 'blok'"),
        ({"hide": {"pattern": "block", "options": {"n": 2}}}, "hide: options of 'block'"),
        ({"compare": ["tela"]}, "compare: no baseline is called 'tela'"),
        ({"window": 0}, "window: Input should be greater than or equal to 1"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    assert said in mistake(written(tmp_path, **changes))


def test_every_mistake_is_told(tmp_path: Path) -> None:
    said = mistake(written(tmp_path, stroe="a", zzz=1))
    assert "stroe" in said and "zzz" in said and len(said.splitlines()) == 2


@pytest.mark.parametrize(
    "text, said",
    [("cds: [", "not valid YAML"), ("", "holds no keys"), ("- a", "holds no keys"),
     ("a: \x00", "not valid YAML")],
)  # fmt: skip
def test_files_that_are_no_recipes(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert said in mistake(tmp_path / "mine.yaml")


def test_file_that_is_not_there(tmp_path: Path) -> None:
    assert "recipes/era5" in mistake(tmp_path / "none.yaml")
    assert "cannot read" in mistake(tmp_path)
