"""What `runs list` shows in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from unlearnkit.report.sheet import Sheet, fixed, label

if TYPE_CHECKING:
    from unlearnkit.runs.about import About
    from unlearnkit.store.records import Run


def runs_table(runs: Sequence[Run], about: Mapping[str, About]) -> Sheet:
    """Runs: under what each is stands what it is about, and under that what people say of it."""
    sheet = Sheet("", fixed("run, when (UTC)"), fixed("kind"), label("method, model: data"), fixed("state"))
    for run in runs:
        sampler = run.config.get("sampler")
        sheet.add(run.id, run.kind, f"{run.method}, {sampler}" if sampler else run.method, state(run))
        sheet.add(f"  {run.created[5:16].replace('T', ' ')}", "", str(about[run.id]), "")
        if said := remarks(run):
            sheet.add("", "", said, "")
    return sheet


def remarks(run: Run) -> str:
    """Tags and note on one line."""
    return " ".join([*(f"#{tag}" for tag in run.tags), *([run.note] if run.note else [])])


def state(run: Run) -> str:
    """How a run stands, and whether its bits may differ from those of an undisturbed one."""
    return run.status if run.exact else f"{run.status}, inexact"
