"""What `--where` takes.

    some       = every { "or" every }
    every      = one { "and" one }
    one        = "not" one | "(" some ")" | comparison
    comparison = FIELD OPERATOR VALUE
    OPERATOR   = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~"

A value is a word, or any text in quotes, in which a backslash stands before a quote or a backslash that is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from unlearnkit.errors import BadInput

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "~"]
DEEPEST = 50
"""Brackets and `not` in one another."""
HINT = "such as 'algorithm=npo and (state=complete or not tag=draft)'"

_TOKEN = re.compile(
    r"""\s*(?:(?P<bracket>[()])|(?P<operator>!=|<=|>=|[=<>~])|(?P<word>[^\s()=<>!~"']+)"""
    r"""|"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)')""",
    re.DOTALL,
)
_WORD = re.compile(r"""[^\s()=<>!~"']+""")
_JOINTS = ("and", "or", "not")


@dataclass(frozen=True)
class Comparison:
    field: str
    operator: Operator
    value: str

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{_quoted(self.value)}"


@dataclass(frozen=True)
class Not:
    of: Tree

    def __str__(self) -> str:
        return f"not {_inside(self.of)}"


@dataclass(frozen=True)
class Every:
    """All of two or more."""

    of: tuple[Tree, ...]

    def __str__(self) -> str:
        return " and ".join(map(_inside, self.of))


@dataclass(frozen=True)
class Some:
    """At least one of two or more."""

    of: tuple[Tree, ...]

    def __str__(self) -> str:
        return " or ".join(map(_inside, self.of))


Tree = Comparison | Not | Every | Some


def comparisons(tree: Tree) -> Iterator[Comparison]:
    """All that is compared, from the left."""
    if isinstance(tree, Comparison):
        yield tree
    else:
        for of in (tree.of,) if isinstance(tree, Not) else tree.of:
            yield from comparisons(of)


def read(text: str) -> Tree:
    """The tree of a text.

    Raises:
        BadInput: code `where`, with where it stops to be one.
    """
    return _Reader(text).whole()


def _quoted(value: str) -> str:
    if _WORD.fullmatch(value) and value.lower() not in _JOINTS:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _inside(tree: Tree) -> str:
    return f"({tree})" if isinstance(tree, Every | Some) else str(tree)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._next = 0
        self._depth = 0

    def whole(self) -> Tree:
        tree = self._some()
        if self._next < len(self._tokens):
            raise self._fault('"and" or "or"')
        return tree

    def _split(self) -> Iterator[_Token]:
        at, end = 0, len(self._text.rstrip())
        while at < end:
            found = _TOKEN.match(self._text, at)
            if found is None:
                rest = self._text[at:].lstrip()
                what = "a quote that is not closed" if rest[0] in "\"'" else f'"{rest[0]}"'
                raise BadInput(f"--where: {what} at {shown(rest)}", hint=HINT, code="where")
            kind = found.lastgroup or ""
            text = found[kind]
            if kind in ("double", "single"):
                kind, text = "text", re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
            elif kind == "word" and text.lower() in _JOINTS:
                kind, text = "joint", text.lower()
            yield _Token(kind, text, found.start())
            at = found.end()

    def _some(self) -> Tree:
        return self._joined("or", self._every, Some)

    def _every(self) -> Tree:
        return self._joined("and", self._one, Every)

    def _joined(self, joint: str, part: object, whole: type[Every] | type[Some]) -> Tree:
        parts = [part()]  # type: ignore[operator]
        while self._taken("joint", joint):
            parts.append(part())  # type: ignore[operator]
        return whole(tuple(parts)) if len(parts) > 1 else parts[0]

    def _one(self) -> Tree:
        self._depth += 1
        if self._depth > DEEPEST:
            raise BadInput(f"--where: more than {DEEPEST} brackets and nots in one another", hint=HINT, code="where")
        try:
            if self._taken("joint", "not"):
                return Not(self._one())
            if self._taken("bracket", "("):
                tree = self._some()
                if not self._taken("bracket", ")"):
                    raise self._fault('")"')
                return tree
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Comparison:
        field = self._take("a field", "word")
        operator: Operator = self._take("= != < <= > >= or ~", "operator")  # type: ignore[assignment]
        return Comparison(field, operator, self._take("a value", "word", "text"))

    def _take(self, what: str, *kinds: str) -> str:
        token = self._token
        if token is None or token.kind not in kinds:
            raise self._fault(what)
        self._next += 1
        return token.text

    def _taken(self, kind: str, text: str) -> bool:
        token = self._token
        if token is None or (token.kind, token.text) != (kind, text):
            return False
        self._next += 1
        return True

    @property
    def _token(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _fault(self, wanted: str) -> BadInput:
        token = self._token
        there = "the end" if token is None else shown(self._text[token.at :].strip())
        return BadInput(f"--where: {wanted} is wanted, there is {there}", hint=HINT, code="where")


def shown(text: str) -> str:
    """The beginning of what was typed, for an error."""
    return f"{text[:30]}…" if len(text) > 30 else text
