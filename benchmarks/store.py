"""What commands cost on a large store: 100 unlearn runs and 200 evaluations of 4,000 samples by 12 metrics each, 9.6
million results.

    OMP_NUM_THREADS=1 python benchmarks/store.py [--store big.db] [--evaluations 200] [--samples 4000]

The store is made where there is none, which takes a few minutes and 1.5 GB, and kept. Times are processor seconds of
this process beyond imports: every command has run on a small store before. "first" is on a store that holds no figures
yet, as one that was just upgraded does; "again" is what a command costs from then on.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from machine import heading, verdict

from unlearnkit.cli import main as unlearnkit
from unlearnkit.data.samples import sample_id
from unlearnkit.plugins import plugins
from unlearnkit.store import Store, new_id
from unlearnkit.store.records import AggregateRow, Dataset, Model, OrderRow, Row, Run, ScoreRow, StepRow
from unlearnkit.suites import Split, Suite, Use

TARGET = 1.0
METRICS = 12
STEPS = 500


def main() -> None:
    args = arguments()
    path = Path(args.store)
    if not path.exists():
        began = time.monotonic()
        make(path, args.evaluations, args.samples)
        print(f"{path} made in {time.monotonic() - began:.0f} s")
    with tempfile.TemporaryDirectory(prefix="unlearnkit-bench-") as folder:
        small = Path(folder) / "small.db"
        make(small, 4, 20)
        for words in commands(small).values():
            spent(words)
    with sqlite3.connect(path) as raw:
        (rows,) = raw.execute("SELECT count(*) FROM result").fetchone()
        raw.execute("DELETE FROM figure")
    print(f"{rows:,} results, {path.stat().st_size / 1e9:.2f} GB")
    for title in ("first", "again"):
        heading(f"{title}: processor seconds beyond imports")
        for name, words in commands(path).items():
            verdict(name, spent(words), TARGET)


def commands(path: Path) -> dict[str, list[str]]:
    """What is measured, by name, on a store."""
    with Store.open(path) as store:
        evaluations = store.runs(kind="eval")
        one, other = evaluations[0].id, evaluations[1].id
        unlearned = store.runs(kind="unlearn")[0].id
    asked = {
        "report": ["report"],
        "report RUN": ["report", unlearned],
        "report --format json": ["report", "--format", "json"],
        "report --where": ["report", "--where", "npo.beta=0.5 and forget_quality>0.5"],
        "runs list": ["runs", "list"],
        "runs list --where": ["runs", "list", "--where", "algorithm=npo and forget_quality>0.5"],
        "runs list --where FIGURE": ["runs", "list", "--where", "kind=eval and forget.probability>0.5"],
        "runs show": ["runs", "show", unlearned],
        "runs compare A B": ["runs", "compare", one, other],
        "runs diff A B": ["runs", "diff", one, other],
    }
    return {name: [*words, "--store", str(path)] for name, words in asked.items()}


def spent(words: list[str]) -> float:
    """Processor seconds of a command that is to succeed."""
    out = io.StringIO()
    began = time.process_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            unlearnkit(words)
        except SystemExit as stop:
            code = stop.code
    taken = time.process_time() - began
    assert not code, out.getvalue()
    return taken


def make(path: Path, evaluations: int, samples: int) -> None:
    """A store of made-up numbers: two evaluations of each of half as many unlearn runs, of one forget set that is
    scored."""
    rng = np.random.default_rng(0)
    ids = [sample_id(f"question {i}", f"answer {i}") for i in range(samples)]
    uses = tuple(Use(name, name) for name in usable()[:METRICS])
    suite = Suite("made-up", {"forget": Split(uses)}, (Use("forget_quality", "forget_quality"),))
    with Store.open(path) as store:
        store.put_model(Model("f" * 64, "models/base", "llama", 10**9))
        data = Dataset("d" * 64, "data/forget.jsonl", samples)
        store.put_dataset(data, [Row(i, sample, 20) for i, sample in enumerate(ids)])
        scored = begun(store, "score", "mrd", data, options={"draws": 8})
        store.put_scores(scored.id, [ScoreRow(s, v, 0.01, 8) for s, v in zip(ids, rng.random(samples), strict=True)])
        store.finish(scored.id, "complete", summary={"reliability": 0.9})
        reference = None
        for i in range(evaluations // 2):
            made = f"{i:064x}"
            options, plan = {"beta": [0.1, 0.5][i % 2]}, {"lr": 1e-5, "epochs": 5}
            run = begun(store, "unlearn", "npo", data, sampler="mrd", options=options, plan=plan, seed=i)
            store.put_order(run.id, OrderRow(0, scored.id, "digest"))
            store.put_steps(run.id, [StepRow(k, {"loss": float(v)}) for k, v in enumerate(rng.random(STEPS), 1)])
            store.finish(run.id, "complete", summary={"model": made, "model_dir": f"models/{i}", "steps": STEPS})
            for _ in range(2):
                found = begun(store, "eval", suite.name, data, model=made, parent=run.id, suite=suite.json())
                with sqlite3.connect(path) as raw:
                    raw.executemany("INSERT INTO result VALUES (?, ?, ?, ?, ?, ?)", results(found.id, suite, ids, rng))
                store.put_readings(found.id, "forget", {use.name: f"{found.id} {use.name}" for use in uses})
                value = float(rng.random())
                store.put_aggregates(found.id, [AggregateRow("forget_quality", value, n=samples, reference=reference)])
                store.finish(found.id, "complete", summary={"label": f"models/{i}", "splits": ["forget"]})
                reference = reference or found.id


def begun(store: Store, kind: str, method: str, data: Dataset, model: str = "f" * 64, **config: object) -> Run:
    """A run of that kind, in the state that a command leaves before its work."""
    parent, seed = config.pop("parent", None), config.pop("seed", 0)
    role = "data" if kind == "score" else "forget"
    asked = {"model": "models/base", "seed": seed, "options": config.get("options", {})}
    run = Run(
        id=new_id(), kind=kind, identity=new_id(), state="created", method=method, model=model,  # type: ignore[arg-type]
        datasets={role: data.fingerprint}, config={"request": asked, **config}, environment={"torch": "2"},
        argv=("unlearnkit", kind), seed=seed, parent=parent,  # type: ignore[arg-type]
    )  # fmt: skip
    return store.begin(run)[0]


def results(run: str, suite: Suite, ids: list[str], rng: np.random.Generator) -> Iterator[tuple[object, ...]]:
    """Rows of an evaluation in the order of their key."""
    order = sorted(ids)
    for split, of in suite.splits.items():
        for use in sorted(of.metrics, key=lambda use: use.name):
            for sample, value in zip(order, rng.random(len(order)).tolist(), strict=True):
                yield run, split, use.name, sample, value, "ok"


def usable() -> list[str]:
    """Metrics that need no option."""
    known = plugins()
    described = {name: known.describe("metric", name) for name in known.offers("metric")}
    return [name for name, about in described.items() if not any(option.required for option in about.options)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default=str(Path(tempfile.gettempdir()) / "unlearnkit-big.db"))
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--samples", type=int, default=4000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
