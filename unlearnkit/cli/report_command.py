"""`unlearnkit report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from unlearnkit.cli.common import make_command
from unlearnkit.cli.output import Output

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace


@make_command(
    "report",
    examples="""
unlearnkit report
unlearnkit report 01JZ7Q 01JZ7R --format markdown
""",
)
@click.argument("runs", nargs=-1, metavar="[RUN…]")
def command(place: Workplace, screen: Output, runs: tuple[str, ...]) -> None:
    """Evaluations side by side, difficulty, and results by easy, middle and hard third. From the store alone.

    RUN may be a training run (its evaluations and its model's scores are shown), an evaluation or a score run.
    """
    from unlearnkit.report.collect import collect

    found = collect(place, runs)
    if screen.tables:
        show_report(screen, found)
        return
    rows = [
        {
            "run": e.run.id,
            "label": e.label,
            "metric": name,
            "value": f.value,
            "n": f.n,
            "low": f.low,
            "high": f.high,
        }
        for e in found.evaluated
        for name, f in e.figures.items()
    ]
    rows += [
        {"run": e.run.id, "label": e.label, "metric": name, "value": a.value, "reason": a.reason}
        for e in found.evaluated
        for name, a in e.aggregates.items()
    ]
    screen.data(found.json(), rows)


def show_report(screen: Output, found: object) -> None:
    """A report as tables."""
    from unlearnkit.report.tables import report_tables

    tables = report_tables(found)  # type: ignore[arg-type]
    for table in tables:
        screen.console().print(table)
    if not tables:
        screen.say("nothing to report yet: no complete scores or evaluations")
        screen.next("unlearnkit score --model MODEL --data DATA", "unlearnkit eval MODEL --forget DATA --retain DATA")
