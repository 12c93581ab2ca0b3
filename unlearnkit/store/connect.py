"""Where a store is, and connections to it that lose nothing.

Out of the box SQLAlchemy on SQLite reads in one transaction and writes in another, and loses updates without a word.
Here a writer takes the lock before it reads (BEGIN IMMEDIATE) and waits for it; a reader sees one moment (BEGIN).
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from unlearnkit.errors import BadInput, UnlearnkitError

Mode = Literal["rw", "ro", "still"]
"""To write, to read, and to read a file that is to lie there afterwards as before, with nothing beside it."""
T = TypeVar("T")

log = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Seconds to wait for a lock. SQLite does not queue its waiters: five seconds were seen under eight writers."""

BRIEF = 1.0
"""Seconds to wait for it with what need not be written: it would only spare work another time."""

GUARDED = ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0")
"""What SQLite's own security page asks for before a file from elsewhere is read."""

WRITING = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "secure_delete=ON",
    "journal_size_limit=67108864",
)


@dataclass(frozen=True)
class Place:
    """A database's address. `path` is None for a server."""

    url: sa.URL
    path: Path | None

    def __str__(self) -> str:
        return str(self.path) if self.path else self.url.render_as_string(hide_password=True)


def locate(where: str | Path) -> Place:
    """What a path or URL means. Raises BadInput where it means nothing; never repeats a password."""
    text = os.fspath(where)
    if "://" not in text:
        return _file(text)
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise BadInput("the store's URL cannot be read", hint="use a path, or postgresql+psycopg://…") from None
    backend = url.get_backend_name()
    if backend == "sqlite":
        return _file(url.database or "")
    if backend != "postgresql":
        raise BadInput(f'no store on "{backend}"', hint="use a path, or postgresql+psycopg://…")
    return Place(url, None)


def _file(text: str) -> Place:
    if not text or text == ":memory:" or "\0" in text:
        raise BadInput("a store needs the path of a file", hint="for example --store unlearnkit.db")
    path = Path(text).expanduser().absolute()
    return Place(sa.URL.create("sqlite", database=str(path)), path)


# ------------------------------------------------------------------------------------------------------- connections


def sqlite_connection(
    path: Path, mode: Mode, *, pragmas: tuple[str, ...] = (), immutable: bool = False
) -> sqlite3.Connection:
    """A connection in autocommit mode: no transaction begins unless it is asked for. Never creates the file."""
    name = quote(os.fsencode(path)) + f"?mode={mode}" + ("&immutable=1" if immutable else "")
    connection = sqlite3.connect(
        f"file:{name}", uri=True, timeout=TIMEOUT, isolation_level=None, check_same_thread=False
    )
    try:
        # First, as switching to WAL needs a lock that another first opener may hold.
        connection.execute(f"PRAGMA busy_timeout={round(TIMEOUT * 1000)}")
        for pragma in (*GUARDED, *pragmas):
            answer = patiently(partial(_ask, connection, f"PRAGMA {pragma}"))
            if pragma.startswith("journal_mode") and answer != ("wal",):
                raise UnlearnkitError(
                    f"{path}: this file system cannot hold a write-ahead log",
                    hint="keep the store on a local disk",
                    code="network-fs",
                )
    except BaseException:
        connection.close()
        raise
    return connection


def _ask(connection: sqlite3.Connection, query: str) -> Any:
    return connection.execute(query).fetchone()


def _reading(path: Path, mode: Mode = "ro") -> sqlite3.Connection:
    """A connection that cannot write, for folders too in which SQLite may not make its own log."""
    if mode == "still" and not path.with_name(path.name + "-wal").exists():  # nobody has it open, or it is at rest
        return sqlite_connection(path, "ro", pragmas=("query_only=ON",), immutable=True)
    connection = sqlite_connection(path, "ro", pragmas=("query_only=ON",))
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        connection.close()
        if not isinstance(error, sqlite3.OperationalError):
            raise
        wal = path.with_name(path.name + "-wal")
        if wal.exists() and wal.stat().st_size:
            raise
        log.info("%s is read as it lies on the disk: nothing may be written beside it", path)
        return sqlite_connection(path, "ro", pragmas=("query_only=ON",), immutable=True)
    return connection


@contextmanager
def inspecting(path: Path, mode: Mode) -> Iterator[sqlite3.Connection]:
    """One moment of a file that may be anything: nothing is set that the file itself would remember."""
    connection = sqlite_connection(path, "rw") if mode == "rw" else _reading(path, mode)
    try:
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


