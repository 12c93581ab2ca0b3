"""`unlearnkit resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from unlearnkit.cli.attack_command import show_attack
from unlearnkit.cli.common import follow_up, inexact_option, make_command
from unlearnkit.cli.eval_command import show_evaluation
from unlearnkit.cli.output import Output
from unlearnkit.cli.score_command import show_scores
from unlearnkit.cli.trained import show_training

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace


@make_command("resume", together=True, examples="unlearnkit resume @last")
@click.argument("run")
@inexact_option
def command(place: Workplace, screen: Output, run: str) -> None:
    """Go on with an interrupted run; on a CPU it ends in the same bits as one that was never interrupted.

    RUN is an id, a unique prefix, or @last.
    """
    from unlearnkit.runs.attack import AttackReport
    from unlearnkit.runs.evaluate import EvalReport
    from unlearnkit.runs.resume import resume
    from unlearnkit.runs.training import TrainingReport

    complete = place.reading().run(run).state == "complete"
    found = resume(place, run)
    if complete and not isinstance(found, TrainingReport):  # which says so itself
        screen.say(f"run {found.run} is complete: nothing to do")
    if isinstance(found, TrainingReport):
        show_training(place, screen, found)
    elif isinstance(found, AttackReport):
        show_attack(screen, found)
    elif isinstance(found, EvalReport):
        show_evaluation(screen, found)
    else:
        show_scores(place, screen, found)
    screen.next(follow_up("runs", "show", found.run))
