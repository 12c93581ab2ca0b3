"""What README and docs say is typed, and works: commands, Python, SQL, the example's text, links, make's targets."""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Answer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
ALL = ["README.md", *(f"docs/{name}" for name in PAGES)]
EXAMPLE = ROOT / "plugins" / "unlearnkit-example"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[list[str]]:
    for block in blocks(text, "sh"):
        for line in block.splitlines():
            yield shlex.split(line, comments=True)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.slow
def test_every_command_of_the_readme_works(
    cli: Callable[..., Answer], tiny_model_dir: Path, forget_file: Path, retain_file: Path
):
    for name in ("my-model", "my-base"):
        shutil.copytree(tiny_model_dir, name)
    shutil.copy(forget_file, "forget.jsonl")
    shutil.copy(retain_file, "retain.jsonl")
    ran = []
    for program, *words in commands(README):
        if program == "make":
            assert set(words) <= targets()
        elif program == "pip":
            assert words[:2] == ["install", "-e"]
            assert any((folder / words[2] / "pyproject.toml").is_file() for folder in (Path(), ROOT))
        elif program == "torchrun":  # as one process: `tests/training/test_team.py` has two
            assert words[:5] == ["--nproc-per-node", "2", "-m", "unlearnkit", "unlearn"] and words[-2] == "--parallel"
            assert cli(*words[4:-2]).code == 0
        else:
            assert program == "unlearnkit"
            found = cli(*words)
            assert found.code == 0, f"{' '.join(words)}\n{found.err}"
            ran.append(words[0])
    assert {"score", "unlearn", "eval", "report", "finetune", "resume", "plugins"} <= set(ran)

    before = cli("runs", "list", "--format", "json").json["runs"]
    (code,) = (block for block in blocks(README, "python") if block.startswith("import unlearnkit"))
    exec(compile(code, "README.md", "exec"), {})
    after = cli("runs", "list", "--format", "json").json["runs"]
    assert after == before  # the same calls as on the command line: all was in the store

    with sqlite3.connect("unlearnkit.db") as db:
        for query in blocks(PAGES["store.md"], "sql"):
            assert db.execute(query).fetchall()


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
    assert [name for name in sorted(names) if f"`{name}`" not in README] == []


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
    assert re.findall(r"(?:/home|/root|/work|/tmp/w)/\S*", text) == []


@pytest.mark.parametrize("page", ALL)
def test_links_lead_somewhere(page: str):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?://)([^)#]+)", text)
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []
