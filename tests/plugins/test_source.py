"""An edit anywhere behind a plugin makes it another one, and an edit elsewhere does not."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from unlearnkit.metrics.repetition import Repetition
from unlearnkit.plugins.source import behind, source
from unlearnkit.scorers.mrd import MRD
from unlearnkit.scorers.ngram_overlap import NgramOverlap

FILES = {
    "__init__": "",
    "plugins/__init__": "",
    "plugins/mine": "from .helper import twice\nfrom pack.base import Base\nclass Mine(Base): pass\n",
    "plugins/helper": "def twice():\n    from pack.plugins import deeper\n",
    "plugins/deeper": "import pack.words\nfrom pack.common import inner\nX = 1\n",
    "base": "class Base: pass\n",
    "words": "import json\n",
    "common/__init__": "from . import innermost\n",
    "common/inner": "Y = 1\n",
    "common/innermost": "Z = 1\n",
    "innermost": "W = 1\n",
    "plugins/stranger": "Y = 1\n",
}
STRANGERS = ("innermost", "plugins/stranger")


@pytest.mark.parametrize(("edited", "counts"), [(name, name not in STRANGERS) for name in FILES if FILES[name]])
def test_what_a_plugin_rests_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: str, counts: bool):
    monkeypatch.syspath_prepend(tmp_path)

    def hashed() -> str:
        """As a process of its own finds it."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "pack"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return source(importlib.import_module("pack.plugins.mine").Mine)

    for name, text in FILES.items():
        file = tmp_path / "pack" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    before = hashed()
    assert "pack.words" not in sys.modules, "nothing is imported for it"
    assert hashed() == before
    (tmp_path / "pack" / f"{edited}.py").write_text(FILES[edited] + "# edited\n")
    assert (hashed() != before) is counts


@pytest.mark.parametrize("plugin", [NgramOverlap, Repetition])
def test_what_finds_words_counts_and_what_all_plugins_share_does_not(plugin: type):
    found = behind(plugin).keys()
    assert "unlearnkit.words" in found
    assert not found & {"unlearnkit.contracts", "unlearnkit.options", "unlearnkit.errors"}


def test_a_class_that_was_typed_has_no_source():
    typed = type("Typed", (MRD,), {"__module__": "__nowhere__"})
    assert source(typed) == ""
