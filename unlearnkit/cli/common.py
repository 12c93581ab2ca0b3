"""Options that several commands share, and what every command gets: a workplace and an output."""

from __future__ import annotations

import functools
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from unlearnkit.cli.output import FORMATS, Output
from unlearnkit.cli.params import ANY_TEXT, NOT_NEGATIVE, POSITIVE, SEED, SHARE, WHOLE, Command, key_values
from unlearnkit.errors import BadInput, Interrupted, NotFound
from unlearnkit.training.words import OPTIMIZERS, PRECISIONS, SCHEDULES, SHARINGS, leads, sharing

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def make_command(
    name: str | None = None,
    *,
    examples: str = "",
    together: bool = False,
    cls: type[Command] = Command,
    **attributes: Any,
) -> Callable[[Callable[..., Any]], Command]:
    """A command with examples at the end of its help, and with `--store`, `--format` and `--debug`; its function gets
    a `Workplace` and an `Output` first. One that runs `together` takes `--parallel`, and trains on all the processes
    that were launched; of others one process does it all."""

    def decorate(function: Callable[..., Any]) -> Command:
        @functools.wraps(function)
        def run(*, store: str | None, no_upgrade: bool, format_: str, debug: bool, **arguments: Any) -> Any:
            del debug  # read from the command line by whoever catches the error
            if not (together or leads()):
                return None
            out = Output(format_)
            with _workplace(store, no_upgrade, out, arguments) as place:
                if not leads():
                    return _follow(place)
                try:
                    with _leading(place, together):
                        return function(place, out, **arguments)
                except Interrupted as stop:
                    if stop.hint:
                        stop.hint = follow_up(*shlex.split(stop.hint)[1:])
                    raise

        epilog = "\b\nExamples:\n" + "\n".join(f"  {folded(line)}" for line in examples.strip().splitlines())
        parallel = click.option(
            "--parallel",
            type=click.Choice(SHARINGS),
            help="How the processes that torchrun launched share the model (default: ddp).",
        )
        for decorator in (
            *((parallel,) if together else ()),
            click.option("--debug", is_flag=True, help="Show where an error comes from."),
            click.option(
                "--format",
                "format_",
                type=click.Choice(FORMATS),
                default="table",
                help="Form of what goes to stdout.",
            ),
            click.option("--no-upgrade", is_flag=True, help="Refuse a store of an older version."),
            click.option("--store", metavar="PATH|URL", help="The store; default unlearnkit.db here."),
        ):
            run = decorator(run)
        made: Command = click.command(name, cls=cls, epilog=epilog if examples else None, **attributes)(run)
        return made

    return decorate


EXAMPLE_WIDTH = 76
"""Of a line of an example, behind its indent: help has 78 columns."""


def folded(command: str) -> str:
    """A command on as many lines as it takes, each but the last ending in a backslash, so that it can be typed as it
    stands. What is quoted stays on one line, and an option with its value."""
    lines = [""]
    for word in re.findall(r"(?:-\S+ (?=[^-]))?(?:'[^']*'|\S)+", command):
        if lines[-1] and len(lines[-1]) + len(word) + len(" \\ ") > EXAMPLE_WIDTH:
            lines.append("   ")
        lines[-1] += f" {word}" if lines[-1] else word
    return " \\\n  ".join(lines)


def _workplace(store: str | None, no_upgrade: bool, out: Output, arguments: dict[str, Any]) -> Any:
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.settings import load_settings

    chosen: dict[str, Any] = {
        "store": store,
        "upgrade": False if no_upgrade else None,
        "tofu_dir": _path(arguments.pop("tofu_dir", None)),
        "allow_download": arguments.pop("allow_download", None) or None,
        "store_text": arguments.pop("store_text", None) or None,
        "parallel": arguments.pop("parallel", None),
    }
    settings = replace(load_settings(), **{key: value for key, value in chosen.items() if value is not None})
    ways = {name: arguments.pop(name, False) for name in ("inexact", "dry")}
    return Workplace(settings, out.progress(), argv=("unlearnkit", *sys.argv[1:]), **ways)


def _leading(place: Any, together: bool) -> Any:
    """What holds while the process that talks to the user works."""
    if not together or sharing(place.settings.parallel) is None:
        return nullcontext()
    from unlearnkit.runs.following import leading

    return leading(place)


def _follow(place: Any) -> None:
    from unlearnkit.runs.following import follow

    follow(place)


def _path(value: str | None) -> Path | None:
    return None if value is None else Path(value)


READING = (
    "template", "system_prompt", "question_column", "answer_column", "text_column", "on_bad_row", "tofu_dir",
    "allow_download", "store_text",
)  # fmt: skip
"""Options of all commands that read data with a model."""


