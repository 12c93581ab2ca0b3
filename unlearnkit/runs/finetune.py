"""`finetune`: teach a model a set, to have something to forget, or a model that never saw it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from unlearnkit import training
from unlearnkit.data.samples import DataSpec
from unlearnkit.models import load_model
from unlearnkit.runs.adapters import Chosen, check_fit, choose
from unlearnkit.runs.card import finetuning_card
from unlearnkit.runs.following import call_in, check_shared
from unlearnkit.runs.identity import digest
from unlearnkit.runs.inputs import find_model, prepare, read_set, request
from unlearnkit.runs.training import Schedule, TrainingReport, begin, drive, place_for, report
from unlearnkit.runs.workplace import Workplace
from unlearnkit.store import new_id, records
from unlearnkit.training.finetune import FineTuning
from unlearnkit.version import __version__

if TYPE_CHECKING:
    from unlearnkit.data.encode import Encoded
    from unlearnkit.runs.inputs import Inputs
    from unlearnkit.training.plan import TrainingPlan

DEFAULT_EPOCHS = 5
DEFAULT_LR = 1e-5


@dataclass(frozen=True)
class Prepared:
    """A fine-tuning run, checked and not begun: its record as it would be, and what it works with."""

    draft: records.Run
    inputs: Inputs
    addition: Chosen
    schedule: Schedule
    plan: TrainingPlan
    anew: bool
    force: bool

    @property
    def encoded(self) -> list[Encoded]:
        """All sets, taken together."""
        return [item for role in self.inputs.sets for item in self.inputs.encoded[role]]


def finetune(place: Workplace, **asked: Any) -> TrainingReport:
    """Fine-tune a model and write it, as `prepared` describes it.

    Raises:
        UnlearnkitError: what `prepared` does; `diverged`.
    """
    return carry_out(place, prepared(place, **asked))


def prepared(
    place: Workplace,
    *,
    model: str,
    data: tuple[DataSpec, ...],
    schedule: Schedule | None = None,
    adapter: str | None = None,
    adapter_options: Mapping[str, Any] | None = None,
    out: str | None = None,
    force: bool = False,
    template: str = "auto",
    system_prompt: str | None = None,
) -> Prepared:
    """A run that fine-tunes a model on the answers of one or more sets, taken together.

    Raises:
        UnlearnkitError: bad input, before a model is loaded or anything is written.
    """
    schedule = schedule or Schedule()
    addition = choose(place, adapter, adapter_options)
    source = find_model(place, model)
    check_fit(source, FineTuning(), "finetune", addition.adapter)
    sets = {f"data{i or ''}": read_set(place, spec) for i, spec in enumerate(data)}
    specs = dict(zip(sets, data, strict=True))
    inputs = prepare(place, source, specs, sets, template=template, system_prompt=system_prompt)
    now = place.environment()
    n = sum(len(inputs.encoded[role]) for role in inputs.sets)
    plan = schedule.plan(n, lr=DEFAULT_LR * addition.rate * schedule.factor, epochs=DEFAULT_EPOCHS)
    check_shared(place, plan, False, "finetune")
    fingerprints = {role: chosen.fingerprint for role, chosen in inputs.sets.items()}
    determines = {
        "kit": [__version__, training.VERSION],
        "model": source.fingerprint,
        "data": list(fingerprints.values()),
        "template": inputs.template.fingerprint,
        **addition.determines(place),
        "plan": asdict(plan),
        "environment": now,
    }
    run_id = new_id()
    draft = records.Run(
        id=run_id,
        kind="finetune",
        identity=digest("finetune", determines),
        state="created",
        method="finetune",
        model=source.fingerprint,
        datasets=fingerprints,
        config={
            "request": request(
                place, model=model, data=data, adapter=adapter, adapter_options=addition.options, schedule=schedule,
                out=place_for(out, "finetune", run_id), force=force, template=template, system_prompt=system_prompt,
            ),
            **addition.config,
            "plan": asdict(plan),
        },
        environment=now,
        argv=place.argv,
        seed=schedule.seed,
    )  # fmt: skip
    return Prepared(draft, inputs, addition, schedule, plan, anew=out is not None, force=force)


def carry_out(place: Workplace, made: Prepared) -> TrainingReport:
    """Find or begin the run, train from where it stands, and write the model.

    Raises:
        UnlearnkitError: what is wrong with the folder, `not-resumable`, `diverged`.
    """
    inputs, plan, adapter = made.inputs, made.plan, made.addition.adapter
    run, folder, complete = begin(place, made.draft, inputs, anew=made.anew, force=made.force)
    if complete:
        return report(run, already=True)
    with place.working(run) as held:
        from unlearnkit.training.loop import Trainer
        from unlearnkit.training.plan import by_epoch, shuffled

        parts: dict[str, Any] = {
            "algorithm": FineTuning(),
            "name": "finetune",
            "plan": plan,
            "sets": {"forget": made.encoded},
            "pad": inputs.pad,
            "adapter": adapter,
            "fused": place.settings.fused,
        }
        call_in(place, inputs.model, parts)
        trainer = Trainer(model=load_model(inputs.model), team=place.team, draw=by_epoch(plan, shuffled(plan)), **parts)
        run = drive(
            place, held, trainer, inputs, folder,
            checkpoint_every=made.schedule.checkpoint_every,
            force=made.force,
            card=lambda ending: finetuning_card(place, run, inputs, ending),
            rename={"forget": "train"},
        )  # fmt: skip
    return report(run, already=False)
