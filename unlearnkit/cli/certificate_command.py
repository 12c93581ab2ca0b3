"""`unlearnkit certificate RUN`, and `certificate verify FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unlearnkit.cli.common import follow_up, make_command
from unlearnkit.cli.output import Output
from unlearnkit.cli.params import ANY_TEXT
from unlearnkit.errors import UnlearnkitError

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace

NAME = "certificate"
"""Of the files in --out."""


class ByRun(click.Group):
    """What is no subcommand is a run, to issue a certificate of."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *self.get_help_option_names(ctx)):
            args = ["issue", *args]
        return super().parse_args(ctx, args)


@click.group("certificate", cls=ByRun)
def command() -> None:
    """Say what a run was to unlearn, what was measured, and what is not proven: `certificate RUN`, for whoever asked
    for erasure."""


model_option = click.option(
    "--model", metavar="FOLDER", help="Where the model lies now, if not where the run wrote it."
)


@make_command(
    "issue",
    examples="""
unlearnkit certificate @last
unlearnkit certificate 01JZ7Q --html certificate.html --json certificate.json
unlearnkit certificate 01JZ7Q --out certificates --for 'request 2031-17' --signed-by 'A. Officer'
""",
)
@click.argument("run", metavar="RUN")
@click.option("--out", metavar="FOLDER", help=f"Where {NAME}.html and {NAME}.json go.")
@click.option("--html", metavar="FILE", help="Where the page goes.")
@click.option("--json", "json_file", metavar="FILE", help="Where the document goes.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@model_option
@click.option("--for", "request", type=ANY_TEXT, metavar="TEXT", help="What it answers, such as a request's number.")
@click.option("--signed-by", type=ANY_TEXT, metavar="NAME", help="Whose name stands under it: a name, no signature.")
def issue_command(
    place: Workplace, screen: Output, run: str, out: str | None, html: str | None, json_file: str | None, force: bool,
    model: str | None, request: str | None, signed_by: str | None,
) -> None:  # fmt: skip
    """Issue a certificate of a complete unlearn run: data as hashes, method, weights, numbers before and after, attacks
    tried and not tried, and what is not proven. The model's folder is read again. (The word `issue` may be left out.)
    """
    from unlearnkit.report.certificate import issue, page
    from unlearnkit.report.written import check_files, write_files

    files = _places(out, html, json_file)
    check_files([file for _, file in files], force=force)
    found = issue(place, run, model=model, request=request, signed_by=signed_by)
    document = found.json()
    written = {"html": page(document), "json": found.text()}
    for file in write_files([(file, written[kind].encode) for kind, file in files], force=force):
        screen.say(f"written: {file}")
    if screen.tables:
        from unlearnkit.report.certificate.sheets import certificate_sheets

        for sheet in certificate_sheets(document):
            screen.console().print(sheet)
    else:
        screen.data(document, document["metrics"])
    kept = next((str(file) for kind, file in files if kind == "json"), "FILE")
    screen.next(follow_up("certificate", "verify", kept))


def _places(out: str | None, html: str | None, json_file: str | None) -> list[tuple[str, Path]]:
    """The files to write, by kind."""
    folder = [] if out is None else [("html", Path(out) / f"{NAME}.html"), ("json", Path(out) / f"{NAME}.json")]
    named = [(kind, Path(file)) for kind, file in (("html", html), ("json", json_file)) if file is not None]
    return [*folder, *named]


@make_command("verify", examples="unlearnkit certificate verify certificate.json")
@click.argument("file", metavar="FILE")
@model_option
def verify_command(place: Workplace, screen: Output, file: str, model: str | None) -> None:
    """Check a certificate's digest, and what it says against the store and the model where they are at hand. Exit code
    1 where something is not as it says.
    """
    from unlearnkit.report.certificate import verify

    checks = verify(place, file, model=model)
    rows = [check.json() for check in checks]
    if screen.tables:
        from unlearnkit.report.certificate.sheets import checks_sheet

        screen.console().print(checks_sheet(checks))
    else:
        screen.data({"checks": rows}, rows)
    if wrong := [check.what for check in checks if check.ok is False]:
        raise UnlearnkitError(f"not as the certificate says: {', '.join(wrong)}", code="certificate")


for member in (issue_command, verify_command):
    command.add_command(member)
