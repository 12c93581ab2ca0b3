"""Thresholds of forgetting come from a reference's probabilities, else from a number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from store.making import DATA, a_run

from unlearnkit.errors import BadInput
from unlearnkit.runs.thresholds import thresholds
from unlearnkit.store import Store
from unlearnkit.store.records import Result

A, B, C = (f"{i:064x}" for i in range(3))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


def evaluation(store: Store, name: str, model: str, state: str = "complete", **probabilities: float) -> str:
    run = a_run(store, name, kind="eval", datasets={"forget": DATA.fingerprint}, model=model)
    ids = {"a": A, "b": B, "c": C}
    rows = [Result("forget", "probability", ids[key], p) for key, p in probabilities.items()]
    rows += [Result("retain", "probability", C, 0.9), Result("forget", "rouge", C, 0.9)]
    store.put_results(run.id, rows)
    return store.finish(run.id, state).id  # type: ignore[arg-type]


def test_a_number_holds_for_every_sample(store: Store):
    assert thresholds(store, [A, B]).tolist() == [2.0, 2.0]
    assert thresholds(store, [A, B], value=3.5).tolist() == [3.5, 3.5]


def test_a_reference_says_what_it_would_take_without_having_seen_a_sample(store: Store):
    run = evaluation(store, "e", "f" * 64, a=np.exp(-3.25), b=1.0)
    assert thresholds(store, [B, C, A], value=1.5, reference=run) == pytest.approx([0.0, 1.5, 3.25])


def test_a_run_goes_by_the_newest_complete_evaluation_of_its_model(store: Store):
    evaluation(store, "older", "0" * 64, a=0.5)
    evaluation(store, "newer", "0" * 64, a=0.25)
    evaluation(store, "broken", "0" * 64, "failed", a=0.1)
    trained = a_run(store, "t", kind="finetune")
    store.finish(trained.id, "complete", summary={"model": "0" * 64})
    assert thresholds(store, [A], reference=trained.id) == pytest.approx([np.log(4)])


def test_a_reference_that_says_nothing_is_refused(store: Store):
    for run in (
        evaluation(store, "empty", "1" * 64),
        evaluation(store, "failed", "2" * 64, "failed", a=0.5),
        a_run(store, "never evaluated", kind="finetune").id,
    ):
        with pytest.raises(BadInput) as refused:
            thresholds(store, [A], reference=run)
        assert refused.value.code == "reference"
