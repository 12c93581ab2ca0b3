"""Two runs side by side in 80 columns: names are broken at dots alone; numbers and fingerprints short, but apart."""

from __future__ import annotations

from itertools import pairwise

import pytest
from rich.console import Console

from unlearnkit.report.between import diff_sheets
from unlearnkit.runs.diff import Diff, Entry
from unlearnkit.store.records import Run

RUN = Run("01J", "eval", "i", "complete", "tofu", model="m", datasets={}, config={}, environment={})


def cells(*entries: Entry) -> list[list[str]]:
    """What a terminal of 80 columns shows, by row and column."""
    console = Console(width=80)
    with console.capture() as caught:
        for sheet in diff_sheets(Diff(RUN, RUN, entries)):
            console.print(sheet)
    lines = caught.get().splitlines()
    assert max(map(len, lines)) <= 80
    head = lines[1]
    starts = [0, head.index("A"), head.index("B"), 80]
    return [[line[a:b].strip() for a, b in pairwise(starts)] for line in lines[3:] if line]


def test_names_and_paths_are_broken_where_their_words_end():
    one, other = "/home/someone/models/a-model-of-mine/full", "/home/someone/models/a-model-of-mine/retain-only"
    rows = cells(Entry("result", "results.forget.extraction_strength", one, other))
    assert "".join(row[0] for row in rows) == "results.forget.extraction_strength"
    assert all(row[0].endswith(".") for row in rows[:1]) and rows[1][0] == "extraction_strength"
    for i, path in ((1, one), (2, other)):
        told = [row[i] for row in rows if row[i]]
        assert "".join(told) == path and all(piece.endswith("/") for piece in told[:-1])


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        (0.123456789012345, 0.2, ["0.1235", "0.2"]),
        (0.12345678, 0.12345679, ["0.12345678", "0.12345679"]),
        ("a" * 64, "b" * 64, ["aaaaaaaa…", "bbbbbbbb…"]),
        (0.5, 0.5, ["0.5", "="]),
        (None, "01M8CAV9PEH24RJHRXV3TAMG6C", ["–", "01M8CAV9PEH24RJHRXV3TAMG6C"]),
        (3, [1, 2], ["3", "[1, 2]"]),
    ],
)
def test_values_are_short_and_told_apart(one: object, other: object, shown: list[str]):
    assert cells(Entry("result", "n", one, other)) == [["n", *shown]]
