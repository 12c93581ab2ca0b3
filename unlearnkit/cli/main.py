"""The root command, and the one place where an error becomes text and an exit code.

Exit codes: 0 done · 1 failed · 2 usage · 3 not found · 4 threshold missed, rerun differs · 130 interrupted, resumable.
"""

from __future__ import annotations

import importlib
import io
import json
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import click

from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.text import clean

COMMANDS = {
    "demo": "Forget eight made-up people with a tiny model, from start to end.",
    "score": "Measure how hard each sample is to forget.",
    "unlearn": "Take a forget set out of a model.",
    "sweep": "Unlearn by every combination of some choices, and compare.",
    "finetune": "Teach a model a data set.",
    "eval": "Measure what a model still knows, per sample.",
    "suites": "List or describe suites of evaluation: metrics, data, columns.",
    "attack": "Try to bring back what was forgotten, per sample.",
    "import": "Read per-sample evaluation logs of other programs.",
    "certificate": "Say what was to be forgotten, what was measured, and what is not proven.",
    "report": "Show runs side by side, difficulty, and results by difficulty.",
    "export": "Write scores, results, texts or steps to a file.",
    "analyze": "Say what difficulty predicts, and how it bends a comparison.",
    "split": "Write a data set as files by difficulty.",
    "runs": "List, show, compare, repeat, tag or remove runs.",
    "resume": "Go on with an interrupted run.",
    "metrics": "Say what each number means.",
    "plugins": "List, describe, write or check plugins.",
    "store": "Show or check the store, or merge another one into it.",
    "completion": "Print the script that makes a shell complete this.",
    "doctor": "Check this installation and machine.",
}
"""Each command with its line in the help; `unlearnkit.cli.<name>_command` holds it."""

COMMAND_GROUP = "unlearnkit.commands"
"""Entry points that add commands."""


class ReaderLeft(Exception):  # noqa: N818 - as the errors of errors.py
    """Whoever read our output has seen enough."""


@contextmanager
def _noticing_readers_leave() -> Iterator[None]:
    """Click and rich both make a plain exit with code 1 of a closed pipe, click where nobody can tell any more why."""
    try:
        yield
    except (BrokenPipeError, SystemExit) as error:
        if any(isinstance(e, BrokenPipeError) for e in (error, error.__context__)):
            raise ReaderLeft from error
        raise


class Root(click.Group):
    """Imports a command when it is asked for."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _noticing_readers_leave():  # of help and version
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _noticing_readers_leave():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [*COMMANDS, *sorted(_extra_commands())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name in COMMANDS:
            command = importlib.import_module(f"unlearnkit.cli.{cmd_name}_command").command
        elif cmd_name in (extra := _extra_commands()):
            command = extra[cmd_name].load()
        else:
            return None
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, COMMANDS.get(name, "From a plugin.")) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and name not in COMMANDS and name not in (known := self.list_commands(ctx)):
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else "unlearnkit --help"
            raise BadInput(f'no command "{name}"', hint=hint)
        return super().resolve_command(ctx, args)


def _extra_commands() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=COMMAND_GROUP) if point.name not in COMMANDS}


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from unlearnkit.version import __version__

        click.echo(f"unlearnkit {__version__}")
        ctx.exit()


@click.command(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Show the version.")
def cli() -> None:
    """Difficulty-aware unlearning for language models.

    \b
    Try it:               unlearnkit demo
    How hard to forget?   unlearnkit score --model MODEL --data forget.jsonl
    Forget:               unlearnkit unlearn --model MODEL \\
                              --forget forget.jsonl --retain retain.jsonl
    Did it?               unlearnkit eval @last \\
                              --forget forget.jsonl --retain retain.jsonl
    Everything together:  unlearnkit report
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("TQDM_DISABLE", "1")  # the libraries' bars; our own says more
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that its encoding lacks is no reason to stop
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _talking():
            code = cli.main(args=arguments, prog_name="unlearnkit", standalone_mode=False)
        sys.stdout.flush()
    except (ReaderLeft, BrokenPipeError):
        # Keeps the interpreter from complaining when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except BaseException as error:
        sys.exit(_fail(error, arguments))
    sys.exit(code if isinstance(code, int) else 0)


@contextmanager
def _talking() -> Iterator[None]:
    """Our log, and the warnings of all libraries, as lines on stderr."""
    log, lines = logging.getLogger("unlearnkit"), _Lines()
    before = log.level
    log.addHandler(lines)
    log.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: log.warning("%s", message)
            yield
    finally:
        log.removeHandler(lines)
        log.setLevel(before)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        mark = "warning: " if record.levelno >= logging.WARNING else ""
        click.echo(mark + clean(record.getMessage()), err=True)


def _fail(error: BaseException, arguments: Sequence[str]) -> int:
    """Say what is wrong on stderr; the exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    code, message, hint, exit_code = _described(error)
    if "--debug" in arguments:
        traceback.print_exception(error)
    if _wants_json(arguments):
        print(json.dumps({"error": {"code": code, "message": message, "hint": hint}}), file=sys.stderr)
    else:
        print(f"error: {clean(message)}", file=sys.stderr)
        if hint:
            print(f"hint: {clean(hint)}", file=sys.stderr)
    return exit_code


def _described(error: BaseException) -> tuple[str, str, str | None, int]:
    if isinstance(error, UnlearnkitError):
        return error.code, error.message, error.hint, error.exit_code
    if isinstance(error, click.ClickException):
        usage = isinstance(error, click.UsageError)
        context = getattr(error, "ctx", None)
        hint = f"{context.command_path if context else 'unlearnkit'} --help" if usage else None
        return "usage" if usage else "failed", error.format_message().rstrip("."), hint, error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return (
            "interrupted",
            "interrupted; what was done is kept",
            "the same command goes on with it",
            130,
        )
    if isinstance(error, MemoryError):
        return "memory", "out of memory", "a smaller --batch-size", 1
    if isinstance(error, OSError) and error.strerror:
        named = f"{error.filename}: " if error.filename else ""
        return "system", f"{named}{error.strerror}", "--debug shows where", 1
    return (
        "internal",
        f"{type(error).__name__}: {error}",
        "--debug shows where; this is a bug in unlearnkit",
        1,
    )


def _wants_json(arguments: Sequence[str]) -> bool:
    pairs = zip(arguments, [*arguments[1:], ""], strict=False)
    return any(a in ("--format=json", "--format=jsonl") or (a == "--format" and b.startswith("json")) for a, b in pairs)
