"""The accuracy suite: cases are sound, nothing hidden is seen, results are kept, the page copes."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from recipes.benchmarks.accuracy import provenance, verdict
from recipes.benchmarks.accuracy.__main__ import main
from recipes.benchmarks.accuracy.commands import MINUTES
from recipes.benchmarks.accuracy.contestants import METHODS, run_method
from recipes.benchmarks.accuracy.family import chosen, read_families
from recipes.benchmarks.accuracy.gaps import hidden_cells
from recipes.benchmarks.accuracy.gaussian import Gaussian
from recipes.benchmarks.accuracy.measures import measure
from recipes.benchmarks.accuracy.page import PAGE, render, shown, write_page
from recipes.benchmarks.accuracy.printing import mean_of, number
from recipes.benchmarks.accuracy.results import (
    RESULTS,
    knobs_of,
    path_of,
    read_result,
    read_results,
    write_result,
)
from recipes.benchmarks.accuracy.sources import Absent, open_complete
from recipes.benchmarks.accuracy.trial import make_trial
from xdiffimpute.exceptions import ImputeError

TINY = """
title: Tiny Gaussian fields
data: {source: gaussian, samples: 24, shape: [10, 12], frames: 2, length: 3.0, smoothness: 1.5}
judged: 4
without: {telea: it is left out to show how}
gaps:
  half:
    title: half of the pixels
    hide: {shape: pattern, pattern: pixel, ratio: 0.5}
    targets: {exact: 1.5}
  block5:
    title: 5 of 9 blocks
    hide: {shape: pattern, pattern: block, grid: [3, 3], kept: 5}
