"""`report --assert`: exit code 4 where a condition does not hold, of the runs that were named or the newest; and what a
retain-only model gets beside each number."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer

import unlearnkit

from .conftest import Lab

Cli = Callable[..., Answer]
JSON = ("--format", "json")


@pytest.fixture
def report(cli: Cli, lab: Lab) -> Callable[..., Answer]:
    return lambda *words: cli("report", *words, "--store", lab.store)


def figures(report: Callable[..., Answer], run: str) -> dict[str, float]:
    (found,) = report(run, *JSON).json["runs"]
    return {name: f["value"] for name, f in {**found["metrics"], **found["aggregates"]}.items()}


@pytest.mark.parametrize("op", [">", ">=", "<", "<="])
@pytest.mark.parametrize("shift", [-0.5, 0.0, 0.5])
def test_a_condition_is_arithmetic(op: str, shift: float, report: Callable[..., Answer], lab: Lab):
    holds = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}[op]
    run = lab.evaluated["mrd"]
    value = figures(report, run)["model_utility"]
    answer = report(run, "--assert", f"model_utility{op}{max(value + shift, 0):.17g}", *JSON)
    expected = holds(value, max(value + shift, 0))
    assert answer.code == (0 if expected else 4)
    asserted = answer.json["asserted"]
    assert asserted["met"] is expected
    assert [(c["run"], c["value"], c["met"]) for c in asserted["clauses"]] == [(run, value, expected)]
    assert answer.err.count("missed:") == (0 if expected else 1)


def test_all_clauses_must_hold_and_each_is_told(report: Callable[..., Answer], lab: Lab):
    run = lab.evaluated["mrd"]
    text = "forget.probability<=1 and retain.rouge>2 and  model_utility >= 0"
    answer = report(run, "--assert", text, *JSON)
    assert answer.code == 4
    assert [(c["condition"], c["met"]) for c in answer.json["asserted"]["clauses"]] == [
        ("forget.probability<=1", True), ("retain.rouge>2", False), ("model_utility>=0", True),
    ]  # fmt: skip
    assert report(run, "--assert", "forget.probability<=1 and model_utility>=0").code == 0
    shown = report(run, "--assert", text).out
    assert re.search(r"retain\.rouge>2 +0\.\d+ +NO", shown)


def test_what_is_undefined_is_missed_with_its_reason(report: Callable[..., Answer], lab: Lab):
    for condition in ("forget_quality>0", "forget_quality<2"):
        answer = report(lab.evaluated["before"], "--assert", condition, *JSON)
        assert answer.code == 4
        (clause,) = answer.json["asserted"]["clauses"]
        assert (clause["value"], clause["reason"], clause["met"]) == (None, "no_reference", False)
    assert "undefined (no_reference)" in answer.err


def test_without_a_run_it_is_of_the_newest_evaluation(report: Callable[..., Answer], lab: Lab):
    newest = report(*JSON).json["runs"][-1]["run"]
    (clause,) = report("--assert", "model_utility>=0", *JSON).json["asserted"]["clauses"]
    assert clause["run"] == newest
    runs = (lab.unlearned["mrd"], lab.evaluated["before"])
    clauses = report(*runs, "--assert", "model_utility>=0", *JSON).json["asserted"]["clauses"]
    assert {c["run"] for c in clauses} == {lab.evaluated["mrd"], lab.evaluated["before"]}


@pytest.fixture
def asked(cli: Cli, lab: Lab, tmp_path: Path, retain_file: Path) -> Callable[..., tuple[str, dict[str, Any], int]]:
    """Evaluates a model into a store of one's own, then asserts: the evaluation, the clause, and the exit code."""
    store = tmp_path / "own.db"
    data = {"forget": lab.forget, "retain": retain_file}

    def evaluate_and_assert(condition: str, *splits: str, **more: Any) -> tuple[str, dict[str, Any], int]:
        model, some = lab.store.parent / "mrd", {split: data[split] for split in splits}
        run = unlearnkit.evaluate(model, some, store=store, max_new_tokens=2, **more).run
        answer = cli("report", "--assert", condition, "--store", store, *JSON)
        last = cli("runs", "show", "@last", "--store", store, *JSON).json["run"]
        assert last == run
        (clause,) = answer.json["asserted"]["clauses"]
        return run, clause, answer.code

    return evaluate_and_assert


