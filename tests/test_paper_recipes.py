"""The paper's tables and figures: all can be read, one of each runs at a tiny scale."""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from recipes.paper import page
from recipes.paper.__main__ import main
from recipes.paper.bench import Bench
from recipes.paper.drawing import draw
from recipes.paper.results import read_results
from recipes.paper.table import Scale, names, read_figure, read_scale, read_table
from xdiffimpute.baselines import BASELINES
from xdiffimpute.exceptions import ImputeError
from xdiffimpute.methods import METHODS
from xdiffimpute.samplers import SAMPLERS

ROOT = Path(__file__).parents[1]
TINY = Scale(
    size="small", steps=2, batch=2, sampling_steps=2,
    data={
        name: {"train": 6, "test": 2, "shape": (16, 16), "frames": 3}
        for name in ("shallow_water", "advection", "turbulence")
    },
)  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_every_table_can_be_run(name):
    """Names of methods, baselines and samplers exist, and rows fit the paper's figures."""
    table = read_table(name)
    rows = {row.name for row in table.rows}
    check_rows(table.rows)
    for column in table.columns:
        assert set(column.paper) <= rows
        for scale in ("cpu", "gpu"):
            assert column.dataset in read_scale(scale).data


def check_rows(rows):
    for row in rows:
        assert (row.baseline is None) != (row.method is None)
        assert row.baseline is None or row.baseline in BASELINES
        assert row.method is None or row.method in METHODS
        assert row.baseline is not None or row.samplers
        for run in row.samplers:
            SAMPLERS.create(run.sampler, **run.options)


@pytest.mark.parametrize("name", names("figure"))
def test_every_figure_can_be_drawn(name):
    figure = read_figure(name)
    check_rows(figure.rows)
    assert figure.rows


@pytest.mark.parametrize("name", ["figure5", "figure10"])
def test_a_figure_is_drawn(name, tmp_path):
    figure = read_figure(name)
    errors = draw(Bench(TINY, seed=0), figure, tmp_path / "deep" / "picture.png")
    assert set(errors) == {row.name for row in figure.rows}
    assert all(0 < error < 10 for error in errors.values())
    height, width = plt.imread(tmp_path / "deep" / "picture.png").shape[:2]
    assert height > 300
    assert width > 300


def test_there_is_a_file_for_each_table_of_results():
    numbers = [name for name in names() if name.removeprefix("table").isdigit()]
    assert numbers == [f"table{n}" for n in (1, 2, 4, 5, 6, 7, 8, 9, 10)]


def test_a_table_may_ask_for_longer_training():
    usual = read_scale("cpu").steps
    assert read_scale("cpu", 5 * usual).steps == 5 * usual
    assert read_scale("cpu", 1).steps == usual


def test_a_table_runs_and_the_page_shows_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("recipes.paper.__main__.read_scale", lambda name, steps: TINY)
    monkeypatch.setattr(page, "PAGE", tmp_path / "paper.md")
    few = ("temporal", "miss_diff", "paper")
    monkeypatch.setattr("recipes.paper.__main__.read_table", lambda name: short(name, few))
    assert main(["table2", "--out", str(tmp_path), "--seeds", "0", "1"]) == 0
    (first, second) = read_results(tmp_path, "table2", "cpu")
    cells = first["cells"]["Shallow water 8/9"]
    assert set(cells) == set(few)
    assert all(cell["value"] > 0 for cell in cells.values())
    assert cells["miss_diff"]["all"].keys() == {"single_pass", "multi_step"}
    assert cells["miss_diff"]["value"] == min(cells["miss_diff"]["all"].values())
    assert cells["paper"]["value"] != second["cells"]["Shallow water 8/9"]["paper"]["value"]
    assert main(["page", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "paper.md").read_text()
    assert "## Table 2" in text and "± " in text and "*0.0203 ± 0.0059*" in text
    assert "Not run: Shallow water 5/9" in text
    assert "Shallow water 8/9: " in text


def short(name, rows=()):
    """A table's first column, of all rows or of some."""
    table = read_table(name)
    kept = [row for row in table.rows if row.name in rows or not rows]
    return table.model_copy(update={"columns": table.columns[:1], "rows": kept})


def test_networks_are_trained_once():
    bench = Bench(TINY, seed=0)
    bench.run(short("table8"))
    assert len(bench.imputers) == 1
    bench.run(short("table7"))
    assert len(bench.imputers) == 1


def test_a_missing_archive_leaves_its_columns_out(caplog):
    table = read_table("table1")
    only = table.model_copy(update={"columns": table.columns[3:4], "rows": table.rows[:1]})
    scale = TINY.model_copy(update={"data": {**TINY.data, "era5": TINY.data["advection"]}})
    assert Bench(scale, seed=0).run(only) == {}
    assert "pass --era5 PATH" in caplog.text


def test_unknown_table():
    done = subprocess.run(
        [sys.executable, "-m", "recipes.paper", "table3"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "there is no 'table3'; there are table1, table2, table2_longer, table4" in done.stderr


def test_results_of_another_version(tmp_path):
    (tmp_path / "table2.cpu.seed0.json").write_text(json.dumps({"format": 99, "seed": 0}))
    with pytest.raises(ImputeError, match="format 99, this program reads 1; run the table again"):
        read_results(tmp_path, "table2", "cpu")
    (tmp_path / "table2.cpu.seed0.json").write_text("{")
    with pytest.raises(ImputeError, match="not a result of this program"):
        read_results(tmp_path, "table2", "cpu")
