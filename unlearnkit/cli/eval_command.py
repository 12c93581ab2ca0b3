"""`unlearnkit eval`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import data_options, dry_run_option, follow_up, make_command, take_columns, template_options
from unlearnkit.cli.dry import show_plan, typed
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import WHOLE, key_values
from unlearnkit.errors import BadInput

if TYPE_CHECKING:
    from unlearnkit.runs.evaluate import EvalReport
    from unlearnkit.runs.workplace import Workplace

SPLITS = ("forget", "retain", "holdout", "real_authors", "world_facts")
"""Splits that have an option of their own."""


@make_command(
    "eval",
    examples="""
unlearnkit eval my-model --forget forget.jsonl --retain retain.jsonl
unlearnkit eval @last --forget tofu:forget01 --retain tofu:retain_perturbed --reference retain-only
unlearnkit eval my-model --suite tofu+memorization --forget forget.jsonl --retain retain.jsonl
unlearnkit eval my-model --suite wmdp+mmlu --data forget_bio=bio.jsonl --data mmlu=mmlu.jsonl
unlearnkit eval my-model --suite rwku --hub --allow-download
""",
)
@click.argument("model", metavar="MODEL|RUN")
@click.option(
    "--suite",
    "suite_name",
    default="tofu",
    show_default=True,
    metavar="NAME",
    help="Which metrics on what: several joined by +, or a .yaml file; `unlearnkit suites` lists them.",
)
@click.option("--forget", metavar="DATA", help="What was to be forgotten.")
@click.option("--retain", metavar="DATA", help="What was to be kept.")
@click.option("--holdout", metavar="DATA", help="Samples of the same kind that the model never saw.")
@click.option("--real-authors", metavar="DATA", help="General knowledge: real authors.")
@click.option("--world-facts", metavar="DATA", help="General knowledge: world facts.")
@click.option(
    "--data",
    "others",
    multiple=True,
    metavar="SPLIT=DATA",
    help="Data of any split of the suite, a hub's as owner/name:config[split]; repeatable.",
)
@click.option("--hub", is_flag=True, help="Splits without data are read from where the suite says on the hub.")
@click.option(
    "--reference",
    metavar="RUN|MODEL",
    help="What never saw the forget set: an evaluation of it, or the model, which is evaluated first where it has not "
    "been.",
)  # fmt: skip
@click.option("--max-new-tokens", type=WHOLE, help="Longest generation (default: the suite's).")
@click.option("--batch-size", type=WHOLE, default=8, show_default=True, help="Samples in a forward pass.")
@dry_run_option
@template_options
@data_options
def command(place: Workplace, screen: Output, **arguments: Any) -> None:
    """Measure what a model still knows, per sample, and the numbers over samples.

    MODEL is a folder, a hub name, gguf:FILE, or the id of a run that wrote a model. What a suite has and this lacks is
    listed with the reason.
    """
    from unlearnkit.data.samples import spec_of
    from unlearnkit.runs.evaluate import carry_out, prepared

    columns, others = take_columns(arguments), key_values("--data", arguments.pop("others"))
    own = {split: source for split in SPLITS if (source := arguments.pop(split)) is not None}
    if twice := sorted(own.keys() & others.keys()):
        raise BadInput(f"data for {twice[0]} given twice", code="twice")
    data = {split: spec_of(source, **columns) for split, source in {**own, **others}.items()}
    if arguments.pop("hub"):
        splits = place.suite(arguments["suite_name"]).splits
        data = {split: spec_of(of.hub) for split, of in splits.items() if of.hub is not None} | data
    made = prepared(place, data=data, **arguments)
    if place.dry:
        from unlearnkit.runs.dry import evaluating

        show_plan(screen, evaluating(place, made, typed()))
        return
    found = carry_out(place, made)
    show_evaluation(screen, found)
    screen.next(follow_up("report", found.run))


def show_evaluation(screen: Output, found: EvalReport) -> None:
    """An evaluation's figures and aggregates."""
    if screen.tables:
        from unlearnkit.report.tables import evaluation_tables

        for table in evaluation_tables(found):
            screen.console().print(table)
    else:
        screen.data(found.json(), evaluation_rows(found))
    screen.say(f"{found.computed} samples measured, {found.from_store} from the store (run {found.run})")


def evaluation_rows(found: EvalReport) -> list[dict[str, Any]]:
    """One row for each number."""
    whole = found.json()
    return [{"name": name, **row} for name, row in {**whole["metrics"], **whole["aggregates"]}.items()]
