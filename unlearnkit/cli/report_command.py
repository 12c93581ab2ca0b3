"""`unlearnkit report`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import follow_up, make_command
from unlearnkit.cli.output import Output

if TYPE_CHECKING:
    from unlearnkit.report.collect import Findings
    from unlearnkit.runs.workplace import Workplace


@make_command(
    "report",
    examples="""
unlearnkit report
unlearnkit report @last
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
    else:
        screen.data(found.json(), _rows(found))


def show_report(screen: Output, found: Findings) -> None:
    """A report as tables."""
    from unlearnkit.report.tables import report_tables

    tables = report_tables(found)
    for table in tables:
        screen.console().print(table)
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
        about = {"run": e.run.id, "label": e.label}
        rows += [
            {
                **about, "metric": name, "value": f.value, "n": f.n, "low": f.low, "high": f.high, "reason": f.reason,
                "reference": None,
            }
            for name, f in e.figures.items()
        ]  # fmt: skip
        rows += [
            {
                **about, "metric": a.name, "value": a.value, "n": a.n, "low": a.low, "high": a.high, "reason": a.reason,
                "reference": a.reference,
            }
            for a in e.aggregates
        ]  # fmt: skip
    return rows
