"""`--format latex`: another parser of LaTeX reads back what was there, and finds no command that we did not write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import Answer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pylatexenc import latex2text
from pylatexenc.latex2text import LatexNodes2Text, MacroTextSpec
from pylatexenc.latexwalker import (
    LatexCommentNode,
    LatexEnvironmentNode,
    LatexMacroNode,
    LatexWalker,
    get_default_latex_context_db,
)
from pylatexenc.macrospec import MacroSpec

from unlearnkit.cli.latex import escape
from unlearnkit.cli.output import Output
from unlearnkit.text import clean

HOSTILE = [
    r"\input{/etc/passwd}", r"\write18{rm -rf .}", "50 % of $x_1^2$ & more #1 ~ {", "}}\\end{tabular}", "[1cm]", "*",
    "\\", "\\\\[2em]", "a--b ---", "''quoted``", "<a|b>", "%", "line\nbreak", "\x1b[31m", "日本語 🙂 ↑", "",
]  # fmt: skip
RULES = {"toprule", "midrule", "bottomrule"}
SHOWN = {
    "textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar", "textasciigrave",
    *"{}$&#%_",
}  # fmt: skip


def read(latex: str) -> list[Any]:
    """Nodes, where the end of a line takes a star and an option as LaTeX's own does."""
    known = get_default_latex_context_db()
    known.add_context_category("lines", prepend=True, macros=[MacroSpec("\\", "*[")])
    nodes, _, _ = LatexWalker(latex, latex_context=known, tolerant_parsing=False).get_latex_nodes()
    return nodes


def shown(nodes: list[Any]) -> str:
    signs = {"textless": "<", "textgreater": ">", "textbar": "|", "textasciigrave": "`"}  # it lacks these,
    signs |= {"textasciicircum": "^"}  # and takes this for an accent
    known = latex2text.get_default_latex_context_db()
    known.add_context_category("signs", prepend=True, macros=[MacroTextSpec(*sign) for sign in signs.items()])
    return LatexNodes2Text(known, strict_latex_spaces=True, keep_comments=True).nodelist_to_text(nodes)


def macros(nodes: list[Any]) -> set[str]:
    found = set()
    for node in nodes:
        if isinstance(node, LatexMacroNode):
            found.add(node.macroname)
        found |= macros(getattr(node, "nodelist", None) or [])
    return found


def table(capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]]) -> tuple[str, list[list[str]]]:
    """The columns' alignment and the cells of what is printed for some rows."""
    capsys.readouterr()
    Output("latex").data({}, rows)
    _comment, environment = [node for node in read(capsys.readouterr().out) if not _blank(node)]
    assert isinstance(_comment, LatexCommentNode) and isinstance(environment, LatexEnvironmentNode)
    assert environment.environmentname == "tabular"
    (align,), body = environment.nodeargd.argnlist[-1:], environment.nodelist
    assert macros(body) <= RULES | SHOWN | {"\\"}
    lines: list[list[Any]] = [[]]
    for node in body:
        if isinstance(node, LatexMacroNode) and node.macroname == "\\":
            assert not any(node.nodeargd.argnlist), "an option of the line's end"
            lines.append([])
        elif not (isinstance(node, LatexMacroNode) and node.macroname in RULES):
            lines[-1].append(node)
    return shown([align]), [_cells(line) for line in lines[:-1]]


def _blank(node: Any) -> bool:
    return not node.latex_verbatim().strip()


def _cells(line: list[Any]) -> list[str]:
    cells: list[list[Any]] = [[]]
    for node in line:
        if node.latex_verbatim().strip() == "&":
            cells.append([])
        else:
            cells[-1].append(node)
    return [shown(cell).strip() for cell in cells]


def test_hostile_cells_are_text(capsys: pytest.CaptureFixture[str]):
    align, (head, *lines) = table(capsys, [{"what & why": text, "n": i} for i, text in enumerate(HOSTILE)])
    assert (align, head) == ("lr", ["what & why", "n"])
    assert lines == [[clean(text).strip(), str(i)] for i, text in enumerate(HOSTILE)]


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.text())
def test_any_text_is_shown_as_it_is(text: str):
    nodes = read(escape(text))
    assert macros(nodes) <= SHOWN
    assert shown(nodes) == clean(text)


def test_numbers_stand_to_the_right_and_what_is_missing_is_empty(capsys: pytest.CaptureFixture[str]):
    rows = [{"a": 1.5, "b": None, "c": True, "d": {"k": [1]}}, {"a": None, "b": 2, "c": False, "d": None}]
    align, lines = table(capsys, rows)
    assert align == "rrll"
    assert lines == [["a", "b", "c", "d"], ["1.5", "", "True", '{"k": [1]}'], ["", "2", "False", ""]]


def test_a_command_writes_it(cli: Callable[..., Answer]):
    found = cli("plugins", "list", "--kind", "sampler", "--format", "latex")
    assert found.code == 0 and "mrd\\_per\\_token" in found.out.replace("-", "\\_")
