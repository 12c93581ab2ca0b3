"""`unlearnkit plugins [list|show|new|check]`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import Decorator, make_command
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import WHOLE, ListsByDefault, paragraphs
from unlearnkit.contracts import KINDS
from unlearnkit.errors import NotFound
from unlearnkit.plugins.hooks import HOOK, SUITE
from unlearnkit.scaffold import kinds, write
from unlearnkit.text import clean

if TYPE_CHECKING:
    from unlearnkit.plugins.fields import Description
    from unlearnkit.runs.workplace import Workplace

NAMED = (*KINDS, SUITE)
"""Kinds whose names can be looked up."""

EXAMPLES = {
    "algorithm": "unlearnkit unlearn --model MODEL --forget DATA --retain DATA --plugin {name}{options}",
    "wrapper": "unlearnkit unlearn --model MODEL --forget DATA --retain DATA --wrapper {name}{options}",
    "scorer": "unlearnkit score --model MODEL --data DATA --scorer {name}{options}",
    "sampler": "unlearnkit unlearn --model MODEL --forget DATA --retain DATA --sampler {name}{options}",
    "metric": "unlearnkit eval MODEL --forget DATA --suite FILE.yaml  # under a split's metrics: {name}",
    "aggregate": "unlearnkit eval MODEL --forget DATA --suite FILE.yaml  # under aggregates: {name}",
    "adapter": "unlearnkit unlearn --model MODEL --forget DATA --retain DATA --adapter {name}{options}",
    "attack": "unlearnkit attack {name} MODEL --forget DATA{options}",
    "suite": "unlearnkit eval MODEL --forget DATA --suite {name}",
}
"""How a plugin of each kind is used."""


@click.group("plugins", cls=ListsByDefault)
def command() -> None:
    """List, describe, write or check plugins: algorithms, scorers, samplers, metrics, attacks, suites and more."""


def kind_option(among: Sequence[str], meaning: str, *, required: bool = False) -> Decorator:
    """`--kind`, whose choices are too many for a line of help."""
    told = f"{meaning}: {', '.join(among)}."
    return click.option("--kind", type=click.Choice(among), metavar="KIND", required=required, help=told)


@make_command("list", examples="unlearnkit plugins list --kind algorithm")
@kind_option([*NAMED, HOOK], "Only this kind")
def list_plugins(place: Workplace, screen: Output, kind: str | None) -> None:
    """All plugins by kind, the hooks of trackers and loaders, and what could not be loaded, with the cause."""
    plugins = place.plugins
    offers = [offer for k in NAMED if kind in (None, k) for offer in plugins.offers(k).values()]
    offers += plugins.hooks() if kind in (None, HOOK) else []
    rows = [{"kind": o.kind, "name": o.name, "distribution": o.distribution, "version": o.version} for o in offers]
    broken = [asdict(b) for b in plugins.broken()]
    if screen.tables:
        from unlearnkit.report.tables import plain_table

        screen.console().print(plain_table(rows))
        for b in plugins.broken():
            click.echo(clean(f"broken: {b.plugin} ({b.distribution} {b.version}): {b.cause}"))
    else:
        screen.data({"plugins": rows, "broken": broken}, rows)


@make_command("show", examples="unlearnkit plugins show npo")
@click.argument("name")
@kind_option(NAMED, "Where several kinds have the name")
def show(place: Workplace, screen: Output, name: str, kind: str | None) -> None:
    """A plugin's purpose, source, options with their bounds and defaults, where it comes from, and how it is used."""
    having = [k for k in ([kind] if kind else NAMED) if name in place.plugins.offers(k)]
    if not having:
        raise _unknown(place, name)
    found = [(k, _described(place, k, name)) for k in having]
    if not screen.tables:
        rows = [{"kind": k, "plugin": name, **asdict(option)} for k, about in found for option in about.options]
        screen.data({"plugins": [_data(k, name, about) for k, about in found]}, rows)
        return
    from unlearnkit.report.tables import options_table

    for k, about in found:
        sampler = f"recommended sampler: {about.recommended_sampler}" if about.recommended_sampler else ""
        for part in (
            f"{k} {name}: {about.summary}",
            *paragraphs(about.details),
            f"source: {about.source}" if about.source else "",
            sampler,
            f"from: {about.offer.origin}",
            f"example: {_example(k, name, about)}",
        ):
            if part:
                screen.console().print(part + "\n")
        if about.options:
            screen.console().print(options_table(about.options), "")


