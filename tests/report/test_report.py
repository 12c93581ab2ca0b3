"""What a report says is what the store holds, in 80 columns, and no name or text reaches the terminal as a command."""

from __future__ import annotations

import csv
import functools
import io
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Answer

from unlearnkit.store import Store
from unlearnkit.store.records import AggregateRow

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
    "diff": ["runs", "diff", "{scored}", "{unlearned}", "--all"],
    "score run": ["runs", "show", "{scored}"],
    "attack run": ["runs", "show", "{attacked}"],
    "attack": ["attack", "quantize", "{model}", "--forget", "{forget}", "--max-new-tokens", "4"],
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
        "attacked": lab.attacked,
    }
    shown = cli(*(word.format(**facts) for word in COMMANDS[name]), "--store", lab.store)
    assert shown.code == 0, shown.err
    assert max(map(len, shown.out.splitlines())) <= 80
    assert not any(c in shown.out + shown.err for c in "\x1b\x07\u202e")


def test_markup_is_text(cli: Cli, lab: Lab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "140")
    shown = cli("score", "--model", lab.model, "--data", lab.forget, "--store", lab.store, "--show", 8)
    assert "\\u001b[31mred" in shown.out
    assert "[bold]b[/" in shown.out


def test_runs_are_named_so_that_they_can_be_typed(report: Callable[..., Answer], lab: Lab):
    shown = report().out
    for run in (*lab.evaluated.values(), *lab.unlearned.values()):
        assert run in shown


def test_an_attack_is_shown_with_its_model_alone(report: Callable[..., Answer], lab: Lab):
    title = "forgotten, and what comes back"
    shown = report(lab.unlearned["mrd"]).out
    assert f"{title}: graddiff, mrd" in shown and shown.count("relearn") == 4  # two metrics, two groups
    assert title not in report(lab.unlearned["uniform"]).out
    (attack,) = report(lab.unlearned["mrd"], "--format", "json").json["attacks"]
    with sqlite3.connect(lab.store) as db:
        rows = db.execute("SELECT split, sample, value FROM v_results WHERE run = ?", [lab.attacked]).fetchall()
        taught = {
            sample
            for (sample,) in db.execute(
                "SELECT sample FROM dataset_row JOIN run_dataset USING (dataset) WHERE run = ? AND role = 'shown'",
                [lab.attacked],
            )
        }
    assert {split for split, _, _ in rows} == {"forget", "forget@step-2"} and len(taught) == 2
    counts = {(o["metric"], o["samples"]): o["n"] for o in attack["outcomes"]}
    assert counts["probability", "shown"] == 2 and counts["probability", "others"] == 6
    assert all(o["beyond"] is not None for o in attack["outcomes"])


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


@pytest.fixture
def copy(lab: Lab, tmp_path: Path) -> Path:
    """The lab's store, to write into."""
    path = tmp_path / "copy.db"
    with sqlite3.connect(lab.store) as source, sqlite3.connect(path) as target:
        source.backup(target)
    return path


def test_a_number_names_what_it_was_held_against(cli: Cli, lab: Lab, copy: Path):
    before, uniform, mrd = (lab.evaluated[name] for name in ("before", "uniform", "mrd"))
    with Store.open(copy) as store:
        quality = functools.partial(AggregateRow, "forget_quality")
        store.put_aggregates(uniform, [quality(0.111, reference=before)])
        store.put_aggregates(
            mrd,
            [
                quality(0.222, reference=before, n=8, low=0.2, high=0.3),
                quality(0.333, reference=uniform),
                quality(0.444, reference="01" + "0" * 24),  # a run that was removed
                quality(None, "no_reference"),
            ],
        )

    def shown(*runs: str) -> dict[str, list[str]]:
        lines = cli("report", *runs, "--store", copy).out.splitlines()
        return dict(re.match(r"  (\S+(?: vs .+?)?)(?:  |$)(.*)", line).groups() for line in lines if " vs " in line)  # type: ignore[union-attr]

    rows = {name: values.replace("↑", "").split() for name, values in shown().items()}
    assert rows == {"forget_quality vs #1": ["0.111", "0.222"], "forget_quality vs #2": ["0.333"]}
    assert "forget_quality" not in re.sub("forget_quality vs", "", cli("report", "--store", copy).out)
    (by_name,) = (name for name, values in shown(mrd).items() if values.replace("↑", "").split() == ["0.333"])
    assert by_name == "forget_quality vs graddiff, u…"  # it has no number in that report

    found = {run["run"]: run["aggregates"] for run in cli("report", "--store", copy, "--format", "json").json["runs"]}
    nothing = dict.fromkeys(("value", "n", "low", "high", "reason", "reference", "retain_only"))
    nothing |= {"direction": "higher", "unit": "", "definition": "unlearnkit metrics show forget_quality"}
    assert found[before]["forget_quality"] == {**nothing, "reason": "no_reference"}
    assert {name: row for name, row in found[mrd].items() if "quality" in name} == {
        "forget_quality": {**nothing, "value": 0.333, "reference": uniform},
        f"forget_quality vs {before}": {
            **nothing,
            "value": 0.222,
            "n": 8,
            "low": 0.2,
            "high": 0.3,
            "reference": before,
        },
    }
    rows = list(csv.DictReader(io.StringIO(cli("report", mrd, "--store", copy, "--format", "csv").out)))
    assert {row["reference"]: row["value"] for row in rows if row["metric"] == "forget_quality"} == {
        before: "0.222",
        uniform: "0.333",
    }
    assert [(row["low"], row["high"]) for row in rows if row["reference"] == before] == [("0.2", "0.3")]


