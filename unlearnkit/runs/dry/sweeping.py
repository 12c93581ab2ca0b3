"""What the runs of a sweep that are left take together: what they share is made once, by the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from unlearnkit.runs.dry.costs import Paces, size_of
from unlearnkit.runs.dry.evaluations import eval_stage
from unlearnkit.runs.dry.plan import Disk, Memory, Stage, whole_time
from unlearnkit.runs.dry.use import REFERENCE, store_of, unlearning

if TYPE_CHECKING:
    from unlearnkit.runs import evaluate, unlearn
    from unlearnkit.runs.workplace import Workplace


@dataclass(frozen=True)
class Total:
    """Work, memory and disk of `runs` runs: the stages of all together, the memory of the largest, the disk that is
    taken when all have ended."""

    runs: int
    stages: Sequence[Stage]
    memory: Memory
    disk: Disk

    def json(self) -> dict[str, Any]:
        whole = whole_time(self.stages)
        return {
            "runs": self.runs,
            "stages": [stage.json() for stage in self.stages],
            "seconds": None if whole is None else {"low": whole[0], "high": whole[1]},
            "memory": self.memory.json(),
            "disk": self.disk.json(),
        }


def sweeping(place: Workplace, runs: Sequence[unlearn.Prepared], measured: evaluate.Prepared) -> Total | None:
    """The plan of the runs of a sweep that are left, and of the evaluations of what they write; None where none is.

    Args:
        measured: the evaluation of the model that all begin with, as those of their models are; its reference is
            evaluated before any run.
    """
    if not runs:
        return None
    paces = Paces(place, store_of(place), measured.source, size_of(measured.source))
    runs = [replace(made, reference=measured.reference) for made in runs]
    plans = [unlearning(place, made, paces=paces) for made in runs]
    stages: dict[str, Stage] = {}
    shared: set[tuple[str, str]] = set()
    for made, plan in zip(runs, plans, strict=True):
        for stage in plan.stages:
            once = (stage.name, _decided_by(stage, made))
            if once[1] and once in shared:
                continue
            shared.add(once)
            stages[stage.name] = stages[stage.name].with_(stage) if stage.name in stages else stage
    stage = eval_stage(place, None, measured.task, "", "evaluations").times(len(runs))
    evaluations = paces.priced(stage, "eval", measured.task.suite.name)
    free = min(plan.disk.free for plan in plans)
    parts = {
        "checkpoints": max(plan.disk.parts["checkpoints"] for plan in plans),
        "models": sum(plan.disk.parts["model"] for plan in plans),
    }
    largest = max((plan.memory for plan in plans), key=lambda memory: memory.total)
    return Total(len(runs), [*stages.values(), evaluations], largest, Disk(parts, free))


def _decided_by(stage: Stage, made: unlearn.Prepared) -> str:
    """What decides a stage's result besides model and data, where runs share it; "" where each run has its own."""
    if stage.name.startswith("anchors"):
        return f"precision {made.plan.precision}"
    if stage.name == REFERENCE:
        return stage.name
    if made.sampler.needs is not None and stage.name == f"{made.sampler.needs.scorer} scores":
        return repr(made.sampler.needs)
    if stage.name.startswith("other answers"):
        return made.draft.series or ""
    return ""
