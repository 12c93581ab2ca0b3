"""What a training run does besides what the store has: scores and anchors first, then steps, with looks in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from unlearnkit.runs.anchors import anchors
from unlearnkit.runs.dry.evaluations import eval_stage
from unlearnkit.runs.dry.plan import Bound, Stage, joined
from unlearnkit.runs.dry.scores import score_stage
from unlearnkit.runs.during import RETAINED, spread
from unlearnkit.runs.orders import task_of

if TYPE_CHECKING:
    from unlearnkit.contracts import Algorithm
    from unlearnkit.data.encode import Encoded
    from unlearnkit.runs.unlearn import Prepared
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import Store
    from unlearnkit.training.plan import TrainingPlan

MANY = 1_000_000
"""Samples above which the retain rows of the steps are not gone through one by one: their mean length is enough."""


def unlearn_stages(place: Workplace, store: Store | None, made: Prepared, run: str | None, done: int) -> list[Stage]:
    """The stages of an unlearning run that goes on from step `done`. Where it may end before its last step, all that
    is done on the way may be less."""
    first, again = _scores(place, store, made, run)
    before = [*first, *_other_answers(store, made, run), *_anchors(place, store, made)]
    on_the_way = [
        *again,
        step_stage(made.plan, made.method, made.read.encoded, done, wrapped=made.wrapper is not None),
        *_looks(made, done),
        *_evaluations(place, store, made, done),
    ]
    if made.goals.until or made.goals.keep or made.sampler.every == "step":
        on_the_way = [replace(stage, bound=joined(stage.bound, "most")) for stage in on_the_way]
    return [stage for stage in (*before, *on_the_way) if stage.of]


def step_stage(
    plan: TrainingPlan, method: Algorithm, encoded: Mapping[str, Sequence[Encoded]], done: int, *, wrapped: bool = False
) -> Stage:
    """The optimiser steps. A forward pass is over the sets of a micro-batch together, in one piece or in two. The
    samples of an epoch are taken to be its set once, as most samplers draw them."""
    micro, texts = (_upto(plan, plan.steps, of) - _upto(plan, done, of) for of in (plan.batch_size, 1))
    tokens = sum(_tokens(plan, name, encoded, done, texts) for name in method.reads)
    stage = Stage("steps", "steps", plan.steps, done, micro, micro, texts, round(tokens))
    bounds: list[Bound] = []
    notes = []
    if method.reads_reference:
        bounds.append("most")
        notes.append("and of the starting model, without a gradient: at most a pass for each set")
        stage = replace(stage, forward=micro * (1 + len(method.reads)), tokens=2 * stage.tokens)
    if wrapped:
        bounds.append("least")
        notes.append("the wrapper makes passes of its own")
    return replace(stage, bound=joined(*bounds), note="; ".join(notes))


def _upto(plan: TrainingPlan, steps: int, of: int) -> int:
    """Micro-batches of so many samples in the first steps."""
    sizes = [plan.size(step) for step in range(plan.steps_per_epoch)]
    counts = [-(-size // of) for size in sizes]
    whole, rest = divmod(steps, plan.steps_per_epoch)
    return whole * sum(counts) + sum(counts[:rest])


def _tokens(plan: TrainingPlan, name: str, encoded: Mapping[str, Sequence[Encoded]], done: int, seen: int) -> float:
    """Tokens of a set in the steps from `done` on, which see so many forget samples."""
    base = name.partition(":")[0]
    items = encoded.get(name, encoded[base])  # what a model is yet to be asked for: as long as the known answer
    if base == "retain" and 0 < seen <= MANY:
        return sum(len(items[row]) for row in plan.companions(done, seen, len(items)))
    return seen * sum(map(len, items)) / len(items)


def _scores(
    place: Workplace, store: Store | None, made: Prepared, run: str | None
) -> tuple[Sequence[Stage], Sequence[Stage]]:
    """What the sampler draws by: of the starting weights, and of those that later epochs begin with."""
    needs = made.sampler.needs
    if needs is None:
        return (), ()
    scorer = place.plugins.build("scorer", needs.scorer, needs.options)
    task = task_of(made.inputs, needs, scorer, made.inputs.model.fingerprint, _never)
    started = made.plan.precision != "bf16"  # rounded weights have a name that only they can tell
    first = score_stage(place, store if started else None, task, f"{needs.scorer} scores")
    again = score_stage(place, None, task, f"{needs.scorer} scores on the way")
    epochs = range(0, made.plan.epoch(made.plan.steps - 1) + 1, needs.refresh or made.plan.epochs)
    drawn = [e for e in epochs if store is not None and run is not None and store.order(run, e) is not None]
    later = [epoch for epoch in epochs if epoch and epoch not in drawn]
    if 0 in drawn:
        first = replace(first, have=first.of, forward=0, texts=0, tokens=0)
    return [first], [again.times(len(later))]


def _never() -> NoReturn:
    raise AssertionError("a dry run loads no model")


def _other_answers(store: Store | None, made: Prepared, run: str | None) -> list[Stage]:
    """Answers that the model is to be asked for."""
    from unlearnkit.runs.asking import question

    stages = []
    for name in (name for name in made.others if name.endswith(":generated")):
        base = name.partition(":")[0]
        unique = made.inputs.unique(base)
        known: set[str] = set()
        if store is not None and made.draft.series is not None:
            known |= store.shared_generations(made.draft.series, name).keys()
        if store is not None and run is not None:
            known |= {text.sample for text in store.generations(run) if text.split == name}
        pairs = zip(unique.sets[base].samples, unique.encoded[base], strict=True)
        asked = [question(made.inputs, s, own) for s, own in pairs if s.id not in known]
        rooms = sum(room for _, room in asked)
        n = len(unique.sets[base].samples)
        stages.append(
            Stage(
                f"other answers ({base})", "answers", n, n - len(asked), rooms, 0, len(asked),
                sum(len(prompt) for prompt, _ in asked) + rooms, "about",
                "an answer may end early, and one that says nothing new is asked for again",
            )
        )  # fmt: skip
    return stages


def _anchors(place: Workplace, store: Store | None, made: Prepared) -> list[Stage]:
    """Each sample alone under the starting weights, once."""
    stages = []
    for role in made.method.anchors:
        if role not in made.read.sets:
            continue
        lengths = {s.id: len(e) for s, e in zip(made.read.sets[role].samples, made.read.encoded[role], strict=True)}
        known = {} if store is None else anchors(place, made.read, role, precision=made.plan.precision)
        left = [size for sample, size in lengths.items() if sample not in known]
        stages.append(
            Stage(f"anchors ({role})", "samples", len(lengths), len(lengths) - len(left), len(left), 0, len(left),
                sum(left))
        )  # fmt: skip
    return stages


def _looks(made: Prepared, done: int) -> list[Stage]:
    """Sweeps of the whole forget set, and of some of the retain set where a condition is about that."""
    if made.probe_every is None:
        return []
    encoded, size = made.inputs.encoded, made.plan.batch_size
    count, made_before = _due(made.probe_every, made.plan.steps, 0), 0
    if done:
        made_before = count - _due(made.probe_every, made.plan.steps, done + 1)
    looked = [encoded["forget"]]
    if "retain.nll" in made.goals.names:
        rows = spread([s.id for s in made.inputs.sets["retain"].samples], RETAINED)
        looked.append([encoded["retain"][row] for row in rows])
    left = count - made_before
    one = Stage(
        "looks at the forget set", "sweeps", 0,
        forward=sum(-(-len(items) // size) for items in looked),
        texts=sum(map(len, looked)),
        tokens=sum(len(item) for items in looked for item in items),
    )  # fmt: skip
    return [replace(one.times(left), of=count, have=made_before)]


def _due(every: int, steps: int, first: int) -> int:
    """How many of the steps `first` … `steps` are due, the last of all always."""
    multiples = steps // every - (first - 1) // every if first <= steps else 0
    return multiples + (1 if steps % every and first <= steps else 0)


def _evaluations(place: Workplace, store: Store | None, made: Prepared, done: int) -> list[Stage]:
    """Evaluations on the way: the first is of the starting weights, which the store may know."""
    if made.curve is None:
        return []
    count = _due(made.curve.every, made.plan.steps, 0)
    before = count - _due(made.curve.every, made.plan.steps, done + 1) if done else 0
    name = "evaluations on the way"
    whole = eval_stage(place, None, made.curve.task, "", name)
    later = whole.times(count - max(before, 1))
    if before:
        return [replace(later, of=whole.of * count, have=whole.of * before)]
    return [eval_stage(place, store, made.curve.task, made.inputs.model.fingerprint, name).with_(later)]
