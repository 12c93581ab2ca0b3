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
from unlearnkit.errors import Interrupted, NotFound, UnlearnkitError
from unlearnkit.runs import sweep as use_case
from unlearnkit.runs.axes import Axes
from unlearnkit.runs.evaluate import evaluate
from unlearnkit.runs.sweep import SweepReport, sweep
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


def test_options_of_one_and_wrappers_make_the_runs_that_unlearn_makes(
    run: Run, place: Workplace, model: str, forget: DataSpec, retain: DataSpec
):
    axes = Axes(
        ("npo", "graddiff"), ("uniform", "active"), (1e-3,), options={"npo.beta": ["0.2"]},
        wrappers=(None, "gru"), wrapper_options={"gamma": ["0.5"]},
    )  # fmt: skip
    typed = [
        ("npo", {"beta": 0.2}, "uniform", None, {}),
        ("npo", {"beta": 0.2}, "uniform", "gru", {"gamma": 0.5}),
        ("npo", {"beta": 0.2}, "active", None, {}),
        ("graddiff", {}, "active", "gru", {"gamma": 0.5}),
    ]
    made = [
        unlearn(
            place, model=model, forget=forget, retain=retain, algorithm=algorithm, options=options, sampler=sampler,
            wrapper=wrapper, wrapper_options=around, schedule=replace(SHORT, lr=1e-3),
        ).run
        for algorithm, options, sampler, wrapper, around in typed
    ]  # fmt: skip
    found = run(axes=axes, dry_run=True).outcomes
    there = {o.run: (o.choice.algorithm, o.choice.sampler, o.choice.wrapper) for o in found if o.state == "complete"}
    assert there == {
        run: (algorithm, sampler, wrapper) for run, (algorithm, _, sampler, wrapper, _) in zip(made, typed, strict=True)
    }
    assert len(found) == 8


@pytest.mark.parametrize(
    ("axes", "says", "hint"),
    [
        ({"algorithms": ("npo", "ga"), "options": {"beta": ["0.2"]}}, 'algorithm "ga" has no option "beta"', ""),
        ({"options": {"npo.bta": ["0.2"]}}, 'algorithm "npo" has no option "bta"', 'did you mean "beta"?'),
        ({"wrappers": (None, "gur")}, 'no wrapper "gur"', 'did you mean "gru"?'),
        ({"algorithms": ("npo", "ga"), "wrappers": ("gru",)}, "ga has none", "--plugin graddiff"),
    ],
)
def test_what_one_combination_cannot_have_is_refused_at_once(
    axes: dict[str, Any], says: str, hint: str, run: Run, no_model: None, tmp_path: Path
):
    with pytest.raises(UnlearnkitError) as caught:
        run(axes=Axes(**axes))
    assert says in caught.value.message and hint in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []
