"""The use case: files become logs, logs become runs whose figures and aggregates are computed from their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnkit.data.samples import DataSpec, SampleSet
from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.runs.evaluate import EvalReport, combine, lacking, reference_for
from unlearnkit.runs.figures import figures_of, metrics_of
from unlearnkit.runs.identity import digest
from unlearnkit.runs.imported import lm_eval, openunlearning, tofu
from unlearnkit.runs.imported.files import Document, Malformed, read
from unlearnkit.runs.imported.log import Log
from unlearnkit.runs.imported.notes import contradicted, not_taken, partly
from unlearnkit.runs.imported.rows import values_of
from unlearnkit.runs.imported.samples import sample_set
from unlearnkit.runs.inputs import read_set, record_set, request
from unlearnkit.store import new_id, records
from unlearnkit.suites import Split, Suite, Use

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace

FORMS = (tofu.log, openunlearning.log, lm_eval.log)
KNOWN = (
    "known are TOFU's eval_log_aggregated.json, OpenUnlearning's TOFU_EVAL.json and MUSE_EVAL.json, and the "
    "samples_TASK_*.jsonl of lm-eval --log_samples; another store is for `unlearnkit store import`"
)
EVERY = {"eval_log_aggregated", "eval_log", "TOFU_EVAL", "MUSE_EVAL"}
"""What files of any run are called: their folder says more."""


@dataclass(frozen=True)
class Imported:
    """A log as a run: what an evaluation of it found, which program's it is, whether it is new here, and how many
    values it gave that are no numbers."""

    report: EvalReport
    form: str
    files: Sequence[Path]
    new: bool
    undefined: int


def import_logs(
    place: Workplace,
    files: Sequence[str | Path],
    *,
    data: Mapping[str, DataSpec] | None = None,
    reference: str | None = None,
    name: str | None = None,
) -> list[Imported]:
    """Read other programs' per-sample logs as evaluations. Each file is a run; those of lm-eval, which writes one for
    each task, are one run together. The same files again are the same run.

    Args:
        data: split to the data that were evaluated, whose samples the rows then are. Without them a row's sample is
            what its texts say, or where it has none, its place in the split.
        reference: the run of a model that never saw the forget set: an evaluation, imported or not, of the same
            samples, or a run whose model has one.
        name: what to call it in reports, in place of a name made from the file's.

    Raises:
        NotFound: no such file. BadInput: codes `form`, `split`. UnlearnkitError: what `files.read` raises, `form` where
            a log is not as its form has it, `data` where rows are not of the data, `reference`.
    """
    logs = _together([(document, _recognised(document)) for document in map(read, map(Path, files))])
    if name is not None and len(logs) > 1:
        raise BadInput("--name is for one log", hint="import them one by one")
    sets = {split: read_set(place, spec).unique() for split, spec in (data or {}).items()}
    if unknown := sorted(set(sets) - {split for _, log in logs for split in log.splits}):
        known = dict.fromkeys(split for _, log in logs for split in log.splits)
        raise BadInput(
            f"the log has no split {', '.join(unknown)}", hint=f"its splits: {', '.join(known)}", code="split"
        )
    drafts = [_draft(place, documents, log, sets, reference, name) for documents, log in logs]
    asked = {"data": dict(data or {}), "name": name}
    return [_record(place, draft, asked) for draft in drafts]


# -------------------------------------------------------------------------------------------------------------- forms


def _recognised(document: Document) -> Log:
    try:
        found = next((log for form in FORMS if (log := form(document)) is not None), None)
    except Malformed as fault:
        raise UnlearnkitError(f"{document.path}: {fault}", hint="nothing was imported", code="form") from fault
    if found is None:
        raise BadInput(f"{document.path} is no log of a form that is known", hint=KNOWN, code="form")
    return found


def _together(logs: Sequence[tuple[Document, Log]]) -> list[tuple[list[Document], Log]]:
    """Logs with their files: those of lm-eval as one."""
    found = [([document], log) for document, log in logs if log.form != "lm-eval"]
    tasks = [(document, log) for document, log in logs if log.form == "lm-eval"]
    if not tasks:
        return found
    names = [split for _, log in tasks for split in log.splits]
    if twice := next((split for split in names if names.count(split) > 1), None):
        raise BadInput(f"two files are of the task {twice}", hint="import one model's files at a time", code="form")
    splits = {split: rows for _, log in tasks for split, rows in log.splits.items()}
    uses = {use.name: use for _, log in tasks for use in log.uses}
    return [
        *found,
        ([document for document, _ in tasks], replace(tasks[0][1], splits=splits, uses=list(uses.values()))),
    ]


# --------------------------------------------------------------------------------------------------------------- runs


@dataclass(frozen=True)
class _Draft:
    """A run before anything is written."""

    documents: Sequence[Document]
    log: Log
    suite: Suite
    sets: Mapping[str, SampleSet]
    results: Sequence[records.Result]
    texts: Sequence[records.Generation]
    against: records.Run | None
    label: str
    notes: Sequence[str]


def _draft(
    place: Workplace, documents: Sequence[Document], log: Log, data: Mapping[str, SampleSet], reference: str | None,
    name: str | None,
) -> _Draft:  # fmt: skip
    path = documents[0].path
    label = name or _name(path, log)
    base, offered = _base(place, log), _offered(place, log)
    sets, results, texts, splits = {}, [], [], {}
    order = [*(base.splits if base else ()), *log.splits]
    for split, rows in sorted(log.splits.items(), key=lambda item: order.index(item[0])):
        chosen = sample_set(log.form, split, rows, data.get(split), label=f"{label} ({split})")
        sets[split] = chosen
        found = {use.name: values_of(place, split, use, rows, chosen.samples) for use in offered[split]}
        splits[split] = Split(tuple(use for use in offered[split] if found[use.name]))
        results += [row for rows_ in found.values() for row in rows_]
        texts += [
            records.Generation(split, sample.id, row.generation)
            for row, sample in zip(rows, chosen.samples, strict=True)
            if row.generation is not None
        ]
    if not results:
        raise UnlearnkitError(f"{path}: no row has a value", hint="nothing was imported", code="form")
    aggregates = {use.name: use for use in (*(base.aggregates if base else ()), *log.aggregates)}
    suite = Suite(log.suite, splits, tuple(aggregates.values()), about=f"imported from {log.form}")
    against = None if reference is None else reference_for(place, reference, sets)
    notes = (*not_taken(log), *partly(log, data))
    return _Draft(documents, log, suite, sets, results, texts, against, label, notes)


def _name(path: Path, log: Log) -> str:
    """After the model as far as a path says it: lm-eval's files are in its folder, and are called after the task."""
    return path.resolve().parent.name if path.stem in EVERY or log.form == "lm-eval" else path.stem


