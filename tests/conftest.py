"""What all tests share: no network, no terminal, a quiet machine, and the data that lie beside the project."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
SHARED = Path(os.environ.get("UNLEARNKIT_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing reaches out: a test that would ask a hub fails here, not by a time-out."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise OSError(f"a test tried to connect to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("UNLEARNKIT_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with TOFU and the reference numbers; skips where it is not there."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there: TOFU and the reference numbers are read in place")
    return SHARED


@pytest.fixture(scope="session")
def tofu(shared: Path) -> Path:
    return shared / "tofu"
