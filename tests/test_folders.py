"""Folders that results go to: refused before any work is done."""

import tempfile
from pathlib import Path

import pytest

import xdiffimpute as xdi
from xdiffimpute.exceptions import OutputExistsError, StorageError
from xdiffimpute.folders import check_writable, prepare_folder, write_text
from xdiffimpute.report import check_report
from xdiffimpute.stores import check_output


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be written anywhere; a test may run as one who may write everywhere."""

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)


@pytest.mark.usefixtures("locked")
def test_before_any_work_is_done(tmp_path: Path) -> None:
    said = "cannot write to the folder .*Permission denied; "
    with pytest.raises(StorageError, match=f"{said}elsewhere"):
        check_writable(tmp_path, "elsewhere")
    with pytest.raises(StorageError, match=said):
        check_output(str(tmp_path / "out.zarr"), None, overwrite=False)
    with pytest.raises(StorageError, match=said):
        xdi.example().impute.fill_to(tmp_path / "out.nc", "nearest")
    pytest.importorskip("matplotlib")
    with pytest.raises(StorageError, match=said):
        check_report(tmp_path / "report.html")


def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tmp_path / "report.json"
    write_text(report, "first", "try another")

    def full(self: Path, text: str, **_: object) -> None:
        with self.open("w") as f:
            f.write(text[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StorageError, match=r"cannot write .*No space left on device; try another"):
        write_text(report, "second", "try another")
    assert report.read_text() == "first" and list(tmp_path.iterdir()) == [report]


def test_results_of_an_earlier_run(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "results"
    prepare_folder(folder, ["a", "b"], overwrite=False, another="choose another")
    (folder / "b").touch()
    with pytest.raises(OutputExistsError, match=r"holds results already \(b\); choose another"):
        prepare_folder(folder, ["a", "b"], overwrite=False, another="choose another")
    prepare_folder(folder, ["a", "b"], overwrite=True, another="choose another")
    with pytest.raises(StorageError, match="cannot write to the folder"):
        prepare_folder(folder / "b" / "c", ["a"], overwrite=False, another="choose another")
