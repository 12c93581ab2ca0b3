"""`unlearnkit plugins [list|show|new]`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unlearnkit.cli.common import make_command
from unlearnkit.cli.output import Output
from unlearnkit.contracts import KINDS
from unlearnkit.errors import NotFound

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace

KIND = click.Choice(list(KINDS))


@click.group("plugins", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List, describe or write plugins: algorithms, scorers, samplers, metrics, aggregates, adapters."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_plugins, store=None, format_="table", debug=False, kind=None)


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
            click.echo(f"broken: {b.plugin} ({b.distribution} {b.version}): {b.cause}")
    else:
        screen.data({"plugins": rows, "broken": broken}, rows)


@make_command("show", examples="unlearnkit plugins show npo")
@click.argument("name")
@click.option("--kind", type=KIND, help="Where several kinds have the name.")
def show(place: Workplace, screen: Output, name: str, kind: str | None) -> None:
    """A plugin's purpose, source and options."""
    plugins = place.plugins
    kinds = [k for k in ([kind] if kind else KINDS) if name in plugins.offers(k)]
    if not kinds:
        plugins.resolve(kind or "algorithm", name) if kind else _unknown(place, name)
    for found in kinds:
        about = plugins.describe(found, name)
        options = [asdict(option) for option in about.options]
        if screen.tables:
            from unlearnkit.report.tables import plain_table

            click.echo(f"{found} {name}: {about.summary}\n")
            if about.details:
                click.echo(about.details + "\n")
            if about.source:
                click.echo(f"source: {about.source}\n")
            if options:
                screen.console().print(plain_table(options))
        else:
            screen.data({"kind": found, "name": name, "summary": about.summary, "options": options}, options)


def _unknown(place: Workplace, name: str) -> None:
    from difflib import get_close_matches

    names = [n for k in KINDS for n in place.plugins.offers(k)]
    close = get_close_matches(name, names, n=1)
    raise NotFound(
        f'no plugin "{name}"',
        hint=f'did you mean "{close[0]}"?' if close else "unlearnkit plugins list",
        code="plugin",
    )


@make_command("new", examples="unlearnkit plugins new my-method --kind algorithm")
@click.argument("name")
@click.option("--kind", type=KIND, required=True, help="What it is to be.")
@click.option("--folder", metavar="FOLDER", help="Where to write it (default: a folder of that name).")
def new(place: Workplace, screen: Output, name: str, kind: str, folder: str | None) -> None:
    """Write a plugin package that works, with a passing contract test, to change into your own."""
    del place
    from unlearnkit.scaffold import write

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
