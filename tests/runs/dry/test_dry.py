"""A dry run: it writes nothing at all, counts what the command then does, and refuses what that refuses."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Answer

from unlearnkit import losses
from unlearnkit.algorithms.npo import NPO
from unlearnkit.evaluating.texts import Reader
from unlearnkit.runs import evaluate, score, unlearn
from unlearnkit.runs.asking import other_answer
from unlearnkit.runs.axes import Axes
from unlearnkit.runs.dry import Forecast, Stage, Total, evaluating, scoring, sweeping, unlearning
from unlearnkit.runs.sweep import sweep
from unlearnkit.runs.training import Schedule
from unlearnkit.runs.workplace import Workplace
from unlearnkit.scoring.bench import ModelBench
from unlearnkit.store import Store
from unlearnkit.training import step
from unlearnkit.training.probes import Probes

Cli = Callable[..., Answer]


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file and folder below one, by its content and time."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def words(model: str, forget_file: Path, retain_file: Path) -> dict[str, list[str]]:
    both = ["--forget", str(forget_file), "--retain", str(retain_file)]
    return {
        "score": ["score", "--model", model, "--data", str(forget_file), "-o", "draws=2"],
        "unlearn": ["unlearn", "--model", model, *both, "--max-steps", "2", "--sampler", "mrd", "--eval-every", "2",
            "--max-new-tokens", "4"],
        "finetune": ["finetune", "--model", model, "--data", str(retain_file), "--max-steps", "2"],
        "eval": ["eval", model, *both, "--max-new-tokens", "4"],
        "attack": ["attack", "relearn", model, "--forget", str(forget_file), "-o", "k=2", "-o", "steps=1",
            "--max-new-tokens", "4"],
        "sweep": ["sweep", "--model", model, *both, "--max-steps", "2", "--plugin", "ga,npo"],
    }  # fmt: skip


COMMANDS = ("score", "unlearn", "finetune", "eval", "attack", "sweep")


@pytest.mark.parametrize("command", COMMANDS)
def test_it_writes_nothing_where_there_is_nothing(cli: Cli, words: dict[str, list[str]], command: str, tmp_path: Path):
    before = tree(tmp_path)
    found = cli(*words[command], "--dry-run", "--format", "json")
    assert found.code == 0, found.err
    assert tree(tmp_path) == before and not (tmp_path / "unlearnkit.db").exists()


def test_it_leaves_a_store_as_it_was(cli: Cli, words: dict[str, list[str]], tmp_path: Path):
    commands = ("score", "eval", "unlearn", "attack")
    for command in commands:
        assert cli(*words[command]).code == 0
    before, folder = tree(tmp_path), tmp_path.stat().st_mtime_ns
    for command in commands:
        again = cli(*words[command], "--dry-run", "--format", "json")
        assert (again.json["status"], again.json["stages"]) == ("complete", []), again.err
        assert "nothing would be computed" in again.json["says"] and "nothing would be computed" in again.err
    assert cli(*words["unlearn"], "--seed", "1", "--dry-run").code == 0
    assert (tree(tmp_path), tmp_path.stat().st_mtime_ns) == (before, folder)


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("score", ["-o", "draws=none"]),
        ("score", ["--scorer", "mdr"]),
        ("score", ["--retain", "there.jsonl"]),
        ("score", ["--store", "no/such/folder/lab.db"]),
        ("unlearn", ["--out", "full"]),
        ("unlearn", ["--reference", "01ABC"]),
        ("unlearn", ["--until", "forget.nll"]),
        ("finetune", ["--data", "there.jsonl"]),
        ("eval", ["--suite", "tuffo"]),
        ("attack", ["--metrics", "none"]),
        ("eval", ["--reference", "01ABC"]),
    ],
    ids=str,
)
def test_it_refuses_what_the_command_refuses(
    cli: Cli, words: dict[str, list[str]], command: str, more: list[str], tmp_path: Path
):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("\\end")
    dry = cli(*words[command], *more, "--dry-run", "--format", "json")
    real = cli(*words[command], *more, "--format", "json")
    assert real.code != 0 and (dry.code, dry.error, dry.out) == (real.code, real.error, "")


# -------------------------------------------------------------------------------------------------- counts that hold


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What is done, counted where it is done."""
    found: Counter[str] = Counter()

    def count(owner: Any, name: str, note: Callable[..., dict[str, int]]) -> None:
        real = getattr(owner, name)

        def counting(*args: Any, **more: Any) -> Any:
            found.update(note(*args))
            return real(*args, **more)

        monkeypatch.setattr(owner, name, counting)

    count(ModelBench, "scores", lambda bench, batch: {"score passes": 1, "score tokens": int(batch.mask.sum())})
    count(
        step._Pass, "__init__",
        lambda made, model, batches: {
            "step passes": 1, "step tokens": sum(int(b.mask.sum()) for b in batches), "samples": len(batches[0])
        },
    )  # fmt: skip
    count(Probes, "sweep", lambda probes, updates, rows: {"sweeps": 1, "swept": len(rows)})
    count(Reader, "read", lambda reader, groups: {"texts": sum(map(len, groups))})
    real_anchor = losses.label_scores

    def anchoring(model: Any, batch: Any, **more: Any) -> Any:
        found["anchors"] += 1
        return real_anchor(model, batch, **more)

    monkeypatch.setattr("unlearnkit.runs.anchors.label_scores", anchoring)
    return found


