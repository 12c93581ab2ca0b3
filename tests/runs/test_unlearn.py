"""`unlearn`: what it trains on and in which order, what it stores, and that it never does a thing twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pluggy
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from runs.conftest import Listening
from runs.lab import IDS, Lab
from unlearnkit.contracts import Algorithm, Step, Term
from unlearnkit.data.encode import choose_template
from unlearnkit.data.samples import DataSpec, load_samples, sample_id
from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.plugins import Plugins
from unlearnkit.runs import unlearn as use_case
from unlearnkit.runs.evaluate import evaluate
from unlearnkit.runs.identity import digest
from unlearnkit.runs.inputs import find_model
from unlearnkit.runs.resume import resume
from unlearnkit.runs.score import score
from unlearnkit.runs.training import Schedule, TrainingReport
from unlearnkit.runs.unlearn import prepared, say_if_nothing_moved, unlearn
from unlearnkit.runs.workplace import Workplace
from unlearnkit.seeds import derive
from unlearnkit.store.records import ProbeRow, StepRow
from unlearnkit.training.words import FACTORS

SHORT = Schedule(epochs=2, batch_size=4, lr=1e-3)
FEW_DRAWS = {"draws": 2, "refresh": 2}
hookimpl = pluggy.HookimplMarker("unlearnkit")


@pytest.fixture
def asked(model: str, forget: DataSpec, retain: DataSpec) -> dict[str, Any]:
    return {"model": model, "forget": forget, "retain": retain, "schedule": SHORT}


@dataclass
class Sudden(Algorithm):
    """Gradient ascent that goes wrong at its third step."""

    how: str = "nan"

    @property
    def uses_retain(self) -> bool:
        return False

    def losses(self, step: Step) -> Mapping[str, Term]:
        nll = step.scores(step.forget).nll
        if step.progress < 0.5:
            return {"forget": Term(-nll, per="token")}
        if self.how == "raise":
            raise RuntimeError("a shape")
        return {"forget": Term(nll * float(self.how))}


class Offered:
    @hookimpl
    def register_algorithms(self) -> Mapping[str, type]:
        return {"sudden": Sudden}


@pytest.fixture
def sudden(place: Workplace) -> None:
    place.__dict__["plugins"] = Plugins(entry_points=(), extra=[Offered()])


def scores_in_order(place: Workplace, run: str, model: str, forget: DataSpec) -> np.ndarray:
    stored = place.store.scores(run)
    return np.array([stored[s.id].value for s in load_samples(forget).samples])


# ------------------------------------------------------------------------------------------------------------- results


def test_it_leaves_a_model_and_a_record(place: Workplace, asked: dict[str, Any]):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found = unlearn(place, **asked)
    assert (found.steps, found.stopped_by, found.algorithm, found.sampler) == (4, "epochs", "npo", "uniform")
    folder = Path(found.model_dir)
    assert folder.is_absolute() and folder.parent.name == "unlearned" and folder.name == found.run
    AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert found.run in (folder / "README.md").read_text()
    run = place.store.run("@last")
    assert (run.id, run.state, run.exact, run.summary["model"]) == (found.run, "complete", True, found.model)
    rows = place.store.steps(found.run)
    assert [row.step for row in rows] == [1, 2, 3, 4]
    assert all(row.terms.keys() == {"loss", "forget", "retain", "grad_norm", "lr", "epoch"} for row in rows)
    assert rows[-1].terms == found.terms
    assert rows[0].terms["forget"] == pytest.approx(2 / 0.1 * np.log(2), rel=1e-4), "NPO at its own reference"
    assert place.store.checkpoints(found.run) == []
    json.dumps(found.json())


def test_a_second_call_computes_nothing(place: Workplace, asked: dict[str, Any], request: pytest.FixtureRequest):
    first = unlearn(place, **asked, sampler="mrd", sampler_options=FEW_DRAWS)
    request.getfixturevalue("no_model")
    again = unlearn(place, **asked, sampler="mrd", sampler_options=FEW_DRAWS)
    assert again == replace(first, already=True)
    assert resume(place, first.run) == again
    assert resume(place, "@last") == again, "the last run is what was typed, not the scores that it needed"
    with Workplace(replace(place.settings, threads=2)) as other:
        assert resume(other, first.run) == again, "what is complete is read in any environment"
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    "change",
    [
        {"schedule": replace(SHORT, seed=1)},
        {"schedule": replace(SHORT, lr=2e-3)},
        {"schedule": replace(SHORT, max_steps=3)},
        {"options": {"beta": 0.2}},
        {"algorithm": "simnpo"},
        {"template": "plain"},
    ],
    ids=" ".join,
)
def test_whatever_changes_the_result_is_another_run(place: Workplace, asked: dict[str, Any], change: dict[str, Any]):
    first, other = unlearn(place, **asked), unlearn(place, **asked | change)
    assert other.run != first.run and other.model != first.model and not other.already
    assert place.store.run("@last").id == other.run
    assert unlearn(place, **asked).already and place.store.run("@last").id == first.run


@pytest.mark.parametrize("change", [{"checkpoint_every": 1}, {"checkpoint_every": 3}])
def test_what_does_not_is_the_same_run(place: Workplace, asked: dict[str, Any], change: dict[str, Any], tmp_path: Path):
    first = unlearn(place, **asked)
    assert unlearn(place, **asked | {"schedule": replace(SHORT, **change)}).already
    with Workplace(replace(place.settings, store=str(tmp_path / "other.db"))) as elsewhere:
        fresh = unlearn(elsewhere, **asked | {"schedule": replace(SHORT, **change)})
    assert fresh.model == first.model and not fresh.already


def test_max_steps_stop_it(place: Workplace, asked: dict[str, Any]):
    found = unlearn(place, **asked | {"schedule": replace(SHORT, epochs=None, max_steps=3)})
    assert (found.steps, found.stopped_by) == (3, "max_steps")


# --------------------------------------------------------------------------------------------------------------- order


@pytest.mark.parametrize(("refresh", "sources"), [(0, [0, 0, 0, 0]), (1, [0, 1, 2, 3]), (2, [0, 0, 2, 2])])
def test_each_epoch_is_drawn_by_the_scores_of_the_right_one(
    place: Workplace, asked: dict[str, Any], model: str, forget: DataSpec, refresh: int, sources: list[int]
):
    found = unlearn(
        place, **asked | {"schedule": replace(SHORT, epochs=4)}, sampler="mrd",
        sampler_options={"draws": 2, "refresh": refresh},
    )  # fmt: skip
    orders = [place.store.order(found.run, epoch) for epoch in range(4)]
    assert all(orders)
    by_epoch = [order.scores for order in orders if order]
    assert by_epoch == [by_epoch[source] for source in sources]
    assert len(set(by_epoch)) == len(set(sources))
    for epoch, order in enumerate(orders):
        scores = scores_in_order(place, order.scores, model, forget)
        rng = np.random.default_rng(derive(0, "order", epoch))
        assert order.digest == digest(rng.choice(8, size=8, p=scores / scores.sum()).tolist())
    for epoch in set(sources):
        scored = place.store.run(by_epoch[epoch])
        assert (scored.kind, scored.parent) == ("score", found.run)
        if epoch == 0:
            assert scored.model == place.store.run(found.run).model
    assert len({place.store.run(run).model for run in by_epoch}) == len(set(sources)), (
        "of the weights as they then were"
    )


def test_a_run_that_moved_nothing_says_so(place: Workplace, asked: dict[str, Any]):
    def said(lr: float) -> bool:
        place.progress.warned.clear()  # type: ignore[attr-defined]
        unlearn(place, **asked | {"schedule": replace(SHORT, lr=lr)})
        return any("hardly moved" in line for line in place.progress.warned)  # type: ignore[attr-defined]

    assert said(1e-9)
    assert not said(1e-2)


@pytest.mark.parametrize(
    ("probes", "term", "says"),
    [
        ([(0, "a", 2.0), (0, "b", 4.0), (0, "kept", 1.0), (5, "a", 2.01), (5, "b", 4.02), (5, "kept", 9.0)], 0.1,
         "the forget set's NLL hardly moved (3 to 3.015)"),
        ([(0, "a", 2.0), (1, "b", 4.0), (2, "a", 2.5)], 1.0, None),
        ([(0, "a", 2.0), (1, "b", 2.001), (2, "a", None)], 0.1, None),
        ([(0, "a", 2.0), (1, "b", 4.0)], 1.001, "the forget term hardly moved (1 to 1.001)"),
    ],
    ids=["its term moved", "its NLL moved", "none seen again", "nor did the term move"],
)  # fmt: skip
def test_what_moved_is_what_the_forget_set_came_to(
    place: Workplace, lab: Lab, probes: list[tuple[int, str, float | None]], term: float, says: str | None
):
    """Of the samples that were seen again, in an algorithm whose term says 1 at first and then what is given."""
    run = lab.run("unlearn", "dpo", {"forget": lab.data()})
    ids = dict(zip(("a", "b", "kept"), IDS, strict=False))
    place.store.put_probes(run.id, [ProbeRow(updates, ids[name], nll, False) for updates, name, nll in probes])
    place.store.put_steps(run.id, [StepRow(1, {"forget": 1.0}), StepRow(2, {"forget": term})])
    say_if_nothing_moved(place, run, [ids["a"], ids["b"]])
    assert isinstance(place.progress, Listening)
    assert [line.partition(":")[0] for line in place.progress.warned] == ([] if says is None else [says])


@pytest.mark.parametrize(
    ("optimizer", "wrapper", "factor"),
    [(None, None, 1.0), ("sgd", None, FACTORS["sgd"]), ("adafactor", None, FACTORS["adafactor"]),
     ("sgd", "soul", 1.0), (None, "soul", 1.0)],
)  # fmt: skip
def test_an_optimiser_has_a_rate_of_its_own_unless_a_wrapper_makes_its_steps(
    place: Workplace, asked: dict[str, Any], optimizer: str | None, wrapper: str | None, factor: float
):
    asked |= {"schedule": Schedule(optimizer=optimizer), "algorithm": "graddiff", "wrapper": wrapper}
    assert prepared(place, **asked).plan.lr == pytest.approx(factor * 0.128 / 32, rel=0.05), "two digits"
    assert prepared(place, **asked | {"schedule": Schedule(optimizer=optimizer, lr=0.5)}).plan.lr == 0.5


def test_uniform_needs_no_scores(place: Workplace, asked: dict[str, Any]):
    found = unlearn(place, **asked)
    for epoch in range(2):
        order = place.store.order(found.run, epoch)
        permuted = np.random.default_rng(derive(0, "order", epoch)).permutation(8).tolist()
        assert (order.scores, order.digest) == (None, digest(permuted))
    assert [run.kind for run in place.store.runs()] == ["unlearn"]


def test_scores_that_are_there_are_read(place: Workplace, asked: dict[str, Any], model: str, forget: DataSpec):
    scored = score(place, model=model, data=forget, options={"draws": 2})
    found = unlearn(place, **asked, sampler="mrd", sampler_options={"draws": 2, "refresh": 0})
    assert place.store.order(found.run, 0).scores == scored.run
    assert place.progress.said[-1].startswith("mrd scores of this model and these data come from the store")


# ---------------------------------------------------------------------------------------------------- NLLs on the way


def test_what_its_steps_saw_is_always_recorded(place: Workplace, asked: dict[str, Any]):
    found = unlearn(place, **asked)
    ids = [s.id for s in load_samples(asked["forget"]).samples]
    orders = [np.random.default_rng(derive(0, "order", epoch)).permutation(8) for epoch in range(2)]
    seen = {(step, ids[row]) for step in range(4) for row in orders[step // 2][step % 2 * 4 :][:4]}
    rows = place.store.probes(found.run)
    assert {(row.updates, row.sample) for row in rows} == seen and not any(row.swept for row in rows)
    first = [row.nll for row in rows if row.updates == 0]
    anchored = place.store.anchors(place.store.run(found.run).model, anchor_key(place), ids)
    expected = [-anchored[r.sample].logprob / anchored[r.sample].tokens for r in rows if r.updates == 0]
    assert first == pytest.approx(expected, rel=1e-5), "before its first step a run is what it began with"


@pytest.mark.parametrize("precision", ["fp32", "mixed-bf16", "bf16"])
def test_before_its_first_step_a_run_in_any_precision_has_gained_nothing(
    precision: str, place: Workplace, asked: dict[str, Any]
):
    """One text at a time, as anchors are measured, NPO's ratio to the starting model is 1 to the last bit. Anchors of
    another precision, which are there already, are not taken for its own."""
    asked |= {"retain": None, "options": {"alpha": 0.0, "beta": 0.1}}
    for other in ("fp32", "bf16"):
        unlearn(place, **asked | {"schedule": Schedule(max_steps=1, lr=1e-3, precision=other)})
    schedule = Schedule(max_steps=1, batch_size=1, lr=1e-3, precision=precision)
    found = unlearn(place, **asked | {"schedule": schedule})
    (first,) = place.store.steps(found.run)
    assert first.terms["forget"] == float(-2 / 0.1 * F.logsigmoid(torch.tensor(0.0)))


def anchor_key(place: Workplace) -> str:
    return digest(choose_template("auto", None, has_chat=True).fingerprint, place.environment())


def test_looking_at_the_whole_set_changes_the_record_and_not_the_model(place: Workplace, asked: dict[str, Any]):
    blind, watched = unlearn(place, **asked), unlearn(place, **asked, probe_every=3)
    assert watched.run != blind.run and watched.model == blind.model
    sweeps = [row.updates for row in place.store.probes(watched.run) if row.swept]
    assert sweeps == [0] * 8 + [3] * 8 + [4] * 8
    assert {row.updates for row in place.store.probes(watched.run) if not row.swept} == {1, 2}
    other = unlearn(place, **asked, probe_every=3, threshold=9.0).run
    assert place.store.run(other).config["threshold"] == 9.0, "the record says what was asked for"
    assert resume(place, watched.run).run == watched.run


def test_training_ends_when_every_sample_is_forgotten(place: Workplace, asked: dict[str, Any]):
    asked |= {"sampler": "active", "schedule": replace(SHORT, epochs=20), "probe_every": 1}
    found = unlearn(place, **asked, threshold=6.3)
    assert found.stopped_by == "all_forgotten" and 0 < found.steps < 40
    by_updates: dict[int, list[float]] = {}
    for row in place.store.probes(found.run):
        by_updates.setdefault(row.updates, []).append(row.nll)
    assert sorted(by_updates) == list(range(found.steps + 1)) and all(len(some) == 8 for some in by_updates.values())
    assert [min(by_updates[u]) >= 6.3 for u in range(found.steps + 1)] == [False] * found.steps + [True]
    other = unlearn(place, **asked, threshold=6.2)
    assert other.run != found.run and other.steps < found.steps, "here the threshold decides"
    at_once = unlearn(place, **asked, threshold=1.0)
    assert (at_once.steps, at_once.stopped_by, at_once.model) == (0, "all_forgotten", place.store.run(found.run).model)
    assert resume(place, at_once.run).already


def test_a_model_that_could_not_be_written_after_an_early_end_is_written_by_resuming(
    place: Workplace, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object, **__: object) -> str:
        raise OSError("no space left")

    asked |= {"sampler": "active", "schedule": replace(SHORT, epochs=20), "probe_every": 1, "threshold": 6.3}
    with monkeypatch.context() as patched, pytest.raises(OSError, match="no space"):
        patched.setattr("unlearnkit.runs.adapters.save_model", full)
        unlearn(place, **asked)
    (left,) = place.store.runs(kind="unlearn")
    found = resume(place, left.id)
    assert (found.run, found.stopped_by) == (left.id, "all_forgotten")
    assert any(f"going on from step {found.steps} of 40" in text for text in place.progress.said)


def test_another_engine_behind_a_samplers_scores_makes_another_run(
    place: Workplace, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    asked |= {"sampler": "mrd", "sampler_options": {"draws": 1}, "schedule": replace(SHORT, epochs=1)}
    first = unlearn(place, **asked)
    monkeypatch.setattr("unlearnkit.scoring.VERSION", -1)
    assert unlearn(place, **asked).run != first.run


def test_a_sampler_that_watches_looks_once_an_epoch_unless_told(place: Workplace, asked: dict[str, Any]):
    found = unlearn(place, **asked, sampler="active", threshold=9.0)
    assert {row.updates for row in place.store.probes(found.run) if row.swept} == {0, 2, 4}
    assert any("every 2 updates: once an epoch" in text for text in place.progress.said)
    assert unlearn(place, **asked, sampler="active", threshold=9.0, probe_every=2).already


def test_each_sample_has_the_threshold_of_a_reference(
    place: Workplace, asked: dict[str, Any], model: str, forget: DataSpec
):
    """Against the starting model itself, whose own NLL each sample has at once."""
    held = evaluate(place, model=model, data={"forget": forget}, max_new_tokens=2).run
    found = unlearn(
        place, **asked | {"algorithm": "ga"}, sampler="active", reference=held, probe_every=1, threshold=9.0
    )
    assert found.stopped_by == "all_forgotten" and found.steps < 4
    config = place.store.run(found.run).config
    assert (config["reference"], config["threshold"]) == (held, 9.0)
    start = {row.sample: row.nll for row in place.store.probes(found.run) if row.updates == 0}
    end = {row.sample: row.nll for row in place.store.probes(found.run) if row.updates == found.steps}
    assert all(end[sample] >= start[sample] - 1e-5 for sample in start)


def test_a_threshold_may_be_out_of_reach(place: Workplace, asked: dict[str, Any], model: str, forget: DataSpec):
    """Where a reference gives a sample no probability at all, the rest are forgotten and it never is."""
    held = evaluate(place, model=model, data={"forget": forget}, max_new_tokens=2).run
    results = [row for row in place.store.results(held) if row.metric == "probability"]
    place.store.put_results(held, [replace(results[0], value=0.0)])
    asked |= {"algorithm": "ga", "sampler": "active", "reference": held, "probe_every": 1}
    found = unlearn(place, **asked | {"schedule": replace(SHORT, epochs=4)})
    assert (found.stopped_by, found.steps) == ("epochs", 8)
    start = {row.sample: row.nll for row in place.store.probes(found.run) if row.updates == 0}
    end = {row.sample: row.nll for row in place.store.probes(found.run) if row.updates == 8}
    assert max(end, key=lambda sample: end[sample] - start[sample]) == results[0].sample, "the last steps were its own"


# ------------------------------------------------------------------------------------------------------------- anchors


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, tuple[int, ...]]]:
    """(in training mode, shape) of each forward pass, over all models that a use case loads."""
    calls: list[tuple[bool, tuple[int, ...]]] = []
    load = use_case.load_model

    def counted(source: Any) -> Any:
        model = load(source)
        model.register_forward_pre_hook(
            lambda module, _, kwargs: calls.append((module.training, tuple(kwargs["input_ids"].shape))),
            with_kwargs=True,
        )
        calls.append((False, ()))
        return model

    monkeypatch.setattr(use_case, "load_model", counted)
    return calls


def test_npo_has_no_second_model_and_reads_its_reference_the_second_time(
    place: Workplace,
    asked: dict[str, Any],
    forwards: list[tuple[bool, tuple[int, ...]]],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("unlearnkit.training.joint.WORTH", 1.0)  # no cut by length, so that passes can be counted
    unlearn(place, **asked)
    loads = [call for call in forwards if not call[1]]
    evaluated = [shape for training, shape in forwards if shape and not training]
    trained = [shape for training, shape in forwards if training]
    assert len(loads) == 1, "one model"
    assert [shape[0] for shape in evaluated] == [1] * 8, "anchors of the forget set, one by one"
    assert [shape[0] for shape in trained] == [8] * 4, "4 steps of a forget and a retain batch in one pass"
    forwards.clear()
    unlearn(place, **asked, options={"beta": 0.5})
    assert [shape for training, shape in forwards if shape and not training] == [], "anchors come from the store"


def test_anchors_are_the_starting_models_own_nll(place: Workplace, asked: dict[str, Any], model: str):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    unlearn(place, **asked)
    llama, tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    rows = [json.loads(line) for line in Path(asked["forget"].source).read_text().splitlines()]
    fingerprint = place.store.run("@last").model
    key = digest(choose_template("auto", None, has_chat=True).fingerprint, place.environment())
    ids = {sample_id(row["question"], row["answer"]): row for row in rows}
    stored = place.store.anchors(fingerprint, key, ids)
    assert stored.keys() == ids.keys()
    for sample, row in ids.items():
        before = f"<|user|>{row['question']}<|end|><|assistant|>"
        whole = tokenizer(before + row["answer"] + "<|end|>", add_special_tokens=False, return_tensors="pt").input_ids
        labels = whole.clone()
        labels[0, : len(tokenizer(before, add_special_tokens=False).input_ids)] = -100
        with torch.no_grad():
            loss = float(llama(whole, labels=labels).loss)
        count = int((labels != -100).sum())
        assert stored[sample].tokens == count
        assert -stored[sample].logprob == pytest.approx(loss * count, rel=1e-5)


# -------------------------------------------------------------------------------------------------------------- faults


@pytest.mark.usefixtures("sudden")
def test_a_run_that_diverges_stays_so_and_keeps_its_last_checkpoint(
    place: Workplace, asked: dict[str, Any], request: pytest.FixtureRequest
):
    asked |= {"algorithm": "sudden", "schedule": replace(SHORT, checkpoint_every=2)}
    with pytest.raises(UnlearnkitError, match="step 3 diverged") as caught:
        unlearn(place, **asked)
    assert caught.value.code == "diverged" and "checkpoint" not in (caught.value.hint or "")
    run = place.store.run("@last")
    assert (run.state, run.error_code) == ("diverged", "diverged")
    assert [mark.step for mark in place.store.checkpoints(run.id)] == [2]
    (mark,) = place.store.checkpoints(run.id)
    assert all(torch.isfinite(t).all() for t in place.store.files.load(mark.file).values())
    assert [row.step for row in place.store.steps(run.id)] == [1, 2], "the record goes up to the fault"
    assert not Path("unlearned").exists()
    request.getfixturevalue("no_model")
    for again in (lambda: unlearn(place, **asked), lambda: resume(place, run.id)):
        with pytest.raises(UnlearnkitError, match="diverged") as caught:
            again()
        assert caught.value.code == "not-resumable"
    with pytest.raises(UnlearnkitError, match="it is diverged") as caught:
        find_model(place, f"run:{run.id}")
    assert caught.value.hint == "unlearn again with a smaller --lr", "it could not be resumed"


def test_a_rate_far_too_high_diverges(place: Workplace, asked: dict[str, Any]):
    """Weight decay takes a weight w to (1 - 100 · 0.5) w at each step: 24 steps are past fp32's largest number."""
    with pytest.raises(UnlearnkitError) as caught:
        unlearn(place, **asked | {"algorithm": "ga", "schedule": Schedule(epochs=50, lr=100.0, weight_decay=0.5)})
    assert caught.value.code == "diverged"
    assert place.store.run("@last").state == "diverged"


