"""`runs rerun` says the same of what is the same, finds what is not, and leaves store and folder as they were."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import BadInput, NotFound, UnlearnkitError
from unlearnkit.runs.attack import attack
from unlearnkit.runs.evaluate import evaluate
from unlearnkit.runs.identity import environment
from unlearnkit.runs.rerun import Rerun, rerun
from unlearnkit.runs.score import score
from unlearnkit.runs.training import Schedule
from unlearnkit.runs.unlearn import unlearn
from unlearnkit.runs.workplace import Workplace

SHORT = Schedule(max_steps=3, lr=1e-3, batch_size=4)


@pytest.fixture
def unlearned(place: Workplace, model: str, forget: DataSpec, retain: DataSpec) -> str:
    return unlearn(
        place, model=model, forget=forget, retain=retain, algorithm="graddiff", sampler="mrd",
        sampler_options={"draws": 2}, schedule=SHORT, probe_every=1,
    ).run  # fmt: skip


@pytest.fixture
def evaluated(place: Workplace, unlearned: str, model: str, forget: DataSpec) -> str:
    data = {"forget": forget}
    reference = evaluate(place, model=model, data=data, max_new_tokens=2).run
    return evaluate(place, model=f"run:{unlearned}", data=data, max_new_tokens=2, reference=reference).run


def change(place: Workplace, statement: str) -> None:
    with sqlite3.connect(str(place.store.path)) as raw:
        assert raw.execute(statement).rowcount == 1


def parts(found: Rerun) -> dict[str, tuple[int, int]]:
    return {part.what: (part.n, part.differing) for part in found.parts}


def test_unlearning_comes_out_the_same(
    place: Workplace, unlearned: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before, files = place.store.runs(), sorted(Path.cwd().rglob("*"))
    found = rerun(place, unlearned)
    assert found.same and found.environment == {}
    steps, probes = place.store.steps(unlearned), place.store.probes(unlearned)
    assert parts(found) == {
        "terms of steps": (sum(len(row.terms) for row in steps), 0),
        "draw orders": (2, 0),
        "NLLs on the way": (len(probes), 0),
        "model": (1, 0),
    }
    assert place.store.runs() == before
    assert sorted(Path.cwd().rglob("*")) == files and not list(scratch.iterdir())
    (event,) = place.store.events(unlearned)
    assert (event.code, event.message) == ("rerun", str(found)) and "came out the same" in event.message


def test_one_term_that_was_another_is_found(place: Workplace, unlearned: str):
    terms = dict(place.store.steps(unlearned)[1].terms)
    change(place, f"UPDATE step SET terms = json_set(terms, '$.loss', {terms['loss'] + 0.25}) WHERE step = 2")
    found = rerun(place, unlearned)
    assert not found.same
    part = found.parts[0]
    assert (part.differing, part.most) == (1, pytest.approx(0.25))
    assert part.first == f"step 2 loss: {terms['loss'] + 0.25:.6g}, then {terms['loss']:.6g}"
    assert place.store.events(unlearned)[-1].message.startswith("came out otherwise: 1 of ")


def test_scores_and_evaluations_come_out_the_same(place: Workplace, evaluated: str, model: str, forget: DataSpec):
    scored = score(place, model=model, data=forget, options={"draws": 2}).run
    assert parts(rerun(place, scored)) == {"scores": (8, 0)}
    found = parts(rerun(place, evaluated))
    assert found == {"results": (len(place.store.results(evaluated)), 0), "numbers": (found["numbers"][0], 0)}
    assert found["numbers"][0] > 1
    first = f"SELECT min(sample) FROM result WHERE run = '{evaluated}'"
    mine = f"run = '{evaluated}' AND metric = 'rouge' AND sample = ({first})"
    change(place, f"UPDATE result SET value = NULL WHERE {mine}")
    found = rerun(place, evaluated)
    assert parts(found)["results"][1] == 1
    assert found.parts[0].most is None and "rouge" in (found.parts[0].first or "")


@pytest.mark.parametrize("references", [(False, True), (True, False)])
def test_what_it_was_held_against_later_is_not_asked_for(
    place: Workplace, unlearned: str, model: str, forget: DataSpec, references: tuple[bool, ...]
):
    data = {"forget": forget}
    for held in references:
        run = evaluate(
            place, model=f"run:{unlearned}", data=data, max_new_tokens=2, reference=model if held else None
        ).run  # fmt: skip
    kept = place.store.aggregates(run)
    assert len({row.name for row in kept}) < len(kept), "a number stands twice"
    found = rerun(place, run)
    assert found.same, found
    assert parts(found)["numbers"][0] == len({row.name for row in kept})


def test_an_order_that_was_another_is_found(place: Workplace, unlearned: str):
    change(place, "UPDATE draw_order SET digest = 'another' WHERE epoch = 1")
    found = rerun(place, unlearned)
    assert [part.first[:23] for part in found.parts if part.first] == ["epoch 1: another…, then"]


def test_a_text_that_was_another_is_found_and_not_told(place: Workplace, model: str, forget: DataSpec):
    place.settings = replace(place.settings, store_text=True)
    evaluated = evaluate(place, model=model, data={"forget": forget}, max_new_tokens=2).run
    assert rerun(place, evaluated).same
    change(place, "UPDATE generation SET text = 'hush' WHERE sample = (SELECT min(sample) FROM generation)")
    found = rerun(place, evaluated)
    assert {what: differing for what, (_, differing) in parts(found).items() if differing} == {"texts": 1}
    assert "hush" not in str(found)


def test_an_attack_comes_out_the_same_with_its_reference(
    place: Workplace, unlearned: str, model: str, forget: DataSpec
):
    asked = {"attack": "quantize", "data": {"forget": forget}, "metrics": ["probability"]}
    attacked = attack(place, model=f"run:{unlearned}", reference=model, **asked).run  # type: ignore[arg-type]
    held = {row.reference for row in place.store.aggregates(attacked)}
    assert held - {None}, "it was held against another attack"
    found = rerun(place, attacked)
    assert found.same, found


Breaking = Callable[[Workplace, str], None]


def without_model(place: Workplace, unlearned: str) -> None:
    folder = Path(place.store.run(unlearned).summary["model_dir"])
    folder.rename(folder.with_name("elsewhere"))


def other_weights(place: Workplace, unlearned: str) -> None:
    (Path(place.store.run(unlearned).summary["model_dir"]) / "generation_config.json").unlink(missing_ok=True)
    config = Path(place.store.run(unlearned).summary["model_dir"]) / "config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 2e-06'))


@pytest.mark.parametrize(
    ("breaking", "error", "code"), [(without_model, NotFound, "moved"), (other_weights, UnlearnkitError, "changed")]
)
def test_a_model_that_is_not_what_it_was_is_refused(
    place: Workplace, evaluated: str, unlearned: str, breaking: Breaking, error: type[UnlearnkitError], code: str
):
    breaking(place, unlearned)
    with pytest.raises(error) as caught:
        rerun(place, evaluated)
    assert caught.value.code == code
    assert place.store.events(evaluated) == []


def test_data_that_are_not_what_they_were_are_refused(place: Workplace, model: str, forget_file: Path, tmp_path: Path):
    file = tmp_path / "mine.jsonl"
    file.write_text(forget_file.read_text())
    scored = score(place, model=model, data=DataSpec(str(file)), options={"draws": 1}).run
    file.write_text(forget_file.read_text().replace("Ada", "Eda"))
    with pytest.raises(UnlearnkitError) as caught:
        rerun(place, scored)
    assert caught.value.code == "changed"
    assert caught.value.message == f"run {scored} cannot be done again: the data set is not what it was"
    file.unlink()
    with pytest.raises(NotFound):
        rerun(place, scored)


def test_a_run_that_is_not_complete_is_refused(place: Workplace, unlearned: str):
    place.store.finish(unlearned, "failed")
    with pytest.raises(BadInput) as caught:
        rerun(place, unlearned)
    assert caught.value.code == "state"


def test_another_environment_is_said(place: Workplace, model: str, forget: DataSpec, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr("unlearnkit.runs.workplace.environment", lambda of: {**environment(of), "torch": "0.1"})
        scored = score(place, model=model, data=forget, options={"draws": 1}).run
    found = rerun(place, scored)
    assert list(found.environment) == ["torch"] and found.environment["torch"][0] == "0.1"
    assert parts(found) == {"scores": (8, 0)}
    assert any("torch was 0.1" in text for text in place.progress.warned)  # type: ignore[attr-defined]
