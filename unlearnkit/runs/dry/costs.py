"""What work takes: time from what earlier runs took, or else by a rule; disk from sizes.

The rule: a forward pass takes 2 floating-point operations for each weight and token, its gradient 4 more, at the rate
of a matrix product that is measured now; and each pass a moment of its own. It is right within a factor of `ROUGHLY`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnkit.runs.dry.plan import Disk, Seconds, Stage

if TYPE_CHECKING:
    from transformers import PreTrainedModel

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
KEPT = 3
"""Checkpoints on the disk at once: the newest two, and the one that is being written."""


@dataclass(frozen=True)
class Size:
    """A model's size; `layers` are its decoder blocks, which together keep `kept` numbers of a token that was read, and
    `linear` are the weights that a processor can have packed."""

    parameters: int
    width: int
    layers: int
    vocab: int
    kept: int
    linear: int


@cache
def size_of(source: ModelSource) -> Size:
    """A model's size, from its files."""
    from unlearnkit.losses import decoder_blocks
    from unlearnkit.models import skeleton
    from unlearnkit.models.packed import packable

    model = skeleton(source)
    linear = sum(layer.weight.numel() for layer in packable(model, device="meta"))
    layers = len(decoder_blocks(model))
    kept = _kept(model)
    if kept is None:
        kept = 2 * source.width * layers  # as much as most with a head of keys and values for each of queries
    return Size(source.parameters, source.width, layers, source.vocab, kept, linear)


def _kept(model: PreTrainedModel) -> int | None:
    """Numbers that a model on device "meta" keeps of one token: keys and values, or what its layers make of both. What
    a recurrent layer keeps of all tokens together is not counted, and a window's end is not seen. None where the model
    cannot be asked."""
    import torch

    from unlearnkit.models.load import quiet
    from unlearnkit.past import past_of

    token = torch.ones(1, 1, dtype=torch.int64, device="meta")
    try:
        with quiet(), torch.inference_mode():  # experts' products are known without memory in bfloat16 alone
            cache = past_of(model.bfloat16()(input_ids=token, use_cache=True))
    except Exception:  # whatever a model does that needs numbers
        return None
    found = (getattr(layer, of, None) for layer in getattr(cache, "layers", ()) for of in ("keys", "values"))
    return sum(int(one.numel()) for one in found if one is not None)


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
