"""The certificate as one page to print: no script, nothing from a network, every text escaped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unlearnkit.report.sheet import figure, significant
from unlearnkit.report.tables import REASONS
from unlearnkit.text import clean


def page(document: Mapping[str, Any]) -> str:
    """A certificate's JSON as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
    words: dict[str, Any] = {"figure": figure, "significant": significant, "reason": _reason}
    environment.filters.update(words)
    return environment.get_template("page.html").render(c=document)


def _reason(word: str) -> str:
    """A word that stands for a missing value, in words."""
    return REASONS.get(word, word)