def test_what_evaluations_lack_stands_once_with_why(cli: Cli, lab: Lab, copy: Path):
    with Store.open(copy) as store:
        for name in ("uniform", "mrd"):
            rows = {"auc_loss": "no_scores", "tpr_loss": "few_others", "some_utility": "no_retain"}
            lacks = [AggregateRow(number, None, reason=reason) for number, reason in rows.items()]
            store.put_aggregates(lab.evaluated[name], lacks)
    _, _, lacking = cli("report", "--store", copy).out.partition("not there")
    (row,) = (line for line in lacking.splitlines() if line.startswith("auc_loss"))
    assert "the scores that it compares were not" in row
    assert len(re.findall(r"#\d", row)) == 2
    told = " ".join(re.sub(r"#\d", "", lacking).split())
    for name, what in (
        ("auc_loss", "both splits, forget and holdout"),
        ("tpr_loss", "1 / fpr of them, so 100 for an fpr of 0.01"),
        ("some_utility", "it needs the split retain"),
    ):
        assert re.search(rf"{name} [^_]*{what}", told), name


def test_thirds_are_ranked_by_what_the_models_own_sampler_drew_by(cli: Cli, lab: Lab, copy: Path):
    words = ("score", "--model", lab.model, "--data", lab.forget, "-o", "draws=2", "--seed", 3)
    newer = cli(*words, "--store", copy, "--format", "json").json["run"]
    found = cli("report", "--store", copy, "--format", "json").json
    name = "mrd (draws=2, seed=3)"
    ranked = {(t["eval_run"], t["score_run"], t["scorer"]) for t in found["thirds"]}
    assert ranked == {
        (lab.evaluated["before"], newer, name),
        (lab.evaluated["uniform"], newer, name),
        (lab.evaluated["mrd"], lab.scored, "mrd"),
    }
    assert [(d["run"], d["scorer"]) for d in found["difficulty"]] == [(lab.scored, "mrd"), (newer, name)]
    shown = cli("report", "--store", copy).out
    assert f"ranked by {name}, run {newer}" in shown
    assert f"ranked by mrd, run {lab.scored}" in shown
    _, table = shown.split("\ndifficulty\n")
    labels = [line.partition("  ")[0] for line in table.splitlines() if line.startswith("mrd")]
    assert len(set(labels)) == len(labels) == 2


def test_many_evaluations_stand_in_several_tables(report: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("unlearnkit.report.overview.SIDE_BY_SIDE", 2)
    shown = report().out
    assert shown.count("what is known") == 2
    assert all(f"#{i}" in shown for i in (1, 2, 3))


def test_a_report_of_all_shows_what_was_asked_for_last(
    report: Callable[..., Answer], lab: Lab, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("unlearnkit.report.collect.SHOWN", 2)
    with Store.open(lab.store) as store:  # tests that share it may have asked for one again
        last = sorted(lab.evaluated.values(), key=lambda run: store.run(run).beat)[1:]
    shown = report()
    assert {run for run in lab.evaluated.values() if run in shown.out} == set(last)
    assert re.search(r"older, not shown: .*\b1 evaluation\b.*; name runs, choose some by --where, or --form", shown.err)
    everything = {run["run"] for run in report("--format", "json").json["runs"]}
    assert everything == set(lab.evaluated.values())
    named = report(*lab.evaluated.values())
    assert all(run in named.out for run in lab.evaluated.values()) and "not shown" not in named.err


def test_a_condition_chooses_what_is_reported(report: Callable[..., Answer], lab: Lab):
    found = report("--where", "sampler=mrd and kind=unlearn", "--format", "json").json
    assert [run["run"] for run in found["runs"]] == [lab.evaluated["mrd"]]
    nothing = report("--where", "sampler=none", "--format", "json")
    assert (nothing.code, nothing.error["code"]) == (3, "run")
    both = report(lab.unlearned["mrd"], "--where", "kind=eval", "--format", "json")
    assert (both.code, both.error["code"]) == (2, "usage")
    slip = report("--where", "sampller=mrd", "--format", "json")
    assert (slip.code, slip.error["hint"]) == (2, 'did you mean "sampler"?')


def test_an_empty_store_has_nothing_to_report(cli: Cli):
    Store.open("empty.db").close()
    shown = cli("report", "--store", "empty.db")
    assert (shown.code, shown.out) == (0, "")
    assert "nothing to report" in shown.err
    assert "next: unlearnkit score" in shown.err
    found = cli("report", "--store", "empty.db", "--format", "json").json
    assert found == {"runs": [], "difficulty": [], "thirds": [], "curves": [], "attacks": []}


def test_what_is_not_there_is_said(cli: Cli, lab: Lab):
    missing = cli("report", "--store", "none.db", "--format", "json")
    assert (missing.code, missing.error["code"]) == (3, "store")
    unknown = cli("report", "01XXXXXX", "--store", lab.store, "--format", "json")
    assert (unknown.code, unknown.error["code"]) == (3, "run")
    assert not unknown.out
