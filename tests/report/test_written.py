"""Files of a report are whole or not there, each in a place of its own, and none is replaced unasked."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Answer

from report.conftest import Lab
from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.report.written import check_file, replaced, write_files

Cli = Callable[..., Answer]


def never() -> bytes:
    raise AssertionError("made before it was known whether it can be written")


def test_two_files_of_one_place_are_refused_before_either_is_made(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path)
    for other in ("same", "link/same", "sub/../same"):
        with pytest.raises(BadInput, match="two files at once"):
            write_files([(tmp_path / "same", never), (tmp_path / other, never)], force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_one_that_fails_leaves_what_was_there(tmp_path: Path):
    file = tmp_path / "r.html"
    file.write_text("mine")
    with pytest.raises(KeyboardInterrupt), replaced(file) as new:
        new.write_text("half")
        raise KeyboardInterrupt
    with pytest.raises(UnlearnkitError, match="No space left"), replaced(file) as new:
        new.write_text("half")
        raise OSError(28, "No space left on device")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("r.html", "mine")]


def test_two_at_once_do_not_mix(tmp_path: Path):
    file = tmp_path / ("long" * 60)
    with replaced(file) as one, replaced(file) as other:
        one.write_text("one")
        other.write_text("other, which is longer")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["one"]


def test_what_is_no_file_is_never_replaced(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="is there already"):
        check_file(tmp_path / "pipe", force=True)


@pytest.mark.parametrize(
    ("places", "code"),
    [
        (("--html", "same", "--json", "./same"), "value"),
        (("--out", "out", "--json", "out/certificate.json"), "value"),
        (("--html", "file/c.html"), "write"),
        (("--json", "folder", "--force"), "value"),
        (("--json", "file"), "exists"),
    ],
)
def test_a_bad_place_for_a_certificate_is_told_before_a_run_is_looked_for(cli: Cli, places: tuple[str, ...], code: str):
    Path("file").write_text("mine")
    Path("folder").mkdir()
    found = cli("certificate", "01ZZZZZZZZ", *places, "--format", "json")
    assert found.error["code"] == code
    assert sorted(path.name for path in Path().iterdir()) == ["file", "folder"] and Path("file").read_text() == "mine"


def test_a_chart_that_is_there_is_told_before_any_is_drawn(cli: Cli, lab: Lab, monkeypatch: pytest.MonkeyPatch):
    words = ("report", "--store", lab.store, "--svg", "charts")
    assert cli(*words).code == 0
    (*others, last) = sorted(Path("charts").iterdir())
    for file in others:
        file.unlink()
    monkeypatch.setattr("unlearnkit.report.charts.files._image", lambda *_: never())
    found = cli(*words, "--html", "r.html", "--format", "json")
    assert (found.code, found.error["code"]) == (2, "exists") and last.name in found.error["message"]
    assert list(Path("charts").iterdir()) == [last] and not Path("r.html").exists()
