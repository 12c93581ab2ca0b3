"""The plan of each command, from what its own planning prepared."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import NotFound
from unlearnkit.runs.adapters import check_fit
from unlearnkit.runs.dry.costs import Paces, Size, no_disk, reading_memory, size_of, training_disk, training_memory
from unlearnkit.runs.dry.evaluations import eval_stage
from unlearnkit.runs.dry.plan import Forecast, Option, Origin, Stage, Status
from unlearnkit.runs.dry.scores import score_stage
from unlearnkit.runs.dry.training import step_stage, unlearn_stages
from unlearnkit.runs.evaluate import identity_of
from unlearnkit.runs.score import draft_of
from unlearnkit.runs.training import standing
from unlearnkit.settings import Settings
from unlearnkit.training.finetune import FineTuning

if TYPE_CHECKING:
    from unlearnkit.runs import evaluate, finetune, score, unlearn
    from unlearnkit.runs.inputs import Inputs
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import Store
    from unlearnkit.store.records import Run

SHOWN_APART = ("model", "data", "sets", "forget", "retain", "eval_data", "settings", "out")
"""Arguments that a plan does not list among the options."""


def scoring(place: Workplace, made: score.Prepared, given: Collection[str] = ()) -> Forecast:
    """The plan of `score`. `given` are the names of the options that the user gave ("seed", "options.draws")."""
    store, task = store_of(place), made.task
    run = place.find("score", draft_of(place, task, made.asked).identity)
    size = size_of(task.inputs.model)
    paces = Paces(place, store, task.inputs.model, size)
    status, stages = _status(run), []
    if status != "complete":
        stages = [paces.priced(score_stage(place, store, task), "score", task.scorer_name)]
    texts = task.inputs.encoded.values() if task.scorer.reads_model else ()
    return Forecast(
        "score", status, _id(run), _model(task.inputs), _data(task.inputs), _template(task.inputs),
        _options(place, made.asked, given), stages,
        reading_memory(size, texts, task.batch_size, copies=2 * made.workers), no_disk(place),
    )  # fmt: skip


def evaluating(place: Workplace, made: evaluate.Prepared, given: Collection[str] = ()) -> Forecast:
    """The plan of `eval`, with the evaluation of a reference that is not there yet."""
    store, task = store_of(place), made.task
    run = place.find("eval", identity_of(place, task, made.weights))
    size = size_of(made.source)
    paces = Paces(place, store, made.source, size)
    status, stages = _status(run), []
    for name, one in (("evaluation of the reference", made.reference), ("evaluation", made)):
        if one is not None and not (one is made and status == "complete"):
            stage = eval_stage(place, store, one.task, one.source.fingerprint, name)
            stages.append(paces.priced(stage, "eval", task.suite.name))
    asked = task.request(place, **made.asked)
    if made.reference is not None:
        asked["reference"] = made.reference.asked["model"]
    return Forecast(
        "eval", status, _id(run), _model(task.inputs), _data(task.inputs), _template(task.inputs),
        _options(place, asked, given), stages,
        reading_memory(size, task.inputs.encoded.values(), task.batch_size), no_disk(place),
    )  # fmt: skip


def unlearning(place: Workplace, made: unlearn.Prepared, given: Collection[str] = ()) -> Forecast:
    """The plan of `unlearn`.

    Raises:
        UnlearnkitError: what `standing` finds wrong with the folder or the run.
    """
    store, run, folder, done, status = _stands(place, made)
    source, plan, stages = made.inputs.model, made.plan, []
    size = size_of(source)
    paces = Paces(place, store, source, size)
    if status != "complete":
        stages = [
            paces.priced(stage, *_recorded_as(stage, made))
            for stage in unlearn_stages(place, store, made, _id(run), done)
        ]
    asked = {**made.draft.config["request"], "probe_every": made.probe_every}
    trained = check_fit(source, made.method, made.draft.method, made.addition.adapter)
    return _training(
        place, "unlearn", status, run, made.inputs, asked, given, stages, size, plan, done, folder, trained=trained,
        start=made.method.reads_reference, derived={"probe_every"},
        read={name: made.read.encoded.get(name, made.read.encoded["forget"]) for name in made.method.reads},
    )  # fmt: skip


def finetuning(place: Workplace, made: finetune.Prepared, given: Collection[str] = ()) -> Forecast:
    """The plan of `finetune`; raises what `unlearning` does."""
    store, run, folder, done, status = _stands(place, made)
    size, encoded = size_of(made.inputs.model), {"forget": made.encoded}
    stages = []
    if status != "complete":
        stage = step_stage(made.plan, FineTuning(), encoded, done)
        stages = [Paces(place, store, made.inputs.model, size).priced(stage, "finetune", "finetune")]
    trained = check_fit(made.inputs.model, FineTuning(), "finetune", made.addition.adapter)
    return _training(
        place, "finetune", status, run, made.inputs, made.draft.config["request"], given, stages, size, made.plan,
        done, folder, trained=trained, start=False, read=encoded,
    )  # fmt: skip


def _training(
    place: Workplace, command: str, status: Status, run: Run | None, inputs: Inputs, asked: Mapping[str, Any],
    given: Collection[str], stages: Sequence[Stage], size: Size, plan: Any, done: int, folder: Path, *, trained: int,
    start: bool, read: Mapping[str, Any], derived: Collection[str] = (),
) -> Forecast:  # fmt: skip
    """What the plans of both training commands share."""
    schedule = {key: vars(plan)[key] for key in ("epochs", "lr", "optimizer")}
    asked = {**asked, **asked["schedule"], **schedule, "steps": plan.steps}
    asked = {key: value for key, value in asked.items() if key != "schedule"}
    return Forecast(
        command, status, _id(run), _model(inputs), _data(inputs), _template(inputs),
        _options(place, asked, given, {*derived, "epochs", "lr", "optimizer", "steps"}), stages,
        training_memory(size, plan, read, trained=trained, start=start),
        training_disk(place, size, plan, trained, out=str(folder)),
        step=done if status == "resume" else None, out=str(folder),
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


def _stands(
    place: Workplace, made: unlearn.Prepared | finetune.Prepared
) -> tuple[Store | None, Run | None, Path, int, Status]:
    """The store, the run there, its folder, the step that it would go on from, and its status."""
    store = store_of(place)
    now = standing(place, made.draft, anew=made.anew, force=made.force)
    status = "complete" if now.written is not None else _status(now.run)
    if now.run is not None and now.run.state == "complete" and now.written is None:
        status = "resume"  # its model is gone, and made again
    marks = [] if store is None or now.run is None else store.checkpoints(now.run.id)
    return store, now.run, now.folder, marks[0].step if marks else 0, status


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
