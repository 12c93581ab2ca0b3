"""Parameter types and the command class: numbers are plain decimals, no option counts twice."""

from __future__ import annotations

from typing import Any

import click

from unlearnkit.errors import BadInput
from unlearnkit.options import About


class Number(click.ParamType):
    """A number in plain decimal notation within bounds. Python's own parser takes `1_0`, `１２` and `nan` too."""

    def __init__(self, kind: type, **bounds: Any) -> None:
        self.kind, self.about = kind, About(**bounds)
        self.name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002 - click's signature
        if isinstance(value, self.kind):
            return value
        from unlearnkit.plugins.values import convert, words

        try:
            return convert(str(value), self.kind, self.about)
        except ValueError:
            name = param.opts[0] if param else "value"
            raise BadInput(f"{name} must be {words(self.kind, self.about)}, got {value}", code="value") from None


class Command(click.Command):
    """Refuses an option that is given twice, where click would silently take the last."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        seen: set[str] = set()
        for param in order:
            repeatable = getattr(param, "multiple", False) or not isinstance(param, click.Option)
            if not repeatable and param.name in seen:
                raise BadInput(f"{param.opts[0]} given twice", code="twice")
            seen.add(param.name or "")
        return super().parse_args(ctx, args)


def key_values(flag: str, pairs: tuple[str, ...]) -> dict[str, str]:
    """`-o key=value` pairs as a dictionary.

    Raises:
        BadInput: no `=`, an empty key, or a key given twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise BadInput(f'{flag} takes key=value, got "{pair}"', code="option")
        if key in found:
            raise BadInput(f"{flag} {key} given twice", code="twice")
        found[key] = value
    return found


WHOLE = Number(int, ge=1, le=1_000_000_000)
SEED = Number(int, ge=0)
POSITIVE = Number(float, gt=0)
NOT_NEGATIVE = Number(float, ge=0)
SHARE = Number(float, ge=0, le=1)
