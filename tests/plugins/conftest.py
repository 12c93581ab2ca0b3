from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent

import pytest

HEAD = """
from dataclasses import dataclass
from unlearnkit.contracts import Algorithm, Sampler
from unlearnkit.hookspecs import hookimpl
"""

ROOM = Path(__file__).parents[2] / "plugins"
"""Where distributions of their own lie."""


def installed_by_pip(distribution: str, target: Path) -> Path:
    """One of this repository's distributions, in a folder as pip leaves it, without what it depends on."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), str(ROOM / distribution)], check=True)
    return target


Install = Callable[[str, str], EntryPoint]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Write a module and get an entry point to it, as if its distribution were installed."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(module: str, source: str) -> EntryPoint:
        (tmp_path / f"{module}.py").write_text(HEAD + dedent(source))
        return EntryPoint(module, module, "unlearnkit")

    yield write
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]
