"""The plan of each command, from what its own planning prepared."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import NotFound
from unlearnkit.runs.adapters import check_fit
from unlearnkit.runs.dry.costs import Paces, no_disk, size_of, training_disk
from unlearnkit.runs.dry.evaluations import eval_memory, eval_stage, while_evaluating
from unlearnkit.runs.dry.memory import longest, memory, reading, training_state, training_step, weights, width_of
from unlearnkit.runs.dry.plan import Forecast, Option, Origin, Stage, Status
from unlearnkit.runs.dry.scores import score_stage
from unlearnkit.runs.dry.training import step_stage, unlearn_stages
from unlearnkit.runs.evaluate import identity_of
from unlearnkit.runs.score import draft_of
from unlearnkit.runs.training import standing
from unlearnkit.settings import Settings
from unlearnkit.training.finetune import FineTuning

if TYPE_CHECKING:
    from unlearnkit.contracts import Algorithm
    from unlearnkit.data.encode import Encoded
    from unlearnkit.runs import attack, evaluate, finetune, score, unlearn
    from unlearnkit.runs.inputs import Inputs
    from unlearnkit.runs.watching import Evaluation
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import Store
    from unlearnkit.store.records import Run

SHOWN_APART = ("model", "data", "sets", "forget", "retain", "eval_data", "settings", "out")
"""Arguments that a plan does not list among the options."""
REFERENCE = "evaluation of the reference"
"""The stage of it."""


def scoring(place: Workplace, made: score.Prepared, given: Collection[str] = ()) -> Forecast:
    """The plan of `score`. `given` are the names of the options that the user gave ("seed", "options.draws")."""
    store, task = store_of(place), made.task
    run = place.find("score", draft_of(place, task, made.asked).identity)
    size = size_of(task.inputs.model)
    paces = Paces(place, store, task.inputs.model, size)
    status, stages = _status(run), []
    if status != "complete":
        stages = [paces.priced(score_stage(place, store, task), "score", task.scorer_name)]
    tokens = task.batch_size * longest(task.inputs.encoded.values() if task.scorer.reads_model else ())
    return Forecast(
        "score", status, _id(run), _model(task.inputs), _data(task.inputs), _template(task.inputs),
        _options(place, made.asked, given), stages,
        memory(weights(size, 2 * made.workers), reading(size, tokens, tokens)), no_disk(place),
    )  # fmt: skip


def evaluating(place: Workplace, made: evaluate.Prepared, given: Collection[str] = ()) -> Forecast:
    """The plan of `eval`, with the evaluation of a reference that is not there yet."""
    store, task = store_of(place), made.task
    run = place.find("eval", identity_of(place, task, made.weights))
    size = size_of(made.source)
    paces = Paces(place, store, made.source, size)
    status, stages = _status(run), []
    for name, one in ((REFERENCE, made.reference), ("evaluation", made)):
        if one is not None and not (one is made and status == "complete"):
            stages.append(_of_model(place, paces, one, name))
    asked = task.request(place, **made.asked)
    if made.reference is not None:
        asked["reference"] = made.reference.asked["model"]
    return Forecast(
        "eval", status, _id(run), _model(task.inputs), _data(task.inputs), _template(task.inputs),
        _options(place, asked, given), stages,
        eval_memory(place, size, task), no_disk(place),
    )  # fmt: skip


def _of_model(place: Workplace, paces: Paces, made: evaluate.Prepared, name: str) -> Stage:
    stage = eval_stage(place, paces.store, made.task, made.source.fingerprint, name)
    return paces.priced(stage, "eval", made.task.suite.name)


def attacking(place: Workplace, made: attack.Prepared, given: Collection[str] = ()) -> Forecast:
    """The plan of `attack`: what is measured before. Its conditions are known when it makes them."""
    store, task, source = store_of(place), made.own.task, made.own.inputs.model
    run, size = place.find("attack", made.own.identity(place)), size_of(source)
    paces, status, stages = Paces(place, store, source, size), _status(run), []
    for name, one in (("the reference before", made.theirs), ("before the attack", made.own)):
        if one is not None and not (one is made.own and status == "complete"):
            stage = eval_stage(place, store, one.task, one.inputs.model.fingerprint, name)
            stages.append(paces.priced(stage, "eval", task.suite.name))
    if status != "complete":
        note = "each as much again, with what the attack does to the weights; how many, it shows when it makes them"
        stages.append(Stage("conditions", "conditions", 1, bound="least", note=note))
    return Forecast(
        "attack", status, _id(run), _model(task.inputs), _data(task.inputs), _template(task.inputs),
        _options(place, made.own.asked, given), stages,
        eval_memory(place, size, task, copies=2), no_disk(place),
    )  # fmt: skip


def unlearning(
    place: Workplace, made: unlearn.Prepared, given: Collection[str] = (), *, paces: Paces | None = None
) -> Forecast:
    """The plan of `unlearn`. Plans of several runs that begin with one model share its `paces`.

    Raises:
        UnlearnkitError: what `standing` finds wrong with the folder or the run.
    """
    now, source, read = _stands(place, made), made.inputs.model, made.read.encoded
    paces = paces or Paces(place, now.store, source, size_of(source))
    stages = [] if made.reference is None else [_of_model(place, paces, made.reference, REFERENCE)]
    stages += [
        paces.priced(stage, *_recorded_as(stage, made))
        for stage in unlearn_stages(place, now.store, made, _id(now.run), now.done)
    ]
    asked = {**made.draft.config["request"], "probe_every": made.probe_every}
    sets = {name: read.get(name, read["forget"]) for name in made.method.reads}
    return _training(place, made, made.method, now, stages, sets, asked, given, made.curve)


def finetuning(place: Workplace, made: finetune.Prepared, given: Collection[str] = ()) -> Forecast:
    """The plan of `finetune`; raises what `unlearning` does."""
    now, source, method, sets = _stands(place, made), made.inputs.model, FineTuning(), {"forget": made.encoded}
    stage = step_stage(made.plan, method, sets, now.done)
    stages = [Paces(place, now.store, source, size_of(source)).priced(stage, "finetune", "finetune")]
    return _training(place, made, method, now, stages, sets, made.draft.config["request"], given)


def _training(
    place: Workplace, made: unlearn.Prepared | finetune.Prepared, method: Algorithm, now: _Stands,
    stages: Sequence[Stage], sets: Mapping[str, Sequence[Encoded]], asked: Mapping[str, Any], given: Collection[str],
    curve: Evaluation | None = None,
) -> Forecast:  # fmt: skip
    """What the plans of both training commands share. `sets` are those that a step reads, and `curve` what is evaluated
    between steps."""
    inputs, plan, size = made.inputs, made.plan, size_of(made.inputs.model)
    trained = check_fit(inputs.model, method, made.draft.method, made.addition.adapter)
    resolved = {name: vars(plan)[name] for name in ("epochs", "lr", "optimizer")} | {"steps": plan.steps}
    asked = {**{key: value for key, value in asked.items() if key != "schedule"}, **asked["schedule"], **resolved}
    held = training_state(size, plan, trained=trained, start=method.reads_reference)
    turns = [training_step(size, plan, sets)]
    if curve is not None:
        turns.append(while_evaluating(place, size, curve.task, beside=sum(held.values()), each=width_of(plan)))
    return Forecast(
        made.draft.kind, now.status, _id(now.run), _model(inputs), _data(inputs), _template(inputs),
        _options(place, asked, given, {*resolved, "probe_every"}), [] if now.status == "complete" else stages,
        memory(held, *turns),
        training_disk(place, size, plan, trained, out=str(now.folder)),
        step=now.done if now.status == "resume" else None, out=str(now.folder),
    )  # fmt: skip


def _recorded_as(stage: Stage, made: unlearn.Prepared) -> tuple[str | None, str | None]:
    """Which runs did a stage's work before."""
    if stage.name == "steps":
        return "unlearn", made.draft.method
    if made.sampler.needs is not None and stage.name.startswith(f"{made.sampler.needs.scorer} scores"):
        return "score", made.sampler.needs.scorer
    if made.curve is not None and stage.name.startswith("evaluations"):
        return "eval", made.curve.task.suite.name
    return None, None


