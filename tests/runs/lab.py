"""A store made up by hand: scores, NLLs on the way and evaluations whose correlations are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unlearnkit.data.samples import sample_id
from unlearnkit.runs.workplace import Workplace
from unlearnkit.store import Store, new_id
from unlearnkit.store.records import (
    AggregateRow,
    Dataset,
    Kind,
    Model,
    OrderRow,
    ProbeRow,
    Result,
    Row,
    Run,
    ScoreRow,
)

N = 12
TEXTS = [(f"Who is number {i}?", f"Number {i} is {'very ' * i}well known.") for i in range(N)]
IDS = [sample_id(*text) for text in TEXTS]
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]
MODEL, OTHER = "f" * 64, "e" * 64


@dataclass
class Lab:
    """Short ways to put runs into a store."""

    place: Workplace

    @property
    def store(self) -> Store:
        return self.place.store

    def data(self, ids: Sequence[str] = IDS, label: str = "forget.jsonl", *, texts: bool = False) -> str:
        """A data set of some of the samples; its fingerprint."""
        found = Dataset("".join(sample[:4] for sample in ids)[:64].ljust(64, "0"), label, len(ids))
        rows = [
            Row(i, s, TOKENS[IDS.index(s)], "ok", *(TEXTS[IDS.index(s)] if texts else ())) for i, s in enumerate(ids)
        ]
        self.store.put_dataset(found, rows)
        return found.fingerprint

    def run(self, kind: Kind, method: str, datasets: Mapping[str, str], state: str = "complete", **more: Any) -> Run:
        for model, source in ((MODEL, "my-model"), (OTHER, "other-model")):
            self.store.put_model(Model(model, source, "llama", 10))
        values: dict[str, Any] = {
            "id": new_id(), "kind": kind, "identity": new_id(), "state": "created", "method": method, "model": MODEL,
            "datasets": datasets, "config": {}, "environment": {},
        }  # fmt: skip
        summary = more.pop("summary", {})
        run, _ = self.store.begin(Run(**{**values, **more}))
        return self.store.finish(run.id, state, summary=summary)  # type: ignore[arg-type]

    def scores(self, values: Sequence[float | None], scorer: str = "mrd", ids: Sequence[str] = IDS, **more: Any) -> str:
        options = more.pop("options", {})
        asked = {"model": "my-model", "data": {"source": "forget.jsonl", "split": None}}
        config = {"request": asked, "options": options}
        run = self.run("score", scorer, {"data": self.data(ids)}, config=config, **more)
        rows = [
            ScoreRow(s, v, None, 1, "ok" if v is not None else "nonfinite") for s, v in zip(ids, values, strict=True)
        ]
        self.store.put_scores(run.id, rows)
        return run.id

    def unlearned(
        self, updates: Sequence[float] = (), method: str = "ga", ids: Sequence[str] = IDS, *, beyond: float = 2.0,
        drawn_by: str | None = None, label: str = "forget.jsonl", **more: Any,
    ) -> Run:  # fmt: skip
        """A run in which each sample's NLL was `beyond` from some update on, infinite for never; looked at after every
        one of 20 updates."""
        config = {"sampler": "uniform", "options": {}, "plan": {"n": len(ids), "epochs": 5}, **more.pop("config", {})}
        made = {"model": new_id().lower().ljust(64, "0")}
        run = self.run("unlearn", method, {"forget": self.data(ids, label)}, config=config, summary=made, **more)
        rows = [
            ProbeRow(t, s, beyond if t >= u else 0.1, True)
            for s, u in zip(ids, updates, strict=False)
            for t in range(21)
        ]
        self.store.put_probes(run.id, rows)
        self.store.put_order(run.id, OrderRow(0, drawn_by, "digest"))
        return run

    def evaluated(
        self, run: Run, values: Mapping[str, float | None], metric: str = "probability", reference: str | None = None
    ) -> str:
        """An evaluation of what a run made, with values by sample."""
        data = {"forget": self.data(list(values))}
        made = self.run("eval", "tofu", data, model=run.summary["model"], parent=run.id)
        self.store.put_results(
            made.id, [Result("forget", metric, s, v, "ok" if v is not None else "no_target") for s, v in values.items()]
        )
        if reference is not None:
            self.store.put_aggregates(made.id, [AggregateRow("forget_quality", 0.5, reference=reference)])
        return made.id
