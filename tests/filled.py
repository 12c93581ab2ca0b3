"""A store filled by hand with everything that a report can show: no model is made, and every number is known.

Names and texts are those of someone who would like to run a script on whoever opens the report.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlearnkit.data.samples import sample_id
from unlearnkit.store import Store, new_id
from unlearnkit.store.records import (
    AggregateRow,
    Dataset,
    Generation,
    Model,
    OrderRow,
    ProbeRow,
    Result,
    Row,
    Run,
    ScoreRow,
    StepRow,
)

EVIL = "</script><script>window.pwned=1</script><img src=x onerror='window.pwned=1'>"
TURNED = "right\u202eleft \u2028 שלום javascript:window.pwned=1"
N, M = 24, 12
QUESTIONS = [f"Who is number {i}? {EVIL if i == 0 else ''}" for i in range(N + M)]
ANSWERS = [f"Number {i} is {TURNED if i == 1 else 'well known'}.\nSince {1900 + i}." for i in range(N + M)]
IDS = [sample_id(q, a) for q, a in zip(QUESTIONS, ANSWERS, strict=True)]
FORGET, RETAIN = IDS[:N], IDS[N:]
MODELS = {name: f"{i:x}" * 64 for i, name in enumerate(("before", "npo", "mrd", "alone"), 1)}
SCORES = [10 ** (i / 8) for i in range(N)]
"""Of the forget set, lowest first: from 1 to 750."""
KNOWN = {"before": (0.9, 0.88), "alone": (0.12, 0.86), "npo": (0.2, 0.7), "mrd": (0.15, 0.8)}
"""Mean probability that each model gives to the forget set, and to the retain set."""
STEPS = 20


@dataclass(frozen=True)
class Filled:
    """Where it is, and its runs by name."""

    path: Path
    runs: dict[str, str]


def fill(path: Path, *, texts: bool = True) -> Filled:
    """Fill a new store at a path; `texts` as by --store-text."""
    with Store.open(path) as store:
        return Filled(path, _Filling(store, texts).runs())


def values(name: str, split: str) -> list[float]:
    """A model's probability of each sample: around its mean, lower for what is scored high."""
    mean, n = KNOWN[name][split == "retain"], N if split == "forget" else M
    return [mean * (1 + 0.5 * math.cos(math.pi * i / (n - 1))) / 1.5 for i in range(n)]


