"""`unlearnkit completion`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import make_command
from unlearnkit.cli.output import Output

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace

HOW = {
    "bash": 'in ~/.bashrc:  eval "$(unlearnkit completion bash)"',
    "zsh": 'in ~/.zshrc, behind compinit:  eval "$(unlearnkit completion zsh)"',
    "fish": "once:  unlearnkit completion fish > ~/.config/fish/completions/unlearnkit.fish",
}
"""How each shell is told, in the script's first line."""

CHANGES = {
    "bash": (("COMPREPLY+=($value)", "COMPREPLY+=($value)\n            [[ $value == *= ]] && compopt -o nospace"),),
    "zsh": (
        ("local -a response\n", "local -a response\n    local -a suffix\n"),
        ('completions_with_descriptions+=("$key":"$descr")', 'completions_with_descriptions+=("$key":"$descr")\n'
         '                [[ "$key" == *= ]] && suffix=(-S "")'),
        ("_describe -V unsorted completions_with_descriptions -U", "_describe -V unsorted completions_with_descriptions"
         ' -U "${suffix[@]}"'),
    ),
    "fish": (("complete --no-files", "complete --keep-order --no-files"),),
}  # fmt: skip
"""What is changed in click's scripts: values follow an option's `key=` without a space, and runs stay as they come."""


@make_command(
    "completion",
    examples="""
unlearnkit completion bash
unlearnkit completion fish > unlearnkit.fish
""",
)
@click.argument("shell", type=click.Choice(list(HOW)))
def command(place: Workplace, screen: Output, shell: Any) -> None:
    """Print the script that makes a shell complete commands, options, plugins, option keys, runs, metrics and suites.

    Its first line says where it goes. What is completed is looked up at every TAB, without a model library and without
    making a store.
    """
    del place
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    script = f"# {HOW[shell]}\n{kind(root, {}, 'unlearnkit', '_UNLEARNKIT_COMPLETE').source()}"
    for plain, changed in CHANGES[shell]:
        script = script.replace(plain, changed)
    if screen.tables:
        click.echo(script)
    else:
        screen.data({"shell": shell, "script": script}, [{"script": script}])
