"""`unlearnkit metrics [list|show]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from unlearnkit.cli.common import make_command
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import ListsByDefault, paragraphs

if TYPE_CHECKING:
    from unlearnkit.runs.definitions import Definition
    from unlearnkit.runs.workplace import Workplace


@click.group("metrics", cls=ListsByDefault)
def command() -> None:
    """Say what each number means: its definition, which way is better, its unit, its source."""


@make_command("list", examples="unlearnkit metrics list --format csv")
def list_metrics(place: Workplace, screen: Output) -> None:
    """Every metric and every number over samples, with the suites that use it."""
    from unlearnkit.runs.definitions import definitions

    found = definitions(place)
    if screen.tables:
        from unlearnkit.report.tables import metrics_table

        screen.console().print(metrics_table(found))
    else:
        rows = [d.json() for d in found]
        screen.data({"metrics": rows}, rows)


@make_command("show", examples="unlearnkit metrics show truth_ratio")
@click.argument("name")
def show(place: Workplace, screen: Output, name: str) -> None:
    """One number in full. NAME is as it stands in a report, with its split or without.

    Names that a suite of one's own or an imported log gives are known by the evaluations in the store.
    """
    from unlearnkit.runs.definitions import define

    found = define(place, name)
    if not screen.tables:
        rows = [d.json() for d in found]
        screen.data({"metrics": rows}, rows)
        return
    from unlearnkit.report.tables import facts_table, options_table

    for one in found:
        for part in paragraphs(f"{one.kind} {one.name}: {one.doc}"):
            screen.console().print(part + "\n")
        screen.console().print(facts_table(_facts(one)), "")
        if one.about.options:
            screen.console().print(options_table(one.about.options), "")


def _facts(found: Definition) -> Mapping[str, str]:
    """What the docstring does not say, in words; what there is nothing to say of is left out."""
    chosen = ", ".join(f"{key}={value}" for key, value in found.use.options.items())
    used = "; ".join(f"{suite}{': ' if splits else ''}{', '.join(splits)}" for suite, splits in found.suites.items())
    ways = {way: [split for split, w in found.better.items() if w == way] for way in found.better.values()}
    better = "; ".join(f"{way}{f' on {names}' if (names := ', '.join(splits)) else ''}" for way, splits in ways.items())
    facts = {
        "as used here": f"{found.use.plugin} with {chosen}" if chosen else "",
        "better": better,
        "unit": found.unit,
        "source": found.about.source,
        "needs": ", ".join([*found.needs, *(["--reference"] if found.needs_reference else [])]),
        "suites": used,
    }
    return {name: value for name, value in facts.items() if value}


for member in (list_metrics, show):
    command.add_command(member)
