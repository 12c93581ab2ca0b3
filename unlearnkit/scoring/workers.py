"""Scoring in several processes: each has the model to itself and measures whole draws; this one writes the store.

A unit's values are a function of the unit alone, so who measures it, when, and beside whom changes no bit. Workers are
started afresh (`spawn`) and load the model themselves. They answer to their parent only: signals are for it to notice.
A worker holds nothing that could be lost, so it is dismissed by killing it, and it ends by itself when its parent does.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from unlearnkit.contracts import Bench, Scorer, Unit
from unlearnkit.errors import UnlearnkitError
from unlearnkit.scoring.engine import Measured, timed

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from types import TracebackType

Begin = Callable[[], AbstractContextManager[tuple[Scorer, Bench]]]
"""What a worker begins with, and can be pickled: makes its process like the parent's, and gives what it works with."""

SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}
"""What a terminal or a scheduler sends to the parent and its workers alike."""
ENDING = 5.0
"""Seconds in which a worker that hung up ends."""


@dataclass(frozen=True)
class Failed:
    """Why a worker cannot go on, in words: an exception of somebody else's class may not survive being sent."""

    kind: type[UnlearnkitError]
    message: str
    hint: str | None
    code: str
    trace: str

    @classmethod
    def by(cls, error: BaseException) -> Failed:
        trace = traceback.format_exc()
        if not isinstance(error, UnlearnkitError):
            text = f"a worker failed: {type(error).__name__}: {error}"
            return cls(UnlearnkitError, text, None, "worker", trace)
        kind = next(base for base in type(error).__mro__ if base.__module__ == UnlearnkitError.__module__)
        return cls(kind, error.message, error.hint, error.code, trace)

    @property
    def error(self) -> UnlearnkitError:
        return self.kind(self.message, hint=self.hint, code=self.code)


@dataclass(frozen=True)
class Warned:
    text: str


@dataclass(frozen=True)
class Finished:
    """A worker has measured all that it was asked for."""


class Crew:
    """Workers that live as long as the context. Callable as the engine wants: units in, values out as they come."""

    def __init__(self, begin: Begin, workers: int, context: BaseContext | None = None) -> None:
        self._begin, self._workers = begin, workers
        self._context: Any = context or get_context("spawn")
        self._members: dict[Connection, Any] = {}

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel, member in self._members.items():
            channel.close()
            member.kill()
            member.join()
        self._members = {}

    @property
    def pids(self) -> list[int]:
        """The workers that have been started: as many as there was work for."""
        return [member.pid for member in self._members.values()]

    def _start(self) -> None:
        """One more worker, deaf from its first moment to signals that are for the parent."""
        ours, theirs = self._context.Pipe()
        member = self._context.Process(target=_work, args=(theirs, self._begin), daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            member.start()
            self._members[ours] = member
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()  # only the worker's own end is left open, so that its death is noticed

    def __call__(self, todo: Sequence[Unit]) -> Generator[Measured]:
        """Measure all of `todo`, in whatever order it comes.

        Raises:
            UnlearnkitError: a worker's own, or code "worker" where one ended or met an error of another kind.
        """
        parts = shares(todo, self._workers)
        while len(self._members) < len(parts):
            self._start()
        busy = list(self._members)[: len(parts)]
        for channel, part in zip(busy, parts, strict=True):
            self._send(channel, part)
        while busy:
            ready: list[Any] = connection.wait(busy)
            for channel in ready:
                message = self._receive(channel)
                if isinstance(message, Failed):
                    raise message.error from RuntimeError(f"in a worker:\n{message.trace}")
                if isinstance(message, Warned):
                    warnings.warn(message.text, stacklevel=2)
                elif isinstance(message, Finished):
                    busy.remove(channel)
                else:
                    yield message

    def _send(self, channel: Connection, part: list[Unit]) -> None:
        try:
            channel.send(part)
        except OSError as gone:
            raise self._death(channel) from gone

    def _receive(self, channel: Connection) -> Any:
        try:
            return channel.recv()
        except (EOFError, OSError) as gone:
            raise self._death(channel) from gone

    def _death(self, channel: Connection) -> UnlearnkitError:
        member = self._members[channel]
        member.join(ENDING)
        code = member.exitcode
        if code is None:
            how = "does not answer any more"
        else:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return UnlearnkitError(
            f"a worker (process {member.pid}) {how}; what was measured is kept",
            hint="each worker holds a model of its own: fewer --workers need less memory",
            code="worker",
        )


def shares(todo: Sequence[Unit], workers: int) -> list[list[Unit]]:
    """The work of each worker, at most `workers` lists: whole draws, both signs together, as noise is made once a draw.
    Where there are fewer draws than workers, a draw is split by shards."""
    groups: dict[tuple[int, ...], list[Unit]] = {}
    fewer = len({unit.draw for unit in todo}) < workers
    for unit in todo:
        groups.setdefault((unit.draw, unit.shard) if fewer else (unit.draw,), []).append(unit)
    pieces = list(groups.values())
    return [[unit for piece in pieces[i::workers] for unit in piece] for i in range(min(workers, len(pieces)))]


def _work(channel: Connection, begin: Begin) -> None:
    """The life of a worker: measure what comes until there is no one to measure for."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: channel.send(Warned(str(message)))
        try:
            with begin() as (scorer, bench):
                while True:
                    todo: list[Unit] = channel.recv()
                    with closing(timed(scorer.measure(bench, todo))) as units:
                        for measured in units:
                            channel.send(measured)
                    channel.send(Finished())
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return  # dismissed
        except BaseException as error:
            channel.send(Failed.by(error))


def _end_with_parent() -> None:
    """A parent that is killed cannot dismiss anybody."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
