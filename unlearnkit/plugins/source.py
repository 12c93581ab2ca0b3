"""What a plugin's numbers depend on in code: the file of its class, those of what it inherits, and the modules that
these import from their own top-level package. The kit's plugin API, in which all are written, is not among them: its
version stands for it."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

API = {f"unlearnkit.{name}" for name in ("contracts", "errors", "losses", "options")}


@cache  # what runs is the file as it was imported, whatever is written to it later
def source(plugin: type) -> str:
    """SHA-256 over the files behind a class; empty where it was typed and is in none."""
    files = behind(plugin)
    if plugin.__module__ not in files:
        return ""
    parts = [hashlib.sha256(text).hexdigest() for _, text in sorted(files.items())]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def behind(plugin: type) -> dict[str, bytes]:
    """The modules behind a class, with their text. Imports none of them."""
    files: dict[str, bytes] = {}
    todo = [base.__module__ for base in plugin.__mro__]
    while todo:
        name = todo.pop()
        if name not in files and name not in API and (file := _file(name)) is not None:
            files[name] = file.read_bytes()
            todo += _imported(name if file.name == "__init__.py" else name.rpartition(".")[0], files[name])
    return files


def _file(name: str) -> Path | None:
    """The Python file of a module that is no part of Python itself; of one that is not imported yet, where its package
    lies."""
    top, *rest = name.split(".")
    if top in sys.stdlib_module_names:
        return None
    found = [getattr(sys.modules.get(name), "__file__", None) or ""]
    for folder in getattr(sys.modules.get(top), "__path__", ()):
        path = Path(folder, *rest)
        found += [f"{path}.py", f"{path}/__init__.py"]
    return next((Path(path) for path in found if path.endswith(".py") and Path(path).is_file()), None)


def _imported(package: str, text: bytes) -> Iterator[str]:
    """What a module of a package imports from the same top-level package, at its head or in a function."""
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
        yield from (name for name in named if name.startswith(f"{package.partition('.')[0]}."))