@dataclass(frozen=True)
class _Stands:
    """How a training run stands: the store and the run in it, None for neither; where its model goes, and the step that
    it goes on from."""

    store: Store | None
    run: Run | None
    folder: Path
    done: int
    status: Status


def _stands(place: Workplace, made: unlearn.Prepared | finetune.Prepared) -> _Stands:
    store = store_of(place)
    now = standing(place, made.draft, anew=made.anew, force=made.force)
    status = _status(now.run)
    if status == "complete" and now.written is None:
        status = "resume"  # its model is gone, and made again
    marks = [] if store is None or now.run is None else store.checkpoints(now.run.id)
    return _Stands(store, now.run, now.folder, marks[0].step if marks else 0, status)


def _id(run: Run | None) -> str | None:
    return None if run is None else run.id


def _status(run: Run | None) -> Status:
    if run is None:
        return "new"
    return "complete" if run.state == "complete" else "busy" if run.alive else "resume"


def store_of(place: Workplace) -> Store | None:
    """The store, where there is one; none is made.

    Raises:
        NotFound: code `store`, where there could not be one.
    """
    try:
        return place.reading()
    except NotFound:
        where = place.settings.store
        if "://" in where or not Path(where).expanduser().absolute().parent.is_dir():
            raise
        return None


def _model(inputs: Inputs) -> dict[str, Any]:
    source = inputs.model
    return {
        "label": source.label, "architecture": source.architecture, "parameters": source.parameters,
        "context": source.context, "fingerprint": source.fingerprint,
    }  # fmt: skip


def _data(inputs: Inputs) -> list[dict[str, Any]]:
    """Each set with its samples, tokens (its own answers', all and those of labels), and the rows that are left out."""
    return [
        {
            "role": role, "source": chosen.label, "n": len(chosen.samples),
            "tokens": sum(map(len, inputs.encoded[role])) if role in inputs.encoded else None,
            "label_tokens": sum(e.tokens for e in inputs.encoded[role]) if role in inputs.encoded else None,
            "bad_rows": len(chosen.skipped), "fingerprint": chosen.fingerprint,
        }
        for role, chosen in inputs.sets.items()
    ]  # fmt: skip


def _template(inputs: Inputs) -> str:
    template = inputs.template
    return template.kind if template.system is None else f"{template.kind}, with a system turn"


def _options(
    place: Workplace, asked: Mapping[str, Any], given: Collection[str], derived: Collection[str] = ()
) -> list[Option]:
    """Every option that has a value, and the settings that are not as they are by themselves."""
    flat: dict[str, Any] = {}
    for key, value in asked.items():
        if key in SHOWN_APART or value is None:
            continue
        if isinstance(value, Mapping):
            flat |= {f"{key}.{name}": of for name, of in value.items() if of is not None}
        else:
            flat[key] = value

    def origin(name: str) -> Origin:
        return "given" if name in given else "derived" if name in derived else "default"

    found = [Option(name, value, origin(name)) for name, value in flat.items()]
    usual = Settings()
    for field in fields(Settings):
        value = getattr(place.settings, field.name)
        if value != getattr(usual, field.name):
            shown = str(value) if isinstance(value, Path) else value
            found.append(Option(field.name, shown, "given" if field.name in given else "settings"))
    return found
