"""The commands that make a report's runs again, in order."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearnkit.runs.evaluate import is_imported

if TYPE_CHECKING:
    from unlearnkit.report.subject import Subject


@dataclass(frozen=True)
class Command:
    """A line for a shell, empty where there was none, for the runs of these marks."""

    marks: str
    line: str
    note: str


def commands(about: Subject) -> list[Command]:
    """One for each command that was typed, though it may have made several runs."""
    found: dict[tuple[str, ...], list[str]] = {}
    notes: dict[tuple[str, ...], str] = {}
    for run in about.runs:
        key = run.argv or (run.id,)
        found.setdefault(key, []).append(about.marks[run.id])
        if is_imported(run):
            notes[key] = "imported: another program's log, whose numbers were not measured here"
        elif not run.argv:
            notes[key] = f"made from Python: {run.kind} {run.method}"
        if not run.exact:
            notes[key] = "went on in another environment: made again, its bits may differ"
    return [
        Command(" ".join(marks), shlex.join(key) if len(key) > 1 else "", notes.get(key, ""))
        for key, marks in found.items()
    ]
