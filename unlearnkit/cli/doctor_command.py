"""`unlearnkit doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from unlearnkit.cli.common import make_command
from unlearnkit.cli.output import Output

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace


@make_command("doctor", examples="unlearnkit doctor")
def command(place: Workplace, screen: Output) -> int:
    """Check this installation and machine: versions, device, memory, plugins, store. Exit code 1 if something fails."""
    from unlearnkit.runs.doctor import examine

    checks = examine(place)
    rows = [asdict(check) for check in checks]
    if screen.tables:
        from unlearnkit.report.tables import plain_table

        screen.console().print(plain_table([{**row, "ok": "ok" if row["ok"] else "FAILS"} for row in rows]))
    else:
        screen.data({"checks": rows}, rows)
    return 0 if all(check.ok for check in checks) else 1
