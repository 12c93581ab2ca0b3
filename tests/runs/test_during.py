"""Looks during training: when a run ends, which weights it writes, and that looking changes no bit of them.

Held against training to each step by itself, with nothing looked at, and measuring the models that come out.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from runs.conftest import Job, Listening, NewDesk, whole
from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.report.collect import collect
from unlearnkit.runs.evaluate import evaluate
from unlearnkit.runs.inputs import find_model, prepare, read_set
from unlearnkit.runs.resume import resume
from unlearnkit.runs.training import Schedule, TrainingReport
from unlearnkit.runs.unlearn import unlearn
from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import Settings

STEPS = 6
PLAN = Schedule(max_steps=STEPS, batch_size=4, lr=3e-3)
FEW = 2
"""Tokens that evaluations generate."""


@dataclass
class Alone:
    """The models after each number of steps, each made by a run of its own that looks at nothing."""

    folder: dict[int, str]
    forget: dict[int, np.ndarray]
    """Mean NLL of each forget sample, one text at a time from all logits."""
    retain: dict[int, np.ndarray]
    measured: dict[int, dict[str, float]]
    """Every figure of an evaluation of the folder."""

    def bits(self, step: int) -> bytes:
        return weights(self.folder[step])


def weights(folder: str) -> bytes:
    return (Path(folder) / "model.safetensors").read_bytes()


def nlls(place: Workplace, folder: str, spec: DataSpec) -> np.ndarray:
    source = find_model(place, folder)
    inputs = prepare(place, source, {"it": spec}, {"it": read_set(place, spec)}, template="auto", system_prompt=None)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    found = []
    for item in inputs.encoded["it"]:
        ids, start = torch.tensor([item.ids]), max(item.labels_from, 1)
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0]
        found.append(float(torch.nn.functional.cross_entropy(logits[start - 1 : -1], ids[0, start:])))
    return np.array(found)


@pytest.fixture(scope="module")
def alone(model: str, forget_file: Path, retain_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Alone:
    forget, retain = DataSpec(str(forget_file)), DataSpec(str(retain_file))
    here = tmp_path_factory.mktemp("alone")
    made = Alone({0: model}, {}, {}, {})
    with Workplace(Settings(store=str(here / "store.db"), threads=1), Listening()) as place:
        for step in range(STEPS + 1):
            if step:
                # A constant rate: the first steps of a longer run are those of a shorter one.
                plan = replace(PLAN, max_steps=step)
                found = unlearn(
                    place, model=model, forget=forget, retain=retain, schedule=plan, out=str(here / str(step))
                )
                made.folder[step] = found.model_dir
            made.forget[step] = nlls(place, made.folder[step], forget)
            made.retain[step] = nlls(place, made.folder[step], retain)
            data = {"forget": forget, "retain": retain}
            made.measured[step] = evaluate(place, model=made.folder[step], data=data, max_new_tokens=FEW).values
    return made


@pytest.fixture
def train(place: Workplace, model: str, forget: DataSpec, retain: DataSpec) -> Callable[..., TrainingReport]:
    def run(**more: Any) -> TrainingReport:
        return unlearn(place, **{"model": model, "forget": forget, "retain": retain, "schedule": PLAN, **more})

    return run


Train = Callable[..., TrainingReport]


def between(values: dict[int, float], step: int) -> float:
    """A bound that a value has passed after so many steps and not one before."""
    return (values[step - 1] + values[step]) / 2


def means(values: dict[int, np.ndarray]) -> dict[int, float]:
    return {step: float(of.mean()) for step, of in values.items()}


# ----------------------------------------------------------------------------------------------------- until and keep


def test_it_ends_at_the_first_look_at_which_a_condition_holds(train: Train, alone: Alone, place: Workplace):
    at = 3
    bound = between(means(alone.forget), at)
    found = train(until=[f"forget.nll>={bound:.9f}"], probe_every=1)
    assert found.steps == found.step == at and found.unmet == {}
    assert found.stopped_by == f"until forget.nll>={bound:g}: {alone.forget[at].mean():.4g}"
    assert weights(found.model_dir) == alone.bits(at)
    seen = {row.updates: row for row in place.store.probes(found.run)}
    assert max(seen) == at


def test_every_sample_may_be_asked_for(train: Train, alone: Alone):
    lowest = {step: float(values.min()) for step, values in alone.forget.items()}
    at = next(step for step in range(2, STEPS + 1) if lowest[step] > max(lowest[s] for s in range(step)))
    found = train(until=[f"forget.min_nll>{between(lowest, at):.9f}"], probe_every=1)
    assert (found.steps, weights(found.model_dir)) == (at, alone.bits(at))


def test_looks_are_where_probes_are(train: Train, alone: Alone):
    bound = between(means(alone.forget), 3)
    assert train(until=[f"forget.nll>={bound:.9f}"], probe_every=2).steps == 4
    once_an_epoch = train(until=[f"forget.nll>={bound:.9f}"])
    assert once_an_epoch.steps == 4  # an epoch is two steps of four samples


def test_what_was_not_reached_is_said(train: Train, alone: Alone, place: Workplace):
    found = train(until=["forget.nll>=1000x"], probe_every=5)
    last, first = (float(alone.forget[step].mean()) for step in (STEPS, 0))
    assert found.stopped_by == "max_steps"
    assert found.unmet == {"forget.nll>=1000x": pytest.approx(last)}
    assert isinstance(place.progress, Listening)
    said = f"--until forget.nll>=1000x was never reached: {last:.4g} at the last look, {first:.4g} at first"
    assert place.progress.warned == [said]


def test_what_is_lost_is_taken_back(train: Train, alone: Alone, place: Workplace):
    """The model is the last at which all was kept, whatever checkpoints came after."""
    retain = means(alone.retain)
    at = next(
        s for s in range(2, STEPS + 1) if abs(retain[s] - retain[0]) > max(abs(retain[t] - retain[0]) for t in range(s))
    )
    op = "<=" if retain[at] > retain[0] else ">="
    factor = between(retain, at) / retain[0]
    found = train(
        keep=[f"retain.nll{op}{factor:.9f}x"], until=["forget.nll>=99"], probe_every=1,
        schedule=replace(PLAN, checkpoint_every=1),
    )  # fmt: skip
    assert (found.steps, found.step) == (at, at - 1)
    assert found.stopped_by.startswith(f"keep retain.nll{op}")
    assert found.json()["unmet"] == {"forget.nll>=99": pytest.approx(alone.forget[at].mean())}
    assert isinstance(place.progress, Listening)
    assert [text.split(":")[0] for text in place.progress.warned] == ["--until forget.nll>=99 was never reached"]
    assert weights(found.model_dir) == alone.bits(at - 1)
    card = (Path(found.model_dir) / "README.md").read_text()
    assert f"| steps | {at} |" in card and f"| weights after step | {at - 1} |" in card
    assert place.store.checkpoints(found.run) == []


def test_a_start_that_keeps_nothing_is_refused(train: Train, place: Workplace):
    with pytest.raises(UnlearnkitError, match=r"before the first step.*retain.nll<=0.5x") as caught:
        train(keep=["retain.nll<=0.5x"])
    assert caught.value.code == "condition"
    assert place.store.run("@last").status == "failed"


def test_a_start_that_has_it_all_is_the_model(train: Train, alone: Alone):
    found = train(until=["forget.nll>=1x"])
    assert (found.steps, found.step, weights(found.model_dir)) == (0, 0, alone.bits(0))


# -------------------------------------------------------------------------------------------------------- evaluations


def test_evaluating_changes_no_bit_and_is_a_run_s_curve(train: Train, alone: Alone, place: Workplace):
    plain = train()
    found = train(eval_every=2, max_new_tokens=FEW)
    assert found.run != plain.run and weights(found.model_dir) == weights(plain.model_dir) == alone.bits(STEPS)
    files = [
        {f.name: f.read_bytes() for f in Path(r.model_dir).iterdir() if f.name != "README.md"} for r in (plain, found)
    ]
    assert files[0] == files[1], "the model generates as it did"
    before, after = (place.store.steps(run.run) for run in (plain, found))
    assert before == after
    assert list(found.evaluations) == [0, 2, 4, 6]
    for step, run in found.evaluations.items():
        stored = place.store.run(run)
        assert (stored.kind, stored.state, stored.config["step"]) == ("eval", "complete", step)
        assert stored.parent == (found.run if step else None)
    (shown,) = collect(place, [found.run]).curves
    for point in shown.points:
        expected = alone.measured[point.step]
        assert point.values == {n: v if v is None else pytest.approx(v, rel=1e-5) for n, v in expected.items()}


def test_the_starting_model_s_evaluation_is_anybody_s(
    train: Train, place: Workplace, model: str, forget: DataSpec, retain: DataSpec
):
    report = evaluate(place, model=model, data={"forget": forget, "retain": retain}, max_new_tokens=FEW)
    assert train(eval_every=6, max_new_tokens=FEW).evaluations[0] == report.run
    other = train(eval_every=6, max_new_tokens=FEW, schedule=replace(PLAN, seed=1))
    assert other.evaluations[0] == report.run and other.evaluations[6] != report.run


def test_the_written_model_is_asked_nothing_that_was_asked_before_it_was_written(
    train: Train, alone: Alone, place: Workplace, forget: DataSpec, retain: DataSpec, monkeypatch: pytest.MonkeyPatch
):
    data = {"forget": forget, "retain": retain}

    def unread(*_: object) -> None:
        raise AssertionError("the model was loaded")

    with monkeypatch.context() as patch:
        patch.setattr("unlearnkit.runs.evaluate.load_model", unread)
        for asked in ({}, {"best": "retain.truth_ratio"}):
            found = train(eval_every=1, max_new_tokens=FEW, **asked)
            report = evaluate(place, model=found.model_dir, data=data, max_new_tokens=FEW)
            assert (report.computed, report.run in found.evaluations.values()) == (0, False)
            expected = alone.measured[found.step]
            assert report.values == {n: v if v is None else pytest.approx(v, rel=1e-5) for n, v in expected.items()}
        for run in found.evaluations.values():
            place.store.remove_run(run)
        again = evaluate(place, model=found.model_dir, data={"forget": forget}, max_new_tokens=FEW)
        assert again.run != report.run and again.computed == 0, "what it was told is its own"


def test_weights_that_were_rounded_are_evaluated_as_they_are_read(
    train: Train, place: Workplace, forget: DataSpec, retain: DataSpec
):
    found = train(eval_every=6, max_new_tokens=FEW, schedule=replace(PLAN, precision="bf16"))
    report = evaluate(place, model=found.model_dir, data={"forget": forget, "retain": retain}, max_new_tokens=FEW)
    assert report.computed > 0 and report.from_store == 0


def test_the_best_is_what_measuring_every_model_finds(train: Train, alone: Alone, place: Workplace):
    """Three runs through the same weights, which are evaluated once."""
    for name, pick in (("retain.truth_ratio", max), ("forget.probability", min), ("retain.probability", max)):
        values = {step: of[name] for step, of in alone.measured.items() if step}
        best = pick(values, key=values.__getitem__)
        assert len(set(values.values())) == STEPS
        found = train(best=name, eval_every=1, max_new_tokens=FEW)
        assert (found.steps, found.step) == (STEPS, best)
        assert found.best == {name: pytest.approx(values[best], rel=1e-5)}
        assert weights(found.model_dir) == alone.bits(best)
        assert f"| best {name} |" in (Path(found.model_dir) / "README.md").read_text()
    assert len(place.store.runs(kind="eval")) == STEPS + 1


def test_the_best_by_a_look_needs_no_evaluation(train: Train, alone: Alone):
    retain = means(alone.retain)
    found = train(best="retain.nll", probe_every=1)
    assert found.step == min(range(1, STEPS + 1), key=retain.__getitem__) and found.evaluations == {}


def test_the_best_is_among_what_kept_all(train: Train, alone: Alone):
    bound = between(means(alone.forget), 3)
    found = train(best="forget.nll", keep=[f"forget.nll<={bound:.9f}"], probe_every=1)
    assert (found.steps, found.step, found.best) == (
        3,
        2,
        {"forget.nll": pytest.approx(alone.forget[2].mean(), rel=1e-5)},
    )
    assert weights(found.model_dir) == alone.bits(2)


# ------------------------------------------------------------------------------------------------------------- resume


@pytest.fixture(scope="session")
def watched(model: str, forget_file: Path, retain_file: Path) -> Job:
    """Ends by a condition after five of nine steps; the best is an earlier one."""
    return Job(
        (
            "unlearn", "--model", model, "--forget", str(forget_file), "--retain", str(retain_file),
            "--max-steps", "9", "--batch-size", "4", "--lr", "3e-3", "--probe-every", "1",
            "--until", "forget.nll>=1.1x", "--keep", "retain.nll<=9x", "--best", "retain.nll",
            "--eval-every", "2", "--max-new-tokens", "2", "--checkpoint-every", "3", "--out", "model",
        ),
        "unlearn",
        "model",
    )  # fmt: skip


@pytest.mark.slow
def test_killed_and_resumed_it_ends_at_the_same_step_in_the_same_bits(watched: Job, new_desk: NewDesk):
    undisturbed, desk = new_desk("undisturbed"), new_desk("killed")
    expected = whole(watched, undisturbed).result
    for event in ("step 2", "step 4"):
        command = desk.start(*watched.args, pause=event)
        assert command.reach(event)
        command.signal(signal.SIGKILL)
        command.wait()
    with desk.store as store:
        evaluated = {run.id for run in store.runs(kind="eval") if run.state == "complete"}
        (run,) = store.runs(kind="unlearn")
    desk.run("resume", run.id)
    assert watched.result(desk) == expected
    kept = ("steps", "step", "stopped_by", "best")
    with desk.store as store, undisturbed.store as other:
        mine, theirs = (s.runs(kind="unlearn")[0].summary for s in (store, other))
        assert {k: mine[k] for k in kept} == {k: theirs[k] for k in kept}
        assert mine["stopped_by"].startswith("until") and mine["step"] <= mine["steps"] < 9
        assert evaluated <= set(mine["evaluations"].values()), "nothing was evaluated again"
        assert len(store.runs(kind="eval")) == len(other.runs(kind="eval"))


def test_a_second_call_and_resume_read_what_is_there(train: Train, request: pytest.FixtureRequest, place: Workplace):
    asked: dict[str, Any] = {
        "until": ["forget.nll>=99"],
        "best": "model_utility",
        "eval_every": 3,
        "max_new_tokens": FEW,
    }
    first = train(**asked)
    request.getfixturevalue("no_model")
    assert train(**asked) == replace(first, already=True) == resume(place, first.run)
    json.dumps(first.json())


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("asked", "says", "hint"),
    [
        ({"until": ["forget.nl>=3"]}, 'no value "forget.nl"', 'did you mean "forget.nll"?'),
        ({"until": ["model_utility<0.5"]}, "needs evaluations", "--eval-every"),
        ({"best": "retain.rouge"}, "needs evaluations", "--eval-every"),
        ({"best": "world_facts.rouge", "eval_every": 1}, "needs data for world_facts", "--eval-data world_facts=DATA"),
        ({"best": "forget_quality", "eval_every": 1}, "needs a reference", "--reference"),
        ({"keep": ["retain.nll<=2x"], "retain": None, "algorithm": "ga"}, "needs a retain set", "--retain"),
        ({"eval_every": 0}, "--eval-every must be a whole number", ""),
        ({"max_new_tokens": 3}, "is for evaluations during training", "--eval-every"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_at_once(
    asked: dict[str, Any], says: str, hint: str, train: Train, no_model: None, tmp_path: Path
):
    with pytest.raises(BadInput) as caught:
        train(**asked)
    assert says in caught.value.message and hint in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []
