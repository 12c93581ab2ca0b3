"""`unlearn`: an algorithm and a sampler take a forget set out of a model."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from unlearnkit import scoring, training
from unlearnkit.contracts import Algorithm, Sampler, Wrapper
from unlearnkit.data.samples import DataSpec, check_overlap
from unlearnkit.errors import BadInput
from unlearnkit.models import ModelSource, load_model, try_out
from unlearnkit.plugins import options_of
from unlearnkit.runs.adapters import Chosen, check_fit, choose
from unlearnkit.runs.card import unlearning_card
from unlearnkit.runs.evaluate import made_first, named_reference, weights_of
from unlearnkit.runs.following import call_in, check_shared
from unlearnkit.runs.identity import digest
from unlearnkit.runs.inputs import find_model, prepare, read_set, request
from unlearnkit.runs.nlls import first_and_last
from unlearnkit.runs.others import chosen, fingerprints, generated, other_answers, series
from unlearnkit.runs.reference import warn_if_seen
from unlearnkit.runs.thresholds import FORGOTTEN, source_of, thresholds
from unlearnkit.runs.training import Schedule, TrainingReport, begin, drive, place_for, report, standing
from unlearnkit.runs.watching import Watching
from unlearnkit.runs.workplace import Workplace, silent
from unlearnkit.store import new_id, records
from unlearnkit.training.probes import Probes

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from unlearnkit.runs import evaluate
    from unlearnkit.runs.conditions import Goals
    from unlearnkit.runs.inputs import Inputs
    from unlearnkit.runs.watching import Evaluation
    from unlearnkit.training.plan import TrainingPlan

STILL = 0.01
"""A forget set whose NLL, or term, changes by less than this share has not moved."""


@dataclass(frozen=True)
class Prepared:
    """An unlearning run, checked and not begun: its record as it would be, and what it works with.

    Where `reference` is to be evaluated first, no such run can be in the store, as what makes it the same is not known:
    it is to be prepared again by the evaluation."""

    draft: records.Run
    inputs: Inputs
    read: Inputs
    """The inputs with the other answers to their prompts that the algorithm reads."""
    others: tuple[str, ...]
    method: Algorithm
    sampler: Sampler
    wrapper: Wrapper | None
    addition: Chosen
    schedule: Schedule
    plan: TrainingPlan
    probe_every: int | None
    forgotten: np.ndarray
    goals: Goals
    curve: Evaluation | None
    reference: evaluate.Prepared | None
    anew: bool
    force: bool


def unlearn(place: Workplace, **asked: Any) -> TrainingReport:
    """Unlearn the forget set and write a model, as `prepared` describes it.

    Raises:
        UnlearnkitError: what `prepared` does; `diverged`; `plugin-error`.
    """
    made = prepared(place, **asked)
    if made.reference is not None:
        try_out(standing(place, made.draft, anew=made.anew, force=made.force).folder)  # before what takes long
        asked["reference"] = made_first(place, made.reference).id
        with silent(place):
            made = prepared(place, **asked)
    return _carry_out(place, made)


def prepared(
    place: Workplace,
    *,
    model: str,
    forget: DataSpec,
    retain: DataSpec | None = None,
    algorithm: str = "npo",
    options: Mapping[str, Any] | None = None,
    sampler: str = "uniform",
    sampler_options: Mapping[str, Any] | None = None,
    wrapper: str | None = None,
    wrapper_options: Mapping[str, Any] | None = None,
    adapter: str | None = None,
    adapter_options: Mapping[str, Any] | None = None,
    schedule: Schedule | None = None,
    probe_every: int | None = None,
    threshold: float = FORGOTTEN,
    reference: str | None = None,
    until: Sequence[str] = (),
    keep: Sequence[str] = (),
    best: str | None = None,
    eval_every: int | None = None,
    suite_name: str = "tofu",
    eval_data: Mapping[str, DataSpec] | None = None,
    max_new_tokens: int | None = None,
    out: str | None = None,
    force: bool = False,
    allow_overlap: bool = False,
    template: str = "auto",
    system_prompt: str | None = None,
) -> Prepared:
    """A run that unlearns the forget set and writes a model.

    Args:
        model: folder, hub name, `gguf:FILE` or `run:ID`.
        algorithm, sampler, wrapper, adapter: plugins, with their options as objects or as typed on a command line.
        schedule: epochs, learning rate, batch size, seed and the like.
        probe_every: updates between two looks at the NLL of every forget sample, for the record and for samplers that
            draw for every step; those look once an epoch where nothing is said. What a step's own samples have is
            always recorded.
        threshold: mean NLL (nats per label token) from which on a sample counts as forgotten.
        reference: a model that never saw the forget set, as `model` names one, or an evaluation of it: its NLL of a
            sample is the sample's threshold, and evaluations on the way are held against it. A model without an
            evaluation is evaluated first, by the suite, as a run of its own: of what evaluations on the way read, or of
            the forget set where there are none.
        until, keep: conditions such as "forget.nll>=3" and "retain.nll<=1.2x" (times the value before the first step),
            looked at with the NLL of every forget sample. Any `until` that holds ends training, as does any `keep` that
            does not; the model is then the last that kept all.
        best: a value; the model is the step's at which it was best.
        eval_every: steps between two evaluations by the suite `suite_name`, of the run's own sets and of `eval_data`,
            whose numbers are values too.
        out: folder for the model; by default `unlearned/<run>`.

    Raises:
        UnlearnkitError: bad input, before a model is loaded or anything is written.
    """
    schedule = schedule or Schedule()
    _check(probe_every, threshold)
    reference = named_reference(place, reference)  # a slip is seen before anything is read
    watching = Watching(tuple(until), tuple(keep), best, eval_every, suite_name, eval_data or {}, max_new_tokens)
    evaluated = watching.data(place, forget, retain)
    goals = watching.goals(place, evaluated, retain=retain is not None, reference=reference)
    method: Algorithm = place.plugins.build("algorithm", algorithm, options or {})
    order = _sampler(place, sampler, sampler_options or {})
    if wrapper is None and wrapper_options:
        raise BadInput("-w gives an option of a wrapper, and none is named", hint="--wrapper NAME", code="usage")
    around = None if wrapper is None else _wrapper(place, wrapper, wrapper_options or {}, method, algorithm, schedule)
    addition = choose(place, adapter, adapter_options)
    others = other_answers(method, algorithm)
    specs = {"forget": forget}
    if method.uses_retain or "forget:mismatched" in others or "retain.nll" in goals.names:
        if retain is None:
            raise BadInput(f"algorithm {algorithm} needs a retain set", hint="--retain DATA", code="usage")
        specs["retain"] = retain
    elif retain is not None:
        place.progress.say(f"{algorithm} does not read a retain set; --retain is only checked for overlap")
    place.check_store()
    source = find_model(place, model)
    check_fit(source, method, algorithm, addition.adapter)
    sets = {role: read_set(place, spec) for role, spec in specs.items()}
    if retain is not None and not allow_overlap:
        check_overlap(sets["forget"], sets["retain"] if "retain" in sets else read_set(place, retain))
    inputs = prepare(place, source, specs, sets, template=template, system_prompt=system_prompt)
    read = chosen(inputs, others, schedule.seed)
    ids = [sample.id for sample in inputs.sets["forget"].samples]
    curve = watching.evaluation(
        place, model, source, evaluated, reference=reference, template=template, system_prompt=system_prompt
    )
    against, first = _reference(
        place, inputs, reference, curve, forget, ids, suite_name=suite_name, template=template,
        system_prompt=system_prompt,
    )  # fmt: skip
    reference = reference if against is None else against.id
    forgotten = thresholds(None if against is None else place.reading(), ids, value=threshold, reference=reference)
    now = place.environment()
    made_for = around and around.optimizer  # the wrapper's, whose updates have a size of their own
    rate = method.rate * addition.rate * (1.0 if made_for else schedule.factor)
    whose = algorithm + addition.said + ("" if made_for else schedule.said)
    lr = _own_rate(place, rate / source.width, whose, source, schedule)
    plan = schedule.plan(len(ids), lr=lr, epochs=method.epochs, optimizer=made_for or "adamw")
    check_shared(place, plan, method.whole_only, algorithm)
    if (order.every == "step" or goals.names) and probe_every is None:
        probe_every = eval_every or plan.steps_per_epoch
        often = ": once an epoch" if probe_every == plan.steps_per_epoch else ""
        place.progress.say(f"the whole forget set is looked at every {probe_every} updates{often}")
    names = {"algorithm": algorithm, "sampler": sampler} | ({} if wrapper is None else {"wrapper": wrapper})
    determines = {
        "kit": training.VERSION,
        "plugins": {kind: place.plugins.code(kind, name) for kind, name in names.items()},
        "scorer": order.needs and [*place.plugins.code("scorer", order.needs.scorer), scoring.VERSION],
        "options": [options_of(plugin) for plugin in (method, order, around) if plugin is not None],
        "model": source.fingerprint,
        "data": {role: chosen.fingerprint for role, chosen in inputs.sets.items()},
        "template": inputs.template.fingerprint,
        **addition.determines(place),
        "plan": asdict(plan),
        "environment": now,
        **({"probe_every": probe_every} if probe_every else {}),
        **({"others": fingerprints(read, others)} if others else {}),
        **({"anchors": plan.precision} if method.anchors and plan.precision != "fp32" else {}),
        "thresholds": [t.hex() for t in forgotten.tolist()],  # what its record is read by, whoever draws
        "reference": reference,
        **({"goals": asdict(goals)} if goals.names else {}),
        **({} if curve is None else {"evaluation": curve.determines(place)}),
    }
    run_id = new_id()
    draft = records.Run(
        id=run_id,
        kind="unlearn",
        identity=digest("unlearn", determines),
        state="created",
        method=algorithm,
        model=source.fingerprint,
        datasets={role: chosen.fingerprint for role, chosen in inputs.sets.items()},
        config={
            "request": request(
                place, model=model, forget=forget, retain=retain, algorithm=algorithm, options=options_of(method),
                sampler=sampler, sampler_options=options_of(order), wrapper=wrapper,
                wrapper_options=None if around is None else options_of(around),
                adapter=adapter, adapter_options=addition.options, schedule=schedule,
                probe_every=probe_every, threshold=threshold, reference=reference, **watching.request(),
                out=place_for(out, "unlearn", run_id), force=force, allow_overlap=allow_overlap,
                template=template, system_prompt=system_prompt,
            ),
            "options": options_of(method),
            "sampler": sampler,
            **({} if around is None else {"wrapper": wrapper, "wrapper_options": options_of(around)}),
            **addition.config,
            "plan": asdict(plan),
            "probe_every": probe_every,
            "threshold": threshold,
            "reference": reference,
        },
        environment=now,
        argv=place.argv,
        seed=schedule.seed,
        series=series(place, inputs, others),
    )  # fmt: skip
    return Prepared(
        draft=draft, inputs=inputs, read=read, others=others, method=method, sampler=order, wrapper=around,
        addition=addition, schedule=schedule, plan=plan, probe_every=probe_every, forgotten=forgotten, goals=goals,
        curve=curve, reference=first, anew=out is not None, force=force,
    )  # fmt: skip


def _carry_out(place: Workplace, made: Prepared) -> TrainingReport:
    """Find or begin the run, train from where it stands, and write the model."""
    inputs, plan, method, config = made.inputs, made.plan, made.method, made.draft.config
    run, folder, complete = begin(place, made.draft, inputs, anew=made.anew, force=made.force)
    if complete:
        return report(run, already=True)
    with place.working(run) as held:
        from unlearnkit.runs.anchors import reference_nll
        from unlearnkit.runs.during import Watch
        from unlearnkit.runs.orders import Orders
        from unlearnkit.training.loop import Trainer
        from unlearnkit.training.precision import hold

        weights = load_model(inputs.model)
        read = generated(place, held, weights, made.read, made.others)
        hold(weights, plan.precision)
        anchors = {
            role: reference_nll(place, weights, read, role, precision=plan.precision)
            for role in method.anchors
            if role in read.sets
        }
        ids = {role: [sample.id for sample in some.samples] for role, some in inputs.sets.items()}
        probes = Probes(ids["forget"])
        parts: dict[str, Any] = {
            "algorithm": method,
            "name": f"{run.method} ({place.plugins.offers('algorithm')[run.method].origin})",
            "plan": plan,
            "sets": read.encoded,
            "pad": inputs.pad,
            "anchors": anchors,
            "wrapper": made.wrapper,
            "wrapper_name": config.get("wrapper", ""),
            "adapter": made.addition.adapter,
            "fused": place.settings.fused,
        }
        call_in(place, inputs.model, parts)

        def whole() -> nn.Module:
            return trainer.plain()

        orders = Orders(
            place, run, made.sampler, config["sampler"], inputs, whole, plan, probes, made.forgotten,
            made.addition.adapter,
        )  # fmt: skip
        trainer = Trainer(
            model=weights,
            team=place.team,
            draw=orders.rows(),
            probes=probes,
            probe_every=made.probe_every,
            **parts,
        )
        run = drive(
            place, held, trainer, inputs, folder,
            checkpoint_every=made.schedule.checkpoint_every,
            force=made.force,
            card=lambda ending: unlearning_card(place, run, inputs, ending),
            watch=Watch(place, held, trainer, made.goals, made.curve, retain=ids.get("retain", ())),
        )  # fmt: skip
    say_if_nothing_moved(place, run, ids["forget"])
    return report(run, already=False)


def _check(probe_every: int | None, threshold: float) -> None:
    if not 0 < threshold < math.inf:
        raise BadInput(f"--threshold must be a finite number > 0, got {threshold}", code="value")
    if probe_every is not None and probe_every < 1:
        raise BadInput(f"--probe-every must be a whole number ≥ 1, got {probe_every}", code="value")


def _reference(
    place: Workplace, inputs: Inputs, reference: str | None, *where: Any, **asked: Any
) -> tuple[records.Run | None, evaluate.Prepared | None]:
    """What `source_of` finds; told of, where it is no model that never saw the forget set."""
    against, first = source_of(place, reference, *where, **asked)
    if reference is not None:
        theirs = weights_of(against, first)
        warn_if_seen(place, reference, theirs, inputs.model.fingerprint, inputs.sets, begins=True)
    return against, first


def _own_rate(place: Workplace, rate: float, whose: str, source: ModelSource, schedule: Schedule) -> float:
    """The learning rate for where none is given, in two digits; said where it is used."""
    lr = float(f"{rate:.2g}")
    if schedule.lr is None:
        place.progress.say(f"lr {lr:g}: of {whose} for a model of width {source.width}; --lr sets another")
    return lr


def _sampler(place: Workplace, name: str, options: Mapping[str, Any]) -> Sampler:
    """The sampler, with the options of its scores checked before anything is read."""
    sampler: Sampler = place.plugins.build("sampler", name, options)
    if sampler.needs is not None:
        place.plugins.build("scorer", sampler.needs.scorer, sampler.needs.options)
    return sampler


def _wrapper(
    place: Workplace, name: str, options: Mapping[str, Any], method: Algorithm, algorithm: str, schedule: Schedule
) -> Wrapper:
    """The wrapper, seen to suit the algorithm and the optimiser."""
    wrapper: Wrapper = place.plugins.build("wrapper", name, options)
    if "retain" in wrapper.terms and not method.uses_retain:
        raise BadInput(
            f"--wrapper {name} weighs the forget term against a retain term, and {algorithm} has none",
            hint="an algorithm with one: --plugin graddiff",
            code="usage",
        )
    if wrapper.optimizer and schedule.optimizer not in (None, wrapper.optimizer):
        raise BadInput(
            f"--wrapper {name} is made for --optimizer {wrapper.optimizer}, not {schedule.optimizer}", code="usage"
        )
    return wrapper


def say_if_nothing_moved(place: Workplace, run: records.Run, forget: Collection[str]) -> None:
    """Tell of a run that ended as it began, which its table alone would not: by the NLL of the forget set's samples,
    ids, where one was seen twice, else by the term, which may fall for another reason."""
    what, moved = "the forget set's NLL", first_and_last(place.store.probes(run.id), forget)
    if moved is None:
        terms = [row.terms["forget"] for row in place.store.steps(run.id) if "forget" in row.terms]
        what, moved = "the forget term", (terms[0], terms[-1]) if len(terms) > 1 else None
    if moved is not None and abs(moved[1] - moved[0]) <= STILL * abs(moved[0]):
        came = f"{moved[0]:.4g} to {moved[1]:.4g}"
        place.progress.warn(f"{what} hardly moved ({came}): a higher --lr or more --epochs forgets more")
