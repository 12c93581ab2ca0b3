"""Texts that go through the model together do so in one pass here, so that passes can be counted."""

from __future__ import annotations

import pytest

from unlearnkit.training import joint


@pytest.fixture(autouse=True)
def one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint, "WORTH", 1.0)
