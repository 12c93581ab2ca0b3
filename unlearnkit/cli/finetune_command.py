"""`unlearnkit finetune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import (
    adapter_options,
    data_options,
    dry_run_option,
    follow_up,
    make_command,
    model_option,
    take_columns,
    take_schedule,
    template_options,
    training_options,
)
from unlearnkit.cli.dry import show_plan, typed
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import key_values
from unlearnkit.cli.trained import show_training

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace


@make_command(
    "finetune",
    together=True,
    examples="""
unlearnkit finetune --model my-base --data forget.jsonl --data retain.jsonl --out full
unlearnkit finetune --model my-base --data retain.jsonl --out retain-only
""",
)
@model_option
@click.option("--data", required=True, multiple=True, metavar="DATA", help="What to learn; repeatable.")
@adapter_options
@training_options(lr="1e-5", epochs="5, or what --max-steps needs")
@dry_run_option
@template_options
@data_options
def command(
    place: Workplace, screen: Output, data: tuple[str, ...], adapter_option: tuple[str, ...], **arguments: Any
) -> None:
    """Teach a model one or more data sets: to have something to forget, or a model that never saw it."""
    from unlearnkit.data.samples import DataSpec
    from unlearnkit.runs.finetune import carry_out, prepared

    columns, schedule = take_columns(arguments), take_schedule(arguments)
    specs = tuple(DataSpec(source, **columns) for source in data)
    chosen = key_values("-a", adapter_option)
    made = prepared(place, data=specs, schedule=schedule, adapter_options=chosen, **arguments)
    if place.dry:
        from unlearnkit.runs.dry import finetuning

        show_plan(screen, finetuning(place, made, typed()))
        return
    found = carry_out(place, made)
    show_training(place, screen, found)
    screen.next(follow_up("score", "--model", f"run:{found.run}", "--data", data[0], reads=True))
