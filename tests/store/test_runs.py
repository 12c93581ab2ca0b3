"""Runs: one a command, one process at a time, found by what one remembers of the id, removed without a trace."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import torch

from unlearnkit.contracts import Unit
from unlearnkit.errors import BadInput, NotFound, UnlearnkitError
from unlearnkit.store import Store, new_id
from unlearnkit.store.process import Process
from unlearnkit.store.records import (
    AggregateRow,
    Anchor,
    Checkpoint,
    Dataset,
    Generation,
    OrderRow,
    Result,
    Row,
    ScoreRow,
    StepRow,
)

from .making import DATA, FORK, MODEL, a_run, draft, fork


def test_the_same_command_finds_its_run(store: Store):
    first = a_run(store)
    again, new = store.begin(replace(draft(), config={"other": 1}))
    assert (again, new) == (first, False)
    other, new = store.begin(draft(kind="eval"))
    assert new and other.id != first.id


def test_a_run_comes_back_as_it_went_in(store: Store):
    a_run(store)
    run = draft("whole", parent=store.run("@last").id, argv=("a", "ü\udcff", ""), exact=False)
    stored, new = store.begin(run)
    assert new
    assert stored == replace(run, created=stored.created, beat=stored.beat)
    assert datetime.fromisoformat(stored.created).utcoffset() == timedelta(0)


@pytest.mark.parametrize("changes", [{"datasets": {"data": "e" * 64}}, {"parent": "0" * 26}])
def test_what_a_run_names_must_be_there(store: Store, changes: dict):
    with pytest.raises(ValueError, match="FOREIGN KEY"):
        store.begin(draft(**changes))
    assert store.runs() == []


def test_life_of_a_run(store: Store):
    run = a_run(store)
    assert run.status == "created"
    run = store.claim(run.id)
    assert (run.status, run.alive) == ("running", True)
    assert store.claim(run.id).alive, "its own process may claim it again"
    assert run.exact
    assert not store.mark_inexact(run.id).exact
    done = store.finish(run.id, "failed", error_code="x", error="why", summary={"n": 1})
    assert (done.state, done.error_code, done.error, done.exact, done.summary) == (
        "failed",
        "x",
        "why",
        False,
        {"n": 1},
    )
    assert done.finished and not done.alive
    again = store.claim(run.id)
    assert (again.error_code, again.error, again.finished) == (None, None, None)
    assert store.finish(run.id, "complete").summary == {"n": 1}
    for call in (store.claim, store.beat, store.mark_inexact, store.remove_run, lambda r: store.finish(r, "complete")):
        with pytest.raises(NotFound) as caught:
            call("0" * 26)
        assert caught.value.code == "run"


def test_a_living_process_keeps_its_run_and_a_killed_one_loses_it(store: Store, path: Path):
    run = a_run(store)
    claimed = FORK.Event()

    def work() -> None:
        with Store.open(path) as mine:
            mine.claim(run.id)
            claimed.set()
            signal.pause()

    child = fork(work)
    assert claimed.wait(30)
    assert store.run(run.id).alive
    for attempt in (store.claim, store.remove_run):
        with pytest.raises(UnlearnkitError) as caught:
            attempt(run.id)
        assert (caught.value.code, caught.value.exit_code) == ("busy", 1)
    with pytest.raises(UnlearnkitError, match=f"process {child.pid} "):
        store.claim(run.id)

    # Not yet reaped: the system still knows the number, but nobody works.
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert store.run(run.id).status == "interrupted"
    child.join()
    assert store.claim(run.id).alive


def test_who_is_alive():
    here, now = Process.this(), datetime.now(timezone.utc)
    beat = {age: (now - timedelta(seconds=age)).isoformat() for age in (1, 1000)}
    assert here.alive(beat[1000]), "on its own host a process is asked for, not its beat"
    assert not replace(here, started="1").alive(beat[1]), "another process with the same number"
    assert not replace(here, boot="before").alive(beat[1])
    assert not replace(here, pid=2**22 + 1).alive(beat[1])
    assert replace(here, host="elsewhere", boot="x").alive(beat[1])
    assert not replace(here, host="elsewhere", boot="x").alive(beat[1000])


def test_who_is_gone():
    here = Process.this()
    assert not here.gone()
    for dead in (replace(here, started="1"), replace(here, pid=2**22 + 1)):
        assert dead.gone()
        assert not replace(dead, host="elsewhere").gone(), "a process there is not seen from here"
        assert not replace(dead, boot="x").gone(), "it may be another host of the same name"


# -------------------------------------------------------------------------------------------------------- finding (61)


def test_of_many_runs_that_begin_alike_the_newest_are_named(store: Store):
    """By as much of their ids as tells them apart, in a line that can be read."""
    for n in range(30):
        a_run(store, str(n), id=f"01ABCD{n:02}" + "0" * 18, created=f"2026-01-{n + 1:02}T09:08:07+00:00", kind="eval")
    with pytest.raises(BadInput) as several:
        store.run("01ab")
    named = ", ".join(f"01ABCD{n} (eval, 01-{n + 1} 09:08)" for n in (29, 28, 27, 26, 25))
    assert several.value.hint == f"give more of the id: {named} and 25 more"
    assert store.run("01ABCD29").id == "01ABCD29" + "0" * 18


def test_finding(store: Store):
    with pytest.raises(NotFound) as caught:
        store.run("@last")
    assert (caught.value.code, caught.value.exit_code) == ("run", 3)
    ids = ["01AAAA" + "0" * 20, "01AAAB" + "0" * 20, "01BBBB" + "0" * 20]
    runs = [
        a_run(store, i, id=i, created=f"2026-01-0{n + 1}", kind="eval" if n == 2 else "score")
        for n, i in enumerate(ids)
    ]
    assert store.run(ids[0]) == store.run("01aaaa") == runs[0]
    assert store.run("@last") == store.run("01BB") == runs[2]
    assert store.run("@last", {"score", "unlearn"}) == runs[1]
    with pytest.raises(BadInput) as several:
        store.run("01aa")
    assert "any of 2 runs" in several.value.message and several.value.exit_code == 2
    assert several.value.hint == "give more of the id: 01AAAB (score, 01-02), 01AAAA (score, 01-01)"
    with pytest.raises(NotFound) as none:
        store.run("01BB", ["score"])
    assert "runs list" in str(none.value.hint)
    for nothing in ("01__", "01%%", "' OR 1=1 --"):
        with pytest.raises(NotFound):
            store.run(nothing)
    for short in ("", "01A"):  # which may be a folder's name too
        with pytest.raises(NotFound, match="too short for a run"):
            store.run(short)


def test_listing(store: Store):
    for n in range(5):
        a_run(
            store,
            str(n),
            created=f"2026-01-0{n + 1}",
            method="mrd" if n % 2 else "npo",
            kind="eval" if n == 4 else "score",
        )

    def days(**wanted):
        return [run.created[-1] for run in store.runs(**wanted)]

    assert days() == ["5", "4", "3", "2", "1"]
    assert days(kind="score", method="npo", limit=1) == ["3"]
    assert days(model="none") == days(state="complete") == []
    store.finish(store.runs()[0].id, "complete")
    assert days(state="complete", model=MODEL.fingerprint) == ["5"]
    assert store.runs()[3].datasets == {"data": DATA.fingerprint}


def test_ids_sort_by_time():
    assert len(new_id()) == 26
    earlier = new_id()
    time.sleep(0.002)
    assert earlier < new_id()


# ------------------------------------------------------------------------------------------------------------- removing


CANARY = "the-secret-that-was-to-be-forgotten"


def everything(store: Store, identity: str, text: str) -> str:
    """A run with something in every table, each text of it ending on its own number."""
    samples = [f"{identity}-{i}-{text}" for i in range(300)]
    data = Dataset(f"data-{identity}", text, 300)
    store.put_model(replace(MODEL, fingerprint=f"model-{identity}"))
    store.put_dataset(data, [Row(i, s, prompt=text * 9, answer=s) for i, s in enumerate(samples)])
    run, _ = store.begin(
        draft(
            identity, model=f"model-{identity}", datasets={"data": data.fingerprint}, argv=(text,), config={"x": text}
        )
    )
    store.put_block(f"s{identity}", Unit(0, 1, 0), np.ones((2, 2)))
    store.put_scores(run.id, [ScoreRow(s, 1.0, None, 1) for s in samples])
    store.put_steps(run.id, [StepRow(1, {"loss": 1.0})])
    store.put_order(run.id, OrderRow(0, text, "x"))
    store.put_anchors(f"model-{identity}", "t", [Anchor(s, -1.0, 3) for s in samples])
    store.put_results(
        run.id, [Result("f", "m", s, 1.0) for s in samples], [Generation("f", s, text * 20) for s in samples]
    )
    store.put_aggregates(run.id, [AggregateRow("a", 1.0, reference=text)])
    store.put_checkpoint(
        run.id, Checkpoint(1, store.files.save({"w": torch.full((4,), float(len(text)))}), {"x": text})
    )
    store.event(run.id, "e", text)
    store.tag(run.id, ["tag"])
    store.note(run.id, text)
    return run.id


def test_removed_text_is_nowhere(store: Store, path: Path):
    kept = everything(store, "kept", "harmless")
    gone = everything(store, "gone", CANARY)
    child = store.begin(draft("child", parent=gone, datasets={}))[0]
    before = store.info()["rows"]
    wal = path.with_name(path.name + "-wal")
    assert CANARY.encode() in path.read_bytes() + wal.read_bytes(), "else this test shows nothing"

    store.remove_run(gone)

    assert CANARY.encode() not in path.read_bytes() + wal.read_bytes()
    assert store.run(child.id).parent is None
    after = store.info()
    # Two equal halves: one remains, with the orphaned child and the two rows of `meta`.
    halves = {t: n // 2 for t, n in before.items() if t not in {"meta", "run", "model"}}
    assert {t: n for t, n in after["rows"].items() if t in halves} == halves
    assert (after["rows"]["run"], after["rows"]["meta"]) == (2, 2)
    assert after["files"] == 1
    assert len(store.generations(kept)) == 300 and store.blocks("skept").keys() == {Unit(0, 1, 0)}
    assert [f for f in store.check(full=True) if not f.harmless] == []


def test_what_another_run_uses_stays(store: Store):
    first, second = a_run(store, "1", series="shared"), a_run(store, "2", series="shared")
    store.put_block("shared", Unit(0, 1, 0), np.ones((1, 1)))
    store.put_anchors(MODEL.fingerprint, "t", [Anchor("a", -1.0, 1)])
    store.remove_run(first.id)
    assert store.units("shared") and store.dataset(DATA.fingerprint) and store.model(MODEL.fingerprint)
    assert store.anchors(MODEL.fingerprint, "t", ["a"])
    store.remove_run(second.id)
    assert not (store.units("shared") or store.dataset(DATA.fingerprint) or store.model(MODEL.fingerprint))
    assert not store.anchors(MODEL.fingerprint, "t", ["a"])


def test_a_reader_that_keeps_the_log_alive_is_said(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch):
    run = a_run(store)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM run").fetchall()
    with store._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=200")
    with pytest.raises(UnlearnkitError) as caught:
        store.remove_run(run.id)
    reader.close()
    assert caught.value.code == "busy"
    assert store.runs() == []


def test_events_are_kept_in_order(store: Store):
    run = a_run(store)
    for n in range(3):
        store.event(run.id, "n", str(n))
    store.event(None, "store", "itself")
    assert [e.message for e in store.events(run.id)] == ["0", "1", "2"]
    assert [e.code for e in store.events(None)] == ["store"]
