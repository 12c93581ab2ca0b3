"""What was asked, and what was done about it: data as hashes, the method with every option, the weights by content."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import UnlearnkitError
from unlearnkit.runs.inputs import find_model, model_of_run
from unlearnkit.runs.nlls import first_and_last
from unlearnkit.runs.public import command_of, public

if TYPE_CHECKING:
    from unlearnkit.models import ModelSource
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store.records import Run


def forgotten(place: Workplace, run: Run) -> list[str]:
    """Ids of the samples that a run was to forget, each once, in the order of its data."""
    rows = place.reading().rows(run.datasets["forget"])
    return list(dict.fromkeys(row.sample for row in rows if row.sample is not None))


def asked_for(place: Workplace, run: Run) -> dict[str, Any]:
    """The sets of a run. Of what was to be forgotten, each sample's hash; no text of any."""
    found: dict[str, Any] = {}
    for role, fingerprint in run.datasets.items():
        rows = place.reading().rows(fingerprint)
        found[role] = {
            "source": _named(run, role),
            "fingerprint": fingerprint,
            "n": len({row.sample for row in rows if row.sample is not None}),
            "left_out": dict(sorted(Counter(row.status for row in rows if row.sample is None).items())),
        }
    found["forget"]["samples"] = forgotten(place, run)
    return found


def _named(run: Run, role: str) -> str:
    """What a run's set is called, with its split where one was named."""
    spec = run.config["request"][role]
    name = public(spec["source"], run)
    return name if spec.get("split") is None else f"{name}[{spec['split']}]"


def made(run: Run) -> dict[str, Any]:
    """The run: its method with every option as it was resolved, its plan, and where it ran."""
    config, kept = run.config, run.summary
    asked = config["request"]
    return {
        "id": run.id,
        "identity": run.identity,
        "created": run.created,
        "finished": run.finished,
        "exact": run.exact,
        "algorithm": run.method,
        "options": dict(config["options"]),
        "sampler": config["sampler"],
        "sampler_options": dict(asked.get("sampler_options", {})),
        "wrapper": config.get("wrapper"),
        "wrapper_options": dict(config.get("wrapper_options", {})),
        "adapter": config.get("adapter"),
        "adapter_options": dict(config.get("adapter_options") or {}),
        "plan": dict(config["plan"]),
        "threshold": config["threshold"],
        "template": public(str(asked["template"]), run),
        "seed": run.seed,
        "steps": kept["steps"],
        "step": kept.get("step", kept["steps"]),
        "stopped_by": kept["stopped_by"],
        "seconds": kept["seconds"],
        "environment": dict(run.environment),
        "command": command_of(run) or None,
    }


def models(place: Workplace, run: Run, folder: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights that a run began with, as the store names them, and those that it wrote, read again now.

    Raises:
        NotFound: code `moved`. UnlearnkitError: code `changed`.
    """
    began = place.reading().model(run.model)
    before = {
        "fingerprint": run.model,
        "source": public(str(run.config["request"]["model"]), run),
        "architecture": None if began is None else began.architecture,
        "parameters": None if began is None else began.parameters,
    }
    source = model_of_run(place, run) if folder is None else _elsewhere(place, run, folder)
    after = {
        "fingerprint": source.fingerprint,
        "source": public(str(run.summary["model_dir"]), run),
        "architecture": source.architecture,
        "parameters": source.parameters,
        "read_again": True,
    }
    return before, after


def _elsewhere(place: Workplace, run: Run, folder: str) -> ModelSource:
    source = find_model(place, folder)
    if source.fingerprint != run.summary["model"]:
        raise UnlearnkitError(
            f"{folder} does not hold the model that run {run.id} wrote",
            hint="a certificate is about the very weights that the run wrote",
            code="changed",
        )
    return source


def training_nll(place: Workplace, run: Run, samples: list[str]) -> dict[str, float] | None:
    """The forget set's mean NLL in training at first and at last, nats per label token; None where it was not seen
    twice."""
    step = run.summary.get("step", run.summary["steps"])
    rows = [row for row in place.reading().probes(run.id) if row.updates <= step]
    found = first_and_last(rows, set(samples))
    return None if found is None else {"first": found[0], "last": found[1]}
