"""What `runs diff` and `runs rerun` show in a terminal, as sheets."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

from unlearnkit.report.sheet import Sheet, fixed, number, significant, text

if TYPE_CHECKING:
    from unlearnkit.runs.diff import Diff
    from unlearnkit.runs.rerun import Rerun


def diff_sheets(found: Diff) -> list[Sheet]:
    """A table for each part of two runs, with what is in it."""
    sheets = []
    for part, entries in groupby(found.entries, key=lambda entry: entry.part):
        sheet = Sheet(part, text("name"), text("A"), text("B"))
        for entry in entries:
            sheet.add(entry.name, _word(entry.one), "=" if entry.same else _word(entry.other))
        sheets.append(sheet)
    return sheets


def rerun_sheets(found: Rerun) -> list[Sheet]:
    """What came out the second time, against the first."""
    sheet = Sheet(
        f"run {found.run} again", text("what"), number("values"), number("differ"), number("at most by"), fixed("first")
    )
    for part in found.parts:
        most = "–" if part.most is None else significant(part.most, 2)
        sheet.add(part.what, str(part.n), str(part.differing), most, part.first or "")
    return [sheet]


def _word(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
