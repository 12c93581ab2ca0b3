"""`analyze` and `split` from the command line: every form, 80 columns, and what to do where there is nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Answer
from runs.lab import IDS, OTHER, TEXTS, TOKENS, Lab, N

from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import Settings
from unlearnkit.store import Store

Cli = Callable[..., Answer]

MRD = [float(x) for x in (5, 2, 7, 1, 9, 12, 3, 8, 6, 4, 11, 10)]
HOSTILE = "\x1b[31mred [bold]\u202e"


@pytest.fixture
def filled(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The folder's store: two models, two algorithms, evaluations, three measures; a set of a hostile name."""
    monkeypatch.setenv("COLUMNS", "80")
    with Workplace(Settings(store="unlearnkit.db", threads=1)) as place:
        lab = Lab(place)
        lab.scores(MRD)
        lab.scores([float(t) for t in TOKENS], "length")
        drawn = lab.scores(MRD[::-1], model=OTHER)
        lab.unlearned(MRD, "ga", model=OTHER, label=f"{HOSTILE} {'long ' * 20}")
        lab.unlearned(MRD, "ga", drawn_by=drawn)
        for method, updates in (("graddiff", MRD), ("npo", MRD[::-1])):
            run = lab.unlearned(updates, method)
            lab.evaluated(run, {s: u / 20 for s, u in zip(IDS, updates, strict=True)})
    rows = [{"question": q, "answer": a, "n": i} for i, (q, a) in enumerate(TEXTS)]
    Path("forget.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return lab


def mine() -> str:
    """The run of MRD under the first model."""
    with Store.open("unlearnkit.db") as store:
        (run,) = [run.id for run in store.runs(kind="score", method="mrd") if run.model != OTHER]
    return run


COMMANDS = ["difficulty", "samples --data forget.jsonl", "bias"]


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("words", COMMANDS)
def test_screens_fit_and_are_harmless(words: str, cli: Cli):
    shown = cli("analyze", *words.split())
    assert shown.code == 0, shown.err
    assert max(map(len, shown.out.splitlines())) <= 80
    assert not any(c in shown.out + shown.err for c in "\x1b\u202e")


@pytest.mark.usefixtures("filled")
def test_difficulty(cli: Cli):
    shown = cli("analyze", "difficulty")
    assert "which score keeps its sign" in shown.out
    assert "1 run left out" in shown.err
    found = cli("analyze", "difficulty", "--format", "json").json
    assert set(found) == {"groups", "signs", "left_out"}
    assert set(found["groups"][0]) == {
        "model", "label", "data", "n", "unseen", "runs", "predictions", "by_method",
    }  # fmt: skip
    assert set(found["groups"][0]["runs"][0]) == {
        "run", "method", "seed", "last", "sweeps", "threshold_low", "threshold_high", "reference", "never",
        "unknown_before",
    }  # fmt: skip
    (mine,) = [g for g in found["groups"] if g["label"] == "my-model"]
    assert list(mine["by_method"]) == ["graddiff", "npo"]
    (mrd,) = [p for p in mine["by_method"]["graddiff"] if p["scorer"] == "mrd"]
    assert mrd["rho"] == pytest.approx(1)
    assert set(mrd) == {
        "scorer", "n", "rho", "rho_low", "rho_high", "rho_reason",
        "given_length", "given_length_low", "given_length_high", "given_length_reason", "strongest",
    }  # fmt: skip
    assert {row["scorer"] for row in found["signs"]} == {"mrd", "mrd/token", "length", "length/token"}
    rows = list(csv.DictReader(io.StringIO(cli("analyze", "difficulty", "--format", "csv").out)))
    expected = []
    for group in found["groups"]:
        for method, some in {"all": group["predictions"], **group["by_method"]}.items():
            expected += [(group["label"], method, p["scorer"]) for p in some]
    assert [(row["model"], row["method"], row["scorer"]) for row in rows] == expected
    assert cli("analyze", "difficulty", "--format", "json").json == found  # the same resamples


@pytest.mark.usefixtures("filled")
def test_samples(cli: Cli):
    words = ("--scores", mine(), "--data", "forget.jsonl")
    found = cli("analyze", "samples", *words, "--format", "json").json
    assert set(found) == {"run", "scorer", "high_means", "model", "data", "features", "samples"}
    assert (found["model"], found["data"]) == ("my-model", "forget.jsonl")
    assert [s["value"] for s in found["samples"]] == sorted(MRD)
    hardest = found["samples"][0]
    assert (hardest["third"], hardest["prompt"], hardest["answer"]) == ("hard", *TEXTS[MRD.index(1)])
    table = cli("analyze", "samples", *words, "--show", 1).out
    assert TEXTS[MRD.index(1)][0] in table
    assert TEXTS[MRD.index(12)][0] in table
    assert TEXTS[MRD.index(2)][0] not in table
    assert f"{N} samples without a text" in cli("analyze", "samples").err


@pytest.mark.usefixtures("filled")
def test_bias(cli: Cli):
    found = cli("analyze", "bias", "--format", "json").json
    assert set(found) == {"metric", "direction", "comparisons"}
    (compared,) = found["comparisons"]
    assert {m["method"]: m["ranks"]["hard"] for m in compared["methods"]} == {"graddiff": 1, "npo": 2}
    assert set(compared["agreements"][0]) == {"one", "other", "tau", "by_chance", "as_low"}
    lines = cli("analyze", "bias", "--format", "jsonl").out.splitlines()
    assert len(lines) == 8
    assert set(json.loads(lines[0])) == {"kind", "model", "method", "part", "n", "probability", "rank"}


@pytest.mark.usefixtures("filled")
def test_split(cli: Cli):
    run = mine()
    shown = cli("split", "forget.jsonl", "--scores", run, "--out", "thirds")
    assert shown.code == 0, shown.err
    assert "high mrd is easy to forget, by the claim of" in " ".join(shown.out.split())
    assert "thirds/forget-1-of-3.jsonl" in shown.out
    again = cli("split", "forget.jsonl", "--scores", run, "--out", "thirds", "--format", "json")
    assert (again.code, again.error["code"]) == (2, "exists")
    words = ("--scores", run, "--out", "thirds", "--force", "--bins", 2, "--format", "json")
    found = cli("split", "forget.jsonl", *words).json
    assert set(found) == {"run", "scorer", "high_means", "bins", "unscored", "unscored_file", "skipped"}
    assert [(b["rows"], b["low"], b["high"]) for b in found["bins"]] == [(6, 1, 6), (6, 7, 12)]
    values = [MRD[json.loads(line)["n"]] for line in Path("thirds/forget-1-of-2.jsonl").read_text().splitlines()]
    assert sorted(values) == [1, 2, 3, 4, 5, 6]


def test_the_way_there_is_named_where_there_is_nothing(cli: Cli):
    Store.open("unlearnkit.db").close()
    for words, code, hint in (
        (("analyze", "difficulty"), "probes", "--probe-every"),
        (("analyze", "samples"), "scores", "unlearnkit score"),
        (("analyze", "bias"), "evaluations", "unlearnkit eval"),
    ):
        found = cli(*words, "--format", "json")
        assert (found.code, found.error["code"], found.out) == (3, code, "")
        assert hint in found.error["hint"]
    assert cli("analyze", "difficulty", "--threshold", "0").code == 2
    assert cli("split", "x.jsonl", "--model", "m", "--out", "o", "--bins", "1").code == 2
