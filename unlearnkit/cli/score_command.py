"""`unlearnkit score`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import (
    data_options,
    follow_up,
    make_command,
    model_option,
    plugin_options,
    take_columns,
    template_options,
)
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import SEED, WHOLE, key_values

if TYPE_CHECKING:
    from unlearnkit.runs.score import ScoreReport
    from unlearnkit.runs.workplace import Workplace

SHOWN = 5


@make_command(
    "score",
    examples="""
unlearnkit score --model my-model --data forget.jsonl
unlearnkit score --model gguf:SmolLM2-135M-Instruct.Q4_1.gguf --data tofu:forget01 -o draws=16
unlearnkit score --model run:@last --data forget.jsonl -o estimator=plain --format json
""",
)
@model_option
@click.option(
    "--data", required=True, metavar="DATA", help="A .jsonl, .csv or .parquet file, tofu:NAME, or a hub name."
)
@click.option("--split", metavar="NAME", help="Split of a folder or hub data set.")
@click.option("--scorer", default="mrd", show_default=True, metavar="NAME", help="What measures difficulty.")
@plugin_options
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the noise.")
@click.option("--batch-size", type=WHOLE, default=8, show_default=True, help="Samples in a forward pass.")
@click.option("--show", type=WHOLE, default=SHOWN, show_default=True, help="Hardest and easiest samples to list.")
@template_options
@data_options
def command(
    place: Workplace,
    screen: Output,
    data: str,
    split: str | None,
    option: tuple[str, ...],
    show: int,
    **arguments: Any,
) -> None:
    """Measure how hard each sample is to forget, into the store.

    A second call computes nothing; after a kill it goes on from the last stored piece.
    """
    options = key_values("-o", option)
    from unlearnkit.data.samples import DataSpec
    from unlearnkit.runs.score import score

    spec = DataSpec(data, split, **take_columns(arguments))
    found = score(place, data=spec, options=options, **arguments)
    show_scores(place, screen, found, show)
    forget = data if split is None else "DATA"  # `unlearn` takes no split
    words = ["--model", arguments["model"], "--forget", forget, "--retain", "DATA", *_drawn_by(place, found)]
    screen.next(follow_up("unlearn", *words, reads=True))


def _drawn_by(place: Workplace, found: ScoreReport) -> list[str]:
    """The words that make `unlearn` draw by these scores, where there is a sampler by the scorer's name: its options
    as they were for the scorer."""
    if found.scorer not in place.plugins.offers("sampler"):
        return []
    defaults = {option.name: option.default for option in place.plugins.describe("sampler", found.scorer).options}
    words = ["--sampler", found.scorer]
    for key, value in found.options.items():
        if key in defaults and defaults[key] != value:
            words += ["-s", f"{key}={value}"]
    return words


def show_scores(place: Workplace, screen: Output, found: ScoreReport, show: int = SHOWN) -> None:
    """The `show` hardest and easiest samples."""
    if screen.tables:
        from unlearnkit.report.tables import score_tables

        for table in score_tables(found, place.plugins.resolve("scorer", found.scorer), show):
            screen.console().print(table)
    else:
        screen.data(found.json(), found.json()["samples"])
    if found.computed == 0:
        screen.say(f"everything was in the store: 0 of {found.from_store} pieces computed (run {found.run})")
    else:
        screen.say(f"{found.computed} pieces computed, {found.from_store} from the store (run {found.run})")
