"""`unlearnkit split`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import make_command, reading_options, take_columns
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import Number
from unlearnkit.text import counted

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace


@make_command(
    "split",
    examples="""
unlearnkit split forget.jsonl --model my-model --out thirds
unlearnkit split tofu:forget10 --scores 01JZ7Q --bins 5 --out fifths
""",
)
@click.argument("data", metavar="DATA")
@click.option("--split", metavar="NAME", help="Split of a folder or hub data set.")
@click.option(
    "--by", default="mrd", show_default=True, metavar="SCORER", help="The most reliable scores of this scorer."
)
@click.option("--model", metavar="MODEL", help="Under this model: a folder, a hub name, gguf:FILE or run:ID.")
@click.option("--scores", metavar="RUN", help="The scores of this run instead.")
@click.option("--bins", type=Number(int, ge=2, le=1_000_000), default=3, show_default=True, help="Parts to write.")
@click.option("--out", required=True, metavar="FOLDER", help="Where the files go.")
@click.option("--unscored", is_flag=True, help="Write rows without a score to a file of their own.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@reading_options
def command(place: Workplace, screen: Output, data: str, split: str | None, bins: int, **arguments: Any) -> None:
    """Write a data set as JSONL files by difficulty: NAME-1-of-3.jsonl has the lowest scores.

    Rows keep all of their columns and their order. Scores must be in the store: `unlearnkit score` puts them there.
    """
    from unlearnkit.data.samples import DataSpec
    from unlearnkit.runs.split import split as use_case

    spec = DataSpec(data, split, **take_columns(arguments))
    found = use_case(place, data=spec, count=bins, **arguments)
    if screen.tables:
        from unlearnkit.report.analysis import split_table

        screen.console().print(split_table(found))
    else:
        screen.data(found.json(), [part.json() for part in found.bins])
    if found.unscored and found.unscored_file is None:
        screen.say(f"{counted(found.unscored, 'row')} without a score left out (--unscored writes them)")
    if found.skipped:
        screen.say(f"{counted(found.skipped, 'bad row')} left out")
