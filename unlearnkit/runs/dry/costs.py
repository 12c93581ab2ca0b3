"""What work takes: time from what earlier runs took, or else by a rule; memory and disk from sizes.

The rule: a forward pass takes 2 floating-point operations for each weight and token, its gradient 4 more, at the rate
of a matrix product that is measured now; and each pass a moment of its own. It is right within a factor of `ROUGHLY`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.runs.dry.plan import Disk, Memory, Seconds, Stage

if TYPE_CHECKING:
    from unlearnkit.models import ModelSource
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import Store
    from unlearnkit.store.records import Run
    from unlearnkit.training.plan import TrainingPlan

ROUGHLY = 4.0
"""Factor within which the rule holds."""
RECORDED = 1.5
"""Factor within which a run takes as long as one before it."""
MOMENT = 2e-4
"""Seconds that a decoder block takes in a pass however little there is in it."""
STATES = {"adamw": 8, "sgd": 0, "adafactor": 0, "paged-adamw-8bit": 2}
"""Bytes that an optimiser keeps for each trained weight."""
PER_HIDDEN = 68
"""Bytes of activations that a decoder block keeps for each token and hidden number in float32, for the backward pass:
twice the 34 that arXiv 2205.05198 counts in half precision, attention's own matrix aside."""
KEPT = 3
"""Checkpoints on the disk at once: the newest two, and the one that is being written."""


@dataclass(frozen=True)
class Size:
    """A model's size; `layers` are its decoder blocks, each of which keeps `kept` numbers of a token that was read."""

    parameters: int
    width: int
    layers: int
    vocab: int
    kept: int


@cache
def size_of(source: ModelSource) -> Size:
    """A model's size, from its files."""
    from unlearnkit.losses import decoder_blocks
    from unlearnkit.models import skeleton

    model = skeleton(source)
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None) or 1
    shared = getattr(config, "num_key_value_heads", None) or heads
    kept = 2 * source.width * shared // heads
    return Size(source.parameters, source.width, len(decoder_blocks(model)), source.vocab, kept)


@dataclass(frozen=True)
class Paces:
    """How fast work goes here: by complete runs of models of this size in this environment, or by the rule.

    The store is read, and the rate measured, once however much is priced."""

    place: Workplace
    store: Store | None
    source: ModelSource
    size: Size
    _took: dict[str, list[tuple[str, float, float]]] = field(default_factory=dict, init=False)
    """By kind the method, seconds and units of each run that tells."""

    def priced(self, stage: Stage, kind: str | None = None, method: str | None = None) -> Stage:
        """A stage with its time. `kind` and `method` say which runs did such work before, None where none records it.

        The bounds go down to nothing where there may be less than a stage says, and there is no upper one where there
        may be more."""
        rate = None if kind is None else self._recorded(kind, method)
        if rate is not None:
            pace, runs = rate
            usual, factor = pace * (stage.left if kind == "eval" else stage.texts), RECORDED
            basis = f"{runs} earlier run{'s' if runs > 1 else ''} of this size here, within a factor of {factor:g}"
        else:
            usual, factor = self._by_rule(stage), ROUGHLY
            basis = f"operations over a measured rate, within a factor of {factor:g}"
        low = 0.0 if stage.bound in ("most", "about") else usual / factor
        high = None if stage.bound in ("least", "about") else usual * factor
        return replace(stage, seconds=Seconds(low, high, basis))

    def _by_rule(self, stage: Stage) -> float:
        passes = 2.0 * (1 + 2 * stage.backward / stage.forward) if stage.forward else 0.0
        operations = passes * self.size.parameters * stage.tokens
        moments = (stage.forward + 2 * stage.backward) * self.size.layers * MOMENT
        return (operations / self._operations if operations else 0.0) + moments

    @cached_property
    def _operations(self) -> float:
        """Floating-point operations a second in a matrix product, the best of three."""
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        n = 4096 if device == "cuda" else 768
        a = torch.ones(n, n, device=device)

        def once() -> float:
            began = time.perf_counter()
            float((a @ a)[0, 0])  # waits for a GPU
            return time.perf_counter() - began

        return 2 * n**3 / min(once() for _ in range(3))

    def _recorded(self, kind: str, method: str | None) -> tuple[float, int] | None:
        """Seconds a unit, as in `TOOK`, and how many runs say so: of the same method, else of any where one trains."""
        if kind not in self._took:
            self._took[kind] = list(self._told(kind))
        took = self._took[kind]
        own = [row for row in took if row[0] == method] or (took if kind == "unlearn" else [])
        units = sum(row[2] for row in own)
        return (sum(row[1] for row in own) / units, len(own)) if units else None

    def _told(self, kind: str) -> Iterator[tuple[str, float, float]]:
        if self.store is None:
            return
        here, asked = self.place.environment(), (self.source.architecture, self.source.parameters)
        alike = {name for name, of in self.store.models().items() if (of.architecture, of.parameters) == asked}
        for run in self.store.runs(kind=kind, state="complete"):
            if run.model in alike and run.environment == here and (found := TOOK[kind](run)) is not None:
                yield run.method, *found


