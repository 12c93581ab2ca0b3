"""README and docs leave nothing out that is there, show the example as it is, and their links lead somewhere."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import Answer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
ALL = ["README.md", "CONTRIBUTING.md", *(f"docs/{name}" for name in PAGES)]
EXAMPLE = ROOT / "plugins" / "unlearnkit-example"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_example_is_shown_as_it_is():
    assert (EXAMPLE / "unlearnkit_example.py").read_text() in blocks(README, "python")
    (entry,) = blocks(README, "toml")
    assert entry in (EXAMPLE / "pyproject.toml").read_text()


def test_the_store_is_described_table_by_table():
    made = max((ROOT / "migrations" / "schema").glob("*.sql")).read_text()
    names = set(re.findall(r"CREATE (?:TABLE|VIEW) (\w+)", made)) - {"alembic_version"}
    assert [name for name in sorted(names) if f"`{name}`" not in PAGES["store.md"]] == []


def test_every_plugin_is_described(cli: Callable[..., Answer]):
    names = {plugin["name"] for plugin in cli("plugins", "--format", "json").json["plugins"]}
    assert [name for name in sorted(names) if f"`{name}`" not in PAGES["plugins-builtin.md"]] == []


def test_every_metric_and_aggregate_is_defined(cli: Callable[..., Answer]):
    plugins = cli("plugins", "--format", "json").json["plugins"]
    names = {plugin["name"] for plugin in plugins if plugin["kind"] in ("metric", "aggregate")}
    rows = set(re.findall(r"^\| `(\w+)`", PAGES["metrics.md"], re.MULTILINE))
    assert len(names) > 20 and sorted(names - rows) == []


def test_every_reason_of_a_metric_is_explained():
    from unlearnkit.report.tables import REASONS

    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "unlearnkit" / "metrics").glob("*.py"))
    reasons = {word for said in re.findall(r"Undefined\(([^)]*)\)", code) for word in re.findall(r'"(\w+)"', said)}
    assert {"no_target", "no_scores", "too_short", "no_words", "nonfinite"} <= reasons
    assert sorted(reasons - set(REASONS)) == []
    assert [reason for reason in sorted(reasons) if f"`{reason}`" not in PAGES["metrics.md"]] == []


@pytest.mark.parametrize("page", ALL)
def test_no_page_knows_the_machine_it_was_written_on(page: str):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert re.findall(r"(?:/home|/root|/tmp)/\S*", text) == []


@pytest.mark.parametrize("page", ALL)
def test_links_lead_somewhere(page: str):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?://)([^)#]+)", text)
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_a_page_that_would_load_something_from_elsewhere_ends_the_build(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.syspath_prepend(ROOT / "docs")
    offline = importlib.import_module("gen.offline")
    page = SimpleNamespace(file=SimpleNamespace(src_uri="page.md"))
    harmless = '<a href="https://a.org">a</a><link rel="canonical" href="https://b.org"><script src="c.js"></script>'
    offline.on_post_page(harmless, page, None)
    assert caplog.messages == []
    for output, url in (
        ('<script async src="https://a.org/x.js"></script>', "https://a.org/x.js"),
        ('<link rel="stylesheet" href="//fonts.org/f.css">', "//fonts.org/f.css"),
        ("<img alt=x src=http://b.org/i.png>", "http://b.org/i.png"),
    ):
        caplog.clear()
        assert offline.on_post_page(output, page, None) == output
        assert caplog.messages == [f"page.md loads {url}"]
