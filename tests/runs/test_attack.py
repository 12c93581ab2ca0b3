"""`attack`: rows of every condition, the worst of them, and nothing measured twice."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unlearnkit import evaluating
from unlearnkit.contracts import Attack, Condition, Target
from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import BadInput, Interrupted, UnlearnkitError
from unlearnkit.hookspecs import hookimpl
from unlearnkit.models import load_tokenizer, resolve
from unlearnkit.plugins import Plugins
from unlearnkit.report.collect import collect
from unlearnkit.runs.attack import AttackReport, attack
from unlearnkit.runs.evaluate import evaluate
from unlearnkit.runs.finetune import finetune
from unlearnkit.runs.imported import import_logs
from unlearnkit.runs.resume import resume
from unlearnkit.runs.training import Schedule
from unlearnkit.runs.workplace import Workplace
from unlearnkit.store import results

from .conftest import Desk, NewDesk

RELEARN = {"k": 3, "steps": 4, "every": 2, "lr": 5e-3}
Rows = dict[str, dict[str, float | None]]


@pytest.fixture
def attacked(place: Workplace, model: str, forget: DataSpec) -> Callable[..., AttackReport]:
    def run(name: str, options: dict[str, Any] | None = None, **more: Any) -> AttackReport:
        data = {"forget": forget, **more.pop("data", {})}
        asked = {"model": model, "data": data, "options": options, "max_new_tokens": 4, **more}
        return attack(place, attack=name, **asked)

    return run


def rows(place: Workplace, run: str, metric: str = "probability") -> Rows:
    """{split: {sample: value}} of a metric."""
    found: Rows = {}
    for row in place.store.results(run):
        if row.metric == metric:
            found.setdefault(row.split, {})[row.sample] = row.value
    return found


def test_before_is_what_an_evaluation_finds(
    place: Workplace, attacked: Callable[..., AttackReport], model: str, forget: DataSpec
):
    evaluation = evaluate(place, model=model, data={"forget": forget}, max_new_tokens=4)
    found = attacked("quantize", {"bits": "4"})
    assert (found.computed, found.from_store) == (8, 8)
    before = {o.metric: o.before for o in found.outcomes}
    assert before == {m: evaluation.metrics[f"forget.{m}"].value for m in ("probability", "rouge")}
    assert rows(place, found.run)["forget"] == rows(place, evaluation.run)["forget"]


def test_relearning_brings_back_what_it_shows_and_tells_it_apart(
    place: Workplace, attacked: Callable[..., AttackReport], forget: DataSpec
):
    found = attacked("relearn", {**RELEARN, "steps": 20, "every": 10})
    outcomes = {(o.metric, o.samples): o for o in found.outcomes}
    shown, others = outcomes["probability", "shown"], outcomes["probability", "others"]
    assert (shown.n, others.n) == (3, 5)
    assert shown.under > 3 * shown.before and shown.under > others.under
    run = place.store.run(found.run)
    taught = {row.sample for row in place.store.rows(run.datasets["shown"])}
    split = rows(place, found.run)
    assert set(split) == {"forget", "forget@step-10", "forget@step-20"}
    assert all(len(of) == 8 for of in split.values()), "rows of those that were taught and of the others"
    means = {o: np.mean([v for s, v in split["forget@step-20"].items() if (s in taught) == o]) for o in (True, False)}
    curve = {(p.condition, p.metric, p.samples): p.value for p in found.curve}
    assert curve["step-20", "probability", "shown"] == pytest.approx(means[True], rel=1e-12)
    assert curve["step-20", "probability", "others"] == pytest.approx(means[False], rel=1e-12)


def test_a_sample_under_attack_is_the_worst_of_all_conditions(
    place: Workplace, attacked: Callable[..., AttackReport], retain: DataSpec
):
    found = attacked("paraphrase", data={"retain": retain})
    for outcome in found.outcomes:
        split = rows(place, found.run, outcome.metric)
        before = split.pop("forget")
        assert len(split) == (7 if outcome.metric == "probability" else 8)
        worst = {s: max(of[s] for of in split.values() if s in of) for s in before}
        assert outcome.under == pytest.approx(np.mean(list(worst.values())), rel=1e-12)
        assert outcome.rise == pytest.approx(outcome.under - outcome.before, abs=1e-12)
        back = [worst[s] > v and worst[s] >= (v + 1) / 2 for s, v in before.items()]
        assert outcome.returned == np.mean(back)


def test_draws_are_one_by_one_and_the_curve_is_of_the_best(place: Workplace, attacked: Callable[..., AttackReport]):
    found = attacked("sample", {"n": 5}, metrics=["rouge"])
    split = rows(place, found.run, "rouge")
    draws = np.array([[split[f"forget@draw-{i}"][s] for s in split["forget"]] for i in range(1, 6)])
    assert len({tuple(draw) for draw in draws}) > 1
    curve = {p.condition: p.value for p in found.curve}
    assert list(curve) == ["best-of-1", "best-of-2", "best-of-4", "best-of-5"]
    assert curve["best-of-1"] == pytest.approx(draws.mean(), rel=1e-12)
    assert curve["best-of-5"] == pytest.approx(draws.max(0).mean(), rel=1e-12)
    assert sorted(curve.values()) == list(curve.values())
    assert found.outcomes[0].under == curve["best-of-5"]


def test_a_draw_does_not_depend_on_the_batch(place: Workplace, attacked: Callable[..., AttackReport], tmp_path: Path):
    first = attacked("sample", {"n": 2}, batch_size=8)
    with Workplace(replace(place.settings, store=str(tmp_path / "other.db"))) as elsewhere:
        forget = DataSpec(place.store.run(first.run).config["request"]["data"]["forget"]["source"])
        asked = {"model": place.store.run(first.run).config["request"]["model"], "data": {"forget": forget}}
        second = attack(elsewhere, attack="sample", options={"n": 2}, max_new_tokens=4, batch_size=1, **asked)
        assert rows(elsewhere, second.run, "rouge") == rows(place, first.run, "rouge")


def test_two_metrics_share_passes(attacked: Callable[..., AttackReport], monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[int, set[str]]] = []
    probe = evaluating.Evaluator.probe

    def watched(self: Any, samples: Sequence[Any], needs: Any, *rest: Any, **more: Any) -> Any:
        asked.append((len(samples), set(needs)))
        return probe(self, samples, needs, *rest, **more)

    monkeypatch.setattr(evaluating.Evaluator, "probe", watched)
    attacked("quantize", metrics=["probability", "exact_memorization", "rouge"])
    assert asked == [(8, {"answer", "generation"})] * 3  # before, 8 bits, 4 bits


def test_a_second_call_and_another_metric_measure_what_is_new(
    place: Workplace, attacked: Callable[..., AttackReport], monkeypatch: pytest.MonkeyPatch
):
    first = attacked("relearn", RELEARN, metrics=["probability"])
    more = attacked("relearn", RELEARN, metrics=["probability", "exact_memorization"])
    assert more.run != first.run
    assert rows(place, more.run) == rows(place, first.run)

    def refuse(*_: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("unlearnkit.runs.attack.load_model", refuse)
    again = attacked("relearn", RELEARN, metrics=["probability"])
    assert again == replace(first, computed=0, from_store=24)
    assert resume(place, first.run) == again


@pytest.mark.parametrize("name", ["relearn", "quantize", "paraphrase", "sample"])
def test_what_is_interrupted_goes_on_to_the_same_rows(
    name: str, place: Workplace, model: str, forget: DataSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    options = RELEARN if name == "relearn" else {"n": 3} if name == "sample" else {}
    asked = {"model": model, "data": {"forget": forget}, "options": options, "max_new_tokens": 4, "batch_size": 1}
    probe, seen = evaluating.Evaluator.probe, []

    def failing(self: Any, samples: Sequence[Any], *rest: Any, **more: Any) -> Any:
        if len(seen) == 5:
            raise OSError("no more")
        seen.append(len(samples))
        return probe(self, samples, *rest, **more)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no more"):
        patch.setattr(evaluating.Evaluator, "probe", failing)
        attack(place, attack=name, **asked)
    found = resume(place, "@last")
    assert isinstance(found, AttackReport)
    assert found.from_store == sum(seen) == 20
    with Workplace(replace(place.settings, store=str(tmp_path / "other.db"))) as elsewhere:
        whole = attack(elsewhere, attack=name, **asked)
        assert elsewhere.store.results(whole.run) == place.store.results(found.run)
    assert whole.outcomes == found.outcomes


def test_asked_to_stop_it_ends_what_it_is_storing(
    place: Workplace, attacked: Callable[..., AttackReport], monkeypatch: pytest.MonkeyPatch
):
    put, counts = results.put, []

    def signalled(connection: Any, table: Any, rows: Any) -> None:
        put(connection, table, rows)
        if table.name == "result" and rows:
            counts.append(len(rows))
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="what was done is kept"):
        patch.setattr(results, "put", signalled)
        attacked("quantize", {"bits": "4"})
    run = place.store.run("@last")
    assert (run.status, run.error_code) == ("interrupted", "interrupted")
    assert counts == [len(place.store.results(run.id))]
    assert attacked("quantize", {"bits": "4"}).run == run.id


def test_killed_it_goes_on_to_the_same_bits(place: Workplace, model: str, forget: DataSpec, new_desk: NewDesk):
    options = {"k": 3, "steps": 25, "every": 1, "lr": 1e-3}
    whole = attack(
        place, model=model, attack="relearn", data={"forget": forget}, options=options, metrics=["probability"]
    )
    desk = new_desk("killed")
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    command = desk.start("attack", "relearn", model, "--forget", forget.source, "--metrics", "probability", *words)
    assert command.reach("run attack"), command.stderr
    while not _conditions(desk):
        assert command.running, command.stderr
        time.sleep(0.02)
    command.signal(signal.SIGKILL)
    assert command.wait() == -signal.SIGKILL
    with desk.store as store:
        run = store.run("@last")
    assert (run.kind, run.status) == ("attack", "interrupted") and len(_conditions(desk)) < 25
    desk.run("resume", run.id)
    with desk.store as store:
        assert store.run(run.id).exact and len(_conditions(desk)) == 25
        assert store.results(run.id) == place.store.results(whole.run)


def _conditions(desk: Desk) -> set[str]:
    """Conditions under which something is stored."""
    with desk.store as store:
        return {row.split for row in store.results(store.run("@last").id) if "@" in row.split}


def test_the_reference_goes_through_the_same_attack(
    place: Workplace, attacked: Callable[..., AttackReport], model: str, forget: DataSpec, retain: DataSpec
):
    only = finetune(place, model=model, data=(retain,), schedule=Schedule(epochs=1, lr=1e-3))
    found = attacked("relearn", RELEARN, metrics=["probability"], reference=only.run)
    assert found.reference is not None
    theirs, mine = place.store.run(found.reference), place.store.run(found.run)
    assert (theirs.model, theirs.parent) == (only.model, only.run)
    assert place.store.run("@last") == mine
    assert theirs.datasets == mine.datasets and theirs.config["options"] == mine.config["options"]
    for outcome in found.outcomes:
        taught = {row.sample for row in place.store.rows(mine.datasets["shown"])}
        worst = []
        for run in (mine, theirs):
            split = rows(place, run.id)
            ids = [s for s in split["forget"] if (s in taught) == (outcome.samples == "shown")]
            worst.append(np.array([max(split["forget@step-2"][s], split["forget@step-4"][s]) for s in ids]))
        assert outcome.reference_under == pytest.approx(worst[1].mean(), rel=1e-12)
        assert outcome.beyond == np.mean(worst[0] > worst[1])
        assert outcome.excess == pytest.approx((worst[0] - worst[1]).mean(), rel=1e-9)
    for point in found.curve:
        split = rows(place, theirs.id)["forget" if point.condition == "before" else f"forget@{point.condition}"]
        ids = [s for s in split if (s in taught) == (point.samples == "shown")]
        assert point.reference == pytest.approx(np.mean([split[s] for s in ids]), rel=1e-12)
    assert resume(place, found.run) == replace(found, computed=0, from_store=found.computed + found.from_store)
    by_run = attacked("relearn", RELEARN, metrics=["probability"], reference=found.reference)
    assert (by_run.reference, by_run.computed) == (found.reference, 0)
    reported = {a.run: a for a in collect(place, []).attacks}
    assert set(reported) == {found.run, found.reference}
    assert reported[found.run].outcomes == found.outcomes and reported[found.run].curve == found.curve


def test_a_report_shows_the_attacks_on_a_runs_model(
    place: Workplace, attacked: Callable[..., AttackReport], model: str, retain: DataSpec
):
    made = finetune(place, model=model, data=(retain,), schedule=Schedule(epochs=1, lr=1e-3))
    found = attacked("quantize", {"bits": "4"}, model=made.run)
    attacked("quantize", {"bits": "4"})
    assert [a.run for a in collect(place, [made.run]).attacks] == [found.run]
    assert len(collect(place, []).attacks) == 2
    assert place.store.run(found.run).parent == made.run


@dataclass(frozen=True)
class Odd(Attack):
    """Conditions that break the contract in one way."""

    how: str = "twice"

    def conditions(self, target: Target) -> Any:
        if self.how == "raises":
            raise RuntimeError("out of ideas")
        yield Condition("first", template="plain")
        strange = replace(target.samples[0], id="another")
        yield {"twice": Condition("first"), "name": Condition("a b"), "other": Condition("b", [strange]), "none": 1}[
            self.how
        ]


@pytest.mark.parametrize(
    ("how", "code"),
    [(how, "plugin-contract") for how in ("twice", "name", "other", "none")] + [("raises", "plugin-error")],
)
def test_a_plugin_at_fault_is_named(how: str, code: str, place: Workplace, attacked: Callable[..., AttackReport]):
    @hookimpl
    def register_attacks() -> dict[str, type]:
        return {"odd": Odd}

    place.plugins = Plugins(entry_points=(), extra=[SimpleNamespace(register_attacks=register_attacks)])
    with pytest.raises(UnlearnkitError, match="odd") as caught:
        attacked("odd", {"how": how}, metrics=["probability"])
    assert caught.value.code == code
    assert place.store.run("@last").state == "failed"


def test_too_long_for_the_model_is_a_reason(
    place: Workplace, attacked: Callable[..., AttackReport], tmp_path: Path, retain: DataSpec
):
    from conftest import write_jsonl

    long = [{"question": "What is Gita Holm? " * 30, "answer": "A pilot."}] * 1
    shots = DataSpec(str(write_jsonl(tmp_path / "long.jsonl", [{**long[0], "answer": f"{i}."} for i in range(3)])))
    found = attacked("paraphrase", {"shots": 3}, metrics=["probability"], data={"retain": shots})
    few = rows(place, found.run)["forget@few-shot"]
    assert len(few) == 8 and set(few.values()) == {None}
    assert {r.status for r in place.store.results(found.run) if r.split == "forget@few-shot"} == {"too_long"}


def test_another_programs_model_is_no_reference(
    place: Workplace, attacked: Callable[..., AttackReport], tmp_path: Path
):
    log = {"eval_log_forget.json": {"avg_gt_loss": {"0": 1.0}}}
    (tmp_path / "log.json").write_text(json.dumps(log))
    (found,) = import_logs(place, [tmp_path / "log.json"])
    with pytest.raises(BadInput, match="no model that could be attacked"):
        attacked("quantize", reference=found.report.run)


def test_a_wrong_answer_too_long_for_the_model_is_a_reason(place: Workplace, model: str, tmp_path: Path):
    """By itself it fits, and behind an example the right answer alone does."""
    from conftest import write_jsonl
    from transformers import AutoConfig

    room = AutoConfig.from_pretrained(model).max_position_embeddings
    long = "7 " * int(room * 0.6 / (len(load_tokenizer(resolve(model))("7 " * 100).input_ids) / 100))
    forget = [{"question": "Who?", "answer": "A pilot.", "perturbed_answer": [long]}]
    files = {"forget": forget, "retain": [{"question": "What?", "answer": long}]}
    data = {name: DataSpec(str(write_jsonl(tmp_path / f"{name}.jsonl", of))) for name, of in files.items()}
    found = attack(
        place, model=model, attack="paraphrase", data=data, metrics=["probability", "probability_options"],
        options={"words": 0},
    )  # fmt: skip
    status = {r.split: r.status for r in place.store.results(found.run)}
    assert (status["forget"], status["forget@few-shot"]) == ("ok", "too_long")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("quantize", {"data": {"retain": DataSpec("retain.jsonl")}}),
        ("relearn", {"options": {"k": 0}}),
        ("quantize", {"metrics": []}),
        ("quantize", {"metrics": ["nothing"]}),
        ("nothing", {}),
        ("quantize", {"batch_size": 0}),
        ("quantize", {"reference": "nowhere"}),
    ],
    ids=str,
)
def test_bad_input_is_refused_before_anything_is_written(
    name: str, change: dict[str, Any], place: Workplace, attacked: Callable[..., AttackReport]
):
    with pytest.raises(UnlearnkitError):
        attacked(name, **change)
    assert not Path(place.settings.store).exists()


def test_what_no_metric_would_see_is_said_first(place: Workplace, attacked: Callable[..., AttackReport]):
    with pytest.raises(BadInput, match="changes nothing that probability would see"):
        attacked("sample", {"n": 1}, metrics=["probability"])
    assert not Path(place.settings.store).exists()


def test_the_forget_set_is_needed(place: Workplace, model: str):
    with pytest.raises(BadInput, match="what was to be forgotten"):
        attack(place, model=model, attack="quantize", data={})
