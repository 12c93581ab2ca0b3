"""Settings and exit codes, from where the code says them."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from itertools import pairwise

from unlearnkit.cli import main
from unlearnkit.settings import PREFIX, Settings


def table() -> str:
    """Each setting with its variable, its default, and the docstring below it."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(Settings)).body if isinstance(node, ast.ClassDef))
    said = {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }
    rows = [
        f"| `{f.name}` | `{PREFIX}{f.name.upper()}` | {_shown(f.default)} | {said[f.name]} |" for f in fields(Settings)
    ]
    return "\n".join(["| setting | variable | default | |", "|---|---|---|---|", *rows])


def exit_codes() -> str:
    """The line of the command line's own docstring as a table."""
    (line,) = re.findall(r"^Exit codes: (.+)\.$", inspect.getdoc(inspect.getmodule(main)) or "", re.MULTILINE)
    rows = [part.split(" ", 1) for part in line.split(" · ")]
    return "\n".join(["| code | |", "|---|---|", *(f"| {code} | {meaning} |" for code, meaning in rows)])


def _shown(default: object) -> str:
    return "" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"
