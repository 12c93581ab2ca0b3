"""Who works on a run, and whether they still do.

A process that was killed cannot say so. It is therefore named by what nobody else can have: host, boot, process id and
start time. On its own host it is alive if exactly that process exists; from elsewhere, if its last beat is fresh.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

FRESH = 120.0
"""Seconds for which a beat from another host counts as a sign of life."""


def now() -> str:
    """The time, UTC, ISO 8601 with microseconds: as text it sorts as it passed."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


@dataclass(frozen=True)
class Process:
    host: str
    boot: str
    pid: int
    started: str
    """Start time in ticks since boot; empty where the system does not tell."""

    @classmethod
    def this(cls) -> Process:
        pid = os.getpid()
        return cls(socket.gethostname(), boot_id(), pid, _started(pid) or "")

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Process | None:
        """The one that a run's row names, where it names one."""
        return None if row["pid"] is None else cls(row["host"], row["boot"], row["pid"], row["started"])

    def alive(self, beat: str) -> bool:
        """Whether it still runs; `beat` is the last time that it wrote."""
        here = Process.this()
        if self.host != here.host:
            age = datetime.now(timezone.utc) - datetime.fromisoformat(beat)
            return age.total_seconds() < FRESH
        return self.boot == here.boot and self._exists()

    def gone(self) -> bool:
        """Whether it certainly runs no more. Of another host nobody here can say so, however long ago it wrote; nor of
        another boot, which may be another host of the same name."""
        here = Process.this()
        return (self.host, self.boot) == (here.host, here.boot) and not self._exists()

    def _exists(self) -> bool:
        return exists(self.pid) and (_started(self.pid) or "") == self.started


def exists(pid: int) -> bool:
    """Whether a process of that id runs on this host. One that was killed but not yet reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    fields = _stat(pid)
    return not fields or fields[0] not in {"Z", "X"}


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    fields = _stat(pid)
    return fields[19] if fields else None


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third on: the second is the command, which may hold spaces and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
