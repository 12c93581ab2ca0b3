"""A card for each run: what was done, to what, how, for how long, and on what machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from unlearnkit.report.collect import label_of
from unlearnkit.runs.evaluate import is_imported
from unlearnkit.runs.public import public
from unlearnkit.text import counted

if TYPE_CHECKING:
    from unlearnkit.report.subject import Subject
    from unlearnkit.store.records import Run

DID = {
    "finetune": "fine-tuned", "score": "scored", "unlearn": "unlearned", "eval": "evaluated", "attack": "attacked",
}  # fmt: skip
ENDS = {
    "model",
    "model_dir",
    "terms",
    "evaluations",
    "best",
    "unmet",
    "label",
    "seconds",
    "steps",
    "stopped_by",
    "step",
}
"""Of a summary, what a card tells in its own words or another section does."""
SHORT = 12
"""Characters of a fingerprint that tell it from others."""


@dataclass(frozen=True)
class Fact:
    """`whole` is what the value was shortened from."""

    name: str
    value: str
    whole: str = ""


@dataclass(frozen=True)
class Card:
    """`facts` are what one wants to know first, `more` the rest."""

    run: str
    mark: str
    did: str
    title: str
    state: str
    fault: str
    facts: list[Fact]
    more: list[Fact]


def cards(about: Subject) -> list[Card]:
    """By kind in the order of work, then by age."""
    return [_card(about, run) for kind in DID for run in about.runs if run.kind == kind]


def _card(about: Subject, run: Run) -> Card:
    state = run.status if run.exact else f"{run.status}, not bit-exact"
    fault = f"{run.error_code}: {run.error}" if run.error_code else ""
    facts, more = [*_on(about, run), *_how(run)], [*_options(run), *_machine(run), *_prints(run)]
    did = "imported" if is_imported(run) else DID[run.kind]
    return Card(run.id, about.marks[run.id], did, _title(about, run), state, fault, facts, more)


def _title(about: Subject, run: Run) -> str:
    if run.kind in ("eval", "attack"):
        return f"{run.method} of {label_of(about.place, run)}"
    if run.kind == "finetune":
        return about.run_name(run).partition(" ")[2]
    parts = (run.method, run.config.get("sampler"), run.config.get("wrapper"), run.config.get("adapter"))
    return ", ".join(dict.fromkeys(str(part) for part in parts if part))


def _on(about: Subject, run: Run) -> Iterator[Fact]:
    """Model and data."""
    store = about.place.reading()
    model = store.model(run.model)
    source = model.source if model else str(run.summary.get("label", run.model[:SHORT]))
    yield Fact("model", public(source, run))
    if model is not None:
        yield Fact("kind", f"{model.architecture}, {model.parameters:,} weights")
    for role, fingerprint in run.datasets.items():
        found = store.dataset(fingerprint)
        label, n = (found.label, counted(found.n, "sample")) if found else (fingerprint[:SHORT], "")
        yield Fact(f"{role} set", f"{public(label, run)}, {n}".rstrip(", "))


def _how(run: Run) -> Iterator[Fact]:
    """Length, time and end."""
    plan, summary = run.config.get("plan", {}), run.summary
    if "steps" in summary:
        yield Fact("length", f"{counted(summary['steps'], 'step')}, ended by {summary.get('stopped_by', '?')}")
        if summary.get("step", summary["steps"]) != summary["steps"]:
            yield Fact("weights kept", f"of step {summary['step']}")
    if "lr" in plan:
        yield Fact("learning rate", f"{plan['lr']:g}, {plan.get('schedule', 'constant')}")
    for name, value in summary.get("best", {}).items():
        yield Fact(f"best {name}", f"{value:.4g}")
    for name, value in summary.get("unmet", {}).items():
        yield Fact(f"not reached: {name}", str(value))
    if summary.get("model_dir"):
        yield Fact("wrote", public(summary["model_dir"], run))
    yield Fact("took", _took(run))
    if run.tags:
        yield Fact("tags", ", ".join(run.tags))
    if run.note:
        yield Fact("note", run.note)
    yield Fact("begun", f"{run.created[:16].replace('T', ' ')} UTC", run.created)


def _took(run: Run) -> str:
    seconds = run.summary.get("seconds")
    if not isinstance(seconds, (int, float)):
        if run.finished is None:
            return "not finished"
        seconds = (_time(run.finished) - _time(run.created)).total_seconds()
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 knows no "Z"


def _options(run: Run) -> Iterator[Fact]:
    """Of the method, the sampler, the wrapper and the adapter, then the plan and what else a run kept of its end."""
    asked, config = run.config.get("request", {}), run.config
    kinds = {
        "": config.get("options", {}), "sampler ": asked.get("sampler_options") or {},
        "wrapper ": config.get("wrapper_options") or {}, "adapter ": config.get("adapter_options") or {},
    }  # fmt: skip
    for kind, options in kinds.items():
        for name, value in options.items():
            yield Fact(f"{kind}{name}", _word(value))
    yield from (Fact(name.replace("_", " "), _word(value)) for name, value in config.get("plan", {}).items())
    for name in ("template", "threshold", "probe_every"):
        if config.get(name) is not None:
            yield Fact(name.replace("_", " "), _word(config[name]))
    yield from (Fact(name.replace("_", " "), _word(v)) for name, v in run.summary.items() if name not in ENDS)
    yield Fact("seed", str(run.seed))


def _machine(run: Run) -> Iterator[Fact]:
    yield from (Fact(name, _word(value)) for name, value in run.environment.items())


def _prints(run: Run) -> Iterator[Fact]:
    """Fingerprints: SHA-256 of weights, samples, and of all that determines the run."""
    prints: Mapping[str, str] = {"model": run.model, **run.datasets, "identity": run.identity}
    if run.summary.get("model"):
        prints = {**prints, "model written": run.summary["model"]}
    yield from (Fact(f"SHA-256, {name}", f"{value[:SHORT]}…", value) for name, value in prints.items())


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_word(v)}" for k, v in value.items()) or "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_word, value)) or "–"
    return "–" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
