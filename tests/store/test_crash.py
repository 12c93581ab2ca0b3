"""Processes that are killed, and processes that get into each other's way."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
import torch

from unlearnkit.contracts import Unit
from unlearnkit.errors import UnlearnkitError
from unlearnkit.store import Store, schema
from unlearnkit.store.process import Process
from unlearnkit.store.records import Checkpoint, ScoreRow

from .making import a_run, all_succeed, draft, fork


def test_no_acknowledged_write_is_lost(path: Path):
    """Two writers a round tell of each commit through a pipe and are killed: 20 kills."""
    with Store.open(path) as store:
        run = a_run(store).id
    acknowledged: set[tuple[int, int]] = set()
    rng = np.random.default_rng(0)
    for round_ in range(10):
        children, pipes = [], []
        for writer in (2 * round_, 2 * round_ + 1):
            reading, writing = os.pipe()

            def work(writer: int = writer, writing: int = writing) -> None:
                with Store.open(path) as store:
                    for shard in range(1_000_000):
                        store.put_block("si", Unit(writer, 1, shard), np.full((50, 2), writer + shard / 7))
                        os.write(writing, shard.to_bytes(4, "little"))

            children.append((writer, fork(work)))
            os.close(writing)
            pipes.append(reading)
        time.sleep(0.1 + 0.2 * rng.random())
        for (writer, child), pipe in zip(children, pipes, strict=True):
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            with os.fdopen(pipe, "rb") as told:
                text = told.read()
            acknowledged |= {(writer, int.from_bytes(text[i : i + 4], "little")) for i in range(0, len(text) - 3, 4)}
    assert len(acknowledged) > 100, "the writers hardly came to write"
    with Store.open(path) as store:
        stored = store.blocks("si")
        for writer, shard in acknowledged:
            assert (stored[Unit(writer, 1, shard)] == writer + shard / 7).all()
        assert [f for f in store.check(full=True) if not f.harmless] == []
        # What was stored but not yet told of is at most one block a kill.
        assert len(stored) - len(acknowledged) <= 20
        assert store.run(run).state == "created"


def test_no_update_is_lost(path: Path):
    """Four processes each add one to the same number 100 times, reading it in the transaction that writes it."""
    with Store.open(path) as store:
        run = a_run(store).id
        store.put_scores(run, [ScoreRow("counter", 0.0, None, 0)])

    def work() -> None:
        with Store.open(path) as mine:
            for _ in range(100):
                with mine._write() as connection:
                    n = connection.scalar(sa.select(schema.score.c.n))
                    connection.execute(sa.update(schema.score).values(n=n + 1))

    all_succeed([fork(work) for _ in range(4)])
    with Store.open(path) as store:
        assert store.scores(run)["counter"].n == 400


def test_one_of_many_makes_the_run_and_one_gets_it(path: Path, tmp_path: Path):
    with Store.open(path) as store:
        a_run(store)
    outcomes = tmp_path / "outcomes"
    outcomes.mkdir()

    def work(n: int) -> None:
        with Store.open(path) as mine:
            run, new = mine.begin(draft("contested"))
            try:
                mine.claim(run.id)
                got = True
            except UnlearnkitError as error:
                assert error.code == "busy"
                got = False
            (outcomes / f"{n}-{run.id}-{int(new)}{int(got)}").touch()
            while len(list(outcomes.iterdir())) < 6:
                time.sleep(0.01)

    all_succeed([fork(lambda n=n: work(n)) for n in range(6)])
    told = [file.name.split("-") for file in outcomes.iterdir()]
    assert len({run for _, run, _ in told}) == 1
    assert sum(flags[0] == "1" for *_, flags in told) == 1
    assert sum(flags[1] == "1" for *_, flags in told) == 1


def test_a_forked_child_does_not_share_the_parents_connection(store: Store):
    run = a_run(store).id

    def work() -> None:
        assert store._engine.pool.checkedin() == 0
        for n in range(20):
            store.event(run, "child", str(n))

    assert store._engine.pool.checkedin() == 1

    children = [fork(work) for _ in range(2)]
    for n in range(20):
        store.event(run, "parent", str(n))
    all_succeed(children)
    assert len(store.events(run)) == 60
    assert store.check() == []


def test_killed_saves_are_collected_at_the_next_opening(path: Path):
    with Store.open(path) as store:
        area = store.files
        store.claim(a_run(store).id)
        area.save({"x": torch.ones(1)})
    reading, writing = os.pipe()

    def work() -> None:
        real = os.fsync

        def stuck(handle: int) -> None:
            os.write(writing, b"x")
            signal.pause()
            real(handle)

        os.fsync = stuck
        area.save({"x": torch.ones(1000)})

    child = fork(work)
    os.read(reading, 1)
    assert len(list(area.root.glob(".tmp-*"))) == 1
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    Store.open(path).close()
    assert list(area.root.glob(".tmp-*")) == []
    assert len(area.stored()) == 1, "it may wait for its row, as long as somebody works here"


@pytest.mark.parametrize("cut", ["before its row is written", "between its row's end and its own"])
def test_a_file_without_a_row_goes_once_its_writer_is_dead(path: Path, cut: str):
    """Killed on either side of a checkpoint's row, a process leaves a file that nobody will record any more."""
    with Store.open(path) as store:
        run, area = a_run(store).id, store.files
    reading, writing = os.pipe()

    def stuck(*_: object) -> None:
        os.write(writing, b"x")
        signal.pause()

    def work() -> None:
        with Store.open(path) as mine:
            mine.claim(run)
            sha = mine.files.save({"x": torch.ones(1)})
            if cut.startswith("before"):
                stuck()
            mine.put_checkpoint(run, Checkpoint(1, sha, {}))
            mine._drop_files = stuck
            mine.finish(run, "complete")

    child = fork(work)
    os.read(reading, 1)
    Store.open(path).close()
    assert len(area.stored()) == cut.startswith("before"), "a living writer's file stays while its row may come"
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    with Store.open(path) as store:
        assert area.stored() == {}
        assert store.checkpoints(run) == []


@pytest.mark.parametrize("where", [{"host": "elsewhere"}, {"boot": "elsewhere"}])
def test_a_file_waits_for_a_writer_who_may_work_elsewhere(path: Path, where: dict[str, str]):
    """A step there, or a clock that is off, may take longer than a beat from there counts as fresh."""
    with Store.open(path) as store:
        run = store.claim(a_run(store).id).id
        other = replace(Process.this(), **where)
        with closing(sqlite3.connect(path)) as raw, raw:
            raw.execute("UPDATE run SET host = ?, boot = ?, beat = '2026-01-01T00:00+00:00'", (other.host, other.boot))
        sha = store.files.save({"x": torch.ones(1)})
        Store.open(path).close()
        assert store.files.has(sha)
        store.put_checkpoint(run, Checkpoint(1, sha, {}))
        assert store.files.load(sha)["x"].tolist() == [1]
