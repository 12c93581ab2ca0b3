"""`unlearnkit attack`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from unlearnkit.cli.common import (
    data_options,
    dry_run_option,
    follow_up,
    make_command,
    plugin_options,
    take_columns,
    template_options,
)
from unlearnkit.cli.dry import show_plan, typed
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import WHOLE, Several, key_values

if TYPE_CHECKING:
    from unlearnkit.runs.attack import AttackReport
    from unlearnkit.runs.workplace import Workplace

ROLES = ("forget", "retain", "related")


@make_command(
    "attack",
    examples="""
unlearnkit attack relearn forgot --forget forget.jsonl -o k=4 -o steps=20 --reference retain-only
unlearnkit attack quantize @last --forget forget.jsonl -o bits=8,4
unlearnkit attack paraphrase forgot --forget forget.jsonl --retain retain.jsonl
unlearnkit attack sample forgot --forget forget.jsonl -o n=16
""",
)
@click.argument("attack", metavar="NAME")
@click.argument("model", metavar="MODEL|RUN")
@click.option("--forget", required=True, metavar="DATA", help="What was to be forgotten.")
@click.option("--retain", metavar="DATA", help="What was to be kept: paraphrase asks behind examples from it.")
@click.option("--related", metavar="DATA", help="Text about the same things: relearn teaches it, not forget samples.")
@plugin_options
@click.option("--metrics", type=Several(), metavar="NAME,…", help="What is measured (default: the attack's own).")
@click.option(
    "--reference", metavar="RUN|MODEL", help="A model that never saw the forget set; it goes through the same attack."
)
@click.option("--max-new-tokens", type=WHOLE, help="Longest generation (default: 200).")
@click.option("--batch-size", type=WHOLE, default=8, show_default=True, help="Samples in a forward pass.")
@dry_run_option
@template_options
@data_options
def command(place: Workplace, screen: Output, option: tuple[str, ...], **arguments: Any) -> None:
    """Try to bring back what was forgotten: relearn, quantize, paraphrase, sample, or a plugin's NAME.

    MODEL is a folder, a hub name, gguf:FILE, or the id of a run that wrote a model. The forget set is measured before
    the attack and under every condition of it. A killed attack goes on.
    """
    options = key_values("-o", option)
    from unlearnkit.data.samples import DataSpec
    from unlearnkit.runs.attack import carry_out, prepared

    columns = take_columns(arguments)
    sources = {role: arguments.pop(role) for role in ROLES}
    data = {role: DataSpec(source, **columns) for role, source in sources.items() if source is not None}
    made = prepared(place, data=data, options=options, **arguments)
    if place.dry:
        from unlearnkit.runs.dry import attacking

        show_plan(screen, attacking(place, made, typed()))
        return
    found = carry_out(place, made)
    show_attack(screen, found)
    screen.next(follow_up("report", found.run))


def show_attack(screen: Output, found: AttackReport) -> None:
    """What came back, and under which condition."""
    if screen.tables:
        from unlearnkit.report.attacks import attack_tables

        for table in attack_tables(found):
            screen.console().print(table)
    else:
        whole = found.json()
        screen.data(whole, whole["outcomes"])
    screen.say(f"{found.computed} samples measured, {found.from_store} from the store (run {found.run})")