"""


@pytest.fixture
def families(tmp_path: Path) -> Path:
    folder = tmp_path / "families"
    folder.mkdir()
    (folder / "tiny.yaml").write_text(TINY)
    return folder


@pytest.fixture
def tiny(families: Path):
    return read_families(families)["tiny/half"]


def shell(*arguments: str, families: Path, results: Path) -> int:
    return main([*arguments, "--families", str(families), "--results", str(results)])


@pytest.mark.parametrize(
    "gaussian",
    [Gaussian((4, 5), length=2.0), Gaussian((5, 4), length=3.0, aspect=2.0, angle=40.0),
     Gaussian((3, 4), frames=3, length=2.0, smoothness=1.5, flow=(0.5, 1.0), memory=4.0)],
)  # fmt: skip
def test_the_exact_answer_is_that_of_the_dense_formula(gaussian: Gaussian) -> None:
    """Mean and variance by the inverse of the covariance among what is observed."""
    cov = gaussian.covariance
    np.testing.assert_allclose(cov, cov.T)
    assert np.linalg.eigvalsh(cov).min() > 0
    sample = gaussian.draw(1, seed=3)["field"].values[0]
    seen = np.random.default_rng(0).random(sample.shape) < 0.5
    mean, variance = gaussian.posterior(np.where(seen, sample, np.nan))
    at, off = seen.ravel(), ~seen.ravel()
    inverse = np.linalg.inv(cov[np.ix_(at, at)])
    weights = cov[np.ix_(off, at)] @ inverse
    expected = weights @ sample.ravel()[at].astype(np.float64)
    spread = np.diag(cov[np.ix_(off, off)] - weights @ cov[np.ix_(at, off)])
    np.testing.assert_allclose(mean.ravel()[off], expected, atol=1e-5)
    np.testing.assert_allclose(variance.ravel()[off], spread, atol=1e-6)
    np.testing.assert_array_equal(mean[seen], sample[seen])
    assert not variance[seen].any()


def test_draws_have_the_covariance_and_the_flow_moves_them() -> None:
    gaussian = Gaussian((3, 6), frames=2, length=1.5, smoothness=1.5, flow=(0.0, 1.0), memory=50.0)
    values = gaussian.draw(4000, seed=0)["field"].values.reshape(4000, -1).astype(float)
    assert np.abs(values.T @ values / 4000 - gaussian.covariance).max() < 0.12
    cov = gaussian.covariance.reshape(2, 3, 6, 2, 3, 6)
    assert cov[1, 1, 3, 0, 1, 2] == pytest.approx(np.exp(-1 / 50))


def test_the_exact_answer_is_calibrated_and_beats_the_others(families: Path) -> None:
    """What the suite measures of it: a spread that fits its errors, and the least error."""
    case = read_families(families)["tiny/half"]
    family = case.family.model_copy(update={"judged": 20})
    trial = make_trial(case.model_copy(update={"family": family}), seed=0)
    exact = trial.exact
    assert 0.9 < exact["spread_ratio"] < 1.1
    assert 0.86 < exact["coverage90"] < 0.94 and 0.44 < exact["coverage50"] < 0.56
    for name in ("optimal_interpolation", "linear", "climatology"):
        found = run_method(name, case, trial, 0, 1.0)
        assert found["fills"][name]["error"] > exact["error"]


@pytest.mark.parametrize("name", list(read_families()))
def test_hidden_values_are_not_shown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown is the same whatever the hidden values are; all cases but those of archives."""
    case = read_families()[name]
    if case.source == "archive":
        with pytest.raises(Absent, match="give the folder that holds it with --data FOLDER"):
            make_trial(case, 0)
        return
    small = {"samples": 6, "frames": 2} if case.source == "simulator" else {"samples": 6}
    data = case.family.data | small | {"shape": [16, 16]}
    family = case.family.model_copy(update={"data": data, "judged": 2})
    case = case.model_copy(update={"family": family})
    trial = make_trial(case, 1)
    for field in trial.truth.data_vars:
        hidden, shown = trial.hidden[field].values, trial.shown.filled[field].values
        assert hidden.any() and not hidden.all()
        assert np.isnan(shown[hidden]).all()
        np.testing.assert_array_equal(shown[~hidden], trial.truth[field].values[~hidden])
        assert trial.shown.learned[field].isnull().any()
    assert trial.shown.learned.sizes["sample"] + trial.truth.sizes["sample"] == 6
    again = make_trial(case, 1)
    xr.testing.assert_identical(again.shown.learned, trial.shown.learned)
    fields = open_complete(case.family.data, None, 1).fields
    hidden = hidden_cells(fields, case.gaps.hide, None, 1)

    def other(*arguments):
        found = open_complete(*arguments)
        return replace(found, fields=found.fields.where(~hidden, 99.0))

    with monkeypatch.context() as patch:
        patch.setattr("recipes.benchmarks.accuracy.trial.open_complete", other)
        changed = make_trial(case, 1)
    assert not changed.truth.equals(trial.truth)
    xr.testing.assert_identical(changed.shown.learned, trial.shown.learned)
    xr.testing.assert_identical(changed.shown.filled, trial.shown.filled)
    assert not make_trial(case, 2).hidden.equals(trial.hidden)


def test_stations_open_and_close_and_frames_go_missing() -> None:
    fields = xr.Dataset({n: (("time", "y", "x"), np.ones((60, 8, 10))) for n in "ab"})
    stations = {"shape": "stations", "share": 0.25, "open": [5, 9], "closed": [4, 7]}
    seen = ~hidden_cells(fields, stations, None, 0)["a"].values
    ever = seen.any(axis=0)
    assert ever.sum() == 20 and 0.4 < seen[:, ever].mean() < 0.75
    for station in seen[:, ever].T:
        edges = np.flatnonzero(np.diff(station.astype(int)))
        for start, length in zip(edges, np.diff(edges), strict=False):  # without the first and last
            assert length in (range(5, 10) if station[start + 1] else range(4, 8))
    gone = hidden_cells(fields, {"shape": "frames", "variables": ["b"], "share": 0.2}, None, 0)
    assert not gone["a"].any()
    by_frame = gone["b"].values.reshape(60, -1)
    assert by_frame.all(axis=1).sum() == 12 and by_frame.any(axis=1).sum() == 12


