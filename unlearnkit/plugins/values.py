"""An option's value: from what was typed, or from data, to the type of its field.

Text goes through a strict grammar first, since Python's own `float` takes `1_0`, `１２` and `nan`. Then all
values, typed or given from Python, pass the same strict validation in JSON terms, so that what a run stores
as its options reads back as the same object.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from unlearnkit.options import About

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


class OutOfBounds(ValueError):  # noqa: N818 - as the errors of errors.py
    """A value of the right type, which its option's bounds refuse."""


def convert(given: object, annotation: Any, about: About) -> object:
    """The value of an option, from text or from data.

    Raises:
        ValueError: it is not of the type, not finite, or `OutOfBounds`; the text says what the value is not.
    """
    value = _validated(_from_text(given, annotation) if isinstance(given, str) else given, annotation)
    for part in value if isinstance(value, tuple) else (value,):
        if isinstance(part, int | float) and not isinstance(part, bool) and about.refuses(part):
            raise OutOfBounds(f"{given} is not {about}")
    return value


def jsonable(value: object, annotation: Any) -> object:
    """A value as JSON has it, in the one form that its type gives it (1 in a float field is 1.0)."""
    return _adapter(annotation).dump_python(_validated(value, annotation), mode="json")


def words(annotation: Any, about: About) -> str:
    """A type in words, with its bounds: "a finite number > 0"."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return words(args[0], about)
    if origin is Literal:
        return ("one of " if len(args) > 1 else "") + ", ".join(str(choice) for choice in args)
    if origin in (Union, UnionType):
        return " or ".join(words(member, about) for member in args)
    if origin is tuple:
        return f"{words(args[0], about)}, or several separated by commas"
    plain = {
        float: "a finite number",
        int: "a whole number",
        bool: "true or false",
        str: "text",
        NoneType: "none",
    }
    word = plain.get(annotation, getattr(annotation, "__name__", str(annotation)))
    return f"{word} {about}".strip() if annotation in (int, float) else word


def vocabulary(annotation: Any) -> list[str]:
    """The words that a text may be for this type, besides numbers and free text."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return vocabulary(args[0])
    if origin is Literal:
        return [str(choice) for choice in args]
    if origin in (Union, UnionType):
        return [word for member in args for word in vocabulary(member)]
    return ["true", "false"] if annotation is bool else ["none"] if annotation is NoneType else []


def _from_text(text: str, annotation: Any) -> object:
    """What a text means as that type; types without a grammar of their own take it as it is."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _from_text(text, args[0])
    if origin in (Union, UnionType):
        for member in sorted(args, key=lambda member: (member is not NoneType, member is str)):
            with suppress(ValueError):
                return _from_text(text, member)
        raise ValueError(f'"{text}" is none of these')
    if origin is Literal:
        return _chosen(text, {str(choice): choice for choice in args})
    if origin is tuple and args[1:] == (...,):
        return tuple(_from_text(part.strip(), args[0]) for part in text.split(",")) if text else ()
    grammar = _GRAMMARS.get(annotation)
    return grammar(text) if grammar else text


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError(f'"{text}" is not a plain whole number, such as 8')
    return int(text)


def _decimal(text: str) -> float:
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f'"{text}" is not a plain decimal number, such as 0.5 or 1e-3')
    return float(text)


def _chosen(text: str, choices: dict[str, object]) -> object:
    if text not in choices:
        raise ValueError(f'"{text}" is not among them')
    return choices[text]


_GRAMMARS: dict[Any, Callable[[str], object]] = {
    int: _whole,
    float: _decimal,
    bool: lambda text: _chosen(text, {"true": True, "false": False}),
    NoneType: lambda text: _chosen(text, {"none": None}),
}


def _validated(value: object, annotation: Any) -> Any:
    from pydantic import ValidationError
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return _adapter(annotation).validate_json(to_json(value), strict=True)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from None
    except PydanticSerializationError as error:
        raise ValueError(str(error)) from None


def _adapter(annotation: Any) -> Any:
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter

    finite = ConfigDict(allow_inf_nan=False)
    try:
        return TypeAdapter(annotation, config=finite)
    except PydanticUserError:  # the type brings a configuration of its own
        return TypeAdapter(annotation)
