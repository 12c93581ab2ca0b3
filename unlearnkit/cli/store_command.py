"""`unlearnkit store info|check|import`."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from unlearnkit.cli.common import make_command
from unlearnkit.cli.output import Output
from unlearnkit.errors import UnlearnkitError
from unlearnkit.text import clean

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import Store


@click.group("store")
def command() -> None:
    """Show or check the store, or merge another one into it."""


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


@make_command("import", examples="unlearnkit store import other-machine.db --dry-run")
@click.argument("file")
@click.option("--dry-run", is_flag=True, help="Only show what would be taken.")
def import_file(place: Workplace, screen: Output, file: str, dry_run: bool) -> int:
    """Merge another store of unlearnkit into this one: models, data, draws, runs and their results. FILE is only read.

    Evaluation logs of other programs are no stores: `unlearnkit import` reads those.

    What is in both stays as it is here. Draws that are in both must be equal to the bit; where they are not, nothing of
    their series is taken, and the exit code is 1."""
    with _other(file) as other:
        store = place.reading() if dry_run else place.store
        found = store.merge(other, dry_run=dry_run)
    rows = [{"what": what, **counts} for what, counts in found.counts.items()]
    if screen.tables:
        from unlearnkit.report.tables import plain_table

        screen.console().print(plain_table(rows))
    else:
        findings = [asdict(finding) for finding in found.findings]
        screen.data({"store": found.store, "dry_run": dry_run, "imported": rows, "findings": findings}, rows)
    for finding in found.findings:
        screen.say(f"{'note' if finding.harmless else 'REFUSED'} [{finding.code}] {clean(finding.message)}")
    taken, refused = (sum(counts[key] for counts in found.counts.values()) for key in ("taken", "refused"))
    screen.say(
        f"{taken} {'would be' if dry_run else 'were'} taken, {refused} refused"
        if taken or refused
        else "all of it is here already"
    )
    return 1 if refused else 0


def _other(file: str) -> Store:
    """The store to import, opened for reading."""
    from unlearnkit.store import Store

    try:
        return Store.open(file, readonly=True)
    except UnlearnkitError as error:
        if error.code == "store-older":
            error.hint = f"{shlex.join(['unlearnkit', 'store', 'info', '--store', file])} upgrades it, after a copy"
        elif error.code in ("store", "not-a-store"):  # their hints are about the store that is written
            error.hint = "name the file of another store"
        raise


for member in (info, check, import_file):
    command.add_command(member)
