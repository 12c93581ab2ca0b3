"""Every hook that there is: described, and called in one ordinary run."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Answer

from unlearnkit import hookspecs
from unlearnkit.plugins import plugins

from .conftest import ROOM

Cli = Callable[..., Answer]
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if hasattr(hook, "unlearnkit_spec")}
PAGE = (ROOM.parent / "docs" / "hooks.md").read_text(encoding="utf-8")

LISTENER = """
import json
from pathlib import Path
from unlearnkit.hookspecs import hookimpl

HERE = Path(__file__).parent

def note(hook, **facts):
    with (HERE / "heard.jsonl").open("a") as file:
        file.write(json.dumps([hook, facts]) + "\\n")
"""


def implementation(name: str, hook: Callable[..., object]) -> str:
    """A hook that notes that it was called, and with what."""
    arguments = list(inspect.signature(hook).parameters)
    noted = ", ".join(f"{argument}=getattr({argument}, 'id', repr({argument}))" for argument in arguments)
    answer = {
        "load_dataset": "[json.loads(line) for line in (HERE / source.removeprefix('mine:')).open()]"
        " if source.startswith('mine:') else None",
        "load_model": "str(HERE / source.removeprefix('mine:')) if source.startswith('mine:') else None",
    }.get(name, "{}" if name.startswith("register_") else "None")
    return f"""
@hookimpl
def {name}({", ".join(arguments)}):
    note({", ".join(filter(None, [repr(name), noted]))})
    return {answer}
"""


@pytest.fixture
def heard(
    tmp_path: Path, tiny_model_dir: Path, forget_file: Path, retain_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], list[tuple[str, dict[str, str]]]]]:
    """What a plugin with every hook has been told, beside a model and data that it alone knows how to load."""
    folder = tmp_path / "plugin"
    folder.mkdir()
    (folder / "listener.py").write_text(LISTENER + "".join(implementation(*item) for item in HOOKS.items()))
    (folder / "model").symlink_to(tiny_model_dir)
    for file in (forget_file, retain_file):
        (folder / file.name).write_text(file.read_text())
    monkeypatch.setenv("UNLEARNKIT_PLUGIN_FILE", str(folder / "listener.py"))
    plugins.cache_clear()
    yield lambda: [tuple(json.loads(line)) for line in (folder / "heard.jsonl").read_text().splitlines()]
    plugins.cache_clear()


def test_every_hook_is_called_in_a_run_that_is_evaluated_on_its_way(
    cli: Cli, heard: Callable[[], list[tuple[str, dict[str, str]]]]
):
    words = ["--model", "mine:model", "--forget", "mine:forget.jsonl", "--retain", "mine:retain.jsonl"]
    done = cli("unlearn", *words, "--max-steps", 2, "--eval-every", 2, "--format", "json")
    assert done.code == 0, done.err
    calls = heard()
    assert {hook for hook, _ in calls} == set(HOOKS)

    run, evaluations = done.json["run"], list(done.json["evaluations"].values())
    told = [(hook, facts["run"]) for hook, facts in calls if "run" in facts]
    own = [hook for hook, of in told if of == run]
    assert own == ["run_started", "step_finished", "step_finished", "run_finished"]
    for evaluation in evaluations:
        assert [hook for hook, of in told if of == evaluation] == ["run_started", "evaluated", "run_finished"]
    assert [of for hook, of in told if hook == "evaluated"] == evaluations
    assert [facts["step"] for hook, facts in calls if hook == "step_finished"] == ["1", "2"]
    assert {facts["error"] for hook, facts in calls if hook == "run_finished"} == {"None"}

    for evaluated in (1, 0):  # a run that is there is no news
        before = len(heard())
        assert cli("eval", run, *words[2:]).code == 0
        assert [hook for hook, _ in heard()[before:]].count("evaluated") == evaluated


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_says_what_it_is_for_and_what_it_is_told(name: str):
    doc = inspect.getdoc(HOOKS[name])
    assert doc and f"### `{name}`" in PAGE
    assert all(f":param {argument}:" in doc for argument in inspect.signature(HOOKS[name]).parameters)
