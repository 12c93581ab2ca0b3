"""What a number rests on is in its key: nothing that others do to the store, the model or the data changes a run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import pairs, write_jsonl

from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import UnlearnkitError
from unlearnkit.models import load_model, resolve
from unlearnkit.runs.anchors import reference_nll
from unlearnkit.runs.evaluate import evaluate
from unlearnkit.runs.finetune import finetune
from unlearnkit.runs.inputs import Inputs, prepare, read_set
from unlearnkit.runs.resume import resume
from unlearnkit.runs.training import Schedule
from unlearnkit.runs.workplace import Workplace

ONE_STEP = Schedule(max_steps=1, lr=1e-3)


def prepared(place: Workplace, model: str, rows: list[dict[str, Any]], folder: Path) -> Inputs:
    spec = DataSpec(str(write_jsonl(folder / f"{len(rows)}.jsonl", rows)))
    sets = {"forget": read_set(place, spec)}
    return prepare(place, resolve(model), {"forget": spec}, sets, template="auto", system_prompt=None)


def test_an_anchor_is_the_same_bits_whichever_set_asks_first(place: Workplace, model: str, tmp_path: Path):
    rows = pairs("Ada Lumm", "Bertrand Oakenfield the Elder", "Cy", "Dorothea Quillfeather")
    few, many = prepared(place, model, rows[:3], tmp_path), prepared(place, model, rows, tmp_path)
    weights = load_model(resolve(model))
    first = reference_nll(place, weights, few, "forget")
    reference_nll(place, weights, many, "forget")
    assert reference_nll(place, weights, few, "forget").equal(first)
    with Workplace(replace(place.settings, store=str(tmp_path / "other.db"))) as other:
        assert reference_nll(other, weights, many, "forget")[:3].equal(first)


def test_generation_is_greedy_whatever_settings_a_model_brings(
    place: Workplace, model: str, forget: DataSpec, tmp_path: Path
):
    talks = finetune(place, model=model, data=(forget,), schedule=Schedule(max_steps=30, lr=3e-3)).model_dir
    eager = Path(shutil.copytree(talks, tmp_path / "eager"))
    settings = {"do_sample": True, "temperature": 3.0, "repetition_penalty": 9.0, "no_repeat_ngram_size": 1}
    (eager / "generation_config.json").write_text(json.dumps(settings))
    found = []
    for folder, store in ((talks, "one.db"), (str(eager), "two.db")):
        with Workplace(replace(place.settings, store=str(tmp_path / store), store_text=True)) as here:
            run = evaluate(here, model=folder, data={"forget": forget}, max_new_tokens=12).run
            found.append([g.text for g in here.store.generations(run)])
    assert found[0] == found[1]
    assert any(found[0])


def test_a_reference_that_was_asked_other_things_is_refused(
    place: Workplace, model: str, forget: DataSpec, tmp_path: Path
):
    rows = [json.loads(line) for line in Path(forget.source).read_text().splitlines()]
    other = write_jsonl(tmp_path / "other.jsonl", [{**r, "perturbed_answer": ["Something else."]} for r in rows])
    same = evaluate(place, model=model, data={"forget": forget}, max_new_tokens=1)
    unlike = evaluate(place, model=model, data={"forget": DataSpec(str(other))}, max_new_tokens=1)
    for reference, template in ((unlike.run, "auto"), (same.run, "plain")):
        with pytest.raises(UnlearnkitError) as caught:
            evaluate(
                place, model=model, data={"forget": forget}, reference=reference, max_new_tokens=2, template=template
            )
        assert caught.value.code == "reference"


def test_a_run_is_not_gone_on_with_once_its_data_are_others(
    place: Workplace, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rows = pairs("Ada Lumm", "Cy")
    data = write_jsonl(tmp_path / "data.jsonl", rows)

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr("unlearnkit.runs.adapters.save_model", fail)
        finetune(place, model=model, data=(DataSpec(str(data)),), schedule=ONE_STEP)
    write_jsonl(data, rows[:-1])
    with pytest.raises(UnlearnkitError, match="the data set is not what it was") as caught:
        resume(place, "@last")
    assert caught.value.code == "changed"
    write_jsonl(data, rows)
    assert resume(place, "@last").run == place.store.run("@last").id
    assert len(place.store.runs()) == 1


def test_a_complete_run_gives_its_model_where_it_is_asked_for(place: Workplace, model: str, forget: DataSpec):
    def taught(**more: Any) -> Any:
        return finetune(place, model=model, data=(forget,), schedule=ONE_STEP, **more)

    first = taught(out="one")
    copied = taught(out="two")
    assert (copied.already, Path(copied.model_dir)) == (True, Path("two").absolute())
    assert Path("two/model.safetensors").read_bytes() == Path("one/model.safetensors").read_bytes()
    bits = Path("one/model.safetensors").read_bytes()
    shutil.rmtree("one")
    shutil.rmtree("two")
    again = taught()
    assert (again.run, again.already) == (first.run, False)
    assert (Path(again.model_dir) / "model.safetensors").read_bytes() == bits
