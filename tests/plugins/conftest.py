from __future__ import annotations

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