def dry(place: Workplace) -> Workplace:
    return Workplace(place.settings, place.progress, dry=True)


def stage(found: Forecast | Total, name: str) -> Any:
    (one,) = [stage for stage in found.stages if stage.name == name]
    return one


@pytest.mark.parametrize("known", [False, True], ids=["anew", "more draws"])
def test_passes_of_scoring_are_those_that_are_made(place, model, forget, counted: Counter[str], known: bool):
    asked = {"model": model, "data": forget, "batch_size": 3, "template": "plain"}
    if known:
        score.score(place, **asked, options={"draws": 2})
    asked["options"] = {"draws": 5}
    with dry(place) as looking:
        found = stage(scoring(looking, score.prepared(looking, **asked)), "scores")
    counted.clear()
    made = score.score(place, **asked)
    assert (found.left, found.have) == (made.computed, made.from_store)
    assert found.have == (5 if known else 0), "a shard: the unperturbed one, and two draws with two signs"
    assert (found.forward, found.tokens) == (counted["score passes"], counted["score tokens"])


def test_steps_passes_and_looks_are_those_that_are_made(place, model, forget, retain, counted: Counter[str]):
    asked = {
        "model": model, "forget": forget, "retain": retain, "probe_every": 2,
        "schedule": Schedule(epochs=3, batch_size=3, lr=1e-3), "sampler": "mrd",
        "sampler_options": {"draws": 2, "refresh": 2},
    }  # fmt: skip
    with dry(place) as looking:
        found = unlearning(looking, unlearn.prepared(looking, **asked))
    counted.clear()
    made = unlearn.unlearn(place, **asked)
    steps, looks, anchors = (
        stage(found, "steps"),
        stage(found, "looks at the forget set"),
        stage(found, "anchors (forget)"),
    )
    assert (found.status, steps.left, steps.backward) == ("new", made.steps, made.steps)
    assert (looks.left, looks.texts, anchors.left) == (counted["sweeps"], counted["swept"], counted["anchors"])
    assert steps.forward == counted["step passes"]
    scored = [stage(found, name) for name in ("mrd scores", "mrd scores on the way")]
    assert sum(one.forward for one in scored) == counted["score passes"]
    with dry(place) as looking:
        again = unlearning(looking, unlearn.prepared(looking, **asked))
    assert (again.status, again.run, list(again.stages)) == ("complete", made.run, [])


def test_tokens_of_whole_epochs_are_exact(place, model, forget, retain, counted: Counter[str]):
    asked = {"model": model, "forget": forget, "retain": retain, "schedule": Schedule(epochs=3, batch_size=3, lr=1e-3)}
    with dry(place) as looking:
        steps = stage(unlearning(looking, unlearn.prepared(looking, **asked)), "steps")
    counted.clear()
    unlearn.unlearn(place, **asked)
    assert (steps.tokens, steps.texts) == (counted["step tokens"], counted["samples"])


