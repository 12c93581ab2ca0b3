"""The use case: a model goes through tasks once, and what came of it is a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from unlearnkit.extend.evaluations import (
    EvalReport,
    Split,
    Suite,
    Use,
    digest,
    figures_of,
    find_model,
    ids_apart,
    metrics_of,
    new_id,
    offline,
    records,
    run_source,
    writer,
)
from unlearnkit.extend.models import ModelSource, load_model, load_tokenizer
from unlearnkit_lm_eval.tasks import Asked, Document, Harness, Task, plain

if TYPE_CHECKING:
    from unlearnkit.extend.evaluations import Workplace


def lm_eval(place: Workplace, *, model: str, asked: Asked, batch_size: int = 8) -> EvalReport:
    """Evaluate a model by tasks of lm-eval, once: the same model, tasks and documents again are read from the store.

    Args:
        model: as `eval` takes one.

    Raises:
        NotFound: code "task", or no such model. UnlearnkitError: code "lm-eval", what the harness stumbled over.
    """
    source = find_model(place, run_source(place, model))
    with nullcontext() if place.settings.allow_download else offline():
        harness = Harness(asked)
        now = {**place.environment(), "lm_eval": harness.version}
        options = {key: value for key, value in asdict(asked).items() if key not in ("tasks", "folder")}
        tasks = {name: task.digest for name, task in harness.tasks.items()}
        draft = records.Run(
            id=new_id(),
            kind="eval",
            identity=digest("lm-eval", source.fingerprint, tasks, options, now),
            state="created",
            method="lm-eval",
            model=source.fingerprint,
            datasets={},
            config={"request": {"by": "unlearnkit-lm-eval"}, "lm_eval": {**options, "tasks": list(tasks)}},
            environment=now,
            argv=place.argv,
            parent=writer(place, source),
        )
        known = place.find("eval", draft.identity)
        if known is None or known.state != "complete":
            place.progress.say(f"lm-eval asks for {', '.join(tasks)}")
            found = harness.run(load_model(source), load_tokenizer(source), batch_size)
            known = _record(place, draft, source, harness.tasks, found)
            computed = sum(map(len, found.values()))
        else:
            computed = 0
    return _report(place, known, source.label, computed)


def _record(
    place: Workplace, draft: records.Run, source: ModelSource, tasks: Mapping[str, Task],
    found: Mapping[str, list[Document]],
) -> records.Run:  # fmt: skip
    """A run of what was found, sample by sample."""
    place.store.put_model(records.Model(source.fingerprint, source.label, source.architecture, source.parameters))
    datasets, splits, results = {}, {}, []
    for name, documents in found.items():
        split = plain(name)
        # What asks and answers the same as another, maybe among other options, counts too, as it does for lm-eval.
        ids = ids_apart([(document.prompt, document.answer) for document in documents])
        datasets[split] = digest("lm-eval", ids)
        text = place.settings.store_text
        place.store.put_dataset(
            records.Dataset(datasets[split], f"lm-eval:{name}", len(documents)),
            [
                records.Row(i, sample, None, **({"prompt": d.prompt, "answer": d.answer} if text else {}))
                for i, (sample, d) in enumerate(zip(ids, documents, strict=True))
            ],
        )
        higher = {plain(metric): good for metric, good in tasks[name].higher.items()}
        names = dict.fromkeys(metric for document in documents for metric in document.values)
        splits[split] = Split(tuple(_use(metric, higher) for metric in names), about=f"lm-eval's task {name}")
        for sample, document in zip(ids, documents, strict=True):
            results += [_result(split, metric, sample, value) for metric, value in document.values.items()]
    suite = Suite("lm-eval", splits)
    config = {**draft.config, "suite": suite.json()}
    run, _ = place.store.begin(replace(draft, datasets=datasets, config=config))
    with place.working(run):
        place.store.put_results(run.id, results)
        summary = {"label": source.label, "splits": list(splits)}
        return place.store.finish(run.id, "complete", summary=summary)


def _result(split: str, metric: str, sample: str, value: float) -> records.Result:
    if math.isfinite(value):
        return records.Result(split, metric, sample, value)
    return records.Result(split, metric, sample, None, "nonfinite")


def _use(metric: str, higher: Mapping[str, bool]) -> Use:
    name = metric.partition("-")[0]  # a filter's name stands behind
    return Use(metric, "lm-eval", {"metric": name, "higher": higher.get(name, True)})


def _report(place: Workplace, run: records.Run, label: str, computed: int) -> EvalReport:
    suite = Suite.of(run.config["suite"])
    total = sum(data.n for split in run.datasets.values() if (data := place.store.dataset(split)))
    figures = figures_of(place, run.id, suite, metrics_of(place, suite))
    return EvalReport(run.id, label, suite.name, computed, total - computed, figures, {})
