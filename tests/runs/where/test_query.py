"""`--where` on a store: the runs that it means are those that a loop over all of them finds."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import unlearnkit
from runs.lab import IDS, Lab
from unlearnkit.errors import BadInput
from unlearnkit.runs.where import select
from unlearnkit.store.records import AggregateRow, FigureRow, Run


@pytest.fixture
def filled(lab: Lab) -> Lab:
    """Six unlearn runs and an evaluation of each but the last, a failed run among them, and scores."""
    lab.scores(range(12))
    for i in range(6):
        config = {
            "sampler": ["uniform", "mrd"][i % 2],
            "options": {"beta": [0.1, 0.5, 2][i % 3], "on": i == 1},
            "request": {"sampler_options": {"draws": 8} if i % 2 else {}},
            "plan": {"lr": 10.0**-i, "epochs": 5},
        }
        method, created = ["npo", "ga"][i // 3], f"2026-1{i % 3}-0{i + 1}T10:00:00.0+00:00"
        made = lab.unlearned(
            method=method, ids=IDS[: 6 + i], label=f"data/forget{i}.jsonl", seed=i, config=config, created=created,
            state="failed" if i == 5 else "complete",
        )  # fmt: skip
        if i < 5:
            evaluation = lab.evaluated(made, dict.fromkeys(IDS, i / 10))
            value = None if i == 4 else i / 4
            lab.store.put_aggregates(
                evaluation, [AggregateRow("forget_quality", value, reason=None if i < 4 else "why")]
            )
    tagged = lab.store.runs(kind="unlearn", method="npo")
    lab.store.tag(tagged[0].id, ["paper", "table-2"])
    lab.store.tag(tagged[1].id, ["paper"])
    lab.store.note(tagged[1].id, "a 'quoted' note; DROP TABLE run")
    return lab


Judge = Callable[[Run], bool]
UNLEARNED: dict[str, Judge] = {
    "kind=unlearn": lambda r: True,
    "kind=UNLEARN": lambda r: True,
    "kind!=unlearn": lambda r: False,
    "algorithm=npo": lambda r: r.method == "npo",
    "method~G": lambda r: "g" in r.method,
    "method~n?o": lambda r: r.method == "npo",
    "sampler=mrd and not seed>3": lambda r: r.config["sampler"] == "mrd" and r.seed <= 3,
    "seed>=2 and seed<5": lambda r: 2 <= r.seed < 5,
    "seed=3.0": lambda r: r.seed == 3,
    "seed!=3": lambda r: r.seed != 3,
    "seed<99999999999999999999": lambda r: True,
    f"seed<{'9' * 5000}": lambda r: True,
    f"seed={'9' * 5000}": lambda r: False,
    "created!=2026-11": lambda r: not r.created.startswith("2026-11"),
    "state=complete": lambda r: r.state == "complete",
    "state=failed or seed=0": lambda r: r.state == "failed" or r.seed == 0,
    "npo.beta<=0.5": lambda r: r.method == "npo" and r.config["options"]["beta"] <= 0.5,
    "option.beta=2": lambda r: r.config["options"]["beta"] == 2,
    "option.on=true": lambda r: r.config["options"]["on"],
    "mrd.draws=8": lambda r: r.seed % 2 == 1,
    "lr<1e-3": lambda r: r.config["plan"]["lr"] < 1e-3,
    "epochs=5": lambda r: True,
    "tag=paper": lambda r: "paper" in r.tags,
    "tag!=paper": lambda r: "paper" not in r.tags,
    "tag=table-2": lambda r: "table-2" in r.tags,
    """note~"'quoted'" """: lambda r: r.note is not None,
    "note='DROP TABLE run'": lambda r: False,
    "created=2026-11": lambda r: r.created.startswith("2026-11"),
    "created<2026-11": lambda r: r.created < "2026-11",
    "created<=2026-11": lambda r: r.created < "2026-12",
    "created>2026-11-02": lambda r: r.created >= "2026-11-03",
    "created>='2026-11-02 10:00'": lambda r: r.created >= "2026-11-02T10:00",
    "data=forget3.jsonl": lambda r: r.seed == 3,
    "model=my-model": lambda r: True,
    "model=other-model": lambda r: False,
    "forget_quality>0.3": lambda r: 0.3 < r.seed / 4 < 1,
    "not forget_quality>0.3": lambda r: not 0.3 < r.seed / 4 < 1,
    "forget.probability>=0.2": lambda r: 2 <= r.seed < 5,
    "algorithm=ga and forget.probability<0.35 or seed=1": lambda r: r.seed in (1, 3),
    "not (state=complete and tag~pap*)": lambda r: "paper" not in r.tags,
}


def test_runs_are_those_that_a_loop_finds(filled: Lab):
    runs = filled.store.runs(kind="unlearn")
    expected = {text: [run.seed for run in runs if judge(run)] for text, judge in UNLEARNED.items()}
    everywhere = {text: select(filled.place, text) for text in UNLEARNED}
    assert {text: [run.seed for run in of if run.kind == "unlearn"] for text, of in everywhere.items()} == expected


def test_an_evaluation_has_what_its_model_was_made_with(filled: Lab):
    evaluations = {run.id: run for run in filled.store.runs(kind="eval")}
    parents = {run.id: run for run in filled.store.runs(kind="unlearn")}
    found = select(filled.place, "kind=eval and algorithm=npo and sampler=mrd and npo.beta<1")
    expected = [e for e in evaluations.values() if (p := parents[e.parent or ""]).method == "npo" and p.seed == 1]
    assert [run.id for run in found] == [run.id for run in expected]
    assert len(found) == 1
    assert select(filled.place, "kind=eval and suite=tofu and seed=0") == list(evaluations.values())


def test_figures_that_were_never_asked_for_are_made(filled: Lab):
    assert filled.store.figures() == {}
    assert len(select(filled.place, "kind=eval and forget.probability>0.25")) == 2
    assert len(filled.store.figures()) == 5


def test_a_figure_that_is_kept_of_what_is_measured_no_more_does_not_count(filled: Lab):
    (run,) = filled.store.runs(kind="eval", limit=1)
    filled.store.put_figures(run.id, [FigureRow("forget", "rouge", "", "another key", 0.9, 3)])
    assert select(filled.place, "forget.rouge>0.5") == []


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("algoritm", "algorithm"),
        ("npo.bata", "npo.beta"),
        ("forget_qality", "forget_quality"),
        ("forget.probabilty", "forget.probability"),
    ],
)
def test_a_field_that_no_run_has_is_said_before_anything_is_made(filled: Lab, field: str, hint: str):
    with pytest.raises(BadInput) as caught:
        select(filled.place, f"{field}=1 and kind=eval")
    assert caught.value.code == "where"
    assert caught.value.hint == f'did you mean "{hint}"?'
    assert filled.store.figures() == {}


HOSTILE = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["'; DROP TABLE run; --", "x' OR '1'='1", "%", "_", "*" * 50 + "b", "[" * 20, "\0", "{0}", "%s"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(HOSTILE, st.sampled_from(["note", "tag", "model", "id", "state"]), st.sampled_from(["=", "!=", "~"]))
def test_no_value_is_anything_but_text(filled: Lab, value: str, field: str, operator: str):
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    before = filled.store.runs()
    found = select(filled.place, f'{field}{operator}"{quoted}"')
    assert filled.store.runs() == before
    contrary = select(filled.place, f'not {field}{operator}"{quoted}"')
    assert sorted(run.id for run in [*found, *contrary]) == sorted(run.id for run in before)
    if operator == "=" and field == "state":
        assert found == [run for run in before if run.status.casefold() == value.casefold()]


def test_nothing_typed_is_in_a_statement(filled: Lab):
    """SQLite is told of every statement that it runs: none holds a word of the condition."""
    statements: list[str] = []
    with filled.store._engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.set_trace_callback(statements.append)
    select(filled.place, "note='canary' and tag~canary and model!=canary")
    assert statements and not any("canary" in statement for statement in statements)


def test_a_run_is_judged_as_it_stands(filled: Lab):
    (run,) = select(filled.place, "kind=unlearn and seed=0")
    assert replace(run, tags=()) == replace(filled.store.run(run.id), tags=())


def test_python_asks_the_same(filled: Lab):
    asked = unlearnkit.find_runs("sampler=mrd and kind=unlearn", store=filled.store.path)
    assert asked == select(filled.place, "sampler=mrd and kind=unlearn")
    assert unlearnkit.find_runs(store=filled.store.path) == filled.store.runs()
