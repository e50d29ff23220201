"""A recipe: a YAML file that says where data come from, what to hide, how to fit and fill.

Needs the extra ``recipes`` (pydantic, PyYAML). Unknown keys are refused with the nearest one that
exists; what a recipe leaves out is left to the defaults of the functions it is for.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import xarray as xr
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .cds import Order
from .exceptions import RecipeError
from .suggestion import did_you_mean

__all__ = ["CdsSection", "HideSection", "Recipe", "read_recipe"]

# Arguments of ds.impute.fit and .fill that a recipe has no say in.
NOT_FOR_RECIPES = {"progress", "imputer", "where", "options", "variables"}
MESSAGES = {"missing": "is missing", "extra_forbidden": "is not a key of a recipe"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CdsSection(_Strict):
    """What to fetch from the Climate Data Store; see :class:`xdiffimpute.cds.Order`."""

    dataset: str
    variables: tuple[str, ...]
    years: tuple[int, ...]
    months: tuple[int, ...] | None = None
    days: tuple[int, ...] | None = None
    hours: tuple[int, ...] | None = None
    area: tuple[float, float, float, float] | None = None
    grid: float | tuple[float, float] | None = None
    levels: tuple[int, ...] | None = None
    product_type: str | None = "reanalysis"

    @model_validator(mode="after")
    def _is_an_order(self) -> CdsSection:
        self.order()
        return self

    def order(self) -> Order:
        """The same as an order.

        Returns
        -------
        Order

        Raises
        ------
        ImputeError
            If a date does not exist or the area is none.
        """
        given = {name: getattr(self, name) for name in type(self).model_fields}
        optional = {"months", "hours"}
        return Order(**{k: v for k, v in given.items() if v is not None or k not in optional})


class HideSection(_Strict):
    """Observations to hide for good, so that the fill can be judged against them.

    ``options`` go to the mask pattern; see ``xdiffimpute list masks``.
    """

    pattern: str
    options: dict[str, Any] = Field(default_factory=dict)
    seed: int = 0

    @model_validator(mode="after")
    def _is_a_pattern(self) -> HideSection:
        from .masks import MASKS

        try:
            MASKS.create(self.pattern, **self.options)
        except TypeError as error:
            raise ValueError(f"options of {self.pattern!r}: {error}") from error
        return self


class Recipe(_Strict):
    """Everything that ``xdiffimpute run`` needs.

    Parameters
    ----------
    title : str
    cds : CdsSection, optional
        What to fetch into ``store``.
    store : str, optional
        The zarr store of the data, relative to the working folder.
    path : str, optional
        In place of ``cds`` and ``store``: data that are there already.
    variables : sequence of str, optional
        Default: all fields.
    window : int, optional
        Cut the series into samples of so many frames, each with gaps of its own.
    hide : HideSection, optional
        Observations to hide; by default the data's own gaps are filled.
    fit, fill : dict
        Arguments of ``ds.impute.fit`` and ``ds.impute.fill``.
    compare : sequence of str
        Baselines to be judged at the hidden cells as well.
    out : str
        Folder of the results, relative to the working folder.
    """

    title: str = ""
    cds: CdsSection | None = None
    store: str | None = None
    path: str | None = None
    variables: tuple[str, ...] | None = None
    window: int | None = Field(default=None, ge=1)
    hide: HideSection | None = None
    fit: dict[str, Any] = Field(default_factory=dict)
    fill: dict[str, Any] = Field(default_factory=dict)
    compare: tuple[str, ...] = ("climatology", "linear")
    out: str

    @field_validator("fit", "fill")
    @classmethod
    def _are_arguments(cls, given: dict[str, Any], info: Any) -> dict[str, Any]:
        function = getattr(xr.Dataset().impute, str(info.field_name))
        known = set(inspect.signature(function).parameters) - NOT_FOR_RECIPES
        for name in given:
            if name not in known:
                raise ValueError(f"{name!r} is not an option{_nearest(name, known)}")
        return given

    @field_validator("compare")
    @classmethod
    def _are_baselines(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        from .baselines import BASELINES

        for name in given:
            BASELINES.get(name)
        return given

    @model_validator(mode="after")
    def _has_data(self) -> Recipe:
        if (self.cds is None) == (self.path is None):
            raise ValueError("give either cds: (what to fetch) or path: (data that are there)")
        if self.cds is not None and not str(self.store).endswith(".zarr"):
            raise ValueError("store: must name the zarr store to fetch into, such as era5.zarr")
        return self


def read_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    path : path
        A YAML file.

    Returns
    -------
    Recipe

    Raises
    ------
    RecipeError
        If it cannot be read; the message names the key, what is wrong with it, and what is valid.

    Examples
    --------
    >>> _ = Path("mine.yaml").write_text("path: sst.nc\\nout: results\\nfitt: {window: 3}\\n")
    >>> read_recipe("mine.yaml")
    Traceback (most recent call last):
    xdiffimpute.exceptions.RecipeError: mine.yaml: fitt: is not a key... Did you mean 'fit'?
    """
    file = Path(path)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"cannot read the recipe {str(path)!r}: {error}; start from one in recipes/era5"
        ) from error
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise RecipeError(f"{file.name} is not valid YAML: {said}") from error
    if not isinstance(content, dict):
        raise RecipeError(
            f"{file.name} holds no keys; a recipe has {', '.join(Recipe.model_fields)}"
        )
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError("\n".join(f"{file.name}: {line}" for line in _told(error))) from error


def _told(error: ValidationError) -> Iterable[str]:
    """One line for each mistake: where, what, what is valid."""
    fields: dict[tuple[str, ...], type[_Strict]] = {
        (): Recipe,
        ("cds",): CdsSection,
        ("hide",): HideSection,
    }
    for mistake in error.errors():
        place = tuple(str(part) for part in mistake["loc"])
        said = MESSAGES.get(mistake["type"], mistake["msg"].removeprefix("Value error, "))
        if mistake["type"] == "extra_forbidden" and place[:-1] in fields:
            said += _nearest(place[-1], set(fields[place[:-1]].model_fields))
        yield f"{'.'.join(place)}: {said}" if place else said


def _nearest(name: str, known: set[str]) -> str:
    meant = did_you_mean(name, known)
    return f".{meant}" if meant else f"; there are {', '.join(sorted(known))}"
