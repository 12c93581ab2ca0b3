"""Where output goes: data to stdout in the form asked for, talk to stderr, a bar where there is a terminal."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from unlearnkit.progress import Progress
from unlearnkit.text import clean, inert

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

FORMATS = ("table", "json", "jsonl", "csv", "markdown", "latex")
FORMAT = 1
"""Of what `--format json` prints: raised when a key goes or changes its meaning. `unlearnkit.report.outputs` has it in
full."""
PLAIN_EVERY = 10.0
"""Seconds between lines of progress where there is no terminal."""


class Output:
    """Renders what a command found, in the form that `--format` names."""

    def __init__(self, form: str) -> None:
        self.form = form

    @property
    def tables(self) -> bool:
        return self.form == "table"

    def console(self) -> Console:
        """For tables on stdout. Nothing from data is read as markup."""
        from rich.console import Console

        return Console(markup=False, highlight=False, emoji=False, soft_wrap=False)

    def progress(self) -> Progress:
        return TerminalProgress()

    def data(self, whole: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a result that is not shown as tables: all of it as JSON, its rows in the other forms."""
        if self.form == "json":
            click.echo(_json({"format": FORMAT, **whole}))
        elif self.form == "jsonl":
            for row in rows:
                click.echo(_json(row))
        else:
            click.echo(WRITERS[self.form](rows), nl=False)

    def say(self, text: str = "") -> None:
        """Talk, on stderr."""
        click.echo(text, err=True)

    def next(self, *commands: str) -> None:
        """What to type next, on stderr."""
        for i, command in enumerate(commands):
            click.echo(f"{'next:' if i == 0 else '     '} {clean(command)}", err=True)


def _json(of: Mapping[str, Any]) -> str:
    """On one line; in escapes where stdout takes less than all characters."""
    narrow = not (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    return json.dumps(of, ensure_ascii=narrow, allow_nan=False)


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list, tuple)) else str(value)


def _delimited(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = _columns(rows)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([inert(value) if isinstance(value := row.get(c), str) else _text(value) for c in columns])
    return out.getvalue()


def _markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = _columns(rows)
    lines = [columns, ["---"] * len(columns)]
    lines += [[clean(_text(row.get(c))).replace("|", "\\|") for c in columns] for row in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _latex(rows: Sequence[Mapping[str, Any]]) -> str:
    from unlearnkit.cli.latex import tabular

    columns = _columns(rows)
    cells = [[_text(row.get(c)) for c in columns] for row in rows]
    return tabular(columns, cells, [_numeric([row.get(c) for row in rows]) for c in columns])


def _numeric(values: Sequence[Any]) -> bool:
    return all(value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)) for value in values)


WRITERS = {"csv": _delimited, "markdown": _markdown, "latex": _latex}


class TerminalProgress(Progress):
    """A bar with rate and ETA on a terminal; a plain line now and then elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._bar: RichProgress | None = None
        self._what, self._total, self._done = "", 0, 0
        self._began = self._spoke = 0.0
        self._first = 0

    def start(self, what: str, total: int, done: int = 0) -> None:
        self.finish()
        new = what != self._what or done < self._done  # else it goes on after a break, at the rate that it had
        if new:
            self._began = time.monotonic()
            self._spoke = self._spoke or self._began  # many short stretches are not silent together
            self._first = done
        self._what, self._total, self._done = what, total, done
        if self._terminal:
            self._bar = _bar()
            self._bar.start()
            self._task = self._bar.add_task(what, total=total, completed=done, note="")
        elif new and self._due():  # what takes long may be its first piece
            self.say(f"{what}: {done} of {total}")

    def advance(self, n: int = 1, note: str = "") -> None:
        self._done += n
        if self._bar is not None:
            self._bar.update(self._task, advance=n, note=note)
        elif self._done < self._total and self._due():  # at its end the next one speaks: that is what is worked on
            each = (self._spoke - self._began) / max(self._done - self._first, 1)
            left = (self._total - self._done) * each
            self.say(f"{self._what}: {self._done} of {self._total}, about {left:.0f} s left{note and f', {note}'}")

    def _due(self) -> bool:
        """Whether it is time for a line, which is then said."""
        now = time.monotonic()
        if now - self._spoke <= PLAIN_EVERY:
            return False
        self._spoke = now
        return True

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def say(self, text: str) -> None:
        self._line(clean(text))

    def warn(self, text: str) -> None:
        self._line(f"warning: {clean(text)}")

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(text, err=True)


def _bar() -> RichProgress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("ETA"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
