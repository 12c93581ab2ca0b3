"""`unlearnkit import`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import data_options, follow_up, make_command, take_columns
from unlearnkit.cli.eval_command import evaluation_rows
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import key_values
from unlearnkit.text import counted

if TYPE_CHECKING:
    from unlearnkit.runs.imported import Imported
    from unlearnkit.runs.workplace import Workplace


@make_command(
    "import",
    examples="""
unlearnkit import retain90/eval_log_aggregated.json
unlearnkit import full/eval_log_aggregated.json --reference @last
unlearnkit import saves/eval/npo/TOFU_EVAL.json --data forget=tofu:forget10
""",
)
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option(
    "--data", multiple=True, metavar="SPLIT=DATA",
    help="The data that a split of the log was evaluated on; needed only where the log has no texts; repeatable.",
)  # fmt: skip
@click.option("--reference", metavar="RUN", help="Run of a model that never saw the forget set; may be imported.")
@click.option("--name", metavar="NAME", help="What reports call it (default: after the file or its folder).")
@data_options
def command(place: Workplace, screen: Output, files: tuple[str, ...], **arguments: Any) -> None:
    """Read per-sample evaluation logs of other programs as evaluations of one's own.

    FILE is TOFU's eval_log_aggregated.json, OpenUnlearning's TOFU_EVAL.json or MUSE_EVAL.json, or a samples_*.jsonl of
    lm-eval --log_samples; which, is seen from what it holds. Its rows stand beside one's own in reports and
    comparisons, and its aggregates are computed here, from its rows. Another store of unlearnkit is for
    `unlearnkit store import`.
    """
    from unlearnkit.data.samples import DataSpec
    from unlearnkit.runs.imported import import_logs

    columns = take_columns(arguments)
    data = {split: DataSpec(source, **columns) for split, source in key_values("--data", arguments.pop("data")).items()}
    found = import_logs(place, files, data=data, **arguments)
    _show(screen, found)
    for one in found:
        what = counted(one.report.computed + one.report.from_store, "sample")
        broken = f", {counted(one.undefined, 'value')} undefined" if one.undefined else ""
        state = "read" if one.new else "were here already"
        screen.say(
            f"{', '.join(file.name for file in one.files)} ({one.form}): {what} {state}{broken} (run {one.report.run})"
        )
    screen.next(follow_up("report", *(one.report.run for one in found)))


def _show(screen: Output, found: Sequence[Imported]) -> None:
    """As `eval` shows one evaluation."""
    if screen.tables:
        from unlearnkit.report.tables import evaluation_tables

        for one in found:
            for table in evaluation_tables(one.report):
                screen.console().print(table)
    elif len(found) == 1:
        screen.data(found[0].report.json(), evaluation_rows(found[0].report))
    else:
        rows = [{"run": one.report.run, **row} for one in found for row in evaluation_rows(one.report)]
        screen.data({"imported": [one.report.json() for one in found]}, rows)
