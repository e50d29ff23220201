"""What a family of cases is: data, and gaps laid over them, read from one YAML file.

A case is one kind of gaps in a family, and is named as ``"ncep/stations"``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xdiffimpute.exceptions import ImputeError

__all__ = ["FAMILIES", "Case", "Family", "Gaps", "Targets", "chosen", "read_families"]

FAMILIES = Path(__file__).parent / "families"
SOURCES = ("gaussian", "simulator", "archive")  # in this order
# Those that are held to the targets for the uncertainty: the exact answer, or real observations.
CALIBRATED = ("gaussian", "archive")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Targets(_Strict):
    """What a case is held to beside what all are held to.

    Parameters
    ----------
    exact : float, optional
        Most that the MSE may be, over that of the exact answer.
    rmse : dict of str to float
        Most that the RMSE of a variable may be, in its units.
    """

    exact: float | None = None
    rmse: dict[str, float] = Field(default_factory=dict)


class Gaps(_Strict):
    """What is hidden: ``hide`` names a shape of :mod:`recipes.benchmarks.accuracy.gaps`."""

    title: str
    hide: dict[str, Any]
    targets: Targets = Targets()


class Family(_Strict):
    """Data and the gaps laid over them.

    Parameters
    ----------
    title : str
    data : dict
        ``source``, of :mod:`recipes.benchmarks.accuracy.sources`, and its options.
    judged : int
        How many of the last samples are filled; the others are learned from. Where there are no
        samples but one record, all of it is learned from, gaps and all, and its last frames are
        filled.
    fit : dict
        Options of ``ds.impute.fit``.
    without : dict of str to str
        Methods that are left out, each with the reason.
    gaps : dict of str to Gaps
    """

    title: str
    data: dict[str, Any]
    judged: int = Field(gt=0)
    fit: dict[str, Any] = Field(default_factory=dict)
    without: dict[str, str] = Field(default_factory=dict)
    gaps: dict[str, Gaps]


class Case(_Strict):
    """One kind of gaps in a family."""

    name: str
    family: Family
    gaps: Gaps

    @property
    def title(self) -> str:
        """Data and gaps in words."""
        return f"{self.family.title}, {self.gaps.title}"

    @property
    def source(self) -> str:
        """Where the data are from, in one word."""
        return str(self.family.data["source"])

    @property
    def calibrated(self) -> bool:
        """Whether the targets for the uncertainty are asked of it."""
        return self.source in CALIBRATED

    @property
    def frames(self) -> int:
        """How many frames are judged; where there are samples, of all of them."""
        samples = self.source != "archive"
        return self.family.judged * (int(self.family.data.get("frames", 1)) if samples else 1)

    def definition(self) -> dict[str, Any]:
        """What decides the results, as JSON holds it; titles and targets do not."""
        family = self.family.model_dump(mode="json", include={"data", "judged", "fit"})
        return family | {"hide": self.gaps.model_dump(mode="json")["hide"]}


def read_families(folder: Path = FAMILIES) -> dict[str, Case]:
    """All cases by name, family by family.

    Raises
    ------
    ImputeError
        If a file has a mistake.
    """
    cases = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            family = Family.model_validate(yaml.safe_load(path.read_text()))
        except (ValidationError, yaml.YAMLError) as error:
            raise ImputeError(f"{path.name}: {error}") from error
        for label, gaps in family.gaps.items():
            name = f"{path.stem}/{label}"
            cases[name] = Case(name=name, family=family, gaps=gaps)
    return dict(sorted(cases.items(), key=lambda item: _place(item[1].source)))


def _place(source: str) -> int:
    """Sources that are new come last."""
    return SOURCES.index(source) if source in SOURCES else len(SOURCES)


def chosen(asked: list[str] | None, folder: Path = FAMILIES) -> list[Case]:
    """Cases by their names or their families'; all where none is asked for.

    Raises
    ------
    ImputeError
        If there is none of that name.
    """
    cases = read_families(folder)
    if asked is None:
        return list(cases.values())
    found: dict[str, Case] = {}
    for item in asked:
        these = {n: c for n, c in cases.items() if item in (n, n.partition("/")[0])}
        if not these:
            raise ImputeError(
                f"there is no case {item!r}; there are {', '.join(cases)}; or a family of them: "
                f"{', '.join(dict.fromkeys(n.partition('/')[0] for n in cases))}"
            )
        found |= these
    return list(found.values())
