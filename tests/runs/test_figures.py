"""Figures are kept once and stay as long as what defines them does; what is kept is what the rows come to."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from runs.lab import IDS, Lab
from unlearnkit.plugins.manager import Plugins
from unlearnkit.runs.figures import Figure, Figures, Measures
from unlearnkit.scorers.mrd import MRD
from unlearnkit.store import Store, connect
from unlearnkit.store.records import FigureRow, Result, Run

VALUES = [0.9, 0.1, 0.4, 0.35, 0.8, 0.05, 0.6, 0.55, 0.2, 0.7, 0.15, 0.3]


@pytest.fixture
def evaluation(lab: Lab) -> Run:
    run = lab.store.run(lab.evaluated(lab.unlearned(), dict(zip(IDS, VALUES, strict=True))))
    lab.store.put_results(run.id, [Result("forget", "rouge", s, None, "no_prompt") for s in IDS])
    return run


def figures(lab: Lab, run: Run) -> dict[str, Figure]:
    return Figures(lab.place, [run.id]).of(run)


def without_rows(lab: Lab) -> None:
    """From here on a figure that is not kept cannot be made."""
    with sqlite3.connect(str(lab.store.path)) as raw:
        raw.execute("DELETE FROM result")


def test_a_figure_is_what_the_rows_come_to(lab: Lab, evaluation: Run):
    found = figures(lab, evaluation)
    values = np.array([value for _, value in sorted(zip(IDS, VALUES, strict=True))])
    drawn = np.random.default_rng(0).integers(12, size=(2000, 12))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    expected = Figure(*(pytest.approx(x, rel=1e-12) for x in (values.mean(), 12, low, high)))
    assert found == {"forget.probability": expected, "forget.rouge": Figure(None, 0, None, None, "no_prompt")}


def test_what_is_kept_is_not_made_again(lab: Lab, evaluation: Run):
    before = figures(lab, evaluation)
    without_rows(lab)
    assert figures(lab, evaluation) == before


def test_a_definition_that_changed_makes_it_anew(lab: Lab, evaluation: Run, monkeypatch: pytest.MonkeyPatch):
    before = figures(lab, evaluation)
    code = Plugins.code
    monkeypatch.setattr(Plugins, "code", lambda self, *of: [*code(self, *of), "edited"])
    assert figures(lab, evaluation) == before
    without_rows(lab)
    assert figures(lab, evaluation) == before
    monkeypatch.setattr(Plugins, "code", code)
    assert figures(lab, evaluation) == {}, "what is kept now is of the edited one"


def test_other_values_have_other_figures(lab: Lab, evaluation: Run):
    figures(lab, evaluation)
    lab.store.put_results(evaluation.id, [Result("forget", "probability", s, 0.5) for s in IDS])
    assert figures(lab, evaluation)["forget.probability"].value == pytest.approx(0.5)


def thirds(lab: Lab, run: Run, scored: str) -> dict[str, tuple[int, Any]]:
    rows = Figures(lab.place, [run.id]).thirds(run, lab.store.run(scored))
    return {row.third: (row.n, row.value) for row in rows if row.metric == "probability"}


def test_thirds_are_kept_for_each_ranking(lab: Lab, evaluation: Run):
    up, down = lab.scores(range(12)), lab.scores([-i for i in range(12)])
    means = [(4, pytest.approx(np.mean(VALUES[i : i + 4]))) for i in (0, 4, 8)]
    expected = dict(zip(("hard", "middle", "easy"), means, strict=True))
    mirrored = dict(zip(("easy", "middle", "hard"), means, strict=True))
    for _ in range(2):
        assert thirds(lab, evaluation, up) == expected
        assert thirds(lab, evaluation, down) == mirrored
        without_rows(lab)
    assert figures(lab, evaluation) == {}, "all of the set is another figure than its thirds"
    lab.store.remove_run(up)
    assert {row.scores for rows in lab.store.figures().values() for row in rows} == {down, ""}
    lab.store.remove_run(evaluation.id)
    assert lab.store.figures() == {}


def test_thirds_go_by_the_names_that_the_scorer_gives_them_now(
    lab: Lab, evaluation: Run, monkeypatch: pytest.MonkeyPatch
):
    ranked = lab.scores(range(12))
    before = thirds(lab, evaluation, ranked)
    monkeypatch.setattr(MRD, "high_means", "hard")
    after = thirds(lab, evaluation, ranked)
    assert [after[name] for name in ("hard", "middle", "easy")] == [before[name] for name in ("easy", "middle", "hard")]


def test_a_store_that_cannot_be_written_has_figures_too(lab: Lab, evaluation: Run):
    with Store.open(lab.store.path or "", readonly=True) as store:
        lab.place.__dict__["store"], kept = store, lab.store
        assert set(figures(lab, evaluation)) == {"forget.probability", "forget.rouge"}
        lab.place.__dict__["store"] = kept
    assert lab.store.figures() == {}


@pytest.mark.parametrize(
    ("hindrance", "code"),
    [
        ("BEGIN IMMEDIATE", "busy"),
        (
            "CREATE TRIGGER full BEFORE INSERT ON figure BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
            "disk-full",
        ),
    ],
)
def test_what_cannot_be_kept_is_read_all_the_same(
    lab: Lab,
    evaluation: Run,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    hindrance: str,
    code: str,
):
    """Tried once, whatever there is to keep."""
    monkeypatch.setattr(connect, "BRIEF", 0.05)
    caplog.set_level("INFO", "unlearnkit.runs.figures")
    other = lab.store.run(lab.evaluated(lab.unlearned(method="npo"), dict.fromkeys(IDS, 0.5)))
    with closing(sqlite3.connect(str(lab.store.path), isolation_level=None)) as raw:
        raw.execute(hindrance)
        several = Figures(lab.place, [evaluation.id, other.id])
        found = [several.of(run)["forget.probability"].value for run in (evaluation, other)]
    assert found == [pytest.approx(np.mean(VALUES)), pytest.approx(0.5)]
    assert caplog.messages == [f"figures are not kept: {code}"]
    assert lab.store.figures() == {}


@pytest.mark.parametrize("removed", ["evaluation", "scores"])
def test_a_run_that_is_removed_while_it_is_read(
    lab: Lab, evaluation: Run, monkeypatch: pytest.MonkeyPatch, removed: str
):
    first = lab.scores(range(12))
    expected = thirds(lab, evaluation, first)
    lab.store.remove_run(first)
    ranked, made = lab.scores(range(12)), Measures.thirds

    def meanwhile(self: Measures, *given: Any) -> list[FigureRow]:
        with Store.open(lab.store.path or "") as other:
            other.remove_run(evaluation.id if removed == "evaluation" else ranked)
        return made(self, *given)

    monkeypatch.setattr(Measures, "thirds", meanwhile)
    assert thirds(lab, evaluation, ranked) == expected
    assert lab.store.figures() == {}


def test_a_plugin_that_is_gone_takes_no_figure_of_others_along(lab: Lab, evaluation: Run):
    uses = [{"name": name, "plugin": name, "options": {}} for name in ("gone", "probability")]
    suite = {"name": "x", "splits": {"forget": {"metrics": uses}}, "aggregates": []}
    run = replace(evaluation, config={"suite": suite})
    assert set(figures(lab, run)) == {"forget.probability"}
    without_rows(lab)
    assert set(figures(lab, run)) == {"forget.probability"}
