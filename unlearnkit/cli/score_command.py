"""`unlearnkit score`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import (
    data_options,
    dry_run_option,
    follow_up,
    make_command,
    model_option,
    plugin_options,
    take_columns,
    template_options,
)
from unlearnkit.cli.dry import show_plan, typed
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import SEED, WHOLE, key_values
from unlearnkit.text import counted

if TYPE_CHECKING:
    from unlearnkit.runs.score import ScoreReport
    from unlearnkit.runs.workplace import Workplace

SHOWN = 5


@make_command(
    "score",
    examples="""
unlearnkit score --model my-model --data forget.jsonl
unlearnkit score --model gguf:SmolLM2-135M-Instruct.Q4_1.gguf --data tofu:forget01 -o draws=auto -o sigma=auto
unlearnkit score --model run:@last --data forget.jsonl -o draws=16 --workers 2 --format json
unlearnkit score --model my-model --data forget.jsonl --scorer representation --retain retain.jsonl
""",
)
@model_option
@click.option(
    "--data", required=True, metavar="DATA", help="A .jsonl, .csv or .parquet file, tofu:NAME, or a hub name."
)
@click.option("--split", metavar="NAME", help="Split of a folder or hub data set.")
@click.option("--retain", metavar="DATA", help="The retain set, for scorers that compare with it.")
@click.option("--corpus", metavar="DATA", help="A set of texts, for scorers that compare with one.")
@click.option("--scorer", default="mrd", show_default=True, metavar="NAME", help="What measures difficulty.")
@plugin_options
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the noise.")
@click.option("--batch-size", type=WHOLE, default=8, show_default=True, help="Samples in a forward pass.")
@click.option("--workers", type=WHOLE, default=1, show_default=True, help="Processes, each with a model of its own.")
@click.option("--show", type=WHOLE, default=SHOWN, show_default=True, help="Hardest and easiest samples to list.")
@dry_run_option
@template_options
@data_options
def command(
    place: Workplace,
    screen: Output,
    data: str,
    split: str | None,
    retain: str | None,
    corpus: str | None,
    option: tuple[str, ...],
    show: int,
    **arguments: Any,
) -> None:
    """Measure how hard each sample is to forget, into the store.

    A second call computes nothing; after a kill it goes on from the last stored piece. Any number of workers gives the
    same numbers.
    """
    options = key_values("-o", option)
    from unlearnkit.data.samples import DataSpec
    from unlearnkit.runs.score import carry_out, prepared

    columns = take_columns(arguments)
    sets = {role: DataSpec(named, **columns) for role, named in (("retain", retain), ("corpus", corpus)) if named}
    made = prepared(place, data=DataSpec(data, split, **columns), sets=sets, options=options, **arguments)
    if place.dry:
        from unlearnkit.runs.dry import scoring

        show_plan(screen, scoring(place, made, typed()))
        return
    found = carry_out(place, made)
    show_scores(place, screen, found, show)
    if split is None:
        words = ["--model", arguments["model"], "--forget", data, "--retain", retain or "DATA"]
        screen.next(follow_up("unlearn", *words, *_drawn_by(place, found), reads=True))
    else:  # `unlearn` takes no split
        screen.next(follow_up("analyze", "samples", "--scores", found.run))


def _drawn_by(place: Workplace, found: ScoreReport) -> list[str]:
    """The words that make `unlearn` draw by these scores, where there is a sampler by the scorer's name: its options
    as they were for the scorer, or as the scorer chose them."""
    if found.scorer not in place.plugins.offers("sampler"):
        return []
    defaults = {option.name: option.default for option in place.plugins.describe("sampler", found.scorer).options}
    words = ["--sampler", found.scorer]
    for key, value in {**found.options, "draws": found.pairs, **found.settled}.items():
        if key in defaults and defaults[key] != value:
            words += ["-s", f"{key}={value}"]
    return words


def show_scores(place: Workplace, screen: Output, found: ScoreReport, show: int = SHOWN) -> None:
    """The `show` hardest and easiest samples, and what their scores rest on."""
    if screen.tables:
        from unlearnkit.report.tables import score_tables

        for table in score_tables(found, place.plugins.resolve("scorer", found.scorer), show):
            screen.console().print(table)
    else:
        screen.data(found.json(), found.json()["samples"])
    if found.computed == 0:
        screen.say(f"everything was in the store: 0 of {counted(found.from_store, 'piece')} computed (run {found.run})")
    else:
        screen.say(f"{counted(found.computed, 'piece')} computed, {found.from_store} from the store (run {found.run})")
