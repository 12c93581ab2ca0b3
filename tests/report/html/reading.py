"""A page as a parser reads it: its elements, tables and scripts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

EMPTY = {"meta", "link", "br", "img", "input", "base"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parts: list[Any] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    def all(self, tag: str | None = None, **attributes: str) -> list[Element]:
        found = [] if not self._is(tag, attributes) else [self]
        return found + [e for part in self.parts if isinstance(part, Element) for e in part.all(tag, **attributes)]

    def one(self, tag: str | None = None, **attributes: str) -> Element:
        (found,) = self.all(tag, **attributes)
        return found

    def _is(self, tag: str | None, attributes: dict[str, str]) -> bool:
        return tag in (None, self.tag) and attributes.items() <= self.attributes.items()


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("page", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].parts.append(made)
        if tag not in EMPTY:
            self.open.append(made)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)


def parse(page: str) -> Element:
    """The page; raises where tags do not match."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    assert [e.tag for e in parser.open] == ["page"]
    return parser.open[0]


def table(page: Element, caption: str) -> list[list[str]]:
    """The cells of the table whose caption begins so, heads first; small print stands behind a newline."""
    (found,) = (t for t in page.all("table") if t.one("caption").text.startswith(caption))
    return [[_cell(c) for c in row.all() if c.tag in ("th", "td")] for row in found.all("tr")]


def _cell(cell: Element) -> str:
    small = cell.all("small")
    text = cell.text.removesuffix(small[0].text) if small else cell.text
    return "\n".join([text, *(s.text for s in small)])


def specs(page: Element) -> dict[str, Any]:
    """The charts' Vega-Lite by name."""
    return json.loads(page.one("script", id="data").text)["charts"]
