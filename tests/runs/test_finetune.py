"""`finetune`: it teaches, once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from unlearnkit.data.samples import DataSpec
from unlearnkit.runs.finetune import finetune
from unlearnkit.runs.resume import resume
from unlearnkit.runs.training import Schedule
from unlearnkit.runs.workplace import Workplace

FEW = Schedule(epochs=6, batch_size=4, lr=5e-3, seed=1)


def test_the_loss_falls_and_is_named_for_what_it_is(
    place: Workplace, model: str, forget: DataSpec, retain: DataSpec, request: pytest.FixtureRequest
):
    found = finetune(place, model=model, data=(forget, retain), schedule=FEW)
    rows = place.store.steps(found.run)
    assert found.steps == len(rows) == 6 * 5, "20 rows of two files in batches of 4"
    assert all("train" in row.terms and "forget" not in row.terms for row in rows)
    assert rows[-1].terms["train"] < rows[0].terms["train"] / 2
    assert found.sampler is None and Path(found.model_dir).parent.name == "finetuned"
    request.getfixturevalue("no_model")
    assert finetune(place, model=model, data=(forget, retain), schedule=FEW) == replace(found, already=True)
    assert resume(place, "@last") == replace(found, already=True)


def test_the_order_of_files_and_the_seed_are_part_of_a_run(
    place: Workplace, model: str, forget: DataSpec, retain: DataSpec
):
    short = replace(FEW, epochs=1)
    made = [
        finetune(place, model=model, data=data, schedule=schedule)
        for data, schedule in (
            ((forget, retain), short),
            ((retain, forget), short),
            ((forget,), short),
            ((forget, retain), replace(short, seed=2)),
        )
    ]
    assert len({found.model for found in made}) == len({found.run for found in made}) == 4
