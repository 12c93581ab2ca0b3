"""A look at a store's newest runs for a shell that completes: in milliseconds, without SQLAlchemy, and with no trace.

A store that cannot be read at once has none.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from unlearnkit.text import clean

_ID = re.compile(r"[0-9A-Z]{26}")
_WORD = re.compile(r"[\w.:+/-]{1,100}")
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


@dataclass(frozen=True)
class Glimpse:
    """A run in a few words."""

    id: str
    kind: str
    method: str
    created: str

    @property
    def age(self) -> str:
        """How long ago it was made, in its largest whole unit."""
        try:
            seconds = (datetime.now(timezone.utc) - datetime.fromisoformat(self.created)).total_seconds()
        except (TypeError, ValueError):
            return ""
        unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size), ("s", 1))
        return f"{max(int(seconds // size), 0)} {unit} ago"


def newest(store: str, kinds: Collection[str] = (), limit: int = 50) -> list[Glimpse]:
    """The newest runs of a SQLite store, of some kinds or of all; none of a server's."""
    chosen = f"WHERE kind IN ({', '.join('?' * len(kinds))})" if kinds else ""
    query = f"SELECT id, kind, method, created FROM run {chosen} ORDER BY created DESC, id DESC LIMIT ?"  # noqa: S608 - marks alone
    rows = _rows(store, query, (*kinds, limit))
    return [Glimpse(str(row[0]), *(clean(str(x)) for x in row[1:])) for row in rows if _ID.fullmatch(str(row[0]))]


def tags(store: str) -> list[str]:
    """The tags of a SQLite store's runs that a shell takes for one word."""
    rows = _rows(store, "SELECT DISTINCT tag FROM run_tag ORDER BY tag LIMIT 200", ())
    return [str(tag) for (tag,) in rows if _WORD.fullmatch(str(tag))]


def _rows(store: str, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    path = Path(store).expanduser()
    if "://" in store or not path.is_file():
        return []
    # Without a log nobody writes, and the file may be read as it lies there: else SQLite would make files beside it.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"file:{quote(os.fsencode(path))}?{mode}", uri=True, timeout=0.2)) as db:
            db.execute("PRAGMA trusted_schema=OFF")
            return db.execute(query, values).fetchall()
    except sqlite3.Error:
        return []
