"""Numbers come back bit for bit, or not at all."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from unlearnkit.contracts import Unit
from unlearnkit.errors import UnlearnkitError
from unlearnkit.store import Store
from unlearnkit.store.records import (
    AggregateRow,
    Anchor,
    Dataset,
    Generation,
    Model,
    Result,
    Row,
    ScoreRow,
    StepRow,
)

from .making import DATA, MODEL, a_run


def test_blocks_are_bit_equal(store: Store):
    rng = np.random.default_rng(0)
    blocks = {Unit(d, s, k): rng.normal(size=(5 + k, 3)) for d in (-1, 0, 1) for s in (-1, 0, 1) for k in (0, 1)}
    blocks[Unit(9, 1, 0)] = np.array([[math.nan, math.inf, -0.0]])
    blocks[Unit(9, 1, 1)] = np.empty((0, 2))
    for unit, values in blocks.items():
        store.put_block("s", unit, values)
    stored = store.blocks("s")
    assert set(store.units("s")) == set(blocks) == set(stored)
    assert list(stored) == sorted(stored)
    for unit, values in blocks.items():
        assert stored[unit].shape == values.shape
        assert stored[unit].tobytes() == values.tobytes()
    assert store.blocks("other") == {} and store.units("other") == {}


def test_a_block_is_written_once(store: Store):
    unit = Unit(0, 1, 0)
    store.put_block("s", unit, np.ones((2, 2), order="F", dtype=np.float32))
    store.put_block("s", unit, np.zeros((2, 2)))
    assert (store.blocks("s")[unit] == 1).all()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE block SET data = zeroblob(length(data))",
        "UPDATE block SET n = 2, c = 3",
        "UPDATE block SET digest = x'0000000000000000'",
        "UPDATE block SET data = substr(data, 1, 40)",
    ],
)
def test_an_altered_block_is_never_a_number(store: Store, path: Path, damage: str):
    run = a_run(store)
    store.put_block("si", Unit(4, -1, 7), np.arange(6.0).reshape(3, 2))
    assert store.check() == []
    raw = sqlite3.connect(path)
    raw.execute(damage)
    raw.commit()
    raw.close()
    with pytest.raises(UnlearnkitError) as caught:
        store.blocks("si")
    assert caught.value.code == "corrupt"
    for part in (run.id, "draw 4", "shard 7"):
        assert part in caught.value.message
    assert [(f.code, f.harmless) for f in store.check()] == [("block", False)]


def test_every_flipped_bit_of_a_page_of_values_is_found(path: Path):
    with Store.open(path) as store:
        store.put_block("s", Unit(0, 1, 0), np.arange(400.0).reshape(200, 2))
    whole = path.read_bytes()
    mark = np.arange(100.0, 200.0).tobytes()
    start = whole.index(mark)
    rng = np.random.default_rng(1)
    for at in rng.integers(start, start + len(mark), 20):
        spoiled = bytearray(whole)
        spoiled[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(spoiled)
        with Store.open(path) as store, pytest.raises(UnlearnkitError):
            store.blocks("s")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_what_is_no_number_is_refused(store: Store, number: float):
    run = a_run(store).id
    calls = [
        lambda: store.put_scores(run, [ScoreRow("a", 1.0, None, 1), ScoreRow("b", number, None, 1)]),
        lambda: store.put_scores(run, [ScoreRow("a", 1.0, number, 1)]),
        lambda: store.put_steps(run, [StepRow(1, {"loss": number})]),
        lambda: store.put_results(run, [Result("f", "m", "a", number)]),
        lambda: store.put_aggregates(run, [AggregateRow("a", number)]),
        lambda: store.put_aggregates(run, [AggregateRow("a", 1.0, low=number, high=1.0)]),
        lambda: store.put_anchors("m", "t", [Anchor("a", number, 1)]),
        lambda: store.finish(run, "complete", summary={"x": float(number)}),
    ]
    for call in calls:
        with pytest.raises(ValueError):
            call()
    assert store.scores(run) == {} and store.steps(run) == [] and store.results(run) == []
    assert store.run(run).state == "created"


def test_scores_are_exact_and_repeatable(store: Store):
    run = a_run(store).id
    rows = [
        ScoreRow(f"{i}", np.float64(i) / 3, None if i % 2 else np.float32(0.1), np.int64(i), "ok", i) for i in range(9)
    ]
    rows.append(ScoreRow("none", None, None, 0, "zero_denominator"))
    store.put_scores(run, rows)
    store.put_scores(run, rows[::-1])
    assert store.scores(run) == {row.sample: row for row in rows}
    store.put_scores(run, [ScoreRow("0", 7.0, None, 1)])
    assert store.scores(run)["0"].value == 7.0


def test_many_thousand_anchors(store: Store):
    anchors = [Anchor(f"{i:064x}", -i / 7, i) for i in range(40_000)]
    store.put_anchors("m", "t", anchors)
    store.put_anchors("m", "other", [Anchor(anchors[0].sample, -9.0, 1)])
    asked = {a.sample for a in anchors[5_000:]} | {"none"}
    assert store.anchors("m", "t", asked) == {a.sample: a for a in anchors[5_000:]}
    assert store.anchors("m", "t", []) == {}


def test_data_sets(store: Store):
    rows = [Row(2, "b", 5), Row(0, "a", 3, prompt="q", answer="z"), Row(1, None, status="no_target")]
    store.put_dataset(DATA, rows)
    assert store.rows(DATA.fingerprint) == sorted(rows, key=lambda row: row.position)
    # Without texts, and by another tokenizer: texts stay, token counts follow.
    store.put_dataset(Dataset(DATA.fingerprint, "later label", 3), [Row(0, "a", 4), Row(2, "b", 6)])
    assert store.rows(DATA.fingerprint) == [Row(0, "a", 4, prompt="q", answer="z"), Row(2, "b", 6)]
    assert store.dataset(DATA.fingerprint) == DATA
    assert store.dataset("x") is None and store.rows("x") == []


def test_models(store: Store):
    store.put_model(MODEL)
    store.put_model(Model(MODEL.fingerprint, "copy", "llama", 10))
    assert store.model(MODEL.fingerprint) == MODEL
    assert store.model("x") is None


def test_results(store: Store):
    run = a_run(store).id
    results = [Result(s, m, str(i), None if i == 1 else i / 3, "ok" if i != 1 else "no_wrong_answers")
               for s in "fr" for m in "xy" for i in range(3)]  # fmt: skip
    texts = [Generation("f", "0", "a\x00\x1b[1m\u202e \U0001f600"), Generation("f", "1", "")]
    for _ in range(2):
        store.put_results(run, results[::-1], texts)
        assert store.results(run) == results
        assert store.generations(run) == texts


def test_aggregates_by_reference(store: Store):
    run = a_run(store).id
    rows = [AggregateRow("fq", 0.5, reference="A"), AggregateRow("fq", None, "no_reference", reference="B"),
            AggregateRow("mu", 0.25, n=3, low=1 / 7, high=1 / 3)]  # fmt: skip
    store.put_aggregates(run, rows)
    store.put_aggregates(run, rows)
    assert store.aggregates(run) == rows
    assert store.aggregates(run, "A") == [rows[0], rows[2]]


def test_views_for_other_tools(store: Store, path: Path):
    run = a_run(store)
    store.put_scores(run.id, [ScoreRow(f"{1:064x}", 0.5, 0.1, 8), ScoreRow("elsewhere", None, None, 0, "x")])
    store.put_results(run.id, [Result("f", "rouge", "a", 0.25)])
    raw = sqlite3.connect(path)
    query = "SELECT run, scorer, model_source, role, position, value, status FROM v_scores ORDER BY value"
    assert raw.execute(query).fetchall() == [
        (run.id, "mrd", "tiny", None, None, None, "x"),
        (run.id, "mrd", "tiny", "data", 1, 0.5, "ok"),
    ]
    assert raw.execute("SELECT suite, split, metric, value FROM v_results").fetchall() == [("mrd", "f", "rouge", 0.25)]
    raw.close()
