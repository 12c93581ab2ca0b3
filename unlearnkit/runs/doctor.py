"""`doctor`: what this installation has, and whether it works together."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnkit.errors import NotFound, UnlearnkitError
from unlearnkit.training.words import fused_packages, fusing

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace

PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "sqlalchemy",
    "alembic",
    "pluggy",
    "click",
    "rich",
)


NO_TOFU = "no folder named by --tofu-dir or UNLEARNKIT_TOFU_DIR: from the hub's cache, or with --allow-download the hub"


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    what: str
    ok: bool
    found: str


def examine(place: Workplace) -> list[Check]:
    """Look at versions, device, memory, disk, SQLite, plugins and the store; changes nothing."""
    return [
        Check("Python", sys.version_info >= (3, 10), platform.python_version()),
        *_packages(),
        *_tried("device", _device),
        *_tried("load", _load),
        *_tried("fused cross-entropy", lambda: _fused(place)),
        *_tried("memory", _memory),
        *_tried("disk here", lambda: f"{shutil.disk_usage(Path()).free / 2**30:.1f} GiB free"),
        *_tried("SQLite", _sqlite),
        *_plugins(place),
        *_tried("store", lambda: _store(place)),
        *_tried("TOFU", lambda: str(place.settings.tofu_dir or NO_TOFU)),
    ]


def _tried(what: str, look: Callable[[], str]) -> Iterator[Check]:
    try:
        yield Check(what, True, look())
    except Exception as error:
        yield Check(what, False, error.message if isinstance(error, UnlearnkitError) else str(error))


def _packages() -> Iterator[Check]:
    for name in PACKAGES:
        try:
            yield Check(name, True, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Check(name, False, "not installed")


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return f"{torch.cuda.device_count()} × {properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    return f"CPU, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"


def _load() -> str:
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    busy = "; others keep them busy, so fewer threads may be faster: UNLEARNKIT_THREADS=1" if load > cores else ""
    return f"{load:.1f} on {cores} cores{busy}"


def _fused(place: Workplace) -> str:
    import torch

    packages, asked = fused_packages(), place.settings.fused
    if packages is None:
        return "not installed; training on a GPU does without: pip install unlearnkit[fused]"
    if fusing(asked, cuda=torch.cuda.is_available()) is None:
        return f"{packages}: not used, {'it needs a GPU' if asked else 'the setting `fused` is off'}"
    return f"{packages}: used in training, with models whose logits are their head's alone"


def _memory() -> str:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{pages / 2**30:.1f} GiB in all"


def _sqlite() -> str:
    import sqlite3

    if sqlite3.sqlite_version_info < (3, 37):
        raise RuntimeError(f"{sqlite3.sqlite_version}: STRICT tables need 3.37")
    return sqlite3.sqlite_version


def _plugins(place: Workplace) -> Iterator[Check]:
    broken = place.plugins.broken()
    yield Check("plugins", not broken, "; ".join(map(str, broken)) or "all load")


def _store(place: Workplace) -> str:
    from unlearnkit.store import Store

    try:
        store = Store.open(place.settings.store, readonly=True)
    except NotFound:
        return f"{place.settings.store}: none yet; the first run makes it"
    except UnlearnkitError as error:
        if error.code != "store-older":
            raise
        return f"{place.settings.store}: of an older schema; the next command that opens it for work upgrades it"
    with store:
        faults = [finding.message for finding in store.check() if not finding.harmless]
        if faults:
            raise RuntimeError("; ".join(faults))
        return f"{place.settings.store}: sound, {sum(store.info()['runs'].values())} runs"