def test_archives_and_their_gaps(tmp_path: Path) -> None:
    """Land is no gap; clouds are of the product; a mask is used as it is."""
    truth = np.arange(4 * 6 * 8, dtype=float).reshape(4, 6, 8)
    truth[:, :, 0] = np.nan
    coords = {"lat": np.arange(6.0), "lon": np.arange(8.0)}
    xr.Dataset({"sst": (("time", "lat", "lon"), truth)}, coords).to_netcdf(tmp_path / "sst.nc")
    rng = np.random.default_rng(0)
    scenes = (rng.random((5, 3, 4)) < 0.6).astype("int8")
    mask = (rng.random((4, 6, 8)) < 0.3).astype("int8")
    xr.Dataset({"sky": (("n", "h", "w"), scenes), "m": (("time", "lat", "lon"), mask)}).to_netcdf(
        tmp_path / "masks.nc"
    )
    text = """
title: Sea
data: {source: archive, file: sst.nc, variables: [sst], select: {lon: [0, 6]}, last: 3}
judged: 2
gaps:
  clouds: {title: clouds, hide: {shape: clouds, file: masks.nc, product: sky}}
"""
    (tmp_path / "sea.yaml").write_text(text)
    trial = make_trial(read_families(tmp_path)["sea/clouds"], 0, tmp_path)
    assert dict(trial.truth.sizes) == {"time": 2, "lat": 6, "lon": 7}
    assert trial.shown.learned.sizes["time"] == 3
    assert not trial.hidden["sst"][..., 0].any() and trial.hidden["sst"][..., 1:].any()
    assert trial.shown.where.dims == ("lat", "lon") and int(trial.shown.where.sum()) == 36
    hide = {"shape": "mask", "file": "masks.nc", "variable": "m"}
    fields = xr.Dataset({"sst": (("time", "lat", "lon"), truth)})
    found = hidden_cells(fields, hide, tmp_path, 0)["sst"].values
    np.testing.assert_array_equal(found, (mask > 0) & np.isfinite(truth))


def test_measures_by_hand() -> None:
    dims = ("y", "x")
    truth = xr.Dataset({"a": (dims, [[1.0, 3.0], [9.0, 9.0]]), "b": (dims, np.ones((2, 2)))})
    hidden = xr.Dataset(
        {"a": (dims, [[True, True], [False, False]]), "b": (dims, np.zeros((2, 2), bool))}
    )
    filled = truth.assign(
        a=(dims, [[2.0, 3.0], [0.0, 0.0]]), a_standard_error=(dims, [[1.0, 1.0], [5.0, 5.0]])
    )
    out = measure(filled, truth, hidden)
    assert list(out["variables"]) == ["a"]
    assert out["variables"]["a"]["mse"] == 0.5 and out["error"] == pytest.approx(0.5**0.5)
    assert out["spread_ratio"] == pytest.approx(2**0.5)
    assert (out["coverage50"], out["coverage90"]) == (0.5, 1.0)
    assert 0 < out["crps"] < 1
    without = measure(filled.drop_vars("a_standard_error"), truth, hidden)
    assert without["crps"] is None and without["coverage90"] is None
    empty = measure(filled.assign(a=truth["a"].where(truth["a"] > 2)), truth, hidden)
    assert empty["error"] is None and empty["variables"]["a"]["empty"] == 1


