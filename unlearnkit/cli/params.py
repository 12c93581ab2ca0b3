"""Parameter types and the command class: numbers are plain decimals, texts name something, no option counts twice."""

from __future__ import annotations

from typing import Any

import click

from unlearnkit.errors import BadInput
from unlearnkit.options import About

MOST = 10_000
"""Numbers in a range."""


class Number(click.ParamType):
    """A number in plain decimal notation within bounds. Python's own parser takes `1_0`, `１２` and `nan` too."""

    def __init__(self, kind: type, **bounds: Any) -> None:
        self.kind, self.about = kind, About(**bounds)
        self.name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002 - click's signature
        if isinstance(value, self.kind):
            return value
        from unlearnkit.plugins.values import OutOfBounds, convert, words

        try:
            return convert(str(value), self.kind, self.about)
        except ValueError as error:
            hint = None if isinstance(error, OutOfBounds) else str(error)
            raise BadInput(
                f"{_said(param)} must be {words(self.kind, self.about)}, got {value}", hint=hint, code="value"
            ) from None


class Name(click.ParamType):
    """A text that names something: a path, a plugin, a column. The empty path is the working folder to pathlib, and a
    NUL ends a path for the system, so neither is ever meant."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002 - click's signature
        text = str(value)
        if not text.strip() or "\0" in text:
            raise BadInput(f"{_said(param)} {'has a NUL in it' if text.strip() else 'is empty'}", code="value")
        return text

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from unlearnkit.cli.completing import complete

        return complete(ctx, param, incomplete)


def _said(param: click.Parameter | None) -> str:
    """A parameter as its user knows it."""
    if param is None:
        return "value"
    return param.opts[0] if isinstance(param, click.Option) else param.make_metavar(click.get_current_context())


class Several(click.ParamType):
    """Values separated by commas, each of one type; of whole numbers `0..4` means all from the one to the other."""

    def __init__(self, each: click.ParamType | None = None) -> None:
        self.each = each or NAME
        self.whole = isinstance(each, Number) and each.kind is int
        self.name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        if isinstance(value, list):
            return value
        found = [one for part in str(value).split(",") for one in self._part(part.strip(), param, ctx)]
        twice = next((one for i, one in enumerate(found) if one in found[:i]), None)
        if twice is not None:
            raise BadInput(f"{_said(param)} has {twice} twice", code="twice")
        return found

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        done, comma, begun = incomplete.rpartition(",")
        found = self.each.shell_complete(ctx, param, begun)
        for item in found:
            item.value = done + comma + item.value
        return found

    def _part(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        ends = text.split("..") if self.whole else [text]
        numbers = [self.each.convert(end, param, ctx) for end in ends]
        if len(numbers) == 1:
            return numbers
        if len(numbers) > 2 or numbers[0] > numbers[1] or numbers[1] - numbers[0] >= MOST:
            raise BadInput(
                f'{_said(param)}: "{text}" is no range', hint=f"such as 0..4, of at most {MOST} numbers", code="value"
            )
        return list(range(numbers[0], numbers[1] + 1))


class Command(click.Command):
    """Refuses an option that is given twice, where click would silently take the last; texts are names unless an option
    gives a type of its own."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        for param in self.params:
            if param.type is click.STRING:
                param.type = NAME

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:  # a line that is still being typed: its last option may lack its value
            return super().parse_args(ctx, args[:-1] if args and args[-1].startswith("-") else args)
        try:
            _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        except click.NoSuchOption as error:
            raise self._bare(ctx, error) from None
        seen: set[str] = set()
        for param in order:
            repeatable = getattr(param, "multiple", False) or not isinstance(param, click.Option)
            if not repeatable and param.name in seen:
                raise BadInput(f"{param.opts[0]} given twice", code="twice")
            seen.add(param.name or "")
        return super().parse_args(ctx, args)

    def _bare(self, ctx: click.Context, error: click.NoSuchOption) -> Exception:
        """What is wrong, where an option is named that other commands have and this one takes as a bare word."""
        for param in self.params:
            if isinstance(param, click.Argument) and f"--{param.name}" == error.option_name:
                word = param.make_metavar(ctx)
                hint = f"{ctx.command_path} {word}"
                return BadInput(f"{error.option_name}: {word} is given without an option here", hint=hint)
        return error


class ListsByDefault(click.Group):
    """`plugins` and `plugins --format json` are `plugins list …`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = bool(args) and (not args[0].startswith("-") or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named or ctx.resilient_parsing else ["list", *args])


def paragraphs(text: str) -> list[str]:
    """A docstring's paragraphs, free of its line breaks; what is indented stays as it is."""
    return [part if part.startswith(" ") else " ".join(part.split()) for part in text.split("\n\n")]


def key_values(flag: str, pairs: tuple[str, ...]) -> dict[str, str]:
    """`-o key=value` pairs as a dictionary.

    Raises:
        BadInput: no `=`, an empty key, or a key given twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise BadInput(f'{flag} takes key=value, got "{pair}"', hint=f"{flag} {key or 'KEY'}=VALUE", code="option")
        if key in found:
            raise BadInput(f"{flag} {key} given twice", code="twice")
        found[key] = value
    return found


def key_values_several(flag: str, pairs: tuple[str, ...]) -> dict[str, list[str]]:
    """`-o key=value` pairs with all the values of a key.

    Raises:
        BadInput: as `key_values`, but for a key with another value.
    """
    found: dict[str, list[str]] = {}
    for pair in pairs:
        for key, value in key_values(flag, (pair,)).items():
            values = found.setdefault(key, [])
            if value in values:
                raise BadInput(f"{flag} {pair} given twice", code="twice")
            values.append(value)
    return found


WHOLE = Number(int, ge=1, le=1_000_000_000)
SEED = Number(int, ge=0, le=2**63 - 1)
POSITIVE = Number(float, gt=0)
NOT_NEGATIVE = Number(float, ge=0)
SHARE = Number(float, ge=0, le=1)
NAME = Name()
ANY_TEXT = click.UNPROCESSED
"""For texts that may be empty."""
