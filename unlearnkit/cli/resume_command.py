"""`unlearnkit resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from unlearnkit.cli.common import inexact_option, make_command
from unlearnkit.cli.eval_command import show_evaluation
from unlearnkit.cli.output import Output
from unlearnkit.cli.trained import show_training

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace


@make_command("resume", examples="unlearnkit resume @last")
@click.argument("run")
@inexact_option
def command(place: Workplace, screen: Output, run: str) -> None:
    """Go on with an interrupted run; on a CPU it ends in the same bits as one that was never interrupted.

    RUN is an id, a unique prefix, or @last.
    """
    from unlearnkit.runs.evaluate import EvalReport
    from unlearnkit.runs.resume import resume
    from unlearnkit.runs.training import TrainingReport

    asked = place.reading().run(run)
    if asked.state == "complete":
        screen.say(f"run {asked.id} is complete: nothing to do")
    found = resume(place, run)
    if isinstance(found, TrainingReport):
        show_training(place, screen, found)
    elif isinstance(found, EvalReport):
        show_evaluation(screen, found)
    elif screen.tables:
        from unlearnkit.report.tables import score_tables

        for table in score_tables(found, place.plugins.resolve("scorer", found.scorer), 5):
            screen.console().print(table)
    else:
        screen.data(found.json(), found.json()["samples"])
    screen.next(f"unlearnkit runs show {found.run}")
