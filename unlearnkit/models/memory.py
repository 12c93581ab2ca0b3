"""Memory that this process may take."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def allowed(groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process may take at most: the machine's, or fewer where its control group or one above it says
    so, in version 1 or 2. A container may know its group by the host's name, under which it sees none: its own is then
    the one at the top."""
    import psutil

    found: list[int] = [psutil.virtual_memory().total]
    with suppress(OSError):  # a system without control groups
        for line in groups.read_text(encoding="utf-8").splitlines():
            _, kinds, path = line.split(":", 2)
            if not kinds:
                top, name = root, "memory.max"
            elif "memory" in kinds.split(","):
                top, name = root / "memory", "memory.limit_in_bytes"
            else:
                continue
            own = Path(path.strip("/"))
            for group in (own, *own.parents):
                with suppress(OSError, ValueError):  # no such group, or no limit
                    found.append(int((top / group / name).read_text(encoding="ascii")))
    return min(found)