def test_what_a_wrapper_and_the_starting_model_take_is_not_called_a_bound(place, model, forget, retain, counted):
    asked = {
        "model": model, "forget": forget, "retain": retain, "algorithm": "kl",
        "schedule": Schedule(max_steps=2, batch_size=3, lr=1e-3),
    }  # fmt: skip
    with dry(place) as looking:
        alone, wrapped = (
            stage(unlearning(looking, unlearn.prepared(looking, **asked, wrapper=wrapper)), "steps")
            for wrapper in (None, "sam")
        )
        own = unlearning(looking, unlearn.prepared(looking, **{**asked, "algorithm": "graddiff"}, wrapper="sam"))
    counted.clear()
    unlearn.unlearn(place, **asked, wrapper="sam")
    assert (alone.bound, wrapped.bound, stage(own, "steps").bound) == ("most", "about", "least")
    assert counted["step passes"] > wrapped.backward, "of the algorithm alone"
    assert "starting model" in wrapped.note and "wrapper" in wrapped.note
    assert (wrapped.seconds.low, wrapped.seconds.high) == (0, None)


@pytest.mark.parametrize(
    "ending",
    [{"until": ["forget.nll>0.1"], "probe_every": 1}, {"keep": ["forget.nll<9"]}, {"sampler": "active"}],
    ids=["until", "keep", "active"],
)
def test_a_run_that_may_end_early_is_planned_as_at_most(place, model, forget, retain, ending: dict[str, Any]):
    asked = {
        "model": model, "forget": forget, "retain": retain, "algorithm": "graddiff",
        "schedule": Schedule(epochs=3, batch_size=3, lr=1e-3),
    }  # fmt: skip
    with dry(place) as looking:
        plain = stage(unlearning(looking, unlearn.prepared(looking, **asked)), "steps")
        found = unlearning(looking, unlearn.prepared(looking, **asked, **ending))
    for name in ("steps", "looks at the forget set"):
        assert stage(found, name).bound == "most" and stage(found, name).seconds.low == 0
    assert plain.bound == "exact" and plain.seconds.low > 0
    if "until" in ending:
        assert unlearn.unlearn(place, **asked, **ending).steps < plain.left, "it does end early"


def test_bounds_of_a_sum():
    parts = {bound: Stage("", "", 1, bound=bound) for bound in ("exact", "least", "most", "about")}
    joined = {(a, b): parts[a].with_(parts[b]).bound for a in parts for b in parts}
    assert all(joined[one, "exact"] == joined["exact", one] == joined[one, one] == one for one in parts)
    assert joined["least", "most"] == joined["most", "least"] == "about"
    assert all(joined[one, "about"] == joined["about", one] == "about" for one in parts)


def test_a_run_that_was_stopped_is_gone_on_with_from_its_checkpoint(place, model, forget, retain, monkeypatch):
    asked = {
        "model": model, "forget": forget, "retain": retain,
        "schedule": Schedule(epochs=3, batch_size=4, lr=1e-3, checkpoint_every=2),
    }  # fmt: skip
    with dry(place) as looking:
        whole = stage(unlearning(looking, unlearn.prepared(looking, **asked)), "steps")
    with monkeypatch.context() as patch:
        patch.setattr("unlearnkit.runs.training.Watch.look", _failing_at(5))
        with pytest.raises(RuntimeError, match="enough"):
            unlearn.unlearn(place, **asked)
    place.store.close()
    with dry(place) as looking:
        found = unlearning(looking, unlearn.prepared(looking, **asked))
        stage_of = stage(found, "steps")
    assert (found.status, found.step) == ("resume", 4) and "at step 4" in found.says
    assert (whole.left, stage_of.have, stage_of.left) == (6, 4, 2)
    assert [one.left for one in found.stages if one.name.startswith("anchors")] == [0], "they are in the store"


def _failing_at(step: int) -> Callable[..., None]:
    from unlearnkit.runs.during import Watch

    real = Watch.look

    def look(self: Any, **more: Any) -> None:
        if self.trainer.done == step:
            raise RuntimeError("enough")
        real(self, **more)

    return look


def test_samples_and_texts_of_an_evaluation_are_those_that_are_read(place, model, forget, retain, counted):
    asked = {"model": model, "data": {"forget": forget}, "max_new_tokens": 4, "template": "plain"}
    evaluate.evaluate(place, **asked)
    asked["data"] = {"forget": forget, "retain": retain}
    with dry(place) as looking:
        found = stage(evaluating(looking, evaluate.prepared(looking, **asked)), "evaluation")
    counted.clear()
    made = evaluate.evaluate(place, **asked)
    assert (found.left, found.have) == (made.computed, made.from_store) == (12, 8)
    assert found.texts == counted["texts"] == 12 * 5, "an answer, a paraphrase and three wrong ones"


