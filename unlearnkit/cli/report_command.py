"""`unlearnkit report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import follow_up, make_command, meant, where_option
from unlearnkit.cli.output import Output

if TYPE_CHECKING:
    from unlearnkit.report.asserted import Clause
    from unlearnkit.report.collect import Findings
    from unlearnkit.runs.workplace import Workplace


FILE = click.Path(path_type=Path)


@make_command(
    "report",
    examples="""
unlearnkit report
unlearnkit report @last
unlearnkit report 01JZ7Q 01JZ7R --format markdown
unlearnkit report --where 'algorithm=npo and tag=paper'
unlearnkit report @last --assert 'forget_quality>0.05 and model_utility>0.6'
unlearnkit report --html report.html --png charts
""",
)
@click.argument("runs", nargs=-1, metavar="[RUN…]")
@where_option
@click.option(
    "--assert", "wanted", metavar="CONDITIONS",
    help="What must hold of the named runs' evaluations, or else of the last one, references aside: "
    "NAME>=NUMBER (or <=, >, <), with 'and'. Names are those of `eval`; of a model's evaluations those count that have "
    "the number. Exit code 4 where one does not hold, as what is undefined never does.",
)  # fmt: skip
@click.option(
    "--html",
    type=FILE,
    metavar="FILE",
    help="Write the report as one page that needs no network, with charts, and show no tables.",
)
@click.option("--png", type=FILE, metavar="FOLDER", help="Write the charts as PNG files, and show no tables.")
@click.option("--svg", type=FILE, metavar="FOLDER", help="Write the charts as SVG files, and show no tables.")
@click.option("--text", is_flag=True, help="Show samples' texts on the page, where the store holds them.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
def command(
    place: Workplace, screen: Output, runs: tuple[str, ...], where: str | None, wanted: str | None,
    html: Path | None, png: Path | None, svg: Path | None, text: bool, force: bool,
) -> int:  # fmt: skip
    """Evaluations side by side, difficulty, and results by easy, middle and hard third. From the store alone.

    RUN may be a training run (its evaluations and its model's scores are shown), an evaluation or a score run. Where
    none is named, tables show what was asked for last, the other forms all. Beside each number stands what a model that
    never saw the forget set gets, where one was named as --reference.
    """
    from unlearnkit.report.asserted import asked_for, asserted
    from unlearnkit.report.collect import SHOWN, collect
    from unlearnkit.report.html import NEWEST, Wanted, write
    from unlearnkit.runs.conditions import parse_all

    files = Wanted(html, png, svg, text=text, force=force)
    files.check()
    conditions = [] if wanted is None else parse_all("--assert", wanted)
    named = meant(place, runs, where)
    judged = conditions and named  # all of what was named is, be it shown or not
    newest = None if runs or judged or not screen.tables else NEWEST if files.any else SHOWN
    found = collect(place, named, newest=newest)
    clauses = []
    if conditions:
        clauses = asserted(found.evaluated if named else asked_for(found), conditions, newest=not named)
    written = write(place, found, named, files, clauses) if files.any else []
    if screen.tables:
        if not written:
            show_report(place, screen, found)
        show_clauses(screen, clauses)
    else:
        told = {} if wanted is None else {"asserted": _told(wanted, clauses)}
        screen.data({**found.json(), **told}, _rows(found))
    for file in written:
        screen.say(f"wrote {file}")
    missed = [clause for clause in clauses if not clause.met]
    for clause in missed:
        value = f"undefined ({clause.reason})" if clause.value is None else f"{clause.value:.4g}"
        screen.say(f"missed: {clause.condition}: {value} ({clause.label}, run {clause.run})")
    return MISSED if missed else 0


MISSED = 4
"""Exit code where a condition does not hold."""


def _told(wanted: str, clauses: Sequence[Clause]) -> dict[str, Any]:
    return {"text": wanted, "met": all(c.met for c in clauses), "clauses": [c.json() for c in clauses]}


def show_clauses(screen: Output, clauses: Sequence[Clause]) -> None:
    """Conditions with what they found, as a table."""
    if clauses:
        from unlearnkit.report.overview import clauses_table

        screen.console().print(clauses_table(clauses))


def show_report(place: Workplace, screen: Output, found: Findings) -> None:
    """A report as tables."""
    from unlearnkit.report.collect import by_kind
    from unlearnkit.report.overview import report_tables
    from unlearnkit.report.training import curves_table

    tables = report_tables(found)
    if any(e.writer is not None for e in found.evaluated):
        tables.append(curves_table(place.reading(), found.evaluated))
    for table in tables:
        screen.console().print(table)
    if found.left_out:
        screen.say(f"older, not shown: {by_kind(found.left_out)}; name runs, choose some by --where, or --format json")
    if not tables:
        screen.say("nothing to report: no complete scores or evaluations")
        screen.next(
            follow_up("score", "--model", "MODEL", "--data", "DATA"),
            follow_up("eval", "MODEL", "--forget", "DATA", "--retain", "DATA"),
        )


def _rows(found: Findings) -> list[dict[str, Any]]:
    """One row for each figure of each evaluation."""
    rows = []
    for e in found.evaluated:
        numbers = [(name, f, None) for name, f in e.figures.items()] + [(a.name, a, a.reference) for a in e.aggregates]
        rows += [
            {
                "run": e.run.id, "label": e.label, "metric": name, "value": of.value, "n": of.n, "low": of.low,
                "high": of.high, "reason": of.reason, "reference": reference, **found.about(e, name),
            }
            for name, of, reference in numbers
        ]  # fmt: skip
    return rows