def _described(place: Workplace, kind: str, name: str) -> Description:
    if kind != SUITE:
        return place.plugins.describe(kind, name)
    from unlearnkit.plugins.fields import Description

    suite = place.suite(name)
    return Description(place.plugins.offers(SUITE)[name], suite.about, "", suite.source, None, [])


def _data(kind: str, name: str, about: Description) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "distribution": about.offer.distribution,
        "version": about.offer.version,
        "summary": about.summary,
        "source": about.source,
        "recommended_sampler": about.recommended_sampler,
        "example": _example(kind, name, about),
        "options": [asdict(option) for option in about.options],
    }


def _example(kind: str, name: str, about: Description) -> str:
    """A command that uses the plugin, with the options that it needs, or else its first."""
    from unlearnkit.plugins.fields import FLAGS

    needed = [option for option in about.options if option.required] or about.options[:1]
    given = [f" {FLAGS.get(kind, '-o')} {o.name}={'VALUE' if o.required else _typed(o.default)}" for o in needed]
    return EXAMPLES[kind].format(name=name, options="".join(given))


def _typed(value: object) -> str:
    """An option's value as it is typed."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(_typed, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _unknown(place: Workplace, name: str) -> NotFound:
    from difflib import get_close_matches

    names = [n for k in NAMED for n in place.plugins.offers(k)]
    close = get_close_matches(name, names, n=1)
    return NotFound(
        f'no plugin "{name}"',
        hint=f'did you mean "{close[0]}"?' if close else "unlearnkit plugins list",
        code="plugin",
    )


@make_command("new", examples="unlearnkit plugins new my-method --kind algorithm")
@click.argument("name")
@kind_option(kinds(), "What it is to be", required=True)
@click.option("--folder", metavar="FOLDER", help="Where to write it (default: a folder of that name).")
def new(place: Workplace, screen: Output, name: str, kind: str, folder: str | None) -> None:
    """Write a plugin package that works, with a passing contract test, to change into your own."""
    del place
    target = Path(folder or name)
    written = [str(path) for path in write(kind, name, target)]
    if screen.tables:
        for path in written:
            click.echo(path)
    else:
        screen.data({"written": written}, [{"path": path} for path in written])
    screen.next(f"unlearnkit plugins check {target}", f"pip install -e {target}", f"pytest {target}")


@make_command(
    "check",
    examples="""
unlearnkit plugins check my-method
unlearnkit plugins check my_method.py --format json
unlearnkit plugins check unlearnkit_lora-0.1.0-py3-none-any.whl --timeout 60
""",
)
@click.argument("path", type=click.Path())
@click.option(
    "--timeout", type=WHOLE, default=300, show_default=True, metavar="SECONDS", help="After which it is ended."
)
def check(place: Workplace, screen: Output, path: str, timeout: int) -> int:
    """See whether a package keeps to the contracts, each name that it offers, without installing it.

    PATH is a folder with a pyproject.toml, a wheel, or a Python file. What it needs besides must be installed already.
    Exit code 1 where something fails, or nothing passes: a name whose options have no defaults is skipped.

    This RUNS the package's code, in a process of its own that may do whatever you may: it is no sandbox. Read code that
    you do not trust; do not check it.
    """
    del place
    from unlearnkit.testing.package import check as checked

    found = checked(Path(path), timeout)
    rows = [result.json() for result in found]
    count = Counter(result.result for result in found)
    fine = bool(count["passed"]) and not count["failed"]
    if screen.tables:
        from unlearnkit.report.tables import plain_table

        screen.console().print(plain_table(rows))
    else:
        screen.data({"path": path, "passed": fine, "checks": rows}, rows)
    told = ", ".join(f"{n} {result}" for result, n in count.items())
    screen.say("all passed" if count["passed"] == len(found) else told)
    return 0 if fine else 1


for member in (list_plugins, show, new, check):
    command.add_command(member)
