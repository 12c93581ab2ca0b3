"""However large a store is, its tables of samples are never read from end to end, nor sorted."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import Answer

from .conftest import Lab

Cli = Callable[..., Answer]
LARGE = ("result", "score", "probe", "step", "generation", "reading", "anchor", "dataset_row")
COMMANDS = {
    "report": ["report"],
    "report of a run": ["report", "{unlearned}"],
    "report as data": ["report", "--format", "json"],
    "report of some": ["report", "--where", "algorithm=graddiff and forget.probability>=0"],
    "runs list": ["runs", "list"],
    "runs list of some": ["runs", "list", "--where", "forget_quality>=0 or tag=x or data~forget"],
    "runs show": ["runs", "show", "{unlearned}"],
    "runs show of scores": ["runs", "show", "{scored}"],
    "runs diff": ["runs", "diff", "{one}", "{other}", "--all"],
    "runs compare": ["runs", "compare", "{one}", "{other}"],
}


@pytest.fixture
def statements() -> Iterator[list[tuple[str, Any]]]:
    """All that is sent to a database from here on, with its parameters."""
    found: list[tuple[str, Any]] = []

    def keep(_c: object, _d: object, statement: str, parameters: Any, _e: object, many: bool) -> None:
        found.append((statement, parameters[0] if many else parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", keep)
    yield found
    sa.event.remove(sa.Engine, "before_cursor_execute", keep)


def slow(raw: sqlite3.Connection, statement: str, parameters: Any) -> list[str]:
    """The steps of SQLite's plan that take as long as a large table is."""
    if not re.search(rf"\b({'|'.join(LARGE)})\b", statement) or statement.startswith("INSERT"):
        return []
    steps = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    return [step for step in steps if re.match(rf"SCAN ({'|'.join(LARGE)})\b", step) or "TEMP B-TREE" in step]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_reads_what_it_is_about(
    name: str, cli: Cli, lab: Lab, tmp_path: Path, statements: list[tuple[str, Any]]
):
    copy = tmp_path / "copy.db"
    with sqlite3.connect(lab.store) as source, sqlite3.connect(copy) as target:
        source.backup(target)
        target.execute("DELETE FROM figure")  # as in a store that was just upgraded
    facts = {
        "unlearned": lab.unlearned["mrd"], "scored": lab.scored,
        "one": lab.evaluated["uniform"], "other": lab.evaluated["mrd"],
    }  # fmt: skip
    answer = cli(*(word.format(**facts) for word in COMMANDS[name]), "--store", copy)
    assert answer.code == 0, answer.err
    assert statements
    with sqlite3.connect(copy) as raw:
        assert [(s, steps) for s, p in statements if (steps := slow(raw, s, p))] == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM result WHERE value > 0",
        "SELECT count(*) FROM score",
        "SELECT * FROM step WHERE run = 'x' ORDER BY terms",
        "SELECT DISTINCT status FROM result WHERE run = 'x'",
        "DELETE FROM dataset_row WHERE tokens = 1",
    ],
)
def test_the_control(statement: str, lab: Lab):
    with sqlite3.connect(lab.store) as raw:
        assert slow(raw, statement, ())
