"""Any number of workers, any order and any deaths on the way give the bits that one process gives at its own pace."""

from __future__ import annotations

import os
import random
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unlearnkit.contracts import Bench, Score, Scorer, Unit
from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.progress import SILENT
from unlearnkit.scorers.mrd import MRD
from unlearnkit.scoring import Crew, Ledger, ModelBench, Work, here, measure
from unlearnkit.scoring.engine import Measured
from unlearnkit.scoring.workers import shares
from unlearnkit.store import Store
from unlearnkit.testing.material import encoded, tiny_model

DRAWS = 6
WORK = Work([], encoded(40), pad=0, seed=3, batch_size=2)  # three shards
Blocks = dict[Unit, bytes]


@contextmanager
def begin(scorer: Scorer) -> Iterator[tuple[Scorer, Bench]]:
    """What a worker begins with in these tests, and what this process begins with too."""
    torch.set_num_threads(1)
    yield scorer, ModelBench.of(WORK, tiny_model().eval())


@pytest.fixture(scope="module")
def context() -> Any:
    """Processes that begin like spawned ones, but after all that this file imports: that is not what is tested here."""
    found = get_context("forkserver")
    found.set_forkserver_preload(
        ["pytest", "unlearnkit.scorers.mrd", "unlearnkit.store.store", "unlearnkit.testing.material"]
    )
    return found


@dataclass
class Book:
    """A ledger that keeps its blocks in memory and can refuse one."""

    scorer: Scorer
    blocks: Blocks = field(default_factory=dict)
    refuse_at: int | None = None

    def wanted(self) -> list[Unit]:
        return list(self.scorer.units(len(WORK.plan), {}))

    def missing(self) -> list[Unit]:
        return [unit for unit in self.wanted() if unit not in self.blocks]

    def put(self, unit: Unit, values: np.ndarray, seconds: float) -> None:
        assert unit not in self.blocks, "measured twice"
        assert seconds > 0
        self.blocks[unit] = values.tobytes()


def run(book: Book, measuring: Callable[[Sequence[Unit]], Generator[Measured]], **more: Any) -> Blocks:
    measure(book, measuring, SILENT, **more)  # type: ignore[arg-type]
    return book.blocks


@pytest.fixture(scope="module")
def alone() -> Blocks:
    """What one process gives that is not disturbed."""
    scorer = MRD(draws=DRAWS)
    with begin(scorer) as (_, bench):
        return run(Book(scorer), here(scorer, bench))


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_bits(alone: Blocks, context: Any):
    scorer = MRD(draws=DRAWS)
    for workers in (2, 3):
        with Crew(partial(begin, scorer), workers, context) as crew:
            assert run(Book(scorer), crew) == alone
            assert len(set(crew.pids)) == workers and os.getpid() not in crew.pids
        assert crew.pids == []


def test_any_order_of_units_gives_the_same_bits(alone: Blocks):
    scorer = MRD(draws=DRAWS)
    for seed in range(3):
        todo = list(alone)
        random.Random(seed).shuffle(todo)
        with begin(scorer) as (_, bench), closing(here(scorer, bench)(todo)) as units:
            assert {unit: values.tobytes() for unit, values, _ in units} == alone


@pytest.mark.slow
@pytest.mark.parametrize("kills", [20])
def test_killed_workers_cost_their_own_unit_and_no_bit(kills: int, alone: Blocks, context: Any):
    scorer, rng, hit = MRD(draws=DRAWS), random.Random(kills), 0
    while hit < kills:
        book = Book(scorer)
        while book.missing():
            with Crew(partial(begin, scorer), 2, context) as crew:
                countdown = rng.randint(1, 6)

                def strike() -> None:
                    nonlocal countdown, hit
                    countdown -= 1
                    if countdown == 0 and hit < kills:
                        time.sleep(rng.uniform(0, 0.01))
                        os.kill(rng.choice(crew.pids), signal.SIGKILL)
                        hit += 1

                before = len(book.blocks)
                try:
                    run(book, crew, beat=strike)
                except UnlearnkitError as death:
                    assert death.code == "worker" and "was killed by signal 9" in death.message
                assert len(book.blocks) > before
        assert book.blocks == alone


# ------------------------------------------------------------------------------------------------- what goes wrong


class Choosy(BadInput):
    """An error that its message alone does not make again."""

    def __init__(self, message: str, where: str) -> None:
        super().__init__(f"{message} in {where}", hint="elsewhere", code="choosy")


