"""What the kit brings along and what a plugin may bring: from hooks, contracts and the plugins' own words."""

from __future__ import annotations

import inspect
import re
from typing import Any

from unlearnkit import hookspecs
from unlearnkit.contracts import KINDS, Algorithm
from unlearnkit.plugins import plugins
from unlearnkit.plugins.hooks import SUITE
from unlearnkit.runs.workplace import Workplace

OWN = "unlearnkit"


def names() -> str:
    """A table of all built-in names."""
    named = {kind: [f"`{name}`" for name in _built_in(kind)] for kind in (*KINDS, SUITE)}
    rows = [f"| {kind} | {' · '.join(found)} |" for kind, found in named.items() if found]
    return "\n".join(["| kind | names |", "|---|---|", *rows])


def page() -> str:
    """Each built-in plugin: what it is, its paper, its options."""
    parts = [
        "\n\n".join([f"## {kind.capitalize()}s", *(_section(kind, name) for name in _built_in(kind))])
        for kind in KINDS
        if _built_in(kind)
    ]
    return "\n\n".join([*parts, "\n\n".join(["## Suites", *map(_suite, _built_in(SUITE))])])


def hooks() -> str:
    """Each hook with its signature and docstring."""
    found = [value for value in vars(hookspecs).values() if hasattr(value, "unlearnkit_spec")]
    return "\n\n".join(_hook(hook) for hook in found)


def kinds() -> str:
    """Each kind of plugin: its class and its hook."""
    rows = [
        f"| {kind} | `unlearnkit.contracts.{plugin.__name__}` | `register_{kind}s` | {_first_paragraph(plugin)} |"
        for kind, plugin in KINDS.items()
    ]
    return "\n".join(["| kind | class | hook | |", "|---|---|---|---|", *rows])


def _built_in(kind: str) -> list[str]:
    return [offer.name for offer in plugins().offers(kind).values() if offer.distribution == OWN]


def _suite(name: str) -> str:
    found = Workplace().suite(name)
    return f"### `{name}`\n\n{found.about}.{f' Source: {found.source}.' if found.source else ''}"


def _section(kind: str, name: str) -> str:
    about, plugin = plugins().describe(kind, name), plugins().resolve(kind, name)
    said = inspect.getdoc(plugin) or ""
    defaults = f"Learning rate × width {plugin.rate:g}, {plugin.epochs} epochs" if issubclass(plugin, Algorithm) else ""
    facts = ". ".join(fact for fact in (defaults, f"Source: {about.source}" if about.source else "") if fact)
    options = "\n".join(
        f"- `{option.name}`, {option.type}, {'required' if option.required else f'default `{option.default}`'}"
        f"{': ' if option.help else ''}{option.help}"
        for option in about.options
    )
    return "\n\n".join(part for part in (f"### `{name}`", said, f"{facts}." if facts else "", options) if part)


def _hook(hook: Any) -> str:
    signature = str(inspect.signature(hook)).replace("'", "")  # annotations are texts there
    said = re.sub(r"^:param (\w+): ", r"- `\1`: ", inspect.getdoc(hook) or "", flags=re.MULTILINE)
    first = "\n\nThe first plugin that does not pass answers." if hook.unlearnkit_spec["firstresult"] else ""
    return f"### `{hook.__name__}`\n\n`{hook.__name__}{signature}`\n\n{said}{first}"


def _first_paragraph(plugin: type) -> str:
    return " ".join((inspect.getdoc(plugin) or "").partition("\n\n")[0].split())
