"""How `--dry-run` is shown, and which options were typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from unlearnkit.cli.output import Output

if TYPE_CHECKING:
    from unlearnkit.runs.dry import Forecast

NAMES = {"plugin": "algorithm"}
"""Parameters whose argument of the use case has another name."""


def typed() -> set[str]:
    """What was given on the command line, by the names of the use case's arguments: "seed", "options.draws"."""
    context = click.get_current_context()
    found: set[str] = set()
    for param in context.command.params:
        name = str(param.name)
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        if name.endswith("option"):
            found |= {f"{name}s.{word.partition('=')[0]}" for word in context.params[name]}
        else:
            found.add(NAMES.get(name, name))
    return found


def show_plan(screen: Output, found: Forecast) -> None:
    """A command's plan; its rows are the stages of the work."""
    if screen.tables:
        from unlearnkit.report.dry import dry_sheets

        for sheet in dry_sheets(found):
            screen.console().print(sheet)
    else:
        screen.data(found.json(), found.json()["stages"])
    for warning in found.warnings:
        screen.progress().warn(warning)
    screen.say(f"{found.says}; nothing was written")
