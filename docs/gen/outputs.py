"""What `--format json` prints, from its schema: a table for each command, then one for each object within."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from unlearnkit.report.outputs import schema

Schema = Mapping[str, Any]


def page() -> str:
    """Sections of commands with the same object stand together."""
    whole = schema()
    defs, commands = whole["$defs"], whole["commands"]
    outputs = {name for of in commands.values() for name in _named(of)}
    parts = ["## By command", _commands(commands)]
    parts += [_section(name, defs[name]) for name in sorted(outputs)]
    parts += ["## Objects within"]
    parts += [_section(name, of) for name, of in sorted(defs.items()) if name not in outputs]
    return "\n\n".join(parts)


def _commands(commands: Schema) -> str:
    rows = [f"| `{command}` | {' or '.join(map(_link, _named(of)))} |" for command, of in commands.items()]
    return "\n".join(["| command | its object |", "|---|---|", *rows])


def _section(name: str, of: Schema) -> str:
    about = [of["description"]] if "description" in of else []
    rows = [
        f"| `{key}` | {_type(value)} | {value.get('description', '')}{'' if key in of['required'] else ' (may lack)'} |"
        for key, value in of["properties"].items()
        if key != "format"
    ]
    more = of.get("additionalProperties")
    rows += [f"| *others* | {_type(more)} | by name |"] if more else []
    return "\n\n".join([f"### {name}", *about, "\n".join(["| key | | |", "|---|---|---|", *rows])])


def _named(of: Schema) -> Iterator[str]:
    for one in of.get("anyOf", [of]):
        yield one["$ref"].rpartition("/")[2]


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _type(of: Any) -> str:
    """A type in words."""
    if "$ref" in of:
        return _link(of["$ref"].rpartition("/")[2])
    if "anyOf" in of:
        return " or ".join(map(_type, of["anyOf"]))
    if "enum" in of or "const" in of:
        return ", ".join(f"`{word}`" for word in of.get("enum", [of.get("const")]))
    kind = of.get("type", "any")
    kinds = [kind] if isinstance(kind, str) else kind
    if kinds == ["array"]:
        return f"list of {_type(of['items'])}"
    if kinds == ["object"] and isinstance(of.get("additionalProperties"), dict):
        return f"object of {_type(of['additionalProperties'])}"
    return " or ".join(kinds)
