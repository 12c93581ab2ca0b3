"""`unlearnkit suites [list|show]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from unlearnkit.cli.common import make_command
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import ListsByDefault
from unlearnkit.plugins.hooks import SUITE

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace


@click.group("suites", cls=ListsByDefault)
def command() -> None:
    """List or describe suites of evaluation."""


@make_command("list", examples="unlearnkit suites list")
def list_suites(place: Workplace, screen: Output) -> None:
    """All suites, and what each is about."""
    suites = map(place.suite, place.plugins.offers(SUITE))
    rows = [{"name": suite.name, "about": suite.about, "source": suite.source} for suite in suites]
    if screen.tables:
        from unlearnkit.report.tables import plain_table

        screen.console().print(plain_table(rows))
    else:
        screen.data({"suites": rows}, rows)


@make_command("show", examples="unlearnkit suites show muse")
@click.argument("name")
def show(place: Workplace, screen: Output, name: str) -> None:
    """What a suite needs: splits, columns, names on the hub; its metrics, and its numbers over samples.

    NAME is a suite, several joined by +, or a .yaml file.
    """
    from unlearnkit.runs.suites import describe

    found = describe(place, name)
    if screen.tables:
        from unlearnkit.report.suites import suite_sheets

        screen.console().print(f"{found.name}: {found.about}\n")
        if found.source:
            screen.console().print(f"source: {found.source}\n")
        for sheet in suite_sheets(found):
            screen.console().print(sheet)
    else:
        screen.data(found.json(), [split.json() for split in found.splits])


for member in (list_suites, show):
    command.add_command(member)
