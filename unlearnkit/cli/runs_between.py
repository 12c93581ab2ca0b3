"""`unlearnkit runs compare|diff|rerun`: runs against one another, and against themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from unlearnkit.cli.common import make_command
from unlearnkit.cli.output import Output

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace


@make_command(
    "compare",
    examples="""
unlearnkit runs compare 01JZ7Q 01JZ7R
unlearnkit runs compare 01JZ7Q @last --metric forget.probability --format csv
""",
)
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric, with its split or without.")
@click.option("--scores", metavar="RUN", help="Score run that thirds are made by (default: the one that report takes).")
def compare_runs(
    place: Workplace, screen: Output, one: str, other: str, metrics: tuple[str, ...], scores: str | None
) -> None:
    """Two evaluations sample by sample: mean differences B − A with 95 % intervals, and sign tests.

    A and B are evaluations, or runs whose model has one. Only samples that both have count, each metric by one
    definition; where scores are at hand, also by easy, middle and hard third. p-values are given as they are, and
    adjusted for the number of tests (Holm).
    """
    from unlearnkit.report.compare import compare

    found = compare(place, one, other, metrics=metrics, scores=scores)
    if screen.tables:
        from unlearnkit.report.differences import comparison_sheets

        for table in comparison_sheets(found):
            screen.console().print(table)
    else:
        screen.data(found.json(), [difference.json() for difference in found.differences])


@make_command(
    "diff",
    examples="""
unlearnkit runs diff 01JZ7Q 01JZ7R
unlearnkit runs diff 01JZ7Q @last --all --format json
""",
)
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.option("--all", "everything", is_flag=True, help="Also what is the same.")
def diff_runs(place: Workplace, screen: Output, one: str, other: str, everything: bool) -> None:
    """In what two runs differ: model, data, options, environment, and what came of them, each by its dotted name."""
    from unlearnkit.runs.diff import diff

    found = diff(place, one, other, everything=everything)
    if not screen.tables:
        screen.data(found.json(), [entry.json() for entry in found.entries])
        return
    from unlearnkit.report.between import diff_sheets

    for table in diff_sheets(found):
        screen.console().print(table)
    if not found.entries:
        screen.say("nothing differs")


DIFFERENT = 4
"""Exit code where a run does not come out the same."""


@make_command("rerun", examples="unlearnkit runs rerun @last")
@click.argument("run")
def rerun_run(place: Workplace, screen: Output, run: str) -> int:
    """Do a run again, all of it, and say whether the same came out; exit code 4 where it did not.

    It takes as long as the first time, in a temporary folder (TMPDIR says where) that is then removed; an event of the
    run keeps what came of it. On a CPU, the same environment gives the same bits.
    """
    from unlearnkit.runs.rerun import rerun

    found = rerun(place, run)
    if screen.tables:
        from unlearnkit.report.between import rerun_sheets

        for table in rerun_sheets(found):
            screen.console().print(table)
    else:
        screen.data(found.json(), [part.json() for part in found.parts])
    screen.say(f"run {found.run} {found}")
    return 0 if found.same else DIFFERENT
