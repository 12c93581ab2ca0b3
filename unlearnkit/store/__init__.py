"""One file that remembers every score, run and result, so that nothing is computed twice.

`Store` is the only way in; what crosses the border are the frozen dataclasses of `records`. Names load on use, so
that importing `unlearnkit.store.records` brings no SQL along.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unlearnkit.store.ids import new_id
    from unlearnkit.store.store import Store

__all__ = ["Store", "new_id"]

_HOMES = {"Store": "unlearnkit.store.store", "new_id": "unlearnkit.store.ids"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
