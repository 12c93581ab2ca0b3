"""What of a run may be told to others: a path by its last part alone, a command without what is the user's own.

A name like `org/name` may be of the hub or of a folder. A run's request has folders by their absolute paths, so it
tells which it was, whatever is on this machine now.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.text import clean

if TYPE_CHECKING:
    from unlearnkit.store.records import Run

PRIVATE = ("--store",)
"""Options that a published command leaves out: their values are about the user's own machine."""
NAMED = ("model", "source", "reference")
"""Keys of a request that models and data stand under."""
_HUB = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)(@[\w./-]+|:[\w.-]+)?", re.ASCII)
"""A name on the hub, with a revision or a configuration."""
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*:)(//[^/]*@)?(?P<path>.*)", re.DOTALL)
"""A name that says what it is of, without who asks there."""


def public(name: str, *runs: Run) -> str:
    """A model, data set or file that some runs name, as it may be called in public."""
    return name if on_hub(name, *runs) else _last(name)


def on_hub(name: str, *runs: Run) -> str | None:
    """The repository on the hub that runs mean by a name, with or without a split in brackets; None where they mean
    something else."""
    bare = name.partition("[")[0]
    found = _HUB.fullmatch(bare)
    return found["repo"] if found and any(bare in _named(run.config.get("request")) for run in runs) else None


def command_of(*runs: Run) -> str:
    """The command that made some runs, quoted for a shell and on one line; "" where it was a Python call."""
    said = {run.config["request"].get("system_prompt") for run in runs if "request" in run.config}
    words: list[str] = []
    skip = False
    for word in runs[0].argv:
        if skip or word.partition("=")[0] in PRIVATE:
            skip = not skip and "=" not in word
            continue
        words.append(word if word in said else "=".join(public(part, *runs) for part in word.split("=", 1)))
    return clean(shlex.join(words))


def _last(name: str) -> str:
    """A path by its last part, behind its scheme where it has one."""
    found = _SCHEME.fullmatch(name)
    scheme, path = (found["scheme"], found["path"]) if found else ("", name)
    return scheme + (Path(path).name or path)


def _named(asked: Any) -> Iterator[str]:
    """The models and data of a request, however deep."""
    if isinstance(asked, Mapping):
        yield from (value for key in NAMED if isinstance(value := asked.get(key), str))
        yield from (name for value in asked.values() for name in _named(value))
    elif isinstance(asked, Sequence) and not isinstance(asked, str):
        yield from (name for value in asked for name in _named(value))
