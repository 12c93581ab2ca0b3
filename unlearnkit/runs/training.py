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
from unlearnkit.models import check_out
from unlearnkit.runs.adapters import write_trained
from unlearnkit.runs.workplace import Workplace
from unlearnkit.store import records
from unlearnkit.training.plan import TrainingPlan
from unlearnkit.training.words import LOOKED_AT, PRECISIONS, SCHEDULES, check_optimizer

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
    """What a training run left: `terms` are those of its last step. `already` is True where nothing had to be done."""

    run: str
    algorithm: str
    sampler: str | None
    model_dir: str
    model: str
    steps: int
    stopped_by: str
    seconds: float
    terms: Mapping[str, float]
    already: bool = False

    def json(self) -> dict[str, Any]:
        names = ("run", "algorithm", "sampler", "model_dir", "steps", "stopped_by", "seconds")
        return {**{name: getattr(self, name) for name in names}, "terms": dict(self.terms)}


def report(run: records.Run, *, already: bool) -> TrainingReport:
    """A complete run as a report."""
    kept = {key: run.summary[key] for key in ("model_dir", "model", "steps", "stopped_by", "seconds", "terms")}
    return TrainingReport(run=run.id, algorithm=run.method, sampler=run.config.get("sampler"), already=already, **kept)


def place_for(out: str | None, kind: str, run_id: str) -> str:
    """Where a run's model goes: an absolute path, as the run may be gone on with from another folder."""
    return str((Path(out) if out is not None else Path(FOLDERS[kind]) / run_id).absolute())


def begin(
    place: Workplace, draft: records.Run, inputs: Inputs, *, anew: bool, force: bool
) -> tuple[records.Run, Path, bool]:
    """Find or make the run, and settle where its model goes: (run, folder, whether it is complete already).

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
            return _complete(place, found, written, Path(draft.config["request"]["out"]) if anew else written, force)
        place.progress.say(f"run {found.id} is complete, but its model is not in {written} any more: made again")
    if found is not None and found.state == "diverged":
        raise UnlearnkitError(
            f"run {found.id} is the same and diverged: {found.error}",
            hint=f"change an option, or forget it with: unlearnkit runs rm {found.id}",
            code="not-resumable",
        )
    chosen = draft if anew or found is None else found
    folder = Path(chosen.config["request"]["out"])
    if not _written_by(folder, (found or draft).id):  # its own model, from before a kill, is replaced
        check_out(folder, force)
    inputs.record(place)
    run, _ = place.store.begin(draft)
    return run, folder, False


def _complete(
    place: Workplace, run: records.Run, written: Path, wanted: Path, force: bool
) -> tuple[records.Run, Path, bool]:
    """A run that is complete already, with its model in the folder that is wanted now."""
    if wanted != written and not _written_by(wanted, run.id):
        check_out(wanted, force)
        shutil.copytree(written, wanted, dirs_exist_ok=True)
        run = place.store.finish(run.id, "complete", summary={**run.summary, "model_dir": str(wanted)})
    return run, wanted, True


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
    card: Callable[[int], str],
    rename: Mapping[str, str] | None = None,
) -> records.Run:
    """Train from the last checkpoint to the end, then write the model and close the run.

    Args:
        force: whether another's model in `out` may be replaced.
        card: the model card's text, given the number of steps.
        rename: names under which terms are stored, where the loop's own would mislead.
    """
    progress, stop = place.progress, place.stop
    spent = _load_checkpoint(place, run, trainer)
    recorder = _Recorder(place, run, trainer)
    began = saved = time.monotonic()
    if trainer.plan.batch_size > trainer.plan.n:
        progress.say(f"one batch of {trainer.plan.batch_size} holds all {trainer.plan.n} samples")
    epoch = -1.0
    with stop.holding():
        try:
            for found in trainer.steps():
                terms = {(rename or {}).get(name, name): value for name, value in found.items()}
                recorder.add(terms)
                place.plugins.notify("step_finished", run=run, step=trainer.done, terms=terms)
                if terms["epoch"] != epoch:  # what an epoch begins with may have shown a bar of its own
                    epoch = terms["epoch"]
                    progress.start("training", trainer.plan.steps, trainer.done - 1)
                progress.advance(1, f"loss {terms['loss']:.4g}")
                # At least two a run; with the last, a model that could not be written is written by resuming.
                halves = trainer.done in (trainer.plan.steps // 2, trainer.plan.steps)
                due = (
                    trainer.done % checkpoint_every == 0
                    if checkpoint_every
                    else time.monotonic() - saved > CHECKPOINT_SECONDS
                )
                if due or halves or stop.asked:
                    recorder.checkpoint(spent + time.monotonic() - began)
                    saved = time.monotonic()
                if trainer.done == LOOKED_AT and trainer.moved is False:
                    progress.warn(_still(trainer))
                if stop.asked and trainer.done < trainer.plan.steps:
                    raise Interrupted(f"stopped after step {trainer.done} of {trainer.plan.steps}; nothing is lost")
            if trainer.done < trainer.plan.steps:  # ended by its sampler: as good a last one as a planned end has
                recorder.checkpoint(spent + time.monotonic() - began)
        finally:
            recorder.flush()
            progress.finish()
        return _finish(place, run, trainer, inputs, out, card(trainer.done), spent + time.monotonic() - began,
            force=force or _written_by(out, run.id),
        )  # fmt: skip


def _finish(
    place: Workplace, run: records.Run, trainer: Trainer, inputs: Inputs, out: Path, card: str, seconds: float,
    *, force: bool,
) -> records.Run:  # fmt: skip
    """Write the model, then close the run."""
    store = place.store
    steps = store.steps(run.id)
    summary = {
        "model_dir": str(out),
        "model": write_trained(place, trainer, inputs, out, card=card, force=force),
        "steps": trainer.done,
        "stopped_by": _stopped_by(trainer),
        "seconds": round(seconds, 2),
        "terms": dict(steps[-1].terms) if steps else {},
    }
    run = store.finish(run.id, "complete", summary=summary)
    store.drop_checkpoints(run.id)
    return run


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

    def __init__(self, place: Workplace, run: records.Run, trainer: Trainer) -> None:
        self._place, self._run, self._trainer = place, run, trainer
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
        mark = records.Checkpoint(trainer.done, file, {"seconds": round(seconds, 2)})
        self._check(store.put_checkpoint(self._run.id, mark, steps=self._pending, probes=self._probes()))
        self._pending, self._flushed = [], time.monotonic()

    def _probes(self) -> list[records.ProbeRow]:
        return [] if self._trainer.probes is None else self._trainer.probes.take()

    def _check(self, mismatched: list[int]) -> None:
        if mismatched and self._exact:
            self._exact = self._place.store.mark_inexact(self._run.id).exact
            self._place.progress.warn(
                f"step {mismatched[0]} did not come out as before; the run goes on but is marked inexact"
            )


def _load_checkpoint(place: Workplace, run: records.Run, trainer: Trainer) -> float:
    """Put the newest readable checkpoint into the trainer; the seconds spent before it."""
    for mark in place.store.checkpoints(run.id):
        try:
            trainer.load_state(place.store.files.load(mark.file), mark.step)
        except UnlearnkitError as error:
            place.progress.warn(f"checkpoint of step {mark.step} left out: {error.message}")
            continue
        if trainer.probes is not None:
            trainer.probes.restore(place.store.probes(run.id), mark.step)
        place.progress.say(f"going on from step {mark.step} of {trainer.plan.steps}")
        return float(mark.state.get("seconds", 0.0))
    return 0.0
