"""`unlearnkit export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from unlearnkit.cli.common import make_command, meant, where_option
from unlearnkit.cli.output import Output
from unlearnkit.text import counted

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace

WHAT = ("scores", "results", "generations", "aggregates", "steps")


@make_command(
    "export",
    examples="""
unlearnkit export results --to results.parquet
unlearnkit export scores --to scores.csv 01JZ7Q @last
unlearnkit export steps --to npo.csv --where 'algorithm=npo and state=complete'
""",
)
@click.argument("what", type=click.Choice(WHAT), metavar="|".join(WHAT))
@click.argument("runs", nargs=-1, metavar="[RUN…]")
@where_option
@click.option("--to", required=True, metavar="FILE", help="A .parquet, .csv or .jsonl file.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def command(
    place: Workplace, screen: Output, what: str, runs: tuple[str, ...], where: str | None, to: str, force: bool
) -> None:
    """Write rows of the named runs, or of all complete ones, for other programs.

    Each row has its run, kind, method, algorithm, sampler, seed and model. However large the store, little of it is in
    memory at once; what does not exist stays null.
    """
    from unlearnkit.report.export import export

    found = export(place, what, to, meant(place, runs, where) or None, force=force)
    if not screen.tables:
        screen.data(found.json(), [found.json()])
    screen.say(f"{counted(found.rows, 'row')} in {found.file}")
