"""What a table is: columns (data and gaps) by rows (ways of filling), read from YAML.

A figure is one column of a table, drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xdiffimpute.exceptions import ImputeError

__all__ = [
    "Column", "Figure", "Gaps", "Row", "Scale", "Split", "Table", "names", "read_figure",
    "read_scale", "read_table",
]  # fmt: skip

HERE = Path(__file__).parent
Figures = dict[str, float | tuple[float, float] | None]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Gaps(_Strict):
    """Cells that a sample never shows: a mask pattern and the share that is observed."""

    pattern: Literal["pixel", "block"]
    ratio: float | None = None
    kept: int | None = None


class Column(_Strict):
    """Data and gaps, and how a fill of them is judged."""

    name: str
    dataset: Literal["shallow_water", "advection", "turbulence", "era5"]
    gaps: Gaps
    metric: Literal["nmse", "feasibility", "propagation"]
    unit: float = 1.0
    paper: Figures = Field(default_factory=dict)


class Split(_Strict):
    """Context and query in place of the method's own."""

    pattern: Literal["pixel", "block"] | None = None
    ratio: float | None = None
    query_ratio: float | None = None


class Run(_Strict):
    """One way of asking a trained network."""

    sampler: str
    options: dict[str, Any] = Field(default_factory=dict)


class Row(_Strict):
    """A baseline by name, or a method with what differs from its own settings.

    Of several samplers the best result counts, as in the paper.
    """

    name: str
    baseline: str | None = None
    method: str | None = None
    backbone: str = "unet"
    split: Split | None = None
    samplers: tuple[Run, ...] = ()
    test: Gaps | None = None
    ours: bool = False


class Table(_Strict):
    """One table of the paper.

    Training takes at least ``steps`` where a table is about longer training.
    """

    title: str
    steps: int | None = None
    note: str = ""
    lowest: bool = False
    timed: bool = False
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


class Figure(_Strict):
    """A picture of test samples, their gaps and their fills.

    Training takes at least ``steps`` where the scale's are too few.
    """

    title: str
    note: str = ""
    column: Column
    rows: tuple[Row, ...]
    variables: tuple[str, ...] = ()
    steps: int | None = None


class Data(_Strict):
    """How much of a dataset is made."""

    train: int
    test: int
    shape: tuple[int, int]
    frames: int


class Scale(_Strict):
    """The size of a run."""

    size: Literal["small", "medium", "large"]
    steps: int
    batch: int
    sampling_steps: int
    data: dict[str, Data]


def names(kind: Literal["table", "figure"] = "table") -> list[str]:
    """All tables, or all figures."""
    found = (path.stem for path in (HERE / f"{kind}s").glob("*.yaml"))
    return sorted(found, key=lambda name: (_number(name.removeprefix(kind)), name))


def _number(label: str) -> int:
    """2 of ``"2"`` and of ``"2_longer"``."""
    return int(label.split("_")[0])


def read_table(name: str) -> Table:
    """A table by name, such as ``"table2"``.

    Raises
    ------
    ImputeError
        If there is none of that name, or its file has a mistake.
    """
    _check(name, names())
    return _read(HERE / "tables" / f"{name}.yaml", Table)


def read_figure(name: str) -> Figure:
    """A figure by name, such as ``"figure10"``; fails as :func:`read_table` does."""
    _check(name, names("figure"))
    return _read(HERE / "figures" / f"{name}.yaml", Figure)


def read_scale(name: str, steps: int | None = None) -> Scale:
    """The sizes of ``"cpu"`` or ``"gpu"``, with at least a table's or figure's own steps."""
    scale: Scale = _read(HERE / "scales" / f"{name}.yaml", Scale)
    return scale.model_copy(update={"steps": max(steps or 0, scale.steps)})


def _check(name: str, known: list[str]) -> None:
    if name not in known:
        raise ImputeError(f"there is no {name!r}; there are {', '.join(known)}")


def _read(path: Path, kind: type[Any]) -> Any:
    try:
        return kind.model_validate(yaml.safe_load(path.read_text()))
    except (ValidationError, yaml.YAMLError) as error:
        raise ImputeError(f"{path.name}: {error}") from error
