"""What a report says is what the store holds, in 80 columns, and no name or text reaches the terminal as a command."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import numpy as np
import pytest
from conftest import Answer

from unlearnkit.store import Store

from .conftest import Lab

Cli = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def report(cli: Cli, lab: Lab) -> Callable[..., Answer]:
    return lambda *words: cli("report", *words, "--store", lab.store)


COMMANDS = {
    "report": ["report"],
    "runs": ["runs", "list"],
    "training run": ["runs", "show", "{unlearned}"],
    "eval run": ["runs", "show", "{evaluated}"],
    "score run": ["runs", "show", "{scored}"],
    "info": ["store", "info"],
    "doctor": ["doctor"],
    "plugins": ["plugins"],
    "plugin": ["plugins", "show", "mrd"],
    "score": ["score", "--model", "{model}", "--data", "{forget}"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_screens_fit_and_are_harmless(name: str, cli: Cli, lab: Lab):
    facts = {
        "model": lab.model,
        "forget": lab.forget,
        "scored": lab.scored,
        "unlearned": lab.unlearned["mrd"],
        "evaluated": lab.evaluated["mrd"],
    }
    shown = cli(*(word.format(**facts) for word in COMMANDS[name]), "--store", lab.store)
    assert shown.code == 0, shown.err
    assert max(map(len, shown.out.splitlines())) <= 80
    assert not any(c in shown.out + shown.err for c in "\x1b\x07\u202e")


def test_markup_is_text(cli: Cli, lab: Lab):
    shown = cli("score", "--model", lab.model, "--data", lab.forget, "--store", lab.store, "--show", 8)
    assert "\\u001b[31mred" in shown.out
    assert "[bold]b[/" in shown.out


def test_runs_are_named_so_that_they_can_be_typed(report: Callable[..., Answer], lab: Lab):
    shown = report().out
    for run in (*lab.evaluated.values(), *lab.unlearned.values()):
        assert run in shown


def test_thirds_are_those_of_the_stores_rows(report: Callable[..., Answer], lab: Lab):
    with sqlite3.connect(lab.store) as db:
        scores = dict(db.execute("SELECT sample, value FROM v_scores WHERE run = ?", [lab.scored]))
        results = db.execute("SELECT run, metric, sample, value FROM v_results WHERE split = 'forget'").fetchall()
    ranked = [sample for _, sample in sorted((value, sample) for sample, value in scores.items())]
    assert len(ranked) == 8
    thirds = {"hard": ranked[:3], "middle": ranked[3:6], "easy": ranked[6:]}  # the paper: a low MRD is hard
    expected = {}
    for run in lab.evaluated.values():
        for metric in ("probability", "rouge", "truth_ratio", "exact_memorization", "extraction_strength"):
            of = {sample: value for r, m, sample, value in results if (r, m) == (run, metric)}
            for third, samples in thirds.items():
                values = np.array([of[sample] for sample in samples])
                terms = np.minimum(values, 1 / values) if metric == "truth_ratio" else values
                expected[run, metric, third] = (len(samples), pytest.approx(np.mean(terms), rel=1e-12))
    found = {
        (t["eval_run"], t["metric"], t["third"]): (t["n"], t["value"])
        for t in report("--format", "json").json["thirds"]
    }
    assert found == expected


def test_difficulty_is_that_of_the_stores_rows(report: Callable[..., Answer], lab: Lab):
    with sqlite3.connect(lab.store) as db:
        rows = np.array(db.execute("SELECT value, stderr FROM v_scores WHERE run = ?", [lab.scored]).fetchall())
    found = {d["run"]: d for d in report("--format", "json").json["difficulty"]}[lab.scored]
    value, stderr = rows.T
    assert (found["n"], found["undefined"]) == (8, 0)
    assert (found["low"], found["median"], found["high"]) == (value.min(), np.median(value), value.max())
    assert found["unclear"] == np.mean(value < 2 * stderr)
    assert found["label"] == f"forget.jsonl under {lab.model.name}"


def test_a_named_run_brings_its_evaluations_and_scores(report: Callable[..., Answer], lab: Lab):
    found = report(lab.unlearned["mrd"], "--format", "json").json
    assert [run["run"] for run in found["runs"]] == [lab.evaluated["mrd"]]
    assert lab.scored in [d["run"] for d in found["difficulty"]]


def test_many_evaluations_stand_in_several_tables(report: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("unlearnkit.report.tables.SIDE_BY_SIDE", 2)
    shown = report().out
    assert shown.count("what is known") == 2
    assert all(f"#{i}" in shown for i in (1, 2, 3))


def test_an_empty_store_has_nothing_to_report(cli: Cli):
    Store.open("empty.db").close()
    shown = cli("report", "--store", "empty.db")
    assert (shown.code, shown.out) == (0, "")
    assert "nothing to report" in shown.err
    assert "next: unlearnkit score" in shown.err
    assert cli("report", "--store", "empty.db", "--format", "json").json == {"runs": [], "difficulty": [], "thirds": []}


def test_what_is_not_there_is_said(cli: Cli, lab: Lab):
    missing = cli("report", "--store", "none.db", "--format", "json")
    assert (missing.code, missing.error["code"]) == (3, "store")
    unknown = cli("report", "01XXXXXX", "--store", lab.store, "--format", "json")
    assert (unknown.code, unknown.error["code"]) == (3, "run")
    assert not unknown.out
