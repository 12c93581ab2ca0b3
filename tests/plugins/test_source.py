"""An edit anywhere behind a plugin makes it another one, and an edit elsewhere does not."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from unlearnkit.plugins.source import source
from unlearnkit.scorers.mrd import MRD

FILES = {
    "__init__": "",
    "mine": "from .helper import twice\nfrom pack.base import Base\nclass Mine(Base): pass\n",
    "base": "class Base: pass\n",
    "helper": "def twice():\n    from pack import deeper\n",
    "deeper": "X = 1\n",
    "stranger": "Y = 1\n",
}


@pytest.mark.parametrize(("edited", "counts"), [(name, name != "stranger") for name in FILES if name != "__init__"])
def test_what_a_plugin_rests_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: str, counts: bool):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "pack").mkdir()

    def hashed() -> str:
        """As a process of its own finds it."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "pack"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return source(importlib.import_module("pack.mine").Mine)

    for name, text in FILES.items():
        (tmp_path / "pack" / f"{name}.py").write_text(text)
    before = hashed()
    assert hashed() == before
    (tmp_path / "pack" / f"{edited}.py").write_text(FILES[edited] + "# edited\n")
    assert (hashed() != before) is counts


def test_a_class_that_was_typed_has_no_source():
    typed = type("Typed", (MRD,), {"__module__": "__nowhere__"})
    assert source(typed) == ""
