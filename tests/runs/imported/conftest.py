"""The logs that TOFU's authors published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def published(shared: Path) -> Path:
    return shared / "tofu_eval_logs"


@pytest.fixture(scope="session")
def log(published: Path) -> Callable[[str], dict[str, Any]]:
    """A published log by its model's name."""
    return lambda name: json.loads((published / f"llama2-7b_{name}.json").read_text("utf-8"))