def test_a_reference_is_not_what_was_asked_for(asked: Callable[..., Any], lab: Lab):
    """It is evaluated after what the store had already, and is no answer all the same."""
    run, _, _ = asked("forget.probability>=0", "forget", "retain")
    again, clause, code = asked("forget_quality>=0", "forget", "retain", reference=str(lab.store.parent / "uniform"))
    assert (again, clause["run"], code) == (run, run, 0)


def test_a_number_is_that_of_the_models_newest_evaluation_which_has_it(asked: Callable[..., Any]):
    whole, _, _ = asked("model_utility>=0", "forget", "retain")
    part, clause, code = asked("model_utility>=0", "forget")
    assert part != whole
    assert (clause["run"], code) == (whole, 0)
    _, clause, _ = asked("forget.probability>=0", "forget")
    assert clause["run"] == part
    again, clause, code = asked("forget_quality>=0", "forget", "retain")
    assert (clause["run"], clause["reason"], code) == (again, "no_reference", 4)


def test_of_named_runs_those_evaluations_count_that_have_the_number(
    asked: Callable[..., Any], cli: Cli, tmp_path: Path
):
    whole, _, _ = asked("model_utility>=0", "forget", "retain")
    part, _, _ = asked("model_utility>=0", "forget")

    def clauses(*runs: str) -> list[tuple[str, str | None]]:
        answer = cli("report", *runs, "--assert", "model_utility>=0", "--store", tmp_path / "own.db", *JSON)
        return [(c["run"], c["reason"]) for c in answer.json["asserted"]["clauses"]]

    assert clauses(whole, part) == [(whole, None)]
    assert clauses(part) == [(part, "no_retain")]


@pytest.mark.parametrize(
    "text",
    ["", "and", "model_utility", "model_utility>0.5 and", "model_utility>0.5and retain.rouge>0", "model_utility>0.5x",
     "model_utility>0.5 or retain.rouge>0", "__import__('os')>0", "model_utilit>0.5", "model_utility==0.5"],
)  # fmt: skip
def test_anything_else_is_refused(text: str, report: Callable[..., Answer]):
    answer = report("--assert", text, *JSON)
    assert answer.code == 2
    assert not answer.out
    assert answer.error["code"] == ("condition" if text else "value")


def test_no_evaluation_is_not_success(cli: Cli, lab: Lab, tmp_path):
    answer = cli("report", lab.scored, "--assert", "model_utility>0", "--store", lab.store, *JSON)
    assert (answer.code, answer.error["code"]) == (3, "evaluations")


def test_beside_each_number_stands_the_retain_only_models(report: Callable[..., Answer], lab: Lab):
    before = figures(report, lab.evaluated["before"])
    (found,) = report(lab.evaluated["mrd"], *JSON).json["runs"]
    for name, number in found["metrics"].items():
        assert number["retain_only"] == before[name]
        assert number["definition"] == f"unlearnkit metrics show {name.partition('.')[2]}"
        expected = "lower" if name.startswith("forget") and not name.endswith("truth_ratio") else "higher"
        assert number["direction"] == expected and number["unit"]
    assert found["aggregates"]["model_utility"]["retain_only"] == before["model_utility"]
    (alone,) = report(lab.evaluated["before"], *JSON).json["runs"]
    assert {number["retain_only"] for number in alone["metrics"].values()} == {None}

    shown = report(lab.evaluated["mrd"]).out
    assert shown.count("retain-only") == 1
    row = next(line for line in shown.splitlines() if line.startswith("  exact_memorization"))
    assert row.split()[1:] == ["↓", f"{found['metrics']['forget.exact_memorization']['value']:.3f}",
                               f"{before['forget.exact_memorization']:.3f}"]  # fmt: skip
    together = report(*lab.evaluated.values()).out
    assert together.count("retain-only") == 1  # it is one of them
    assert "unlearnkit metrics show NAME" in shown


def test_the_retain_only_column_has_room(report: Callable[..., Answer], lab: Lab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("unlearnkit.report.overview.SIDE_BY_SIDE", 2)
    shown = report(lab.evaluated["mrd"], lab.evaluated["uniform"]).out
    assert shown.count("what is known") == shown.count("retain-only") == 2