def _scored(run: Run) -> tuple[float, float] | None:
    kept = run.summary
    texts = kept.get("n", 0) * kept.get("forward_passes", 0)
    return (kept["seconds"], texts) if texts and kept.get("seconds") is not None else None


def _trained(run: Run) -> tuple[float, float] | None:
    plan, kept = run.config["plan"], run.summary
    texts = kept["steps"] * min(plan["batch_size"] * plan["grad_accum"], plan["n"])
    return (kept["seconds"], texts) if texts else None


def _evaluated(run: Run) -> tuple[float, float] | None:
    kept = run.summary
    return (kept["seconds"], kept["computed"]) if kept.get("computed") else None


TOOK: Mapping[str, Callable[[Run], tuple[float, float] | None]] = {
    "score": _scored, "unlearn": _trained, "finetune": _trained, "eval": _evaluated,
}  # fmt: skip
"""Seconds of a complete run by its kind, and how many texts were read in them, of an evaluation how many samples
computed, as what is read of one is no matter of the run; None where they are not known."""


# ------------------------------------------------------------------------------------------------------------- memory


def reading_memory(
    size: Size, texts: Iterable[Sequence[Any]], batch_size: int, *, copies: int = 1, **more: int
) -> Memory:
    """Of passes without a gradient over batches of the longest texts; `copies` of the weights are held, and `more`."""
    tokens = _longest(texts) * batch_size
    activations = 4 * tokens * size.width * 16  # a block's own, let go when the next has run
    parts = {"weights": 4 * size.parameters * copies, "activations": activations, "logits": _logits(size, tokens, 2)}
    return _beside(parts | more)


def training_memory(
    size: Size, plan: TrainingPlan, sets: Mapping[str, Sequence[Any]], *, trained: int, start: bool
) -> Memory:
    """Of optimiser steps: weights, gradients, what the optimiser keeps, the starting weights where the algorithm reads
    them, and at most so much for activations of the longest texts together."""
    rounded = plan.precision == "bf16"
    each = 2 if rounded else 4
    tokens = sum(_longest([items]) for items in sets.values()) * plan.batch_size
    block = PER_HIDDEN * size.width * tokens
    kept = block * (1 if plan.recompute else size.layers) + (4 * size.width * tokens * size.layers)
    parts = {
        "weights": each * size.parameters,
        "gradients": each * trained,
        "optimiser": (STATES[plan.optimizer] + (8 if rounded else 0)) * trained,  # float32 copies, and their gradients
        "starting weights": each * trained if start else 0,
        "activations": kept,
        "logits": _logits(size, tokens, 3),
    }
    return _beside({name: value for name, value in parts.items() if value})


def _logits(size: Size, tokens: int, copies: int) -> int:
    return 4 * size.vocab * tokens * copies


def _longest(sets: Iterable[Sequence[Any]]) -> int:
    return max((len(item) for items in sets for item in items), default=0)


def _beside(parts: Mapping[str, int]) -> Memory:
    import psutil
    import torch

    if torch.cuda.is_available():
        return Memory(parts, torch.cuda.get_device_name(), torch.cuda.mem_get_info()[0])
    return Memory(parts, "this machine", int(psutil.virtual_memory().available))


# --------------------------------------------------------------------------------------------------------------- disk


def training_disk(place: Workplace, size: Size, plan: TrainingPlan, trained: int, *, out: str) -> Disk:
    """Checkpoints beside the store, and the model's folder."""
    state = (4 + STATES[plan.optimizer]) * trained
    stored = (2 if plan.precision == "bf16" else 4) * size.parameters
    free = min(_free(Path(out)), _free(_store_folder(place)))
    return Disk({"checkpoints": KEPT * state, "model": stored}, free)


def no_disk(place: Workplace) -> Disk:
    """Of work that leaves rows in the store alone."""
    return Disk({}, _free(_store_folder(place)))


def _store_folder(place: Workplace) -> Path:
    where = place.settings.store
    return Path() if "://" in where else Path(where).expanduser().absolute().parent


def _free(path: Path) -> int:
    """Bytes free where a path is, or will be."""
    there = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    return shutil.disk_usage(there).free
