"""The logs that TOFU's authors published."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The first example pays for imports, and machines are shared: time is not what a property is about.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def logs(shared: Path) -> Callable[[str], Mapping[str, Any]]:
    """Per-sample logs by model, then split; "expected" holds what TOFU's own formulas give on them."""
    return lambda name: json.loads((shared / "tofu_eval_logs" / f"llama2-7b_{name}.json").read_text("utf-8"))