@pytest.mark.usefixtures("sudden")
def test_a_method_that_raises_can_be_mended_and_gone_on_with(
    place: Workplace, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    asked |= {"algorithm": "sudden", "options": {"how": "raise"}, "schedule": replace(SHORT, checkpoint_every=1)}
    with pytest.raises(UnlearnkitError, match="failed at step 3: RuntimeError: a shape") as caught:
        unlearn(place, **asked)
    assert caught.value.code == "plugin-error"
    run = place.store.run("@last")
    assert (run.state, [m.step for m in place.store.checkpoints(run.id)]) == ("failed", [2, 1])
    monkeypatch.setattr(Sudden, "losses", lambda _, step: {"forget": Term(-step.scores(step.forget).nll, per="token")})
    found = resume(place, run.id)
    assert isinstance(found, TrainingReport)
    assert (found.run, found.steps, place.store.run(run.id).exact) == (run.id, 4, True)
    assert [row.step for row in place.store.steps(run.id)] == [1, 2, 3, 4]
    with Workplace(replace(place.settings, store=str(tmp_path / "other.db"))) as elsewhere:
        elsewhere.__dict__["plugins"] = place.plugins
        assert unlearn(elsewhere, **asked).model == found.model


@pytest.mark.usefixtures("sudden")
def test_another_environment_is_refused_or_marked(
    place: Workplace, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    asked |= {"algorithm": "sudden", "options": {"how": "raise"}, "schedule": replace(SHORT, checkpoint_every=1)}
    with pytest.raises(UnlearnkitError):
        unlearn(place, **asked)
    run = place.store.run("@last").id
    monkeypatch.setattr(Sudden, "losses", lambda _, step: {"forget": Term(-step.scores(step.forget).nll, per="token")})
    monkeypatch.setattr("transformers.__version__", "0.1")
    with pytest.raises(BadInput, match=r"would not be bit-exact: transformers 0.1, was ") as caught:
        resume(place, run)
    assert (caught.value.code, caught.value.exit_code) == ("environment", 2)
    assert place.store.run(run).exact
    place.inexact = True
    found = resume(place, run)
    assert found.run == run and found.steps == 4
    done = place.store.run(run)
    assert (done.state, done.exact) == ("complete", False)
    assert done.environment["transformers"] != "0.1", "it stays the run that it was"


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Has a fused cross-entropy there from when it is called on."""

    def by_logits(states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        return -F.cross_entropy(F.linear(states, weight, bias), targets, reduction="none")

    def install() -> None:
        monkeypatch.setenv("TRITON_INTERPRET", "1")
        monkeypatch.setattr("unlearnkit.training.words.fused_packages", lambda: "liger-kernel 1.2, triton 1.2")
        monkeypatch.setattr("unlearnkit.training.loop.liger", lambda: by_logits)

    return install


def test_a_fused_cross_entropy_makes_another_run_and_may_be_off(
    place: Workplace, asked: dict[str, Any], fused: Callable[[], None]
):
    plain = unlearn(place, **asked)
    fused()
    other = unlearn(place, **asked)
    assert not other.already and place.store.run(other.run).environment["fused"] == "liger-kernel 1.2, triton 1.2"
    assert [row.terms for row in place.store.steps(other.run)] == [
        pytest.approx(row.terms, rel=1e-3) for row in place.store.steps(plain.run)
    ]
    assert "liger-kernel 1.2, triton 1.2: log-probabilities without logits" in place.progress.said  # type: ignore[attr-defined]
    place.settings = replace(place.settings, fused=False)
    assert unlearn(place, **asked).run == plain.run


@pytest.mark.usefixtures("sudden")
def test_a_run_without_a_fused_cross_entropy_does_not_go_on_with_one(
    place: Workplace, asked: dict[str, Any], fused: Callable[[], None]
):
    asked |= {"algorithm": "sudden", "options": {"how": "raise"}}
    with pytest.raises(UnlearnkitError):
        unlearn(place, **asked)
    fused()
    with pytest.raises(BadInput, match=r"not be bit-exact: fused liger-kernel 1.2, triton 1.2, was None"):
        resume(place, "@last")


@pytest.mark.usefixtures("sudden")
def test_steps_that_come_out_otherwise_are_seen(
    place: Workplace, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    """A method whose code was changed between the two halves of a run."""
    asked |= {"algorithm": "sudden", "options": {"how": "raise"}}
    with pytest.raises(UnlearnkitError):
        unlearn(place, **asked)
    run = place.store.run("@last").id
    assert [row.step for row in place.store.steps(run)] == [1, 2]
    for mark in place.store.checkpoints(run):
        place.store.files.drop(mark.file)

    def other(_: Sudden, step: Step) -> dict[str, Tensor]:
        return {"forget": -step.scores(step.forget).nll}

    monkeypatch.setattr(Sudden, "losses", other)
    resume(place, run)
    assert not place.store.run(run).exact
    assert any("step 1 did not come out as before" in text for text in place.progress.warned)


def test_the_folder_a_run_began_with_is_the_one_it_ends_in(
    place: Workplace, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str
):
    """From another folder, under a name that was relative, over a model that --force allowed to replace."""
    shutil.copytree(model, "old")
    stop_at_save(monkeypatch, asked, place)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    found = resume(place, "@last")
    assert found.model_dir == str(tmp_path / "old")
    assert found.run in (tmp_path / "old" / "README.md").read_text()
    assert list(elsewhere.iterdir()) == []


def stop_at_save(monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], place: Workplace) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="the disk is gone"):
        patch.setattr("unlearnkit.runs.adapters.save_model", refuse)
        unlearn(place, **asked, out="old", force=True)


def test_a_model_named_by_at_last_is_the_same_tomorrow(
    place: Workplace, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    first = unlearn(place, **asked)
    asked |= {"model": "run:@last"}
    stop = replace(SHORT, seed=3)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="gone"):
        patch.setattr("unlearnkit.runs.adapters.save_model", lambda *_, **__: (_ for _ in ()).throw(OSError("gone")))
        unlearn(place, **asked | {"schedule": stop})
    stopped = place.store.run("@last")
    unlearn(place, **asked | {"model": f"run:{first.run}", "schedule": replace(SHORT, seed=4)})
    assert stopped.config["request"]["model"] == f"run:{first.run}"
    assert resume(place, stopped.id).run == stopped.id


def test_bad_input_is_refused_before_anything_is_written(place: Workplace, asked: dict[str, Any], tmp_path: Path):
    for change, code in (
        ({"retain": None}, "usage"),
        ({"retain": asked["forget"]}, "overlap"),
        ({"options": {"beta": -1}}, "option"),
        ({"sampler_options": {"refresh": -1}, "sampler": "mrd"}, "option"),
        ({"probe_every": 0}, "value"),
        ({"threshold": float("inf")}, "value"),
        ({"reference": "@last"}, "store"),
    ):
        with pytest.raises(UnlearnkitError) as caught:
            unlearn(place, **{**asked, **change})
        assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_what_was_unlearned_can_be_evaluated_by_its_run(place: Workplace, asked: dict[str, Any], forget: DataSpec):
    found = unlearn(place, **asked)
    report = evaluate(place, model="@last", data={"forget": forget}, max_new_tokens=2)
    assert place.store.run(report.run).parent == found.run
