"""Settings: `unlearnkit.toml` in the working folder, then environment variables `UNLEARNKIT_…`, then options.

Each is written once, below. A name that is not known is an error, since a misspelt setting is one that silently does
nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unlearnkit.errors import BadInput

if TYPE_CHECKING:
    from pydantic import PositiveInt

FILE = "unlearnkit.toml"
PREFIX = "UNLEARNKIT_"
ELSEWHERE = {"PLUGINS", "STRICT", "SHARED"}
"""Variables that other parts read: which plugins load and how strictly, and what the tests need."""
BATCH_SIZE = 8
"""Texts that go through a model at once where nobody says how many. Part of a score's identity, so one default serves
`score` and the samplers; here, so that who names scores loads nothing."""


@dataclass(frozen=True)
class Settings:
    """What holds for every command."""

    store: str = "unlearnkit.db"
    """Path of the SQLite store, or a database URL."""
    upgrade: bool = True
    """Whether an older store is brought to the newest schema, after a copy."""
    tofu_dir: Path | None = None
    """Folder of TOFU's splits as JSONL; without it `tofu:` reads the hub."""
    cache_dir: Path | None = None
    """Where fetched and converted models are kept."""
    plugin_file: Path | None = None
    """A Python file whose hooks are loaded too."""
    allow_download: bool = False
    """Whether hubs may be asked."""
    store_text: bool = False
    """Whether prompts, answers and generations are kept in the store."""
    threads: PositiveInt | None = None
    """CPU threads for torch; part of what makes two runs bit-identical."""
    fused: bool = True
    """Whether training takes log-probabilities from a fused cross-entropy where one is installed and there is a GPU."""
    parallel: Literal["ddp", "fsdp2"] | None = None
    """How processes that were launched together share a model; None: ddp, or what accelerate was told."""


def load_settings(folder: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings of a working folder and an environment.

    Raises:
        BadInput: code `settings`; an unknown key or variable, broken TOML, a value of the wrong type.
    """
    folder = folder or Path()
    environ = os.environ if environ is None else environ
    found: dict[str, tuple[Any, str]] = {}
    for key, value, where in (*_from_file(folder / FILE), *_from_environment(environ)):
        found[key] = (value, where)
    return replace(Settings(), **{key: _converted(key, value, where) for key, (value, where) in found.items()})


def _from_file(path: Path) -> list[tuple[str, Any, str]]:
    if not path.is_file():
        return []
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib  # type: ignore[no-redef]
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name}: {error}", code="settings") from error
    lines = text.splitlines()
    rows = []
    for key, value in table.items():
        line = next((i for i, text in enumerate(lines, 1) if text.split("=")[0].strip().strip('"[]') == key), 1)
        rows.append((_known(key, f"{path.name}:{line}: {key}"), value, f"{path.name}:{line}: {key}"))
    return rows


def _from_environment(environ: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    names = sorted(n for n in environ if n.startswith(PREFIX) and n.removeprefix(PREFIX) not in ELSEWHERE)
    return [(_known(name.removeprefix(PREFIX).lower(), name), environ[name], name) for name in names]


def _known(key: str, where: str) -> str:
    names = [f.name for f in fields(Settings)]
    if key in names:
        return key
    close = get_close_matches(key, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"settings: {', '.join(names)}"
    raise BadInput(f"{where}: no such setting", hint=hint, code="settings")


def _converted(key: str, value: Any, where: str) -> Any:
    from typing import get_type_hints

    from pydantic import PositiveInt, TypeAdapter, ValidationError

    types = get_type_hints(Settings, localns={"PositiveInt": PositiveInt}, include_extras=True)
    try:
        return TypeAdapter(types[key]).validate_python(value)
    except ValidationError as error:
        raise BadInput(f"{where} = {value!r}: {error.errors()[0]['msg'].lower()}", code="settings") from error
