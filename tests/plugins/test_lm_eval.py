"""The distribution for lm-eval, installed by pip: its command is there, and its own tests pass where lm-eval is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Answer

from unlearnkit.plugins import plugins

from .conftest import ROOM, installed_by_pip

FOLDER = ROOM / "unlearnkit-lm-eval"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed_by_pip(FOLDER.name, tmp_path_factory.mktemp("site"))


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(site)
    plugins.cache_clear()
    yield
    plugins.cache_clear()


@pytest.mark.usefixtures("installed")
def test_it_adds_a_command_and_a_metric_and_needs_lm_eval_for_neither(cli: Callable[..., Answer]):
    assert "lm-eval" in cli("--help").out
    assert "--tasks" in cli("lm-eval", "--help").out
    names = {plugin["name"] for plugin in cli("plugins", "--kind", "metric", "--format", "json").json["plugins"]}
    assert "lm-eval" in names
