"""Importing: what is missing comes, what is here stays, what contradicts is named, and a kill leaves no half."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unlearnkit.contracts import Unit
from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.store import Store, new_id
from unlearnkit.store.merge import Merged
from unlearnkit.store.records import (
    AggregateRow,
    Anchor,
    Checkpoint,
    Generation,
    Model,
    OrderRow,
    ProbeRow,
    Result,
    Row,
    Run,
    ScoreRow,
    StepRow,
)

from .making import DATA, FORK, MODEL, a_run, fork

SHARDS = 3


@pytest.fixture
def other_path(tmp_path: Path) -> Path:
    return tmp_path / "other.db"


@pytest.fixture
def other(other_path: Path) -> Iterator[Store]:
    with Store.open(other_path) as opened:
        yield opened


def block(draw: int, shard: int) -> np.ndarray:
    return np.random.default_rng((draw + 1, shard)).normal(size=(5, 2))


def draw(store: Store, *draws: int, series: str = "si") -> None:
    for k in draws:
        for shard in range(SHARDS):
            store.put_block(series, Unit(k, 1, shard), block(k, shard), seconds=0.5)


def complete(store: Store, identity: str, **changes: Any) -> Run:
    return store.finish(a_run(store, identity, **changes).id, "complete", summary={"n": 1})


def dump(path: Path) -> list[str]:
    """All that a store holds but what is its own: its id, and when things were imported."""
    raw = sqlite3.connect(path)
    try:
        return sorted(line for line in raw.iterdump() if '"meta"' not in line and "'imported'" not in line)
    finally:
        raw.close()


def a_whole_run(store: Store, identity: str, *, scores: str, reference: str, parent: str) -> str:
    """A run with a row in every table."""
    request = {"model": f"run:{parent}", "reference": reference}
    run = a_run(
        store, identity, kind="unlearn", series=None, parent=parent, config={"request": request, "reference": reference}
    ).id
    store.put_steps(run, [StepRow(i, {"loss": i / 7}) for i in range(1500)])
    store.put_probes(run, [ProbeRow(3, "a", 0.25, True), ProbeRow(4, "a", None, False)])
    store.put_order(run, OrderRow(0, scores, "digest"))
    store.put_order(run, OrderRow(1, None, "another"))
    store.put_scores(run, [ScoreRow("a", 0.1 + 0.2, None, 8, details={"curvature": 1e300})])
    store.put_results(run, [Result("f", "m", "a", None, "none")], [Generation("f", "a", "said")])
    store.put_aggregates(run, [AggregateRow("q", 1 / 3, reference=reference), AggregateRow("u", None, "why")])
    store.event(run, "code", "message")
    store.tag(run, ["paper"])
    store.note(run, "in figure 3")
    store.finish(run, "complete", summary={"steps": 1500})
    return run


def told(found: Merged) -> dict[str, tuple[int, ...]]:
    return {what: tuple(n.values()) for what, n in found.counts.items() if any(n.values())}


# ------------------------------------------------------------------------------------------------------- what is taken


def test_into_an_empty_store_all_of_it_comes(store: Store, other: Store, path: Path, other_path: Path):
    first = complete(other, "i")
    draw(other, 0, 1)
    other.put_calibration("key", {"options": {"sigma": 1e-3}})
    other.put_anchors(MODEL.fingerprint, "t", [Anchor("a", -1.5, 3)])
    a_whole_run(other, "whole", scores=first.id, reference=first.id, parent=first.id)
    found = store.merge(other)
    assert dump(path) == dump(other_path)
    assert {what: n[0] for what, n in told(found).items()} == {
        "model": 1, "data set": 1, "piece": 2 * SHARDS, "calibration": 1, "anchor": 1, "score run": 1, "unlearn run": 1,
    }  # fmt: skip
    assert found.store == other.uuid != store.uuid
    assert other.uuid in store.events(first.id)[-1].message
    assert store.check(full=True) == []

    again = store.merge(other)
    assert {n[0] for n in told(again).values()} == {0}
    assert dump(path) == dump(other_path)
    assert [event.code for event in store.events(first.id)] == ["imported"]


def test_tags_add_up_and_a_note_comes_where_there_is_none(store: Store, other: Store):
    ours, bare = complete(store, "both"), complete(store, "bare")
    theirs = [complete(other, identity) for identity in ("both", "bare", "new")]
    for here, run, tag in ((store, ours, "ours"), (other, theirs[0], "theirs"), (other, theirs[1], "one")):
        here.tag(run.id, [tag, "shared"])
        here.note(run.id, f"of {tag}")
    for _ in range(2):
        store.merge(other)
        told = {run.id: (run.tags, run.note) for run in store.runs()}
        assert told == {
            ours.id: (("ours", "shared", "theirs"), "of ours"),
            bare.id: (("one", "shared"), "of one"),
            theirs[2].id: ((), None),
        }


def test_an_unfinished_run_that_theirs_replaces_keeps_its_note(store: Store, other: Store):
    ours, theirs = a_run(store, "both"), complete(other, "both")
    store.note(ours.id, "mine")
    other.note(theirs.id, "theirs")
    other.tag(theirs.id, ["theirs"])
    store.merge(other)
    found = store.run(ours.id)
    assert (found.state, found.note, found.tags) == ("complete", "mine", ("theirs",))


def test_draws_of_two_machines_add_up(store: Store, other: Store):
    a_run(store)
    draw(store, 0, 1)
    a_run(other, "more", series="si")
    draw(other, 1, 2, 3)
    assert told(store.merge(other))["piece"] == (2 * SHARDS, SHARDS, 0)
    merged = store.blocks("si")
    assert {unit.draw for unit in merged} == {0, 1, 2, 3}
    assert all(values.tobytes() == block(u.draw, u.shard).tobytes() for u, values in merged.items())
    assert set(store.units("si").values()) == {0.5}
    assert store.merge(other).findings == ()


def test_a_dry_run_tells_the_same_and_takes_nothing(store: Store, other: Store, path: Path):
    a_run(store)
    complete(other, "i")
    draw(other, 0)
    before = dump(path)
    expected = store.merge(other, dry_run=True)
    assert dump(path) == before
    assert store.merge(other) == expected
    assert dump(path) != before


def test_texts_come_to_rows_without_one_and_no_text_is_replaced(store: Store, other: Store):
    a_run(store)
    a_run(other)
    rows = [Row(i, f"{i:064x}", tokens=i, prompt=f"p{i}", answer=f"a{i}") for i in range(DATA.n)]
    other.put_dataset(DATA, rows)
    assert told(store.merge(other))["text"] == (DATA.n, 0, 0)
    assert store.rows(DATA.fingerprint) == rows
    other.put_dataset(DATA, [replace(row, prompt="changed") for row in rows])
    assert "text" not in told(store.merge(other))
    assert store.rows(DATA.fingerprint) == rows


def test_what_is_here_keeps_its_label_and_its_choice(store: Store, other: Store):
    store.put_model(MODEL)
    other.put_model(Model(MODEL.fingerprint, "another label", "llama", 10))
    for one, sigma in ((store, 1e-3), (other, 2e-3)):
        one.put_calibration("key", {"options": {"sigma": sigma}})
        one.put_anchors("m", "t", [Anchor("a", -sigma, 3)])
    (finding,) = store.merge(other).findings
    assert (finding.code, finding.harmless) == ("calibration", True)
    assert store.model(MODEL.fingerprint) == MODEL
    assert store.calibration("key") == {"options": {"sigma": 1e-3}}
    assert store.anchors("m", "t", ["a"])["a"].logprob == -1e-3


# ----------------------------------------------------------------------------------------------------------- conflicts


def alter(path: Path, sql: str) -> None:
    raw = sqlite3.connect(path)
    raw.execute(sql)
    raw.commit()
    raw.close()


@pytest.mark.parametrize("fault", ["differ from those here", "were altered there", "were altered here"])
def test_a_contradicting_draw_keeps_its_series_out(
    store: Store, other: Store, path: Path, other_path: Path, fault: str
):
    ours = a_run(store)
    draw(store, 0)
    scored = complete(other, "more", series="si")
    drawn = a_whole_run(other, "drawn", scores=scored.id, reference="", parent=scored.id)
    looked = complete(other, "looked", kind="eval", series=None, parent=drawn)
    other.finish(drawn, "complete", summary={"model": "e" * 64})
    named = complete(other, "named", kind="finetune", series=None, config={"request": {"model": f"run:{drawn}"}})
    started = complete(other, "started", kind="eval", series=None, model="e" * 64)
    held = complete(other, "held", kind="eval", series=None)
    other.put_aggregates(held.id, [AggregateRow("q", 0.5, reference=looked.id)])
    apart = complete(other, "apart", kind="eval", series=None)
    draw(other, 1)
    draw(other, 5, series="sound")
    if fault == "differ from those here":
        other.put_block("si", Unit(0, 1, 0), block(0, 0) * (1 + 2**-52))
    else:
        altered = other_path if "there" in fault else path
        draw(other, 0)
        alter(altered, "UPDATE block SET data = zeroblob(80) WHERE draw = 0 AND shard = 0 AND series = 'si'")
    before = dump(path)

    found = store.merge(other)
    assert [f.code for f in found.findings] == ["block", *["run"] * 6] and not any(f.harmless for f in found.findings)
    assert f"draw 0, sign 1, shard 0 {fault}" in found.findings[0].message
    gone = (scored.id, drawn, looked.id, named.id, started.id, held.id)
    assert all(any(f"run {run} (" in f.message for f in found.findings[1:]) for run in gone)
    refused = {what: n[2] for what, n in told(found).items() if n[2]}
    assert refused == {
        "piece": len(other.units("si")),
        "score run": 1,
        "unlearn run": 1,
        "eval run": 3,
        "finetune run": 1,
    }
    assert {run.id for run in store.runs()} == {apart.id, ours.id}
    assert len(store.units("si")) == SHARDS and len(store.units("sound")) == SHARDS
    assert [line for line in before if "block" in line and line not in dump(path)] == []


def test_the_store_itself_and_servers_are_refused(store: Store, path: Path, tmp_path: Path):
    (tmp_path / "link.db").symlink_to(path)
    for name in ("unlearnkit.db", "link.db"):
        with Store.open(tmp_path / name, readonly=True) as same, pytest.raises(BadInput) as caught:
            store.merge(same)
        assert caught.value.code == "same-store"


def test_a_copy_that_went_its_own_way_comes_back(store: Store, path: Path, tmp_path: Path):
    run = a_run(store)
    draw(store, 0)
    alter(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    (tmp_path / "copy.db").write_bytes(path.read_bytes())
    with Store.open(tmp_path / "copy.db") as copy:
        assert copy.uuid == store.uuid
        draw(copy, 1)
        copy.finish(run.id, "complete")
        assert told(store.merge(copy))["score run"] == (1, 0, 0)
    assert store.run(run.id).state == "complete" and len(store.units("si")) == 2 * SHARDS


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE run SET config = '{'",
        "UPDATE score SET value = 9e999",
        "UPDATE run_dataset SET dataset = 'gone'",
        "UPDATE run SET parent = id",
        "UPDATE run SET method = CAST(x'ff' AS TEXT)",
        "UPDATE dataset_row SET status = CAST(x'ff' AS TEXT)",
    ],
)
def test_what_no_store_writes_is_refused_as_a_whole(store: Store, other: Store, path: Path, other_path: Path, sql: str):
    run = complete(other, "i")
    other.put_scores(run.id, [ScoreRow("a", 1.0, None, 1)])
    alter(other_path, sql)
    before = dump(path)
    with pytest.raises(UnlearnkitError) as caught:
        store.merge(other)
    assert str(other_path) in caught.value.message and str(path) not in caught.value.message
    assert dump(path) == before


# ---------------------------------------------------------------------------------------------------------------- runs


def test_a_run_that_both_made_is_one_run(store: Store, other: Store):
    """Complete in both: ours stays, and what came along refers to it."""
    ours, theirs = complete(store, "i"), complete(other, "i")
    store.put_scores(ours.id, [ScoreRow("a", 1.0, None, 1)])
    child = a_whole_run(other, "child", scores=theirs.id, reference=theirs.id, parent=theirs.id)
    found = told(store.merge(other))
    assert (found["score run"], found["unlearn run"]) == ((0, 1, 0), (1, 0, 0))
    came = store.run(child)
    assert came.parent == ours.id
    assert came.config == {"request": {"model": f"run:{ours.id}", "reference": ours.id}, "reference": ours.id}
    assert [store.order(child, epoch).scores for epoch in (0, 1)] == [ours.id, None]
    assert {row.name: row.reference for row in store.aggregates(child)} == {"q": ours.id, "u": None}
    assert store.run(ours.id) == ours and set(store.scores(ours.id)) == {"a"}
    assert store.steps(child) == other.steps(child) and store.probes(child) == other.probes(child)


def test_an_id_that_is_taken_is_not_given_twice(store: Store, other: Store):
    mine = complete(store, "mine")
    complete(other, "theirs", id=mine.id)
    store.merge(other)
    assert {run.identity for run in store.runs()} == {"mine", "theirs"}
    assert store.run(mine.id).identity == "mine" and len({run.id for run in store.runs()}) == 2


def test_a_complete_run_takes_the_place_of_an_unfinished_one(store: Store, other: Store):
    ours = a_run(store, "whole", kind="unlearn", series=None)
    child = complete(store, "child", parent=ours.id)
    store.claim(ours.id)
    store.put_checkpoint(ours.id, Checkpoint(2, store.files.save({"w": torch.ones(3)}), {}), [StepRow(2, {"loss": 9})])
    store.put_probes(ours.id, [ProbeRow(1, "b", 1.0, True)])
    store.finish(ours.id, "failed", error_code="interrupted", error="stopped")
    store.event(ours.id, "mine", "stays")
    scored = complete(other, "i")
    theirs = a_whole_run(other, "whole", scores=scored.id, reference=scored.id, parent=scored.id)
    assert told(store.merge(other))["unlearn run"] == (1, 0, 0)

    kept = {"id": ours.id, "datasets": store.run(ours.id).datasets}
    assert store.run(ours.id) == replace(other.run(theirs), **kept)
    assert store.run(child.id).parent == ours.id
    for of in (store.steps, store.probes, store.scores, store.results, store.generations, store.aggregates):
        assert of(ours.id) == getattr(other, of.__name__)(theirs), of.__name__
    assert store.checkpoints(ours.id) == [] and store.files.stored() == {}
    assert [event.code for event in store.events(ours.id)] == ["mine", "code", "imported"]
    assert store.check(full=True) == []


def test_a_run_that_is_worked_on_is_left_alone(store: Store, other: Store, path: Path):
    ours = a_run(store)
    complete(other, "i")
    claimed = FORK.Event()

    def work() -> None:
        with Store.open(path) as mine:
            mine.claim(ours.id)
            claimed.set()
            signal.pause()

    child = fork(work)
    assert claimed.wait(30)
    assert told(store.merge(other))["score run"] == (0, 1, 0)
    assert store.run(ours.id).alive
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert told(store.merge(other))["score run"] == (1, 0, 0)


def test_an_unfinished_run_comes_without_its_worker_and_its_checkpoints(store: Store, other: Store):
    run = a_run(other, kind="unlearn", series=None)
    other.claim(run.id)
    step = StepRow(1, {"loss": 1.0})
    other.put_checkpoint(run.id, Checkpoint(1, other.files.save({"w": torch.ones(3)}), {}), [step])
    store.merge(other)
    assert other.run(run.id).alive
    assert store.run(run.id).status == "interrupted"
    assert (store.steps(run.id), store.checkpoints(run.id), store.files.stored()) == ([step], [], {})
    assert store.claim(run.id).alive


def test_draws_made_elsewhere_make_an_unfinished_run_inexact(store: Store, other: Store):
    ours, theirs = a_run(store), a_run(other)
    other.mark_inexact(theirs.id)
    draw(other, 0)
    store.merge(other)
    assert not store.run(ours.id).exact


def test_a_child_that_was_made_before_its_parent_comes_too(store: Store, other: Store):
    parent = complete(other, "parent", created="2026-02-01", kind="unlearn", series=None)
    child = complete(other, "child", created="2026-01-01", id="0" * 26, parent=parent.id)
    store.merge(other)
    assert store.run(child.id).parent == parent.id


# --------------------------------------------------------------------------------------------------------------- kills


def test_a_kill_takes_all_or_nothing(store: Store, other: Store, path: Path, other_path: Path):
    """Ten kills, spread over the import; the last import is left alone."""
    for n in range(20):
        run = complete(other, str(n), id=new_id())
        other.put_scores(run.id, [ScoreRow(f"{i:064x}", i / 3, None, 8) for i in range(300)])
        draw(other, *range(8), series=f"s{n}")
    before, after = dump(path), dump(other_path)

    def work() -> None:
        with Store.open(path) as mine, Store.open(other_path, readonly=True) as theirs:
            mine.merge(theirs)

    began = time.monotonic()
    undisturbed = fork(work)
    undisturbed.join()
    seconds = time.monotonic() - began
    assert undisturbed.exitcode == 0 and dump(path) == after
    store.close()
    for file in path.parent.glob("unlearnkit.db*"):
        file.unlink()
    Store.open(path).close()
    outcomes = []
    for n in range(10):
        child = fork(work)
        time.sleep(seconds * (n + 1) / 12)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        outcomes.append(dump(path))
    assert all(found in (before, after) for found in outcomes)
    assert outcomes[0] == before, "no kill came before the end"
    work()
    assert dump(path) == after


# --------------------------------------------------------------------------- what the other commands make of the tables


def test_removing_a_run_takes_its_probes_along_and_leaves_choices(store: Store):
    run = complete(store, "i")
    store.put_probes(run.id, [ProbeRow(1, "a", 0.5, True)])
    store.put_calibration("key", {"options": {}})
    store.remove_run(run.id)
    rows = store.info()["rows"]
    assert (rows["probe"], rows["calibration"]) == (0, 1)
    assert store.check(full=True) == []


def test_a_probe_of_no_run_is_found(store: Store, path: Path):
    run = complete(store, "i")
    store.put_probes(run.id, [ProbeRow(1, "a", 0.5, True)])
    alter(path, "UPDATE probe SET run = 'gone'")
    assert [(f.code, f.harmless) for f in store.check()] == [("reference", False)]


def test_an_empty_store_brings_nothing(store: Store, other: Store):
    a_run(store)
    assert told(store.merge(other)) == {}
