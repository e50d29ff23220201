"""The notebooks: text and ``.ipynb`` agree, and what was committed ran to its end, with pictures.

They are run in a reduced form by ``make notebooks-quick``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
TEXTS = sorted(FOLDER.glob("[0-9]*.py"))
NAMES = {
    "01_quickstart",
    "02_sst_under_clouds",
    "03_era5_multivariable",
    "04_uncertainty",
    "05_your_own_data",
    "06_larger_than_memory",
}
MACHINE = re.compile(
    r"/(tmp|home|root|work|Users|var|mnt|opt|private)/|[A-Z]:\\\\|site-packages|https?://[^/\s]+/simple"
)

each = pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)


def notebook(text: Path) -> dict[str, Any]:
    return json.loads(text.with_suffix(".ipynb").read_text(encoding="utf-8"))


def outputs(text: Path) -> list[dict[str, Any]]:
    return [o for cell in notebook(text)["cells"] for o in cell.get("outputs", [])]


def test_all_are_there() -> None:
    assert {path.stem for path in TEXTS} == NAMES
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == NAMES


@each
def test_text_and_notebook_agree(text: Path) -> None:
    jupytext = pytest.importorskip("jupytext")
    stored = [(c["cell_type"], "".join(c["source"])) for c in notebook(text)["cells"]]
    assert [(c.cell_type, c.source) for c in jupytext.read(text).cells] == stored


@each
def test_it_ran_from_the_first_cell_to_the_last(text: Path) -> None:
    code = [c for c in notebook(text)["cells"] if c["cell_type"] == "code"]
    assert [c["execution_count"] for c in code] == list(range(1, len(code) + 1))
    assert not [o for o in outputs(text) if o["output_type"] == "error"]


@each
def test_pictures_and_the_imputer_are_in_it(text: Path) -> None:
    shown = [o["data"] for o in outputs(text) if "data" in o]
    assert sum("image/png" in data for data in shown) >= 1
    assert any("xdi-card" in "".join(data.get("text/html", "")) for data in shown)
    assert all("image/png" in d for d in shown if "<Figure size" in "".join(d["text/plain"]))


@each
def test_it_was_not_the_reduced_form(text: Path) -> None:
    steps = [
        int(found)
        for o in outputs(text)
        for found in re.findall(r"(\d+) steps,", "".join(o.get("data", {}).get("text/plain", "")))
    ]
    assert steps and min(steps) > 2


@each
def test_no_path_of_a_machine_is_in_it(text: Path) -> None:
    for output in outputs(text):
        data = {k: v for k, v in output.get("data", {}).items() if k != "image/png"}
        plain = re.sub(
            r"data:image/png;base64,[\w+/=]+", "", json.dumps([output.get("text"), data])
        )
        assert not MACHINE.search(plain), MACHINE.search(plain)


@each
def test_nothing_is_read_from_a_private_folder(text: Path) -> None:
    code = text.read_text(encoding="utf-8")
    assert "XDI_DATA" not in code
    assert "shared" not in code
    assert 'os.environ.get("XDI_QUICK")' in code
