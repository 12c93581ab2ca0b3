"""The commands that made a report's runs, in order, as they may be told to others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearnkit.runs.evaluate import is_imported
from unlearnkit.runs.public import command_of

if TYPE_CHECKING:
    from unlearnkit.report.subject import Subject
    from unlearnkit.store.records import Run


@dataclass(frozen=True)
class Command:
    """A line for a shell, empty where there was none, for the runs of these marks."""

    marks: str
    line: str
    note: str


def commands(about: Subject) -> list[Command]:
    """One for each command that was typed, though it may have made several runs."""
    found: dict[tuple[str, ...], list[Run]] = {}
    for run in about.runs:
        found.setdefault(run.argv or (run.id,), []).append(run)
    return [Command(" ".join(about.marks[run.id] for run in of), command_of(*of), _note(of)) for of in found.values()]


def _note(runs: Sequence[Run]) -> str:
    """What else is to be known of the runs of one command."""
    if not all(run.exact for run in runs):
        return "went on in another environment: made again, its bits may differ"
    if any(map(is_imported, runs)):
        return "imported: another program's log, whose numbers were not measured here"
    return "" if runs[0].argv else f"made from Python: {runs[0].kind} {runs[0].method}"
