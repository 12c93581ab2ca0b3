"""`unlearnkit demo`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unlearnkit.cli.common import make_command
from unlearnkit.cli.output import Output

if TYPE_CHECKING:
    from unlearnkit.demo.run import DemoReport
    from unlearnkit.runs.workplace import Workplace


@make_command("demo", examples="unlearnkit demo\nunlearnkit demo --dir my-demo --format json")
@click.option("--dir", "folder", default="unlearnkit-demo", show_default=True, metavar="FOLDER", help="Where it works.")
def command(place: Workplace, screen: Output, folder: str) -> None:
    """Forget eight made-up people with a tiny model, from start to end.

    Trains it on the spot, scores, unlearns with two samplers, evaluates, reports: about two minutes on two cores, a few
    seconds when repeated, since the store holds everything.
    """
    from unlearnkit.demo.run import demo

    began = time.monotonic()
    found = demo(place, Path(folder), click.get_current_context().params["store"])
    if screen.tables:
        _show(place, screen, found)
    else:
        whole = found.json()
        screen.data(whole, whole["report"]["runs"])
    screen.say(f"done in {time.monotonic() - began:.0f} s; everything is in {found.store}")
    screen.next(
        shlex.join(["unlearnkit", "report", "--store", found.store]),
        "unlearnkit score --model YOUR-MODEL --data YOUR-FORGET.jsonl",
        "unlearnkit unlearn --model YOUR-MODEL --forget YOUR-FORGET.jsonl --retain YOUR-RETAIN.jsonl --sampler mrd",
    )


def _show(place: Workplace, screen: Output, found: DemoReport) -> None:
    from unlearnkit.cli.report_command import show_report
    from unlearnkit.report.tables import demo_tables

    show_report(place, screen, found.findings)
    for table in demo_tables(found.evaluations, found.exchanges):
        screen.console().print(table)