class _Filling:
    def __init__(self, store: Store, texts: bool) -> None:
        self.store, self.texts = store, texts
        sources = {"before": f"models/{EVIL}", "npo": "out/npo", "mrd": "out/mrd", "alone": "out/retain-only"}
        for name, source in sources.items():
            store.put_model(Model(MODELS[name], source, "llama", 134_515_008))
        self.data = {"forget": self._data("forget", FORGET, 0), "retain": self._data("retain", RETAIN, N)}

    def _data(self, label: str, ids: Sequence[str], start: int) -> str:
        rows = [
            Row(i, s, 3 + i % 5, "ok", *((QUESTIONS[start + i], ANSWERS[start + i]) if self.texts else ()))
            for i, s in enumerate(ids)
        ]
        found = Dataset(label[0].encode().hex() * 32, f"data/{label}.jsonl", len(ids))
        self.store.put_dataset(found, rows)
        return found.fingerprint

    def runs(self) -> dict[str, str]:
        made = {"scores": self._scores(), "alone": self._taught()}
        made["before-eval"] = self._evaluated("before", None, None)
        made["alone-eval"] = self._evaluated("alone", made["alone"], None)
        for name, sampler in (("npo", "uniform"), ("mrd", f"mrd {EVIL}")):
            made[name] = self._unlearned(name, sampler, made["scores"] if name == "mrd" else None, made["before-eval"])
            made[f"{name}-eval"] = self._evaluated(name, made[name], made["alone-eval"])
        made["attack"] = self._attacked(made["mrd"])
        self.store.tag(made["mrd"], ["paper"])
        self.store.note(made["mrd"], f"kept {EVIL}")
        made["failed"] = self._failed()
        return made

    def _run(self, kind: Any, method: str, model: str, **more: Any) -> str:
        summary, datasets = more.pop("summary", {}), more.pop("datasets", {"forget": self.data["forget"]})
        config = {"request": {"model": "my-model"}, "options": {}, **more.pop("config", {})}
        run, _ = self.store.begin(
            Run(
                id=new_id(), kind=kind, identity=new_id(), state="created", method=method, model=MODELS[model],
                datasets=datasets, config=config, environment={"torch": "2.13.0", "device": "cpu AVX512"},
                argv=("unlearnkit", kind, "--model", f"models/{EVIL}", "--note", "it's; rm -rf ~"), **more,
            )
        )  # fmt: skip
        return self.store.finish(run.id, "complete", summary=summary).id

    def _scores(self) -> str:
        summary = {"reliability": 0.93, "seconds": 71.5, "pairs": 64}
        run = self._run("score", "mrd", "before", datasets={"data": self.data["forget"]}, summary=summary)
        rows = [ScoreRow(s, v, v * (0.1 if v > 2 else 0.8), 64) for s, v in zip(FORGET, SCORES, strict=True)]
        self.store.put_scores(run, rows)
        return run

    def _taught(self) -> str:
        summary = {"model": MODELS["alone"], "model_dir": "out/retain-only", "steps": STEPS, "seconds": 12.0,
                   "stopped_by": "epochs"}  # fmt: skip
        run = self._run("finetune", "finetune", "before", datasets={"data": self.data["retain"]}, summary=summary)
        self.store.put_steps(run, [StepRow(i, {"loss": 3 / i, "lr": 1e-4}) for i in range(1, STEPS + 1)])
        return run

    def _unlearned(self, name: str, sampler: str, drawn_by: str | None, on_the_way: str) -> str:
        config = {
            "sampler": sampler, "options": {"beta": 0.1, "alpha": 5.0}, "threshold": 2.0,
            "plan": {"n": N, "epochs": 5, "lr": 1e-5, "schedule": "constant", "batch_size": 8},
        }  # fmt: skip
        summary = {
            "model": MODELS[name], "model_dir": f"out/{name}", "steps": STEPS, "step": STEPS - 4, "seconds": 63.2,
            "stopped_by": "epochs", "best": {"model_utility": 0.71},
            "evaluations": {"0": on_the_way, str(STEPS): self._evaluated(name, None, None, request=False)},
        }  # fmt: skip
        run = self._run("unlearn", "npo", "before", config=config, summary=summary, datasets=self.data)
        fast = 2 if name == "mrd" else 1
        steps = [
            StepRow(i, {"loss": 2 / i, "forget": 4 / (fast * i), "retain": 0.2 + 0.01 * i, "lr": 1e-5, "epoch": i // 4})
            for i in range(1, STEPS + 1)
        ]
        self.store.put_steps(run, steps)
        probes = [
            ProbeRow(t, s, 0.1 + fast * t * (N - i) / N / 4, True) for t in range(0, STEPS + 1, 2)
            for i, s in enumerate(FORGET)
        ]  # fmt: skip
        self.store.put_probes(run, probes)
        self.store.put_order(run, OrderRow(0, drawn_by, "digest"))
        return run

    def _evaluated(self, name: str, parent: str | None, reference: str | None, *, request: bool = True) -> str:
        config = {} if request else {"request": {}}
        label = {"label": f"{name} {EVIL}" if name == "before" else name}
        run = self._run("eval", "tofu", name, datasets=self.data, config=config, summary=label, parent=parent)
        rows, said = [], []
        for split, ids in (("forget", FORGET), ("retain", RETAIN)):
            for s, value in zip(ids, values(name, split), strict=True):
                rows += [Result(split, "probability", s, value), Result(split, "rouge", s, min(1.0, value * 1.1))]
                rows += [Result(split, "truth_ratio", s, None, "no_wrong_answers")]
                said += [Generation(split, s, f"{name} says <b>this</b> & {TURNED}")] if self.texts else []
        self.store.put_results(run, rows, said)
        utility = KNOWN[name][1]
        aggregates = [AggregateRow("model_utility", utility, n=6, low=utility - 0.05, high=utility + 0.05)]
        if reference is None:
            aggregates.append(AggregateRow("forget_quality", None, reason="no_reference"))
        else:
            aggregates.append(AggregateRow("forget_quality", 0.06 if name == "mrd" else 1e-7, n=N, reference=reference))
        self.store.put_aggregates(run, aggregates)
        return run

    def _attacked(self, parent: str) -> str:
        metrics = [{"name": name, "plugin": name, "options": {}} for name in ("probability", "rouge")]
        config = {
            "suite": {"name": "quantize", "splits": {"forget": {"metrics": metrics}}, "aggregates": []},
            "attempts": False,
        }
        conditions = ["bits-8", "bits-4"]
        run = self._run(
            "attack",
            "quantize",
            "mrd",
            config=config,
            summary={"label": "mrd", "conditions": conditions},
            parent=parent,
        )
        rows = []
        for split, times in (("forget", 1.0), ("forget@bits-8", 1.1), ("forget@bits-4", 2.5)):
            for s, value in zip(FORGET, values("mrd", "forget"), strict=True):
                rows += [Result(split, name, s, min(1.0, value * times)) for name in ("probability", "rouge")]
        self.store.put_results(run, rows)
        return run

    def _failed(self) -> str:
        run = self._run("unlearn", "ga", "before", config={"sampler": "uniform"}, datasets=self.data)
        self.store.finish(run, "diverged", error_code="diverged", error=f"loss nan {EVIL}")
        return run
