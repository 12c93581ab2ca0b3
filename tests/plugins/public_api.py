"""The plugin API as text: every public name with its fields, methods and signatures.

`cd tests && python -m plugins.public_api` writes `public_api.txt` again."""

from __future__ import annotations

import ast
import enum
import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from unlearnkit.contracts import API_VERSION

SNAPSHOT = Path(__file__).with_suffix(".txt")

MODULES = (
    "unlearnkit",
    "unlearnkit.contracts",
    "unlearnkit.errors",
    "unlearnkit.extend.commands",
    "unlearnkit.extend.evaluations",
    "unlearnkit.extend.models",
    "unlearnkit.extend.trackers",
    "unlearnkit.hookspecs",
    "unlearnkit.losses",
    "unlearnkit.options",
    "unlearnkit.store.records",
    "unlearnkit.testing",
    "unlearnkit.testing.material",
    "unlearnkit.testing.tracker",
)
"""Where a distribution may import from."""

_SHOWN = (*MODULES, "abc", "builtins", "unlearnkit.testing.contract")
"""Whose classes say something as a base of another."""


def names(module: ModuleType) -> list[str]:
    """What a module offers: what it lists, or else what it defines."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(listed)
    return sorted(name for node in ast.parse(inspect.getsource(module)).body for name in _defined(node))


def text() -> str:
    """The whole API, one line a name."""
    parts = [f"API {API_VERSION}"]
    for name in MODULES:
        module = import_module(name)
        parts.append(f"\n{name}")
        for each in names(module):
            parts += [f"  {line}" for line in _lines(each, getattr(module, each))]
    return "\n".join(parts) + "\n"


def _defined(node: ast.stmt) -> Iterator[str]:
    """Public names that a statement of a module defines; what it imports is another's."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    found = [target.id for target in targets if isinstance(target, ast.Name)]
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        found = [node.name]
    return (name for name in found if not name.startswith("_"))


def _lines(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, ModuleType):
        yield f"module {name}"
    elif inspect.isclass(value):
        bases = [base.__name__ for base in value.__bases__ if base is not object and base.__module__ in _SHOWN]
        yield f"class {name}({', '.join(bases)})" if bases else f"class {name}"
        yield from (f"  {line}" for line in _members(value))
    elif callable(value) and hasattr(value, "__name__"):
        yield f"def {name}{_signature(value)}"
    else:
        yield name


def _members(value: type) -> Iterator[str]:
    """Fields with whether they must be given, annotated attributes, methods; by name."""
    needed = {field.name: field.default is MISSING and field.default_factory is MISSING for field in _fields(value)}
    annotated = inspect.get_annotations(value)
    found = {name: f"{name}: {kind}{'' if needed.get(name, True) else ' = …'}" for name, kind in annotated.items()}
    for name, member in vars(value).items():
        inner = getattr(member, "__func__", getattr(member, "fget", member))
        if name.startswith("_") and name != "__call__":
            continue
        if isinstance(member, property):
            found[name] = f"property {name}{_signature(inner)}"
        elif inspect.isfunction(inner):
            abstract = "abstract " if getattr(member, "__isabstractmethod__", False) else ""
            found[name] = f"{abstract}def {name}{_signature(inner)}"
        elif name not in found:
            found[name] = name
    return (found[name] for name in sorted(found) if not name.startswith("_"))


def _fields(value: type) -> Any:
    return fields(value) if is_dataclass(value) and not issubclass(value, enum.Enum) else ()


def _signature(function: Any) -> str:
    try:
        return re.sub(r"<[^<>]* at 0x\w+>", "…", str(inspect.signature(function)).replace("'", ""))
    except ValueError:
        return "(…)"


if __name__ == "__main__":
    SNAPSHOT.write_text(text(), encoding="utf-8")