def test_a_reference_that_is_a_model_is_planned_too(place, model, forget, tmp_path: Path):
    import shutil

    other = shutil.copytree(model, tmp_path / "other")
    config = (other / "config.json").read_text().replace('"initializer_range": 0.02', '"initializer_range": 0.03')
    (other / "config.json").write_text(config)
    asked = {"model": model, "data": {"forget": forget}, "max_new_tokens": 4, "reference": str(other)}
    with dry(place) as looking:
        found = evaluating(looking, evaluate.prepared(looking, **asked))
    assert [(one.name, one.left) for one in found.stages] == [("evaluation of the reference", 8), ("evaluation", 8)]
    made = evaluate.evaluate(place, **{**asked, "reference": None})
    with dry(place) as looking:
        found = evaluating(looking, evaluate.prepared(looking, **asked))
    assert (found.status, found.run) == ("complete", made.run)
    assert [(one.name, one.left) for one in found.stages] == [("evaluation of the reference", 8)]
    assert "only what it is held against" in found.says


@pytest.mark.slow
def test_a_sweep_takes_what_its_runs_take_and_what_they_share_once(place, model, forget, retain, counted: Counter[str]):
    asked = {
        "axes": Axes(("npo", "ga"), seeds=(0, 1)), "model": model, "forget": forget, "retain": retain,
        "schedule": Schedule(max_steps=2, batch_size=3), "max_new_tokens": 2,
    }  # fmt: skip
    with dry(place) as looking:
        plan = sweep(looking, **asked, dry_run=True).plan
    counted.clear()
    found = sweep(place, **asked)
    left = {one.name: one.left for one in plan.stages}
    assert left == {"anchors (forget)": 8, "steps": 8, "evaluations": 4 * 20} and plan.runs == 4
    assert left["steps"] == sum(outcome.steps for outcome in found.outcomes)
    assert left["anchors (forget)"] == counted["anchors"]
    (steps,) = [one for one in plan.stages if one.name == "steps"]
    assert steps.forward == counted["step passes"]
    with dry(place) as looking:
        assert sweep(looking, **asked, dry_run=True).plan is None


def test_answers_that_the_runs_of_a_sweep_share_are_asked_for_once(place, model, forget, retain, monkeypatch):
    asked = {"model": model, "forget": forget, "retain": retain, "algorithm": "altpo"}
    runs = [{**asked, "schedule": Schedule(max_steps=1, batch_size=4, seed=seed)} for seed in (0, 1)]
    with dry(place) as looking:
        measured = evaluate.prepared(looking, model=model, data={"forget": forget}, max_new_tokens=2)
        plan = sweeping(looking, [unlearn.prepared(looking, **run) for run in runs], measured)
    found: Counter[str] = Counter()

    def asking(model: Any, inputs: Any, sample: Any, own: Any) -> str:
        found[sample.id] += 1
        return other_answer(model, inputs, sample, own)

    monkeypatch.setattr("unlearnkit.runs.others.other_answer", asking)
    for run in runs:
        unlearn.unlearn(place, **run)
    assert stage(plan, "other answers (forget)").left == found.total() == len(found) == 8


def test_what_a_sweep_reads_of_earlier_runs_and_measures_does_not_grow_with_it(
    place, model, forget, retain, monkeypatch
):
    asked = {"model": model, "forget": forget, "retain": retain, "algorithm": "ga"}
    for seed in (0, 1):
        unlearn.unlearn(place, **asked, schedule=Schedule(max_steps=1, batch_size=4, seed=seed))
    found: Counter[str] = Counter()

    def count(owner: Any, name: str, *, about: Callable[..., bool] = lambda *_: True) -> None:
        real = getattr(owner, name)

        def counting(*args: Any, **more: Any) -> Any:
            found[name] += about(*args)
            return real(*args, **more)

        monkeypatch.setattr(owner, name, counting)

    for name in ("model", "models", "runs"):
        count(Store, name)
    count(torch, "ones", about=lambda *shape: shape in ((768, 768), (4096, 4096)))
    took = {}
    with dry(place) as looking:
        measured = evaluate.prepared(looking, model=model, data={"forget": forget}, max_new_tokens=2)
        for count in (2, 4):
            schedules = [Schedule(max_steps=1, batch_size=4, seed=seed) for seed in range(10, 10 + count)]
            runs = [unlearn.prepared(looking, **asked, schedule=one, probe_every=1) for one in schedules]
            found.clear()
            sweeping(looking, runs, measured)
            took[count] = dict(found)
    assert took[2] == took[4] == {"models": 2, "runs": 2, "ones": 1}, "for each kind of run; the rule is of the looks"


