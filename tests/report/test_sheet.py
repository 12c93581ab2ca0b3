"""Titles keep their line, ids and numbers their digits, labels give way, nothing is obeyed."""

from __future__ import annotations

import re

import pytest
from rich.console import Console

from unlearnkit.report.sheet import Sheet, figure, fixed, label, number, significant, text


def lines(sheet: Sheet, width: int = 80) -> list[str]:
    console = Console(width=width, markup=True, emoji=True, force_terminal=True, no_color=True)
    with console.capture() as caught:
        console.print(sheet)
    return [line.rstrip() for line in re.sub("\x1b\\[[012]m", "", caught.get()).splitlines()]


def test_a_title_is_not_folded_to_its_table():
    sheet = Sheet("a title that is longer than the table", number("n"))
    sheet.add("1")
    assert lines(sheet)[0] == "a title that is longer than the table"


def test_labels_give_way_on_one_line():
    sheet = Sheet("", fixed("run"), label("model"), number("value"))
    sheet.add("01M86YTVDVCXHCDYAJPG9TPJ8N", "a label of many words " * 5, "0.12345")
    *_, row = lines(sheet, 60)
    assert len(row) <= 60
    assert row.startswith("01M86YTVDVCXHCDYAJPG9TPJ8N  a label of")
    assert row.endswith("…  0.12345")


def test_texts_stay_whole():
    sheet = Sheet("", fixed("what"), text("value"))
    sheet.add("path", "/folder" * 20)
    rows = lines(sheet, 40)[2:]
    assert "".join(row.removeprefix("path").strip() for row in rows) == "/folder" * 20


@pytest.mark.parametrize("where", ["title", "note", "cell"])
def test_what_is_shown_is_not_obeyed(where: str):
    evil = "\x1b[31m[red]x[/red]:smile:\u202e\r\n"
    sheet = Sheet(evil if where == "title" else "t", text("c"), note=evil if where == "note" else "")
    sheet.add(evil if where == "cell" else "c")
    shown = "\n".join(lines(sheet))
    assert "\\u001b[31m[red]x[/red]:smile:\\u202e\\u000d\\u000a" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0.000"),
        (0.12345, "0.123"),
        (-1.5, "-1.500"),
        (1e-3, "0.001"),
        (9.9e-4, "9.9e-04"),
        (123.4, "123"),
        (98765.0, "98,765"),
        (2.5e7, "2.5e+07"),
    ],
)
def test_figures(value: float | None, shown: str):
    assert figure(value) == shown


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (None, 3, "–"),
        (0.0073821, 3, "0.00738"),
        (0.0007, 2, "0.00070"),
        (13.0, 3, "13.0"),
        (130.0, 3, "130"),
        (1.234e-7, 3, "1.23e-07"),
    ],
)
def test_significant_digits(value: float | None, digits: int, shown: str):
    assert significant(value, digits) == shown
