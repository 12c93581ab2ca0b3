"""The JSON contract: every command prints what its schema says, to the key, and a schema that was published stays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from conftest import Answer, validators
from jsonschema import Draft202012Validator

from unlearnkit.cli.main import COMMANDS as NAMES
from unlearnkit.cli.main import cli as root
from unlearnkit.report.outputs import COMMANDS, FROZEN, VERSION, schema
from unlearnkit.store import Store

from .conftest import Lab

Cli = Callable[..., Answer]

DATA = ["--forget", "{forget}", "--retain", "{retain}"]
SHORT = ["--max-steps", "1", "--lr", "1e-4"]
WORDS: dict[str, list[str]] = {
    "score": ["--model", "{model}", "--data", "{forget}", "-o", "draws=1"],
    "unlearn": ["--model", "{model}", *DATA, *SHORT, "--until", "forget.nll>=90"],
    "finetune": ["--model", "{model}", "--data", "{retain}", *SHORT],
    "sweep": ["--model", "{model}", *DATA, *SHORT[:2], "--max-new-tokens", "2"],
    "eval": ["{model}", *DATA, "--max-new-tokens", "4"],
    "attack": ["quantize", "{model}", "--forget", "{forget}", "--max-new-tokens", "2", "--metrics", "probability"],
    "import": ["{log}"],
    "resume": ["{scored}"],
    "certificate issue": ["{unlearned}"],
    "certificate verify": ["c.json"],
    "report": ["--assert", "model_utility>=0"],
    "analyze difficulty": ["--runs", "{probed}"],
    "analyze samples": ["--scores", "{scored}"],
    "analyze bias": ["--scores", "{scored}"],
    "split": ["{forget}", "--scores", "{scored}", "--out", "parts"],
    "export": ["aggregates", "--to", "x.csv"],
    "runs list": [],
    "runs show": ["{unlearned}"],
    "runs compare": ["{before}", "{evaluated}"],
    "runs diff": ["{scored}", "{unlearned}", "--all"],
    "runs rerun": ["{scored}"],
    "runs tag": ["{scored}", "a"],
    "runs note": ["{scored}", "b"],
    "runs rm": ["{evaluated}", "--yes"],
    "plugins list": [],
    "plugins show": ["mrd"],
    "plugins new": ["mine", "--kind", "metric"],
    "metrics list": [],
    "metrics show": ["rouge"],
    "suites list": [],
    "suites show": ["wmdp"],
    "store info": [],
    "store check": [],
    "store import": ["{other}"],
    "doctor": [],
    "completion": ["bash"],
}
ELSEWHERE = {"demo", "plugins check"}
"""Commands that `tests/cli` tries at length."""


@pytest.fixture
def facts(lab: Lab, retain_file: Path, tmp_path: Path) -> dict[str, object]:
    store = Path(shutil.copy(lab.store, tmp_path / "copy.db"))
    Store.open("other.db").close()
    return {
        "store": store, "other": "other.db", "model": lab.model, "forget": lab.forget, "retain": retain_file,
        "scored": lab.scored, "unlearned": lab.unlearned["mrd"], "before": lab.evaluated["before"],
        "evaluated": lab.evaluated["mrd"],
    }  # fmt: skip


@pytest.mark.parametrize("command", WORDS)
def test_what_is_printed_is_what_the_schema_says(command: str, cli: Cli, facts: dict[str, object]):
    if command == "import":
        facts["log"] = write_log(Path("eval_log_aggregated.json"))
    if command == "analyze difficulty":
        words = [word.format(**facts) for word in ["--model", "{model}", *DATA, *SHORT, "--probe-every", "1"]]
        facts["probed"] = cli("unlearn", *words, "--store", facts["store"], "--format", "json").json["run"]
    if command == "certificate verify":
        assert cli("certificate", facts["unlearned"], "--json", "c.json", "--store", facts["store"]).code == 0
    words = [*command.split(), *(word.format(**facts) for word in WORDS[command])]
    found = cli(*words, "--store", facts["store"], "--format", "json")
    assert found.code == 0, found.err
    whole = json.loads(found.out)
    assert not list(validators()[command].iter_errors(whole))
    assert list(validators()[command].iter_errors({**whole, "more": 1})), "a key that is not described"


def write_log(file: Path) -> Path:
    """A log as TOFU writes it, of two samples."""
    rows = {str(i): value for i, value in enumerate((0.5, 0.25))}
    log = {"avg_gt_loss": rows, "rougeL_recall": rows}
    file.write_text(json.dumps({"eval_log_forget.json": log}))
    return file


def leaves() -> Iterator[tuple[str, click.Command]]:
    for name in NAMES:
        command = root.get_command(click.Context(root), name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {member}", one) for member, one in command.commands.items())
        elif command is not None:
            yield name, command


def test_every_command_that_prints_json_has_a_schema_and_is_tried():
    printing = {name for name, command in leaves() if any(p.name == "format_" for p in command.params)}
    assert printing == COMMANDS.keys()
    assert WORDS.keys() | ELSEWHERE == COMMANDS.keys()


def test_a_published_schema_stays_as_it_is():
    frozen = json.loads((FROZEN / f"{VERSION}.json").read_text(encoding="utf-8"))
    assert schema() == frozen, (
        "what commands print has changed: raise VERSION in unlearnkit/report/outputs where a release has it already "
        "(its first number, and `format`, if a key went or means another thing), then call its freeze()"
    )
    Draft202012Validator.check_schema(frozen)


def lost(old: dict[str, Any], new: dict[str, Any], at: str = "") -> list[str]:
    """Where a reader of the old schema would not find what that promised."""
    missing = [f"{at}/{key}" for key in old.get("required", []) if key not in new.get("required", [])]
    for key, part in old.items():
        if isinstance(part, dict):
            missing += lost(part, new[key], f"{at}/{key}") if isinstance(new.get(key), dict) else [f"{at}/{key}"]
        elif key in ("type", "$ref", "items") and new.get(key) != part:
            missing.append(f"{at}/{key}")
    return missing


def test_a_newer_version_keeps_what_older_ones_promised():
    now, major = schema(), VERSION.partition(".")[0]
    for file in FROZEN.glob(f"{major}.*.json"):
        assert lost(json.loads(file.read_text(encoding="utf-8")), now) == [], file.name


@pytest.mark.parametrize("change", ["key", "type", "required", "command"])
def test_what_would_break_a_reader_is_noticed(change: str):
    old, new = schema(), schema()
    run = new["$defs"]["RunRow"]
    if change == "key":
        del run["properties"]["seed"]
    elif change == "type":
        run["properties"]["seed"]["type"] = "string"
    elif change == "required":
        run["required"].remove("seed")
    else:
        del new["commands"]["score"]
    assert lost(old, new)
    assert lost(new, {**new, "more": {}}) == []


def test_objects_are_closed_but_where_figures_stand_by_name():
    open_ones = {name for name, of in schema()["$defs"].items() if of["additionalProperties"] is not False}
    assert open_ones == {"SampleScore", "Swept", "Step"}
