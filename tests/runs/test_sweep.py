"""`sweep`: held against the same runs made one by one, in another store; what is there is not done again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runs.conftest import Listening
from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import Interrupted, NotFound
from unlearnkit.runs import sweep as use_case
from unlearnkit.runs.evaluate import evaluate
from unlearnkit.runs.sweep import Axes, SweepReport, sweep
from unlearnkit.runs.training import Schedule
from unlearnkit.runs.unlearn import unlearn
from unlearnkit.runs.workplace import Workplace

SHORT = Schedule(max_steps=1, batch_size=4)
AXES = Axes(algorithms=("ga", "npo"), rates=(1e-3,), seeds=(0, 1))
FEW = 2


@pytest.fixture
def run(place: Workplace, model: str, forget: DataSpec, retain: DataSpec) -> Callable[..., SweepReport]:
    def make(**more: Any) -> SweepReport:
        asked = {"axes": AXES, "schedule": SHORT, "max_new_tokens": FEW, **more}
        return sweep(place, model=model, forget=forget, retain=retain, **asked)

    return make


Run = Callable[..., SweepReport]


@pytest.mark.slow
def test_it_finds_what_the_runs_find_one_by_one(
    run: Run, place: Workplace, model: str, forget: DataSpec, retain: DataSpec, tmp_path: Path
):
    found = run()
    expected: dict[str, list[dict[str, float | None]]] = {"ga": [], "npo": []}
    with Workplace(replace(place.settings, store=str(tmp_path / "other.db"))) as other:
        for outcome in found.outcomes:
            schedule = replace(SHORT, lr=1e-3, seed=outcome.seed)
            alone = unlearn(
                other, model=model, forget=forget, retain=retain, algorithm=outcome.choice.algorithm, schedule=schedule
            )
            data = {"forget": forget, "retain": retain}
            report = evaluate(other, model=f"run:{alone.run}", data=data, max_new_tokens=FEW)
            assert place.store.run(outcome.run or "").summary["model"] == alone.model
            assert outcome.values == report.values
            expected[outcome.choice.algorithm].append(report.values)
    for average in found.averages:
        rows = expected[average.choice.algorithm]
        assert average.seeds == [0, 1] and average.values["steps"].value == 1
        for name in ("forget.probability", "retain.truth_ratio"):
            values = [row[name] for row in rows]
            mean = average.values[name]
            assert (mean.value, mean.deviation) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
        assert "forget_quality" not in average.values, "undefined in all"


@pytest.mark.slow
def test_what_is_there_is_read_and_a_wider_one_does_what_is_new(
    run: Run, place: Workplace, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
):
    dry = run(dry_run=True)
    assert {outcome.state for outcome in dry.outcomes} == {"lacking"} and "store" not in vars(place)

    calls: list[str] = []

    def stopped(*args: Any, **more: Any) -> Any:
        calls.append(more["model"])
        if len(calls) == 2:
            raise Interrupted("stopped")
        return evaluate(*args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(use_case, "evaluate", stopped)
        with pytest.raises(Interrupted, match="the same command goes on"):
            run()
    begun = [o.state for o in run(dry_run=True).outcomes]
    assert begun == ["complete", "complete", "lacking", "lacking"]
    first = run()
    assert [f"run:{o.run}" for o in first.outcomes[:2]] == calls, "they were not made again"

    request.getfixturevalue("no_model")
    assert run() == first
    assert isinstance(place.progress, Listening)
    assert "4 runs: 4 in the store, 0 to do" in place.progress.said
    wider = run(axes=replace(AXES, seeds=(0, 1, 2)), dry_run=True)
    assert [(o.seed, o.state) for o in wider.outcomes if o.state != "complete"] == [(2, "lacking"), (2, "lacking")]
    assert "2 to do; about " in place.progress.said[-1]


def test_a_run_that_goes_wrong_is_a_row(run: Run):
    found = run(axes=Axes(rates=(1e-3, 30.0)), schedule=replace(SHORT, max_steps=3))
    assert [o.state for o in found.outcomes] == ["complete", "diverged"]
    (wrong,) = found.incomplete
    assert wrong.choice.lr == 30.0 and "diverged" in (wrong.reason or "") and wrong.values == {}
    assert [a.choice.lr for a in found.averages] == [1e-3]
    again = run(axes=Axes(rates=(1e-3, 30.0)), schedule=replace(SHORT, max_steps=3))
    assert again == found


def test_every_combination_is_checked_before_the_first(run: Run, no_model: None, tmp_path: Path):
    with pytest.raises(NotFound):
        run(axes=Axes(algorithms=("npo", "nop")))
    assert list(tmp_path.iterdir()) == []


def test_options_are_combined_too():
    axes = Axes(("a", "b"), ("u",), (None, 1e-5), (0,), {"x": ["1", "2"], "y": ["3"]})
    labels = [choice.label for choice in axes.choices()]
    assert len(labels) == len(set(labels)) == 8
    assert labels[:2] == ["a, u, x=1, y=3", "a, u, x=2, y=3"] and labels[-1] == "b, u, lr 1e-05, x=2, y=3"
