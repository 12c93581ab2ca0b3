"""`unlearnkit runs list|show|tag|note|rm`, and what `runs_between` has."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import make_command, where_option
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import ANY_TEXT, WHOLE
from unlearnkit.cli.runs_between import compare_runs, diff_runs, rerun_run
from unlearnkit.cli.trained import show_curve
from unlearnkit.errors import BadInput
from unlearnkit.text import clean

if TYPE_CHECKING:
    from unlearnkit.runs.about import About
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store.records import Run


@click.group("runs")
def command() -> None:
    """List, show, compare, repeat, tag or remove runs."""


@make_command(
    "list",
    examples="""
unlearnkit runs list --kind unlearn --format csv
unlearnkit runs list --where 'npo.beta<0.2 and forget_quality>0.05'
unlearnkit runs list --where 'tag=paper or created>=2026-11 and not state=complete'
""",
)
@click.option("--kind", type=click.Choice(["score", "unlearn", "finetune", "eval", "attack"]), help="Only this kind.")
@click.option("--limit", type=WHOLE, help="Only the newest so many.")
@where_option
def list_runs(place: Workplace, screen: Output, kind: str | None, limit: int | None, where: str | None) -> None:
    """All runs, newest first."""
    from unlearnkit.runs.about import about

    store = place.reading()
    runs = store.runs() if where is None else _where(place, where)
    runs = [run for run in runs if kind in (None, run.kind)][:limit]
    names = about(store, runs)
    if screen.tables:
        from unlearnkit.report.listing import runs_table

        screen.console().print(runs_table(runs, names))
    else:
        rows = [_row(run, names[run.id]) for run in runs]
        screen.data({"runs": rows}, rows)


def _where(place: Workplace, condition: str) -> list[Run]:
    from unlearnkit.runs.where import select  # which takes seconds to import

    return select(place, condition)


@make_command("show", examples="unlearnkit runs show @last --format json")
@click.argument("run")
def show(place: Workplace, screen: Output, run: str) -> None:
    """One run: what, on what, how, and how it ended. RUN is an id, a unique prefix, or @last."""
    from unlearnkit.runs.about import about

    store = place.reading()
    found = store.run(run)
    steps = store.steps(found.id)
    if screen.tables:
        from unlearnkit.report.training import run_tables

        for table in run_tables(store, found, steps):
            screen.console().print(table)
        show_curve(place, screen, found)
        return
    whole = {
        **_row(found, about(store, [found])[found.id]),
        "model": found.model,
        "datasets": dict(found.datasets),
        "config": dict(found.config),
        "environment": dict(found.environment),
        "argv": list(found.argv),
        "parent": found.parent,
        "exact": found.exact,
        "summary": dict(found.summary),
        "error": found.error,
        "steps": [{"step": row.step, **row.terms} for row in steps],
    }
    screen.data(whole, [{"key": key, "value": value} for key, value in whole.items()])


@make_command(
    "tag",
    examples="""
unlearnkit runs tag @last paper table-2
unlearnkit runs tag 01JZ7Q paper --remove
""",
)
@click.argument("run")
@click.argument("tags", nargs=-1, required=True, metavar="TAG…")
@click.option("--remove", "away", is_flag=True, help="Take these tags away.")
def tag_run(place: Workplace, screen: Output, run: str, tags: tuple[str, ...], away: bool) -> None:
    """Put tags on a run, to find it by: up to 64 letters, digits and . : / + @ - _ each."""
    found = place.reading().run(run)
    change = place.store.untag if away else place.store.tag
    _show_remarks(screen, change(found.id, tags))


@make_command("note", examples="unlearnkit runs note @last 'the one in figure 3'")
@click.argument("run")
@click.argument("text", type=ANY_TEXT)
def note_run(place: Workplace, screen: Output, run: str, text: str) -> None:
    """Write a note on a run, in place of the one that is there. An empty TEXT takes it away."""
    found = place.reading().run(run)
    _show_remarks(screen, place.store.note(found.id, text))


def _show_remarks(screen: Output, run: Run) -> None:
    if screen.tables:
        from unlearnkit.report.listing import remarks

        screen.say(f"run {run.id}: {clean(remarks(run)) or 'no tag, no note'}")
    else:
        told = {"run": run.id, "tags": list(run.tags), "note": run.note}
        screen.data(told, [told])


@make_command("rm", examples="unlearnkit runs rm 01JZ --yes")
@click.argument("run")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(place: Workplace, screen: Output, run: str, yes: bool) -> None:
    """Remove a run with its numbers, texts and checkpoints. The model folder that it wrote stays."""
    found = place.reading().run(run)
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput(f"removing run {found.id} wants a yes", hint="--yes")
        click.confirm(f"Remove {found.kind} run {found.id} ({found.method})?", abort=True, err=True)
    place.store.remove_run(found.id)
    if screen.form != "table":
        screen.data({"removed": found.id}, [{"removed": found.id}])
    screen.say(f"removed run {found.id}")
    if "model_dir" in found.summary:
        screen.say(f"its model stays in {found.summary['model_dir']}")


def _row(run: Run, names: About) -> dict[str, Any]:
    return {
        "run": run.id,
        "kind": run.kind,
        "method": run.method,
        "sampler": run.config.get("sampler"),
        "state": run.status,
        "created": run.created,
        "finished": run.finished,
        "seed": run.seed,
        "model_label": names.model,
        "data": dict(names.data),
        "tags": list(run.tags),
        "note": run.note,
    }


for member in (list_runs, show, compare_runs, diff_runs, rerun_run, tag_run, note_run, remove):
    command.add_command(member)
