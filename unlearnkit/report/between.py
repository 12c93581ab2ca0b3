"""What `runs diff` and `runs rerun` show in a terminal, as sheets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING, Any

from unlearnkit.report.sheet import Sheet, fixed, number, significant, text

if TYPE_CHECKING:
    from unlearnkit.runs.diff import Diff, Entry
    from unlearnkit.runs.rerun import Rerun

NAME_WIDTH, VALUE_WIDTH = 24, 26
"""Characters of a name and of each of two values, which make 80 columns; an id fits."""
FINGERPRINT = re.compile(r"\b[0-9a-f]{32,}\b")


def diff_sheets(found: Diff) -> list[Sheet]:
    """A table for each part of two runs, with what is in it. Names go on below after a dot, values after a slash or a
    blank; numbers have four digits, and fingerprints eight, where that tells them apart."""
    sheets = []
    for part, entries in groupby(found.entries, key=lambda entry: entry.part):
        sheet = Sheet(part, fixed("name"), text("A"), text("B"))
        for entry in entries:
            one, other = _words(entry)
            cells = _lines(entry.name, ".", NAME_WIDTH), *(_lines(word, "/ ", VALUE_WIDTH) for word in (one, other))
            for row in zip_longest(*cells, fillvalue=""):
                sheet.add(*row)
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


def _words(entry: Entry) -> tuple[str, str]:
    one, other = _short(entry.one), _short(entry.other)
    if entry.same:
        return one, "="
    return (one, other) if one != other else (_whole(entry.one), _whole(entry.other))


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return FINGERPRINT.sub(lambda found: f"{found[0][:8]}…", _whole(value))


def _whole(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _lines(whole: str, after: str, width: int) -> Iterator[str]:
    """A text on lines of a width at most, broken only after certain characters."""
    line = ""
    for piece in re.findall(rf"[^{after}]*[{after}]+|[^{after}]+", whole):
        if line and len(line) + len(piece.rstrip()) > width:
            yield line
            line = ""
        line += piece
    yield line
