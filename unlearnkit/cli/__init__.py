"""The command line: parse, one call into the use cases, render.

Commands are found by name and imported when they run, so that `--help` and completion stay instant.
"""

from __future__ import annotations

from unlearnkit.cli.main import main

__all__ = ["main"]
