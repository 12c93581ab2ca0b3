"""`unlearn` and `sweep` held against a model: it is evaluated first and once, and all is as if that had been done by
hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer
from transformers import AutoConfig

from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import UnlearnkitError
from unlearnkit.runs.axes import Axes
from unlearnkit.runs.dry import unlearning
from unlearnkit.runs.evaluate import EvalReport, evaluate
from unlearnkit.runs.finetune import finetune
from unlearnkit.runs.inputs import find_model
from unlearnkit.runs.rerun import rerun
from unlearnkit.runs.resume import resume
from unlearnkit.runs.sweep import sweep
from unlearnkit.runs.training import Schedule
from unlearnkit.runs.unlearn import prepared, unlearn
from unlearnkit.runs.workplace import Workplace

Cli = Callable[..., Answer]
FEW = 2
SHORT = Schedule(max_steps=2, batch_size=4, lr=1e-3)
ON_THE_WAY = {"eval_every": 2, "max_new_tokens": FEW}


@pytest.fixture(params=[True, False], ids=["on the way", "thresholds alone"])
def more(request: pytest.FixtureRequest, short: str) -> dict[str, Any]:
    """What says whether there are evaluations on the way."""
    return ON_THE_WAY if request.param else {"suite_name": short}


@pytest.fixture
def short(tmp_path: Path) -> str:
    """A suite whose generations are short."""
    path = tmp_path / "short.yaml"
    path.write_text(
        f"max_new_tokens: {FEW}\n"
        "splits: {forget: {metrics: [probability, rouge, truth_ratio]}, retain: {metrics: [probability]}}\n"
        "aggregates: [forget_quality]\n"
    )
    return str(path)


@pytest.fixture
def asked(model: str, forget: DataSpec, retain: DataSpec) -> dict[str, Any]:
    return {"model": model, "forget": forget, "retain": retain, "schedule": SHORT, "algorithm": "ga"}


@pytest.fixture
def by_hand(forget: DataSpec, retain: DataSpec, more: dict[str, Any]) -> Callable[..., EvalReport]:
    """The evaluation of a model that is typed where `unlearn` takes none."""
    usual = {"max_new_tokens": FEW} if "eval_every" in more else {"suite_name": more["suite_name"]}
    data = {"forget": forget} | ({"retain": retain} if "eval_every" in more else {})

    def make(place: Workplace, model: str, **other: Any) -> EvalReport:
        return evaluate(place, model=model, **{"data": data, **usual, **other})

    return make


def evaluations(place: Workplace, model: str) -> list[str]:
    """Evaluations of a model that the store has."""
    return [run.id for run in place.store.runs(kind="eval", model=find_model(place, model).fingerprint)]


def test_it_is_as_if_the_model_had_been_evaluated_by_hand(
    place: Workplace, asked: dict[str, Any], more: dict[str, Any], indifferent: str, by_hand: Callable[..., EvalReport],
    request: pytest.FixtureRequest, tmp_path: Path,
):  # fmt: skip
    first = unlearn(place, **asked, **more, reference=indifferent)
    (held,) = evaluations(place, indifferent)
    assert place.store.run(first.run).config["reference"] == held
    with Workplace(replace(place.settings, store=str(tmp_path / "other.db"))) as elsewhere:
        theirs = by_hand(elsewhere, indifferent)
        alone = unlearn(elsewhere, **asked, **more, reference=theirs.run)
        assert elsewhere.store.results(theirs.run) == place.store.results(held)
        assert elsewhere.store.steps(alone.run) == place.store.steps(first.run)
        assert alone.model == first.model
    request.getfixturevalue("no_model")
    assert by_hand(place, indifferent).run == held
    for reference in (indifferent, held):
        again = unlearn(place, **asked, **more, reference=reference)
        assert (again.run, again.already) == (first.run, True)


def test_a_sample_counts_as_forgotten_from_what_the_model_says_of_it(
    place: Workplace, asked: dict[str, Any], more: dict[str, Any], indifferent: str
):
    """To whom each of V tokens is as likely as any other: the logarithm of V."""
    found = unlearn(place, **asked, **more, reference=indifferent)
    held = place.store.run(found.run).config["reference"]
    expected = math.log(AutoConfig.from_pretrained(indifferent).vocab_size)
    assert prepared(place, **asked, **more, reference=held).forgotten == pytest.approx([expected] * 8)


def test_evaluations_on_the_way_are_held_against_it(place: Workplace, asked: dict[str, Any], indifferent: str):
    found = unlearn(place, **asked, **ON_THE_WAY, reference=indifferent, best="forget_quality")
    (held,) = evaluations(place, indifferent)
    looks = [run.id for run in place.store.runs(kind="eval") if run.id != held]
    assert len(looks) == 2
    for look in looks:
        (quality,) = (row for row in place.store.aggregates(look) if row.name == "forget_quality")
        assert quality.reference == held and quality.value is not None
    assert found.steps == 2


def test_what_the_store_has_of_the_forget_set_is_enough_for_thresholds(
    place: Workplace, asked: dict[str, Any], short: str, indifferent: str, forget: DataSpec, retain: DataSpec
):
    """The first of the evaluations that asked it the same, so that a later one makes no other run."""
    Path("whole.yaml").write_text("splits: {forget: {metrics: [{probability: {plugin: verbatim_probability}}]}}")
    others = {
        evaluate(place, model=indifferent, data={"forget": data}, suite_name=suite).run
        for data, suite in ((retain, short), (forget, "whole.yaml"))
    }
    wider = {"model": indifferent, "data": {"forget": forget, "retain": retain}}
    held = evaluate(place, **wider, max_new_tokens=FEW)
    first = unlearn(place, **asked, suite_name=short, reference=indifferent)
    later = evaluate(place, **wider, max_new_tokens=FEW + 1)
    assert unlearn(place, **asked, suite_name=short, reference=indifferent).run == first.run
    assert place.store.run(first.run).config["reference"] == held.run
    assert set(evaluations(place, indifferent)) == {*others, held.run, later.run}


def test_a_run_s_model_is_evaluated_too(
    place: Workplace, asked: dict[str, Any], more: dict[str, Any], model: str, retain: DataSpec
):
    only = finetune(place, model=model, data=(retain,), schedule=SHORT)
    first = unlearn(place, **asked, **more, reference="@last")
    (held,) = evaluations(place, only.model_dir)
    assert place.store.run(first.run).config["reference"] == held
    assert unlearn(place, **asked, **more, reference=f"run:{only.run}").run == first.run


def test_a_run_that_stopped_goes_on_and_comes_out_the_same_with_its_reference(
    place: Workplace, asked: dict[str, Any], more: dict[str, Any], indifferent: str, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch, pytest.raises(OSError, match="gone"):
        patch.setattr("unlearnkit.runs.adapters.save_model", lambda *_, **__: (_ for _ in ()).throw(OSError("gone")))
        unlearn(place, **asked, **more, reference=indifferent)
    stopped = place.store.run("@last")
    assert resume(place, stopped.id).run == stopped.id
    assert rerun(place, stopped.id).same
    assert len(evaluations(place, indifferent)) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"reference": "no/such/model"}, "model"),
        ({"reference": "nowhere"}, "store"),
        ({"algorithm": "nop"}, "plugin"),
        ({"out": "taken"}, "usage"),
        ({"suite_name": "mute.yaml"}, "reference"),
        ({"eval_every": 1, "eval_data": {"forget": "retain"}}, "reference"),
    ],
    ids=str,
)
def test_nothing_is_evaluated_before_all_has_been_checked(
    place: Workplace, asked: dict[str, Any], indifferent: str, retain: DataSpec, change: dict[str, Any], code: str,
    no_model: None,
):  # fmt: skip
    Path("taken").mkdir()
    Path("taken/thesis.tex").touch()
    Path("mute.yaml").write_text("splits: {forget: {metrics: [rouge]}}")
    before = sorted(Path().rglob("*"))
    change = {key: {"forget": retain} if key == "eval_data" else value for key, value in change.items()}
    with pytest.raises(UnlearnkitError) as caught:
        unlearn(place, **{**asked, "reference": indifferent, **change})
    assert caught.value.code == code
    assert sorted(Path().rglob("*")) == before


def test_a_dry_run_counts_it_and_writes_nothing(
    place: Workplace, asked: dict[str, Any], more: dict[str, Any], indifferent: str, by_hand: Callable[..., EvalReport]
):
    asked |= {**more, "reference": indifferent}
    unlearn(place, **{**asked, "reference": None})
    known = place.store.runs()

    def stages() -> dict[str, int]:
        with Workplace(place.settings, place.progress, dry=True) as looking:
            found = unlearning(looking, prepared(looking, **asked))
        assert found.status == "new", "the same run without a reference is another"
        return {stage.name: stage.left for stage in found.stages}

    samples = 20 if "eval_every" in more else 8
    assert stages()["evaluation of the reference"] == samples
    assert place.store.runs() == known
    assert by_hand(place, indifferent).computed == samples
    assert "evaluation of the reference" not in stages()


@pytest.mark.parametrize("on_the_way", [True, False], ids=["on the way", "thresholds alone"])
def test_a_sweep_evaluates_it_once(
    place: Workplace, asked: dict[str, Any], indifferent: str, on_the_way: bool, request: pytest.FixtureRequest
):
    usual = {**asked, "schedule": replace(SHORT, lr=None), "max_new_tokens": FEW, "reference": indifferent}
    usual |= {"axes": Axes((usual.pop("algorithm"),), rates=(1e-3,), seeds=(0, 1))}
    usual |= {"eval_every": 2} if on_the_way else {}
    with Workplace(place.settings, place.progress, dry=True) as looking:
        plan = sweep(looking, **usual, dry_run=True).plan
    assert plan is not None
    assert [stage.left for stage in plan.stages if stage.name == "evaluation of the reference"] == [20]
    assert not Path("store.db").exists()
    found = sweep(place, **usual)
    (held,) = evaluations(place, indifferent)
    assert [outcome.state for outcome in found.outcomes] == ["complete", "complete"]
    for outcome in found.outcomes:
        assert place.store.run(outcome.run or "").config["reference"] == held
        assert {row.reference for row in place.store.aggregates(outcome.evaluation or "")} == {None, held}
    request.getfixturevalue("no_model")
    assert sweep(place, **usual) == found
    more = {"eval_every": 2, "max_new_tokens": FEW} if on_the_way else {}
    alone = unlearn(place, **asked, **more, reference=indifferent)
    assert (alone.run, alone.already) == (found.outcomes[0].run, True)


def test_it_can_be_typed(cli: Cli, model: str, indifferent: str, forget_file: Path, retain_file: Path):
    words = ["--model", model, "--forget", forget_file, "--retain", retain_file, "--max-steps", 1, "--eval-every", 1]
    words += ["--max-new-tokens", FEW, "--reference", indifferent]
    plan = cli("unlearn", *words, "--dry-run", "--format", "json").json
    assert plan["stages"][0]["name"] == "evaluation of the reference"
    assert {option["name"]: option["value"] for option in plan["options"]}["reference"] == indifferent
    made = cli("unlearn", *words, "--format", "json")
    assert f"first {indifferent}, which the numbers are held against" in made.err
    again = cli("sweep", *words, "--plugin", "npo", "--format", "json")
    assert [run["run"] for run in again.json["runs"]] == [made.json["run"]]
