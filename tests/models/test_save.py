"""What is saved is whole, loads again to the same bits, and replaces nothing by accident."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from unlearnkit.errors import BadInput
from unlearnkit.models import (
    check_out,
    load_model,
    load_tokenizer,
    resolve,
    save_model,
    weights_fingerprint,
)
from unlearnkit.models.save import new_folder


@pytest.mark.parametrize("tied", [True, False])
def test_a_round_trip_keeps_every_bit(made: Callable[..., Path], tmp_path: Path, tied: bool) -> None:
    source = resolve(str(made(tie_word_embeddings=tied)))
    model, tokenizer = load_model(source), load_tokenizer(source)
    out = tmp_path / "new" / "out"
    fingerprint = save_model(model, tokenizer, out, card="# A card\n")
    saved = resolve(str(out))
    assert saved.fingerprint == fingerprint
    assert weights_fingerprint(load_model(saved)) == weights_fingerprint(model)
    assert saved.parameters == source.parameters
    assert (out / "README.md").read_text() == "# A card\n"
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    again = save_model(load_model(saved), load_tokenizer(saved), tmp_path / "again", card="other")
    assert again == fingerprint


def test_a_generation_configuration_that_transformers_refuses_is_saved(folder: Path, tmp_path: Path) -> None:
    """Hub models carry such files; a run must not fail on one at its very end."""
    (folder / "generation_config.json").write_text('{"do_sample": false, "temperature": 0.6, "top_p": 0.9}')
    source = resolve(str(folder))
    save_model(load_model(source), load_tokenizer(source), tmp_path / "out", card="")
    saved = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert (saved["temperature"], saved["top_p"]) == (0.6, 0.9)


@pytest.mark.parametrize("out", ["", ".", "a\0b"])
def test_refuses_what_is_no_folder(out: str) -> None:
    with pytest.raises(BadInput):
        check_out(out, force=True)
    with pytest.raises(BadInput):
        check_out(Path(out), force=True)


def test_refuses_files_and_full_folders(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "file", tmp_path / "file" / "below", folder):
        with pytest.raises(BadInput):
            check_out(out, force=False)
    for out in (tmp_path / "empty", tmp_path / "not" / "yet"):
        check_out(out, force=False)
    check_out(folder, force=True)


def test_force_replaces_a_model_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    source = resolve(str(folder))
    model, tokenizer = load_model(source), load_tokenizer(source)
    (folder / "stale.safetensors").write_text("of an earlier model")
    save_model(model, tokenizer, folder, card="", force=True)
    assert not (folder / "stale.safetensors").exists()
    work = tmp_path / "thesis"
    work.mkdir()
    (work / "chapter.txt").write_text("precious")
    with pytest.raises(BadInput):
        save_model(model, tokenizer, work, card="", force=True)
    assert (work / "chapter.txt").read_text() == "precious"


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(RuntimeError), new_folder(target) as folder:
        (folder / "new").write_text("new")
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["target", "old"]


def test_a_killed_write_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from unlearnkit.models.save import new_folder\n"
        "with new_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    target = tmp_path / "target"
    done = subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    with new_folder(target) as folder:
        (folder / "whole").write_text("y")
    assert [path.name for path in target.iterdir()] == ["whole"]


def test_a_folder_that_cannot_be_replaced_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").write_text("old")
    rename = Path.rename

    def refuse(self: Path, to: Path) -> Path:
        if self.suffix == ".tmp":
            raise OSError("no space")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="no space"), new_folder(target) as folder:
        (folder / "new").write_text("new")
    assert [path.name for path in tmp_path.rglob("*")] == ["target", "old"]


def killed_before(rename: str, target: Path) -> None:
    """A process that is killed when it is about to rename a folder of that suffix."""
    program = (
        "import os, signal, sys; from pathlib import Path; from unlearnkit.models.save import new_folder\n"
        "rename = Path.rename\n"
        "def dying(self, to):\n"
        "    if self.suffix == sys.argv[2]: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return rename(self, to)\n"
        "Path.rename = dying\n"
        "with new_folder(Path(sys.argv[1])) as folder: (folder / 'new').write_text('new')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(target), rename], check=False)
    assert done.returncode == -signal.SIGKILL


def test_what_was_moved_away_by_a_killed_process_comes_back(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").write_text("old")
    killed_before(".tmp", target)
    assert not target.exists()
    with pytest.raises(RuntimeError), new_folder(target):
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["target", "old"]


def test_what_a_killed_process_wrote_is_removed_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "target"
    killed_before(".tmp", target)
    (tmp_path / ".target.mine.tmp").mkdir()
    with new_folder(target) as outer:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([".target.mine.tmp", outer.name])
        with new_folder(target) as inner:
            (inner / "inner").write_text("a living process's folder stays")
        assert outer.is_dir()