def test_a_run_goes_on_where_it_was_stopped(
    families: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = tmp_path / "results"
    quick = ["--methods", "linear", "telea", "--seeds", "0", "1", "--cases", "tiny/half"]
    assert shell("run", *quick, families=families, results=results) == 0
    files = sorted(results.iterdir())
    assert [f.name for f in files] == [
        f"tiny.half.{m}.seed{s}.json" for m in ("linear", "telea") for s in (0, 1)
    ]
    assert json.loads(files[2].read_text())["skipped"] == "it is left out to show how"
    files[0].unlink()
    before = {f: f.stat().st_mtime_ns for f in files[1:]}
    assert shell("run", *quick, families=families, results=results) == 0
    assert {f: f.stat().st_mtime_ns for f in files[1:]} == before and files[0].exists()
    assert shell("run", *quick, "--again", families=families, results=results) == 0
    assert all(f.stat().st_mtime_ns > before[f] for f in files[1:])
    # A case that has changed is another case.
    path = families / "tiny.yaml"
    path.write_text(TINY.replace("ratio: 0.5", "ratio: 0.6"))
    case = read_families(families)["tiny/half"]
    assert read_result(files[0], case) is None
    assert shell("run", *quick, families=families, results=results) == 0
    assert read_result(files[0], case)["definition"]["hide"]["ratio"] == 0.6


def test_what_fails_is_not_kept_as_skipped(
    families: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys, monkeypatch
) -> None:
    """A baseline without its package is run again later; a network that fails ends the run."""
    monkeypatch.setitem(sys.modules, "cv2", None)
    path = families / "tiny.yaml"
    path.write_text(TINY.replace("telea: it is", "temporal: it is"))
    results = tmp_path / "results"
    arguments = ["--cases", "tiny/half", "--seeds", "0", "--methods", "telea", "temporal", "linear"]
    with caplog.at_level(logging.INFO, "xdiffimpute.accuracy"):
        assert shell("run", *arguments, families=families, results=results) == 0
    assert "tiny/half, telea, seed 0: not run: telea needs OpenCV" in caplog.text
    assert sorted(f.name for f in results.iterdir()) == [
        "tiny.half.linear.seed0.json", "tiny.half.temporal.seed0.json"
    ]  # fmt: skip

    path.write_text(path.read_text().replace("without:", "fit: {variables: [wind]}\nwithout:"))
    arguments = ["--cases", "tiny/half", "--seeds", "0", "--methods", "standard", "linear"]
    with caplog.at_level(logging.INFO, "xdiffimpute.accuracy"):
        assert shell("run", *arguments, families=families, results=tmp_path / "none") == 2
    assert "tiny/half, standard, seed 0: failed" in caplog.text
    assert "wind" in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_results_say_what_they_were_made_with(families: Path, tmp_path: Path, monkeypatch) -> None:
    """Results without a commit, as they were written before, are read all the same."""
    checkout = tmp_path / "checkout"
    (checkout / "xdiffimpute").mkdir(parents=True)
    (checkout / "xdiffimpute" / "one.py").write_text("")
    git = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@b.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(provenance, "ROOT", checkout)
    code = provenance._code(checkout)
    assert len(code["commit"]) == 40 and code["dirty"] is False
    (checkout / "recipes/benchmarks/accuracy/results").mkdir(parents=True)
    (checkout / "recipes/benchmarks/accuracy/results/a.json").write_text("{}")
    assert provenance._code(checkout)["dirty"] is False
    (checkout / "xdiffimpute" / "two.py").write_text("")
    assert provenance._code(checkout)["dirty"] is True
    assert provenance._code(tmp_path)["commit"] is None  # a package from elsewhere
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert provenance._code(tmp_path) == {"commit": None, "dirty": None}
    monkeypatch.undo()

    arguments = ["--cases", "tiny/half", "--seeds", "0", "--methods", "linear"]
    assert shell("run", *arguments, families=families, results=tmp_path / "results") == 0
    case = read_families(families)["tiny/half"]
    found = read_results(tmp_path / "results", case, ["linear"], MINUTES)["linear"][0]
    assert found["cpu"] and set(found["code"]) == {"commit", "dirty"}
    assert set(found["versions"]) == {"xdiffimpute", "python", "torch", "numpy"}

    code = {"commit": "0123456789abcdef", "dirty": True}
    rows = {
        "standard": {s: made(case, "standard", s, 0.2, code=code, cpu="Z80") for s in (0, 1)},
        "linear": {0: made(case, "linear", 0, 0.3)},
    }
    text = render([case], {case.name: rows}, MINUTES)
    said = "Commits of the figures: ours, 0123456 and changes; baselines, unknown."
    assert f"{said} Processor: Z80." in text
    rows["standard"][2] = made(case, "standard", 2, 0.2)
    text = render([case], {case.name: rows}, MINUTES)
    assert "ours, 0123456 and changes (2 results), unknown (1); baselines" in text


def test_a_method_that_is_left_out_no_more_is_run(families: Path, tmp_path: Path) -> None:
    case = read_families(families)["tiny/half"]
    path = path_of(tmp_path, case.name, "telea", MINUTES, 0)
    write_result(path, made(case, "telea", 0, 1.0) | {"skipped": "it is left out to show how"})
    assert read_result(path, case) is not None
    family = case.family.model_copy(update={"without": {}})
    assert read_result(path, case.model_copy(update={"family": family})) is None


def test_a_baseline_with_other_settings_is_run_again(families: Path, tmp_path: Path) -> None:
    case = read_families(families)["tiny/half"]
    path = path_of(tmp_path, case.name, "optimal_interpolation", MINUTES, 0)
    record = made(case, "optimal_interpolation", 0, 1.0)
    write_result(path, record)
    assert read_result(path, case) is not None
    few = record["knobs"] | {"covariance": ["exponential"]}
    write_result(path, record | {"knobs": few})
    assert read_result(path, case) is None


def test_our_own_results_hold_what_is_asked(tiny, tmp_path: Path) -> None:
    trial = make_trial(tiny, 0)
    found = run_method("standard", tiny, trial, 0, 0.01)
    assert set(found["fills"]) == {"single_pass", "ensemble"} and found["chosen"] in found["fills"]
    assert {"fit", "training", "single_pass", "ensemble"} == set(found["seconds"])
    for fill in found["fills"].values():
        assert all(fill[k] > 0 for k in ("error", "crps", "spread_ratio", "coverage90"))
        assert fill["variables"]["field"]["empty"] == 0
    path = path_of(tmp_path, tiny.name, "standard", 0.01, 0)
    assert path.name == "tiny.half.standard-0.01min.seed0.json"


def made(case, method: str, seed: int, error: float, **more) -> dict:
    """A result as a run writes it."""

    def fill(value: float) -> dict:
        row = {"units": "1", "cells": 10, "empty": 0, "mse": value**2, "rmse": value}
        out = {"error": value, "crps": value / 2, "coverage50": 0.5, "coverage90": 0.9}
        return out | {"spread_ratio": 1.0, "variables": {"field": row}}

    samplers = ("single_pass", "ensemble") if method in ("standard", "paper") else (method,)
    fills = {sampler: fill(error * (1 + 0.1 * k)) for k, sampler in enumerate(samplers)}
    seconds = {"fit": 61.0, "training": 1.0} | dict.fromkeys(samplers, 0.1)
    record = {
        "case": case.name,
        "method": method,
        "seed": seed,
        "minutes": MINUTES,
        "seconds": seconds,
        "threads": 2,
        "steps": 40,
    }
    record |= {"definition": case.definition(), "fills": fills, "chosen": samplers[0]}
    if method not in ("standard", "paper"):
        record["knobs"] = knobs_of(method)
    return record | {"exact": fill(0.2)} | more


def test_the_page_shows_results_and_dashes(families: Path, tmp_path: Path) -> None:
    case = read_families(families)["tiny/half"]
    results = tmp_path / "results"
    for seed in (0, 1):
        for method, error in (
            ("standard", 0.22),
            ("paper", 0.40),
            ("linear", 0.3),
            ("dineof", 0.5),
        ):
            record = made(case, method, seed, error + 0.001 * seed)
            write_result(path_of(results, case.name, method, MINUTES, seed), record)
    skipped = {k: v for k, v in made(case, "telea", 0, 1.0).items() if k != "fills"}
    write_result(
        path_of(results, case.name, "telea", MINUTES, 0),
        skipped | {"skipped": "it is left out to show how"},
    )
    far = made(case, "linear", 2, 3.0)  # a seed without our preset is not on the page
    write_result(path_of(results, case.name, "linear", MINUTES, 2), far)
    page = tmp_path / "accuracy.md"
    assert shell("page", "--page", str(page), families=families, results=results) == 0
    text = page.read_text()
    assert (tmp_path / "figures" / "accuracy.png").stat().st_size > 5000
    targets = text.partition("## What the figures rest on")[0].splitlines()
    rows = {line.split(" | ")[0]: line for line in targets if line.startswith("| ")}
    row = rows["| Tiny Gaussian fields, half of the pixels"]
    assert "1.22 ± 0.008 (≤ 1.5) ✓" in row
    assert "0.734 ± 0.0006 (< 1) ✓ `linear`" in row
    assert "| 2 | 2 | 2 | 10 | 8 | 61 | 1 | 40 | 61 | 40 |" in text
    assert "0.551 ± 0.0008 (≤ 0.7) ✓" in row and "0.909 (≤ 1) ✓" in row.replace(" ± 0", "")
    assert "1.00 ± 0 (0.9 to 1.1) ✓ | 0.500 ± 0 | 0.900 ± 0 (0.87 to 0.93) ✓" in row
    assert rows["| Tiny Gaussian fields, 5 of 9 blocks"].count("–") == 9
    assert "| `standard`, `single_pass` | 0.2205 ± 0.0007 | 61 + 0.1 |" in text
    assert "| exact answer | 0.2000 ± 0 | |" in text
    assert "- `telea`, half of the pixels: it is left out to show how" in text
    write_result(
        path_of(results, "tiny/block5", "linear", MINUTES, 0),
        made(read_families(families)["tiny/block5"], "linear", 0, 0.3),
    )
    assert shell("page", "--page", str(page), families=families, results=results) == 0
    again = page.read_text()
    assert "| `linear` | 0.3005 ± 0.0007 | 0.3000 |" in again
    assert "0 of 0 fits" not in again and again.count("chosen by 2 of 2 fits") == 1
    assert "at most 1 minute for each network, on 2 threads; 2 of 2 of ours ended before." in text
    assert "in a fit takes 60 s (median; largest 60 s); of the paper's preset 60 s (median" in text
    assert "Cases with results: 1 of 2." in text and "Targets met: 6 of 6" in text
    assert "over the seeds: 1 of 1, with every seed: 1; at the median 0.73 times its error." in text


def test_the_page_is_that_of_the_results() -> None:
    cases = list(read_families().values())
    text = render(cases, shown(cases, RESULTS, MINUTES), MINUTES)
    assert text == PAGE.read_text(), "write it: python -m recipes.benchmarks.accuracy page"


def test_the_page_without_any_result(tmp_path: Path) -> None:
    page = write_page(list(read_families().values()), tmp_path, 10.0, tmp_path / "accuracy.md")
    text = page.read_text()
    assert "accuracy.png" not in text and not (tmp_path / "figures").exists()
    assert "Cases with results: 0 of" in text
    assert "| Sea surface temperature, AVHRR, under another day's clouds | – |" in text


def test_numbers_show_on_which_side_of_a_target_they_are() -> None:
    assert number(0.97) == "0.970" and number(0.9998) == "1.00"
    assert number(0.9998, [0.0, 1.0]) == "0.9998" and number(1.00004, [1.0]) == "1.00004"
    assert number(1.0, [1.0]) == "1.00" and number(0.8999, (0.9, 1.1)) == "0.8999"
    assert number(1234.5) == "1234" and number(0.0) == "0" and number(123.0) == "123"
    assert mean_of([0.9990, 1.0006], bounds=(0.0, 1.0)) == "0.9998 ± 0.001"
    assert mean_of([100.0, 160.0]) == "130 ± 42" and mean_of([0.5]) == "0.500"
    assert mean_of([]) == mean_of([1.0, None]) == "–"


def test_seeds_that_are_fewer_are_told(tiny) -> None:
    errors = {"standard": 0.2, "paper": 0.4, "linear": 0.3, "nearest": 0.25}
    results = {m: {s: made(tiny, m, s, e) for s in range(3)} for m, e in errors.items()}
    del results["paper"][0], results["paper"][2], results["nearest"][1]
    assert verdict.best_baseline(results) == "linear"  # run with all seeds
    results["linear"][2] = made(tiny, "linear", 2, 0.1)
    text = render([tiny], {tiny.name: results}, MINUTES)
    assert "| 0.500, 1 seed (≤ 0.7) ✓ |" in text and "| 3 | 1 | 3 |" in text
    assert "in the mean over the seeds: 0 of 1, with every seed: 0;" in text


def test_targets_that_are_missed(tiny) -> None:
    seeds = (0, 1, 2)
    results = {
        m: {s: made(tiny, m, s, e) for s in seeds}
        for m, e in (("standard", 0.3), ("paper", 0.4), ("linear", 0.3))
    }
    results["nearest"] = {0: {"seed": 0, "skipped": "because"}}
    figures = verdict.figures_of(tiny, results)
    assert verdict.best_baseline(results) == "linear"
    assert {k: f.met for k, f in figures.items()} == {
        "exact": False, "baseline": False, "paper": False, "single": None, "chosen": True,
        "spread": True, "half": None, "covered": True,
    }  # fmt: skip
    assert replace(figures["paper"], target=None).met is None


def test_a_cell_left_empty_misses_every_target(tiny) -> None:
    """With one seed of three; where others left one empty, there is nothing to compare with."""
    errors = {"standard": 0.2, "paper": 0.4, "linear": 0.3}
    results = {m: {s: made(tiny, m, s, e) for s in range(3)} for m, e in errors.items()}
    fills = results["standard"][1]["fills"]["single_pass"]
    fills |= dict.fromkeys(("error", "crps", "spread_ratio", "coverage50", "coverage90"))
    figures = verdict.figures_of(tiny, results)
    asked = {name: f for name, f in figures.items() if f.target is not None}
    assert set(asked) == {"exact", "baseline", "paper", "chosen", "spread", "covered"}
    assert all(f.met is False and f.empty for f in asked.values())
    text = render([tiny], {tiny.name: results}, MINUTES)
    assert "cells left empty (< 1) ✗ `linear`" in text and "nan" not in text
    results["paper"][0]["fills"]["single_pass"]["error"] = None
    assert len(verdict.ratios(results, "standard", "paper")) == 2


def test_mistakes_are_told(families: Path, tmp_path: Path, capsys) -> None:
    assert shell("run", "--cases", "tine", families=families, results=tmp_path) == 2
    assert "there is no case 'tine'; there are tiny/half, tiny/block5" in capsys.readouterr().err
    assert [c.name for c in chosen(["tiny"], families)] == ["tiny/half", "tiny/block5"]
    case = read_families(families)["tiny/half"]
    path = path_of(tmp_path, case.name, "linear", 1.0, 0)
    path.write_text("{")
    with pytest.raises(ImputeError, match="not a result of this program"):
        read_results(tmp_path, case, ["linear"], 1.0)
    (families / "bad.yaml").write_text("title: a\njudged: 0\n")
    with pytest.raises(ImputeError, match=r"bad.yaml"):
        read_families(families)
    fields = xr.Dataset({"a": (("t", "y", "x"), np.ones((2, 3, 3)))})
    for hide, said in (
        ({"shape": "cloud"}, "shape 'cloud' is not one of pattern, clouds"),
        ({"shape": "stations", "shares": 1}, "shape 'stations': .*shares"),
    ):
        with pytest.raises(ImputeError, match=said):
            hidden_cells(fields, hide, None, 0)


@pytest.mark.parametrize("package", ["pydantic", "yaml"])
def test_a_missing_package_is_named(package: str, monkeypatch, capsys) -> None:
    for name in [n for n in sys.modules if n.startswith("recipes.benchmarks.accuracy.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["list"]) == 2
    said = capsys.readouterr().err
    assert f"needs the package '{package}'" in said and ".[recipes,baselines,plot]" in said


def test_cases_without_their_data_are_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "xdiffimpute.accuracy"):
        arguments = ["run", "--cases", "alboran", "--methods", "linear", "--seeds", "0"]
        assert main([*arguments, "--results", str(tmp_path)]) == 0
    assert "alboran/clouds is skipped: it needs alboranSST_small.nc" in caplog.text
    assert not list(tmp_path.iterdir())


def test_archive_files_are_those_of_the_page(shared_data) -> None:
    text = (PAGE.parent / "reference" / "archives.md").read_text()
    sums = {name: told for told, name in re.findall(r"^([0-9a-f]{64})  (\S+)$", text, re.M)}
    assert set(sums) == {
        value
        for case in read_families().values()
        for part in (case.family.data, case.gaps.hide)
        for key, value in part.items()
        if key == "file"
    }
    for name, told in sums.items():
        assert hashlib.sha256(shared_data(name).read_bytes()).hexdigest() == told


def test_every_baseline_takes_part() -> None:
    from xdiffimpute.baselines import BASELINES

    assert set(BASELINES) <= set(METHODS) and METHODS[:2] == ("standard", "paper")
    assert all(set(c.family.without) <= set(METHODS) for c in read_families().values())
