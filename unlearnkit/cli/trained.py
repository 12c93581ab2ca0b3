"""How `unlearn`, `finetune` and `resume` show a training run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearnkit.cli.output import Output

if TYPE_CHECKING:
    from unlearnkit.runs.training import TrainingReport
    from unlearnkit.runs.workplace import Workplace


def show_training(place: Workplace, out: Output, found: TrainingReport) -> None:
    """The run's result, and where its model is."""
    if out.tables:
        from unlearnkit.report.tables import training_table

        out.console().print(training_table(found, place.store.steps(found.run)))
    else:
        steps = [{"step": row.step, **row.terms} for row in place.store.steps(found.run)]
        out.data(found.json(), steps)
    if found.already:
        out.say(f"run {found.run} is complete: nothing to do")
    out.say(f"model in {found.model_dir} (run {found.run})")
