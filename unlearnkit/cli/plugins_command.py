"""`unlearnkit plugins [list|show|new]`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import make_command
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import ListsByDefault, paragraphs
from unlearnkit.contracts import KINDS
from unlearnkit.errors import NotFound
from unlearnkit.scaffold import kinds, write
from unlearnkit.text import clean

if TYPE_CHECKING:
    from unlearnkit.plugins.fields import Description
    from unlearnkit.runs.workplace import Workplace

KIND = click.Choice(list(KINDS))


@click.group("plugins", cls=ListsByDefault)
def command() -> None:
    """List, describe or write plugins: algorithms, scorers, samplers, metrics, aggregates, attacks and more."""


@make_command("list", examples="unlearnkit plugins list --kind algorithm")
@click.option("--kind", type=KIND, help="Only this kind.")
def list_plugins(place: Workplace, screen: Output, kind: str | None) -> None:
    """All plugins by kind, and those that could not be loaded, with the cause."""
    plugins = place.plugins
    offers = [offer for k in ([kind] if kind else KINDS) for offer in plugins.offers(k).values()]
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
@click.option("--kind", type=KIND, help="Where several kinds have the name.")
def show(place: Workplace, screen: Output, name: str, kind: str | None) -> None:
    """A plugin's purpose, source and options."""
    plugins = place.plugins
    having = [k for k in ([kind] if kind else KINDS) if name in plugins.offers(k)]
    if not having:
        raise _unknown(place, name)
    found = [(k, plugins.describe(k, name)) for k in having]
    if not screen.tables:
        rows = [{"kind": k, "plugin": name, **asdict(option)} for k, about in found for option in about.options]
        screen.data({"plugins": [_data(k, name, about) for k, about in found]}, rows)
        return
    from unlearnkit.report.tables import options_table

    for k, about in found:
        source = f"source: {about.source}" if about.source else ""
        sampler = f"recommended sampler: {about.recommended_sampler}" if about.recommended_sampler else ""
        for part in (f"{k} {name}: {about.summary}", *paragraphs(about.details), source, sampler):
            if part:
                screen.console().print(part + "\n")
        if about.options:
            screen.console().print(options_table(about.options), "")


def _data(kind: str, name: str, about: Description) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "distribution": about.offer.distribution,
        "version": about.offer.version,
        "summary": about.summary,
        "source": about.source,
        "recommended_sampler": about.recommended_sampler,
        "options": [asdict(option) for option in about.options],
    }


def _unknown(place: Workplace, name: str) -> NotFound:
    from difflib import get_close_matches

    names = [n for k in KINDS for n in place.plugins.offers(k)]
    close = get_close_matches(name, names, n=1)
    return NotFound(
        f'no plugin "{name}"',
        hint=f'did you mean "{close[0]}"?' if close else "unlearnkit plugins list",
        code="plugin",
    )


@make_command("new", examples="unlearnkit plugins new my-method --kind algorithm")
@click.argument("name")
@click.option("--kind", type=click.Choice(kinds()), required=True, help="What it is to be.")
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
    screen.next(f"pip install -e {target}", f"pytest {target}", f"unlearnkit plugins show {name}")


for member in (list_plugins, show, new):
    command.add_command(member)
