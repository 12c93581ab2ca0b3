"""`unlearnkit analyze difficulty|samples|bias`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import follow_up, make_command, options, reading_options, take_columns
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import POSITIVE, SEED, WHOLE
from unlearnkit.text import counted

if TYPE_CHECKING:
    from unlearnkit.runs.analyze.bias import BiasReport
    from unlearnkit.runs.analyze.difficulty import DifficultyReport
    from unlearnkit.runs.workplace import Workplace


@click.group("analyze")
def command() -> None:
    """What difficulty predicts, what it is made of, and how it bends a comparison. From the store alone."""


seed_option = click.option("--seed", type=SEED, default=0, show_default=True, help="Of the resamples.")
by_options = options(
    click.option(
        "--by",
        default="mrd",
        show_default=True,
        metavar="SCORER",
        help="The most reliable scores of this scorer.",
    ),
    click.option("--scores", metavar="RUN", help="The scores of this run instead."),
)


@make_command(
    "difficulty",
    short_help="How well scores predict updates to forget.",
    examples="""
unlearnkit analyze difficulty
unlearnkit analyze difficulty --threshold 3 --format json
unlearnkit analyze difficulty --runs 01JZ7Q --runs 01JZ7R --reference 01JZ7S
""",
)
@click.option("--runs", multiple=True, metavar="RUN", help="An unlearning run; repeatable (default: all there are).")
@click.option("--scores", multiple=True, metavar="RUN", help="A score run; repeatable (default: one of each scorer).")
@click.option("--threshold", type=POSITIVE, metavar="NATS", help="NLL per label token that counts as forgotten.")
@click.option("--reference", metavar="RUN", help="Evaluation of a model that never saw the set: its NLLs count.")
@seed_option
def difficulty(place: Workplace, screen: Output, **arguments: Any) -> None:
    """How well each score predicts how many updates a sample takes to be forgotten.

    Every score of the starting model, whole and divided by the sample's label tokens, is correlated with the updates
    after which the sample's NLL passed its threshold: that of a model that never saw it where the run has such a
    reference, else 2 nats per token.
    """
    from unlearnkit.runs.analyze import difficulty as use_case

    found = use_case(place, **arguments)
    if screen.tables:
        from unlearnkit.report.analysis import difficulty_tables

        for table in difficulty_tables(found):
            screen.console().print(table)
    else:
        screen.data(found.json(), _prediction_rows(found))
    if found.left_out:
        left_out = counted(found.left_out, "run")
        screen.say(f"{left_out} left out: scores drew the order, and come true by that (--runs names such)")
    if len(found.signs) <= 2:  # one scorer, whole and per token
        first = found.groups[0]
        screen.next(follow_up("score", "--model", first.label, "--data", first.data, "--scorer", "loss"))


def _prediction_rows(found: DifficultyReport) -> list[dict[str, Any]]:
    """One row for each score, of all algorithms together and of each."""
    return [
        {"model": group.label, "data": group.data, "method": method, **prediction.json()}
        for group in found.groups
        for method, some in {"all": group.predictions, **group.by_method}.items()
        for prediction in some
    ]


@make_command(
    "samples",
    short_help="What hard and easy samples look like.",
    examples="""
unlearnkit analyze samples --data forget.jsonl
unlearnkit analyze samples --model my-model --by loss --format csv
""",
)
@by_options
@click.option("--model", metavar="MODEL", help="Scores of this model: a folder, a hub name, gguf:FILE or run:ID.")
@click.option("--data", metavar="DATA", help="Where the texts are, if the store does not keep them.")
@click.option("--split", metavar="NAME", help="Split of a folder or hub data set.")
@click.option("--show", type=WHOLE, default=5, show_default=True, help="Samples to list at each end.")
@seed_option
@reading_options
def samples(place: Workplace, screen: Output, data: str | None, split: str | None, show: int, **arguments: Any) -> None:
    """What hard and easy samples look like: every other measure of them against their scores, and their texts."""
    from unlearnkit.data.samples import DataSpec
    from unlearnkit.runs.analyze import samples as use_case

    columns = take_columns(arguments)
    spec = None if data is None else DataSpec(data, split, **columns)
    found = use_case(place, data=spec, **arguments)
    if screen.tables:
        from unlearnkit.report.analysis import samples_tables

        for table in samples_tables(found, show):
            screen.console().print(table)
    else:
        screen.data(found.json(), [sample.json() for sample in found.samples])
    if found.with_text < len(found.samples):
        without = counted(len(found.samples) - found.with_text, "sample")
        screen.say(f"{without} without a text in the store: --data DATA gives it")
    asked = found.scored.run.config["request"]  # none where a run scored the weights that it was training
    if len(found.features) == 1 and asked:
        of = asked["data"]
        part = ["--split", of["split"]] if of["split"] else []
        words = ["--model", asked["model"], "--data", of["source"], *part, "--scorer", "loss"]
        screen.next(follow_up("score", *words))


@make_command(
    "bias",
    short_help="Whether the choice of samples changes a ranking of methods.",
    examples="""
unlearnkit analyze bias
unlearnkit analyze bias --metric rouge --by loss
""",
)
@click.option(
    "--runs", multiple=True, metavar="RUN", help="An unlearning run or an evaluation; repeatable (default: all)."
)
@click.option("--metric", default="probability", show_default=True, metavar="NAME", help="What methods are ranked by.")
@by_options
@seed_option
def bias(place: Workplace, screen: Output, **arguments: Any) -> None:
    """Whether the samples that one evaluates on decide which method looks best.

    Methods are unlearning runs that differ in more than their seed. They are ranked on the hard, middle and easy third
    of the set that they forgot, and on sets of their own where they forgot several (see `split`).
    """
    from unlearnkit.runs.analyze import bias as use_case

    found = use_case(place, **arguments)
    if screen.tables:
        from unlearnkit.report.analysis import bias_tables

        for table in bias_tables(found):
            screen.console().print(table)
    else:
        screen.data(found.json(), _figure_rows(found))


def _figure_rows(found: BiasReport) -> list[dict[str, Any]]:
    """One row for each method on each part."""
    return [
        {
            "kind": compared.kind, "model": compared.model, "method": row.label, "part": part.name, "n": part.n,
            found.metric: row.figures[i], "rank": row.ranks[i],
        }
        for compared in found.comparisons
        for row in compared.rows
        for i, part in enumerate(compared.parts)
    ]  # fmt: skip


for member in (difficulty, samples, bias):
    command.add_command(member)
