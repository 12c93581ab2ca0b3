"""What a plugin's numbers depend on in code: the file of its class, those of what it inherits, and the modules of the
same packages that these import."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path

from unlearnkit import contracts


@cache  # what runs is the file as it was imported, whatever is written to it later
def source(plugin: type) -> str:
    """SHA-256 over the files behind a class; empty where it was typed and is in none."""
    files: dict[str, bytes] = {}
    todo = [base.__module__ for base in plugin.__mro__ if base.__module__ != contracts.__name__]
    while todo:
        name = todo.pop()
        if name in files or (file := _file(name)) is None:
            continue
        files[name] = file.read_bytes()
        todo += _beside(name, files[name])
    if _file(plugin.__module__) is None:
        return ""
    parts = [hashlib.sha256(text).hexdigest() for _, text in sorted(files.items())]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _file(name: str) -> Path | None:
    """The Python file of a module that is no part of Python itself."""
    if name.partition(".")[0] in sys.stdlib_module_names:
        return None
    path = getattr(sys.modules.get(name), "__file__", None)
    if path is None:
        try:
            spec = find_spec(name)
        except (ImportError, ValueError):
            return None
        path = spec.origin if spec else None
    return Path(path) if path and path.endswith(".py") and Path(path).is_file() else None


def _beside(name: str, text: bytes) -> Iterator[str]:
    """Modules of the same package that a module imports, at its head or in a function."""
    package = name.rpartition(".")[0]
    if not package:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            named = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (module for module in named if module.startswith(f"{package}."))
