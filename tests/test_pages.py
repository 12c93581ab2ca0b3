"""Every block of README and docs is what it says: shell and Python run, queries find something, data can be read.

A page's blocks run in their order, in a copy of the folder that README's own blocks left, which began with a tiny
model and its data. A block that has a file's name for a title is that file, from there on. What is not run says so and
why, in a line `<!-- not run: … -->` above it; its commands are read by the command line all the same, option by option.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import shlex
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from conftest import pairs, write_jsonl

from unlearnkit.cli.main import COMMANDS, cli, main

ROOT = Path(__file__).parents[1]
PAGES = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n\n?)?"
    r"```(?P<language>\w*)(?: title=\"(?P<title>[^\"\n]+)\")?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
FENCE = re.compile(r"^\s*```", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: where, in what language, why it is not run, which file it is."""

    where: str
    language: str
    text: str
    reason: str | None
    title: str | None

    def commands(self) -> Iterator[list[str]]:
        """What is typed in it, word by word; of a transcript, what follows its prompts."""
        text = self.text.replace("\\\n", " ")
        if self.language == "console":
            text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))
        lines = (shlex.split(line, comments=True) for line in text.splitlines())
        return (words for words in lines if words)


@functools.cache
def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(
            f"{page}:{text[: found.start('language')].count(chr(10)) + 1}",
            *found.group("language", "text", "reason", "title"),
        )
        for found in BLOCK.finditer(text)
    ]


RUN = [page for page in PAGES if any(b.language in ("sh", "python", "sql") and not b.reason for b in blocks(page))]
EXTRA = {"lm-eval"}
"""Commands of distributions of their own."""
OTHERS = {"datasette"}
"""Programs whose words are theirs to read."""


# --------------------------------------------------------------------------------------------------- what is only read


@pytest.mark.parametrize("page", PAGES)
def test_every_fence_belongs_to_a_block_with_a_language(page: str):
    assert len(FENCE.findall((ROOT / page).read_text(encoding="utf-8"))) == 2 * len(blocks(page))
    assert [block.where for block in blocks(page) if not block.language] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_one_with_its_options(page: str):
    for block in blocks(page):
        for words in block.commands() if block.language in ("sh", "console") else ():
            try:
                read(words)
            except (Exception, AssertionError) as error:
                raise AssertionError(f"{block.where}: {shlex.join(words)}: {error}") from error


def read(words: list[str]) -> None:
    """A line as whoever gets it would read it; nothing is done."""
    program, *rest = words
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert set(rest) <= set(targets), "no such target"
    elif program == "pip":
        assert rest[0] == "install"
    elif program in ("python", "pytest"):
        assert rest[0].startswith("-") or (ROOT / rest[0]).exists(), "no such file"
    elif program not in OTHERS:
        assert "unlearnkit" in words, "neither the kit nor a tool that is known here"
        typed_there = words[words.index("unlearnkit") + 1 :]
        understand(list(takewhile(lambda word: word != ">", typed_there)))


def understand(words: list[str]) -> None:
    """A command with its options and values, as click reads them before it does anything."""
    if words[0] in EXTRA:
        return
    with contextlib.suppress(click.exceptions.Exit):  # of --version and --help
        context = cli.make_context("unlearnkit", list(words))
        while isinstance(context.command, click.Group):
            name, command, rest = context.command.resolve_command(context, [*context._protected_args, *context.args])
            assert command is not None
            context = command.make_context(name, rest, parent=context)


def test_a_command_that_is_none_is_found_out():
    for words in (
        "scores",
        "score --model m",
        "score --model m --data d --lr 1",
        "runs shows",
        "eval m --batch-size x",
    ):
        with pytest.raises(Exception, match=r"no command|Missing|No such|number"):
            understand(words.split())
    assert EXTRA.isdisjoint(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_data_can_be_read(page: str):
    for block in blocks(page):
        try:
            parse(block)
        except Exception as error:
            raise AssertionError(f"{block.where}: {error}") from error


def parse(block: Block) -> Any:
    """A block as what it is written in; of other languages there is nothing to say."""
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib
    parsers = {
        "json": json.loads,
        "jsonl": lambda text: [json.loads(line) for line in text.splitlines()],
        "toml": tomllib.loads,
        "yaml": yaml.safe_load,
        "python": lambda text: compile(text, block.where, "exec", dont_inherit=True),
    }
    return parsers.get(block.language, str)(block.text)


# --------------------------------------------------------------------------------------------------------- what is run


def run(page: str) -> None:
    """A page's blocks, in the working folder."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.title:
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.reason is None and block.language == "sh":
            for words in block.commands():
                assert words[0] == "unlearnkit", f"{block.where}: {words[0]} is not run: say why, above the block"
                code, said = typed(words[1:])
                assert code == 0, f"{block.where}: {shlex.join(words)}\n{said}"
        elif block.reason is None and block.language == "python":
            exec(compile(block.text, block.where, "exec", dont_inherit=True), names)
        elif block.reason is None and block.language == "sql":
            with contextlib.closing(sqlite3.connect("unlearnkit.db")) as db:
                assert db.execute(block.text).fetchall(), f"{block.where} finds nothing"


def typed(words: list[str]) -> tuple[int, str]:
    """A command's exit code, and all that it says."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), pytest.raises(SystemExit) as stop:
        main(words)
    return int(stop.value.code or 0), said.getvalue()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path, forget_file: Path, retain_file: Path) -> Path:
    """What README's blocks leave in a folder where the models and data that it speaks of lie."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("my-model", "my-base"):
        shutil.copytree(tiny_model_dir, folder / name)
    for file in (forget_file, retain_file):
        shutil.copy(file, folder)
    write_jsonl(folder / "holdout.jsonl", pairs("Kim Vale", "Lou Stone"))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("UNLEARNKIT_")]:
            patch.delenv(name)
        patch.chdir(folder)
        run("README.md")
    shutil.copy(folder / "unlearnkit.db", folder / "other.db")
    return folder


@pytest.mark.slow
def test_what_readme_does_in_python_is_what_it_does_by_commands(lab: Path):
    """The same calls: what the first had computed, the second found in the store."""
    with contextlib.closing(sqlite3.connect(lab / "unlearnkit.db")) as db:
        rows = db.execute("SELECT count(*) FROM run WHERE kind = 'unlearn' AND config LIKE '%\"mrd\"%'").fetchall()
    assert rows == [(1,)]


@pytest.mark.slow
def test_the_model_that_readme_compares_with_knows_what_was_kept_alone(lab: Path):
    query = """SELECT figure.split, figure.value FROM figure JOIN run ON run.id = figure.run JOIN model
        ON model.fingerprint = run.model WHERE model.source = 'retain-only' AND figure.metric = 'probability'"""
    with contextlib.closing(sqlite3.connect(lab / "unlearnkit.db")) as db:
        known = dict(db.execute(query).fetchall())
    assert known["retain"] > 10 * known["forget"]  # the base, of random weights, knows both alike


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in RUN if page != "README.md"])
def test_a_page_works(page: str, lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(shutil.copytree(lab, tmp_path / "lab"))
    run(page)
