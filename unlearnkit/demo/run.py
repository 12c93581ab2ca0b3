"""The demo: forget eight made-up people, from an untrained model to a report, with the use cases that
everybody uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unlearnkit.data.samples import DataSpec
from unlearnkit.demo.people import people, write
from unlearnkit.report.collect import Findings, collect
from unlearnkit.runs.evaluate import EvalReport, evaluate
from unlearnkit.runs.finetune import finetune
from unlearnkit.runs.score import ScoreReport, score
from unlearnkit.runs.training import Schedule, TrainingReport
from unlearnkit.runs.unlearn import unlearn
from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import Settings

SAMPLERS = ("uniform", "mrd")
LEARN = Schedule(epochs=30, lr=3e-3, batch_size=16, schedule="cosine", warmup=0.05, weight_decay=0.0)
FORGET = Schedule(epochs=10, lr=3e-4, batch_size=8)
ALPHA = 5.0
"""Weight of the retain term: a model this small forgets everything else too without it."""
MAX_NEW_TOKENS = 40
"""Longer than any answer."""
EXCHANGES = 3
"""Questions of each split that the last screen shows with their answers."""


@dataclass(frozen=True)
class Exchange:
    """A question, and what the model said to it before and after it was made to forget."""

    split: str
    question: str
    before: str
    after: str


@dataclass(frozen=True)
class DemoReport:
    """What the demo made: models by name, the data they were made from, and everything the store says of
    them."""

    store: str
    full: TrainingReport
    retain_only: TrainingReport
    unlearned: Mapping[str, TrainingReport]
    forget: Path
    retain: Path
    scores: ScoreReport
    evaluations: Mapping[str, EvalReport]
    exchanges: Sequence[Exchange]
    findings: Findings

    def json(self) -> dict[str, Any]:
        return {
            "store": self.store,
            "models": {
                "full": self.full.model_dir,
                "retain": self.retain_only.model_dir,
                "unlearned": {sampler: found.model_dir for sampler, found in self.unlearned.items()},
            },
            "data": {"forget": str(self.forget), "retain": str(self.retain)},
            "report": self.findings.json(),
        }


def demo(place: Workplace, folder: Path, store: str | None = None) -> DemoReport:
    """Make the data and the models, score, unlearn under both samplers, evaluate; what is done already is read.

    Args:
        store: where everything is kept; by default the store that the settings name, or one in the folder.
    """
    chosen = place.settings.store if place.settings.store != Settings.store else str(folder / Settings.store)
    place.settings = replace(place.settings, store=store or chosen, store_text=True)
    if place.settings.threads is None:  # more cost a model as small as this more than they bring
        place.settings = replace(place.settings, threads=1)
    folder.mkdir(parents=True, exist_ok=True)
    forget_file, retain_file = write(folder)
    forget, retain = DataSpec(str(forget_file)), DataSpec(str(retain_file))
    base = _base(folder / "base")
    say = place.progress.say
    say("1 of 5  teach a tiny model all forty people, and a second one all but eight")
    full = finetune(place, model=base, data=(forget, retain), schedule=LEARN, out=str(folder / "full"))
    retain_only = finetune(place, model=base, data=(retain,), schedule=LEARN, out=str(folder / "retain-only"))
    say("2 of 5  measure how hard each answer about the eight is to forget")
    scores = score(place, model=full.model_dir, data=forget)
    say("3 of 5  forget the eight, once in random order and once by difficulty")
    unlearned = {
        sampler: unlearn(
            place, model=full.model_dir, forget=forget, retain=retain, algorithm="npo",
            options={"alpha": ALPHA}, sampler=sampler, schedule=FORGET,
            out=str(folder / f"forgot-{sampler}"),
        )
        for sampler in SAMPLERS
    }  # fmt: skip
    say("4 of 5  ask all four models")
    data = {"forget": forget, "retain": retain}
    reference = evaluate(place, model=retain_only.model_dir, data=data, max_new_tokens=MAX_NEW_TOKENS)
    models = {"full": full, **unlearned}
    evaluations = {"retain-only": reference} | {
        name: evaluate(place, model=made.model_dir, data=data, max_new_tokens=MAX_NEW_TOKENS, reference=reference.run)
        for name, made in models.items()
    }
    say("5 of 5  report")
    runs = [full.run, retain_only.run, *(made.run for made in unlearned.values())]
    return DemoReport(
        store=place.settings.store,
        full=full,
        retain_only=retain_only,
        unlearned=unlearned,
        forget=forget_file,
        retain=retain_file,
        scores=scores,
        evaluations=evaluations,
        exchanges=list(_exchanges(place, evaluations["full"].run, evaluations["mrd"].run)),
        findings=collect(place, runs),
    )


def _exchanges(place: Workplace, before: str, after: str) -> Iterator[Exchange]:
    """A few answers of two evaluations side by side, spread over each split."""
    store = place.store
    said = [{(g.split, g.sample): g.text for g in store.generations(run)} for run in (before, after)]
    for split, fingerprint in store.run(before).datasets.items():
        rows = [row for row in store.rows(fingerprint) if row.sample is not None]
        for row in rows[:: -(-len(rows) // EXCHANGES)]:
            key = (split, str(row.sample))
            yield Exchange(split, row.prompt or "", said[0][key], said[1][key])


def _base(folder: Path) -> str:
    """The untrained model, whole or not there."""
    if not folder.is_dir():
        from unlearnkit.demo.tiny import build

        rows = people()
        texts = [text for row in rows for text in (row["question"], row["answer"])]
        unfinished = folder.with_name(folder.name + ".unfinished")
        build(unfinished, texts)
        unfinished.replace(folder)
    return str(folder)
