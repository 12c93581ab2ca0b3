"""A reference never saw the forget set: one that did, by what the store holds, is refused or told of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer

from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import BadInput
from unlearnkit.runs.attack import attack
from unlearnkit.runs.attack import prepared as prepared_attack
from unlearnkit.runs.axes import Axes
from unlearnkit.runs.evaluate import EvalReport, evaluate
from unlearnkit.runs.evaluate import prepared as prepared_evaluation
from unlearnkit.runs.finetune import finetune
from unlearnkit.runs.reference import lineage
from unlearnkit.runs.sweep import sweep
from unlearnkit.runs.training import Schedule, TrainingReport
from unlearnkit.runs.unlearn import prepared, unlearn
from unlearnkit.runs.workplace import Workplace

Cli = Callable[..., Answer]
SHORT = Schedule(max_steps=1, batch_size=4, lr=1e-3)
UNLEARNED = "is the model that was unlearned: it is no retain-only model"


def evaluated(place: Workplace, model: str, forget: DataSpec, reference: str | None = None) -> EvalReport:
    return evaluate(place, model=model, data={"forget": forget}, max_new_tokens=2, reference=reference)


@pytest.fixture
def full(place: Workplace, model: str, forget: DataSpec, retain: DataSpec) -> TrainingReport:
    return finetune(place, model=model, data=(forget, retain), schedule=SHORT)


@pytest.fixture
def unlearned(place: Workplace, full: TrainingReport, forget: DataSpec) -> TrainingReport:
    return unlearn(place, model=full.model_dir, forget=forget, algorithm="ga", schedule=SHORT)


def told(place: Workplace) -> list[str]:
    """Warnings of references since this was last asked, without what each was called by."""
    said: Any = place.progress
    found = [text.split(" ", 2)[2] for text in said.warned if text.startswith("--reference")]
    said.warned.clear()
    return found


def test_weights_are_no_reference_of_their_own(
    place: Workplace, unlearned: TrainingReport, forget: DataSpec, request: pytest.FixtureRequest
):
    own = evaluated(place, unlearned.run, forget)
    request.getfixturevalue("no_model")
    before = place.store.runs()
    for reference in ("@last", own.run, unlearned.run, unlearned.model_dir):
        for held in (
            lambda r: evaluated(place, unlearned.model_dir, forget, r),
            lambda r: attack(place, model=unlearned.run, attack="quantize", data={"forget": forget}, reference=r),
        ):
            with pytest.raises(BadInput, match="the very weights") as caught:
                held(reference)
            assert caught.value.code == "reference" and caught.value.hint
    assert place.store.runs() == before


def test_what_was_unlearned_and_what_was_taught_are_told_of(
    place: Workplace, model: str, full: TrainingReport, unlearned: TrainingReport, forget: DataSpec, retain: DataSpec
):
    taught = finetune(place, model=model, data=(forget,), schedule=SHORT)
    Path("some.jsonl").write_text("".join(Path(forget.source).read_text().splitlines(keepends=True)[:3]))
    some = finetune(place, model=model, data=(retain, DataSpec("some.jsonl")), schedule=SHORT)
    more = finetune(place, model=taught.model_dir, data=(retain,), schedule=SHORT)
    only = finetune(place, model=model, data=(retain,), schedule=SHORT)
    told(place)
    seen = "was trained on 8 of the 8 forget samples: it is no retain-only model"
    for reference, said in (
        (full.model_dir, [UNLEARNED]), (taught.model_dir, [seen]), (more.run, [seen]), (only.run, []), (model, []),
        (some.run, [seen.replace("8", "3", 1)]),
    ):  # fmt: skip
        prepared_evaluation(
            place, model=unlearned.model_dir, data={"forget": forget}, max_new_tokens=2, reference=reference
        )
        assert told(place) == said, reference
    asked: dict[str, Any] = {"forget": forget, "algorithm": "ga", "schedule": SHORT}
    for start, reference, said in (
        (full.model_dir, full.model_dir, [UNLEARNED]),
        (unlearned.model_dir, full.model_dir, [UNLEARNED]),
        (full.model_dir, taught.model_dir, [seen]),
        (full.model_dir, only.model_dir, []),
    ):
        prepared(place, model=start, reference=reference, **asked)
        assert told(place) == said, (start, reference)


def test_the_same_is_told_of_an_attack(place: Workplace, full: TrainingReport, unlearned: TrainingReport, forget):
    asked: dict[str, Any] = {"attack": "quantize", "data": {"forget": forget}, "model": unlearned.run}
    prepared_attack(place, **asked, reference=full.run)
    assert told(place) == [UNLEARNED]


def test_a_sweep_tells_of_the_model_that_it_starts_from(place: Workplace, full: TrainingReport, forget: DataSpec):
    asked: dict[str, Any] = {"model": full.model_dir, "forget": forget, "max_new_tokens": 2, "schedule": Schedule()}
    found = sweep(place, axes=Axes(("ga",)), **asked, reference=full.model_dir, dry_run=True)
    assert told(place) == [UNLEARNED] and [outcome.state for outcome in found.outcomes] == ["lacking"]


def test_a_model_comes_from_all_runs_that_led_to_it(
    place: Workplace, full: TrainingReport, unlearned: TrainingReport, forget: DataSpec
):
    assert [run.id for run in lineage(place, unlearned.model)] == [unlearned.run, full.run]
    assert lineage(place, place.store.run(full.run).model) == []


def test_it_can_be_typed(cli: Cli, model: str, forget_file: Path):
    words = ("eval", model, "--forget", forget_file, "--max-new-tokens", 2, "--reference", model)
    for more in ((), ("--dry-run",)):
        found = cli(*words, *more, "--format", "json")
        assert (found.code, found.error["code"]) == (2, "reference") and "retain" in found.error["hint"].lower()
    assert not Path("unlearnkit.db").exists()
    words = ("unlearn", "--model", model, "--forget", forget_file, "--plugin", "ga", "--reference", model, "--dry-run")
    found = cli(*words)
    assert found.code == 0 and f"warning: --reference {model} {UNLEARNED}" in found.err
