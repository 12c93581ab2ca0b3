"""The system's Chromium, and a report for it to open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from filled import fill

import unlearnkit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a window, with a profile of its own; skips where it or its driver is not installed."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install unlearnkit[browser]"
    )
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not on the path: apt-get install chromium")
    with api.sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=chromium, args=list(FLAGS), chromium_sandbox=False)


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report about a store that was filled by hand, with texts that try to run scripts."""
    folder = tmp_path_factory.mktemp("page")
    filled = fill(folder / "unlearnkit.db")
    return unlearnkit.report_html(folder / "report.html", text=True, store=filled.path).as_uri()
