"""Settings: a file, then the environment, then the command line; what is misspelt is an error with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Answer

from unlearnkit.errors import BadInput
from unlearnkit.settings import Settings, load_settings


def settings(folder: Path, text: str | bytes = "", **variables: str) -> Settings:
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "unlearnkit.toml").write_bytes(data)
    return load_settings(folder, variables)


def refused(folder: Path, text: str | bytes = "", **variables: str) -> str:
    with pytest.raises(BadInput) as caught:
        settings(folder, text, **variables)
    assert caught.value.code == "settings"
    return caught.value.message


def test_nothing_said(tmp_path: Path):
    assert load_settings(tmp_path, {}) == Settings()


def test_a_file(tmp_path: Path):
    found = settings(tmp_path, '# ours\nstore = "lab.db"\ntofu_dir = "data/tofu"\nthreads = 2\nstore_text = true\n')
    assert found == Settings(store="lab.db", tofu_dir=Path("data/tofu"), threads=2, store_text=True)


def test_the_environment_comes_after_the_file(tmp_path: Path):
    found = settings(tmp_path, 'store = "lab.db"\nthreads = 2\n', UNLEARNKIT_STORE="mine.db", HOME="/")
    assert (found.store, found.threads) == ("mine.db", 2)
    assert not settings(tmp_path, "fused = true\n", UNLEARNKIT_FUSED="false").fused


@pytest.mark.parametrize(("text", "value"), [("1", True), ("true", True), ("0", False), ("no", False)])
def test_yes_and_no_in_the_environment(tmp_path: Path, text: str, value: bool):
    assert settings(tmp_path, UNLEARNKIT_ALLOW_DOWNLOAD=text).allow_download is value


def test_variables_that_others_read_are_left_to_them(tmp_path: Path):
    assert settings(tmp_path, UNLEARNKIT_PLUGINS="", UNLEARNKIT_STRICT="1") == Settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('threads = 1\n\nstroe = "x"\n', "unlearnkit.toml:3: stroe: no such setting"),
        ('[store]\npath = "x"\n', "unlearnkit.toml:1: store = {'path': 'x'}: "),
        ("threads = two\n", "unlearnkit.toml: Invalid value (at line 1, column 11)"),
        ("threads = 1\nthreads = 2\n", "unlearnkit.toml: "),
        ("threads = 0\n", "unlearnkit.toml:1: threads = 0: input should be greater than 0"),
        ("threads = 1.5\n", "unlearnkit.toml:1: threads = 1.5: "),
        ("store = 5\n", "unlearnkit.toml:1: store = 5: input should be a valid string"),
        ("store = 'Köln'\n".encode("latin-1"), "unlearnkit.toml: 'utf-8' codec can't decode byte 0xf6"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str | bytes, said: str):
    assert refused(tmp_path, text).startswith(said)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("UNLEARNKIT_SIGMA", "x", "UNLEARNKIT_SIGMA: no such setting"),
        ("UNLEARNKIT_THREADS", "many", "UNLEARNKIT_THREADS = 'many': "),
        ("UNLEARNKIT_STORE_TEXT", "perhaps", "UNLEARNKIT_STORE_TEXT = 'perhaps': "),
    ],
)
def test_a_variable_that_is_wrong(tmp_path: Path, name: str, value: str, said: str):
    assert refused(tmp_path, **{name: value}).startswith(said)


def test_the_command_line_comes_last(cli: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from unlearnkit.store import Store

    for name in ("file", "variable", "option"):
        Store.open(tmp_path / f"{name}.db").close()
    words = ("store", "info", "--format", "csv")

    def used(*more: str) -> str:
        (name,) = (n for n in ("file", "variable", "option") if f"{n}.db" in cli(*words, *more).out)
        return name

    Path("unlearnkit.toml").write_text('store = "file.db"\n')
    assert used() == "file"
    monkeypatch.setenv("UNLEARNKIT_STORE", "variable.db")
    assert used() == "variable"
    assert used("--store", "option.db") == "option"