def _base(place: Workplace, log: Log) -> Suite | None:
    """Our suite that a log is of, where there is one."""
    from unlearnkit.plugins.hooks import SUITE

    return place.suite(log.suite) if log.suite in place.plugins.offers(SUITE) else None


def _offered(place: Workplace, log: Log) -> dict[str, list[Use]]:
    """What may stand in each split: our suite's metrics, in the log's own way where it has one, and the log's."""
    base, own = _base(place, log), {use.name: use for use in log.uses}
    known = {split: {use.name: use for use in of.metrics} for split, of in base.splits.items()} if base else {}
    return {split: list((known.get(split, {}) | own).values()) for split in log.splits}


def _record(place: Workplace, draft: _Draft, asked: Mapping[str, object]) -> Imported:
    """Find or make the run, and report."""
    hashes = [document.sha256 for document in draft.documents]
    files = [str(document.path.absolute()) for document in draft.documents]
    for chosen in draft.sets.values():
        record_set(place, chosen)
    held = None if draft.against is None else draft.against.id
    run, new = place.store.begin(
        records.Run(
            id=new_id(),
            kind="eval",
            identity=digest(
                "import", hashes, draft.suite.json(), [[split, s.fingerprint] for split, s in draft.sets.items()]
            ),
            state="created",
            method=draft.suite.name,
            model=digest("imported", hashes),
            datasets={split: chosen.fingerprint for split, chosen in draft.sets.items()},
            config={
                "request": request(place, files=files, reference=held, **asked),
                "suite": draft.suite.json(),
                "imported": {"form": draft.log.form, "sha256": hashes},
            },
            environment={},
            argv=place.argv,
        )
    )
    if run.state != "complete" or asked["name"] not in (None, run.summary["label"]):
        with place.working(run):
            place.store.put_results(run.id, draft.results, draft.texts if place.settings.store_text else ())
            summary = {"label": draft.label, "splits": list(draft.sets)}
            run = place.store.finish(run.id, "complete", summary=summary)
    report = _report(place, run, draft, new)
    for said in (*draft.notes, *contradicted(draft.log, report)):
        place.progress.warn(said)
    undefined = sum(row.value is None for row in draft.results)
    return Imported(report, draft.log.form, [document.path for document in draft.documents], new, undefined)


def _report(place: Workplace, run: records.Run, draft: _Draft, new: bool) -> EvalReport:
    from unlearnkit.runs.definitions import meanings

    metrics = metrics_of(place, draft.suite)
    total = sum(len(chosen.samples) for chosen in draft.sets.values())
    figures = figures_of(place, run.id, draft.suite, metrics)
    aggregates = combine(place, run.id, draft.suite, metrics, draft.against)
    return EvalReport(
        run=run.id,
        model=run.summary["label"],
        suite=draft.suite.name,
        computed=total if new else 0,
        from_store=0 if new else total,
        metrics=figures,
        aggregates=aggregates,
        missing=lacking(figures, aggregates),
        meanings=meanings(place, draft.suite),
    )
