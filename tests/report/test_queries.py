"""The questions of docs/store.md find what the store holds, as Python counts it."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unlearnkit.report.collect import collect
from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import Settings
from unlearnkit.store import Store
from unlearnkit.store.records import Result

from .conftest import Lab

PAGE = (Path(__file__).parents[2] / "docs" / "store.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^(\w[^\n]*):\n\n```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def answers(lab: Lab, tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    path = Path(shutil.copy(lab.store, tmp_path / "copy.db"))
    with Workplace(Settings(store=str(path))) as place:
        collect(place, [])  # keeps thirds
        place.store.tag(lab.scored, ["paper"])
        sample = min(place.store.scores(lab.scored))
        place.store.put_results(lab.evaluated["mrd"], [Result("forget", "rouge", sample, 0.1)])
        collect(place, [])
    with sqlite3.connect(path) as raw:
        raw.row_factory = sqlite3.Row
        return {question: [dict(row) for row in raw.execute(text)] for question, text in QUESTIONS}


def found(answers: dict[str, list[dict[str, Any]]], begins: str) -> list[dict[str, Any]]:
    (rows,) = (rows for question, rows in answers.items() if question.startswith(begins))
    return rows


def probability(store: Store, run: str) -> dict[str, Any]:
    return {r.sample: r.value for r in store.results(run) if (r.split, r.metric) == ("forget", "probability")}


def test_there_are_ten_and_each_finds_something(answers: dict[str, list[dict[str, Any]]]):
    assert len(QUESTIONS) == 10
    assert [question for question, rows in answers.items() if not rows] == []


def test_they_find_what_the_store_holds(answers: dict[str, list[dict[str, Any]]], lab: Lab):
    with Store.open(lab.store, readonly=True) as store:
        newest = store.runs(kind="unlearn")[0]
        curve = [(row.step, row.terms["loss"]) for row in store.steps(newest.id)]
        assert [(row["step"], row["loss"]) for row in found(answers, "The training curve")] == curve
        forgotten: dict[str, int] = {}
        for row in store.probes(newest.id):
            if row.nll is not None and row.nll >= 2:
                forgotten.setdefault(row.sample, row.updates)
        assert {row["sample"]: row["updates"] for row in found(answers, "After how many")} == forgotten
        assert [row["id"] for row in found(answers, "Runs with")] == [run.id for run in store.runs()]
        assert {row["id"] for row in found(answers, "Runs with") if row["tags"] == "paper"} == {lab.scored}
        one, other = (probability(store, run.id) for run in store.runs(kind="eval", state="complete")[:2])
        differences = {sample: one[sample] - other[sample] for sample in one}
        rows = found(answers, "Samples on which")
        assert {row["sample"]: row["difference"] for row in rows} == differences
        assert [abs(row["difference"]) for row in rows] == sorted(map(abs, differences.values()), reverse=True)
        lacking = {(a.name, a.reason) for run in store.runs() for a in store.aggregates(run.id) if a.value is None}
        assert {(row["name"], row["reason"]) for row in found(answers, "Numbers that are undefined")} == lacking
        options = {json.dumps(dict(run.config["options"]), sort_keys=True) for run in store.runs(kind="unlearn")}
        beside = found(answers, "Numbers over samples")
        assert {json.dumps(json.loads(row["options"]), sort_keys=True) for row in beside} == options
        assert {row["id"] for row in found(answers, "What scoring cost")} == {r.id for r in store.runs(kind="score")}
        values = [
            r.value for r in store.results(lab.evaluated["before"]) if (r.split, r.metric) == ("forget", "probability")
        ]
    means = {row["value"] for row in found(answers, "What each evaluation found") if row["metric"] == "probability"}
    assert any(mean == pytest.approx(np.mean(values)) for mean in means)
    hard = found(answers, "Samples that are hard")
    assert [row["mrd"] for row in hard] == sorted(row["mrd"] for row in hard)
    assert all(row["rouge"] < 0.2 for row in hard)