def engine(place: Place, mode: Mode = "rw", *, foreign_keys: bool = True) -> sa.Engine:
    """An engine on the store. Its connections begin no transaction: see `reading` and `writing`."""
    if place.path is None:
        try:
            made = sa.create_engine(place.url, hide_parameters=True, pool_pre_ping=True)
        except (ImportError, sa.exc.ArgumentError) as error:
            raise UnlearnkitError(
                f"{place}: {error}", hint="pip install 'psycopg[binary]'", code="store-connection"
            ) from None
    else:
        path = place.path
        pragmas = (*WRITING, f"foreign_keys={'ON' if foreign_keys else 'OFF'}")
        made = sa.create_engine(
            "sqlite://",
            creator=lambda: sqlite_connection(path, "rw", pragmas=pragmas) if mode == "rw" else _reading(path, mode),
            poolclass=QueuePool,
            hide_parameters=True,
        )
        sa.event.listen(made, "begin", _begin)
    _engines.add(made)
    return made


def reading(engine: sa.Engine) -> sa.Engine:
    return engine.execution_options(begin="BEGIN")


def writing(engine: sa.Engine, wait: float | None = None) -> sa.Engine:
    """:param wait: seconds to wait for the lock, TIMEOUT where None."""
    return engine.execution_options(begin="BEGIN IMMEDIATE", wait=wait)


def raw(connection: sa.Connection) -> sqlite3.Connection:
    """SQLite's own connection under SQLAlchemy's."""
    found = connection.connection.dbapi_connection
    assert isinstance(found, sqlite3.Connection)
    return found


def _begin(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if begin := options.get("begin"):
        sqlite, wait = raw(connection), options.get("wait") or TIMEOUT
        sqlite.execute(f"PRAGMA busy_timeout={round(wait * 1000)}")
        patiently(lambda: sqlite.execute(begin), wait)


def patiently(action: Callable[[], T], wait: float | None = None) -> T:
    """Repeat what meets a lock: SQLite answers some at once, without waiting for its timeout."""
    end = time.monotonic() + (wait or TIMEOUT)
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= end:
                raise
            time.sleep(0.02)


_engines: weakref.WeakSet[sa.Engine] = weakref.WeakSet()


def _forget_connections() -> None:
    """A connection that two processes share corrupts the file; the parent's stay open, the child makes its own."""
    for made in _engines:
        made.dispose(close=False)


os.register_at_fork(after_in_child=_forget_connections)


# ------------------------------------------------------------------------------------------------------------ errors


@contextmanager
def plainly(place: Place) -> Iterator[None]:
    """Say what a database's error means for the one who has to act on it."""
    try:
        yield
    except sa.exc.StatementError as error:
        if isinstance(error, sa.exc.DBAPIError):
            raise _meaning(place, error.orig) from error
        # A value that a column type refused, before anything was sent.
        raise (error.orig or error) from None
    except sqlite3.Error as error:
        raise _meaning(place, error) from error


def _meaning(place: Place, error: BaseException | None) -> Exception:
    text = str(error)
    for mark, code, message, hint in MEANINGS:
        if mark in text:
            found = UnlearnkitError(f"{place}: {message}", hint=hint, code=code)
            if code == "busy" and place.path and (who := holder(place.path)):
                found.message += f", held by {who}"
            return found
    if "IntegrityError" in type(error).__name__:
        return ValueError(f"{text}: what a row names must be in the store before it")
    if place.path is None:
        first = text.splitlines()[0] if text else type(error).__name__
        return UnlearnkitError(f"{place}: {first}", code="store-connection")
    return UnlearnkitError(f"{place}: {text}", code="store")


MEANINGS = (
    (
        "locked",
        "busy",
        f"the store stayed locked for {TIMEOUT:.0f} s",
        "wait for the other process, or end it",
    ),
    (
        "malformed",
        "corrupt",
        "the file is damaged",
        "restore a copy, or the .bak file that an upgrade left beside it",
    ),
    ("not a database", "not-a-store", "not a store", "name another file with --store"),
    (
        "disk is full",
        "disk-full",
        "no space left on the disk",
        "free some and repeat the command: it goes on",
    ),
    (
        "readonly database",
        "read-only",
        "the store cannot be written",
        "check the permissions of file and folder",
    ),
    ("unable to open", "read-only", "the store cannot be opened", "check the permissions of file and folder"),
)
"""(part of the database's message, code, message, hint)."""


def holder(path: Path) -> str | None:
    """The process that holds the write lock, where Linux tells: it is a lock on byte 120 of the shared-memory file."""
    try:
        inode = path.with_name(path.name + "-shm").stat().st_ino
        locks = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for line in locks:
        match line.split():
            case [_, "POSIX", _, "WRITE", pid, file, first, last] if file.endswith(f":{inode}"):
                if int(first) <= 120 <= (1 << 63 if last == "EOF" else int(last)):
                    return f"process {pid}{_command(pid)}"
    return None


def _command(pid: str) -> str:
    try:
        words: list[Any] = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    return f" ({' '.join(words[:4]).strip()})"
