"""`unlearnkit sweep`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import (
    adapter_options,
    data_options,
    dry_run_option,
    evaluation_options,
    make_command,
    model_option,
    pace_options,
    take_data,
    take_schedule,
    template_options,
    unlearning_options,
    watching_options,
)
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import POSITIVE, SEED, Several, key_values, key_values_several

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace


@make_command(
    "sweep",
    examples="""
unlearnkit sweep --model my-model --forget forget.jsonl --retain retain.jsonl --plugin npo,simnpo --seed 0..4
unlearnkit sweep --model my-model --forget forget.jsonl --retain retain.jsonl --lr 1e-5,3e-5 -o beta=0.05 -o beta=0.1
unlearnkit sweep --model my-model --forget forget.jsonl --retain retain.jsonl --plugin npo,graddiff -o npo.beta=0.2
unlearnkit sweep --model my-model --forget forget.jsonl --retain retain.jsonl --wrapper none,gru
unlearnkit sweep --model my-model --forget forget.jsonl --retain retain.jsonl --sampler uniform,active --dry-run
""",
)
@model_option
@click.option("--forget", required=True, metavar="DATA", help="What is to be forgotten.")
@click.option("--retain", metavar="DATA", help="What is to be kept.")
@click.option("--plugin", type=Several(), default="npo", show_default=True, help="The algorithms.")
@click.option(
    "-o",
    "--option",
    "option",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of all the algorithms, or NAME.KEY=VALUE of one; given with several values, each is tried.",
)
@click.option("--sampler", type=Several(), default="uniform", show_default=True, help="The samplers.")
@click.option(
    "-s", "--sampler-option", "sampler_option", multiple=True, metavar="KEY=VALUE", help="The same of the samplers."
)
@click.option("--wrapper", type=Several(), default="none", show_default=True, help="The wrappers; none for without.")
@click.option(
    "-w", "--wrapper-option", "wrapper_option", multiple=True, metavar="KEY=VALUE", help="The same of the wrappers."
)
@adapter_options
@click.option("--lr", type=Several(POSITIVE), help="Learning rates (default: the algorithm's, for the model's width).")
@click.option("--seed", type=Several(SEED), default="0", show_default=True, help="Seeds, averaged over: 0..4 or 0,3,7.")
@pace_options(epochs="the algorithm's, or what --max-steps needs")
@watching_options
@evaluation_options
@unlearning_options
@dry_run_option
@template_options
@data_options
def command(
    place: Workplace, screen: Output, plugin: list[str], option: tuple[str, ...], sampler: list[str],
    sampler_option: tuple[str, ...], wrapper: list[str], wrapper_option: tuple[str, ...],
    adapter_option: tuple[str, ...], lr: list[float] | None, seed: list[int], **arguments: Any,
) -> None:  # fmt: skip
    """Unlearn by every combination of what is listed, evaluate each model, and compare them in one table.

    Each is a run as `unlearn` makes it. What the store holds is read, and a sweep that was stopped goes on when it is
    typed again. A run that fails or diverges is a row with its reason.
    """
    options = key_values_several("-o", option)
    sampler_options, wrapper_options = (
        key_values_several("-s", sampler_option),
        key_values_several("-w", wrapper_option),
    )
    from unlearnkit.runs.axes import Axes
    from unlearnkit.runs.sweep import sweep

    wrappers = [None if name == "none" else name for name in wrapper]
    arguments |= {"lr": None, "seed": 0}
    data, schedule = take_data(arguments), take_schedule(arguments)
    found = sweep(
        place,
        axes=Axes(plugin, sampler, lr or [None], seed, options, wrappers, sampler_options, wrapper_options),
        **data,
        schedule=schedule,
        dry_run=place.dry,
        adapter_options=key_values("-a", adapter_option),
        **arguments,
    )
    if not screen.tables:
        screen.data(found.json(), [outcome.json() for outcome in found.outcomes])
        return
    from unlearnkit.report.sweep import dry_sheets, sweep_sheets

    for sheet in dry_sheets(found) if place.dry else sweep_sheets(found):
        screen.console().print(sheet)