# ---------------------------------------------------------------------------------------------------- what is said


def test_options_say_where_they_are_from(cli: Cli, words: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNLEARNKIT_STORE_TEXT", "true")
    found = cli(*words["unlearn"], "-s", "draws=3", "--seed", "7", "--dry-run", "--format", "json").json
    told = {option["name"]: (option["value"], option["origin"]) for option in found["options"]}
    assert told["seed"] == (7, "given") and told["sampler"] == ("mrd", "given")
    assert told["sampler_options.draws"] == (3, "given") and told["sampler_options.refresh"][1] == "default"
    assert told["options.beta"] == (0.1, "default") and told["batch_size"] == (8, "default")
    assert told["lr"] == (float(f"{NPO.rate / 32:.2g}"), "derived") and told["steps"] == (2, "derived")
    assert told["store_text"] == (True, "settings")


def test_time_is_taken_from_runs_before_and_else_from_a_rule_that_says_so(place, model, forget, monkeypatch):
    asked = {"model": model, "data": forget, "options": {"draws": 2}}
    with dry(place) as looking:
        rule = stage(scoring(looking, score.prepared(looking, **asked)), "scores").seconds
    assert "measured rate" in rule.basis and rule.low > 0 and rule.high is None, "there may be more passes"
    made = score.score(place, **asked)
    asked["options"] = {"draws": 2, "sigma": 0.01}
    with dry(place) as looking:
        found = stage(scoring(looking, score.prepared(looking, **asked)), "scores").seconds
    assert "1 earlier run" in found.basis
    took = place.store.run(made.run).summary["seconds"]
    assert (found.low, found.high) == (pytest.approx(took / 1.5), None), "as much work took so long"
    with Workplace(replace(place.settings, threads=2), dry=True) as elsewhere:
        assert "measured rate" in stage(scoring(elsewhere, score.prepared(elsewhere, **asked)), "scores").seconds.basis
    torch.set_num_threads(1)


def test_time_of_an_evaluation_is_by_samples_as_it_is_kept(place, model, forget, retain):
    asked = {"model": model, "data": {"retain": retain}, "max_new_tokens": 4, "template": "plain"}
    run = place.store.run(evaluate.evaluate(place, **asked).run)
    place.store.finish(run.id, "complete", summary={**run.summary, "seconds": 36.0})
    asked["data"] = {"forget": forget, "retain": retain}
    with dry(place) as looking:
        found = stage(evaluating(looking, evaluate.prepared(looking, **asked)), "evaluation")
    assert run.summary["computed"] == 12 and found.left == 8 and found.texts == 5 * 8
    assert "1 earlier run" in found.seconds.basis
    assert (found.seconds.low, found.seconds.high) == (0.0, pytest.approx(1.5 * 8 * 36 / 12)), "at most these"


def test_memory_that_is_not_there_is_warned_of(cli: Cli, words: dict[str, list[str]], monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=1_000_000, available=100_000))
    found = cli(*words["unlearn"], "--dry-run", "--format", "json")
    parts = found.json["memory"]["parts"]
    n = found.json["model"]["parameters"]
    assert (parts["weights"], parts["gradients"], parts["optimiser"]) == (4 * n, 4 * n, 8 * n)
    assert found.json["memory"]["fits"] is False and "warning" in found.err and "97.7 KiB free" in found.err
    assert "starting weights" not in parts, "npo reads anchors"
    kept = cli(*words["unlearn"], "--plugin", "kl", "--dry-run", "--format", "json").json["memory"]["parts"]
    assert kept["starting weights"] == 4 * n
