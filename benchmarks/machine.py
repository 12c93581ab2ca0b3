"""What all benchmarks measure with: clocks, memory, and lines that say whether a target is met."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Clock = Callable[[], float]


def clock_for(threads: int) -> tuple[Clock, str]:
    """A clock that other work on the machine does not spoil, where there is one, and what it counts. Of several threads
    processor time tells the sum, not how long they took."""
    return (time.process_time, "processor seconds") if threads == 1 else (time.perf_counter, "wall seconds")


def timed(work: Callable[[], Any], clock: Clock) -> float:
    began = clock()
    work()
    return clock() - began


@dataclass
class Memory:
    before: float = 0.0
    highest: float = 0.0


@contextmanager
def peak() -> Iterator[Memory]:
    """The highest resident memory in here: Linux keeps it, and begins anew when 5 is written to clear_refs."""
    Path("/proc/self/clear_refs").write_text("5")
    found = Memory(before=resident())
    yield found
    found.highest = status("VmHWM")


def resident() -> float:
    return status("VmRSS")


def status(key: str) -> float:
    """Bytes that Linux says of this process."""
    lines: Sequence[str] = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{key}:"))
    return float(line.split()[1]) * 1024


def heading(text: str) -> None:
    print(f"\n{text}", flush=True)


def row(what: str, seconds: float, of: float | None = None) -> None:
    share = "" if of is None else f"  {seconds / of:6.1%}"
    print(f"  {what:<58}{seconds:8.2f}{share}", flush=True)


def verdict(what: str, value: float, most: float, form: str = "{:.3f}") -> None:
    met = "met" if value <= most else "missed"
    print(f"  {what}: {form.format(value)}; target ≤ {form.format(most)}: {met}", flush=True)