@dataclass
class Trouble(Scorer):
    """Gives its process's number for every sample, and does what it is told to."""

    what: str = ""

    def units(self, shards: int, draws: Any) -> list[Unit]:
        return [Unit(draw, 0, shard) for draw in range(2) for shard in range(shards)]

    def measure(self, bench: Bench, todo: Sequence[Unit]) -> Iterator[tuple[Unit, np.ndarray]]:
        for unit in todo:
            if unit.draw == 1 and unit.shard == 1:
                if self.what == "own":
                    raise UnlearnkitError("the scorer's own words", hint="its hint", code="its-code")
                if self.what == "any":
                    raise ZeroDivisionError("by nothing")
                if self.what == "choosy":
                    raise Choosy("not", "here")
                if self.what == "exit":
                    os._exit(7)
                if self.what == "warn":
                    warnings.warn("mind the gap", stacklevel=1)
                if self.what == "skip":
                    continue
                if self.what == "hang":
                    time.sleep(60)
            rows = sum(len(batch) for batch in bench.shards[unit.shard])
            yield unit, np.full((rows, 1), float(os.getpid()))

    def reduce(self, draws: Any) -> list[Score]:
        return []


def trouble(what: str, context: Any, workers: int = 2, **more: Any) -> Book:
    book = Book(Trouble(what))
    with Crew(partial(begin, book.scorer), workers, context) as crew:
        run(book, crew, **more)
    return book


def test_a_scorer_s_own_error_comes_as_it_is(context: Any):
    with pytest.raises(UnlearnkitError) as caught:
        trouble("own", context)
    assert (caught.value.message, caught.value.hint, caught.value.code) == (
        "the scorer's own words",
        "its hint",
        "its-code",
    )
    assert "in measure" in str(caught.value.__cause__), "where it came from is told too"


def test_an_error_of_a_class_of_its_own_comes_as_the_kind_that_it_is(context: Any):
    with pytest.raises(BadInput) as caught:
        trouble("choosy", context)
    assert (caught.value.message, caught.value.hint, caught.value.code) == ("not in here", "elsewhere", "choosy")


@pytest.mark.parametrize(("what", "said"), [("any", "ZeroDivisionError: by nothing"), ("exit", "ended with code 7")])
def test_another_error_and_a_sudden_end_are_named(what: str, said: str, context: Any):
    with pytest.raises(UnlearnkitError, match=said) as caught:
        trouble(what, context)
    assert caught.value.code == "worker"


def test_a_warning_reaches_the_parent(context: Any):
    with pytest.warns(UserWarning, match="mind the gap"):
        trouble("warn", context)


def test_a_scorer_that_leaves_out_what_it_asked_for_is_told(context: Any):
    with pytest.raises(UnlearnkitError, match=r"did not measure Unit\(draw=1, sign=0, shard=1\)"):
        trouble("skip", context)


def test_an_interrupt_keeps_what_was_done_and_leaves_no_worker(context: Any):
    book = Book(Trouble("hang"))
    crew = Crew(partial(begin, book.scorer), 2, context)
    pids: list[int] = []

    def interrupt() -> None:
        if len(book.blocks) == 4:  # the one worker is through, the other sleeps
            pids.extend(crew.pids)
            for pid in pids:
                os.kill(pid, signal.SIGINT)
                os.kill(pid, signal.SIGTERM)
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), crew:
        run(book, crew, beat=interrupt)
    assert time.monotonic() - began < 30
    assert len(book.blocks) == 4 and len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_are_no_more_than_there_is_work_for(context: Any):
    with Crew(partial(begin, Trouble()), 5, context) as crew:
        with closing(crew([Unit(0, 0, 0), Unit(0, 0, 1)])) as units:
            assert {unit.shard for unit, _, _ in units} == {0, 1}
        assert len(crew.pids) == 2


# -------------------------------------------------------------------------------------------------------- who does what


@pytest.mark.parametrize("workers", [1, 2, 3, 5, 8])
def test_a_draw_and_its_mirror_are_one_worker_s(workers: int):
    todo = [unit for unit in MRD(draws=7).units(3, {}) if unit != Unit(2, 1, 1)]  # one is there already
    parts = shares(todo, workers)
    assert sorted(unit for part in parts for unit in part) == sorted(todo)
    owners = {unit.draw: i for i, part in enumerate(parts) for unit in part}
    assert all(owners[unit.draw] == i for i, part in enumerate(parts) for unit in part)
    draws = Counter(owners[draw] for draw in range(7))
    assert len(parts) == workers and max(draws.values()) - min(draws.values(), default=0) <= 1
    for part in parts:
        assert part == [unit for unit in todo if unit in part], "in the scorer's order"


def test_a_single_draw_is_split_by_shards():
    todo = [Unit(0, 1, shard) for shard in range(5)]
    assert [len(part) for part in shares(todo, 2)] == [3, 2]
    assert shares([], 2) == []


def test_the_store_has_one_writer_and_the_same_blocks(alone: Blocks, context: Any, tmp_path: Path):
    scorer = MRD(draws=DRAWS)
    with Store.open(tmp_path / "store.db") as store, Crew(partial(begin, scorer), 2, context) as crew:
        ledger = Ledger(store, "series", scorer, len(WORK.plan))
        assert measure(ledger, crew, SILENT) == len(alone)
        assert {unit: values.tobytes() for unit, values in store.blocks("series").items()} == alone
        assert len(ledger.outcome().scores) == 40