def follow_up(*words: str, reads: bool = False) -> str:
    """A command to type after the one that runs, quoted for a shell, with what was said to that one and is still meant:
    the store, and how data are read where this command `reads` some too."""
    said = click.get_current_context()
    line = ["unlearnkit", *words]
    for param in said.command.params:
        if param.name in (("store", *READING) if reads else ("store",)):
            value = said.params[param.name]
            if value is not None and said.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
                line += [param.opts[0]] if value is True else [param.opts[0], str(value)]
    return shlex.join(line)


def options(*decorators: Any) -> Decorator:
    """Several options as one decorator, shown in the order in which they are written."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


model_option = click.option(
    "--model",
    required=True,
    metavar="MODEL",
    help="A folder, a hub name, gguf:FILE, or run:ID for a run's model.",
)

reading_options = options(
    click.option("--question-column", metavar="NAME", help="Column of the prompts (default: question)."),
    click.option("--answer-column", metavar="NAME", help="Column of the answers (default: answer)."),
    click.option("--text-column", metavar="NAME", help="Column of plain text, without prompts."),
    click.option(
        "--on-bad-row",
        type=click.Choice(["fail", "skip"]),
        default="fail",
        help="What a row that cannot be used does.",
    ),
    click.option("--tofu-dir", metavar="FOLDER", help="Where tofu:NAME finds NAME.jsonl; else the hub."),
    click.option("--allow-download", is_flag=True, help="Hubs may be asked for models and data."),
)
data_options = options(
    reading_options,
    click.option("--store-text", is_flag=True, help="Keep prompts, answers and generations in the store."),
)

template_options = options(
    click.option(
        "--template",
        default="auto",
        metavar="NAME|FILE",
        help="chat, plain, openunlearning, or a file with {question}, {answer}, {eos}; auto: chat if there is one.",
    ),
    click.option("--system-prompt", type=ANY_TEXT, metavar="TEXT", help="System turn of a chat template."),
)

plugin_options = click.option(
    "-o",
    "--option",
    "option",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the plugin; repeatable.",
)

adapter_options = options(
    click.option(
        "--adapter", metavar="NAME",
        help="Train an addition to the weights instead of them, by default at a multiple of the rate: lora.",
    ),
    click.option(
        "-a", "--adapter-option", "adapter_option", multiple=True, metavar="KEY=VALUE",
        help="An option of the adapter; repeatable.",
    ),
)  # fmt: skip

dry_run_option = click.option(
    "--dry-run", "dry", is_flag=True,
    help="Say what would be done, what the store has of it and what it would take; do nothing and write nothing.",
)  # fmt: skip

where_option = click.option(
    "--where", metavar="CONDITION", type=ANY_TEXT,
    help="Only runs for which it holds: fields, options and numbers with = != < <= > >= ~, joined by and, or, not and "
    "brackets; docs/where.md has them all.",
)  # fmt: skip


def meant(place: Any, runs: Sequence[str], where: str | None) -> Sequence[str]:
    """The runs that were named, or those of `--where`; none where neither was said.

    Raises:
        BadInput: both were said; NotFound: code `run`, where the condition holds for none.
    """
    if where is None:
        return runs
    if runs:
        raise BadInput("RUN names runs, and so does --where", hint="one of the two", code="usage")
    from unlearnkit.runs.where import select

    if found := [run.id for run in select(place, where)]:
        return found
    raise NotFound(f"--where {where}: there is no such run", hint="unlearnkit runs list", code="run")


inexact_option = click.option("--inexact", is_flag=True, help="Go on even where the bits cannot be the same.")


def training_options(lr: str, epochs: str) -> Decorator:
    """Length, speed and place of a training run; `lr` and `epochs` say what stands for those that are not given."""
    return options(
        click.option("--lr", type=POSITIVE, help=f"Learning rate (default: {lr})."),
        click.option("--seed", type=SEED, default=0, show_default=True, help="Of order and dropout."),
        pace_options(epochs),
        click.option("--out", metavar="FOLDER", help="Where the model goes (default: a folder named after the run)."),
        click.option("--force", is_flag=True, help="Replace what is in --out."),
    )


def pace_options(epochs: str) -> Decorator:
    """Length and speed of a training run, but for what one run alone has: rate, seed and place."""
    return options(
        click.option("--epochs", type=WHOLE, help=f"Passes over the first set (default: {epochs})."),
        click.option("--max-steps", type=WHOLE, help="Stop after so many optimiser steps."),
        click.option("--batch-size", type=WHOLE, default=8, show_default=True, help="Samples in a forward pass."),
        click.option("--grad-accum", type=WHOLE, default=1, show_default=True, help="Forward passes in a step."),
        click.option(
            "--schedule", type=click.Choice(SCHEDULES), default="constant", show_default=True,
            help="How the learning rate falls.",
        ),
        click.option("--warmup", type=SHARE, default=0.0, show_default=True, help="Share of steps that warm up."),
        click.option("--weight-decay", type=NOT_NEGATIVE, default=0.01, show_default=True, help="Of all weights."),
        click.option("--max-grad-norm", type=NOT_NEGATIVE, default=1.0, show_default=True, help="0: no clipping."),
        click.option("--optimizer", type=click.Choice(OPTIMIZERS), help="The optimiser (default: adamw)."),
        click.option(
            "--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True,
            help="Of weights and arithmetic; mixed-bf16 has fp32 weights, bf16 keeps fp32 copies in the optimiser.",
        ),
        click.option("--gradient-checkpointing", is_flag=True, help="Less memory, a third more time."),
        click.option("--checkpoint-every", type=WHOLE, help="Steps between checkpoints (default: every 2 minutes)."),
    )  # fmt: skip


unlearning_options = options(
    click.option(
        "--threshold", type=POSITIVE, default=2.0, show_default=True, metavar="NATS",
        help="NLL per token from which on a sample counts as forgotten.",
    ),
    click.option(
        "--reference", metavar="RUN|MODEL",
        help="What never saw the forget set: an evaluation of it, or the model, which is evaluated first where it has "
        "not been. Each sample's threshold is taken from it, and forget quality is held against it.",
    ),
    click.option("--allow-overlap", is_flag=True, help="Forget and retain may share samples."),
)  # fmt: skip

watching_options = options(
    click.option(
        "--probe-every", type=WHOLE, metavar="STEPS",
        help="Record the NLL of every forget sample every so many steps, and at the start and the end.",
    ),
    click.option(
        "--until", multiple=True, metavar="CONDITION",
        help="End where it holds, such as 'forget.nll>=3' (nats per token); also forget.min_nll, the lowest of all. "
        "Looked at with the probes, once an epoch where nothing is said; repeatable.",
    ),
    click.option(
        "--keep", multiple=True, metavar="CONDITION",
        help="End where it does not hold, such as 'retain.nll<=1.2x' (times the start), with the last model that kept "
        "all; repeatable.",
    ),
    click.option(
        "--best", metavar="NAME",
        help="Write the model of the step that was best by this number, such as model_utility.",
    ),
    click.option(
        "--eval-every", type=WHOLE, metavar="STEPS",
        help="Evaluate every so many steps, and at the start and the end; conditions and --best may name the figures.",
    ),
)  # fmt: skip
"""Looks during training, and what they are for."""

evaluation_options = options(
    click.option(
        "--suite", "--eval-suite", "suite_name", default="tofu", show_default=True, metavar="NAME",
        help="What evaluations measure.",
    ),
    click.option(
        "--eval-data", multiple=True, metavar="SPLIT=DATA",
        help="What evaluations read besides, or instead of, --forget and --retain; repeatable.",
    ),
    click.option("--max-new-tokens", type=WHOLE, help="Longest generation in evaluations (default: the suite's)."),
)  # fmt: skip

SCHEDULE_KEYS = (
    "epochs", "max_steps", "lr", "batch_size", "grad_accum", "schedule", "warmup", "weight_decay", "max_grad_norm",
    "seed", "optimizer", "precision", "gradient_checkpointing", "checkpoint_every",
)  # fmt: skip


def take_schedule(arguments: dict[str, Any]) -> Any:
    """The training options among the arguments, checked; they are taken out."""
    from unlearnkit.runs.training import Schedule

    return Schedule(**{key: arguments.pop(key) for key in SCHEDULE_KEYS})


def take_data(arguments: dict[str, Any]) -> dict[str, Any]:
    """What a command unlearns, keeps and evaluates: `forget`, `retain` and `eval_data`, read by the same columns. They
    are taken out of the arguments."""
    from unlearnkit.data.samples import DataSpec

    columns = take_columns(arguments)
    forget, retain = arguments.pop("forget"), arguments.pop("retain")
    others = key_values("--eval-data", arguments.pop("eval_data"))
    return {
        "forget": DataSpec(forget, **columns),
        "retain": None if retain is None else DataSpec(retain, **columns),
        "eval_data": {split: DataSpec(source, **columns) for split, source in others.items()},
    }


def take_columns(arguments: dict[str, Any]) -> dict[str, Any]:
    """How rows are read: options that hold for all data sets of a command. They are taken out of the arguments."""
    return {key: arguments.pop(key) for key in ("question_column", "answer_column", "text_column", "on_bad_row")}
