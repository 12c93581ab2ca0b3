"""`unlearn`: an algorithm and a sampler take a forget set out of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearnkit.checks import checked_order
from unlearnkit.contracts import Algorithm, Pool, Sampler, ScoreRequest
from unlearnkit.data.samples import DataSpec, check_overlap
from unlearnkit.errors import BadInput
from unlearnkit.models import load_model, weights_fingerprint
from unlearnkit.plugins import options_of
from unlearnkit.runs import score as scores
from unlearnkit.runs.anchors import reference_nll
from unlearnkit.runs.card import unlearning_card
from unlearnkit.runs.identity import digest
from unlearnkit.runs.inputs import Inputs, find_model, prepare, read_set, request
from unlearnkit.runs.training import Schedule, TrainingReport, begin, drive, place_for, report
from unlearnkit.runs.workplace import Workplace
from unlearnkit.scoring import BATCH_SIZE
from unlearnkit.seeds import derive
from unlearnkit.store import new_id, records

if TYPE_CHECKING:
    from torch import nn

DEFAULT_EPOCHS = 5
FORGOTTEN = 2.0
"""Mean NLL, nats per label token, from which on a sample counts as forgotten."""
STILL = 0.01
"""A forget term that changes by less than this share has not moved."""


def unlearn(
    place: Workplace,
    *,
    model: str,
    forget: DataSpec,
    retain: DataSpec | None = None,
    algorithm: str = "npo",
    options: Mapping[str, Any] | None = None,
    sampler: str = "uniform",
    sampler_options: Mapping[str, Any] | None = None,
    schedule: Schedule | None = None,
    out: str | None = None,
    force: bool = False,
    allow_overlap: bool = False,
    template: str = "auto",
    system_prompt: str | None = None,
) -> TrainingReport:
    """Unlearn the forget set and write a model.

    Args:
        model: folder, hub name, `gguf:FILE` or `run:ID`.
        algorithm, sampler: plugins, with their options as objects or as typed on a command line.
        schedule: epochs, learning rate, batch size, seed and the like.
        out: folder for the model; by default `unlearned/<run>`.

    Raises:
        UnlearnkitError: bad input, before a model is loaded or anything is written; `diverged`; `plugin-error`.
    """
    schedule = schedule or Schedule()
    method: Algorithm = place.plugins.build("algorithm", algorithm, options or {})
    order: Sampler = place.plugins.build("sampler", sampler, sampler_options or {})
    if order.needs is not None:  # its options are checked before anything is read
        place.plugins.build("scorer", order.needs.scorer, order.needs.options)
    specs = {"forget": forget}
    if method.uses_retain:
        if retain is None:
            raise BadInput(f"algorithm {algorithm} needs a retain set", hint="--retain DATA", code="usage")
        specs["retain"] = retain
    elif retain is not None:
        place.progress.say(f"{algorithm} does not read a retain set; --retain is only checked for overlap")
    source = find_model(place, model)
    sets = {role: read_set(place, spec) for role, spec in specs.items()}
    if retain is not None and not allow_overlap:
        check_overlap(sets["forget"], sets["retain"] if "retain" in sets else read_set(place, retain))
    inputs = prepare(place, source, specs, sets, template=template, system_prompt=system_prompt)
    now = place.environment()
    plan = schedule.plan(len(inputs.sets["forget"].samples), default_epochs=DEFAULT_EPOCHS)
    offers = {kind: place.plugins.offers(kind)[name] for kind, name in (("algorithm", algorithm), ("sampler", sampler))}
    determines = {
        "plugins": {kind: place.plugins.code(kind, o.name) for kind, o in offers.items()},
        "scorer": order.needs and place.plugins.code("scorer", order.needs.scorer),
        "options": [options_of(method), options_of(order)],
        "model": source.fingerprint,
        "data": {role: chosen.fingerprint for role, chosen in inputs.sets.items()},
        "template": inputs.template.fingerprint,
        "plan": asdict(plan),
        "environment": now,
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
                sampler=sampler, sampler_options=options_of(order), schedule=schedule,
                out=place_for(out, "unlearn", run_id), force=force, allow_overlap=allow_overlap,
                template=template, system_prompt=system_prompt,
            ),
            "options": options_of(method),
            "sampler": sampler,
            "plan": asdict(plan),
        },
        environment=now,
        argv=place.argv,
        seed=schedule.seed,
    )  # fmt: skip
    run, folder, complete = begin(place, draft, inputs, anew=out is not None, force=force)
    if complete:
        return report(run, already=True)
    with place.working(run) as held:
        from unlearnkit.training.loop import Trainer

        weights = load_model(source)
        anchors = {role: reference_nll(place, weights, inputs, role) for role in method.anchors if role in inputs.sets}
        trainer = Trainer(
            model=weights,
            algorithm=method,
            name=f"{algorithm} ({offers['algorithm'].origin})",
            plan=plan,
            forget=inputs.encoded["forget"],
            retain=inputs.encoded.get("retain"),
            orders=Orders(place, run, order, sampler, inputs, weights, plan.seed, plan.epochs),
            pad=inputs.pad,
            anchors=anchors,
        )
        run = drive(
            place, held, trainer, inputs, folder,
            checkpoint_every=schedule.checkpoint_every,
            force=force,
            card=lambda steps: unlearning_card(run, inputs, steps),
        )  # fmt: skip
    _say_if_nothing_moved(place, run)
    return report(run, already=False)


def _say_if_nothing_moved(place: Workplace, run: records.Run) -> None:
    """Tell of a run that ended as it began, which its table alone would not."""
    terms = [row.terms["forget"] for row in place.store.steps(run.id) if "forget" in row.terms]
    if len(terms) > 1 and abs(terms[-1] - terms[0]) <= STILL * abs(terms[0]):
        moved = f"{terms[0]:.4g} to {terms[-1]:.4g}"
        place.progress.warn(f"the forget term hardly moved ({moved}): a higher --lr or more --epochs forgets more")


@dataclass
class Orders:
    """The order of each epoch, from scores that are measured when their epoch comes and read when it comes again."""

    place: Workplace
    run: records.Run
    sampler: Sampler
    name: str
    inputs: Inputs
    model: nn.Module
    seed: int
    epochs: int
    _scored: dict[str, np.ndarray] = field(default_factory=dict)

    def __call__(self, epoch: int) -> Sequence[int]:
        n = len(self.inputs.encoded["forget"])
        scored_by = self._score_run(epoch, self.sampler.needs)
        values = None if scored_by is None else self._values(scored_by)
        rng = np.random.default_rng(derive(self.seed, "order", epoch))
        pool = Pool(n, n, epoch, self.epochs, values, np.full(n, np.nan), np.full(n, FORGOTTEN), np.ones(n))
        order = checked_order(self.name, self.sampler.order(pool, rng), pool)
        row = records.OrderRow(epoch, scored_by, digest([int(i) for i in order]))
        self.place.store.put_order(self.run.id, row)
        return [int(i) for i in order]

    def _score_run(self, epoch: int, needs: ScoreRequest | None) -> str | None:
        """The run whose scores weigh this epoch."""
        if needs is None:
            return None
        stored = self.place.store.order(self.run.id, epoch)
        if stored is not None:
            return stored.scores
        measured = epoch - epoch % needs.refresh if needs.refresh else 0
        if measured < epoch:
            earlier = self.place.store.order(self.run.id, measured)
            assert earlier is not None, "an epoch's order is stored before its first step"
            return earlier.scores
        return self._measure(needs, epoch)

    def _measure(self, needs: ScoreRequest, epoch: int) -> str:
        """Score the forget set under the weights as they are; the run that holds the scores."""
        place = self.place
        scorer = place.plugins.build("scorer", needs.scorer, needs.options)
        unique = self.inputs.unique("forget", *scorer.sets)
        started = epoch == 0
        task = scores.ScoreTask(
            weights=self.inputs.model.fingerprint if started else weights_fingerprint(self.model),
            load=lambda: self.model,
            inputs=unique,
            role="forget",
            scorer_name=needs.scorer,
            scorer=scorer,
            seed=0,  # a measurement of the model, not part of the run's chance
        )
        asked: dict[str, Any] = {}
        if started:
            here = self.run.config["request"]
            asked = request(
                place, model=here["model"], data=DataSpec(**here["forget"]), scorer=needs.scorer,
                options=options_of(scorer), seed=0, batch_size=BATCH_SIZE,
                template=here["template"], system_prompt=here.get("system_prompt"),
            )  # fmt: skip
        with place.stop.holding(False):  # what is scored is stored: no need to wait for the end
            found = scores.run_task(place, task, asked, parent=self.run.id)
        what = "this model and these data" if started else f"the weights at epoch {epoch + 1}"
        if found.computed:
            place.progress.say(f"{needs.scorer} scores of {what} were not in the store: computed (run {found.run})")
        else:
            place.progress.say(f"{needs.scorer} scores of {what} come from the store (run {found.run})")
        return found.run

    def _values(self, run: str) -> np.ndarray:
        """Scores in the forget set's order, NaN where undefined."""
        if run not in self._scored:
            stored = self.place.store.scores(run)
            rows = [stored[sample.id].value for sample in self.inputs.sets["forget"].samples]
            self._scored[run] = np.array([np.nan if value is None else value for value in rows])
        return self._scored[run]
