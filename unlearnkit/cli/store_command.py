"""`unlearnkit store info|check`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from unlearnkit.cli.common import make_command
from unlearnkit.cli.output import Output

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace


@click.group("store")
def command() -> None:
    """Show or check the store."""


@make_command("info", examples="unlearnkit store info --store lab.db")
def info(place: Workplace, screen: Output) -> None:
    """Where the store is, what is in it, how large it is."""
    found = place.reading().info()
    if screen.tables:
        from unlearnkit.report.tables import info_table

        screen.console().print(info_table(found))
    else:
        screen.data(found, [{"key": key, "value": value} for key, value in found.items()])


@make_command("check", examples="unlearnkit store check --full")
@click.option("--full", is_flag=True, help="Also check every index, and derive every score again from its draws.")
def check(place: Workplace, screen: Output, full: bool) -> int:
    """Look for damage: pages, references, altered numbers and files, foreign tables. Exit code 1 if there is any."""
    from unlearnkit.runs.check import check as examine

    findings = examine(place, full=full)
    rows = [asdict(finding) for finding in findings]
    if not screen.tables:
        screen.data({"findings": rows}, rows)
    for finding in findings if screen.tables else ():
        click.echo(f"{'note' if finding.harmless else 'FAULT'} [{finding.code}] {finding.message}")
    bad = sum(not finding.harmless for finding in findings)
    screen.say(f"{bad} faults" if bad else "the store is sound")
    return 1 if bad else 0


for member in (info, check):
    command.add_command(member)
