"""Ids of runs."""

from __future__ import annotations

from ulid import ULID


def new_id() -> str:
    """A fresh id for a run: a ULID, 26 characters that sort by the time of making."""
    return str(ULID())
