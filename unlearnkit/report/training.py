"""What training runs show in a terminal: how their terms went, and a run in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unlearnkit.report.listing import state
from unlearnkit.report.sheet import Sheet, drawn, fixed, label, number, text
from unlearnkit.report.spark import spark

if TYPE_CHECKING:
    from unlearnkit.report.collect import Evaluated
    from unlearnkit.runs.training import TrainingReport
    from unlearnkit.store import Store
    from unlearnkit.store.records import Run, StepRow


def training_table(found: TrainingReport, steps: Sequence[StepRow]) -> Sheet:
    """A training run, term by term."""
    sampler = f", sampler {found.sampler}" if found.sampler else ""
    title = f"{found.algorithm}{sampler}: {found.steps} steps in {found.seconds:.1f} s, ended by {found.stopped_by}"
    note = "" if found.step == found.steps else f"the model is that of step {found.step}"
    note += "".join(f", the best by {name}: {value:.4g}" for name, value in found.best.items())
    return _terms(title, steps, note.lstrip(", "))


def _terms(title: str, steps: Sequence[StepRow], note: str = "") -> Sheet:
    """How each term went from step to step."""
    heads = (number(name) for name in ("first step", "last step", "lowest", "highest"))
    sheet = Sheet(title, label("term"), drawn("curve"), *heads, note=note)
    for name in sorted(steps[-1].terms.keys() - {"epoch"}) if steps else ():
        values = [row.terms.get(name) for row in steps]
        known = [value for value in values if value is not None]
        sheet.add(name, spark(values), *map(_term, (values[0], values[-1], min(known), max(known))))
    return sheet


def _term(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


DRAWN = ("forget", "retain", "loss")
"""Terms that a report shows the curves of."""


def curves_table(store: Store, evaluated: Sequence[Evaluated]) -> Sheet:
    """How the runs went that made the models of evaluations: what they forget, what they keep, what the optimiser saw.
    Each stands once, under the number of its first evaluation."""
    sheet = Sheet(
        "training, step by step",
        label("model"), fixed("term"), drawn("curve"), number("first"), number("last"),
        note="a bar is lowest or highest within its own line",
    )  # fmt: skip
    seen: set[str] = set()
    for i, e in enumerate(evaluated, 1):
        if e.writer is None or e.writer.id in seen:
            continue
        seen.add(e.writer.id)
        steps, called = store.steps(e.writer.id), f"#{i} {e.label}"
        for name in [name for name in DRAWN if steps and name in steps[-1].terms]:
            values = [row.terms.get(name) for row in steps]
            sheet.add(called, name, spark(values), _term(values[0]), _term(values[-1]))
            called = ""
    return sheet


def run_tables(store: Store, run: Run, steps: Sequence[StepRow]) -> list[Sheet]:
    """One run in full."""
    sheet = Sheet(f"{run.kind} run {run.id}", fixed("what"), text("value"))
    model, asked = store.model(run.model), run.config.get("request", {})
    against = list(dict.fromkeys(row.reference for row in store.aggregates(run.id) if row.reference))
    again = [event.message for event in store.events(run.id) if event.code == "rerun"]
    facts: dict[str, Any] = {
        "state": state(run),
        **({"tags": run.tags} if run.tags else {}),
        **({"note": run.note} if run.note else {}),
        "method": run.method,
        "model": f"{model.source if model else run.summary.get('label', '?')} ({run.model[:12]})",
        **{f"{role} set": _data(store, fingerprint) for role, fingerprint in run.datasets.items()},
        **run.config.get("options", {}),
        **({"sampler": run.config["sampler"]} if "sampler" in run.config else {}),
        **{f"sampler {key}": value for key, value in asked.get("sampler_options", {}).items()},
        **run.config.get("plan", {}),
        **{SUMMARY.get(key, key): value for key, value in run.summary.items() if key != "terms"},
        **({"held against": against} if against else {}),
        **run.environment,
        "command": " ".join(run.argv) or "from Python",
        "created": run.created,
        "finished": run.finished,
        **({"again": again[-1]} if again else {}),
        "error": f"[{run.error_code}] {run.error}" if run.error_code else None,
    }
    for key, value in facts.items():
        sheet.add(key, _shown(value))
    return [sheet, _terms("steps", steps)] if steps else [sheet]


SUMMARY = {"model": "new model", "model_dir": "new model in"}
"""Facts of a summary under a plainer name."""


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)


def _data(store: Store, fingerprint: str) -> str:
    data = store.dataset(fingerprint)
    return f"{data.label}, {data.n} samples ({fingerprint[:12]})" if data else fingerprint[:12]
