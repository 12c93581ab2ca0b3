"""`finetune`: teach a model a set, to have something to forget, or a model that never saw it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from unlearnkit import training
from unlearnkit.data.samples import DataSpec
from unlearnkit.models import load_model
from unlearnkit.runs.adapters import check_fit, choose
from unlearnkit.runs.card import finetuning_card
from unlearnkit.runs.following import call_in, check_shared
from unlearnkit.runs.identity import digest
from unlearnkit.runs.inputs import find_model, prepare, read_set, request
from unlearnkit.runs.training import Schedule, TrainingReport, begin, drive, place_for, report
from unlearnkit.runs.workplace import Workplace
from unlearnkit.store import new_id, records
from unlearnkit.training.finetune import FineTuning
from unlearnkit.version import __version__

DEFAULT_EPOCHS = 5
DEFAULT_LR = 1e-5


def finetune(
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
) -> TrainingReport:
    """Fine-tune a model on the answers of one or more sets, taken together.

    Raises:
        UnlearnkitError: bad input, before a model is loaded or anything is written; `diverged`.
    """
    schedule = schedule or Schedule()
    addition = choose(place, adapter, adapter_options)
    source = find_model(place, model)
    check_fit(source, FineTuning(), "finetune", addition.adapter)
    sets = {f"data{i or ''}": read_set(place, spec) for i, spec in enumerate(data)}
    specs = dict(zip(sets, data, strict=True))
    inputs = prepare(place, source, specs, sets, template=template, system_prompt=system_prompt)
    now = place.environment()
    encoded = [item for role in inputs.sets for item in inputs.encoded[role]]
    plan = schedule.plan(len(encoded), lr=DEFAULT_LR * addition.rate * schedule.factor, epochs=DEFAULT_EPOCHS)
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
    run, folder, complete = begin(place, draft, inputs, anew=out is not None, force=force)
    if complete:
        return report(run, already=True)
    with place.working(run) as held:
        from unlearnkit.training.loop import Trainer
        from unlearnkit.training.plan import by_epoch, shuffled

        parts: dict[str, Any] = {
            "algorithm": FineTuning(),
            "name": "finetune",
            "plan": plan,
            "sets": {"forget": encoded},
            "pad": inputs.pad,
            "adapter": addition.adapter,
            "fused": place.settings.fused,
        }
        call_in(place, source, parts)
        trainer = Trainer(model=load_model(source), team=place.team, draw=by_epoch(plan, shuffled(plan)), **parts)
        run = drive(
            place, held, trainer, inputs, folder,
            checkpoint_every=schedule.checkpoint_every,
            force=force,
            card=lambda ending: finetuning_card(run, inputs, ending),
            rename={"forget": "train"},
        )  # fmt: skip
    return report(run, already=False)
