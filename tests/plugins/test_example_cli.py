"""The example distribution, installed through its entry point, unlearns by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Answer

from unlearnkit.plugins import plugins

EXAMPLE = Path(__file__).parents[2] / "plugins" / "unlearnkit-example"


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(EXAMPLE)], check=True)
    monkeypatch.syspath_prepend(site)
    plugins.cache_clear()
    yield
    plugins.cache_clear()


@pytest.mark.usefixtures("_installed")
def test_it_unlearns_by_name(
    cli: Callable[..., Answer], tiny_model_dir: Path, forget_file: Path, retain_file: Path
) -> None:
    (listed,) = cli("plugins", "show", "clipped-graddiff", "--format", "json").json["plugins"]
    assert (listed["distribution"], listed["version"]) == ("unlearnkit-example", "0.1.0")
    words = ["--model", tiny_model_dir, "--forget", forget_file, "--retain", retain_file, "--max-steps", 2]
    found = cli("unlearn", *words, "--plugin", "clipped-graddiff", "-o", "cap=2.5", "--format", "json").json
    assert (found["algorithm"], found["steps"]) == ("clipped-graddiff", 2)
    # Every sample of an untrained model is beyond the cap, so that is what the term says.
    assert found["terms"]["forget"] == -2.5
    assert (Path(found["model_dir"]) / "model.safetensors").is_file()
