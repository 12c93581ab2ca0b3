"""Every command with its options, from click's own objects."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from unlearnkit.cli.main import COMMANDS, cli


def page() -> str:
    """The options that all commands share, then a section for each command."""
    found = list(_leaves())
    shared = set.intersection(*(set(_options(context)) for context in found))
    parts = ["## What every command takes", _listed({k: v for k, v in _options(found[0]).items() if k in shared})]
    return "\n\n".join([*parts, *(_section(context, shared) for context in found)])


def _leaves() -> Iterator[click.Context]:
    """A context of each of the kit's own commands that does something."""
    root = cli.context_class(cli, info_name="unlearnkit")
    for name in COMMANDS:
        command = cli.get_command(root, name)
        assert command is not None
        context = command.context_class(command, info_name=name, parent=root)
        if isinstance(command, click.Group):
            yield from (c.context_class(c, info_name=member, parent=context) for member, c in command.commands.items())
        else:
            yield context


def _section(context: click.Context, shared: set[str]) -> str:
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    own = {names: text for names, text in _options(context).items() if names not in shared}
    examples = (line[2:] for line in (command.epilog or "").splitlines() if line.startswith("  "))
    parts = [
        f"## `{context.command_path}`",
        inspect.cleandoc(command.help or ""),
        f"`{usage}`",
        _listed(own),
        "```console\n" + "\n".join(line if line.startswith(" ") else f"$ {line}" for line in examples) + "\n```",
    ]
    return "\n\n".join(part for part in parts if part)


def _options(context: click.Context) -> dict[str, str]:
    """Names and placeholder of each option, to its help, as `--help` shows both."""
    records = (param.get_help_record(context) for param in context.command.params)
    return dict(record for record in records if record)


def _listed(options: dict[str, str]) -> str:
    return "\n".join(f"- `{names}`: {' '.join(text.split())}" for names, text in options.items())
