"""What a shell offers for a parameter's value, by what the parameter is called. Asked at every TAB: nothing heavy is
imported, nothing is written, and what cannot be looked up is not offered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import fields
from typing import Any

import click
from click.shell_completion import CompletionItem

from unlearnkit.errors import UnlearnkitError

Finder = Callable[[click.Context], Iterable[tuple[str, str | None]]]
"""What there is, each with a few words about it."""


def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
    """Names that begin as a value does, in any case; files where a file may be meant and no name is."""
    command = ctx.command_path.partition(" ")[2]
    find = FINDERS.get(f"{command} {param.name}") or FINDERS.get(str(param.name))
    begun = incomplete.rpartition("+")[0] + "+" if param.name == "suite_name" and "+" in incomplete else ""
    found: list[CompletionItem[Any]] = []
    if find is not None:
        with suppress(UnlearnkitError, OSError):
            wanted = incomplete.removeprefix(begun).lower()
            found = [
                CompletionItem(begun + name, help=about) for name, about in find(ctx) if name.lower().startswith(wanted)
            ]
    return found or _files(param, incomplete)


def _files(param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
    said = (param.metavar or str(param.name)).upper().replace("SPLIT=DATA", "")
    if "FOLDER" in said:
        return [CompletionItem(incomplete, type="dir")]
    named = param.name == "suite_name" or any(word in said for word in ("DATA", "MODEL", "FILE", "PATH"))
    return [CompletionItem(incomplete, type="file")] if named else []


def _plugins() -> Any:
    from unlearnkit.runs.workplace import Workplace

    return Workplace().plugins


def names(*kinds: str) -> Finder:
    """Names of plugins, and who they are from where that is not the kit."""

    def find(_: click.Context) -> Iterator[tuple[str, str | None]]:
        for kind in kinds:
            for name, offer in _plugins().offers(kind).items():
                yield name, None if offer.distribution == "unlearnkit" else offer.origin

    return find


def keys(*owners: tuple[str, str]) -> Finder:
    """Options, as `key=`, of the plugins that the line has or else takes: (parameter, kind of plugin) of each command
    that has such options."""

    def find(ctx: click.Context) -> Iterator[tuple[str, str | None]]:
        from unlearnkit.options import about

        params = {param.name: param for param in ctx.command.params}
        parameter, kind = next(((name, kind) for name, kind in owners if name in params), ("", ""))
        given = ctx.params.get(parameter) or (params[parameter].get_default(ctx) if parameter else None) or ()
        seen = set()
        for name in given.split(",") if isinstance(given, str) else given:
            with suppress(UnlearnkitError):  # a name that is none
                for field in fields(_plugins().resolve(kind, name)):
                    if field.init and field.name not in seen:
                        seen.add(field.name)
                        yield f"{field.name}=", about(field.metadata).help or None

    return find


def runs(*kinds: str) -> Finder:
    """The newest runs of some kinds, or of all."""

    def find(ctx: click.Context) -> Iterator[tuple[str, str | None]]:
        from unlearnkit.settings import load_settings
        from unlearnkit.store.glance import newest

        found = newest(ctx.params.get("store") or load_settings().store, kinds)
        if found and not kinds:
            yield "@last", "the run worked on or asked for last"
        for run in found:
            yield run.id, f"{run.kind} {run.method} {run.age}"

    return find


def tags(ctx: click.Context) -> Iterator[tuple[str, str | None]]:
    """Tags that runs have."""
    from unlearnkit.settings import load_settings
    from unlearnkit.store import glance

    return ((tag, None) for tag in glance.tags(ctx.params.get("store") or load_settings().store))


FINDERS: dict[str, Finder] = {
    "plugin": names("algorithm"),
    "sampler": names("sampler"),
    "wrapper": names("wrapper"),
    "adapter": names("adapter"),
    "scorer": names("scorer"),
    "by": names("scorer"),
    "attack": names("attack"),
    "metrics": names("metric"),
    "suite_name": names("suite"),
    "plugins show name": names(
        "algorithm", "wrapper", "scorer", "sampler", "metric", "aggregate", "adapter", "attack", "suite"
    ),
    "metrics show name": names("metric", "aggregate"),
    "suites show name": names("suite"),
    "option": keys(("plugin", "algorithm"), ("scorer", "scorer"), ("attack", "attack")),
    "sampler_option": keys(("sampler", "sampler")),
    "wrapper_option": keys(("wrapper", "wrapper")),
    "adapter_option": keys(("adapter", "adapter")),
    "run": runs(),
    "runs": runs(),
    "one": runs(),
    "other": runs(),
    "reference": runs(),
    "scores": runs("score"),
    "tags": tags,
    "eval model": runs("unlearn", "finetune"),
    "attack model": runs("unlearn", "finetune"),
}
"""By a parameter's name, or by a command's and its."""
