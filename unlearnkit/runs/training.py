"""What `unlearn` and `finetune` share: drive the loop, keep rows and checkpoints, write the model."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import BadInput, Interrupted, UnlearnkitError
from unlearnkit.models import check_out, try_out
from unlearnkit.notebook import facts
from unlearnkit.runs.adapters import write_trained
from unlearnkit.runs.during import Watch
from unlearnkit.runs.workplace import Workplace
from unlearnkit.store import records
from unlearnkit.training.plan import TrainingPlan
from unlearnkit.training.words import FACTORS, LOOKED_AT, PRECISIONS, SCHEDULES, check_optimizer

if TYPE_CHECKING:
    from unlearnkit.runs.inputs import Inputs
    from unlearnkit.training.loop import Trainer

FOLDERS = {"unlearn": "unlearned", "finetune": "finetuned"}
"""Where models go that nobody gave a place."""
CHECKPOINT_SECONDS = 120.0
FLUSH_SECONDS = 0.5
"""Step rows wait this long for company; a kill costs rows that the resumed run writes again, equal."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: the training options of a command, checked."""

    epochs: int | None = None
    max_steps: int | None = None
    lr: float | None = None
    """None: the method's own, for the model's width."""
    batch_size: int = 8
    grad_accum: int = 1
    schedule: str = "constant"
    warmup: float = 0.0
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    seed: int = 0
    optimizer: str | None = None
    """None: adamw, or what a wrapper is made for."""
    precision: str = "fp32"
    gradient_checkpointing: bool = False
    checkpoint_every: int | None = None
    """Steps between checkpoints; None: every two minutes. Does not change a result."""

    def __post_init__(self) -> None:
        at_least_one = {
            "epochs": self.epochs, "max-steps": self.max_steps, "batch-size": self.batch_size,
            "grad-accum": self.grad_accum, "checkpoint-every": self.checkpoint_every,
        }  # fmt: skip
        for name, value in at_least_one.items():
            if value is not None and not 1 <= value <= 1_000_000_000:
                raise BadInput(f"--{name} must be a whole number ≥ 1, got {value}", code="value")
        if self.lr is not None and not 0 < self.lr <= 100:
            raise BadInput(f"--lr must be a number > 0 and ≤ 100, got {self.lr}", code="value")
        if not 0 <= self.seed < 2**63:
            raise BadInput(f"--seed must be 0 … 2^63 - 1, got {self.seed}", code="value")
        if not 0 <= self.warmup <= 1:
            raise BadInput(f"--warmup is a share of the steps, 0 … 1, got {self.warmup}", code="value")
        if not all(0 <= value < math.inf for value in (self.weight_decay, self.max_grad_norm)):
            raise BadInput("--weight-decay and --max-grad-norm must be finite numbers ≥ 0", code="value")
        if self.schedule not in SCHEDULES:
            raise BadInput(f"--schedule must be one of {', '.join(SCHEDULES)}", code="value")
        if self.precision not in PRECISIONS:
            raise BadInput(f"--precision must be one of {', '.join(PRECISIONS)}", code="value")
        if self.optimizer is not None:
            check_optimizer(self.optimizer)

    @property
    def factor(self) -> float:
        """Times the method's own learning rate, for the optimiser that was asked for."""
        return FACTORS[self.optimizer or "adamw"]

    @property
    def said(self) -> str:
        """How a line that names a method goes on, where its rate is another's."""
        return "" if self.factor == 1.0 else f" with {self.optimizer}"

    def plan(self, n: int, *, lr: float, epochs: int, optimizer: str = "adamw") -> TrainingPlan:
        """The plan for a first set of n samples; `lr`, `epochs` and `optimizer` are for where nothing is said.
        `--max-steps` alone takes as many epochs as it needs."""
        per_epoch = -(-n // (self.batch_size * self.grad_accum))
        if self.epochs is not None:
            epochs = self.epochs
        elif self.max_steps is not None:
            epochs = -(-self.max_steps // per_epoch)
        return TrainingPlan(
            n=n, epochs=epochs, max_steps=self.max_steps, batch_size=self.batch_size, grad_accum=self.grad_accum,
            lr=lr if self.lr is None else self.lr, schedule=self.schedule, warmup=self.warmup,
            weight_decay=self.weight_decay, max_grad_norm=self.max_grad_norm, seed=self.seed,
            optimizer=self.optimizer or optimizer, precision=self.precision, recompute=self.gradient_checkpointing,
        )  # fmt: skip


@dataclass(frozen=True)
class TrainingReport:
    """What a training run left: `terms` are those of its last step. `already` is True where nothing had to be done.
    `unmet` are the `--until` conditions of a run that something else ended, with the last look's values.

    The model has the weights after `step` of the `steps`; `best` is the value that it was chosen by, with its name.
    `evaluations` are the eval runs on the way, by steps.
    """

    run: str
    algorithm: str
    sampler: str | None
    model_dir: str
    model: str
    steps: int
    stopped_by: str
    seconds: float
    terms: Mapping[str, float]
    step: int
    best: Mapping[str, float]
    unmet: Mapping[str, float | None]
    evaluations: Mapping[int, str]
    already: bool = False

    def _repr_html_(self) -> str:
        names = ("algorithm", "sampler", "model_dir", "steps", "stopped_by", "seconds")
        return facts(f"run {self.run}", {**{name: getattr(self, name) for name in names}, **self.terms})

    def json(self) -> dict[str, Any]:
        names = ("run", "algorithm", "sampler", "model_dir", "steps", "stopped_by", "step", "seconds")
        mappings = {name: dict(getattr(self, name)) for name in ("best", "unmet", "evaluations", "terms")}
        return {**{name: getattr(self, name) for name in names}, **mappings}


def report(run: records.Run, *, already: bool) -> TrainingReport:
    """A complete run as a report."""
    summary = run.summary
    return TrainingReport(
        run=run.id, algorithm=run.method, sampler=run.config.get("sampler"), already=already,
        **{key: summary[key] for key in ("model_dir", "model", "steps", "stopped_by", "seconds", "terms")},
        step=summary.get("step", summary["steps"]), best=summary.get("best", {}), unmet=summary.get("unmet", {}),
        evaluations=evaluations_of(summary),
    )  # fmt: skip


def evaluations_of(kept: Mapping[str, Any]) -> dict[int, str]:
    """Eval runs by optimiser steps, from a run's summary or a checkpoint's state."""
    return {int(step): run for step, run in kept.get("evaluations", {}).items()}


def place_for(out: str | None, kind: str, run_id: str) -> str:
    """Where a run's model goes: an absolute path, as the run may be gone on with from another folder."""
    return str((Path(out) if out is not None else Path(FOLDERS[kind]) / run_id).absolute())


@dataclass(frozen=True)
class Standing:
    """How a training run stands before a call works on it: what the store has of it, None for nothing, and the folder
    that its model goes to; `written` is where that is already, for a run that is complete."""

    run: records.Run | None
    folder: Path
    written: Path | None = None


def standing(place: Workplace, draft: records.Run, *, anew: bool, force: bool) -> Standing:
    """See how a run stands, and that its model can go where it is wanted; nothing is written.

    Args:
        anew: the folder was named in this call, and is meant even where the run began with another.

    Raises:
        UnlearnkitError: `not-resumable` for a diverged run; what `check_out` finds wrong with the folder.
    """
    place.check_same(draft)
    found = place.find(draft.kind, draft.identity)
    if found is not None and found.state == "complete":
        written = Path(found.summary["model_dir"])
        if _written_by(written, found.id):
            wanted = Path(draft.config["request"]["out"]) if anew else written
            if wanted != written and not _written_by(wanted, found.id):
                check_out(wanted, force)
            return Standing(found, wanted, written)
        place.progress.say(f"run {found.id} is complete, but its model is not in {written} any more: made again")
    if found is not None and found.state == "diverged":
        raise UnlearnkitError(
            f"run {found.id} is the same and diverged: {found.error}",
            hint=f"a smaller --lr makes another run; forget this one with: unlearnkit runs rm {found.id}",
            code="not-resumable",
        )
    chosen = draft if anew or found is None else found
    folder = Path(chosen.config["request"]["out"])
    if not _written_by(folder, (found or draft).id):  # its own model, from before a kill, is replaced
        check_out(folder, force)
    return Standing(found, folder)


def begin(
    place: Workplace, draft: records.Run, inputs: Inputs, *, anew: bool, force: bool
) -> tuple[records.Run, Path, bool]:
    """Find or make the run, and settle where its model goes: (run, folder, whether it is complete already). Raises what
    `standing` and `try_out` do."""
    now = standing(place, draft, anew=anew, force=force)
    if now.run is not None and now.written is not None:
        return _complete(place, now.run, now.written, now.folder), now.folder, True
    try_out(now.folder)
    inputs.record(place)
    run, _ = place.store.begin(draft)
    return run, now.folder, False


def _complete(place: Workplace, run: records.Run, written: Path, wanted: Path) -> records.Run:
    """A run that is complete already, with its model in the folder that is wanted now."""
    place.store.beat(run.id)  # what was asked for last
    if wanted != written and not _written_by(wanted, run.id):
        shutil.copytree(written, wanted, dirs_exist_ok=True)
        run = place.store.finish(run.id, "complete", summary={**run.summary, "model_dir": str(wanted)})
    return run


def _written_by(folder: Path, run_id: str) -> bool:
    card = folder / "README.md"
    return card.is_file() and run_id in card.read_text(encoding="utf-8", errors="replace")


def drive(
    place: Workplace,
    run: records.Run,
    trainer: Trainer,
    inputs: Inputs,
    out: Path,
    *,
    checkpoint_every: int | None,
    force: bool,
    card: Callable[[Mapping[str, Any]], str],
    rename: Mapping[str, str] | None = None,
    watch: Watch | None = None,
) -> records.Run:
    """Train from the last checkpoint to the end, then write the model and close the run.

    Args:
        force: whether another's model in `out` may be replaced.
        card: the model card's text, given how training ended.
        rename: names under which terms are stored, where the loop's own would mislead.
        watch: what looks at the model on the way, says when training is over and which step's weights are the model.
    """
    progress, stop = place.progress, place.stop
    watch = watch or Watch(place, run, trainer)
    spent = _load_checkpoint(place, run, watch)
    recorder = _Recorder(place, run, watch)
    began = saved = time.monotonic()
    if trainer.offered is not None:
        taken = "log-probabilities without logits" if trainer.fuses else "not used, it is not exact for this model"
        progress.say(f"{trainer.offered}: {taken}")
    if trainer.plan.batch_size > trainer.plan.n:
        progress.say(f"one batch of {trainer.plan.batch_size} holds all {trainer.plan.n} samples")
    shown: Any = None
    with stop.holding():
        try:
            watch.look()
            if watch.verdict.step == 0 == trainer.done:
                recorder.checkpoint(spent)
            for found in () if watch.ended else trainer.steps():
                watch.look()
                terms = {(rename or {}).get(name, name): value for name, value in found.items()}
                recorder.add(terms)
                place.plugins.notify("step_finished", run=run, step=trainer.done, terms=terms)
                # What an epoch begins with, or an evaluation, may have shown a bar of its own.
                if shown != (shown := (terms["epoch"], len(watch.evaluations))):
                    progress.start("training", trainer.plan.steps, trainer.done - 1)
                progress.advance(1, f"loss {terms['loss']:.4g}")
                # At least two a run; with the last, a model that could not be written is written by resuming.
                halves = trainer.done in (trainer.plan.steps // 2, trainer.plan.steps)
                due = (
                    trainer.done % checkpoint_every == 0
                    if checkpoint_every
                    else time.monotonic() - saved > CHECKPOINT_SECONDS
                )
                if due or halves or stop.asked or watch.verdict.step == trainer.done:
                    recorder.checkpoint(spent + time.monotonic() - began)
                    saved = time.monotonic()
                if trainer.done == LOOKED_AT and trainer.moved is False:
                    progress.warn(_still(trainer))
                if watch.ended:
                    break
                if stop.asked and trainer.done < trainer.plan.steps:
                    raise Interrupted(f"stopped after step {trainer.done} of {trainer.plan.steps}; nothing is lost")
            if trainer.done < trainer.plan.steps:  # ended early: as good a last one as a planned end has
                watch.look(ends=True)
                recorder.checkpoint(spent + time.monotonic() - began)
        finally:
            recorder.flush()
            progress.finish()
        ending = _ending(watch)
        if ending["step"] != trainer.done:
            _go_back(place, run, trainer, ending["step"])
        return _finish(place, run, trainer, inputs, out, card, ending, spent + time.monotonic() - began,
            force=force or _written_by(out, run.id),
        )  # fmt: skip


def _ending(watch: Watch) -> dict[str, Any]:
    """How training ended, and which step's weights are the model."""
    taken, verdict, best = watch.trainer.done, watch.verdict, watch.goals.best
    step = taken if verdict.step is None else verdict.step
    value = None if best is None else watch.looks.get(step, {}).get(best.name)
    if best is not None and value is None:
        watch.place.progress.warn(f"--best {best.name}: no look found a value; the last weights are the model")
    unmet = {} if (verdict.ended or "").startswith("until") else _unmet(watch)
    return {
        "steps": taken,
        "stopped_by": verdict.ended or _stopped_by(watch.trainer),
        "step": step,
        "best": {} if best is None or value is None else {best.name: value},
        "unmet": unmet,
        "evaluations": watch.evaluations,
    }


def _unmet(watch: Watch) -> dict[str, float | None]:
    """The conditions that were to end a run which something else ended, with what their values had come to."""
    start, last = (watch.looks.get(step, {}) for step in (0, max(watch.looks, default=0)))
    for condition in watch.goals.until:
        came, began = last.get(condition.name), start.get(condition.name)
        shown = "no value" if came is None else f"{came:.4g}"
        first = f", {began:.4g} at first" if condition.relative and began is not None else ""
        watch.place.progress.warn(f"--until {condition} was never reached: {shown} at the last look{first}")
    return {str(condition): last.get(condition.name) for condition in watch.goals.until}


def _go_back(place: Workplace, run: records.Run, trainer: Trainer, step: int) -> None:
    """Put the weights after an earlier step into the trainer."""
    (mark,) = (mark for mark in place.store.checkpoints(run.id) if mark.step == step)
    try:
        trainer.load_state(place.store.files.load(mark.file), step)
    except UnlearnkitError as error:
        raise UnlearnkitError(
            f"the weights of step {step}, which are to be the model, cannot be read: {error.message}",
            hint=f"forget the run with `unlearnkit runs rm {run.id}` and make it again",
            code=error.code,
        ) from error


def _finish(
    place: Workplace, run: records.Run, trainer: Trainer, inputs: Inputs, out: Path,
    card: Callable[[Mapping[str, Any]], str], ending: Mapping[str, Any], seconds: float,
    *, force: bool,
) -> records.Run:  # fmt: skip
    """Write the model, then close the run."""
    store = place.store
    steps = store.steps(run.id)
    summary = {
        "model_dir": str(out),
        "model": write_trained(place, trainer, inputs, out, card=card(ending), force=force),
        **ending,
        "seconds": round(seconds, 2),
        "terms": dict(steps[-1].terms) if steps else {},
    }
    return store.finish(run.id, "complete", summary=summary)


def _still(trainer: Trainer) -> str:
    """What to say of a run whose first steps changed no weight."""
    n = sum(p.numel() for p in trainer.model.parameters())
    why = "frozen, or a learning rate too small"
    if trainer.plan.precision == "bf16":
        why = f"lr {trainer.plan.lr:g} is too small for bfloat16 weights: --precision fp32, or a higher --lr"
    return f"{LOOKED_AT} steps changed none of {n:,} weights: {why}"


def _stopped_by(trainer: Trainer) -> str:
    if trainer.done < trainer.plan.steps:
        return "all_forgotten"  # the sampler had nothing more to show
    return "max_steps" if trainer.plan.max_steps == trainer.done else "epochs"


class _Recorder:
    """Writes steps and NLLs in batches, and checkpoints together with the rows that lead to them."""

    def __init__(self, place: Workplace, run: records.Run, watch: Watch) -> None:
        self._place, self._run, self._watch, self._trainer = place, run, watch, watch.trainer
        self._pending: list[records.StepRow] = []
        self._flushed = time.monotonic()
        self._exact = run.exact

    def add(self, terms: Mapping[str, float]) -> None:
        self._pending.append(records.StepRow(self._trainer.done, terms))
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        store, probes = self._place.store, self._probes()
        if self._pending:
            self._check(store.put_steps(self._run.id, self._pending))
        if probes:
            store.put_probes(self._run.id, probes)
        if self._pending or probes:
            store.beat(self._run.id)
        self._pending, self._flushed = [], time.monotonic()

    def checkpoint(self, seconds: float) -> None:
        store, trainer = self._place.store, self._trainer
        file = store.files.save(trainer.state())
        state = {"seconds": round(seconds, 2), "evaluations": self._watch.evaluations}
        mark, chosen = records.Checkpoint(trainer.done, file, state), self._watch.verdict.step
        different = store.put_checkpoint(
            self._run.id, mark, steps=self._pending, probes=self._probes(), spare=() if chosen is None else (chosen,)
        )
        self._check(different)
        self._pending, self._flushed = [], time.monotonic()

    def _probes(self) -> list[records.ProbeRow]:
        return [] if self._trainer.probes is None else self._trainer.probes.take()

    def _check(self, mismatched: list[int]) -> None:
        if mismatched and self._exact:
            self._exact = self._place.store.mark_inexact(self._run.id).exact
            self._place.progress.warn(
                f"step {mismatched[0]} did not come out as before; the run goes on but is marked inexact"
            )


def _load_checkpoint(place: Workplace, run: records.Run, watch: Watch) -> float:
    """Put the newest readable checkpoint into the trainer; the seconds spent before it."""
    trainer = watch.trainer
    for mark in place.store.checkpoints(run.id):
        try:
            trainer.load_state(place.store.files.load(mark.file), mark.step)
        except UnlearnkitError as error:
            place.progress.warn(f"checkpoint of step {mark.step} left out: {error.message}")
            continue
        if trainer.probes is not None:
            trainer.probes.restore(place.store.probes(run.id), mark.step)
        watch.restore(evaluations_of(mark.state))
        place.progress.say(f"going on from step {mark.step} of {trainer.plan.steps}")
        return float(mark.state.get("seconds", 0.0))
    return 0.0
