"""The plugin API changes on purpose alone, and distributions use nothing else."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from .conftest import ROOM
from .public_api import MODULES, SNAPSHOT, names, text

SOURCES = sorted(path for path in ROOM.glob("*/**/*.py") if "tests" not in path.parts)


def test_the_api_is_as_it_was():
    before, now = SNAPSHOT.read_text(encoding="utf-8"), text()
    changed = difflib.unified_diff(before.splitlines(), now.splitlines(), "frozen", "now", lineterm="", n=1)
    assert before == now, (
        "\n".join(changed) + "\n\nThe plugin API has changed. Bump API_VERSION in unlearnkit/contracts.py: minor for "
        "additions, major for changes; then write the frozen one again: cd tests && python -m plugins.public_api"
    )


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """What a file takes from the kit: (module, name), the name empty for the module itself."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "unlearnkit":
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "unlearnkit")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOM)))
def test_distributions_use_the_public_api_alone(path: Path):
    for module, name in imported(path):
        assert module in MODULES, f"{module} is not public"
        assert not name or name in names(import_module(module)), f"{module}.{name} is not public"


def test_the_check_of_imports_sees_what_is_not_public(tmp_path: Path):
    file = tmp_path / "x.py"
    file.write_text("import unlearnkit.runs\ndef f():\n    from unlearnkit.cli.main import cli\n    import torch\n")
    assert list(imported(file)) == [("unlearnkit.runs", ""), ("unlearnkit.cli.main", "cli")]
    assert len(SOURCES) >= 8
