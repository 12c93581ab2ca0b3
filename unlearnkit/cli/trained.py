"""How `unlearn`, `finetune` and `resume` show a training run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from unlearnkit.cli.output import Output

if TYPE_CHECKING:
    from unlearnkit.runs.training import TrainingReport
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store.records import Run


def show_training(place: Workplace, screen: Output, found: TrainingReport) -> None:
    """The run's result, and where its model is."""
    if screen.tables:
        from unlearnkit.report.training import training_table

        screen.console().print(training_table(found, place.store.steps(found.run)))
        show_curve(place, screen, place.store.run(found.run))
    else:
        steps = [{"step": row.step, **row.terms} for row in place.store.steps(found.run)]
        screen.data(found.json(), steps)
    if found.already:
        screen.say(f"run {found.run} is complete: nothing to do")
    best = "".join(f", the best by {name} ({value:.4g})" for name, value in found.best.items())
    if best or found.step != found.steps:
        screen.say(f"the weights are those after step {found.step} of {found.steps}{best}")
    screen.say(f"model in {_from_here(Path(found.model_dir))} (run {found.run})")


def show_curve(place: Workplace, screen: Output, run: Run) -> None:
    """What evaluations on the way found, where there were any."""
    from unlearnkit.report.curve import curve, curve_sheet

    if (found := curve(place, run)) is not None:
        screen.console().print(curve_sheet(found))


def _from_here(path: Path) -> Path:
    """A path below the working folder without what leads to that."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
