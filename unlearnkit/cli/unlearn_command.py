"""`unlearnkit unlearn`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import (
    adapter_options,
    data_options,
    dry_run_option,
    evaluation_options,
    follow_up,
    make_command,
    model_option,
    plugin_options,
    take_data,
    take_schedule,
    template_options,
    training_options,
    unlearning_options,
    watching_options,
)
from unlearnkit.cli.dry import show_plan, typed
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import Command, key_values
from unlearnkit.cli.trained import show_training

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace


class Unlearn(Command):
    """Ends its help with what the algorithms say of samplers: asked when it is shown, as plugins may say it too."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if best := _recommended():
            said = "; ".join(f"{sampler} with {', '.join(names)}" for sampler, names in best.items())
            formatter.write_paragraph()
            formatter.write_text(f"Samplers that did best in a comparison: {said}.")


def _recommended() -> dict[str, list[str]]:
    """Samplers that algorithms recommend in place of the usual one, and which do."""
    from unlearnkit.contracts import Algorithm
    from unlearnkit.errors import UnlearnkitError
    from unlearnkit.plugins import plugins

    found: dict[str, list[str]] = {}
    with suppress(UnlearnkitError):  # a name that two offer
        for name in plugins().offers("algorithm"):
            with suppress(UnlearnkitError):  # one that cannot be loaded
                algorithm: type[Algorithm] = plugins().resolve("algorithm", name)
                sampler = algorithm.recommended_sampler
                if sampler != Algorithm.recommended_sampler:
                    found.setdefault(sampler, []).append(name)
    return found


@make_command(
    "unlearn",
    cls=Unlearn,
    together=True,
    examples="""
unlearnkit unlearn --model my-model --forget forget.jsonl --retain retain.jsonl
unlearnkit unlearn --model my-model --forget tofu:forget01 --retain tofu:retain99 --plugin simnpo -o beta=3
unlearnkit unlearn --model run:@last --forget forget.jsonl --plugin ga --max-steps 20 --lr 1e-5
unlearnkit unlearn --model my-model --forget forget.jsonl --retain retain.jsonl --sampler active --probe-every 5
unlearnkit unlearn --model run:@last --forget a.jsonl --retain b.jsonl --until 'forget.nll>=3' --keep 'retain.nll<=1.2x'
unlearnkit unlearn --model my-model --forget forget.jsonl --retain retain.jsonl --eval-every 10 --best model_utility
""",
)
@model_option
@click.option("--forget", required=True, metavar="DATA", help="What is to be forgotten.")
@click.option("--retain", metavar="DATA", help="What is to be kept, for algorithms that rehearse it.")
@click.option("--plugin", default="npo", show_default=True, metavar="NAME", help="The algorithm.")
@plugin_options
@click.option(
    "--sampler",
    default="uniform",
    show_default=True,
    metavar="NAME",
    help="Which samples are seen when; `plugins show` names the one that did best with an algorithm.",
)
@click.option(
    "-s",
    "--sampler-option",
    "sampler_option",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the sampler.",
)
@click.option("--wrapper", metavar="NAME", help="What is made of the algorithm's gradients: gru, ngdiff, sam, soul.")
@click.option(
    "-w", "--wrapper-option", "wrapper_option", multiple=True, metavar="KEY=VALUE", help="An option of the wrapper."
)
@adapter_options
@training_options(lr="the algorithm's, for the model's width", epochs="the algorithm's, or what --max-steps needs")
@watching_options
@evaluation_options
@unlearning_options
@dry_run_option
@template_options
@data_options
def command(
    place: Workplace, screen: Output, plugin: str,
    option: tuple[str, ...], sampler_option: tuple[str, ...], wrapper_option: tuple[str, ...],
    adapter_option: tuple[str, ...], **arguments: Any,
) -> None:  # fmt: skip
    """Take a forget set out of a model; writes a transformers folder and a record of every step.

    `--sampler mrd` draws samples by their difficulty and computes what scores the store lacks. `--sampler active` draws
    those alone that are not forgotten yet, and stops when all are.
    """
    options, sampler_options = key_values("-o", option), key_values("-s", sampler_option)
    from unlearnkit.runs.unlearn import prepared, unlearn

    forget, retain = arguments["forget"], arguments["retain"]
    asked = {
        **take_data(arguments),
        "algorithm": plugin,
        "options": options,
        "sampler_options": sampler_options,
        "wrapper_options": key_values("-w", wrapper_option),
        "adapter_options": key_values("-a", adapter_option),
        "schedule": take_schedule(arguments),
        **arguments,
    }
    if place.dry:
        from unlearnkit.runs.dry import unlearning

        show_plan(screen, unlearning(place, prepared(place, **asked), typed()))
        return
    found = unlearn(place, **asked)
    show_training(place, screen, found)
    kept = [] if retain is None else ["--retain", retain]
    screen.next(follow_up("eval", found.run, "--forget", forget, *kept, reads=True))
