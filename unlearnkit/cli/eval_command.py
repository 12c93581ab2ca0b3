"""`unlearnkit eval`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import data_options, follow_up, make_command, take_columns, template_options
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import WHOLE

if TYPE_CHECKING:
    from unlearnkit.runs.evaluate import EvalReport
    from unlearnkit.runs.workplace import Workplace

SPLITS = ("forget", "retain", "real_authors", "world_facts")


@make_command(
    "eval",
    examples="""
unlearnkit eval my-model --forget forget.jsonl --retain retain.jsonl
unlearnkit eval @last --suite tofu --forget tofu:forget01 --retain tofu:retain_perturbed --reference 01JZ
""",
)
@click.argument("model", metavar="MODEL|RUN")
@click.option("--suite", "suite_name", default="tofu", show_default=True, metavar="NAME", help="Which metrics on what.")
@click.option("--forget", metavar="DATA", help="What was to be forgotten.")
@click.option("--retain", metavar="DATA", help="What was to be kept.")
@click.option("--real-authors", metavar="DATA", help="General knowledge: real authors.")
@click.option("--world-facts", metavar="DATA", help="General knowledge: world facts.")
@click.option("--reference", metavar="RUN", help="Run of a model that never saw the forget set.")
@click.option("--max-new-tokens", type=WHOLE, help="Longest generation (default: the suite's).")
@click.option("--batch-size", type=WHOLE, default=8, show_default=True, help="Samples in a forward pass.")
@template_options
@data_options
def command(place: Workplace, screen: Output, **arguments: Any) -> None:
    """Measure what a model still knows, per sample, and the numbers over samples.

    MODEL is a folder, a hub name, gguf:FILE, or the id of a run that wrote a model.
    """
    from unlearnkit.data.samples import DataSpec
    from unlearnkit.runs.evaluate import evaluate

    columns = take_columns(arguments)
    sources = {split: arguments.pop(split) for split in SPLITS}
    data = {split: DataSpec(source, **columns) for split, source in sources.items() if source is not None}
    found = evaluate(place, data=data, **arguments)
    show_evaluation(screen, found)
    screen.next(follow_up("report", found.run))


def show_evaluation(screen: Output, found: EvalReport) -> None:
    """An evaluation's figures and aggregates."""
    if screen.tables:
        from unlearnkit.report.tables import evaluation_tables

        for table in evaluation_tables(found):
            screen.console().print(table)
    else:
        whole = found.json()
        rows = [{"name": name, **row} for name, row in {**whole["metrics"], **whole["aggregates"]}.items()]
        screen.data(whole, rows)
    screen.say(f"{found.computed} samples measured, {found.from_store} from the store (run {found.run})")
