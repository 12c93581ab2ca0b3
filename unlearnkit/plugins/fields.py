"""A plugin's dataclass fields as options: read, described, and put in canonical form."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, get_type_hints

from unlearnkit.contracts import KINDS
from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.options import about
from unlearnkit.plugins.origin import Offer, cause_of, nearest
from unlearnkit.plugins.values import OutOfBounds, convert, jsonable, vocabulary, words

FLAGS = {"sampler": "-s", "wrapper": "-w", "adapter": "-a"}
"""Of kinds whose options have a flag of their own, beside those of the command's main plugin."""


@dataclass(frozen=True)
class OptionInfo:
    """An option as a reader sees it: `type` in words, bounds included; no default where it must be given."""

    name: str
    type: str
    default: object
    help: str
    required: bool = False


@dataclass(frozen=True)
class Description:
    """A plugin in words: the first line of its docstring, the rest, its paper, the sampler that did best with it (of an
    algorithm alone, None of others), its options."""

    offer: Offer
    summary: str
    details: str
    source: str
    recommended_sampler: str | None
    options: list[OptionInfo]


def describe(offer: Offer, plugin: type) -> Description:
    """What a plugin's class says of itself."""
    doc = inspect.getdoc(plugin) or ""
    if doc.startswith(f"{plugin.__name__}("):  # what `dataclass` writes where the author wrote nothing
        doc = ""
    summary, _, details = doc.partition("\n")
    return Description(
        offer=offer,
        summary=summary,
        details=details.strip(),
        source=getattr(plugin, "source", ""),
        recommended_sampler=getattr(plugin, "recommended_sampler", None),
        options=[
            OptionInfo(
                name=field.name,
                type=words(annotation, about(field.metadata)),
                default=None if (default := _default(field)) is MISSING else default,
                help=about(field.metadata).help,
                required=default is MISSING,
            )
            for field, annotation in _options(plugin)
        ],
    )


def arguments(label: str, plugin: type, given: Mapping[str, object]) -> dict[str, object]:
    """Keyword arguments for a plugin's class, from texts or values by option name.

    Raises:
        BadInput: code "option": no such option, not of its type, out of bounds, or missing.
    """
    known = {field.name: (field, annotation) for field, annotation in _options(plugin)}
    for name in given:
        if name not in known:
            raise _unknown(label, name, list(known))
    for name, (field, annotation) in known.items():
        if name not in given and _default(field) is MISSING:
            expected = words(annotation, about(field.metadata))
            said = f"{label} needs {_flag(plugin)} {name}=…: {expected}"
            raise BadInput(said, hint=about(field.metadata).help, code="option")
    return {name: _converted(f"{_flag(plugin)} {name}", value, *known[name]) for name, value in given.items()}


def _flag(plugin: type) -> str:
    """What an option of a plugin of this kind is typed after."""
    return next((flag for kind, flag in FLAGS.items() if issubclass(plugin, KINDS[kind])), "-o")


def options_of(instance: object) -> dict[str, object]:
    """The options of a plugin in canonical, JSON-able form: equal plugins give equal dictionaries.

    Raises:
        BadInput: code "option": a value does not fit its field.
    """
    canonical: dict[str, object] = {}
    for field, annotation in _options(type(instance)):
        value = _converted(field.name, getattr(instance, field.name), field, annotation)
        canonical[field.name] = jsonable(value, annotation)
    return canonical


def metrics_named(instance: object, given: Iterable[str]) -> list[str]:
    """The metrics that those of a plugin's options name that were given; by default it may name some that are not
    there."""
    names: list[str] = []
    for field in fields(type(instance)):  # type: ignore[arg-type]
        if field.name in given and about(field.metadata).metric:
            value = getattr(instance, field.name)
            names += [value] if isinstance(value, str) else value
    return names


def _options(plugin: type) -> Iterator[tuple[Field[Any], Any]]:
    try:
        hints = get_type_hints(plugin, include_extras=True)
    except Exception as error:
        raise UnlearnkitError(
            f"the types of {plugin.__name__}'s options cannot be read: {cause_of(error)}",
            hint="import the types of options at run time, not under TYPE_CHECKING",
            code="plugin-contract",
        ) from error
    return ((field, hints[field.name]) for field in fields(plugin) if field.init)


def _default(field: Field[Any]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _converted(said: str, given: object, field: Field[Any], annotation: Any) -> object:
    about_it = about(field.metadata)
    try:
        return convert(given, annotation, about_it)
    except OutOfBounds:
        hint = _meaning(field)
    except ValueError as error:
        meant = nearest(given, vocabulary(annotation)) if isinstance(given, str) else None
        hint = f'did you mean "{meant}"?' if meant else str(error)
    shown = given if isinstance(given, str) and given else repr(given)
    raise BadInput(f"{said} must be {words(annotation, about_it)}, got {shown}", hint=hint, code="option")


def _meaning(field: Field[Any]) -> str | None:
    """An option's help and default, for whoever gave it a value that it cannot have."""
    default = _default(field)
    said = [about(field.metadata).help, "" if default in (MISSING, None) else f"default {default}"]
    return "; ".join(part for part in said if part) or None


def _unknown(label: str, name: str, known: list[str]) -> BadInput:
    meant = nearest(name, known)
    listed = f"its options: {', '.join(known)}" if known else "it takes none"
    return BadInput(
        f'{label} has no option "{name}"', hint=f'did you mean "{meant}"?' if meant else listed, code="option"
    )
